//! Measures: which aggregate functions there are, and what type each gives.
//!
//! `sum` of BIGINT is a DECIMAL, `avg` of BIGINT and DECIMAL a DECIMAL, of DOUBLE a DOUBLE; `percentile` comes from a
//! histogram and is a DOUBLE, as `stddev` and `variance` are. `min max any_value first last min_by max_by` have the type
//! of what they choose from.

use super::{AggFunc, Type};

/// How an aggregate is called, for messages.
pub(super) fn usage(name: &str) -> Option<&'static str> {
    Some(match name {
        "count" => "count(*), count(x) or count(DISTINCT x)",
        "sum" => "sum(x)",
        "avg" => "avg(x)",
        "min" => "min(x)",
        "max" => "max(x)",
        "any_value" => "any_value(x)",
        "bool_and" => "bool_and(x)",
        "bool_or" => "bool_or(x)",
        "first" => "first(x)",
        "last" => "last(x)",
        "min_by" => "min_by(x, y)",
        "max_by" => "max_by(x, y)",
        "array_agg" => "array_agg(x [ORDER BY y [DESC]] [LIMIT n])",
        "approx_count_distinct" => "approx_count_distinct(x)",
        "percentile" => "percentile(x, p)",
        "stddev" => "stddev(x)",
        "variance" => "variance(x)",
        _ => return None,
    })
}

/// `name` is in lower case.
pub(super) fn is_aggregate(name: &str) -> bool {
    usage(name).is_some()
}

/// How many arguments an aggregate takes; `count(*)` is apart.
pub(super) fn arity(name: &str) -> usize {
    if matches!(name, "min_by" | "max_by" | "percentile") { 2 } else { 1 }
}

/// Aggregates of one argument.
pub(super) fn of_one(name: &str) -> Option<AggFunc> {
    Some(match name {
        "count" => AggFunc::Count,
        "sum" => AggFunc::Sum,
        "avg" => AggFunc::Avg,
        "min" => AggFunc::Min,
        "max" => AggFunc::Max,
        "any_value" => AggFunc::AnyValue,
        "bool_and" => AggFunc::BoolAnd,
        "bool_or" => AggFunc::BoolOr,
        "first" => AggFunc::First,
        "last" => AggFunc::Last,
        "approx_count_distinct" => AggFunc::ApproxCountDistinct,
        "stddev" => AggFunc::Stddev,
        "variance" => AggFunc::Variance,
        _ => return None,
    })
}

impl AggFunc {
    /// The type of the result for an x of this type; `None` where x cannot be of it.
    pub fn result(&self, x: Type) -> Option<Type> {
        let number = x.is_number() || x.is_dynamic();
        match self {
            AggFunc::CountAll | AggFunc::Count | AggFunc::CountDistinct | AggFunc::ApproxCountDistinct => {
                Some(Type::Bigint)
            }
            AggFunc::Sum | AggFunc::Avg => match x {
                Type::Bigint | Type::Decimal | Type::Null => Some(Type::Decimal),
                Type::Double => Some(Type::Double),
                _ => number.then_some(Type::Any),
            },
            AggFunc::BoolAnd | AggFunc::BoolOr => (x == Type::Boolean || x.is_dynamic()).then_some(Type::Boolean),
            AggFunc::Percentile(_) | AggFunc::Stddev | AggFunc::Variance => number.then_some(Type::Double),
            AggFunc::ArrayAgg { .. } => Some(Type::Json),
            AggFunc::Min | AggFunc::Max | AggFunc::AnyValue | AggFunc::First | AggFunc::Last => Some(x),
            AggFunc::MinBy | AggFunc::MaxBy => Some(x),
        }
    }
}
