//! One alternative of a field: a plain value, or an object with one operator.

use super::json::{Json, Member, Node, error, offset_in_token};
use super::{Alternative, Cidr, Exclusion, Number, Range, Scalar, TextTest, Wildcard};
use crate::error::TextError;

pub(super) const NAMES: [&str; 8] =
    ["numeric", "prefix", "suffix", "equals-ignore-case", "wildcard", "cidr", "anything-but", "exists"];

pub(super) fn alternative(text: &str, node: &Node) -> Result<Alternative, TextError> {
    let scalar = match &node.value {
        Json::Null => Scalar::Null,
        Json::Bool(b) => Scalar::Bool(*b),
        Json::Number(n) => Scalar::Number(Number::parse(n)),
        Json::Text(t) => Scalar::Text(t.clone()),
        Json::Array(_) => {
            return Err(error(node.span.clone(), "an alternative is a value or an operator, not an array"));
        }
        Json::Object(members) => return operator(text, single(node, members)?),
    };
    Ok(Alternative::Equals(scalar))
}

/// The one operator of an object.
fn single<'n>(node: &Node, members: &'n [Member]) -> Result<&'n Member, TextError> {
    match members {
        [member] => Ok(member),
        [] => Err(unknown(node.span.clone(), "an empty object where an operator was expected".to_owned(), "")),
        [_, second, ..] => {
            let message = format!("a second operator, `{}`, in one alternative", second.key);
            let mut wrong = error(second.key_span.clone(), message);
            wrong.help.push("alternatives of which one is enough stand side by side: [{…}, {…}]".to_owned());
            wrong.help.push("what must hold together stands in the branches of a `$or`, or in a `when`".to_owned());
            Err(wrong)
        }
    }
}

fn operator(text: &str, member: &Member) -> Result<Alternative, TextError> {
    let Member { key, key_span, value } = member;
    Ok(match key.as_str() {
        "numeric" => range(value)?,
        "cidr" => Alternative::Cidr(cidr(value)?),
        "anything-but" => Alternative::AnythingBut(exclusions(text, value)?),
        "exists" => match value.value {
            Json::Bool(exists) => Alternative::Exists(exists),
            _ => return Err(expected("`exists`", "true or false", value)),
        },
        name => match text_test(text, name, value)? {
            Some(test) => Alternative::Text(test),
            None => return Err(unknown(key_span.clone(), format!("unknown operator `{name}`"), name)),
        },
    })
}

fn expected(of: &str, what: &str, found: &Node) -> TextError {
    error(found.span.clone(), format!("{of} takes {what}, not {}", found.value.kind()))
}

fn unknown(span: std::ops::Range<usize>, message: String, name: &str) -> TextError {
    let mut wrong = error(span, message);
    let nearest = NAMES.iter().map(|known| (distance(name, known), *known)).min();
    match nearest {
        Some((distance, known)) if distance <= 1 + name.len() / 4 => {
            wrong.help.push(format!("did you mean `{known}`?"))
        }
        _ => wrong.help.push(format!("operators are {}", NAMES.map(|n| format!("`{n}`")).join(", "))),
    }
    wrong
}

/// How many characters must be inserted, removed or replaced to make `b` of `a`.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, c) in a.chars().take(64).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, d) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(c != *d);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

/// A test of strings by its operator's name; `None` if there is none of this name.
fn text_test(text: &str, name: &str, value: &Node) -> Result<Option<TextTest>, TextError> {
    Ok(Some(match name {
        "prefix" => {
            let (text, ignore_case) = affix("prefix", value)?;
            TextTest::Prefix { text, ignore_case }
        }
        "suffix" => {
            let (text, ignore_case) = affix("suffix", value)?;
            TextTest::Suffix { text, ignore_case }
        }
        "equals-ignore-case" => match &value.value {
            Json::Text(t) => TextTest::EqualsIgnoreCase(t.clone()),
            _ => return Err(expected("`equals-ignore-case`", "a string", value)),
        },
        "wildcard" => TextTest::Wildcard(wildcard(text, value)?),
        _ => return Ok(None),
    }))
}

/// The text of a prefix or suffix, and whether it ignores case.
fn affix(name: &str, value: &Node) -> Result<(String, bool), TextError> {
    let what = "a string or {\"equals-ignore-case\": …}";
    match &value.value {
        Json::Text(t) => Ok((t.clone(), false)),
        Json::Object(members) => {
            let member = single(value, members)?;
            match &member.value.value {
                _ if member.key != "equals-ignore-case" => {
                    let mut wrong = error(member.key_span.clone(), format!("`{}` inside `{name}`", member.key));
                    wrong.help.push(format!("`{name}` takes {what}"));
                    Err(wrong)
                }
                Json::Text(t) => Ok((t.clone(), true)),
                _ => Err(expected("`equals-ignore-case`", "a string", &member.value)),
            }
        }
        _ => Err(expected(&format!("`{name}`"), what, value)),
    }
}

