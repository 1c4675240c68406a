//! The parser's events → the tree.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry::{Occupied, Vacant};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Tag};

use super::{Entry, Kind, Node, Places, Scalar, Span, Style};
use crate::plan::problems::Problems;
use crate::plan::{Options, near};

/// Parses one document. `None` if there is nothing to go on with; why is in `problems`.
pub fn parse(file: &str, options: &Options, problems: &mut Problems) -> Option<Node> {
    if refused(file, options, problems) {
        return None;
    }
    let mut builder = Builder {
        file,
        bytes: (!file.is_ascii()).then(|| file.char_indices().map(|(at, _)| at).collect()),
        options,
        problems,
        open: Vec::new(),
        anchors: BTreeMap::new(),
        nodes: 0,
        copied: 0,
        documents: 0,
        root: None,
    };
    for event in Parser::new_from_str(file) {
        match event {
            Ok((event, span)) => {
                let start = builder.byte(&span.start);
                let end = builder.byte(&span.end).max(start);
                builder.event(event, start..end)?;
            }
            Err(error) => {
                builder.syntax(&error);
                return None;
            }
        }
        if builder.documents > 1 {
            break;
        }
    }
    if builder.root.is_none() {
        builder
            .problems
            .error(&(0..0), "the file is empty")
            .help("a dataflow file needs at least `name`, a source or table, and an output in `emit`");
    }
    builder.root
}

/// What is not even looked at.
fn refused(file: &str, options: &Options, problems: &mut Problems) -> bool {
    if file.len() > options.max_bytes {
        problems.error(&(0..0), format!("the file is larger than {} bytes", options.max_bytes));
        return true;
    }
    let control = file.char_indices().find(|(_, c)| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{85}'));
    if let Some((at, c)) = control {
        problems.error(&(at..at + c.len_utf8()), "a control character is not allowed in a YAML file");
    }
    control.is_some()
}

struct Builder<'a> {
    file: &'a str,
    /// Character → byte, for files that are not ASCII.
    bytes: Option<Vec<usize>>,
    options: &'a Options,
    problems: &'a mut Problems,
    open: Vec<Open>,
    /// What has a name, and how many values it holds.
    anchors: BTreeMap<usize, (Node, usize)>,
    nodes: usize,
    /// Values behind aliases.
    copied: usize,
    documents: usize,
    root: Option<Node>,
}

/// A list or a map that has begun.
struct Open {
    start: Span,
    anchor: usize,
    items: Items,
}

enum Items {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, key: Option<Node> },
}

