//! Poison among good records: each comes back once, as it was, with the reason; nothing around it is touched.

use std::collections::BTreeMap;

use crate::scene::Scene;
use crate::support::{Got, Rec};

const POISON: &str = r#"
name: poison
sources:
  orders: { kafka: { topic: "${TIDEMILL_TEST_PREFIX}.orders" } }
  typed:
    kafka: { topic: "${TIDEMILL_TEST_PREFIX}.typed" }
    fields: { id: BIGINT NOT NULL, amount: DECIMAL, parts: BIGINT, placed: TIMESTAMP }
  clouds: { kafka: { topic: "${TIDEMILL_TEST_PREFIX}.clouds" }, format: cloudevents }
tables:
  rules: { kafka: { topic: "${TIDEMILL_TEST_PREFIX}.rules" } }
shape:
  halves: { from: typed, set: { half: amount / parts } }
match:
  due: { from: orders, rules: { table: rules, pattern: pattern, when: condition } }
emit:
  out: { from: orders, kafka: { topic: "${TIDEMILL_TEST_PREFIX}.out", key: _key } }
  halves: { from: halves, kafka: { topic: "${TIDEMILL_TEST_PREFIX}.halves" }, value: { id: id, half: half } }
  clouds: { from: clouds, kafka: { topic: "${TIDEMILL_TEST_PREFIX}.clouds.out" }, value: { id: id, n: data.n } }
  due: { from: due, kafka: { topic: "${TIDEMILL_TEST_PREFIX}.due" }, value: { id: id, rule: rule.id } }
dead_letters: { kafka: { topic: "${TIDEMILL_TEST_PREFIX}.dead" } }
"#;

/// Stage, step and reason of a dead letter.
type Why = (&'static str, &'static str, &'static str);

struct Poison {
    topic: &'static str,
    record: Rec,
    why: Why,
}

fn with_headers(headers: &[(&str, &str)], value: &str) -> Rec {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), Some(value.as_bytes().to_vec()));
    Rec { headers: headers.iter().map(own).collect(), ..Rec::value(value) }
}

