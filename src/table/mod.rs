//! The table room: a topic read as a keyed, changing collection.
//!
//! Records become rows in two stages, each on the worker that owns its key: [`Writers`] knows what every record key
//! wrote last, [`Rows`] which of the record keys that write one table key counts. [`operator`] keeps the rows arranged
//! for lookups.

pub mod operator;
mod rows;
mod writers;

pub use rows::Rows;
pub use writers::{Upsert, Write, Writers};
