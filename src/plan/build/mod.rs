//! Outline → plan: one pass over the file's declarations, in the order of the data.
//!
//! A pass builds every stream with its scope and collects what is wrong. Slots grow while names are resolved, so
//! passes are repeated until none finds a new path; the last one is the plan.

mod aggregate;
mod emit;
mod lookup;
mod matching;
mod settings;
mod shape;
mod source;

pub use settings::{dead_letters, job_name, limits};

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use crate::event::LayoutId;
use crate::expr::{Expr, Type};
use crate::plan::frame::Wires;
use crate::plan::outline::{Decl, DeclKind, Outline};
use crate::plan::problems::Problems;
use crate::plan::scope::{DeclId, Scope, ScopeNames, must_be_boolean};
use crate::plan::yaml::{Kind, Node, Scalar, Span};
use crate::plan::{Edit, Output, Source, Step, StepKind, StreamId, Table, read};

/// What a declaration gives to those who read it.
#[derive(Clone, Debug)]
pub struct Stream {
    pub id: StreamId,
    pub scope: Scope,
    pub changing: bool,
    /// The layouts that its events can have.
    pub layouts: BTreeSet<LayoutId>,
    /// Names and types of a changing collection's key.
    pub key: Vec<(Arc<str>, Type)>,
}

pub struct Pass<'a, 'n> {
    pub outline: &'a Outline<'n>,
    pub problems: &'a mut Problems,
    pub wires: &'a mut Wires,
    streams: Vec<Option<Stream>>,
    pub sources: Vec<Source>,
    pub tables: Vec<Table>,
    pub steps: Vec<Step>,
    pub outputs: Vec<Output>,
    /// Declarations behind `sources` and `tables`.
    source_decls: Vec<DeclId>,
    table_decls: Vec<DeclId>,
    /// Did an expression of the step at hand read `now()`?
    clock: bool,
    /// Matches whose live rules see all that their frame holds: step and scope.
    live_rules: Vec<matching::Live>,
}

impl<'a, 'n> Pass<'a, 'n> {
    /// Builds the declarations for which `keep` holds, and all outputs.
    pub fn run(outline: &'a Outline<'n>, keep: &[bool], wires: &'a mut Wires, problems: &'a mut Problems) -> Self {
        wires.next_pass();
        let mut pass = Self {
            outline,
            problems,
            wires,
            streams: vec![None; outline.decls.len()],
            sources: Vec::new(),
            tables: Vec::new(),
            steps: Vec::new(),
            outputs: Vec::new(),
            source_decls: Vec::new(),
            table_decls: Vec::new(),
            clock: false,
            live_rules: Vec::new(),
        };
        for id in &outline.order {
            if keep[*id] {
                pass.declaration(*id);
            }
        }
        for emit in &outline.emits {
            pass.clock = false;
            pass.emit(emit);
        }
        pass.finish_reads();
        pass.finish_live_rules();
        pass
    }

    fn declaration(&mut self, id: DeclId) {
        self.clock = false;
        let stream = match self.outline.decls[id].kind {
            DeclKind::Source => self.source(id),
            DeclKind::Table => self.table(id),
            DeclKind::Shape => self.shape(id),
            DeclKind::Match => self.matching(id),
            DeclKind::Aggregate => self.aggregate(id),
        };
        self.streams[id] = stream;
    }

    /// The stream of a declaration; `None` if something about it was reported already.
    pub fn stream(&self, id: DeclId) -> Option<&Stream> {
        self.streams[id].as_ref()
    }

    /// A stream in whose place something was reported: its readers are checked as far as that goes.
    fn unknown(&self) -> Stream {
        Stream {
            id: StreamId::Source(0),
            scope: Scope::unknown(self.outline.frames - 1),
            changing: false,
            layouts: BTreeSet::new(),
            key: Vec::new(),
        }
    }

    /// All that a step reads, as one stream, and the inputs' numbers.
    fn inputs(&mut self, from: &[DeclId], broken: bool, from_span: &Span) -> (Vec<StreamId>, Stream) {
        let streams: Option<Vec<Stream>> = from.iter().map(|id| self.stream(*id).cloned()).collect();
        let Some(streams) = streams.filter(|streams| !broken && !streams.is_empty()) else {
            return (Vec::new(), self.unknown());
        };
        let ids = streams.iter().map(|s| s.id).collect();
        let changing = streams.iter().filter(|s| s.changing).count();
        if streams.len() > 1 && changing > 0 {
            if changing < streams.len() {
                self.problems
                    .error(from_span, "`from` mixes events with a changing collection")
                    .help("events happen once, rows come and go: read them in two steps");
            } else {
                self.problems
                    .error(from_span, "a union of changing collections is not in this release")
                    .help("read each of them in a step or an output of its own");
            }
            return (Vec::new(), self.unknown());
        }
        let mut all = streams[0].clone();
        all.layouts = streams.iter().flat_map(|s| s.layouts.iter().copied()).collect();
        all.scope = Scope::union(streams.into_iter().map(|s| s.scope)).expect("there is at least one input");
        (ids, all)
    }

