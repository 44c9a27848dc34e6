//! The text of a JSON payload, read in steps of eight bytes where it can be: inside the sandbox each call and each turn of a loop
//! is looked at for the adapter's deadline, so a parser of many small functions and loops takes more than twice as long there as
//! outside. What is unusual (an escape, a number of more than 18 digits) it does not read: that is serde_json's.

use crate::Scalar;

/// Digits of a number that fit into 64 bits whatever they are.
const DIGITS_MAX: usize = 18;
/// Below it a float names every whole number.
const WHOLE_MAX: u64 = 1 << 53;
/// The powers of ten that a float names exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// A number that a text has.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Number {
    /// Without fraction or exponent.
    Integer(i64),
    /// Any other.
    Real(f64),
}

impl Number {
    /// As serde_json would hand it over.
    #[inline]
    pub(crate) fn scalar(self) -> Scalar<'static> {
        match self {
            Number::Integer(number) => Scalar::Integer(number),
            Number::Real(number) => Scalar::Real(number),
        }
    }

    /// The nearest float.
    #[inline(always)]
    pub(crate) fn real(self) -> f64 {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "the nearest one is wanted")]
            Number::Integer(number) => number as f64,
            Number::Real(number) => number,
        }
    }
}

/// A payload.
#[derive(Clone, Copy)]
pub(crate) struct Text<'j> {
    json: &'j [u8],
}

impl<'j> Text<'j> {
    #[inline(always)]
    pub(crate) fn new(json: &'j [u8]) -> Self {
        Text { json }
    }

