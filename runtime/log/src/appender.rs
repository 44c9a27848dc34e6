//! Appending in an order that a refusal does not break: an appender's readings are committed in the order of their
//! `submit`, or, from the first refused batch on, all come back until the appender goes on.

use crate::{Committed, Log, LogError};
use bulkhead_model::Reading;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::oneshot;

/// What happens to readings for which the log has no room.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum WhenFull {
    /// The oldest sealed segment is dropped to make room.
    #[default]
    DropOldest,
    /// They are refused with [`LogError::Full`].
    Refuse,
}

/// Readings that were not committed, and why.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub error: LogError,
    /// The readings as they were handed over; empty when the log ended with them ([`LogError::Closed`]).
    pub readings: Vec<Reading>,
}

/// An append that has been queued. Await it for its commit.
#[derive(Debug)]
pub struct Pending(pub(crate) oneshot::Receiver<Result<Committed, Refused>>);

impl Pending {
    /// Waits for the commit.
    ///
    /// # Errors
    /// What the commit met, or [`LogError::Closed`]. Nothing of the batch was acknowledged then.
    pub async fn committed(mut self) -> Result<Committed, LogError> {
        self.settled().await.map_err(|refused| refused.error)
    }

    /// As [`Pending::committed`], and gives the readings back on an error. May be dropped and awaited again, but not after
    /// it has answered.
    ///
    /// # Errors
    /// As [`Pending::committed`].
    pub async fn settled(&mut self) -> Result<Committed, Refused> {
        (&mut self.0).await.unwrap_or(Err(Refused { error: LogError::Closed, readings: Vec::new() }))
    }
}

/// One order of appends. Rounds are numbered from 1; the round in which a batch was refused takes no more.
#[derive(Debug)]
pub(crate) struct Lane {
    round: AtomicU64,
    refused_round: AtomicU64,
}

/// A place in a lane.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    lane: Arc<Lane>,
    round: u64,
}

impl Lane {
    fn new() -> Self {
        Self { round: AtomicU64::new(1), refused_round: AtomicU64::new(0) }
    }
}

impl Place {
    /// Whether a batch of the same round was refused before.
    pub(crate) fn is_behind_a_refusal(&self) -> bool {
        self.round <= self.lane.refused_round.load(Ordering::Acquire)
    }

    /// Notes that this batch was refused.
    pub(crate) fn refuse(&self) {
        self.lane.refused_round.fetch_max(self.round, Ordering::AcqRel);
    }
}

/// A way into the log for one source of readings, with its own order and its own choice of what happens when the log is
/// full.
///
/// After a [`Refused`] every later batch is refused too, with [`LogError::Behind`], until [`Appender::go_on`]: so that
/// whoever tries again does it in order. Collect what is pending first, then go on, then submit it again.
#[derive(Debug)]
pub struct Appender {
    log: Log,
    lane: Arc<Lane>,
    when_full: WhenFull,
}

impl Appender {
    pub(crate) fn new(log: Log, when_full: WhenFull) -> Self {
        Self { log, lane: Arc::new(Lane::new()), when_full }
    }

    /// As [`Log::submit`], in this appender's order.
    ///
    /// # Errors
    /// As [`Log::submit`]. It does not count as a refusal in the order.
    pub async fn submit(&self, readings: Vec<Reading>) -> Result<Pending, Refused> {
        let place = Place { lane: Arc::clone(&self.lane), round: self.lane.round.load(Ordering::Acquire) };
        self.log.submit_at(readings, Some(place), self.when_full).await
    }

    /// Ends a refusal: what is submitted from now on is taken again.
    pub fn go_on(&self) {
        self.lane.round.fetch_add(1, Ordering::AcqRel);
    }
}
