//! `aggregate`: groups, windows, measures.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Pass, Stream};
use crate::event::{Micros, SlotId};
use crate::expr::{self, AggCall, Expr, Name, NameError, Names, Place, Type};
use crate::json::{Path, Segment};
use crate::plan::near;
use crate::plan::read::{self, Fields};
use crate::plan::scope::{DeclId, Known, Scope, ScopeNames};
use crate::plan::yaml::{Entry, Kind, Node, Span};
use crate::plan::{Aggregate, Edit, Late, Layout, Step, StepKind, StreamId};

const KEYS: [&str; 8] = ["from", "by", "window", "measures", "having", "results", "late", "ttl"];

/// A group of `by`: its name, where that stands, its expression if that compiles.
type Group = (Arc<str>, Span, Option<Expr>);

/// A column of the result.
#[derive(Clone)]
struct Column {
    name: Arc<str>,
    ty: Type,
}

/// What `by`, the measures and `having` compile to.
struct Folded {
    by: Vec<Expr>,
    columns: Vec<Column>,
    calls: Vec<AggCall>,
    measures: Vec<Expr>,
    having: Option<Expr>,
    /// Is all of it right? If not, the columns at least are known.
    fine: bool,
}

impl Pass<'_, '_> {
    pub(super) fn aggregate(&mut self, id: DeclId) -> Option<Stream> {
        let outline = self.outline;
        let decl = &outline.decls[id];
        let what = format!("the aggregate `{}`", decl.name);
        let fields = Fields::read(decl.node, &what, &KEYS, self.problems)?;
        let instead = "aggregate the events themselves; an aggregate with a `tumbling` window can be aggregated again";
        let (inputs, stream) = self.event_inputs(decl, "an `aggregate`", instead);
        let window = self.window(&fields);
        let by = self.by(&fields, &what, &stream.scope);
        let windowed = !matches!(window, Some(None));
        let folded = self.fold(&fields, &what, by, windowed, &stream.scope);
        let late = self.late(&fields, windowed);
        let ttl = self.ttl(&fields, windowed);
        let (window, folded) = (window?, folded?);
        if inputs.is_empty() || stream.scope.unknown {
            return None;
        }
        let Folded { by, columns, calls, measures, having, fine } = folded;
        let out = self.result_stream(id, &columns, by.len().min(columns.len()), window.is_none());
        if !fine {
            return Some(out);
        }
        let frame = out.scope.frame;
        let slots = columns.iter().map(|column| self.wires.slot(frame, &Path::field(&column.name))).collect();
        self.steps.push(Step {
            name: decl.name.clone(),
            inputs,
            changing: window.is_none(),
            needs_clock: self.clock,
            frame,
            layouts: out.layouts.iter().map(|layout| Some(*layout)).collect(),
            kind: StepKind::Aggregate(Aggregate { by, window, calls, measures, having, columns: slots, late, ttl }),
        });
        Some(out)
    }

    /// The stream of results: a frame's own columns, and nothing else.
    fn result_stream(&mut self, id: DeclId, columns: &[Column], keys: usize, changing: bool) -> Stream {
        let decl = &self.outline.decls[id];
        let mut scope = Scope::new(decl.frame);
        scope.closed = true;
        scope.pseudo =
            Err(format!("a result of `{}` is made of many records and has none of its own", decl.name).into());
        let mut edits = Vec::new();
        for column in columns {
            let path = Path::field(&column.name);
            scope.known.insert(path.clone(), Known::made(column.ty, &decl.name));
            edits.push(Edit::Set(self.wires.slot(decl.frame, &path)));
            self.wires.solid(decl.frame, path);
        }
        let layout = self.wires.layout(decl.frame, Layout { from_payload: false, edits });
        let key = columns[..keys].iter().map(|column| (column.name.clone(), column.ty)).collect();
        let id = StreamId::Step(self.steps.len());
        Stream { id, scope, changing, layouts: BTreeSet::from([layout]), key: if changing { key } else { Vec::new() } }
    }

    /// `None` is wrong; `Some(None)` is no window.
    fn window(&mut self, fields: &Fields<'_>) -> Option<Option<Micros>> {
        let Some(node) = fields.get("window").filter(|n| n.scalar().is_none_or(|s| s.text != "none")) else {
            return Some(None);
        };
        let window = Fields::read(node, "`window`", &["tumbling", "sliding", "every", "session"], self.problems)?;
        for (key, instead) in [
            ("sliding", "a `tumbling` window of the length of `every`; readers can add up the last few"),
            ("session", "a `tumbling` window, with the session's own id in `by`"),
        ] {
            if let Some(entry) = window.entry(key) {
                self.not_yet(&entry.key.span, &format!("a `{key}` window"), instead);
                return None;
            }
        }
        if let Some(entry) = window.entry("every") {
            self.problems.error(&entry.key.span, "`every` belongs to a `sliding` window");
            return None;
        }
        let length = window.need("tumbling", "`window`", self.problems)?;
        read::positive_duration(length, "the window's length", self.problems).map(Some)
    }

