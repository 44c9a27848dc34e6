//! The primitive literals of OData 4.01: their grammar (ABNF section 7), their values, and how they are written.
//!
//! The matchers take a text and say how many of its bytes, from the first, are such a literal; the lexer and the check of
//! whole values share them.

use crate::Value;
use std::fmt;

/// A literal as it was written. Numbers and times keep their text until the model says which type they are to have.
#[derive(Clone, PartialEq, Debug)]
pub enum Literal {
    /// `null`
    Null,
    /// `true`, `false`
    Boolean(bool),
    /// Digits, with a sign if there was one.
    Integer(String),
    /// A number with a fraction or an exponent, or a suffix of OData 3 taken off.
    Number(String),
    /// `NaN`, `INF`, `-INF`
    NonFinite(f64),
    /// `'text'`, the doubled quotes undone.
    String(String),
    /// `2026-01-02T03:04:05.6+01:00`
    DateTimeOffset(String),
    /// `2026-01-02`
    Date(String),
    /// `03:04:05`
    TimeOfDay(String),
    /// `01234567-89ab-cdef-0123-456789abcdef`
    Guid(String),
    /// `duration'PT1S'`: its text. Without the prefix it is a [`Literal::String`] until it is typed.
    Duration(String),
    /// `binary'Zm9v'`: its text.
    Binary(String),
    /// `geography'…'`, `geometry'…'`: prefix and text.
    Geo(String, String),
    /// `Namespace.Type'Member'`: type and text.
    Enum(String, String),
}

impl PartialEq<f64> for Literal {
    fn eq(&self, other: &f64) -> bool {
        matches!(self, Literal::NonFinite(number) if number == other)
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Null => f.write_str("null"),
            Literal::Boolean(value) => write!(f, "{value}"),
            Literal::NonFinite(number) => write!(f, "{}", Value::Double(*number)),
            Literal::Integer(text)
            | Literal::Number(text)
            | Literal::DateTimeOffset(text)
            | Literal::Date(text)
            | Literal::TimeOfDay(text)
            | Literal::Guid(text) => f.write_str(text),
            Literal::String(text) => write!(f, "'{}'", text.replace('\'', "''")),
            Literal::Duration(text) => write!(f, "duration'{text}'"),
            Literal::Binary(text) => write!(f, "binary'{text}'"),
            Literal::Geo(prefix, text) | Literal::Enum(prefix, text) => {
                write!(f, "{prefix}'{}'", text.replace('\'', "''"))
            }
        }
    }
}

/// A reader over the bytes of a text that matches grammar rules.
struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    fn new(text: &'a str) -> Self {
        Self { bytes: text.as_bytes(), at: 0 }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, accepted: impl Fn(u8) -> bool) -> bool {
        let taken = self.peek().is_some_and(accepted);
        self.at += usize::from(taken);
        taken
    }

    fn one(&mut self, byte: u8) -> Option<()> {
        self.take(|found| found.eq_ignore_ascii_case(&byte)).then_some(())
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.take(|byte| byte.is_ascii_digit()) {}
        self.at - start
    }

    /// Exactly two digits that make a number of the range.
    fn two(&mut self, range: std::ops::RangeInclusive<u8>) -> Option<()> {
        let tens = self.peek().filter(u8::is_ascii_digit)? - b'0';
        if tens > range.end() / 10 {
            return None;
        }
        self.at += 1;
        let ones = self.peek().filter(u8::is_ascii_digit)? - b'0';
        if !range.contains(&(tens * 10 + ones)) {
            return None;
        }
        self.at += 1;
        Some(())
    }

    fn hex(&mut self, count: usize) -> Option<()> {
        (0..count).all(|_| self.take(|byte| byte.is_ascii_hexdigit())).then_some(())
    }

    fn sign(&mut self) {
        self.take(|byte| byte == b'+' || byte == b'-');
    }

    fn date(&mut self) -> Option<()> {
        self.take(|byte| byte == b'-');
        let leading_zero = self.peek() == Some(b'0');
        let year_digits = self.digits();
        if year_digits < 4 || (leading_zero && year_digits > 4) {
            return None;
        }
        self.one(b'-')?;
        self.two(1..=12)?;
        self.one(b'-')?;
        self.two(1..=31)
    }

    fn time(&mut self) -> Option<()> {
        const FRACTION_MAX_DIGITS: usize = 12;
        self.two(0..=23)?;
        self.one(b':')?;
        self.two(0..=59)?;
        let seconds = self.bytes.get(self.at + 1).is_some_and(u8::is_ascii_digit);
        if self.peek() == Some(b':') && seconds {
            self.at += 1;
            self.two(0..=60)?;
            if self.peek() == Some(b'.') {
                self.at += 1;
                return (1..=FRACTION_MAX_DIGITS).contains(&self.digits()).then_some(());
            }
        }
        Some(())
    }

    fn offset(&mut self) -> Option<()> {
        if self.one(b'Z').is_some() {
            return Some(());
        }
        self.take(|byte| byte == b'+' || byte == b'-').then_some(())?;
        self.two(0..=23)?;
        self.one(b':')?;
        self.two(0..=59)
    }
}

