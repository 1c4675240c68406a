//! Records of every form against what their source declares: fields, times, CloudEvents, and what is rejected.

use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::event::Header;
use crate::plan::{self, Plan};

const NOW: Micros = 1_767_225_600_000_000;

/// A plan with one source `s`, whose declaration ends so.
fn plan(source: &str, value: &str) -> Plan {
    let text = format!(
        "name: test\nsources:\n  s:\n    kafka: {{ topic: t }}\n{source}\nemit:\n  out: {{ from: s, kafka: {{ topic: o }}, value: {value} }}\n"
    );
    let loaded = plan::load("test.yaml", &text, &|_| None, plan::Options::default());
    loaded.unwrap_or_else(|errors| panic!("{}", plan::report("test.yaml", &text, &errors, false))).0
}

struct Test {
    plan: Plan,
    decoder: Decoder,
    slots: Vec<Value>,
}

impl Test {
    fn new(source: &str, value: &str) -> Self {
        let plan = plan(source, value);
        let decode = &plan.sources[0].decode;
        let decoder = Decoder::new(decode, &plan.limits, true);
        let slots = vec![Value::Null; plan.frames[decode.frame].paths.len()];
        Self { plan, decoder, slots }
    }

    fn decode(&mut self, record: &mut Record) -> Result<Option<Micros>, Rejection> {
        self.decoder.decode_record(&self.plan.sources[0].decode, record, NOW, &mut self.slots)
    }

    fn value(&mut self, value: &str) -> Result<Option<Micros>, Rejection> {
        self.decode(&mut record(value))
    }

    /// The value that a field was read as.
    fn field(&self, name: &str) -> Value {
        let decode = &self.plan.sources[0].decode;
        let read = decode.reads.iter().find(|read| read.path.to_string() == name).expect("a field that is read");
        self.slots[usize::from(read.slot)].clone()
    }

    fn rejected(&mut self, value: &str) -> (Reason, String) {
        let rejection = self.value(value).expect_err(value);
        (rejection.reason, rejection.message)
    }
}

fn record(value: &str) -> Record {
    Record { timestamp: Some(1_000), value: Some(Bytes::copy_from_slice(value.as_bytes())), ..Record::default() }
}

fn event(headers: &[(&str, &str)], value: Option<&[u8]>) -> Record {
    let header = |(name, value): &(&str, &str)| Header {
        name: (*name).into(),
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
    };
    Record {
        headers: headers.iter().map(header).collect(),
        value: value.map(Bytes::copy_from_slice),
        timestamp: Some(1_000),
        ..Record::default()
    }
}

const TYPED: &str = "    fields: { i: BIGINT, d: DECIMAL, f: DOUBLE, b: BOOLEAN, v: VARCHAR NOT NULL, t: TIMESTAMP, j: JSON, o.x: BIGINT }";
const ALL: &str = "{ i: i, d: d, f: f, b: b, v: v, t: t, j: j, x: o.x }";

#[test]
fn declared_fields_become_values_of_their_type() {
    let mut test = Test::new(TYPED, ALL);
    let value = r#"{"i":1,"d":2,"f":3,"b":true,"v":"x","t":"2026-01-01T00:00:00.5Z","j":[1],"o":{"x":9}}"#;
    assert_eq!(test.value(value).unwrap(), Some(1_000_000));
    let debug = |name| format!("{:?}", test.field(name));
    assert_eq!(
        ["i", "d", "f", "b", "v", "j", "o.x"].map(debug),
        ["Int(1)", "Decimal(2)", "Double(3.0)", "Bool(true)", "Text(\"x\")", "Json(\"[1]\")", "Int(9)"]
    );
    assert_eq!(test.field("t"), Value::Timestamp(NOW + 500_000));
}