    /// `by`: names and expressions.
    fn by(&mut self, fields: &Fields<'_>, what: &str, scope: &Scope) -> Option<Vec<Group>> {
        let node = fields.need("by", what, self.problems)?;
        match &node.kind {
            Kind::Map(entries) => Some(entries.iter().filter_map(|entry| self.by_entry(entry, scope)).collect()),
            _ => {
                let mut columns = Vec::new();
                for (name, scalar) in read::paths(node, "a path in `by`", self.problems)? {
                    let last = name.path.last_name().unwrap_or_default();
                    let expr = self.compile(scalar, 0..scalar.text.len(), scope);
                    columns.push((last.into(), scalar.span.clone(), expr));
                }
                Some(columns)
            }
        }
    }

    fn by_entry(&mut self, entry: &Entry, scope: &Scope) -> Option<Group> {
        let name = read::field(&entry.key, "a group's name", false, self.problems);
        let expr = self.expr(&entry.value, &format!("the expression of `{}`", entry.key.shown()), scope);
        Some((column_name(&name?.path), entry.key.span.clone(), expr))
    }

    fn fold(
        &mut self,
        fields: &Fields<'_>,
        what: &str,
        by: Option<Vec<Group>>,
        windowed: bool,
        scope: &Scope,
    ) -> Option<Folded> {
        let measures = fields.need("measures", what, self.problems);
        let entries = measures.and_then(|node| read::entries(node, "`measures`", self.problems));
        if let (Some([]), Some(node)) = (entries, measures) {
            self.problems.error(&node.span, "`measures` has none").help("total: sum(amount)");
        }
        // Without groups, names may be theirs: only what stands within aggregate functions is checked.
        let lenient = by.is_none();
        let (mut columns, groups, mut fine) = self.group_columns(by.unwrap_or_default());
        fine &= entries.is_some();
        let keys = columns.len();
        for name in ["window_start", "window_end"].into_iter().filter(|_| windowed) {
            fine &= self.new_column(&mut columns, name.into(), &fields.node.span, Type::Timestamp);
        }
        let window = keys..columns.len();
        // The calls' results come first in the outer row; how many there are is known after all were compiled once.
        let entries = entries.unwrap_or_default();
        let start = |columns, base| Measured { columns, base, lenient, ..Measured::default() };
        let first = self.measures(entries, fields.get("having"), scope, start(columns.clone(), 0));
        if lenient {
            return None;
        }
        let found = self.problems.count();
        let Measured { columns, calls, exprs, having, .. } =
            self.measures(entries, fields.get("having"), scope, start(columns, first.calls.len()));
        self.problems.forget_after(found);
        let fine = fine && !first.wrong;
        let ordered = columns[..keys].iter().chain(&columns[window.end..]).chain(&columns[window]);
        Some(Folded { columns: ordered.cloned().collect(), by: groups, calls, measures: exprs, having, fine })
    }

    fn group_columns(&mut self, by: Vec<Group>) -> (Vec<Column>, Vec<Expr>, bool) {
        let (mut columns, mut exprs, mut fine) = (Vec::new(), Vec::new(), true);
        for (name, span, expr) in by {
            fine &= self.new_column(&mut columns, name, &span, expr.as_ref().map_or(Type::Any, Expr::ty));
            fine &= expr.is_some();
            exprs.extend(expr);
        }
        (columns, exprs, fine)
    }

    /// Compiles measures and `having`.
    fn measures(&mut self, entries: &[Entry], having: Option<&Node>, scope: &Scope, mut out: Measured) -> Measured {
        for entry in entries {
            let name = read::field(&entry.key, "a measure", false, self.problems);
            let what = format!("the expression of `{}`", entry.key.shown());
            let expr = self.measure(&entry.value, &what, scope, &mut out);
            let ty = expr.as_ref().map_or(Type::Any, Expr::ty);
            out.wrong |= expr.is_none() || name.is_none();
            out.exprs.extend(expr);
            if let Some(name) = name {
                out.wrong |= !self.new_column(&mut out.columns, column_name(&name.path), &entry.key.span, ty);
            }
        }
        if let Some(node) = having {
            let expr = self.measure(node, "`having`", scope, &mut out);
            out.wrong |= !expr.as_ref().is_some_and(|expr| self.must_be_boolean(expr, &node.span, "`having`"));
            out.having = expr;
        }
        out
    }

