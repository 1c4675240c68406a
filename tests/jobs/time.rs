//! Idle jobs: windows close without new events, tables and rules change while the job runs.

use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::model::generate::rfc3339;
use crate::model::job as oracle;
use crate::scene::{COPY, SOON, Scene, terminate};
use crate::seen::{get, http_address};
use crate::support::{Got, Rec, wait_until};

const WINDOWS: &str = r#"
name: idle
sources:
  orders: { kafka: { topic: "${TIDEMILL_TEST_PREFIX}.orders" }, time: { from: ts, idle: 1s } }
aggregate:
  spans: { from: orders, by: [user], window: { tumbling: 2s }, measures: { n: count(*), total: sum(amount) } }
emit:
  out: { from: spans, kafka: { topic: "${TIDEMILL_TEST_PREFIX}.out", key: user } }
dead_letters: { kafka: { topic: "${TIDEMILL_TEST_PREFIX}.dead" } }
"#;

fn now() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970").as_millis() as i64
}

/// Two of the three partitions never have a record; the third falls silent.
#[test]
fn windows_close_while_nothing_comes() {
    let scene = Scene::new(WINDOWS).with_copy_topics(3);
    let start = (now() - 60_000) / 2_000 * 2_000;
    let order = |user: &str, after: i64| {
        let ts = rfc3339(start + after);
        Rec::value(json!({"user": user, "amount": 1, "ts": ts}).to_string()).to(1)
    };
    let job = scene.start(&["-w", "2"]);
    scene.produce("orders", [order("a", 0), order("a", 1_999), order("b", 5), order("a", 2_001)]);
    let mut out = scene.broker.counter(&scene.topic("out"));
    wait_until(Duration::from_secs(30), "all windows are closed", || out() >= 3);
    terminate(job);
    let mut rows: Vec<String> = scene.values("out").iter().map(|row| row.to_string()).collect();
    rows.sort_unstable();
    let [first, second, third] = [0, 2_000, 4_000].map(|after| rfc3339(start + after));
    let row = |user: &str, n: u8, from: &str, to: &str| {
        json!({"user": user, "n": n, "total": n, "window_start": from, "window_end": to}).to_string()
    };
    let mut expected = [row("a", 2, &first, &second), row("a", 1, &second, &third), row("b", 1, &first, &second)];
    expected.sort_unstable();
    assert_eq!(rows, expected);
}

/// A copy job whose orders have their time in `ts`, and orders that lie hours ahead: 2, and 30, which is too far.
fn ahead(topic_config: &[(&str, &str)]) -> Scene<'static> {
    let file = COPY.replace(".orders\" }", ".orders\" }, time: { from: ts }");
    assert_ne!(file, COPY);
    let scene = Scene::new(&file);
    scene.create("orders", 1);
    ["out", "dead"].iter().for_each(|name| scene.create_with(name, 1, topic_config));
    let order = |id: u64, hours: i64| {
        let ts = rfc3339(now() + hours * 3_600_000);
        let headers = vec![("trace".to_owned(), Some(b"\xfe".to_vec()))];
        Rec { headers, ..Rec::keyed("k", json!({"id": id, "ts": ts}).to_string()) }
    };
    scene.produce("orders", [order(1, 0), order(2, 2), order(3, 0), order(4, 30), order(5, 0)]);
    scene
}

fn ids(scene: &Scene<'_>, topic: &str) -> Vec<u64> {
    let mut ids: Vec<_> = scene.values(topic).iter().map(|value| value["id"].as_u64().unwrap()).collect();
    ids.sort_unstable();
    ids
}

fn header<'a>(letter: &'a Got, name: &str) -> Option<&'a str> {
    let (_, value) = letter.headers.iter().find(|(header, _)| header == name)?;
    Some(std::str::from_utf8(value.as_ref()?).expect("it is text"))
}

/// Why a dead letter was refused at the end: stage, output, kind and message.
fn refusal(letter: &Got) -> [&str; 4] {
    let names = ["stage", "class.name", "exception.class.name", "exception.message"];
    names.map(|name| header(letter, &format!("__connect.errors.{name}")).expect("every dead letter has it"))
}

#[test]
fn an_event_too_far_ahead_is_handed_back_and_one_that_is_not_leaves_with_its_time() {
    let scene = ahead(&[("message.timestamp.after.max.ms", "172800000")]);
    scene.catch_up(&[]);
    assert_eq!((ids(&scene, "out"), ids(&scene, "dead")), (vec![1, 2, 3, 5], vec![4]));
    let future = scene.broker.read_all(&scene.topic("out")).into_iter().filter_map(|record| record.timestamp);
    assert_eq!(future.filter(|time| *time > now() + 3_600_000).count(), 1);
}

