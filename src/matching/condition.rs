//! A live rule's `when`: what it may name, and what it reads of the body.
//!
//! It may name the frame's slots, `rule.…`, and with an open schema anything in the body. A field that has no slot is
//! read for this condition alone, behind the frame's slots: what a condition names goes when its rule goes.

use std::collections::HashMap;

use crate::error::TextError;
use crate::event::SlotId;
use crate::expr::{Expr, Name, NameError, Names, Place, Type};
use crate::json::Path;
use crate::plan::{self, RowTarget, RuleScope, must_be_boolean};

/// A rule's `when`.
pub struct Condition {
    pub expr: Expr,
    /// Fields that it names and that have no slot: the expression reads their values right behind the frame's slots.
    pub reached: Box<[Path]>,
}

/// What the live rules of a match may name.
pub struct Scope {
    known: HashMap<Path, (SlotId, Type)>,
    /// The fields of the events.
    pub event: plan::Scope,
    /// The width of the events' frame.
    slots: usize,
}

/// The names of one condition.
struct ConditionNames<'a> {
    scope: &'a Scope,
    rule: &'a RowTarget,
    /// Fields that have no slot, by the place that they are given.
    reached: HashMap<Path, SlotId>,
}

impl Scope {
    pub fn new(scope: &RuleScope, slots: usize) -> Self {
        let known = scope.names.iter().map(|(path, slot, ty)| (path.clone(), (*slot, *ty))).collect();
        Self { known, event: scope.event.clone(), slots }
    }

    pub fn compile(&self, text: &str, rule: &RowTarget) -> Result<Condition, String> {
        let mut names = ConditionNames { scope: self, rule, reached: HashMap::new() };
        let expr = Expr::compile(text, &mut names).map_err(|errors| {
            errors.first().map_or_else(|| "it does not compile".to_owned(), |error| error.to_string())
        })?;
        must_be_boolean(&expr, "`when`").map_err(|message| {
            let wrong = TextError { span: 0..text.len(), message, help: Vec::new() };
            wrong.to_string()
        })?;
        let mut reached: Vec<(Path, SlotId)> = names.reached.into_iter().collect();
        reached.sort_unstable_by_key(|(_, slot)| *slot);
        Ok(Condition { expr, reached: reached.into_iter().map(|(path, _)| path).collect() })
    }
}

impl ConditionNames<'_> {
    /// The slot behind the frame's that this field is read into.
    fn reach(&mut self, path: &Path) -> Result<SlotId, NameError> {
        if let Some(slot) = self.reached.get(path) {
            return Ok(*slot);
        }
        let reached = self.reached.len();
        let slot = SlotId::try_from(self.scope.slots + reached).map_err(|_| NameError {
            message: format!("`{path}` is one field too many: a condition can name {reached} that the file does not"),
            help: vec!["make several rules of it".to_owned()],
        })?;
        self.reached.insert(path.clone(), slot);
        Ok(slot)
    }
}

impl Names for ConditionNames<'_> {
    fn resolve(&mut self, name: &Name) -> Result<(Place, Type), NameError> {
        if let Some(pseudo) = self.scope.event.pseudo(name) {
            return pseudo;
        }
        if let Some((slot, ty)) = self.scope.known.get(&name.path) {
            return Ok((Place::Slot(*slot), *ty));
        }
        if let Some(rest) = name.path.below(&Path::field(&self.rule.name)) {
            return Ok((Place::Below(self.rule.target.slot, rest), Type::Any));
        }
        self.scope.event.type_of(&name.path)?;
        // The body has JSON, whatever the type of the field that it was written from.
        Ok((Place::Slot(self.reach(&name.path)?), Type::Any))
    }
}
