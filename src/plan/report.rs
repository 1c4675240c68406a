//! Mistakes as people read them: file, line, column, the source line with a mark, what to do.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::error::{Severity, SpecError};

/// Formats errors and warnings, in the order given (that of [`super::load`] is by position).
pub fn report(path_name: &str, text: &str, errors: &[SpecError], color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut out = String::new();
    for error in errors {
        out.push_str(&renderer.render(&[group(path_name, text, error)]));
        out.push_str("\n\n");
    }
    out.pop();
    out
}

fn group<'a>(path_name: &'a str, text: &'a str, error: &'a SpecError) -> Group<'a> {
    let level = match error.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let (lines, first_line, span) = lines(text, error);
    let mark = AnnotationKind::Primary.span(span);
    let mark = if error.label.is_empty() { mark } else { mark.label(error.label.as_str()) };
    let snippet = Snippet::source(lines).path(path_name).line_start(first_line).annotation(mark);
    let help = error.help.iter().map(|help| Level::HELP.message(help.as_str()));
    level.primary_title(error.message.as_str()).element(snippet).elements(help)
}

/// The lines that an error marks (at most six of them), the first one's number, and the marked bytes within them.
fn lines<'a>(text: &'a str, error: &SpecError) -> (&'a str, usize, std::ops::Range<usize>) {
    let floor = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let (start, end) = (floor(error.span.start), floor(error.span.end.max(error.span.start)));
    let from = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let mut to = text[start..].find('\n').map_or(text.len(), |at| start + at);
    for _ in 0..5 {
        if to < end {
            to = text[to + 1..].find('\n').map_or(text.len(), |at| to + 1 + at);
        }
    }
    let line = super::near::line_of(text, start);
    (&text[from..to], line, start - from..end.min(to) - from)
}
