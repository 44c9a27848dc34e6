//! What a connection's guests use of the machine: computing time, its share of one core lately, memory, the last crash. The two
//! guests of a connection are told as one.

use bulkhead_sandbox::{Crash, GuestCounters};
use parking_lot::Mutex;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The time over which the share of a core is taken.
const SHARE_WINDOW_NS: u64 = 10_000_000_000;

/// What the guests of a connection use, as they run.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    computed_ns: AtomicU64,
    longest_ns: AtomicU64,
    memory_bytes: AtomicU64,
    memory_peak_bytes: AtomicU64,
    share: Mutex<Share>,
    last_crash: Mutex<Option<Arc<Crash>>>,
}

/// What the guests of a connection use, at one moment.
#[derive(Debug, Clone, Default, Serialize)]
pub struct UsageStatus {
    /// Time computed since the connection started, in microseconds. Waiting for transports is not in it.
    pub computed_us: u64,
    /// The longest computation in one call, in microseconds.
    pub longest_call_us: u64,
    /// The share of one core that computing took over the last ten seconds or so, 0 to 1.
    pub cpu_share: f64,
    /// Memory of the instances now: linear memories and tables.
    pub memory_bytes: u64,
    /// The most they had.
    pub memory_peak_bytes: u64,
    /// Why and where an instance last crashed or ran out of time.
    #[serde(skip)]
    pub last_crash: Option<Arc<Crash>>,
}

impl Usage {
    /// Adds what a guest has used between two looks at it.
    pub(crate) fn add(&self, now: &GuestCounters, before: &GuestCounters, crash: Option<Arc<Crash>>, now_ns: u64) {
        self.computed_ns.fetch_add(now.computed_ns.saturating_sub(before.computed_ns), Ordering::Relaxed);
        self.longest_ns.fetch_max(now.longest_ns, Ordering::Relaxed);
        // Less is more minus something: the sum of both guests stays right.
        let difference = now.memory_bytes.wrapping_sub(before.memory_bytes);
        let sum = self.memory_bytes.fetch_add(difference, Ordering::Relaxed).wrapping_add(difference);
        self.memory_peak_bytes.fetch_max(sum.max(now.memory_peak_bytes), Ordering::Relaxed);
        self.share.lock().look(now_ns, self.computed_ns.load(Ordering::Relaxed));
        if let Some(crash) = crash {
            let mut last = self.last_crash.lock();
            if last.as_ref().is_none_or(|known| known.time <= crash.time) {
                *last = Some(crash);
            }
        }
    }

    pub(crate) fn status(&self, now_ns: u64) -> UsageStatus {
        let computed_ns = self.computed_ns.load(Ordering::Relaxed);
        UsageStatus {
            computed_us: computed_ns / 1000,
            longest_call_us: self.longest_ns.load(Ordering::Relaxed) / 1000,
            cpu_share: self.share.lock().look(now_ns, computed_ns),
            memory_bytes: self.memory_bytes.load(Ordering::Relaxed),
            memory_peak_bytes: self.memory_peak_bytes.load(Ordering::Relaxed),
            last_crash: self.last_crash.lock().clone(),
        }
    }
}

/// The share of a core over the last whole window; before there is one, over the time so far. A pure policy.
#[derive(Debug, Default)]
struct Share {
    began: Option<(u64, u64)>,
    last: Option<f64>,
}

impl Share {
    fn look(&mut self, now_ns: u64, computed_ns: u64) -> f64 {
        let (began_ns, computed_before_ns) = *self.began.get_or_insert((now_ns, computed_ns));
        let passed_ns = now_ns.saturating_sub(began_ns);
        if passed_ns >= SHARE_WINDOW_NS {
            self.last = Some(ratio(computed_ns - computed_before_ns, passed_ns));
            self.began = Some((now_ns, computed_ns));
        }
        self.last.unwrap_or_else(|| ratio(computed_ns - computed_before_ns, passed_ns))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share needs few digits")]
fn ratio(part_ns: u64, whole_ns: u64) -> f64 {
    if whole_ns == 0 { 0.0 } else { (part_ns as f64 / whole_ns as f64).min(2.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn the_share_is_that_of_the_last_window() {
        let mut share = Share::default();
        assert_eq!(share.look(100 * S, 0), 0.0);
        assert_eq!(share.look(105 * S, S), 0.2, "before the first window is over: so far");
        assert_eq!(share.look(110 * S, 5 * S), 0.5);
        assert_eq!(share.look(111 * S, 6 * S), 0.5, "until the next one is over");
        assert_eq!(share.look(120 * S, 6 * S), 0.1);
    }

    #[test]
    fn two_guests_are_told_as_one_and_the_peak_stays() {
        let usage = Usage::default();
        let memory =
            |memory_bytes| GuestCounters { memory_bytes, memory_peak_bytes: memory_bytes, ..GuestCounters::default() };
        usage.add(&memory(100), &memory(0), None, 0);
        usage.add(&memory(50), &memory(0), None, 0);
        usage.add(&memory(0), &memory(100), None, 0);
        let status = usage.status(S);
        assert_eq!((status.memory_bytes, status.memory_peak_bytes), (50, 150));
    }
}
