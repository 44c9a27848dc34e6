//! Times as payloads write them: RFC 3339, counts since the Unix epoch, or a pattern, each to nanoseconds since the epoch.
//!
//! A time without an offset is local time of a named zone. The hour that clocks repeat in autumn is read as its first
//! pass, so that a value is never stamped later than it was acquired; a time inside the hour that clocks skip in spring
//! was shown by a clock that had not been put forward yet, and is read with the offset before the change.

use crate::text::{TENS, Text};
use crate::{Problem, Scalar};
use bulkhead_sdk::Status;
use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};

const NS_PER_S: i64 = 1_000_000_000;
const RFC3339_EXPECTED: &str = "a time as in RFC 3339, such as 2026-05-04T10:00:00Z";

/// How a time is written.
#[derive(Clone, Debug)]
pub struct TimeFormat {
    form: Form,
    zone: Option<TimeZone>,
    /// For messages: the format as the settings name it.
    expected: String,
}

#[derive(Clone, Debug)]
enum Form {
    Rfc3339,
    /// A count since the epoch, of units of so many nanoseconds.
    Unix(i64),
    Pattern(String),
}

/// RFC 3339 with an offset.
impl Default for TimeFormat {
    fn default() -> Self {
        TimeFormat { form: Form::Rfc3339, zone: None, expected: RFC3339_EXPECTED.to_owned() }
    }
}

impl TimeFormat {
    /// Compiles a format name or pattern and a zone name.
    ///
    /// # Errors
    /// A sentence: the pattern or the zone is unknown.
    pub fn compile(format: &str, zone: Option<&str>) -> Result<TimeFormat, String> {
        let form = match format {
            "rfc3339" => Form::Rfc3339,
            "unix-s" => Form::Unix(NS_PER_S),
            "unix-ms" => Form::Unix(1_000_000),
            "unix-us" => Form::Unix(1_000),
            "unix-ns" => Form::Unix(1),
            pattern if pattern.contains('%') => Form::Pattern(checked_pattern(pattern)?),
            other => {
                return Err(format!(
                    "time format `{other}` is none of rfc3339, unix-s, unix-ms, unix-us, unix-ns, nor a pattern such as `%d.%m.%Y %H:%M:%S`"
                ));
            }
        };
        if let (Form::Unix(_), Some(zone)) = (&form, zone) {
            return Err(format!(
                "format `{format}` counts in UTC, so `zone = \"{zone}\"` has no meaning; leave it out"
            ));
        }
        let zone = zone.map(find_zone).transpose()?;
        let expected = match form {
            Form::Rfc3339 => RFC3339_EXPECTED.to_owned(),
            Form::Unix(_) => format!("a time as a number, {format}"),
            Form::Pattern(_) => format!("a time as `{format}`"),
        };
        Ok(TimeFormat { form, zone, expected })
    }

    /// The time a scalar means, in nanoseconds since the epoch.
    ///
    /// # Errors
    /// A problem with `BadDecodingError`, `BadTypeMismatch` or, for null, `BadNoData`.
    pub(crate) fn read(&self, scalar: &Scalar<'_>) -> Result<i64, Problem> {
        let found = match (&self.form, scalar) {
            (_, Scalar::Null) => None,
            (Form::Unix(unit_ns), Scalar::Integer(count)) => count.checked_mul(*unit_ns),
            (Form::Unix(unit_ns), Scalar::Real(count)) => scaled(*count, *unit_ns),
            (Form::Unix(unit_ns), Scalar::Text(text)) => match text.parse::<i64>() {
                Ok(count) => count.checked_mul(*unit_ns),
                Err(_) => text.parse().ok().and_then(|count| scaled(count, *unit_ns)),
            },
            (Form::Rfc3339, Scalar::Text(text)) => rfc3339(text.as_bytes()).or_else(|| self.iso(text)),
            (Form::Pattern(pattern), Scalar::Text(text)) => self.pattern(pattern, text),
            (Form::Pattern(pattern), Scalar::Integer(number)) => self.pattern(pattern, &number.to_string()),
            _ => return Err(Problem::mismatch(&self.expected, scalar)),
        };
        found.ok_or_else(|| match scalar {
            Scalar::Null => Problem::new(Status::BAD_NO_DATA, "no-value", &self.expected, scalar),
            _ => Problem::new(Status::BAD_DECODING_ERROR, "bad-time", &self.expected, scalar),
        })
    }

