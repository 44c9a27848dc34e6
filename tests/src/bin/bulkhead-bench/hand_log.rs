//! A durable log by hand: rusqlite on one thread, with the tables, pragmas and commit grouping of the gateway's log, and
//! nothing else: no checks of points, no readers, no cursors, no retention. A full segment is indexed by a second thread.

use anyhow::{Context, Result, anyhow};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

const TABLES: &str = "
CREATE TABLE segment(key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE points(
  id INTEGER PRIMARY KEY, connection TEXT NOT NULL, name TEXT NOT NULL, kind INTEGER NOT NULL, unit TEXT,
  description TEXT);
CREATE TABLE readings(
  seq INTEGER PRIMARY KEY, point INTEGER NOT NULL, time INTEGER NOT NULL, status INTEGER NOT NULL, value);
";
const INDEX: &str = "CREATE INDEX readings_by_point_time ON readings(point, time)";
const PRAGMAS: &str = "
PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -1024;
PRAGMA wal_autocheckpoint = 1024; PRAGMA journal_size_limit = 8388608;
";
const COMMIT_MAX_ROWS: usize = 10_000;
const COMMIT_MAX: Duration = Duration::from_millis(20);
const SEGMENT_MAX_ROWS: u64 = 500_000;
/// Full segments that may wait for their index.
const SEGMENTS_MAX: usize = 8;
/// Rows that may wait for their commit, about what the gateway's queue of 8 MiB holds.
const ROOM_ROWS: usize = 131_072;
/// Appends that may wait.
const QUEUE_MAX: usize = 4_096;

/// A value.
#[derive(Clone, Copy)]
pub(crate) enum HandValue {
    /// A whole number.
    Integer(i64),
    /// A floating-point number.
    Real(f64),
}

/// A row.
#[derive(Clone, Copy)]
pub(crate) struct HandRow {
    pub(crate) point: u32,
    pub(crate) time: i64,
    pub(crate) status: u32,
    pub(crate) value: HandValue,
}

struct Append {
    rows: Vec<HandRow>,
    done: oneshot::Sender<()>,
    _room: OwnedSemaphorePermit,
}

/// The log's handle; clones share it.
#[derive(Clone)]
pub(crate) struct HandLog {
    appends: SyncSender<Append>,
    room: Arc<Semaphore>,
    committed: watch::Receiver<u64>,
}

/// The log's thread.
pub(crate) struct HandWriter(JoinHandle<Result<()>>);

impl HandLog {
    /// Starts a log in an empty folder.
    pub(crate) fn start(dir: &Path) -> Result<(Self, HandWriter)> {
        let (appends, queue) = sync_channel(QUEUE_MAX);
        let (committed_now, committed) = watch::channel(0);
        let writer = Writer::new(dir, committed_now)?;
        let thread = std::thread::Builder::new().name("hand-log".into()).spawn(move || writer.run(&queue))?;
        Ok((Self { appends, room: Arc::new(Semaphore::new(ROOM_ROWS)), committed }, HandWriter(thread)))
    }

    /// Hands rows over; waits while too many wait. The answer comes with the commit.
    pub(crate) async fn submit(&self, rows: Vec<HandRow>) -> Result<oneshot::Receiver<()>> {
        let room = self.room.clone().acquire_many_owned(u32::try_from(rows.len())?).await?;
        let (done, committed) = oneshot::channel();
        let append = Append { rows, done, _room: room };
        self.appends.try_send(append).map_err(|_| anyhow!("the log by hand has ended, or its queue is too short"))?;
        Ok(committed)
    }

    /// Rows committed.
    pub(crate) fn committed(&self) -> watch::Receiver<u64> {
        self.committed.clone()
    }
}

impl HandWriter {
    /// Waits for the thread, which ends with the last handle.
    pub(crate) fn join(self) -> Result<()> {
        self.0.join().map_err(|_| anyhow!("the log by hand panicked"))?
    }
}

struct Writer {
    dir: PathBuf,
    connection: Connection,
    committed: watch::Sender<u64>,
    next_seq: i64,
    segment_rows: u64,
    described: Vec<bool>,
    full: SyncSender<Connection>,
    indexing: JoinHandle<Result<()>>,
}

impl Writer {
    fn new(dir: &Path, committed: watch::Sender<u64>) -> Result<Self> {
        let connection = segment(dir, 1)?;
        let dir = dir.to_owned();
        let (full, segments) = sync_channel(SEGMENTS_MAX);
        let indexing = std::thread::Builder::new().name("hand-index".into()).spawn(move || index(&segments))?;
        Ok(Self { dir, connection, committed, next_seq: 1, segment_rows: 0, described: Vec::new(), full, indexing })
    }

    fn run(mut self, queue: &Receiver<Append>) -> Result<()> {
        while let Ok(first) = queue.recv() {
            let deadline = Instant::now() + COMMIT_MAX;
            let mut group = Vec::new();
            let mut rows = 0;
            let mut next = Some(first);
            self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            while let Some(append) = next {
                rows += append.rows.len();
                self.insert(&append.rows)?;
                group.push(append);
                next = match rows >= COMMIT_MAX_ROWS {
                    true => None,
                    false => queue.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok(),
                };
            }
            self.connection.prepare_cached("COMMIT")?.execute([])?;
            self.committed.send_modify(|committed| *committed += rows as u64);
            for append in group {
                // Nobody has to wait for it.
                _ = append.done.send(());
            }
            self.segment_rows += rows as u64;
            if self.segment_rows >= SEGMENT_MAX_ROWS {
                self.rotate()?;
            }
        }
        drop(self.full);
        self.indexing.join().map_err(|_| anyhow!("indexing by hand panicked"))?
    }

    fn insert(&mut self, rows: &[HandRow]) -> Result<()> {
        for row in rows {
            let index = row.point as usize;
            if self.described.get(index) != Some(&true) {
                self.connection
                    .prepare_cached(
                        "INSERT OR REPLACE INTO points(id, connection, name, kind) VALUES (?1, 'hand', ?2, 1)",
                    )?
                    .execute((row.point, format!("r{index}")))?;
                self.described.resize(self.described.len().max(index + 1), false);
                self.described[index] = true;
            }
        }
        let mut insert = self
            .connection
            .prepare_cached("INSERT INTO readings(seq, point, time, status, value) VALUES (?1, ?2, ?3, ?4, ?5)")?;
        for row in rows {
            insert.raw_bind_parameter(1, self.next_seq)?;
            insert.raw_bind_parameter(2, row.point)?;
            insert.raw_bind_parameter(3, row.time)?;
            insert.raw_bind_parameter(4, row.status)?;
            match row.value {
                HandValue::Integer(value) => insert.raw_bind_parameter(5, value)?,
                HandValue::Real(value) => insert.raw_bind_parameter(5, value)?,
            }
            insert.raw_execute()?;
            self.next_seq += 1;
        }
        Ok(())
    }

    fn rotate(&mut self) -> Result<()> {
        let full = std::mem::replace(&mut self.connection, segment(&self.dir, self.next_seq)?);
        self.segment_rows = 0;
        self.described.clear();
        self.full.send(full).map_err(|_| anyhow!("indexing by hand ended"))
    }
}

/// Indexes full segments until there are no more.
fn index(segments: &Receiver<Connection>) -> Result<()> {
    while let Ok(segment) = segments.recv() {
        segment.execute_batch(INDEX)?;
    }
    Ok(())
}

fn segment(dir: &Path, start: i64) -> Result<Connection> {
    let connection = Connection::open(dir.join(format!("seg-{start:020}.open.db")))?;
    connection.execute_batch(PRAGMAS)?;
    connection.execute_batch(TABLES)?;
    Ok(connection)
}

/// Rows in all segments of a log's folder, the gateway's or one made by hand, that nobody has open. A sealed segment
/// counts instead of its open twin.
pub(crate) fn rows_on_disk(dir: &Path) -> Result<u64> {
    let mut starts = std::collections::BTreeMap::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(rest) = name.strip_prefix("seg-").and_then(|rest| rest.strip_suffix(".db")) else { continue };
        let is_open = rest.ends_with(".open");
        let start = rest.split(['-', '.']).next().unwrap_or_default().to_owned();
        if !is_open || !starts.contains_key(&start) {
            starts.insert(start, path);
        }
    }
    let mut rows = 0;
    for path in starts.values() {
        let connection = Connection::open(path)?;
        let is_open = path.to_string_lossy().ends_with(".open.db");
        // A sealed segment holds compressed blocks and says how many rows are in them.
        let sql = if is_open { "SELECT count(*) FROM readings" } else { "SELECT sum(rows) FROM slices" };
        let counted: i64 = connection
            .query_row(sql, [], |row| row.get(0))
            .with_context(|| format!("{} cannot be counted", path.display()))?;
        rows += u64::try_from(counted)?;
    }
    Ok(rows)
}
