//! Outputs of small plans: keys, headers, values, tombstones and CloudEvents as they leave.

use super::*;
use crate::error::Stage;
use crate::event::SlotId;
use crate::json::Reader;
use crate::plan;

fn load(text: &str) -> Arc<Plan> {
    let loaded = plan::load("test.yaml", text, &|_| None, plan::Options::default());
    Arc::new(loaded.unwrap_or_else(|errors| panic!("{}", plan::report("test.yaml", text, &errors, false))).0)
}

/// A job that passes events of one source on; `kafka` and `more` are those of its output.
fn append(format: &str, kafka: &str, more: &str) -> Arc<Plan> {
    load(&format!(
        "name: test\nsources:\n  s: {{ kafka: {{ topic: in }}, format: {format} }}\nemit:\n  out:\n    from: s\n    kafka: {{ topic: out, {kafka} }}\n{more}\n"
    ))
}

/// An event of a frame with this body.
fn event(plan: &Plan, record: Record) -> Event {
    let paths = &plan.frames[plan.outputs[0].frame].paths;
    let reads: Vec<_> = paths.iter().cloned().zip(0 as SlotId..).collect();
    let mut slots = vec![Value::Null; paths.len()];
    Reader::new(&reads, 64).read(record.body().unwrap(), &mut slots).unwrap();
    Event { time: 1_234_999, record: Arc::new(record), slots: slots.into(), ..Event::default() }
}

fn record(body: &str) -> Record {
    Record {
        topic: "in".into(),
        partition: 3,
        offset: 42,
        key: Some(Bytes::from_static(b"input key")),
        value: Some(Bytes::copy_from_slice(body.as_bytes())),
        headers: vec![Header { name: "origin".into(), value: Some(Bytes::from_static(b"\xffweb")) }],
        ..Record::default()
    }
}

fn encode_record(plan: &Arc<Plan>, record: Record) -> Result<Option<Outgoing>, Rejection> {
    Encoder::new(plan, 0, 4).event(&mut event(plan, record), 0)
}

fn encode(plan: &Arc<Plan>, body: &str) -> Outgoing {
    encode_record(plan, record(body)).unwrap().expect("the condition holds")
}

fn utf8(bytes: &Option<Bytes>) -> Option<&str> {
    bytes.as_deref().map(|bytes| std::str::from_utf8(bytes).unwrap())
}

fn headers(record: &OutRecord) -> Vec<(&str, &str)> {
    record.headers.iter().map(|h| (h.name.as_str(), utf8(&h.value).unwrap())).collect()
}

#[test]
fn the_whole_event_leaves_byte_for_byte_without_its_key_and_headers() {
    let body = " {\"a\" : 1.0,\n \"b\":\"\\u0061\"}";
    let out = encode(&append("json", "", ""), body);
    assert_eq!(utf8(&out.record.value), Some(body));
    assert_eq!((out.record.key, out.record.headers.len()), (None, 0));
    assert_eq!(out.record.timestamp, Some(1_234));
    let mut early = Event { time: -1, ..event(&append("json", "", ""), record("{}")) };
    let out = Encoder::new(&append("json", "", ""), 0, 1).event(&mut early, 0).unwrap().unwrap();
    assert_eq!(out.record.timestamp, Some(-1));
}

