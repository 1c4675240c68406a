//! Epochs on their way to a sink that has little room, refuses what is large and answers when told.

use super::*;
use bytes::Bytes;

/// Takes `room` records until it is polled; those over 10 bytes are too large, or all if it is `shut`. A time that is
/// not 0 is too far from now.
#[derive(Default)]
struct Slow {
    room: usize,
    shut: bool,
    waiting: Vec<(u64, Outcome)>,
    /// Values as they were sent, `|` for a flush.
    sent: Vec<String>,
}

impl Sink for Slow {
    fn send(&mut self, token: u64, item: &Outgoing) -> Result<bool, RunError> {
        if self.waiting.len() == self.room {
            return Ok(false);
        }
        let value = item.record.value.as_deref().unwrap_or(b"none");
        self.sent.push(String::from_utf8(value.to_vec()).unwrap());
        let outcome = match item.record.timestamp {
            Some(1..) => Outcome::Refused(Refusal::TooFar("no future".into())),
            _ if value.len() > 10 || self.shut => Outcome::Refused(Refusal::TooLarge("10 bytes".into())),
            _ => Outcome::Delivered,
        };
        self.waiting.push((token, outcome));
        Ok(true)
    }

    fn flush(&mut self) -> Result<(), RunError> {
        self.sent.push("|".into());
        Ok(())
    }

    fn poll(&mut self, done: &mut impl FnMut(u64, Outcome)) -> Result<(), RunError> {
        // The last answers first, as those of several partitions may come.
        self.waiting.drain(..).rev().for_each(|(token, outcome)| done(token, outcome));
        Ok(())
    }
}

struct Short;

impl Letters for Short {
    fn letter(&self, rejected: &Rejected) -> Outgoing {
        let large = rejected.message.ends_with("too large: 10 bytes");
        let value = if large { "a letter that is large, too" } else { "?" };
        let mut letter = Outgoing { origin: rejected.record.clone(), ..item(2, 0, 0, value) };
        if rejected.reason == Reason::TimeError {
            assert_eq!((rejected.stage, &*rejected.step, &*rejected.message), (Stage::Emit, "a", "no future"));
            letter.record = dated(9, &String::from_utf8_lossy(rejected.record.value.as_ref().unwrap()));
        }
        letter
    }

    fn stripped(&self, letter: &Outgoing) -> Option<Outgoing> {
        letter.record.value.as_ref().map(|_| Outgoing { record: OutRecord::default(), ..letter.clone() })
    }

    fn redated(&self, letter: &Outgoing) -> Outgoing {
        Outgoing { record: OutRecord { timestamp: None, ..letter.record.clone() }, ..letter.clone() }
    }
}

fn dated(timestamp: i64, value: &str) -> OutRecord {
    let value = Some(Bytes::copy_from_slice(value.as_bytes()));
    OutRecord { value, timestamp: Some(timestamp), ..OutRecord::default() }
}

fn item(output: u16, priority: i64, offset: i64, value: &str) -> Outgoing {
    let within = Within::Event(0, SmallVec::new());
    let record = OutRecord { value: Some(Bytes::copy_from_slice(value.as_bytes())), ..OutRecord::default() };
    let origin = Arc::new(Record { topic: "in".into(), offset, ..Record::default() });
    Outgoing { output, partition: 0, place: Place { by: [Value::Int(priority)].into(), within }, record, origin }
}

fn deliverer(room: usize) -> Deliverer<Slow, Short, &'static str> {
    let outputs = vec![("a".into(), vec![Direction::Descending]), ("b".into(), vec![])];
    Deliverer::new(Slow { room, ..Slow::default() }, Short, outputs)
}

fn complete(items: impl Into<Vec<Outgoing>>) -> Gathered {
    Gathered { items: items.into(), ..Gathered::default() }
}

/// Works until nothing is left; what was done, call by call.
fn finish(deliverer: &mut Deliverer<Slow, Short, &'static str>) -> Vec<(Epoch, &'static str, Tally)> {
    let mut all = Vec::new();
    while !deliverer.is_idle() {
        all.extend(deliverer.work().unwrap().into_iter().map(|done| (done.epoch, done.hold, done.tally)));
    }
    all
}

