//! Chance that can be repeated: SplitMix64 from a seed, which is a new one each run unless `BULKHEAD_SOAK_SEED` gives it.

use std::time::{SystemTime, UNIX_EPOCH};

/// The variable with the seed.
const SEED: &str = "BULKHEAD_SOAK_SEED";

/// A source of numbers.
#[derive(Debug, Clone)]
pub struct Dice {
    seed: u64,
    state: u64,
}

impl Dice {
    /// With the seed that the environment gives, or a new one.
    #[must_use]
    pub fn from_environment() -> Self {
        let given = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_nanos() as u64);
        Self::seeded(given.unwrap_or_else(now))
    }

    /// With this seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self { seed, state: seed }
    }

    /// A number from 0 to below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end.max(1)
    }

    /// How to repeat the choices.
    #[must_use]
    pub fn seed_note(&self) -> String {
        format!("{SEED}={}", self.seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_below_the_end_and_reach_it() {
        let mut dice = Dice::seeded(1);
        let drawn: Vec<u64> = (0..1000).map(|_| dice.below(10)).collect();
        assert!((0..10).all(|number| drawn.contains(&number)) && drawn.iter().all(|number| *number < 10));
        assert_eq!(dice.below(0), 0);
    }
}
