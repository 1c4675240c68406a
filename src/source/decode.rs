//! A record becomes an event: checked whole, its fields read into slots and typed, its time found.
//!
//! The slots are the caller's: what it rejects or drops costs no allocation here.

use super::{cloudevents, fields};
use crate::error::{Reason, Rejection};
use crate::event::key::canonical;
use crate::event::{Key, Micros, Record, SlotId, Value, time};
use crate::expr::{Expr, Row};
use crate::json::{JsonError, JsonErrorKind, Reader};
use crate::plan::{Decode, Format, Limits};

/// Decodes the records of one source or table.
#[derive(Debug)]
pub struct Decoder {
    format: Format,
    reader: Reader,
    fields: Vec<fields::Field>,
    attributes: cloudevents::Attributes,
    limits: Limits,
    /// Is a time too far ahead of the wall clock refused?
    wall_clock: bool,
}

impl Decoder {
    pub fn new(decode: &Decode, limits: &Limits, wall_clock: bool) -> Self {
        let paths: Vec<_> = decode.reads.iter().map(|read| (read.path.clone(), read.slot)).collect();
        // The data of a CloudEvent lies one level deeper in the body than in its record.
        let depth = limits.depth.saturating_add(usize::from(decode.format == Format::CloudEvents));
        Self {
            format: decode.format,
            reader: Reader::new(&paths, depth),
            fields: fields::Field::of(&decode.reads),
            attributes: cloudevents::Attributes::new(),
            limits: *limits,
            wall_clock,
        }
    }

    /// Does it need the whole record, and not only its value and where it stood?
    pub fn needs_record(&self, decode: &Decode) -> bool {
        self.format == Format::CloudEvents || decode.time.as_ref().is_some_and(Expr::reads_bytes)
    }

    /// As [`Decoder::decode`], of a whole record. Gives it its body where that is not its value.
    pub fn decode_record(
        &self,
        decode: &Decode,
        record: &mut Record,
        now: Micros,
        slots: &mut [Value],
    ) -> Result<Option<Micros>, Rejection> {
        self.check_size(record.value.as_deref())?;
        if self.format == Format::CloudEvents {
            record.body = cloudevents::body(record, self.limits.depth, &self.attributes)?;
        }
        self.read(decode, record, record.body().map(|body| &**body), now, slots)
    }

    /// Reads a record's value into `slots` and finds its time; `None` if it has none. A null value is rejected (for a
    /// table it deletes, which is the caller's to see), unless it is a CloudEvent without data.
    ///
    /// `decode` is the one that this decoder was made of, `now` the wall clock. Of `record` no bytes are looked at:
    /// not for those that [`Decoder::needs_record`].
    pub fn decode(
        &self,
        decode: &Decode,
        record: &Record,
        value: Option<&[u8]>,
        now: Micros,
        slots: &mut [Value],
    ) -> Result<Option<Micros>, Rejection> {
        self.check_size(value)?;
        self.read(decode, record, value, now, slots)
    }

    fn read(
        &self,
        decode: &Decode,
        record: &Record,
        body: Option<&[u8]>,
        now: Micros,
        slots: &mut [Value],
    ) -> Result<Option<Micros>, Rejection> {
        let body = body.ok_or_else(|| Rejection::new(Reason::DecodeError, "the value is null"))?;
        self.reader.read(body, slots).map_err(|error| not_json(&error))?;
        self.fields.iter().try_for_each(|field| field.check(slots))?;
        let at = match &decode.time {
            Some(expr) => Some(evaluated(expr, Row { slots, record, now })?),
            None => record.timestamp.map(of_millis).transpose()?,
        };
        match at {
            Some(at) if self.wall_clock => self.not_ahead(at, now).map(Some),
            at => Ok(at),
        }
    }

    fn check_size(&self, value: Option<&[u8]>) -> Result<(), Rejection> {
        let size = value.map_or(0, <[u8]>::len);
        if size > self.limits.record {
            let message = format!("the value has {size} bytes, more than limits.record ({})", self.limits.record);
            return Err(Rejection::new(Reason::RecordTooLarge, message));
        }
        Ok(())
    }

    fn not_ahead(&self, at: Micros, now: Micros) -> Result<Micros, Rejection> {
        let ahead = Micros::try_from(self.limits.ahead.as_micros()).unwrap_or(Micros::MAX);
        if at > now.saturating_add(ahead) {
            return Err(unusable(format!("{} lies further ahead of the clock than limits.ahead", time::format(at))));
        }
        Ok(at)
    }
}

fn evaluated(expr: &Expr, row: Row<'_>) -> Result<Micros, Rejection> {
    match expr.eval(row).map_err(|error| unusable(error.detail))? {
        Value::Timestamp(at) => Ok(at),
        Value::Null => Err(unusable("it is NULL")),
        Value::Text(text) => match time::parse_rfc3339(&text) {
            Some(at) => Ok(at),
            None => Err(unusable(format!("{} is not RFC 3339", fields::shown(&Value::Text(text))))),
        },
        other => Err(unusable(format!("{} is neither a TIMESTAMP nor text", fields::shown(&other)))),
    }
}

/// The key of a table's row: the values of these slots, or the record's key. Without NULL, and with numbers in the
/// form that all equal ones share.
pub fn row_key(key: Option<&[SlotId]>, record: &Record, slots: &[Value]) -> Result<Key, Rejection> {
    let bad = |message: String| Rejection::new(Reason::KeyError, message);
    let Some(fields) = key else {
        let key = record.key.as_deref().ok_or_else(|| bad("the record has no key".into()))?;
        let text = std::str::from_utf8(key).map_err(|_| bad("the record's key is not UTF-8".into()))?;
        return Ok([Value::text(text)].into());
    };
    let parts = fields.iter().enumerate().map(|(i, slot)| match &slots[usize::from(*slot)] {
        Value::Null => Err(bad(format!("field {} of the key is missing or null", i + 1))),
        value => Ok(canonical(value.clone())),
    });
    parts.collect::<Result<Vec<_>, _>>().map(Into::into)
}

fn of_millis(millis: i64) -> Result<Micros, Rejection> {
    let micros = time::checked(i128::from(millis) * 1000);
    micros.ok_or_else(|| unusable(format!("the record's timestamp, {millis} ms, is out of range")))
}

fn unusable(why: impl std::fmt::Display) -> Rejection {
    Rejection::new(Reason::TimeError, format!("the event's time is unusable: {why}"))
}

/// The rejection of a value that is no JSON object, or nests too deeply.
pub(super) fn not_json(error: &JsonError) -> Rejection {
    let reason = match error.kind {
        JsonErrorKind::Syntax => Reason::DecodeError,
        JsonErrorKind::TooDeep => Reason::TooDeep,
    };
    Rejection::new(reason, format!("the value is not acceptable JSON: {error}"))
}

#[cfg(test)]
mod tests;
