//! Evaluation: a walk over the compiled tree.
//!
//! Values of slots and constants are borrowed on their way, so that a condition over them allocates nothing. NULL, the
//! three-valued logic and the order from left to right are SQL's: `AND`, `OR`, `CASE` and `coalesce` evaluate no more
//! than they need.

use std::borrow::Cow;
use std::cmp::Ordering;

use smallvec::SmallVec;

use super::functions::Args;
use super::node::{At, Between, Call, Case, Cast, Compare, Const, Extreme, In, LikeNode, Node, SlotIs};
use super::{EvalError, Pseudo, Row, Type, arith, cast, compare, text};
use crate::event::{Record, Value};
use crate::json;

/// A value on its way.
pub(super) type Val<'a> = Cow<'a, Value>;

/// JSON that nests deeper is not read out of a payload or a text.
const JSON_DEPTH: usize = 512;

#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub row: Row<'a>,
    /// The expression as written.
    pub text: &'a str,
}

impl Context<'_> {
    fn fail(&self, at: At, what: impl AsRef<str>) -> EvalError {
        let source = self.text.get(at.0 as usize..at.1 as usize).unwrap_or(self.text);
        EvalError { detail: format!("{} in {}", what.as_ref(), text::cut(source, 80)) }
    }
}

static NULL: Value = Value::Null;
static TRUE: Value = Value::Bool(true);
static FALSE: Value = Value::Bool(false);

fn truth_value<'a>(truth: Option<bool>) -> Val<'a> {
    Cow::Borrowed(match truth {
        None => &NULL,
        Some(true) => &TRUE,
        Some(false) => &FALSE,
    })
}

impl Node {
    pub fn eval<'a>(&'a self, c: &Context<'a>) -> Result<Val<'a>, EvalError> {
        Ok(match self {
            Node::Const(Const(value)) => Cow::Borrowed(value),
            Node::Slot(slot) => Cow::Borrowed(c.row.slots.get(usize::from(*slot)).unwrap_or(&NULL)),
            Node::Below(place) => {
                let value = c.row.slots.get(usize::from(place.0)).unwrap_or(&NULL);
                Cow::Owned(json::get(value, &place.1))
            }
            Node::Pseudo(pseudo) => Cow::Owned(pseudo_field(pseudo, c)?),
            Node::Now => Cow::Owned(Value::Timestamp(c.row.now)),
            Node::Case(case) => return case.eval(c),
            Node::Arith(node) => {
                let (left, right) = (node.left.eval(c)?, node.right.eval(c)?);
                let constant = (node.left.constant().is_some(), node.right.constant().is_some());
                Cow::Owned(arith::adapting(node.op, &left, &right, constant).map_err(|e| c.fail(node.at, e))?)
            }
            Node::Negate(node, at) => Cow::Owned(arith::negate(&*node.eval(c)?).map_err(|e| c.fail(*at, e))?),
            Node::Concat(parts, at) => concat(parts, *at, c)?,
            Node::Cast(cast) => return cast.eval(c),
            Node::Coalesce(parts) => return coalesce(parts, c),
            Node::NullIf(node) => {
                let (left, right) = (node.left.eval(c)?, node.right.eval(c)?);
                match node.holds(&left, &right, c)? {
                    Some(true) => Cow::Borrowed(&NULL),
                    _ => left,
                }
            }
            Node::Extreme(node) => return node.eval(c),
            Node::Call(call) => return call.eval(c),
            Node::Try(node) => node.eval(c).unwrap_or(Cow::Borrowed(&NULL)),
            boolean => truth_value(boolean.truth(c)?),
        })
    }

