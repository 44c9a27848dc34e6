//! Times as files have them: with an offset, as numbers since 1970, or local with a stated zone. Pure.

use bulkhead_model::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// How a file writes its times.
#[derive(Clone, Debug)]
pub(super) enum Moments {
    /// RFC 3339, or whole milliseconds since 1970, as everywhere in this API.
    Usual,
    /// Numbers since 1970 with this many digits of a second before the point: 0 for seconds, 9 for nanoseconds.
    Since1970(u32),
    /// Local time of a zone: `2026-01-31 08:30:00`, or by a pattern. Times with an offset are taken, too.
    Local { zone: TimeZone, pattern: Option<String> },
}

/// The names of formats of numbers, with their digits.
const NUMBERS: [(&str, u32); 4] = [("s", 0), ("ms", 3), ("us", 6), ("ns", 9)];
/// What makes a format a pattern (strftime).
const PATTERN: char = '%';

impl Moments {
    /// Of the parameters `time_format` and `zone`.
    pub(super) fn of(format: Option<&str>, zone: Option<&str>) -> Result<Self, String> {
        let zone = zone.map(zone_of).transpose()?;
        let number = |format: &str| NUMBERS.iter().find(|(name, _)| *name == format).map(|(_, digits)| *digits);
        match (format, zone) {
            (None | Some("rfc3339"), None) => Ok(Self::Usual),
            (None | Some("rfc3339" | "local"), Some(zone)) => Ok(Self::Local { zone, pattern: None }),
            (Some(format), None) if number(format).is_some() => Ok(Self::Since1970(number(format).unwrap_or_default())),
            (Some(format), Some(zone)) if format.contains(PATTERN) => {
                Ok(Self::Local { zone, pattern: Some(format.to_owned()) })
            }
            (Some(format), None) if format == "local" || format.contains(PATTERN) => {
                Err("local times need `zone`: such as Europe/Berlin or +01:00".to_owned())
            }
            (Some(format), Some(_)) if number(format).is_some() => Err("times since 1970 have no zone".to_owned()),
            (Some(format), _) => Err(format!(
                "`{format}` is no format of times: expected rfc3339, s, ms, us, ns, local or a pattern such as %d.%m.%Y %H:%M:%S"
            )),
        }
    }

