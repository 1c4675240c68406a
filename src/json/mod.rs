//! JSON on bytes: checked and read in one pass, and written without being built.
//!
//! Numbers keep the form they were written in, objects and arrays stay text ([`Value::Json`]), and whatever is not
//! RFC 8259 (or UTF-8, or nests deeper than allowed, or holds a lone surrogate) is an error with its position.

use std::fmt;
use std::sync::Arc;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::event::{Event, LayoutId, Value};

/// A path into a JSON value: `data.items[0].sku`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Path(pub Vec<Segment>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Segment {
    Field(CompactString),
    /// Arrays count from 0.
    Index(usize),
}

impl Path {
    pub fn field(name: &str) -> Self {
        Self(vec![Segment::Field(name.into())])
    }

    pub fn join(&self, rest: &Path) -> Self {
        Self(self.0.iter().chain(&rest.0).cloned().collect())
    }

    /// The rest of this path below `prefix`; empty if they are the same.
    pub fn below(&self, prefix: &Path) -> Option<Path> {
        self.0.strip_prefix(prefix.0.as_slice()).map(|rest| Path(rest.to_vec()))
    }

    /// The name that the last segment gives to a field: `plan` of `data.plan`.
    pub fn last_name(&self) -> Option<&str> {
        self.0.iter().rev().find_map(|s| match s {
            Segment::Field(name) => Some(name.as_str()),
            Segment::Index(_) => None,
        })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Field(name) => {
                    let dot = if i == 0 { "" } else { "." };
                    let plain = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
                    if plain { write!(f, "{dot}{name}")? } else { write!(f, "{dot}\"{}\"", name.replace('"', "\"\""))? }
                }
            }
        }
        Ok(())
    }
}

/// Why bytes are not acceptable JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} at byte {at}")]
pub struct JsonError {
    pub kind: JsonErrorKind,
    pub at: usize,
    pub message: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonErrorKind {
    Syntax,
    TooDeep,
}

// --- to be filled in ------------------------------------------------------------------------------------------------

/// Reads many paths from a payload in one pass that also checks all of it.
#[derive(Debug)]
pub struct Reader {}

impl Reader {
    /// `paths[i]` is read into `slots[targets[i]]`. Depth over `depth` is an error.
    pub fn new(_paths: &[(Path, crate::event::SlotId)], _depth: usize) -> Self {
        unimplemented!()
    }

    /// `json` must be one JSON object. Slots of paths that it has not become NULL. Of a duplicate key the last counts.
    pub fn read(&self, _json: &[u8], _slots: &mut [Value]) -> Result<(), JsonError> {
        unimplemented!()
    }
}

/// The value at `path` of a value; NULL where there is none.
pub fn get(_value: &Value, _path: &Path) -> Value {
    unimplemented!()
}

/// `value` with `new` at `path`: objects on the way are made where they are missing or something else stands.
pub fn set(_value: &Value, _path: &Path, _new: &Value) -> Value {
    unimplemented!()
}

/// `value` without what stands at `path`.
pub fn remove(_value: &Value, _path: &Path) -> Value {
    unimplemented!()
}

/// `value` with only what stands at `paths`.
pub fn keep(_value: &Value, _paths: &[Path]) -> Value {
    unimplemented!()
}

/// Any JSON text (scalars too) as a value; `depth` as in [`Reader::new`].
pub fn parse(_json: &[u8], _depth: usize) -> Result<Value, JsonError> {
    unimplemented!()
}

/// Appends a value's JSON text. TIMESTAMP and INTERVAL are strings, numbers as they came, DOUBLE in its shortest form.
pub fn write(_value: &Value, _to: &mut Vec<u8>) {
    unimplemented!()
}

/// Writes bodies of events: payload bytes with a layout's edits. One per frame.
#[derive(Debug)]
pub struct Bodies {}

impl Bodies {
    pub fn new(_frame: &crate::plan::Frame) -> Self {
        unimplemented!()
    }

    /// Appends the body of an event: byte for byte the payload where no step changed it; else fields in payload
    /// order, then those that steps added in their order.
    pub fn write(&self, _event: &Event, _layout: LayoutId, _to: &mut Vec<u8>) {
        unimplemented!()
    }
}

#[expect(unused_imports, reason = "used by what is to be filled in")]
use std::sync::Arc as _;