    /// The value of a condition; `None` is NULL.
    pub fn truth<'a>(&'a self, c: &Context<'a>) -> Result<Option<bool>, EvalError> {
        match self {
            Node::SlotIs(node) => node.truth(c),
            Node::Compare(node) => node.holds(&*node.left.eval(c)?, &*node.right.eval(c)?, c),
            Node::Distinct(node, distinct) => Ok(Some(node.differ(c)? == *distinct)),
            Node::IsNull(node, null) => Ok(Some(node.eval(c)?.is_null() == *null)),
            Node::Is(node, wanted, so) => Ok(Some((node.truth(c)? == *wanted) == *so)),
            Node::And(parts) => all(parts, c, false),
            Node::Or(parts) => all(parts, c, true),
            Node::Not(node) => Ok(node.truth(c)?.map(|b| !b)),
            Node::In(node) => node.truth(c),
            Node::Between(node) => node.truth(c),
            Node::Like(node) => node.truth(c),
            Node::Truth(node, at) => boolean(&*node.eval(c)?).map_err(|e| c.fail(*at, e)),
            other => boolean(&*other.eval(c)?).map_err(|e| c.fail(At(0, u32::MAX), e)),
        }
    }
}

fn boolean(value: &Value) -> Result<Option<bool>, String> {
    match value {
        Value::Bool(b) => Ok(Some(*b)),
        Value::Null => Ok(None),
        other => Err(format!("expected BOOLEAN, got {}", text::show(other))),
    }
}

/// `AND` ends at the first FALSE, `OR` at the first TRUE.
fn all<'a>(parts: &'a [Node], c: &Context<'a>, decides: bool) -> Result<Option<bool>, EvalError> {
    let mut result = Some(!decides);
    for part in parts {
        match part.truth(c)? {
            Some(b) if b == decides => return Ok(Some(decides)),
            Some(_) => {}
            None => result = None,
        }
    }
    Ok(result)
}

impl SlotIs {
    fn truth(&self, c: &Context<'_>) -> Result<Option<bool>, EvalError> {
        let slot = c.row.slots.get(usize::from(self.slot)).unwrap_or(&NULL);
        let order = match (slot, &self.value.0) {
            (Value::Null, _) => return Ok(None),
            (Value::Text(a), Value::Text(b)) => a.as_str().cmp(b.as_str()),
            (Value::Int(a), Value::Int(b)) => a.cmp(b),
            (a, b) => compare::adapting(a, b, self.op.orders(), (false, true)).map_err(|e| c.fail(self.at, e))?,
        };
        Ok(Some(self.op.holds(order)))
    }
}

impl Compare {
    fn order(&self, left: &Value, right: &Value, orders: bool, c: &Context<'_>) -> Result<Ordering, EvalError> {
        let literals = (self.left.constant().is_some(), self.right.constant().is_some());
        compare::adapting(left, right, orders, literals).map_err(|e| c.fail(self.at, e))
    }

    fn holds(&self, left: &Value, right: &Value, c: &Context<'_>) -> Result<Option<bool>, EvalError> {
        if left.is_null() || right.is_null() {
            return Ok(None);
        }
        Ok(Some(self.op.holds(self.order(left, right, self.op.orders(), c)?)))
    }

    fn differ<'a>(&'a self, c: &Context<'a>) -> Result<bool, EvalError> {
        let (left, right) = (self.left.eval(c)?, self.right.eval(c)?);
        match (left.is_null(), right.is_null()) {
            (false, false) => Ok(self.order(&left, &right, false, c)?.is_ne()),
            (left, right) => Ok(left != right),
        }
    }
}

impl In {
    fn truth<'a>(&'a self, c: &Context<'a>) -> Result<Option<bool>, EvalError> {
        let value = self.value.eval(c)?;
        if value.is_null() {
            return Ok(None);
        }
        if let (Some(texts), Value::Text(text)) = (&self.texts, &*value) {
            let found = texts.binary_search_by(|t| (**t).cmp(text.as_str())).is_ok();
            return Ok(Some(found != self.negated));
        }
        let mut unknown = false;
        for item in &self.list {
            let literals = (self.value.constant().is_some(), item.constant().is_some());
            let item = item.eval(c)?;
            if item.is_null() {
                unknown = true;
            } else if compare::adapting(&value, &item, false, literals).map_err(|e| c.fail(self.at, e))?.is_eq() {
                return Ok(Some(!self.negated));
            }
        }
        Ok(if unknown { None } else { Some(self.negated) })
    }
}

