//! Sources and tables: topics, formats, declared fields, times.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Pass, Stream};
use crate::event::Micros;
use crate::expr::{Expr, Place, Type};
use crate::json::Path;
use crate::plan::problems::Problems;
use crate::plan::read::{self, Fields};
use crate::plan::scope::{Cloud, DeclId, Known, Scope, type_name};
use crate::plan::yaml::{Kind, Node};
use crate::plan::{Decode, Format, Layout, Read, Source, Start, StreamId, Table};

const TYPES: [(&str, Type); 7] = [
    ("VARCHAR", Type::Varchar),
    ("BIGINT", Type::Bigint),
    ("DOUBLE", Type::Double),
    ("DECIMAL", Type::Decimal),
    ("BOOLEAN", Type::Boolean),
    ("TIMESTAMP", Type::Timestamp),
    ("JSON", Type::Json),
];

/// Attributes that every CloudEvent may have, beside its extensions.
pub const ATTRIBUTES: [&str; 8] =
    ["id", "source", "specversion", "type", "datacontenttype", "dataschema", "subject", "time"];

const MINUTE: Micros = 60_000_000;

/// What sources and tables have in common.
struct Reading {
    topics: Vec<Arc<str>>,
    decode: Decode,
    lateness: Micros,
    idle: Option<Micros>,
    scope: Scope,
}

impl Pass<'_, '_> {
    pub(super) fn source(&mut self, id: DeclId) -> Option<Stream> {
        let decl = &self.outline.decls[id];
        let what = format!("the source `{}`", decl.name);
        let fields = Fields::read(decl.node, &what, &["kafka", "format", "fields", "time"], self.problems)?;
        let kafka = fields.need("kafka", &what, self.problems);
        let kafka = kafka.and_then(|node| Fields::read(node, "`kafka`", &["topic", "topics", "start"], self.problems));
        let start = kafka.and_then(|k| k.get("start")).and_then(|node| start(node, self.problems));
        let reading = self.reading(id, &fields, kafka);
        let stream = self.source_stream(StreamId::Source(self.sources.len()), &reading, false);
        self.source_decls.push(id);
        self.sources.push(Source {
            name: decl.name.clone(),
            topics: reading.topics,
            start: start.unwrap_or(Start::Earliest),
            decode: reading.decode,
            lateness: reading.lateness,
            idle: reading.idle,
        });
        Some(stream)
    }

    pub(super) fn table(&mut self, id: DeclId) -> Option<Stream> {
        let decl = &self.outline.decls[id];
        let what = format!("the table `{}`", decl.name);
        const KEYS: [&str; 6] = ["kafka", "key", "format", "fields", "time", "ttl"];
        let fields = Fields::read(decl.node, &what, &KEYS, self.problems)?;
        let kafka = fields.need("kafka", &what, self.problems).and_then(|node| {
            if let Kind::Map(entries) = &node.kind
                && let Some(start) = entries.iter().find(|e| e.key.text == "start")
            {
                self.problems
                    .error(&start.key.span, "a table has no `start`")
                    .help("a table is read from its beginning, so that every row is known");
                return Fields::read(node, "`kafka`", &["topic", "topics", "start"], self.problems);
            }
            Fields::read(node, "`kafka`", &["topic", "topics"], self.problems)
        });
        let reading = self.reading(id, &fields, kafka);
        let mut stream = self.source_stream(StreamId::Table(self.tables.len()), &reading, true);
        let mut key = None;
        stream.key = vec![("key".into(), Type::Varchar)];
        if let Some(node) = fields.get("key") {
            let (slots, columns) = self.table_key(node, &reading.scope)?;
            key = Some(slots);
            stream.key = columns;
        }
        let ttl = fields.get("ttl").and_then(|node| read::positive_duration(node, "`ttl`", self.problems));
        self.table_decls.push(id);
        self.tables.push(Table {
            name: decl.name.clone(),
            topics: reading.topics,
            decode: reading.decode,
            key,
            ttl,
            lateness: reading.lateness,
            idle: reading.idle,
        });
        Some(stream)
    }

    fn source_stream(&mut self, id: StreamId, reading: &Reading, changing: bool) -> Stream {
        let layout = self.wires.layout(reading.scope.frame, Layout { from_payload: true, edits: Vec::new() });
        let scope = reading.scope.clone();
        Stream { id, scope, changing, layouts: BTreeSet::from([layout]), key: Vec::new() }
    }

