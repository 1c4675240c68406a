//! A YAML document as a tree in which everything knows its bytes in the file.
//!
//! The tree is small and plain: scalars, lists and maps. Whatever cannot be part of a dataflow file (a second
//! document, tags, duplicate keys, nesting or sizes beyond reason) is reported while it is built, and what was
//! reported is [`Kind::Broken`] in the tree, so that nothing reports it again.

mod events;
mod places;
mod split;

pub use events::parse;
pub use places::Places;

use std::ops::Range;

/// Bytes of the file.
pub type Span = Range<usize>;

#[derive(Clone, Debug)]
pub struct Node {
    pub span: Span,
    pub kind: Kind,
}

#[derive(Clone, Debug)]
pub enum Kind {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// What is wrong with it was reported already.
    Broken,
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub key: Scalar,
    pub value: Node,
}

/// A scalar's text, without YAML's quotes, escapes and folds.
#[derive(Clone, Debug)]
pub struct Scalar {
    pub text: String,
    pub span: Span,
    pub style: Style,
    /// Where each character of `text` stands in the file.
    pub places: Places,
    /// The text before environment values were put in, if any were: messages show this one.
    pub template: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Plain,
    SingleQuoted,
    DoubleQuoted,
    Block,
}

impl Node {
    pub fn broken(span: Span) -> Self {
        Self { span, kind: Kind::Broken }
    }

    pub fn scalar(&self) -> Option<&Scalar> {
        match &self.kind {
            Kind::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    pub fn is_broken(&self) -> bool {
        matches!(self.kind, Kind::Broken)
    }

    /// Nothing was written: `key:` and no more.
    pub fn is_empty(&self) -> bool {
        self.scalar().is_some_and(|s| s.style == Style::Plain && s.text.is_empty() && s.template.is_none())
    }

    /// YAML's null: nothing, `~` or a plain `null`.
    pub fn is_null(&self) -> bool {
        self.scalar().is_some_and(Scalar::is_null)
    }

    /// What it is, for messages.
    pub fn kind_name(&self) -> &'static str {
        match &self.kind {
            Kind::Scalar(_) if self.is_null() => "nothing",
            Kind::Scalar(_) => "a text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
            Kind::Broken => "an error",
        }
    }
}

impl Scalar {
    pub fn is_null(&self) -> bool {
        self.style == Style::Plain
            && self.template.is_none()
            && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }

    /// The text as messages may show it: never a value from the environment, and not too long.
    pub fn shown(&self) -> String {
        let text = self.template.as_ref().unwrap_or(&self.text);
        if text.chars().count() <= 60 { text.clone() } else { text.chars().take(57).chain("...".chars()).collect() }
    }
}
