//! Records as lines of a file, read and written.
//!
//! A line is either a value, or a whole record:
//!
//! ```text
//! {"key":"u1","value":{"id":7},"timestamp":1767225600000,"headers":{"origin":"web"}}
//! ```
//!
//! A key or value that is a JSON object or array stands as it is, any other UTF-8 text as a string, other bytes as
//! `key_base64`, `value_base64`. A null value deletes, a null key is none.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::event::{Header, OutRecord, Record};
use crate::json::{self, JsonError, Scanner, Token};

/// The record of a line. What the line does not say of topic, partition and offset is as in `place`. The error says
/// why it is none.
pub fn parse(line: &Bytes, place: &Record) -> Result<Record, String> {
    let mut reading = Reading { line, record: place.clone(), has_value: false, has_key: false };
    match reading.read() {
        Err(why) => Err(format!("the line is not a record: {why}")),
        Ok(()) if !reading.has_value => Err("the line is not a record: it has no `value`".to_owned()),
        Ok(()) => Ok(reading.record),
    }
}

/// Why a line is no record.
type Why = String;

struct Reading<'a> {
    line: &'a Bytes,
    record: Record,
    has_value: bool,
    has_key: bool,
}

impl Reading<'_> {
    fn read(&mut self) -> Result<(), Why> {
        let line = self.line.clone();
        let mut scanner = Scanner::new(&line, usize::MAX).map_err(syntax)?;
        if scanner.token().map_err(syntax)? != Token::Object {
            return Err("it is no JSON object".to_owned());
        }
        let mut name = scanner.first_key().map_err(syntax)?;
        while let Some(key) = name {
            self.member(&key.text(), &mut scanner)?;
            name = scanner.next_key().map_err(syntax)?;
        }
        scanner.end().map_err(syntax)
    }

    fn member(&mut self, name: &str, scanner: &mut Scanner<'_>) -> Result<(), Why> {
        match name {
            "key" | "key_base64" if self.has_key => return Err("it has two keys".to_owned()),
            "value" | "value_base64" if self.has_value => return Err("it has two values".to_owned()),
            "key" => self.record.key = self.payload(scanner)?,
            "value" => self.record.value = self.payload(scanner)?,
            "key_base64" => self.record.key = Some(base64(name, scanner)?),
            "value_base64" => self.record.value = Some(base64(name, scanner)?),
            "timestamp" => self.record.timestamp = integer(name, scanner)?,
            "partition" => self.record.partition = integer(name, scanner)?.unwrap_or(self.record.partition),
            "offset" => self.record.offset = integer(name, scanner)?.unwrap_or(self.record.offset),
            "topic" => self.record.topic = text(name, scanner)?.into(),
            "headers" => self.record.headers = headers(scanner)?,
            _ => return Err(format!("it has an unknown member `{name}`")),
        }
        self.has_key |= name.starts_with("key");
        self.has_value |= name.starts_with("value");
        Ok(())
    }

    /// A key or value: its JSON text, or the text that a string holds.
    fn payload(&self, scanner: &mut Scanner<'_>) -> Result<Option<Bytes>, Why> {
        scanner.peek();
        let start = scanner.at();
        match scanner.clone().token().map_err(syntax)? {
            Token::Null => scanner.skip_value().map(|()| None).map_err(syntax),
            Token::String(text) => {
                scanner.skip_value().map_err(syntax)?;
                Ok(Some(Bytes::copy_from_slice(text.text().as_bytes())))
            }
            _ => {
                scanner.skip_value().map_err(syntax)?;
                Ok(Some(self.line.slice(start..scanner.at())))
            }
        }
    }
}

fn base64(name: &str, scanner: &mut Scanner<'_>) -> Result<Bytes, Why> {
    let decoded = STANDARD.decode(text(name, scanner)?);
    decoded.map(Bytes::from).map_err(|_| format!("its `{name}` is not base64"))
}

