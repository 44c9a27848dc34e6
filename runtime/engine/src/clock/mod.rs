//! The machine's clocks behind the sandbox's trait: the only place of the engine that reads them. Whether the wall clock
//! can be believed is decided in `trust`; a change of mind is told once in the journal.

mod trust;

pub use trust::Doubt;

use bulkhead_model::Timestamp;
use bulkhead_sandbox::capability::Clock;
use parking_lot::Mutex;
use serde::Serialize;
use std::fmt;
use std::sync::Arc;
use std::time::{Instant, SystemTime};
use trust::{Sample, Trust};

/// Where the time comes from: the machine's clocks, or those a test makes up.
pub trait TimeSource: Send + Sync {
    /// The wall clock; it can jump.
    fn wall(&self) -> Timestamp;
    /// Nanoseconds of a clock that never goes back.
    fn monotonic_ns(&self) -> u64;
}

/// The machine's clocks; the zero of the monotonic one is the moment this was made.
struct Machine {
    origin: Instant,
}

impl TimeSource for Machine {
    fn wall(&self) -> Timestamp {
        Timestamp::from_system_time(SystemTime::now())
    }

    fn monotonic_ns(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The wall clock and the monotonic clock of a gateway, with a judgement of the former. Clones share it.
#[derive(Clone)]
pub struct SystemClock {
    source: Arc<dyn TimeSource>,
    judge: Arc<Mutex<Judge>>,
}

struct Judge {
    trust: Trust,
    doubt: Option<Doubt>,
}

/// What is thought of the wall clock, for showing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClockStatus {
    /// Whether readings that the gateway stamps are as sure as any.
    pub trusted: bool,
    /// Why not.
    pub reason: Option<String>,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::with_source(Arc::new(Machine { origin: Instant::now() }), None)
    }
}

impl fmt::Debug for SystemClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemClock").field("doubt", &self.judge.lock().doubt).finish_non_exhaustive()
    }
}

impl SystemClock {
    /// The machine's clocks, for a gateway whose newest commit was at this time.
    #[must_use]
    pub fn after(newest_commit: Option<Timestamp>) -> Self {
        Self::with_source(Arc::new(Machine { origin: Instant::now() }), newest_commit)
    }

    /// As [`SystemClock::after`], with clocks of one's own.
    #[must_use]
    pub fn with_source(source: Arc<dyn TimeSource>, newest_commit: Option<Timestamp>) -> Self {
        let trust = Trust::after(newest_commit, source.monotonic_ns());
        Self { source, judge: Arc::new(Mutex::new(Judge { trust, doubt: None })) }
    }

    /// What is thought of the wall clock now.
    #[must_use]
    pub fn status(&self) -> ClockStatus {
        self.look();
        let doubt = self.judge.lock().doubt;
        ClockStatus { trusted: doubt.is_none(), reason: doubt.map(|doubt| doubt.to_string()) }
    }

    /// The time by which readings may be deleted for their age; none: for none of them.
    #[must_use]
    pub fn retention_now(&self) -> Option<Timestamp> {
        let now = self.look();
        self.judge.lock().trust.retention_now(now)
    }

    /// Looks at both clocks and thinks about them.
    fn look(&self) -> Sample {
        let mut judge = self.judge.lock();
        // Both are read under the lock: looks come in order.
        let now = Sample { wall: self.source.wall(), monotonic_ns: self.source.monotonic_ns() };
        let (before, after) = (judge.doubt, judge.trust.look(now));
        judge.doubt = after;
        drop(judge);
        match (before, after) {
            (None, Some(doubt)) => {
                tracing::warn!("the clock is doubted: {doubt}; readings it stamps become Uncertain");
            }
            (Some(_), None) => tracing::info!("the clock is believed again"),
            _ => {}
        }
        now
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        self.look().wall
    }

    fn monotonic_ns(&self) -> u64 {
        self.source.monotonic_ns()
    }

    fn is_trusted(&self, moment: Timestamp) -> bool {
        moment.is_plausible() && self.judge.lock().doubt.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicI64, Ordering};

    struct Made(AtomicI64);

    impl TimeSource for Made {
        fn wall(&self) -> Timestamp {
            Timestamp(self.0.load(Ordering::Relaxed))
        }
        fn monotonic_ns(&self) -> u64 {
            0
        }
    }

    #[test]
    fn what_is_thought_of_the_clock_shows_and_a_time_that_cannot_be_is_never_trusted() {
        let made = Arc::new(Made(AtomicI64::new(0)));
        let clock = SystemClock::with_source(made.clone(), None);
        let at_boot = clock.now();
        assert!(!clock.status().trusted && clock.status().reason.is_some_and(|reason| reason.contains("never set")));
        assert_eq!(clock.retention_now(), None);
        made.0.store(Timestamp::PLAUSIBLE_FROM.0 + 1, Ordering::Relaxed);
        let set = clock.now();
        assert!(clock.status().trusted && clock.is_trusted(set));
        assert!(!clock.is_trusted(at_boot), "a frame that came before the clock was set");
    }
}
