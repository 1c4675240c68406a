//! YAML → JSON text, with the way back to the file: for rule patterns and a rule's `with`.
//!
//! Plain scalars are what YAML's core schema says (`true`, `null`, numbers, which keep their digits); quoted ones are
//! strings.

use crate::plan::yaml::{Kind, Node, Places, Scalar, Span, Style};

/// JSON text, and where its characters stand in the file.
#[derive(Debug, Default)]
pub struct Json {
    pub text: String,
    pub places: Places,
}

/// `None` if a part of it was reported already.
pub fn json(node: &Node) -> Option<Json> {
    let mut json = Json::default();
    json.node(node)?;
    Some(json)
}

impl Json {
    fn node(&mut self, node: &Node) -> Option<()> {
        match &node.kind {
            Kind::Broken => return None,
            Kind::Scalar(scalar) => self.scalar(scalar),
            Kind::List(items) => {
                self.mark("[", &node.span);
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        self.mark(",", &item.span);
                    }
                    self.node(item)?;
                }
                self.mark("]", &last(&node.span));
            }
            Kind::Map(entries) => {
                self.mark("{", &node.span);
                for (i, entry) in entries.iter().enumerate() {
                    if i > 0 {
                        self.mark(",", &entry.key.span);
                    }
                    self.string(&entry.key);
                    self.mark(":", &entry.key.span);
                    self.node(&entry.value)?;
                }
                self.mark("}", &last(&node.span));
            }
        }
        Some(())
    }

    /// A sign of JSON's own.
    fn mark(&mut self, sign: &str, span: &Span) {
        let at = self.text.len();
        let file = if matches!(sign, "[" | "{") { span.start..(span.start + 1).min(span.end) } else { span.clone() };
        self.text.push_str(sign);
        self.places.append_solid(at..self.text.len(), file);
    }

    fn scalar(&mut self, scalar: &Scalar) {
        let literal = match scalar.style {
            Style::Plain => literal(&scalar.text),
            _ => None,
        };
        let Some(literal) = literal else { return self.string(scalar) };
        let at = self.text.len();
        self.text.push_str(&literal);
        self.places.append_solid(at..self.text.len(), scalar.span.clone());
    }

    fn string(&mut self, scalar: &Scalar) {
        let quoted = quote(&scalar.text);
        let at = self.text.len();
        self.text.push_str(&quoted);
        if quoted.len() == scalar.text.len() + 2 {
            let edge = |at: usize| at..at;
            self.places.append_solid(at..at + 1, edge(scalar.span.start));
            self.places.append(&scalar.places, 0..scalar.text.len(), at + 1);
            self.places.append_solid(self.text.len() - 1..self.text.len(), edge(scalar.span.end));
        } else {
            self.places.append_solid(at..self.text.len(), scalar.span.clone());
        }
    }
}

fn last(span: &Span) -> Span {
    span.end.saturating_sub(1).max(span.start)..span.end
}

/// A JSON string.
pub fn quote(text: &str) -> String {
    serde_json::to_string(text).expect("a string is always JSON")
}

/// What YAML's core schema makes of a plain scalar, if it is not a string.
fn literal(text: &str) -> Option<String> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Some("null".to_owned()),
        "true" | "True" | "TRUE" => Some("true".to_owned()),
        "false" | "False" | "FALSE" => Some("false".to_owned()),
        _ => number(text),
    }
}

fn number(text: &str) -> Option<String> {
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            let plain = digits.chars().all(|c| c.is_digit(radix));
            return u128::from_str_radix(digits, radix).ok().filter(|_| plain).map(|n| n.to_string());
        }
    }
    let (sign, rest) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (if text.starts_with('-') { "-" } else { "" }, rest),
        None => ("", text),
    };
    let (mantissa, exponent) = match rest.find(['e', 'E']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, ""), |(whole, fraction)| (whole, fraction));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    if !exponent.is_empty() {
        let power = exponent[1..].strip_prefix(['-', '+']).unwrap_or(&exponent[1..]);
        if power.is_empty() || !digits(power) {
            return None;
        }
    }
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let fraction = if fraction.is_empty() { String::new() } else { format!(".{fraction}") };
    Some(format!("{sign}{whole}{fraction}{exponent}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_digits() {
        for (yaml, json) in
            [("1.50", "1.50"), ("-0", "-0"), ("1e400", "1e400"), ("+5", "5"), (".5", "0.5"), ("007", "7")]
        {
            assert_eq!(number(yaml).as_deref(), Some(json), "{yaml}");
        }
        assert_eq!(number("0x1F").as_deref(), Some("31"));
        for text in ["", "-", ".", "1e", "1.2.3", "1a", "0x", ".inf", "1 2"] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
