//! Aggregate calls of a measure: each becomes a slot of the outer row.

use std::ops::Range;

use sqlparser::ast::{
    self, DuplicateTreatment, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArgumentList, OrderBySort,
};

use super::{Compiler, Scope, Typed};
use crate::event::Value;
use crate::expr::node::Node;
use crate::expr::number::Number;
use crate::expr::{AggCall, AggFunc, Expr, Type, measure};
use crate::plan::Direction;

/// `array_agg` keeps no more elements.
const MAX_ELEMENTS: usize = 1_000;

impl Compiler<'_, '_> {
    pub(super) fn aggregate(
        &mut self,
        name: &str,
        list: &FunctionArgumentList,
        filter: Option<&ast::Expr>,
        at: Range<usize>,
    ) -> Typed {
        self.inside(true);
        let call = self.aggregate_call(name, list, filter, &at);
        self.inside(false);
        match call {
            Ok((call, ty)) => self.share(call, ty, at),
            Err(error) => error,
        }
    }

    fn inside(&mut self, now: bool) {
        if let Scope::Measure { inside, .. } = &mut self.scope {
            *inside = now;
        }
    }

    /// The slot of a call; one that is there already is shared.
    fn share(&mut self, call: AggCall, ty: Type, at: Range<usize>) -> Typed {
        let Scope::Measure { calls, .. } = &mut self.scope else {
            return self.fail(at, "aggregate functions stand only in measures and having", &[]);
        };
        let same = |c: &AggCall| c.func == call.func && c.args == call.args && c.filter == call.filter;
        let index = calls.iter().position(same).unwrap_or(calls.len());
        if index == calls.len() {
            calls.push(call);
        }
        match index.try_into() {
            Ok(slot) => Typed { node: Node::Slot(slot), ty, at, literal: false },
            Err(_) => self.fail(at, "too many aggregate calls", &[]),
        }
    }

    fn aggregate_call(
        &mut self,
        name: &str,
        list: &FunctionArgumentList,
        filter: Option<&ast::Expr>,
        at: &Range<usize>,
    ) -> Result<(AggCall, Type), Typed> {
        let usage = measure::usage(name).unwrap_or(name);
        let all = matches!(list.args.as_slice(), [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)]);
        let distinct = matches!(list.duplicate_treatment, Some(DuplicateTreatment::Distinct));
        let mut args = match self.arguments(&list.args) {
            Some(args) => args,
            None if all && name == "count" && !distinct => Vec::new(),
            None => return Err(self.fail(at.clone(), format!("expected {usage}"), &[])),
        };
        self.clauses_belong(name, distinct, list, at)?;
        if args.len() != (if all { 0 } else { measure::arity(name) }) {
            return Err(self.wrong_count(usage, args.len(), at.clone()));
        }
        let func = match name {
            "count" if all => AggFunc::CountAll,
            "count" if distinct => AggFunc::CountDistinct,
            "min_by" => AggFunc::MinBy,
            "max_by" => AggFunc::MaxBy,
            "percentile" => self.percentile(args.pop(), at)?,
            "array_agg" => self.array_agg(&list.clauses, &mut args, at)?,
            other => measure::of_one(other).ok_or_else(|| self.fail(at.clone(), format!("expected {usage}"), &[]))?,
        };
        let (x, x_at) = args.first().map_or((Type::Null, at.clone()), |x| (x.ty, x.at.clone()));
        let Some(ty) = func.result(x) else {
            return Err(self.fail(x_at, format!("{name} cannot be computed of {}", x.name()), &[]));
        };
        let filter = filter.map(|e| self.condition(e));
        let args = args.into_iter().map(|arg| self.expression(arg)).collect();
        let text = self.source.text.get(at.clone()).unwrap_or_default().to_string();
        Ok((AggCall { func, args, filter, text }, ty))
    }

    /// `DISTINCT` is for `count`, `ORDER BY` and `LIMIT` are for `array_agg`.
    fn clauses_belong(
        &mut self,
        name: &str,
        distinct: bool,
        list: &FunctionArgumentList,
        at: &Range<usize>,
    ) -> Result<(), Typed> {
        if distinct && name != "count" {
            return Err(self.fail(at.clone(), format!("DISTINCT belongs to count, not to {name}"), &[]));
        }
        if name != "array_agg" && !list.clauses.is_empty() {
            let help = "first(x) and last(x) go by event order, min_by(x, y) by y";
            return Err(self.fail(at.clone(), "ORDER BY and LIMIT within a call belong to array_agg", &[help]));
        }
        Ok(())
    }

    fn condition(&mut self, e: &ast::Expr) -> Expr {
        let filter = self.tree(e);
        let at = filter.at.clone();
        let node = self.boolean(filter);
        self.expression(Typed { node, ty: Type::Boolean, at, literal: false })
    }

    fn expression(&self, part: Typed) -> Expr {
        let Self { reads_now, reads_bytes, .. } = *self;
        Expr { root: part.node, ty: part.ty, reads_now, reads_bytes, text: self.source.text.into() }
    }

    fn percentile(&mut self, p: Option<Typed>, at: &Range<usize>) -> Result<AggFunc, Typed> {
        let p_at = p.as_ref().map_or(at.clone(), |p| p.at.clone());
        let value = p.as_ref().and_then(|p| p.node.constant());
        match value.and_then(Number::of) {
            Some(Ok(p)) if (0.0..=1.0).contains(&p.double()) => Ok(AggFunc::Percentile(p.double())),
            _ => Err(self.fail(p_at, "the p of percentile(x, p) is a literal from 0 to 1", &["percentile(x, 0.95)"])),
        }
    }

    fn array_agg(
        &mut self,
        clauses: &[FunctionArgumentClause],
        args: &mut Vec<Typed>,
        at: &Range<usize>,
    ) -> Result<AggFunc, Typed> {
        let (mut order, mut limit) = (None, MAX_ELEMENTS);
        for clause in clauses {
            match clause {
                FunctionArgumentClause::OrderBy(by) => {
                    let [by] = by.as_slice() else {
                        return Err(self.fail(at.clone(), "array_agg orders by one expression", &[]));
                    };
                    if by.options.nulls_first.is_some() {
                        return Err(self.fail(at.clone(), "NULLS FIRST and LAST are not part of the language", &[]));
                    }
                    order = Some(match by.options.sort {
                        Some(OrderBySort::Desc) => Direction::Descending,
                        _ => Direction::Ascending,
                    });
                    let by = self.tree(&by.expr);
                    args.push(by);
                }
                FunctionArgumentClause::Limit(n) => {
                    let n = self.tree(n);
                    limit = match n.node.constant() {
                        Some(Value::Int(n @ 0..=1_000)) => *n as usize,
                        _ => return Err(self.fail(n.at, format!("LIMIT is a number from 0 to {MAX_ELEMENTS}"), &[])),
                    };
                }
                _ => return Err(self.fail(at.clone(), "array_agg has ORDER BY and LIMIT only", &[])),
            }
        }
        Ok(AggFunc::ArrayAgg { order, limit })
    }
}
