//! The samples of the flagship, made from a seed: a few hundred ordinary events, and some that are odd or bad in the
//! ways that real ones are.

use serde_json::{Value, json};

use crate::model::generate::{Random, rfc3339};

/// 2026-03-02T09:00:00Z.
const START: i64 = 1_772_442_000_000;
const ORGS: [(&str, &str); 6] = [
    ("acme", "enterprise"),
    ("birch", "pro"),
    ("cobalt", "pro"),
    ("dune", "free"),
    ("ember", "free"),
    ("fjord", "pro"),
];
const TYPES: [&str; 6] =
    ["order.paid", "order.refunded", "user.created", "call.finished", "call.failed", "page.viewed"];

/// Files by name, each a text of record lines.
pub fn files() -> [(&'static str, String); 3] {
    [("events.jsonl", events()), ("orgs.jsonl", orgs()), ("subscriptions.jsonl", subscriptions())]
}

fn lines(records: Vec<Value>) -> String {
    records.iter().map(|record| record.to_string() + "\n").collect()
}

fn orgs() -> String {
    let row = |(n, (id, plan)): (usize, &(&str, &str))| {
        let value = json!({"id": id, "plan": plan, "name": format!("{}{} GmbH", id[..1].to_uppercase(), &id[1..])});
        json!({"key": id, "value": value, "timestamp": START - 86_400_000 + n as i64})
    };
    let mut records: Vec<Value> = ORGS.iter().enumerate().map(row).collect();
    // One was upgraded, one left, one was written without an id.
    let moved = json!({"id": "ember", "plan": "pro", "name": "Ember GmbH"});
    records.push(json!({"key": "ember", "value": moved, "timestamp": START - 3_600_000}));
    records.push(json!({"key": "fjord", "value": null, "timestamp": START - 3_500_000}));
    records.push(json!({"key": "nameless", "value": {"plan": "free"}, "timestamp": START - 3_400_000}));
    lines(records)
}

fn subscriptions() -> String {
    let mut random = Random::new(7);
    let mut records = Vec::new();
    let mut add = |key: String, value: Value| {
        let timestamp = START - 7_200_000 + 1000 * records.len() as i64;
        records.push(json!({"key": key, "value": value, "timestamp": timestamp}));
    };
    let row = |org: &str, path: &str, priority: u64, pattern: Value| {
        let endpoint = format!("https://hooks.{org}.example/{path}");
        json!({"org": org, "endpoint": endpoint, "active": true, "priority": priority, "pattern": pattern})
    };
    for n in 0..24 {
        let (org, _) = ORGS[n % ORGS.len()];
        let pattern = match random.below(6) {
            0 => json!({"org": [org], "type": ["order.paid", "order.refunded"]}),
            1 => {
                json!({"org": [org], "type": [{"prefix": "call."}], "data": {"latency_ms": [{"numeric": [">", 500]}]}})
            }
            2 => json!({"org": [org], "data": {"country": [{"anything-but": ["DE", "FR"]}]}}),
            3 => json!({"org": [org], "plan": ["pro", "enterprise"], "type": [{"suffix": ".failed"}]}),
            4 => json!({"org": [org], "data": {"user": {"email": [{"suffix": "@example.org"}]}}}),
            _ => json!({"org": [org], "data": {"amount_cents": [{"exists": true}], "tags": ["vip"]}}),
        };
        let mut value = row(org, ["crm", "billing", "ops"][random.below(3) as usize], random.below(4), pattern);
        if random.one_in(4) {
            value["condition"] = json!(format!("data.amount_cents > {}", 1000 * random.below(9)));
        }
        if random.one_in(8) {
            value["active"] = json!(false);
        }
        add(format!("sub-{n:02}"), value);
    }
    // Edited by its user; edited into something wrong, so that the one before stays; never right; deleted again; and
    // one that reaches for the events of somebody else.
    add("sub-00".into(), row("acme", "edited", 9, json!({"org": ["acme"], "type": ["order.paid"]})));
    add("sub-01".into(), row("birch", "broken", 9, json!({"org": ["birch"], "type": []})));
    add("sub-90".into(), row("cobalt", "typo", 9, json!({"org": ["cobalt"], "type": [{"begins": "order."}]})));
    add("sub-91".into(), row("dune", "gone", 9, json!({"org": ["dune"]})));
    add("sub-91".into(), Value::Null);
    add("sub-92".into(), row("dune", "nosy", 9, json!({"type": ["order.paid"]})));
    lines(records)
}

fn events() -> String {
    let mut random = Random::new(11);
    let mut out = String::new();
    for n in 0..400 {
        let at = START + 900 * n + random.below(5_000) as i64;
        let (org, _) = *random.pick(&ORGS);
        let value = event(&mut random, n, at, org);
        let mut record = json!({"key": org, "value": value, "timestamp": at + 40});
        if random.one_in(3) {
            record["headers"] = json!({"trace": format!("00-{:016x}", random.next())});
        }
        out += &(record.to_string() + "\n");
        if let Some(bad) = (n % 40 == 20).then(|| odd_one(n / 40, at)) {
            out += &(bad + "\n");
        }
    }
    out
}

fn event(random: &mut Random, n: i64, at: i64, org: &str) -> Value {
    let kind = *random.pick(&TYPES);
    let mut data = json!({"country": random.pick(&["DE", "FR", "JP", "US"])});
    match kind {
        "order.paid" | "order.refunded" => {
            data["amount_cents"] = json!(100 + random.below(9_900));
            if random.one_in(3) {
                data["tags"] = json!(["new", "vip"]);
            }
        }
        "user.created" => {
            let host = random.pick(&["example.org", "example.com"]);
            data["user"] = json!({"email": format!("u{}@{host}", random.below(500)), "name": "Žofie \"Zo\" 🌊"});
        }
        _ => data["latency_ms"] = json!(20 + random.below(60) * random.below(25)),
    }
    // People write types in many ways; the flagship trims and lowers them.
    let kind = if random.one_in(9) { format!(" {}", kind.to_uppercase()) } else { kind.into() };
    json!({"id": format!("e{n:03}"), "org": org, "type": kind, "occurred_at": rfc3339(at), "data": data})
}

/// A record line that is not like the others.
fn odd_one(n: i64, at: i64) -> String {
    let time = rfc3339(at);
    let value = match n {
        0 => r#""rubbish""#.into(),
        1 => r#""{\"id\":\"cut\",\"org\":\"acme\",\"type\":\"ord""#.into(),
        2 => r#"{"id":"timeless","org":"acme","type":"order.paid","data":{}}"#.into(),
        3 => format!(r#"{{"id":"nobody","type":"order.paid","occurred_at":"{time}"}}"#),
        4 => format!(
            r#"{{"id":"text","org":"birch","type":"order.paid","occurred_at":"{time}","data":{{"amount_cents":"12"}}}}"#
        ),
        5 => "null".into(),
        6 => r#""{\"id\":\"\\ud800\",\"org\":\"acme\"}""#.into(),
        // Odd but right: numbers that no type holds travel on as they came.
        7 => format!(
            r#"{{"id":"huge","org":"acme","type":"order.paid","occurred_at":"{time}","data":{{"serial":123456789012345678901234567890,"limit":1e+400}}}}"#
        ),
        8 => return r#"{"value_base64":"/////w==","timestamp":1}"#.into(),
        _ => return r#"{"payload":"no record at all"}"#.into(),
    };
    format!(r#"{{"key":"odd","value":{value},"timestamp":{at}}}"#)
}
