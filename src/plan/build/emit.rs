//! `emit`: outputs, their keys, headers, values and formats.

use std::ops::Range;
use std::sync::Arc;

use super::{Pass, Stream, inputs_span};
use crate::expr::{Expr, Place, Type};
use crate::json::Path;
use crate::plan::outline::Emit;
use crate::plan::read::{self, Fields};
use crate::plan::scope::{Cloud, Scope, ScopeNames, type_name};
use crate::plan::yaml::{Kind, Node, Span};
use crate::plan::{CloudEventOut, Direction, Member, Output, OutputFormat, OutputValue, StreamId};

/// Attributes that an output can give.
const ATTRIBUTES: [&str; 6] = ["type", "source", "subject", "id", "time", "datacontenttype"];

/// Where records go: `kafka` of an output.
#[derive(Default)]
struct Delivery {
    topic: Option<Arc<str>>,
    key: Option<Vec<Expr>>,
    key_names: Vec<Arc<str>>,
    key_is_input: bool,
    partition_by: Option<Vec<Expr>>,
    headers: Vec<(Arc<str>, Expr)>,
}

impl<'n> Pass<'_, 'n> {
    pub(super) fn emit(&mut self, emit: &Emit<'n>) -> Option<()> {
        let what = format!("the output `{}`", emit.name);
        const KEYS: [&str; 6] = ["from", "kafka", "where", "value", "order", "format"];
        let fields = Fields::read(emit.node, &what, &KEYS, self.problems)?;
        let from = inputs_span(emit.node);
        let (inputs, stream) = self.inputs(&emit.from, emit.broken, &from);
        let scope = &stream.scope;
        let delivery = fields.need("kafka", &what, self.problems).map(|node| self.delivery(node, &stream));
        let condition = fields.get("where").and_then(|node| self.condition(node, "`where`", scope));
        let value = fields.get("value").and_then(|node| self.value(node, scope));
        let order = fields.get("order").map(|node| self.order(node, scope)).unwrap_or_default();
        let whole = fields.get("value").is_none();
        let format = self.format(fields.get("format"), &stream, whole);
        if inputs.is_empty() || scope.unknown {
            return None;
        }
        let delivery = delivery?;
        let shared_keys = stream.changing && self.shares_keys(&delivery, &inputs, &stream);
        self.outputs.push(Output {
            name: emit.name.clone(),
            from: inputs,
            changing: stream.changing,
            topic: delivery.topic?,
            key: delivery.key,
            key_names: delivery.key_names,
            shared_keys,
            key_is_input: delivery.key_is_input,
            partition_by: delivery.partition_by,
            headers: delivery.headers,
            condition,
            value: value.unwrap_or(OutputValue::Whole),
            order,
            format,
            frame: scope.frame,
            needs_clock: self.clock,
        });
        Some(())
    }

    /// Rows of one collection have different keys, and so have their records if these columns are part of their key.
    fn shares_keys(&mut self, delivery: &Delivery, inputs: &[StreamId], stream: &Stream) -> bool {
        let Some(key) = &delivery.key else { return delivery.key_is_input || inputs.len() > 1 };
        let mut stands = |name: &Arc<str>| {
            let column = Place::Slot(self.wires.slot(stream.scope.frame, &Path::field(name)));
            key.iter().any(|expr| expr.place().as_ref() == Some(&column))
        };
        inputs.len() > 1 || !stream.key.iter().all(|(name, _)| stands(name))
    }

    fn delivery(&mut self, node: &'n Node, stream: &Stream) -> Delivery {
        let mut delivery = Delivery::default();
        const KEYS: [&str; 4] = ["topic", "key", "partition_by", "headers"];
        let Some(kafka) = Fields::read(node, "`kafka`", &KEYS, self.problems) else { return delivery };
        let scope = &stream.scope;
        delivery.topic =
            kafka.need("topic", "`kafka`", self.problems).and_then(|node| read::topic(node, self.problems));
        match kafka.get("key") {
            Some(node) => {
                delivery.key_is_input = node.scalar().is_some_and(|s| s.text.trim() == "_key");
                let key = self.path_exprs(node, "a path in `key`", scope).unwrap_or_default();
                self.distinct_names(node, &key);
                let (names, exprs) = key.into_iter().unzip();
                delivery.key_names = names;
                delivery.key = (!delivery.key_is_input).then_some(exprs);
            }
            None => delivery.key_names = stream.key.iter().map(|(name, _)| name.clone()).collect(),
        }
        delivery.partition_by = kafka.get("partition_by").and_then(|node| {
            let paths = self.path_exprs(node, "a path in `partition_by`", scope)?;
            Some(paths.into_iter().map(|(_, expr)| expr).collect())
        });
        if let Some(node) = kafka.get("headers") {
            for entry in read::entries(node, "`headers`", self.problems).unwrap_or_default() {
                let what = format!("the header `{}`", entry.key.shown());
                if let Some(expr) = self.expr(&entry.value, &what, scope) {
                    delivery.headers.push((entry.key.text.as_str().into(), expr));
                }
            }
        }
        delivery
    }

    /// Keys of several columns are objects: their names must differ.
    fn distinct_names(&mut self, node: &Node, key: &[(Arc<str>, Expr)]) {
        for (at, (name, _)) in key.iter().enumerate() {
            if key[..at].iter().any(|(other, _)| other == name) {
                let span = read::one_or_list(node).get(at).map_or(node.span.clone(), |item| item.span.clone());
                self.problems
                    .error(&span, format!("two fields of the key are called `{name}`"))
                    .help("names in a key are last segments of paths: `set` one of them under another name");
            }
        }
    }

    /// An expression, or a mapping of names to values.
    fn value(&mut self, node: &Node, scope: &Scope) -> Option<OutputValue> {
        match &node.kind {
            Kind::Map(entries) => {
                let mut members = Vec::with_capacity(entries.len());
                for entry in entries {
                    if let Some(value) = self.value(&entry.value, scope) {
                        members.push(Member { name: entry.key.text.as_str().into(), value });
                    }
                }
                Some(OutputValue::Object(members))
            }
            Kind::List(_) => {
                self.problems
                    .error(&node.span, "a value is an expression or a mapping, this is a list")
                    .help("json_array(a, b) makes an array");
                None
            }
            _ => self.expr(node, "a value", scope).map(OutputValue::One),
        }
    }

    /// `priority DESC, id`.
    fn order(&mut self, node: &Node, scope: &Scope) -> Vec<(Expr, Direction)> {
        let mut order = Vec::new();
        for item in read::one_or_list(node) {
            let Some(scalar) = read::text(item, "`order`", self.problems) else { continue };
            for part in commas(&scalar.text) {
                let (part, direction) = direction(&scalar.text, part);
                if part.is_empty() {
                    let span = scalar.places.span(&(part.start..part.start + 1));
                    self.problems.error(&span, "an expression is missing in `order`");
                    continue;
                }
                if let Some(expr) = self.compile(scalar, part, scope) {
                    order.push((expr, direction));
                }
            }
        }
        order
    }

    fn format(&mut self, node: Option<&'n Node>, stream: &Stream, whole: bool) -> OutputFormat {
        let Some(node) = node else { return OutputFormat::Json };
        let attributes = match &node.kind {
            Kind::Map(_) => {
                let known = Fields::read(node, "`format`", &["cloudevents"], self.problems);
                match known.and_then(|fields| fields.need("cloudevents", "`format`", self.problems)) {
                    Some(node) => Some(node).filter(|node| !node.is_null()),
                    None => return OutputFormat::Json,
                }
            }
            _ => match read::word(node, "format", &[("json", false), ("cloudevents", true)], self.problems) {
                Some(true) => None,
                _ => return OutputFormat::Json,
            },
        };
        OutputFormat::CloudEvents(Box::new(self.cloud_event(attributes, node, stream, whole)))
    }

    fn cloud_event(&mut self, given: Option<&'n Node>, format: &Node, stream: &Stream, whole: bool) -> CloudEventOut {
        let scope = &stream.scope;
        let place = given.map_or(format.span.clone(), read::head);
        let mut out = CloudEventOut { structured: false, attributes: vec![], fallback: vec![], data: None };
        const KEYS: [&str; 7] = ["mode", "type", "source", "subject", "id", "time", "datacontenttype"];
        let fields = given.and_then(|node| Fields::read(node, "`cloudevents`", &KEYS, self.problems));
        if let Some(node) = fields.and_then(|fields| fields.get("mode")) {
            let words = [("binary", false), ("structured", true)];
            out.structured = read::word(node, "mode", &words, self.problems).unwrap_or(false);
        }
        for name in ATTRIBUTES {
            match fields.and_then(|fields| fields.get(name)) {
                Some(node) => {
                    if let Some(expr) = self.expr(node, &format!("`{name}`"), scope) {
                        self.attribute_type(node, name, &expr);
                        out.attributes.push((name.into(), expr));
                    }
                }
                None if scope.type_of(&Path::field(name)).is_ok() => {
                    out.fallback.extend(self.field(name, scope).map(|expr| (Arc::from(name), expr)));
                }
                None if matches!(name, "type" | "source") => {
                    self.problems
                        .error(&place, format!("a CloudEvent needs `{name}`"))
                        .help(format!("the events have no field of that name; give an expression: {name}: \"'text'\""));
                }
                None if name == "id" => self.needs_id(&place, stream),
                None => {}
            }
        }
        if whole && !scope.unknown {
            match scope.cloud {
                Cloud::All => out.data = self.field("data", scope),
                Cloud::None => {}
                Cloud::Some => {
                    self.problems
                        .error(&format.span, "some of these events came as CloudEvents and some did not")
                        .help("give `value`: it says what the data is, for all of them");
                }
            }
        }
        out
    }

    /// Without a field `id` the id is the place of the event's record: what has none would all have the same.
    fn needs_id(&mut self, place: &Span, stream: &Stream) {
        let why = match &stream.scope.pseudo {
            Err(why) => why.to_string(),
            Ok(()) if stream.changing => "a row of a table has no record of its own".to_owned(),
            Ok(()) => return,
        };
        let columns: Vec<&str> = match stream.changing {
            true => stream.key.iter().map(|(name, _)| &**name).chain(["now()"]).collect(),
            false => vec!["…", "window_start"],
        };
        self.problems
            .error(place, "a CloudEvent needs `id`")
            .help(why)
            .help(format!("give an expression that differs for each: id: \"concat_ws('/', {})\"", columns.join(", ")));
    }

    /// A field of the event, without a word about it in the file: it need not be declared.
    fn field(&mut self, name: &str, scope: &Scope) -> Option<Expr> {
        let open = Scope { closed: false, ..scope.clone() };
        let mut names = ScopeNames { scope: &open, wires: self.wires, alias: None };
        Expr::compile(name, &mut names).ok()
    }

    fn attribute_type(&mut self, node: &Node, name: &str, expr: &Expr) {
        let fine = match name {
            "time" => matches!(expr.ty(), Type::Timestamp | Type::Varchar | Type::Any | Type::Null),
            _ => !matches!(expr.ty(), Type::Json),
        };
        if !fine {
            let ty = type_name(expr.ty());
            let wanted = if name == "time" { "a TIMESTAMP" } else { "a text" };
            self.problems.error(&node.span, format!("`{name}` must be {wanted}, this is a {ty}"));
        }
    }
}

