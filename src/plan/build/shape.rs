//! Steps of `shape`: their keys apply in one fixed order, whatever their order in the file.

use std::sync::Arc;

use super::{Pass, Stream, inputs_span};
use crate::event::SlotId;
use crate::expr::{Place, Type};
use crate::json::Path;
use crate::plan::read::{self, Fields};
use crate::plan::scope::{DeclId, Known, Scope, type_name};
use crate::plan::yaml::{Entry, Node};
use crate::plan::{Edit, ShapeOp, StepKind, Unnest};

const KEYS: [&str; 15] = [
    "from", "where", "unnest", "lookup", "set", "keep", "drop", "redact", "sample", "limit", "dedupe", "changed",
    "changes", "delay", "batch",
];

/// Keys of the language that this release does not run, and what to do instead.
const LATER: [(&str, &str); 8] = [
    ("redact", "`drop` the fields, or `set` them to a hash: `email: sha256(email)`"),
    ("sample", "`where: abs(hash(id)) % 10 = 0` keeps a fixed tenth"),
    ("limit", "an `aggregate` with a `tumbling` window counts events per key; a reader can hold its limit by that"),
    ("dedupe", "emit with the event's id as `key`, so that readers can tell the same event"),
    ("changed", "an unwindowed `aggregate` with `last(x)` leaves when its key changes"),
    (
        "changes",
        "emit the collection itself: its topic gets the newest row of each key, and a tombstone for a deleted one",
    ),
    ("delay", "`set` the due time as a field, and let the reader wait for it"),
    ("batch", "emit single events; a reader can take many at once"),
];

/// Fields that later keys make: keeping or dropping them before is no use.
const MADE_LATER: [(&str, &[&str]); 4] = [
    ("sample", &["sample_weight"]),
    ("changed", &["previous"]),
    ("changes", &["change", "previous"]),
    ("batch", &["items", "size"]),
];

/// A step while it grows.
pub(super) struct Shaping {
    pub scope: Scope,
    pub ops: Vec<ShapeOp>,
    pub edits: Vec<Edit>,
}

impl Pass<'_, '_> {
    pub(super) fn shape(&mut self, id: DeclId) -> Option<Stream> {
        let outline = self.outline;
        let decl = &outline.decls[id];
        let what = format!("the step `{}`", decl.name);
        let fields = Fields::read(decl.node, &what, &KEYS, self.problems)?;
        let from = inputs_span(decl.node);
        let (inputs, mut stream) = self.inputs(&decl.from, decl.broken, &from);
        let mut step = Shaping { scope: stream.scope.clone(), ops: Vec::new(), edits: Vec::new() };
        let name = &decl.name;
        if let Some(node) = fields.get("where")
            && let Some(expr) = self.condition(node, "`where`", &step.scope)
        {
            step.ops.push(ShapeOp::Where(expr));
        }
        self.widen(&fields, name, stream.changing, &mut step);
        if let Some(node) = fields.get("set") {
            for entry in read::entries(node, "`set`", self.problems).unwrap_or_default() {
                self.set(entry, name, &mut step);
            }
        }
        if let Some(node) = fields.get("keep") {
            self.keep(node, &mut step);
        }
        if let Some(node) = fields.get("drop") {
            self.drop_fields(node, &mut step);
        }
        self.later(&fields, &mut step);
        if inputs.is_empty() {
            return None;
        }
        stream.scope = step.scope;
        Some(self.push_step(decl.name.clone(), inputs, stream, &step.edits, StepKind::Shape(step.ops)))
    }

    /// `unnest` and `lookup`, which need events.
    fn widen(&mut self, fields: &Fields<'_>, name: &Arc<str>, changing: bool, step: &mut Shaping) {
        for key in ["unnest", "lookup"] {
            let Some(entry) = fields.entry(key) else { continue };
            if changing {
                let instead = "do it to the events, before the aggregate, or look the collection up from events";
                self.not_yet(&entry.key.span, &format!("`{key}` over a changing collection"), instead);
                step.scope.unknown = true;
            } else if key == "unnest" {
                self.unnest(&entry.value, name, step);
            } else {
                self.lookups(&entry.value, name, step);
            }
        }
    }

