//! What the flagship must give for its samples, computed over all of them at once from what its file promises.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::model::compute::{holds, leaves};
use crate::model::generate::rfc3339;

/// An output's records: key, value, headers.
pub type Rows = Vec<(String, Value, Value)>;

#[derive(Debug, Default)]
pub struct Expected {
    pub deliveries: Rows,
    pub spend: Rows,
    /// Percentiles are exact here; the job's may be one part in a hundred off.
    pub latency: Rows,
    /// Stage and reason of what is handed back, sorted.
    pub rejected: Vec<(&'static str, &'static str)>,
}

struct Event {
    /// Milliseconds.
    time: i64,
    /// The payload as it came.
    payload: Value,
    /// As `clean` leaves it.
    body: Value,
    cents: Option<i64>,
    trace: Option<String>,
}

struct Subscription {
    id: String,
    row: Value,
}

pub fn expected(events: &str, orgs: &str, subscriptions: &str) -> Expected {
    let mut expected = Expected::default();
    let plans = plans(orgs, &mut expected.rejected);
    let subscriptions = live(subscriptions, &mut expected.rejected);
    let mut clean: Vec<Event> = events.lines().filter_map(|line| event(line, &plans, &mut expected.rejected)).collect();
    clean.sort_by_key(|event| event.time);
    expected.deliveries = deliveries(&clean, &subscriptions);
    expected.spend = spend(&clean);
    expected.latency = latency(&clean);
    expected.rejected.sort_unstable();
    expected
}

fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|e| panic!("the sample is no JSON ({e}): {line}"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_string()
}

/// Organisation → plan, as the table holds them in the end.
fn plans(lines: &str, rejected: &mut Vec<(&'static str, &'static str)>) -> BTreeMap<String, Value> {
    let mut plans = BTreeMap::new();
    for record in lines.lines().map(parse) {
        match (&record["value"], record["value"]["id"].as_str()) {
            (Value::Null, _) => drop(plans.remove(&text(&record["key"]))),
            (_, None) => rejected.push(("table", "KeyError")),
            (row, Some(id)) => drop(plans.insert(id.to_string(), row["plan"].clone())),
        }
    }
    plans
}

/// The rules in force: the last row of each key that is right.
fn live(lines: &str, rejected: &mut Vec<(&'static str, &'static str)>) -> Vec<Subscription> {
    let mut rows: BTreeMap<String, Value> = BTreeMap::new();
    for record in lines.lines().map(parse) {
        let id = text(&record["key"]);
        match &record["value"] {
            Value::Null => drop(rows.remove(&id)),
            row if is_right(&row["pattern"]) => drop(rows.insert(id, row.clone())),
            _ => rejected.push(("match", "RuleError")),
        }
    }
    rows.into_iter().map(|(id, row)| Subscription { id, row }).collect()
}

/// Of the mistakes that the samples make, two: an empty list, and an operator that is none.
fn is_right(pattern: &Value) -> bool {
    match pattern {
        Value::Object(fields) => fields.values().all(is_right),
        Value::Array(alternatives) => {
            let known = |a: &Value| a.as_object().is_none_or(|operator| !operator.contains_key("begins"));
            !alternatives.is_empty() && alternatives.iter().all(known)
        }
        _ => false,
    }
}

fn event(
    line: &str,
    plans: &BTreeMap<String, Value>,
    rejected: &mut Vec<(&'static str, &'static str)>,
) -> Option<Event> {
    let record = parse(line);
    let payload = record["value"].clone();
    if !payload.is_object() {
        rejected.push(("source", "DecodeError"));
        return None;
    }
    let Some(time) = payload["occurred_at"].as_str().map(millis) else {
        rejected.push(("source", "TimeError"));
        return None;
    };
    if payload["org"].is_null() || payload["type"].is_null() {
        return None;
    }
    let amount = &payload["data"]["amount_cents"];
    if amount.is_string() {
        rejected.push(("shape", "ExpressionError"));
        return None;
    }
    let mut body = payload.clone();
    body["type"] = json!(text(&payload["type"]).trim().to_lowercase());
    body["plan"] = plans.get(&text(&payload["org"])).cloned().unwrap_or(json!("free"));
    Some(Event {
        time,
        cents: amount.as_i64(),
        trace: record["headers"]["trace"].as_str().map(String::from),
        payload,
        body,
    })
}

/// The inverse of `rfc3339`, for times of one day.
fn millis(at: &str) -> i64 {
    let day = rfc3339_day(at);
    let clock: Vec<f64> = at[11..at.len() - 1].split(':').map(|part| part.parse().expect("a number")).collect();
    day + ((clock[0] * 3600.0 + clock[1] * 60.0 + clock[2]) * 1000.0).round() as i64
}

