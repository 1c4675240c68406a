//! Without windows: rows change, come and go; and an oracle which keeps everything says the same.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::event::Change;

fn room(workers: usize, having: Option<&str>, ttl: Option<Micros>) -> Room {
    let measures = [("n", "count(*)"), ("total", "sum(amount)")];
    Room::new(Aggregate { ttl, ..aggregate(&["user"], None, &measures, having) }, workers)
}

fn order(offset: i64, time: Micros, user: &str, amount: i64) -> Event {
    event(offset, time, Value::text(user), Value::Int(amount))
}

fn line(change: &Change) -> String {
    let side = |event: &Option<Event>| event.as_ref().map_or("-".to_owned(), written);
    format!("{} => {}", side(&change.before), side(&change.after))
}

fn lines(results: &Results) -> Vec<String> {
    results.changes.iter().map(line).collect()
}

#[test]
fn an_epoch_gives_one_change_per_key_whose_row_changed() {
    let mut room = room(2, None, None);
    let first = room.epoch(&[order(0, 1, "b", 1), order(1, 2, "a", 2), order(2, 3, "b", 3)], 3);
    assert_eq!(lines(&first), [r#"- => "a" 1 2"#, r#"- => "b" 2 4"#]);
    let second = room.epoch(&[order(3, 4, "b", 0)], 4);
    assert_eq!(lines(&second), [r#""b" 2 4 => "b" 3 4"#]);
    let (before, after) = (second.changes[0].before.as_ref().unwrap(), second.changes[0].after.as_ref().unwrap());
    assert_eq!((before.time, after.time), (3, 4), "each side has the time that it was made at");
    assert!(lines(&room.epoch(&[], 5)).is_empty());
}

#[test]
fn a_row_that_stays_the_same_is_no_change() {
    let mut room = Room::new(aggregate(&["user"], None, &[("most", "max(amount)")], None), 1);
    assert_eq!(lines(&room.epoch(&[order(0, 1, "a", 5)], 1)), [r#"- => "a" 5"#]);
    assert!(lines(&room.epoch(&[order(1, 2, "a", 4)], 2)).is_empty());
    let changed = room.epoch(&[order(2, 3, "a", 6)], 3);
    assert_eq!(lines(&changed), [r#""a" 5 => "a" 6"#]);
    assert_eq!(changed.changes[0].before.as_ref().unwrap().time, 1, "what downstream saw, to the letter");
}

#[test]
fn numbers_that_are_equal_are_one_key_and_null_is_a_key() {
    let mut room = Room::new(aggregate(&["user"], None, &[("n", "count(*)")], None), 2);
    let keys = [Value::Decimal("1.0".parse().unwrap()), Value::Int(1), Value::Null, Value::text("1")];
    let events: Vec<_> = keys.into_iter().enumerate().map(|(i, key)| event(i as i64, 0, key, Value::Null)).collect();
    assert_eq!(lines(&room.epoch(&events, 0)), ["- => null 1", "- => 1 2", "- => \"1\" 1"]);
}

#[test]
fn having_lets_rows_in_and_out_and_keeps_out_what_fails() {
    let mut room = room(1, Some("10 / total > 1"), None);
    assert_eq!(lines(&room.epoch(&[order(0, 0, "a", 3)], 0)), [r#"- => "a" 1 3"#]);
    assert_eq!(lines(&room.epoch(&[order(1, 0, "a", 30), order(2, 0, "b", 30)], 0)), [r#""a" 1 3 => -"#]);
    let failed = room.epoch(&[order(3, 0, "b", -30)], 0);
    assert_eq!((lines(&failed).len(), failed.failures.having), (0, 1));
}

#[test]
fn a_key_is_forgotten_when_the_watermark_is_ttl_after_its_last_event() {
    let mut room = room(1, None, Some(10));
    room.epoch(&[order(0, 5, "a", 1), order(1, 3, "b", 1)], 5);
    assert_eq!(lines(&room.epoch(&[order(2, 9, "b", 1)], 14)), [r#""b" 1 1 => "b" 2 2"#]);
    assert_eq!(lines(&room.epoch(&[order(3, 4, "c", 1)], 15)), [r#""a" 1 1 => -"#], "c came and went");
    assert_eq!(room.state().0, 1);
    assert_eq!(
        lines(&room.epoch(&[order(4, 16, "a", 7)], Micros::MAX)),
        [r#"- => "a" 1 7"#],
        "the end of files moves no ttl"
    );
    assert_eq!(lines(&room.epoch(&[], 26)), [r#""a" 1 7 => -"#, r#""b" 2 2 => -"#]);
    assert_eq!(room.state(), (0, 0));
}

#[test]
fn an_event_whose_key_fails_is_rejected_and_changes_nothing() {
    let aggregate = aggregate(&["1 / amount"], None, &[("n", "count(*)")], None);
    let mut fold = Fold::new(&aggregate);
    let rejection = fold.add(&aggregate, Input::of(&order(0, 0, "a", 0)), 0).unwrap_err();
    assert_eq!(rejection.reason, crate::error::Reason::ExpressionError);
    assert!(fold.is_empty() && fold.flush(&aggregate, Micros::MIN).partials.is_empty());
}

type Epochs = Vec<(Vec<(Micros, u8, i64)>, Micros)>;

fn epochs() -> impl Strategy<Value = Epochs> {
    let events = prop::collection::vec((0i64..60, 0u8..5, -3i64..4), 0..8);
    prop::collection::vec((events, 0i64..15), 1..10).prop_map(|epochs| {
        let mut watermark = 0;
        let advance = |(events, by)| {
            watermark += by;
            (events, watermark)
        };
        epochs.into_iter().map(advance).collect()
    })
}

/// Changes of every epoch, by keeping all events and computing all rows anew.
fn oracle(epochs: &Epochs, ttl: Micros) -> Vec<Vec<String>> {
    let mut kept: BTreeMap<u8, Vec<(Micros, i64)>> = BTreeMap::new();
    let mut visible: BTreeMap<u8, String> = BTreeMap::new();
    let mut all = Vec::new();
    for (events, watermark) in epochs {
        events.iter().for_each(|(time, user, amount)| kept.entry(*user).or_default().push((*time, *amount)));
        kept.retain(|_, events| events.iter().any(|(time, _)| time + ttl > *watermark));
        let row = |(user, events): (&u8, &Vec<(Micros, i64)>)| {
            let total: i64 = events.iter().map(|(_, amount)| amount).sum();
            (total >= 0).then(|| (*user, format!("\"u{user}\" {} {total}", events.len())))
        };
        let now: BTreeMap<u8, String> = kept.iter().filter_map(row).collect();
        let side = |rows: &BTreeMap<u8, String>, user| rows.get(&user).cloned().unwrap_or("-".to_owned());
        let changed = (0..5).filter(|user| visible.get(user) != now.get(user));
        all.push(changed.map(|user| format!("{} => {}", side(&visible, user), side(&now, user))).collect());
        visible = now;
    }
    all
}

proptest! {
    #[test]
    fn changes_are_those_of_an_oracle_that_keeps_everything(epochs in epochs(), workers in 1usize..4) {
        let mut room = room(workers, Some("total >= 0"), Some(20));
        let mut offset = 0;
        for ((events, watermark), expected) in epochs.iter().zip(oracle(&epochs, 20)) {
            let build = |(time, user, amount): &(Micros, u8, i64)| {
                offset += 1;
                order(offset, *time, &format!("u{user}"), *amount)
            };
            let events: Vec<_> = events.iter().map(build).collect();
            prop_assert_eq!(lines(&room.epoch(&events, *watermark)), expected);
        }
    }
}
