//! A late record is handed back once for each aggregate, though several events of it may be late, on several workers.

use std::hash::BuildHasher;
use std::sync::Arc;

use crate::epoch::operator::{Made, PerEpoch};
use crate::epoch::{Clock, Epoch};
use crate::error::{Reason, Rejected};
use crate::event::Record;
use crate::event::key::Fixed;
use crate::telemetry::StepMetrics;

pub struct Once(pub Arc<StepMetrics>);

impl Once {
    /// Chooses the worker that sees all of a record.
    pub fn route(rejected: &Rejected) -> u64 {
        let Record { topic, partition, offset, .. } = &*rejected.record;
        Fixed::default().hash_one((&**topic, partition, offset))
    }
}

impl PerEpoch<Rejected, Clock, Rejected> for Once {
    fn close(&mut self, _: Epoch, rejected: Vec<Rejected>, _: Vec<Clock>, made: &mut Made<Rejected>) {
        let (mut late, others): (Vec<_>, Vec<_>) =
            rejected.into_iter().partition(|rejected| rejected.reason == Reason::LateEvent);
        let all = late.len();
        // Files may have records of one place in two sources: these are two if they say something else.
        let order = |a: &Record, b: &Record| a.cmp_place(b).then_with(|| (&a.key, &a.value).cmp(&(&b.key, &b.value)));
        late.sort_by(|a, b| order(&a.record, &b.record));
        late.dedup_by(|a, b| order(&a.record, &b.record).is_eq());
        self.0.rejected(Reason::LateEvent, late.len() as u64);
        self.0.dropped("late", (all - late.len()) as u64);
        made.results = others;
        made.results.append(&mut late);
    }
}
