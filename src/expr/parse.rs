//! Text into `sqlparser`'s tree, and its errors into ours, each with its bytes.

use std::ops::Range;

use sqlparser::ast;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::Name;
use super::dialect::Sql;
use super::lex::{CASE_FORM, Tokens, lex};
use super::scan::{error, found};
use crate::error::TextError;

/// More operators than this are refused: trees are walked by recursion.
const MAX_OPERATORS: usize = 1_000;
/// Parentheses and calls within each other.
const MAX_DEPTH: usize = 100;

/// An expression's tree. Its spans are bytes (column − 1), its identifiers numbers of `names`.
#[derive(Debug)]
pub(super) struct Parsed<'t> {
    pub tree: ast::Expr,
    pub names: Vec<Name>,
    pub source: Source<'t>,
}

/// The text and its tokens, for finding the bytes of a part.
#[derive(Debug)]
pub(super) struct Source<'t> {
    pub text: &'t str,
    tokens: Vec<TokenWithSpan>,
}

pub(super) fn parse(text: &str) -> Result<Parsed<'_>, TextError> {
    let Tokens { list, names } = lex(text)?;
    let operators = list.iter().filter(|t| is_operator(&t.token)).count();
    if operators > MAX_OPERATORS {
        let message = format!("an expression has at most {MAX_OPERATORS} operators, this one has {operators}");
        return Err(error(0..text.len(), message, &[]));
    }
    let source = Source { text, tokens: list.clone() };
    let mut parser = Parser::new(&Sql).with_recursion_limit(MAX_DEPTH).with_tokens_with_locations(list);
    let tree = parser.parse_expr().map_err(|e| source.explain(e))?;
    let next = parser.peek_token();
    if next.token != Token::EOF {
        let at = bytes(&next);
        if let Some(case) = source.case_before(&at) {
            return Err(error(case, "this CASE is not complete", &[CASE_FORM]));
        }
        let message = format!("expected an operator or the end, found {}", found(&text[at.clone()]));
        return Err(error(at, message, &[]));
    }
    Ok(Parsed { tree, names, source })
}

fn is_operator(token: &Token) -> bool {
    let value = matches!(token, Token::Number(..) | Token::SingleQuotedString(_) | Token::Comma | Token::RParen);
    let name = matches!(token, Token::Word(word) if word.quote_style.is_some());
    !value && !name
}

/// The bytes that a token's location holds.
fn bytes(token: &TokenWithSpan) -> Range<usize> {
    let byte = |column: u64| (column as usize).saturating_sub(1);
    byte(token.span.start.column)..byte(token.span.end.column)
}

impl Source<'_> {
    /// The bytes of a span of the tree; the whole text if it has none.
    pub fn span(&self, span: sqlparser::tokenizer::Span) -> Range<usize> {
        match (span.start.column as usize, span.end.column as usize) {
            (start, end) if start > 0 && end > start && end <= self.text.len() + 1 => start - 1..end - 1,
            _ => 0..self.text.len(),
        }
    }

    /// Index of the first token that begins at `byte` or after it.
    fn from(&self, byte: usize) -> usize {
        self.tokens.partition_point(|t| bytes(t).start < byte)
    }

    /// The `CASE` right before a place where parsing stopped: the parser took it for a name.
    fn case_before(&self, at: &Range<usize>) -> Option<Range<usize>> {
        let token = self.tokens.get(self.from(at.start).checked_sub(1)?)?;
        matches!(&token.token, Token::Word(word) if word.keyword == Keyword::CASE).then(|| bytes(token))
    }

    /// From `at` to the parenthesis that closes the next one.
    pub fn closing(&self, at: Range<usize>) -> Range<usize> {
        let mut open = 0usize;
        for token in &self.tokens[self.from(at.start)..] {
            match token.token {
                Token::LParen => open += 1,
                Token::RParen if open <= 1 => return at.start..bytes(token).end.max(at.end),
                Token::RParen => open -= 1,
                _ => {}
            }
        }
        at
    }

    /// `at` with so many tokens before it.
    pub fn before(&self, at: Range<usize>, tokens: usize) -> Range<usize> {
        let first = self.from(at.start).saturating_sub(tokens);
        self.tokens.get(first).map_or(at.start, |t| bytes(t).start).min(at.start)..at.end
    }

    /// `at` with so many tokens after it.
    pub fn after(&self, at: Range<usize>, tokens: usize) -> Range<usize> {
        let last = self.from(at.end) + tokens;
        let end = last.checked_sub(1).and_then(|i| self.tokens.get(i)).map_or(at.end, |t| bytes(t).end);
        at.start..end.max(at.end)
    }

    /// The words of the type after `::` are as many.
    pub fn type_words(&self, at: &Range<usize>) -> usize {
        let after = self.tokens[self.from(at.end)..].iter().skip(1);
        let words = after.take_while(|t| matches!(&t.token, Token::Word(w) if w.quote_style.is_none()));
        let words: Vec<String> = words.map(|t| t.token.to_string().to_lowercase()).collect();
        match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["timestamp", "with" | "without", "time", "zone", ..] => 4,
            ["double", "precision", ..] | ["character", "varying", ..] => 2,
            _ => 1,
        }
    }

    fn explain(&self, parser_error: ParserError) -> TextError {
        let whole = 0..self.text.len();
        let raw = match parser_error {
            ParserError::RecursionLimitExceeded => {
                return error(whole, format!("the expression nests more than {MAX_DEPTH} deep"), &[]);
            }
            ParserError::ParserError(raw) | ParserError::TokenizerError(raw) => raw,
        };
        let column = raw.rsplit_once("Column: ").and_then(|(_, digits)| digits.trim().parse::<usize>().ok());
        let end = self.text.len()..self.text.len();
        let at = match column.and_then(|column| self.tokens.get(self.from(column.saturating_sub(1)))) {
            Some(token) => bytes(token),
            None => end,
        };
        if let Some(case) = self.case_before(&at) {
            return error(case, "this CASE is not complete", &[CASE_FORM]);
        }
        let found = found(&self.text[at.clone()]);
        let expected = raw.strip_prefix("Expected: ").and_then(|rest| rest.split(", found").next());
        let message = match expected {
            Some("an expression") => format!("expected a value, found {found}"),
            Some(")") => format!("expected `)` or an operator, found {found}"),
            Some(sign) if sign.len() <= 3 => format!("expected `{sign}`, found {found}"),
            Some(what) => format!("expected {what}, found {found}"),
            None => format!("this is no expression near {found}"),
        };
        error(at, message, &[])
    }
}
