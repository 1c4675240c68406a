//! CloudEvents written to Kafka, protocol binding 1.0.2.
//!
//! An attribute that the file does not give is the event's field of that name; `id` and `time` have defaults besides.
//! Extensions of an event that came as a CloudEvent stay, unless a step dropped them. In binary mode attributes are
//! headers and the value is the data's bytes; in structured mode the value is one JSON object.

use std::collections::{HashMap, HashSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::encoder::{Content, failed, text};
use crate::error::{Reason, Rejection};
use crate::event::{Event, Header, Record, Value, time};
use crate::expr::Row;
use crate::json::{self, Bodies, JsonError, Path, Scanner, Token};
use crate::plan::CloudEventOut;

/// Attributes that are written first, in this order.
const ATTRIBUTES: [&str; 6] = ["id", "source", "type", "subject", "time", "datacontenttype"];

/// Members of a CloudEvent that are no extensions. (`dataschema` is passed on as one.)
const STANDARD_MEMBERS: [&str; 9] =
    ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data", "data_base64"];

enum Data {
    None,
    Json(Bytes),
    Text(String),
    Binary(Bytes),
}

/// Headers and value of an event.
pub(super) fn encode(
    out: &CloudEventOut,
    content: Content,
    event: &Event,
    row: Row<'_>,
    bodies: &Bodies,
) -> Result<(Vec<Header>, Option<Bytes>), Rejection> {
    let mut attributes = Vec::with_capacity(ATTRIBUTES.len());
    for name in ATTRIBUTES {
        attributes.extend(attribute(name, out, event, row)?.map(|value| (name, value)));
    }
    let media = attributes.iter().find(|(name, _)| *name == "datacontenttype").map(|(_, value)| value.as_str());
    let data = match (data(content, media), &out.data) {
        (Data::None, Some(_)) => base64_data(event, bodies),
        (data, _) => data,
    };
    if media.is_none() && matches!(data, Data::Json(_)) {
        attributes.push(("datacontenttype", "application/json".to_owned()));
    }
    let extensions = extensions(event, bodies);
    Ok(match out.structured {
        true => structured(&attributes, &extensions, data),
        false => binary(&attributes, &extensions, data),
    })
}

/// The text of an attribute; an empty one is left out.
fn attribute(name: &str, out: &CloudEventOut, event: &Event, row: Row<'_>) -> Result<Option<String>, Rejection> {
    let given = out.attributes.iter().find(|(given, _)| **given == *name);
    let fallback = out.fallback.iter().find(|(field, _)| **field == *name);
    let value = match given.or(fallback) {
        Some((_, expr)) => expr.eval(row).map_err(failed)?,
        None => Value::Null,
    };
    let shown = text(&value).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).filter(|text| !text.is_empty());
    match (name, shown) {
        ("time", Some(shown)) if time::parse_rfc3339(&shown).is_some() => Ok(Some(shown)),
        ("time", Some(shown)) if given.is_some() => Err(bad(format!("the `time` of a CloudEvent is {shown:?}"))),
        ("time", None) if given.is_some() => Ok(None),
        ("time", _) => Ok(Some(time::format(event.time).into())),
        ("id", None) if given.is_none() => {
            let Record { topic, partition, offset, .. } = &*event.record;
            Ok(Some(format!("{topic}/{partition}/{offset}")))
        }
        ("id" | "source" | "type", None) => Err(bad(format!("the `{name}` of a CloudEvent is NULL or empty"))),
        (_, shown) => Ok(shown),
    }
}

fn bad(message: String) -> Rejection {
    Rejection::new(Reason::ExpressionError, message)
}

fn data(content: Content, media: Option<&str>) -> Data {
    let is_json = media.is_none_or(json::is_json_media);
    match content {
        Content::Value(Value::Null) | Content::Raw(None) => Data::None,
        Content::Value(Value::Text(text)) if !is_json => Data::Text(text.into()),
        Content::Value(value) => Data::Json(json::to_vec(&value).into()),
        Content::Json(bytes) => Data::Json(bytes),
        Content::Raw(Some(bytes)) if is_json && json::parse(&bytes, usize::MAX).is_ok() => Data::Json(bytes),
        Content::Raw(Some(bytes)) => match std::str::from_utf8(&bytes) {
            Ok(text) => Data::Text(text.to_owned()),
            Err(_) => Data::Binary(bytes),
        },
    }
}

/// The data of an event that came with bytes that are no text.
fn base64_data(event: &Event, bodies: &Bodies) -> Data {
    let Some(original) = body(event, bodies) else { return Data::None };
    match json::get(&Value::Json(original.into()), &Path::field("data_base64")) {
        Value::Text(encoded) => {
            STANDARD.decode(encoded.as_bytes()).map_or(Data::None, |bytes| Data::Binary(bytes.into()))
        }
        _ => Data::None,
    }
}

