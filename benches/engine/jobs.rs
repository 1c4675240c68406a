//! A few jobs of different shapes over one stream of orders, each with its oracle.

use std::fmt::Write as _;

use rust_decimal::Decimal;
use serde::Deserialize;

use crate::events::{Folded, Order, Orders};

pub const ORDERS: Orders = Orders { hits: 20, bytes: 150, users: 10_000 };
/// Rule `i` wants the orders of user `i`.
const RULES: u64 = 1_000;

pub struct Job {
    pub name: &'static str,
    /// What stands between source and output, and where the output comes from.
    steps: &'static str,
    from: &'static str,
    pub has_rules: bool,
    /// Fails with the first result that is not as it must be.
    pub check: fn(&mut dyn Iterator<Item = &str>, u64),
}

pub const JOBS: [Job; 4] = [
    Job { name: "pass all on", steps: "", from: "events", has_rules: false, check: check_all },
    Job {
        name: "filter and set",
        steps: "shape:
  kept: { from: events, where: \"type = 'order'\", set: { total: amount * items }, drop: [note] }",
        from: "kept",
        has_rules: false,
        check: check_kept,
    },
    Job {
        name: "count and sum per user",
        steps: "shape:
  kept: { from: events, where: \"type = 'order'\" }
aggregate:
  spend: { from: kept, by: [user], measures: { orders: count(*), total: sum(amount) } }",
        from: "spend",
        has_rules: false,
        check: check_spend,
    },
    Job {
        name: "match 1,000 live rules",
        steps: "tables:
  rules: { kafka: { topic: rules }, key: id }
match:
  due: { from: events, rules: { table: rules, pattern: pattern } }",
        from: "due",
        has_rules: true,
        check: check_due,
    },
];

impl Job {
    pub fn file(&self) -> String {
        let Self { steps, from, .. } = self;
        format!(
            "name: engine
sources:
  events: {{ kafka: {{ topic: events }} }}
{steps}
emit:
  results: {{ from: {from}, kafka: {{ topic: results }} }}
"
        )
    }
}

/// The rows of the table of rules.
pub fn rules() -> String {
    let mut text = String::new();
    for rule in 0..RULES {
        let row = writeln!(text, r#"{{"id":"r-{rule}","pattern":{{"type":["order"],"user":["u-{rule:06}"]}}}}"#);
        row.expect("writing to memory");
    }
    text
}

#[derive(Deserialize)]
struct Made<'a> {
    id: &'a str,
    items: u64,
    amount: serde_json::Number,
    note: Option<&'a str>,
    total: Option<serde_json::Number>,
    rule: Option<Rule<'a>>,
}

#[derive(Deserialize)]
struct Rule<'a> {
    id: &'a str,
}

/// Compares results with the events that must come out, in their order.
fn check_events(
    results: &mut dyn Iterator<Item = &str>,
    expected: impl Iterator<Item = Order>,
    matches: impl Fn(&Order, &Made<'_>) -> bool,
) {
    for order in expected {
        let line = results.next().unwrap_or_else(|| panic!("WRONG RESULT: {order:?} is missing"));
        let result: Made<'_> = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let same = result.id == format!("o-{:08}", order.number)
            && decimal(&result.amount) == Decimal::new(order.cents, 2)
            && matches(&order, &result);
        assert!(same, "WRONG RESULT: for {order:?}: {line}");
    }
    assert_eq!(results.next(), None, "WRONG RESULT: one too many");
}

fn decimal(number: &serde_json::Number) -> Decimal {
    number.as_str().parse().expect("an amount is a decimal")
}

fn check_all(results: &mut dyn Iterator<Item = &str>, events: u64) {
    let mut text = String::new();
    for number in 0..events {
        text.clear();
        ORDERS.write(number, 1_767_225_600_000, &mut text);
        assert_eq!(results.next(), Some(&*text), "WRONG RESULT: event {number} does not come out as it came in");
    }
    assert_eq!(results.next(), None, "WRONG RESULT: one too many");
}

fn check_kept(results: &mut dyn Iterator<Item = &str>, events: u64) {
    let expected = (0..events).map(|number| ORDERS.get(number)).filter(|order| order.is_order);
    check_events(results, expected, |order, result| {
        let total = Decimal::new(order.cents, 2) * Decimal::from(result.items);
        result.note.is_none() && result.total.as_ref().map(decimal) == Some(total)
    });
}

fn check_spend(results: &mut dyn Iterator<Item = &str>, events: u64) {
    let mut folded = Folded::default();
    results.for_each(|line| folded.add(None, line.as_bytes()));
    folded.check(&ORDERS.totals(events));
}

fn check_due(results: &mut dyn Iterator<Item = &str>, events: u64) {
    let expected = (0..events).map(|number| ORDERS.get(number)).filter(|order| order.is_order && order.user < RULES);
    check_events(results, expected, |order, result| {
        let rule = result.rule.as_ref().map(|rule| rule.id.to_owned());
        rule == Some(format!("r-{}", order.user)) && result.note.is_some()
    });
}
