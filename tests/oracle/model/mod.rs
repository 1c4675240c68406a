//! What whole jobs must give, computed the slow and obvious way: all input in memory, no epochs, no workers, nothing
//! of the crate under test.
//!
//! [`Input::random`] makes orders, users and rules from a seed; [`JOBS`] are dataflow files, each with a plain function
//! from the input to what must come out. Results are compared as [`Results`]: how often each row left, or for a
//! changing collection the last row of each key. So the same expectations hold for any epochs, and on Kafka as on files.
//! Topics are named `${TIDEMILL_TEST_PREFIX:-oracle}.orders`, `.users`, `.rules`, `.out`, `.dead`.

#![allow(dead_code, reason = "each test binary uses its part")]

pub mod compute;
pub mod generate;

use std::collections::BTreeMap;

use serde_json::Value;

pub use generate::Input;

/// Canonical rows: for an append stream row → how often, for a changing collection key → row.
pub type Results = BTreeMap<String, String>;

pub struct Job {
    pub name: &'static str,
    /// The dataflow file; it reads `orders`, its output is called `out`.
    pub file: &'static str,
    /// Which tables it reads: `users`, `rules`.
    pub tables: &'static [&'static str],
    /// Is the output an upsert stream?
    pub changing: bool,
    pub expect: fn(&Input) -> Results,
}

pub const JOBS: &[Job] = &[
    Job { name: "filter", file: FILTER, tables: &[], changing: false, expect: compute::filter },
    Job { name: "totals", file: TOTALS, tables: &[], changing: true, expect: compute::totals },
    Job { name: "windows", file: WINDOWS, tables: &[], changing: false, expect: compute::windows },
    Job { name: "join", file: JOIN, tables: &["users"], changing: false, expect: compute::join },
    Job { name: "rules", file: RULES, tables: &["rules"], changing: false, expect: compute::rules },
];

pub fn job(name: &str) -> &'static Job {
    JOBS.iter().find(|job| job.name == name).expect("a job of that name")
}

const FILTER: &str = r#"
name: oracle-filter
sources:
  orders: { kafka: { topic: "${TIDEMILL_TEST_PREFIX:-oracle}.orders" } }
shape:
  big:
    from: orders
    where: type = 'order' AND amount >= 50
    set: { double: amount * 2, country: lower(country), label: "user || '/' || id::VARCHAR" }
    drop: [note]
emit:
  out: { from: big, kafka: { topic: "${TIDEMILL_TEST_PREFIX:-oracle}.out", key: user } }
dead_letters: { kafka: { topic: "${TIDEMILL_TEST_PREFIX:-oracle}.dead" } }
"#;

const TOTALS: &str = r#"
name: oracle-totals
sources:
  orders: { kafka: { topic: "${TIDEMILL_TEST_PREFIX:-oracle}.orders" } }
shape:
  kept: { from: orders, where: type = 'order' }
aggregate:
  totals:
    from: kept
    by: [user]
    measures:
      orders: count(*)
      total: sum(amount)
      most: max(amount)
      countries: count(DISTINCT country)
      large: count(*) FILTER (WHERE amount > 50)
    having: orders > 1
emit:
  out: { from: totals, kafka: { topic: "${TIDEMILL_TEST_PREFIX:-oracle}.out" } }
dead_letters: { kafka: { topic: "${TIDEMILL_TEST_PREFIX:-oracle}.dead" } }
"#;

const WINDOWS: &str = r#"
name: oracle-windows
sources:
  orders: { kafka: { topic: "${TIDEMILL_TEST_PREFIX:-oracle}.orders" }, time: { from: ts, lateness: 10s } }
aggregate:
  minutes:
    from: orders
    by: { country: country, type: type }
    window: { tumbling: 1m }
    measures: { n: count(*), total: sum(amount), first: first(id), last: last(id) }
emit:
  out: { from: minutes, kafka: { topic: "${TIDEMILL_TEST_PREFIX:-oracle}.out", key: country } }
dead_letters: { kafka: { topic: "${TIDEMILL_TEST_PREFIX:-oracle}.dead" } }
"#;

const JOIN: &str = r#"
name: oracle-join
sources:
  orders: { kafka: { topic: "${TIDEMILL_TEST_PREFIX:-oracle}.orders" } }
tables:
  users: { kafka: { topic: "${TIDEMILL_TEST_PREFIX:-oracle}.users" } }
shape:
  known:
    from: orders
    lookup: { who: { table: users, on: user } }
    set: { plan: "coalesce(who.plan, 'none')", cost: amount * who.factor }
    keep: [id, plan, cost]
emit:
  out: { from: known, kafka: { topic: "${TIDEMILL_TEST_PREFIX:-oracle}.out" } }
dead_letters: { kafka: { topic: "${TIDEMILL_TEST_PREFIX:-oracle}.dead" } }
"#;

const RULES: &str = r#"
name: oracle-rules
sources:
  orders: { kafka: { topic: "${TIDEMILL_TEST_PREFIX:-oracle}.orders" } }
tables:
  rules: { kafka: { topic: "${TIDEMILL_TEST_PREFIX:-oracle}.rules" } }
match:
  due: { from: orders, rules: { table: rules, pattern: pattern, when: condition } }
emit:
  out:
    from: due
    kafka: { topic: "${TIDEMILL_TEST_PREFIX:-oracle}.out", key: rule.id }
    value: { id: id, rule: rule.id, to: rule.to }
dead_letters: { kafka: { topic: "${TIDEMILL_TEST_PREFIX:-oracle}.dead" } }
"#;

/// Each row and how often it is there.
pub fn counted(rows: impl Iterator<Item = Value>) -> Results {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    rows.for_each(|row| *counts.entry(canonical(&row)).or_default() += 1);
    counts.into_iter().map(|(row, n)| (row, format!("{n} ×"))).collect()
}

/// What an output wrote, as results: its keys and values (`None` is a tombstone) in the order of a partition.
pub fn observed(job: &Job, records: impl Iterator<Item = (Option<String>, Option<Value>)>) -> Results {
    if !job.changing {
        return counted(records.map(|(_, value)| value.expect("an append stream has no tombstones")));
    }
    let mut rows = Results::new();
    for (key, value) in records {
        let key = key.expect("a collection has keys");
        match value {
            Some(value) => drop(rows.insert(key, canonical(&value))),
            None => drop(rows.remove(&key)),
        }
    }
    rows
}

/// One text for equal rows: members sorted, numbers without the zeros that do not count.
pub fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            let members = sorted.iter().map(|(k, v)| format!("{k}:{}", canonical(v)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Value::Number(number) => {
            let text = number.to_string();
            if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
        }
        scalar => scalar.to_string(),
    }
}

/// The rows that are in only one of the two, readably, at most a few.
pub fn difference(expected: &Results, actual: &Results) -> String {
    let missing = expected.iter().filter(|(row, n)| actual.get(*row) != Some(n)).map(|(row, n)| format!("- {row} {n}"));
    let extra = actual.iter().filter(|(row, n)| expected.get(*row) != Some(n)).map(|(row, n)| format!("+ {row} {n}"));
    missing.take(8).chain(extra.take(8)).collect::<Vec<_>>().join("\n")
}
