//! `LIKE` and `ILIKE`: `%` is any text, `_` any one character.

/// A compiled pattern. The commonest shapes have their own.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Like {
    shape: Shape,
    fold: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Shape {
    Exact(String),
    Prefix(String),
    Suffix(String),
    Contains(String),
    General(Vec<Part>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Any,
    One,
    Char(char),
}

impl Like {
    /// `fold`: case does not count. `escape`: makes the next character stand for itself.
    pub fn new(pattern: &str, escape: Option<char>, fold: bool) -> Result<Like, String> {
        let pattern = if fold { pattern.to_lowercase() } else { pattern.to_string() };
        let mut parts = Vec::new();
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            parts.push(match c {
                c if Some(c) == escape => {
                    Part::Char(chars.next().ok_or("the LIKE pattern ends with its escape character")?)
                }
                '%' if parts.last() == Some(&Part::Any) => continue,
                '%' => Part::Any,
                '_' => Part::One,
                c => Part::Char(c),
            });
        }
        Ok(Like { shape: Shape::of(parts), fold })
    }

    pub fn matches(&self, text: &str) -> bool {
        if self.fold { self.shape.matches(&text.to_lowercase()) } else { self.shape.matches(text) }
    }
}

impl Shape {
    fn of(parts: Vec<Part>) -> Self {
        let plain = |parts: &[Part]| -> Option<String> {
            parts.iter().map(|part| if let Part::Char(c) = part { Some(*c) } else { None }).collect()
        };
        let shape = match parts.as_slice() {
            [Part::Any, middle @ .., Part::Any] => plain(middle).map(Shape::Contains),
            [Part::Any, rest @ ..] => plain(rest).map(Shape::Suffix),
            [rest @ .., Part::Any] => plain(rest).map(Shape::Prefix),
            all => plain(all).map(Shape::Exact),
        };
        shape.unwrap_or(Shape::General(parts))
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Shape::Exact(t) => text == t,
            Shape::Prefix(t) => text.starts_with(t.as_str()),
            Shape::Suffix(t) => text.ends_with(t.as_str()),
            Shape::Contains(t) => text.contains(t.as_str()),
            Shape::General(parts) => general(parts, text),
        }
    }
}

/// Goes back to the last `%` only: what an earlier one took can stay.
fn general(parts: &[Part], text: &str) -> bool {
    let (mut at, mut rest) = (0, text.chars());
    let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
    loop {
        let mut ahead = rest.clone();
        match (parts.get(at), ahead.next()) {
            (Some(Part::Any), _) => {
                at += 1;
                retry = Some((at, rest.clone()));
                continue;
            }
            (None, None) => return true,
            (Some(Part::One), Some(_)) => {}
            (Some(Part::Char(p)), Some(c)) if *p == c => {}
            _ => {
                let Some((after, mut from)) = retry.take() else { return false };
                if from.next().is_none() {
                    return false;
                }
                (at, rest) = (after, from.clone());
                retry = Some((after, from));
                continue;
            }
        }
        at += 1;
        rest = ahead;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_is_any_text_and_underscore_one_character() {
        let cases = [
            ("abc", "abc", true),
            ("abc", "a%", true),
            ("abc", "%c", true),
            ("abc", "%b%", true),
            ("abc", "a_c", true),
            ("aéc", "a_c", true),
            ("abc", "a_", false),
            ("", "%", true),
            ("", "_", false),
            ("mississippi", "%iss%ip%", true),
            ("mississippi", "m%iss_p%i", true),
            ("mississippi", "%iss%iss%iss%", false),
            ("a%c", "a\\%c", true),
            ("abc", "a\\%c", false),
            ("aaaa", "%%a%%_", true),
        ];
        for (text, pattern, expected) in cases {
            assert_eq!(Like::new(pattern, Some('\\'), false).unwrap().matches(text), expected, "{text} LIKE {pattern}");
        }
        assert!(Like::new("ÄB%", None, true).unwrap().matches("äbc"));
        assert!(Like::new("a\\", Some('\\'), false).is_err());
    }
}