    fn unnest(&mut self, node: &Node, name: &Arc<str>, step: &mut Shaping) {
        let Some(entries) = read::entries(node, "`unnest`", self.problems) else { return };
        let [entry] = entries else {
            self.problems.error(&node.span, "`unnest` takes one array").help(
                "{items: item}: the array's path and the name of its elements; a second array needs a second step",
            );
            return;
        };
        let array = read::field(&entry.key, "the array", true, self.problems);
        let item = read::text(&entry.value, "the elements' name", self.problems)
            .and_then(|scalar| read::field(scalar, "the elements' name", false, self.problems));
        let Some(array) = array.filter(|array| self.is_array(&array.path, entry, &step.scope)) else {
            step.scope.unknown |= item.is_none();
            item.iter().for_each(|item| step.scope.make(&item.path, Known::made(Type::Any, name)));
            return;
        };
        let Some(item) = item else {
            step.scope.unknown = true;
            return;
        };
        let Some(items) = self.own_slot(&array.path, entry, &step.scope) else { return };
        let index = Path::field(&format!("{}_index", item.path.last_name().unwrap_or_default()));
        let frame = step.scope.frame;
        step.scope.drop_fields(std::slice::from_ref(&array.path));
        let help = "give the elements another name";
        let _ = self.free(&step.scope, &item.path, &entry.value.span, help)
            && self.free(&step.scope, &index, &entry.value.span, help);
        step.scope.make(&item.path, Known::made(Type::Any, name));
        step.scope.make(&index, Known::made(Type::Bigint, name));
        let remove = self.wires.drop_slots(frame, std::slice::from_ref(&array.path));
        let item = self.wires.target(frame, &item.path);
        let index = self.wires.target(frame, &index);
        step.edits.extend([Edit::Drop(array.path), Edit::Set(item.slot), Edit::Set(index.slot)]);
        step.ops.push(ShapeOp::Unnest(Unnest { items, remove, item, index }));
    }

    fn is_array(&mut self, path: &Path, entry: &Entry, scope: &Scope) -> bool {
        match scope.type_of(path) {
            Ok(Type::Any | Type::Json | Type::Null) => true,
            Ok(ty) => {
                let ty = type_name(ty);
                self.problems.error(&entry.key.span, format!("`{path}` is a {ty}, not an array"));
                false
            }
            Err(error) => {
                self.problems.error(&entry.key.span, error.message).helps(error.help);
                false
            }
        }
    }

    /// The slot of a path that has one.
    fn own_slot(&mut self, path: &Path, entry: &Entry, scope: &Scope) -> Option<SlotId> {
        match self.wires.place(scope, path) {
            Place::Slot(slot) => Some(slot),
            _ => {
                let instead = format!("`set` it as a field of its own in a step before: `set: {{array: {path}}}`");
                self.not_yet(&entry.key.span, "`unnest` of a part of an aggregate's result", &instead);
                None
            }
        }
    }

    fn set(&mut self, entry: &Entry, name: &Arc<str>, step: &mut Shaping) {
        let field = read::field(&entry.key, "a field that `set` makes", true, self.problems);
        let what = format!("the expression of `{}`", entry.key.shown());
        let expr = self.expr(&entry.value, &what, &step.scope);
        let Some(field) = field else { return };
        let ty = expr.as_ref().map_or(Type::Any, |expr| expr.ty());
        step.scope.make(&field.path, Known::made(ty, name));
        let target = self.wires.target(step.scope.frame, &field.path);
        step.edits.push(Edit::Set(target.slot));
        if let Some(expr) = expr {
            step.ops.push(ShapeOp::Set { target, expr });
        }
    }

    /// The fields of `keep` or `drop`, all of which are there.
    fn fields_of(&mut self, node: &Node, key: &str, scope: &Scope) -> Option<Vec<Path>> {
        let mut paths = Vec::new();
        let mut fine = !node.is_broken();
        for item in read::one_or_list(node) {
            let what = format!("a field of `{key}`");
            let field = read::text(item, &what, self.problems)
                .and_then(|scalar| read::field(scalar, &what, true, self.problems));
            let Some(field) = field else {
                fine = false;
                continue;
            };
            if let Err(error) = scope.type_of(&field.path) {
                self.problems.error(&item.span, error.message).helps(error.help);
                fine = false;
            }
            paths.push(field.path);
        }
        fine.then_some(paths)
    }

    fn keep(&mut self, node: &Node, step: &mut Shaping) {
        let Some(paths) = self.fields_of(node, "keep", &step.scope) else {
            step.scope.unknown = true;
            return;
        };
        step.scope.keep_fields(&paths);
        step.ops.push(ShapeOp::Keep(self.wires.keep_slots(step.scope.frame, &paths)));
        step.edits.push(Edit::Keep(paths));
    }

    fn drop_fields(&mut self, node: &Node, step: &mut Shaping) {
        let Some(paths) = self.fields_of(node, "drop", &step.scope) else {
            step.scope.unknown = true;
            return;
        };
        step.scope.drop_fields(&paths);
        step.ops.push(ShapeOp::Drop(self.wires.drop_slots(step.scope.frame, &paths)));
        step.edits.extend(paths.into_iter().map(Edit::Drop));
    }

    /// Keys that this release does not run.
    fn later(&mut self, fields: &Fields<'_>, step: &mut Shaping) {
        for (key, instead) in LATER {
            if let Some(entry) = fields.entry(key) {
                self.not_yet(&entry.key.span, &format!("`{key}`"), instead);
                step.scope.unknown = true;
            }
        }
        for (key, made) in MADE_LATER.into_iter().filter(|(key, _)| fields.get(key).is_some()) {
            for list in ["keep", "drop"].into_iter().filter_map(|list| fields.get(list)) {
                for item in read::one_or_list(list) {
                    if item.scalar().is_some_and(|s| made.contains(&s.text.as_str())) {
                        self.problems
                            .warning(&item.span, format!("`{key}` makes this field later"))
                            .help("the keys of a step apply in a fixed order; a second step gives another order");
                    }
                }
            }
        }
    }
}
