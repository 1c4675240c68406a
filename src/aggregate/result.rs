//! From a group's states to its row: calls' results, then measures over them, then `having`.

use std::sync::Arc;

use crate::event::{Event, Micros, Record, Value};
use crate::expr::Row;
use crate::plan::Aggregate;

use super::state::State;
use super::window;

/// What went wrong while rows were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// Measures that are NULL because a value or the result did not fit, or their expression failed.
    pub measures: u64,
    /// Rows kept out because `having` failed.
    pub having: u64,
    /// Elements of `array_agg` beyond 1,000.
    pub elements: u64,
}

/// Makes rows of one aggregate.
#[derive(Debug)]
pub struct Rows {
    /// Slots of the result's frame.
    width: usize,
    /// A row comes from no record of its own.
    record: Arc<Record>,
    /// What measures are evaluated on, and from `first` on they themselves.
    outer: Vec<Value>,
    first: usize,
}

impl Rows {
    pub fn new(width: usize) -> Self {
        Self { width, record: Arc::default(), outer: Vec::new(), first: 0 }
    }

    /// Computes the measures of a group; false if `having` keeps it out.
    pub fn measure(
        &mut self,
        aggregate: &Aggregate,
        key: &[Value],
        window: Micros,
        states: &[State],
        now: Micros,
        failures: &mut Failures,
    ) -> bool {
        self.outer.clear();
        for (call, state) in aggregate.calls.iter().zip(states) {
            let result = state.result(&call.func).inspect_err(|_| failures.measures += 1);
            self.outer.push(result.unwrap_or(Value::Null));
        }
        self.outer.extend_from_slice(key);
        if let Some(width) = aggregate.window {
            self.outer.push(Value::Timestamp(window));
            self.outer.push(Value::Timestamp(window::end(window, width)));
        }
        self.first = self.outer.len();
        for measure in &aggregate.measures {
            let value = measure.eval(self.row(now)).inspect_err(|_| failures.measures += 1);
            self.outer.push(value.unwrap_or(Value::Null));
        }
        aggregate.having.as_ref().is_none_or(|having| {
            let holds = having.is_true(self.row(now)).inspect_err(|_| failures.having += 1);
            holds.unwrap_or(false)
        })
    }

    /// What was computed last.
    pub fn measures(&self) -> &[Value] {
        &self.outer[self.first..]
    }

    fn row(&self, now: Micros) -> Row<'_> {
        Row { slots: &self.outer, record: &self.record, now }
    }

    /// The row as an event.
    pub fn event(
        &self,
        aggregate: &Aggregate,
        key: &[Value],
        window: Micros,
        measures: &[Value],
        time: Micros,
    ) -> Event {
        let bounds = aggregate.window.map(|width| [window, window::end(window, width)].map(Value::Timestamp));
        let values = key.iter().chain(measures).chain(bounds.iter().flatten());
        let mut slots = Vec::with_capacity(self.width);
        for (slot, value) in aggregate.columns.iter().zip(values) {
            // Columns mostly are the frame's first slots, in order.
            let slot = usize::from(*slot);
            if slot >= slots.len() {
                slots.resize(slot, Value::Null);
                slots.push(value.clone());
            } else {
                slots[slot] = value.clone();
            }
        }
        slots.resize(self.width, Value::Null);
        let slots = slots.into_boxed_slice();
        Event { time, layout: 0, position: Default::default(), record: self.record.clone(), slots }
    }
}
