//! `unnest`: one event per element of an array.

use crate::error::{Reason, Rejection};
use crate::event::{Event, Position, Value};
use crate::json;
use crate::plan::{Unnest, slots};

/// The event once per element, in the array's order; none where there is no array.
pub fn unnest(mut event: Event, unnest: &Unnest) -> Result<Vec<Event>, Rejection> {
    let items = std::mem::take(&mut event.slots[usize::from(unnest.items)]);
    let array = match &items {
        Value::Null => return Ok(Vec::new()),
        Value::Json(text) if text.trim_start().starts_with('[') => text.clone(),
        other => return Err(not_an_array(other)),
    };
    // Other slots may hold parts of the array or the object around it.
    event.slots[usize::from(unnest.items)] = items;
    slots::drop_fields(&mut event.slots, &unnest.remove);
    elements(&array).enumerate().map(|(index, text)| element(&event, unnest, index as u64, text)).collect()
}

fn element(event: &Event, unnest: &Unnest, index: u64, text: &str) -> Result<Event, Rejection> {
    let item = json::parse(text.as_bytes(), usize::MAX)
        .map_err(|error| Rejection::new(Reason::DecodeError, format!("unnest: element {index}: {error}")))?;
    let mut event = event.clone();
    event.position.push(Position::Item(index));
    slots::write(&mut event.slots, &unnest.item, item);
    slots::write(&mut event.slots, &unnest.index, Value::Int(index as i64));
    Ok(event)
}

fn not_an_array(value: &Value) -> Rejection {
    let text: String = json::text(value).chars().take(100).collect();
    Rejection::new(Reason::TypeError, format!("unnest: not an array: {text}"))
}

/// The texts of an array's elements. The array must be JSON that was checked.
fn elements(array: &str) -> impl Iterator<Item = &str> {
    let inner = array.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or("");
    let mut rest = Some(inner).filter(|inner| !inner.trim().is_empty());
    std::iter::from_fn(move || {
        let text = rest?;
        let end = first_comma(text.as_bytes());
        rest = end.map(|end| &text[end + 1..]);
        Some(text[..end.unwrap_or(text.len())].trim())
    })
}

/// The first comma that stands outside of strings, objects and arrays.
fn first_comma(text: &[u8]) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    for (at, byte) in text.iter().enumerate() {
        if quoted {
            quoted = escaped || *byte != b'"';
            escaped = !escaped && *byte == b'\\';
            continue;
        }
        match byte {
            b'"' => quoted = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            b',' if depth == 0 => return Some(at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_told_apart_by_their_own_commas_only() {
        let of = |array| elements(array).collect::<Vec<_>>();
        assert_eq!(
            of(r#"[1, {"a":[1,2],"b":"],\",\\"} ,"x\\",[] ]"#),
            ["1", r#"{"a":[1,2],"b":"],\",\\"}"#, r#""x\\""#, "[]"]
        );
        assert_eq!(of(" [ ] "), [""; 0]);
        assert_eq!(of("[[]]"), ["[]"]);
    }
}
