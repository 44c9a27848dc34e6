//! One segment: the tables of its file, what is known of it in memory, and how long its file lives.

use crate::files::{FileOps, SegmentFile, remove_database};
use crate::sqlite::{open_live, open_sealed, open_unborn, prepare_to_append, set, sqlite_error};
use crate::{LogError, Point};
use bulkhead_model::{PointId, Reading, Seq, Timestamp};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// The format of segments and of `state.db`. Another number is refused.
pub(crate) const FORMAT: i64 = 2;
/// The tables that open and sealed segments have in common.
pub(crate) const TABLES: &str = "
CREATE TABLE segment(key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE points(
  id INTEGER PRIMARY KEY, connection TEXT NOT NULL, name TEXT NOT NULL, kind INTEGER NOT NULL, unit TEXT,
  description TEXT);
";
/// The table of an open segment's rows, each with the sum of [`crate::row_sum`]; those of a sealed one are in
/// [`crate::sealed`].
pub(crate) const READINGS: &str = "
CREATE TABLE readings(
  seq INTEGER PRIMARY KEY, point INTEGER NOT NULL, time INTEGER NOT NULL, status INTEGER NOT NULL, value,
  sum INTEGER NOT NULL);
";
/// Stores one pair of the table `segment`.
pub(crate) const PUT: &str = "INSERT OR REPLACE INTO segment(key, value) VALUES (?1, ?2)";

/// The keys of the table `segment`. Those from `LAST` on are there when it is sealed.
pub(crate) mod key {
    /// The format's number.
    pub(crate) const FORMAT: &str = "format";
    /// The log it belongs to.
    pub(crate) const LOG_ID: &str = "log_id";
    /// The lowest seq it may hold.
    pub(crate) const START: &str = "start";
    /// When its first row was committed.
    pub(crate) const FIRST_COMMIT: &str = "first_commit";
    /// Its first seq.
    pub(crate) const FIRST: &str = "first_seq";
    /// Its last seq.
    pub(crate) const LAST: &str = "last_seq";
    /// How many rows it has.
    pub(crate) const ROWS: &str = "rows";
    /// The earliest time in it.
    pub(crate) const MIN_TIME: &str = "min_time";
    /// The latest time in it.
    pub(crate) const MAX_TIME: &str = "max_time";
    /// When its last row was committed.
    pub(crate) const LAST_COMMIT: &str = "last_commit";
    /// CRC-32 over what it says of its slices and blocks; see [`crate::directory`].
    pub(crate) const CHECKSUM: &str = "checksum";
}

/// What a sealed segment says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Summary {
    pub(crate) rows: u64,
    pub(crate) first: Seq,
    pub(crate) min_time: i64,
    pub(crate) max_time: i64,
    pub(crate) last_commit: Timestamp,
}

/// What is known of a segment that is not sealed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Live {
    pub(crate) rows: u64,
    pub(crate) min_time: i64,
    pub(crate) max_time: i64,
    pub(crate) last_commit: Timestamp,
    points: Vec<u64>,
}

impl Live {
    /// Takes committed readings into account.
    pub(crate) fn note(&mut self, readings: &[Reading], committed_at: Timestamp) {
        for reading in readings {
            self.note_row(reading.point, reading.time.0, committed_at);
        }
    }

    /// Takes one row into account.
    pub(crate) fn note_row(&mut self, point: PointId, time: i64, committed_at: Timestamp) {
        if self.rows == 0 {
            (self.min_time, self.max_time) = (time, time);
        }
        self.min_time = self.min_time.min(time);
        self.max_time = self.max_time.max(time);
        self.rows += 1;
        self.last_commit = committed_at;
        self.note_point(point);
    }

    fn note_point(&mut self, point: PointId) {
        let (word, bit) = (point.0 as usize / 64, point.0 % 64);
        if self.points.len() <= word {
            self.points.resize(word + 1, 0);
        }
        self.points[word] |= 1 << bit;
    }

    /// Whether a point has rows in it.
    pub(crate) fn has_point(&self, point: u32) -> bool {
        self.points.get(point as usize / 64).is_some_and(|word| word & (1 << (point % 64)) != 0)
    }
}

