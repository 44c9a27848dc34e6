//! How fast a route may send: a pure policy over counts and times.

/// A bound on readings a second. What was not used is not saved up: after a pause there is no burst beyond one batch.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    max_per_s: u64,
    /// On the monotonic clock: nothing is sent before.
    next_ns: u64,
}

impl Pace {
    pub(super) fn new(max_per_s: u32) -> Self {
        Self { max_per_s: u64::from(max_per_s.max(1)), next_ns: 0 }
    }

    /// How long until the next batch may go, in nanoseconds.
    pub(super) fn wait_ns(&self, now_ns: u64) -> u64 {
        self.next_ns.saturating_sub(now_ns)
    }

    /// Takes note that so many readings go now.
    pub(super) fn sent(&mut self, readings: usize, now_ns: u64) {
        let takes_ns = (readings as u64).saturating_mul(1_000_000_000) / self.max_per_s;
        self.next_ns = self.next_ns.max(now_ns).saturating_add(takes_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_pause_earns_no_burst() {
        let mut pace = Pace::new(100);
        assert_eq!(pace.wait_ns(0), 0);
        pace.sent(10, 0);
        assert_eq!(pace.wait_ns(0), 100_000_000);
        assert_eq!(pace.wait_ns(5_000_000_000), 0);
        pace.sent(10, 5_000_000_000);
        assert_eq!(pace.wait_ns(5_000_000_000), 100_000_000);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_more_goes_than_the_bound_says_and_one_batch(
            rate in 1_u32..10_000, batches in proptest::collection::vec((1_usize..500, 0_u64..1_000_000_000), 1..50),
        ) {
            let mut pace = Pace::new(rate);
            let (mut now, mut sent, mut largest) = (0_u64, 0_u64, 0_u64);
            for (readings, idle_ns) in batches {
                now += pace.wait_ns(now) + idle_ns;
                pace.sent(readings, now);
                sent += readings as u64;
                largest = largest.max(readings as u64);
                // A rounding of up to a nanosecond a batch.
                let allowed = u128::from(now + 50) * u128::from(rate) / 1_000_000_000 + u128::from(largest) + 1;
                prop_assert!(u128::from(sent) <= allowed, "{sent} in {now} ns at {rate} a second");
            }
        }
    }
}
