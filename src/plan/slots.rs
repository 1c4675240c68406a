//! Writing to an event's slots so that the frame stays true: a slot's neighbours above and below it change with it.
//!
//! The frame may hold `data`, `data.plan` and `data.plan.name` at once; whoever writes one of them writes all three.
//! Every room that changes an event does it through these functions.

use crate::event::Value;
use crate::event::row::Row;
use crate::json;

use super::{Prune, RowTarget, Target};

/// Puts a value where a target says. NULL is written as `null`, so a field that is set is there.
pub fn write(slots: &mut [Value], target: &Target, value: Value) {
    for (slot, path) in &target.below {
        slots[usize::from(*slot)] = json::get(&value, path);
    }
    write_above(slots, target, &value);
    slots[usize::from(target.slot)] = value;
}

/// Puts a table's row (or a rule's) where a target says; without a row all of it is NULL.
pub fn write_row(slots: &mut [Value], to: &RowTarget, row: Option<&Row>) {
    let value = row.map_or(Value::Null, |row| Value::Json(row.body.clone()));
    for (slot, from) in &to.fill {
        slots[usize::from(*slot)] = row.map_or(Value::Null, |row| row.slots[usize::from(*from)].clone());
    }
    for (slot, path) in &to.target.below {
        if !to.fill.iter().any(|(filled, _)| filled == slot) {
            slots[usize::from(*slot)] = json::get(&value, path);
        }
    }
    write_above(slots, &to.target, &value);
    slots[usize::from(to.target.slot)] = value;
}

fn write_above(slots: &mut [Value], target: &Target, value: &Value) {
    for (slot, path) in &target.above {
        let whole = &mut slots[usize::from(*slot)];
        *whole = json::set(whole, path, value);
    }
}

/// Slots after fields were removed.
pub fn drop_fields(slots: &mut [Value], prune: &Prune) {
    clear(slots, prune);
    for (slot, paths) in &prune.trim {
        let whole = &mut slots[usize::from(*slot)];
        for path in paths {
            *whole = json::remove(whole, path);
        }
    }
}

/// Slots after all but some fields were removed.
pub fn keep_fields(slots: &mut [Value], prune: &Prune) {
    clear(slots, prune);
    for (slot, paths) in &prune.trim {
        let whole = &mut slots[usize::from(*slot)];
        *whole = json::keep(whole, paths);
    }
}

fn clear(slots: &mut [Value], prune: &Prune) {
    for slot in &prune.clear {
        slots[usize::from(*slot)] = Value::Null;
    }
}
