//! The text's tokens with their bytes, and the messages for those that the language does not have.

use std::ops::Range;

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer, Word};

use super::dialect::Sql;
use crate::error::TextError;

/// A token and its bytes.
pub(super) struct Raw {
    pub token: Token,
    pub at: Range<usize>,
}

pub(super) fn error(at: Range<usize>, message: impl Into<String>, help: &[&str]) -> TextError {
    TextError { span: at, message: message.into(), help: help.iter().map(|h| (*h).to_string()).collect() }
}

/// All tokens but white space and comments.
pub(super) fn raw(text: &str) -> Result<Vec<Raw>, TextError> {
    let mut place = Places { text, byte: 0, line: 1, column: 1 };
    let tokens = Tokenizer::new(&Sql, text).tokenize_with_location().map_err(|e| {
        let at = Places { ..place }.byte_of(e.location);
        let message = match e.message.as_str() {
            m if m.contains("string literal") => "the text literal has no closing quote".to_string(),
            m if m.contains("close delimiter") => "the quoted name has no closing quote".to_string(),
            m if m.contains("comment") => "the comment has no end".to_string(),
            m => format!("this cannot be read as SQL: {m}"),
        };
        error(at.min(text.len())..text.len(), message, &[])
    })?;
    let mut raw = Vec::with_capacity(tokens.len());
    for TokenWithSpan { token, span } in tokens {
        let start = place.byte_of(span.start);
        let end = place.byte_of(span.end).max(start);
        if !matches!(token, Token::Whitespace(_) | Token::EOF) {
            raw.push(Raw { token, at: start..end });
        }
    }
    Ok(raw)
}

/// Lines and columns, in rising order, into bytes.
struct Places<'t> {
    text: &'t str,
    byte: usize,
    line: u64,
    column: u64,
}

impl Places<'_> {
    fn byte_of(&mut self, location: Location) -> usize {
        while (self.line, self.column) < (location.line, location.column) {
            let Some(c) = self.text[self.byte..].chars().next() else { break };
            self.byte += c.len_utf8();
            (self.line, self.column) = if c == '\n' { (self.line + 1, 1) } else { (self.line, self.column + 1) };
        }
        self.byte
    }
}

pub(super) fn quoted(value: String) -> Token {
    Token::Word(Word { value, quote_style: Some('"'), keyword: Keyword::NoKeyword })
}

pub(super) fn placed(token: Token, at: Range<usize>) -> TokenWithSpan {
    let place = |byte: usize| Location::new(1, byte as u64 + 1);
    TokenWithSpan::new(token, Span::new(place(at.start), place(at.end)))
}

pub(super) fn found(source: &str) -> String {
    let cut: String = source.chars().take(40).collect();
    if source.is_empty() { "the end".to_string() } else { format!("`{cut}`") }
}

/// The message for a token that the language does not have.
pub(super) fn refuse(token: &Token, at: Range<usize>, operand: bool) -> TextError {
    match token {
        Token::DoubleEq => error(at, "equality is written `=`", &[]),
        Token::SemiColon => error(at, "an expression has no `;`", &[]),
        Token::LBracket if operand => {
            error(at, "array literals are not part of the language", &["json_array(…) makes an array"])
        }
        Token::LBracket | Token::Period | Token::RBracket => {
            error(at, "only a name has parts", &["a path is written data.items[0].sku"])
        }
        Token::Arrow | Token::LongArrow | Token::HashArrow | Token::HashLongArrow => error(
            at,
            format!("`{token}` is no operator of this language"),
            &["a part is reached by its path: data.items[0].sku"],
        ),
        Token::Tilde | Token::TildeAsterisk | Token::ExclamationMarkTilde | Token::ExclamationMarkTildeAsterisk => {
            error(
                at,
                format!("`{token}` is no operator of this language"),
                &["a regular expression is matched by regexp_like(text, pattern)"],
            )
        }
        Token::Caret => error(at, "`^` is no operator of this language", &["a power is power(x, y)"]),
        Token::DoubleQuotedString(_) | Token::NationalStringLiteral(_) | Token::HexStringLiteral(_) => {
            error(at, "this kind of literal is not part of the language", &["a text literal is written 'text'"])
        }
        Token::SingleQuotedByteStringLiteral(_) | Token::SingleQuotedRawStringLiteral(_) => {
            error(at, "this kind of literal is not part of the language", &["a text literal is written 'text'"])
        }
        token => error(at, format!("`{token}` is not part of the language"), &[]),
    }
}
