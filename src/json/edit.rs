//! One value read from, put into or taken out of JSON text at a path. What is not touched is copied as it stands.
//!
//! Of a duplicate name the last counts; an edit that meets one leaves a single member, at the place of the first.

use smallvec::SmallVec;

use super::reader::value_at;
use super::scan::{Scanner, Token};
use super::{JsonError, Path, Segment, string::Str, write};
use crate::event::Value;

/// The value at `path` of a value; NULL where there is none.
pub fn get(value: &Value, path: &Path) -> Value {
    if path.0.is_empty() {
        return value.clone();
    }
    let Value::Json(text) = value else { return Value::Null };
    get_text(text, &path.0).and_then(|found| value_at(&mut Scanner::of(found, usize::MAX)).ok()).unwrap_or_default()
}

/// `value` with `new` at `path`: objects on the way are made where they are missing or something else stands. An
/// index beyond an array's end appends.
pub fn set(value: &Value, path: &Path, new: &Value) -> Value {
    if path.0.is_empty() {
        return new.clone();
    }
    let mut to = Vec::new();
    set_text(json_text(value), &path.0, new, &mut to);
    json(to)
}

/// `value` without what stands at `path`.
pub fn remove(value: &Value, path: &Path) -> Value {
    let Value::Json(text) = value else {
        return if path.0.is_empty() { Value::Null } else { value.clone() };
    };
    if path.0.is_empty() {
        return Value::Null;
    }
    if get_text(text, &path.0).is_none() {
        return value.clone();
    }
    let mut to = Vec::new();
    remove_text(text, &path.0, &mut to);
    json(to)
}

/// `value` with only what stands at `paths`. A scalar has nothing below it, and becomes NULL.
pub fn keep(value: &Value, paths: &[Path]) -> Value {
    let rests: Rests<'_> = paths.iter().map(|path| path.0.as_slice()).collect();
    if rests.iter().any(|rest| rest.is_empty()) {
        return value.clone();
    }
    let Value::Json(text) = value else { return Value::Null };
    let mut to = Vec::new();
    if keep_text(text, &rests, &mut to) { json(to) } else { Value::Null }
}

type Rests<'p> = SmallVec<[&'p [Segment]; 4]>;

/// A member or element of a container.
pub(super) struct Part<'a> {
    /// `None` in an array.
    pub name: Option<Str<'a>>,
    pub value: &'a str,
}

pub(super) type Parts<'a> = SmallVec<[Part<'a>; 16]>;

/// What kind of container a text is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
}

impl Kind {
    fn of(segment: &Segment) -> Self {
        match segment {
            Segment::Field(_) => Kind::Object,
            Segment::Index(_) => Kind::Array,
        }
    }

    fn brackets(self) -> (u8, u8) {
        match self {
            Kind::Object => (b'{', b'}'),
            Kind::Array => (b'[', b']'),
        }
    }
}

/// The parts of checked text if it is a container of this kind.
pub(super) fn parts(text: &str, kind: Kind) -> Option<Parts<'_>> {
    let mut scanner = Scanner::of(text, usize::MAX);
    // The text was checked when it was read, so an error cannot come; it would read as "no such container".
    match (scanner.token(), kind) {
        (Ok(Token::Object), Kind::Object) => members(&mut scanner).ok(),
        (Ok(Token::Array), Kind::Array) => elements(&mut scanner).ok(),
        _ => None,
    }
}

fn members<'a>(scanner: &mut Scanner<'a>) -> Result<Parts<'a>, JsonError> {
    let mut parts = Parts::new();
    let mut name = scanner.first_key()?;
    while name.is_some() {
        let value = raw_value(scanner)?;
        parts.push(Part { name, value });
        name = scanner.next_key()?;
    }
    Ok(parts)
}

fn elements<'a>(scanner: &mut Scanner<'a>) -> Result<Parts<'a>, JsonError> {
    let mut parts = Parts::new();
    let mut more = scanner.first_item();
    while more {
        let value = raw_value(scanner)?;
        parts.push(Part { name: None, value });
        more = scanner.next_item()?;
    }
    Ok(parts)
}

fn raw_value<'a>(scanner: &mut Scanner<'a>) -> Result<&'a str, JsonError> {
    scanner.peek();
    let start = scanner.at();
    scanner.skip_value()?;
    Ok(scanner.slice(start, scanner.at()))
}

/// The index of the part that a segment names: of duplicates the last.
fn find(parts: &Parts<'_>, segment: &Segment) -> Option<usize> {
    match segment {
        Segment::Field(name) => parts.iter().rposition(|part| part.name.is_some_and(|n| n.is(name))),
        Segment::Index(index) => (*index < parts.len()).then_some(*index),
    }
}

fn get_text<'a>(text: &'a str, path: &[Segment]) -> Option<&'a str> {
    let Some((first, rest)) = path.split_first() else { return Some(text) };
    let mut scanner = Scanner::of(text, usize::MAX);
    let mut found = None;
    match (scanner.token().ok()?, first) {
        (Token::Object, Segment::Field(field)) => {
            let mut name = scanner.first_key().ok()?;
            while let Some(key) = name {
                let value = raw_value(&mut scanner).ok()?;
                if key.is(field) {
                    found = Some(value);
                }
                name = scanner.next_key().ok()?;
            }
        }
        (Token::Array, Segment::Index(index)) => {
            let mut more = scanner.first_item();
            for _ in 0..*index {
                if more {
                    scanner.skip_value().ok()?;
                    more = scanner.next_item().ok()?;
                }
            }
            found = if more { raw_value(&mut scanner).ok() } else { None };
        }
        _ => {}
    }
    found.and_then(|value| get_text(value, rest))
}

