//! The compiled tree: what evaluation walks.
//!
//! Comparing a slot with a constant, the commonest condition, has a node of its own. Whatever can fail knows its place
//! in the text, so that an error can show it. Two trees are equal when they compute the same in the same way; places do
//! not count.

use super::functions::Function;
use super::like::Like;
use super::regexp::Pattern;
use super::{Pseudo, Type};
use crate::event::{SlotId, Value};
use crate::json::Path;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Const(Const),
    Slot(SlotId),
    Below(Box<(SlotId, Path)>),
    Pseudo(Box<Pseudo>),
    Now,
    SlotIs(Box<SlotIs>),
    Compare(Box<Compare>),
    /// `IS [NOT] DISTINCT FROM`; true: they must differ.
    Distinct(Box<Compare>, bool),
    /// True: `IS NULL`.
    IsNull(Box<Node>, bool),
    /// `IS [NOT] TRUE | FALSE | UNKNOWN`; the last says whether it must be so.
    Is(Box<Node>, Option<bool>, bool),
    And(Box<[Node]>),
    Or(Box<[Node]>),
    Not(Box<Node>),
    /// A dynamic value where a BOOLEAN is needed.
    Truth(Box<Node>, At),
    In(Box<In>),
    Between(Box<Between>),
    Like(Box<LikeNode>),
    Case(Box<Case>),
    Arith(Box<Arith>),
    Negate(Box<Node>, At),
    Concat(Box<[Node]>, At),
    Cast(Box<Cast>),
    Coalesce(Box<[Node]>),
    NullIf(Box<Compare>),
    Extreme(Box<Extreme>),
    Call(Box<Call>),
    Try(Box<Node>),
}

/// A constant; `1` and `1.0` are two.
#[derive(Clone, Debug)]
pub(super) struct Const(pub Value);

impl PartialEq for Const {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Value::Decimal(a), Value::Decimal(b)) => a.scale() == b.scale() && a == b,
            (Value::Double(a), Value::Double(b)) => a.to_bits() == b.to_bits(),
            (a, b) => Type::of(a) == Type::of(b) && a == b,
        }
    }
}

/// Bytes of the expression's text. All places are equal.
#[derive(Clone, Copy, Debug)]
pub(super) struct At(pub u32, pub u32);

impl PartialEq for At {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CompareOp {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ArithOp {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct SlotIs {
    pub slot: SlotId,
    pub op: CompareOp,
    pub value: Const,
    pub at: At,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Compare {
    pub op: CompareOp,
    pub left: Node,
    pub right: Node,
    pub at: At,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct In {
    pub value: Node,
    pub list: Box<[Node]>,
    /// The texts of the list in order, if it holds nothing else.
    pub texts: Option<Box<[Box<str>]>>,
    pub negated: bool,
    pub at: At,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Between {
    pub value: Node,
    pub low: Node,
    pub high: Node,
    pub negated: bool,
    pub at: At,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct LikeNode {
    pub value: Node,
    pub pattern: Node,
    /// The pattern, if it is constant.
    pub compiled: Option<Like>,
    pub escape: Option<char>,
    pub fold: bool,
    pub negated: bool,
    pub at: At,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Case {
    /// `CASE operand WHEN value`; without: `CASE WHEN condition`.
    pub operand: Option<Node>,
    pub branches: Box<[(Node, Node)]>,
    pub otherwise: Node,
    pub at: At,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Arith {
    pub op: ArithOp,
    pub left: Node,
    pub right: Node,
    pub at: At,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cast {
    pub value: Node,
    pub to: Type,
    /// NULL instead of an error.
    pub attempt: bool,
    pub at: At,
}

/// `greatest`, `least`: NULLs do not count.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Extreme {
    pub greatest: bool,
    pub list: Box<[Node]>,
    pub at: At,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    pub function: &'static Function,
    pub args: Box<[Node]>,
    /// The compiled regular expression of a constant pattern.
    pub pattern: Option<Pattern>,
    pub at: At,
}

impl Node {
    pub const NULL: Node = Node::Const(Const(Value::Null));

    pub fn constant(&self) -> Option<&Value> {
        match self {
            Node::Const(Const(value)) => Some(value),
            _ => None,
        }
    }
}

impl CompareOp {
    pub fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            CompareOp::Eq => order.is_eq(),
            CompareOp::Ne => order.is_ne(),
            CompareOp::Lt => order.is_lt(),
            CompareOp::Le => order.is_le(),
            CompareOp::Gt => order.is_gt(),
            CompareOp::Ge => order.is_ge(),
        }
    }

    /// The same comparison with its sides exchanged.
    pub fn mirrored(self) -> Self {
        match self {
            CompareOp::Lt => CompareOp::Gt,
            CompareOp::Le => CompareOp::Ge,
            CompareOp::Gt => CompareOp::Lt,
            CompareOp::Ge => CompareOp::Le,
            same => same,
        }
    }

    /// Does it ask for an order, not only for equality?
    pub fn orders(self) -> bool {
        !matches!(self, CompareOp::Eq | CompareOp::Ne)
    }
}
