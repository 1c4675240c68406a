//! `lookup`: rows of a table, or of an unwindowed aggregate, as a field of an event.

use std::sync::Arc;

use super::shape::Shaping;
use super::{Pass, Stream};
use crate::expr::{Expr, Type};
use crate::json::Path;
use crate::plan::outline::DeclKind;
use crate::plan::read::{self, Fields};
use crate::plan::scope::{Known, Scope, type_name};
use crate::plan::yaml::{Entry, Node};
use crate::plan::{Edit, Lookup, ShapeOp};

impl Pass<'_, '_> {
    pub(super) fn lookups(&mut self, node: &Node, step_name: &Arc<str>, step: &mut Shaping) {
        for entry in read::entries(node, "`lookup`", self.problems).unwrap_or_default() {
            let Some(field) = read::field(&entry.key, "the field of a lookup", false, self.problems) else { continue };
            let free = self.free(&step.scope, &field.path, &entry.key.span, "give the looked-up row another name");
            let found = self.lookup(entry, &field.path, step);
            if free {
                match &found {
                    Some((_, row)) => mount(&mut step.scope, &field.path, row, step_name),
                    None => step.scope.make(&field.path, Known::made(Type::Any, step_name)),
                }
            }
            if let Some((lookup, _)) = found {
                step.edits.push(Edit::Set(lookup.row.target.slot));
                step.ops.push(ShapeOp::Lookup(lookup));
            }
        }
    }

    fn lookup(&mut self, entry: &Entry, field: &Path, step: &Shaping) -> Option<(Lookup, Scope)> {
        let what = format!("the lookup `{}`", entry.key.shown());
        let fields = Fields::read(&entry.value, &what, &["table", "on", "required"], self.problems)?;
        let required = fields.get("required").and_then(|node| read::boolean(node, "`required`", self.problems));
        let table = fields.need("table", &what, self.problems).and_then(|node| self.row_stream(node, "`lookup`"));
        let on = fields.need("on", &what, self.problems)?;
        let keys = self.path_exprs(on, "a path in `on`", &step.scope);
        let (table, keys) = (table?, keys?);
        self.check_key(on, &keys, &table)?;
        let name = field.last_name().unwrap_or_default();
        let row = self.wires.row_target(name, step.scope.frame, field, &table.scope, None);
        let on = keys.into_iter().map(|(_, expr)| expr).collect();
        Some((Lookup { table: table.id, on, row, required: required.unwrap_or(false) }, table.scope))
    }

    /// A table, or an unwindowed aggregate, by its name. An unknown name was reported with the outline.
    pub(super) fn row_stream(&mut self, node: &Node, key: &str) -> Option<Stream> {
        let scalar = read::text(node, "`table`", self.problems)?;
        let id = *self.outline.by_name.get(scalar.text.as_str())?;
        let decl = &self.outline.decls[id];
        match decl.kind {
            DeclKind::Table => self.stream(id).cloned(),
            DeclKind::Aggregate => {
                let stream = self.stream(id).cloned()?;
                if !stream.changing {
                    self.problems
                        .error(&scalar.span, format!("`{}` has a window: its results are events, not rows", decl.name))
                        .help(format!("{key} reads a table, or an aggregate without a window"));
                    return None;
                }
                Some(stream)
            }
            kind => {
                let section = kind.section();
                self.problems
                    .error(&scalar.span, format!("`{}` of `{section}` is no table", decl.name))
                    .help(format!("{key} reads a table, or an aggregate without a window"));
                None
            }
        }
    }

    /// As many values as the key has columns, of like types.
    fn check_key(&mut self, on: &Node, keys: &[(Arc<str>, Expr)], table: &Stream) -> Option<()> {
        if keys.len() != table.key.len() {
            let columns: Vec<&str> = table.key.iter().map(|(name, _)| &**name).collect();
            self.problems
                .error(&on.span, format!("`on` has {}, the key has {}", values(keys.len()), values(columns.len())))
                .help(format!("the key is: {}", columns.join(", ")));
            return None;
        }
        let mut fine = true;
        for (item, ((_, expr), (column, ty))) in read::one_or_list(on).iter().zip(keys.iter().zip(&table.key)) {
            if !alike(expr.ty(), *ty) {
                fine = false;
                let (here, there) = (type_name(expr.ty()), type_name(*ty));
                self.problems
                    .error(&item.span, format!("this is a {here}, the key's `{column}` is a {there}"))
                    .help("values of unlike types are never equal; `set` a field with a CAST in a step before");
            }
        }
        fine.then_some(())
    }
}

fn values(count: usize) -> String {
    if count == 1 { "1 value".to_owned() } else { format!("{count} values") }
}

/// Can values of these types be equal?
fn alike(a: Type, b: Type) -> bool {
    let number = |ty| matches!(ty, Type::Bigint | Type::Decimal | Type::Double);
    let open = |ty| matches!(ty, Type::Any | Type::Null);
    a == b || open(a) || open(b) || (number(a) && number(b))
}

/// Makes a row's fields known below a field.
pub(super) fn mount(scope: &mut Scope, at: &Path, row: &Scope, by: &Arc<str>) {
    let ty = if row.unknown { Type::Any } else { Type::Json };
    scope.make(at, Known { ty, maker: Some(by.clone()), closed: row.closed && !row.unknown });
    for (path, known) in &row.known {
        let known = Known { maker: Some(by.clone()), ..known.clone() };
        scope.known.insert(at.join(path), known);
    }
}
