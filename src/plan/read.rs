//! Reading a mapping's keys and a scalar's meaning: durations, sizes, counts, names, lists of paths.
//!
//! Every reader takes a node and gives the value, or reports what was expected and gives `None`.

use std::time::Duration;

use crate::event::Micros;
use crate::expr::{self, Name};
use crate::json::Segment;
use crate::plan::near;
use crate::plan::problems::Problems;
use crate::plan::yaml::{Entry, Kind, Node, Scalar, Span};

/// The keys of a mapping, all of them known.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'n> {
    pub node: &'n Node,
    entries: &'n [Entry],
    known: &'static [&'static str],
}

impl<'n> Fields<'n> {
    /// Reports what is no mapping, and every key that is not `known`.
    pub fn read(node: &'n Node, what: &str, known: &'static [&'static str], problems: &mut Problems) -> Option<Self> {
        let entries = entries(node, what, problems)?;
        for entry in entries {
            if !known.contains(&entry.key.text.as_str()) {
                unknown_key(entry, what, known, problems);
            }
        }
        Some(Self { node, entries, known })
    }

    pub fn get(&self, key: &str) -> Option<&'n Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    pub fn entry(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key.text == key)
    }

    /// The value of a key that must be there.
    pub fn need(&self, key: &str, what: &str, problems: &mut Problems) -> Option<&'n Node> {
        let found = self.get(key);
        if found.is_none() && !misspelt(self.entries, key, self.known) {
            let mut draft = problems.error(&head(self.node), format!("{what} needs `{key}`"));
            draft.helps(example(key).map(str::to_owned));
        }
        found
    }
}

/// Is there an unknown key that looks like this one? Then it was reported, and nothing is missing.
pub fn misspelt(entries: &[Entry], key: &str, known: &[&str]) -> bool {
    entries
        .iter()
        .map(|entry| entry.key.text.as_str())
        .any(|other| !known.contains(&other) && near::nearest(other, known.iter().copied().chain([key])).contains(&key))
}

/// What a key that must be there can look like.
fn example(key: &str) -> Option<&'static str> {
    Some(match key {
        "name" => "the job's name: `name: orders`",
        "kafka" => "`kafka: { topic: orders.v1 }`",
        "topic" => "`topic: orders.v1`",
        "by" => "paths, or names and expressions; `by: []` is one group of everything",
        "measures" => "`measures: { orders: count(*), total: sum(amount) }`",
        "rules" => "`rules: { table: subscriptions, pattern: pattern }`, or rules by name",
        "pattern" => "`pattern: { type: [order.paid] }`, or for a table the field that holds it",
        "table" => "the name of a table",
        "on" => "the paths of the values that are the table's key",
        "tumbling" => "`window: { tumbling: 1m }`",
        _ => return None,
    })
}

/// Where to point for something that a mapping lacks: its first key, or its opening brace.
pub fn head(node: &Node) -> Span {
    match &node.kind {
        Kind::Map(entries) => match entries.first() {
            Some(first) if first.key.span.start == node.span.start => first.key.span.clone(),
            _ => node.span.start..(node.span.start + 1).min(node.span.end),
        },
        _ => node.span.clone(),
    }
}

/// The entries of a mapping of names that the file chooses.
pub fn entries<'n>(node: &'n Node, what: &str, problems: &mut Problems) -> Option<&'n [Entry]> {
    match &node.kind {
        Kind::Map(entries) => Some(entries),
        Kind::Broken => None,
        _ => {
            problems.error(&node.span, format!("{what} must be a mapping, this is {}", node.kind_name()));
            None
        }
    }
}

fn unknown_key(entry: &Entry, what: &str, known: &[&str], problems: &mut Problems) {
    let key = entry.key.shown();
    let help = near::suggest(&key, "known here", known.iter().copied());
    problems.error(&entry.key.span, format!("unknown key `{key}` in {what}")).helps(help);
}

