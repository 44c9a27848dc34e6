//! When a batch is full enough to go: a pure policy over counts and times.

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
    /// Decides by how many there are and since when the first has waited.
    pub(super) fn ready(&self, readings: usize, waiting_since_ns: u64, now_ns: u64) -> Ready {
        let age_ns = now_ns.saturating_sub(waiting_since_ns);
        match readings {
            0 => Ready::Idle,
            _ if readings >= self.max_readings || age_ns >= self.max_age_ns => Ready::Now,
            _ => Ready::In { ns: self.max_age_ns - age_ns },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_goes_when_it_is_full_or_old() {
        let batching = Batching { max_readings: 3, max_age_ns: 100 };
        assert_eq!(batching.ready(0, 0, 1000), Ready::Idle);
        assert_eq!(batching.ready(3, 0, 1), Ready::Now);
        assert_eq!(batching.ready(1, 0, 100), Ready::Now);
        assert_eq!(batching.ready(1, 0, 30), Ready::In { ns: 70 });
    }
}
