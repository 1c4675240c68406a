//! One total order over all values, with equality and hash to match: numbers by their exact decimal value whatever
//! their kind (a DOUBLE by its shortest decimal form), text by code point, JSON deeply and without regard to the
//! order of its keys. This is the order of keys and of ties; SQL's own comparison is in [`crate::expr`].

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use super::Value;

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Value {}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        use Value::*;
        match (self, other) {
            (Bool(a), Bool(b)) => a.cmp(b),
            (Int(a), Int(b)) => a.cmp(b),
            (Decimal(a), Decimal(b)) => a.cmp(b),
            (Int(a), Decimal(b)) => rust_decimal::Decimal::from(*a).cmp(b),
            (Decimal(a), Int(b)) => a.cmp(&rust_decimal::Decimal::from(*b)),
            (Text(a), Text(b)) => a.as_str().cmp(b.as_str()),
            (Timestamp(a), Timestamp(b)) => a.cmp(b),
            (Interval(a), Interval(b)) => a.cmp(b),
            (Json(a), Json(b)) => cmp_json(a, b),
            (a, b) if a.rank() == 2 && b.rank() == 2 => Canonical::of(a).cmp(&Canonical::of(b)),
            (a, b) => a.rank().cmp(&b.rank()),
        }
    }
}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.rank().hash(state);
        match self {
            Value::Null => {}
            Value::Bool(b) => b.hash(state),
            Value::Int(i) => i.hash(state),
            Value::Text(t) => t.as_str().hash(state),
            Value::Timestamp(t) => t.hash(state),
            Value::Interval(i) => i.hash(state),
            Value::Double(_) | Value::Decimal(_) | Value::Number(_) => Canonical::of(self).hash(state),
            Value::Json(text) => match parse(text) {
                Some(parsed) => hash_json(&parsed, state),
                None => text.hash(state),
            },
        }
    }
}

/// A number as sign, significant digits without leading or trailing zeros, and the exponent of its first digit.
#[derive(PartialEq, Eq)]
struct Canonical {
    negative: bool,
    digits: Vec<u8>,
    exponent: i64,
}

impl Canonical {
    fn of(value: &Value) -> Self {
        match value {
            Value::Int(i) => Self::parse(&i.to_string()),
            Value::Double(d) => Self::parse(&format!("{d:e}")),
            Value::Decimal(d) => Self::parse(&d.to_string()),
            Value::Number(text) => Self::parse(text),
            _ => unreachable!("only numbers have a canonical form"),
        }
    }

    fn parse(text: &str) -> Self {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((m, e)) => (m, exponent(e)),
            None => (text, 0),
        };
        let (negative, mantissa) = match mantissa.strip_prefix('-') {
            Some(m) => (true, m),
            None => (false, mantissa),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        let leading = digits.iter().take_while(|d| **d == b'0').count();
        digits.drain(..leading);
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        if digits.is_empty() {
            return Self { negative: false, digits, exponent: 0 };
        }
        let exponent = exponent.saturating_add(whole.len() as i64 - leading as i64);
        Self { negative, digits, exponent }
    }

    /// The number as an `i64`, if it is one.
    fn as_i64(&self) -> Option<i64> {
        if self.digits.is_empty() {
            return Some(0);
        }
        if self.exponent < self.digits.len() as i64 || self.exponent > 19 {
            return None;
        }
        let zeros = self.exponent as usize - self.digits.len();
        let all = self.digits.iter().copied().chain(std::iter::repeat_n(b'0', zeros));
        let magnitude = all.fold(0i128, |n, d| n * 10 + i128::from(d - b'0'));
        i64::try_from(if self.negative { -magnitude } else { magnitude }).ok()
    }
}

