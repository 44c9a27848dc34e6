//! The least pause between two requests on one wire.

use bulkhead_sandbox::capability::Clock;
use std::time::Duration;

/// When the wire was last used.
#[derive(Debug, Default)]
pub(crate) struct Pacing {
    used_ns: Option<u64>,
}

impl Pacing {
    /// Waits until the gap since the last use is over.
    pub(crate) async fn wait(&self, clock: &dyn Clock, gap: Duration) {
        if gap.is_zero() {
            return;
        }
        let rest = self.rest(clock.monotonic_ns(), gap);
        if !rest.is_zero() {
            tokio::time::sleep(rest).await;
        }
    }

    /// The wire has just been used.
    pub(crate) fn used(&mut self, clock: &dyn Clock) {
        self.used_ns = Some(clock.monotonic_ns());
    }

    fn rest(&self, now_ns: u64, gap: Duration) -> Duration {
        match self.used_ns {
            Some(used_ns) => gap.saturating_sub(Duration::from_nanos(now_ns.saturating_sub(used_ns))),
            None => Duration::ZERO,
        }
    }
}

/// The silence that ends an RTU frame: 3.5 characters of 11 bits, above 19200 baud fixed (Modbus over Serial Line V1.02
/// §2.5.1.1).
pub(crate) fn silent_interval(baud: u32) -> Duration {
    const ABOVE_19200_US: u64 = 1750;
    if baud > 19_200 {
        Duration::from_micros(ABOVE_19200_US)
    } else {
        Duration::from_micros(38_500_000 / u64::from(baud.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_shrinks_as_time_goes_by() {
        let gap = Duration::from_millis(5);
        assert_eq!(Pacing::default().rest(0, gap), Duration::ZERO);
        let pacing = Pacing { used_ns: Some(1_000_000) };
        assert_eq!(pacing.rest(3_000_000, gap), Duration::from_millis(3));
        assert_eq!(pacing.rest(9_000_000, gap), Duration::ZERO);
    }

    #[test]
    fn the_silent_interval_is_three_and_a_half_characters() {
        assert_eq!(silent_interval(9600).as_micros(), 4010);
        assert_eq!(silent_interval(115_200).as_micros(), 1750);
    }
}
