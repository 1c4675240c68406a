//! What a pattern means, in the plainest form: the oracle for tests and benches. It looks at every leaf for every field
//! and is as slow as that sounds.

use std::cmp::Ordering;

use serde_json::Value as Json;

use crate::pattern::{Alternative, Cidr, Exclusion, Field, Number, Pattern, Range, Scalar, TextTest, Wildcard};

/// A scalar of an event, the keys that lead to it and the array elements that it stands in.
#[derive(Debug)]
struct Leaf<'e> {
    path: Vec<&'e str>,
    value: &'e Json,
    /// (array, element): arrays are numbered over the event.
    elements: Vec<(usize, usize)>,
}

/// Whether `event` satisfies `pattern`.
pub fn matches(pattern: &Pattern, event: &Json) -> bool {
    let mut leaves = Vec::new();
    let mut arrays = 0;
    collect(event, &mut Vec::new(), &mut Vec::new(), &mut arrays, &mut leaves);
    satisfy(&mut vec![pattern], &mut Vec::new(), &leaves, &[])
}

fn collect<'e>(
    value: &'e Json,
    path: &mut Vec<&'e str>,
    elements: &mut Vec<(usize, usize)>,
    arrays: &mut usize,
    to: &mut Vec<Leaf<'e>>,
) {
    match value {
        Json::Object(members) => {
            for (key, value) in members {
                path.push(key);
                collect(value, path, elements, arrays, to);
                path.pop();
            }
        }
        Json::Array(items) => {
            let array = *arrays;
            *arrays += 1;
            for (element, item) in items.iter().enumerate() {
                elements.push((array, element));
                collect(item, path, elements, arrays, to);
                elements.pop();
            }
        }
        value => to.push(Leaf { path: path.clone(), value, elements: elements.clone() }),
    }
}

/// Whether all patterns and fields that are still to be satisfied can be, given the array elements chosen so far.
fn satisfy<'p>(
    patterns: &mut Vec<&'p Pattern>,
    fields: &mut Vec<&'p Field>,
    leaves: &[Leaf],
    chosen: &[(usize, usize)],
) -> bool {
    if let Some(pattern) = patterns.pop() {
        let mut fields = fields.clone();
        fields.extend(&pattern.fields);
        return choose(&pattern.choices, patterns, &fields, leaves, chosen);
    }
    let Some(field) = fields.pop() else { return true };
    let here: Vec<&Leaf> =
        leaves.iter().filter(|l| l.path.iter().copied().eq(field.path.iter().map(|k| &**k))).collect();
    if here.is_empty() && field.alternatives.contains(&Alternative::Exists(false)) {
        return satisfy(patterns, &mut fields.clone(), leaves, chosen);
    }
    here.iter().any(|leaf| {
        let elsewhere = |(a, e): &(usize, usize)| chosen.iter().any(|(b, f)| a == b && e != f);
        let good = !leaf.elements.iter().any(elsewhere) && field.alternatives.iter().any(|a| holds(a, leaf.value));
        let chosen = [chosen, &leaf.elements].concat();
        good && satisfy(&mut patterns.clone(), &mut fields.clone(), leaves, &chosen)
    })
}