fn text(name: &str, scanner: &mut Scanner<'_>) -> Result<String, Why> {
    match scanner.token().map_err(syntax)? {
        Token::String(text) => Ok(text.text().into_owned()),
        _ => Err(format!("its `{name}` is no string")),
    }
}

fn integer<I: std::str::FromStr>(name: &str, scanner: &mut Scanner<'_>) -> Result<Option<I>, Why> {
    match scanner.token().map_err(syntax)? {
        Token::Null => Ok(None),
        Token::Number(number) if number.raw.parse::<I>().is_ok() => Ok(number.raw.parse().ok()),
        _ => Err(format!("its `{name}` is no integer of that range")),
    }
}

fn headers(scanner: &mut Scanner<'_>) -> Result<Vec<Header>, Why> {
    let mut headers = Vec::new();
    if scanner.token().map_err(syntax)? != Token::Object {
        return Err("its `headers` is no object".to_owned());
    }
    let mut name = scanner.first_key().map_err(syntax)?;
    while let Some(key) = name {
        let value = match scanner.token().map_err(syntax)? {
            Token::String(text) => Some(Bytes::copy_from_slice(text.text().as_bytes())),
            Token::Null => None,
            _ => return Err(format!("its header `{}` is no string", key.text())),
        };
        headers.push(Header { name: key.to_compact(), value });
        name = scanner.next_key().map_err(syntax)?;
    }
    Ok(headers)
}

fn syntax(error: JsonError) -> Why {
    error.to_string()
}

/// Writes a record as a line, without its line break: key, value, timestamp, and headers where there are any. A
/// header's value that is not UTF-8 is made so.
pub fn write_record(record: &OutRecord, to: &mut Vec<u8>) {
    to.push(b'{');
    write_payload("key", record.key.as_deref(), to);
    to.push(b',');
    write_payload("value", record.value.as_deref(), to);
    if let Some(timestamp) = record.timestamp {
        to.extend(format!(",\"timestamp\":{timestamp}").as_bytes());
    }
    for (i, header) in record.headers.iter().enumerate() {
        to.extend(if i == 0 { &b",\"headers\":{"[..] } else { b"," });
        json::write_str(&header.name, to);
        to.push(b':');
        match &header.value {
            Some(value) => json::write_str(&String::from_utf8_lossy(value), to),
            None => to.extend(b"null"),
        }
    }
    if !record.headers.is_empty() {
        to.push(b'}');
    }
    to.push(b'}');
}

/// Writes a record's value as a line, without its line break; a deletion is `null`.
pub fn write_value(record: &OutRecord, to: &mut Vec<u8>) {
    write_on_one_line(record.value.as_deref().unwrap_or(b"null"), to);
}

fn write_payload(name: &str, payload: Option<&[u8]>, to: &mut Vec<u8>) {
    let member = |suffix: &str, to: &mut Vec<u8>| to.extend(format!("\"{name}{suffix}\":").as_bytes());
    match payload {
        None => {
            member("", to);
            to.extend(b"null");
        }
        Some(json) if is_container(json) => {
            member("", to);
            write_on_one_line(json, to);
        }
        Some(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => {
                member("", to);
                json::write_str(text, to);
            }
            Err(_) => {
                member("_base64", to);
                json::write_str(&STANDARD.encode(bytes), to);
            }
        },
    }
}

/// Is it a JSON object or array, and nothing else?
fn is_container(bytes: &[u8]) -> bool {
    let whole = || -> Result<bool, JsonError> {
        let mut scanner = Scanner::new(bytes, usize::MAX)?;
        let container = matches!(scanner.peek(), b'{' | b'[');
        if container {
            scanner.skip_value()?;
            scanner.end()?;
        }
        Ok(container)
    };
    whole().unwrap_or(false)
}

/// Line breaks in JSON text stand only where a space may.
fn write_on_one_line(bytes: &[u8], to: &mut Vec<u8>) {
    to.extend(bytes.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
}

#[cfg(test)]
mod tests;
