//! The shape room: one event in, none, one or several out.
//!
//! A step's operations ([`Program`]) run one after the other on an event's slots, in one pass and without a queue in
//! between. A step without `unnest` and `lookup` runs on slots alone, before anything is built, so that an event that
//! a `where` drops costs no memory. A lookup needs a table and so splits a program into [`Segment`]s: what is before
//! it, the key that it asks for, and what comes after.
//!
//! Every element that an `unnest` makes is an event of its own: it is dropped or rejected alone.

pub mod operator;
mod program;
#[cfg(test)]
mod tests;
mod unnest;

pub use program::{Drops, Program, Segment};
