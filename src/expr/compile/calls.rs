//! Calls of functions: which one, how many arguments, of which types.

use std::ops::Range;

use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, FunctionArguments};

use super::{Compiler, Scope, Typed};
use crate::event::Value;
use crate::expr::functions::{self, Function, Kind};
use crate::expr::node::{At, Call, Compare, CompareOp, Extreme, Node};
use crate::expr::regexp::{self, Pattern};
use crate::expr::{Type, measure, text};

/// Functions whose arguments are not all evaluated, or not one by one.
const SPECIAL: [(&str, &str); 6] = [
    ("coalesce", "coalesce(x, …)"),
    ("nullif", "nullif(x, y)"),
    ("greatest", "greatest(x, …)"),
    ("least", "least(x, …)"),
    ("try", "try(expression)"),
    ("now", "now()"),
];

pub(in crate::expr) fn special_usages() -> impl Iterator<Item = &'static str> {
    SPECIAL.iter().map(|(_, usage)| *usage)
}

impl Compiler<'_, '_> {
    pub(super) fn function(&mut self, call: &ast::Function) -> Typed {
        let Some(ident) = call.name.0.first().and_then(|part| part.as_ident()) else {
            return self.fail(0..self.source.text.len(), "a function has a plain name", &[]);
        };
        let name_at = self.source.span(ident.span);
        let call_at = self.source.closing(name_at.clone());
        let end = if call.filter.is_some() { self.source.closing(call_at.end..call_at.end).end } else { call_at.end };
        let (at, name) = (name_at.start..end, ident.value.to_ascii_lowercase());
        if let Some(foreign) = foreign_clause(call) {
            return self.fail(at, format!("{foreign} is not part of the language"), &[]);
        }
        let FunctionArguments::List(list) = &call.args else {
            return self.fail(at, "subqueries are not part of the language", &[]);
        };
        if measure::is_aggregate(&name) {
            return match self.scope {
                Scope::Scalar(_) => self.fail(at, "aggregate functions stand only in measures and having", &[]),
                Scope::Measure { inside: true, .. } => {
                    self.fail(at, "an aggregate function cannot stand inside another", &[])
                }
                Scope::Measure { inside: false, .. } => self.aggregate(&name, list, call.filter.as_deref(), at),
            };
        }
        if call.filter.is_some() || list.duplicate_treatment.is_some() || !list.clauses.is_empty() {
            let message = "DISTINCT, FILTER, ORDER BY and LIMIT belong to aggregate functions";
            return self.fail(at, message, &[]);
        }
        let Some(args) = self.arguments(&list.args) else {
            return self.fail(at, format!("`{name}` takes expressions as its arguments"), &[]);
        };
        if let Some((_, usage)) = SPECIAL.iter().find(|(special, _)| *special == name) {
            return self.special(&name, usage, args, at);
        }
        match functions::find(&name) {
            Some(function) => self.call(function, args, at),
            None => self.unknown(&name, name_at),
        }
    }

    fn unknown(&mut self, name: &str, at: Range<usize>) -> Typed {
        if matches!(name, "cast" | "try_cast") {
            return self.fail(at, format!("expected {}(x AS type)", name.to_uppercase()), &[]);
        }
        let names = functions::names().chain(SPECIAL.iter().map(|(name, _)| *name));
        let help = text::nearest(name, names).map(|near| format!("there is `{near}`"));
        let help: Vec<&str> = help.as_deref().into_iter().collect();
        self.fail(at, format!("there is no function `{}`", text::cut(name, 40)), &help)
    }