    fn measure(&mut self, node: &Node, what: &str, scope: &Scope, so_far: &mut Measured) -> Option<Expr> {
        let scalar = read::text(node, what, self.problems)?;
        let mut input = ScopeNames { scope, wires: self.wires, alias: None };
        let mut outer = Outer { columns: &so_far.columns, base: so_far.base, lenient: so_far.lenient };
        match expr::compile_measure(&scalar.text, &mut input, &mut outer, &mut so_far.calls) {
            Ok(expr) => {
                let now = |call: &AggCall| call.args.iter().chain(&call.filter).any(Expr::reads_now);
                self.clock |= expr.reads_now() || so_far.calls.iter().any(now);
                Some(expr)
            }
            Err(errors) => {
                self.problems.text(scalar, errors);
                None
            }
        }
    }

    /// False if the name is taken.
    fn new_column(&mut self, columns: &mut Vec<Column>, name: Arc<str>, span: &Span, ty: Type) -> bool {
        let free = !columns.iter().any(|column| column.name == name);
        if !free && matches!(&*name, "window_start" | "window_end") {
            self.problems.error(span, format!("`{name}` is the window's own field")).help("call it differently");
        } else if !free {
            self.problems
                .error(span, format!("the result has a field `{name}` already"))
                .help("in `by` as a mapping each group can have a name: {name: path}");
        }
        columns.push(Column { name, ty });
        free
    }

    fn late(&mut self, fields: &Fields<'_>, windowed: bool) -> Late {
        if let Some(entry) = fields.entry("results") {
            let early =
                read::word(&entry.value, "kind of results", &[("final", false), ("early", true)], self.problems);
            if early == Some(true) {
                let instead = "`results: final`: each window's result leaves once, when the window has closed";
                self.not_yet(&entry.value.span, "`results: early`", instead);
            } else if early == Some(false) && !windowed {
                self.problems
                    .error(&entry.key.span, "`results` is for windows")
                    .help("without a window the result is always the changing row");
            }
        }
        let Some(entry) = fields.entry("late") else { return Late::Drop };
        if !windowed {
            self.problems.error(&entry.key.span, "`late` is for windows").help("without a window no event is late");
        }
        let words = [("drop", Late::Drop), ("reject", Late::Reject)];
        read::word(&entry.value, "way with late events", &words, self.problems).unwrap_or(Late::Drop)
    }

    fn ttl(&mut self, fields: &Fields<'_>, windowed: bool) -> Option<Micros> {
        let entry = fields.entry("ttl")?;
        if windowed {
            self.problems
                .error(&entry.key.span, "`ttl` is for aggregates without a window")
                .help("a window is forgotten when it has closed");
        }
        read::positive_duration(&entry.value, "`ttl`", self.problems)
    }
}

/// Measures while they are compiled.
#[derive(Default)]
struct Measured {
    /// All columns of the outer row so far, and the slot of the first.
    columns: Vec<Column>,
    base: usize,
    /// Some columns are not known: any name may be one.
    lenient: bool,
    calls: Vec<AggCall>,
    exprs: Vec<Expr>,
    having: Option<Expr>,
    wrong: bool,
}

fn column_name(path: &Path) -> Arc<str> {
    path.last_name().unwrap_or_default().into()
}

/// Names outside of aggregate functions: groups, the window, and measures before this one.
struct Outer<'a> {
    columns: &'a [Column],
    base: usize,
    lenient: bool,
}

impl Names for Outer<'_> {
    fn resolve(&mut self, name: &Name) -> Result<(Place, Type), NameError> {
        let first = match name.path.0.first() {
            Some(Segment::Field(first)) if read::pseudo_word(name).is_none() => first.as_str(),
            _ => "",
        };
        let Some(at) = self.columns.iter().position(|column| *column.name == *first) else {
            if self.lenient {
                return Ok((Place::Slot(0), Type::Any));
            }
            let written = name.path.to_string();
            let mut help =
                near::suggest(&written, "groups and measures before this one", self.columns.iter().map(|c| &*c.name));
            help.insert(0, format!("a field of the input stands within an aggregate function: any_value({written})"));
            return Err(NameError { message: format!("there is no group or measure `{written}`"), help });
        };
        let slot = (self.base + at) as SlotId;
        let ty = self.columns[at].ty;
        match &name.path.0[1..] {
            [] => Ok((Place::Slot(slot), ty)),
            rest if matches!(ty, Type::Any | Type::Json | Type::Null) => {
                Ok((Place::Below(slot, Path(rest.to_vec())), Type::Any))
            }
            _ => Err(NameError { message: format!("`{first}` has no parts"), help: Vec::new() }),
        }
    }
}