    /// The time that a text means; none: it may be no UTF-8, or no time.
    #[inline]
    pub(crate) fn read_bytes(&self, text: &[u8]) -> Option<i64> {
        match self.form {
            Form::Rfc3339 => rfc3339(text),
            _ => None,
        }
        .or_else(|| self.read(&Scalar::Text(str::from_utf8(text).ok()?)).ok())
    }

    /// The forms of ISO 8601 beyond the everyday one, and times without an offset where a zone is named.
    fn iso(&self, text: &str) -> Option<i64> {
        if let Ok(timestamp) = text.parse::<Timestamp>() {
            return nanoseconds(timestamp);
        }
        self.local(text.parse::<DateTime>().ok()?, self.zone.as_ref()?)
    }

    fn pattern(&self, pattern: &str, text: &str) -> Option<i64> {
        let parts = strtime::parse(pattern, text).ok()?;
        if parts.offset().is_some() || parts.iana_time_zone().is_some() {
            return nanoseconds(parts.to_timestamp().ok()?);
        }
        if let Ok(timestamp) = parts.to_timestamp() {
            return nanoseconds(timestamp);
        }
        let time = match parts.to_datetime() {
            Ok(time) => time,
            Err(_) => parts.to_date().ok()?.to_datetime(jiff::civil::Time::midnight()),
        };
        self.local(time, self.zone.as_ref().unwrap_or(&TimeZone::UTC))
    }

    fn local(&self, time: DateTime, zone: &TimeZone) -> Option<i64> {
        nanoseconds(zone.to_ambiguous_timestamp(time).compatible().ok()?)
    }
}

/// A pattern that can be written can be read; trying finds unknown directives before the first message does.
fn checked_pattern(pattern: &str) -> Result<String, String> {
    let sample = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
    let written = strtime::format(pattern, &sample).map_err(|error| format!("time pattern `{pattern}`: {error}"))?;
    let parts = strtime::parse(pattern, &written).map_err(|error| format!("time pattern `{pattern}`: {error}"))?;
    let names_a_date = parts.to_date().is_ok() || parts.to_timestamp().is_ok();
    if names_a_date { Ok(pattern.to_owned()) } else { Err(format!("time pattern `{pattern}` names no date")) }
}

fn find_zone(name: &str) -> Result<TimeZone, String> {
    TimeZoneDatabase::bundled()
        .get(name)
        .map_err(|_| format!("time zone `{name}` is not in the IANA database; expected a name such as `Europe/Berlin`"))
}

fn nanoseconds(timestamp: Timestamp) -> Option<i64> {
    i64::try_from(timestamp.as_nanosecond()).ok()
}

/// A count with a fraction, kept to the microsecond: a 64-bit float of seconds since 1970 is exact to about 0.2 µs.
fn scaled(count: f64, unit_ns: i64) -> Option<i64> {
    #[expect(clippy::cast_precision_loss, reason = "the units are powers of ten below 2^53")]
    let seconds = count / (NS_PER_S / unit_ns) as f64;
    let duration = SignedDuration::try_from_secs_f64(seconds).ok()?;
    let ns = i64::try_from(duration.as_nanos()).ok()?;
    ns.checked_add(500).map(|rounded| rounded.div_euclid(1_000) * 1_000)
}

/// The everyday form, `2026-05-04T10:00:00.123Z` or with `+02:00`, by hand: it stands in every message. None: not this
/// form, or a date that does not exist.
fn rfc3339(bytes: &[u8]) -> Option<i64> {
    let text = Text::new(bytes);
    let date = two_digits(text.eight(0), b"0000-00-")?;
    let separator = text.byte(10);
    if !matches!(separator, b'T' | b't' | b' ') {
        return None;
    }
    let time = two_digits(text.eight(8) ^ u64::from(separator) << 16, b"00\x0000:00")?;
    let rest = text.eight(16);
    let [second, ..] = (two_digits(rest & 0xff_ffff, b":00\0\0\0\0\0")? >> 8).to_le_bytes();
    let [century, _, year, _, _, month, ..] = date.to_le_bytes();
    let [day, _, _, hour, _, _, minute, _] = time.to_le_bytes();
    let year = 100 * u32::from(century) + u32::from(year);
    if !(1..=12).contains(&month)
        || day == 0
        || u32::from(day) > days_in(year, month)
        || hour > 23
        || minute > 59
        || second > 59
    {
        return None;
    }
    let (fraction_ns, zone) = if rest.to_le_bytes()[3] == b'.' { fraction(text)? } else { (0, 19) };
    let of_day = u32::from(hour) * 3_600 + u32::from(minute) * 60 + u32::from(second);
    let days = days_since_1970(year, u32::from(month), u32::from(day));
    let seconds = i64::from(days) * 86_400 + i64::from(of_day) - offset_s(bytes.get(zone..)?)?;
    // What fits whatever the fraction is; a checked multiplication is a call in a guest.
    (seconds.unsigned_abs() < (i64::MAX / NS_PER_S) as u64).then(|| seconds * NS_PER_S + fraction_ns)
}

