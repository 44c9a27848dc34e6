//! A connection's journal: what its adapter writes and reports, bounded in rate, freed of control characters, counted.

use crate::status::{LastFault, Live, add};
use bulkhead_sandbox::capability::{Clock, Fault, Journal, Level, Remedy};
use parking_lot::Mutex;
use std::sync::{Arc, OnceLock};

/// Writes to the gateway's log with the connection's name on every line.
pub(crate) struct ConnectionJournal {
    connection: String,
    /// What its transports lead to, once they are made.
    device: OnceLock<String>,
    live: Arc<Live>,
    clock: Arc<dyn Clock>,
    rate: Mutex<Rate>,
}

/// Lines in the current second; a pure policy.
#[derive(Debug)]
struct Rate {
    lines_per_s: u32,
    second: u64,
    lines: u32,
    dropped: u64,
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
        Self { connection: connection.to_owned(), device: OnceLock::new(), live, clock, rate }
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
        let message = printable(&fault.message);
        self.live.count_fault(LastFault {
            time: self.clock.now().0,
            point: point.map(str::to_owned),
            code: printable(&fault.code),
            message: message.clone(),
        });
        if !self.may_write() {
            return;
        }
        let connection = self.connection.as_str();
        let (device, code, point) = (self.device(), fault.code.as_str(), point.unwrap_or(""));
        match fault.remedy {
            Remedy::Reconfigure => tracing::error!(connection, device, point, code, "{message}"),
            _ => tracing::warn!(connection, device, point, code, "{message}"),
        }
    }
}

/// A text from outside for one line: control characters become spaces, so that nothing can pretend to be a line of ours.
fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
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
    fn control_characters_cannot_forge_a_line() {
        assert_eq!(printable("a\nb\x1b[31m"), "a b [31m");
    }
}
