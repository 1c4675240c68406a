//! Steps on events: what they change, drop, multiply and reject.

use std::sync::Arc;

use super::{Drops, Program};
use crate::error::Rejected;
use crate::event::row::Row;
use crate::event::{Event, LayoutId, Position, Record, SlotId, Value};
use crate::expr::{Expr, Name, NameError, Names, Place, Type};
use crate::json::Path;
use crate::plan::{Lookup, Prune, RowTarget, ShapeOp, Step, StepKind, StreamId, Target, Unnest};

/// The frame: paths by slot, of any type.
const FRAME: [&str; 8] = ["data", "data.n", "items", "item", "item_index", "price", "price.amount", "x"];

struct Frame;

fn path(dotted: &str) -> Path {
    dotted.split('.').fold(Path::default(), |path, name| path.join(&Path::field(name)))
}

fn slot(dotted: &str) -> SlotId {
    FRAME.iter().position(|known| *known == dotted).unwrap() as SlotId
}

impl Names for Frame {
    fn resolve(&mut self, name: &Name) -> Result<(Place, Type), NameError> {
        let found = FRAME.iter().position(|known| path(known) == name.path);
        Ok((Place::Slot(found.unwrap_or_else(|| panic!("no {}", name.path)) as SlotId), Type::Any))
    }
}

fn expr(text: &str) -> Expr {
    Expr::compile(text, &mut Frame).unwrap()
}

/// A target with the neighbours that the frame has.
fn target(name: &str) -> Target {
    let own = path(name);
    let each = |slot: usize| (slot as SlotId, path(FRAME[slot]));
    let others = || (0..FRAME.len()).map(each).filter(|(_, other)| *other != own);
    Target {
        slot: slot(name),
        below: others().filter_map(|(slot, other)| Some((slot, other.below(&own)?))).collect(),
        above: others().filter_map(|(slot, other)| Some((slot, own.below(&other)?))).collect(),
    }
}

fn condition(text: &str) -> ShapeOp {
    ShapeOp::Where(expr(text))
}

fn set(name: &str, text: &str) -> ShapeOp {
    ShapeOp::Set { target: target(name), expr: expr(text) }
}

fn unnest() -> ShapeOp {
    let remove = Prune { clear: vec![slot("items")], trim: Vec::new() };
    ShapeOp::Unnest(Unnest { items: slot("items"), remove, item: target("item"), index: target("item_index") })
}

fn lookup(required: bool) -> ShapeOp {
    let row = RowTarget { name: "price".into(), target: target("price"), fill: vec![(slot("price.amount"), 0)] };
    ShapeOp::Lookup(Lookup { table: StreamId::Table(0), on: vec![expr("x")], row, required })
}

fn step(ops: Vec<ShapeOp>) -> Step {
    Step {
        name: "clean".into(),
        inputs: Vec::new(),
        changing: false,
        needs_clock: false,
        frame: 0,
        layouts: vec![Some(7 as LayoutId)],
        kind: StepKind::Shape(ops),
    }
}

fn event(values: &[(&str, Value)]) -> Event {
    let mut slots = vec![Value::Null; FRAME.len()];
    values.iter().for_each(|(name, value)| slots[usize::from(slot(name))] = value.clone());
    Event { slots: slots.into(), record: Arc::new(Record::default()), ..Event::default() }
}

fn json(text: &str) -> Value {
    Value::Json(text.into())
}

fn run(step: &Step, event: Event) -> (Vec<Result<Event, Rejected>>, Drops) {
    let (mut results, mut drops) = (Vec::new(), Drops::default());
    Program::new(step).unwrap().apply(event, 0, &mut drops, &mut |result| results.push(result));
    (results, drops)
}

fn one(step: &Step, event: Event) -> Event {
    let (mut results, drops) = run(step, event);
    assert_eq!((results.len(), drops), (1, Drops::default()));
    results.remove(0).unwrap()
}

fn value(event: &Event, name: &str) -> Value {
    event.slots[usize::from(slot(name))].clone()
}

