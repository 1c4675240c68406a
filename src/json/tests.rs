//! The JSON modules against `serde_json` as a model, on random texts.

mod bodies;
mod model;

use arbtest::arbitrary::{self, Unstructured};
use arbtest::arbtest;

use super::*;
use crate::event::{SlotId, Value};
use model::Random;

fn json(text: &str) -> Value {
    Value::Json(text.into())
}

fn path(text: &str) -> Path {
    Path(
        text.split('.').map(|name| name.parse().map_or_else(|_| Segment::Field(name.into()), Segment::Index)).collect(),
    )
}

fn text(value: &Value) -> String {
    let mut to = Vec::new();
    write(value, &mut to);
    String::from_utf8(to).unwrap()
}

fn read(payload: &str, paths: &[&str]) -> Result<Vec<Value>, JsonError> {
    let reads: Vec<_> = paths.iter().enumerate().map(|(i, p)| (path(p), i as SlotId)).collect();
    let mut slots = vec![Value::text("left over"); paths.len()];
    Reader::new(&reads, 64).read(payload.as_bytes(), &mut slots).map(|()| slots)
}

fn read_one(payload: &str, path: &str) -> Value {
    read(payload, &[path]).unwrap().remove(0)
}

fn accepts(bytes: &[u8]) -> bool {
    parse(bytes, 64).is_ok()
}

/// Up to `most` bytes put in, changed, or cut off.
fn spoil(u: &mut Unstructured<'_>, bytes: &mut Vec<u8>, most: usize) -> arbitrary::Result<()> {
    for _ in 0..u.int_in_range(0..=most)? {
        let at = u.choose_index(bytes.len() + 1)?;
        let alphabet = b"{}[]\",:\\u0019.eE+-tfnl \n\x00\x1f\xc3\xa4\xed\xa0\x80D8";
        match u.int_in_range(0..=2)? {
            0 => bytes.insert(at, *u.choose(alphabet)?),
            1 if at < bytes.len() => bytes[at] = *u.choose(alphabet)?,
            _ => bytes.truncate(at),
        }
    }
    Ok(())
}

#[test]
fn scanner_accepts_what_serde_json_accepts() {
    arbtest(|u| {
        let mut bytes = Random(u).json(4)?.into_bytes();
        spoil(u, &mut bytes, 3)?;
        if bytes.is_empty() {
            bytes.push(b' ');
        }
        let expected = serde_json::from_slice::<serde_json::Value>(&bytes).is_ok();
        assert_eq!(accepts(&bytes), expected, "{:?}", String::from_utf8_lossy(&bytes));
        Ok(())
    });
}

