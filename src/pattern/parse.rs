//! The frame of a pattern: objects, fields, `$or`.

use std::ops::Range;

use super::json::{self, Json, Member, Node, error};
use super::{Field, MAX_CONJUNCTIONS, MAX_TEXT, Pattern, operator};
use crate::error::TextError;
use crate::json::Path;

pub(super) fn pattern(text: &str) -> Result<Pattern, TextError> {
    if text.len() > MAX_TEXT {
        let message = format!("the pattern has {} bytes; at most {MAX_TEXT} are allowed", text.len());
        return Err(error(0..text.len(), message));
    }
    let root = json::read(text)?;
    let Json::Object(members) = &root.value else {
        let mut wrong = error(root.span.clone(), format!("a pattern is a JSON object, not {}", root.value.kind()));
        wrong.help.push("for example {\"type\": [\"order.paid\"]}".to_owned());
        return Err(wrong);
    };
    let pattern = object(text, &root, members, &mut Vec::new())?;
    let count = pattern.conjunction_count();
    if count > MAX_CONJUNCTIONS {
        let message =
            format!("its `$or`s multiply out to {count} combinations; at most {MAX_CONJUNCTIONS} are allowed");
        let mut wrong = error(root.span, message);
        wrong.help.push("a list of values in one field is one combination; or split the rule in several".to_owned());
        return Err(wrong);
    }
    Ok(pattern)
}

/// Every path that a pattern asks about, with where its last key stands; nothing of a text that is no JSON.
pub(super) fn paths(text: &str) -> Vec<(Path, Range<usize>)> {
    fn walk(node: &Node, above: &Path, to: &mut Vec<(Path, Range<usize>)>) {
        let Json::Object(members) = &node.value else { return };
        for Member { key, key_span, value } in members {
            match &value.value {
                Json::Array(branches) if key == "$or" => branches.iter().for_each(|branch| walk(branch, above, to)),
                Json::Object(_) => walk(value, &above.join(&Path::field(key)), to),
                _ => to.push((above.join(&Path::field(key)), key_span.clone())),
            }
        }
    }
    let mut paths = Vec::new();
    if let Ok(root) = json::read(text) {
        walk(&root, &Path(Default::default()), &mut paths);
    }
    paths
}

/// An object of fields below `path`.
fn object(text: &str, node: &Node, members: &[Member], path: &mut Vec<Box<str>>) -> Result<Pattern, TextError> {
    if members.is_empty() {
        return Err(error(node.span.clone(), "an empty object asks for nothing"));
    }
    let mut pattern = Pattern { fields: Vec::new(), choices: Vec::new() };
    for member in members {
        if member.key == "$or" {
            pattern.choices.push(choice(text, &member.value, path)?);
            continue;
        }
        path.push(member.key.as_str().into());
        field(text, member, path, &mut pattern)?;
        path.pop();
    }
    Ok(pattern)
}

fn field(text: &str, member: &Member, path: &mut Vec<Box<str>>, to: &mut Pattern) -> Result<(), TextError> {
    let Node { span, value } = &member.value;
    match value {
        Json::Object(members) => {
            let Pattern { fields, choices } =
                object(text, &member.value, members, path).map_err(|wrong| hint(wrong, members))?;
            to.fields.extend(fields);
            to.choices.extend(choices);
        }
        Json::Array(items) if items.is_empty() => {
            return Err(error(span.clone(), format!("no alternative for `{}`: an empty array", member.key)));
        }
        Json::Array(items) => {
            let alternatives = items.iter().map(|item| operator::alternative(text, item)).collect::<Result<_, _>>()?;
            to.fields.push(Field { path: path.as_slice().into(), alternatives });
        }
        scalar => {
            let message =
                format!("`{}` is {}; expected an array of alternatives or an object", member.key, scalar.kind());
            let mut wrong = error(span.clone(), message);
            wrong.help.push(format!("write [{}]", &text[span.clone()]));
            return Err(wrong);
        }
    }
    Ok(())
}

/// An operator outside an array reads as a field of its name: say so.
fn hint(mut wrong: TextError, members: &[Member]) -> TextError {
    let inside = |m: &&Member| m.value.span.contains(&wrong.span.start) && operator::NAMES.contains(&m.key.as_str());
    if let Some(name) = members.iter().find(inside).map(|m| &m.key) {
        wrong.help.push(format!("an operator stands inside an array: [{{\"{name}\": …}}]"));
    }
    wrong
}

fn choice(text: &str, node: &Node, path: &mut Vec<Box<str>>) -> Result<Vec<Pattern>, TextError> {
    let branches = match &node.value {
        Json::Array(branches) if branches.len() >= 2 => branches,
        Json::Array(_) => return Err(error(node.span.clone(), "`$or` needs at least two patterns")),
        other => return Err(error(node.span.clone(), format!("`$or` is an array of patterns, not {}", other.kind()))),
    };
    let branch = |node: &Node| match &node.value {
        Json::Object(members) => object(text, node, members, path),
        other => Err(error(node.span.clone(), format!("a branch of `$or` is an object, not {}", other.kind()))),
    };
    branches.iter().map(branch).collect()
}
