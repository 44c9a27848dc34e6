//! How long a transport waits before it opens its channel again. A peer that accepts and hangs up must not be met with
//! one connect after the other, whatever it says in between. Pure; whoever uses it measures and waits.

use bulkhead_model::transport::Reconnect;
use bulkhead_sandbox::backoff::Backoff;
use std::time::Duration;

/// A session that lived this long shows that the far side is well: the next wait is the first again. What it sent says
/// nothing, for a peer that answers and then hangs up is not well.
const STEADY_MS: u64 = 5_000;

/// The waits of one transport.
#[derive(Debug)]
pub(crate) struct Reopening {
    backoff: Backoff,
    first: Duration,
}

impl Reopening {
    pub(crate) fn new(reconnect: Reconnect) -> Self {
        let first = Duration::from_millis(reconnect.first_ms.into());
        Self { backoff: Backoff::new(first, Duration::from_millis(reconnect.max_ms.into())), first }
    }

    /// After a connect that failed; `random` is anything, evenly spread.
    pub(crate) fn after_failure(&mut self, random: u32) -> Duration {
        self.backoff.next(random)
    }

    /// After a session that the far side, or an error on it, has ended: never none.
    pub(crate) fn after_session(&mut self, lived: Duration, random: u32) -> Duration {
        self.note_steady(lived);
        self.backoff.next(random)
    }

    /// After a session that was ended on request: none where it had been a steady one, else as after any short session,
    /// so that one who asks again and again is slowed down too.
    pub(crate) fn on_request(&mut self, lived: Duration, random: u32) -> Duration {
        if self.note_steady(lived) { Duration::ZERO } else { self.backoff.next(random) }
    }

    /// After a session of requests and answers that brought an answer: the rest of the first wait since it began. Such a
    /// connection is opened again only because a request found it closed, so that the wait does not grow: a device that
    /// hangs up after each answer is met once a first wait.
    pub(crate) fn after_answers(&mut self, lived: Duration) -> Duration {
        self.note_steady(lived);
        self.first.saturating_sub(lived)
    }

    fn note_steady(&mut self, lived: Duration) -> bool {
        let is_steady = lived >= Duration::from_millis(STEADY_MS);
        if is_steady {
            self.backoff.succeeded();
        }
        is_steady
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(STEADY_MS - 1);
    const STEADY: Duration = Duration::from_millis(STEADY_MS);

    fn reopening() -> Reopening {
        Reopening::new(Reconnect { first_ms: 100, max_ms: 400 })
    }

    #[test]
    fn short_sessions_wait_longer_and_longer_and_only_a_steady_one_begins_anew() {
        let mut reopening = reopening();
        let waits: Vec<u128> = (0..4).map(|_| reopening.after_session(SHORT, u32::MAX).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 400]);
        assert_eq!(reopening.after_session(STEADY, u32::MAX).as_millis(), 100, "and never none");
        assert_eq!(reopening.after_failure(u32::MAX).as_millis(), 200);
    }

    #[test]
    fn a_request_is_followed_at_once_after_a_steady_session_only() {
        let mut reopening = reopening();
        assert_eq!(reopening.on_request(STEADY, u32::MAX), Duration::ZERO);
        assert_eq!(reopening.on_request(SHORT, u32::MAX).as_millis(), 100);
        assert_eq!(reopening.on_request(SHORT, u32::MAX).as_millis(), 200);
    }

    #[test]
    fn sessions_that_answer_begin_at_most_once_a_first_wait() {
        let mut reopening = reopening();
        for _ in 0..3 {
            assert_eq!(reopening.after_answers(Duration::from_millis(30)).as_millis(), 70);
        }
        assert_eq!(reopening.after_answers(STEADY), Duration::ZERO);
    }
}
