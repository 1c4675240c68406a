//! The scanner: walks JSON text once and checks all that it passes, RFC 8259 to the letter.
//!
//! It builds nothing. A caller asks for the next [`Token`] and either descends (`first_key`, `next_key`,
//! `first_item`, `next_item`) or skips; skipping checks as thoroughly as reading. It never recurses, so nesting costs
//! no stack, and nesting over the limit is an error at the bracket that goes too far. UTF-8 is checked once, for the
//! whole text, before the walk.
//!
//! ```text
//! let mut scanner = Scanner::new(bytes, 64)?;
//! if scanner.token()? == Token::Object {
//!     let mut key = scanner.first_key()?;
//!     while let Some(name) = key {
//!         scanner.skip_value()?;
//!         key = scanner.next_key()?;
//!     }
//! }
//! scanner.end()?;
//! ```

use super::block::Specials;
use super::kinds::Kinds;
use super::name::Name;
use super::number::Num;
use super::string::{self, Str};
use super::{JsonError, JsonErrorKind};

/// A position in JSON text. A copy is cheap and can walk ahead.
#[derive(Clone, Copy, Debug)]
pub struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// The quotes and backslashes from here on.
    specials: Specials,
    /// Containers that are open here.
    level: usize,
    /// How many may be.
    depth: usize,
}

