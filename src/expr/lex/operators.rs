//! Words where an operator is expected: the keywords of the language.

use std::ops::Range;

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, Word};

use super::{CASE_FORM, Reader};
use crate::error::TextError;
use crate::expr::scan::error;

impl Reader<'_> {
    pub(super) fn operator_word(&mut self, word: &Word) -> Result<(), TextError> {
        use Keyword as K;
        let at = self.here();
        if word.quote_style.is_some() {
            return self.value();
        }
        match word.keyword {
            K::NOT if matches!(self.keyword(1), K::IN | K::LIKE | K::ILIKE | K::BETWEEN) => {
                (0..2).for_each(|_| self.push(true));
            }
            K::AND | K::OR | K::IN | K::LIKE | K::ILIKE | K::BETWEEN | K::ESCAPE => self.push(true),
            K::WHEN | K::THEN | K::ELSE | K::LIMIT | K::FROM => self.push(true),
            K::END => {
                if self.cases.pop().is_none() {
                    return Err(error(at, "this END has no CASE", &[CASE_FORM]));
                }
                self.push(false);
            }
            K::ASC | K::DESC => self.push(false),
            K::IS => self.is(at)?,
            K::AS => {
                self.push(false);
                self.type_name();
            }
            K::FILTER => {
                self.push(true);
                if self.token(0) == Some(&Token::LParen) && self.keyword(1) == K::WHERE {
                    (0..2).for_each(|_| self.push(true));
                }
            }
            K::ORDER if self.keyword(1) == K::BY => (0..2).for_each(|_| self.push(true)),
            K::NULLS if self.word(1).is_some() => (0..2).for_each(|_| self.push(false)),
            foreign => return Err(refuse_word(foreign, at.clone()).unwrap_or_else(|| self.stray(at))),
        }
        Ok(())
    }

    /// A word where an operator is expected.
    fn stray(&self, at: Range<usize>) -> TextError {
        let before = self.at.checked_sub(1).map(|i| self.text[self.raw[i].at.clone()].to_ascii_lowercase());
        let message = format!("expected an operator, found `{}`", &self.text[at.clone()]);
        match before.as_deref() {
            Some("select" | "with" | "from") => error(at, message, &["subqueries are not part of the language"]),
            _ => error(at, message, &["a name with a space or a sign in it is written in double quotes"]),
        }
    }

    /// `IS [NOT] NULL | TRUE | FALSE | UNKNOWN | DISTINCT FROM`
    fn is(&mut self, at: Range<usize>) -> Result<(), TextError> {
        self.push(false);
        if self.keyword(0) == Keyword::NOT {
            self.push(false);
        }
        match self.keyword(0) {
            Keyword::NULL | Keyword::TRUE | Keyword::FALSE | Keyword::UNKNOWN => self.push(false),
            Keyword::DISTINCT if self.keyword(1) == Keyword::FROM => (0..2).for_each(|_| self.push(true)),
            _ => {
                let message = "after IS stand NULL, TRUE, FALSE, UNKNOWN or DISTINCT FROM, or one of these after NOT";
                return Err(error(at, message, &["a value is compared by `=`"]));
            }
        }
        Ok(())
    }
}

/// Operators of SQL that the language does not have.
fn refuse_word(word: Keyword, at: Range<usize>) -> Option<TextError> {
    let refuse = |message: &str, help: &[&str]| Some(error(at.clone(), message, help));
    match word {
        Keyword::OVER | Keyword::WITHIN => refuse("window functions are not part of the language", &[]),
        Keyword::COLLATE => refuse("text compares by code point: COLLATE is not part of the language", &[]),
        Keyword::AT => refuse("timestamps are UTC: AT TIME ZONE is not part of the language", &[]),
        Keyword::SIMILAR | Keyword::RLIKE | Keyword::REGEXP => {
            refuse("no such operator", &["a regular expression is matched by regexp_like(text, pattern)"])
        }
        _ => None,
    }
}