fn poison() -> Vec<Poison> {
    let mut all = Vec::new();
    let mut add = |topic, why, records: Vec<Rec>| {
        all.extend(records.into_iter().map(|record| Poison { topic, record, why }));
    };
    add("orders", ("source", "orders", "DecodeError"), rubbish());
    let deep = format!("{}1{}", r#"{"a":"#.repeat(1_000), "}".repeat(1_000));
    add("orders", ("source", "orders", "TooDeep"), vec![Rec::keyed("deep", deep)]);
    let large = format!(r#"{{"id":7,"note":"{}"}}"#, "x".repeat(2 << 20));
    add("orders", ("source", "orders", "RecordTooLarge"), vec![Rec::keyed("large", large)]);
    let wrong = [
        r#"{"id":"1"}"#,
        r#"{"id":1.5}"#,
        r#"{"amount":1}"#,
        r#"{"id":1,"amount":"1"}"#,
        r#"{"id":1,"amount":true}"#,
        r#"{"id":1,"placed":"yesterday"}"#,
        r#"{"id":9223372036854775808}"#,
    ];
    add("typed", ("source", "typed", "TypeError"), wrong.map(|value| Rec::keyed("typed", value)).into());
    let zero = r#"{"id":1,"amount":1,"parts":0}"#;
    add("typed", ("shape", "halves", "ExpressionError"), vec![Rec::keyed("zero", zero)]);
    add("clouds", ("source", "clouds", "DecodeError"), no_clouds());
    add("rules", ("table", "rules", "DecodeError"), vec![Rec::keyed("r1", "rubbish"), Rec::keyed("r1", "[]")]);
    add("rules", ("table", "rules", "KeyError"), vec![Rec::value("{}"), Rec::keyed(*b"\xff", "{}")]);
    let bad_rules = [
        r#"{"pattern":{"user":"u1"}}"#,
        r#"{"pattern":{"user":[{"no-such":"u1"}]}}"#,
        r#"{"pattern":{"user":["u1"]},"condition":"amount >"}"#,
        r#"{"pattern":{"user":["u1"]},"condition":"no_function(amount)"}"#,
        r#"{"to":"nothing"}"#,
    ];
    add("rules", ("match", "due", "RuleError"), bad_rules.map(|value| Rec::keyed("r1", value)).into());
    all
}

/// What is no JSON object, with keys and headers of all kinds.
fn rubbish() -> Vec<Rec> {
    let many = (0..1_000).map(|n| (format!("h{n}"), (n % 3 > 0).then(|| vec![n as u8, 0xff]))).collect();
    let topic_header = ("__connect.errors.topic".to_owned(), Some(b"an earlier one".to_vec()));
    vec![
        Rec::value("rubbish"),
        Rec::value(*b"\x00\xff\xfe\x80"),
        Rec::value(""),
        Rec { value: None, ..Rec::keyed("null", "") },
        Rec::keyed("truncated", r#"{"id":1,"user":"u"#),
        Rec::keyed("no UTF-8", *b"{\"id\":\"\xff\"}"),
        Rec::keyed("surrogate", r#"{"id":"\ud800"}"#),
        Rec::keyed("surrogate", r#"{"\udc00":1}"#),
        Rec::keyed("mark", "\u{feff}{}"),
        Rec::keyed("array", "[1]"),
        Rec::keyed("two", "{}{}"),
        Rec::keyed("comma", r#"{"id":1,}"#),
        Rec::keyed("number", r#"{"id":01}"#),
        Rec::keyed("NaN", r#"{"id":NaN}"#),
        Rec::keyed("control", "{\"id\":\"\u{1}\"}"),
        Rec::keyed(*b"\xff\xfe", "rubbish with a key that is no text"),
        Rec { headers: many, ..Rec::keyed("many", "rubbish with many headers") },
        Rec { headers: vec![topic_header], ..Rec::keyed("again", "rubbish that was a dead letter before") },
    ]
}

fn no_clouds() -> Vec<Rec> {
    let structured = ("content-type", "application/cloudevents+json");
    let binary = [("ce_id", "1"), ("ce_source", "/s"), ("ce_specversion", "1.0")];
    vec![
        Rec::value(r#"{"id":"1","source":"/s","type":"t","specversion":"1.0"}"#),
        with_headers(&binary, "{}"),
        with_headers(&[structured], r#"{"id":"1","source":"/s","specversion":"1.0"}"#),
        with_headers(&[structured], "rubbish"),
        with_headers(&[("content-type", "application/cloudevents-batch+json")], "[]"),
        with_headers(&[("content-type", "application/json"), binary[0], binary[1], binary[2], ("ce_type", "t")], "{"),
    ]
}

/// Odd but right: they travel on byte for byte.
fn odd() -> Vec<Rec> {
    let headers = (0..1_000).map(|n| (format!("h{n}"), Some(vec![n as u8]))).collect();
    let long = format!(r#"{{"id":100,"n":{}}}"#, "9".repeat(400));
    vec![
        Rec { headers, ..Rec::keyed("headers", r#"{"id":101}"#) },
        Rec::value(r#"{"id":102}"#),
        Rec::keyed(*b"\xff\x00\xfe", r#"{"id":103}"#),
        Rec::keyed("", r#"{"id":104}"#),
        Rec::keyed("n", r#"{ "id" : 105, "a" : 9223372036854775808, "b" : 1e400, "c" : -0.0, "d" : 1E+2 }"#),
        Rec::keyed("n", long),
        Rec::keyed("twice", r#"{"id":1,"id":106,"ä":"\u00e4\ud83d\ude00\/"}"#),
        Rec::keyed("empty", "{}"),
    ]
}

/// A good record of a topic.
fn good(topic: &str, n: usize) -> Rec {
    match topic {
        "orders" => Rec::keyed("good", format!(r#"{{"id":{n},"user":"u1","amount":3}}"#)),
        "typed" => Rec::keyed("good", format!(r#"{{"id":{n},"amount":3,"parts":2}}"#)),
        "clouds" => {
            let id = n.to_string();
            let all = [("ce_id", &*id), ("ce_source", "/s"), ("ce_type", "t"), ("ce_specversion", "1.0")];
            with_headers(&all, &format!(r#"{{"n":{n}}}"#))
        }
        "rules" => Rec::keyed("r1", r#"{"pattern":{"user":["u1"]},"condition":"amount > 2"}"#),
        other => panic!("no good records of {other}"),
    }
}

fn run(poison: &[Poison]) -> Scene<'static> {
    let scene = Scene::new(POISON);
    let large = [("max.message.bytes", "4194304")];
    ["orders", "dead"].iter().for_each(|name| scene.create_with(name, 1, &large));
    let others = ["typed", "clouds", "rules", "out", "halves", "clouds.out", "due"];
    others.iter().for_each(|name| scene.create(name, 1));
    for topic in ["orders", "typed", "clouds", "rules"] {
        let mut records = vec![good(topic, 0)];
        for (n, poison) in poison.iter().filter(|poison| poison.topic == topic).enumerate() {
            records.extend([poison.record.clone(), good(topic, n + 1)]);
        }
        scene.produce(topic, records);
    }
    scene.produce("orders", odd());
    scene.catch_up(&["-w", "2"]);
    scene
}

/// What a dead letter is found by: what it was.
type Original = (Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>);

/// Our own headers, by the ends of their names.
type Reasons<'a> = BTreeMap<&'a str, &'a str>;

fn split(letter: &Got) -> (Original, Reasons<'_>) {
    let is_ours = |name: &str| name.starts_with("__connect.errors.");
    let (ours, theirs): (Vec<_>, Vec<_>) = letter.headers.iter().partition(|(name, _)| is_ours(name));
    let ours = ours.into_iter().map(|(name, value)| {
        let value = std::str::from_utf8(value.as_deref().expect("a reason is not null")).expect("it is text");
        (name.trim_start_matches("__connect.errors."), value)
    });
    ((letter.key.clone(), letter.value.clone(), theirs.into_iter().cloned().collect()), ours.collect())
}

fn check_letter(scene: &Scene<'_>, poison: &Poison, letter: &Got, reasons: &Reasons<'_>) {
    let topic = scene.topic(poison.topic);
    let earlier = poison.record.headers.iter().any(|(name, _)| name == "__connect.errors.topic");
    assert_eq!(reasons["topic"], if earlier { "an earlier one" } else { &topic });
    let why = (reasons["stage"], reasons["class.name"], reasons["exception.class.name"]);
    assert_eq!(why, poison.why, "{}", reasons["exception.message"]);
    assert_eq!((reasons["partition"], reasons["task.id"], reasons["connector.name"]), ("0", "0", "poison"));
    assert!(!reasons["exception.message"].is_empty());
    // Poison stands at the odd places.
    assert_eq!(reasons["offset"].parse::<i64>().expect("a number") % 2, 1);
    assert!(letter.timestamp.is_some_and(|time| time > 0));
}

#[test]
fn every_poison_comes_back_once_and_nothing_else_does() {
    let poison = poison();
    let scene = run(&poison);
    let letters = scene.broker.read_all(&scene.topic("dead"));
    let mut found: BTreeMap<Original, Vec<(&Got, Reasons<'_>)>> = BTreeMap::new();
    for letter in &letters {
        let (original, reasons) = split(letter);
        found.entry(original).or_default().push((letter, reasons));
    }
    for poison in &poison {
        let theirs = poison.record.headers.iter().filter(|(name, _)| !name.starts_with("__connect.errors."));
        let original = (poison.record.key.clone(), poison.record.value.clone(), theirs.cloned().collect());
        let letters = found.remove(&original).unwrap_or_default();
        let shown = String::from_utf8_lossy(poison.record.value.as_deref().unwrap_or(b"null")).into_owned();
        let [(letter, reasons)] = &letters[..] else {
            panic!("{} dead letters, not one: {:.200} {:?}", letters.len(), shown, poison.why);
        };
        check_letter(&scene, poison, letter, reasons);
    }
    let rest: Vec<_> = found.values().flatten().map(|(_, reasons)| reasons).collect();
    assert!(rest.is_empty(), "dead letters of good records: {rest:?}");
    check_good(&scene, &poison);
}

/// Of each topic: what came out of its good records.
fn check_good(scene: &Scene<'_>, poison: &[Poison]) {
    let goods = |topic: &str| 1 + poison.iter().filter(|poison| poison.topic == topic).count();
    let read = |topic: &str| {
        let records = scene.broker.read_all(&scene.topic(topic)).into_iter();
        let mut all: Vec<_> = records.map(|record| (record.key, record.value)).collect();
        all.sort_unstable();
        all
    };
    let expect = |topic: &str, records: Vec<Rec>| {
        let mut all: Vec<_> = records.into_iter().map(|record| (record.key, record.value)).collect();
        all.sort_unstable();
        assert!(read(topic) == all, "{topic}: what came out is not what the good records give");
    };
    let orders = (0..goods("orders")).map(|n| good("orders", n)).chain(odd());
    expect("out", orders.collect());
    let halves = (0..goods("typed")).map(|n| Rec::value(format!(r#"{{"id":{n},"half":1.5}}"#)));
    expect("halves", halves.collect());
    let clouds = (0..goods("clouds")).map(|n| Rec::value(format!(r#"{{"id":"{n}","n":{n}}}"#)));
    expect("clouds.out", clouds.collect());
    let due = (0..goods("orders")).map(|n| Rec::value(format!(r#"{{"id":{n},"rule":"r1"}}"#)));
    expect("due", due.collect());
}

/// A time before 1970 is a time like any other; without one a record has that of its epoch.
#[test]
fn records_of_odd_times_or_none_have_a_time() {
    let scene = Scene::copy(1);
    let times = [-62_135_596_800_000, -1, -2, 5];
    let order = |time: &i64| Rec { timestamp: Some(*time), ..Rec::value(format!(r#"{{"id":{time}}}"#)) };
    scene.produce("orders", times.iter().map(order));
    scene.catch_up(&[]);
    let out = scene.broker.read_all(&scene.topic("out"));
    let time_of = |id: i64| {
        let of_id = |record: &&Got| record.text().contains(&format!(r#""id":{id},"#));
        out.iter().find(of_id).and_then(|record| record.timestamp)
    };
    for time in [-62_135_596_800_000, -2, 5] {
        assert_eq!(time_of(time), Some(time));
    }
    assert!(time_of(-1).is_some_and(|time| time > 1_700_000_000_000), "the epoch's own: {:?}", time_of(-1));
}