#[test]
fn what_is_set_shows_above_and_below_and_to_the_next() {
    let step = step(vec![set("data.n", "1 + 1"), set("x", "data.n * 10")]);
    let result = one(&step, event(&[("data", json(r#"{"a":0,"n":1}"#)), ("data.n", Value::Int(1))]));
    assert_eq!(value(&result, "data"), json(r#"{"a":0,"n":2}"#));
    assert_eq!(value(&result, "x"), Value::Int(20));
    assert_eq!(result.layout, 7);
    let whole = one(&self::step(vec![set("data", "json_object('n', 5)")]), event(&[]));
    assert_eq!(value(&whole, "data.n"), Value::Int(5));
}

#[test]
fn only_what_is_true_passes() {
    let step = step(vec![condition("x > 1")]);
    for (x, passes) in [(Value::Int(2), true), (Value::Int(1), false), (Value::Null, false)] {
        let (results, drops) = run(&step, event(&[("x", x.clone())]));
        assert_eq!((results.len() == 1, drops.condition == 0), (passes, passes), "{x:?}");
        let program = Program::new(&step).unwrap();
        let mut slots = event(&[("x", x)]).slots;
        assert!(program.is_plain());
        assert_eq!(program.apply_one(&mut slots, &Record::default(), 0), Ok(passes), "both ways agree");
    }
}

#[test]
fn an_expression_that_fails_rejects_the_event_with_its_step() {
    let (mut results, drops) = run(&step(vec![set("x", "1 / x")]), event(&[("x", Value::Int(0))]));
    let rejected = results.remove(0).unwrap_err();
    assert_eq!((&*rejected.step, drops), ("clean", Drops::default()));
    assert!(rejected.message.starts_with("set: "), "{}", rejected.message);
}

#[test]
fn kept_and_dropped_fields_leave_the_rest_true() {
    let data = || event(&[("data", json(r#"{"a":1,"n":2}"#)), ("data.n", Value::Int(2)), ("x", Value::Int(3))]);
    let trim = |path: &str| vec![(slot("data"), vec![Path::field(path)])];
    let drop = ShapeOp::Drop(Prune { clear: vec![slot("data.n")], trim: trim("n") });
    let dropped = one(&step(vec![drop]), data());
    assert_eq!((value(&dropped, "data"), value(&dropped, "data.n")), (json(r#"{"a":1}"#), Value::Null));
    assert_eq!(value(&dropped, "x"), Value::Int(3));
    let keep = ShapeOp::Keep(Prune { clear: vec![slot("x")], trim: trim("n") });
    let kept = one(&step(vec![keep]), data());
    assert_eq!((value(&kept, "data"), value(&kept, "data.n")), (json(r#"{"n":2}"#), Value::Int(2)));
    assert_eq!(value(&kept, "x"), Value::Null);
}

#[test]
fn every_element_is_an_event_of_its_own() {
    let step = step(vec![unnest(), condition("typeof(item) = 'object' OR item <> 'no'"), set("x", "10 / item_index")]);
    let (results, drops) = run(&step, event(&[("items", json(r#"["a", "no", {"b":[1,2]}]"#))]));
    assert_eq!(drops, Drops { condition: 1, ..Drops::default() });
    assert_eq!(results.len(), 2);
    assert!(results[0].as_ref().unwrap_err().message.starts_with("set: "), "the first fails alone: 10 / 0");
    let last = results[1].as_ref().unwrap();
    assert_eq!(value(last, "item"), json(r#"{"b":[1,2]}"#));
    assert_eq!((value(last, "items"), value(last, "x")), (Value::Null, Value::Int(5)));
    assert_eq!(last.position[..], [Position::Item(2)]);
}

#[test]
fn nothing_to_unnest_is_counted_and_no_array_is_rejected() {
    let step = step(vec![unnest()]);
    for nothing in [Value::Null, json("[ ]")] {
        let (results, drops) = run(&step, event(&[("items", nothing)]));
        assert_eq!((results.len(), drops.nothing_to_unnest), (0, 1));
    }
    for other in [Value::Int(1), json(r#"{"a":[1]}"#)] {
        let (results, _) = run(&step, event(&[("items", other)]));
        assert!(results[0].as_ref().unwrap_err().message.starts_with("unnest: not an array: "));
    }
}

#[test]
fn a_lookup_splits_a_program_and_fills_the_field() {
    let step = step(vec![set("x", "lower(x)"), lookup(false), condition("price.amount > 1")]);
    let program = Program::new(&step).unwrap();
    assert!(!program.is_plain());
    let [before, after] = program.segments().collect::<Vec<_>>()[..] else { panic!("one lookup, two segments") };
    let (mut drops, mut events) = (Drops::default(), Vec::new());
    before.apply(event(&[("x", Value::text("EUR"))]), 0, &mut drops, &mut |result| events.push(result.unwrap()));
    assert_eq!(before.key(&events[0], 0).unwrap().as_deref(), Some(&[Value::text("eur")][..]));
    assert_eq!(before.key(&event(&[]), 0).unwrap(), None, "NULL is = to nothing");
    let row = Row { body: r#"{"amount":2}"#.into(), slots: Arc::new([Value::Int(2)]), time: 0 };
    let filled = before.fill(events.remove(0), Some(&row), &mut drops).unwrap();
    assert_eq!((value(&filled, "price"), value(&filled, "price.amount")), (json(r#"{"amount":2}"#), Value::Int(2)));
    assert_eq!(filled.layout, 0, "the layout changes at the end");
    after.apply(filled, 0, &mut drops, &mut |result| events.push(result.unwrap()));
    assert_eq!((events[0].layout, drops), (7, Drops::default()));
    let unfilled = before.fill(events.remove(0), None, &mut drops).unwrap();
    assert_eq!((value(&unfilled, "price"), value(&unfilled, "price.amount")), (Value::Null, Value::Null));
}

#[test]
fn a_required_row_that_is_missing_drops_the_event() {
    let step = step(vec![lookup(true)]);
    let first = Program::new(&step).unwrap().segments().next().unwrap();
    let mut drops = Drops::default();
    assert!(first.fill(event(&[]), None, &mut drops).is_none());
    assert_eq!(drops, Drops { required: 1, ..Drops::default() });
}