/// The body of an event that came as a CloudEvent, as it is now.
fn body(event: &Event, bodies: &Bodies) -> Option<String> {
    if !came_as_cloudevent(&event.record) {
        return None;
    }
    let mut body = Vec::new();
    bodies.write(event, event.layout, &mut body);
    String::from_utf8(body).ok()
}

fn came_as_cloudevent(record: &Record) -> bool {
    const STRUCTURED: &[u8] = b"application/cloudevents";
    let structured = |header: &Header| {
        let value = header.value.as_deref().unwrap_or_default().trim_ascii_start();
        header.name.eq_ignore_ascii_case("content-type")
            && value.get(..STRUCTURED.len()).is_some_and(|start| start.eq_ignore_ascii_case(STRUCTURED))
    };
    record.body.is_some() || record.headers.iter().any(structured)
}

/// Names and JSON texts of the extensions that the event came with and still has.
fn extensions(event: &Event, bodies: &Bodies) -> Vec<(String, String)> {
    let Some(now) = body(event, bodies) else { return Vec::new() };
    let original = event.record.body().and_then(|body| std::str::from_utf8(body).ok()).unwrap_or_default();
    // Both texts were checked when they were read or made.
    let mut found = members(&now).unwrap_or_default();
    if now != original {
        let came = members(original).unwrap_or_default();
        let came: HashSet<_> = came.iter().map(|(name, _)| name).collect();
        found.retain(|(name, _)| came.contains(name));
    }
    found
}

/// The extensions among the members of an object: lower-case letters and digits, neither objects nor null. Of a
/// duplicate name the last counts.
fn members(object: &str) -> Result<Vec<(String, String)>, JsonError> {
    let mut members = Vec::new();
    let mut scanner = Scanner::of(object, usize::MAX);
    if scanner.token()? != Token::Object {
        return Ok(members);
    }
    let mut name = scanner.first_key()?;
    while let Some(key) = name {
        scanner.peek();
        let start = scanner.at();
        scanner.skip_value()?;
        let key = key.text();
        let named = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if named && !STANDARD_MEMBERS.contains(&&*key) {
            members.push((key.into_owned(), scanner.slice(start, scanner.at()).to_owned()));
        }
        name = scanner.next_key()?;
    }
    let last: HashMap<_, _> = members.iter().enumerate().map(|(i, (name, _))| (name.clone(), i)).collect();
    let counts = |(i, (name, value)): &(usize, (String, String))| {
        last.get(name) == Some(i) && !value.starts_with(['{', '[', 'n'])
    };
    Ok(members.into_iter().enumerate().filter(counts).map(|(_, member)| member).collect())
}

fn binary(attributes: &[(&str, String)], extensions: &[(String, String)], data: Data) -> (Vec<Header>, Option<Bytes>) {
    let mut headers = vec![header("ce_specversion", "1.0")];
    for (name, value) in attributes {
        match *name {
            "datacontenttype" => headers.push(header("content-type", value)),
            name => headers.push(header(&format!("ce_{name}"), value)),
        }
    }
    for (name, value) in extensions {
        let value = match json::parse(value.as_bytes(), usize::MAX) {
            Ok(Value::Text(text)) => text.to_string(),
            _ => value.clone(),
        };
        headers.push(header(&format!("ce_{name}"), &value));
    }
    let value = match data {
        Data::None => None,
        Data::Json(bytes) => Some(bytes),
        Data::Text(text) => Some(text.into()),
        Data::Binary(bytes) => Some(bytes),
    };
    (headers, value)
}

fn structured(
    attributes: &[(&str, String)],
    extensions: &[(String, String)],
    data: Data,
) -> (Vec<Header>, Option<Bytes>) {
    let mut to = br#"{"specversion":"1.0""#.to_vec();
    let member = |name: &str, to: &mut Vec<u8>| {
        to.push(b',');
        json::write_str(name, to);
        to.push(b':');
    };
    for (name, value) in attributes {
        member(name, &mut to);
        json::write_str(value, &mut to);
    }
    for (name, value) in extensions {
        member(name, &mut to);
        to.extend(value.as_bytes());
    }
    match data {
        Data::None => {}
        Data::Json(bytes) => {
            member("data", &mut to);
            to.extend(bytes);
        }
        Data::Text(text) => {
            member("data", &mut to);
            json::write_str(&text, &mut to);
        }
        Data::Binary(bytes) => {
            member("data_base64", &mut to);
            json::write_str(&STANDARD.encode(bytes), &mut to);
        }
    }
    to.push(b'}');
    (vec![header("content-type", "application/cloudevents+json")], Some(to.into()))
}

fn header(name: &str, value: &str) -> Header {
    Header { name: name.into(), value: Some(Bytes::copy_from_slice(value.as_bytes())) }
}
