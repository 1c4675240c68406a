//! What the environment gave: it may be a secret, so no text that leaves shows it.

use std::borrow::Cow;
use std::fmt;

/// Values that are not shown, each with the place's own text, which stands for it.
#[derive(Clone, Default)]
pub struct Hidden(Vec<(String, String)>);

impl Hidden {
    /// What `file` itself says is no secret, and a character or two are none.
    pub(super) fn new(mut pairs: Vec<(String, String)>, file: &str) -> Self {
        pairs.retain(|(_, value)| value.chars().count() >= 3 && !file.contains(value.as_str()));
        pairs.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        Self(pairs)
    }

    /// The text without them.
    pub fn hide<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for (place, value) in &self.0 {
            if text.contains(value.as_str()) {
                text = Cow::Owned(text.replace(value.as_str(), place));
            }
            // A message that was cut may hold its beginning.
            let starts = value.char_indices().map(|(at, _)| &value[..at]).rev();
            if let Some(start) =
                starts.filter(|start| start.len() >= 3).find(|start| text.contains(&format!("{start}…")))
            {
                text = Cow::Owned(text.replace(&format!("{start}…"), &format!("{place}…")));
            }
        }
        text
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(place, _)| place)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_environment_are_not_shown() {
        let pair = |place: &str, value: &str| (place.to_owned(), value.to_owned());
        let pairs = vec![pair("${A}", "abc"), pair("${B}", "abcdef"), pair("${C}", "in"), pair("${D}", "file")];
        let hidden = Hidden::new(pairs, "a file");
        assert_eq!(hidden.hide("abcdef in a file: abc"), "${B} in a file: ${A}");
        assert_eq!(hidden.hide("in concat('abcde…"), "in concat('${B}…");
        assert_eq!(format!("{hidden:?}"), r#"["${B}", "${A}"]"#);
    }
}