#[test]
fn rubbish_is_refused_with_its_place() {
    let cases: [(&[u8], usize); 17] = [
        (b"", 0),
        (b"\xef\xbb\xbf{}", 0),
        (b"{} x", 3),
        (b"{\"a\":1,}", 7),
        (b"{\"a\" 1}", 5),
        (b"[1,]", 3),
        (b"01", 0),
        (b"1.", 2),
        (b"-", 1),
        (b"\"a", 2),
        (b"\"a\x01b long enough to be scanned in one step\"", 2),
        (b"\"\\x\"", 1),
        (b"\"\\ud800\"", 1),
        (b"\"\\udc00\"", 1),
        (b"\"\\ud800\\u0041\"", 1),
        (b"\"ab\xff\"", 3),
        (b"nul", 0),
    ];
    for (bytes, at) in cases {
        let error = parse(bytes, 64).unwrap_err();
        assert_eq!((error.kind, error.at), (JsonErrorKind::Syntax, at), "{}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn depth_is_an_error_not_a_crash() {
    let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    let objects = |n: usize| format!("{}1{}", "{\"a\":".repeat(n), "}".repeat(n));
    for make in [&nested as &dyn Fn(usize) -> String, &objects] {
        assert!(accepts(make(64).as_bytes()));
        assert_eq!(parse(make(65).as_bytes(), 64).unwrap_err().kind, JsonErrorKind::TooDeep);
        assert!(parse(make(1_000_000).as_bytes(), usize::MAX).is_ok());
    }
    assert_eq!(parse("[".repeat(1_000_000).as_bytes(), 64).unwrap_err().kind, JsonErrorKind::TooDeep);
    let mixed = "[{\"a\":".repeat(500) + "1" + &"}]".repeat(500);
    assert!(parse(mixed.as_bytes(), 1000).is_ok());
    assert!(parse(mixed.replacen("}]", "]}", 1).as_bytes(), 1000).is_err());
}

#[test]
fn numbers_keep_their_form() {
    let cases = [
        ("0", "Int(0)"),
        ("-7", "Int(-7)"),
        ("9223372036854775807", "Int(9223372036854775807)"),
        ("-9223372036854775808", "Int(-9223372036854775808)"),
        ("9223372036854775808", "Decimal(9223372036854775808)"),
        ("1.50", "Decimal(1.50)"),
        ("-0.0010", "Decimal(-0.0010)"),
        ("0.00", "Decimal(0.00)"),
        ("9999999999999999999999999999", "Decimal(9999999999999999999999999999)"),
        ("12345678901234567890123456789", "Number(\"12345678901234567890123456789\")"),
        ("0.00000000000000000000000000001", "Number(\"0.00000000000000000000000000001\")"),
        ("-0", "Number(\"-0\")"),
        ("-0.0", "Number(\"-0.0\")"),
        ("1E2", "Number(\"1E2\")"),
        ("1e400", "Number(\"1e400\")"),
    ];
    for (raw, value) in cases {
        let read = parse(raw.as_bytes(), 1).unwrap();
        assert_eq!(format!("{read:?}"), value);
        assert_eq!(text(&read), raw);
    }
}

#[test]
fn paths_are_read_in_one_pass() {
    let payload = r#" {"id":"e1","data":{"items":[{"sku":"a"},{"sku":"b","n":2}],"\u0061\"":true},"x":null} "#;
    let slots = read(payload, &["id", "data.items.1.sku", "data.items", "data.a\"", "x", "id.y", "no"]).unwrap();
    let texts: Vec<_> = slots.iter().map(text).collect();
    assert_eq!(texts, ["\"e1\"", "\"b\"", r#"[{"sku":"a"},{"sku":"b","n":2}]"#, "true", "null", "null", "null"]);
}

#[test]
fn of_a_duplicate_name_the_last_counts_whole() {
    assert_eq!(text(&read_one(r#"{"a":1,"\u0061":2}"#, "a")), "2");
    assert!(read_one(r#"{"a":{"b":1},"a":2}"#, "a.b").is_null());
    assert!(read_one(r#"{"a":{"b":1},"a":{"c":2}}"#, "a.b").is_null());
    assert_eq!(text(&get(&json(r#"{"a":{"b":1},"a":{"b":3}}"#), &path("a.b"))), "3");
}

#[test]
fn only_one_object_is_a_payload() {
    for payload in ["[]", "1", "\"a\"", "null", "{}{}", "{},", "", " "] {
        assert!(read(payload, &["a"]).is_err(), "{payload}");
    }
    assert!(read("\r\n\t {} \n", &["a"]).is_ok());
}

#[test]
fn names_longer_than_a_word_are_told_apart() {
    let payload = r#"{"customer_id":1,"customer_no":2,"customer":3,"custome":4,"":5}"#;
    let slots = read(payload, &["customer_no", "customer", "custome", "customer_id", ""]).unwrap();
    assert_eq!(slots.iter().map(text).collect::<Vec<_>>(), ["2", "3", "4", "1", "5"]);
}

#[test]
fn reader_and_get_agree_with_the_model() {
    arbtest(|u| {
        let payload = Random(u).object(4)?;
        let paths: Vec<_> = (0..4).map(|_| Random(u).path(true)).collect::<Result<_, _>>()?;
        let reads: Vec<_> = paths.iter().enumerate().map(|(i, path)| (path.clone(), i as SlotId)).collect();
        let mut slots = vec![Value::Null; paths.len()];
        Reader::new(&reads, 64).read(payload.as_bytes(), &mut slots).unwrap();
        let tree = model::tree(&payload);
        for (path, slot) in paths.iter().zip(&slots) {
            let expected = model::get(&tree, path).cloned().unwrap_or_default();
            assert_eq!(model::of(slot), expected, "{path} of {payload}");
            assert_eq!(model::of(&get(&json(&payload), path)), expected, "{path} of {payload}");
        }
        Ok(())
    });
}

#[test]
fn what_a_reader_has_seen_changes_nothing() {
    arbtest(|u| {
        // Three shapes, so that members stand where they stood, or do not; some are broken.
        let shapes: Vec<_> = (0..3).map(|_| Random(u).object(4)).collect::<Result<_, _>>()?;
        let paths: Vec<_> = (0..4).map(|_| Random(u).path(true)).collect::<Result<_, _>>()?;
        let reads: Vec<_> = paths.iter().enumerate().map(|(i, path)| (path.clone(), i as SlotId)).collect();
        let experienced = Reader::new(&reads, 64);
        for _ in 0..8 {
            let mut payload = u.choose(&shapes)?.clone().into_bytes();
            spoil(u, &mut payload, 1)?;
            let read = |reader: &Reader| {
                let mut slots = vec![Value::Null; paths.len()];
                reader.read(&payload, &mut slots).map(|()| format!("{slots:?}"))
            };
            let fresh = read(&Reader::new(&reads, 64));
            assert_eq!(read(&experienced), fresh, "{:?}", String::from_utf8_lossy(&payload));
        }
        Ok(())
    });
}

#[test]
fn a_member_that_is_known_by_its_bytes_is_that_one() {
    let reads = ["id", "type", "a_name_of_some_length", "data.id", "data.n"].map(path);
    let reads: Vec<_> = reads.into_iter().zip(0..).collect();
    let reader = Reader::new(&reads, 64);
    let filler = "f".repeat(70);
    let of = |payload: &str| {
        let mut slots = vec![Value::Null; reads.len()];
        reader.read(payload.as_bytes(), &mut slots).unwrap();
        slots.iter().map(text).collect::<Vec<_>>().join(" ")
    };
    for n in 1..4 {
        let payload = format!(
            r#"{{"id":{n},"type":"t{n}","a_name_of_some_length":{n}1,"x":"{filler}","data":{{"id":{n}2,"n":"{filler}"}}}}"#
        );
        assert_eq!(of(&payload), format!(r#"{n} "t{n}" {n}1 {n}2 "{filler}""#));
    }
    assert_eq!(of(r#"{"id":1,"typ":2,"type":3}"#), "1 3 null null null");
    assert_eq!(of(r#"{"type":1,"id":2,"data":{"n":1}}"#), "2 1 null null 1");
    assert_eq!(of(r#"{"type" :1, "id": 2,"data":{"id":0}}"#), "2 1 null 0 null");
}

#[test]
fn edits_agree_with_the_model() {
    arbtest(|u| {
        let payload = Random(u).json(4)?;
        let value = parse(payload.as_bytes(), 64).unwrap();
        let (at, new) = (Random(u).path(true)?, parse(Random(u).json(2)?.as_bytes(), 64).unwrap());
        let tree = model::tree(&payload);
        assert_eq!(model::of(&set(&value, &at, &new)), model::set(&tree, &at, &model::of(&new)), "{at} {payload}");
        assert_eq!(model::of(&remove(&value, &at)), model::remove(&tree, &at), "{at} {payload}");
        let paths = [at, Random(u).path(true)?];
        assert_eq!(model::of(&keep(&value, &paths)), model::keep(&tree, &paths).unwrap_or_default(), "{payload}");
        Ok(())
    });
}

#[test]
fn an_edit_of_nothing_copies_nothing() {
    let Value::Json(before) = json(r#"{ "a" : 1 }"#) else { unreachable!() };
    let Value::Json(after) = remove(&Value::Json(before.clone()), &path("b")) else { panic!("an object stays one") };
    assert!(std::sync::Arc::ptr_eq(&before, &after));
}
