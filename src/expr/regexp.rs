//! Regular expressions, of bounded size. A constant pattern is compiled once, with the expression; others are kept in a
//! small cache of each thread.

use std::cell::RefCell;
use std::rc::Rc;

use regex::{Regex, RegexBuilder};

use super::text;

const MAX_PATTERN: usize = 16 << 10;
const MAX_COMPILED: usize = 1 << 20;
const CACHED: usize = 64;

#[derive(Clone, Debug)]
pub(super) struct Pattern(pub Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

thread_local! {
    /// The last used patterns, the newest last.
    static CACHE: RefCell<Vec<Rc<Regex>>> = const { RefCell::new(Vec::new()) };
}

pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > MAX_PATTERN {
        return Err(format!("a regular expression of more than {} KiB", MAX_PATTERN >> 10));
    }
    let compiled = RegexBuilder::new(pattern).size_limit(MAX_COMPILED).dfa_size_limit(MAX_COMPILED).build();
    compiled.map_err(|e| {
        let reason = match &e {
            regex::Error::CompiledTooBig(_) => "it is too large".to_string(),
            other => other.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_string(),
        };
        format!("'{}' is no regular expression: {reason}", text::cut(pattern, 60))
    })
}

/// A pattern that is known only now.
pub(super) fn cached(pattern: &str) -> Result<Rc<Regex>, String> {
    CACHE.with_borrow_mut(|cache| {
        if let Some(at) = cache.iter().rposition(|regex| regex.as_str() == pattern) {
            let regex = cache.remove(at);
            cache.push(regex.clone());
            return Ok(regex);
        }
        let regex = Rc::new(compile(pattern)?);
        if cache.len() == CACHED {
            cache.remove(0);
        }
        cache.push(regex.clone());
        Ok(regex)
    })
}
