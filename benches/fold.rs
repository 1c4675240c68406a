//! What one event costs an aggregate before the exchange: `count(*)` and `sum(amount)` by one text key, 10,000 users.
//!
//! Prints nanoseconds per event for adding alone, and with an epoch's end (partials made, merged into groups, rows
//! read) every 100,000 events. Beside it stands a plain hash map that does the same sums, which also checks them.

use std::collections::HashMap;
use std::time::Duration;

use tidemill::aggregate::{Closing, Fold, Groups, Input};
use tidemill::event::{Event, Micros, Record, Value};
use tidemill::expr::{Expr, Name, NameError, Names, Place, Type, compile_measure};
use tidemill::json::Path;
use tidemill::plan::{Aggregate, Late};

const USERS: u64 = 10_000;
/// Of a measurement; `cargo test --benches` only checks, on fewer.
const EVENTS: usize = 2_000_000;
const EPOCH: usize = 100_000;
const ROUNDS: usize = 5;

/// The CPU time of this thread: other work on the machine does not count.
fn clock() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call fills the struct that it is given, and this clock is always there on Linux.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(status, 0, "no clock of CPU time");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

struct Scope(&'static [&'static str]);

impl Names for Scope {
    fn resolve(&mut self, name: &Name) -> Result<(Place, Type), NameError> {
        let slot = self.0.iter().position(|known| name.path == Path::field(known));
        let missing = || NameError { message: format!("no {}", name.path), help: Vec::new() };
        slot.map(|slot| (Place::Slot(slot as u16), Type::Any)).ok_or_else(missing)
    }
}

fn aggregate() -> Aggregate {
    let mut calls = Vec::new();
    let mut measure = |text| {
        compile_measure(text, &mut Scope(&["user", "amount"]), &mut Scope(&[]), &mut calls).expect("a valid measure")
    };
    let measures = vec![measure("count(*)"), measure("sum(amount)")];
    let by = vec![Expr::compile("user", &mut Scope(&["user", "amount"])).expect("a valid name")];
    let columns = vec![0, 1, 2];
    Aggregate { by, window: None, calls, measures, having: None, columns, late: Late::Drop, ttl: None }
}

/// The same events every time: a generator with a fixed seed.
fn events(count: usize, decimal: bool) -> Vec<[Value; 2]> {
    let mut state = 0x2545_F491_4F6C_DD1Du64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let event = |_| {
        let (user, cents) = (next() % USERS, (next() % 100_000) as i64);
        let amount = if decimal { Value::Decimal(rust_decimal::Decimal::new(cents, 2)) } else { Value::Int(cents) };
        [Value::text(format!("user-{user:05}")), amount]
    };
    (0..count).map(event).collect()
}

struct Run {
    adding: Duration,
    ending: Duration,
    /// User → (count, sum) as downstream sees them at the end.
    rows: HashMap<String, (i64, String)>,
}

fn run(aggregate: &Aggregate, events: &[[Value; 2]]) -> Run {
    let record = Record::default();
    let (mut fold, mut groups) = (Fold::new(aggregate), Groups::new(3, false));
    let mut run = Run { adding: Duration::ZERO, ending: Duration::ZERO, rows: HashMap::new() };
    for epoch in events.chunks(EPOCH) {
        let begin = clock();
        for slots in epoch {
            let input = Input { time: 0, slots, position: &[], record: &record, shared: None };
            fold.add(aggregate, input, 0).expect("a name cannot fail");
        }
        run.adding += clock() - begin;
        let begin = clock();
        groups.merge(aggregate, fold.flush(aggregate, Micros::MIN).partials);
        let changes = groups.close(aggregate, Closing { watermark: 0, greatest: 0, now: 0 }).changes;
        run.ending += clock() - begin;
        run.rows.extend(changes.iter().filter_map(|change| change.after.as_ref()).map(row));
        let begin = clock();
        drop(changes);
        run.ending += clock() - begin;
    }
    run
}

fn row(row: &Event) -> (String, (i64, String)) {
    match &row.slots[..] {
        [Value::Text(user), Value::Int(count), Value::Decimal(sum)] => (user.to_string(), (*count, sum.to_string())),
        other => panic!("not a row: {other:?}"),
    }
}

/// The oracle: cents per user in a plain map, and how long that takes.
fn plain(events: &[[Value; 2]]) -> (HashMap<&str, (i64, i64)>, Duration) {
    let start = clock();
    let mut sums: HashMap<&str, (i64, i64)> = HashMap::new();
    for event in events {
        let [Value::Text(user), amount] = event else { unreachable!("events are made so") };
        let cents = match amount {
            Value::Int(cents) => *cents,
            Value::Decimal(decimal) => decimal.mantissa() as i64,
            _ => unreachable!("amounts are numbers"),
        };
        let own = sums.entry(user).or_default();
        own.0 += 1;
        own.1 += cents;
    }
    (sums, clock() - start)
}

fn check(run: &Run, expected: &HashMap<&str, (i64, i64)>, decimal: bool) {
    assert_eq!(run.rows.len(), expected.len());
    for (user, (count, cents)) in expected {
        let sum = if decimal { rust_decimal::Decimal::new(*cents, 2).to_string() } else { cents.to_string() };
        assert_eq!(run.rows.get(*user), Some(&(*count, sum)), "{user}");
    }
}

fn main() {
    let measure = std::env::args().any(|arg| arg == "--bench");
    let (count, rounds) = if measure { (EVENTS, ROUNDS) } else { (EVENTS / 100, 1) };
    let aggregate = aggregate();
    for (name, decimal) in [("BIGINT", false), ("DECIMAL", true)] {
        let events = events(count, decimal);
        let (mut adding, mut ending, mut baseline) = (Duration::MAX, Duration::MAX, Duration::MAX);
        for _ in 0..rounds {
            let (expected, took) = plain(&events);
            let run = run(&aggregate, &events);
            check(&run, &expected, decimal);
            (adding, ending, baseline) = (adding.min(run.adding), ending.min(run.ending), baseline.min(took));
        }
        let per_event = |took: Duration| took.as_nanos() as f64 / count as f64;
        println!(
            "count + sum of {name} by one text key, {USERS} users: add {:.1} ns, ends of epochs {:.1} ns, plain map {:.1} ns an event",
            per_event(adding),
            per_event(ending),
            per_event(baseline)
        );
    }
}