/// The shortest form of a JSON number, the same for all that are equal: `1` for `1.00`, `1e400` for `10e399`.
pub(super) fn shortest(text: &str) -> String {
    let Canonical { negative, digits, exponent } = Canonical::parse(text);
    let count = digits.len() as i64;
    let digits: String = digits.into_iter().map(char::from).collect();
    let sign = if negative { "-" } else { "" };
    match exponent {
        _ if digits.is_empty() => "0".to_owned(),
        e if e >= count && e <= 28 => format!("{sign}{digits}{}", "0".repeat((e - count) as usize)),
        e if e > 0 && e < count => format!("{sign}{}.{}", &digits[..e as usize], &digits[e as usize..]),
        e if e <= 0 && count - e <= 28 => format!("{sign}0.{}{digits}", "0".repeat(-e as usize)),
        e => {
            let point = if count > 1 { "." } else { "" };
            format!("{sign}{}{point}{}e{}", &digits[..1], &digits[1..], e - 1)
        }
    }
}

/// A number's one decimal form, whatever it was written as: sign, digits without zeros at either end, `e`, the exponent
/// of the first digit. Equal numbers have equal forms; zero is `0`.
pub fn canonical_number(json: &str) -> String {
    let Canonical { negative, digits, exponent } = Canonical::parse(json);
    if digits.is_empty() {
        return "0".to_string();
    }
    let sign = if negative { "-" } else { "" };
    let digits: String = digits.into_iter().map(char::from).collect();
    format!("{sign}{digits}e{}", exponent - 1)
}

/// An exponent's value; one that no machine integer holds is as good as infinite.
fn exponent(text: &str) -> i64 {
    let limit = i64::MAX / 4;
    match text.parse::<i64>() {
        Ok(e) => e.clamp(-limit, limit),
        Err(_) if text.starts_with('-') => -limit,
        Err(_) => limit,
    }
}

impl PartialOrd for Canonical {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Canonical {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |n: &Self| {
            if n.digits.is_empty() {
                0
            } else if n.negative {
                -1
            } else {
                1
            }
        };
        sign(self).cmp(&sign(other)).then_with(|| {
            let magnitude = self.exponent.cmp(&other.exponent).then_with(|| self.digits.cmp(&other.digits));
            if self.negative { magnitude.reverse() } else { magnitude }
        })
    }
}

impl Hash for Canonical {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.as_i64() {
            Some(i) => i.hash(state),
            None => (self.negative, &self.digits, self.exponent).hash(state),
        }
    }
}

/// `None` of what nests too deep for a parser that calls itself; such texts compare as they are written.
fn parse(text: &str) -> Option<serde_json::Value> {
    serde_json::from_str(text).ok()
}

fn cmp_json(a: &str, b: &str) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    match (parse(a), parse(b)) {
        (Some(a), Some(b)) => cmp_parsed(&a, &b),
        (None, None) => a.cmp(b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
    }
}

