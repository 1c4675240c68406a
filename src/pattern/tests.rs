//! What is accepted, what is refused and where.

use super::*;

fn parse(text: &str) -> Pattern {
    Pattern::parse(text).unwrap_or_else(|wrong| panic!("{text}: {wrong}"))
}

/// The message, and the bytes that it points at.
#[track_caller]
fn refused(text: &str) -> (String, &str) {
    let wrong = Pattern::parse(text).expect_err(text);
    (wrong.message.clone(), &text[wrong.span])
}

fn field(names: &[&str], alternatives: Vec<Alternative>) -> Field {
    let path: Vec<Box<str>> = names.iter().map(|n| (*n).into()).collect();
    Field { path: path.into(), alternatives }
}

#[test]
fn objects_lead_deeper_and_dots_do_not() {
    let text = || vec![Alternative::Equals(Scalar::Text("x".to_owned()))];
    let pattern = parse(r#"{"a": {"b": ["x"], "c.d": ["\u0078"]}}"#);
    assert_eq!(pattern.fields, [field(&["a", "b"], text()), field(&["a", "c.d"], text())]);
}

#[test]
fn every_operator_is_read() {
    let pattern = parse(
        r#"{"a": [null, true, 3e2, {"numeric": [">", 0, "<=", 5]}, {"numeric": ["=", 300]}, {"prefix": "p"},
            {"suffix": {"equals-ignore-case": "S"}}, {"equals-ignore-case": "e"}, {"wildcard": "a*\\*"},
            {"cidr": "10.1.2.3/8"}, {"anything-but": ["x", 1]}, {"anything-but": {"prefix": ["a", "b"]}},
            {"exists": false}]}"#,
    );
    let number = |text| Number::parse(text);
    let owned = str::to_owned;
    let test = |text: &str| Exclusion::Text(TextTest::Prefix { text: owned(text), ignore_case: false });
    let range = Range { lower: Some((number("0"), false)), upper: Some((number("5"), true)) };
    let expected = [
        Alternative::Equals(Scalar::Null),
        Alternative::Equals(Scalar::Bool(true)),
        Alternative::Equals(Scalar::Number(number("300"))),
        Alternative::Numeric(range),
        Alternative::Equals(Scalar::Number(number("300"))),
        Alternative::Text(TextTest::Prefix { text: owned("p"), ignore_case: false }),
        Alternative::Text(TextTest::Suffix { text: owned("S"), ignore_case: true }),
        Alternative::Text(TextTest::EqualsIgnoreCase(owned("e"))),
        Alternative::Text(TextTest::Wildcard(Wildcard { parts: vec![owned("a"), owned("*")] })),
        Alternative::Cidr(Cidr { v6: false, network: 10 << 24, length: 8 }),
        Alternative::AnythingBut(vec![Exclusion::String(owned("x")), Exclusion::Number(number("1"))]),
        Alternative::AnythingBut(vec![test("a"), test("b")]),
        Alternative::Exists(false),
    ];
    assert_eq!(pattern.fields[0].alternatives, expected);
}

#[test]
fn or_multiplies_out() {
    let text = r#"{"x": [1], "$or": [{"a": [1]}, {"b": {"$or": [{"c": [1]}, {"d": [1]}]}}], "y": {"$or": [{"e": [1]}, {"f": [1]}]}}"#;
    let pattern = parse(text);
    let paths = |fields: Vec<&Field>| fields.iter().map(|f| f.path.join(".")).collect::<Vec<_>>().join(" ");
    let all: Vec<String> = pattern.conjunctions().into_iter().map(paths).collect();
    assert_eq!(all, ["x a y.e", "x a y.f", "x b.c y.e", "x b.c y.f", "x b.d y.e", "x b.d y.f"]);
}

