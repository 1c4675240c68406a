//! `fields`: the declared types, checked and made.
//!
//! A slot holds the JSON value as it came; a declared field becomes a value of its type, so that what is computed
//! with it follows the type and not the form in which one producer writes it.

use rust_decimal::Decimal;

use crate::error::{Reason, Rejection};
use crate::event::{SlotId, Value, time};
use crate::expr::Type;
use crate::json::{self, Path};
use crate::plan::Read;

/// One field that `fields` declares.
#[derive(Debug)]
pub struct Field {
    slot: SlotId,
    path: Path,
    ty: Type,
    not_null: bool,
}

impl Field {
    /// Those reads that are declared.
    pub fn of(reads: &[Read]) -> Vec<Field> {
        let field = |read: &Read| {
            Some(Field { slot: read.slot, path: read.path.clone(), ty: read.ty?, not_null: read.not_null })
        };
        reads.iter().filter_map(field).collect()
    }

    /// Makes the slot's value one of the field's type, or says that it is none.
    pub fn check(&self, slots: &mut [Value]) -> Result<(), Rejection> {
        let slot = &mut slots[usize::from(self.slot)];
        if slot.is_null() {
            return if self.not_null { Err(self.missing()) } else { Ok(()) };
        }
        let fits = matches!(
            (self.ty, &*slot),
            (Type::Boolean, Value::Bool(_))
                | (Type::Bigint, Value::Int(_))
                | (Type::Varchar, Value::Text(_))
                | (Type::Decimal, Value::Decimal(_) | Value::Number(_))
                | (Type::Any | Type::Json, _)
        );
        if !fits {
            *slot = converted(self.ty, slot).ok_or_else(|| self.of_another_type(slot))?;
        }
        Ok(())
    }

    #[cold]
    fn missing(&self) -> Rejection {
        let message = format!("`{}` is missing or null, but declared {} NOT NULL", self.path, word(self.ty));
        Rejection::new(Reason::TypeError, message)
    }

    #[cold]
    fn of_another_type(&self, value: &Value) -> Rejection {
        let message = format!("`{}` is declared {}, which {} is not", self.path, word(self.ty), shown(value));
        Rejection::new(Reason::TypeError, message)
    }
}

/// A value that is one of the type, but not in its form.
fn converted(ty: Type, value: &Value) -> Option<Value> {
    match (ty, value) {
        // An integer literal that no BIGINT gives back.
        (Type::Bigint, Value::Number(text)) if **text == *"-0" => Some(Value::Int(0)),
        (Type::Decimal, Value::Int(int)) => Some(Value::Decimal(Decimal::from(*int))),
        (Type::Double, Value::Int(int)) => Some(Value::Double(*int as f64)),
        (Type::Double, Value::Decimal(decimal)) => finite(&decimal.to_string()),
        (Type::Double, Value::Number(text)) => finite(text),
        (Type::Timestamp, Value::Text(text)) => time::parse_rfc3339(text).map(Value::Timestamp),
        _ => None,
    }
}

/// The nearest double, if there is a finite one.
fn finite(number: &str) -> Option<Value> {
    number.parse().ok().filter(|double: &f64| double.is_finite()).map(Value::Double)
}

fn word(ty: Type) -> &'static str {
    match ty {
        Type::Any | Type::Null => "dynamic",
        declared => declared.name(),
    }
}

/// A value's JSON text, cut to a readable length.
pub(super) fn shown(value: &Value) -> String {
    const LONGEST: usize = 100;
    let mut text = json::text(value);
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push('…');
    }
    text
}