/// A text that is not empty.
pub fn text<'n>(node: &'n Node, what: &str, problems: &mut Problems) -> Option<&'n Scalar> {
    match &node.kind {
        Kind::Scalar(scalar) if !scalar.text.trim().is_empty() => Some(scalar),
        Kind::Broken => None,
        Kind::Scalar(_) => {
            problems.error(&node.span, format!("{what} is missing")).help("nothing stands behind the colon");
            None
        }
        _ => {
            problems.error(&node.span, format!("{what} must be one text, this is {}", node.kind_name()));
            None
        }
    }
}

/// One of a few words.
pub fn word<T: Copy>(node: &Node, what: &str, words: &[(&str, T)], problems: &mut Problems) -> Option<T> {
    let scalar = text(node, what, problems)?;
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == scalar.text) {
        return Some(*value);
    }
    let shown = scalar.shown();
    let help = near::suggest(&shown, "it can be", words.iter().map(|(word, _)| *word));
    problems.error(&node.span, format!("`{shown}` is no {what}")).helps(help);
    None
}

/// YAML's true or false.
pub fn boolean(node: &Node, what: &str, problems: &mut Problems) -> Option<bool> {
    match text(node, what, problems)?.text.as_str() {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => {
            problems.error(&node.span, format!("{what} must be `true` or `false`"));
            None
        }
    }
}

/// A whole number of at least `least`.
pub fn count(node: &Node, what: &str, least: u64, problems: &mut Problems) -> Option<u64> {
    let scalar = text(node, what, problems)?;
    let number = scalar.text.trim().replace('_', "").parse::<u64>();
    match number {
        Ok(number) if number >= least => Some(number),
        _ => {
            let shown = scalar.shown();
            problems
                .error(&node.span, format!("`{shown}` is no {what}"))
                .help(format!("expected a whole number of at least {least}"));
            None
        }
    }
}

/// `250ms 5s 10m 24h 7d`, in microseconds.
pub fn duration(node: &Node, what: &str, problems: &mut Problems) -> Option<Micros> {
    let scalar = text(node, what, problems)?;
    let parsed = duration_of(scalar.text.trim());
    if parsed.is_none() {
        let shown = scalar.shown();
        problems
            .error(&node.span, format!("`{shown}` is no duration"))
            .help(format!("{what} is a number and a unit: 250ms, 5s, 10m, 24h or 7d"));
    }
    parsed
}

/// A duration that is not 0.
pub fn positive_duration(node: &Node, what: &str, problems: &mut Problems) -> Option<Micros> {
    let micros = duration(node, what, problems)?;
    if micros == 0 {
        problems.error(&node.span, format!("{what} must be longer than 0"));
        return None;
    }
    Some(micros)
}

fn duration_of(text: &str) -> Option<Micros> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let micros: i64 = match &text[digits..] {
        "us" | "µs" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return None,
    };
    // Ten thousand years are beyond any use and still far from where times overflow.
    text[..digits].parse::<i64>().ok()?.checked_mul(micros).filter(|d| *d < 315_576_000_000_000_000)
}

/// Microseconds as the standard library has them.
pub fn std_duration(micros: Micros) -> Duration {
    Duration::from_micros(micros.unsigned_abs())
}

/// `64KiB 1MiB`, in bytes.
pub fn size(node: &Node, what: &str, problems: &mut Problems) -> Option<usize> {
    let scalar = text(node, what, problems)?;
    let parsed = size_of(scalar.text.trim());
    if parsed.is_none() {
        let shown = scalar.shown();
        problems
            .error(&node.span, format!("`{shown}` is no size"))
            .help(format!("{what} is a number and a unit: 512B, 64KiB, 1MiB or 2GiB"));
    }
    parsed
}

fn size_of(text: &str) -> Option<usize> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit = match &text[digits..] {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    text[..digits].parse::<usize>().ok()?.checked_mul(unit).filter(|bytes| *bytes > 0)
}

