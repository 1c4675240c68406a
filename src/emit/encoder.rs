//! Events and rows → records of one output: condition, key, headers, value, partition, place within the epoch.
//!
//! Pure. Over an append stream an event gives one record; over a changing collection a change gives the newest row,
//! or a tombstone where a row is gone.

use std::cell::RefCell;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use super::cloudevents;
use super::deliver::{Outgoing, Place};
use super::key;
use crate::error::{Reason, Rejection};
use crate::event::block::Block;
use crate::event::{Change, Event, Header, Key, Micros, OutRecord, Value, time};
use crate::expr::{EvalError, Expr, Place as Named, Pseudo, Row};
use crate::json::{self, Bodies};
use crate::plan::{Output, OutputFormat, OutputValue, Plan};

/// Encodes the records of one output.
pub struct Encoder {
    plan: Arc<Plan>,
    output: usize,
    bodies: Bodies,
    partitions: i32,
    /// Names of the columns of `partition_by`, for where they are several.
    partition_names: Vec<Arc<str>>,
    scratch: RefCell<Scratch>,
}

/// Where keys and values are written before they are copied, each at its length, to where many lie together.
#[derive(Default)]
struct Scratch {
    text: Vec<u8>,
    block: Block,
}

impl Scratch {
    /// To write to, empty.
    fn clear(&mut self) -> &mut Vec<u8> {
        self.text.clear();
        &mut self.text
    }

    /// What was written.
    fn copy(&mut self) -> Bytes {
        self.block.copy(&self.text)
    }
}

/// What a change gives: at most two records, as an output's key may be another one than the collection's.
pub type Changed = SmallVec<[Outgoing; 1]>;

/// What stands in a record's value.
pub(super) enum Content {
    Value(Value),
    /// JSON text.
    Json(Bytes),
    /// The input's value as it came.
    Raw(Option<Bytes>),
}

impl Encoder {
    /// `partitions` of the output's topic.
    pub fn new(plan: &Arc<Plan>, output: usize, partitions: i32) -> Self {
        let of = &plan.outputs[output];
        let frame = &plan.frames[of.frame];
        let name = |expr: &Expr| match expr.place() {
            Some(Named::Slot(slot)) => frame.paths[usize::from(slot)].last_name().unwrap_or_default().into(),
            Some(Named::Below(_, path)) => path.last_name().unwrap_or_default().into(),
            _ => Arc::from(""),
        };
        let partition_names = of.partition_by.iter().flatten().map(name).collect();
        let (bodies, scratch) = (Bodies::new(frame), RefCell::default());
        Self { plan: plan.clone(), output, bodies, partitions, partition_names, scratch }
    }

    pub fn name(&self) -> &Arc<str> {
        &self.of().name
    }

    fn of(&self) -> &Output {
        &self.plan.outputs[self.output]
    }

    /// The record of an event of an append stream; `None` where the output's condition does not hold.
    pub fn event(&mut self, event: &Event, now: Micros) -> Result<Option<Outgoing>, Rejection> {
        self.emitted(event, None, now)
    }

    /// The records of a change. A row that fails counts as deleted: its tombstone goes out beside the rejection.
    pub fn change(&mut self, change: &Change, now: Micros) -> (Changed, Option<Rejection>) {
        let mut rejection = None;
        let after = change.after.as_ref().and_then(|event| {
            self.emitted(event, Some(&change.key), now).unwrap_or_else(|error| {
                rejection = Some(error);
                None
            })
        });
        // What failed before was not there, so nothing is to be taken back.
        let before = change.before.as_ref().filter(|_| after.is_none() || self.of().key.is_some());
        let before = before.and_then(|event| self.emitted(event, Some(&change.key), now).ok().flatten());
        let gone = before.filter(|gone| after.as_ref().is_none_or(|after| after.record.key != gone.record.key));
        let tombstone = gone.map(|mut gone| {
            (gone.record.value, gone.record.headers) = (None, Vec::new());
            gone.record.timestamp = Some(change.time.div_euclid(time::MILLISECOND));
            gone
        });
        (tombstone.into_iter().chain(after).collect(), rejection)
    }

    fn emitted(&self, event: &Event, row_key: Option<&Key>, now: Micros) -> Result<Option<Outgoing>, Rejection> {
        let output = self.of();
        let row = Row::of(event, now);
        if let Some(condition) = &output.condition
            && !condition.is_true(row).map_err(failed)?
        {
            return Ok(None);
        }
        let key = self.key(event, row_key, row)?;
        let partition = self.partition(event, key.as_deref(), row)?;
        let by = output.order.iter().map(|(expr, _)| expr.eval(row).map_err(failed)).collect::<Result<_, _>>()?;
        let (mut headers, value) = self.value(event, row)?;
        self.headers(row, &mut headers)?;
        let record = OutRecord { key, value, headers, timestamp: Some(event.time.div_euclid(time::MILLISECOND)) };
        let place = match row_key {
            None => Place::of(event, by),
            Some(key) => Place::of_row(event, key, by),
        };
        Ok(Some(Outgoing { output: self.output as u16, partition, place, record, origin: event.record.clone() }))
    }

    fn key(&self, event: &Event, row_key: Option<&Key>, row: Row<'_>) -> Result<Option<Bytes>, Rejection> {
        let output = self.of();
        if output.key_is_input {
            return Ok(event.record.key.clone());
        }
        let computed = output.key.as_ref().map(|key| values(key, row)).transpose()?;
        let Some(values) = computed.as_deref().or(row_key.map(|key| &**key)) else { return Ok(None) };
        let mut scratch = self.scratch.borrow_mut();
        let key = key::write(&output.key_names, values, scratch.clear()).then(|| scratch.copy());
        // A collection has a row whose key is NULL, too.
        Ok(key.or_else(|| row_key.is_some().then(|| Bytes::from_static(b"null"))))
    }

