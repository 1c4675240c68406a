//! SQL scalar and aggregate expressions: parsed once (by `sqlparser`), typed, compiled, evaluated on slots.
//!
//! Pure: knows neither Kafka nor timely nor the dataflow file. What a name means is asked of a [`Names`], so that one
//! compiler serves sources, steps, measures and live rules.

mod arith;
mod cast;
mod compare;
mod compile;
pub mod decimal;
mod dialect;
mod eval;
mod functions;
mod lex;
mod like;
mod measure;
mod node;
mod number;
mod parse;
mod regexp;
mod scan;
mod text;
mod types;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use crate::error::TextError;
pub use crate::event::time;
use crate::event::{Event, Micros, Record, SlotId, Value};
use crate::json::Path;
use compile::Scope;
use eval::Context;
use node::Node;

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

/// What names mean at one place of the file. Paths arrive as written; [`Name::quoted`] tells `"_key"` from `_key`.
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
#[derive(Clone, Debug)]
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

/// A compiled expression. Two are equal if they compute the same in the same way.
#[derive(Clone, Debug)]
pub struct Expr {
    root: Node,
    ty: Type,
    reads_now: bool,
    reads_bytes: bool,
    /// As written, for messages.
    text: Arc<str>,
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.root == other.root && self.ty == other.ty
    }
}

impl Expr {
    /// Compiles a scalar expression. All mistakes are reported, each with its bytes in `text`.
    pub fn compile(text: &str, names: &mut dyn Names) -> Result<Expr, Vec<TextError>> {
        compile::compile(text, Scope::Scalar(names))
    }

    /// The type of its values; NULL is of every type.
    pub fn ty(&self) -> Type {
        self.ty
    }

    pub fn reads_now(&self) -> bool {
        self.reads_now
    }

    /// Does it read the bytes of the record (`_key`, `_value`, `_headers`), and not only slots and where it stood?
    pub fn reads_bytes(&self) -> bool {
        self.reads_bytes
    }

    /// The place of a name, if the expression is nothing but that name.
    pub fn place(&self) -> Option<Place> {
        match &self.root {
            Node::Slot(slot) => Some(Place::Slot(*slot)),
            Node::Below(place) => Some(Place::Below(place.0, place.1.clone())),
            Node::Pseudo(pseudo) => Some(Place::Pseudo((**pseudo).clone())),
            _ => None,
        }
    }

    /// Its value, if it is the same for every event.
    pub fn constant(&self) -> Option<&Value> {
        self.root.constant()
    }

    /// Its value in place, where it is a slot's or a constant.
    pub fn eval_in_place<'a>(&'a self, row: Row<'a>) -> Result<Cow<'a, Value>, EvalError> {
        self.root.eval(&Context { row, text: &self.text })
    }

    pub fn eval(&self, row: Row<'_>) -> Result<Value, EvalError> {
        self.root.eval(&Context { row, text: &self.text }).map(Cow::into_owned)
    }

    /// For conditions: is it TRUE? NULL and FALSE are not.
    pub fn is_true(&self, row: Row<'_>) -> Result<bool, EvalError> {
        Ok(self.root.truth(&Context { row, text: &self.text })? == Some(true))
    }
}

/// Compiles one measure. Aggregate calls found in it are appended to `calls` (a call that is there already is
/// shared); inside a call names are `input`'s. In the returned expression call number `i` reads slot `i` of the
/// outer row, and every other name is resolved by `outer`.
pub fn compile_measure(
    text: &str,
    input: &mut dyn Names,
    outer: &mut dyn Names,
    calls: &mut Vec<AggCall>,
) -> Result<Expr, Vec<TextError>> {
    let known = calls.len();
    let measure = compile::compile(text, Scope::Measure { input, outer, calls, inside: false });
    if measure.is_err() {
        calls.truncate(known);
    }
    measure
}

/// How every function is called, aggregates apart: `substr(text, start [, length])`.
pub fn usages() -> impl Iterator<Item = &'static str> {
    compile::special_usages().chain(functions::usages())
}

/// A path as it stands in `by`, `key`, `on`, `keep`: `data.items[0]`, `"odd name"`. No other expression.
pub fn parse_path(text: &str) -> Result<Name, TextError> {
    lex::lex_path(text)
}

/// Bytes of a text.
pub type Span = Range<usize>;

#[cfg(test)]
mod tests;
