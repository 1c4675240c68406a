//! All mistakes of a file, collected.
//!
//! Each is kept once, and what the environment gave is taken out of every message: it may be a secret.

use std::borrow::Cow;

use super::hidden::Hidden;
use crate::error::{Severity, SpecError, TextError};
use crate::plan::yaml::{Scalar, Span};

#[derive(Debug, Default)]
pub struct Problems {
    list: Vec<SpecError>,
    /// What the environment gave: (the place's own text, the value).
    hidden: Vec<(String, String)>,
}

/// A mistake that is being described.
pub struct Draft<'a>(&'a mut SpecError);

impl Draft<'_> {
    /// What stands beside the marked bytes.
    pub fn label(&mut self, label: impl Into<String>) -> &mut Self {
        self.0.label = label.into();
        self
    }

    pub fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.0.help.push(help.into());
        self
    }

    pub fn helps(&mut self, help: impl IntoIterator<Item = String>) -> &mut Self {
        self.0.help.extend(help);
        self
    }
}

impl Problems {
    pub fn error(&mut self, span: &Span, message: impl Into<String>) -> Draft<'_> {
        self.add(span, message.into(), Severity::Error)
    }

    pub fn warning(&mut self, span: &Span, message: impl Into<String>) -> Draft<'_> {
        self.add(span, message.into(), Severity::Warning)
    }

    fn add(&mut self, span: &Span, message: String, severity: Severity) -> Draft<'_> {
        let error = SpecError { span: span.clone(), message, label: String::new(), help: Vec::new(), severity };
        self.list.push(error);
        Draft(self.list.last_mut().expect("one was pushed just now"))
    }

    /// Mistakes inside a scalar's text.
    pub fn text(&mut self, scalar: &Scalar, errors: Vec<TextError>) {
        for error in errors {
            // An empty text has no characters to point at, but quotes.
            let empty = scalar.text.is_empty() && scalar.template.is_none();
            let span = if empty { scalar.span.clone() } else { scalar.places.span(&error.span) };
            if scalar.template.is_some() && self.touches_hidden(scalar, &error) {
                self.hidden(&span).help(
                    "a variable is put in as it is: a text literal within an expression needs its quotes: '${NAME}'",
                );
            } else {
                self.error(&span, error.message).helps(error.help);
            }
        }
    }

    /// A mistake that a value from the environment makes.
    pub fn hidden(&mut self, span: &Span) -> Draft<'_> {
        let mut draft = self.error(span, "what the environment gives here makes this text wrong");
        draft.help("the value is not shown, because it may be a secret");
        draft
    }

    /// Is the error about text that came from the environment?
    fn touches_hidden(&self, scalar: &Scalar, error: &TextError) -> bool {
        let shown = |text: &str| {
            let mut from = 0;
            while let Some(at) = scalar.text[from..].find(text) {
                let (start, end) = (from + at, from + at + text.len());
                if start < error.span.end.max(error.span.start + 1) && error.span.start <= end {
                    return true;
                }
                from = start + text.chars().next().map_or(1, char::len_utf8);
            }
            false
        };
        self.hidden.iter().any(|(_, value)| !value.is_empty() && shown(value))
    }

    /// From now on this value is not shown.
    pub fn hide(&mut self, place: &str, value: &str) {
        let pair = (place.to_owned(), value.to_owned());
        if !self.hidden.contains(&pair) {
            self.hidden.push(pair);
        }
    }

    /// What the environment gave, in the order in which the file names it.
    pub fn environment(&self) -> &[(String, String)] {
        &self.hidden
    }

    /// How many there are, for [`Problems::forget_after`].
    pub fn count(&self) -> usize {
        self.list.len()
    }

    /// Forgets what was found after there were `count`: a second look at what was checked already.
    pub fn forget_after(&mut self, count: usize) {
        self.list.truncate(count);
    }

    pub fn any_errors(&self) -> bool {
        self.list.iter().any(|e| e.severity == Severity::Error)
    }

    /// Everything found in this file, by position, each once.
    pub fn finish(self, file: &str) -> Vec<SpecError> {
        let hidden = Hidden::new(self.hidden, file);
        let mut list = self.list;
        for error in &mut list {
            for text in [&mut error.message, &mut error.label].into_iter().chain(&mut error.help) {
                if let Cow::Owned(without) = hidden.hide(text) {
                    *text = without;
                }
            }
        }
        list.sort_by(|a, b| (a.span.start, a.span.end, &a.message).cmp(&(b.span.start, b.span.end, &b.message)));
        list.dedup_by(|b, a| a.span == b.span && a.message == b.message);
        list
    }
}
