//! Values as OData writes them: in JSON (OData JSON Format 4.01 §7.1) and as key literals in URLs (OData ABNF).

use crate::edm::EdmType;
use bulkhead_sdk::Value;
use bulkhead_upstream::{base64_url, rfc3339};
use std::fmt::Write as _;

/// How a property's values are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Form {
    pub(crate) edm_type: EdmType,
    pub(crate) precision: Option<u8>,
    pub(crate) scale: Option<u8>,
    pub(crate) ieee754_compatible: bool,
}

/// Digits of a second's fraction where `precision` says nothing.
const FRACTION_DIGITS_DEFAULT: u8 = 3;

/// A value in both spellings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Literal {
    /// JSON text.
    pub(crate) json: String,
    /// In a key predicate, percent-encoded.
    pub(crate) url: String,
}

impl Form {
    /// Writes a value.
    ///
    /// # Errors
    /// Half a sentence: why the value does not fit the type.
    pub(crate) fn write(&self, value: &Value) -> Result<Literal, String> {
        let name = self.edm_type.name();
        let no = |reason: &str| Err(format!("{} does not fit {name}: {reason}", shown(value)));
        let text = match self.edm_type {
            EdmType::Boolean => match value {
                Value::Boolean(value) => value.to_string(),
                Value::Integer(number @ (0 | 1)) => (*number == 1).to_string(),
                _ => return no("it is not true, false, 0 or 1"),
            },
            EdmType::Single | EdmType::Double => match number(value) {
                Some(number) => return Ok(self.float(number)),
                None => return no("it is no number"),
            },
            EdmType::Decimal => match digits(value) {
                Some(digits) => match self.decimal(&digits) {
                    Some(digits) => digits,
                    None => return no(&format!("it has more than {} digits", self.precision.unwrap_or_default())),
                },
                None => return no("it is no finite number"),
            },
            EdmType::String => return Ok(quoted(&text(value), "")),
            EdmType::DateTimeOffset | EdmType::Date | EdmType::TimeOfDay => match value {
                Value::Time(time_ns) => self.moment(*time_ns),
                _ => return no("it is no time"),
            },
            EdmType::Duration => match value {
                Value::Duration(duration_ns) => duration(*duration_ns),
                _ => return no("it is no duration"),
            },
            EdmType::Guid => match value {
                Value::Text(text) if is_guid(text) => text.clone(),
                _ => return no("it is no text of the form 00000000-0000-0000-0000-000000000000"),
            },
            EdmType::Binary => match value {
                Value::Bytes(bytes) => base64_url(bytes),
                Value::File(file) => base64_url(&file.data),
                _ => return no("it is no bytes"),
            },
            _ => match (self.edm_type.whole_range(), whole(value)) {
                (Some((low, high)), Some(number)) if (low..=high).contains(&number) => number.to_string(),
                (_, Some(_)) => return no("it is out of range"),
                (_, None) => return no("it is no whole number of 64 bits"),
            },
        };
        Ok(self.spelt(text))
    }

    /// The two spellings of a text that needs no escaping.
    fn spelt(&self, text: String) -> Literal {
        let is_number = self.edm_type.whole_range().is_some() || self.edm_type == EdmType::Decimal;
        let is_wide = matches!(self.edm_type, EdmType::Int64 | EdmType::Decimal);
        let is_bare = self.edm_type == EdmType::Boolean || (is_number && !(is_wide && self.ieee754_compatible));
        let json = if is_bare { text.clone() } else { format!("\"{text}\"") };
        let url = match self.edm_type {
            EdmType::Duration => percent_encoded(&format!("duration'{text}'")),
            EdmType::Binary => percent_encoded(&format!("binary'{text}'")),
            _ => percent_encoded(&text),
        };
        Literal { json, url }
    }

    /// Floats have names for what JSON has no number for.
    fn float(&self, number: f64) -> Literal {
        #[expect(clippy::cast_possible_truncation, reason = "Edm.Single is the nearest 32-bit float")]
        let (is_finite, digits) = match self.edm_type {
            EdmType::Single => ((number as f32).is_finite(), format!("{:?}", number as f32)),
            _ => (number.is_finite(), format!("{number:?}")),
        };
        let named = match (number.is_nan(), number > 0.0) {
            (true, _) => "NaN",
            (false, true) => "INF",
            (false, false) => "-INF",
        };
        if is_finite {
            Literal { url: digits.clone(), json: digits }
        } else {
            Literal { json: format!("\"{named}\""), url: named.to_owned() }
        }
    }

    fn moment(&self, time_ns: i64) -> String {
        let digits = self.precision.unwrap_or(FRACTION_DIGITS_DEFAULT);
        let written = rfc3339(time_ns, digits);
        let (date, time) = written.split_once('T').unwrap_or((&written, ""));
        match self.edm_type {
            EdmType::Date => date.to_owned(),
            EdmType::TimeOfDay => time.trim_end_matches('Z').to_owned(),
            _ => written,
        }
    }

