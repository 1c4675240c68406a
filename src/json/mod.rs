//! JSON on bytes: checked and read in one pass, and written without being built.
//!
//! Numbers keep the form they were written in, objects and arrays stay text ([`crate::event::Value::Json`]), and whatever is not
//! RFC 8259 (or UTF-8, or nests deeper than allowed, or holds a lone surrogate) is an error with its position.

mod block;
mod body;
mod edit;
mod kinds;
mod name;
mod number;
mod patch;
mod reader;
mod scan;
mod string;
mod write;

use std::fmt;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

pub use body::Bodies;
pub use edit::{get, keep, remove, set};
pub use number::{Form, Num};
pub use reader::{Reader, parse};
pub use scan::{Scanner, Token};
pub use string::Str;
pub use write::{text, to_vec, write, write_double, write_str};

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

/// Is content of this media type JSON?
pub fn is_json_media(content_type: &str) -> bool {
    let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media.ends_with("/json") || media.ends_with("+json")
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

#[cfg(test)]
mod tests;
