//! The file's outline: what is declared, who reads whom, in which order, and what nothing uses.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::plan::near;
use crate::plan::problems::Problems;
use crate::plan::read::{self, Fields};
use crate::plan::scope::DeclId;
use crate::plan::yaml::{Entry, Kind, Node, Scalar, Span};

mod circles;

pub const TOP: [&str; 10] =
    ["name", "sources", "tables", "shape", "match", "aggregate", "emit", "dead_letters", "limits", "tests"];

/// Something with a name that steps can read.
#[derive(Debug)]
pub struct Decl<'n> {
    pub name: Arc<str>,
    pub span: Span,
    pub kind: DeclKind,
    pub node: &'n Node,
    /// What `from` names.
    pub from: Vec<DeclId>,
    /// Tables that it looks up.
    pub looks_up: Vec<DeclId>,
    /// Something about its inputs was reported already.
    pub broken: bool,
    pub frame: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeclKind {
    Source,
    Table,
    Shape,
    Match,
    Aggregate,
}

impl DeclKind {
    /// The file's section.
    pub fn section(self) -> &'static str {
        match self {
            DeclKind::Source => "sources",
            DeclKind::Table => "tables",
            DeclKind::Shape => "shape",
            DeclKind::Match => "match",
            DeclKind::Aggregate => "aggregate",
        }
    }
}

#[derive(Debug)]
pub struct Emit<'n> {
    pub name: Arc<str>,
    pub node: &'n Node,
    pub from: Vec<DeclId>,
    pub broken: bool,
}

#[derive(Debug)]
pub struct Outline<'n> {
    pub top: Fields<'n>,
    pub decls: Vec<Decl<'n>>,
    pub by_name: BTreeMap<Arc<str>, DeclId>,
    pub emits: Vec<Emit<'n>>,
    /// Every declaration after those that it reads.
    pub order: Vec<DeclId>,
    /// Does an output read it, directly or not?
    pub used: Vec<bool>,
    pub frames: usize,
}

/// Reads the outline of a whole file.
pub fn read<'n>(root: &'n Node, problems: &mut Problems) -> Option<Outline<'n>> {
    let top = Fields::read(root, "the file", &TOP, problems)?;
    let mut outline = Outline {
        top,
        decls: Vec::new(),
        by_name: BTreeMap::new(),
        emits: Vec::new(),
        order: Vec::new(),
        used: Vec::new(),
        frames: 0,
    };
    for kind in [DeclKind::Source, DeclKind::Table, DeclKind::Shape, DeclKind::Match, DeclKind::Aggregate] {
        outline.declare(kind, problems);
    }
    outline.declare_outputs(problems);
    let references: Vec<(DeclId, Wanted)> =
        (0..outline.decls.len()).map(|id| (id, wanted(&outline.decls[id], problems))).collect();
    for (id, wanted) in references {
        outline.connect(id, wanted, problems);
    }
    outline.connect_outputs(problems);
    outline.sort(problems);
    outline.number_frames();
    outline.mark_used(problems);
    Some(outline)
}

/// The names that a step reads, as written.
#[derive(Default)]
struct Wanted<'n> {
    from: Option<Vec<&'n Scalar>>,
    looks_up: Vec<&'n Scalar>,
}

/// `from`: a name or a list of names.
fn from_names<'n>(node: &'n Node, what: &str, problems: &mut Problems) -> Option<Vec<&'n Scalar>> {
    let Kind::Map(entries) = &node.kind else { return None };
    let Some(entry) = entries.iter().find(|e| e.key.text == "from") else {
        if !read::misspelt(entries, "from", &["format"]) {
            problems.error(&read::head(node), format!("{what} needs `from`")).help("the names of what it reads");
        }
        return None;
    };
    let items = read::one_or_list(&entry.value);
    if items.is_empty() && !entry.value.is_broken() {
        problems.error(&entry.value.span, "`from` names nothing");
    }
    let names: Vec<_> = items.iter().filter_map(|item| read::text(item, "a name in `from`", problems)).collect();
    (names.len() == items.len() && !names.is_empty()).then_some(names)
}

fn child<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    match &node.kind {
        Kind::Map(entries) => entries.iter().find(|e| e.key.text == key).map(|e| &e.value),
        _ => None,
    }
}

