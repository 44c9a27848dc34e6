//! What one client's connection has come to: requests on the way, requests that were taken back. A client that takes back many
//! more than it lets be answered (a flood of HTTP/2 resets) is cut off: each costs it nothing and the server something.

use crate::limits::RESETS_MAX;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use tokio_util::sync::CancellationToken;

/// Watches over one connection. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct ConnectionWatch(Arc<Counts>);

#[derive(Default)]
struct Counts {
    begun: AtomicU64,
    on_the_way: AtomicU32,
    /// Requests that were taken back, less those that were answered.
    taken_back: AtomicU32,
    /// Ends the connection.
    enough: CancellationToken,
}

/// A request on its way; dropped before it is [`Underway::answered`], it was taken back.
pub(crate) struct Underway {
    watch: ConnectionWatch,
    is_answered: bool,
}

impl ConnectionWatch {
    /// A request begins.
    pub(crate) fn begin(&self) -> Underway {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        self.0.on_the_way.fetch_add(1, Ordering::Relaxed);
        Underway { watch: self.clone(), is_answered: false }
    }

    /// How many requests there were, and whether one is on its way.
    pub(crate) fn look(&self) -> (u64, bool) {
        (self.0.begun.load(Ordering::Relaxed), self.0.on_the_way.load(Ordering::Relaxed) > 0)
    }

    /// Ends when the client has taken back too many.
    pub(crate) async fn enough(&self) {
        self.0.enough.cancelled().await;
    }
}

impl Underway {
    /// It has its answer.
    pub(crate) fn answered(mut self) {
        self.is_answered = true;
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        let counts = &self.watch.0;
        counts.on_the_way.fetch_sub(1, Ordering::Relaxed);
        if self.is_answered {
            // Nothing to do where there is none to take off.
            _ = counts.taken_back.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1));
        } else if counts.taken_back.fetch_add(1, Ordering::Relaxed) >= RESETS_MAX {
            counts.enough.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_requests_taken_back_is_enough_and_now_and_then_one_is_not() {
        let watch = ConnectionWatch::default();
        for _ in 0..10 * RESETS_MAX {
            drop(watch.begin());
            watch.begin().answered();
        }
        assert!(!watch.0.enough.is_cancelled() && watch.look() == (20 * u64::from(RESETS_MAX), false));
        for _ in 0..=RESETS_MAX {
            assert!(!watch.0.enough.is_cancelled());
            drop(watch.begin());
        }
        assert!(watch.0.enough.is_cancelled());
    }
}
