//! The functions: one table for each field, each function with its usage, types and code.
//!
//! A *strict* function is NULL if one of its arguments is; the others see NULLs.

mod hash;
mod json;
mod math;
mod patterns;
mod strings;
mod times;

use std::borrow::Cow;
use std::fmt;

use super::number::Number;
use super::regexp::Pattern;
use super::{Type, text};
use crate::event::{Interval, Micros, Value};

pub(super) type Result<T> = std::result::Result<T, String>;

pub(super) struct Function {
    pub name: &'static str,
    /// How it is called, for messages.
    pub usage: &'static str,
    pub kinds: &'static [Kind],
    pub required: usize,
    /// May the last argument be repeated?
    pub variadic: bool,
    /// Do arguments come two by two?
    pub pairs: bool,
    pub strict: bool,
    pub result: Returns,
    /// An argument that is checked with the expression if it is constant.
    pub literal: Option<Literal>,
    pub run: fn(&Args<'_>) -> Result<Value>,
}

/// What an argument must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Any,
    Text,
    Int,
    Number,
    Time,
    Interval,
    TimeOrInterval,
    NumberOrText,
    Json,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Returns {
    Is(Type),
    /// The type of the first argument.
    First,
    /// The type in which the first two arguments are computed.
    Wider,
    /// That of the field which the first argument names.
    Field,
}

#[derive(Clone, Copy)]
pub(super) enum Literal {
    /// This argument is a regular expression.
    Pattern(usize),
    Checked(usize, fn(&str) -> Result<()>),
}

impl Literal {
    pub fn index(self) -> usize {
        match self {
            Literal::Pattern(i) | Literal::Checked(i, _) => i,
        }
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

fn all() -> impl Iterator<Item = &'static Function> {
    let tables = [strings::FUNCTIONS, patterns::FUNCTIONS, math::FUNCTIONS, times::FUNCTIONS, json::FUNCTIONS];
    tables.into_iter().flatten().chain(hash::FUNCTIONS)
}

/// `name` is in lower case.
pub(super) fn find(name: &str) -> Option<&'static Function> {
    all().find(|function| function.name == name)
}

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    all().map(|function| function.name)
}

/// How every function is called.
pub(super) fn usages() -> impl Iterator<Item = &'static str> {
    all().map(|function| function.usage)
}

/// A strict function of fixed arguments; the rest is set by the methods below.
const fn strict(
    name: &'static str,
    usage: &'static str,
    kinds: &'static [Kind],
    result: Returns,
    run: fn(&Args<'_>) -> Result<Value>,
) -> Function {
    Function {
        name,
        usage,
        kinds,
        required: kinds.len(),
        variadic: false,
        pairs: false,
        strict: true,
        result,
        literal: None,
        run,
    }
}

impl Function {
    /// The arguments after these may be left out.
    const fn required(mut self, required: usize) -> Self {
        self.required = required;
        self
    }

    const fn variadic(mut self, required: usize) -> Self {
        self.variadic = true;
        self.required = required;
        self
    }

    const fn in_pairs(mut self) -> Self {
        self.pairs = true;
        self
    }

    const fn sees_nulls(mut self) -> Self {
        self.strict = false;
        self
    }

    const fn literal(mut self, literal: Literal) -> Self {
        self.literal = Some(literal);
        self
    }

    pub fn takes(&self, count: usize) -> bool {
        let fits = count >= self.required && (self.variadic || count <= self.kinds.len());
        fits && !(self.pairs && count % 2 == 1)
    }

    pub fn kind(&self, index: usize) -> Kind {
        self.kinds.get(index).or(self.kinds.last()).copied().unwrap_or(Kind::Any)
    }
}

impl Kind {
    pub fn accepts(self, ty: Type) -> bool {
        let number = ty.is_number();
        ty.is_dynamic()
            || match self {
                Kind::Any => true,
                Kind::Text => ty == Type::Varchar,
                Kind::Int => ty == Type::Bigint,
                Kind::Number => number,
                Kind::Time => ty == Type::Timestamp,
                Kind::Interval => ty == Type::Interval,
                Kind::TimeOrInterval => matches!(ty, Type::Timestamp | Type::Interval),
                Kind::NumberOrText => number || ty == Type::Varchar,
                Kind::Json => false,
            }
    }

    /// What an untyped text literal becomes.
    pub fn adapts(self) -> Type {
        match self {
            Kind::Time => Type::Timestamp,
            Kind::Interval => Type::Interval,
            _ => Type::Any,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Kind::Any => "a value",
            Kind::Text => "VARCHAR",
            Kind::Int => "BIGINT",
            Kind::Number => "a number",
            Kind::Time => "TIMESTAMP",
            Kind::Interval => "INTERVAL",
            Kind::TimeOrInterval => "TIMESTAMP or INTERVAL",
            Kind::NumberOrText => "a number or VARCHAR",
            Kind::Json => "JSON",
        }
    }
}

impl Returns {
    /// `first`: the first argument, if it is constant.
    pub fn of(self, args: &[Type], first: Option<&Value>) -> Type {
        let dynamic = |ty: Type| if ty == Type::Json { Type::Any } else { ty };
        match (self, args) {
            (Returns::Is(ty), _) => ty,
            (Returns::Wider, [a, b, ..]) if a.is_number() && b.is_number() => a.wider(*b),
            (Returns::First, [first, ..]) => dynamic(*first),
            (Returns::Field, _) => first.map_or(Type::Any, times::field_type),
            _ => Type::Any,
        }
    }
}

/// The arguments of one call.
pub(super) struct Args<'a> {
    pub function: &'static Function,
    pub values: &'a [Cow<'a, Value>],
    pub pattern: Option<&'a Pattern>,
}

impl Args<'_> {
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// NULL where there is none.
    pub fn value(&self, index: usize) -> &Value {
        static NULL: Value = Value::Null;
        self.values.get(index).map_or(&NULL, |value| value)
    }

    pub fn text(&self, index: usize) -> Result<&str> {
        match self.value(index) {
            Value::Text(text) => Ok(text),
            other => Err(self.unfit(Kind::Text, other)),
        }
    }

    pub fn number(&self, index: usize) -> Result<Number> {
        Number::of(self.value(index)).unwrap_or_else(|| Err(self.unfit(Kind::Number, self.value(index))))
    }

    pub fn int(&self, index: usize) -> Result<i64> {
        match self.value(index) {
            Value::Int(i) => Ok(*i),
            value @ Value::Number(_) => match Number::of(value) {
                Some(Ok(Number::Decimal(d))) if d.fract().is_zero() => {
                    super::number::decimal_to_int(&d).ok_or_else(|| self.unfit(Kind::Int, value))
                }
                _ => Err(self.unfit(Kind::Int, value)),
            },
            other => Err(self.unfit(Kind::Int, other)),
        }
    }

    pub fn time(&self, index: usize) -> Result<Micros> {
        match self.value(index) {
            Value::Timestamp(at) => Ok(*at),
            other => Err(self.unfit(Kind::Time, other)),
        }
    }

    pub fn interval(&self, index: usize) -> Result<Interval> {
        match self.value(index) {
            Value::Interval(interval) => Ok(*interval),
            other => Err(self.unfit(Kind::Interval, other)),
        }
    }

    fn unfit(&self, kind: Kind, value: &Value) -> String {
        format!("`{}` expects {}, got {}", self.function.name, kind.name(), text::show(value))
    }
}
