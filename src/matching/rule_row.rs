//! A row of a table as a rule: its pattern, its condition and what a result carries.

use super::condition::Condition;
use super::matcher::{Compiled, Matcher};
use crate::error::{Reason, Rejection};
use crate::event::row::Row;
use crate::event::{SlotId, Value};
use crate::json::{self, Path};
use crate::pattern::Pattern;
use crate::plan::{Match, RowTarget};

/// Where a row has its pattern and its condition.
#[derive(Clone, Copy, Debug)]
pub struct Fields {
    pub pattern: SlotId,
    pub when: Option<SlotId>,
}

/// Compiles a row; `key` is what it shows as its id.
pub fn compile(matcher: &Matcher, plan: &Match, fields: Fields, key: &Value, row: &Row) -> Result<Compiled, Rejection> {
    let pattern = parse_pattern(matcher, row, fields.pattern)?;
    let when = compile_when(matcher, &plan.rule, row, fields.when)?;
    let body = json::set(&Value::Json(row.body.clone()), &Path::field("id"), key);
    Ok(Compiled { pattern, when, body })
}

fn parse_pattern(matcher: &Matcher, row: &Row, slot: SlotId) -> Result<Pattern, Rejection> {
    let text = match &row.slots[usize::from(slot)] {
        Value::Json(text) => &**text,
        Value::Text(text) => text.as_str(),
        Value::Null => return Err(wrong("the rule has no pattern".to_owned())),
        _ => return Err(wrong("a rule's pattern is a JSON object, or text that holds one".to_owned())),
    };
    let pattern = Pattern::parse(text).and_then(|pattern| matcher.check_paths(text).map(|()| pattern));
    pattern.map_err(|error| wrong(format!("pattern, {error}")))
}

fn compile_when(
    matcher: &Matcher,
    rule: &RowTarget,
    row: &Row,
    slot: Option<SlotId>,
) -> Result<Option<Condition>, Rejection> {
    let text = match slot.map(|slot| &row.slots[usize::from(slot)]) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Text(text)) => text.as_str(),
        // A condition may be written as a JSON literal.
        Some(Value::Bool(true)) => "TRUE",
        Some(Value::Bool(false)) => "FALSE",
        Some(_) => return Err(wrong("a rule's condition is text".to_owned())),
    };
    matcher.compile_when(text, rule).map(Some).map_err(|error| wrong(format!("when, {error}")))
}

fn wrong(message: String) -> Rejection {
    Rejection::new(Reason::RuleError, message)
}
