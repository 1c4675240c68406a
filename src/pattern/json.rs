//! A pattern's text as a tree of JSON in which everything knows its place. Strict: RFC 8259, no lone surrogates, no
//! key twice in one object.

use std::collections::HashSet;
use std::ops::Range;

use super::MAX_DEPTH;
use crate::error::TextError;

#[derive(Debug)]
pub(super) struct Node {
    pub span: Range<usize>,
    pub value: Json,
}

#[derive(Debug)]
pub(super) enum Json {
    Null,
    Bool(bool),
    /// As it was written.
    Number(String),
    Text(String),
    Array(Vec<Node>),
    Object(Vec<Member>),
}

#[derive(Debug)]
pub(super) struct Member {
    pub key: String,
    pub key_span: Range<usize>,
    pub value: Node,
}

impl Json {
    /// What this is, with an article, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "a boolean",
            Json::Number(_) => "a number",
            Json::Text(_) => "a string",
            Json::Array(_) => "an array",
            Json::Object(_) => "an object",
        }
    }
}

pub(super) fn error(span: Range<usize>, message: impl Into<String>) -> TextError {
    TextError { span, message: message.into(), help: Vec::new() }
}

pub(super) fn read(text: &str) -> Result<Node, TextError> {
    let mut reader = Reader { text, at: 0 };
    let node = reader.value(0)?;
    reader.space();
    match reader.peek() {
        None => Ok(node),
        Some(_) => Err(error(reader.here(), "text after the pattern's end")),
    }
}

/// Where in a string's token (from its opening quote) the byte `offset` of the string itself was written.
pub(super) fn offset_in_token(token: &str, offset: usize) -> usize {
    let mut reader = Reader { text: token, at: 1 };
    let mut written = String::new();
    while written.len() < offset && reader.peek().is_some_and(|b| b != b'"') {
        if reader.character(&mut written).is_err() {
            break;
        }
    }
    reader.at
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The character at the present place, or the empty range at the end.
    fn here(&self) -> Range<usize> {
        let length = self.text[self.at..].chars().next().map_or(0, char::len_utf8);
        self.at..self.at + length
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Steps over `byte` if it is next, after space.
    fn eat(&mut self, byte: u8) -> bool {
        self.space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn unexpected(&self, expected: &str) -> TextError {
        match self.text[self.at..].chars().next() {
            Some(c) => error(self.here(), format!("expected {expected}, found `{}`", c.escape_debug())),
            None => error(self.here(), format!("expected {expected}, found the end of the pattern")),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, TextError> {
        self.space();
        let start = self.at;
        let value = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => Json::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => self.literal()?,
        };
        Ok(Node { span: start..self.at, value })
    }

    fn enter(&mut self, depth: usize) -> Result<(), TextError> {
        if depth >= MAX_DEPTH {
            return Err(error(self.here(), format!("a pattern nests at most {MAX_DEPTH} deep")));
        }
        self.at += 1;
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result<Json, TextError> {
        self.enter(depth)?;
        let mut members: Vec<Member> = Vec::new();
        let mut seen = HashSet::new();
        if self.eat(b'}') {
            return Ok(Json::Object(members));
        }
        loop {
            self.space();
            let start = self.at;
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("a key in quotes"));
            }
            let key = self.string()?;
            let key_span = start..self.at;
            if !seen.insert(key.clone()) {
                return Err(error(key_span, format!("duplicate key `{key}`")));
            }
            if !self.eat(b':') {
                return Err(self.unexpected("`:`"));
            }
            members.push(Member { key, key_span, value: self.value(depth + 1)? });
            if self.eat(b'}') {
                return Ok(Json::Object(members));
            }
            if !self.eat(b',') {
                return Err(self.unexpected("`,` or `}`"));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json, TextError> {
        self.enter(depth)?;
        let mut items = Vec::new();
        if self.eat(b']') {
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.eat(b']') {
                return Ok(Json::Array(items));
            }
            if !self.eat(b',') {
                return Err(self.unexpected("`,` or `]`"));
            }
        }
    }

    fn literal(&mut self) -> Result<Json, TextError> {
        let rest = &self.text[self.at..];
        for (word, value) in [("null", Json::Null), ("true", Json::Bool(true)), ("false", Json::Bool(false))] {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.unexpected("a JSON value"))
    }

    fn digits(&mut self) -> Result<(), TextError> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.unexpected("a digit"));
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Json, TextError> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        let zero = self.peek() == Some(b'0');
        let whole = self.at;
        self.digits()?;
        if zero && self.at > whole + 1 {
            return Err(error(start..self.at, "a number does not begin with a zero"));
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(Json::Number(self.text[start..self.at].to_owned()))
    }

    fn string(&mut self) -> Result<String, TextError> {
        self.at += 1;
        let mut text = String::new();
        loop {
            match self.peek() {
                None => return Err(self.unexpected("`\"`")),
                Some(b'"') => break,
                Some(_) => self.character(&mut text)?,
            }
        }
        self.at += 1;
        Ok(text)
    }

    /// One character of a string, escaped or not.
    fn character(&mut self, to: &mut String) -> Result<(), TextError> {
        let span = self.here();
        let Some(c) = self.text[self.at..].chars().next() else {
            return Err(self.unexpected("a character"));
        };
        self.at = span.end;
        match c {
            '\\' => to.push(self.escape(span.start)?),
            '\0'..='\x1f' => return Err(error(span, "a control character in a string must be escaped")),
            _ => to.push(c),
        }
        Ok(())
    }

    fn escape(&mut self, start: usize) -> Result<char, TextError> {
        let byte = self.peek();
        let plain = match byte {
            Some(b @ (b'"' | b'\\' | b'/')) => char::from(b),
            Some(b'b') => '\x08',
            Some(b'f') => '\x0c',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(start),
            _ => return Err(error(start..self.here().end, "no escape of JSON")),
        };
        self.at += 1;
        Ok(plain)
    }

    fn unicode(&mut self, start: usize) -> Result<char, TextError> {
        let first = self.unit(start)?;
        let code = if (0xD800..0xDC00).contains(&first) && self.text[self.at..].starts_with("\\u") {
            self.at += 1;
            let second = self.unit(start)?;
            if !(0xDC00..0xE000).contains(&second) {
                return Err(error(start..self.at, "half a surrogate pair"));
            }
            0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)
        } else {
            first
        };
        char::from_u32(code).ok_or_else(|| error(start..self.at, "half a surrogate pair"))
    }

    /// Four hexadecimal digits after the `u` that is next.
    fn unit(&mut self, start: usize) -> Result<u32, TextError> {
        let digits = self.text.get(self.at + 1..self.at + 5).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let Some(unit) = digits.and_then(|d| u32::from_str_radix(d, 16).ok()) else {
            return Err(error(start..self.at + 1, "`\\u` needs four hexadecimal digits"));
        };
        self.at += 5;
        Ok(unit)
    }
}
