//! The jobs, computed naively. Money is counted in hundredths, so that nothing here needs decimals.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::generate::{Input, Record, Rule, parse, rfc3339};
use super::{Results, canonical, counted};

/// All orders that are JSON objects.
fn orders(input: &Input) -> Vec<Value> {
    input.orders.iter().filter_map(parse).collect()
}

fn text<'a>(order: &'a Value, field: &str) -> &'a str {
    order[field].as_str().unwrap_or_default()
}

/// A number in hundredths; at most two digits stand after the point.
fn hundredths(number: &Value) -> Option<i64> {
    let Value::Number(number) = number else { return None };
    let text = number.to_string();
    let (sign, digits) = text.strip_prefix('-').map_or((1, text.as_str()), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = format!("{fraction:0<2}");
    Some(sign * (whole.parse::<i64>().ok()? * 100 + fraction.parse::<i64>().ok()?))
}

/// Hundredths as a JSON number.
fn number(hundredths: i64) -> Value {
    let sign = if hundredths < 0 { "-" } else { "" };
    let n = hundredths.abs();
    serde_json::from_str(&format!("{sign}{}.{:02}", n / 100, n % 100)).expect("it is a number")
}

fn or_null(hundredths: Option<i64>) -> Value {
    hundredths.map_or(Value::Null, number)
}

pub fn filter(input: &Input) -> Results {
    let big = orders(input).into_iter().filter_map(|mut order| {
        let amount = hundredths(&order["amount"]).filter(|amount| *amount >= 5_000)?;
        if text(&order, "type") != "order" {
            return None;
        }
        order["double"] = number(amount * 2);
        order["country"] = json!(text(&order, "country").to_lowercase());
        order["label"] = json!(format!("{}/{}", text(&order, "user"), order["id"]));
        order.as_object_mut().expect("orders are objects").shift_remove("note");
        Some(order)
    });
    counted(big)
}

pub fn totals(input: &Input) -> Results {
    let mut users: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for order in orders(input).into_iter().filter(|order| text(order, "type") == "order") {
        users.entry(text(&order, "user").to_string()).or_default().push(order);
    }
    users.retain(|_, orders| orders.len() > 1);
    let row = |(user, orders): (String, Vec<Value>)| {
        let amounts: Vec<i64> = orders.iter().filter_map(|order| hundredths(&order["amount"])).collect();
        let countries: BTreeSet<&str> = orders.iter().map(|order| text(order, "country")).collect();
        let row = json!({
            "user": user,
            "orders": orders.len(),
            "total": or_null((!amounts.is_empty()).then(|| amounts.iter().sum())),
            "most": or_null(amounts.iter().max().copied()),
            "countries": countries.len(),
            "large": amounts.iter().filter(|amount| **amount > 5_000).count(),
        });
        (user, canonical(&row))
    };
    users.into_iter().map(row).collect()
}

pub fn windows(input: &Input) -> Results {
    const MINUTE: i64 = 60_000;
    // Within a window events go by time, then by where they stand.
    type Group = (i64, String, String);
    let mut groups: BTreeMap<Group, Vec<(i64, usize, usize, Value)>> = BTreeMap::new();
    let mut offsets = vec![0; input.partitions];
    for record in &input.orders {
        let offset = offsets[record.partition];
        offsets[record.partition] += 1;
        let Some(order) = parse(record) else { continue };
        let start = record.timestamp.div_euclid(MINUTE) * MINUTE;
        let group = (start, text(&order, "country").to_string(), text(&order, "type").to_string());
        groups.entry(group).or_default().push((record.timestamp, record.partition, offset, order));
    }
    let rows = groups.into_iter().map(|((start, country, kind), mut events)| {
        events.sort_by_key(|(time, partition, offset, _)| (*time, *partition, *offset));
        let amounts: Vec<i64> = events.iter().filter_map(|(.., order)| hundredths(&order["amount"])).collect();
        let id =
            |event: Option<&(i64, usize, usize, Value)>| event.map_or(Value::Null, |(.., order)| order["id"].clone());
        json!({
            "country": country, "type": kind, "n": events.len(),
            "total": or_null((!amounts.is_empty()).then(|| amounts.iter().sum())),
            "first": id(events.first()), "last": id(events.last()),
            "window_start": rfc3339(start), "window_end": rfc3339(start + MINUTE),
        })
    });
    counted(rows)
}

pub fn join(input: &Input) -> Results {
    let mut users: BTreeMap<&str, Option<Value>> = BTreeMap::new();
    for Record { key, value, .. } in &input.users {
        let row = value.as_ref().map(|row| serde_json::from_str(row).expect("users are JSON"));
        users.insert(key.as_deref().expect("users have keys"), row);
    }
    let rows = orders(input).into_iter().map(|order| {
        let who = users.get(text(&order, "user")).and_then(Option::as_ref);
        let plan = who.map_or("none", |who| text(who, "plan"));
        let factor = who.and_then(|who| who["factor"].as_i64());
        let cost = hundredths(&order["amount"]).zip(factor).map(|(amount, factor)| amount * factor);
        json!({"id": order["id"], "plan": plan, "cost": or_null(cost)})
    });
    counted(rows)
}

pub fn rules(input: &Input) -> Results {
    let all = orders(input);
    let pairs = all.iter().flat_map(|order| input.live_rules.iter().map(move |rule| (order, rule)));
    let hits = pairs.filter(|(order, rule)| is_match(order, rule));
    counted(hits.map(|(order, rule)| json!({"id": order["id"], "rule": rule.id, "to": rule.to})))
}

fn is_match(order: &Value, rule: &Rule) -> bool {
    let fields = rule.pattern.as_object().expect("patterns are objects");
    let matches = fields.iter().all(|(name, alternatives)| {
        let leaves = leaves(order.get(name));
        alternatives.as_array().expect("a list").iter().any(|alternative| holds(alternative, &leaves))
    });
    let condition = |above| hundredths(&order["amount"]).is_some_and(|amount| amount > above);
    matches && rule.above.is_none_or(condition)
}

/// The scalars that stand at a place, arrays stepped through.
pub fn leaves(value: Option<&Value>) -> Vec<&Value> {
    match value {
        None | Some(Value::Object(_)) => Vec::new(),
        Some(Value::Array(items)) => items.iter().flat_map(|item| leaves(Some(item))).collect(),
        Some(scalar) => vec![scalar],
    }
}

/// One alternative of a leaf; only the operators that the generator writes.
pub fn holds(alternative: &Value, leaves: &[&Value]) -> bool {
    let Some(operator) = alternative.as_object() else { return leaves.contains(&alternative) };
    let (name, argument) = operator.iter().next().expect("an operator has a name");
    let strings = leaves.iter().filter_map(|leaf| leaf.as_str());
    match (name.as_str(), argument) {
        ("exists", wanted) => leaves.is_empty() != wanted.as_bool().expect("true or false"),
        ("prefix", Value::String(prefix)) => strings.into_iter().any(|s| s.starts_with(prefix)),
        ("suffix", Value::String(suffix)) => strings.into_iter().any(|s| s.ends_with(suffix)),
        ("anything-but", Value::Array(not)) => leaves.iter().any(|leaf| !not.contains(leaf)),
        ("numeric", Value::Array(bounds)) => leaves.iter().filter_map(|leaf| hundredths(leaf)).any(|n| {
            bounds.chunks(2).all(|bound| {
                let to = hundredths(&bound[1]).expect("a bound is a number");
                match bound[0].as_str().expect("an operator") {
                    ">" => n > to,
                    ">=" => n >= to,
                    "<" => n < to,
                    other => panic!("the generator writes no {other}"),
                }
            })
        }),
        other => panic!("the generator writes no {other:?}"),
    }
}