#[test]
fn numbers_fit_by_how_they_are_written() {
    let mut test = Test::new(TYPED, ALL);
    for good in [
        r#"{"v":"","i":-0}"#,
        r#"{"v":"","d":1e400}"#,
        r#"{"v":"","d":123456789012345678901234567890}"#,
        r#"{"v":"","f":1E2}"#,
        r#"{"v":"","f":123456789012345678901234567890}"#,
        r#"{"v":"","f":1e-400}"#,
    ] {
        assert!(test.value(good).is_ok(), "{good}");
    }
    for bad in [
        r#"{"v":"","i":1.0}"#,
        r#"{"v":"","i":1e2}"#,
        r#"{"v":"","i":9223372036854775808}"#,
        r#"{"v":"","f":1e400}"#,
        r#"{"v":"","d":"1"}"#,
        r#"{"v":"","b":0}"#,
        r#"{"v":1}"#,
        r#"{"v":"","t":"yesterday"}"#,
        r#"{"v":"","t":1767225600}"#,
        r#"{}"#,
        r#"{"v":null}"#,
    ] {
        assert_eq!(test.rejected(bad).0, Reason::TypeError, "{bad}");
    }
}

#[test]
fn a_type_error_names_path_type_and_value() {
    let mut test = Test::new(TYPED, ALL);
    let (_, message) = test.rejected(r#"{"v":"","o":{"x":"seven"}}"#);
    assert_eq!(message, "`o.x` is declared BIGINT, which \"seven\" is not");
    let long = "ä".repeat(200);
    let (_, message) = test.rejected(&format!(r#"{{"v":"","i":"{long}"}}"#));
    assert!(message.len() < 200 && message.contains("…"), "{message}");
    assert_eq!(test.rejected("{}").1, "`v` is missing or null, but declared VARCHAR NOT NULL");
}

#[test]
fn what_is_no_json_object_is_rejected_with_its_reason() {
    let mut test = Test::new("    format: json", "{ a: a }");
    for value in ["", "{", "[]", "\u{feff}{}", "{}x", r#"{"a":"\ud800"}"#] {
        assert_eq!(test.rejected(value).0, Reason::DecodeError, "{value}");
    }
    assert_eq!(test.rejected(&format!("{{\"a\":{}1{}}}", "[".repeat(1000), "]".repeat(1000))).0, Reason::TooDeep);
    assert_eq!(test.rejected(&format!("{{\"a\":\"{}\"}}", "x".repeat(1 << 20))).0, Reason::RecordTooLarge);
    let mut null = Record { value: None, ..record("") };
    assert_eq!(test.decode(&mut null).unwrap_err().reason, Reason::DecodeError);
}

#[test]
fn slots_of_an_earlier_record_do_not_stay() {
    let mut test = Test::new("    format: json", "{ a: a.b }");
    test.value(r#"{"a":{"b":1}}"#).unwrap();
    test.value(r#"{"a":{}}"#).unwrap();
    assert!(test.field("a.b").is_null());
}

#[test]
fn time_is_what_the_source_says() {
    let mut test = Test::new("    time: { from: at }", "{ a: a }");
    assert_eq!(test.value(r#"{"at":"2026-01-01T00:00:00Z"}"#).unwrap(), Some(NOW));
    for bad in [r#"{}"#, r#"{"at":null}"#, r#"{"at":7}"#, r#"{"at":"soon"}"#, r#"{"at":"2026-01-02T00:00:01Z"}"#] {
        assert_eq!(test.rejected(bad).0, Reason::TimeError, "{bad}");
    }
    assert!(test.value(r#"{"at":"2026-01-02T00:00:00Z"}"#).is_ok());
}

#[test]
fn without_an_expression_the_time_is_the_records() {
    let mut test = Test::new("    format: json", "{ a: a }");
    assert_eq!(test.decode(&mut Record { timestamp: Some(-1_500), ..record("{}") }), Ok(Some(-1_500_000)));
    assert_eq!(test.decode(&mut Record { timestamp: None, ..record("{}") }), Ok(None));
    let far = Record { timestamp: Some(i64::MAX), ..record("{}") };
    assert_eq!(test.decode(&mut far.clone()).unwrap_err().reason, Reason::TimeError);
    test.decoder.wall_clock = false;
    let year_9000 = Record { timestamp: Some(221_845_392_000_000), ..record("{}") };
    assert_eq!(test.decode(&mut year_9000.clone()), Ok(Some(221_845_392_000_000_000)));
}

const BINARY: [(&str, &str); 5] = [
    ("ce_specversion", "1.0"),
    ("ce_id", "e\"1"),
    ("ce_type", "order.paid"),
    ("ce_source", "/shop"),
    ("ce_region", "eu"),
];

fn with_type(content_type: &'static str) -> Vec<(&'static str, &'static str)> {
    BINARY.into_iter().chain([("Content-Type", content_type)]).collect()
}

#[test]
fn a_binary_cloudevent_becomes_one_object() {
    let mut test = Test::new("    format: cloudevents", "{ id: id, region: region, x: data.x, all: data }");
    let mut binary = event(&with_type("application/vnd.x+JSON; charset=utf-8"), Some(br#" {"x": 7} "#));
    test.decode(&mut binary).unwrap();
    assert_eq!(test.field("id"), Value::text("e\"1"));
    assert_eq!(test.field("region"), Value::text("eu"));
    assert_eq!(test.field("data.x"), Value::Int(7));
    let body = concat!(
        r#"{"specversion":"1.0","id":"e\"1","type":"order.paid","source":"/shop","region":"eu","#,
        r#""datacontenttype":"application/vnd.x+JSON; charset=utf-8","data": {"x": 7} }"#
    );
    assert_eq!(binary.body.as_deref(), Some(body.as_bytes()));
    assert_eq!(binary.value.as_deref(), Some(&br#" {"x": 7} "#[..]));
}

#[test]
fn binary_data_follows_its_content_type() {
    let mut test = Test::new("    format: cloudevents", "{ d: data, b: data_base64 }");
    test.decode(&mut event(&BINARY, Some(b"[1]"))).unwrap();
    assert_eq!(test.field("data"), Value::Json("[1]".into()));
    test.decode(&mut event(&with_type("text/plain"), Some(b"[1] \"x\"\n"))).unwrap();
    assert_eq!(test.field("data"), Value::text("[1] \"x\"\n"));
    test.decode(&mut event(&with_type("image/png"), Some(&[0xff, 0xd8]))).unwrap();
    assert_eq!((test.field("data"), test.field("data_base64")), (Value::Null, Value::text("/9g=")));
    test.decode(&mut event(&BINARY, None)).unwrap();
    assert!(test.field("data").is_null());
    for bad in [&b"{"[..], b"1,\"id\":2", b"{}{}"] {
        let rejection = test.decode(&mut event(&BINARY, Some(bad))).unwrap_err();
        assert_eq!(rejection.reason, Reason::DecodeError);
    }
}

#[test]
fn binary_data_may_be_as_deep_as_any_value() {
    let mut test = Test::new("    format: cloudevents", "{ d: data }");
    let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    assert!(test.decode(&mut event(&BINARY, Some(nested(64).as_bytes()))).is_ok());
    let too_deep = test.decode(&mut event(&BINARY, Some(nested(65).as_bytes()))).unwrap_err();
    assert_eq!(too_deep.reason, Reason::TooDeep);
}

#[test]
fn a_structured_cloudevent_is_its_own_body() {
    let mut test = Test::new("    format: cloudevents", "{ type: type, x: data.x }");
    let value = br#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"x":1},"data_base64":"AA=="}"#;
    let mut structured = event(&[("content-type", "Application/CloudEvents+json; charset=UTF-8")], Some(value));
    test.decode(&mut structured).unwrap();
    assert_eq!((test.field("type"), test.field("data.x")), (Value::text("t"), Value::Int(1)));
    assert_eq!(structured.body, None);
}

#[test]
fn what_is_no_cloudevent_is_rejected() {
    let mut test = Test::new("    format: cloudevents", "{ type: type }");
    let structured = [("content-type", "application/cloudevents+json")];
    let mut bad = |record: Record| {
        let rejection = test.decode(&mut record.clone()).unwrap_err();
        assert_eq!(rejection.reason, Reason::DecodeError, "{rejection:?}");
        rejection.message
    };
    assert!(bad(event(&[], Some(b"{}"))).starts_with("no CloudEvent"));
    assert!(bad(event(&BINARY[1..], Some(b"{}"))).contains("ce_specversion"));
    assert!(bad(event(&[("ce_id", "")], Some(b"{}"))).ends_with("id is empty"));
    assert!(bad(event(&[&BINARY[..], &[("ce_specversion", "0.3")]].concat(), Some(b"{}"))).contains("0.3"));
    assert!(bad(event(&[&BINARY[..], &[("ce_data", "x")]].concat(), Some(b"{}"))).contains("named data"));
    assert!(bad(event(&[("content-type", "application/cloudevents-batch+json")], Some(b"[]"))).contains("only JSON"));
    assert!(bad(event(&structured, None)).contains("null"));
    assert!(bad(event(&structured, Some(b"[]"))).contains("JSON"));
    assert!(bad(event(&structured, Some(br#"{"id":"1","source":"s","type":"t"}"#))).contains("without specversion"));
    assert!(
        bad(event(&structured, Some(br#"{"id":1,"source":"s","type":"t","specversion":"1.0"}"#))).contains("id is no")
    );
    let mut rubbish = event(&BINARY, Some(b"{}"));
    rubbish.headers[1].value = Some(Bytes::from_static(b"\xff"));
    assert!(bad(rubbish).contains("UTF-8"));
}

#[test]
fn a_row_wants_a_key_without_null() {
    let keyed = Record { key: Some(Bytes::from_static(b"k1")), ..Record::default() };
    assert_eq!(&*row_key(None, &keyed, &[]).unwrap(), [Value::text("k1")]);
    assert_eq!(row_key(None, &Record::default(), &[]).unwrap_err().reason, Reason::KeyError);
    let rubbish = Record { key: Some(Bytes::from_static(b"\xff")), ..Record::default() };
    assert_eq!(row_key(None, &rubbish, &[]).unwrap_err().reason, Reason::KeyError);
    let slots = [Value::Decimal("1.0".parse().unwrap()), Value::Null];
    assert!(row_key(Some(&[0]), &keyed, &slots).unwrap()[0].identical(&Value::Int(1)));
    assert_eq!(row_key(Some(&[0, 1]), &keyed, &slots).unwrap_err().reason, Reason::KeyError);
}

#[test]
fn the_same_header_counts_once_and_last() {
    let mut test = Test::new("    format: cloudevents", "{ region: region }");
    let mut twice = event(&[&BINARY[..], &[("ce_region", "us")]].concat(), Some(b"{}"));
    test.decode(&mut twice).unwrap();
    assert_eq!(test.field("region"), Value::text("us"));
    let body = String::from_utf8(twice.body.unwrap().to_vec()).unwrap();
    assert_eq!(body.matches("region").count(), 1);
    let many: Vec<_> = (0..100_000).map(|_| ("ce_x", "1")).collect();
    test.decode(&mut event(&[&BINARY[..], &many].concat(), Some(b"{}"))).unwrap();
}

#[test]
fn the_whole_payload_is_checked_whatever_is_read() {
    let mut test = Test::new("    format: json", "{ a: a }");
    assert_eq!(test.rejected(r#"{"a":1,"z":{"deep":[1,2,}}"#).0, Reason::DecodeError);
    let bytes = Arc::<[u8]>::from(&b"{\"a\":1,\"z\":\"\xff\"}"[..]);
    let mut invalid = Record { value: Some(Bytes::copy_from_slice(&bytes)), ..Record::default() };
    assert!(test.decode(&mut invalid).unwrap_err().message.contains("not UTF-8 at byte 12"));
}
