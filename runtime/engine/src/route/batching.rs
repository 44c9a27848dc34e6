//! When a batch is full enough to go, and how much of what waits it takes: a pure policy over counts, bytes and times.

/// Most bytes of a batch as the gateway holds it; a single reading may be heavier. A sink's request carries at most 4 MiB.
pub(super) const BATCH_MAX_BYTES: usize = 4 << 20;

/// Bounds of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batching {
    /// Most readings.
    pub(super) max_readings: usize,
    /// Longest wait of the first of them, in nanoseconds.
    pub(super) max_age_ns: u64,
}

/// What to do with the readings gathered so far.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ready {
    /// Send them.
    Now,
    /// Wait for more, at most so long.
    In { ns: u64 },
    /// There is nothing to send.
    Idle,
}

impl Batching {
    /// Whether no more readings are needed for a batch.
    pub(super) fn is_full(&self, readings: usize, bytes: usize) -> bool {
        readings >= self.max_readings || bytes >= BATCH_MAX_BYTES
    }

    /// Decides by how many there are and since when the first has waited.
    pub(super) fn ready(&self, readings: usize, bytes: usize, waiting_since_ns: u64, now_ns: u64) -> Ready {
        let age_ns = now_ns.saturating_sub(waiting_since_ns);
        match readings {
            0 => Ready::Idle,
            _ if self.is_full(readings, bytes) || age_ns >= self.max_age_ns => Ready::Now,
            _ => Ready::In { ns: self.max_age_ns - age_ns },
        }
    }

    /// How many of these, by their bytes, make the next batch: at least one.
    pub(super) fn take(&self, bytes_of_each: impl Iterator<Item = usize>) -> usize {
        let mut total = 0_usize;
        let fitting = bytes_of_each.take(self.max_readings).take_while(|bytes| {
            total = total.saturating_add(*bytes);
            total <= BATCH_MAX_BYTES
        });
        fitting.count().max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_goes_when_it_is_full_heavy_or_old() {
        let batching = Batching { max_readings: 3, max_age_ns: 100 };
        assert_eq!(batching.ready(0, 0, 0, 1000), Ready::Idle);
        assert_eq!(batching.ready(3, 0, 0, 1), Ready::Now);
        assert_eq!(batching.ready(1, BATCH_MAX_BYTES, 0, 1), Ready::Now);
        assert_eq!(batching.ready(1, 0, 0, 100), Ready::Now);
        assert_eq!(batching.ready(1, 0, 0, 30), Ready::In { ns: 70 });
    }

    #[test]
    fn a_batch_takes_what_fits_and_never_nothing() {
        let batching = Batching { max_readings: 3, max_age_ns: 100 };
        assert_eq!(batching.take([1, 1, 1, 1].into_iter()), 3);
        assert_eq!(batching.take([1, BATCH_MAX_BYTES - 1, 1].into_iter()), 2);
        assert_eq!(batching.take([2 * BATCH_MAX_BYTES, 1].into_iter()), 1);
    }
}