    fn reading(&mut self, id: DeclId, fields: &Fields<'_>, kafka: Option<Fields<'_>>) -> Reading {
        const FORMATS: [(&str, Format); 2] = [("json", Format::Json), ("cloudevents", Format::CloudEvents)];
        let frame = self.outline.decls[id].frame;
        let format = fields.get("format").and_then(|node| read::word(node, "format", &FORMATS, self.problems));
        let format = format.unwrap_or(Format::Json);
        let mut scope = Scope::new(frame);
        scope.origins.insert(id, BTreeSet::new());
        let mut reads = Vec::new();
        if let Some(node) = fields.get("fields").filter(|node| !node.is_null()) {
            reads = self.declared(node, frame);
            scope.closed = true;
            scope.unknown = node.is_broken();
            let known = reads.iter().map(|read| (read.path.clone(), Known::declared(read.ty.unwrap_or(Type::Any))));
            scope.known.extend(known);
        }
        if format == Format::CloudEvents {
            scope.cloud = Cloud::All;
            if scope.closed {
                for attribute in ATTRIBUTES {
                    scope.known.entry(Path::field(attribute)).or_insert(Known::declared(Type::Varchar));
                }
            }
        }
        let (time, lateness, idle) = self.time(fields, &scope);
        let topics = kafka.map(|kafka| topics(&kafka, self.problems)).unwrap_or_default();
        Reading { topics, decode: Decode { format, frame, reads, time }, lateness, idle, scope }
    }

    /// `fields`: a path and a type each.
    fn declared(&mut self, node: &Node, frame: usize) -> Vec<Read> {
        let mut reads: Vec<Read> = Vec::new();
        for entry in read::entries(node, "`fields`", self.problems).unwrap_or_default() {
            let ty = declared_type(&entry.value, self.problems);
            let Some(name) = read::field(&entry.key, "a declared field", true, self.problems) else { continue };
            let (ty, not_null) = ty.unwrap_or((Type::Any, false));
            let clash = reads.iter().find(|other| {
                let (above, below) = (&other.path, &name.path);
                above == below
                    || (below.below(above).is_some() && !matches!(other.ty, None | Some(Type::Json)))
                    || (above.below(below).is_some() && !matches!(ty, Type::Any | Type::Json))
            });
            if let Some(other) = clash {
                let message = format!("`{}` and `{}` cannot both be", name.path, other.path);
                self.problems.error(&entry.key.span, message).help("only a field of the type JSON has parts");
                continue;
            }
            let slot = self.wires.slot(frame, &name.path);
            let ty = (ty != Type::Any).then_some(ty);
            reads.push(Read { slot, path: name.path, ty, not_null });
        }
        reads
    }

    /// `time`: the expression, lateness and idleness.
    fn time(&mut self, fields: &Fields<'_>, scope: &Scope) -> (Option<Expr>, Micros, Option<Micros>) {
        let default = (None, 0, Some(MINUTE));
        let Some(node) = fields.get("time").filter(|node| !node.is_null()) else { return default };
        let Some(time) = Fields::read(node, "`time`", &["from", "lateness", "idle"], self.problems) else {
            return default;
        };
        let from = time.get("from").and_then(|node| {
            let expr = self.expr(node, "`from`", scope)?;
            let fine = matches!(expr.ty(), Type::Timestamp | Type::Varchar | Type::Any);
            if !fine {
                let ty = type_name(expr.ty());
                self.problems
                    .error(&node.span, format!("an event's time must be a TIMESTAMP, this is a {ty}"))
                    .help("to_timestamp(seconds) and to_timestamp_millis(milliseconds) make one of a number");
            }
            if expr.reads_now() {
                self.problems.error(&node.span, "an event's time cannot depend on now()");
            }
            fine.then_some(expr)
        });
        let lateness = time.get("lateness").and_then(|node| read::duration(node, "`lateness`", self.problems));
        let idle = match time.get("idle") {
            None => Some(MINUTE),
            Some(node) if node.scalar().is_some_and(|s| s.text == "off") => None,
            Some(node) => read::positive_duration(node, "`idle` (or `off`)", self.problems),
        };
        (from, lateness.unwrap_or(0), idle)
    }

