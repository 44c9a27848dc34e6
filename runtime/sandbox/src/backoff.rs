//! How long to wait after a failure: doubling from a first to a longest wait, with jitter. A pure policy; whoever uses
//! it supplies the randomness and does the waiting.

use std::time::Duration;

/// Doubling waits with jitter: each is between half of and the whole of its step.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    /// Waits from `first` to at most `max`.
    #[must_use]
    pub fn new(first: Duration, max: Duration) -> Self {
        Self { first, max: max.max(first), failures: 0 }
    }

    /// The wait after one more failure; `random` is anything, evenly spread.
    pub fn next(&mut self, random: u32) -> Duration {
        let step = self.first.saturating_mul(1 << self.failures.min(20)).min(self.max);
        self.failures = self.failures.saturating_add(1);
        let half = step / 2;
        half + half.mul_f64(f64::from(random) / f64::from(u32::MAX))
    }

    /// How many failures there were since the last success.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// After a success the next wait is the first again.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }
}

/// A random number for [`Backoff::next`] from the operating system.
#[must_use]
pub fn random_u32() -> u32 {
    // Without randomness the waits are still right, only not spread.
    getrandom::u32().unwrap_or(u32::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_start_over_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(500));
        let longest: Vec<u128> = (0..5).map(|_| backoff.next(u32::MAX).as_millis()).collect();
        assert_eq!(longest, [100, 200, 400, 500, 500]);
        backoff.succeeded();
        assert_eq!(backoff.next(0).as_millis(), 50);
    }

    #[test]
    fn many_failures_do_not_overflow() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        assert!((0..200).map(|_| backoff.next(u32::MAX)).all(|wait| wait <= Duration::from_secs(60)));
    }
}