/// The beginning of that day, found by trying days.
fn rfc3339_day(at: &str) -> i64 {
    let days = (20_000..25_000).map(|day| day * 86_400_000);
    days.into_iter().find(|start| rfc3339(*start)[..10] == at[..10]).expect("a day of these years")
}

fn matches(pattern: &Value, event: &Value) -> bool {
    let fields = pattern.as_object().expect("checked");
    fields.iter().all(|(name, inner)| match inner {
        Value::Array(alternatives) => {
            let leaves = leaves(event.get(name));
            alternatives.iter().any(|alternative| holds(alternative, &leaves))
        }
        deeper => matches(deeper, event.get(name).unwrap_or(&Value::Null)),
    })
}

/// The only conditions that the samples have: `data.amount_cents > N`.
fn condition(row: &Value, event: &Event) -> bool {
    let Some(condition) = row["condition"].as_str() else { return true };
    let above: i64 = condition.strip_prefix("data.amount_cents > ").expect("of that form").parse().expect("a number");
    event.cents.is_some_and(|cents| cents > above)
}

fn deliveries(events: &[Event], subscriptions: &[Subscription]) -> Rows {
    let mut found: Vec<(u64, (String, Value, Value))> = Vec::new();
    for event in events {
        for Subscription { id, row } in subscriptions {
            let wanted = row["active"] == json!(true) && row["org"] == event.body["org"];
            if !wanted || !matches(&row["pattern"], &event.body) || !condition(row, event) {
                continue;
            }
            let value = json!({
                "delivery": format!("{}/{id}", text(&event.body["id"])),
                "url": row["endpoint"], "org": event.body["org"], "plan": event.body["plan"], "attempt": 1,
                "body": event.payload,
            });
            let mut headers = json!({"event-type": event.body["type"], "subscription": id});
            if let Some(trace) = &event.trace {
                headers["trace"] = json!(trace);
            }
            found.push((row["priority"].as_u64().expect("a number"), (text(&row["endpoint"]), value, headers)));
        }
    }
    found.sort_by_key(|(priority, _)| std::cmp::Reverse(*priority));
    found.into_iter().map(|(_, row)| row).collect()
}

/// Hundredths as a number, without zeros that do not count.
fn money(cents: i64) -> Value {
    let (sign, n) = (if cents < 0 { "-" } else { "" }, cents.abs());
    let text = format!("{sign}{}.{:02}", n / 100, n % 100);
    parse(text.trim_end_matches('0').trim_end_matches('.'))
}

fn by_org(events: &[Event]) -> BTreeMap<String, Vec<&Event>> {
    let mut orgs: BTreeMap<String, Vec<&Event>> = BTreeMap::new();
    events.iter().for_each(|event| orgs.entry(text(&event.body["org"])).or_default().push(event));
    orgs
}

fn spend(events: &[Event]) -> Rows {
    let row = |(org, events): (String, Vec<&Event>)| {
        let of = |kind: &str| events.iter().filter(|e| e.body["type"] == kind).copied().collect::<Vec<_>>();
        let sum = |events: &[&Event]| {
            let cents: Vec<i64> = events.iter().filter_map(|event| event.cents).collect();
            (!cents.is_empty()).then(|| cents.iter().sum::<i64>())
        };
        let (paid, refunded) = (of("order.paid"), of("order.refunded"));
        let (spent, back) = (sum(&paid), sum(&refunded));
        let newest = events.last().expect("a group has events");
        let value = json!({
            "org": org, "plan": newest.body["plan"], "events": events.len(), "orders": paid.len(),
            "spent": spent.map_or(Value::Null, money), "refunded": back.map_or(Value::Null, money),
            "balance": money(spent.unwrap_or(0) - back.unwrap_or(0)), "latest": newest.body["id"],
        });
        (org, value, json!({}))
    };
    by_org(events).into_iter().map(row).collect()
}

fn latency(events: &[Event]) -> Rows {
    let mut windows: BTreeMap<(i64, String), Vec<i64>> = BTreeMap::new();
    for event in events {
        let Some(latency) = event.payload["data"]["latency_ms"].as_i64() else { continue };
        windows.entry((event.time.div_euclid(60_000), text(&event.body["org"]))).or_default().push(latency);
    }
    let row = |((minute, org), mut latencies): ((i64, String), Vec<i64>)| {
        latencies.sort_unstable();
        let rank = |p: f64| latencies[((p * latencies.len() as f64).ceil() as usize).max(1) - 1];
        let value = json!({
            "org": org, "calls": latencies.len(), "p50": rank(0.5), "p95": rank(0.95), "p99": rank(0.99),
            "slowest": latencies[latencies.len() - 1],
            "window_start": rfc3339(minute * 60_000), "window_end": rfc3339((minute + 1) * 60_000),
        });
        (org, value, json!({}))
    };
    windows.into_iter().map(row).collect()
}
