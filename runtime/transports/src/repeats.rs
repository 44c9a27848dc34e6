//! How often lines of one kind are written: a peer that sends nonsense must not fill the journal. Pure.

/// Lines of one kind come at most once in this time.
const QUIET_NS: u64 = 10_000_000_000;

/// The kinds of lines that a peer can cause as often as it likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A frame or message longer than the settings allow.
    TooLong,
    /// Frames that came faster than they were taken.
    Overrun,
    /// Subscriptions that a broker refuses.
    Refused,
}

/// When a line of one kind was last written, and how many were held back since.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Repeats {
    written_ns: Option<u64>,
    held_back: u64,
}

impl Repeats {
    /// One more line at `now_ns` of a monotonic clock. Some: write it, and say that so many were held back before it.
    pub(crate) fn line(&mut self, now_ns: u64) -> Option<u64> {
        if self.written_ns.is_some_and(|written_ns| now_ns.saturating_sub(written_ns) < QUIET_NS) {
            self.held_back += 1;
            return None;
        }
        self.written_ns = Some(now_ns);
        Some(std::mem::take(&mut self.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_in_ten_seconds_and_the_next_says_how_many_there_were() {
        let mut repeats = Repeats::default();
        let second = 1_000_000_000;
        assert_eq!(repeats.line(5 * second), Some(0), "the first comes at once");
        assert!((6..15).all(|now| repeats.line(now * second).is_none()));
        assert_eq!(repeats.line(15 * second), Some(9));
        assert_eq!(repeats.line(16 * second), None);
        assert_eq!(repeats.line(26 * second), Some(1));
    }
}
