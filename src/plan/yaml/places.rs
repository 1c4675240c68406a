//! From the characters of a scalar's text back to the bytes of the file.
//!
//! A text is not always a copy of what the file holds: quotes are gone, escapes are resolved, lines are folded, the
//! environment's values are put in. So a mistake inside an expression knows its bytes in the text only; this maps
//! them back.

use std::ops::Range;

use super::{Span, Style};

/// The pieces of a text, in order.
#[derive(Clone, Debug, Default)]
pub struct Places(Vec<Piece>);

#[derive(Clone, Debug)]
struct Piece {
    text: Range<usize>,
    file: Span,
    /// Is the text a copy of the file's bytes, so that one can point into the middle?
    copy: bool,
}

impl Places {
    /// A text that is a copy of the file from `start` on.
    pub fn copy(start: usize, len: usize) -> Self {
        Self(vec![Piece { text: 0..len, file: start..start + len, copy: true }])
    }

    /// The bytes of the file behind bytes of the text.
    pub fn span(&self, text: &Range<usize>) -> Span {
        let Some(last) = self.0.last() else { return 0..0 };
        let start = match self.0.iter().find(|p| text.start < p.text.end) {
            Some(p) if p.copy => p.file.start + text.start.saturating_sub(p.text.start),
            Some(p) => p.file.start,
            None => last.file.end,
        };
        if text.end <= text.start {
            return start..start;
        }
        let end = match self.0.iter().find(|p| text.end <= p.text.end) {
            Some(p) if p.copy => p.file.start + text.end.saturating_sub(p.text.start),
            Some(p) => p.file.end,
            None => last.file.end,
        };
        start..end.max(start)
    }

    /// Appends the pieces of `other` behind `range`, as the text from `at` on.
    pub fn append(&mut self, other: &Places, range: Range<usize>, at: usize) {
        for piece in &other.0 {
            let (from, to) = (piece.text.start.max(range.start), piece.text.end.min(range.end));
            if from >= to {
                continue;
            }
            let file = if piece.copy {
                piece.file.start + (from - piece.text.start)..piece.file.start + (to - piece.text.start)
            } else {
                piece.file.clone()
            };
            self.push(at + (from - range.start)..at + (to - range.start), file, piece.copy);
        }
    }

    /// Appends text that stands for some bytes of the file as a whole.
    pub fn append_solid(&mut self, text: Range<usize>, file: Span) {
        self.push(text, file, false);
    }

    fn push(&mut self, text: Range<usize>, file: Span, copy: bool) {
        if let Some(last) = self.0.last_mut()
            && last.copy
            && copy
            && last.file.end == file.start
            && last.text.end == text.start
        {
            last.text.end = text.end;
            last.file.end = file.end;
            return;
        }
        self.0.push(Piece { text, file, copy });
    }

    /// Aligns a scalar's text with the file's bytes from `span.start` on. Returns also where the scalar really
    /// ends: the parser's own end of a quoted scalar includes blanks and comments after it.
    pub fn align(file: &str, span: &Span, style: Style, text: &str) -> (Self, usize) {
        let raw = file.get(span.clone()).unwrap_or_default();
        if style == Style::Plain && raw == text {
            return (Self::copy(span.start, text.len()), span.end);
        }
        let (units, end) = units(raw, style);
        let units = units.into_iter().map(|u| Unit { at: u.at.start + span.start..u.at.end + span.start, ..u });
        (Self::zip(text, &units.collect::<Vec<_>>(), span.start + end), span.start + end)
    }

    fn zip(text: &str, units: &[Unit], end: usize) -> Self {
        let mut places = Self::default();
        let mut next = 0;
        for (at, c) in text.char_indices() {
            if !c.is_whitespace() {
                while units.get(next).is_some_and(|u| u.c.is_whitespace() && !u.escape) {
                    next += 1;
                }
            }
            let here = at..at + c.len_utf8();
            match units.get(next) {
                // A blank of the text for which the file has none: a fold that is already behind us.
                Some(unit) if c.is_whitespace() && !unit.c.is_whitespace() => {
                    places.push(here, unit.at.start..unit.at.start, false);
                }
                Some(unit) => {
                    places.push(here, unit.at.clone(), unit.c == c && unit.at.len() == c.len_utf8());
                    next += 1;
                }
                None => places.push(here, end..end, false),
            }
        }
        places
    }
}

/// One character of the scalar as the file writes it.
struct Unit {
    at: Span,
    c: char,
    escape: bool,
}

/// The characters of a scalar as written, and the end of the scalar. Positions are relative to `raw`.
fn units(raw: &str, style: Style) -> (Vec<Unit>, usize) {
    let quote = match style {
        Style::SingleQuoted => Some('\''),
        Style::DoubleQuoted => Some('"'),
        Style::Plain | Style::Block => None,
    };
    let mut units = Vec::new();
    let mut chars = raw.char_indices().peekable();
    if quote.is_some() {
        chars.next();
    }
    while let Some((at, c)) = chars.next() {
        let mut unit = Unit { at: at..at + c.len_utf8(), c, escape: false };
        if Some(c) == quote {
            if c == '\'' && chars.next_if(|(_, next)| *next == '\'').is_some() {
                unit.at.end += 1;
            } else {
                return (units, at + 1);
            }
        } else if c == '\\' && style == Style::DoubleQuoted {
            let Some((escaped_at, escaped)) = chars.next() else { break };
            if escaped == '\n' || escaped == '\r' {
                // The line break and the blanks around it are not part of the text.
                while chars.next_if(|(_, blank)| blank.is_whitespace()).is_some() {}
                continue;
            }
            unit.at.end = escaped_at + escaped.len_utf8();
            for (at, digit) in chars.by_ref().take(digits(escaped)) {
                unit.at.end = at + digit.len_utf8();
            }
            unit.escape = true;
            unit.c = resolve(raw.get(unit.at.clone()).unwrap_or_default());
        }
        units.push(unit);
    }
    (units, raw.len())
}

/// How many hexadecimal digits follow an escape's letter.
fn digits(letter: char) -> usize {
    match letter {
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ => 0,
    }
}

/// Only whether an escape gives a blank matters here.
fn resolve(escape: &str) -> char {
    match escape {
        "\\n" | "\\t" | "\\ " | "\\r" => ' ',
        _ => '\\',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behind(file: &str, style: Style, text: &str, part: &str) -> String {
        let (places, _) = Places::align(file, &(0..file.len()), style, text);
        let start = text.find(part).unwrap();
        file[places.span(&(start..start + part.len()))].to_owned()
    }

    #[test]
    fn escapes_are_pointed_at_as_written() {
        assert_eq!(behind(r#""a\t\u00e9 = \"x\" + bad" # c"#, Style::DoubleQuoted, "a\té = \"x\" + bad", "bad"), "bad");
        assert_eq!(behind(r#""a\t\u00e9""#, Style::DoubleQuoted, "a\té", "é"), "\\u00e9");
        assert_eq!(behind("'it''s bad'", Style::SingleQuoted, "it's bad", "bad"), "bad");
    }

    #[test]
    fn folded_lines_are_pointed_at_on_their_own_line() {
        assert_eq!(behind("a +\n     bad\n", Style::Block, "a + bad\n", "bad"), "bad");
        assert_eq!(behind("a  \n\n   bad", Style::Plain, "a\nbad", "bad"), "bad");
    }

    #[test]
    fn an_end_beyond_the_text_is_the_scalars_end() {
        let (places, end) = Places::align("'ab'  # note", &(0..12), Style::SingleQuoted, "ab");
        assert_eq!((places.span(&(1..9)), end), (2..3, 4));
    }
}
