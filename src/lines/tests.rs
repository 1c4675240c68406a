//! Lines that are records, those that are none, and records that become lines.

use super::*;

fn place() -> Record {
    Record { topic: "events".into(), partition: 2, offset: 17, ..Record::default() }
}

fn read(line: &str) -> Result<Record, String> {
    parse(&Bytes::copy_from_slice(line.as_bytes()), &place())
}

fn written(record: &OutRecord) -> String {
    let mut to = Vec::new();
    write_record(record, &mut to);
    String::from_utf8(to).unwrap()
}

fn bytes(text: &str) -> Option<Bytes> {
    Some(Bytes::copy_from_slice(text.as_bytes()))
}

#[test]
fn a_line_needs_no_more_than_a_value() {
    let record = read(r#"{"value": {"id": 7} }"#).unwrap();
    assert_eq!(record.value, bytes(r#"{"id": 7}"#));
    assert_eq!((&*record.topic, record.partition, record.offset), ("events", 2, 17));
    assert_eq!((record.timestamp, record.key, record.headers.len()), (None, None, 0));
}

#[test]
fn a_line_may_say_all() {
    let line = r#"{"key":"k\n1","value":"text","timestamp":-5,"headers":{"a":"1","b":null,"a":"2"},"topic":"t","partition":3,"offset":4}"#;
    let record = read(line).unwrap();
    assert_eq!((record.key, record.value, record.timestamp), (bytes("k\n1"), bytes("text"), Some(-5)));
    assert_eq!((&*record.topic, record.partition, record.offset), ("t", 3, 4));
    let headers: Vec<_> = record.headers.iter().map(|h| (h.name.as_str(), h.value.clone())).collect();
    assert_eq!(headers, [("a", bytes("1")), ("b", None), ("a", bytes("2"))]);
}

#[test]
fn keys_and_values_may_be_any_bytes() {
    let record = read(r#"{"key_base64":"/9g=","value":12.50}"#).unwrap();
    assert_eq!((record.key.as_deref(), record.value), (Some(&[0xff, 0xd8][..]), bytes("12.50")));
    assert_eq!(read(r#"{"key":true,"value":[1, 2]}"#).unwrap().key, bytes("true"));
    let nothing = read(r#"{"key":null,"value":null}"#).unwrap();
    assert_eq!((nothing.key, nothing.value), (None, None));
}

#[test]
fn what_is_no_record_is_refused_with_the_reason() {
    let cases = [
        ("", "unexpected end"),
        ("[]", "no JSON object"),
        ("{}", "no `value`"),
        (r#"{"value":1} x"#, "expected the end"),
        (r#"{"value":1,"offsets":2}"#, "unknown member `offsets`"),
        (r#"{"value":1,"value_base64":"AA=="}"#, "two values"),
        (r#"{"value_base64":"?"}"#, "not base64"),
        (r#"{"value":1,"timestamp":1.5}"#, "`timestamp` is no integer"),
        (r#"{"value":1,"partition":3000000000}"#, "`partition` is no integer"),
        (r#"{"value":1,"topic":1}"#, "`topic` is no string"),
        (r#"{"value":1,"headers":[]}"#, "`headers` is no object"),
        (r#"{"value":1,"headers":{"a":1}}"#, "header `a` is no string"),
    ];
    for (line, why) in cases {
        let message = read(line).unwrap_err();
        assert!(message.contains(why), "{line}: {message}");
    }
}

#[test]
fn records_are_written_so_that_they_can_be_read() {
    let header = |name: &str, value| Header { name: name.into(), value };
    let record = OutRecord {
        key: bytes("u1"),
        value: bytes("{\"a\":\n [1,\r\n2]}"),
        headers: vec![header("h", bytes("ä\"")), header("n", None)],
        timestamp: Some(1_500),
    };
    let line = r#"{"key":"u1","value":{"a":  [1,  2]},"timestamp":1500,"headers":{"h":"ä\"","n":null}}"#;
    assert_eq!(written(&record), line);
    let back = read(line).unwrap();
    assert_eq!((back.key, back.headers, back.timestamp), (record.key, record.headers, Some(1_500)));
}

#[test]
fn what_is_no_json_container_is_written_as_text_or_base64() {
    let record = |key: &[u8], value: Option<&[u8]>| OutRecord {
        key: Some(Bytes::copy_from_slice(key)),
        value: value.map(Bytes::copy_from_slice),
        ..OutRecord::default()
    };
    assert_eq!(written(&record(b"12", None)), r#"{"key":"12","value":null}"#);
    assert_eq!(written(&record(b"\xff\xd8", Some(b"{broken"))), r#"{"key_base64":"/9g=","value":"{broken"}"#);
    assert_eq!(written(&record(b"[1]", Some(b"{} x"))), r#"{"key":[1],"value":"{} x"}"#);
}

#[test]
fn a_value_is_one_line() {
    let mut to = Vec::new();
    write_value(&OutRecord { value: bytes("{\n}"), ..OutRecord::default() }, &mut to);
    to.push(b'|');
    write_value(&OutRecord::default(), &mut to);
    assert_eq!(to, b"{ }|null");
}