impl Builder<'_> {
    fn byte(&self, mark: &Marker) -> usize {
        match &self.bytes {
            None => mark.index().min(self.file.len()),
            Some(bytes) => bytes.get(mark.index()).copied().unwrap_or(self.file.len()),
        }
    }

    fn syntax(&mut self, error: &ScanError) {
        let at = self.byte(error.marker());
        let rest = &self.file[at..];
        let len = rest.chars().next().filter(|c| !c.is_whitespace()).map_or(0, char::len_utf8);
        let info = error.info().trim_end_matches('.');
        let before = (0..=at.saturating_sub(3)).rev().find(|at| self.file.is_char_boundary(*at)).unwrap_or(0);
        let variable = self.file[before..at + len].contains("${");
        let mut draft = self.problems.error(&(at..at + len), format!("this is not YAML: {info}"));
        draft.help(if variable {
            "within braces or brackets a variable is quoted: \"${NAME}\""
        } else {
            "an expression that holds `: ` or ` #`, within braces also `,` `{` or `[`, or that begins with a quote or \
             one of `* & ! % @ -`, stands in quotes as a whole"
        });
    }

    /// `None` stops.
    fn event(&mut self, event: Event<'_>, span: Span) -> Option<()> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let node = self.scalar(&text, style, span, tag.as_deref());
                self.anchor(anchor, &node);
                self.put(node)
            }
            Event::SequenceStart(anchor, tag) => self.begin(span, anchor, Items::List(Vec::new()), tag.as_deref()),
            Event::MappingStart(anchor, tag) => {
                let items = Items::Map { entries: Vec::new(), key: None };
                self.begin(span, anchor, items, tag.as_deref())
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.problems
                        .error(&span, "a second YAML document")
                        .label("starts here")
                        .help("a dataflow file is one document; put the other one in a file of its own");
                }
                Some(())
            }
            _ => Some(()),
        }
    }

    /// What has this name stands here once more.
    fn alias(&mut self, anchor: usize, span: Span) -> Option<()> {
        let Some((_, size)) = self.anchors.get(&anchor) else {
            self.problems.error(&span, "this alias stands inside what it names");
            return self.put(Node::broken(span));
        };
        self.copied += size;
        if self.copied > self.options.max_copied {
            let message = format!("aliases stand for more than {} values", self.options.max_copied);
            self.problems.error(&span, message);
            return None;
        }
        let node = self.anchors[&anchor].0.clone();
        self.put(node)
    }

    fn begin(&mut self, span: Span, anchor: usize, items: Items, tag: Option<&Tag>) -> Option<()> {
        self.tag(&span, tag);
        if self.open.len() >= self.options.max_depth {
            let limit = self.options.max_depth;
            self.problems.error(&span, format!("the file nests deeper than {limit} levels"));
            return None;
        }
        self.open.push(Open { start: span, anchor, items });
        Some(())
    }

    fn end(&mut self, end: Span) -> Option<()> {
        let Open { start, anchor, items } = self.open.pop()?;
        let flow = self.file[start.start..].starts_with(['{', '[']);
        let mut span = start.start..if flow { end.end } else { start.end };
        let kind = match items {
            Items::List(items) => Kind::List(items),
            Items::Map { entries, .. } => Kind::Map(entries),
        };
        let last = match &kind {
            Kind::List(items) => items.last().map(|node| node.span.end),
            Kind::Map(entries) => entries.last().map(|entry| entry.value.span.end.max(entry.key.span.end)),
            _ => None,
        };
        span.end = span.end.max(last.filter(|_| !flow).unwrap_or(0)).max(span.start);
        let mut node = Node { span, kind };
        if flow {
            super::split::check(self.file, &mut node, self.problems);
        }
        self.keys_once(&mut node);
        self.anchor(anchor, &node);
        self.put(node)
    }

    /// Of a key that comes again the first counts. What a comma has split is joined by now: its pieces are no keys.
    fn keys_once(&mut self, node: &mut Node) {
        let Kind::Map(entries) = &mut node.kind else { return };
        let mut starts = BTreeMap::new();
        entries.retain(|Entry { key, .. }| match starts.entry(key.text.clone()) {
            Vacant(place) => {
                place.insert(key.span.start);
                true
            }
            Occupied(first) => {
                let line = near::line_of(self.file, *first.get());
                self.problems
                    .error(&key.span, format!("the key `{}` stands here twice", key.shown()))
                    .help(format!("it was given on line {line} already; give each key once"));
                false
            }
        });
    }

    fn anchor(&mut self, anchor: usize, node: &Node) {
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), size(node)));
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, span: Span, tag: Option<&Tag>) -> Node {
        self.tag(&span, tag);
        let style = match style {
            ScalarStyle::Plain => Style::Plain,
            ScalarStyle::SingleQuoted => Style::SingleQuoted,
            ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
            ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
        };
        let (places, mut end) = Places::align(self.file, &span, style, text);
        if style == Style::Block {
            end = span.start + self.file[span.start..end].trim_end().len();
        }
        let span = span.start..end;
        let scalar = Scalar { text: text.to_owned(), span: span.clone(), style, places, template: None };
        Node { span, kind: Kind::Scalar(scalar) }
    }

    fn tag(&mut self, span: &Span, tag: Option<&Tag>) {
        if let Some(tag) = tag {
            let name = if tag.is_yaml_core_schema() { format!("!!{}", tag.suffix) } else { tag.to_string() };
            let message = format!("the YAML tag `{name}` has no meaning here");
            self.problems.error(span, message).help("leave it out; quotes make a text of a number");
        }
    }

    /// Puts a finished node where it belongs.
    fn put(&mut self, node: Node) -> Option<()> {
        self.nodes += 1;
        if self.nodes > self.options.max_nodes {
            let message = format!("the file holds more than {} values", self.options.max_nodes);
            self.problems.error(&node.span, message);
            return None;
        }
        match self.open.last_mut().map(|open| &mut open.items) {
            None => self.root = Some(node),
            Some(Items::List(items)) => items.push(node),
            Some(Items::Map { entries, key }) => match key.take() {
                None => *key = Some(node),
                Some(name) => match name.kind {
                    Kind::Scalar(scalar) => entries.push(Entry { key: scalar, value: node }),
                    Kind::Broken => {}
                    _ => {
                        self.problems
                            .error(&name.span, "a list or a mapping cannot be a key")
                            .help("if this is text that begins with `{` or `[`, quote it");
                    }
                },
            },
        }
        Some(())
    }
}

/// The number of nodes.
fn size(node: &Node) -> usize {
    match &node.kind {
        Kind::Scalar(_) | Kind::Broken => 1,
        Kind::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Kind::Map(entries) => 1 + entries.iter().map(|entry| 1 + size(&entry.value)).sum::<usize>(),
    }
}