/// How much is known of a segment.
#[derive(Debug)]
pub(crate) enum Knowledge {
    /// It is being appended to, or was in this process: everything.
    Live(Mutex<Live>),
    /// It was left open by an earlier process and waits to be sealed: nothing yet.
    Unread,
    /// It is sealed: what it says, read when it is first needed.
    Sealed {
        /// Its last seq, from its name.
        last: Seq,
        /// Its length.
        bytes: u64,
        /// What it says.
        summary: OnceLock<Summary>,
    },
}

/// A segment. Its file is removed when it has been retired and nobody uses it any more.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) start: Seq,
    pub(crate) path: PathBuf,
    pub(crate) knowledge: Knowledge,
    retired: AtomicBool,
    /// It is known to be damaged and waits for its salvage: nobody may open it, because SQLite would cut its WAL.
    suspect: AtomicBool,
    /// Another file has its name now: nobody may go on with a connection to this one.
    superseded: AtomicBool,
    /// Connections known to have no rows in it.
    gone: Mutex<BTreeSet<String>>,
    files: Arc<dyn FileOps>,
}

impl Segment {
    /// The segment of a file's name. A sealed one's length comes with it.
    pub(crate) fn new(dir: &Path, file: SegmentFile, bytes: u64, files: Arc<dyn FileOps>) -> Option<Arc<Self>> {
        let path = dir.join(file.name()?);
        let (start, knowledge) = match file {
            SegmentFile::Open { start } => (start, Knowledge::Unread),
            SegmentFile::Sealed { start, last } => (start, Knowledge::Sealed { last, bytes, summary: OnceLock::new() }),
            SegmentFile::Unfinished => return None,
        };
        Some(Arc::new(Self::with(start, path, knowledge, files)))
    }

    fn with(start: Seq, path: PathBuf, knowledge: Knowledge, files: Arc<dyn FileOps>) -> Self {
        Self {
            start,
            path,
            knowledge,
            retired: AtomicBool::new(false),
            suspect: AtomicBool::new(false),
            superseded: AtomicBool::new(false),
            gone: Mutex::default(),
            files,
        }
    }

    /// A segment that is appended to.
    pub(crate) fn live(dir: &Path, start: Seq, live: Live, files: Arc<dyn FileOps>) -> Option<Arc<Self>> {
        let path = dir.join(SegmentFile::Open { start }.name()?);
        let knowledge = Knowledge::Live(Mutex::new(live));
        Some(Arc::new(Self::with(start, path, knowledge, files)))
    }

    /// Whether it is sealed.
    pub(crate) fn is_sealed(&self) -> bool {
        matches!(self.knowledge, Knowledge::Sealed { .. })
    }

    /// What its file is.
    pub(crate) fn file(&self) -> SegmentFile {
        match self.knowledge {
            Knowledge::Sealed { last, .. } => SegmentFile::Sealed { start: self.start, last },
            _ => SegmentFile::Open { start: self.start },
        }
    }

    /// Its last seq, if it is sealed.
    pub(crate) fn sealed_last(&self) -> Option<Seq> {
        match self.knowledge {
            Knowledge::Sealed { last, .. } => Some(last),
            _ => None,
        }
    }

    /// Its file is to be removed once the last user has let it go.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
    }

    /// Another file has taken its name.
    pub(crate) fn supersede(&self) {
        self.superseded.store(true, Ordering::SeqCst);
    }

    /// Whether it has been retired or superseded.
    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::SeqCst) || self.superseded.load(Ordering::SeqCst)
    }

    /// Remembers that connections have no rows in it.
    pub(crate) fn has_none_of(&self, connections: &[&String]) {
        self.gone.lock().extend(connections.iter().map(|name| (*name).clone()));
    }

    /// The connections that are known to have no rows in it, though they may have had some.
    pub(crate) fn gone_connections(&self) -> BTreeSet<String> {
        self.gone.lock().clone()
    }

    /// It is damaged. True when nobody knew that yet.
    pub(crate) fn suspect(&self) -> bool {
        !self.suspect.swap(true, Ordering::SeqCst)
    }

    /// Whether it is known to be damaged.
    pub(crate) fn is_suspect(&self) -> bool {
        self.suspect.load(Ordering::SeqCst)
    }

    /// Opens it for reading.
    pub(crate) fn connect(&self) -> Result<Connection, LogError> {
        if self.is_suspect() {
            return Err(LogError::Damaged { path: self.path.clone(), what: "its salvage is under way".to_owned() });
        }
        let opened = if self.is_sealed() { open_sealed(&self.path) } else { open_live(&self.path) };
        opened.map_err(sqlite_error("open", &self.path))
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if *self.retired.get_mut()
            && let Err(error) = remove_database(&*self.files, &self.path)
        {
            // Harmless: at the next open it is removed as a leftover, or retention drops it again.
            tracing::warn!(segment = %self.path.display(), %error, "a retired segment could not be removed");
        }
    }
}

