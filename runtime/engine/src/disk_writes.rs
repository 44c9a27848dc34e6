//! How many bytes the gateway has the disk write, since its start and a day: flash wears by what is written, not by what
//! is kept.
//!
//! The number is the kernel's (`write_bytes` less `cancelled_write_bytes` of `/proc/self/io`), not a sum of the log's own
//! writes: a commit of one row dirties whole pages of the WAL, a checkpoint writes them once more, sealing, `state.db` and
//! backups add theirs, and only the kernel sees all of it as the pages that the device gets. It counts a page when it
//! becomes dirty; what the file system's own journal and the flash's controller add nobody tells. Where the kernel does not
//! count (another system, a file system in memory) there is no number, or it stays 0.

use crate::process::written_bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;

/// A day on the monotonic clock.
const DAY_NS: u64 = 86_400 * 1_000_000_000;
/// Time between two samples that are kept.
const SAMPLE_EVERY_NS: u64 = 3_600 * 1_000_000_000;
/// Samples kept: those of a day, and the one it began with.
const SAMPLES_MAX: usize = 25;
/// A shorter time than this says nothing about a day.
const SPAN_MIN_NS: u64 = 600 * 1_000_000_000;

/// What was written to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiskWrites {
    /// Bytes since the process began; none where the kernel does not count.
    pub bytes: Option<u64>,
    /// Bytes a day, over the last day or as much of it as there was; none in the first ten minutes.
    pub bytes_per_day: Option<u64>,
}

/// Counts what this process writes.
#[derive(Debug, Default)]
pub(crate) struct DiskMeter(Mutex<Samples>);

impl DiskMeter {
    /// Takes a look.
    pub(crate) fn look(&self, now_ns: u64) -> DiskWrites {
        let Some(bytes) = written_bytes() else { return DiskWrites::default() };
        let mut samples = self.0.lock();
        samples.note(now_ns, bytes);
        DiskWrites { bytes: Some(bytes), bytes_per_day: samples.a_day(now_ns, bytes) }
    }
}

/// What a count was at moments of the last day, the oldest first.
#[derive(Debug, Default)]
struct Samples(VecDeque<(u64, u64)>);

impl Samples {
    /// Keeps a count, if the one before is old enough.
    fn note(&mut self, now_ns: u64, count: u64) {
        if self.0.back().is_some_and(|(then_ns, _)| now_ns.saturating_sub(*then_ns) < SAMPLE_EVERY_NS) {
            return;
        }
        self.0.push_back((now_ns, count));
        if self.0.len() > SAMPLES_MAX {
            self.0.pop_front();
        }
    }

    /// By how much the count grows in a day.
    fn a_day(&self, now_ns: u64, count: u64) -> Option<u64> {
        let (then_ns, before) = self.0.front()?;
        let span_ns = now_ns.saturating_sub(*then_ns);
        let grown = u128::from(count.saturating_sub(*before));
        (span_ns >= SPAN_MIN_NS).then(|| grown * u128::from(DAY_NS) / u128::from(span_ns)).map(clamped)
    }
}

fn clamped(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_NS: u64 = SAMPLE_EVERY_NS;

    #[test]
    fn a_day_is_counted_from_a_day_ago_or_from_the_start() {
        let mut samples = Samples::default();
        samples.note(0, 1_000);
        assert_eq!(samples.a_day(SPAN_MIN_NS - 1, 2_000), None, "too short to say");
        assert_eq!(samples.a_day(HOUR_NS, 2_000), Some(24_000));
        // A thousand an hour for two days, then nothing for twelve hours.
        for hour in 1..=48 {
            samples.note(hour * HOUR_NS, 1_000 + hour * 1_000);
            samples.note(hour * HOUR_NS + 1, u64::MAX);
        }
        let count = 49_000;
        assert_eq!(samples.a_day(48 * HOUR_NS, count), Some(24_000));
        for hour in 49..=60 {
            samples.note(hour * HOUR_NS, count);
        }
        assert_eq!(samples.a_day(60 * HOUR_NS, count), Some(12_000));
        assert_eq!(samples.0.len(), SAMPLES_MAX);
    }
}