/// As brokers have it from 4.0 on: nothing from more than an hour ahead.
#[test]
fn a_time_that_brokers_would_refuse_is_handed_back_and_all_else_goes_on() {
    let scene = ahead(&[("message.timestamp.after.max.ms", "3600000")]);
    scene.catch_up(&[]);
    assert_eq!((ids(&scene, "out"), ids(&scene, "dead")), (vec![1, 3, 5], vec![2, 4]));
    assert_eq!(scene.committed("orders", 1), [5]);
    let came = scene.broker.read_all(&scene.topic("orders"));
    let letters = scene.broker.read_all(&scene.topic("dead"));
    let letter = letters.iter().find(|letter| letter.value == came[1].value).expect("it is there");
    assert_eq!((&letter.key, &letter.headers[0]), (&came[1].key, &came[1].headers[0]));
    assert_eq!((letter.timestamp, header(letter, "tidemill.timestamp")), (came[1].timestamp, None));
    let [stage, output, kind, message] = refusal(letter);
    assert_eq!((stage, output, kind), ("emit", "out", "TimeError"));
    // The prefix comes from the environment, which is not shown.
    assert!(message.contains(".out allows: its message.timestamp.after.max.ms is 3600000"), "{message}");
}

/// The dead letters' topic does not take these times either.
#[test]
fn a_dead_letter_leaves_with_a_time_that_its_topic_takes() {
    const MINUTE: i64 = 60_000;
    let scene = Scene::new(COPY);
    scene.create_with("orders", 1, &[("message.timestamp.after.max.ms", "172800000")]);
    let near = [("message.timestamp.before.max.ms", "600000"), ("message.timestamp.after.max.ms", "600000")];
    ["out", "dead"].iter().for_each(|name| scene.create_with(name, 1, &near));
    let begun = now();
    let order = |id: u64, minutes: i64| {
        let timestamp = Some(begun + minutes * MINUTE);
        Rec { timestamp, ..Rec::keyed("k", json!({"id": id}).to_string()) }
    };
    scene.produce("orders", [order(1, -5), order(2, -11), order(3, 5), order(4, 120), order(5, 0)]);
    scene.catch_up(&[]);
    assert_eq!((ids(&scene, "out"), ids(&scene, "dead")), (vec![1, 3, 5], vec![2, 4]));
    for letter in scene.broker.read_all(&scene.topic("dead")) {
        let (minutes, setting) = match letter.text() {
            r#"{"id":2}"# => (-11, "message.timestamp.before.max.ms is 600000"),
            _ => (120, "message.timestamp.after.max.ms is 600000"),
        };
        assert_eq!(header(&letter, "tidemill.timestamp"), Some(&*(begun + minutes * MINUTE).to_string()));
        assert!((begun..=now()).contains(&letter.timestamp.unwrap()), "{letter:?}");
        let [stage, output, kind, message] = refusal(&letter);
        assert_eq!((stage, output, kind), ("emit", "out", "TimeError"));
        assert!(message.ends_with(setting), "{message}");
    }
}

/// A rule that comes holds for later events, one that goes does not.
#[test]
fn rules_come_and_go_while_the_job_runs() {
    let scene = Scene::new(oracle("rules").file).with_copy_topics(2);
    scene.create("rules", 2);
    let rule = |id: &str, user: &str| Rec::keyed(id, json!({"pattern": {"user": [user]}, "to": id}).to_string());
    let order = |id: u64, user: &str| Rec::value(json!({"id": id, "user": user, "amount": 1}).to_string());
    scene.produce("rules", [rule("first", "u1")]);
    let job = scene.start(&["-w", "2", "--http", "127.0.0.1:0"]);
    let address = http_address(&job);
    let in_force = |rules: u8| {
        let line = format!("\ntidemill_rules{{step=\"due\"}} {rules}\n");
        wait_until(SOON, &format!("{rules} rules are in force"), || get(&address, "/metrics").1.contains(&line));
    };
    in_force(1);
    scene.produce("orders", [order(1, "u1"), order(2, "u2")]);
    scene.await_records("out", 1);
    scene.produce("rules", [rule("second", "u2"), rule("third", "u2")]);
    in_force(3);
    scene.produce("orders", [order(3, "u2")]);
    scene.await_records("out", 3);
    scene.produce("rules", [Rec { value: None, ..rule("first", "") }, Rec { value: None, ..rule("third", "") }]);
    in_force(1);
    scene.produce("orders", [order(4, "u1"), order(5, "u2")]);
    scene.await_records("out", 4);
    terminate(job);
    let hits = |value: &serde_json::Value| (value["id"].as_u64().unwrap(), value["rule"].as_str().unwrap().to_owned());
    let mut all: Vec<_> = scene.values("out").iter().map(hits).collect();
    all.sort_unstable();
    let expected = [(1, "first"), (3, "second"), (3, "third"), (5, "second")];
    assert_eq!(all, expected.map(|(id, rule)| (id, rule.to_owned())));
}