    /// The digits with at most `scale` after the point; none: more than `precision` in all.
    fn decimal(&self, digits: &str) -> Option<String> {
        let rounded = match self.scale {
            Some(scale) => rounded(digits, usize::from(scale)),
            None => digits.to_owned(),
        };
        let significant = rounded.trim_start_matches(['-', '0', '.']).bytes().filter(u8::is_ascii_digit).count();
        match self.precision {
            Some(precision) if significant > usize::from(precision) => None,
            _ => Some(rounded),
        }
    }
}

/// A text in JSON and, after a type's prefix, in quotes for a URL.
fn quoted(text: &str, prefix: &str) -> Literal {
    let json = serde_json::Value::from(text).to_string();
    Literal { json, url: percent_encoded(&format!("{prefix}'{}'", text.replace('\'', "''"))) }
}

/// Everything but unreserved characters (RFC 3986 §2.3) and the quote and parentheses' own, as `%XX`: a slash inside a key
/// must not become a path.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~'".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Real(_) | Value::Integer(_) | Value::Decimal(_) | Value::Boolean(_) => value.as_f64(),
        _ => None,
    }
}

fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) | Value::Duration(number) => Some(*number),
        Value::Boolean(value) => Some(i64::from(*value)),
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
        Value::Real(number) if number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0 => Some(*number as i64),
        Value::Decimal(digits) => match digits.split_once('.') {
            Some((whole, fraction)) if fraction.bytes().all(|digit| digit == b'0') => whole.parse().ok(),
            Some(_) => None,
            None => digits.parse().ok(),
        },
        _ => None,
    }
}

/// All digits of a number, without an exponent.
fn digits(value: &Value) -> Option<String> {
    match value {
        Value::Decimal(digits) => {
            Some(digits.strip_prefix('+').unwrap_or(digits).to_owned()).filter(|text| is_decimal(text))
        }
        Value::Integer(number) => Some(number.to_string()),
        Value::Boolean(value) => Some(u8::from(*value).to_string()),
        Value::Real(number) if number.is_finite() => Some(number.to_string()),
        _ => None,
    }
}

fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    [whole, fraction].iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Digits rounded to so many after the point, halves away from zero.
fn rounded(digits: &str, scale: usize) -> String {
    let (sign, unsigned) = digits.strip_prefix('-').map_or(("", digits), |unsigned| ("-", unsigned));
    let Some((whole, fraction)) = unsigned.split_once('.').filter(|(_, fraction)| fraction.len() > scale) else {
        return digits.to_owned();
    };
    let mut kept: Vec<u8> = whole.bytes().chain(fraction.bytes().take(scale)).collect();
    if fraction.as_bytes()[scale] >= b'5' {
        add_one(&mut kept);
    }
    let point = kept.len() - scale;
    let (whole, fraction) = kept.split_at(point);
    let text = |digits: &[u8]| digits.iter().map(|&digit| char::from(digit)).collect::<String>();
    let joined = if scale == 0 { text(whole) } else { format!("{}.{}", text(whole), text(fraction)) };
    let is_zero = joined.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    if is_zero { joined } else { format!("{sign}{joined}") }
}

fn add_one(digits: &mut Vec<u8>) {
    for digit in digits.iter_mut().rev() {
        if *digit == b'9' {
            *digit = b'0';
        } else {
            *digit += 1;
            return;
        }
    }
    digits.insert(0, b'1');
}

/// ISO 8601 as Edm.Duration has it: seconds with their fraction, `-PT90.5S`.
fn duration(duration_ns: i64) -> String {
    let sign = if duration_ns < 0 { "-" } else { "" };
    let ns = duration_ns.unsigned_abs();
    let (seconds, fraction) = (ns / 1_000_000_000, ns % 1_000_000_000);
    if fraction == 0 {
        return format!("{sign}PT{seconds}S");
    }
    let fraction = format!("{fraction:09}");
    format!("{sign}PT{seconds}.{}S", fraction.trim_end_matches('0'))
}

fn is_guid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let lengths = parts.iter().map(|part| part.len());
    lengths.eq([8, 4, 4, 4, 12]) && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Any value as a text.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Boolean(value) => value.to_string(),
        Value::Integer(number) | Value::Duration(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Decimal(text) | Value::Text(text) => text.clone(),
        Value::Time(time_ns) => rfc3339(*time_ns, FRACTION_DIGITS_DEFAULT),
        Value::Bytes(bytes) => base64_url(bytes),
        Value::File(file) => file.name.clone(),
    }
}