/// One branch of every `$or`, in every way.
fn choose<'p>(
    choices: &'p [Vec<Pattern>],
    patterns: &[&'p Pattern],
    fields: &[&'p Field],
    leaves: &[Leaf],
    chosen: &[(usize, usize)],
) -> bool {
    let Some((branches, rest)) = choices.split_first() else {
        return satisfy(&mut patterns.to_vec(), &mut fields.to_vec(), leaves, chosen);
    };
    branches.iter().any(|branch| {
        let mut patterns = patterns.to_vec();
        patterns.push(branch);
        choose(rest, &patterns, fields, leaves, chosen)
    })
}

fn holds(alternative: &Alternative, leaf: &Json) -> bool {
    match alternative {
        Alternative::Equals(scalar) => equals(scalar, leaf),
        Alternative::Numeric(range) => number(leaf).is_some_and(|n| in_range(range, &n)),
        Alternative::Text(test) => leaf.as_str().is_some_and(|text| text_holds(test, text)),
        Alternative::Cidr(block) => leaf.as_str().is_some_and(|text| in_block(block, text)),
        Alternative::AnythingBut(excluded) => !excluded.iter().any(|e| excludes(e, leaf)),
        Alternative::Exists(exists) => *exists,
    }
}

fn number(leaf: &Json) -> Option<Number> {
    match leaf {
        Json::Number(n) => Some(Number::parse(n.as_str())),
        _ => None,
    }
}

fn equals(scalar: &Scalar, leaf: &Json) -> bool {
    match scalar {
        Scalar::Null => leaf.is_null(),
        Scalar::Bool(b) => leaf.as_bool() == Some(*b),
        Scalar::Text(t) => leaf.as_str() == Some(t),
        Scalar::Number(n) => number(leaf).as_ref() == Some(n),
    }
}

fn in_range(range: &Range, n: &Number) -> bool {
    let low = range.lower.as_ref().is_none_or(|(low, closed)| match n.cmp(low) {
        Ordering::Less => false,
        Ordering::Equal => *closed,
        Ordering::Greater => true,
    });
    let high = range.upper.as_ref().is_none_or(|(high, closed)| match n.cmp(high) {
        Ordering::Less => true,
        Ordering::Equal => *closed,
        Ordering::Greater => false,
    });
    low && high
}

fn excludes(exclusion: &Exclusion, leaf: &Json) -> bool {
    match exclusion {
        Exclusion::Number(n) => number(leaf).as_ref() == Some(n),
        Exclusion::String(s) => leaf.as_str() == Some(s),
        Exclusion::Text(test) => leaf.as_str().is_some_and(|text| text_holds(test, text)),
    }
}

fn in_block(block: &Cidr, text: &str) -> bool {
    use std::net::{Ipv4Addr, Ipv6Addr};
    let (bits, width) = match block.v6 {
        false => (text.parse::<Ipv4Addr>().ok().map(|a| u128::from(u32::from(a))), 32),
        true => (text.parse::<Ipv6Addr>().ok().map(u128::from), 128),
    };
    bits.is_some_and(|bits| (0..u32::from(block.length)).all(|i| (bits ^ block.network) >> (width - 1 - i) & 1 == 0))
}

fn text_holds(test: &TextTest, text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    match test {
        TextTest::Prefix { text: rule, ignore_case } => begins(rule.chars(), chars.iter(), *ignore_case),
        TextTest::Suffix { text: rule, ignore_case } => begins(rule.chars().rev(), chars.iter().rev(), *ignore_case),
        TextTest::EqualsIgnoreCase(rule) => {
            rule.chars().count() == chars.len() && begins(rule.chars(), chars.iter(), true)
        }
        TextTest::Wildcard(Wildcard { parts }) => wildcard_holds(parts, &chars),
    }
}

fn begins<'c>(rule: impl Iterator<Item = char>, chars: impl Iterator<Item = &'c char>, ignore_case: bool) -> bool {
    let mut chars = chars.copied();
    rule.into_iter().all(|r| {
        chars.next().is_some_and(|c| {
            let cased = |case: String| ignore_case && case == c.to_string();
            r == c || cased(r.to_lowercase().to_string()) || cased(r.to_uppercase().to_string())
        })
    })
}

/// The first part begins the text, and each later one begins somewhere in what is left; the last ends it.
fn wildcard_holds(parts: &[String], chars: &[char]) -> bool {
    // `reached[i]`: the parts so far can have used exactly the first i characters.
    let mut reached = vec![false; chars.len() + 1];
    reached[0] = true;
    for (i, part) in parts.iter().enumerate() {
        let part: Vec<char> = part.chars().collect();
        let mut next = vec![false; chars.len() + 1];
        let mut any = false;
        for start in 0..=chars.len() {
            any = if i == 0 { reached[start] } else { any || reached[start] };
            if any && chars[start..].starts_with(&part) {
                next[start + part.len()] = true;
            }
        }
        reached = next;
    }
    reached[chars.len()]
}
