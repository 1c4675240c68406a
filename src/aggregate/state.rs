//! The state of one aggregate call for one key: values are added, states of other workers merged, the result read.
//!
//! Adding and merging commute: any split of the same events among workers and epochs gives the same result, to the
//! bit. A value that a call cannot take makes it [`State::Failed`] for good, so that this does not depend on the
//! order either; its result is NULL and counted.

use serde::{Deserialize, Serialize};

use crate::event::Value;
use crate::expr::AggFunc;
use crate::plan::Direction;

use super::array::{Array, Choice, Item, MOST};
use super::distinct::{Distinct, Sketch};
use super::histogram::Histogram;
use super::moments::Moments;
use super::ranked::{ByOther, Pick, Place, Placed, add_by, add_extreme, add_pick};
use super::sum::Sum;
use super::values::{Unfit, as_double};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum State {
    /// A value did not fit, or an argument's expression failed.
    Failed,
    Count(u64),
    Sum(Sum),
    Mean(Box<(Sum, u64)>),
    /// `min`, `max`.
    Extreme(Value),
    /// `bool_and`, `bool_or`; NULL before any value.
    Bool(Option<bool>),
    /// `first`, `last`, `any_value`.
    Pick(Pick),
    /// `min_by`, `max_by`.
    ByOther(Option<Box<ByOther>>),
    Array(Box<Array>),
    Distinct(Box<Distinct>),
    Sketch(Box<Sketch>),
    Histogram(Box<Histogram>),
    Moments(Box<Moments>),
}

impl State {
    pub fn new(func: &AggFunc) -> Self {
        match func {
            AggFunc::CountAll | AggFunc::Count => State::Count(0),
            AggFunc::CountDistinct => State::Distinct(Box::default()),
            AggFunc::Sum => State::Sum(Sum::default()),
            AggFunc::Avg => State::Mean(Box::default()),
            AggFunc::Min | AggFunc::Max => State::Extreme(Value::Null),
            AggFunc::AnyValue | AggFunc::First | AggFunc::Last => State::Pick(None),
            AggFunc::BoolAnd | AggFunc::BoolOr => State::Bool(None),
            AggFunc::MinBy | AggFunc::MaxBy => State::ByOther(None),
            AggFunc::ArrayAgg { .. } => State::Array(Box::default()),
            AggFunc::ApproxCountDistinct => State::Sketch(Box::default()),
            AggFunc::Percentile(_) => State::Histogram(Box::default()),
            AggFunc::Stddev | AggFunc::Variance => State::Moments(Box::default()),
        }
    }

    /// Adds a value (`x`; any for `count(*)`), with the second argument where there is one (else NULL).
    #[inline]
    pub fn add(&mut self, func: &AggFunc, x: &Value, y: &Value, place: impl FnOnce() -> Place) {
        if x.is_null() && !keeps_null(func) {
            return;
        }
        if self.try_add(func, x, y, place).is_err() {
            *self = State::Failed;
        }
    }

    #[inline]
    fn try_add(&mut self, func: &AggFunc, x: &Value, y: &Value, place: impl FnOnce() -> Place) -> Result<(), Unfit> {
        let placed = || Placed { place: place(), value: x.clone() };
        match self {
            State::Failed => {}
            State::Count(count) => *count += 1,
            State::Sum(sum) => sum.add(x)?,
            State::Mean(mean) => {
                mean.0.add(x)?;
                mean.1 += 1;
            }
            State::Extreme(own) => add_extreme(own, x, func)?,
            State::Bool(own) => add_bool(own, x, func)?,
            State::Pick(own) => add_pick(own, placed(), func),
            State::ByOther(own) if !y.is_null() => {
                add_by(own, ByOther { by: y.clone(), placed: placed() }, func)?;
            }
            State::ByOther(_) => {}
            State::Array(array) => {
                array.add(Item { by: y.clone(), placed: placed() }, choice(func))?;
            }
            State::Distinct(distinct) => distinct.add(x)?,
            State::Sketch(sketch) => sketch.add(x),
            State::Histogram(histogram) => histogram.add(as_double(x)?),
            State::Moments(moments) => moments.add(x)?,
        }
        Ok(())
    }

    /// Adds what another worker or an earlier epoch has gathered for the same key.
    pub fn merge(&mut self, other: State, func: &AggFunc) {
        if self.try_merge(other, func).is_err() {
            *self = State::Failed;
        }
    }

