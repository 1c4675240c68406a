//! Rules that are rows of a table: what a row means for the rules in force.

use std::collections::HashMap;

use bytes::Bytes;
use compact_str::CompactString;

use super::Matcher;
use crate::error::{Reason, Rejection};
use crate::event::key::Fixed;
use crate::event::row::{Row, TableRecord};
use crate::event::{Key, SlotId, Value};
use crate::expr::Expr;
use crate::json::{self, Path};
use crate::pattern::Pattern;
use crate::plan::{Match, Rules};

/// Which record key wrote which rule: a null value names only the record key.
#[derive(Debug, Default)]
pub struct Writers(HashMap<Bytes, Key, Fixed>);

impl Writers {
    /// Puts a record in force. A row that does not compile is rejected and changes nothing: the last row of its key
    /// that did compile stays. A deleted row ends its rule; one that moved to another key ends it at the old one.
    pub fn apply(&mut self, matcher: &mut Matcher, plan: &Match, record: &TableRecord) -> Result<(), Rejection> {
        let key = record.row.as_ref().map(|(key, _)| key);
        if let Some(writer) = &record.record.key {
            let before = match key {
                Some(key) => self.0.insert(writer.clone(), key.clone()),
                None => self.0.remove(writer),
            };
            if let Some(before) = before.filter(|before| Some(before) != key) {
                matcher.remove(&rule_id(&before));
            }
        }
        match &record.row {
            Some((key, row)) => insert(matcher, plan, key, row),
            None => Ok(()),
        }
    }
}

/// A row left its table by itself, having run out of time.
pub fn gone(matcher: &mut Matcher, key: &[Value]) {
    matcher.remove(&rule_id(key));
}

fn insert(matcher: &mut Matcher, plan: &Match, key: &[Value], row: &Row) -> Result<(), Rejection> {
    let Rules::Table { pattern, when, .. } = &plan.rules else { return Ok(()) };
    let id = rule_id(key);
    let pattern = parse_pattern(row, *pattern)?;
    let when = compile_when(matcher, plan, row, *when)?;
    let key = match key {
        [one] => one.clone(),
        _ => Value::Text(id.clone()),
    };
    let body = json::set(&Value::Json(row.body.clone()), &Path::field("id"), &key);
    matcher.insert(plan, &id, &pattern, when, body);
    Ok(())
}

/// A rule's id as text: the key itself, or its columns as a JSON array.
fn rule_id(key: &[Value]) -> CompactString {
    match key {
        [Value::Text(text)] => text.clone(),
        [one] => text_of(one),
        several => {
            let columns: Vec<String> = several.iter().map(json_text).collect();
            CompactString::from(format!("[{}]", columns.join(",")))
        }
    }
}

fn text_of(value: &Value) -> CompactString {
    CompactString::from(json_text(value).trim_matches('"'))
}

fn json_text(value: &Value) -> String {
    let mut text = Vec::new();
    json::write(value, &mut text);
    String::from_utf8(text).expect("JSON is written as UTF-8")
}

fn parse_pattern(row: &Row, slot: SlotId) -> Result<Pattern, Rejection> {
    let text = match &row.slots[usize::from(slot)] {
        Value::Json(text) => &**text,
        Value::Text(text) => text.as_str(),
        Value::Null => return Err(wrong("the rule has no pattern".to_owned())),
        _ => return Err(wrong("a rule's pattern is a JSON object, or text that holds one".to_owned())),
    };
    Pattern::parse(text).map_err(|error| wrong(format!("pattern, {error}")))
}

fn compile_when(
    matcher: &mut Matcher,
    plan: &Match,
    row: &Row,
    slot: Option<SlotId>,
) -> Result<Option<Expr>, Rejection> {
    match slot.map(|slot| &row.slots[usize::from(slot)]) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Text(text)) => {
            let compiled = matcher.compile_when(text, &plan.rule);
            compiled.map(Some).map_err(|error| wrong(format!("when, {error}")))
        }
        // A condition may be written as a JSON literal.
        Some(Value::Bool(constant)) => {
            let text = if *constant { "TRUE" } else { "FALSE" };
            matcher.compile_when(text, &plan.rule).map(Some).map_err(wrong)
        }
        Some(_) => Err(wrong("a rule's condition is text".to_owned())),
    }
}

fn wrong(message: String) -> Rejection {
    Rejection::new(Reason::RuleError, message)
}
