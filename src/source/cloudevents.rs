//! CloudEvents read from Kafka, protocol binding 1.0.2: binary and structured mode.
//!
//! An event's *body* is one JSON object: its attributes and extensions, then `data`. In structured mode that is the
//! value itself; in binary mode it is made here, of the `ce_` headers, the `content-type` and the value. Data that
//! is not JSON becomes a text, and `data_base64` if it is no UTF-8 either.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::decode::not_json;
use crate::error::{Reason, Rejection};
use crate::event::{Record, Value};
use crate::json::{self, Path, Reader, Scanner};

/// Attributes that every event has, none of them empty.
const REQUIRED: [&str; 4] = ["id", "source", "specversion", "type"];

/// Reads the required attributes of a structured event.
#[derive(Debug)]
pub struct Attributes {
    reader: Reader,
}

impl Attributes {
    pub fn new() -> Self {
        let paths: Vec<_> = REQUIRED.iter().map(|name| Path::field(name)).zip(0..).collect();
        // Depth is checked where the body is read.
        Self { reader: Reader::new(&paths, usize::MAX) }
    }
}

/// The body of a CloudEvent, if it is not the value itself: in binary mode it is made here.
pub fn body(record: &Record, depth: usize, attributes: &Attributes) -> Result<Option<Bytes>, Rejection> {
    let content_type = header(record, |name| name.eq_ignore_ascii_case("content-type"));
    let content_type = content_type.map(|value| text("content-type", value)).transpose()?;
    if let Some(format) = content_type.and_then(structured) {
        return structured_body(record, format, depth, attributes).map(|()| None);
    }
    for name in REQUIRED {
        let value = header(record, |header| header.strip_prefix("ce_") == Some(name)).ok_or_else(|| {
            bad(format!("no CloudEvent: neither a content-type of application/cloudevents nor a header ce_{name}"))
        })?;
        check(name, text(name, value)?)?;
    }
    binary_body(record, content_type, depth).map(|body| Some(body.into()))
}

/// What stands after `application/cloudevents` in a content type that begins so.
fn structured(content_type: &str) -> Option<&str> {
    const PREFIX: &str = "application/cloudevents";
    let (start, rest) = content_type.trim_start().split_at_checked(PREFIX.len())?;
    start.eq_ignore_ascii_case(PREFIX).then_some(rest)
}

fn structured_body(record: &Record, format: &str, depth: usize, attributes: &Attributes) -> Result<(), Rejection> {
    let format = format.split(';').next().unwrap_or_default().trim();
    if !format.is_empty() && !format.eq_ignore_ascii_case("+json") {
        return Err(bad(format!(
            "a structured CloudEvent in the format application/cloudevents{format}; only JSON is read"
        )));
    }
    let value = record.value.as_ref().ok_or_else(|| bad("a structured CloudEvent whose value is null"))?;
    let mut found: [Value; 4] = Default::default();
    attributes.reader.read(value, &mut found).map_err(|error| not_json(&error))?;
    for (name, value) in REQUIRED.iter().zip(&found) {
        match value {
            Value::Text(text) => check(name, text)?,
            Value::Null => return Err(bad(format!("a CloudEvent without {name}"))),
            _ => return Err(bad(format!("a CloudEvent whose {name} is no string"))),
        }
    }
    // The value is the whole body, so it has the depth that any value may have.
    whole(value, depth)
}

/// Checks bytes that are to be one JSON value.
fn whole(json: &[u8], depth: usize) -> Result<(), Rejection> {
    let passed = Scanner::new(json, depth).and_then(|mut scanner| {
        scanner.skip_value()?;
        scanner.end()
    });
    passed.map_err(|error| not_json(&error))
}

/// Is a required attribute usable?
fn check(name: &str, value: &str) -> Result<(), Rejection> {
    match (name, value) {
        (_, "") => Err(bad(format!("a CloudEvent whose {name} is empty"))),
        ("specversion", version) if version != "1.0" => {
            Err(bad(format!("a CloudEvent of specversion {version:?}; 1.0 is read")))
        }
        _ => Ok(()),
    }
}

fn binary_body(record: &Record, content_type: Option<&str>, depth: usize) -> Result<Vec<u8>, Rejection> {
    // The last header of a name counts.
    let mut seen = HashSet::new();
    let headers = record.headers.iter().rev().filter_map(|header| Some((&*header.name, header.value.as_deref()?)));
    let mut attributes: Vec<_> = headers
        .filter_map(|(name, value)| Some((name.strip_prefix("ce_")?, value)))
        .filter(|(name, _)| seen.insert(*name) && !(content_type.is_some() && *name == "datacontenttype"))
        .collect();
    attributes.reverse();
    let mut to = vec![b'{'];
    for (name, value) in attributes {
        if matches!(name, "data" | "data_base64") {
            return Err(bad(format!("a CloudEvent with an attribute named {name}")));
        }
        member(name, &mut to);
        json::write_str(text(name, value)?, &mut to);
    }
    if let Some(content_type) = content_type {
        member("datacontenttype", &mut to);
        json::write_str(content_type, &mut to);
    }
    data(record.value.as_deref().unwrap_or_default(), content_type, depth, &mut to)?;
    to.push(b'}');
    Ok(to)
}

/// The member `data`, or `data_base64`. Nothing at all is no data; a value that does not say its type is JSON.
fn data(value: &[u8], content_type: Option<&str>, depth: usize, to: &mut Vec<u8>) -> Result<(), Rejection> {
    if value.is_empty() {
        return Ok(());
    }
    if content_type.is_none_or(json::is_json_media) {
        whole(value, depth)?;
        member("data", to);
        to.extend(value);
    } else if let Ok(text) = std::str::from_utf8(value) {
        member("data", to);
        json::write_str(text, to);
    } else {
        member("data_base64", to);
        json::write_str(&STANDARD.encode(value), to);
    }
    Ok(())
}

fn member(name: &str, to: &mut Vec<u8>) {
    if to.len() > 1 {
        to.push(b',');
    }
    json::write_str(name, to);
    to.push(b':');
}

/// The value of the last header whose name is so; a null one counts as missing.
fn header(record: &Record, is: impl Fn(&str) -> bool) -> Option<&[u8]> {
    record.headers.iter().rev().find(|header| is(&header.name)).and_then(|header| header.value.as_deref())
}

fn text<'a>(what: &str, bytes: &'a [u8]) -> Result<&'a str, Rejection> {
    std::str::from_utf8(bytes).map_err(|_| bad(format!("a CloudEvent whose {what} is not UTF-8")))
}

fn bad(message: impl Into<String>) -> Rejection {
    Rejection::new(Reason::DecodeError, message)
}