/// What a value begins with. `Object` and `Array` have been entered; the rest are whole values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Token<'a> {
    Object,
    Array,
    String(Str<'a>),
    Number(Num<'a>),
    Bool(bool),
    Null,
}

impl<'a> Scanner<'a> {
    /// A scanner of bytes that claim to be JSON. `depth`: how many containers may be open at once.
    #[inline]
    pub fn new(json: &'a [u8], depth: usize) -> Result<Self, JsonError> {
        match simdutf8::basic::from_utf8(json) {
            Ok(text) => Ok(Self::of(text, depth)),
            Err(_) => Err(bad_utf8(json)),
        }
    }

    /// A scanner of text, which is UTF-8 already.
    #[inline]
    pub fn of(text: &'a str, depth: usize) -> Self {
        Self { text, at: 0, specials: Specials::default(), level: 0, depth }
    }

    /// Where the scanner stands: a byte of the text.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The text from `start` to `end`; both must be places where the scanner stood.
    #[inline]
    pub fn slice(&self, start: usize, end: usize) -> &'a str {
        &self.text[start..end]
    }

    /// The whole text.
    #[inline]
    pub fn text(&self) -> &'a str {
        self.text
    }

    #[inline(always)]
    fn byte(&self, at: usize) -> u8 {
        // 0 stands for the end: like the end, it is never valid outside a string.
        self.text.as_bytes().get(at).copied().unwrap_or(0)
    }

    /// The next byte that is not white space, without passing it; 0 at the end.
    #[inline(always)]
    pub fn peek(&mut self) -> u8 {
        let byte = self.byte(self.at);
        if byte > b' ' {
            return byte;
        }
        self.at = space_end(self.text, self.at);
        self.byte(self.at)
    }

    /// Reads a scalar, or enters a container.
    #[inline]
    pub fn token(&mut self) -> Result<Token<'a>, JsonError> {
        match self.peek() {
            b'"' => Ok(Token::String(self.string()?)),
            b'{' => self.open().map(|()| Token::Object),
            b'[' => self.open().map(|()| Token::Array),
            b't' => self.literal("true").map(|()| Token::Bool(true)),
            b'f' => self.literal("false").map(|()| Token::Bool(false)),
            b'n' => self.literal("null").map(|()| Token::Null),
            b'-' | b'0'..=b'9' => Ok(Token::Number(self.num()?)),
            _ => Err(self.unexpected("expected a value")),
        }
    }

    /// The first member's name, its colon passed; `None` if the object ends here.
    #[inline]
    pub fn first_key(&mut self) -> Result<Option<Str<'a>>, JsonError> {
        self.first_member().then(|| self.key()).transpose()
    }

    /// The next member's name, its colon passed; `None` if the object ends here.
    #[inline]
    pub fn next_key(&mut self) -> Result<Option<Str<'a>>, JsonError> {
        self.next_member()?.then(|| self.key()).transpose()
    }

    #[inline(always)]
    fn key(&mut self) -> Result<Str<'a>, JsonError> {
        let name = self.name()?;
        Ok(self.str_of(name))
    }

    /// Is there a first element?
    #[inline]
    pub fn first_item(&mut self) -> bool {
        self.first(b']')
    }

    /// Is there a further element?
    #[inline]
    pub fn next_item(&mut self) -> Result<bool, JsonError> {
        self.next(b']', "expected `,` or `]`")
    }

    /// Passes one value, whatever it is.
    #[inline]
    pub fn skip_value(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            b'"' => self.skip_string(),
            b'{' | b'[' => self.skip_container(),
            _ => self.skip_scalar(),
        }
    }

    /// Passes the string or number that stands here.
    #[inline(always)]
    pub(super) fn skip_plain(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            b'"' => self.skip_string(),
            _ => self.number().map(drop),
        }
    }

    /// The scanner after the value that stands here.
    #[inline(never)]
    pub(super) fn skipped(mut self) -> Result<Self, JsonError> {
        self.skip_value()?;
        Ok(self)
    }

    /// The end of the text: nothing but white space may be left.
    #[inline]
    pub fn end(&mut self) -> Result<(), JsonError> {
        self.peek();
        if self.at < self.text.len() { Err(self.unexpected("expected the end")) } else { Ok(()) }
    }

    #[inline(always)]
    fn skip_string(&mut self) -> Result<(), JsonError> {
        string::scan(self.text, &mut self.specials).map(|text| self.at = text.end + 1)
    }

    #[inline(always)]
    fn skip_scalar(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            b'-' | b'0'..=b'9' => self.number().map(drop),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            _ => Err(self.unexpected("expected a value")),
        }
    }

    /// Passes an object or array that begins here. Which kinds of container are open is kept as bits.
    fn skip_container(&mut self) -> Result<(), JsonError> {
        let mut open = Kinds::default();
        loop {
            match self.peek() {
                b'"' => self.skip_string()?,
                b'{' => {
                    self.open()?;
                    open.push(true);
                    if self.peek() != b'}' {
                        self.name()?;
                        continue;
                    }
                    self.close();
                    open.pop();
                }
                b'[' => {
                    self.open()?;
                    open.push(false);
                    if self.peek() != b']' {
                        continue;
                    }
                    self.close();
                    open.pop();
                }
                _ => self.skip_scalar()?,
            }
            loop {
                if open.is_empty() {
                    return Ok(());
                }
                match (self.peek(), open.in_object()) {
                    (b',', true) => {
                        self.at += 1;
                        self.name()?;
                        break;
                    }
                    (b',', false) => {
                        self.at += 1;
                        break;
                    }
                    (b'}', true) | (b']', false) => {
                        self.close();
                        open.pop();
                    }
                    (_, true) => return Err(self.unexpected("expected `,` or `}`")),
                    (_, false) => return Err(self.unexpected("expected `,` or `]`")),
                }
            }
        }
    }

    /// Is there a first member?
    #[inline(always)]
    pub(super) fn first_member(&mut self) -> bool {
        self.first(b'}')
    }

    /// Is there a further member?
    #[inline(always)]
    pub(super) fn next_member(&mut self) -> Result<bool, JsonError> {
        self.next(b'}', "expected `,` or `}`")
    }

    /// Does something stand before the bracket that closes what was opened just now?
    #[inline(always)]
    fn first(&mut self, closing: u8) -> bool {
        let empty = self.peek() == closing;
        if empty {
            self.close();
        }
        !empty
    }

    /// Does a comma stand here, or the bracket that closes?
    #[inline(always)]
    fn next(&mut self, closing: u8, expected: &'static str) -> Result<bool, JsonError> {
        match self.peek() {
            b',' => {
                self.at += 1;
                Ok(true)
            }
            byte if byte == closing => {
                self.close();
                Ok(false)
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    /// A member's name, its colon passed: the bytes between the quotes.
    #[inline(always)]
    pub(super) fn name(&mut self) -> Result<string::Range, JsonError> {
        if self.peek() != b'"' {
            return Err(self.unexpected("expected a name in double quotes"));
        }
        let name = string::scan(self.text, &mut self.specials)?;
        self.at = name.end + 1;
        if self.peek() != b':' {
            return Err(self.unexpected("expected `:`"));
        }
        self.at += 1;
        Ok(name)
    }

    /// The name that has just been passed, to be known again by its bytes: if it is short and the colon follows it.
    #[inline]
    pub(super) fn passed(&self, range: string::Range) -> Option<Name> {
        let start = range.start - 1;
        let name = Name::new(&self.text.as_bytes()[start..], self.at - start);
        name.filter(|_| self.at == range.end + 2)
    }

    /// Passes this name, with its quotes and colon, if it stands here.
    #[inline(always)]
    pub(super) fn passes(&mut self, name: Name) -> bool {
        let same = name.begins(self.text.as_bytes().get(self.at..).unwrap_or_default());
        if same {
            self.at += name.length();
            self.specials.skip_to(self.text.as_bytes(), self.at);
        }
        same
    }

    /// The string that begins here.
    #[inline(always)]
    pub(super) fn string(&mut self) -> Result<Str<'a>, JsonError> {
        let range = string::scan(self.text, &mut self.specials)?;
        self.at = range.end + 1;
        Ok(self.str_of(range))
    }

    #[inline(always)]
    pub(super) fn str_of(&self, range: string::Range) -> Str<'a> {
        Str { raw: self.slice(range.start, range.end), escaped: range.escaped }
    }

    /// The number that begins here.
    #[inline(always)]
    pub(super) fn num(&mut self) -> Result<Num<'a>, JsonError> {
        let start = self.at;
        let form = self.number()?;
        Ok(Num { raw: self.slice(start, self.at), form })
    }

    #[inline(always)]
    fn number(&mut self) -> Result<super::number::Form, JsonError> {
        let (end, form) = super::number::scan(self.text.as_bytes(), self.at)?;
        self.at = end;
        Ok(form)
    }

    #[inline(always)]
    fn literal(&mut self, word: &'static str) -> Result<(), JsonError> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.unexpected("expected `true`, `false` or `null`"));
        }
        self.at += word.len();
        Ok(())
    }

    #[inline(always)]
    fn open(&mut self) -> Result<(), JsonError> {
        if self.level >= self.depth {
            return Err(JsonError { kind: JsonErrorKind::TooDeep, at: self.at, message: "nested too deeply" });
        }
        self.level += 1;
        self.at += 1;
        Ok(())
    }

    #[inline(always)]
    fn close(&mut self) {
        self.level -= 1;
        self.at += 1;
    }

    #[cold]
    fn unexpected(self, message: &'static str) -> JsonError {
        if self.at >= self.text.len() { syntax(self.at, "unexpected end") } else { syntax(self.at, message) }
    }
}

/// The first byte at or after `at` that is not white space.
fn space_end(text: &str, at: usize) -> usize {
    let space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    at + text.as_bytes().get(at..).unwrap_or_default().iter().take_while(|byte| space(byte)).count()
}

#[cold]
pub(super) fn syntax(at: usize, message: &'static str) -> JsonError {
    JsonError { kind: JsonErrorKind::Syntax, at, message }
}

#[cold]
fn bad_utf8(json: &[u8]) -> JsonError {
    let at = std::str::from_utf8(json).map_or_else(|error| error.valid_up_to(), |_| json.len());
    syntax(at, "not UTF-8")
}
