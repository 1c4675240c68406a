//! Events and rows → records of one output: condition, key, headers, value, partition, place within the epoch.
//!
//! Pure. Over an append stream an event gives one record; over a changing collection a change gives the newest row,
//! or a tombstone where a row is gone.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use super::cloudevents;
use super::deliver::{Outgoing, Place, Within};
use super::key;
use crate::error::{Reason, Rejection};
use crate::event::block::Block;
use crate::event::{Change, Event, Header, Key, Micros, OutRecord, Position, Record, Value, time};
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

/// A record that is encoded, and its values of `order`.
struct Encoded {
    partition: i32,
    by: Box<[Value]>,
    record: OutRecord,
}

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

    /// Does what becomes of a row depend on the epoch's time?
    pub fn changes_with_time(&self) -> bool {
        self.of().changing && self.of().needs_clock
    }

    fn of(&self) -> &Output {
        &self.plan.outputs[self.output]
    }

    /// A message without what the environment gave.
    pub fn hide<'a>(&self, message: &'a str) -> Cow<'a, str> {
        self.plan.hidden.hide(message)
    }

    /// What stands for an event of this output among the dead letters.
    pub fn origin(&self, event: &Event) -> Arc<Record> {
        self.bodies.origin(event)
    }

    /// The record of an event of an append stream; `None` where the output's condition does not hold.
    pub fn event(&self, event: &mut Event, now: Micros) -> Result<Option<Outgoing>, Rejection> {
        let Some(encoded) = self.encode(event, None, now)? else { return Ok(None) };
        let within = Within::Event(event.time, std::mem::take(&mut event.position));
        Ok(Some(self.outgoing(encoded, within, event.record.clone())))
    }

    /// Adds the records of a change: at most two, as an output's key may be another one than the collection's. A row
    /// that fails counts as deleted: its tombstone goes out beside the rejection. `then` is the epoch's time at which
    /// the row before was written, `None` if it was not. Returns whether there is a row now.
    pub fn change(
        &self,
        change: Change,
        then: Option<Micros>,
        now: Micros,
        to: &mut Vec<Outgoing>,
    ) -> Result<bool, Rejection> {
        let Change { key, time, before, after } = change;
        let encoded = after.as_ref().map_or(Ok(None), |event| self.encode(event, Some(&key), now));
        let (encoded, failed) = match encoded {
            Ok(encoded) => (encoded, Ok(())),
            Err(rejection) => (None, Err(rejection)),
        };
        let is_there = encoded.is_some();
        // What failed before was not there, so nothing is to be taken back.
        let before = before.filter(|_| encoded.is_none() || self.of().key.is_some());
        if let (Some(event), Some(then)) = (before, then)
            && let Ok(Some(mut gone)) = self.encode(&event, Some(&key), then)
            && encoded.as_ref().is_none_or(|encoded| encoded.record.key != gone.record.key)
        {
            (gone.record.value, gone.record.headers) = (None, Vec::new());
            gone.record.timestamp = Some(time.div_euclid(time::MILLISECOND));
            to.push(self.outgoing(gone, Within::Row(key.clone()), event.record));
        }
        if let (Some(encoded), Some(event)) = (encoded, after) {
            to.push(self.outgoing(encoded, Within::Row(key), event.record));
        }
        failed.map(|()| is_there)
    }

    fn outgoing(&self, encoded: Encoded, within: Within, origin: Arc<Record>) -> Outgoing {
        let Encoded { partition, by, record } = encoded;
        Outgoing { output: self.output as u16, partition, place: Place { by, within }, record, origin }
    }

    /// `row_key` is that of a collection's row.
    fn encode(&self, event: &Event, row_key: Option<&Key>, now: Micros) -> Result<Option<Encoded>, Rejection> {
        let output = self.of();
        let row = Row::of(event, now);
        if let Some(condition) = &output.condition
            && !condition.is_true(row).map_err(failed)?
        {
            return Ok(None);
        }
        let key = self.key(event, row_key, row)?;
        let partition = self.partition(event, row_key, key.as_deref(), row)?;
        let by = output.order.iter().map(|(expr, _)| expr.eval(row).map_err(failed)).collect::<Result<_, _>>()?;
        let (mut headers, value) = self.value(event, row)?;
        self.headers(row, &mut headers)?;
        let record = OutRecord { key, value, headers, timestamp: Some(event.time.div_euclid(time::MILLISECOND)) };
        Ok(Some(Encoded { partition, by, record }))
    }

    fn key(&self, event: &Event, row_key: Option<&Key>, row: Row<'_>) -> Result<Option<Bytes>, Rejection> {
        let output = self.of();
        // A collection has a row whose key is NULL, too.
        let or_null = |key: Option<Bytes>| key.or_else(|| row_key.is_some().then(|| Bytes::from_static(b"null")));
        if output.key_is_input {
            return Ok(or_null(event.record.key.clone()));
        }
        let write = |values: &[Value]| {
            let mut scratch = self.scratch.borrow_mut();
            key::write(&output.key_names, values, scratch.clear()).then(|| scratch.copy())
        };
        let key = match (output.key.as_deref(), row_key) {
            (Some([one]), _) => write(std::slice::from_ref(&*one.eval_in_place(row).map_err(failed)?)),
            (Some(several), _) => write(&values(several, row)?),
            (None, Some(key)) => write(key),
            (None, None) => return Ok(None),
        };
        Ok(or_null(key))
    }

    fn partition(
        &self,
        event: &Event,
        row_key: Option<&Key>,
        key: Option<&[u8]>,
        row: Row<'_>,
    ) -> Result<i32, Rejection> {
        let spread = || match row_key {
            Some(key) => key::spread(&event.record, &[Position::Key(key.clone())], self.partitions),
            None => key::spread(&event.record, &event.position, self.partitions),
        };
        let Some(by) = &self.of().partition_by else {
            return Ok(key.map_or_else(spread, |key| key::partition(key, self.partitions)));
        };
        let mut bytes = Vec::new();
        Ok(match key::write(&self.partition_names, &values(by, row)?, &mut bytes) {
            true => key::partition(&bytes, self.partitions),
            false => spread(),
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
                    Content::Value(value) => Some(json::to_vec(&value).into()),
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
        other => Some(json::to_vec(other)),
    }
}

#[cfg(test)]
mod tests;
