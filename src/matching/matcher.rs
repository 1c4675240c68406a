//! Rules with what belongs to them beside the pattern: `when`, the row, what a result carries.
//!
//! The [`Index`] finds the rules whose patterns hold; here their conditions are asked and results are made. Rules are
//! added, replaced and removed by id, between events.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Index, Scratch};
use crate::error::{Reason, Rejection, TextError};
use crate::event::key::Fixed;
use crate::event::{Event, Micros, Position, SlotId, Value};
use crate::expr::{EvalError, Expr, Name, NameError, Names, Place, Row, Type};
use crate::json::{self, Path};
use crate::pattern::Pattern;
use crate::plan::{self, Match, Results, RowTarget, RuleScope, Rules, Target, must_be_boolean, slots};

/// A step's rules and how its results look.
pub struct Matcher {
    index: Index,
    rules: Vec<Option<Rule>>,
    free: Vec<u32>,
    by_id: HashMap<Value, u32, Fixed>,
    scope: Option<Scope>,
    found: Vec<u32>,
    leaves: Scratch,
    scratch: Vec<Value>,
}

/// A rule that can be put in force.
pub struct Compiled {
    pub pattern: Pattern,
    pub when: Option<Condition>,
    /// The rule as JSON, `id` included.
    pub body: Value,
}

/// A rule's `when`.
pub struct Condition {
    expr: Expr,
    /// Does it name fields that have no slot?
    reaches_body: bool,
}

struct Rule {
    id: Value,
    when: Option<Condition>,
    /// The rule as JSON, `id` included.
    body: Value,
    /// Slots of `rule.…` as `when` and `best` read them, and as the result carries them.
    seen: Vec<(SlotId, Value)>,
    carried: Vec<(SlotId, Value)>,
}

impl Matcher {
    /// A matcher with the rules of the file, or none yet where they are rows of a table. `slots` is the width of the
    /// events' frame.
    pub fn of(plan: &Match, slots: usize) -> Self {
        let scope = match &plan.rules {
            Rules::Table { scope, .. } => Some(Scope::new(scope, slots)),
            Rules::File(_) => None,
        };
        let mut this = Self {
            index: Index::new(),
            rules: Vec::new(),
            free: Vec::new(),
            by_id: HashMap::default(),
            scope,
            found: Vec::new(),
            leaves: Scratch::default(),
            scratch: Vec::new(),
        };
        if let Rules::File(rules) = &plan.rules {
            for rule in rules {
                let when = rule.when.clone().map(|expr| Condition { expr, reaches_body: false });
                let (pattern, body) = (rule.pattern.clone(), Value::Json(rule.body.clone()));
                this.insert(plan, Value::text(&rule.id), Compiled { pattern, when, body });
            }
        }
        this
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Adds a rule or replaces the one of its id. Ids of unlike types are not equal.
    pub fn insert(&mut self, plan: &Match, id: Value, Compiled { pattern, when, body }: Compiled) {
        self.remove(&id);
        let seen = fields(&plan.rule.target, &body);
        let carried = match plan.results {
            Results::All => Vec::new(),
            Results::Each | Results::Best(_) => fields(&plan.result, &body),
        };
        let rule = Rule { id: id.clone(), when, body, seen, carried };
        let handle = self.free.pop().unwrap_or_else(|| {
            self.rules.push(None);
            self.rules.len() as u32 - 1
        });
        self.rules[handle as usize] = Some(rule);
        self.index.insert(handle, &pattern);
        self.by_id.insert(id, handle);
    }

    pub fn remove(&mut self, id: &Value) {
        if let Some(handle) = self.by_id.remove(id) {
            self.index.remove(handle);
            self.rules[handle as usize] = None;
            self.free.push(handle);
        }
    }

    /// May a live rule's pattern ask for these fields?
    pub fn check_paths(&self, pattern: &str) -> Result<(), TextError> {
        let unknown = self.scope.as_ref().map(|scope| scope.event.unknown_in_pattern(pattern));
        unknown.into_iter().flatten().next().map_or(Ok(()), Err)
    }

    /// Compiles a live rule's condition.
    pub fn compile_when(&mut self, text: &str, rule: &RowTarget) -> Result<Condition, String> {
        let Some(scope) = &mut self.scope else { return Err("rules of the file have no live conditions".to_owned()) };
        scope.reached = false;
        scope.rule = Some((rule.name.clone(), rule.target.slot));
        let expr = Expr::compile(text, scope).map_err(|errors| {
            errors.first().map_or_else(|| "it does not compile".to_owned(), |error| error.to_string())
        })?;
        must_be_boolean(&expr, "`when`").map_err(|message| {
            let wrong = TextError { span: 0..text.len(), message, help: Vec::new() };
            wrong.to_string()
        })?;
        Ok(Condition { expr, reaches_body: scope.reached })
    }

    /// Gives `out` the results for one event whose body is `body`, ordered by rule id.
    pub fn apply(
        &mut self,
        plan: &Match,
        event: &Event,
        body: &[u8],
        now: Micros,
        out: &mut Vec<Event>,
    ) -> Result<(), Rejection> {
        self.index
            .matches(body, &mut self.leaves, &mut self.found)
            .map_err(|e| Rejection::new(Reason::DecodeError, format!("the event's body cannot be matched: {e}")))?;
        if self.found.is_empty() {
            return Ok(());
        }
        let rules = &self.rules;
        let rule = |handle: &u32| rules[*handle as usize].as_ref().expect("the index holds live handles only");
        self.found.sort_unstable_by(|a, b| rule(a).id.cmp(&rule(b).id));
        let mut holding = Vec::with_capacity(self.found.len());
        for handle in &self.found {
            let rule = rule(handle);
            let mut row = RuleRow { scratch: &mut self.scratch, scope: self.scope.as_ref(), event, body, now };
            if row.holds(rule)? {
                holding.push(rule);
            }
        }
        match &plan.results {
            Results::Each => out.extend(holding.into_iter().map(|rule| result(event, rule))),
            Results::Best(by) => {
                let mut best: Option<(Value, &Rule)> = None;
                for rule in holding {
                    let mut row = RuleRow { scratch: &mut self.scratch, scope: None, event, body, now };
                    let score = row.eval(rule, by)?;
                    if best.as_ref().is_none_or(|(greatest, _)| score > *greatest) {
                        best = Some((score, rule));
                    }
                }
                out.extend(best.map(|(_, rule)| result(event, rule)));
            }
            Results::All if holding.is_empty() => {}
            Results::All => out.push(all(event, &plan.result, &holding)),
        }
        Ok(())
    }
}

/// A rule's id in a message.
fn shown(id: &Value) -> String {
    match id {
        Value::Text(text) => text.to_string(),
        other => json::text(other),
    }
}

/// The slots of a row's field and of what lies below it.
fn fields(target: &Target, body: &Value) -> Vec<(SlotId, Value)> {
    let whole = std::iter::once((target.slot, body.clone()));
    whole.chain(target.below.iter().map(|(slot, path)| (*slot, json::get(body, path)))).collect()
}

fn result(event: &Event, rule: &Rule) -> Event {
    let mut event = event.clone();
    for (slot, value) in &rule.carried {
        event.slots[*slot as usize] = value.clone();
    }
    event.position.push(Position::Rule(rule.id.clone()));
    event
}

fn all(event: &Event, target: &Target, rules: &[&Rule]) -> Event {
    let mut text = vec![b'['];
    for (i, rule) in rules.iter().enumerate() {
        if i > 0 {
            text.push(b',');
        }
        json::write(&rule.body, &mut text);
    }
    text.push(b']');
    let list = String::from_utf8(text).expect("JSON is written as UTF-8");
    let mut event = event.clone();
    slots::write(&mut event.slots, target, Value::Json(list.into()));
    event
}

/// An event as a rule's condition sees it: its slots, `rule.…`, and fields of its body that have no slot.
struct RuleRow<'a> {
    scratch: &'a mut Vec<Value>,
    scope: Option<&'a Scope>,
    event: &'a Event,
    body: &'a [u8],
    now: Micros,
}