/// How many bytes match, or where the text stops matching.
pub type Match = Result<usize, usize>;

fn matched(text: &str, rule: impl FnOnce(&mut Scan<'_>) -> Option<()>) -> Match {
    let mut scan = Scan::new(text);
    rule(&mut scan).map(|()| scan.at).ok_or(scan.at)
}

/// `guidValue`
///
/// # Errors
/// Where the text stops matching.
pub fn guid(text: &str) -> Match {
    matched(text, |scan| {
        scan.hex(8)?;
        for count in [4, 4, 4, 12] {
            scan.one(b'-')?;
            scan.hex(count)?;
        }
        Some(())
    })
}

/// `dateValue`
///
/// # Errors
/// Where the text stops matching.
pub fn date(text: &str) -> Match {
    matched(text, |scan| scan.date())
}

/// `timeOfDayValue`
///
/// # Errors
/// Where the text stops matching.
pub fn time_of_day(text: &str) -> Match {
    matched(text, |scan| scan.time())
}

/// `dateTimeOffsetValue`
///
/// # Errors
/// Where the text stops matching.
pub fn date_time_offset(text: &str) -> Match {
    matched(text, |scan| {
        scan.date()?;
        scan.one(b'T')?;
        scan.time()?;
        scan.offset()
    })
}

/// An integer of any length, with a sign or without.
///
/// # Errors
/// Where the text stops matching.
pub fn integer(text: &str) -> Match {
    matched(text, |scan| {
        scan.sign();
        (scan.digits() > 0).then_some(())
    })
}

/// The finite part of `decimalValue`, `doubleValue` and `singleValue`.
///
/// # Errors
/// Where the text stops matching.
pub fn number(text: &str) -> Match {
    matched(text, |scan| {
        scan.sign();
        (scan.digits() > 0).then_some(())?;
        if scan.one(b'.').is_some() {
            (scan.digits() > 0).then_some(())?;
        }
        if scan.one(b'e').is_some() {
            scan.sign();
            (scan.digits() > 0).then_some(())?;
        }
        Some(())
    })
}

/// `nanInfinity`; exactly as written here.
///
/// # Errors
/// Where the text stops matching.
pub fn non_finite(text: &str) -> Match {
    ["NaN", "-INF", "INF"].iter().find(|word| text.starts_with(**word)).map(|word| word.len()).ok_or(0)
}

/// `durationValue`
///
/// # Errors
/// Where the text stops matching.
pub fn duration(text: &str) -> Match {
    matched(text, |scan| {
        scan.take(|byte| byte == b'-');
        scan.one(b'P')?;
        let mut parts = 0;
        if scan.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            scan.digits();
            scan.one(b'D')?;
            parts += 1;
        }
        if scan.one(b'T').is_none() {
            return (parts > 0).then_some(());
        }
        duration_time(scan)
    })
}

