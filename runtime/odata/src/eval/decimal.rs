//! Decimal numbers with their digits: compared, added and multiplied exactly as far as 38 digits go.

use std::cmp::Ordering;
use std::fmt;

/// Most digits behind the point that a quotient gets.
const QUOTIENT_SCALE: u32 = 15;

/// A decimal number: `mantissa` divided by ten to the power of `scale`.
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    mantissa: i128,
    scale: u32,
}

impl Decimal {
    /// Reads `-12.50`, `1.5E3`. None if it has more digits than fit.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (digits, exponent) = match text.find(['e', 'E']) {
            Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
        let scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        if scale < 0 {
            let mantissa = mantissa.checked_mul(10_i128.checked_pow(scale.unsigned_abs())?)?;
            return Some(Self { mantissa, scale: 0 });
        }
        Some(Self { mantissa, scale: u32::try_from(scale).ok()? }.short())
    }

    /// A whole number.
    #[must_use]
    pub fn whole(number: i64) -> Self {
        Self { mantissa: number.into(), scale: 0 }
    }

    /// Without the zeros at the end of its fraction.
    fn short(mut self) -> Self {
        while self.scale > 0 && self.mantissa % 10 == 0 {
            self.mantissa /= 10;
            self.scale -= 1;
        }
        self
    }

    /// Both with the same scale.
    fn aligned(self, other: Self) -> Option<(i128, i128, u32)> {
        let scale = self.scale.max(other.scale);
        let up = |number: Self| number.mantissa.checked_mul(10_i128.checked_pow(scale - number.scale)?);
        Some((up(self)?, up(other)?, scale))
    }

    /// The order of two.
    #[must_use]
    pub fn order(self, other: Self) -> Ordering {
        match self.aligned(other) {
            Some((a, b, _)) => a.cmp(&b),
            None => self.to_f64().total_cmp(&other.to_f64()),
        }
    }

    /// The sum, unless it has too many digits.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        let (a, b, scale) = self.aligned(other)?;
        Some(Self { mantissa: a.checked_add(b)?, scale }.short())
    }

    /// The difference, unless it has too many digits.
    #[must_use]
    pub fn minus(self, other: Self) -> Option<Self> {
        self.plus(other.negated())
    }

    /// The product, unless it has too many digits.
    #[must_use]
    pub fn times(self, other: Self) -> Option<Self> {
        let mantissa = self.mantissa.checked_mul(other.mantissa)?;
        Some(Self { mantissa, scale: self.scale + other.scale }.short())
    }

    /// The quotient to 15 digits behind the point, cut off; none for a division by zero or too many digits.
    #[must_use]
    pub fn divided_by(self, other: Self) -> Option<Self> {
        let (a, b, _) = self.aligned(other)?;
        let mantissa = a.checked_mul(10_i128.checked_pow(QUOTIENT_SCALE)?)?.checked_div(b)?;
        Some(Self { mantissa, scale: QUOTIENT_SCALE }.short())
    }

    /// The remainder, with the sign of the first; none for a division by zero or too many digits.
    #[must_use]
    pub fn remainder(self, other: Self) -> Option<Self> {
        let (a, b, scale) = self.aligned(other)?;
        Some(Self { mantissa: a.checked_rem(b)?, scale }.short())
    }

    /// The number with its sign changed.
    #[must_use]
    pub fn negated(self) -> Self {
        Self { mantissa: -self.mantissa, ..self }
    }

    /// The whole number near it: the lower, the higher, or the nearest with halves away from zero.
    #[must_use]
    pub fn rounded(self, direction: Ordering) -> Self {
        let Some(unit) = 10_i128.checked_pow(self.scale).filter(|unit| *unit > 1) else { return self };
        let (floor, rest) = (self.mantissa.div_euclid(unit), self.mantissa.rem_euclid(unit));
        let half = rest * 2;
        let up = match direction {
            Ordering::Less => false,
            Ordering::Greater => rest > 0,
            Ordering::Equal => half > unit || (half == unit && self.mantissa > 0),
        };
        Self { mantissa: floor + i128::from(up), scale: 0 }
    }

    /// The nearest floating-point number.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        self.to_string().parse().unwrap_or(f64::NAN)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let scale = self.scale as usize;
        let digits = format!("{:0>width$}", self.mantissa.unsigned_abs(), width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        if fraction.is_empty() { write!(f, "{sign}{whole}") } else { write!(f, "{sign}{whole}.{fraction}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn digits_are_kept() {
        for (text, written) in
            [("123.450000000000000000", "123.45"), ("-0.5", "-0.5"), ("1.5E3", "1500"), ("2e-2", "0.02")]
        {
            assert_eq!(decimal(text).to_string(), written);
        }
        assert_eq!(decimal("0.1").plus(decimal("0.2")).unwrap().to_string(), "0.3");
        assert_eq!(decimal("1.1").times(decimal("-1.1")).unwrap().to_string(), "-1.21");
        assert_eq!(decimal("1").divided_by(decimal("8")).unwrap().to_string(), "0.125");
        assert_eq!(decimal("-7.5").remainder(decimal("2")).unwrap().to_string(), "-1.5");
        assert!(decimal("1").divided_by(decimal("0")).is_none());
        assert_eq!(decimal("1.0").order(decimal("1")), Ordering::Equal);
        assert!(Decimal::parse("x").is_none() && Decimal::parse(&"9".repeat(50)).is_none());
    }

    #[test]
    fn halves_are_rounded_away_from_zero() {
        let rounded = |text: &str, direction| decimal(text).rounded(direction).to_string();
        assert_eq!(rounded("2.5", Ordering::Equal), "3");
        assert_eq!(rounded("-2.5", Ordering::Equal), "-3");
        assert_eq!(rounded("-2.4", Ordering::Equal), "-2");
        assert_eq!(rounded("-2.1", Ordering::Less), "-3");
        assert_eq!(rounded("-2.1", Ordering::Greater), "-2");
    }
}
