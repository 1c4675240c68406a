use super::*;
use crate::event::Value;
use crate::json::Segment;

/// Names of the fields given, in slots of their order; pseudo-fields of a bare `_`.
struct Fields<'a>(&'a [(&'a str, Type)]);

impl Names for Fields<'_> {
    fn resolve(&mut self, name: &Name) -> Result<(Place, Type), NameError> {
        let written = name.path.to_string();
        if written == "_topic" && !name.quoted {
            return Ok((Place::Pseudo(Pseudo::Topic), Type::Varchar));
        }
        match self.0.iter().position(|(field, _)| *field == written) {
            Some(slot) => Ok((Place::Slot(slot as SlotId), self.0[slot].1)),
            None => Err(NameError { message: format!("there is no field `{written}`"), help: vec![] }),
        }
    }
}

fn eval(text: &str, fields: &[(&str, Type)], slots: &[Value]) -> Result<Value, String> {
    let expr = Expr::compile(text, &mut Fields(fields)).map_err(|errors| {
        let errors: Vec<String> = errors.iter().map(|e| format!("{} [{}]", e.message, &text[e.span.clone()])).collect();
        errors.join("; ")
    })?;
    let record = Record::default();
    expr.eval(Row { slots, record: &record, now: 0 }).map_err(|e| e.detail)
}

/// The value as text, or the error.
fn show(text: &str, fields: &[(&str, Type)], slots: &[Value]) -> String {
    match eval(text, fields, slots) {
        Ok(Value::Null) => "NULL".into(),
        Ok(value) => text::of(&value).into(),
        Err(e) => format!("error: {e}"),
    }
}

fn constant(text: &str) -> String {
    show(text, &[], &[])
}

#[test]
fn any_word_that_is_not_reserved_is_a_name() {
    let words =
        ["user", "order", "from", "timestamp", "value", "select", "group", "current_date", "position", "extract"];
    let more = [
        "left",
        "array",
        "filter",
        "limit",
        "distinct",
        "date",
        "interval_",
        "trim",
        "where",
        "as",
        "count",
        "all",
        "over",
    ];
    for word in words.iter().chain(&more) {
        let fields = [(*word, Type::Any)];
        for text in [format!("{word} = 'x'"), format!("'x' = {word}"), format!("({word}) = 'x' AND {word} IS NOT NULL")]
        {
            assert_eq!(show(&text, &fields, &[Value::text("x")]), "true", "{text}");
        }
    }
}

#[test]
fn paths_are_taken_as_written() {
    let name = parse_path(r#"Data.items[0]."odd ""name""".end"#).unwrap();
    let field = |f: &str| Segment::Field(f.into());
    assert_eq!(name.path.0, [field("Data"), field("items"), Segment::Index(0), field("odd \"name\""), field("end")]);
    assert!(!name.quoted && parse_path("\"_key\"").unwrap().quoted);
    for wrong in ["", "a.", "a[", "a[-1]", "a[x]", "a b", "a + b", "1", "case", "a.2fa", "f(x)"] {
        assert!(parse_path(wrong).is_err(), "{wrong}");
    }
    let fields = [("a.case.\"2-fa\"[3]", Type::Bigint)];
    assert_eq!(show("a.case.\"2-fa\"[3] + 1", &fields, &[Value::Int(4)]), "5");
}

#[test]
fn arithmetic_is_exact_and_its_failures_are_errors() {
    let cases = [
        ("7 / 2", "3"),
        ("-7 / 2", "-3"),
        ("7 / 2.0", "3.5"),
        ("1 / 3.0", "0.3333333333333333333333333333"),
        (
            "9223372036854775807 + 1",
            "error: 9223372036854775807 + 1 is out of the range of BIGINT in 9223372036854775807 + 1",
        ),
        ("1 / 0", "error: division of 1 by zero in 1 / 0"),
        ("-9223372036854775808 % -1", "0"),
        ("1E2 + 0", "100"),
        ("2 + 3 * 4 - -1", "15"),
        ("1e400 > 1e399", "true"),
        ("1e400 + 1", "error: 1e400 has more than 28 digits in 1e400 + 1"),
        ("0.1::double + 0.2", "0.30000000000000004"),
        ("1e308::double * 10", "error: the DOUBLE result is not finite in 1e308::double * 10"),
        ("NULL + 1", "NULL"),
    ];
    for (text, expected) in cases {
        assert_eq!(constant(text), expected, "{text}");
    }
}

#[test]
fn logic_has_three_values_and_stops_early() {
    let cases = [
        ("NULL AND FALSE", "false"),
        ("NULL OR TRUE", "true"),
        ("NOT NULL::boolean", "NULL"),
        ("FALSE AND 1/0 = 1", "false"),
        ("TRUE OR 1/0 = 1", "true"),
        ("coalesce(1, 1/0)", "1"),
        ("CASE WHEN TRUE THEN 1 ELSE 1/0 END", "1"),
        ("1 IN (2, NULL)", "NULL"),
        ("1 NOT IN (2, 3)", "true"),
        ("2 BETWEEN 1 AND 3 AND TRUE", "true"),
        ("NULL IS NOT DISTINCT FROM NULL", "true"),
        ("NULL IS UNKNOWN", "true"),
        ("try(1/0) IS NULL", "true"),
    ];
    for (text, expected) in cases {
        assert_eq!(constant(text), expected, "{text}");
    }
}

#[test]
fn a_failed_evaluation_names_the_expression_and_the_value() {
    let fields = [("data.amount", Type::Any)];
    let slots = [Value::text("abc")];
    assert_eq!(
        show("data.amount::bigint > 5", &fields, &slots),
        "error: cannot cast 'abc' to BIGINT in data.amount::bigint"
    );
    assert_eq!(
        show("1 + CAST(data.amount AS double precision)", &fields, &slots),
        "error: cannot cast 'abc' to DOUBLE in CAST(data.amount AS double precision)"
    );
    assert_eq!(
        show("data.amount > 10 AND TRUE", &fields, &slots),
        "error: cannot compare 'abc' (VARCHAR) with 10 (BIGINT) in data.amount > 10"
    );
    assert_eq!(
        show("lower(data.amount) || abs(data.amount)", &fields, &slots),
        "error: `abs` expects a number, got 'abc' (VARCHAR) in abs(data.amount)"
    );
    assert_eq!(show("data.amount", &fields, &slots), "abc");
}

#[test]
fn mistakes_are_found_with_their_place() {
    let fields = [("n", Type::Bigint), ("s", Type::Varchar), ("t", Type::Timestamp), ("x", Type::Any)];
    let cases = [
        ("n = 'a'", "cannot compare BIGINT with VARCHAR [n = 'a']"),
        ("s + 1", "cannot compute VARCHAR + BIGINT [s + 1]"),
        ("'abc'::bigint", "cannot cast 'abc' to BIGINT ['abc'::bigint]"),
        ("n AND TRUE", "expected a condition, this is BIGINT [n]"),
        ("nope = 1 OR nada", "there is no field `nope` [nope]; there is no field `nada` [nada]"),
        ("lowr(s)", "there is no function `lowr` [lowr]"),
        ("substr(s)", "expected substr(text, start [, length]), found 1 argument [substr(s)]"),
        ("lower(n)", "`lower` expects VARCHAR here, this is BIGINT [n]"),
        ("count(*)", "aggregate functions stand only in measures and having [count(*)]"),
        ("regexp_like(s, '(')", "'(' is no regular expression: unclosed group ['(']"),
        (
            "t > 'yesterday'",
            "cannot cast 'yesterday' to TIMESTAMP (it is read as RFC 3339: 2026-01-31T12:00:00Z) ['yesterday']",
        ),
    ];
    check_mistakes(&fields, &cases);
}

/// What the language does not have, and the message with the words that it marks.
const NO_EXPRESSIONS: &[(&str, &str)] = &[
    ("x.f(1)", "expected an operator, found `(` [(]"),
    ("\"n\"(1)", "the name of a function is not quoted [\"n\"]"),
    ("1 < n < 3", "comparisons do not chain [1 < n < 3]"),
    ("CAST(n)", "expected CAST(x AS type) [CAST]"),
    ("trim(s, 'a', 'b')", "expected trim(text [, characters]), found 3 arguments [trim(s, 'a', 'b')]"),
    ("1 +* 2", "expected a value, found `*` [*]"),
    ("n IS 5", "after IS stand NULL, TRUE, FALSE, UNKNOWN or DISTINCT FROM, or one of these after NOT [IS]"),
    ("s IN ('a', 1)", "cannot compare VARCHAR with BIGINT [1]"),
    ("(CASE WHEN n = 1 END)", "this CASE is not complete [CASE]"),
    ("3L", "a number is written without a letter: 3 [3L]"),
    ("(n, 1)", "rows of several values are not part of the language [n, 1]"),
    ("n::decimal(10, 2)", "`DECIMAL` takes no length or precision here [n::decimal]"),
    ("CASE n WHEN 1 THEN 2", "this CASE has no END [CASE]"),
    ("lower(s", "expected `)` or an operator, found the end []"),
    ("s LIKE 'a' ESCAPE 'ab'", "ESCAPE takes a text literal of one character ['ab']"),
    ("n IN (SELECT 1)", "expected an operator, found `1` [1]"),
    ("n IN ()", "expected a value, found `)` [)]"),
    ("coalesce()", "expected coalesce(x, …), found 0 arguments [coalesce()]"),
    ("lower(DISTINCT s)", "DISTINCT, FILTER, ORDER BY and LIMIT belong to aggregate functions [lower(DISTINCT s)]"),
    ("lower(*)", "`lower` takes expressions as its arguments [lower(*)]"),
    ("ü.ä = 1 AND nope", "there is no field `ü.ä` [ü.ä]; there is no field `nope` [nope]"),
    ("(SELECT 1)", "expected an operator, found `1` [1]"),
    ("n +", "the expression ends where a value is expected []"),
    ("n = = 1", "expected a value, found `=` [=]"),
    ("(n", "expected `)` or an operator, found the end []"),
    ("n)", "expected an operator or the end, found `)` [)]"),
    ("s ~ 'x'", "`~` is no operator of this language [~]"),
    ("sum(n) OVER ()", "window functions are not part of the language [OVER]"),
    ("[1]", "array literals are not part of the language [[]"),
    ("and = 1", "expected a value, found the keyword `and` [and]"),
    ("s LIKE 'a\\'", "the LIKE pattern ends with its escape character ['a\\']"),
    ("", "the expression is empty []"),
    ("'abc", "the text literal has no closing quote ['abc]"),
    ("CASE WHEN n THEN 1 END", "expected a condition, this is BIGINT [n]"),
    ("CASE WHEN TRUE THEN n ELSE s END", "CASE has values of BIGINT and of VARCHAR [s]"),
    (
        "date_trunc('eon', t)",
        "there is no unit 'eon' (microseconds milliseconds second minute hour day week month quarter year) ['eon']",
    ),
    ("n::money", "there is no type `money` [n::money]"),
    ("INTERVAL 'soon'", "cannot cast 'soon' to INTERVAL ['soon']"),
];

#[test]
fn what_is_no_expression_is_explained_at_its_place() {
    let fields = [("n", Type::Bigint), ("s", Type::Varchar), ("t", Type::Timestamp), ("x.f", Type::Any)];
    check_mistakes(&fields, NO_EXPRESSIONS);
}

fn check_mistakes(fields: &[(&str, Type)], cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(eval(text, fields, &[]), Err(expected.to_string()), "{text}");
    }
}

#[test]
fn a_text_literal_beside_a_timestamp_is_one() {
    let fields = [("t", Type::Timestamp), ("x", Type::Any)];
    let at = Value::Timestamp(time::parse_rfc3339("2026-01-02T03:04:05Z").unwrap());
    let slots = [at.clone(), at];
    let cases = [
        "t > '2026-01-01T00:00:00Z'",
        "x > '2026-01-01T00:00:00Z'",
        "t BETWEEN '2026-01-01T00:00:00Z' AND '2026-02-01T00:00:00Z'",
        "t IN ('2026-01-02T03:04:05Z')",
        "t - INTERVAL '1 day' = '2026-01-01T03:04:05Z'",
        "t - '2026-01-01T00:00:00Z' = '1 day 03:04:05'",
        "t + '1 hour' > t",
        "date_trunc('day', '2026-01-02T03:04:05Z') = TIMESTAMP '2026-01-02T00:00:00Z'",
        "extract(hour FROM t) = 3",
    ];
    for text in cases {
        assert_eq!(show(text, &fields, &slots), "true", "{text}");
    }
}

#[test]
fn measures_share_equal_calls_and_know_their_types() {
    let mut calls = Vec::new();
    let mut input =
        Fields(&[("cost", Type::Decimal), ("n", Type::Bigint), ("ok", Type::Boolean), ("s", Type::Varchar)]);
    let mut outer = Fields(&[("", Type::Null), ("total", Type::Decimal)]);
    let mut measure = |text: &str| compile_measure(text, &mut input, &mut outer, &mut calls).map(|e| e.ty());
    assert_eq!(measure("sum(cost) / count(*)"), Ok(Type::Decimal));
    assert_eq!(measure("count( * ) FILTER (WHERE ok)"), Ok(Type::Bigint));
    assert_eq!(measure("SUM( cost )"), Ok(Type::Decimal));
    assert_eq!(measure("sum(n) + total"), Ok(Type::Decimal));
    assert_eq!(measure("percentile(n, 0.95)"), Ok(Type::Double));
    assert_eq!(measure("array_agg(s ORDER BY n DESC LIMIT 3)"), Ok(Type::Json));
    assert_eq!(measure("count(DISTINCT s)"), Ok(Type::Bigint));
    assert_eq!(measure("max_by(s, n)"), Ok(Type::Varchar));
    assert_eq!(measure("count(*) > 3"), Ok(Type::Boolean));
    for wrong in [
        "sum(sum(n))",
        "percentile(n, 2)",
        "percentile(n, cost)",
        "sum(DISTINCT n)",
        "sum(s)",
        "sum(total)",
        "s",
        "count()",
        "first(n ORDER BY n)",
    ] {
        assert!(measure(wrong).is_err(), "{wrong}");
    }
    let texts: Vec<&str> = calls.iter().map(|call| call.text.as_str()).collect();
    assert_eq!(texts[..3], ["sum(cost)", "count(*)", "count( * ) FILTER (WHERE ok)"]);
    assert_eq!(calls[3].func, AggFunc::Sum);
    assert_eq!(calls[5].func, AggFunc::ArrayAgg { order: Some(crate::plan::Direction::Descending), limit: 3 });
    assert_eq!(calls[5].args.len(), 2);
    assert!(calls[2].filter.is_some() && calls[6].func == AggFunc::CountDistinct);
}
