//! Measures that choose one value of many: `min max any_value first last min_by max_by`.
//!
//! Every choice is by a total order (SQL's, event order, at last the form of the value), never by arrival.

use std::cmp::Ordering;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::event::{Micros, Position, Value};
use crate::expr::AggFunc;

use super::values::{Unfit, compare, compare_forms, kind};

/// A place in event order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    pub time: Micros,
    pub topic: Arc<str>,
    pub partition: i32,
    pub offset: i64,
    pub position: SmallVec<[Position; 0]>,
}

impl Place {
    /// About how many bytes it holds outside of itself (topics are shared, positions small).
    pub fn bytes(&self) -> usize {
        self.position.len() * (size_of::<Position>() + 32)
    }
}

/// A value, by its place in event order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Placed {
    pub place: Place,
    pub value: Value,
}

/// `first`, `last` and `any_value`, which is the first that is not NULL.
pub type Pick = Option<Box<Placed>>;

pub fn add_pick(own: &mut Pick, other: Placed, func: &AggFunc) {
    let better = own.as_ref().is_none_or(|own| {
        let order = other.place.cmp(&own.place).then_with(|| compare_values(&other.value, &own.value));
        order == if *func == AggFunc::Last { Ordering::Greater } else { Ordering::Less }
    });
    if better {
        *own = Some(Box::new(other));
    }
}

/// `min_by` and `max_by`: the value at the least or greatest `by`, the first of equals.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ByOther {
    pub by: Value,
    pub placed: Placed,
}

pub fn add_by(own: &mut Option<Box<ByOther>>, other: ByOther, func: &AggFunc) -> Result<(), Unfit> {
    let own_kind = own.as_ref().map_or(Ok(kind(&other.by)?), |own| kind(&own.by))?;
    if own_kind != kind(&other.by)? {
        return Err(Unfit);
    }
    let better = own.as_ref().is_none_or(|own| {
        let order = compare(&other.by, &own.by);
        let order = if *func == AggFunc::MaxBy { order.reverse() } else { order };
        let order = order.then_with(|| other.placed.place.cmp(&own.placed.place));
        order.then_with(|| compare_values(&other.placed.value, &own.placed.value)) == Ordering::Less
    });
    if better {
        *own = Some(Box::new(other));
    }
    Ok(())
}

/// `min` and `max`; NULL before any value.
pub fn add_extreme(own: &mut Value, other: &Value, func: &AggFunc) -> Result<(), Unfit> {
    let other_kind = kind(other)?;
    if own.is_null() {
        *own = other.clone();
        return Ok(());
    }
    if kind(own)? != other_kind {
        return Err(Unfit);
    }
    let wanted = if *func == AggFunc::Max { Ordering::Greater } else { Ordering::Less };
    let order = compare(other, own);
    if order == wanted || (order == Ordering::Equal && compare_forms(other, own) == Ordering::Less) {
        *own = other.clone();
    }
    Ok(())
}

/// A total order in which only identical values are equal.
pub fn compare_values(a: &Value, b: &Value) -> Ordering {
    a.cmp(b).then_with(|| compare_forms(a, b))
}