fn set_text(base: Option<&str>, path: &[Segment], new: &Value, to: &mut Vec<u8>) {
    let Some((first, rest)) = path.split_first() else { return write(new, to) };
    let kind = Kind::of(first);
    let parts = base.and_then(|text| parts(text, kind)).unwrap_or_default();
    let found = find(&parts, first);
    let mut list = List::begin(kind, to);
    let place = found.map(|found| first_same(&parts, found));
    for (i, part) in parts.iter().enumerate() {
        if Some(i) == place {
            list.next(part.name, to);
            set_text(found.map(|found| parts[found].value), rest, new, to);
        } else if !is_duplicate(&parts, found, i) {
            list.copy(part, to);
        }
    }
    if found.is_none() {
        list.next(None, to);
        if let Segment::Field(name) = first {
            write::write_str(name, to);
            to.push(b':');
        }
        set_text(None, rest, new, to);
    }
    list.end(to);
}

fn remove_text(text: &str, path: &[Segment], to: &mut Vec<u8>) {
    let Some((first, rest)) = path.split_first() else { return };
    let kind = Kind::of(first);
    let Some(parts) = parts(text, kind) else { return to.extend(text.as_bytes()) };
    let found = find(&parts, first);
    let place = found.map(|found| first_same(&parts, found));
    let mut list = List::begin(kind, to);
    for (i, part) in parts.iter().enumerate() {
        if Some(i) == place {
            if let (false, Some(found)) = (rest.is_empty(), found) {
                list.next(part.name, to);
                remove_text(parts[found].value, rest, to);
            }
        } else if !is_duplicate(&parts, found, i) {
            list.copy(part, to);
        }
    }
    list.end(to);
}

/// Writes what stands at the paths; false if the value is no container of their kind.
fn keep_text(text: &str, paths: &Rests<'_>, to: &mut Vec<u8>) -> bool {
    let Some((kind, parts)) = container(text) else { return false };
    let paths: Rests<'_> = paths.iter().filter(|path| Kind::of(&path[0]) == kind).copied().collect();
    if paths.is_empty() {
        return false;
    }
    // Of each path: the part that counts, the place where it is written, and the rest of the path.
    let mut kept: SmallVec<[(usize, usize, &[Segment]); 4]> = SmallVec::new();
    for path in &paths {
        kept.extend(find(&parts, &path[0]).map(|found| (first_same(&parts, found), found, &path[1..])));
    }
    kept.sort_by_key(|(place, ..)| *place);
    let mut list = List::begin(kind, to);
    for same in kept.chunk_by(|a, b| a.0 == b.0) {
        let (place, found, _) = same[0];
        let rests: Rests<'_> = same.iter().map(|(.., rest)| *rest).collect();
        let mut inner = Vec::new();
        if rests.iter().any(|rest| rest.is_empty()) {
            inner.extend(parts[found].value.as_bytes());
        } else if !keep_text(parts[found].value, &rests, &mut inner) {
            continue;
        }
        list.next(parts[place].name, to);
        to.extend(inner);
    }
    list.end(to);
    true
}

/// The kind and parts of a container.
fn container(text: &str) -> Option<(Kind, Parts<'_>)> {
    let kind = if text.trim_ascii_start().starts_with('[') { Kind::Array } else { Kind::Object };
    parts(text, kind).map(|parts| (kind, parts))
}

/// The first part of the same name as `found`.
fn first_same(parts: &Parts<'_>, found: usize) -> usize {
    match parts[found].name {
        Some(name) => {
            let text = name.text();
            parts.iter().position(|part| part.name.is_some_and(|n| n.is(&text))).unwrap_or(found)
        }
        None => found,
    }
}

/// Is `i` a further member of the name that `found` has?
fn is_duplicate(parts: &Parts<'_>, found: Option<usize>, i: usize) -> bool {
    let (Some(found), Some(name)) = (found, parts[i].name) else { return false };
    parts[found].name.is_some_and(|n| name.is(&n.text()))
}

/// Writes a container: brackets and commas.
pub(super) struct List {
    close: u8,
    empty: bool,
}

impl List {
    pub(super) fn begin(kind: Kind, to: &mut Vec<u8>) -> Self {
        let (open, close) = kind.brackets();
        to.push(open);
        Self { close, empty: true }
    }

    /// Begins a part; a member with a name that is in the text already.
    pub(super) fn next(&mut self, name: Option<Str<'_>>, to: &mut Vec<u8>) {
        if !self.empty {
            to.push(b',');
        }
        self.empty = false;
        if let Some(name) = name {
            to.push(b'"');
            to.extend(name.raw.as_bytes());
            to.extend(b"\":");
        }
    }

    /// Copies a part as it stands.
    pub(super) fn copy(&mut self, part: &Part<'_>, to: &mut Vec<u8>) {
        self.next(part.name, to);
        to.extend(part.value.as_bytes());
    }

    pub(super) fn end(self, to: &mut Vec<u8>) {
        to.push(self.close);
    }
}

fn json_text(value: &Value) -> Option<&str> {
    match value {
        Value::Json(text) => Some(text),
        _ => None,
    }
}

/// Text that this module made of checked text.
fn json(text: Vec<u8>) -> Value {
    let text = String::from_utf8(text).expect("parts of UTF-8 text, cut at ASCII characters");
    Value::Json(text.into())
}
