//! Words into tokens that `sqlparser` reads as this language means them.
//!
//! In SQL some hundred words are keywords; here any word is a name wherever a value is expected, but for the short
//! list of [`RESERVED`]. So the text is tokenized, every path (`data.items[0].sku`) becomes one quoted identifier that
//! holds its number in [`Tokens::names`], and only words that stand where an operator is expected stay keywords. What
//! the language does not have is refused here, with its own message. Positions of tokens are bytes: column = byte + 1.

mod operators;

use std::ops::Range;

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::scan::{Raw, error, found, placed, quoted, raw, refuse};
use super::{Name, types};
use crate::error::TextError;
use crate::json::{Path, Segment};

/// Words that are no name without quotes, where a value is expected.
pub(super) const RESERVED: [&str; 20] = [
    "AND", "OR", "NOT", "NULL", "TRUE", "FALSE", "CASE", "WHEN", "THEN", "ELSE", "END", "IN", "IS", "LIKE", "ILIKE",
    "BETWEEN", "CAST", "TRY_CAST", "EXISTS", "INTERVAL",
];

pub(super) const CASE_FORM: &str = "it is written CASE WHEN condition THEN value ELSE value END";

/// Tokens without white space, and the names that stand in them as `"#0"`, `"#1"` …
#[derive(Debug, Default)]
pub(super) struct Tokens {
    pub list: Vec<TokenWithSpan>,
    pub names: Vec<Name>,
}

pub(super) fn lex(text: &str) -> Result<Tokens, TextError> {
    let mut reader = Reader { text, raw: raw(text)?, at: 0, operand: true, cases: Vec::new(), out: Tokens::default() };
    if reader.raw.is_empty() {
        return Err(error(0..text.len(), "the expression is empty", &[]));
    }
    while reader.at < reader.raw.len() {
        reader.step()?;
    }
    if reader.operand {
        return Err(error(text.len()..text.len(), "the expression ends where a value is expected", &[]));
    }
    if let Some(at) = reader.cases.pop() {
        return Err(error(at, "this CASE has no END", &[CASE_FORM]));
    }
    Ok(reader.out)
}

/// A path and nothing else.
pub(super) fn lex_path(text: &str) -> Result<Name, TextError> {
    let mut reader = Reader { text, raw: raw(text)?, at: 0, operand: true, cases: Vec::new(), out: Tokens::default() };
    let help = ["a path is names and array indexes: data.items[0].sku, \"odd name\""];
    match reader.raw.first() {
        Some(Raw { token: Token::Word(word), at }) if is_reserved(word) => {
            return Err(needs_quotes(&word.value, at.clone()));
        }
        Some(Raw { token: Token::Word(_), .. }) => reader.path()?,
        _ => return Err(error(0..text.len(), "expected the path of a field", &help)),
    }
    match reader.raw.get(reader.at) {
        None => Ok(reader.out.names.remove(0)),
        Some(next) => Err(error(next.at.start..text.len(), "expected only the path of a field", &help)),
    }
}

fn is_reserved(word: &Word) -> bool {
    word.quote_style.is_none() && RESERVED.iter().any(|r| r.eq_ignore_ascii_case(&word.value))
}

fn needs_quotes(word: &str, at: Range<usize>) -> TextError {
    let help = format!("as a name it is written \"{word}\"");
    error(at, format!("expected a value, found the keyword `{word}`"), &[&help])
}

struct Reader<'t> {
    text: &'t str,
    raw: Vec<Raw>,
    at: usize,
    /// Is a value expected next (else an operator)?
    operand: bool,
    /// Every `CASE` that has no `END` yet.
    cases: Vec<Range<usize>>,
    out: Tokens,
}

