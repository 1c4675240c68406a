//! The room's promises: no order and no split of events shows in a result, and results are those of a naive oracle.

mod measures;
mod rows;
mod windows;

use std::sync::Arc;

use smallvec::SmallVec;

use crate::event::{Event, Micros, Record, Value};
use crate::expr::{Expr, Name, NameError, Names, Place, Type, compile_measure};
use crate::json::Path;
use crate::plan::{Aggregate, Late};

use super::{Closing, Failures, Fold, Groups, Input, Partial, Results};

/// Fields of the input, by slot.
const FIELDS: [&str; 3] = ["user", "amount", "kind"];

/// Names → slots, of any type.
struct Scope(Vec<(String, u16)>);

impl Names for Scope {
    fn resolve(&mut self, name: &Name) -> Result<(Place, Type), NameError> {
        let found = self.0.iter().find(|(known, _)| name.path == Path::field(known));
        let slot = found.map(|(_, slot)| (Place::Slot(*slot), Type::Any));
        slot.ok_or_else(|| NameError { message: format!("no `{}`", name.path), help: Vec::new() })
    }
}

fn input() -> Scope {
    Scope(FIELDS.iter().enumerate().map(|(slot, name)| (name.to_string(), slot as u16)).collect())
}

/// An aggregate as the file would have it; changed with struct update syntax by hand.
fn aggregate(by: &[&str], window: Option<Micros>, measures: &[(&str, &str)], having: Option<&str>) -> Aggregate {
    // The first pass finds the calls, so that the second knows where the other slots of the outer row begin.
    let first = compile(by, window, measures, having, 0);
    compile(by, window, measures, having, first.calls.len())
}

fn compile(
    by: &[&str],
    window: Option<Micros>,
    measures: &[(&str, &str)],
    having: Option<&str>,
    calls: usize,
) -> Aggregate {
    let bounds: &[&str] = if window.is_some() { &["window_start", "window_end"] } else { &[] };
    let mut outer = Scope(Vec::new());
    for name in by.iter().chain(bounds) {
        outer.0.push((name.to_string(), (calls + outer.0.len()) as u16));
    }
    let mut found = Vec::new();
    let mut compiled = Vec::new();
    for (name, text) in measures {
        compiled.push(compile_measure(text, &mut input(), &mut outer, &mut found).unwrap());
        outer.0.push((name.to_string(), (calls + outer.0.len()) as u16));
    }
    let having = having.map(|text| compile_measure(text, &mut input(), &mut outer, &mut found).unwrap());
    Aggregate {
        by: by.iter().map(|text| Expr::compile(text, &mut input()).unwrap()).collect(),
        window,
        calls: found,
        columns: (0..(by.len() + compiled.len() + bounds.len()) as u16).collect(),
        measures: compiled,
        having,
        late: Late::Drop,
        ttl: None,
    }
}

fn event(offset: i64, time: Micros, user: Value, amount: Value) -> Event {
    let record = Arc::new(Record { topic: "t".into(), offset, ..Record::default() });
    let slots = [user, amount, Value::Null].into();
    Event { time, layout: 0, position: SmallVec::new(), record, slots }
}

/// The room as it stands among workers: each folds its share, every key has one worker.
struct Room {
    aggregate: Aggregate,
    folds: Vec<Fold>,
    groups: Vec<Groups>,
    watermark: Micros,
    late: u64,
    late_records: Vec<i64>,
}

impl Room {
    fn new(aggregate: Aggregate, workers: usize) -> Self {
        let folds = (0..workers).map(|_| Fold::new(&aggregate)).collect();
        let width = aggregate.columns.len();
        let groups = (0..workers).map(|_| Groups::new(width, true)).collect();
        Self { aggregate, folds, groups, watermark: Micros::MIN, late: 0, late_records: Vec::new() }
    }

    /// An epoch: events go to workers by their offset, partials through the encoding between processes.
    fn epoch(&mut self, events: &[Event], watermark: Micros) -> Results {
        let workers = self.folds.len();
        for event in events {
            let fold = &mut self.folds[event.record.offset as usize % workers];
            fold.add(&self.aggregate, Input::of(event), 0).unwrap();
        }
        let mut partials: Vec<Vec<Partial>> = self.groups.iter().map(|_| Vec::new()).collect();
        for fold in &mut self.folds {
            let flushed = fold.flush(&self.aggregate, self.watermark);
            self.late += flushed.late;
            self.late_records.extend(flushed.late_records.iter().map(|record| record.offset));
            for partial in flushed.partials {
                let bytes = bincode::serialize(&partial).unwrap();
                let partial: Partial = bincode::deserialize(&bytes).unwrap();
                partials[partial.hash as usize % workers].push(partial);
            }
        }
        for (groups, partials) in self.groups.iter_mut().zip(partials) {
            groups.merge(&self.aggregate, partials);
        }
        self.watermark = watermark;
        self.close()
    }

    fn close(&mut self) -> Results {
        let closing = Closing { watermark: self.watermark, greatest: self.watermark, now: 0 };
        let mut all = Results::default();
        for groups in &mut self.groups {
            let results = groups.close(&self.aggregate, closing);
            all.changes.extend(results.changes);
            all.events.extend(results.events);
            let Failures { measures, having, elements } = results.failures;
            all.failures.measures += measures;
            all.failures.having += having;
            all.failures.elements += elements;
        }
        all.changes.sort_by(|a, b| a.key.cmp(&b.key));
        all.events.sort_by(Event::cmp_order);
        all
    }

    fn state(&self) -> (usize, usize) {
        (self.groups.iter().map(Groups::keys).sum(), self.groups.iter().map(Groups::bytes).sum())
    }
}

/// The values of an event, in JSON's way of writing.
fn written(event: &Event) -> String {
    let mut text = Vec::new();
    for (i, value) in event.slots.iter().enumerate() {
        if i > 0 {
            text.push(b' ');
        }
        crate::json::write(value, &mut text);
    }
    String::from_utf8(text).unwrap()
}
