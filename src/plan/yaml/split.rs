//! The comma trap: within `{ }` and `[ ]` YAML splits a plain text at every comma, function arguments included.
//!
//! `{p95: percentile(x, 0.95)}` is to YAML a map with the two keys `p95` and `0.95)`. Nobody means that, so it has
//! an error of its own, and the pieces are joined again so that nothing else is reported about them.

use super::{Kind, Node, Span, Style};
use crate::plan::problems::Problems;

/// Looks for texts that a comma has split in a node written with braces or brackets.
pub fn check(file: &str, node: &mut Node, problems: &mut Problems) {
    match &mut node.kind {
        Kind::Map(entries) => {
            let mut at = 0;
            while at < entries.len() {
                let rest = entries[at + 1..].iter().map(|e| e.value.is_empty().then_some(e.key.text.as_str()));
                let more = split_into(plain(&entries[at].value), rest);
                if more > 0 {
                    let span = entries[at].value.span.start..entries[at + more].key.span.end;
                    report(file, &span, problems);
                    entries[at].value = Node::broken(span);
                    entries.drain(at + 1..=at + more);
                }
                at += 1;
            }
        }
        Kind::List(items) => {
            let mut at = 0;
            while at < items.len() {
                let more = split_into(plain(&items[at]), items[at + 1..].iter().map(plain));
                if more > 0 {
                    let span = items[at].span.start..items[at + more].span.end;
                    report(file, &span, problems);
                    items[at] = Node::broken(span);
                    items.drain(at + 1..=at + more);
                }
                at += 1;
            }
        }
        _ => {}
    }
}

/// How many of the texts after this one belong to it: those until its parentheses are closed.
fn split_into<'a>(text: Option<&str>, rest: impl Iterator<Item = Option<&'a str>>) -> usize {
    let mut open = text.map_or(0, parens);
    let mut more = 0;
    for next in rest {
        let Some(next) = next.filter(|_| open > 0) else { break };
        open += parens(next);
        more += 1;
    }
    more
}

fn report(file: &str, span: &Span, problems: &mut Problems) {
    let whole = file.get(span.clone()).unwrap_or_default();
    let quoted = if whole.contains('"') { format!("'{}'", whole.replace('\'', "''")) } else { format!("\"{whole}\"") };
    problems
        .error(span, "YAML splits this at the comma")
        .label("a plain text within braces or brackets ends at `,`")
        .help(format!("quote it: {quoted}"))
        .help("or write the mapping or list in several lines, without braces or brackets");
}

fn plain(node: &Node) -> Option<&str> {
    node.scalar().filter(|s| s.style == Style::Plain).map(|s| s.text.as_str())
}

/// Opened parentheses that are not closed, outside of SQL's quotes.
fn parens(text: &str) -> i64 {
    let mut quote = None;
    let mut depth = 0;
    for c in text.chars() {
        match quote {
            Some(q) if q == c => quote = None,
            Some(_) => {}
            None if c == '\'' || c == '"' => quote = Some(c),
            None if c == '(' => depth += 1,
            None if c == ')' => depth -= 1,
            None => {}
        }
    }
    depth
}