impl RuleRow<'_> {
    fn holds(&mut self, rule: &Rule) -> Result<bool, Rejection> {
        let Some(when) = &rule.when else { return Ok(true) };
        when.expr.is_true(self.row(rule)).map_err(|error| failed(rule, &error))
    }

    fn eval(&mut self, rule: &Rule, expr: &Expr) -> Result<Value, Rejection> {
        expr.eval(self.row(rule)).map_err(|error| failed(rule, &error))
    }

    fn row(&mut self, rule: &Rule) -> Row<'_> {
        self.scratch.clear();
        self.scratch.extend(self.event.slots.iter().cloned());
        for (slot, value) in &rule.seen {
            self.scratch[*slot as usize] = value.clone();
        }
        if let Some(scope) = self.scope.filter(|_| rule.when.as_ref().is_some_and(|when| when.reaches_body)) {
            let depth = usize::from(u16::MAX);
            let body = json::parse(self.body, depth).unwrap_or_default();
            self.scratch.extend(scope.extra.iter().map(|path| json::get(&body, path)));
        }
        Row { slots: self.scratch, record: &self.event.record, now: self.now }
    }
}

fn failed(rule: &Rule, error: &EvalError) -> Rejection {
    Rejection::new(Reason::ExpressionError, format!("rule {}: {error}", shown(&rule.id)))
}

/// What a live rule's condition may name: the frame's slots, `rule.…`, and with an open schema anything in the body.
struct Scope {
    known: HashMap<Path, (SlotId, Type)>,
    /// The fields of the events.
    event: plan::Scope,
    first_extra: usize,
    /// Fields that rules name and that have no slot; they stand behind the frame's slots.
    extra: Vec<Path>,
    reached: bool,
    rule: Option<(Arc<str>, SlotId)>,
}

impl Scope {
    fn new(scope: &RuleScope, slots: usize) -> Self {
        let known = scope.names.iter().map(|(path, slot, ty)| (path.clone(), (*slot, *ty))).collect();
        let first_extra = slots;
        Self { known, event: scope.event.clone(), first_extra, extra: Vec::new(), reached: false, rule: None }
    }

    fn extra(&mut self, path: &Path) -> SlotId {
        let at = self.extra.iter().position(|known| known == path).unwrap_or_else(|| {
            self.extra.push(path.clone());
            self.extra.len() - 1
        });
        (self.first_extra + at) as SlotId
    }
}

impl Names for Scope {
    fn resolve(&mut self, name: &Name) -> Result<(Place, Type), NameError> {
        if let Some(pseudo) = self.event.pseudo(name) {
            return pseudo;
        }
        if let Some((slot, ty)) = self.known.get(&name.path) {
            return Ok((Place::Slot(*slot), *ty));
        }
        if let Some((field, slot)) = &self.rule
            && let Some(rest) = name.path.below(&Path::field(field))
        {
            return Ok((Place::Below(*slot, rest), Type::Any));
        }
        self.event.type_of(&name.path)?;
        self.reached = true;
        // The body has JSON, whatever the type of the field that it was written from.
        Ok((Place::Slot(self.extra(&name.path)), Type::Any))
    }
}