/// A value in a message.
fn shown(value: &Value) -> String {
    let text: String = text(value).chars().take(60).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    format!("the {} `{text}`", value.kind().name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn form(edm_type: EdmType) -> Form {
        Form { edm_type, precision: None, scale: None, ieee754_compatible: false }
    }

    fn json(form: Form, value: impl Into<Value>) -> String {
        form.write(&value.into()).map_or_else(|error| error, |literal| literal.json)
    }

    #[test]
    fn numbers_keep_their_digits() {
        let decimal = form(EdmType::Decimal);
        assert_eq!(json(decimal, Value::Decimal("12345678901234567890.1230".into())), "12345678901234567890.1230");
        assert_eq!(json(decimal, 1e-7), "0.0000001");
        assert_eq!(json(form(EdmType::Int64), i64::MAX), "9223372036854775807");
        let compatible = Form { ieee754_compatible: true, ..form(EdmType::Int64) };
        assert_eq!(json(compatible, i64::MAX), "\"9223372036854775807\"");
        assert_eq!(json(Form { edm_type: EdmType::Decimal, ..compatible }, 1.5), "\"1.5\"");
        assert_eq!(json(Form { edm_type: EdmType::Int32, ..compatible }, 5), "5");
    }

    #[test]
    fn floats_without_a_number_have_names() {
        let double = form(EdmType::Double);
        assert_eq!(
            [json(double, f64::NAN), json(double, f64::INFINITY), json(double, f64::NEG_INFINITY)],
            ["\"NaN\"", "\"INF\"", "\"-INF\""]
        );
        assert_eq!(json(form(EdmType::Single), 1e39), "\"INF\"");
        assert_eq!(json(double, 1e300), "1e300");
        assert_eq!(json(form(EdmType::Single), 0.1), "0.1");
    }

    #[test]
    fn decimals_are_rounded_to_their_scale_and_refused_beyond_their_precision() {
        let two = Form { precision: Some(5), scale: Some(2), ..form(EdmType::Decimal) };
        for (value, expected) in
            [(999.994, "999.99"), (999.995, "1000.00"), (-0.004, "0.00"), (-1.005, "-1.01"), (7.0, "7")]
        {
            if expected == "1000.00" {
                assert!(json(two, value).contains("more than 5 digits"));
            } else {
                assert_eq!(json(two, value), expected);
            }
        }
        assert_eq!(json(Form { scale: Some(0), precision: None, ..two }, 9.5), "10");
    }

    #[test]
    fn times_dates_and_durations() {
        let time = Value::Time(1_777_888_800_123_456_789);
        assert_eq!(json(form(EdmType::DateTimeOffset), time.clone()), "\"2026-05-04T10:00:00.123Z\"");
        assert_eq!(
            json(Form { precision: Some(0), ..form(EdmType::DateTimeOffset) }, time.clone()),
            "\"2026-05-04T10:00:00Z\""
        );
        assert_eq!(json(form(EdmType::Date), time.clone()), "\"2026-05-04\"");
        assert_eq!(json(Form { precision: Some(6), ..form(EdmType::TimeOfDay) }, time), "\"10:00:00.123456\"");
        assert_eq!(json(form(EdmType::Duration), Value::Duration(-90_500_000_000)), "\"-PT90.5S\"");
    }

    #[test]
    fn key_literals_cannot_leave_their_quotes() {
        let url = |edm_type, value: Value| form(edm_type).write(&value).expect("fits").url;
        assert_eq!(url(EdmType::String, "O'Neil/1".into()), "'O''Neil%2F1'");
        assert_eq!(url(EdmType::DateTimeOffset, Value::Time(0)), "1970-01-01T00%3A00%3A00.000Z");
        assert_eq!(url(EdmType::Binary, vec![1u8, 2].into()), "binary'AQI'");
        assert_eq!(url(EdmType::Int64, (-5).into()), "-5");
    }

    #[test]
    fn what_does_not_fit_is_said() {
        assert_eq!(
            json(form(EdmType::Int16), 40_000),
            "the integer `40000` does not fit Edm.Int16: it is out of range"
        );
        assert!(json(form(EdmType::Int32), 1.5).contains("no whole number"));
        assert!(json(form(EdmType::Double), "x").contains("no number"));
        assert!(json(form(EdmType::Guid), "abc").contains("of the form"));
        assert!(json(form(EdmType::DateTimeOffset), 1).contains("no time"));
        assert!(json(form(EdmType::Decimal), f64::NAN).contains("no finite number"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_json(number in any::<f64>(), text in "\\PC{0,20}") {
            for literal in [form(EdmType::Double).write(&number.into()), form(EdmType::String).write(&text.clone().into())] {
                let json: serde_json::Value = serde_json::from_str(&literal.expect("fits").json).expect("JSON");
                prop_assert!(json.is_number() || json.is_string());
            }
        }

        #[test]
        fn rounding_is_within_half_a_unit(number in -1e6f64..1e6, scale in 0usize..6) {
            let back: f64 = rounded(&number.to_string(), scale).parse().expect("a number");
            prop_assert!((back - number).abs() <= 0.5 * 10f64.powi(-i32::try_from(scale).expect("small")) + 1e-9);
        }
    }
}