    /// How many bytes it has.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.json.len()
    }

    /// The byte at a place; behind the end zero, which is nowhere in JSON.
    #[inline(always)]
    pub(crate) fn byte(&self, at: usize) -> u8 {
        self.json.get(at).copied().unwrap_or(0)
    }

    /// What stands there.
    #[inline(always)]
    pub(crate) fn between(&self, start: usize, end: usize) -> Option<&'j [u8]> {
        self.json.get(start..end)
    }

    /// The eight bytes from a place on, the first one lowest; behind the end zeros.
    #[inline(always)]
    pub(crate) fn eight(&self, at: usize) -> u64 {
        if let Some(eight) = self.json.get(at..).and_then(|rest| rest.first_chunk()) {
            return u64::from_le_bytes(*eight);
        }
        let Some(last) = self.json.last_chunk() else { return self.few(at) };
        let beyond = (at + 8).saturating_sub(self.json.len());
        u64::from_le_bytes(*last).checked_shr(8 * beyond as u32).unwrap_or(0)
    }

    /// The same of a text of fewer than eight bytes.
    #[cold]
    #[inline(never)]
    fn few(&self, at: usize) -> u64 {
        (0..8).rev().fold(0, |eight, index| eight << 8 | u64::from(self.byte(at + index)))
    }

    /// Whether the word at a place is true; none: it is null. And the place behind it.
    #[inline(always)]
    pub(crate) fn word(&self, at: usize) -> Option<(Option<bool>, usize)> {
        let eight = self.eight(at);
        if eight as u32 == u32::from_le_bytes(*b"true") {
            Some((Some(true), at + 4))
        } else if (eight >> 8) as u32 == u32::from_le_bytes(*b"alse") && eight as u8 == b'f' {
            Some((Some(false), at + 5))
        } else if eight as u32 == u32::from_le_bytes(*b"null") {
            Some((None, at + 4))
        } else {
            None
        }
    }

    /// The string whose first quote is at a place, without quotes, and the place behind it. It has no escapes, and is perhaps no
    /// UTF-8.
    #[inline(always)]
    pub(crate) fn string(&self, at: usize) -> Option<(&'j [u8], usize)> {
        let end = self.string_end(at + 1);
        (self.byte(at) == b'"' && self.byte(end) == b'"').then_some((self.json.get(at + 1..end)?, end + 1))
    }

    /// The first place that holds a quote, an escape or a control character, or the text's end.
    #[inline(always)]
    fn string_end(&self, start: usize) -> usize {
        let mut at = start;
        loop {
            // Zeros behind the end are control characters, so it stops there.
            let special = special(self.eight(at));
            if special != 0 {
                return at + (special.trailing_zeros() / 8) as usize;
            }
            at += 8;
        }
    }

    /// The number at a place, and the place behind it.
    #[inline(always)]
    pub(crate) fn number(&self, at: usize) -> Option<(Number, usize)> {
        let is_negative = self.byte(at) == b'-';
        let start = at + usize::from(is_negative);
        let Digits { value: mut digits, count: whole, mut next } = self.digits(start)?;
        let mut at = start + whole;
        // 01 is no number.
        if whole == 0 || whole > 1 && self.byte(start) == b'0' {
            return None;
        }
        let (mut exponent, mut is_real) = (0, false);
        if next == b'.' {
            let fraction = self.digits(at + 1)?;
            if fraction.count == 0 || whole + fraction.count > DIGITS_MAX {
                return None;
            }
            digits = digits * TENS[fraction.count & 31] + fraction.value;
            (at, next) = (at + 1 + fraction.count, fraction.next);
            (exponent, is_real) = (-(fraction.count as i32), true);
        }
        if next | 0x20 == b'e' {
            let sign = self.byte(at + 1);
            let first = at + 1 + usize::from(matches!(sign, b'+' | b'-'));
            let written = self.digits(first)?;
            if !(1..=3).contains(&written.count) {
                return None;
            }
            let value = written.value as i32;
            exponent += if sign == b'-' { -value } else { value };
            (at, is_real) = (first + written.count, true);
        }
        if !is_real && (digits > 0 || !is_negative) {
            let number = digits.cast_signed();
            return Some((Number::Integer(if is_negative { -number } else { number }), at));
        }
        let number = match POWERS.get(exponent.unsigned_abs() as usize) {
            // Both are exact, so the one operation rounds as it should.
            Some(power) if digits < WHOLE_MAX && exponent < 0 => digits.cast_signed() as f64 / power,
            Some(power) if digits < WHOLE_MAX => digits.cast_signed() as f64 * power,
            _ => self.parsed(start, at)?,
        };
        Some((Number::Real(if is_negative { -number } else { number }), at))
    }

    /// A number without its sign as the standard library reads it; none: it is too large.
    #[cold]
    #[inline(never)]
    fn parsed(&self, start: usize, end: usize) -> Option<f64> {
        let text = std::str::from_utf8(self.json.get(start..end)?).ok()?;
        text.parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// The digits from a place on; none: they are too many.
    #[inline(always)]
    pub(crate) fn digits(&self, at: usize) -> Option<Digits> {
        let eight = self.eight(at);
        let count = leading_digits(eight);
        if count < 8 {
            return Some(Digits { value: digits_value(eight, count), count, next: (eight >> (8 * count)) as u8 });
        }
        self.many_digits(at)
    }

    /// The same, where they are eight or more.
    #[inline(never)]
    fn many_digits(&self, start: usize) -> Option<Digits> {
        let (mut at, mut value) = (start, 0_u64);
        loop {
            let next = self.json.get(at).copied().unwrap_or(0);
            if !next.is_ascii_digit() {
                return Some(Digits { value, count: at - start, next });
            }
            if at - start == DIGITS_MAX {
                return None;
            }
            value = value * 10 + u64::from(next - b'0');
            at += 1;
        }
    }
}

/// Whether two texts are the same, by eight bytes at a time.
#[inline]
pub(crate) fn is_same(one: &[u8], other: &[u8]) -> bool {
    let (Some(ones_last), Some(others_last)) = (one.last_chunk::<8>(), other.last_chunk::<8>()) else {
        return one == other;
    };
    let mut both = one.as_chunks::<8>().0.iter().zip(other.as_chunks::<8>().0);
    one.len() == other.len() && ones_last == others_last && both.all(|(one, other)| one == other)
}

/// Up to 18 digits.
#[derive(Clone, Copy)]
pub(crate) struct Digits {
    pub(crate) value: u64,
    pub(crate) count: usize,
    /// The byte behind them; zero is the end.
    pub(crate) next: u8,
}

