//! Random patterns and events: few names and values, so that they meet.

use std::collections::BTreeMap;

use arbtest::arbitrary::{Result, Unstructured};

const KEYS: [&str; 5] = ["a", "b", "c", "a.b", "longer_name"];
const TEXTS: [&str; 14] =
    ["", "x", "y", "ab", "abab", "Ab", "xaby", "abcabc", "10.0.0.1", "10.9.0.1", "::1", "ß", "Σaς", "5"];
const NUMBERS: [&str; 12] = [
    "0",
    "-0",
    "5",
    "5.0",
    "50e-1",
    "7",
    "-3",
    "1e400",
    "9007199254740992",
    "9007199254740993",
    "12345678901234567890.5",
    "12345678901234567890.25",
];
const WILDCARDS: [&str; 9] = ["*", "a*", "*b", "*ab*", "a*b", "x*b*", "ab", "*abca*", "*a*b*c*"];
const BLOCKS: [&str; 4] = ["10.0.0.0/8", "10.0.0.0/24", "::/64", "0.0.0.0/0"];

pub fn pick<'a>(u: &mut Unstructured, from: &[&'a str]) -> Result<&'a str> {
    u.choose(from).copied()
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn many(u: &mut Unstructured, one: impl Fn(&mut Unstructured) -> Result<String>) -> Result<String> {
    let count = if u.ratio(1, 20)? { 14 } else { u.int_in_range(1..=3)? };
    let items: Vec<String> = (0..count).map(|_| one(u)).collect::<Result<_>>()?;
    Ok(format!("[{}]", items.join(",")))
}

fn text_test(u: &mut Unstructured) -> Result<String> {
    let affix = if u.ratio(1, 2)? { "prefix" } else { "suffix" };
    let text = quoted(pick(u, &TEXTS)?);
    Ok(match u.int_in_range(0..=3)? {
        0 => format!(r#"{{"{affix}":{text}}}"#),
        1 => format!(r#"{{"{affix}":{{"equals-ignore-case":{text}}}}}"#),
        2 => format!(r#"{{"equals-ignore-case":{text}}}"#),
        _ => format!(r#"{{"wildcard":{}}}"#, quoted(pick(u, &WILDCARDS)?)),
    })
}

fn alternative(u: &mut Unstructured) -> Result<String> {
    Ok(match u.int_in_range(0..=15)? {
        0..=3 => quoted(pick(u, &TEXTS)?),
        4 | 5 => pick(u, &NUMBERS)?.to_owned(),
        6 => pick(u, &["true", "false", "null"])?.to_owned(),
        7 => format!(r#"{{"numeric":["{}",{}]}}"#, pick(u, &["<", "<=", ">", ">=", "="])?, pick(u, &NUMBERS)?),
        8 => format!(
            r#"{{"numeric":["{}",{},"{}",{}]}}"#,
            pick(u, &[">", ">="])?,
            pick(u, &NUMBERS)?,
            pick(u, &["<", "<="])?,
            pick(u, &NUMBERS)?
        ),
        9 | 10 => text_test(u)?,
        11 => format!(r#"{{"cidr":"{}"}}"#, pick(u, &BLOCKS)?),
        12 => format!(r#"{{"exists":{}}}"#, u.ratio(1, 2)?),
        13 => format!(r#"{{"anything-but":{}}}"#, many(u, |u| Ok(quoted(pick(u, &TEXTS)?)))?),
        14 => format!(r#"{{"anything-but":{}}}"#, pick(u, &NUMBERS)?),
        _ => format!(r#"{{"anything-but":{}}}"#, text_test(u)?),
    })
}

pub fn pattern(u: &mut Unstructured, depth: u32) -> Result<String> {
    let mut members = BTreeMap::new();
    for _ in 0..u.int_in_range(1..=3)? {
        let key = pick(u, &KEYS)?;
        let value = if depth > 0 && u.ratio(1, 3)? { pattern(u, depth - 1)? } else { many(u, alternative)? };
        members.insert(key, value);
    }
    if depth > 0 && u.ratio(1, 5)? {
        let branches: Vec<String> =
            (0..u.int_in_range(2..=3)?).map(|_| pattern(u, depth - 1)).collect::<Result<_>>()?;
        members.insert("$or", format!("[{}]", branches.join(",")));
    }
    let members: Vec<String> = members.iter().map(|(key, value)| format!("{}:{value}", quoted(key))).collect();
    Ok(format!("{{{}}}", members.join(",")))
}

pub fn object(u: &mut Unstructured, depth: u32) -> Result<String> {
    let members = (0..u.int_in_range(0..=4)?).map(|_| {
        let key = match pick(u, &KEYS)? {
            "a" if u.ratio(1, 10)? => r#""\u0061""#.to_owned(),
            key => quoted(key),
        };
        Ok(format!("{key}: {}", value(u, depth)?))
    });
    Ok(format!("{{{}}}", members.collect::<Result<Vec<_>>>()?.join(" ,")))
}

fn value(u: &mut Unstructured, depth: u32) -> Result<String> {
    Ok(match u.int_in_range(0..=12)? {
        0..=3 => quoted(pick(u, &TEXTS)?).replace('b', if u.ratio(1, 5)? { r"\u0062" } else { "b" }),
        4..=6 => pick(u, &NUMBERS)?.to_owned(),
        7 => pick(u, &["true", "false", "null"])?.to_owned(),
        8 | 9 if depth > 0 => object(u, depth - 1)?,
        10.. if depth > 0 => {
            let count = if u.ratio(1, 20)? { 20 } else { u.int_in_range(0..=4)? };
            let items: Vec<String> = (0..count).map(|_| value(u, depth - 1)).collect::<Result<_>>()?;
            format!("[{}]", items.join(" , "))
        }
        _ => quoted(pick(u, &TEXTS)?),
    })
}

/// A rule from time to time of the kind that makes up most of a large table: many of one form.
pub fn plain_pattern(u: &mut Unstructured) -> Result<String> {
    if u.ratio(1, 10)? {
        let values =
            (0..14).map(|_| Ok(if u.ratio(1, 2)? { quoted(pick(u, &TEXTS)?) } else { pick(u, &NUMBERS)?.into() }));
        return Ok(format!(
            r#"{{"a":[{}],"b":[{}]}}"#,
            values.collect::<Result<Vec<String>>>()?.join(","),
            alternative(u)?
        ));
    }
    Ok(format!(r#"{{"a":[{}],"b":[{}],"c":[{}]}}"#, quoted(pick(u, &TEXTS)?), pick(u, &NUMBERS)?, alternative(u)?))
}
