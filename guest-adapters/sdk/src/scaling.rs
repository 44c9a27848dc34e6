//! Linear conversion of a device's numbers, without the noise of binary fractions.

/// A linear conversion.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Scaling {
    factor: f64,
    /// Where the factor is 1/n of a whole n the conversion divides by n: 3 / 10 is 0.3, 3 × 0.1 is not.
    divisor: Option<f64>,
    offset: f64,
}

/// Largest divisor looked for.
const MAX_DIVISOR: f64 = 1e9;

impl Scaling {
    /// value = number × factor + offset. None for a factor that is zero or not finite, or an offset that is not finite.
    #[must_use]
    pub fn new(factor: f64, offset: f64) -> Option<Self> {
        if factor == 0.0 || !factor.is_finite() || !offset.is_finite() {
            return None;
        }
        let whole = (1.0 / factor).round();
        let divides = whole.abs() > 1.0 && whole.abs() <= MAX_DIVISOR && 1.0 / whole == factor;
        Some(Self { factor, divisor: divides.then_some(whole), offset })
    }

    /// The value of a number.
    #[must_use]
    pub fn apply(self, number: f64) -> f64 {
        self.divisor.map_or_else(|| number * self.factor, |divisor| number / divisor) + self.offset
    }

    /// The number of a value.
    #[must_use]
    pub fn invert(self, value: f64) -> f64 {
        let shifted = value - self.offset;
        self.divisor.map_or_else(|| shifted / self.factor, |divisor| shifted * divisor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_factors_give_the_decimal_number() {
        for (factor, number, value) in [(0.1, 3.0, 0.3), (0.01, 1999.0, 19.99), (0.25, 3.0, 0.75), (10.0, 42.0, 420.0)]
        {
            let scaling = Scaling::new(factor, 0.0).unwrap();
            assert_eq!(scaling.apply(number), value);
            assert_eq!(scaling.invert(value).round(), number);
        }
    }

    #[test]
    fn a_factor_of_zero_or_of_no_number_is_no_scaling() {
        for (factor, offset) in [(0.0, 0.0), (f64::NAN, 0.0), (1.0, f64::INFINITY)] {
            assert_eq!(Scaling::new(factor, offset), None);
        }
    }
}
