//! How many dead letters a route or a connection has: known in memory, so that a status is shown without waiting for the
//! disk.

use crate::blocking::blocking;
use crate::letters::LetterOwner;
use bulkhead_log::{LetterCount, Log, Origin};
use std::sync::atomic::{AtomicU64, Ordering};

/// The dead letters of one route or connection.
#[derive(Debug)]
pub(crate) struct LetterCounts {
    log: Log,
    owner: LetterOwner,
    kept: AtomicU64,
    dropped: AtomicU64,
}

impl LetterCounts {
    /// Those of an origin, as they are now. Blocks for the disk.
    pub(crate) fn of(log: &Log, origin: Origin<'_>) -> Self {
        let owner = match origin {
            Origin::Route(name) => LetterOwner::Route(name.to_owned()),
            Origin::Connection(name) => LetterOwner::Connection(name.to_owned()),
        };
        let counts = Self { log: log.clone(), owner, kept: AtomicU64::new(0), dropped: AtomicU64::new(0) };
        counts.store(log.dead_letter_count(origin).unwrap_or_default());
        counts
    }

    /// Counts anew, after something has changed.
    pub(crate) async fn look_again(&self) {
        let (log, owner) = (self.log.clone(), self.owner.clone());
        match blocking(move || log.dead_letter_count(owner.origin())).await {
            Ok(count) => self.store(count),
            Err(error) => tracing::warn!("the dead letters could not be counted: {error}"),
        }
    }

    pub(crate) fn now(&self) -> LetterCount {
        LetterCount { kept: self.kept.load(Ordering::Relaxed), dropped: self.dropped.load(Ordering::Relaxed) }
    }

    fn store(&self, count: LetterCount) {
        self.kept.store(count.kept, Ordering::Relaxed);
        let before = self.dropped.swap(count.dropped, Ordering::Relaxed);
        if count.dropped > before && before > 0 {
            tracing::warn!(
                origin = ?self.owner,
                dropped = count.dropped - before,
                "the oldest dead letters were dropped for newer ones; replay or discard some"
            );
        }
    }
}
