//! Expressions against PostgreSQL's own answers, and against a table of ours where the two differ; and never a panic.
//!
//! `postgres.tsv` is filled by a PostgreSQL server (see `make.py`, whose head says what the columns mean); `own.tsv` has
//! an expression, the value that this language gives, and why. Every row is evaluated three ways: with the types of the
//! fields known, with all of them found per event, and with the constants of the row in slots as far as they are names.

use proptest::prelude::*;
use tidemill::event::{Interval, Record, SlotId, Value, time};
use tidemill::expr::{Expr, Name, NameError, Names, Place, Row, Type};
use tidemill::json::{self, Path};

/// One row of fields, the same that `make.py` gives to the server, and some that only this language has.
fn fields() -> Vec<(&'static str, Type, Value)> {
    let decimal = |text: &str| Value::Decimal(text.parse().expect("a decimal"));
    let at = time::parse_rfc3339("2024-02-29T12:30:45.123456Z").expect("a timestamp");
    let v = Interval { months: 0, days: 1, micros: 2 * time::HOUR + 3 * time::MINUTE + 4_500_000 };
    let number = |text: &str| Value::Number(text.into());
    vec![
        ("i", Type::Bigint, Value::Int(7)),
        ("j", Type::Bigint, Value::Int(-3)),
        ("z", Type::Bigint, Value::Int(0)),
        ("big", Type::Bigint, Value::Int(i64::MAX)),
        ("d", Type::Decimal, decimal("2.50")),
        ("m", Type::Decimal, decimal("-0.125")),
        ("f", Type::Double, Value::Double(0.1)),
        ("g", Type::Double, Value::Double(-2.5)),
        ("s", Type::Varchar, Value::text("Hello, World")),
        ("u", Type::Varchar, Value::text("äöü€")),
        ("e", Type::Varchar, Value::text("")),
        ("b", Type::Boolean, Value::Bool(true)),
        ("c", Type::Boolean, Value::Bool(false)),
        ("t", Type::Timestamp, Value::Timestamp(at)),
        ("v", Type::Interval, Value::Interval(v)),
        ("nn", Type::Bigint, Value::Null),
        ("ns", Type::Varchar, Value::Null),
        ("nb", Type::Boolean, Value::Null),
        ("nt", Type::Timestamp, Value::Null),
        ("o", Type::Json, Value::Json(r#"{ "b": 1.0, "a": [1, "x", null, {"k": 2e0}] }"#.into())),
        ("a", Type::Json, Value::Json(r#"[1, "x", null, [2], {"k": 1}]"#.into())),
        ("huge", Type::Any, number("1e400")),
        ("hundred", Type::Any, number("1E2")),
        ("minus", Type::Any, number("-0")),
        ("digits", Type::Any, number("123456789012345678901234567890")),
    ]
}

struct Fields {
    typed: bool,
}

impl Names for Fields {
    fn resolve(&mut self, name: &Name) -> Result<(Place, Type), NameError> {
        let fields = fields();
        let slot = fields.iter().position(|(field, ..)| Path::field(field).0[0] == name.path.0[0]);
        let Some(slot) = slot else {
            return Err(NameError { message: format!("there is no field `{}`", name.path), help: vec![] });
        };
        let ty = if self.typed { fields[slot].1 } else { Type::Any };
        match name.path.0.len() {
            1 => Ok((Place::Slot(slot as SlotId), ty)),
            _ => Ok((Place::Below(slot as SlotId, Path(name.path.0[1..].to_vec())), Type::Any)),
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => return "NULL".to_string(),
        Value::Text(text) => return text.to_string(),
        _ => {}
    }
    let record = Record::default();
    let slots = [value.clone()];
    let cast = Expr::compile("i::varchar", &mut Fields { typed: false }).expect("a cast compiles");
    match cast.eval(Row { slots: &slots, record: &record, now: 0 }) {
        Ok(Value::Text(text)) => text.to_string(),
        other => panic!("{value:?} has no text: {other:?}"),
    }
}

fn evaluate(expression: &str, typed: bool) -> String {
    let slots: Vec<Value> = fields().into_iter().map(|(_, _, value)| value).collect();
    let record = Record::default();
    let Ok(expr) = Expr::compile(expression, &mut Fields { typed }) else { return "error".to_string() };
    let now = time::parse_rfc3339("2026-01-01T00:00:00Z").expect("a timestamp");
    match expr.eval(Row { slots: &slots, record: &record, now }) {
        Ok(value) => {
            let ty = Type::of(&value);
            let dynamic = matches!(expr.ty(), Type::Any | Type::Json) || ty == Type::Null;
            assert!(dynamic || expr.ty() == ty, "{expression} is {ty:?} and was said to be {:?}", expr.ty());
            text(&value)
        }
        Err(_) => "error".to_string(),
    }
}

/// Two numbers are the same if their values are.
fn same(a: &str, b: &str) -> bool {
    let number = |text: &str| match json::parse(text.as_bytes(), 1) {
        Ok(value @ (Value::Int(_) | Value::Decimal(_) | Value::Number(_))) => Some(value),
        _ => None,
    };
    a == b || number(a).is_some_and(|a| number(b).is_some_and(|b| a == b))
}

fn check(table: &str, columns: usize) {
    let mut wrong = Vec::new();
    let mut rows = 0;
    for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut cells = line.splitn(columns, '\t');
        let (expression, expected) = (cells.next().unwrap_or(""), cells.next().expect("a value"));
        rows += 1;
        for typed in [true, false] {
            let got = evaluate(expression, typed);
            if !same(&got, expected) {
                wrong.push(format!("{expression}\n    expected {expected}\n    got      {got} (types known: {typed})"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {rows} rows:\n{}", wrong.len(), wrong.join("\n"));
    assert!(rows > 30, "the table has only {rows} rows");
}

#[test]
fn expressions_give_what_postgresql_gives() {
    check(include_str!("expressions/postgres.tsv"), 2);
}

#[test]
fn expressions_that_are_ours_give_what_the_table_says() {
    check(include_str!("expressions/own.tsv"), 3);
}

#[test]
fn what_nests_deep_is_refused_in_no_time() {
    let started = std::time::Instant::now();
    for (open, close) in
        [("(", ")"), ("lower(", ")"), ("CASE WHEN b THEN ", " END"), ("NOT ", ""), ("- ", ""), ("trim(", ")")]
    {
        for depth in [20, 90, 5_000] {
            let expression = format!("{}i{}", open.repeat(depth), close.repeat(depth));
            run(&expression, false, &[Value::Null]);
            run(&open.repeat(depth), false, &[]);
        }
    }
    for operator in [" + ", " || ", " AND ", " = ", "::text", " IS NULL", ", "] {
        run(&format!("i{}", format!("{operator}i").repeat(5_000)), false, &[Value::Int(1)]);
        run(&format!("i IN (1{})", ", 1".repeat(20_000)), false, &[Value::Int(1)]);
    }
    assert!(started.elapsed().as_secs() < 30, "it took {:?}", started.elapsed());
}

#[test]
fn long_chains_and_lists_are_taken() {
    let texts: Vec<String> = (0..5_000).map(|n| format!("'t{n}'")).collect();
    assert_eq!(evaluate(&format!("'t4999' || e IN ({})", texts.join(", ")), true), "true");
    let terms: Vec<String> = (0..400).map(|n| format!("i = {n}")).collect();
    assert_eq!(evaluate(&terms.join(" OR "), true), "true");
    assert_eq!(evaluate(&vec!["i"; 150].join(" + "), true), "1050");
}

mod allocations {
    //! Counts what this thread allocates.
    use std::alloc::{GlobalAlloc, Layout, System};
    use std::cell::Cell;

    thread_local! {
        static COUNT: Cell<usize> = const { Cell::new(0) };
    }

    struct Counting;

    // SAFETY: all is handed on to the system's allocator; the counter of a thread needs no allocation.
    unsafe impl GlobalAlloc for Counting {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            let _ = COUNT.try_with(|count| count.set(count.get() + 1));
            // SAFETY: as the caller promises.
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
            // SAFETY: as the caller promises.
            unsafe { System.dealloc(pointer, layout) }
        }
    }

    #[global_allocator]
    static ALLOCATOR: Counting = Counting;

    pub fn of(work: impl FnOnce()) -> usize {
        let before = COUNT.with(Cell::get);
        work();
        COUNT.with(Cell::get) - before
    }
}

#[test]
fn conditions_over_slots_allocate_nothing() {
    let mut slots: Vec<Value> = fields().into_iter().map(|(_, _, value)| value).collect();
    slots[8] = Value::text("a text that is too long to stand in a value itself");
    let record = Record::default();
    let row = Row { slots: &slots, record: &record, now: 0 };
    let conditions = [
        "s = 'a text that is too long to stand in a value itself'",
        "i > 5 AND d < 10.5 AND nn IS NULL",
        "f < 0.5 OR t > '2024-01-01T00:00:00Z'",
        "s LIKE 'a text%' AND s IN ('x', 'a text that is too long to stand in a value itself')",
        "i BETWEEN 1 AND 10 AND NOT c AND coalesce(ns, s) <> 'y'",
        "i * 2 + 1 = 15 AND d * 2 = 5 AND starts_with(s, 'a') AND length(s) > 3",
        "CASE WHEN b THEN i ELSE j END = 7",
        "regexp_like(s, '^a text .* in a')",
    ];
    for condition in conditions {
        let expr = Expr::compile(condition, &mut Fields { typed: true }).expect("it compiles");
        let mut holds = expr.is_true(row).unwrap_or(false);
        assert!(holds, "{condition}");
        let count = allocations::of(|| holds = expr.is_true(row).unwrap_or(false));
        assert!(holds, "{condition}");
        assert_eq!(count, 0, "{condition}");
    }
}

#[test]
fn a_compiled_expression_is_shared_by_threads() {
    fn shared<T: Send + Sync + Clone + std::fmt::Debug>() {}
    shared::<Expr>();
}

#[test]
fn decimals_are_exact_or_errors_and_quotients_rounded() {
    check(include_str!("expressions/decimal.tsv"), 2);
}

/// Words of the language and some that are not, in any order.
fn soup() -> impl Strategy<Value = String> {
    let words = r#"
        i d f s u b t v nn o a huge o.a[0] a[1] "x" 1 2.5 1e400 - + * / % || = <> < >= ( ) ( ) , AND OR NOT IS NULL TRUE
        IN BETWEEN LIKE ILIKE ESCAPE CASE WHEN THEN ELSE END :: bigint decimal timestamp json CAST( TRY_CAST( AS INTERVAL
        '1_day' 'x' '%a_' '' lower( substr( round( coalesce( extract( hour FROM trim( BOTH date_trunc( 'day' hash(
        regexp_replace( json_object( now() try( DISTINCT FILTER WHERE OVER . [ ] ; -- /* é ' " $1 E'\\x' @ count(*) select
        EXISTS"#;
    let words: Vec<&str> = words.split_whitespace().collect();
    prop::collection::vec(prop::sample::select(words), 0..14).prop_map(|words| words.join(" "))
}

fn any_value() -> impl Strategy<Value = Value> {
    let texts = ["", "x", "12", "-1.5e3", "2024-02-29T00:00:00Z", "1 day", "true", "[1]", "(", "\\", "%", "äöü", "NaN"];
    let numbers =
        ["1e400", "-0", "1E2", "99999999999999999999999999999", "0.00000000000000000000000000000001", "-1e-400"];
    let jsons = ["{}", "[]", r#"{"a":[1,{"b":null}]}"#, r#"[1,"x",[]]"#];
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), -3..3i64].prop_map(Value::Int),
        any::<f64>().prop_filter("finite", |d| d.is_finite()).prop_map(Value::Double),
        (-9_999_999_999_999_999_999_999_999_999i128..=9_999_999_999_999_999_999_999_999_999, 0..=28u32)
            .prop_map(|(digits, scale)| Value::Decimal(rust_decimal::Decimal::from_i128_with_scale(digits, scale))),
        prop::sample::select(numbers.to_vec()).prop_map(|n| Value::Number(n.into())),
        prop::sample::select(texts.to_vec()).prop_map(Value::text),
        (time::MIN..=time::MAX).prop_map(Value::Timestamp),
        (any::<i32>(), any::<i32>(), any::<i64>()).prop_map(|(months, days, micros)| Value::Interval(Interval {
            months,
            days,
            micros
        })),
        prop::sample::select(jsons.to_vec()).prop_map(|json| Value::Json(json.into())),
    ]
}

fn run(expression: &str, typed: bool, slots: &[Value]) {
    match Expr::compile(expression, &mut Fields { typed }) {
        Ok(expr) => {
            let record = Record::default();
            let row = Row { slots, record: &record, now: 0 };
            let (value, truth) = (expr.eval(row), expr.is_true(row));
            if let (Ok(Value::Bool(value)), Ok(truth)) = (&value, &truth) {
                assert_eq!(value, truth, "{expression}");
            }
            if let Ok(Value::Double(d)) = value {
                assert!(d.is_finite(), "{expression}");
            }
        }
        Err(errors) => {
            assert!(!errors.is_empty());
            for error in errors {
                assert!(expression.get(error.span.clone()).is_some(), "{expression}: {error:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn words_in_any_order_never_panic(expression in soup(), typed: bool, values in prop::collection::vec(any_value(), 25)) {
        run(&expression, typed, &values);
    }

    #[test]
    fn any_text_never_panics(expression in "\\PC{0,40}", values in prop::collection::vec(any_value(), 25)) {
        run(&expression, false, &values);
    }

    #[test]
    fn every_expression_of_the_tables_takes_any_values(row: prop::sample::Index, values in prop::collection::vec(any_value(), 25)) {
        let tables = [include_str!("expressions/postgres.tsv"), include_str!("expressions/own.tsv")];
        let lines: Vec<&str> = tables.iter().flat_map(|table| table.lines()).filter(|line| line.contains('\t')).collect();
        run(row.get(&lines).split('\t').next().unwrap_or(""), false, &values);
    }
}
