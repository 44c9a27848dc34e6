//! The machine's clocks behind the sandbox's trait: the only place of the engine that reads them.

use bulkhead_model::Timestamp;
use bulkhead_sandbox::capability::Clock;
use std::time::{Instant, SystemTime};

/// The machine's wall clock and its monotonic clock, whose zero is the moment this was made.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    origin: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_system_time(SystemTime::now())
    }

    fn monotonic_ns(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}