/// Parts between commas that stand outside of parentheses, brackets and quotes.
fn commas(text: &str) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let (mut start, mut depth, mut quote) = (0, 0i64, None);
    for (at, c) in text.char_indices() {
        match quote {
            Some(q) if q == c => quote = None,
            Some(_) => {}
            None => match c {
                '\'' | '"' => quote = Some(c),
                '(' | '[' => depth += 1,
                ')' | ']' => depth -= 1,
                ',' if depth == 0 => {
                    parts.push(start..at);
                    start = at + 1;
                }
                _ => {}
            },
        }
    }
    parts.push(start..text.len());
    parts
}

/// Takes `ASC` or `DESC` off the end of a part, and blanks off both ends.
fn direction(text: &str, part: Range<usize>) -> (Range<usize>, Direction) {
    let trim = |part: Range<usize>| {
        let inner = &text[part.clone()];
        let start = part.start + (inner.len() - inner.trim_start().len());
        start..(start + inner.trim().len())
    };
    let part = trim(part);
    let inner = &text[part.clone()];
    let Some(blank) = inner.rfind(char::is_whitespace) else { return (part, Direction::Ascending) };
    let word = inner[blank..].trim_start();
    let direction = match word.to_ascii_uppercase().as_str() {
        "DESC" => Direction::Descending,
        "ASC" => Direction::Ascending,
        _ => return (part, Direction::Ascending),
    };
    (trim(part.start..part.start + blank), direction)
}
