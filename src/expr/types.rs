//! Types: their names, what may be compared, and what several branches have in common.

use super::Type;
use crate::event::Value;

impl Type {
    pub fn name(self) -> &'static str {
        match self {
            Type::Any => "of any type",
            Type::Null => "NULL",
            Type::Boolean => "BOOLEAN",
            Type::Bigint => "BIGINT",
            Type::Double => "DOUBLE",
            Type::Decimal => "DECIMAL",
            Type::Varchar => "VARCHAR",
            Type::Timestamp => "TIMESTAMP",
            Type::Interval => "INTERVAL",
            Type::Json => "JSON",
        }
    }

    /// The type of a value.
    pub fn of(value: &Value) -> Type {
        match value {
            Value::Null => Type::Null,
            Value::Bool(_) => Type::Boolean,
            Value::Int(_) => Type::Bigint,
            Value::Double(_) => Type::Double,
            Value::Decimal(_) | Value::Number(_) => Type::Decimal,
            Value::Text(_) => Type::Varchar,
            Value::Timestamp(_) => Type::Timestamp,
            Value::Interval(_) => Type::Interval,
            Value::Json(_) => Type::Json,
        }
    }

    pub fn is_number(self) -> bool {
        matches!(self, Type::Bigint | Type::Double | Type::Decimal)
    }

    /// Is the type of a value found only when it is there? A JSON value can be a scalar, which is its SQL value.
    pub fn is_dynamic(self) -> bool {
        matches!(self, Type::Any | Type::Null | Type::Json)
    }

    /// May values of the two be compared, as far as is known?
    pub(super) fn compares_with(self, other: Type) -> bool {
        self == other || self.is_dynamic() || other.is_dynamic() || self.is_number() && other.is_number()
    }

    /// The type of a value that is of either; `None` where there is none.
    pub(super) fn common(self, other: Type) -> Option<Type> {
        match (self, other) {
            (a, b) if a == b => Some(a),
            (Type::Null, t) | (t, Type::Null) => Some(t),
            (a, b) if a.is_dynamic() || b.is_dynamic() => Some(Type::Any),
            (a, b) if a.is_number() && b.is_number() => Some(a.wider(b)),
            _ => None,
        }
    }

    /// The type in which numbers of the two types are computed.
    pub(super) fn wider(self, other: Type) -> Type {
        match (self, other) {
            (Type::Double, _) | (_, Type::Double) => Type::Double,
            (Type::Decimal, _) | (_, Type::Decimal) => Type::Decimal,
            _ => Type::Bigint,
        }
    }
}

/// Names of types, with the usual aliases.
pub(super) fn by_name(name: &str) -> Option<Type> {
    Some(match name.to_ascii_lowercase().as_str() {
        "boolean" | "bool" => Type::Boolean,
        "bigint" | "int" | "integer" | "int8" | "int4" => Type::Bigint,
        "double" | "double precision" | "float8" | "float" => Type::Double,
        "decimal" | "numeric" | "dec" => Type::Decimal,
        "varchar" | "text" | "character varying" => Type::Varchar,
        "timestamp" | "timestamptz" | "timestamp with time zone" | "timestamp without time zone" => Type::Timestamp,
        "interval" => Type::Interval,
        "json" | "jsonb" => Type::Json,
        _ => return None,
    })
}