/// The fraction of a second in nanoseconds, digits beyond the ninth cut off, and the place behind it.
#[inline(always)]
fn fraction(text: Text<'_>) -> Option<(i64, usize)> {
    const START: usize = 20;
    let Some(digits) = text.digits(START) else { return long_fraction(text.between(START, text.len())?) };
    let scale = TENS[digits.count.abs_diff(9)];
    let ns = if digits.count > 9 { digits.value / scale } else { digits.value * scale };
    (digits.count > 0).then_some((ns.cast_signed(), START + digits.count))
}

/// The same of more digits than a number has.
#[cold]
fn long_fraction(digits: &[u8]) -> Option<(i64, usize)> {
    let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    Some((number(&digits[..9])?, 20 + count))
}

/// A text of eight bytes that has this form, in which 0 is any digit: in the place of each digit the number which it and the next
/// one are. None: it has another form.
#[inline(always)]
fn two_digits(eight: u64, form: &[u8; 8]) -> Option<u64> {
    let zero_based = eight ^ u64::from_le_bytes(*form);
    // Less than 10 or less than 1, where adding brings no byte to its highest bit.
    let room = u64::from_le_bytes(form.map(|byte| if byte == b'0' { 0x76 } else { 0x7f }));
    let is_formed = (zero_based.wrapping_add(room) | zero_based) & 0x8080_8080_8080_8080 == 0;
    is_formed.then_some(zero_based.wrapping_mul(10).wrapping_add(zero_based >> 8))
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))
}

