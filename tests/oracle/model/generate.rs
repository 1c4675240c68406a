//! Random orders, users and rules, the same for the same seed: mostly ordinary, some odd, a few that are rubbish.

use serde_json::{Value, json};

/// 2026-01-01T00:00:00Z.
pub const START: i64 = 1_767_225_600_000;
/// Milliseconds by which an order may stand behind its place in time; less than the lateness of the windows job.
const DISORDER: u64 = 9_000;
/// Milliseconds of event time between two orders.
const PACE: i64 = 200;

const COUNTRIES: [&str; 5] = ["DE", "FR", "Österreich", "US", "日本"];
const TYPES: [&str; 4] = ["order", "click", "view", "order.cancelled"];

/// A record as any producer could have written it.
#[derive(Clone, Debug)]
pub struct Record {
    pub partition: usize,
    pub key: Option<String>,
    /// `None` deletes.
    pub value: Option<String>,
    /// Milliseconds.
    pub timestamp: i64,
}

/// A rule of the `rules` table, before it became a record.
#[derive(Clone, Debug)]
pub struct Rule {
    pub id: String,
    pub pattern: Value,
    /// `when: amount > …`, in hundredths.
    pub above: Option<i64>,
    pub to: String,
}

#[derive(Clone, Debug)]
pub struct Input {
    pub orders: Vec<Record>,
    pub users: Vec<Record>,
    pub rules: Vec<Record>,
    /// The rules in force after all records of the table.
    pub live_rules: Vec<Rule>,
    pub partitions: usize,
}

/// SplitMix64: small, and the same everywhere.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}

impl Input {
    pub fn random(seed: u64, orders: usize, partitions: usize) -> Input {
        let mut random = Random::new(seed);
        let orders = (0..orders).map(|n| order(&mut random, n, partitions)).collect();
        let users = users(&mut random);
        let live_rules: Vec<Rule> = (0..40).map(|n| rule(&mut random, n)).collect();
        let mut rules: Vec<Record> = live_rules.iter().map(rule_record).collect();
        // One that is replaced, one that is deleted, before the others are written.
        let replaced = Rule { pattern: json!({"type": ["order"]}), above: None, ..live_rules[0].clone() };
        let deleted = Rule { id: "gone".into(), ..replaced.clone() };
        let tombstone = Record { value: None, ..rule_record(&deleted) };
        rules.splice(0..0, [rule_record(&replaced), rule_record(&deleted), tombstone]);
        Input { orders, users, rules, live_rules, partitions }
    }

    /// The records of a source or table by its name.
    pub fn of(&self, name: &str) -> &[Record] {
        match name {
            "orders" => &self.orders,
            "users" => &self.users,
            "rules" => &self.rules,
            other => panic!("no input is called {other}"),
        }
    }

    /// How many orders are no JSON object, and so must be dead letters in every job.
    pub fn rubbish(&self) -> usize {
        self.orders.iter().filter(|order| parse(order).is_none()).count()
    }
}

/// The order's body, if it is one.
pub fn parse(record: &Record) -> Option<Value> {
    let value = serde_json::from_str(record.value.as_deref()?).ok()?;
    matches!(value, Value::Object(_)).then_some(value)
}

fn order(random: &mut Random, n: usize, partitions: usize) -> Record {
    let time = START + n as i64 * PACE - random.below(DISORDER) as i64;
    let user = format!("u{}", random.below(50));
    let partition = random.below(partitions as u64) as usize;
    let kind = random.pick(&TYPES);
    let amount = match random.below(12) {
        0 => String::new(),
        1 => r#","amount":null"#.into(),
        2 => format!(r#","amount":{}"#, random.below(200)),
        3 => format!(r#","amount":-{}.{:02}"#, random.below(20), 1 + random.below(99)),
        _ => format!(r#","amount":{}.{:02}"#, random.below(100), random.below(100)),
    };
    let tags = match random.below(3) {
        0 => String::new(),
        1 => r#","tags":[]"#.into(),
        _ => format!(r#","tags":["t{}","t{}"]"#, random.below(5), random.below(5)),
    };
    let (ts, country) = (rfc3339(time), random.pick(&COUNTRIES));
    let note = if random.one_in(10) { r#","note":"a \"note\" \u00e9\n 1e400""# } else { "" };
    let body = format!(
        r#"{{"id":{n},"ts":"{ts}","type":"{kind}","user":"{user}","country":"{country}"{amount}{tags}{note}}}"#
    );
    let value = match random.below(60) {
        0 => "rubbish".into(),
        1 => body[..body.len() - 1].to_string(),
        2 => "[1,2,3]".into(),
        _ => body,
    };
    Record { partition, key: Some(user), value: Some(value), timestamp: time }
}

/// Users, some written twice, some deleted again.
fn users(random: &mut Random) -> Vec<Record> {
    let mut records = Vec::new();
    for n in 0..60 {
        let key = format!("u{}", random.below(50));
        let value = match random.below(8) {
            0 => None,
            _ => Some(json!({"plan": random.pick(&["free", "pro"]), "factor": random.below(5), "n": n}).to_string()),
        };
        records.push(Record { partition: 0, key: Some(key), value, timestamp: START });
    }
    records
}

fn rule(random: &mut Random, n: u64) -> Rule {
    let mut pattern = json!({});
    let mut field = |name: &str, alternatives: Value| pattern[name] = alternatives;
    let user = format!("u{}", random.below(50));
    match random.below(4) {
        0 => field("user", json!([user, "nobody"])),
        1 => field("user", json!([{"prefix": "u1"}])),
        2 => field("user", json!([{"anything-but": [user, "u2", "u3"]}])),
        _ => {}
    }
    match random.below(5) {
        0 => field("amount", json!([{"numeric": [">", random.below(90)]}])),
        1 => field("amount", json!([{"numeric": [">=", 10, "<", 10 + random.below(50)]}])),
        2 => field("amount", json!([{"exists": false}])),
        3 => field("tags", json!([format!("t{}", random.below(5))])),
        _ => {}
    }
    field("type", if random.one_in(2) { json!(["order"]) } else { json!([{"suffix": "ed"}, "click"]) });
    let above = random.one_in(3).then(|| random.below(10_000) as i64);
    Rule { id: format!("r{n:02}"), pattern, above, to: format!("https://example.com/{}", random.below(10)) }
}

fn rule_record(rule: &Rule) -> Record {
    let mut row = json!({"pattern": rule.pattern, "to": rule.to});
    if let Some(above) = rule.above {
        row["condition"] = json!(format!("amount > {}.{:02}", above / 100, above % 100));
    }
    Record { partition: 0, key: Some(rule.id.clone()), value: Some(row.to_string()), timestamp: START }
}

/// Milliseconds since 1970 as RFC 3339 in UTC, with three digits only where they are needed.
pub fn rfc3339(millis: i64) -> String {
    let (days, rest) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
    // Days to a date, by counting whole years and months: slow and plain.
    let leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let (mut year, mut day) = (1970, days);
    while day >= 365 + i64::from(leap(year)) {
        day -= 365 + i64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while day >= lengths[month] {
        day -= lengths[month];
        month += 1;
    }
    let (h, m, s, ms) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60, rest % 1000);
    let fraction = if ms == 0 { String::new() } else { format!(".{ms:03}") };
    format!("{year:04}-{:02}-{:02}T{h:02}:{m:02}:{s:02}{fraction}Z", month + 1, day + 1)
}
