//! Times and bytes as JSON writes them.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;

/// A moment in nanoseconds since the epoch as RFC 3339 in UTC, with this many digits of fraction (0 to 9; further ones are
/// cut off), so that a value is never dated later than it was acquired.
#[must_use]
pub fn rfc3339(ns: i64, fraction_digits: u8) -> String {
    let digits = fraction_digits.min(9);
    let unit_ns = 10_i64.pow(9 - u32::from(digits));
    let cut_ns = i128::from(ns.div_euclid(unit_ns)) * i128::from(unit_ns);
    match Timestamp::from_nanosecond(cut_ns) {
        Ok(timestamp) => format!("{timestamp:.*}", usize::from(digits)),
        Err(_) => String::new(),
    }
}

/// Bytes in base64 (RFC 4648 §4).
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Bytes in base64 with the alphabet for URLs, unpadded (RFC 4648 §5), as OData writes Edm.Binary.
#[must_use]
pub fn base64_url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fractions_are_cut_never_rounded_up() {
        assert_eq!(rfc3339(1_777_888_800_999_999_999, 3), "2026-05-04T10:00:00.999Z");
        assert_eq!(rfc3339(1_777_888_800_999_999_999, 0), "2026-05-04T10:00:00Z");
        assert_eq!(rfc3339(-1, 3), "1969-12-31T23:59:59.999Z");
        assert_eq!(rfc3339(0, 9), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(rfc3339(i64::MIN, 0), "1677-09-21T00:12:43Z");
    }

    #[test]
    fn bytes_in_two_alphabets() {
        assert_eq!((base64(&[251, 255]), base64_url(&[251, 255])), ("+/8=".to_owned(), "-_8".to_owned()));
    }

    proptest! {
        #[test]
        fn nine_digits_lose_nothing(ns in any::<i64>()) {
            let back: Timestamp = rfc3339(ns, 9).parse().expect("a timestamp");
            prop_assert_eq!(back.as_nanosecond(), i128::from(ns));
        }
    }
}
