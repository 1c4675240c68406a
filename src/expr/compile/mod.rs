//! `sqlparser`'s tree into ours: names resolved, types checked, constants computed.
//!
//! All mistakes are collected; a part with a mistake goes on as a value of any type. What is wrong in a constant is
//! left to the event, as the contract says, but for a literal that cannot be cast.

mod aggregates;
mod calls;
mod conditions;
mod operators;

use std::ops::Range;
use std::sync::Arc;

use sqlparser::ast;

use super::eval::Context;
use super::node::{At, Cast, Const, Node};
use super::parse::{Parsed, Source, parse};
use super::scan::error;
use super::{AggCall, Expr, Name, Names, Place, Pseudo, Row, Type, cast, compare, text, types};
use crate::error::TextError;
use crate::event::{Interval, Record, Value, time};

/// Calls, operators and parentheses within each other.
const MAX_DEPTH: usize = 200;

pub(super) use calls::special_usages;

/// What names and aggregate functions mean.
pub(super) enum Scope<'c> {
    Scalar(&'c mut dyn Names),
    Measure { input: &'c mut dyn Names, outer: &'c mut dyn Names, calls: &'c mut Vec<AggCall>, inside: bool },
}

/// A part that is compiled.
struct Typed {
    node: Node,
    ty: Type,
    at: Range<usize>,
    /// A literal as written: of text, the type is not settled.
    literal: bool,
}

struct Compiler<'c, 't> {
    source: Source<'t>,
    names: Vec<Name>,
    scope: Scope<'c>,
    errors: Vec<TextError>,
    reads_now: bool,
    reads_bytes: bool,
    depth: usize,
}

/// Compiles an expression whose names and aggregates mean what `scope` says.
pub(super) fn compile(text: &str, scope: Scope<'_>) -> Result<Expr, Vec<TextError>> {
    let Parsed { tree, names, source } = parse(text).map_err(|e| vec![e])?;
    let mut compiler =
        Compiler { source, names, scope, errors: Vec::new(), reads_now: false, reads_bytes: false, depth: 0 };
    let root = compiler.tree(&tree);
    if !compiler.errors.is_empty() {
        return Err(compiler.errors);
    }
    let Compiler { reads_now, reads_bytes, .. } = compiler;
    Ok(Expr { root: root.node, ty: root.ty, reads_now, reads_bytes, text: Arc::from(text) })
}

impl Typed {
    fn text_literal(&self) -> Option<&str> {
        match self.node.constant() {
            Some(Value::Text(text)) if self.literal => Some(text),
            _ => None,
        }
    }

    fn place(&self) -> At {
        At(self.at.start as u32, self.at.end as u32)
    }
}

impl Compiler<'_, '_> {
    fn fail(&mut self, at: Range<usize>, message: impl Into<String>, help: &[&str]) -> Typed {
        self.errors.push(error(at.clone(), message, help));
        Typed { node: Node::NULL, ty: Type::Any, at, literal: false }
    }

    /// A compiled part; computed now if it is constant and has no error.
    fn done(&self, node: Node, ty: Type, at: Range<usize>, constant: bool) -> Typed {
        let typed = Typed { node, ty, at, literal: false };
        if !constant || matches!(typed.node, Node::Const(_)) {
            return typed;
        }
        let (text, record) = (self.source.text, Record::default());
        let context = Context { row: Row { slots: &[], record: &record, now: 0 }, text };
        let Ok(value) = typed.node.eval(&context).map(|value| value.into_owned()) else { return typed };
        let ty = if ty == Type::Any { Type::of(&value) } else { ty };
        Typed { node: Node::Const(Const(value)), ty, ..typed }
    }

    fn tree(&mut self, e: &ast::Expr) -> Typed {
        if self.depth == MAX_DEPTH {
            return self.fail(
                0..self.source.text.len(),
                format!("the expression nests more than {MAX_DEPTH} deep"),
                &[],
            );
        }
        self.depth += 1;
        let typed = self.part(e);
        self.depth -= 1;
        typed
    }

    fn part(&mut self, e: &ast::Expr) -> Typed {
        use ast::Expr as E;
        match e {
            E::Identifier(name) => self.name(name),
            E::Nested(inner) => {
                let inner = self.tree(inner);
                let at = self.source.after(self.source.before(inner.at.clone(), 1), 1);
                Typed { at, ..inner }
            }
            E::Value(value) => self.literal(value),
            E::TypedString(typed) => {
                let value = self.literal(&typed.value);
                let words = typed.data_type.to_string().split(' ').count();
                let at = self.source.before(value.at.clone(), words);
                self.cast(value, &typed.data_type, false, at)
            }
            E::Interval(interval) => self.interval(interval),
            E::BinaryOp { left, op, right } => self.binary(e, left, op, right),
            E::UnaryOp { op, expr } => self.unary(op, expr),
            E::Case { case_token, end_token, operand, conditions, else_result } => {
                let (start, end) = (self.source.span(case_token.0.span), self.source.span(end_token.0.span));
                self.case(operand.as_deref(), conditions, else_result.as_deref(), start.start..end.end)
            }
            E::Cast { kind, expr, data_type, format: None } => self.cast_expression(kind, expr, data_type),
            E::Trim { expr, trim_where, trim_what, trim_characters } => {
                let chars = trim_what.as_deref().into_iter().chain(trim_characters.iter().flatten());
                self.trim(expr, trim_where.as_ref(), chars)
            }
            E::Function(function) => self.function(function),
            other => self.condition_part(other),
        }
    }

    fn condition_part(&mut self, e: &ast::Expr) -> Typed {
        use ast::Expr as E;
        match e {
            E::IsNull(e) => self.is_null(e, true),
            E::IsNotNull(e) => self.is_null(e, false),
            E::IsTrue(e) => self.is(e, Some(true), true),
            E::IsNotTrue(e) => self.is(e, Some(true), false),
            E::IsFalse(e) => self.is(e, Some(false), true),
            E::IsNotFalse(e) => self.is(e, Some(false), false),
            E::IsUnknown(e) => self.is(e, None, true),
            E::IsNotUnknown(e) => self.is(e, None, false),
            E::IsDistinctFrom(left, right) => self.distinct(left, right, true),
            E::IsNotDistinctFrom(left, right) => self.distinct(left, right, false),
            E::InList { expr, list, negated } => self.in_list(expr, list, *negated),
            E::Between { expr, negated, low, high } => self.between(expr, low, high, *negated),
            E::Like { negated, any: false, expr, pattern, escape_char } => {
                self.like(expr, pattern, escape_char.as_deref(), *negated, false)
            }
            E::ILike { negated, any: false, expr, pattern, escape_char } => {
                self.like(expr, pattern, escape_char.as_deref(), *negated, true)
            }
            other => self.foreign(other),
        }
    }

    /// What `sqlparser` reads and the language does not have.
    fn foreign(&mut self, e: &ast::Expr) -> Typed {
        use ast::Expr as E;
        let at = self.source.span(ast::Spanned::span(e));
        let what = match e {
            E::Subquery(_) | E::InSubquery { .. } | E::Exists { .. } | E::AnyOp { .. } | E::AllOp { .. } => {
                "subqueries"
            }
            E::Tuple(_) => "rows of several values",
            E::Array(_) | E::InUnnest { .. } => "array literals",
            E::CompoundFieldAccess { .. } | E::CompoundIdentifier(_) => "parts of what is no name",
            _ => "this form of expression",
        };
        self.fail(at, format!("{what} are not part of the language").replace("expression are", "expression is"), &[])
    }

    fn name(&mut self, ident: &ast::Ident) -> Typed {
        let at = self.source.span(ident.span);
        let name = ident.value.strip_prefix('#').and_then(|n| n.parse::<usize>().ok()).and_then(|n| self.names.get(n));
        let Some(name) = name else {
            return self.fail(at, format!("`{}` is not part of the language", ident.value), &[]);
        };
        let resolved = match &mut self.scope {
            Scope::Scalar(names) => names.resolve(name),
            Scope::Measure { input, inside: true, .. } => input.resolve(name),
            Scope::Measure { outer, .. } => outer.resolve(name),
        };
        match resolved {
            Ok((place, ty)) => {
                let node = match place {
                    Place::Slot(slot) => Node::Slot(slot),
                    Place::Below(slot, path) => Node::Below(Box::new((slot, path))),
                    Place::Pseudo(pseudo) => {
                        self.reads_bytes |= matches!(pseudo, Pseudo::Key | Pseudo::Value | Pseudo::Header(_));
                        Node::Pseudo(Box::new(pseudo))
                    }
                };
                Typed { node, ty, at, literal: false }
            }
            Err(e) => {
                let help: Vec<&str> = e.help.iter().map(String::as_str).collect();
                self.fail(at, e.message, &help)
            }
        }
    }

    fn literal(&mut self, value: &ast::ValueWithSpan) -> Typed {
        let at = self.source.span(value.span);
        let (value, ty) = match &value.value {
            ast::Value::Number(digits, _) => {
                let number = cast::number_literal(digits);
                let ty = Type::of(&number);
                (number, ty)
            }
            ast::Value::SingleQuotedString(text) => (Value::text(text), Type::Varchar),
            ast::Value::Boolean(b) => (Value::Bool(*b), Type::Boolean),
            ast::Value::Null => (Value::Null, Type::Null),
            _ => return self.fail(at, "this kind of literal is not part of the language", &[]),
        };
        Typed { node: Node::Const(Const(value)), ty, at, literal: true }
    }

    /// `INTERVAL '1 hour'`, `INTERVAL '1' HOUR`
    fn interval(&mut self, interval: &ast::Interval) -> Typed {
        let value = self.tree(&interval.value);
        let unit = interval.leading_field.as_ref().map(ToString::to_string);
        let at = self.source.before(value.at.clone(), 1);
        let at = if unit.is_some() { self.source.after(at, 1) } else { at };
        if interval.leading_precision.is_some() || interval.last_field.is_some() {
            return self.fail(at, "an interval is written INTERVAL '1 hour'", &[]);
        }
        let Some(text) = value.text_literal() else {
            return self.fail(at, "expected a text literal after INTERVAL", &[]);
        };
        let whole = unit.as_ref().map_or_else(|| text.to_string(), |unit| format!("{text} {unit}"));
        match cast::cast(&Value::text(&whole), Type::Interval) {
            Ok(Value::Interval(read)) if unit.is_some_and(|unit| has_less_than(read, &unit)) => {
                let help = format!("PostgreSQL cuts it off; with the unit in the text all counts: INTERVAL '{whole}'");
                self.fail(at, format!("'{text}' has more than whole units"), &[&help])
            }
            Ok(value) => Typed { node: Node::Const(Const(value)), ty: Type::Interval, at, literal: true },
            Err(e) => self.fail(value.at, e, &["for example INTERVAL '1 day 02:00' or INTERVAL 'PT90S'"]),
        }
    }

    fn cast_expression(&mut self, kind: &ast::CastKind, e: &ast::Expr, data_type: &ast::DataType) -> Typed {
        let value = self.tree(e);
        let at = match kind {
            ast::CastKind::DoubleColon => {
                let words = self.source.type_words(&value.at);
                self.source.after(value.at.clone(), 1 + words)
            }
            _ => {
                let from = self.source.before(value.at.clone(), 2);
                self.source.closing(from)
            }
        };
        self.cast(value, data_type, matches!(kind, ast::CastKind::TryCast | ast::CastKind::SafeCast), at)
    }

    fn cast(&mut self, value: Typed, data_type: &ast::DataType, attempt: bool, at: Range<usize>) -> Typed {
        let written = data_type.to_string();
        let Some(to) = types::by_name(&written) else {
            let help = "types are BOOLEAN BIGINT DOUBLE DECIMAL VARCHAR TIMESTAMP INTERVAL JSON";
            let message = match written.split_once('(') {
                Some((name, _)) if types::by_name(name.trim()).is_some() => {
                    format!("`{}` takes no length or precision here", name.trim())
                }
                _ => format!("there is no type `{}`", text::cut(&written, 40)),
            };
            return self.fail(at, message, &[help]);
        };
        if !castable(value.ty, to) {
            let message = format!("{} cannot be cast to {}", value.ty.name(), to.name());
            return self.fail(at, message, &[]);
        }
        let literal = value.node.constant().filter(|v| value.literal && !attempt && !v.is_null());
        if let Some(Err(e)) = literal.map(|v| cast::cast(v, to)) {
            return self.fail(at, e, &[]);
        }
        let constant = value.node.constant().is_some();
        let place = At(at.start as u32, at.end as u32);
        self.done(Node::Cast(Box::new(Cast { value: value.node, to, attempt, at: place })), to, at, constant)
    }

    /// A text literal where a TIMESTAMP or INTERVAL is wanted becomes one, as PostgreSQL's untyped literals do.
    fn adapt(&mut self, value: Typed, ty: Type) -> Typed {
        let Some(adapted) = value.text_literal().and_then(|text| compare::adapt(text, ty)) else { return value };
        match adapted {
            Ok(constant) => Typed { node: Node::Const(Const(constant)), ty, ..value },
            Err(e) => self.fail(value.at, e, &[]),
        }
    }

    /// Values of which one is chosen (`CASE`, `coalesce`): nodes of one type.
    fn unify(&mut self, mut values: Vec<Typed>, what: &str) -> (Vec<Node>, Type) {
        let mut settled = values.iter().filter(|v| v.text_literal().is_none()).map(|v| v.ty);
        let wanted = settled.find(|ty| matches!(ty, Type::Timestamp | Type::Interval));
        if let Some(ty) = wanted {
            values = values.into_iter().map(|v| self.adapt(v, ty)).collect();
        }
        let mut common = Type::Null;
        for value in &values {
            match common.common(value.ty) {
                Some(ty) => common = ty,
                None => {
                    let message = format!("{what} has values of {} and of {}", common.name(), value.ty.name());
                    self.errors.push(error(value.at.clone(), message, &["one of them can be cast: x::varchar"]));
                    common = Type::Any;
                }
            }
        }
        let nodes = values.into_iter().map(|v| self.widen(v, common)).collect();
        (nodes, common)
    }

    /// A number as the wider type.
    fn widen(&self, value: Typed, to: Type) -> Node {
        if !to.is_number() || !value.ty.is_number() || value.ty == to {
            return value.node;
        }
        let (constant, at) = (value.node.constant().is_some(), value.place());
        let cast = Cast { value: value.node, to, attempt: false, at };
        self.done(Node::Cast(Box::new(cast)), to, value.at, constant).node
    }
}

/// Is a part of the interval not of whole units?
fn has_less_than(interval: Interval, unit: &str) -> bool {
    let Interval { months, days, micros } = interval;
    match unit.to_ascii_lowercase().trim_end_matches('s') {
        "year" => months % 12 != 0 || days != 0 || micros != 0,
        "month" => days != 0 || micros != 0,
        "week" => days % 7 != 0 || micros != 0,
        "day" => micros != 0,
        "hour" => micros % time::HOUR != 0,
        "minute" => micros % time::MINUTE != 0,
        _ => false,
    }
}

/// Has a cast between the two types a meaning at all?
fn castable(from: Type, to: Type) -> bool {
    if from.is_dynamic() || from == to || from == Type::Varchar || matches!(to, Type::Varchar | Type::Json) {
        return true;
    }
    match to {
        Type::Bigint => from.is_number() || from == Type::Boolean,
        Type::Double | Type::Decimal => from.is_number(),
        Type::Boolean => from == Type::Bigint,
        _ => false,
    }
}
