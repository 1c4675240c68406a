//! Rules with what belongs to them beside the pattern: `when`, the row, what a result carries.
//!
//! The [`Index`] finds the rules whose patterns hold; here their conditions are asked and results are made. Rules are
//! added, replaced and removed by id, between events.

use std::collections::HashMap;

use super::condition::{Condition, Scope};
use super::{Index, Scratch};
use crate::error::{Reason, Rejection, TextError};
use crate::event::key::Fixed;
use crate::event::{Event, Micros, Position, SlotId, Value};
use crate::expr::{EvalError, Expr, Row};
use crate::json::{self, Path};
use crate::pattern::Pattern;
use crate::plan::{Match, Results, RowTarget, Rules, Target, slots};

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
                let when = rule.when.clone().map(|expr| Condition { expr, reached: Box::default() });
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
    pub fn compile_when(&self, text: &str, rule: &RowTarget) -> Result<Condition, String> {
        let scope = self.scope.as_ref().ok_or("rules of the file have no live conditions")?;
        scope.compile(text, rule)
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
        let mut row = RuleRow { scratch: &mut self.scratch, event, body, parsed: None, now };
        for handle in &self.found {
            let rule = rule(handle);
            if row.holds(rule)? {
                holding.push(rule);
            }
        }
        match &plan.results {
            Results::Each => out.extend(holding.into_iter().map(|rule| result(event, rule))),
            Results::Best(by) => {
                let mut best: Option<(Value, &Rule)> = None;
                for rule in holding {
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

/// An event as a rule's condition sees it: its slots, `rule.…`, and the fields of its body that the condition reaches.
struct RuleRow<'a> {
    scratch: &'a mut Vec<Value>,
    event: &'a Event,
    body: &'a [u8],
    /// The body, once a condition has reached into it.
    parsed: Option<Value>,
    now: Micros,
}

impl RuleRow<'_> {
    fn holds(&mut self, rule: &Rule) -> Result<bool, Rejection> {
        let Some(when) = &rule.when else { return Ok(true) };
        when.expr.is_true(self.row(rule, &when.reached)).map_err(|error| failed(rule, &error))
    }

    fn eval(&mut self, rule: &Rule, expr: &Expr) -> Result<Value, Rejection> {
        expr.eval(self.row(rule, &[])).map_err(|error| failed(rule, &error))
    }

    fn row(&mut self, rule: &Rule, reached: &[Path]) -> Row<'_> {
        self.scratch.clear();
        self.scratch.extend(self.event.slots.iter().cloned());
        for (slot, value) in &rule.seen {
            self.scratch[*slot as usize] = value.clone();
        }
        if !reached.is_empty() {
            let depth = usize::from(u16::MAX);
            let body = self.parsed.get_or_insert_with(|| json::parse(self.body, depth).unwrap_or_default());
            self.scratch.extend(reached.iter().map(|path| json::get(body, path)));
        }
        Row { slots: self.scratch, record: &self.event.record, now: self.now }
    }
}

fn failed(rule: &Rule, error: &EvalError) -> Rejection {
    Rejection::new(Reason::ExpressionError, format!("rule {}: {error}", shown(&rule.id)))
}

#[cfg(test)]
mod tests {
    use super::super::rule_row::{self, Fields};
    use super::*;
    use crate::event::row;
    use crate::plan::{Options, Plan, StepKind, load};

    const FILE: &str = "
name: t
sources: { e: { kafka: { topic: e } } }
tables: { subs: { kafka: { topic: s } } }
match: { due: { from: e, rules: { table: subs, pattern: p, when: w } } }
emit: { o: { from: due, kafka: { topic: o } } }
";

    struct Live {
        plan: Plan,
        matcher: Matcher,
        slots: usize,
    }

    fn spec(plan: &Plan) -> &Match {
        let StepKind::Match(spec) = &plan.steps[0].kind else { panic!("the file has one match") };
        spec
    }

    impl Live {
        /// Events have so many slots, of which the file's frame needs the first few.
        fn new(slots: usize) -> Self {
            let (plan, _) = load("t.yaml", FILE, &|_| None, Options::default()).expect("the file is right");
            assert!(plan.frames[plan.steps[0].frame].paths.len() <= slots);
            Self { matcher: Matcher::of(spec(&plan), slots), plan, slots }
        }

        /// Adds or edits a rule for events that have an `n`.
        fn learn(&mut self, id: &str, when: &str) -> Result<(), Rejection> {
            let Rules::Table { pattern, when: Some(condition), .. } = spec(&self.plan).rules else {
                panic!("the rules are a table's")
            };
            let mut slots = vec![Value::Null; usize::from(pattern.max(condition)) + 1];
            slots[usize::from(pattern)] = Value::text(r#"{"n":[{"exists":true}]}"#);
            slots[usize::from(condition)] = Value::text(when);
            let row = row::Row { body: "{}".into(), slots: slots.into(), time: 0 };
            let fields = Fields { pattern, when: Some(condition) };
            let plan = spec(&self.plan);
            let rule = rule_row::compile(&self.matcher, plan, fields, &Value::text(id), &row)?;
            self.matcher.insert(plan, Value::text(id), rule);
            Ok(())
        }

        /// The rules that hold for a body.
        fn hold(&mut self, body: &str) -> Vec<String> {
            let event = Event { slots: vec![Value::Null; self.slots].into(), ..Event::default() };
            let mut results = Vec::new();
            self.matcher
                .apply(spec(&self.plan), &event, body.as_bytes(), 0, &mut results)
                .expect("conditions hold or not");
            let id = |event: &Event| match event.position.last() {
                Some(Position::Rule(id)) => shown(id),
                _ => panic!("a result says whose it is"),
            };
            results.iter().map(id).collect()
        }
    }

    /// `coalesce(p0, p1, …)` of so many names, the first being number `from`.
    fn first_of(from: usize, names: usize) -> String {
        let names: Vec<String> = (from..from + names).map(|i| format!("p{i}")).collect();
        format!("coalesce({})", names.join(", "))
    }

    #[test]
    fn names_of_rules_that_are_gone_cost_nothing() {
        let mut live = Live::new(16);
        live.learn("before", "a = 1").unwrap();
        for edit in 0..35 {
            live.learn("edited", &format!("{} = 1", first_of(edit * 2000, 1000))).unwrap();
            let refused = live.learn("refused", &format!("{} || 'text'", first_of(edit * 2000 + 1000, 1000)));
            assert_eq!(refused.unwrap_err().reason, Reason::RuleError);
        }
        live.matcher.remove(&Value::text("edited"));
        live.learn("after", "b = 2").unwrap();
        assert_eq!(live.hold(r#"{"n":0,"a":1,"b":2}"#), ["after", "before"]);
        assert_eq!(live.hold(r#"{"n":0,"a":2,"b":2}"#), ["after"]);
        assert_eq!(live.matcher.scratch.len(), live.slots + 1, "each rule reads the one field that it names");
    }

    #[test]
    fn rules_read_their_own_names() {
        let mut live = Live::new(16);
        live.learn("ab", "a = 1 AND b.c = 2 AND a < 5").unwrap();
        live.learn("ba", "b.c = 2 AND a = 1").unwrap();
        live.learn("c", "c = 'x' AND rule.id = 'c'").unwrap();
        live.learn("none", "TRUE").unwrap();
        assert_eq!(live.hold(r#"{"n":0,"a":1,"b":{"c":2},"c":"x"}"#), ["ab", "ba", "c", "none"]);
        assert_eq!(live.hold(r#"{"n":0,"a":2,"b":{"c":1}}"#), ["none"]);
        live.learn("ab", "c IS NULL").unwrap();
        assert_eq!(live.hold(r#"{"n":0,"a":1,"b":{"c":2}}"#), ["ab", "ba", "none"]);
    }

    #[test]
    fn a_rule_that_names_more_than_there_are_slots_is_refused() {
        let mut live = Live::new(usize::from(SlotId::MAX) - 1);
        live.learn("two", "a = 1 AND b = 2 AND a < 5").unwrap();
        let refused = live.learn("three", "a = 1 AND b = 2 AND c = 3").unwrap_err();
        assert_eq!(refused.reason, Reason::RuleError);
        let message = "when, at character 21: `c` is one field too many: a condition can name 2 that the file does not";
        assert_eq!(refused.message, message);
        assert_eq!(live.hold(r#"{"n":0,"a":1,"b":2}"#), ["two"]);
        let mut full = Live::new(usize::from(SlotId::MAX) + 1);
        assert!(
            full.learn("one", "a = 1").unwrap_err().message.ends_with("a condition can name 0 that the file does not")
        );
    }
}
