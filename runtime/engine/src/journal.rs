//! A connection's journal: what its adapter writes and reports, bounded in rate, freed of control characters, counted.

use crate::status::{LastFault, Live, add};
use bulkhead_sandbox::capability::{Clock, Fault, Journal, Level, Remedy};
use bulkhead_sandbox::printable;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};

/// Writes to the gateway's log with the connection's name on every line.
pub(crate) struct ConnectionJournal {
    connection: String,
    /// What its transports lead to, once they are made.
    device: OnceLock<String>,
    live: Arc<Live>,
    clock: Arc<dyn Clock>,
    rate: Mutex<Rate>,
    repeats: Mutex<Repeats>,
}

/// Lines in the current second; a pure policy.
#[derive(Debug)]
struct Rate {
    lines_per_s: u32,
    second: u64,
    lines: u32,
    dropped: u64,
}

/// The same fault of the same point is written once in this time, and counted always.
const REPEAT_S: u64 = 60;
/// Faults remembered for that.
const REMEMBERED_MAX: usize = 256;

/// Which faults were written lately; a pure policy.
#[derive(Debug, Default)]
struct Repeats {
    written: HashMap<u64, u64>,
}

impl Repeats {
    /// Whether this fault is to be written in this second.
    fn is_news(&mut self, point: Option<&str>, fault: &Fault, second: u64) -> bool {
        let mut hasher = DefaultHasher::new();
        (point, &fault.code, &fault.message).hash(&mut hasher);
        let key = hasher.finish();
        if self.written.get(&key).is_some_and(|written| second.saturating_sub(*written) < REPEAT_S) {
            return false;
        }
        if self.written.len() >= REMEMBERED_MAX {
            self.written.clear();
        }
        self.written.insert(key, second);
        true
    }
}

/// What the rate limit says to a line.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Write it; so many were dropped since the last that was written.
    Write {
        dropped_before: u64,
    },
    Drop,
}

impl Rate {
    fn ask(&mut self, second: u64) -> Verdict {
        if second != self.second {
            self.second = second;
            self.lines = 0;
        }
        if self.lines >= self.lines_per_s {
            self.dropped += 1;
            return Verdict::Drop;
        }
        self.lines += 1;
        Verdict::Write { dropped_before: std::mem::take(&mut self.dropped) }
    }
}

impl ConnectionJournal {
    pub(crate) fn new(connection: &str, live: Arc<Live>, clock: Arc<dyn Clock>, lines_per_s: u32) -> Self {
        let rate = Mutex::new(Rate { lines_per_s, second: 0, lines: 0, dropped: 0 });
        Self {
            connection: connection.to_owned(),
            device: OnceLock::new(),
            live,
            clock,
            rate,
            repeats: Mutex::default(),
        }
    }

    /// Names the connection's devices, for every later line.
    pub(crate) fn set_device(&self, device: String) {
        // It is set once, after the transports are made.
        _ = self.device.set(device);
    }

    fn device(&self) -> &str {
        self.device.get().map_or("", String::as_str)
    }

    fn may_write(&self) -> bool {
        let second = self.clock.monotonic_ns() / 1_000_000_000;
        let verdict = self.rate.lock().ask(second);
        match verdict {
            Verdict::Write { dropped_before: 0 } => true,
            Verdict::Write { dropped_before } => {
                tracing::warn!(
                    connection = self.connection,
                    dropped_before,
                    "lines of the adapter were dropped: it writes too many"
                );
                true
            }
            Verdict::Drop => {
                add(&self.live.counters.journal_dropped, 1);
                false
            }
        }
    }
}

impl Journal for ConnectionJournal {
    fn write(&self, level: Level, message: &str) {
        if !self.may_write() {
            return;
        }
        let message = printable(message);
        let (connection, device) = (self.connection.as_str(), self.device());
        match level {
            Level::Debug => tracing::debug!(target: "bulkhead::adapter", connection, device, "{message}"),
            Level::Info => tracing::info!(target: "bulkhead::adapter", connection, device, "{message}"),
            Level::Warn => tracing::warn!(target: "bulkhead::adapter", connection, device, "{message}"),
            Level::Error => tracing::error!(target: "bulkhead::adapter", connection, device, "{message}"),
        }
    }

    fn report(&self, point: Option<&str>, fault: &Fault) {
        self.count(point, fault);
        let second = self.clock.monotonic_ns() / 1_000_000_000;
        let is_news = self.repeats.lock().is_news(point, fault, second);
        if is_news && self.may_write() {
            self.tell(point, fault);
        }
    }

    fn crashed(&self, fault: &Fault) {
        self.count(None, fault);
        self.tell(None, fault);
    }
}

impl ConnectionJournal {
    fn count(&self, point: Option<&str>, fault: &Fault) {
        self.live.count_fault(LastFault {
            time: self.clock.now().0,
            point: point.map(str::to_owned),
            code: printable(&fault.code),
            message: printable(&fault.message),
        });
    }

    fn tell(&self, point: Option<&str>, fault: &Fault) {
        let (connection, device) = (self.connection.as_str(), self.device());
        let (code, message) = (printable(&fault.code), printable(&fault.message));
        match fault.remedy {
            Remedy::Reconfigure => tracing::error!(connection, device, point, code, "{message}"),
            _ => tracing::warn!(connection, device, point, code, "{message}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_rate_are_dropped_and_told_of() {
        let mut rate = Rate { lines_per_s: 2, second: 0, lines: 0, dropped: 0 };
        let verdicts: Vec<Verdict> = [1, 1, 1, 1, 2].into_iter().map(|second| rate.ask(second)).collect();
        assert_eq!(verdicts[1], Verdict::Write { dropped_before: 0 });
        assert_eq!(verdicts[2..4], [Verdict::Drop, Verdict::Drop]);
        assert_eq!(verdicts[4], Verdict::Write { dropped_before: 2 });
    }

    #[test]
    fn the_same_fault_is_written_once_a_minute() {
        let mut repeats = Repeats::default();
        let fault = |message: &str| Fault::new(Remedy::Retry, "timeout", message);
        assert!(repeats.is_news(None, &fault("a"), 0));
        assert!(!repeats.is_news(None, &fault("a"), REPEAT_S - 1));
        assert!(repeats.is_news(Some("flow"), &fault("a"), 1) && repeats.is_news(None, &fault("b"), 1));
        assert!(repeats.is_news(None, &fault("a"), REPEAT_S));
    }
}