#[test]
fn an_epoch_leaves_by_output_then_order_then_event_order() {
    let mut deliverer = deliverer(100);
    let items = [(1, 9, 0, "b0"), (0, 1, 1, "low"), (0, 2, 8, "high 8"), (0, 2, 3, "high 3"), (1, 1, 2, "b2")];
    let items = items.map(|(output, by, offset, value)| item(output, by, offset, value));
    deliverer.enqueue(7, complete(items), "seven");
    assert_eq!(finish(&mut deliverer), [(7, "seven", vec![(0, 3), (1, 2)])]);
    assert_eq!(deliverer.sink.sent, ["high 3", "high 8", "low", "b0", "b2", "|"]);
}

#[test]
fn a_sink_without_room_is_asked_again_and_epochs_stay_in_order() {
    let mut deliverer = deliverer(2);
    for (epoch, hold) in [(1, "one"), (2, "two")] {
        let items = [0, 1, 2].map(|offset| item(1, 0, offset, &format!("{epoch}.{offset}")));
        deliverer.enqueue(epoch, complete(items), hold);
    }
    assert_eq!(finish(&mut deliverer), [(1, "one", vec![(1, 3)]), (2, "two", vec![(1, 3)])]);
    assert_eq!(deliverer.sink.sent, ["1.0", "1.1", "1.2", "|", "2.0", "2.1", "2.2", "|"]);
}

#[test]
fn what_is_too_large_goes_to_the_dead_letters_and_from_there_without_its_value() {
    let mut deliverer = deliverer(100);
    deliverer.enqueue(1, complete([item(0, 0, 0, "short"), item(0, 0, 1, "much too long")]), "one");
    assert_eq!(finish(&mut deliverer), [(1, "one", vec![(0, 1), (2, 1)])]);
    assert_eq!(deliverer.sink.sent, ["short", "much too long", "|", "a letter that is large, too", "|", "none", "|"]);
}

#[test]
fn what_is_too_far_from_now_goes_to_the_dead_letters_and_from_there_without_its_time() {
    let mut deliverer = deliverer(100);
    let far = |priority, value: &str, origin: Record| {
        let item = item(0, priority, 0, value);
        Outgoing { record: dated(5, value), origin: Arc::new(origin), ..item }
    };
    let came = Record { topic: "in".into(), value: Some(Bytes::from_static(b"came")), ..Record::default() };
    let items = [item(0, 3, 0, "now"), far(2, "far", came), far(1, "row", Record::default())];
    deliverer.enqueue(1, complete(items), "one");
    assert_eq!(finish(&mut deliverer), [(1, "one", vec![(0, 1), (2, 2)])]);
    // What came is handed back, of a row that steps made the row. Their times are too far for the dead letters, too.
    let rounds = deliverer.sink.sent.join(" ");
    assert_eq!(rounds, "now far row | row came | came row |");
}

#[test]
fn a_dead_letter_that_never_fits_stops_the_job() {
    let mut deliverer = deliverer(100);
    deliverer.sink.shut = true;
    deliverer.enqueue(1, complete([item(0, 0, 5, "any")]), "one");
    let error = (0..10).find_map(|_| deliverer.work().err()).expect("it ends");
    assert_eq!(error.exit, Exit::Unavailable);
    assert!(error.message.contains("topic in, partition 0, offset 5"), "{}", error.message);
    assert_eq!(deliverer.sink.sent.len(), 6, "the record, its letter, that without its value; and a flush for each");
}

#[test]
fn what_is_only_counted_is_told_with_its_epoch() {
    let mut deliverer = deliverer(100);
    let gathered = Gathered { counted: [(1, 3)].into(), ..complete([item(0, 0, 0, "sent")]) };
    deliverer.enqueue(1, gathered, "one");
    assert_eq!(finish(&mut deliverer), [(1, "one", vec![(0, 1), (1, 3)])]);
    assert_eq!(deliverer.sink.sent, ["sent", "|"]);
}
