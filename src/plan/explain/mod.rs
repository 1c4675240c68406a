//! A plan as a graph that people read: who reads whom, by which key events change workers, what is read from
//! payloads. It shows names, never an expression's text: a text may hold what the environment gave.

mod drawing;
mod json;
mod text;

use crate::event::Micros;
use crate::plan::{
    Aggregate, Edit, Format, Frame, Output, Plan, Results, Rules, ShapeOp, Source, Start, Step, StepKind, StreamId,
};

/// How [`explain`] writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Text,
    Mermaid,
    Dot,
    Json,
}

/// The graph of a plan.
pub fn explain(plan: &Plan, style: Style) -> String {
    let graph = Graph::of(plan);
    match style {
        Style::Text => text::write(&graph),
        Style::Mermaid => drawing::mermaid(&graph),
        Style::Dot => drawing::dot(&graph),
        Style::Json => json::write(&graph),
    }
}

struct Graph {
    name: String,
    hash: u64,
    stateful: bool,
    nodes: Vec<GraphNode>,
    edges: Vec<Edge>,
    dead_letters: String,
}

struct GraphNode {
    name: String,
    kind: Kind,
    /// What it does, in a few words each: `where`, `set total`.
    does: Vec<String>,
    /// Topics read or written.
    topics: Vec<String>,
    /// Paths read from payloads.
    reads: Vec<String>,
    changing: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Source,
    Table,
    Shape,
    Match,
    Aggregate,
    Output,
}

struct Edge {
    from: usize,
    to: usize,
    /// `lookup` or `rules` where it is a table's rows that are read, not a stream that flows.
    role: Option<&'static str>,
    /// The columns by whose values partial results go to another worker.
    exchange: Option<Vec<String>>,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Source => "source",
            Kind::Table => "table",
            Kind::Shape => "shape",
            Kind::Match => "match",
            Kind::Aggregate => "aggregate",
            Kind::Output => "output",
        }
    }
}

impl Graph {
    fn of(plan: &Plan) -> Self {
        let mut graph = Graph {
            name: plan.name.to_string(),
            hash: plan.hash,
            stateful: plan.stateful,
            nodes: Vec::new(),
            edges: Vec::new(),
            dead_letters: plan.dead_letters.topic.to_string(),
        };
        for source in &plan.sources {
            graph.input(&source.name, Kind::Source, source_does(source), &source.topics, &source.decode.reads);
        }
        for table in &plan.tables {
            let paths = &plan.frames[table.decode.frame].paths;
            let mut does = vec![format_name(table.decode.format).to_owned()];
            does.push(match &table.key {
                Some(key) => format!("key {}", names(key.iter().map(|slot| paths[usize::from(*slot)].to_string()))),
                None => "key of the record".to_owned(),
            });
            does.extend(table.ttl.map(|ttl| format!("ttl {}", duration(ttl))));
            graph.input(&table.name, Kind::Table, does, &table.topics, &table.decode.reads);
        }
        for step in &plan.steps {
            graph.step(plan, step);
        }
        for output in &plan.outputs {
            graph.output(plan, output);
        }
        graph
    }

    fn input(
        &mut self,
        name: &str,
        kind: Kind,
        does: Vec<String>,
        topics: &[std::sync::Arc<str>],
        reads: &[crate::plan::Read],
    ) {
        self.nodes.push(GraphNode {
            name: name.to_owned(),
            kind,
            does,
            topics: topics.iter().map(ToString::to_string).collect(),
            reads: reads.iter().map(|read| read.path.to_string()).collect(),
            changing: kind == Kind::Table,
        });
    }

    fn node_of(plan: &Plan, stream: StreamId) -> usize {
        match stream {
            StreamId::Source(at) => at,
            StreamId::Table(at) => plan.sources.len() + at,
            StreamId::Step(at) => plan.sources.len() + plan.tables.len() + at,
        }
    }

    fn step(&mut self, plan: &Plan, step: &Step) {
        let to = self.nodes.len();
        let mut exchange = None;
        let (kind, does) = match &step.kind {
            StepKind::Shape(ops) => {
                for op in ops {
                    if let ShapeOp::Lookup(lookup) = op {
                        self.table_edge(plan, lookup.table, to, "lookup");
                    }
                }
                (Kind::Shape, shape(plan, step, ops))
            }
            StepKind::Match(matching) => {
                let rules = match &matching.rules {
                    Rules::File(rules) => format!("{} rules of the file", rules.len()),
                    Rules::Table { table, .. } => {
                        self.table_edge(plan, *table, to, "rules");
                        format!("rules of {}", self.nodes[Self::node_of(plan, *table)].name)
                    }
                };
                let results = match matching.results {
                    Results::Each => "each match",
                    Results::All => "all matches at once",
                    Results::Best(_) => "the best match",
                };
                (Kind::Match, vec![rules, results.to_owned()])
            }
            StepKind::Aggregate(aggregate) => {
                let (by, does) = aggregate_does(&plan.frames[step.frame], aggregate);
                exchange = Some(by);
                (Kind::Aggregate, does)
            }
        };
        for input in &step.inputs {
            self.edges.push(Edge { from: Self::node_of(plan, *input), to, role: None, exchange: exchange.clone() });
        }
        let name = step.name.to_string();
        self.nodes.push(GraphNode { name, kind, does, topics: vec![], reads: vec![], changing: step.changing });
    }