impl Between {
    fn truth<'a>(&'a self, c: &Context<'a>) -> Result<Option<bool>, EvalError> {
        let value = self.value.eval(c)?;
        let at_least = self.bound(&value, &self.low, Ordering::Less, c)?;
        if at_least == Some(false) {
            return Ok(Some(self.negated));
        }
        let inside = match self.bound(&value, &self.high, Ordering::Greater, c)? {
            Some(false) => Some(false),
            Some(true) => at_least,
            None => None,
        };
        Ok(inside.map(|inside| inside != self.negated))
    }

    fn bound<'a>(
        &'a self,
        value: &Value,
        bound: &'a Node,
        outside: Ordering,
        c: &Context<'a>,
    ) -> Result<Option<bool>, EvalError> {
        let literals = (self.value.constant().is_some(), bound.constant().is_some());
        let bound = bound.eval(c)?;
        if value.is_null() || bound.is_null() {
            return Ok(None);
        }
        let order = compare::adapting(value, &bound, true, literals).map_err(|e| c.fail(self.at, e))?;
        Ok(Some(order != outside))
    }
}

impl LikeNode {
    fn truth<'a>(&'a self, c: &Context<'a>) -> Result<Option<bool>, EvalError> {
        let value = self.value.eval(c)?;
        let pattern = self.pattern.eval(c)?;
        let (value, pattern) = match (&*value, &*pattern) {
            (Value::Null, _) | (_, Value::Null) => return Ok(None),
            (Value::Text(value), Value::Text(pattern)) => (value, pattern),
            (Value::Text(_), other) | (other, _) => {
                return Err(c.fail(self.at, format!("LIKE expects VARCHAR, got {}", text::show(other))));
            }
        };
        let matches = match &self.compiled {
            Some(like) => like.matches(value),
            None => {
                let like = super::like::Like::new(pattern, self.escape, self.fold);
                like.map_err(|e| c.fail(self.at, e))?.matches(value)
            }
        };
        Ok(Some(matches != self.negated))
    }
}

impl Case {
    fn eval<'a>(&'a self, c: &Context<'a>) -> Result<Val<'a>, EvalError> {
        let operand = self.operand.as_ref().map(|node| node.eval(c)).transpose()?;
        for (when, then) in &self.branches {
            let taken = match &operand {
                None => when.truth(c)? == Some(true),
                Some(operand) => {
                    let literals = (false, when.constant().is_some());
                    let value = when.eval(c)?;
                    !operand.is_null()
                        && !value.is_null()
                        && compare::adapting(operand, &value, false, literals).map_err(|e| c.fail(self.at, e))?.is_eq()
                }
            };
            if taken {
                return then.eval(c);
            }
        }
        self.otherwise.eval(c)
    }
}

impl Cast {
    fn eval<'a>(&'a self, c: &Context<'a>) -> Result<Val<'a>, EvalError> {
        let value = self.value.eval(c)?;
        if value.is_null() || Type::of(&value) == self.to && !matches!(*value, Value::Number(_)) {
            return Ok(value);
        }
        match cast::cast(&value, self.to) {
            Ok(value) => Ok(Cow::Owned(value)),
            Err(_) if self.attempt => Ok(Cow::Borrowed(&NULL)),
            Err(e) => Err(c.fail(self.at, e)),
        }
    }
}

fn coalesce<'a>(parts: &'a [Node], c: &Context<'a>) -> Result<Val<'a>, EvalError> {
    for part in parts {
        let value = part.eval(c)?;
        if !value.is_null() {
            return Ok(value);
        }
    }
    Ok(Cow::Borrowed(&NULL))
}

