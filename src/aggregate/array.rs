//! `array_agg`: at most `limit` elements, by event order or by a value; NULLs are kept.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::event::Value;
use crate::json;
use crate::plan::Direction;

use super::ranked::{Placed, compare_values};
use super::values::{Kind, Unfit, compare, kind};

/// The most elements that an array has where the file asks for no fewer; what is beyond is counted.
pub const MOST: usize = 1000;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Array {
    items: Vec<Item>,
    /// What kind of values the elements are ordered by, once one was not NULL.
    kind: Option<Kind>,
    /// Elements beyond the limit, not yet reported.
    beyond: u64,
    /// Was there any element? With a limit of 0 none of them is kept.
    any: bool,
    /// Bytes outside of the items themselves.
    outside: usize,
}

/// One element, and what it is ordered by: NULL in event order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Item {
    pub by: Value,
    pub placed: Placed,
}

/// How the elements are chosen and ordered.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    pub direction: Direction,
    pub limit: usize,
}

impl Array {
    pub fn add(&mut self, item: Item, choice: Choice) -> Result<(), Unfit> {
        if !item.by.is_null() {
            self.same_kind(kind(&item.by)?)?;
        }
        self.any = true;
        self.outside += item.bytes();
        self.items.push(item);
        // Sorting at twice the limit costs little per element.
        if self.items.len() >= choice.limit.max(8) * 2 {
            self.shorten(choice);
        }
        Ok(())
    }

    pub fn merge(&mut self, other: Array, choice: Choice) -> Result<(), Unfit> {
        if let Some(kind) = other.kind {
            self.same_kind(kind)?;
        }
        self.items.extend(other.items);
        self.outside += other.outside;
        self.beyond += other.beyond;
        self.any |= other.any;
        if self.items.len() > choice.limit {
            self.shorten(choice);
        }
        Ok(())
    }

    fn same_kind(&mut self, kind: Kind) -> Result<(), Unfit> {
        if *self.kind.get_or_insert(kind) == kind { Ok(()) } else { Err(Unfit) }
    }

    fn shorten(&mut self, choice: Choice) {
        self.items.sort_unstable_by(|a, b| a.compare(b, choice.direction));
        self.beyond += self.items.len().saturating_sub(choice.limit) as u64;
        self.items.truncate(choice.limit);
        self.outside = self.items.iter().map(Item::bytes).sum();
    }

    /// The array as JSON; NULL of nothing.
    pub fn result(&self, choice: Choice) -> Value {
        let mut items: Vec<&Item> = self.items.iter().collect();
        items.sort_unstable_by(|a, b| a.compare(b, choice.direction));
        items.truncate(choice.limit);
        if !self.any {
            return Value::Null;
        }
        let mut text = vec![b'['];
        for (i, item) in items.into_iter().enumerate() {
            if i > 0 {
                text.push(b',');
            }
            json::write(&item.placed.value, &mut text);
        }
        text.push(b']');
        Value::Json(String::from_utf8(text).expect("JSON is written as UTF-8").into())
    }

    /// Elements that were left out since the last call.
    pub fn take_beyond(&mut self, choice: Choice) -> u64 {
        if self.items.len() > choice.limit {
            self.shorten(choice);
        }
        std::mem::take(&mut self.beyond)
    }

    /// Bytes outside of the struct itself.
    pub fn bytes(&self) -> usize {
        self.items.capacity() * size_of::<Item>() + self.outside
    }
}

impl Item {
    /// As PostgreSQL sorts: NULL is greater than everything. Ties go by event order.
    fn compare(&self, other: &Item, direction: Direction) -> Ordering {
        let order = match (self.by.is_null(), other.by.is_null()) {
            (false, false) => compare(&self.by, &other.by),
            (a, b) => a.cmp(&b),
        };
        let order = if direction == Direction::Descending { order.reverse() } else { order };
        let order = order.then_with(|| self.placed.place.cmp(&other.placed.place));
        order.then_with(|| compare_values(&self.placed.value, &other.placed.value))
    }

    fn bytes(&self) -> usize {
        let values = self.by.bytes() + self.placed.value.bytes() - 2 * size_of::<Value>();
        values + self.placed.place.bytes()
    }
}
