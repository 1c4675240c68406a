//! Conditions that are more than an operator: `IS`, `IN`, `BETWEEN`, `LIKE`, `CASE`.

use std::ops::Range;

use sqlparser::ast;

use super::{Compiler, Typed};
use crate::event::Value;
use crate::expr::Type;
use crate::expr::like::Like;
use crate::expr::node::{At, Between, Case, In, LikeNode, Node};

impl Compiler<'_, '_> {
    pub(super) fn is_null(&mut self, e: &ast::Expr, null: bool) -> Typed {
        let value = self.tree(e);
        let at = self.source.after(value.at.clone(), if null { 2 } else { 3 });
        let constant = value.node.constant().is_some();
        self.done(Node::IsNull(Box::new(value.node), null), Type::Boolean, at, constant)
    }

    pub(super) fn is(&mut self, e: &ast::Expr, wanted: Option<bool>, so: bool) -> Typed {
        let value = self.tree(e);
        let at = self.source.after(value.at.clone(), if so { 2 } else { 3 });
        let constant = value.node.constant().is_some();
        let node = self.boolean(value);
        self.done(Node::Is(Box::new(node), wanted, so), Type::Boolean, at, constant)
    }

    pub(super) fn in_list(&mut self, e: &ast::Expr, list: &[ast::Expr], negated: bool) -> Typed {
        let mut value = self.tree(e);
        let mut items = Vec::with_capacity(list.len());
        for item in list {
            let item = self.tree(item);
            let at = item.at.clone();
            let (left, right) = self.sides_at(value, item, at);
            value = left;
            items.push(right);
        }
        let end = items.last().map_or(value.at.end, |item| item.at.end);
        let at = self.source.after(value.at.start..end, 1);
        let constant = value.node.constant().is_some() && items.iter().all(|item| item.node.constant().is_some());
        let text = |item: &Typed| match item.node.constant() {
            Some(Value::Text(text)) => Some(Box::from(text.as_str())),
            _ => None,
        };
        let texts: Option<Vec<Box<str>>> = items.iter().map(text).collect();
        let texts = texts.map(|mut texts| {
            texts.sort_unstable();
            texts.into_boxed_slice()
        });
        let place = At(at.start as u32, at.end as u32);
        let list = items.into_iter().map(|item| item.node).collect();
        let node = In { value: value.node, list, texts, negated, at: place };
        self.done(Node::In(Box::new(node)), Type::Boolean, at, constant)
    }

    pub(super) fn between(&mut self, e: &ast::Expr, low: &ast::Expr, high: &ast::Expr, negated: bool) -> Typed {
        let (value, low, high) = (self.tree(e), self.tree(low), self.tree(high));
        let (value, low) = self.sides(value, low);
        let (value, high) = self.sides(value, high);
        let at = value.at.start..high.at.end;
        let constant = [&value, &low, &high].iter().all(|part| part.node.constant().is_some());
        let place = At(at.start as u32, at.end as u32);
        let node = Between { value: value.node, low: low.node, high: high.node, negated, at: place };
        self.done(Node::Between(Box::new(node)), Type::Boolean, at, constant)
    }

    pub(super) fn like(
        &mut self,
        e: &ast::Expr,
        pattern: &ast::Expr,
        escape: Option<&ast::Expr>,
        negated: bool,
        fold: bool,
    ) -> Typed {
        let (value, pattern) = (self.tree(e), self.tree(pattern));
        let at = value.at.start..pattern.at.end;
        for side in [&value, &pattern] {
            if side.ty != Type::Varchar && !side.ty.is_dynamic() {
                let message = format!("LIKE expects VARCHAR, this is {}", side.ty.name());
                return self.fail(side.at.clone(), message, &["a value becomes text by a cast: x::varchar"]);
            }
        }
        let escape = match escape.map(|e| self.tree(e)) {
            None => Some('\\'),
            Some(typed) => match typed.text_literal().map(|text| text.chars().collect::<Vec<_>>()).as_deref() {
                Some([]) => None,
                Some([c]) => Some(*c),
                _ => return self.fail(typed.at, "ESCAPE takes a text literal of one character", &[]),
            },
        };
        let compiled = match pattern.node.constant() {
            Some(Value::Text(text)) => match Like::new(text, escape, fold) {
                Ok(like) => Some(like),
                Err(e) => return self.fail(pattern.at, e, &[]),
            },
            _ => None,
        };
        let constant = value.node.constant().is_some() && pattern.node.constant().is_some();
        let place = At(at.start as u32, at.end as u32);
        let node = LikeNode { value: value.node, pattern: pattern.node, compiled, escape, fold, negated, at: place };
        self.done(Node::Like(Box::new(node)), Type::Boolean, at, constant)
    }

    pub(super) fn case(
        &mut self,
        operand: Option<&ast::Expr>,
        conditions: &[ast::CaseWhen],
        otherwise: Option<&ast::Expr>,
        at: Range<usize>,
    ) -> Typed {
        let mut operand = operand.map(|e| self.tree(e));
        let (mut whens, mut values) = (Vec::new(), Vec::new());
        for branch in conditions {
            let when = self.tree(&branch.condition);
            whens.push(match operand.take() {
                None => self.boolean(when),
                Some(left) => {
                    let (left, right) = self.sides(left, when);
                    operand = Some(left);
                    right.node
                }
            });
            values.push(self.tree(&branch.result));
        }
        values.push(match otherwise {
            Some(e) => self.tree(e),
            None => Typed { node: Node::NULL, ty: Type::Null, at: at.clone(), literal: true },
        });
        let (mut values, ty) = self.unify(values, "CASE");
        let otherwise = values.pop().unwrap_or(Node::NULL);
        let operand = operand.map(|operand| operand.node);
        let nodes = || operand.iter().chain(&whens).chain(&values).chain([&otherwise]);
        let constant = nodes().all(|node| node.constant().is_some());
        let branches = whens.into_iter().zip(values).collect();
        let place = At(at.start as u32, at.end as u32);
        self.done(Node::Case(Box::new(Case { operand, branches, otherwise, at: place })), ty, at, constant)
    }
}