fn concat<'a>(parts: &'a [Node], at: At, c: &Context<'a>) -> Result<Val<'a>, EvalError> {
    let mut whole = compact_str::CompactString::default();
    let (mut null, mut any_text) = (false, false);
    let mut last = Cow::Borrowed(&NULL);
    for part in parts {
        let value = part.eval(c)?;
        if value.is_null() {
            null = true;
            continue;
        }
        any_text |= matches!(*value, Value::Text(_));
        text::append(&value, &mut whole);
        if whole.len() > text::MAX_BYTES {
            return Err(c.fail(at, text::too_long()));
        }
        last = value;
    }
    match (null, any_text) {
        (true, _) => Ok(Cow::Borrowed(&NULL)),
        (false, true) => Ok(Cow::Owned(Value::Text(whole))),
        (false, false) => {
            Err(c.fail(at, format!("`||` expects VARCHAR on one side at least, got {}", text::show(&last))))
        }
    }
}

impl Extreme {
    fn eval<'a>(&'a self, c: &Context<'a>) -> Result<Val<'a>, EvalError> {
        let mut values: SmallVec<[Val<'a>; 4]> = SmallVec::new();
        for node in &self.list {
            values.push(node.eval(c)?);
        }
        self.adapt(&mut values).map_err(|e| c.fail(self.at, e))?;
        let mut best: Option<Val<'a>> = None;
        for value in values.into_iter().filter(|value| !value.is_null()) {
            let better = match &best {
                None => true,
                Some(best) => {
                    let order = compare::compare(&value, best, true).map_err(|e| c.fail(self.at, e))?;
                    order == if self.greatest { Ordering::Greater } else { Ordering::Less }
                }
            };
            if better {
                best = Some(value);
            }
        }
        Ok(best.unwrap_or(Cow::Borrowed(&NULL)))
    }

    /// Constant texts take the type of a TIMESTAMP or INTERVAL among the others.
    fn adapt(&self, values: &mut [Val<'_>]) -> Result<(), String> {
        let ty = values.iter().map(|v| Type::of(v)).find(|ty| matches!(ty, Type::Timestamp | Type::Interval));
        let Some(ty) = ty else { return Ok(()) };
        for (node, value) in self.list.iter().zip(values) {
            let Some(Value::Text(text)) = node.constant() else { continue };
            if let Some(adapted) = compare::adapt(text, ty) {
                *value = Cow::Owned(adapted?);
            }
        }
        Ok(())
    }
}

impl Call {
    fn eval<'a>(&'a self, c: &Context<'a>) -> Result<Val<'a>, EvalError> {
        let mut values: SmallVec<[Val<'a>; 3]> = SmallVec::new();
        for arg in &self.args {
            let value = arg.eval(c)?;
            if self.function.strict && value.is_null() {
                return Ok(Cow::Borrowed(&NULL));
            }
            values.push(value);
        }
        let args = Args { function: self.function, values: &values, pattern: self.pattern.as_ref() };
        (self.function.run)(&args).map(Cow::Owned).map_err(|e| c.fail(self.at, e))
    }
}

fn pseudo_field(pseudo: &Pseudo, c: &Context<'_>) -> Result<Value, EvalError> {
    let record: &Record = c.row.record;
    let utf8 = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Value::text(text)),
        Err(_) => Err(c.fail(At(0, u32::MAX), "bytes that are not UTF-8")),
    };
    Ok(match pseudo {
        Pseudo::Key => record.key.as_deref().map(utf8).transpose()?.unwrap_or_default(),
        Pseudo::Topic => Value::text(&*record.topic),
        Pseudo::Partition => Value::Int(record.partition.into()),
        Pseudo::Offset => Value::Int(record.offset),
        Pseudo::Timestamp => match record.timestamp {
            Some(ms) => Value::Timestamp(ms.saturating_mul(1_000)),
            None => Value::Null,
        },
        Pseudo::Header(name) => {
            let header = record.headers.iter().rev().find(|header| header.name == name.as_str());
            header.and_then(|header| header.value.as_deref()).map(utf8).transpose()?.unwrap_or_default()
        }
        Pseudo::Value => match &record.value {
            None => Value::Null,
            Some(bytes) => json::parse(bytes, JSON_DEPTH)
                .map_err(|e| c.fail(At(0, u32::MAX), format!("_value is no JSON: {e}")))?,
        },
    })
}
