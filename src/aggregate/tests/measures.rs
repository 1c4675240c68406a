//! Every measure by itself: its results, and that neither order nor split nor the way between processes changes them.

use std::cmp::Ordering;

use proptest::prelude::*;
use rust_decimal::Decimal;
use smallvec::SmallVec;

use crate::aggregate::ranked::Place;
use crate::aggregate::state::State;
use crate::aggregate::values::Unfit;
use crate::event::{Interval, Position, Value};
use crate::expr::AggFunc;
use crate::plan::Direction;

/// x, y and the place of one event.
type Input = (Value, Value, Place);

fn all() -> Vec<AggFunc> {
    use AggFunc::*;
    let array = |order, limit| ArrayAgg { order, limit };
    vec![
        CountAll,
        Count,
        CountDistinct,
        Sum,
        Avg,
        Min,
        Max,
        AnyValue,
        BoolAnd,
        BoolOr,
        First,
        Last,
        MinBy,
        MaxBy,
        array(None, 1000),
        array(None, 2),
        array(Some(Direction::Ascending), 3),
        array(Some(Direction::Descending), 1000),
        ApproxCountDistinct,
        Percentile(0.95),
        Stddev,
        Variance,
    ]
}

fn place(time: i64) -> Place {
    Place { time, topic: "t".into(), partition: 0, offset: time, position: SmallVec::new() }
}

fn state(func: &AggFunc, inputs: &[Input]) -> State {
    let mut state = State::new(func);
    for (x, y, place) in inputs {
        // Only an `array_agg` with an order and the two `_by` have a second argument.
        let second = matches!(func, AggFunc::MinBy | AggFunc::MaxBy | AggFunc::ArrayAgg { order: Some(_), .. });
        let y = if second { y } else { &Value::Null };
        state.add(func, x, y, || place.clone());
    }
    state
}

fn result(func: &AggFunc, inputs: &[Input]) -> Result<Value, Unfit> {
    state(func, inputs).result(func)
}

fn of(func: AggFunc, values: &[Value]) -> Result<Value, Unfit> {
    let inputs: Vec<Input> =
        values.iter().enumerate().map(|(i, value)| (value.clone(), Value::Null, place(i as i64))).collect();
    result(&func, &inputs)
}

fn pairs(func: AggFunc, pairs: &[(&str, Value)]) -> Result<Value, Unfit> {
    let inputs: Vec<Input> =
        pairs.iter().enumerate().map(|(i, (x, y))| (Value::text(x), y.clone(), place(i as i64))).collect();
    result(&func, &inputs)
}

fn identical(a: &Result<Value, Unfit>, b: &Result<Value, Unfit>) -> bool {
    match (a, b) {
        (Ok(a), Ok(b)) => a.identical(b),
        (a, b) => a == b,
    }
}

#[test]
fn nulls_are_skipped_but_by_those_that_keep_them() {
    use AggFunc::*;
    let values = [Value::Null, Value::Int(1), Value::Null];
    assert_eq!(of(CountAll, &values), Ok(Value::Int(3)));
    assert_eq!(of(Count, &values), Ok(Value::Int(1)));
    assert_eq!(of(CountDistinct, &values), Ok(Value::Int(1)));
    assert_eq!(of(First, &values), Ok(Value::Null));
    assert_eq!(of(Last, &values), Ok(Value::Null));
    assert_eq!(of(AnyValue, &values), Ok(Value::Int(1)));
    assert_eq!(of(ArrayAgg { order: None, limit: 1000 }, &values), Ok(Value::Json("[null,1,null]".into())));
    for func in all() {
        let none = if matches!(func, CountAll | Count | CountDistinct | ApproxCountDistinct) {
            Value::Int(0)
        } else {
            Value::Null
        };
        assert_eq!(result(&func, &[]), Ok(none), "{func:?} of nothing");
    }
}

#[test]
fn a_value_of_the_wrong_type_makes_a_measure_null_for_good() {
    use AggFunc::*;
    for func in [Sum, Avg, Percentile(0.5), Stddev, Variance, BoolAnd, BoolOr] {
        assert_eq!(of(func, &[Value::text("abc")]), Err(Unfit));
    }
    assert_eq!(of(Min, &[Value::Int(1), Value::text("a"), Value::Int(2)]), Err(Unfit));
    assert_eq!(of(Max, &[Value::Json("{}".into())]), Err(Unfit));
    assert_eq!(pairs(MinBy, &[("a", Value::Int(1)), ("b", Value::Bool(true))]), Err(Unfit));
}

