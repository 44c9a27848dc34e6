//! Scalars of JSON to values of a point's kind. Nothing is guessed: what does not fit is a problem with what was expected.

use crate::{Problem, TimeFormat};
use bulkhead_sdk::{Kind, Status, Value};

/// Most digits a decimal may have once its exponent is written out.
pub(crate) const DECIMAL_DIGITS_MAX: usize = 40;

/// A JSON value as the parser hands it over; arrays and objects only by their type.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Scalar<'a> {
    /// `null`
    Null,
    /// `true`, `false`
    Boolean(bool),
    /// A number without fraction or exponent that fits.
    Integer(i64),
    /// Any other number.
    Real(f64),
    /// A number as it is written, where its digits matter.
    Digits(&'a str),
    /// A string.
    Text(&'a str),
    /// `[…]`
    Array,
    /// `{…}`
    Object,
}

/// What a point's values are and how the payload's become them.
#[derive(Clone, Debug)]
pub(crate) struct Conversion {
    /// The type of the values.
    pub(crate) kind: Kind,
    /// A number is multiplied by this …
    pub(crate) scale: f64,
    /// … and then this is added.
    pub(crate) offset: f64,
    /// How a time is written; only for kind time.
    pub(crate) time: Option<TimeFormat>,
}

impl Conversion {
    /// A kind taken as it comes.
    #[must_use]
    pub(crate) fn plain(kind: Kind) -> Conversion {
        Conversion { kind, scale: 1.0, offset: 0.0, time: None }
    }

    /// A number with scale and offset; none: that is not finite.
    #[inline(always)]
    pub(crate) fn scaled(&self, number: f64) -> Option<f64> {
        let plain = self.scale == 1.0 && self.offset == 0.0;
        let converted = if plain { number } else { number * self.scale + self.offset };
        converted.is_finite().then_some(converted)
    }

    /// The value a scalar stands for.
    ///
    /// # Errors
    /// `BadNoData` for null, `BadTypeMismatch`, `BadOutOfRange`, and `BadDecodingError` for a bad time.
    pub(crate) fn value(&self, scalar: &Scalar<'_>) -> Result<Value, Problem> {
        if *scalar == Scalar::Null {
            return Err(Problem::new(Status::BAD_NO_DATA, "no-value", expected(self.kind), scalar));
        }
        let value = match self.kind {
            Kind::Real => self.real(scalar)?.map(Value::Real),
            Kind::Integer => integer(scalar)?.map(Value::Integer),
            Kind::Boolean => boolean(scalar).map(Value::Boolean),
            Kind::Decimal => decimal(scalar)?.map(Value::Decimal),
            Kind::Time => match &self.time {
                Some(format) => return format.read(scalar).map(Value::Time),
                None => None,
            },
            _ => text(scalar).map(Value::Text),
        };
        value.ok_or_else(|| Problem::mismatch(expected(self.kind), scalar))
    }

    fn real(&self, scalar: &Scalar<'_>) -> Result<Option<f64>, Problem> {
        #[expect(clippy::cast_precision_loss, reason = "a point of type real holds the nearest 64-bit float")]
        let number = match scalar {
            Scalar::Integer(number) => *number as f64,
            Scalar::Real(number) => *number,
            Scalar::Digits(text) => text.parse().unwrap_or(f64::INFINITY),
            Scalar::Text(text) => match text.trim().parse::<f64>() {
                Ok(number) if number.is_finite() => number,
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        self.scaled(number).map(Some).ok_or_else(|| out_of_range("a 64-bit float", scalar))
    }
}

/// What a point of a kind takes.
pub(crate) fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::Real => "a number",
        Kind::Integer => "a whole number",
        Kind::Boolean => "true, false, 1 or 0",
        Kind::Decimal => "a decimal number",
        Kind::Time => "a time",
        _ => "a text",
    }
}

fn out_of_range(expected: &str, scalar: &Scalar<'_>) -> Problem {
    Problem::new(Status::BAD_OUT_OF_RANGE, "out-of-range", expected, scalar)
}

/// Where a float stops naming each whole number.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

fn integer(scalar: &Scalar<'_>) -> Result<Option<i64>, Problem> {
    match scalar {
        Scalar::Integer(number) => Ok(Some(*number)),
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53, checked here")]
        Scalar::Real(number) if number.fract() == 0.0 && number.abs() <= WHOLE_MAX => Ok(Some(*number as i64)),
        Scalar::Real(number) if number.fract() == 0.0 => Err(out_of_range("a whole number of 64 bits", scalar)),
        Scalar::Digits(text) | Scalar::Text(text) => Ok(text.trim().parse().ok()),
        _ => Ok(None),
    }
}

fn boolean(scalar: &Scalar<'_>) -> Option<bool> {
    match scalar {
        Scalar::Boolean(value) => Some(*value),
        Scalar::Integer(0) | Scalar::Text("false" | "off" | "0") => Some(false),
        Scalar::Integer(1) | Scalar::Text("true" | "on" | "1") => Some(true),
        _ => None,
    }
}

fn text(scalar: &Scalar<'_>) -> Option<String> {
    match scalar {
        Scalar::Text(text) => Some((*text).to_owned()),
        _ => None,
    }
}

/// The digits as they stand, an exponent written out.
fn decimal(scalar: &Scalar<'_>) -> Result<Option<String>, Problem> {
    let text = match scalar {
        Scalar::Digits(text) | Scalar::Text(text) => text.trim(),
        _ => return Ok(None),
    };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()),
        None => (text, Some(0)),
    };
    let (sign, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = !whole.is_empty()
        && (fraction.is_empty() != digits.contains('.'))
        && whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
    let (true, Some(exponent)) = (is_number, exponent) else { return Ok(None) };
    match shifted(whole, fraction, exponent) {
        Some(digits) => Ok(Some(format!("{sign}{digits}"))),
        None => Err(out_of_range("a decimal number of at most 40 digits", scalar)),
    }
}