fn wildcard(text: &str, value: &Node) -> Result<Wildcard, TextError> {
    let Json::Text(form) = &value.value else { return Err(expected("`wildcard`", "a string", value)) };
    Wildcard::parse(form).map_err(|bad| {
        let token = &text[value.span.clone()];
        let (start, end) = (offset_in_token(token, bad.at), offset_in_token(token, bad.at + 1));
        let mut wrong = error(value.span.start + start..value.span.start + end, bad.message);
        wrong
            .help
            .push(r"`*` is any run of characters, `\\*` a star and `\\\\` a backslash, as written in JSON".to_owned());
        wrong
    })
}

fn cidr(value: &Node) -> Result<Cidr, TextError> {
    let Json::Text(block) = &value.value else { return Err(expected("`cidr`", "a string", value)) };
    Cidr::parse(block).ok_or_else(|| {
        let mut wrong = error(value.span.clone(), format!("`{}` is no block of IP addresses", block.escape_debug()));
        wrong.help.push("for example \"10.0.0.0/8\" or \"fe80::/10\"".to_owned());
        wrong
    })
}

fn exclusions(text: &str, value: &Node) -> Result<Vec<Exclusion>, TextError> {
    let what = "a string, a number, a list of these, or `prefix`, `suffix`, `equals-ignore-case`, `wildcard`";
    let plain = |node: &Node| match &node.value {
        Json::Text(t) => Ok(Exclusion::String(t.clone())),
        Json::Number(n) => Ok(Exclusion::Number(Number::parse(n))),
        _ => Err(expected("`anything-but`", what, node)),
    };
    let Json::Object(members) = &value.value else { return each(value, plain) };
    let member = single(value, members)?;
    let test = |node: &Node| match text_test(text, &member.key, node)? {
        Some(test) => Ok(Exclusion::Text(test)),
        None => {
            let mut wrong = error(member.key_span.clone(), format!("`{}` inside `anything-but`", member.key));
            wrong.help.push(format!("`anything-but` takes {what}"));
            Err(wrong)
        }
    };
    each(&member.value, test)
}

/// One, or a list that is not empty.
fn each<T>(node: &Node, one: impl Fn(&Node) -> Result<T, TextError>) -> Result<Vec<T>, TextError> {
    match &node.value {
        Json::Array(items) if items.is_empty() => Err(error(node.span.clone(), "an empty list excludes nothing")),
        Json::Array(items) => items.iter().map(one).collect(),
        _ => Ok(vec![one(node)?]),
    }
}

/// `["=", n]`, or one lower bound, one upper bound or both in this order.
fn range(value: &Node) -> Result<Alternative, TextError> {
    let Json::Array(items) = &value.value else {
        return Err(expected("`numeric`", "an array of comparisons and numbers", value));
    };
    if items.is_empty() {
        return Err(error(value.span.clone(), "`numeric` without a comparison"));
    }
    let mut range = Range { lower: None, upper: None };
    for pair in items.chunks(2) {
        let comparison = match &pair[0].value {
            Json::Text(t) if ["<", "<=", "=", ">=", ">"].contains(&t.as_str()) => t.as_str(),
            _ => return Err(error(pair[0].span.clone(), "expected one of `<`, `<=`, `=`, `>=`, `>`")),
        };
        let number = match pair.get(1).map(|n| (&n.value, n)) {
            Some((Json::Number(n), _)) => Number::parse(n),
            Some((_, node)) => return Err(expected(&format!("`{comparison}`"), "a number", node)),
            None => return Err(error(pair[0].span.clone(), format!("`{comparison}` without its number"))),
        };
        let closed = comparison.len() == 2;
        let at = pair[0].span.clone();
        match comparison {
            "=" if items.len() == 2 => return Ok(Alternative::Equals(Scalar::Number(number))),
            "=" => return Err(error(at, "`=` stands alone")),
            ">" | ">=" if range.upper.is_some() => {
                return Err(error(at, "the lower bound comes first, then the upper bound"));
            }
            ">" | ">=" if range.lower.is_some() => return Err(error(at, "a second lower bound")),
            ">" | ">=" => range.lower = Some((number, closed)),
            _ if range.upper.is_some() => return Err(error(at, "a second upper bound")),
            _ => range.upper = Some((number, closed)),
        }
    }
    if range.is_empty() {
        return Err(error(value.span.clone(), "no number is in this range"));
    }
    Ok(Alternative::Numeric(range))
}