#[test]
fn extremes_go_by_the_order_of_sql() {
    use AggFunc::*;
    let numbers = [Value::Int(10), Value::Decimal("9.5".parse().unwrap()), Value::Number("1e400".into())];
    assert_eq!(of(Min, &numbers), Ok(numbers[1].clone()));
    assert_eq!(of(Max, &numbers), Ok(numbers[2].clone()));
    assert_eq!(of(Max, &[Value::text("a"), Value::text("B")]), Ok(Value::text("a")));
    let month = Value::Interval(Interval { months: 1, ..Interval::default() });
    let days = Value::Interval(Interval { days: 31, ..Interval::default() });
    assert_eq!(of(Max, &[month, days.clone()]), Ok(days));
    assert_eq!(of(BoolAnd, &[Value::Bool(true), Value::Bool(false)]), Ok(Value::Bool(false)));
    assert_eq!(of(BoolOr, &[Value::Bool(true), Value::Bool(false)]), Ok(Value::Bool(true)));
}

#[test]
fn the_first_of_equals_is_chosen_and_a_null_is_not_compared() {
    use AggFunc::*;
    let rows =
        [("a", Value::Null), ("b", Value::Int(1)), ("c", Value::Int(2)), ("d", Value::Int(1)), ("e", Value::Int(2))];
    assert_eq!(pairs(MinBy, &rows), Ok(Value::text("b")));
    assert_eq!(pairs(MaxBy, &rows), Ok(Value::text("c")));
}

