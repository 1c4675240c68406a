//! SQL scalar and aggregate expressions: parsed once (by `sqlparser`), typed, compiled, evaluated on slots.
//!
//! Pure: knows neither Kafka nor timely nor the dataflow file. What a name means is asked of a [`Names`], so that one
//! compiler serves sources, steps, measures and live rules.

use std::ops::Range;

use crate::error::TextError;
use crate::event::{Event, Micros, Record, SlotId, Value};
use crate::json::Path;

/// What is known of an expression's result before it runs. `Any` is found per event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    Any,
    /// The type of a bare `NULL`.
    Null,
    Boolean,
    Bigint,
    Double,
    Decimal,
    Varchar,
    Timestamp,
    Interval,
    Json,
}

/// Where a name's value is.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    Slot(SlotId),
    /// Below the value of a slot.
    Below(SlotId, Path),
    Pseudo(Pseudo),
}

/// The pseudo-fields of a record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pseudo {
    Key,
    Topic,
    Partition,
    Offset,
    Timestamp,
    Value,
    /// The last header of that name.
    Header(String),
}

/// What names mean at one place of the file. `Path`s arrive as written: `_key` arrives as [`Name::Bare`].
pub trait Names {
    /// Resolves one name; the error says what exists instead.
    fn resolve(&mut self, name: &Name) -> Result<(Place, Type), NameError>;
}

/// A name in an expression. `quoted` tells whether its first segment was written in double quotes (`"_key"` is the
/// payload's own field, `_key` the pseudo-field).
#[derive(Clone, Debug, PartialEq)]
pub struct Name {
    pub path: Path,
    pub quoted: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct NameError {
    pub message: String,
    pub help: Vec<String>,
}

/// What an expression is evaluated on.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    pub slots: &'a [Value],
    pub record: &'a Record,
    /// The epoch's time; read by `now()` only.
    pub now: Micros,
}

impl<'a> Row<'a> {
    pub fn of(event: &'a Event, now: Micros) -> Self {
        Self { slots: &event.slots, record: &event.record, now }
    }
}

/// An aggregate call of a measure: `percentile(latency_ms, 0.95) FILTER (WHERE …)`.
#[derive(Debug)]
pub struct AggCall {
    pub func: AggFunc,
    /// The x of `sum(x)`, the x and y of `min_by(x, y)`; none for `count(*)`. Evaluated on the aggregate's input.
    pub args: Vec<Expr>,
    pub filter: Option<Expr>,
    /// The call as written, for messages.
    pub text: String,
}

#[derive(Clone, Debug, PartialEq)]
pub enum AggFunc {
    CountAll,
    Count,
    CountDistinct,
    Sum,
    Avg,
    Min,
    Max,
    AnyValue,
    BoolAnd,
    BoolOr,
    First,
    Last,
    MinBy,
    MaxBy,
    /// `order`: the last of `args` is what to order by (else event order). `limit`: at most 1,000.
    ArrayAgg {
        order: Option<crate::plan::Direction>,
        limit: usize,
    },
    ApproxCountDistinct,
    /// p in [0, 1].
    Percentile(f64),
    Stddev,
    Variance,
}

/// A failed evaluation. `detail` says what failed and on which value, cut to a readable length.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct EvalError {
    pub detail: String,
}

// --- to be filled in: compiled expressions -------------------------------------------------------------------------

/// A compiled expression.
#[derive(Debug)]
pub struct Expr {}

impl Expr {
    /// Compiles a scalar expression. All mistakes are reported, each with its bytes in `text`.
    pub fn compile(_text: &str, _names: &mut dyn Names) -> Result<Expr, Vec<TextError>> {
        unimplemented!()
    }

    pub fn ty(&self) -> Type {
        unimplemented!()
    }

    pub fn reads_now(&self) -> bool {
        unimplemented!()
    }

    pub fn eval(&self, _row: Row<'_>) -> Result<Value, EvalError> {
        unimplemented!()
    }

    /// For conditions: is it TRUE? NULL and FALSE are not.
    pub fn is_true(&self, _row: Row<'_>) -> Result<bool, EvalError> {
        unimplemented!()
    }
}

/// Compiles one measure. Aggregate calls found in it are appended to `calls` (a call that is there already is
/// shared); inside a call names are `input`'s. In the returned expression call number `i` reads slot `i` of the
/// outer row, and every other name is resolved by `outer`.
pub fn compile_measure(
    _text: &str,
    _input: &mut dyn Names,
    _outer: &mut dyn Names,
    _calls: &mut Vec<AggCall>,
) -> Result<Expr, Vec<TextError>> {
    unimplemented!()
}

/// A path as it stands in `by`, `key`, `on`, `keep`: `data.items[0]`, `"odd name"`. No other expression.
pub fn parse_path(_text: &str) -> Result<Name, TextError> {
    unimplemented!()
}

/// Bytes of a text.
pub type Span = Range<usize>;