    fn partition(&self, event: &Event, key: Option<&[u8]>, row: Row<'_>) -> Result<i32, Rejection> {
        let Some(by) = &self.of().partition_by else {
            return Ok(match key {
                Some(key) => key::partition(key, self.partitions),
                None => key::spread_event(event, self.partitions),
            });
        };
        let mut bytes = Vec::new();
        Ok(match key::write(&self.partition_names, &values(by, row)?, &mut bytes) {
            true => key::partition(&bytes, self.partitions),
            false => key::spread_event(event, self.partitions),
        })
    }

    /// Headers that the file names. A NULL one is left out.
    fn headers(&self, row: Row<'_>, to: &mut Vec<Header>) -> Result<(), Rejection> {
        for (name, expr) in &self.of().headers {
            let value = match expr.place() {
                // The bytes as they came: they need not be text.
                Some(Named::Pseudo(Pseudo::Header(from))) => {
                    let header = row.record.headers.iter().rev().find(|header| header.name == *from);
                    header.and_then(|header| header.value.clone())
                }
                _ => text(&expr.eval(row).map_err(failed)?).map(Bytes::from),
            };
            to.extend(value.map(|value| Header { name: (&**name).into(), value: Some(value) }));
        }
        Ok(())
    }

    /// The record's value, and the headers that its format needs.
    fn value(&self, event: &Event, row: Row<'_>) -> Result<(Vec<Header>, Option<Bytes>), Rejection> {
        match &self.of().format {
            OutputFormat::Json => {
                let value = match self.content(&self.of().value, event, row)? {
                    Content::Raw(bytes) => bytes,
                    Content::Json(bytes) => Some(bytes),
                    Content::Value(value) => Some(json_text(&value).into()),
                };
                // A null value would be a tombstone, which only a deleted row writes.
                Ok((Vec::new(), Some(value.unwrap_or_else(|| Bytes::from_static(b"null")))))
            }
            OutputFormat::CloudEvents(out) => {
                let data = match (&self.of().value, &out.data) {
                    (OutputValue::Whole, Some(data)) => Content::Value(data.eval(row).map_err(failed)?),
                    (value, _) => self.content(value, event, row)?,
                };
                cloudevents::encode(out, data, event, row, &self.bodies)
            }
        }
    }

    fn content(&self, value: &OutputValue, event: &Event, row: Row<'_>) -> Result<Content, Rejection> {
        match value {
            OutputValue::One(expr) if expr.place() == Some(Named::Pseudo(Pseudo::Value)) => {
                Ok(Content::Raw(event.record.value.clone()))
            }
            OutputValue::One(expr) => Ok(Content::Value(expr.eval(row).map_err(failed)?)),
            OutputValue::Whole if self.bodies.are_payloads(event.layout) => {
                Ok(Content::Json(event.record.body().cloned().unwrap_or_else(|| Bytes::from_static(b"{}"))))
            }
            OutputValue::Whole | OutputValue::Object(_) => {
                let mut scratch = self.scratch.borrow_mut();
                self.write(value, event, row, scratch.clear())?;
                Ok(Content::Json(scratch.copy()))
            }
        }
    }

    /// Appends a value's JSON text.
    fn write(&self, value: &OutputValue, event: &Event, row: Row<'_>, to: &mut Vec<u8>) -> Result<(), Rejection> {
        match value {
            OutputValue::Whole => self.bodies.write(event, event.layout, to),
            OutputValue::One(_) => match self.content(value, event, row)? {
                Content::Raw(bytes) => write_payload(event, bytes, to)?,
                Content::Json(bytes) => to.extend(bytes),
                Content::Value(value) => json::write(&value, to),
            },
            OutputValue::Object(members) => {
                to.push(b'{');
                for (i, member) in members.iter().enumerate() {
                    if i > 0 {
                        to.push(b',');
                    }
                    json::write_str(&member.name, to);
                    to.push(b':');
                    self.write(&member.value, event, row, to)?;
                }
                to.push(b'}');
            }
        }
        Ok(())
    }
}

/// The input's value within JSON text: as it came if it is JSON, else as a string.
fn write_payload(event: &Event, bytes: Option<Bytes>, to: &mut Vec<u8>) -> Result<(), Rejection> {
    match bytes {
        None => to.extend(b"null"),
        // Only the data of a CloudEvent need not be JSON.
        Some(bytes) if event.record.body.is_none() || json::parse(&bytes, usize::MAX).is_ok() => to.extend(&bytes),
        Some(bytes) => match std::str::from_utf8(&bytes) {
            Ok(text) => json::write_str(text, to),
            Err(_) => return Err(Rejection::new(Reason::ExpressionError, "_value is neither JSON nor UTF-8 text")),
        },
    }
    Ok(())
}

fn values(exprs: &[Expr], row: Row<'_>) -> Result<SmallVec<[Value; 2]>, Rejection> {
    exprs.iter().map(|expr| expr.eval(row).map_err(failed)).collect()
}

pub(super) fn failed(error: EvalError) -> Rejection {
    Rejection::new(Reason::ExpressionError, error.detail)
}

/// A value as plain text: VARCHAR and TIMESTAMP as they are, anything else as its JSON text; NULL is none.
pub(super) fn text(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::Null => None,
        Value::Text(text) => Some(text.as_bytes().to_vec()),
        Value::Timestamp(at) => Some(time::format(*at).as_bytes().to_vec()),
        other => Some(json_text(other)),
    }
}

pub(super) fn json_text(value: &Value) -> Vec<u8> {
    let mut to = Vec::new();
    json::write(value, &mut to);
    to
}

#[cfg(test)]
mod tests;