#[test]
fn arrays_are_ordered_as_in_postgresql_and_cut() {
    use AggFunc::ArrayAgg;
    let rows = [("a", Value::Int(2)), ("b", Value::Null), ("c", Value::Int(3)), ("d", Value::Int(2))];
    let by = |order, limit| pairs(ArrayAgg { order, limit }, &rows).unwrap();
    assert_eq!(by(Some(Direction::Ascending), 1000), Value::Json(r#"["a","d","c","b"]"#.into()));
    assert_eq!(by(Some(Direction::Descending), 3), Value::Json(r#"["b","c","a"]"#.into()));
    assert_eq!(by(None, 2), Value::Json(r#"["a","b"]"#.into()));
    assert_eq!(by(None, 0), Value::Json("[]".into()));
}

#[test]
fn elements_beyond_the_bound_are_counted_once_however_they_came() {
    let func = AggFunc::ArrayAgg { order: None, limit: 1000 };
    let inputs: Vec<Input> = (0..2500).map(|i| (Value::Int(i), Value::Null, place(i))).collect();
    let mut whole = state(&func, &inputs);
    assert_eq!((whole.take_beyond(&func), whole.take_beyond(&func)), (1500, 0));
    let mut merged = State::new(&func);
    for part in inputs.rchunks(700) {
        merged.merge(state(&func, part), &func);
    }
    assert_eq!(merged.take_beyond(&func), 1500);
    assert!(identical(&whole.result(&func), &merged.result(&func)));
    let asked_for = AggFunc::ArrayAgg { order: None, limit: 10 };
    assert_eq!(state(&asked_for, &inputs).take_beyond(&asked_for), 0);
}

/// Values of one kind, or of any; with repeats, so that there are equals and ties.
fn values() -> impl Strategy<Value = Vec<Value>> {
    let int = (-5i64..5).prop_map(Value::Int).boxed();
    let number = prop_oneof![
        3 => (-5i64..5).prop_map(Value::Int),
        3 => (-500i64..500, 0u32..4).prop_map(|(m, s)| Value::Decimal(Decimal::from_i128_with_scale(m.into(), s))),
        1 => Just(Value::Number("1E1".into())),
        1 => any::<i64>().prop_map(Value::Int),
    ]
    .boxed();
    let double = (-5i32..5).prop_map(|i| Value::Double(f64::from(i) / 8.0)).boxed();
    let wide = any::<f64>().prop_filter("finite", |d| d.is_finite()).prop_map(Value::Double).boxed();
    let text = "[a-c]{0,2}".prop_map(Value::text).boxed();
    let bool = any::<bool>().prop_map(Value::Bool).boxed();
    let some = [int, number.clone(), double.clone(), wide.clone(), text.clone(), bool.clone()];
    let any = prop_oneof![20 => number, 4 => double, 1 => wide, 1 => text, 1 => bool].boxed();
    prop::sample::select(some.into_iter().chain([any]).collect::<Vec<_>>())
        .prop_flat_map(|kind| prop::collection::vec(prop_oneof![6 => kind, 1 => Just(Value::Null)], 0..30))
}

fn inputs() -> impl Strategy<Value = Vec<Input>> {
    let places = prop::collection::vec((-3i64..3, prop::sample::select(vec!["t", "u"]), 0i32..2), 30);
    (values(), values(), places).prop_map(|(xs, ys, places)| {
        let ys = ys.into_iter().chain(std::iter::repeat(Value::Null));
        let places = places.into_iter().enumerate().map(|(offset, (time, topic, partition))| {
            let position = (offset % 2 == 0).then_some(Position::Item(offset as u64));
            Place {
                time,
                topic: topic.into(),
                partition,
                offset: offset as i64 / 2,
                position: position.into_iter().collect(),
            }
        });
        xs.into_iter().zip(ys).zip(places).map(|((x, y), place)| (x, y, place)).collect()
    })
}

/// What a measure is, said as simply as can be, for inputs of one kind.
fn naive(func: &AggFunc, inputs: &[Input]) -> Option<Value> {
    let mut ordered = inputs.to_vec();
    ordered.sort_by(|a, b| a.2.cmp(&b.2));
    let present: Vec<&Input> = ordered.iter().filter(|(x, ..)| !x.is_null()).collect();
    let by = |keep: Ordering| {
        let mut best: Option<&Input> = None;
        for input in ordered.iter().filter(|(_, y, _)| !y.is_null()) {
            if best.is_none_or(|best| input.1.cmp(&best.1) == keep) {
                best = Some(input);
            }
        }
        best.map_or(Value::Null, |best| best.0.clone())
    };
    Some(match func {
        AggFunc::CountAll => Value::Int(inputs.len() as i64),
        AggFunc::Count => Value::Int(present.len() as i64),
        AggFunc::CountDistinct | AggFunc::ApproxCountDistinct => {
            Value::Int(present.iter().map(|(x, ..)| x).collect::<std::collections::BTreeSet<_>>().len() as i64)
        }
        AggFunc::Min => present.iter().map(|(x, ..)| x).min().cloned().unwrap_or_default(),
        AggFunc::Max => present.iter().map(|(x, ..)| x).max().cloned().unwrap_or_default(),
        AggFunc::AnyValue => present.first().map(|(x, ..)| x.clone()).unwrap_or_default(),
        AggFunc::First => ordered.first().map(|(x, ..)| x.clone()).unwrap_or_default(),
        AggFunc::Last => ordered.last().map(|(x, ..)| x.clone()).unwrap_or_default(),
        AggFunc::MinBy => by(Ordering::Less),
        AggFunc::MaxBy => by(Ordering::Greater),
        _ => return None,
    })
}

proptest! {
    #[test]
    fn no_order_no_split_and_no_encoding_changes_a_result(
        inputs in inputs(),
        order in any::<prop::sample::Index>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        for func in all() {
            let whole = result(&func, &inputs);
            let mut moved = inputs.clone();
            moved.rotate_left(order.index(inputs.len().max(1)).min(inputs.len()));
            moved.reverse();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(moved.len() + 1)).collect();
            cuts.extend([0, moved.len()]);
            cuts.sort_unstable();
            let mut merged = State::new(&func);
            for cut in cuts.windows(2) {
                let part = state(&func, &moved[cut[0]..cut[1]]);
                let bytes = bincode::serialize(&part).unwrap();
                merged.merge(bincode::deserialize(&bytes).unwrap(), &func);
            }
            let merged = merged.result(&func);
            prop_assert!(identical(&whole, &merged), "{func:?}: {whole:?} {merged:?}");
        }
    }

    #[test]
    fn results_are_what_their_names_say(inputs in inputs()) {
        for func in all() {
            if let (Ok(found), Some(expected)) = (result(&func, &inputs), naive(&func, &inputs)) {
                prop_assert_eq!(found, expected, "{:?}", func);
            }
        }
    }
}