/// One item or a list of them.
pub fn one_or_list(node: &Node) -> &[Node] {
    match &node.kind {
        Kind::List(items) => items,
        Kind::Broken => &[],
        _ => std::slice::from_ref(node),
    }
}

/// One path.
pub fn path<'n>(node: &'n Node, what: &str, problems: &mut Problems) -> Option<(Name, &'n Scalar)> {
    let scalar = text(node, what, problems)?;
    path_of(scalar, problems).map(|name| (name, scalar))
}

pub fn path_of(scalar: &Scalar, problems: &mut Problems) -> Option<Name> {
    match expr::parse_path(&scalar.text) {
        Ok(name) => Some(name),
        Err(error) => {
            problems.text(scalar, vec![error]);
            None
        }
    }
}

/// One path or a list of paths. `None` if any of them is wrong.
pub fn paths<'n>(node: &'n Node, what: &str, problems: &mut Problems) -> Option<Vec<(Name, &'n Scalar)>> {
    if node.is_broken() {
        return None;
    }
    let found: Vec<_> = one_or_list(node).iter().map(|item| path(item, what, problems)).collect();
    found.into_iter().collect()
}

/// The name of a field that a step makes: one segment, or with `nested` a dotted path; never a pseudo-field.
pub fn field(scalar: &Scalar, what: &str, nested: bool, problems: &mut Problems) -> Option<Name> {
    let name = path_of(scalar, problems)?;
    let shown = scalar.shown();
    if let Some(pseudo) = pseudo_word(&name) {
        problems
            .error(&scalar.span, format!("`{pseudo}` belongs to the record: {what} cannot be called that"))
            .help(format!("quoted, it is a field of the payload: '\"{pseudo}\"'"));
        return None;
    }
    if name.path.0.iter().any(|segment| matches!(segment, Segment::Index(_))) {
        problems.error(&scalar.span, format!("`{shown}` is a position in an array: {what} must be a field"));
        return None;
    }
    if !nested && name.path.0.len() != 1 {
        problems
            .error(&scalar.span, format!("{what} must be one name, `{shown}` has dots"))
            .help("a name with a dot in it is quoted: '\"a.b\"'");
        return None;
    }
    Some(name)
}

/// `_key` and the like, unless quoted.
pub fn pseudo_word(name: &Name) -> Option<&str> {
    match name.path.0.first() {
        Some(Segment::Field(first)) if !name.quoted && PSEUDO.contains(&first.as_str()) => Some(first.as_str()),
        _ => None,
    }
}

pub const PSEUDO: [&str; 7] = ["_key", "_topic", "_partition", "_offset", "_timestamp", "_headers", "_value"];

/// A topic that Kafka would accept.
pub fn topic(node: &Node, problems: &mut Problems) -> Option<std::sync::Arc<str>> {
    let scalar = text(node, "a topic", problems)?;
    let name = scalar.text.as_str();
    let fine = name.len() <= 249
        && name != "."
        && name != ".."
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    if !fine {
        let shown = scalar.shown();
        problems
            .error(&node.span, format!("`{shown}` is no topic name"))
            .help("Kafka allows letters, digits, `.`, `_` and `-`, at most 249 of them");
        return None;
    }
    Some(name.into())
}

/// The form of names of sources, tables, steps and outputs.
pub fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        assert_eq!(duration_of("250ms"), Some(250_000));
        assert_eq!(duration_of("7d"), Some(604_800_000_000));
        for bad in ["", "5", "s", "1.5s", "-1s", "5 s", "5S", "99999999999999999999s", "9999999999d"] {
            assert_eq!(duration_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes_are_binary() {
        assert_eq!(size_of("64KiB"), Some(65_536));
        assert_eq!(size_of("10"), Some(10));
        for bad in ["", "0", "1MB", "1.5MiB", "18446744073709551615GiB"] {
            assert_eq!(size_of(bad), None, "{bad}");
        }
    }
}
