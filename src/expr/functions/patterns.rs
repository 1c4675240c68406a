//! Regular expressions, in the syntax of the `regex` crate.

use std::ops::Deref;
use std::rc::Rc;

use regex::{Captures, Regex};

use super::strings::made;
use super::{Args, Function, Kind, Literal, Result, Returns, strict};
use crate::event::Value;
use crate::expr::regexp::{Pattern, cached};
use crate::expr::{Type, text};

const TEXT: Returns = Returns::Is(Type::Varchar);
const PATTERN: Literal = Literal::Pattern(1);

pub(super) static FUNCTIONS: &[Function] = &[
    strict("regexp_like", "regexp_like(text, pattern)", &[Kind::Text; 2], Returns::Is(Type::Boolean), |a| {
        let regex = regex(a)?;
        Ok(Value::Bool(regex.is_match(a.text(0)?)))
    })
    .literal(PATTERN),
    strict("regexp_replace", "regexp_replace(text, pattern, replacement [, flags])", &[Kind::Text; 4], TEXT, replace)
        .required(3)
        .literal(PATTERN),
    strict(
        "regexp_extract",
        "regexp_extract(text, pattern [, group])",
        &[Kind::Text, Kind::Text, Kind::Int],
        TEXT,
        |a| {
            let regex = regex(a)?;
            let group = if a.len() > 2 { a.int(2)? } else { 0 };
            let group = usize::try_from(group).ok().filter(|group| *group < regex.captures_len());
            let group = group.ok_or_else(|| format!("the pattern has {} groups", regex.captures_len() - 1))?;
            let found = regex.captures(a.text(0)?).and_then(|captures| captures.get(group).map(|m| m.as_str()));
            Ok(found.map_or(Value::Null, Value::text))
        },
    )
    .required(2)
    .literal(PATTERN),
];

/// A regular expression to use: cloning one would cost it the memory of its matches.
enum Compiled<'a> {
    Constant(&'a Regex),
    Cached(Rc<Regex>),
}

impl Deref for Compiled<'_> {
    type Target = Regex;

    fn deref(&self) -> &Regex {
        match self {
            Compiled::Constant(regex) => regex,
            Compiled::Cached(regex) => regex,
        }
    }
}

fn regex<'a>(args: &Args<'a>) -> Result<Compiled<'a>> {
    match args.pattern {
        Some(Pattern(regex)) => Ok(Compiled::Constant(regex)),
        None => cached(args.text(1)?).map(Compiled::Cached),
    }
}

/// The first match, or all with the flag `g`; `i` makes case not count.
fn replace(args: &Args<'_>) -> Result<Value> {
    let (whole, replacement) = (args.text(0)?, args.text(2)?);
    let flags = if args.len() > 3 { args.text(3)? } else { "" };
    let (mut every, mut fold) = (false, false);
    for flag in flags.chars() {
        match flag {
            'g' => every = true,
            'i' => fold = true,
            other => return Err(format!("there is no flag `{other}` (g: all matches, i: case does not count)")),
        }
    }
    let regex = if fold { Compiled::Cached(cached(&format!("(?i){}", args.text(1)?))?) } else { regex(args)? };
    let mut out = String::new();
    let mut done = 0;
    for captures in regex.captures_iter(whole).take(if every { usize::MAX } else { 1 }) {
        let Some(found) = captures.get(0) else { continue };
        out.push_str(&whole[done..found.start()]);
        insert(replacement, &captures, &mut out);
        done = found.end();
        if out.len() > text::MAX_BYTES {
            return Err(text::too_long());
        }
    }
    out.push_str(&whole[done..]);
    made(out)
}

/// `\1` to `\9` are groups, `\&` is the whole match, `\\` a backslash.
fn insert(replacement: &str, captures: &Captures<'_>, out: &mut String) {
    let mut chars = replacement.chars().peekable();
    while let Some(c) = chars.next() {
        let group = match (c, chars.peek()) {
            ('\\', Some(digit)) if digit.is_ascii_digit() => digit.to_digit(10),
            ('\\', Some('&')) => Some(0),
            ('\\', Some('\\')) => {
                chars.next();
                out.push('\\');
                continue;
            }
            _ => None,
        };
        match group {
            None => out.push(c),
            Some(group) => {
                chars.next();
                out.push_str(captures.get(group as usize).map_or("", |m| m.as_str()));
            }
        }
    }
}