/// Makes the file of a new segment and leaves it open for appending. The caller syncs the file and its folder before the
/// first commit.
pub(crate) fn create(path: &Path, full: bool, log_id: &str, start: Seq) -> Result<Connection, LogError> {
    let wrong = sqlite_error("create", path);
    let mut connection = open_unborn(path).map_err(&wrong)?;
    let fill = |connection: &mut Connection| {
        let transaction = connection.transaction()?;
        transaction.execute_batch(TABLES)?;
        transaction.execute_batch(READINGS)?;
        transaction.execute(PUT, (key::FORMAT, FORMAT))?;
        transaction.execute(PUT, (key::LOG_ID, log_id))?;
        transaction.execute(PUT, (key::START, crate::state::clamp_seq(start)))?;
        transaction.commit()?;
        set(connection, "wal_checkpoint(TRUNCATE)")?;
        prepare_to_append(connection, full)
    };
    fill(&mut connection).map_err(&wrong)?;
    Ok(connection)
}

/// Reads a number of the table `segment`.
pub(crate) fn number(connection: &Connection, key: &str) -> rusqlite::Result<Option<i64>> {
    connection.prepare_cached("SELECT value FROM segment WHERE key = ?1")?.query_row([key], |row| row.get(0)).optional()
}

/// Checks that a file is a segment of this log, in a format this version knows.
pub(crate) fn check(connection: &Connection, path: &Path, log_id: &str) -> Result<(), LogError> {
    let wrong = sqlite_error("read", path);
    let format = number(connection, key::FORMAT).map_err(&wrong)?;
    if format != Some(FORMAT) {
        let found = format.map_or_else(|| "no format".to_owned(), |format| format!("format {format}"));
        let what = format!("{found} was found, {FORMAT} expected: it was written by another version of the gateway");
        return Err(LogError::Format { path: path.to_owned(), what });
    }
    let found: String = connection
        .query_row("SELECT value FROM segment WHERE key = ?1", [key::LOG_ID], |row| row.get(0))
        .map_err(&wrong)?;
    if found != log_id {
        return Err(LogError::ForeignSegment { path: path.to_owned(), found, expected: log_id.to_owned() });
    }
    Ok(())
}

/// Reads what a sealed segment says of itself.
pub(crate) fn read_summary(connection: &Connection, path: &Path) -> Result<Summary, LogError> {
    let wrong = sqlite_error("read", path);
    let get = |key: &str| {
        number(connection, key).map_err(&wrong)?.ok_or_else(|| LogError::Format {
            path: path.to_owned(),
            what: format!("a sealed segment without `{key}`"),
        })
    };
    Ok(Summary {
        rows: crate::state::loaded_seq(get(key::ROWS)?),
        first: crate::state::loaded_seq(get(key::FIRST)?),
        min_time: get(key::MIN_TIME)?,
        max_time: get(key::MAX_TIME)?,
        last_commit: Timestamp(get(key::LAST_COMMIT)?),
    })
}

/// Describes a point in a segment, anew when its description has changed.
pub(crate) fn describe(connection: &Connection, point: &Point) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO points(id, connection, name, kind, unit, description)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute((
            point.id.0,
            &*point.connection,
            &point.info.name,
            point.info.kind.number(),
            &point.info.unit,
            &point.info.description,
        ))
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::Status;

    #[test]
    fn a_live_segment_knows_its_points_and_its_span_of_time() {
        let reading =
            |point, time| Reading { point: PointId(point), time: Timestamp(time), status: Status::GOOD, value: None };
        let mut live = Live::default();
        live.note(&[reading(3, 50), reading(200, -7)], Timestamp(9));
        live.note(&[], Timestamp(10));
        assert_eq!((live.rows, live.min_time, live.max_time, live.last_commit), (2, -7, 50, Timestamp(9)));
        assert!(live.has_point(3) && live.has_point(200) && !live.has_point(4) && !live.has_point(100_000));
    }
}
