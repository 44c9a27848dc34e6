//! What the process around the engine offers to its operators, and how it sees that the server lives.

use bulkhead_engine::{Backups, LiveConfig, RecentLines};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the process around the engine offers. Clones share it.
#[derive(Clone, Default)]
pub struct Operations {
    /// The journal's last lines.
    pub journal: RecentLines,
    /// Makes backups; none: this process has no config file to put into one.
    pub backups: Option<Backups>,
    /// The config as it can be changed, which the API's credentials then follow; none: it stands in no file.
    pub config: Option<Arc<LiveConfig>>,
    /// Turns of the server's loop.
    pub turns: Turns,
}

/// Counts the turns of a loop, so that a watchdog sees whether it goes round. Clones share the count.
#[derive(Clone, Debug, Default)]
pub struct Turns(Arc<AtomicU64>);

impl Turns {
    /// One more turn.
    pub(crate) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were.
    #[must_use]
    pub fn counted(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