fn cmp_parsed(a: &serde_json::Value, b: &serde_json::Value) -> Ordering {
    use serde_json::Value as J;
    let rank = |v: &J| match v {
        J::Null => 0,
        J::Bool(_) => 1,
        J::Number(_) => 2,
        J::String(_) => 3,
        J::Array(_) => 4,
        J::Object(_) => 5,
    };
    match (a, b) {
        (J::Bool(a), J::Bool(b)) => a.cmp(b),
        (J::Number(a), J::Number(b)) => Canonical::parse(a.as_str()).cmp(&Canonical::parse(b.as_str())),
        (J::String(a), J::String(b)) => a.cmp(b),
        (J::Array(a), J::Array(b)) => {
            let unequal = a.iter().zip(b).map(|(a, b)| cmp_parsed(a, b)).find(|o| o.is_ne());
            unequal.unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        (J::Object(a), J::Object(b)) => {
            let (a, b) = (sorted(a), sorted(b));
            let pairs = a.iter().zip(&b);
            let unequal = pairs.map(|(a, b)| a.0.cmp(b.0).then_with(|| cmp_parsed(a.1, b.1))).find(|o| o.is_ne());
            unequal.unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        _ => rank(a).cmp(&rank(b)),
    }
}

fn sorted(object: &serde_json::Map<String, serde_json::Value>) -> Vec<(&String, &serde_json::Value)> {
    let mut members: Vec<_> = object.iter().collect();
    members.sort_by(|a, b| a.0.cmp(b.0));
    members
}

fn hash_json<H: Hasher>(value: &serde_json::Value, state: &mut H) {
    use serde_json::Value as J;
    match value {
        J::Null => 0u8.hash(state),
        J::Bool(b) => (1u8, b).hash(state),
        J::Number(n) => {
            2u8.hash(state);
            Canonical::parse(n.as_str()).hash(state);
        }
        J::String(s) => (3u8, s).hash(state),
        J::Array(items) => {
            (4u8, items.len() as u64).hash(state);
            items.iter().for_each(|item| hash_json(item, state));
        }
        J::Object(members) => {
            (5u8, members.len() as u64).hash(state);
            for (name, value) in sorted(members) {
                name.hash(state);
                hash_json(value, state);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

    fn hash(value: &Value) -> u64 {
        BuildHasherDefault::<DefaultHasher>::default().hash_one(value)
    }

    #[test]
    fn numbers_that_are_equal_are_one_key_whatever_their_kind() {
        let one =
            [Value::Int(1), Value::Double(1.0), Value::Decimal("1.00".parse().unwrap()), Value::Number("10e-1".into())];
        for a in &one {
            for b in &one {
                assert_eq!(a, b);
                assert_eq!(hash(a), hash(b));
            }
        }
        assert_eq!(hash(&Value::Double(0.1)), hash(&Value::Decimal("0.10".parse().unwrap())));
    }

    #[test]
    fn numbers_compare_exactly() {
        let order = ["-1e400", "-3", "-0.5", "0", "1e-400", "0.5", "9007199254740992", "9007199254740993", "1e400"];
        for pair in order.windows(2) {
            assert!(Value::Number(pair[0].into()) < Value::Number(pair[1].into()), "{pair:?}");
        }
        assert!(Value::Int(9_007_199_254_740_993) > Value::Decimal("9007199254740992.5".parse().unwrap()));
    }

    #[test]
    fn decimals_of_any_scale_compare_as_their_digits_do() {
        let texts = [
            "-9999999999999999999999999999",
            "-1",
            "-0.0000000000000000000000000001",
            "0",
            "0.0000000000000000000000000001",
            "0.9999999999999999999999999999",
            "1",
            "1.000000000000000000000000001",
            "9223372036854775806.999999999",
            "9223372036854775807",
            "9223372036854775807.000000001",
            "9999999999999999999999999999",
        ];
        for (i, a) in texts.iter().enumerate() {
            for (j, b) in texts.iter().enumerate() {
                let value = |text: &str| match text.parse() {
                    Ok(int) => Value::Int(int),
                    Err(_) => Value::Decimal(text.parse().unwrap()),
                };
                assert_eq!(value(a).cmp(&value(b)), i.cmp(&j), "{a} {b}");
                assert_eq!(value(a).cmp(&Value::Number((*b).into())), i.cmp(&j), "{a} {b}");
            }
        }
    }

    #[test]
    fn json_of_unlike_structure_has_unlike_hashes() {
        let texts = [
            "[]",
            "{}",
            "[[]]",
            "[{}]",
            "[1,2]",
            "[1,[2]]",
            "[[1],2]",
            "[[1,2]]",
            r#"["a",1]"#,
            r#"{"a":1}"#,
            r#"[["a",1]]"#,
            "[null]",
            "[0]",
            r#"["a"]"#,
            r#"{"a":[]}"#,
            r#"{"a":{}}"#,
        ];
        let hashes: std::collections::BTreeSet<u64> =
            texts.iter().map(|text| hash(&Value::Json((*text).into()))).collect();
        assert_eq!(hashes.len(), texts.len());
    }

    #[test]
    fn json_is_deep_and_its_keys_have_no_order() {
        let json = |text: &str| Value::Json(text.into());
        let (a, b) = (json(r#"{"a":1,"b":[2.0]}"#), json(r#"{"b":[2],"a":1e0}"#));
        assert_eq!(a, b);
        assert_eq!(hash(&a), hash(&b));
        assert_ne!(json(r#"{"a":null}"#), json("{}"));
    }
}
