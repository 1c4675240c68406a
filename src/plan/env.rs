//! `${VAR}`, `${VAR:-default}` and `$${`: text from the environment, put into scalars after YAML was read, so that a
//! value can never become structure.

use crate::plan::problems::Problems;
use crate::plan::yaml::{Kind, Node, Places, Scalar, Span};

/// Gives a variable's value.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Puts the environment's values into every scalar of the tree. What cannot be filled in is broken afterwards.
pub fn substitute(node: &mut Node, env: Lookup<'_>, problems: &mut Problems) {
    match &mut node.kind {
        Kind::Scalar(scalar) => {
            if !fill(scalar, env, problems) {
                node.kind = Kind::Broken;
            }
        }
        Kind::List(items) => items.iter_mut().for_each(|item| substitute(item, env, problems)),
        Kind::Map(entries) => {
            for entry in entries {
                fill(&mut entry.key, env, problems);
                substitute(&mut entry.value, env, problems);
            }
        }
        Kind::Broken => {}
    }
}

/// False if a variable is missing or badly written.
fn fill(scalar: &mut Scalar, env: Lookup<'_>, problems: &mut Problems) -> bool {
    if !scalar.text.contains("${") {
        return true;
    }
    let text = std::mem::take(&mut scalar.text);
    let places = std::mem::take(&mut scalar.places);
    let (mut at, mut fine, mut from_env) = (0, true, false);
    while let Some(found) = text[at..].find("${").map(|i| at + i) {
        let escaped = found > at && text[..found].ends_with('$');
        let plain_end = if escaped { found - 1 } else { found };
        scalar.copy(&text, &places, at..plain_end);
        if escaped {
            scalar.put("${", places.span(&(plain_end..found + 2)));
            at = found + 2;
            continue;
        }
        at = text[found..].find('}').map_or(text.len(), |i| found + i + 1);
        let (variable, span) = (&text[found..at], places.span(&(found..at)));
        match value(variable, env) {
            Ok((value, is_env)) => {
                if is_env {
                    problems.hide(variable, &value);
                }
                from_env |= is_env;
                scalar.put(&value, span);
            }
            Err((message, help)) => {
                problems.error(&span, message).help(help);
                fine = false;
            }
        }
    }
    scalar.copy(&text, &places, at..text.len());
    if from_env || !fine {
        scalar.template = Some(text);
    }
    fine
}

impl Scalar {
    /// Appends a part of the text as it was.
    fn copy(&mut self, text: &str, places: &Places, range: std::ops::Range<usize>) {
        self.places.append(places, range.clone(), self.text.len());
        self.text.push_str(&text[range]);
    }

    /// Appends text that stands for these bytes of the file.
    fn put(&mut self, value: &str, span: Span) {
        let at = self.text.len();
        self.text.push_str(value);
        self.places.append_solid(at..self.text.len(), span);
    }
}

/// The value of one `${…}`, and whether it came from the environment (rather than from the default).
fn value(variable: &str, env: Lookup<'_>) -> Result<(String, bool), (String, String)> {
    let inner = variable
        .strip_prefix("${")
        .and_then(|v| v.strip_suffix('}'))
        .ok_or_else(|| ("`${` without a closing `}`".to_owned(), "`$${` is a plain `${`".to_owned()))?;
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if !first || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        let help = "write `${NAME}` or `${NAME:-default}`; `$${` is a plain `${`";
        return Err((format!("`{variable}` names no environment variable"), help.to_owned()));
    }
    match (env(name).filter(|v| default.is_none() || !v.is_empty()), default) {
        (Some(value), _) => Ok((value, true)),
        (None, Some(default)) => Ok((default.to_owned(), false)),
        (None, None) => Err((
            format!("the environment variable `{name}` is not set"),
            format!("set it, or give a default: `${{{name}:-…}}`"),
        )),
    }
}
