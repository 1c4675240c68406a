//! When each row of a changing collection was let through.
//!
//! What a step or an output that reads `now()` makes of a row depends on the epoch's time. To take a row back, it must
//! be made again as downstream saw it: with the time at which it was let through, not with today's.

use std::collections::HashMap;

use crate::event::key::Fixed;
use crate::event::{Key, Micros, Value};

/// The epoch's time of each row that downstream sees: those of one step or output, on the worker that has their keys.
#[derive(Debug, Default)]
pub struct Moments {
    rows: HashMap<Key, Micros, Fixed>,
    bytes: usize,
}

impl Moments {
    /// When the row was let through; `None` if downstream does not see it.
    pub fn of(&self, key: &Key) -> Option<Micros> {
        self.rows.get(key).copied()
    }

    /// The row was let through at this moment; with `None` downstream sees it no more.
    pub fn set(&mut self, key: Key, moment: Option<Micros>) {
        let Some(moment) = moment else {
            self.bytes -= self.rows.remove_entry(&key).map_or(0, |(key, _)| row_bytes(&key));
            return;
        };
        let bytes = row_bytes(&key);
        if self.rows.insert(key, moment).is_none() {
            self.bytes += bytes;
        }
    }

    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// About how many bytes the entries hold.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

fn row_bytes(key: &Key) -> usize {
    size_of::<(Key, Micros)>() + 1 + key.iter().map(Value::bytes).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_the_moment_at_which_it_was_last_let_through() {
        let (mut moments, a, b) = (Moments::default(), Key::from([Value::text("a")]), Key::from([Value::text("b")]));
        moments.set(a.clone(), Some(1));
        let one = moments.bytes();
        moments.set(b.clone(), Some(1));
        moments.set(a.clone(), Some(2));
        assert_eq!((moments.of(&a), moments.of(&b), moments.rows(), moments.bytes()), (Some(2), Some(1), 2, 2 * one));
        moments.set(a.clone(), None);
        moments.set(a.clone(), None);
        moments.set(b.clone(), None);
        assert_eq!((moments.of(&a), moments.of(&b), moments.rows(), moments.bytes()), (None, None, 0, 0));
    }
}
