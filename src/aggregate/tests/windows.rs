//! Tumbling windows: what closes when, what is late, and that an oracle which keeps everything says the same.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const WIDTH: Micros = 10;

fn room(workers: usize) -> Room {
    let measures = [("orders", "count(*)"), ("total", "sum(amount)"), ("double", "total * 2")];
    Room::new(aggregate(&["user"], Some(WIDTH), &measures, None), workers)
}

fn order(offset: i64, time: Micros, user: &str, amount: i64) -> Event {
    event(offset, time, Value::text(user), Value::Int(amount))
}

fn lines(results: &Results) -> Vec<String> {
    results.events.iter().map(|event| format!("{} {}", event.time, written(event))).collect()
}

#[test]
fn a_window_leaves_once_the_watermark_has_reached_its_end() {
    let mut room = room(2);
    let events = [order(0, 9, "b", 1), order(1, 0, "a", 2), order(2, 10, "a", 3), order(3, -1, "a", 4)];
    let end = |micros: i64| Value::Timestamp(micros);
    assert_eq!(lines(&room.epoch(&events, 9)), [format!("-1 \"a\" 1 4 8 {} {}", json(end(-10)), json(end(0)))]);
    let first = room.epoch(&[order(4, 5, "b", 7)], 10);
    let bounds = format!("{} {}", json(end(0)), json(end(10)));
    assert_eq!(lines(&first), [format!("9 \"a\" 1 2 4 {bounds}"), format!("9 \"b\" 2 8 16 {bounds}")]);
    assert_eq!(room.groups.iter().filter_map(Groups::earliest_window).collect::<Vec<_>>(), [10]);
    assert_eq!(lines(&room.epoch(&[], Micros::MAX)).len(), 1);
    assert_eq!(room.state(), (0, 0));
}

fn json(value: Value) -> String {
    let mut text = Vec::new();
    crate::json::write(&value, &mut text);
    String::from_utf8(text).unwrap()
}

#[test]
fn late_is_what_had_ended_by_the_watermark_of_the_epoch_before() {
    let mut room = room(1);
    room.aggregate.late = Late::Reject;
    assert!(lines(&room.epoch(&[order(0, 25, "a", 1)], 20)).is_empty());
    // The watermark passes 30 in this very epoch, but at its start it was 20: an event of [20, 30) is in time.
    let results =
        room.epoch(&[order(3, 19, "b", 1), order(1, 21, "a", 1), order(2, 5, "b", 1), order(2, 5, "b", 1)], 40);
    assert_eq!(lines(&results).len(), 1);
    assert_eq!(written(&results.events[0])[..7], *"\"a\" 2 2");
    room.late_records.sort_unstable();
    assert_eq!((room.late, room.late_records), (3, vec![2, 2, 3]));
}

#[test]
fn a_measure_that_fails_is_null_and_counted_and_its_neighbours_are_not() {
    let measures = [("n", "count(*)"), ("total", "sum(amount)"), ("share", "n / (n - 1)"), ("sign", "total > 0")];
    let mut room = Room::new(aggregate(&["user"], Some(WIDTH), &measures, Some("n > 0 OR total")), 1);
    let events = [order(0, 1, "a", 1), event(1, 1, Value::text("b"), Value::text("much"))];
    let results = room.epoch(&events, WIDTH);
    let lines = lines(&results);
    assert!(lines[0].starts_with("9 \"a\" 1 1 null true"), "{lines:?}");
    assert!(lines[1].starts_with("9 \"b\" 1 null null null"), "{lines:?}");
    assert_eq!(results.failures.measures, 3);
}

#[test]
fn without_by_there_is_one_global_group() {
    let mut room = Room::new(aggregate(&[], Some(WIDTH), &[("n", "count(*) FILTER (WHERE amount > 1)")], None), 3);
    let results = room.epoch(&[order(0, 1, "a", 1), order(1, 2, "b", 2), order(2, 3, "c", 3)], WIDTH);
    assert_eq!(results.events.len(), 1);
    assert!(written(&results.events[0]).starts_with('2'));
}

/// (time, user, amount) per event, in epochs that end at a watermark each.
type Epochs = Vec<(Vec<(Micros, u8, i64)>, Micros)>;

fn epochs() -> impl Strategy<Value = Epochs> {
    let events = prop::collection::vec((-30i64..60, 0u8..4, any::<i64>()), 0..12);
    prop::collection::vec((events, 0i64..15), 1..8).prop_map(|epochs| {
        let mut watermark = -30;
        let advance = |(events, by)| {
            watermark += by;
            (events, watermark)
        };
        epochs.into_iter().map(advance).collect()
    })
}

proptest! {
    #[test]
    fn windows_are_those_of_an_oracle_that_keeps_everything(epochs in epochs(), workers in 1usize..4) {
        let mut room = room(workers);
        let mut kept: BTreeMap<(Micros, u8), Vec<i64>> = BTreeMap::new();
        let (mut watermark, mut late, mut offset) = (Micros::MIN, 0, 0);
        for (events, next) in epochs {
            let mut built = Vec::new();
            for (time, user, amount) in events {
                built.push(order(offset, time, &format!("u{user}"), amount));
                offset += 1;
                let end = (time as f64 / WIDTH as f64).floor() as i64 * WIDTH + WIDTH;
                if end <= watermark { late += 1 } else { kept.entry((end, user)).or_default().push(amount) }
            }
            watermark = next;
            let results = room.epoch(&built, watermark);
            let open = kept.split_off(&(watermark + 1, 0));
            let expected: Vec<String> = std::mem::replace(&mut kept, open).into_iter().map(|((end, user), amounts)| {
                let total: i128 = amounts.iter().map(|amount| i128::from(*amount)).sum();
                format!("{} \"u{user}\" {} {total} {}", end - 1, amounts.len(), total * 2)
            }).collect();
            let found = lines(&results);
            prop_assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                prop_assert!(found.starts_with(&expected), "{} is not {}", found, expected);
            }
        }
        prop_assert_eq!(room.late, late);
        prop_assert_eq!(room.state().0, kept.len());
    }
}