    /// A moment, or what was expected.
    pub(super) fn parse(&self, text: &str) -> Result<Timestamp, String> {
        let text = text.trim();
        match self {
            Self::Usual => {
                let ms = since_1970(text, 3).filter(|_| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-'));
                let expected = "a time with its offset, such as 2026-01-31T08:30:00Z, or milliseconds since 1970";
                ms.or_else(|| with_offset(text)).ok_or_else(|| expected.to_owned())
            }
            Self::Since1970(digits) => {
                let unit = NUMBERS.iter().find(|(_, known)| known == digits).map_or("", |(name, _)| name);
                since_1970(text, *digits).ok_or_else(|| format!("a time as a number of {unit} since 1970"))
            }
            Self::Local { zone, pattern } => local(text, zone, pattern.as_deref()),
        }
    }
}

fn zone_of(name: &str) -> Result<TimeZone, String> {
    let offset = || {
        let offset: jiff::tz::Offset = jiff::fmt::strtime::parse("%:z", name).ok()?.offset()?;
        Some(TimeZone::fixed(offset))
    };
    let known = if name == "UTC" { Some(TimeZone::UTC) } else { offset().or_else(|| TimeZone::get(name).ok()) };
    known.ok_or_else(|| {
        format!(
            "the zone `{name}` is not known here: expected UTC, an offset such as +01:00, or a name such as Europe/Berlin of \
             the system's list of zones (tzdata)"
        )
    })
}

fn with_offset(text: &str) -> Option<Timestamp> {
    let moment: jiff::Timestamp = text.parse().ok()?;
    i64::try_from(moment.as_nanosecond()).ok().map(Timestamp)
}

/// A decimal number of units since 1970 of which 10^`digits` make a second, to the nanosecond.
fn since_1970(text: &str, digits: u32) -> Option<Timestamp> {
    let (sign, plain) = text.strip_prefix('-').map_or((1, text), |plain| (-1, plain));
    let (whole, fraction) = plain.split_once(['.', ',']).unwrap_or((plain, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let below = 9 - digits as usize;
    let fraction: String = fraction.chars().chain(std::iter::repeat('0')).take(below).collect();
    let ns: i128 = format!("{whole}{fraction}").parse().ok()?;
    i64::try_from(sign * ns).ok().map(Timestamp)
}

fn local(text: &str, zone: &TimeZone, pattern: Option<&str>) -> Result<Timestamp, String> {
    if pattern.is_none()
        && let Some(moment) = with_offset(text)
    {
        return Ok(moment);
    }
    let local: Option<DateTime> = match pattern {
        None => text.parse().ok(),
        Some(pattern) => jiff::fmt::strtime::parse(pattern, text).ok().and_then(|parsed| parsed.to_datetime().ok()),
    };
    let local = local.ok_or_else(|| match pattern {
        None => "a local time such as 2026-01-31 08:30:00".to_owned(),
        Some(pattern) => format!("a local time written as {pattern}"),
    })?;
    let moment = zone.to_ambiguous_timestamp(local).unambiguous().map_err(|_| {
        "a time that was there once: when clocks are put back an hour comes twice, when they are put forward one is \
         missing (a logger that stays on winter time has a zone such as +01:00 all year)"
            .to_owned()
    })?;
    i64::try_from(moment.as_nanosecond()).map(Timestamp).map_err(|_| "a time from 1677 to 2262".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ns(format: Option<&str>, zone: Option<&str>, text: &str) -> Option<i64> {
        Moments::of(format, zone).unwrap().parse(text).ok().map(|moment| moment.0)
    }

    #[test]
    fn times_are_read_as_they_are_written() {
        let moment = 1_769_848_200_500_000_000;
        for (format, zone, text) in [
            (None, None, "2026-01-31T08:30:00.5Z"),
            (None, None, "2026-01-31T09:30:00.5+01:00"),
            (None, None, "1769848200500"),
            (Some("s"), None, "1769848200.5"),
            (Some("s"), None, "1769848200,5"),
            (Some("ms"), None, "1769848200500"),
            (Some("us"), None, "1769848200500000"),
            (Some("ns"), None, "1769848200500000000"),
            (None, Some("+01:00"), "2026-01-31 09:30:00.5"),
            (Some("local"), Some("UTC"), "2026-01-31T08:30:00.5"),
            (Some("%d.%m.%Y %H:%M:%S%.f"), Some("+01:00"), "31.01.2026 09:30:00.5"),
            (None, Some("+05:00"), "2026-01-31T08:30:00.5Z"),
        ] {
            assert_eq!(ns(format, zone, text), Some(moment), "{format:?} {zone:?} {text}");
        }
        assert_eq!(ns(Some("s"), None, "-1.5"), Some(-1_500_000_000));
        for (format, zone, text) in [
            (None, None, "2026-01-31 08:30:00"),
            (None, None, "1769848200.5"),
            (Some("s"), None, "1e9"),
            (Some("ns"), None, "99999999999999999999"),
            (None, Some("UTC"), "31.01.2026"),
            (None, None, ""),
            (Some("s"), None, "."),
        ] {
            assert_eq!(ns(format, zone, text), None, "{format:?} {text}");
        }
    }

    #[test]
    fn an_hour_that_comes_twice_or_not_at_all_is_told_and_not_guessed() {
        let Ok(berlin) = Moments::of(None, Some("Europe/Berlin")) else {
            // Without the system's list of zones the name itself is refused.
            return assert!(Moments::of(None, Some("Europe/Berlin")).unwrap_err().contains("tzdata"));
        };
        assert_eq!(berlin.parse("2026-07-01 12:00:00").unwrap(), with_offset("2026-07-01T10:00:00Z").unwrap());
        for text in ["2026-10-25 02:30:00", "2026-03-29 02:30:00"] {
            assert!(berlin.parse(text).unwrap_err().contains("clocks"), "{text}");
        }
    }

    #[test]
    fn formats_that_are_none_or_do_not_go_together_are_named() {
        for (format, zone, part) in [
            (Some("local"), None, "zone"),
            (Some("%H"), None, "zone"),
            (Some("s"), Some("UTC"), "no zone"),
            (Some("minutes"), None, "minutes"),
            (None, Some("Mars/Crater"), "Mars/Crater"),
        ] {
            let error = Moments::of(format, zone).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
