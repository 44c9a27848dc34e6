//! Moments and lengths of time as text: RFC 3339 and ISO 8601 in answers, milliseconds accepted in questions.

use bulkhead_model::Timestamp;
use jiff::SignedDuration;

const NS_PER_MS: i64 = 1_000_000;

/// A moment from RFC 3339 text or milliseconds since the Unix epoch.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    if let Ok(ms) = text.parse::<i64>() {
        return ms.checked_mul(NS_PER_MS).map(Timestamp);
    }
    let moment: jiff::Timestamp = text.parse().ok()?;
    i64::try_from(moment.as_nanosecond()).ok().map(Timestamp)
}

/// A moment as RFC 3339 in UTC, with as many digits of a second as it has.
pub(crate) fn rfc3339(ns: i64) -> String {
    match jiff::Timestamp::from_nanosecond(i128::from(ns)) {
        Ok(moment) => moment.to_string(),
        // Every i64 of nanoseconds is inside of jiff's range; the number itself is better than nothing.
        Err(_) => ns.to_string(),
    }
}

/// A length of time as ISO 8601: `PT1.5S`.
pub(crate) fn iso8601(ns: i64) -> String {
    SignedDuration::from_nanos(ns).to_string()
}

/// A length of time from ISO 8601, in nanoseconds.
pub(crate) fn parse_duration(text: &str) -> Option<i64> {
    let duration: SignedDuration = text.parse().ok()?;
    i64::try_from(duration.as_nanos()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_go_both_ways() {
        for (text, ns) in [("1970-01-01T00:00:00Z", 0), ("1969-12-31T23:59:59.999999999Z", -1)] {
            assert_eq!((parse(text), rfc3339(ns).as_str()), (Some(Timestamp(ns)), text));
        }
        assert_eq!(parse("2026-01-02T03:04:05.6+02:00"), parse("2026-01-02T01:04:05.6Z"));
        assert_eq!(parse("1500"), Some(Timestamp(1_500_000_000)));
        assert_eq!((parse("yesterday"), parse("9223372036854775807"), parse("2026-01-02")), (None, None, None));
        assert_eq!(parse(&rfc3339(i64::MIN)), Some(Timestamp(i64::MIN)));
    }

    #[test]
    fn durations_go_both_ways() {
        assert_eq!(iso8601(1_500_000_000), "PT1.5S");
        assert_eq!(parse_duration("PT1.5S"), Some(1_500_000_000));
        assert_eq!(parse_duration("soon"), None);
    }
}
