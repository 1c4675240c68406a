//! Bodies against the model: edits one after the other.

use std::sync::Arc;

use arbtest::arbtest;
use bytes::Bytes;

use super::model::{self, Random};
use super::{Value, parse, path};
use crate::event::{Event, Record, SlotId};
use crate::json::{Bodies, Path};
use crate::plan::{Edit, Frame, Layout};

fn body(payload: &str, paths: &[Path], layout: Layout, slots: &[Value]) -> String {
    let frame = Frame { paths: paths.to_vec(), layouts: vec![layout] };
    let record = Record { value: Some(Bytes::copy_from_slice(payload.as_bytes())), ..Record::default() };
    let event = Event { record: Arc::new(record), slots: slots.into(), ..Event::default() };
    let mut to = Vec::new();
    Bodies::new(&frame).write(&event, 0, &mut to);
    String::from_utf8(to).unwrap()
}

/// Bodies of layouts over slots `a`, `b`, `a.x`, `n.x` whose values are 1 to 4.
fn edited(payload: &str, edits: &[Edit]) -> String {
    let paths = ["a", "b", "a.x", "n.x"].map(path);
    let slots = [1, 2, 3, 4].map(Value::Int);
    body(payload, &paths, Layout { from_payload: true, edits: edits.to_vec() }, &slots)
}

#[test]
fn untouched_payloads_are_byte_for_byte() {
    let payload = " { \"a\" : 1.00 ,\n\"a\":2 } ";
    assert_eq!(edited(payload, &[]), payload);
}

#[test]
fn changed_fields_keep_their_place_and_new_ones_follow_in_order() {
    let payload = r#"{"c": 0.10, "a":{"y":[1, 2]},"d":"\u0061"}"#;
    let set = |slots: &[SlotId]| slots.iter().map(|slot| Edit::Set(*slot)).collect::<Vec<_>>();
    assert_eq!(edited(payload, &set(&[1, 0])), r#"{"c":0.10,"a":1,"d":"\u0061","b":2}"#);
    assert_eq!(
        edited(payload, &set(&[3, 1, 2])),
        r#"{"c":0.10,"a":{"y":[1, 2],"x":3},"d":"\u0061","n":{"x":4},"b":2}"#
    );
    assert_eq!(edited(r#"{"a":5}"#, &set(&[2])), r#"{"a":{"x":3}}"#);
}

#[test]
fn a_field_that_was_dropped_and_set_again_stands_at_the_end() {
    let edits = [Edit::Set(1), Edit::Drop(path("a")), Edit::Set(0)];
    assert_eq!(edited(r#"{"a":0,"c":9}"#, &edits), r#"{"c":9,"b":2,"a":1}"#);
    assert_eq!(edited("{}", &[Edit::Set(0), Edit::Set(1), Edit::Set(0)]), r#"{"a":1,"b":2}"#);
}

#[test]
fn keep_leaves_only_its_paths() {
    let payload = r#"{"a":{"x":1,"y":2},"b":2,"c":{"d":1}}"#;
    assert_eq!(edited(payload, &[Edit::Keep(vec![path("a.y"), path("c")])]), r#"{"a":{"y":2},"c":{"d":1}}"#);
    let then_set = [Edit::Keep(vec![path("c")]), Edit::Set(0)];
    assert_eq!(edited(payload, &then_set), r#"{"c":{"d":1},"a":1}"#);
    assert_eq!(edited(r#"{"a":7,"c":1}"#, &[Edit::Keep(vec![path("a.y"), path("c")])]), r#"{"c":1}"#);
}

#[test]
fn rows_without_a_payload_begin_empty() {
    let layout = Layout { from_payload: false, edits: vec![Edit::Set(1), Edit::Set(0)] };
    let slots = [Value::Null, Value::text("x")];
    assert_eq!(body(r#"{"z":1}"#, &["a", "b"].map(path), layout, &slots), r#"{"b":"x","a":null}"#);
}

#[test]
fn bodies_agree_with_the_edits_one_after_the_other() {
    arbtest(|u| {
        let index = u.ratio(1, 8)?;
        let payload = Random(u).object(3)?;
        let paths: Vec<_> = (0..4).map(|_| Random(u).path(index)).collect::<Result<_, _>>()?;
        let texts: Vec<_> = (0..4).map(|_| Random(u).json(2)).collect::<Result<_, _>>()?;
        let slots: Vec<_> = texts.iter().map(|text| parse(text.as_bytes(), 64).unwrap()).collect();
        let edits = (0..u.int_in_range(0..=5)?).map(|_| {
            Ok(match u.int_in_range(0..=3)? {
                0 | 1 => Edit::Set(u.int_in_range(0..=3)?),
                2 => Edit::Drop(Random(u).path(index)?),
                _ => Edit::Keep((0..3).map(|_| Random(u).path(index)).collect::<Result<_, _>>()?),
            })
        });
        let edits = edits.collect::<Result<Vec<_>, _>>()?;
        let from_payload = u.ratio(3, 4)?;
        let mut expected = model::tree(if from_payload { &payload } else { "{}" });
        for edit in &edits {
            expected = match edit {
                Edit::Set(slot) => {
                    model::set(&expected, &paths[usize::from(*slot)], &model::of(&slots[usize::from(*slot)]))
                }
                Edit::Drop(path) => model::remove(&expected, path),
                Edit::Keep(paths) => model::keep(&expected, paths).unwrap_or_default(),
            };
        }
        let written = body(&payload, &paths, Layout { from_payload, edits: edits.clone() }, &slots);
        // Compared as text: the order of fields counts.
        let written = model::tree(&written).to_string();
        assert_eq!(written, expected.to_string(), "{payload} {paths:?} {edits:?}");
        Ok(())
    });
}
