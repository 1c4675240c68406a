//! The aggregate room: events in, results per key (and window) out.
//!
//! A worker folds its events of an epoch by key ([`Fold`]); one [`Partial`] per key goes to the worker that has the
//! key, which merges it into the key's group ([`Groups`]) and, when the epoch ends, says what changed. Everything in
//! between commutes and is exact, so that no result depends on the order of events, on how they were cut into epochs
//! or on the number of workers. A [`Fold`] and [`Groups`] keep no plan of their own: every call is given the same one.
//!
//! **Bytes per key.** A group takes about 130 bytes, 24 for each `by` value (and the text, if it is longer than 24
//! bytes), and without a window 24 for each measure (the row that downstream saw). For each different call 32 more, and:
//!
//! | call | further bytes |
//! |---|---|
//! | `count` | none |
//! | `sum` of BIGINT, DECIMAL | none; about 80 once it is beyond 128 bits |
//! | `sum` of DOUBLE | 32 and 8 for every 64 powers of two that the values span: about 56, at most 320 |
//! | `avg` | 48 and those of `sum` |
//! | `min` `max` `bool_and` `bool_or` | none; the text, if it is longer than 24 bytes |
//! | `first` `last` `any_value` | 88 and the value, if it is long |
//! | `min_by` `max_by` | 112 and the values, if they are long |
//! | `array_agg` | 48 and 112 for each of twice the elements (at most 2,000), and the values, if they are long |
//! | `count(DISTINCT)` | 40 and 29 to 57 for each value; NULL, and counted, beyond 10,000,000 of them |
//! | `approx_count_distinct` | 32 and 8 to 16 for each value up to 1,024, then 16 KiB |
//! | `percentile` | 32 and 16 to 32 for each bucket: 128 buckets for each doubling that the values span |
//! | `stddev` `variance` | 144 and about 80; of DOUBLE about 300, at most 1,400 |

mod array;
mod big;
mod distinct;
mod fold;
mod groups;
mod histogram;
mod late;
mod moments;
pub mod operator;
mod ranked;
mod result;
mod round;
mod state;
mod sum;
#[cfg(test)]
mod tests;
mod values;
mod window;

pub use fold::{Flushed, Fold, Input, Partial};
pub use groups::{Closing, Groups, Results};
pub use result::Failures;
