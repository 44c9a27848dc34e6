//! Connections to segments for reading: opened when needed, a few kept for the next reader.

use crate::LogError;
use crate::config::IDLE_READERS_MAX;
use crate::log::LogId;
use crate::segment::{Knowledge, Segment, Summary};
use crate::shared::load_summary;
use bulkhead_model::Seq;
use parking_lot::Mutex;
use rusqlite::Connection;
use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// An idle connection to the segment of a start, sealed or not.
#[derive(Debug)]
struct Idle {
    start: Seq,
    sealed: bool,
    connection: Connection,
}

/// The idle connections of a log.
#[derive(Debug, Default)]
pub(crate) struct Readers {
    idle: Mutex<VecDeque<Idle>>,
    /// How many times a segment was handed to a reader.
    handed_out: AtomicU64,
    /// How many rows scans have fetched.
    rows_read: AtomicU64,
}

impl Readers {
    /// A connection to a segment.
    pub(crate) fn open(self: &Arc<Self>, segment: &Arc<Segment>) -> Result<Reader, LogError> {
        self.handed_out.fetch_add(1, Ordering::Relaxed);
        let kept = {
            let mut idle = self.idle.lock();
            let place = idle.iter().position(|i| i.start == segment.start && i.sealed == segment.is_sealed());
            place.and_then(|place| idle.remove(place))
        };
        let connection = match kept {
            Some(idle) => idle.connection,
            None => segment.connect()?,
        };
        Ok(Reader { connection: Some(connection), segment: Arc::clone(segment), readers: Arc::clone(self) })
    }

    /// Closes the idle connections to a retired segment, so that its file can go.
    pub(crate) fn forget(&self, start: Seq, sealed: bool) {
        self.idle.lock().retain(|idle| idle.start != start || idle.sealed != sealed);
    }

    /// What a sealed segment says of itself, read once.
    pub(crate) fn summary(
        self: &Arc<Self>,
        segment: &Arc<Segment>,
        log_id: &LogId,
    ) -> Result<Option<Summary>, LogError> {
        let Knowledge::Sealed { summary, .. } = &segment.knowledge else { return Ok(None) };
        if let Some(summary) = summary.get() {
            return Ok(Some(*summary));
        }
        let reader = self.open(segment)?;
        let read = load_summary(segment, &reader, log_id)?;
        Ok(Some(*summary.get_or_init(|| read)))
    }

    /// How many times a segment was handed to a reader.
    pub(crate) fn handed_out(&self) -> u64 {
        self.handed_out.load(Ordering::Relaxed)
    }

    /// How many rows scans have fetched.
    pub(crate) fn rows_read(&self) -> u64 {
        self.rows_read.load(Ordering::Relaxed)
    }

    /// Counts rows that a scan has fetched.
    pub(crate) fn count_rows(&self, rows: usize) {
        self.rows_read.fetch_add(rows as u64, Ordering::Relaxed);
    }

    fn give_back(&self, segment: &Segment, connection: Connection) {
        let mut idle = self.idle.lock();
        // Looked at under the lock: `forget` runs after `retire`, so either it or this drops the connection.
        if segment.is_retired() {
            return;
        }
        idle.push_back(Idle { start: segment.start, sealed: segment.is_sealed(), connection });
        if idle.len() > IDLE_READERS_MAX {
            idle.pop_front();
        }
    }
}

/// A connection to a segment, given back when it is dropped. The segment's file stays as long as this does.
#[derive(Debug)]
pub(crate) struct Reader {
    connection: Option<Connection>,
    pub(crate) segment: Arc<Segment>,
    readers: Arc<Readers>,
}

impl Deref for Reader {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("the connection is taken out only by drop")
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.readers.give_back(&self.segment, connection);
        }
    }
}