/// `whole.fraction` with its point moved `exponent` places to the right.
fn shifted(whole: &str, fraction: &str, exponent: i32) -> Option<String> {
    let mut digits = format!("{whole}{fraction}");
    let places = i32::try_from(whole.len()).ok()?.checked_add(exponent)?;
    let limit = i32::try_from(DECIMAL_DIGITS_MAX).ok()?;
    if digits.len() > DECIMAL_DIGITS_MAX || !(-limit..=limit).contains(&places) {
        return None;
    }
    let Ok(mut point) = usize::try_from(places.max(0)) else { return None };
    if places <= 0 {
        digits.insert_str(0, &"0".repeat(usize::try_from(1 - places).ok()?));
        point = 1;
    }
    while digits.len() < point {
        digits.push('0');
    }
    let leading = digits[..point].bytes().take_while(|&byte| byte == b'0').count().min(point - 1);
    let (whole, fraction) = digits.split_at(point);
    let whole = &whole[leading..];
    Some(if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(kind: Kind, scalar: Scalar<'_>) -> Result<Value, Status> {
        Conversion::plain(kind).value(&scalar).map_err(|problem| problem.status)
    }

    #[test]
    fn numbers_are_scaled_and_texts_of_numbers_are_numbers() {
        let conversion = Conversion { scale: 0.1, offset: -40.0, ..Conversion::plain(Kind::Real) };
        assert_eq!(conversion.value(&Scalar::Integer(615)), Ok(Value::Real(21.5)));
        assert_eq!(value(Kind::Real, Scalar::Text(" 21.5 ")), Ok(Value::Real(21.5)));
        assert_eq!(value(Kind::Real, Scalar::Text("NaN")), Err(Status::BAD_TYPE_MISMATCH));
        assert_eq!(value(Kind::Real, Scalar::Boolean(true)), Err(Status::BAD_TYPE_MISMATCH));
        let huge = Conversion { scale: 1e300, ..Conversion::plain(Kind::Real) };
        assert_eq!(huge.value(&Scalar::Real(1e300)).expect_err("too large").status, Status::BAD_OUT_OF_RANGE);
    }

    #[test]
    fn whole_numbers_may_be_written_as_floats_but_not_rounded() {
        assert_eq!(value(Kind::Integer, Scalar::Real(20.0)), Ok(Value::Integer(20)));
        assert_eq!(value(Kind::Integer, Scalar::Real(20.5)), Err(Status::BAD_TYPE_MISMATCH));
        assert_eq!(value(Kind::Integer, Scalar::Real(1.8e19)), Err(Status::BAD_OUT_OF_RANGE));
        assert_eq!(value(Kind::Integer, Scalar::Text("-7")), Ok(Value::Integer(-7)));
    }

    #[test]
    fn the_other_kinds_take_what_is_theirs() {
        assert_eq!(value(Kind::Boolean, Scalar::Text("on")), Ok(Value::Boolean(true)));
        assert_eq!(value(Kind::Boolean, Scalar::Integer(2)), Err(Status::BAD_TYPE_MISMATCH));
        assert_eq!(value(Kind::Text, Scalar::Text("ok")), Ok(Value::Text("ok".into())));
        assert_eq!(value(Kind::Text, Scalar::Integer(1)), Err(Status::BAD_TYPE_MISMATCH));
        assert_eq!(value(Kind::Text, Scalar::Null), Err(Status::BAD_NO_DATA));
        assert_eq!(value(Kind::Text, Scalar::Array), Err(Status::BAD_TYPE_MISMATCH));
    }

    #[test]
    fn decimals_keep_their_digits() {
        for (written, expected) in [
            ("-12.50", "-12.50"),
            ("0.1", "0.1"),
            ("1.25e3", "1250"),
            ("1.25E+1", "12.5"),
            ("5e-3", "0.005"),
            ("0e0", "0"),
            ("123456789012345678901234567890.5", "123456789012345678901234567890.5"),
            ("1e0", "1"),
        ] {
            assert_eq!(value(Kind::Decimal, Scalar::Digits(written)), Ok(Value::Decimal(expected.into())), "{written}");
        }
        assert_eq!(value(Kind::Decimal, Scalar::Digits("1e400")), Err(Status::BAD_OUT_OF_RANGE));
        for wrong in ["", "-", "1.", ".5", "1,5", "1e", "abc"] {
            assert_eq!(value(Kind::Decimal, Scalar::Text(wrong)), Err(Status::BAD_TYPE_MISMATCH), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn an_exponent_written_out_is_the_same_number(whole in 0u32..10_000, fraction in 0u32..10_000, exponent in -20i32..20) {
            let written = format!("{whole}.{fraction:04}e{exponent}");
            let Ok(Value::Decimal(digits)) = value(Kind::Decimal, Scalar::Digits(&written)) else { panic!("{written}") };
            prop_assert!(!digits.contains('e'));
            prop_assert_eq!(digits.parse::<f64>().ok(), written.parse::<f64>().ok());
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,60}") {
            for kind in [Kind::Real, Kind::Integer, Kind::Boolean, Kind::Decimal, Kind::Text] {
                let _ = value(kind, Scalar::Text(&text));
            }
        }
    }
}
