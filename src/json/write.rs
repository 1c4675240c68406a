//! Values as JSON text.

use std::io::Write;

use rust_decimal::Decimal;

use crate::event::{Value, time};

/// Appends a value's JSON text. TIMESTAMP and INTERVAL are strings, numbers as they came, DOUBLE in its shortest form.
pub fn write(value: &Value, to: &mut Vec<u8>) {
    match value {
        Value::Null => to.extend(b"null"),
        Value::Bool(true) => to.extend(b"true"),
        Value::Bool(false) => to.extend(b"false"),
        Value::Int(int) => integer(*int, to),
        Value::Double(double) => write_double(*double, to),
        Value::Decimal(decimal) => write_decimal(decimal, to),
        Value::Number(text) | Value::Json(text) => to.extend(text.as_bytes()),
        Value::Text(text) => write_str(text, to),
        Value::Timestamp(micros) => quoted(&time::format(*micros), to),
        Value::Interval(interval) => quoted(&time::format_interval(*interval), to),
    }
}

/// A value's JSON text, as bytes.
pub fn to_vec(value: &Value) -> Vec<u8> {
    let mut text = Vec::new();
    write(value, &mut text);
    text
}

/// A value's JSON text.
pub fn text(value: &Value) -> String {
    String::from_utf8(to_vec(value)).expect("JSON is written as UTF-8")
}

/// Appends a text as a JSON string: only what must be escaped is.
pub fn write_str(text: &str, to: &mut Vec<u8>) {
    to.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let special = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
        let plain = special.unwrap_or(rest.len());
        to.extend(&rest[..plain]);
        let Some(special) = rest.get(plain) else { break };
        match special {
            b'"' => to.extend(b"\\\""),
            b'\\' => to.extend(b"\\\\"),
            b'\n' => to.extend(b"\\n"),
            b'\r' => to.extend(b"\\r"),
            b'\t' => to.extend(b"\\t"),
            0x08 => to.extend(b"\\b"),
            0x0c => to.extend(b"\\f"),
            control => display(&format_args!("\\u{control:04x}"), to),
        }
        rest = &rest[plain + 1..];
    }
    to.push(b'"');
}

/// Appends the fewest digits that give the same double back, in the form that PostgreSQL writes: with an exponent
/// below 1e-4 and from 1e+15.
pub fn write_double(double: f64, to: &mut Vec<u8>) {
    let text = format!("{double:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..15).contains(&exponent) {
        display(&double, to);
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        display(&format_args!("{mantissa}e{sign}{:02}", exponent.abs()), to);
    }
}

/// Appends an integer's digits.
pub(crate) fn integer(int: i64, to: &mut Vec<u8>) {
    if int < 0 {
        to.push(b'-');
    }
    digits(int.unsigned_abs(), 0, to);
}

/// Appends a DECIMAL with the digits after the point that it has.
fn write_decimal(decimal: &Decimal, to: &mut Vec<u8>) {
    let (Ok(mantissa), false) = (u64::try_from(decimal.mantissa().unsigned_abs()), decimal.is_zero()) else {
        return display(decimal, to);
    };
    if decimal.is_sign_negative() {
        to.push(b'-');
    }
    digits(mantissa, decimal.scale() as usize, to);
}

/// Appends the digits of a number, the last `scale` of them after a point.
fn digits(mut rest: u64, scale: usize, to: &mut Vec<u8>) {
    // 20 digits, or a zero and a point before 28.
    let mut text = [b'0'; 32];
    let mut at = text.len();
    for place in 0.. {
        if place == scale && scale > 0 {
            at -= 1;
            text[at] = b'.';
        }
        if rest == 0 && place > scale {
            break;
        }
        at -= 1;
        text[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    to.extend(&text[at..]);
}

/// A text that needs no escapes.
fn quoted(text: &str, to: &mut Vec<u8>) {
    to.push(b'"');
    to.extend(text.as_bytes());
    to.push(b'"');
}

fn display(value: &dyn std::fmt::Display, to: &mut Vec<u8>) {
    write!(to, "{value}").expect("writing to memory does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Interval;

    fn json(value: Value) -> String {
        let mut to = Vec::new();
        write(&value, &mut to);
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn numbers_are_written_as_they_came() {
        assert_eq!(json(Value::Int(i64::MIN)), i64::MIN.to_string());
        assert_eq!(json(Value::Int(0)), "0");
        assert_eq!(json(Value::Decimal("1.00".parse().unwrap())), "1.00");
        assert_eq!(json(Value::Number("1E400".into())), "1E400");
    }

    proptest::proptest! {
        #[test]
        fn numbers_are_written_as_the_library_writes_them(int: i64, mantissa in -(1i128 << 90)..(1i128 << 90), cut in 0u32..90, scale in 0u32..=28) {
            proptest::prop_assert_eq!(json(Value::Int(int)), int.to_string());
            let decimal = Decimal::from_i128_with_scale(mantissa >> cut, scale);
            proptest::prop_assert_eq!(json(Value::Decimal(decimal)), decimal.to_string());
        }
    }

    #[test]
    fn doubles_take_the_fewest_digits() {
        let cases = [
            (1.0, "1"),
            (0.1, "0.1"),
            (-0.0, "-0"),
            (1e14, "100000000000000"),
            (1e15, "1e+15"),
            (1.5e300, "1.5e+300"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
        ];
        for (double, text) in cases {
            assert_eq!(json(Value::Double(double)), text);
        }
    }

    #[test]
    fn text_is_escaped_only_where_it_must_be() {
        assert_eq!(json(Value::text("a\"b\\c\n\u{1}/ü€😀")), r#""a\"b\\c\n\u0001/ü€😀""#);
        assert_eq!(
            json(Value::text("a longer text, its \"quote\" far behind")),
            r#""a longer text, its \"quote\" far behind""#
        );
    }

    #[test]
    fn times_are_strings() {
        assert_eq!(json(Value::Timestamp(1_500_000)), "\"1970-01-01T00:00:01.500Z\"");
        assert_eq!(json(Value::Interval(Interval { months: 0, days: 0, micros: 3_600_000_000 })), "\"PT1H\"");
    }
}
