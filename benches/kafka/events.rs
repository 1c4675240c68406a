//! The events of the benches, the same in every run, and what the orders job must make of them: an oracle that shares
//! no code with the engine.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use rust_decimal::Decimal;
use serde::Deserialize;

/// What a stream of orders is like.
#[derive(Clone, Copy, Debug)]
pub struct Orders {
    /// Of a hundred events, so many have `type = 'order'`.
    pub hits: u64,
    /// About so many bytes of JSON an event.
    pub bytes: usize,
    pub users: u64,
}

/// One event; a function of its number alone.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    pub number: u64,
    pub is_order: bool,
    pub user: u64,
    pub cents: i64,
}

const OTHER_TYPES: [&str; 4] = ["view", "click", "login", "search"];
const COUNTRIES: [&str; 8] = ["DE", "FR", "GB", "US", "BR", "IN", "JP", "NG"];
const NOTE: &str = "leave it at the side door, ok? ";

impl Orders {
    pub fn get(&self, number: u64) -> Order {
        let random = mix(number);
        Order {
            number,
            is_order: random % 100 < self.hits,
            user: (random >> 8) % self.users,
            cents: ((random >> 40) % 100_000) as i64,
        }
    }

    /// The event as JSON, without a line break; `time` is in milliseconds since the Unix epoch.
    pub fn write(&self, number: u64, time: i64, text: &mut String) {
        let Order { is_order, user, cents, .. } = self.get(number);
        let random = mix(number ^ 0x5555);
        let kind = if is_order { "order" } else { OTHER_TYPES[(random % 4) as usize] };
        let country = COUNTRIES[(random >> 8) as usize % COUNTRIES.len()];
        let (whole, part, items) = (cents / 100, cents % 100, 1 + (random >> 16) % 9);
        let start = text.len();
        let fields = write!(
            text,
            r#"{{"id":"o-{number:08}","ts":{time},"type":"{kind}","user":"u-{user:06}","country":"{country}","amount":{whole}.{part:02},"items":{items},"note":""#
        );
        fields.expect("writing to memory");
        let left = self.bytes.saturating_sub(text.len() - start + 2).max(8);
        text.extend(NOTE.chars().cycle().take(left));
        text.push_str("\"}");
    }

    /// `count` events as lines of a file.
    pub fn write_file(&self, path: &Path, count: u64, time: i64) {
        let file = std::fs::File::create(path).expect("a place for inputs");
        let (mut file, mut line) = (std::io::BufWriter::with_capacity(1 << 20, file), String::new());
        for number in 0..count {
            line.clear();
            self.write(number, time, &mut line);
            line.push('\n');
            file.write_all(line.as_bytes()).expect("room for inputs");
        }
        file.flush().expect("room for inputs");
    }

    /// User → (orders, cents) over the first `count` events.
    pub fn totals(&self, count: u64) -> HashMap<u64, (u64, i64)> {
        let mut totals: HashMap<u64, (u64, i64)> = HashMap::new();
        for order in (0..count).map(|number| self.get(number)).filter(|order| order.is_order) {
            let own = totals.entry(order.user).or_default();
            *own = (own.0 + 1, own.1 + order.cents);
        }
        totals
    }
}

/// The name of a user, as text in events and as key of results.
pub fn user_name(user: u64) -> String {
    format!("u-{user:06}")
}

/// SplitMix64's finisher: numbers in a row become numbers without a pattern.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[derive(Deserialize)]
struct Row<'a> {
    user: &'a str,
    orders: u64,
    total: serde_json::Number,
}

/// What a reader of the orders job's results knows in the end: the last row of each user.
#[derive(Default)]
pub struct Folded {
    rows: HashMap<String, (u64, Decimal)>,
    pub records: u64,
}

impl Folded {
    /// `key` is absent where results went to a file.
    pub fn add(&mut self, key: Option<&[u8]>, value: &[u8]) {
        let row: Row<'_> = serde_json::from_slice(value).unwrap_or_else(|error| {
            panic!("a result is no row of the orders job: {error}: {}", String::from_utf8_lossy(value))
        });
        assert!(key.is_none_or(|key| key == row.user.as_bytes()), "the key of {} is not its user", row.user);
        let total: Decimal = row.total.as_str().parse().expect("a sum is a decimal");
        self.rows.insert(row.user.to_owned(), (row.orders, total));
        self.records += 1;
    }

    /// Fails with the first difference to the oracle.
    pub fn check(&self, totals: &HashMap<u64, (u64, i64)>) {
        for (user, (orders, cents)) in totals {
            let name = user_name(*user);
            let expected = (*orders, Decimal::new(*cents, 2));
            assert_eq!(self.rows.get(&name), Some(&expected), "WRONG RESULT: the last row of {name}");
        }
        assert_eq!(self.rows.len(), totals.len(), "WRONG RESULT: so many users");
    }
}

/// The dataflow file of the orders job.
pub fn orders_job(source: &str, sink: &str) -> String {
    format!(
        "name: orders
sources:
  orders: {{ kafka: {{ topic: {source}, start: earliest }} }}
shape:
  kept: {{ from: orders, where: \"type = 'order'\" }}
aggregate:
  spend:
    from: kept
    by: [user]
    measures: {{ orders: count(*), total: sum(amount) }}
emit:
  spend: {{ from: spend, kafka: {{ topic: {sink}, key: user }} }}
dead_letters: {{ kafka: {{ topic: {sink}.dead-letters }} }}
"
    )
}
