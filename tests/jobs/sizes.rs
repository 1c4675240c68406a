//! Records that a delivery topic refuses for their size.

use crate::scene::{COPY, Scene, ends};
use crate::support::{Got, Rec};

fn header<'a>(record: &'a Got, name: &str) -> &'a str {
    let found = record.headers.iter().find(|(header, _)| header == name);
    let value = found.and_then(|(_, value)| value.as_deref()).unwrap_or_else(|| panic!("no {name}: {record:?}"));
    std::str::from_utf8(value).expect("it is text")
}

/// A small order, one of 5,000 bytes, a small one.
fn deliver(letters: &[(&str, &str)]) -> (Scene<'static>, String) {
    let scene = Scene::new(COPY);
    scene.create("orders", 1);
    scene.create_with("out", 1, &[("max.message.bytes", "2000")]);
    scene.create_with("dead", 1, letters);
    let large = format!(r#"{{"id":2,"note":"{}"}}"#, "x".repeat(5_000));
    let values = [r#"{"id":1}"#, &large, r#"{"id":3}"#];
    scene.produce("orders", values.map(|value| Rec::keyed("k", value)));
    let report = scene.path("report.json");
    scene.catch_up(&["--report", report.to_str().unwrap()]);
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    let counted = &report["dead_letters"][0];
    assert_eq!((&counted["stage"], &counted["reason"]), (&"emit".into(), &"RecordTooLarge".into()), "{report:#}");
    assert_eq!(
        (&counted["records"], &report["steps"]["emit.out"]["rejected"]["RecordTooLarge"]),
        (&1.into(), &1.into())
    );
    let ids: Vec<u64> = scene.values("out").iter().map(|value| value["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, [1, 3]);
    assert_eq!(scene.committed("orders", 1), [3]);
    (scene, large)
}

#[test]
fn a_record_that_is_too_large_goes_to_the_dead_letters() {
    let (scene, large) = deliver(&[]);
    let letters = scene.broker.read_all(&scene.topic("dead"));
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!((letter.key.as_deref(), letter.text()), (Some(&b"k"[..]), &*large));
    let of = |name: &str| header(letter, &format!("__connect.errors.{name}"));
    assert_eq!((of("stage"), of("class.name"), of("exception.class.name")), ("emit", "out", "RecordTooLarge"));
    assert_eq!((of("topic"), of("offset")), (&*scene.topic("orders"), "1"));
}

#[test]
fn a_dead_letter_that_is_too_large_leaves_without_its_value() {
    let (scene, large) = deliver(&[("max.message.bytes", "2000")]);
    let letters = scene.broker.read_all(&scene.topic("dead"));
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!((letter.key.as_deref(), letter.value.as_deref()), (Some(&b"k"[..]), None));
    assert_eq!(header(letter, "tidemill.value.bytes"), large.len().to_string());
    assert_eq!(header(letter, "__connect.errors.exception.class.name"), "RecordTooLarge");
}

#[test]
fn a_dead_letter_that_never_fits_stops_the_job_and_says_what_to_do() {
    let scene = Scene::new(COPY);
    scene.create("orders", 1);
    scene.create("out", 1);
    scene.create_with("dead", 1, &[("max.message.bytes", "200")]);
    scene.produce("orders", [Rec::keyed("k", "rubbish")]);
    let stderr = ends(scene.start(&["--until-caught-up"]), 69);
    let told = format!("the dead letter of topic {}, partition 0, offset 0 is too large", scene.topic("orders"));
    assert!(stderr.contains(&told) && stderr.contains("raise max.message.bytes"), "{stderr}");
    assert_eq!(scene.committed("orders", 1), [0]);
}

#[test]
fn records_that_are_too_large_count_as_rejected() {
    let scene = Scene::new(&format!("{COPY}limits: {{ rejected: 3 }}\n"));
    scene.create("orders", 1);
    scene.create_with("out", 1, &[("max.message.bytes", "2000")]);
    scene.create("dead", 1);
    let large = |id: u64| Rec::value(format!(r#"{{"id":{id},"note":"{}"}}"#, "x".repeat(5_000)));
    scene.produce("orders", (0..5).map(large));
    let stderr = ends(scene.start(&[]), 65);
    assert!(stderr.contains("5 records were rejected; limits.rejected is 3"), "{stderr}");
    assert_eq!(scene.broker.read_all(&scene.topic("dead")).len(), 5);
}