    /// A table's `key`: slots, and the columns' names and types.
    #[expect(clippy::type_complexity, reason = "two lists that belong together, for one caller")]
    fn table_key(&mut self, node: &Node, scope: &Scope) -> Option<(Vec<u16>, Vec<(Arc<str>, Type)>)> {
        let paths = read::paths(node, "a key field", self.problems)?;
        if paths.is_empty() {
            self.problems
                .error(&node.span, "a table's key names at least one field")
                .help("without `key`, the record's own key is the row's");
            return None;
        }
        let mut slots = Vec::new();
        let mut columns: Vec<(Arc<str>, Type)> = Vec::new();
        for (name, scalar) in paths {
            if let Some(word) = read::pseudo_word(&name) {
                self.problems
                    .error(&scalar.span, format!("`{word}` is not a field of the value"))
                    .help("without `key`, the record's own key is the row's");
                return None;
            }
            let ty = match scope.type_of(&name.path) {
                Ok(ty) => ty,
                Err(error) => {
                    self.problems.error(&scalar.span, error.message).helps(error.help);
                    return None;
                }
            };
            let last: Arc<str> = name.path.last_name().unwrap_or_default().into();
            if columns.iter().any(|(other, _)| *other == last) {
                self.problems.error(&scalar.span, format!("two key fields are called `{last}`"));
                return None;
            }
            if let Place::Slot(slot) = self.wires.place(scope, &name.path) {
                slots.push(slot);
                columns.push((last, ty));
            }
        }
        Some((slots, columns))
    }

    /// Once all names are known: what each source and table reads from payloads.
    pub(super) fn finish_reads(&mut self) {
        let decodes =
            self.sources.iter_mut().map(|s| &mut s.decode).chain(self.tables.iter_mut().map(|t| &mut t.decode));
        let decls = self.source_decls.iter().chain(&self.table_decls);
        for (decode, id) in decodes.zip(decls) {
            for path in self.wires.reads.get(id).cloned().unwrap_or_default() {
                if !decode.reads.iter().any(|read| read.path == path) {
                    let slot = self.wires.slot(decode.frame, &path);
                    decode.reads.push(Read { slot, path, ty: None, not_null: false });
                }
            }
        }
    }
}

fn topics(kafka: &Fields<'_>, problems: &mut Problems) -> Vec<Arc<str>> {
    let (one, many) = (kafka.get("topic"), kafka.entry("topics"));
    match (one, many) {
        (Some(_), Some(many)) => {
            problems
                .error(&many.key.span, "`topic` and `topics` cannot both be given")
                .help("list all of them in `topics`");
            Vec::new()
        }
        (None, None) => {
            kafka.need("topic", "`kafka`", problems);
            Vec::new()
        }
        (Some(one), None) => read::topic(one, problems).into_iter().collect(),
        (None, Some(many)) => {
            let mut topics: Vec<Arc<str>> = Vec::new();
            for node in read::one_or_list(&many.value) {
                match read::topic(node, problems) {
                    Some(topic) if topics.contains(&topic) => {
                        problems.error(&node.span, "this topic is named twice");
                    }
                    Some(topic) => topics.push(topic),
                    None => {}
                }
            }
            if matches!(&many.value.kind, Kind::List(items) if items.is_empty()) {
                problems.error(&many.value.span, "`topics` names nothing");
            }
            topics
        }
    }
}

fn start(node: &Node, problems: &mut Problems) -> Option<Start> {
    let scalar = read::text(node, "`start`", problems)?;
    match scalar.text.as_str() {
        "earliest" => Some(Start::Earliest),
        "latest" => Some(Start::Latest),
        text => match text.parse::<jiff::Timestamp>() {
            Ok(at) => Some(Start::At(at.as_microsecond())),
            Err(_) => {
                problems
                    .error(&node.span, format!("`{}` is no place to start", scalar.shown()))
                    .help("it can be `earliest`, `latest` or a time such as 2026-01-31T12:00:00Z");
                None
            }
        },
    }
}

/// `DECIMAL`, `VARCHAR NOT NULL`.
fn declared_type(node: &Node, problems: &mut Problems) -> Option<(Type, bool)> {
    let scalar = read::text(node, "a field's type", problems)?;
    let words: Vec<String> = scalar.text.split_whitespace().map(str::to_ascii_uppercase).collect();
    let not_null = matches!(words.get(1..), Some([not, null]) if not == "NOT" && null == "NULL");
    let ty = TYPES.iter().find(|(name, _)| Some(*name) == words.first().map(String::as_str));
    match ty {
        Some((_, ty)) if not_null || words.len() == 1 => Some((*ty, not_null)),
        _ => {
            let names = TYPES.map(|(name, _)| name).join(", ");
            problems
                .error(&node.span, format!("`{}` is no type of a field", scalar.shown()))
                .help(format!("it can be {names}, each with or without NOT NULL"));
            None
        }
    }
}