    /// Plain arguments; `None` where one is named or `*`.
    pub(super) fn arguments(&mut self, args: &[FunctionArg]) -> Option<Vec<Typed>> {
        let plain: Option<Vec<&ast::Expr>> = args
            .iter()
            .map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) => Some(e),
                _ => None,
            })
            .collect();
        Some(plain?.into_iter().map(|e| self.tree(e)).collect())
    }

    fn special(&mut self, name: &str, usage: &str, mut args: Vec<Typed>, at: Range<usize>) -> Typed {
        let counts = match name {
            "nullif" => 2..=2,
            "try" => 1..=1,
            "now" => 0..=0,
            _ => 1..=usize::MAX,
        };
        if !counts.contains(&args.len()) {
            return self.wrong_count(usage, args.len(), at);
        }
        let constant = args.iter().all(|arg| arg.node.constant().is_some());
        let place = At(at.start as u32, at.end as u32);
        match name {
            "now" => {
                self.reads_now = true;
                Typed { node: Node::Now, ty: Type::Timestamp, at, literal: false }
            }
            "try" => {
                let inner = args.remove(0);
                self.done(Node::Try(Box::new(inner.node)), inner.ty, at, constant)
            }
            "nullif" => {
                let (right, left) = (args.remove(1), args.remove(0));
                let (left, right) = self.sides(left, right);
                let compare = Compare { op: CompareOp::Eq, left: left.node, right: right.node, at: place };
                self.done(Node::NullIf(Box::new(compare)), left.ty, at, constant)
            }
            _ => {
                let (nodes, ty) = self.unify(args, name);
                let list = nodes.into_boxed_slice();
                let node = match name {
                    "coalesce" => Node::Coalesce(list),
                    _ => Node::Extreme(Box::new(Extreme { greatest: name == "greatest", list, at: place })),
                };
                self.done(node, ty, at, constant)
            }
        }
    }

    pub(super) fn wrong_count(&mut self, usage: &str, given: usize, at: Range<usize>) -> Typed {
        let plural = if given == 1 { "" } else { "s" };
        self.fail(at, format!("expected {usage}, found {given} argument{plural}"), &[])
    }

    fn call(&mut self, function: &'static Function, args: Vec<Typed>, at: Range<usize>) -> Typed {
        if !function.takes(args.len()) {
            return self.wrong_count(function.usage, args.len(), at);
        }
        let mut checked = Vec::with_capacity(args.len());
        for (i, arg) in args.into_iter().enumerate() {
            let kind = function.kind(i);
            let arg = self.adapt(arg, kind.adapts());
            if !kind.accepts(arg.ty) {
                let message = format!("`{}` expects {} here, this is {}", function.name, kind.name(), arg.ty.name());
                let help =
                    if kind == Kind::Text { "a value becomes text by a cast: x::varchar" } else { function.usage };
                self.fail(arg.at.clone(), message, &[help]);
            }
            checked.push(arg);
        }
        let pattern = match self.checked_literals(function, &checked) {
            Ok(pattern) => pattern,
            Err(error) => return error,
        };
        let types: Vec<Type> = checked.iter().map(|arg| arg.ty).collect();
        let ty = function.result.of(&types, checked.first().and_then(|arg| arg.node.constant()));
        let constant = checked.iter().all(|arg| arg.node.constant().is_some());
        let args = checked.into_iter().map(|arg| arg.node).collect();
        let place = At(at.start as u32, at.end as u32);
        let node = Node::Call(Box::new(Call { function, args, pattern, at: place }));
        self.done(node, ty, at, constant)
    }

    /// Constant patterns, formats and units are checked here, once.
    fn checked_literals(&mut self, function: &Function, args: &[Typed]) -> Result<Option<Pattern>, Typed> {
        let Some(check) = function.literal else { return Ok(None) };
        let Some(arg) = args.get(check.index()) else { return Ok(None) };
        let Some(Value::Text(text)) = arg.node.constant() else { return Ok(None) };
        let result = match check {
            functions::Literal::Pattern(_) => regexp::compile(text).map(|regex| Some(Pattern(regex))),
            functions::Literal::Checked(_, check) => check(text).map(|()| None),
        };
        result.map_err(|e| self.fail(arg.at.clone(), e, &[]))
    }

    /// `trim([BOTH | LEADING | TRAILING] [characters FROM] text)`, `trim(text, characters)`
    pub(super) fn trim<'e>(
        &mut self,
        e: &'e ast::Expr,
        side: Option<&ast::TrimWhereField>,
        characters: impl Iterator<Item = &'e ast::Expr>,
    ) -> Typed {
        let args: Vec<Typed> = [e].into_iter().chain(characters).map(|e| self.tree(e)).collect();
        let start = args.iter().map(|arg| arg.at.start).min().unwrap_or(0);
        let at = self.source.before(start..start, if side.is_some() { 3 } else { 2 });
        let at = self.source.closing(at);
        let name = match side {
            Some(ast::TrimWhereField::Leading) => "ltrim",
            Some(ast::TrimWhereField::Trailing) => "rtrim",
            _ => "trim",
        };
        match functions::find(name) {
            Some(function) => self.call(function, args, at),
            None => self.fail(at, "there is no such trim", &[]),
        }
    }
}

/// Clauses of other dialects and of window functions.
fn foreign_clause(call: &ast::Function) -> Option<&'static str> {
    if call.over.is_some() {
        return Some("OVER");
    }
    if !call.within_group.is_empty() {
        return Some("WITHIN GROUP");
    }
    if call.null_treatment.is_some() {
        return Some("IGNORE NULLS");
    }
    (!matches!(call.parameters, FunctionArguments::None)).then_some("a call with parameters")
}
