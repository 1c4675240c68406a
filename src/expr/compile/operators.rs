//! Operators of two sides and of one.

use std::ops::Range;

use sqlparser::ast::{self, BinaryOperator, UnaryOperator};

use super::{Compiler, Typed};
use crate::event::Value;
use crate::expr::node::{Arith, ArithOp, At, Compare, CompareOp, Const, Node, SlotIs};
use crate::expr::{Type, cast};

impl Compiler<'_, '_> {
    pub(super) fn binary(&mut self, e: &ast::Expr, left: &ast::Expr, op: &BinaryOperator, right: &ast::Expr) -> Typed {
        if let Some(op) = comparison(op) {
            let chained = matches!(left, ast::Expr::BinaryOp { op, .. } if comparison(op).is_some());
            let (left, right) = (self.tree(left), self.tree(right));
            if chained {
                let at = left.at.start..right.at.end;
                return self.fail(at, "comparisons do not chain", &["write a < b AND b < c, or use parentheses"]);
            }
            return self.compare(op, left, right);
        }
        match op {
            BinaryOperator::And | BinaryOperator::Or | BinaryOperator::StringConcat => self.chain(e, op),
            BinaryOperator::Plus => self.arithmetic(ArithOp::Add, left, right),
            BinaryOperator::Minus => self.arithmetic(ArithOp::Sub, left, right),
            BinaryOperator::Multiply => self.arithmetic(ArithOp::Mul, left, right),
            BinaryOperator::Divide => self.arithmetic(ArithOp::Div, left, right),
            BinaryOperator::Modulo => self.arithmetic(ArithOp::Rem, left, right),
            other => {
                let at = self.tree(left).at.start..self.tree(right).at.end;
                self.fail(at, format!("`{other}` is no operator of this language"), &[])
            }
        }
    }

    /// `a AND b AND c`, however long: one node.
    fn chain(&mut self, e: &ast::Expr, wanted: &BinaryOperator) -> Typed {
        let mut parts = Vec::new();
        let mut rest = e;
        while let ast::Expr::BinaryOp { left, op, right } = rest {
            if op != wanted {
                break;
            }
            parts.push(&**right);
            rest = left;
        }
        parts.push(rest);
        let parts: Vec<Typed> = parts.into_iter().rev().map(|part| self.tree(part)).collect();
        let at = parts[0].at.start..parts[parts.len() - 1].at.end;
        let constant = parts.iter().all(|part| part.node.constant().is_some());
        if *wanted == BinaryOperator::StringConcat {
            return self.concat(parts, at, constant);
        }
        let nodes = parts.into_iter().map(|part| self.boolean(part)).collect();
        let node = if *wanted == BinaryOperator::And { Node::And(nodes) } else { Node::Or(nodes) };
        self.done(node, Type::Boolean, at, constant)
    }

    fn concat(&mut self, parts: Vec<Typed>, at: Range<usize>, constant: bool) -> Typed {
        if !parts.iter().any(|part| part.ty == Type::Varchar || part.ty.is_dynamic()) {
            let message = format!("`||` expects VARCHAR on one side at least, this is {}", parts[0].ty.name());
            return self.fail(at, message, &["a value becomes text by a cast: x::varchar"]);
        }
        let place = At(at.start as u32, at.end as u32);
        let nodes = parts.into_iter().map(|part| part.node).collect();
        self.done(Node::Concat(nodes, place), Type::Varchar, at, constant)
    }

    /// A condition.
    pub(super) fn boolean(&mut self, value: Typed) -> Node {
        match value.ty {
            Type::Boolean | Type::Null => value.node,
            Type::Any | Type::Json => {
                let at = value.place();
                Node::Truth(Box::new(value.node), at)
            }
            ty => {
                let message = format!("expected a condition, this is {}", ty.name());
                self.fail(value.at, message, &["a condition is BOOLEAN: x = 1, x IS NOT NULL"]).node
            }
        }
    }

    /// Both sides of a comparison, adapted to each other and checked.
    pub(super) fn sides(&mut self, left: Typed, right: Typed) -> (Typed, Typed) {
        let at = left.at.start.min(right.at.start)..right.at.end.max(left.at.end);
        self.sides_at(left, right, at)
    }

    /// The same, with the place of a mistake.
    pub(super) fn sides_at(&mut self, left: Typed, right: Typed, at: Range<usize>) -> (Typed, Typed) {
        let left = self.adapt(left, right.ty);
        let right = self.adapt(right, left.ty);
        if !left.ty.compares_with(right.ty) {
            let message = format!("cannot compare {} with {}", left.ty.name(), right.ty.name());
            self.fail(at, message, &["one of them can be cast: x::varchar"]);
        }
        (left, right)
    }

