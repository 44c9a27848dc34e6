//! What a route has read ahead of its cursor and selected: a bounded piece of the log in memory, however long the log is.

use super::batching::{Batching, Ready};
use super::selection::Selection;
use crate::blocking::blocking;
use bulkhead_log::{Catalogue, Log, LogError, Row};
use bulkhead_model::Seq;
use bulkhead_sandbox::wit;
use std::collections::VecDeque;
use std::sync::Arc;

/// Most rows read from the log at a time.
const READ_MAX_ROWS: usize = 5_000;
/// Most bytes read from the log at a time; a single reading may be heavier.
const READ_MAX_BYTES: usize = 4 << 20;

/// Readings of the log that wait to be sent.
pub(super) struct Backlog {
    log: Log,
    selection: Selection,
    /// The catalogue that `selection` was worked out from.
    catalogue_seen: Arc<Catalogue>,
    /// Everything up to here has been looked at; what was selected of it is in `waiting` or done.
    read_to: Seq,
    waiting: VecDeque<Row>,
    waiting_bytes: usize,
    waiting_since_ns: u64,
}

/// Seqs that retention deleted before the route had read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) first_lost: Seq,
    pub(super) first_available: Seq,
}

impl Gap {
    pub(super) fn lost(&self) -> u64 {
        self.first_available.saturating_sub(self.first_lost)
    }
}

impl Backlog {
    pub(super) fn new(log: Log, selection: Selection) -> Self {
        Self {
            catalogue_seen: log.catalogue(),
            log,
            selection,
            read_to: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            waiting_since_ns: 0,
        }
    }

    /// Forgets everything and goes on behind a cursor.
    pub(super) fn begin_after(&mut self, cursor: Seq) {
        self.read_to = cursor;
        self.waiting.clear();
        self.waiting_bytes = 0;
    }

    pub(super) fn read_to(&self) -> Seq {
        self.read_to
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether there is a batch's worth of readings.
    pub(super) fn is_full(&self, batching: Batching) -> bool {
        batching.is_full(self.waiting.len(), self.waiting_bytes)
    }

    pub(super) fn ready(&self, batching: Batching, now_ns: u64) -> Ready {
        batching.ready(self.waiting.len(), self.waiting_bytes, self.waiting_since_ns, now_ns)
    }

    /// How many of the waiting readings make the next batch.
    pub(super) fn next_batch(&self, batching: Batching) -> usize {
        batching.take(self.waiting.iter().map(Row::weight_bytes)).min(self.waiting.len())
    }

    /// First and last seq of the next `count` readings.
    pub(super) fn bounds(&self, count: usize) -> (Seq, Seq) {
        (self.waiting[0].seq, self.waiting[count - 1].seq)
    }

    pub(super) fn row(&self, index: usize) -> &Row {
        &self.waiting[index]
    }

    /// The next `count` readings as a batch for the sink.
    pub(super) fn batch(&mut self, key: String, route: &str, count: usize) -> wit::Batch {
        let catalogue = self.log.catalogue();
        self.selection.batch(key, route, self.waiting.range(..count).cloned(), &catalogue)
    }

    /// One of the waiting readings as a batch of its own.
    pub(super) fn batch_of_one(&mut self, key: String, route: &str, index: usize) -> wit::Batch {
        let catalogue = self.log.catalogue();
        self.selection.batch(key, route, std::iter::once(self.waiting[index].clone()), &catalogue)
    }

    /// Where the cursor stands when the next `count` readings are done with.
    pub(super) fn cursor_after(&self, count: usize) -> Seq {
        // Behind the last waiting reading nothing was selected up to where the route has read.
        if count == self.waiting.len() { self.read_to } else { self.waiting[count - 1].seq }
    }

    /// Lets go of the next `count` readings.
    pub(super) fn drop_front(&mut self, count: usize) {
        let bytes: usize = self.waiting.drain(..count).map(|row| row.weight_bytes()).sum();
        self.waiting_bytes -= bytes;
    }

    /// Reads a piece of the log, at most up to a seq, and keeps what the route selects. Says what retention had deleted.
    pub(super) async fn read_more(&mut self, up_to: Option<Seq>, now_ns: u64) -> Result<Option<Gap>, LogError> {
        let (log, after) = (self.log.clone(), self.read_to);
        let rows = match blocking(move || log.read_within(after, READ_MAX_ROWS, READ_MAX_BYTES)).await {
            Err(LogError::Gone { after, first_available }) => {
                self.read_to = first_available.saturating_sub(1);
                return Ok(Some(Gap { first_lost: after + 1, first_available }));
            }
            outcome => outcome?,
        };
        let catalogue = self.log.catalogue();
        if !Arc::ptr_eq(&catalogue, &self.catalogue_seen) {
            self.selection.forget();
            self.catalogue_seen = catalogue.clone();
        }
        let Some(last) = rows.last().map(|row| row.seq) else {
            // Numbers that were reserved and never used: there is nothing between here and the last commit.
            self.read_to = up_to.unwrap_or_else(|| *self.log.committed().borrow());
            return Ok(None);
        };
        self.read_to = up_to.map_or(last, |up_to| last.min(up_to));
        if self.waiting.is_empty() {
            self.waiting_since_ns = now_ns;
        }
        for row in rows {
            if row.seq <= self.read_to && self.selection.takes(&row, &catalogue) {
                self.waiting_bytes += row.weight_bytes();
                self.waiting.push_back(row);
            }
        }
        Ok(None)
    }
}
