//! How often a guest may ask for something that costs others: a bucket of turns that fills evenly. A pure policy; whoever uses it
//! tells the time and does the waiting.

use std::time::Duration;

/// Turns that come evenly, `per_s` in a second; those of a second can be saved up.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Time that one turn costs.
    turn_ns: i64,
    /// Most turns saved up, in time.
    saved_max_ns: i64,
    /// The moment at which everything saved up is used up; before the clock's beginning where much is saved.
    empty_ns: i64,
}

impl Pace {
    /// A full bucket of `saved` turns; 0 turns a second count as one.
    pub(crate) fn new(per_s: u32, saved: u32) -> Self {
        let turn_ns = 1_000_000_000 / i64::from(per_s.max(1));
        Self { turn_ns, saved_max_ns: turn_ns * i64::from(saved.max(1)), empty_ns: i64::MIN }
    }

    /// Takes a turn, and says how long to wait for it.
    pub(crate) fn take(&mut self, now_ns: u64) -> Duration {
        let now_ns = i64::try_from(now_ns).unwrap_or(i64::MAX);
        self.empty_ns = self.empty_ns.max(now_ns - self.saved_max_ns).saturating_add(self.turn_ns);
        Duration::from_nanos(u64::try_from(self.empty_ns - now_ns).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn what_was_saved_goes_at_once_and_the_rest_at_its_pace() {
        let mut pace = Pace::new(10, 5);
        let waits: Vec<u64> = (0..8).map(|_| pace.take(100 * S).as_millis() as u64).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 100, 200, 300]);
        assert_eq!(pace.take(200 * S), Duration::ZERO, "it fills again");
    }

    #[test]
    fn the_bucket_is_full_at_the_beginning_of_the_clock() {
        let mut pace = Pace::new(1000, 3);
        let waits: Vec<u64> = (0..5).map(|_| pace.take(0).as_micros() as u64).collect();
        assert_eq!(waits, [0, 0, 0, 1000, 2000]);
    }
}
