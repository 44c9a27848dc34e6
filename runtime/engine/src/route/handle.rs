//! A route as the rest of the engine sees it: its state, its counters, and how its task is started.

use super::delivery::Delivery;
use crate::connection::ConnectionHandle;
use crate::letter_counts::LetterCounts;
use crate::status::{Phase, RouteStatus};
use bulkhead_config::Route;
use bulkhead_log::{Log, Origin};
use bulkhead_sandbox::capability::Clock;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio_util::sync::CancellationToken;

/// A route of a running engine.
pub(crate) struct RouteHandle {
    pub(crate) name: String,
    to: String,
    enabled: bool,
    pub(super) log: Log,
    phase: Mutex<Phase>,
    pub(super) cursor: AtomicU64,
    pub(super) accepted: AtomicU64,
    pub(super) rejected: AtomicU64,
    pub(super) batches: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) resent: AtomicU64,
    pub(super) gap: AtomicU64,
    pub(crate) letters: LetterCounts,
}

impl RouteHandle {
    pub(crate) fn new(name: &str, route: &Route, log: &Log) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            to: route.to.clone(),
            enabled: route.enabled,
            log: log.clone(),
            phase: Mutex::new(if route.enabled { Phase::Starting } else { Phase::Disabled }),
            cursor: AtomicU64::new(log.cursor(name).ok().flatten().unwrap_or(0)),
            accepted: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            batches: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            resent: AtomicU64::new(0),
            gap: AtomicU64::new(0),
            letters: LetterCounts::of(log, Origin::Route(name)),
        })
    }

    pub(crate) fn status(&self) -> RouteStatus {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let cursor = get(&self.cursor);
        let letters = self.letters.now();
        RouteStatus {
            name: self.name.clone(),
            to: self.to.clone(),
            enabled: self.enabled,
            phase: self.phase.lock().clone(),
            cursor,
            backlog: self.log.committed().borrow().saturating_sub(cursor),
            accepted: get(&self.accepted),
            rejected: get(&self.rejected),
            batches: get(&self.batches),
            retries: get(&self.retries),
            resent: get(&self.resent),
            gap: get(&self.gap),
            dead_letters: letters.kept,
            dead_letters_dropped: letters.dropped,
        }
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        *self.phase.lock() = phase;
    }

    /// Starts the route's task. Call it for an enabled route only.
    pub(crate) fn run(
        self: &Arc<Self>,
        route: &Route,
        sink: Arc<ConnectionHandle>,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static {
        Delivery::new(self, route, sink, clock, stop).run()
    }
}
