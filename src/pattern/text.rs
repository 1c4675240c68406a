//! Tests of strings: prefix, suffix, equality without regard to case, wildcards.

/// What a pattern asks of a string. `ignore_case`: a character of the rule matches itself, its lower and its upper
/// case, where these are one character (so ß is not SS, and Σ is σ but not ς).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextTest {
    Prefix { text: String, ignore_case: bool },
    Suffix { text: String, ignore_case: bool },
    EqualsIgnoreCase(String),
    Wildcard(Wildcard),
}

/// The literal parts between the stars; one part is a wildcard without a star.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wildcard {
    pub parts: Vec<String>,
}

/// What is wrong with a wildcard, and the byte of its text where.
#[derive(Debug, PartialEq, Eq)]
pub struct BadWildcard {
    pub at: usize,
    pub message: &'static str,
}

impl Wildcard {
    /// `*` is any run of characters, `\*` and `\\` are themselves; any other `\` and `**` are errors.
    pub fn parse(text: &str) -> Result<Self, BadWildcard> {
        let mut parts = Vec::new();
        let mut last = String::new();
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            match c {
                '*' if chars.peek().is_some_and(|(_, next)| *next == '*') => {
                    return Err(BadWildcard { at, message: "`**` in a wildcard: one `*` is any run of characters" });
                }
                '*' => parts.push(std::mem::take(&mut last)),
                '\\' => match chars.next() {
                    Some((_, escaped @ ('*' | '\\'))) => last.push(escaped),
                    _ => return Err(BadWildcard { at, message: "a backslash in a wildcard that escapes nothing" }),
                },
                _ => last.push(c),
            }
        }
        parts.push(last);
        Ok(Self { parts })
    }
}

/// One representative for all characters that a comparison without case may call the same.
pub fn fold(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_lowercase();
    }
    let upper = single(c.to_uppercase()).unwrap_or(c);
    single(upper.to_lowercase()).unwrap_or(upper)
}

/// Whether `c` of an event is `rule`, its lower or its upper case.
fn same_ignoring_case(rule: char, c: char) -> bool {
    rule == c || single(rule.to_lowercase()) == Some(c) || single(rule.to_uppercase()) == Some(c)
}

fn single(mut chars: impl Iterator<Item = char>) -> Option<char> {
    let first = chars.next()?;
    chars.next().is_none().then_some(first)
}

/// What follows the prefix in `text`, if it has it.
pub fn strip_prefix_ignoring_case<'t>(rule: &str, text: &'t str) -> Option<&'t str> {
    let mut rest = text.chars();
    rule.chars().all(|r| rest.next().is_some_and(|c| same_ignoring_case(r, c))).then_some(rest.as_str())
}

/// What precedes the suffix in `text`, if it has it.
pub fn strip_suffix_ignoring_case<'t>(rule: &str, text: &'t str) -> Option<&'t str> {
    let mut rest = text.chars();
    rule.chars().rev().all(|r| rest.next_back().is_some_and(|c| same_ignoring_case(r, c))).then_some(rest.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_unites_whatever_ignoring_case_unites() {
        for c in '\0'..=char::MAX {
            for other in c.to_lowercase().chain(c.to_uppercase()) {
                if same_ignoring_case(c, other) {
                    assert_eq!(fold(c), fold(other), "{c:?} {other:?}");
                }
            }
        }
    }

    #[test]
    fn case_is_ignored_character_by_character() {
        assert_eq!(strip_prefix_ignoring_case("straße", "STRAßE"), Some(""));
        assert_eq!(strip_prefix_ignoring_case("straße", "STRASSE"), None);
        assert!(same_ignoring_case('Σ', 'σ') && !same_ignoring_case('Σ', 'ς'));
        assert_eq!(strip_prefix_ignoring_case("ÄB", "äbc"), Some("c"));
        assert_eq!(strip_suffix_ignoring_case("BC", "äbc"), Some("ä"));
        assert_eq!(strip_prefix_ignoring_case("ab", "a"), None);
    }

    #[test]
    fn wildcards_split_at_stars_that_are_not_escaped() {
        let parts = |text| Wildcard::parse(text).unwrap().parts;
        assert_eq!(parts("a*b"), ["a", "b"]);
        assert_eq!(parts("*"), ["", ""]);
        assert_eq!(parts(""), [""]);
        assert_eq!(parts(r"a\*b\\*"), [r"a*b\", ""]);
        assert_eq!(Wildcard::parse("ab**").unwrap_err().at, 2);
        assert_eq!(Wildcard::parse(r"é\n").unwrap_err().at, 2);
        assert_eq!(Wildcard::parse(r"a\").unwrap_err().at, 1);
    }
}