    fn try_merge(&mut self, other: State, func: &AggFunc) -> Result<(), Unfit> {
        match (self, other) {
            (State::Failed, _) => {}
            (State::Count(own), State::Count(other)) => *own += other,
            (State::Sum(own), State::Sum(other)) => own.merge(other),
            (State::Mean(own), State::Mean(other)) => {
                own.0.merge(other.0);
                own.1 += other.1;
            }
            (State::Extreme(_), State::Extreme(Value::Null)) => {}
            (State::Extreme(own), State::Extreme(other)) => add_extreme(own, &other, func)?,
            (State::Bool(own), State::Bool(Some(other))) => add_bool(own, &Value::Bool(other), func)?,
            (State::Pick(own), State::Pick(Some(other))) => add_pick(own, *other, func),
            (State::ByOther(own), State::ByOther(Some(other))) => add_by(own, *other, func)?,
            (State::Bool(_), State::Bool(None)) => {}
            (State::Pick(_), State::Pick(None)) => {}
            (State::ByOther(_), State::ByOther(None)) => {}
            (State::Array(own), State::Array(other)) => own.merge(*other, choice(func))?,
            (State::Distinct(own), State::Distinct(other)) => own.merge(*other)?,
            (State::Sketch(own), State::Sketch(other)) => own.merge(*other),
            (State::Histogram(own), State::Histogram(other)) => own.merge(*other),
            (State::Moments(own), State::Moments(other)) => own.merge(*other),
            // The other has failed: states of one call are of one kind.
            (_, _) => return Err(Unfit),
        }
        Ok(())
    }

    /// The call's result as it is now.
    pub fn result(&self, func: &AggFunc) -> Result<Value, Unfit> {
        Ok(match self {
            State::Failed => return Err(Unfit),
            State::Count(count) => count_value(*count),
            State::Sum(sum) => sum.total()?,
            State::Mean(mean) => mean.0.mean(mean.1)?,
            State::Extreme(value) => value.clone(),
            State::Bool(own) => own.map_or(Value::Null, Value::Bool),
            State::Pick(own) => own.as_ref().map_or(Value::Null, |own| own.value.clone()),
            State::ByOther(own) => own.as_ref().map_or(Value::Null, |own| own.placed.value.clone()),
            State::Array(array) => array.result(choice(func)),
            State::Distinct(distinct) => count_value(distinct.count()),
            State::Sketch(sketch) => count_value(sketch.estimate()),
            State::Histogram(histogram) => match func {
                AggFunc::Percentile(p) => histogram.percentile(*p).map_or(Value::Null, Value::Double),
                _ => return Err(Unfit),
            },
            State::Moments(moments) if *func == AggFunc::Stddev => moments.stddev()?,
            State::Moments(moments) => moments.variance()?,
        })
    }

    /// Elements of an `array_agg` beyond the 1,000 that it may have, since the last call. A lower limit of the file
    /// is a wish and not counted.
    pub fn take_beyond(&mut self, func: &AggFunc) -> u64 {
        match self {
            State::Array(array) => {
                let beyond = array.take_beyond(choice(func));
                if choice(func).limit == MOST { beyond } else { 0 }
            }
            _ => 0,
        }
    }

    /// Bytes outside of the enum itself; quick.
    pub fn bytes(&self) -> usize {
        match self {
            State::Failed | State::Count(_) | State::Bool(_) => 0,
            State::Sum(sum) => sum.bytes(),
            State::Mean(mean) => size_of::<(Sum, u64)>() + mean.0.bytes(),
            State::Extreme(value) => value.bytes() - size_of::<Value>(),
            State::Pick(own) => own.as_ref().map_or(0, |own| placed_bytes(own)),
            State::ByOther(own) => own.as_ref().map_or(0, |own| placed_bytes(&own.placed) + own.by.bytes()),
            State::Array(array) => size_of::<Array>() + array.bytes(),
            State::Distinct(distinct) => size_of::<Distinct>() + distinct.bytes(),
            State::Sketch(sketch) => size_of::<Sketch>() + sketch.bytes(),
            State::Histogram(histogram) => size_of::<Histogram>() + histogram.bytes(),
            State::Moments(moments) => size_of::<Moments>() + moments.bytes(),
        }
    }
}

fn placed_bytes(placed: &Placed) -> usize {
    size_of::<Placed>() + placed.place.bytes() + placed.value.bytes() - size_of::<Value>()
}

fn keeps_null(func: &AggFunc) -> bool {
    use AggFunc::{ArrayAgg, CountAll, First, Last, MaxBy, MinBy};
    matches!(func, CountAll | First | Last | MinBy | MaxBy | ArrayAgg { .. })
}

fn add_bool(own: &mut Option<bool>, other: &Value, func: &AggFunc) -> Result<(), Unfit> {
    let Value::Bool(other) = other else { return Err(Unfit) };
    *own = Some(match own {
        None => *other,
        Some(own) if *func == AggFunc::BoolAnd => *own && *other,
        Some(own) => *own || *other,
    });
    Ok(())
}

fn choice(func: &AggFunc) -> Choice {
    match func {
        AggFunc::ArrayAgg { order, limit } => {
            Choice { direction: order.unwrap_or(Direction::Ascending), limit: (*limit).min(MOST) }
        }
        _ => Choice { direction: Direction::Ascending, limit: MOST },
    }
}

fn count_value(count: u64) -> Value {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}