/// Hours, minutes and seconds after the `T`: at least one of them, in this order.
fn duration_time(scan: &mut Scan<'_>) -> Option<()> {
    let mut units = b"HMS".iter().copied();
    let mut parts = 0;
    while scan.peek().is_some_and(|byte| byte.is_ascii_digit()) {
        scan.digits();
        let fraction = scan.one(b'.').is_some();
        if fraction && scan.digits() == 0 {
            return None;
        }
        let unit = scan.peek()?.to_ascii_uppercase();
        if !units.any(|next| next == unit) || (fraction && unit != b'S') {
            return None;
        }
        scan.at += 1;
        parts += 1;
    }
    (parts > 0).then_some(())
}

/// `binaryValue`: base64url, padded or not.
///
/// # Errors
/// Where the text stops matching.
pub fn binary(text: &str) -> Match {
    decode_base64url(text).map(|_| text.len()).ok_or(0)
}

/// `enumValue`: members by name or number, separated by commas.
///
/// # Errors
/// Where the text stops matching.
pub fn enumeration(text: &str) -> Match {
    let mut at = 0;
    for member in text.split(',') {
        if !crate::model::is_identifier(member) && integer(member) != Ok(member.len()) {
            let named = member.find(|c: char| c != '_' && !c.is_alphanumeric());
            return Err(at + named.unwrap_or(0));
        }
        at += member.len() + 1;
    }
    Ok(at - 1)
}

/// The bytes of a base64url text; standard alphabet and missing padding are taken too.
#[must_use]
pub fn decode_base64url(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
    // Trailing bits are let pass: the ABNF's own example `Zg` is canonical, but clients send others.
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(&base64::alphabet::URL_SAFE, config).decode(text).ok()
}