impl Reader<'_> {
    fn step(&mut self) -> Result<(), TextError> {
        let at = self.here();
        match &self.raw[self.at].token {
            Token::Word(word) if self.operand => {
                let word = word.clone();
                self.operand_word(&word)
            }
            Token::Word(word) => {
                let word = word.clone();
                self.operator_word(&word)
            }
            Token::Number(digits, true) => {
                Err(error(at, format!("a number is written without a letter: {digits}"), &[]))
            }
            Token::Number(..) => self.value(),
            Token::SingleQuotedString(s) | Token::EscapedStringLiteral(s) | Token::UnicodeStringLiteral(s) => {
                let token = Token::SingleQuotedString(s.clone());
                self.raw[self.at].token = token;
                self.value()
            }
            Token::DollarQuotedString(s) => {
                self.raw[self.at].token = Token::SingleQuotedString(s.value.clone());
                self.value()
            }
            Token::RParen => self.pushed(false),
            Token::Mul if self.operand && self.after_parenthesis() => self.pushed(false),
            Token::LParen if !self.operand && self.after_path() => {
                Err(error(at, "expected an operator, found `(`", &["the name of a function is one word"]))
            }
            Token::Plus | Token::Minus | Token::LParen | Token::Comma => self.pushed(true),
            Token::Mul | Token::Div | Token::Mod | Token::StringConcat => self.operator(),
            Token::Eq | Token::Neq | Token::Lt | Token::LtEq | Token::Gt | Token::GtEq => self.operator(),
            Token::DoubleColon => {
                self.push(false);
                self.type_name();
                Ok(())
            }
            token => Err(refuse(token, at, self.operand)),
        }
    }

    fn here(&self) -> Range<usize> {
        self.raw[self.at].at.clone()
    }

    fn after_parenthesis(&self) -> bool {
        self.out.list.last().is_some_and(|last| last.token == Token::LParen)
    }

    fn after_path(&self) -> bool {
        matches!(self.out.list.last(), Some(TokenWithSpan { token: Token::Word(w), .. }) if w.quote_style.is_some())
    }

    fn token(&self, ahead: usize) -> Option<&Token> {
        self.raw.get(self.at + ahead).map(|raw| &raw.token)
    }

    fn word(&self, ahead: usize) -> Option<&Word> {
        match self.token(ahead) {
            Some(Token::Word(word)) if word.quote_style.is_none() => Some(word),
            _ => None,
        }
    }

    fn keyword(&self, ahead: usize) -> Keyword {
        self.word(ahead).map_or(Keyword::NoKeyword, |word| word.keyword)
    }

    /// Hands the token on as it is.
    fn push(&mut self, operand: bool) {
        let Raw { token, at } = &self.raw[self.at];
        self.out.list.push(placed(token.clone(), at.clone()));
        self.at += 1;
        self.operand = operand;
    }

    fn pushed(&mut self, operand: bool) -> Result<(), TextError> {
        self.push(operand);
        Ok(())
    }

    fn value(&mut self) -> Result<(), TextError> {
        if self.operand {
            return self.pushed(false);
        }
        let at = self.here();
        let message = format!("expected an operator, found {}", found(&self.text[at.clone()]));
        let after_name = matches!(self.raw[self.at].token, Token::SingleQuotedString(_)) && self.after_path();
        let help = ["literals of other types are TIMESTAMP '2026-01-31T12:00:00Z' and INTERVAL '1 hour'"];
        Err(error(at, message, if after_name { &help } else { &[] }))
    }

    fn operator(&mut self) -> Result<(), TextError> {
        if !self.operand {
            return self.pushed(true);
        }
        let at = self.here();
        Err(error(at.clone(), format!("expected a value, found {}", found(&self.text[at])), &[]))
    }

    /// The words of a type, after `AS` and `::`.
    fn type_name(&mut self) {
        use Keyword::{CHARACTER, DOUBLE, PRECISION, TIME, TIMESTAMP, VARYING, WITH, WITHOUT, ZONE};
        if self.word(0).is_none() {
            return;
        }
        let words = match (self.keyword(0), self.keyword(1), self.keyword(2), self.keyword(3)) {
            (TIMESTAMP, WITH | WITHOUT, TIME, ZONE) => 4,
            (DOUBLE, PRECISION, ..) | (CHARACTER, VARYING, ..) => 2,
            _ => 1,
        };
        (0..words).for_each(|_| self.push(false));
    }

    fn operand_word(&mut self, word: &Word) -> Result<(), TextError> {
        if word.quote_style.is_some() {
            if self.token(1) == Some(&Token::LParen) {
                return Err(error(self.here(), "the name of a function is not quoted", &[]));
            }
            return self.path();
        }
        if is_reserved(word) {
            return self.reserved(word);
        }
        match self.token(1) {
            Some(Token::LParen) => self.call(word),
            Some(Token::SingleQuotedString(_)) if types::by_name(&word.value).is_some() => self.pushed(true),
            _ if self.typed_literal() => {
                (0..4).for_each(|_| self.push(true));
                Ok(())
            }
            _ => self.path(),
        }
    }

    /// `timestamp with time zone '…'`
    fn typed_literal(&self) -> bool {
        let words = [self.keyword(0), self.keyword(2), self.keyword(3)];
        words == [Keyword::TIMESTAMP, Keyword::TIME, Keyword::ZONE]
            && matches!(self.keyword(1), Keyword::WITH | Keyword::WITHOUT)
            && matches!(self.token(4), Some(Token::SingleQuotedString(_)))
    }

    fn reserved(&mut self, word: &Word) -> Result<(), TextError> {
        match word.keyword {
            Keyword::CASE => {
                self.cases.push(self.here());
                self.pushed(true)
            }
            Keyword::NOT | Keyword::CAST | Keyword::TRY_CAST => self.pushed(true),
            Keyword::WHEN if self.last_is(Keyword::CASE) => self.pushed(true),
            Keyword::NULL | Keyword::TRUE | Keyword::FALSE => self.pushed(false),
            Keyword::EXISTS => Err(error(self.here(), "subqueries are not part of the language", &[])),
            Keyword::INTERVAL => {
                if !matches!(self.token(1), Some(Token::SingleQuotedString(_))) {
                    let help = ["an interval is written INTERVAL '1 hour'", "as a name it is written \"interval\""];
                    return Err(error(self.here(), "expected a text literal after INTERVAL", &help));
                }
                (0..2).for_each(|_| self.push(false));
                if self.word(0).is_some_and(|unit| is_unit(&unit.value)) {
                    self.push(false);
                }
                Ok(())
            }
            _ => Err(needs_quotes(&word.value, self.here())),
        }
    }

    fn last_is(&self, keyword: Keyword) -> bool {
        matches!(self.out.list.last(), Some(TokenWithSpan { token: Token::Word(w), .. }) if w.keyword == keyword)
    }

    /// The name of a function and its parenthesis, with the words that only some functions have after it.
    fn call(&mut self, word: &Word) -> Result<(), TextError> {
        let at = self.here();
        if word.value.eq_ignore_ascii_case("extract") {
            return self.extract(at);
        }
        let trim = word.keyword == Keyword::TRIM;
        if !trim {
            self.raw[self.at].token = quoted(word.value.clone());
        }
        self.push(true);
        self.push(true);
        let modifies = match self.keyword(0) {
            Keyword::DISTINCT => !trim,
            Keyword::BOTH | Keyword::LEADING | Keyword::TRAILING => trim,
            _ => false,
        };
        if trim && modifies && self.keyword(1) == Keyword::FROM {
            // `trim(LEADING FROM x)` is `trim(LEADING x)` to the parser.
            self.push(true);
            self.at += 1;
        } else if modifies && self.begins_value(1) {
            self.push(true);
        }
        Ok(())
    }

    fn begins_value(&self, ahead: usize) -> bool {
        match self.token(ahead) {
            Some(Token::Word(word)) => {
                !matches!(
                    word.keyword,
                    Keyword::AND
                        | Keyword::OR
                        | Keyword::IN
                        | Keyword::IS
                        | Keyword::LIKE
                        | Keyword::ILIKE
                        | Keyword::BETWEEN
                ) || word.quote_style.is_some()
            }
            Some(Token::Number(..) | Token::SingleQuotedString(_) | Token::LParen) => true,
            _ => false,
        }
    }

    /// `extract(field FROM x)` becomes `extract('field', x)`.
    fn extract(&mut self, at: Range<usize>) -> Result<(), TextError> {
        let field = match self.token(2) {
            Some(Token::Word(word)) => word.value.to_ascii_lowercase(),
            Some(Token::SingleQuotedString(field)) => field.to_ascii_lowercase(),
            _ => String::new(),
        };
        if self.keyword(3) != Keyword::FROM || field.is_empty() {
            return Err(error(
                at,
                "expected extract(field FROM timestamp)",
                &["for example extract(hour FROM placed_at)"],
            ));
        }
        self.raw[self.at].token = quoted("extract".to_string());
        self.raw[self.at + 2].token = Token::SingleQuotedString(field);
        self.raw[self.at + 3].token = Token::Comma;
        (0..4).for_each(|_| self.push(true));
        Ok(())
    }

    /// A path becomes one quoted identifier.
    fn path(&mut self) -> Result<(), TextError> {
        let start = self.here().start;
        let Token::Word(first) = self.raw[self.at].token.clone() else {
            return Err(error(self.here(), "expected a name", &[]));
        };
        let mut path = vec![Segment::Field(first.value.into())];
        self.at += 1;
        while let Some(segment) = self.segment()? {
            path.push(segment);
        }
        let at = start..self.raw[self.at - 1].at.end;
        let token = quoted(format!("#{}", self.out.names.len()));
        self.out.names.push(Name { path: Path(path), quoted: first.quote_style.is_some() });
        self.out.list.push(placed(token, at));
        self.operand = false;
        Ok(())
    }

    /// `.name` or `[0]`
    fn segment(&mut self) -> Result<Option<Segment>, TextError> {
        let Some(token) = self.token(0) else { return Ok(None) };
        match token {
            Token::Period => {
                let at = self.here();
                let Some(Token::Word(word)) = self.token(1) else {
                    return Err(error(
                        at,
                        "expected the name of a field after the dot",
                        &["an odd name is written in double quotes"],
                    ));
                };
                let name = word.value.as_str().into();
                self.at += 2;
                Ok(Some(Segment::Field(name)))
            }
            Token::LBracket => {
                let index = match (self.token(1), self.token(2)) {
                    (Some(Token::Number(digits, false)), Some(Token::RBracket)) => digits.parse().ok(),
                    _ => None,
                };
                let help = ["a field whose name is odd is written .\"odd name\""];
                let index = index
                    .ok_or_else(|| error(self.here(), "an array index is a whole number, from 0: items[0]", &help))?;
                self.at += 3;
                Ok(Some(Segment::Index(index)))
            }
            Token::Number(digits, _)
                if digits.starts_with('.') && self.here().start == self.raw[self.at - 1].at.end =>
            {
                let help = format!("it is written .\"{}…\"", &digits[1..]);
                Err(error(self.here(), "the name of a field that begins with a digit needs double quotes", &[&help]))
            }
            _ => Ok(None),
        }
    }
}

fn is_unit(word: &str) -> bool {
    let units = ["year", "month", "week", "day", "hour", "minute", "second"];
    units.iter().any(|unit| word.eq_ignore_ascii_case(unit) || word.eq_ignore_ascii_case(&format!("{unit}s")))
}