/// The powers of ten by which a number grows with further digits.
pub(crate) const TENS: [u64; 32] = {
    let mut tens = [1; 32];
    let mut index = 1;
    while index <= DIGITS_MAX {
        tens[index] = tens[index - 1] * 10;
        index += 1;
    }
    tens
};
const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);

/// The highest bit of each byte that is this one; beyond the lowest such byte others may be marked, too.
#[inline]
fn has(eight: u64, byte: u8) -> u64 {
    let zero_where_equal = eight ^ (ONES * u64::from(byte));
    zero_where_equal.wrapping_sub(ONES) & !zero_where_equal & HIGHS
}

/// The same of each byte below a space.
#[inline]
fn below_space(eight: u64) -> u64 {
    eight.wrapping_sub(ONES * 0x20) & !eight & HIGHS
}

/// The highest bit of the first byte that ends a plain text, and of some behind it.
#[inline]
fn special(eight: u64) -> u64 {
    has(eight, b'"') | has(eight, b'\\') | below_space(eight)
}

/// How many digits the first of eight bytes are.
#[inline]
fn leading_digits(eight: u64) -> usize {
    let zero_based = eight ^ (ONES * u64::from(b'0'));
    // A sum that goes beyond its byte changes only those behind the first that is none.
    let others = (zero_based.wrapping_add(ONES * 0x76) | zero_based) & HIGHS;
    (others.trailing_zeros() / 8) as usize
}

/// The number that the first of eight bytes are, fewer than eight digits: they go to the end, behind zeros, and neighbours are put
/// together three times.
#[inline]
fn digits_value(eight: u64, count: usize) -> u64 {
    let zero_based = eight ^ (ONES * u64::from(b'0'));
    // In two steps, since none of eight would be a shift by all bits.
    let digits = zero_based << 8 << (56 - 8 * count);
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let high = (pairs & 0xFF_0000_00FF).wrapping_mul(100 + (1_000_000 << 32));
    let low = (pairs >> 16 & 0xFF_0000_00FF).wrapping_mul(1 + (10_000 << 32));
    high.wrapping_add(low) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_number_is_what_the_standard_library_reads(
            text in "-?(0|[1-9][0-9]{0,17})(\\.[0-9]{1,17})?([eE][+-]?[0-9]{1,3})?", behind in "[,} ]{0,9}",
        ) {
            let read = Text::new((text.clone() + &behind).as_bytes()).number(0);
            let expected: f64 = text.parse().unwrap();
            match read {
                Some((number, end)) => {
                    prop_assert_eq!(end, text.len());
                    prop_assert_eq!(number.real().to_bits(), expected.to_bits());
                }
                None => {
                    let digits = text.split(['e', 'E']).next().unwrap().bytes().filter(u8::is_ascii_digit).count();
                    prop_assert!(digits > DIGITS_MAX || expected.is_infinite(), "{}", text);
                }
            }
        }

        #[test]
        fn a_string_ends_where_a_search_byte_by_byte_says(text in prop::collection::vec(any::<u8>(), 0..30)) {
            let json = [b"\"", text.as_slice()].concat();
            let end = json[1..].iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).map(|place| place + 1);
            let expected = end.filter(|end| json[*end] == b'"').map(|end| (&json[1..end], end + 1));
            prop_assert_eq!(Text::new(&json).string(0), expected);
        }

        #[test]
        fn texts_are_the_same_when_all_bytes_are(text in "[ab]{0,20}", other in "[ab]{0,20}", place in any::<prop::sample::Index>()) {
            prop_assert!(is_same(text.as_bytes(), text.clone().as_bytes()));
            prop_assert_eq!(is_same(text.as_bytes(), other.as_bytes()), text == other);
            let mut changed = text.clone().into_bytes();
            if !changed.is_empty() {
                let place = place.index(changed.len());
                changed[place] ^= 1;
                prop_assert!(!is_same(text.as_bytes(), &changed));
            }
        }
    }
}