#[test]
fn a_key_decides_the_partition() {
    let plan = append("json", "key: user.id", "");
    let out = encode(&plan, r#"{"user":{"id":"foobar"}}"#);
    assert_eq!(utf8(&out.record.key), Some("foobar"));
    assert_eq!(out.partition, key::partition(b"foobar", 4));
    assert_eq!(encode(&plan, "{}").record.key, None);
    let plan = append("json", "key: [user.id, n], partition_by: n", "");
    let out = encode(&plan, r#"{"user":{"id":null},"n":1.0}"#);
    assert_eq!(utf8(&out.record.key), Some(r#"{"id":null,"n":1}"#));
    assert_eq!(out.partition, key::partition(b"1", 4));
    assert_eq!(utf8(&encode(&append("json", "key: _key", ""), "{}").record.key), Some("input key"));
}

#[test]
fn headers_are_those_that_the_file_names() {
    let plan = append("json", "headers: { o: _topic, n: n, none: z, t: to_timestamp(0), raw: _headers.origin }", "");
    let out = encode(&plan, r#"{"n":[1, 2]}"#).record;
    let (raw, rest) = out.headers.split_last().unwrap();
    assert_eq!(raw.value.as_deref(), Some(&b"\xffweb"[..]));
    let named = OutRecord { headers: rest.to_vec(), ..OutRecord::default() };
    assert_eq!(headers(&named), [("o", "in"), ("n", "[1, 2]"), ("t", "1970-01-01T00:00:00Z")]);
}

#[test]
fn a_condition_that_is_not_true_keeps_the_event_back() {
    let plan = append("json", "key: a", "    where: a > 1");
    let sent = |body: &str| encode_record(&plan, record(body)).unwrap().is_some();
    assert_eq!([sent(r#"{"a":2}"#), sent(r#"{"a":1}"#), sent("{}")], [true, false, false]);
    let rejection = encode_record(&plan, record(r#"{"a":"x"}"#)).unwrap_err();
    assert_eq!(rejection.reason, Reason::ExpressionError);
    assert_eq!(rejection.at(Stage::Emit, &"out".into(), &Arc::default()).stage, Stage::Emit);
}

#[test]
fn a_value_is_an_expression_or_an_object_of_them() {
    let value = "    value: { id: id, sum: n + 1, in: { body: _value, no: z } }";
    let out = encode(&append("json", "", value), r#"{"id":"é","n": 1.50}"#);
    assert_eq!(utf8(&out.record.value), Some(r#"{"id":"é","sum":2.50,"in":{"body":{"id":"é","n": 1.50},"no":null}}"#));
    let body = "{\"n\" : 1}\n";
    assert_eq!(utf8(&encode(&append("json", "", "    value: _value"), body).record.value), Some(body));
    assert_eq!(utf8(&encode(&append("json", "", "    value: n"), "{}").record.value), Some("null"));
}

#[test]
fn order_is_what_the_place_begins_with() {
    let out = encode(&append("json", "", "    order: priority DESC, id"), r#"{"priority":7,"id":"a"}"#);
    assert_eq!(*out.place.by, [Value::Int(7), Value::text("a")]);
    assert_eq!(out.place.within, Within::Event(1_234_999, Default::default()));
    assert_eq!((&*out.origin.topic, out.origin.partition, out.origin.offset), ("in", 3, 42));
}

/// A job whose output is a collection: a table.
fn collection(kafka: &str, more: &str) -> Arc<Plan> {
    load(&format!(
        "name: test\ntables:\n  t: {{ kafka: {{ topic: in }}, key: [id, n] }}\nemit:\n  out:\n    from: t\n    kafka: {{ topic: out, {kafka} }}\n{more}\n"
    ))
}

fn change(plan: &Arc<Plan>, before: Option<&str>, after: Option<&str>) -> (Vec<(String, Option<String>)>, bool) {
    let row = |body: &str| event(plan, record(body));
    let key: Key = [Value::text("k"), Value::Null].into();
    let change = Change { key: key.clone(), time: 1_234_567, before: before.map(row), after: after.map(row) };
    let mut records = Vec::new();
    let encoded = Encoder::new(plan, 0, 4).change(change, Some(0), 0, &mut records);
    let shown = |out: &Outgoing| {
        assert_eq!(out.place.within, Within::Row(key.clone()));
        (utf8(&out.record.key).unwrap().to_owned(), utf8(&out.record.value).map(str::to_owned))
    };
    (records.iter().map(shown).collect(), encoded.is_err())
}

#[test]
fn a_collection_writes_newest_rows_and_tombstones() {
    let plan = collection("", "    where: a > 0");
    let key = r#"{"id":"k","n":null}"#;
    let upsert = |body: &str| vec![(key.to_owned(), Some(body.to_owned()))];
    let (one, none, two) = (r#"{"a":1}"#, r#"{"a":0}"#, r#"{"a":2}"#);
    assert_eq!(change(&plan, None, Some(one)).0, upsert(one));
    assert_eq!(change(&plan, Some(one), Some(two)).0, upsert(two));
    assert_eq!(change(&plan, Some(one), None).0, [(key.to_owned(), None)]);
    assert_eq!(change(&plan, Some(one), Some(none)).0, [(key.to_owned(), None)]);
    assert_eq!(change(&plan, Some(none), None).0, []);
}

#[test]
fn a_row_that_fails_counts_as_deleted() {
    let plan = collection("", "    value: { x: 1 / a }");
    let gone = (r#"{"id":"k","n":null}"#.to_owned(), None);
    assert_eq!(change(&plan, Some(r#"{"a":1}"#), Some(r#"{"a":0}"#)), (vec![gone], true));
    assert_eq!(change(&plan, None, Some(r#"{"a":0}"#)), (vec![], true));
    assert_eq!(change(&plan, Some(r#"{"a":0}"#), None), (vec![], false));
}

#[test]
fn a_row_whose_own_key_changes_leaves_a_tombstone_behind() {
    let plan = collection("key: to", "    value: a");
    let records = change(&plan, Some(r#"{"to":"x","a":1}"#), Some(r#"{"to":null,"a":2}"#)).0;
    assert_eq!(records, [("x".to_owned(), None), ("null".to_owned(), Some("2".to_owned()))]);
    let same = change(&plan, Some(r#"{"to":"x","a":1}"#), Some(r#"{"to":"x","a":2}"#)).0;
    assert_eq!(same, [("x".to_owned(), Some("2".to_owned()))]);
}

const FROM_JSON: &str =
    "    format: { cloudevents: { mode: MODE, type: \"'order.' || kind\", source: \"'/shop'\", subject: user } }";

#[test]
fn events_leave_as_binary_cloudevents() {
    let plan = append("json", "headers: { h: kind }", &FROM_JSON.replace("MODE", "binary"));
    let body = r#"{"kind":"paid","user":"","n":1}"#;
    let out = encode(&plan, body).record;
    let expected = [
        ("ce_specversion", "1.0"),
        ("ce_id", "in/3/42"),
        ("ce_source", "/shop"),
        ("ce_type", "order.paid"),
        ("ce_time", "1970-01-01T00:00:01.234999Z"),
        ("content-type", "application/json"),
        ("h", "paid"),
    ];
    assert_eq!(headers(&out), expected);
    assert_eq!(utf8(&out.value), Some(body));
    let rejection = encode_record(&plan, record("{}")).unwrap_err();
    assert!(rejection.message.contains("`type`"), "{}", rejection.message);
}

#[test]
fn events_leave_as_structured_cloudevents() {
    let more = FROM_JSON.replace("MODE", "structured") + "\n    value: { n: n }";
    let plan = append("json", "", &more);
    let body = r#"{"id":7,"time":"2026-01-01T00:00:00+01:00","kind":"paid","user":"u","n":1.0}"#;
    let out = encode(&plan, body).record;
    assert_eq!(headers(&out), [("content-type", "application/cloudevents+json")]);
    let expected = concat!(
        r#"{"specversion":"1.0","id":"7","source":"/shop","type":"order.paid","subject":"u","#,
        r#""time":"2026-01-01T00:00:00+01:00","datacontenttype":"application/json","data":{"n":1.0}}"#
    );
    assert_eq!(utf8(&out.value), Some(expected));
}

fn cloud_event(content_type: &str, value: &[u8], data: &str) -> Record {
    let body = format!(
        r#"{{"specversion":"1.0","id":"e1","type":"t","source":"/s","region":"eu","x_y":"no","n":5,"datacontenttype":"{content_type}","{data}}}"#
    );
    Record { value: Some(Bytes::copy_from_slice(value)), body: Some(body.into()), ..record("") }
}

#[test]
fn a_cloudevent_passes_with_its_extensions_and_data() {
    let plan = append("cloudevents", "", "    format: cloudevents");
    let came = cloud_event("text/json", br#" {"x": 1}"#, r#"data": {"x": 1}"#);
    let out = encode_record(&plan, came).unwrap().unwrap().record;
    let expected = [
        ("ce_specversion", "1.0"),
        ("ce_id", "e1"),
        ("ce_source", "/s"),
        ("ce_type", "t"),
        ("ce_time", "1970-01-01T00:00:01.234999Z"),
        ("content-type", "text/json"),
        ("ce_region", "eu"),
        ("ce_n", "5"),
    ];
    assert_eq!(headers(&out), expected);
    assert_eq!(utf8(&out.value), Some(r#"{"x": 1}"#));
}

#[test]
fn data_that_is_no_json_stays_what_it_was() {
    let binary = append("cloudevents", "", "    format: cloudevents");
    let structured = append("cloudevents", "", "    format: { cloudevents: { mode: structured } }");
    let sent = |plan, came| encode_record(plan, came).unwrap().unwrap().record.value;
    let text = || cloud_event("text/plain", b"a \"b\"", r#"data":"a \"b\"""#);
    assert_eq!(utf8(&sent(&binary, text())), Some("a \"b\""));
    assert!(utf8(&sent(&structured, text())).unwrap().ends_with(r#","n":5,"data":"a \"b\""}"#));
    let image = || cloud_event("image/png", b"\xff\xd8", r#"data_base64":"/9g=""#);
    assert_eq!(sent(&binary, image()).as_deref(), Some(&b"\xff\xd8"[..]));
    assert!(utf8(&sent(&structured, image())).unwrap().ends_with(r#","data_base64":"/9g="}"#));
    let none = cloud_event("text/plain", b"", r#"more":null"#);
    assert_eq!(sent(&binary, none), None);
}
