//! How long one delivery may take. The host ends a call that lasts too long, and what a delivery had achieved is then
//! forgotten; so a delivery ends itself well before, and says how far it came.

use crate::Progress;
use bulkhead_sdk::{Fault, clock};

/// After this time a delivery begins no further request. The host ends a call after 180 s; the rest is for the request
/// that is under way, which may last as long as its transport's timeout.
pub const DELIVERY_TIME_MAX_MS: u64 = 60_000;

/// The time of one delivery.
#[derive(Debug, Clone, Copy)]
pub struct DeliveryTime {
    began_ns: u64,
}

impl DeliveryTime {
    /// The delivery begins now.
    #[must_use]
    pub fn begin() -> Self {
        Self { began_ns: clock::monotonic() }
    }

    /// To ask before each further request.
    ///
    /// # Errors
    /// The time is over: the fault of the rest, which the host delivers again at once. Never before something is done
    /// with, for else a slow server would be sent the same for ever.
    pub fn check(self, progress: &Progress) -> Result<(), Fault> {
        check(clock::monotonic().saturating_sub(self.began_ns), progress.next())
    }
}

fn check(taken_ns: u64, done: usize) -> Result<(), Fault> {
    let taken_ms = taken_ns / 1_000_000;
    if done == 0 || taken_ms < DELIVERY_TIME_MAX_MS {
        return Ok(());
    }
    let message = format!("{done} readings took {} s; the rest follows in another delivery", taken_ms / 1_000);
    Err(Fault::retry("delivery-time", message).after_ms(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_sdk::testing::Host;

    const LIMIT_NS: u64 = DELIVERY_TIME_MAX_MS * 1_000_000;

    #[test]
    fn the_time_is_over_after_a_minute_and_not_before_something_is_done_with() {
        assert_eq!(check(LIMIT_NS - 1, 5), Ok(()));
        assert_eq!(check(LIMIT_NS * 3, 0), Ok(()));
        let fault = check(LIMIT_NS, 5).expect_err("over");
        assert_eq!((fault.code.as_str(), fault.retry_after_ms), ("delivery-time", Some(0)));
    }

    #[test]
    fn it_counts_from_its_begin() {
        let host = Host::install();
        host.set_monotonic(7 * LIMIT_NS);
        let time = DeliveryTime::begin();
        let mut progress = Progress::default();
        progress.taken(1);
        assert_eq!(time.check(&progress), Ok(()));
        host.set_monotonic(8 * LIMIT_NS);
        assert!(time.check(&progress).is_err());
    }
}