/// Nanoseconds since the epoch of a `dateTimeOffsetValue`; moments out of range become the nearest end of it.
#[must_use]
pub fn date_time_offset_ns(text: &str) -> Option<i64> {
    if date_time_offset(text) != Ok(text.len()) {
        return None;
    }
    let split = text.find(['T', 't'])?;
    let (date, rest) = (&text[..split], &text[split + 1..]);
    let zone = rest.find(['Z', 'z', '+', '-'])?;
    let days = i128::from(days_since_epoch(date)?);
    let local = days * 86_400_000_000_000 + i128::from(time_of_day_ns(&rest[..zone])?);
    let (sign, offset) = match rest.as_bytes()[zone] {
        b'+' => (1, &rest[zone + 1..]),
        b'-' => (-1, &rest[zone + 1..]),
        _ => (0, "00:00"),
    };
    let utc = local - sign * i128::from(time_of_day_ns(offset)?);
    Some(utc.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
}

/// The minutes that the clock of a `dateTimeOffsetValue` is ahead of UTC.
#[must_use]
pub fn offset_minutes(text: &str) -> Option<i64> {
    const NS_PER_MINUTE: i64 = 60_000_000_000;
    let (_, clock) = text.split_once(['T', 't'])?;
    let Some(zone) = clock.find(['+', '-']) else { return Some(0) };
    let minutes = time_of_day_ns(&clock[zone + 1..])? / NS_PER_MINUTE;
    Some(if clock[zone..].starts_with('-') { -minutes } else { minutes })
}

/// Nanoseconds since midnight of a `timeOfDayValue`; a leap second runs into the next minute.
#[must_use]
pub fn time_of_day_ns(text: &str) -> Option<i64> {
    let number = |part: Option<&str>| part.map_or(Some(0), |digits| digits.parse::<i64>().ok());
    let (clock, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let mut parts = clock.split(':');
    let (hours, minutes, seconds) = (number(parts.next())?, number(parts.next())?, number(parts.next())?);
    Some(((hours * 60 + minutes) * 60 + seconds) * 1_000_000_000 + fraction_ns(fraction)?)
}

fn fraction_ns(digits: &str) -> Option<i64> {
    let nine: String = digits.chars().chain(std::iter::repeat('0')).take(9).collect();
    nine.parse().ok()
}

/// Days since 1970-01-01 of a `dateValue` in the proleptic Gregorian calendar; none for a day its month has not.
#[must_use]
pub fn days_since_epoch(text: &str) -> Option<i64> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let mut parts = digits.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (sign * parts.next()??, parts.next()??, parts.next()??);
    const YEAR_MAX: i64 = 1_000_000;
    let year = year.clamp(-YEAR_MAX, YEAR_MAX);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let month_days = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if day > month_days {
        return None;
    }
    // Count from 1 March, so that the leap day is the last of its year.
    let (shifted_year, shifted_month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (shifted_year.div_euclid(400), shifted_year.rem_euclid(400));
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    Some(era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468)
}

/// Nanoseconds of a `durationValue`; none if it is not one or is longer than 292 years.
#[must_use]
pub fn duration_ns(text: &str) -> Option<i64> {
    if duration(text) != Ok(text.len()) {
        return None;
    }
    let upper = text.to_ascii_uppercase();
    let (sign, mut rest) = upper.strip_prefix('-').map_or((1, &*upper), |positive| (-1, positive));
    rest = rest.strip_prefix('P')?;
    let mut total: i128 = 0;
    while !rest.is_empty() {
        rest = rest.strip_prefix('T').unwrap_or(rest);
        let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let (whole, fraction) = rest[..end].split_once('.').unwrap_or((&rest[..end], "0"));
        let seconds = match &rest[end..=end] {
            "D" => 86_400,
            "H" => 3_600,
            "M" => 60,
            _ => 1,
        };
        total += i128::from(whole.parse::<u64>().ok()?) * seconds * 1_000_000_000 + i128::from(fraction_ns(fraction)?);
        rest = &rest[end + 1..];
    }
    i64::try_from(sign * total).ok()
}

/// The 16 bytes of a `guidValue`.
#[must_use]
pub fn guid_bytes(text: &str) -> Option<[u8; 16]> {
    if guid(text) != Ok(text.len()) {
        return None;
    }
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
    let mut bytes = [0; 16];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(matcher: fn(&str) -> Match, text: &str) -> bool {
        matcher(text) == Ok(text.len())
    }

    #[test]
    fn times_are_read_to_the_nanosecond_in_any_offset() {
        assert_eq!(date_time_offset_ns("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(date_time_offset_ns("1970-01-01T01:00:00.000000001+01:00"), Some(1));
        assert_eq!(date_time_offset_ns("2026-01-02T03:04:05.678Z"), Some(1_767_323_045_678_000_000));
        assert_eq!(date_time_offset_ns("9999-12-31T23:59:59Z"), Some(i64::MAX));
        assert_eq!(date_time_offset_ns("-10000-04-01T00:00Z"), Some(i64::MIN));
        assert_eq!(date_time_offset_ns("2026-02-30T00:00Z"), None);
        assert_eq!(days_since_epoch("2000-02-29"), Some(11_016));
        assert_eq!(days_since_epoch("1900-02-29"), None);
    }

    #[test]
    fn durations_are_read_and_years_refused() {
        assert_eq!(duration_ns("P1DT1H1M1.5S"), Some(90_061_500_000_000));
        assert_eq!(duration_ns("-PT0.000000001S"), Some(-1));
        assert_eq!(duration_ns("P200000D"), None);
        for text in ["P", "PT", "P1Y", "P1M", "PT1S1M", "PT1.5H", "+P1D", "1D"] {
            assert!(!whole(duration, text), "{text}");
        }
    }

    #[test]
    fn numbers_need_digits_on_both_sides_of_the_point() {
        assert!(whole(number, "-0.314e1") && whole(number, "+42") && whole(number, "1E+3"));
        assert!(!whole(number, "42.") && !whole(number, ".1") && !whole(number, "1e"));
        assert!(whole(non_finite, "-INF") && !whole(non_finite, "inf"));
    }

    #[test]
    fn guids_and_binaries_are_read() {
        assert_eq!(guid_bytes("00000000-0000-0000-0000-0000000000fF").map(|bytes| bytes[15]), Some(255));
        assert_eq!(guid_bytes("01234g67-89ab-cdef-0123-456789abcdef"), None);
        assert_eq!(decode_base64url("Zm8="), Some(b"fo".to_vec()));
        assert_eq!(decode_base64url("Zm8"), Some(b"fo".to_vec()));
    }
}