    /// All that a step reads, which must be events.
    fn event_inputs(&mut self, decl: &Decl<'_>, what: &str, instead: &str) -> (Vec<StreamId>, Stream) {
        let from = inputs_span(decl.node);
        let (inputs, stream) = self.inputs(&decl.from, decl.broken, &from);
        if stream.changing {
            self.not_yet(&from, &format!("{what} over a changing collection"), instead);
            return (Vec::new(), self.unknown());
        }
        (inputs, stream)
    }

    /// Compiles an expression.
    fn expr(&mut self, node: &Node, what: &str, scope: &Scope) -> Option<Expr> {
        let scalar = read::text(node, what, self.problems)?;
        self.compile(scalar, 0..scalar.text.len(), scope)
    }

    /// Compiles a part of a scalar's text.
    fn compile(&mut self, scalar: &Scalar, part: Range<usize>, scope: &Scope) -> Option<Expr> {
        self.compile_with(scalar, part, scope, None)
    }

    fn compile_with(
        &mut self,
        scalar: &Scalar,
        part: Range<usize>,
        scope: &Scope,
        alias: Option<(&str, &crate::json::Path)>,
    ) -> Option<Expr> {
        let mut names = ScopeNames { scope, wires: self.wires, alias };
        match Expr::compile(&scalar.text[part.clone()], &mut names) {
            Ok(expr) => {
                self.clock |= expr.reads_now();
                Some(expr)
            }
            Err(mut errors) => {
                for error in &mut errors {
                    error.span = error.span.start + part.start..error.span.end + part.start;
                }
                self.problems.text(scalar, errors);
                None
            }
        }
    }

    /// Compiles a condition.
    fn condition(&mut self, node: &Node, what: &str, scope: &Scope) -> Option<Expr> {
        let expr = self.expr(node, what, scope)?;
        self.must_be_boolean(&expr, &node.span, what).then_some(expr)
    }

    fn must_be_boolean(&mut self, expr: &Expr, span: &Span, what: &str) -> bool {
        let fine = must_be_boolean(expr, what).map_err(|message| _ = self.problems.error(span, message));
        fine.is_ok()
    }

    /// One path or a list of paths, each an expression with the name that it gives.
    fn path_exprs(&mut self, node: &Node, what: &str, scope: &Scope) -> Option<Vec<(Arc<str>, Expr)>> {
        let paths = read::paths(node, what, self.problems)?;
        let mut exprs = Vec::with_capacity(paths.len());
        let mut fine = true;
        for (name, scalar) in paths {
            let last: Arc<str> = name.path.last_name().unwrap_or_default().into();
            match self.compile(scalar, 0..scalar.text.len(), scope) {
                Some(expr) => exprs.push((last, expr)),
                None => fine = false,
            }
        }
        fine.then_some(exprs)
    }

    /// Adds a step whose results are its input's events, edited.
    fn push_step(
        &mut self,
        name: Arc<str>,
        inputs: Vec<StreamId>,
        mut stream: Stream,
        edits: &[Edit],
        kind: StepKind,
    ) -> Stream {
        let (layouts, out) = self.map_layouts(&stream, edits);
        stream.id = StreamId::Step(self.steps.len());
        stream.layouts = out;
        let (changing, frame) = (stream.changing, stream.scope.frame);
        self.steps.push(Step { name, inputs, changing, needs_clock: self.clock, frame, layouts, kind });
        stream
    }

    /// Layouts after edits: for the step, and the set of those that can leave it.
    fn map_layouts(&mut self, stream: &Stream, edits: &[Edit]) -> (Vec<Option<LayoutId>>, BTreeSet<LayoutId>) {
        let mut map = Vec::new();
        let mut out = BTreeSet::new();
        for from in &stream.layouts {
            let to = self.wires.edited(stream.scope.frame, *from, edits);
            map.resize(usize::from(*from) + 1, None);
            map[usize::from(*from)] = Some(to);
            out.insert(to);
        }
        (map, out)
    }

    /// Reports a part of the language that this release does not run.
    fn not_yet(&mut self, span: &Span, what: &str, instead: &str) {
        self.problems.error(span, format!("{what} is not in this release")).help(instead);
    }

    /// Reports a field that a step wants to make where there is one already. False if so.
    fn free(&mut self, scope: &Scope, path: &crate::json::Path, span: &Span, help: &str) -> bool {
        let Some((at, known)) = scope.clash(path).filter(|_| !scope.unknown) else { return true };
        let who = match &known.maker {
            Some(step) => format!("`{step}` made it"),
            None => "it is declared in `fields`".to_owned(),
        };
        let message = if at == path {
            format!("there is a field `{path}` already")
        } else {
            format!("`{path}` clashes with `{at}`")
        };
        self.problems.error(span, message).label(who).help(help);
        false
    }
}

/// Where a step names what it reads.
fn inputs_span(node: &Node) -> Span {
    match &node.kind {
        Kind::Map(entries) => {
            entries.iter().find(|e| e.key.text == "from").map_or(node.span.clone(), |e| e.value.span.clone())
        }
        _ => node.span.clone(),
    }
}
