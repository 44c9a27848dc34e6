//! Connections to segments for reading: opened when needed, a few kept for the next reader.

use crate::LogError;
use crate::config::IDLE_READERS_MAX;
use crate::damage::is_damage;
use crate::directory::Directory;
use crate::examine::with_cause;
use crate::log::LogId;
use crate::seal::sealed_error;
use crate::sealer::Job;
use crate::segment::{Knowledge, Segment, Summary};
use crate::shared::load_summary;
use bulkhead_model::Seq;
use parking_lot::Mutex;
use rusqlite::Connection;
use std::cell::OnceCell;
use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;

/// An idle connection to the segment of a start, sealed or not.
#[derive(Debug)]
struct Idle {
    start: Seq,
    sealed: bool,
    connection: Connection,
    directory: OnceCell<Arc<Directory>>,
}

/// The idle connections of a log.
#[derive(Debug)]
pub(crate) struct Readers {
    /// The log's id: a segment of another log is refused, and so are rows that were not written for it.
    log_id: LogId,
    /// The way to the sealer, which salvages what readers find damaged; gone when the log ends.
    sealer: Mutex<Option<SyncSender<Job>>>,
    idle: Mutex<VecDeque<Idle>>,
    /// How many times a segment was handed to a reader.
    handed_out: AtomicU64,
    /// How many rows scans have fetched.
    rows_read: AtomicU64,
}

impl Readers {
    pub(crate) fn new(log_id: LogId) -> Self {
        Self {
            log_id,
            sealer: Mutex::default(),
            idle: Mutex::default(),
            handed_out: AtomicU64::new(0),
            rows_read: AtomicU64::new(0),
        }
    }

    /// Has damage that is found from now on reported to the sealer.
    pub(crate) fn reports_to(&self, sealer: SyncSender<Job>) {
        *self.sealer.lock() = Some(sealer);
    }

    /// Lets the sealer go, so that it can end.
    pub(crate) fn reports_to_nobody(&self) {
        self.sealer.lock().take();
    }

    /// If an error says that a segment is damaged: nobody opens it any more, and the sealer salvages it. What the reader
    /// is to be told.
    pub(crate) fn judge(&self, segment: &Segment, error: LogError) -> LogError {
        if !is_damage(&error) {
            return error;
        }
        let what = with_cause(&error);
        if segment.suspect() {
            tracing::error!(segment = %segment.path.display(), what, "a segment is damaged; its salvage follows");
            self.forget(segment.start, segment.is_sealed());
            if let Some(sealer) = &*self.sealer.lock() {
                // With a full queue the sealer is busy; it looks for damage after each of its jobs.
                let _ = sealer.try_send(Job::Salvage);
            }
        }
        LogError::Damaged { path: segment.path.clone(), what }
    }

    /// A connection to a segment.
    pub(crate) fn open(self: &Arc<Self>, segment: &Arc<Segment>) -> Result<Reader, LogError> {
        self.handed_out.fetch_add(1, Ordering::Relaxed);
        let kept = {
            let mut idle = self.idle.lock();
            let place = idle.iter().position(|i| i.start == segment.start && i.sealed == segment.is_sealed());
            place.and_then(|place| idle.remove(place))
        };
        let (connection, directory) = match kept {
            Some(idle) => (idle.connection, idle.directory),
            None => (segment.connect().map_err(|error| self.judge(segment, error))?, OnceCell::new()),
        };
        Ok(Reader { connection: Some(connection), directory, segment: Arc::clone(segment), readers: Arc::clone(self) })
    }

    /// Closes the idle connections to a retired segment, so that its file can go.
    pub(crate) fn forget(&self, start: Seq, sealed: bool) {
        self.idle.lock().retain(|idle| idle.start != start || idle.sealed != sealed);
    }

    /// What a sealed segment says of itself, read once.
    pub(crate) fn summary(self: &Arc<Self>, segment: &Arc<Segment>) -> Result<Option<Summary>, LogError> {
        let Knowledge::Sealed { summary, .. } = &segment.knowledge else { return Ok(None) };
        if let Some(summary) = summary.get() {
            return Ok(Some(*summary));
        }
        self.open(segment)?.summary().map(Some)
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

    fn give_back(&self, segment: &Segment, connection: Connection, directory: OnceCell<Arc<Directory>>) {
        let mut idle = self.idle.lock();
        // Looked at under the lock: `forget` runs after `retire`, so either it or this drops the connection.
        if segment.is_retired() || segment.is_suspect() {
            return;
        }
        idle.push_back(Idle { start: segment.start, sealed: segment.is_sealed(), connection, directory });
        if idle.len() > IDLE_READERS_MAX {
            idle.pop_front();
        }
    }
}

/// A connection to a segment, given back when it is dropped. The segment's file stays as long as this does.
#[derive(Debug)]
pub(crate) struct Reader {
    connection: Option<Connection>,
    directory: OnceCell<Arc<Directory>>,
    pub(crate) segment: Arc<Segment>,
    readers: Arc<Readers>,
}

impl Reader {
    /// What a sealed segment says of itself; the first time, that it is of this log is checked.
    pub(crate) fn summary(&self) -> Result<Summary, LogError> {
        let read = || {
            let read = load_summary(&self.segment, self, &self.readers.log_id);
            read.map_err(|error| self.readers.judge(&self.segment, error))
        };
        let Knowledge::Sealed { summary, .. } = &self.segment.knowledge else { return read() };
        if let Some(summary) = summary.get() {
            return Ok(*summary);
        }
        let read = read()?;
        Ok(*summary.get_or_init(|| read))
    }

    /// What a sealed segment says of its slices and blocks; kept with the connection.
    pub(crate) fn directory(&self) -> Result<Arc<Directory>, LogError> {
        if let Some(directory) = self.directory.get() {
            return Ok(Arc::clone(directory));
        }
        let loaded = Directory::load(self).map_err(Into::into).and_then(|loaded| loaded.map_err(Into::into));
        let loaded = loaded.map_err(sealed_error("read", &self.segment.path));
        let loaded = Arc::new(loaded.map_err(|error| self.readers.judge(&self.segment, error))?);
        Ok(Arc::clone(self.directory.get_or_init(|| loaded)))
    }
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
            self.readers.give_back(&self.segment, connection, std::mem::take(&mut self.directory));
        }
    }
}