    fn table_edge(&mut self, plan: &Plan, table: StreamId, to: usize, role: &'static str) {
        self.edges.push(Edge { from: Self::node_of(plan, table), to, role: Some(role), exchange: None });
    }

    fn output(&mut self, plan: &Plan, output: &Output) {
        let to = self.nodes.len();
        let mut does = Vec::new();
        if output.key_is_input {
            does.push("key of the record".to_owned());
        } else if output.key.is_some() || output.changing {
            does.push(format!("key {}", names(output.key_names.iter().map(ToString::to_string))));
        }
        does.extend(output.partition_by.as_ref().map(|_| "partitioned by fields of its own".to_owned()));
        does.extend(output.condition.as_ref().map(|_| "where".to_owned()));
        if !output.headers.is_empty() {
            does.push(format!("headers {}", names(output.headers.iter().map(|(name, _)| name.to_string()))));
        }
        if let crate::plan::OutputFormat::CloudEvents(_) = output.format {
            does.push("cloudevents".to_owned());
        }
        for input in &output.from {
            self.edges.push(Edge { from: Self::node_of(plan, *input), to, role: None, exchange: None });
        }
        self.nodes.push(GraphNode {
            name: output.name.to_string(),
            kind: Kind::Output,
            does,
            topics: vec![output.topic.to_string()],
            reads: Vec::new(),
            changing: output.changing,
        });
    }
}

fn source_does(source: &Source) -> Vec<String> {
    let mut does = vec![format_name(source.decode.format).to_owned()];
    match source.start {
        Start::Earliest => {}
        Start::Latest => does.push("from the latest record".to_owned()),
        Start::At(_) => does.push("from a time on".to_owned()),
    }
    if source.decode.time.is_some() {
        does.push("a time of its own".to_owned());
    }
    if source.lateness > 0 {
        does.push(format!("lateness {}", duration(source.lateness)));
    }
    does
}

/// Groups, and what an aggregate does.
fn aggregate_does(frame: &Frame, aggregate: &Aggregate) -> (Vec<String>, Vec<String>) {
    let path = |slot: &u16| frame.paths[usize::from(*slot)].to_string();
    let (by, rest) = aggregate.columns.split_at(aggregate.by.len());
    let by: Vec<String> = by.iter().map(path).collect();
    let mut does = vec![format!("by {}", names(by.iter().cloned()))];
    does.extend(aggregate.window.map(|window| format!("windows of {}", duration(window))));
    does.push(format!("measures {}", names(rest[..aggregate.measures.len()].iter().map(path))));
    does.extend(aggregate.having.as_ref().map(|_| "having".to_owned()));
    does.extend(aggregate.ttl.map(|ttl| format!("ttl {}", duration(ttl))));
    (by, does)
}

/// The operations of a shape step, with the fields that they make or take.
fn shape(plan: &Plan, step: &Step, ops: &[ShapeOp]) -> Vec<String> {
    let frame = &plan.frames[step.frame];
    let path = |slot: u16| frame.paths[usize::from(slot)].to_string();
    let mut cuts = cuts(frame, step).into_iter();
    let mut does = Vec::new();
    for op in ops {
        does.push(match op {
            ShapeOp::Where(_) => "where".to_owned(),
            ShapeOp::Unnest(unnest) => format!("unnest {} as {}", path(unnest.items), path(unnest.item.slot)),
            ShapeOp::Lookup(lookup) => {
                let required = if lookup.required { " (required)" } else { "" };
                format!("lookup {}{required}", lookup.row.name)
            }
            ShapeOp::Set { target, .. } => format!("set {}", path(target.slot)),
            ShapeOp::Keep(_) => format!("keep {}", cuts.next().unwrap_or_default()),
            ShapeOp::Drop(_) => format!("drop {}", cuts.by_ref().collect::<Vec<_>>().join(", ")),
        });
    }
    does
}

/// What `keep` leaves and `drop` takes, as the step's layouts say it.
fn cuts(frame: &Frame, step: &Step) -> Vec<String> {
    let way = step.layouts.iter().enumerate().find_map(|(from, to)| to.map(|to| (from, usize::from(to))));
    let Some((from, to)) = way else { return Vec::new() };
    let before = frame.layouts[from].edits.len().min(frame.layouts[to].edits.len());
    let unnested = matches!(&step.kind, StepKind::Shape(ops) if ops.iter().any(|op| matches!(op, ShapeOp::Unnest(_))));
    let cuts = frame.layouts[to].edits[before..].iter().filter_map(|edit| match edit {
        Edit::Set(_) => None,
        Edit::Drop(path) => Some(path.to_string()),
        Edit::Keep(paths) => Some(names(paths.iter().map(ToString::to_string))),
    });
    cuts.skip(usize::from(unnested)).collect()
}

fn names(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

fn format_name(format: Format) -> &'static str {
    match format {
        Format::Json => "json",
        Format::CloudEvents => "cloudevents",
    }
}

/// A duration as the file writes it.
fn duration(micros: Micros) -> String {
    const UNITS: [(&str, Micros); 5] =
        [("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000)];
    let unit = UNITS.into_iter().find(|(_, unit)| micros >= *unit && micros % unit == 0);
    unit.map_or_else(|| format!("{micros}us"), |(name, unit)| format!("{}{name}", micros / unit))
}
