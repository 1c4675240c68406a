//! Rule patterns: the language of Amazon EventBridge, parsed and checked.
//!
//! Pure. What a pattern means is in the docs of its parts; finding the matching ones among very many is the
//! `matching` room's work.

use crate::error::TextError;

/// A checked pattern.
#[derive(Clone, Debug)]
pub struct Pattern {}

impl Pattern {
    /// Compiles a pattern's JSON text; the error has its position in the text.
    pub fn parse(_json: &str) -> Result<Pattern, TextError> {
        unimplemented!()
    }
}