#[test]
fn mistakes_of_structure_have_their_place() {
    let cases = [
        (r#"[]"#, "a pattern is a JSON object, not an array", "[]"),
        (r#"{}"#, "an empty object asks for nothing", "{}"),
        (r#"{"a": {}}"#, "an empty object asks for nothing", "{}"),
        (r#"{"a": []}"#, "no alternative for `a`: an empty array", "[]"),
        (r#"{"a": 5}"#, "`a` is a number; expected an array of alternatives or an object", "5"),
        (r#"{"a": [1], "b": [1], "a": [2]}"#, "duplicate key `a`", r#""a""#),
        (r#"{"a": [1], "\u0061": [2]}"#, "duplicate key `a`", r#""\u0061""#),
        (r#"{"a": [[1]]}"#, "an alternative is a value or an operator, not an array", "[1]"),
        (r#"{"$or": [{"a": [1]}]}"#, "`$or` needs at least two patterns", r#"[{"a": [1]}]"#),
        (r#"{"$or": [{"a": [1]}, 5]}"#, "a branch of `$or` is an object, not a number", "5"),
        (r#"{"$or": {"a": [1]}}"#, "`$or` is an array of patterns, not an object", r#"{"a": [1]}"#),
        (r#"{"a": [1]"#, "expected `,` or `}`, found the end of the pattern", ""),
        (r#"{"a": [1}"#, "expected `,` or `]`, found `}`", "}"),
        (r#"{"a": [01]}"#, "a number does not begin with a zero", "01"),
        (r#"{"a": ["\x"]}"#, "no escape of JSON", r"\x"),
        (r#"{"a": ["\ud800"]}"#, "half a surrogate pair", r"\ud800"),
        (r#"{"a": [1]} x"#, "text after the pattern's end", "x"),
    ];
    for (text, message, at) in cases {
        assert_eq!(refused(text), (message.to_owned(), at), "{text}");
    }
}

#[test]
fn mistakes_of_operators_have_their_place() {
    let cases = [
        (r#"{"a": [{"prefixx": "x"}]}"#, "unknown operator `prefixx`", r#""prefixx""#),
        (r#"{"a": [{"exists": 1}]}"#, "`exists` takes true or false, not a number", "1"),
        (
            r#"{"a": [{"prefix": "x", "suffix": "y"}]}"#,
            "a second operator, `suffix`, in one alternative",
            r#""suffix""#,
        ),
        (r#"{"a": [{"wildcard": "é**b"}]}"#, "`**` in a wildcard: one `*` is any run of characters", "*"),
        (r#"{"a": [{"wildcard": "\u0061\\n"}]}"#, "a backslash in a wildcard that escapes nothing", r"\\"),
        (r#"{"a": [{"cidr": "10.0.0.0/33"}]}"#, "`10.0.0.0/33` is no block of IP addresses", r#""10.0.0.0/33""#),
        (r#"{"a": [{"numeric": ["<", 5, ">", 1]}]}"#, "the lower bound comes first, then the upper bound", r#"">""#),
        (r#"{"a": [{"numeric": [">", 5, "<", 5]}]}"#, "no number is in this range", r#"[">", 5, "<", 5]"#),
        (r#"{"a": [{"numeric": [">", 5, ">", 6]}]}"#, "a second lower bound", r#"">""#),
        (r#"{"a": [{"numeric": [">", "5"]}]}"#, "`>` takes a number, not a string", r#""5""#),
        (r#"{"a": [{"numeric": [">"]}]}"#, "`>` without its number", r#"">""#),
        (r#"{"a": [{"numeric": ["=", 5, "<", 6]}]}"#, "`=` stands alone", r#""=""#),
        (r#"{"a": [{"numeric": ["==", 5]}]}"#, "expected one of `<`, `<=`, `=`, `>=`, `>`", r#""==""#),
        (r#"{"a": [{"anything-but": []}]}"#, "an empty list excludes nothing", "[]"),
        (r#"{"a": [{"anything-but": {"cidr": "::/8"}}]}"#, "`cidr` inside `anything-but`", r#""cidr""#),
    ];
    for (text, message, at) in cases {
        assert_eq!(refused(text), (message.to_owned(), at), "{text}");
    }
}

#[test]
fn help_names_what_was_meant() {
    let help = |text: &str| Pattern::parse(text).expect_err(text).help.join("; ");
    assert_eq!(help(r#"{"a": [{"anythingbut": "x"}]}"#), "did you mean `anything-but`?");
    assert!(help(r#"{"a": [{"regexp": "x"}]}"#).starts_with("operators are `numeric`, `prefix`"));
    assert_eq!(help(r#"{"a": "x"}"#), r#"write ["x"]"#);
    assert!(help(r#"{"a": {"prefix": "x"}}"#).contains("an operator stands inside an array"));
}

#[test]
fn size_is_bounded() {
    let deep = format!("{}[1]{}", r#"{"a":"#.repeat(MAX_DEPTH), "}".repeat(MAX_DEPTH));
    assert_eq!(refused(&deep).0, "a pattern nests at most 100 deep");
    let choice = r#"{"$or": [{"a": [1]}, {"b": [1]}]}"#;
    let wide = format!("{{{}}}", (0..11).map(|i| format!(r#""f{i}": {choice}"#)).collect::<Vec<_>>().join(","));
    assert_eq!(refused(&wide).0, "its `$or`s multiply out to 2048 combinations; at most 1000 are allowed");
    assert!(refused(&" ".repeat(MAX_TEXT + 1)).0.contains("at most 1048576 are allowed"));
}