/// Seconds east of UTC.
fn offset_s(zone: &[u8]) -> Option<i64> {
    match zone {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
            let seconds = (hours <= 23 && minutes <= 59).then_some(hours * 3_600 + minutes * 60)?;
            Some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

fn days_in(year: u32, month: u8) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days of the Gregorian calendar since 1970-01-01: years begin in March, so that the leap day is their last. Counted 400 years
/// later, which is the same calendar, so that none is before the year 0.
fn days_since_1970(year: u32, month: u32, day: u32) -> i32 {
    let year = year + 400 - u32::from(month <= 2);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year;
    days.cast_signed() - 146_097 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(format: &str, zone: Option<&str>, scalar: Scalar<'_>) -> Result<i64, Problem> {
        TimeFormat::compile(format, zone).expect("a format").read(&scalar)
    }

    fn utc(text: &str) -> i64 {
        nanoseconds(text.parse().expect("a timestamp")).expect("in range")
    }

    #[test]
    fn rfc_3339_in_its_spellings() {
        for (text, expected) in [
            ("2026-05-04T10:00:00Z", "2026-05-04T10:00:00Z"),
            ("2026-05-04t12:00:00.25+02:00", "2026-05-04T10:00:00.25Z"),
            ("2026-05-04 10:00:00.1234567899Z", "2026-05-04T10:00:00.123456789Z"),
            ("2026-05-04T10:00:00.1234567890123456789012Z", "2026-05-04T10:00:00.123456789Z"),
            ("20260504T100000Z", "2026-05-04T10:00:00Z"),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
        ] {
            assert_eq!(read("rfc3339", None, Scalar::Text(text)).ok(), Some(utc(expected)), "{text}");
        }
        for text in ["2026-02-29T10:00:00Z", "2026-05-04T24:00:00Z", "2026-05-04T10:00:00", "1500-01-01T00:00:00Z", ""]
        {
            let problem = read("rfc3339", None, Scalar::Text(text)).expect_err(text);
            assert_eq!(problem.status, Status::BAD_DECODING_ERROR, "{text}");
        }
    }

    #[test]
    fn counts_since_the_epoch_in_four_units_also_as_text_and_with_fractions() {
        let expected = Some(1_777_888_800_500_000_000);
        assert_eq!(read("unix-s", None, Scalar::Real(1_777_888_800.5)).ok(), expected);
        assert_eq!(read("unix-ms", None, Scalar::Integer(1_777_888_800_500)).ok(), expected);
        assert_eq!(read("unix-us", None, Scalar::Text("1777888800500000")).ok(), expected);
        assert_eq!(read("unix-ns", None, Scalar::Integer(1_777_888_800_500_000_000)).ok(), expected);
        assert!(read("unix-s", None, Scalar::Integer(i64::MAX)).is_err());
        assert!(read("unix-s", None, Scalar::Real(f64::NAN)).is_err());
        assert_eq!(read("unix-s", None, Scalar::Null).expect_err("null").status, Status::BAD_NO_DATA);
        assert_eq!(read("unix-s", None, Scalar::Boolean(true)).expect_err("bool").status, Status::BAD_TYPE_MISMATCH);
    }

    #[test]
    fn local_time_follows_the_named_zone_also_where_clocks_change() {
        let berlin = |text| read("%d.%m.%Y %H:%M:%S", Some("Europe/Berlin"), Scalar::Text(text)).ok();
        assert_eq!(berlin("04.05.2026 12:00:00"), Some(utc("2026-05-04T10:00:00Z")));
        assert_eq!(berlin("25.10.2026 02:30:00"), Some(utc("2026-10-25T00:30:00Z")), "repeated hour: its first pass");
        assert_eq!(berlin("29.03.2026 02:30:00"), Some(utc("2026-03-29T01:30:00Z")), "skipped hour: the offset before");
        let iso = read("rfc3339", Some("Europe/Berlin"), Scalar::Text("2026-05-04T12:00:00"));
        assert_eq!(iso.ok(), Some(utc("2026-05-04T10:00:00Z")));
    }

    #[test]
    fn patterns_with_an_offset_need_no_zone_and_without_a_zone_mean_utc() {
        let with_offset = read("%Y/%m/%d %H:%M:%S %z", None, Scalar::Text("2026/05/04 12:00:00 +0200"));
        assert_eq!(with_offset.ok(), Some(utc("2026-05-04T10:00:00Z")));
        let compact = read("%Y%m%d%H%M%S", None, Scalar::Integer(20_260_504_100_000));
        assert_eq!(compact.ok(), Some(utc("2026-05-04T10:00:00Z")));
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        for (format, zone, expected) in [
            ("iso", None, "none of rfc3339"),
            ("%Y-%Q!", None, "time pattern"),
            ("%H:%M", None, "names no date"),
            ("rfc3339", Some("Europe/Berlim"), "`Europe/Berlim` is not in the IANA database"),
            ("unix-s", Some("Europe/Berlin"), "counts in UTC"),
        ] {
            let message = TimeFormat::compile(format, zone).expect_err(format);
            assert!(message.contains(expected), "{message}");
        }
    }

    proptest! {
        #[test]
        fn the_quick_reader_agrees_with_the_library(ns in 0i64..4_000_000_000_000_000_000, offset in -1439i64..1439) {
            let timestamp = Timestamp::from_nanosecond(ns.into()).expect("in range");
            let zone = jiff::tz::Offset::from_seconds(i32::try_from(offset * 60).expect("small")).expect("small");
            let text = timestamp.display_with_offset(zone).to_string();
            prop_assert_eq!(rfc3339(text.as_bytes()), Some(ns), "{}", text);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            for format in ["rfc3339", "unix-s", "unix-ns", "%d.%m.%Y %H:%M:%S"] {
                let _ = read(format, None, Scalar::Text(&text));
            }
        }

        #[test]
        fn whatever_the_quick_reader_takes_the_library_takes_alike(text in "[0-9]{4}-[0-9]{2}-[0-3][0-9][T ][0-2][0-9]:[0-5][0-9]:[0-6][0-9](\\.[0-9]{1,12})?(Z|[+-][0-2][0-9]:[0-5][0-9])") {
            if let (Some(ours), Ok(theirs)) = (rfc3339(text.as_bytes()), text.parse::<Timestamp>()) {
                prop_assert!((ours - nanoseconds(theirs).expect("in range")).abs() <= 1);
            }
        }
    }
}