fn wanted<'n>(decl: &Decl<'n>, problems: &mut Problems) -> Wanted<'n> {
    if matches!(decl.kind, DeclKind::Source | DeclKind::Table) {
        return Wanted::default();
    }
    let mut wanted = Wanted { from: from_names(decl.node, &format!("`{}`", decl.name), problems), looks_up: vec![] };
    let table = |node: &'n Node| child(node, "table").and_then(Node::scalar).filter(|s| !s.text.is_empty());
    match decl.kind {
        DeclKind::Shape => {
            if let Some(Kind::Map(entries)) = child(decl.node, "lookup").map(|node| &node.kind) {
                wanted.looks_up.extend(entries.iter().filter_map(|entry| table(&entry.value)));
            }
        }
        DeclKind::Match => wanted.looks_up.extend(child(decl.node, "rules").and_then(table)),
        _ => {}
    }
    wanted
}

impl<'n> Outline<'n> {
    fn section(&self, name: &str, problems: &mut Problems) -> &'n [Entry] {
        match self.top.get(name) {
            Some(node) if !node.is_null() => read::entries(node, &format!("`{name}`"), problems).unwrap_or_default(),
            _ => &[],
        }
    }

    fn declare(&mut self, kind: DeclKind, problems: &mut Problems) {
        for entry in self.section(kind.section(), problems) {
            check_name(&entry.key, problems);
            let name: Arc<str> = entry.key.text.as_str().into();
            let id = self.decls.len();
            if let Some(first) = self.by_name.get(&name) {
                let section = self.decls[*first].kind.section();
                problems
                    .error(&entry.key.span, format!("the name `{}` is taken", entry.key.shown()))
                    .help(format!("`{section}` has one already; sources, tables and steps share one name space"));
            } else {
                self.by_name.insert(name.clone(), id);
            }
            self.decls.push(Decl {
                name,
                span: entry.key.span.clone(),
                kind,
                node: &entry.value,
                from: Vec::new(),
                looks_up: Vec::new(),
                broken: !matches!(entry.value.kind, Kind::Map(_)),
                frame: id,
            });
        }
    }

    fn declare_outputs(&mut self, problems: &mut Problems) {
        for entry in self.section("emit", problems) {
            check_name(&entry.key, problems);
            let broken = !matches!(entry.value.kind, Kind::Map(_));
            let name: Arc<str> = entry.key.text.as_str().into();
            if self.emits.iter().any(|emit| emit.name == name) {
                problems.error(&entry.key.span, format!("there is an output `{name}` already"));
            }
            self.emits.push(Emit { name, node: &entry.value, from: Vec::new(), broken });
        }
    }

    fn connect(&mut self, id: DeclId, wanted: Wanted<'n>, problems: &mut Problems) {
        if matches!(self.decls[id].kind, DeclKind::Source | DeclKind::Table) {
            return;
        }
        let from = self.find_all(wanted.from, problems);
        let looks_up: Vec<Option<DeclId>> = wanted.looks_up.into_iter().map(|s| self.find(s, problems)).collect();
        let decl = &mut self.decls[id];
        decl.broken |= from.is_none();
        decl.from = from.unwrap_or_default();
        decl.looks_up = looks_up.into_iter().flatten().collect();
    }

    fn connect_outputs(&mut self, problems: &mut Problems) {
        for at in 0..self.emits.len() {
            let Emit { node, name, .. } = &self.emits[at];
            let names = from_names(node, &format!("the output `{name}`"), problems);
            let from = self.find_all(names, problems);
            let emit = &mut self.emits[at];
            emit.broken |= from.is_none();
            emit.from = from.unwrap_or_default();
        }
    }

    /// `None` if any name is unknown.
    fn find_all(&self, names: Option<Vec<&Scalar>>, problems: &mut Problems) -> Option<Vec<DeclId>> {
        let mut found: Vec<DeclId> = Vec::new();
        let mut fine = true;
        for scalar in names? {
            match self.find(scalar, problems) {
                Some(id) if found.contains(&id) => {
                    problems.error(&scalar.span, format!("`{}` is named twice", scalar.shown()));
                }
                Some(id) => found.push(id),
                None => fine = false,
            }
        }
        fine.then_some(found)
    }

    fn find(&self, scalar: &Scalar, problems: &mut Problems) -> Option<DeclId> {
        let found = self.by_name.get(scalar.text.as_str()).copied();
        if found.is_none() {
            let shown = scalar.shown();
            let mut help = near::suggest(&shown, "sources, tables and steps", self.by_name.keys().map(|n| &**n));
            if self.emits.iter().any(|emit| *emit.name == *scalar.text) {
                help.insert(0, "that is an output; nothing can read an output".to_owned());
            }
            problems.error(&scalar.span, format!("there is no `{shown}` to read")).helps(help);
        }
        found
    }

    /// Orders declarations so that each follows what it reads; what cannot be ordered stands in a circle.
    fn sort(&mut self, problems: &mut Problems) {
        let mut waits: Vec<BTreeSet<DeclId>> =
            self.decls.iter().map(|d| d.from.iter().chain(&d.looks_up).copied().collect()).collect();
        let mut readers: Vec<Vec<DeclId>> = vec![Vec::new(); self.decls.len()];
        for (id, inputs) in waits.iter().enumerate() {
            for input in inputs {
                readers[*input].push(id);
            }
        }
        let mut ready: BTreeSet<DeclId> = (0..waits.len()).filter(|id| waits[*id].is_empty()).collect();
        while let Some(id) = ready.pop_first() {
            self.order.push(id);
            for reader in &readers[id] {
                waits[*reader].remove(&id);
                if waits[*reader].is_empty() {
                    ready.insert(*reader);
                }
            }
        }
        for circle in circles::circles(&waits) {
            self.tell_circle(&circle, problems);
        }
        for (id, _) in waits.iter().enumerate().filter(|(_, waits)| !waits.is_empty()) {
            self.decls[id].broken = true;
            self.decls[id].from.clear();
            self.decls[id].looks_up.clear();
            self.order.push(id);
        }
    }

    fn tell_circle(&self, circle: &[DeclId], problems: &mut Problems) {
        let around = circle.iter().chain(circle.first());
        let names: Vec<String> = around.map(|id| format!("`{}`", self.decls[*id].name)).collect();
        let message = if names.len() == 2 {
            format!("{} reads itself", names[0])
        } else {
            format!("these steps read each other in a circle: {}", names.join(" reads "))
        };
        problems
            .error(&self.decls[circle[0]].span, message)
            .help("a dataflow runs one way; a topic can lead back to its start");
    }

    /// Streams that steps or outputs join share a frame; an aggregate begins a new one for its results, and so does a
    /// table.
    fn number_frames(&mut self) {
        let steps = self.decls.iter().enumerate().filter(|(_, d)| matches!(d.kind, DeclKind::Shape | DeclKind::Match));
        let aggregates = self.decls.iter().filter(|d| d.kind == DeclKind::Aggregate).map(|decl| &decl.from);
        let outputs = self.emits.iter().map(|emit| &emit.from);
        let joined: Vec<(DeclId, DeclId)> = steps
            .flat_map(|(id, decl)| decl.from.iter().map(move |input| (id, *input)))
            .chain(aggregates.chain(outputs).flat_map(|from| from.windows(2).map(|pair| (pair[0], pair[1]))))
            .collect();
        for (one, other) in joined {
            let (a, b) = (self.decls[one].frame, self.decls[other].frame);
            if a != b {
                self.decls.iter_mut().filter(|d| d.frame == a.max(b)).for_each(|d| d.frame = a.min(b));
            }
        }
        let roots: BTreeSet<usize> = self.decls.iter().map(|d| d.frame).collect();
        let numbers: BTreeMap<usize, usize> = roots.into_iter().enumerate().map(|(n, root)| (root, n)).collect();
        for decl in &mut self.decls {
            decl.frame = numbers[&decl.frame];
        }
        // One more, for what is wrong already.
        self.frames = numbers.len() + 1;
    }

    fn mark_used(&mut self, problems: &mut Problems) {
        let mut read = vec![false; self.decls.len()];
        self.used = vec![false; self.decls.len()];
        let mut todo: Vec<DeclId> = self.emits.iter().flat_map(|emit| emit.from.clone()).collect();
        todo.iter().for_each(|id| read[*id] = true);
        while let Some(id) = todo.pop() {
            if !std::mem::replace(&mut self.used[id], true) {
                todo.extend(self.decls[id].from.iter().chain(&self.decls[id].looks_up));
            }
        }
        for decl in &self.decls {
            decl.from.iter().chain(&decl.looks_up).for_each(|id| read[*id] = true);
        }
        // Where a reader is wrong, it may be the one that was meant to read this.
        if self.decls.iter().any(|d| d.broken) || self.emits.iter().any(|e| e.broken) {
            return;
        }
        for (id, decl) in self.decls.iter().enumerate() {
            if !read[id] && self.by_name.get(&decl.name) == Some(&id) {
                problems
                    .warning(&decl.span, format!("nothing reads `{}`", decl.name))
                    .help("it does not run; name it in a `from`, or take it out");
            }
        }
    }
}

fn check_name(name: &Scalar, problems: &mut Problems) {
    if !read::is_name(&name.text) {
        problems
            .error(&name.span, format!("`{}` is no name", name.shown()))
            .help("a name is lower-case letters, digits and `_`, and begins with a letter");
    }
}
