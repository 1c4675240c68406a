//! A step's operations, run in order on an event's slots.

use std::sync::Arc;

use crate::error::{Reason, Rejected, Rejection, Stage};
use crate::event::row::Row as TableRow;
use crate::event::{Event, Key, LayoutId, Micros, Record, Value};
use crate::expr::{EvalError, Row};
use crate::plan::{Lookup, ShapeOp, Step, StepKind, slots};

use super::unnest::unnest;

/// A shape step, ready to run. A view of the plan that costs nothing to make.
#[derive(Clone, Copy, Debug)]
pub struct Program<'p> {
    name: &'p Arc<str>,
    ops: &'p [ShapeOp],
    layouts: &'p [Option<LayoutId>],
}

/// The operations before a lookup (or the end), and that lookup.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'p> {
    name: &'p Arc<str>,
    ops: &'p [ShapeOp],
    /// What follows the operations; `None` in the last segment of a program.
    pub lookup: Option<&'p Lookup>,
    /// The last segment gives an event the layout of the step's results.
    layouts: Option<&'p [Option<LayoutId>]>,
}

/// Events that a step did not let through, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// `where` was not TRUE.
    pub condition: u64,
    /// `unnest` of NULL, of a missing or an empty array.
    pub nothing_to_unnest: u64,
    /// A required lookup found no row.
    pub required: u64,
}

impl<'p> Program<'p> {
    /// The program of a step; `None` if the step does not shape.
    pub fn new(step: &'p Step) -> Option<Self> {
        match &step.kind {
            StepKind::Shape(ops) => Some(Self { name: &step.name, ops, layouts: &step.layouts }),
            _ => None,
        }
    }

    /// Does one event give at most one, with nothing asked of a table? Then [`Program::apply_one`] runs it.
    pub fn is_plain(&self) -> bool {
        !self.ops.iter().any(|op| matches!(op, ShapeOp::Unnest(_) | ShapeOp::Lookup(_)))
    }

    /// Does a plain program look at the bytes of the record, beside slots?
    pub fn reads_bytes(&self) -> bool {
        let reads = |op: &ShapeOp| match op {
            ShapeOp::Where(expr) | ShapeOp::Set { expr, .. } => expr.reads_bytes(),
            _ => false,
        };
        self.ops.iter().any(reads)
    }

    /// Runs a plain program on slots, before an event is built of them. False: a `where` dropped it.
    pub fn apply_one(&self, slots: &mut [Value], record: &Record, now: Micros) -> Result<bool, Rejection> {
        for op in self.ops {
            if !apply_op(op, slots, record, now)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The layout of a result, by that of its input.
    pub fn layout(&self, input: LayoutId) -> LayoutId {
        layout(self.layouts, input)
    }

    /// Runs a program without lookups on one event. Results leave in the order of their elements.
    pub fn apply(&self, event: Event, now: Micros, drops: &mut Drops, out: &mut impl FnMut(Result<Event, Rejected>)) {
        debug_assert_eq!(self.segments().count(), 1, "a program with lookups is run by its segments");
        if let Some(segment) = self.segments().next() {
            segment.apply(event, now, drops, out);
        }
    }

    /// What lies between lookups, in order. There is always a last one, without a lookup.
    pub fn segments(&self) -> impl Iterator<Item = Segment<'p>> + use<'p> {
        let (name, layouts) = (self.name, self.layouts);
        let mut rest = Some(self.ops);
        std::iter::from_fn(move || {
            let ops = rest.take()?;
            let at = ops.iter().position(|op| matches!(op, ShapeOp::Lookup(_)));
            let lookup = at.and_then(|at| if let ShapeOp::Lookup(lookup) = &ops[at] { Some(lookup) } else { None });
            rest = at.map(|at| &ops[at + 1..]);
            let layouts = if at.is_none() { Some(layouts) } else { None };
            Some(Segment { name, ops: &ops[..at.unwrap_or(ops.len())], lookup, layouts })
        })
    }
}

impl Segment<'_> {
    /// Runs the segment's operations on one event.
    pub fn apply(&self, event: Event, now: Micros, drops: &mut Drops, out: &mut impl FnMut(Result<Event, Rejected>)) {
        self.run(self.ops, event, now, drops, out);
    }

    fn run(
        &self,
        ops: &[ShapeOp],
        mut event: Event,
        now: Micros,
        drops: &mut Drops,
        out: &mut impl FnMut(Result<Event, Rejected>),
    ) {
        for (at, op) in ops.iter().enumerate() {
            if let ShapeOp::Unnest(op) = op {
                let record = event.record.clone();
                return match unnest(event, op) {
                    Ok(events) if events.is_empty() => drops.nothing_to_unnest += 1,
                    Ok(events) => events.into_iter().for_each(|event| self.run(&ops[at + 1..], event, now, drops, out)),
                    Err(rejection) => out(Err(rejection.at(Stage::Shape, self.name, &record))),
                };
            }
            match apply_op(op, &mut event.slots, &event.record, now) {
                Ok(true) => {}
                Ok(false) => return drops.condition += 1,
                Err(rejection) => return out(Err(rejection.at(Stage::Shape, self.name, &event.record))),
            }
        }
        if let Some(layouts) = self.layouts {
            event.layout = layout(layouts, event.layout);
        }
        out(Ok(event));
    }

    /// The key that the lookup asks for; `None` where a part is NULL, which is `=` to nothing.
    pub fn key(&self, event: &Event, now: Micros) -> Result<Option<Key>, Rejected> {
        let on = self.lookup.map_or(&[][..], |lookup| &lookup.on);
        let row = Row::of(event, now);
        let key: Result<Key, _> = on.iter().map(|part| part.eval(row)).collect();
        let key = key.map_err(|error| failed("lookup", error).at(Stage::Shape, self.name, &event.record))?;
        Ok(Some(key).filter(|key| !key.iter().any(Value::is_null)))
    }

    /// The event with the row that the lookup found; `None` if a required row is missing.
    pub fn fill(&self, mut event: Event, row: Option<&TableRow>, drops: &mut Drops) -> Option<Event> {
        if let Some(lookup) = self.lookup {
            if lookup.required && row.is_none() {
                drops.required += 1;
                return None;
            }
            slots::write_row(&mut event.slots, &lookup.row, row);
        }
        Some(event)
    }
}

/// False: the event is dropped.
fn apply_op(op: &ShapeOp, slots: &mut [Value], record: &Record, now: Micros) -> Result<bool, Rejection> {
    match op {
        ShapeOp::Where(expr) => {
            let row = Row { slots, record, now };
            return expr.is_true(row).map_err(|error| failed("where", error));
        }
        ShapeOp::Set { target, expr } => {
            let value = expr.eval(Row { slots, record, now }).map_err(|error| failed("set", error))?;
            slots::write(slots, target, value);
        }
        ShapeOp::Keep(prune) => slots::keep_fields(slots, prune),
        ShapeOp::Drop(prune) => slots::drop_fields(slots, prune),
        ShapeOp::Unnest(_) | ShapeOp::Lookup(_) => unreachable!("only plain operations run on slots alone"),
    }
    Ok(true)
}

fn layout(layouts: &[Option<LayoutId>], input: LayoutId) -> LayoutId {
    layouts.get(usize::from(input)).copied().flatten().expect("the plan knows every layout that can reach a step")
}

fn failed(what: &str, error: EvalError) -> Rejection {
    Rejection::new(Reason::ExpressionError, format!("{what}: {}", error.detail))
}