    fn compare(&mut self, op: CompareOp, left: Typed, right: Typed) -> Typed {
        let (left, right) = self.sides(left, right);
        let at = left.at.start..right.at.end;
        let place = At(at.start as u32, at.end as u32);
        let constant = left.node.constant().is_some() && right.node.constant().is_some();
        let node = match (left.node, right.node) {
            (Node::Slot(slot), Node::Const(value)) if !value.0.is_null() => {
                Node::SlotIs(Box::new(SlotIs { slot, op, value, at: place }))
            }
            (Node::Const(value), Node::Slot(slot)) if !value.0.is_null() => {
                Node::SlotIs(Box::new(SlotIs { slot, op: op.mirrored(), value, at: place }))
            }
            (left, right) => Node::Compare(Box::new(Compare { op, left, right, at: place })),
        };
        self.done(node, Type::Boolean, at, constant)
    }

    pub(super) fn distinct(&mut self, left: &ast::Expr, right: &ast::Expr, distinct: bool) -> Typed {
        let (left, right) = (self.tree(left), self.tree(right));
        let (left, right) = self.sides(left, right);
        let at = left.at.start..right.at.end;
        let constant = left.node.constant().is_some() && right.node.constant().is_some();
        let place = At(at.start as u32, at.end as u32);
        let compare = Compare { op: CompareOp::Eq, left: left.node, right: right.node, at: place };
        self.done(Node::Distinct(Box::new(compare), distinct), Type::Boolean, at, constant)
    }

    fn arithmetic(&mut self, op: ArithOp, left: &ast::Expr, right: &ast::Expr) -> Typed {
        let (left, right) = (self.tree(left), self.tree(right));
        let left = self.adapt(left, op.literal_beside(right.ty));
        let right = self.adapt(right, op.literal_beside(left.ty));
        let at = left.at.start..right.at.end;
        // Beside a dynamic value its type is settled per event.
        let settled = |side: &Typed| if side.text_literal().is_some() { Type::Any } else { side.ty };
        let types = match (left.ty.is_dynamic(), right.ty.is_dynamic()) {
            (true, false) => (left.ty, settled(&right)),
            (false, true) => (settled(&left), right.ty),
            _ => (left.ty, right.ty),
        };
        let Some(ty) = op.result(types.0, types.1) else {
            let message = format!("cannot compute {} {} {}", left.ty.name(), op.sign(), right.ty.name());
            let help = match (op, left.ty, right.ty) {
                (ArithOp::Add, Type::Varchar, _) | (ArithOp::Add, _, Type::Varchar) => "texts are joined by `||`",
                (_, Type::Varchar, _) | (_, _, Type::Varchar) => "a text becomes a number by a cast: x::decimal",
                _ => return self.fail(at, message, &[]),
            };
            return self.fail(at, message, &[help]);
        };
        let constant = left.node.constant().is_some() && right.node.constant().is_some();
        let place = At(at.start as u32, at.end as u32);
        let node = Node::Arith(Box::new(Arith { op, left: left.node, right: right.node, at: place }));
        self.done(node, ty, at, constant)
    }

    pub(super) fn unary(&mut self, op: &UnaryOperator, e: &ast::Expr) -> Typed {
        let minus_literal = match (op, e) {
            (UnaryOperator::Minus, ast::Expr::Value(v)) => match &v.value {
                ast::Value::Number(digits, _) => Some((cast::number_literal(&format!("-{digits}")), v.span)),
                _ => None,
            },
            _ => None,
        };
        if let Some((value, span)) = minus_literal {
            let at = self.source.before(self.source.span(span), 1);
            // A literal `-0` is 0.
            let value = if value == Value::Int(0) { Value::Int(0) } else { value };
            return Typed { ty: Type::of(&value), node: Node::Const(Const(value)), at, literal: true };
        }
        let value = self.tree(e);
        let at = self.source.before(value.at.clone(), 1);
        let place = At(at.start as u32, at.end as u32);
        let constant = value.node.constant().is_some();
        match op {
            UnaryOperator::Not => {
                let node = self.boolean(value);
                self.done(Node::Not(Box::new(node)), Type::Boolean, at, constant)
            }
            UnaryOperator::Plus | UnaryOperator::Minus => {
                let ty = value.ty;
                if !(ty.is_number() || ty.is_dynamic() || ty == Type::Interval && *op == UnaryOperator::Minus) {
                    return self.fail(at, format!("a sign stands before a number, this is {}", ty.name()), &[]);
                }
                match op {
                    UnaryOperator::Plus => Typed { at, ..value },
                    _ => self.done(Node::Negate(Box::new(value.node), place), ty, at, constant),
                }
            }
            other => self.fail(at, format!("`{other}` is no operator of this language"), &[]),
        }
    }
}

fn comparison(op: &BinaryOperator) -> Option<CompareOp> {
    Some(match op {
        BinaryOperator::Eq => CompareOp::Eq,
        BinaryOperator::NotEq => CompareOp::Ne,
        BinaryOperator::Lt => CompareOp::Lt,
        BinaryOperator::LtEq => CompareOp::Le,
        BinaryOperator::Gt => CompareOp::Gt,
        BinaryOperator::GtEq => CompareOp::Ge,
        _ => return None,
    })
}
