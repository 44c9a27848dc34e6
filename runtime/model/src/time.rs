//! Moments as nanoseconds since the Unix epoch. Reading the clock is not done here: the host's clock gives them.

use serde::{Deserialize, Serialize};

/// Nanoseconds since the Unix epoch, UTC; years 1677 to 2262.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// 2026-01-01T00:00:00Z. No gateway of this version ran before: a clock that says so was never set.
    pub const PLAUSIBLE_FROM: Timestamp = Timestamp(1_767_225_600_000_000_000);
    /// 2056-01-01T00:00:00Z. A clock beyond is taken for wrong, not for the passing of thirty years.
    pub const PLAUSIBLE_TO: Timestamp = Timestamp(2_713_910_400_000_000_000);

    /// Whether a machine's clock may say this in good faith.
    #[must_use]
    pub fn is_plausible(self) -> bool {
        (Self::PLAUSIBLE_FROM..Self::PLAUSIBLE_TO).contains(&self)
    }

    /// From a system time; one outside of the range becomes the nearest end of it.
    #[must_use]
    pub fn from_system_time(time: std::time::SystemTime) -> Self {
        match time.duration_since(std::time::UNIX_EPOCH) {
            Ok(after) => Self(i64::try_from(after.as_nanos()).unwrap_or(i64::MAX)),
            Err(before) => Self(i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns)),
        }
    }

    /// Whole milliseconds since the epoch, rounded down.
    #[must_use]
    pub fn as_millis(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_epoch_and_the_next_century_are_no_times_of_a_set_clock() {
        let year = 31_556_952_000_000_000;
        assert!(!Timestamp(0).is_plausible() && !Timestamp(130 * year).is_plausible());
        assert!(Timestamp(57 * year).is_plausible() && Timestamp(80 * year).is_plausible());
    }
}
