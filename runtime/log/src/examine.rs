//! Looking at files before they are used: cheap for all, thorough for the segment that is to be appended to. Whatever is
//! looked at through SQLite has had its WAL looked at first, because SQLite cuts a WAL where it no longer holds.

use crate::LogError;
use crate::carve::carve_rows;
use crate::damage::{is_damage, is_nearly, sqlite_says_damage};
use crate::files::{io_error, with_suffix};
use crate::row_sum::row_sum;
use crate::segment;
use crate::sqlite::{PAGE_BYTES, SEALED_PAGE_BYTES, open_append, open_state, sqlite_error};
use crate::state::loaded_seq;
use crate::state_sum::damage_in;
use crate::wal::Wal;
use bulkhead_model::Seq;
use rusqlite::Connection;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The first bytes of a database.
const DATABASE_MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// What an open segment is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Finding {
    /// As it should be.
    Whole {
        /// Its last seq; 0 when it has no rows.
        last: Seq,
    },
    /// Its making was interrupted: it never had a row.
    Unborn,
    /// It is damaged.
    Damaged {
        /// What shows it.
        what: String,
    },
    /// It is another log's.
    Foreign {
        /// That log's id.
        found: String,
    },
}

impl Finding {
    fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into() }
    }
}

/// Looks at an open segment. The newest one is going to be appended to: every row of it is read.
pub(crate) fn look_at_open(path: &Path, log_id: &str, is_newest: bool) -> Result<Finding, LogError> {
    let bytes = std::fs::metadata(path).map_err(io_error("read", path))?.len();
    let wal = match Wal::read(&with_suffix(path, "-wal")) {
        Ok(wal) => wal,
        Err(error) => return Err(io_error("read", path)(error)),
    };
    if wal.is_damaged() {
        return Ok(Finding::damaged("its WAL does not hold before its end"));
    }
    if !wal.has_commits() && bytes < u64::from(PAGE_BYTES) {
        // A segment is closed only with rows in it.
        return Ok(if is_newest { Finding::Unborn } else { Finding::damaged(format!("it has {bytes} bytes")) });
    }
    if bytes == 0 {
        return Ok(Finding::damaged("it is empty beside its WAL"));
    }
    let looked = look_with_sqlite(path, log_id, is_newest, bytes);
    match looked {
        Err(LogError::ForeignSegment { found, .. }) if is_nearly(&found, log_id) => {
            Ok(Finding::damaged(format!("its log id {found} is not quite what was written")))
        }
        Err(LogError::ForeignSegment { found, .. }) => Ok(Finding::Foreign { found }),
        Err(error) if is_damage(&error) && !is_of_reading(&error) => Ok(Finding::damaged(with_cause(&error))),
        other => other,
    }
}

/// Whether the medium does not give what it holds; the next time it may.
fn is_of_reading(error: &LogError) -> bool {
    matches!(error, LogError::Sqlite { source, .. }
        if source.sqlite_error_code() == Some(rusqlite::ErrorCode::SystemIoFailure))
}

/// An error with what is behind it.
pub(crate) fn with_cause(error: &LogError) -> String {
    match error {
        LogError::Sqlite { source, .. } => source.to_string(),
        LogError::Format { what, .. } | LogError::Damaged { what, .. } => what.clone(),
        other => other.to_string(),
    }
}

fn look_with_sqlite(path: &Path, log_id: &str, is_newest: bool, bytes: u64) -> Result<Finding, LogError> {
    let wrong = sqlite_error("read", path);
    // Opened for writing, so that a WAL left by a killed process is taken over.
    let connection = open_append(path, true).map_err(&wrong)?;
    let tables: u32 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(&wrong)?;
    // Whatever page size it was begun with.
    if tables == 0 && is_newest && bytes <= u64::from(SEALED_PAGE_BYTES) {
        return Ok(Finding::Unborn);
    }
    segment::check(&connection, path, log_id)?;
    let read =
        || -> rusqlite::Result<Option<String>> { if is_newest { damage_in_open(&connection) } else { Ok(None) } };
    if let Some(what) = read().map_err(&wrong)? {
        return Ok(Finding::damaged(what));
    }
    let last = connection.query_row("SELECT coalesce(max(seq), 0) FROM readings", [], |row| row.get(0));
    let last = loaded_seq(last.map_err(&wrong)?);
    if last > 0 {
        return Ok(Finding::Whole { last });
    }
    // Without rows it is of no use, and the segment before it may have gone on beyond its start.
    let damaged = damage_in_open(&connection).map_err(&wrong)?.map(Finding::damaged);
    Ok(damaged.unwrap_or(Finding::Unborn))
}

/// What does not hold in an open segment; none: every row does, and so does the structure that leads to them.
pub(crate) fn damage_in_open(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let said: String = connection.query_row("PRAGMA main.quick_check(1)", [], |row| row.get(0))?;
    if said != "ok" {
        return Ok(Some(said));
    }
    let mut select = connection.prepare("SELECT seq, point, time, status, value, sum FROM readings")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(0)?;
        if row_sum(seq, row.get(1)?, row.get(2)?, row.get(3)?, row.get_ref(4)?) != row.get::<_, i32>(5)? {
            return Ok(Some(format!("the reading with seq {seq} is not what was written")));
        }
    }
    Ok(None)
}

/// Bytes that a segment without rows does not exceed, its tables made.
const UNBORN_MAX_BYTES: u64 = 64 * 1024;

/// Whether a file that looks damaged is a segment whose making a power cut tore: small, and not one row in it or its WAL.
pub(crate) fn is_torn_unborn(path: &Path) -> bool {
    let is_small = std::fs::metadata(path).is_ok_and(|metadata| metadata.len() <= UNBORN_MAX_BYTES);
    let stop_at_a_row = carve_rows(path, &(0..=i64::MAX), |_| Err(LogError::Closed));
    is_small && stop_at_a_row.is_ok()
}

/// Looks at a sealed segment without reading it: its header, and that it has the length its header says. None: nothing is
/// wrong with these.
pub(crate) fn look_at_sealed(path: &Path, bytes: u64) -> Option<String> {
    let header = match read_header(path) {
        Ok(Some(header)) => header,
        Ok(None) => return Some(format!("it has {bytes} bytes")),
        Err(error) => return Some(format!("it cannot be read: {error}")),
    };
    let pages = u64::from(u32::from_be_bytes([header[28], header[29], header[30], header[31]]));
    let expected = pages * u64::from(SEALED_PAGE_BYTES);
    if header[..16] != *DATABASE_MAGIC {
        Some("it does not begin as a database does".to_owned())
    } else if bytes != expected {
        Some(format!("it has {bytes} bytes, its header says {expected}"))
    } else {
        None
    }
}

fn read_header(path: &Path) -> io::Result<Option<[u8; 32]>> {
    let mut header = [0; 32];
    match File::open(path)?.read_exact(&mut header) {
        Ok(()) => Ok(Some(header)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Looks at `state.db`. None: it is whole, or so new that it is empty and no segment stands beside it.
pub(crate) fn look_at_state(path: &Path, has_segments: bool) -> Result<Option<String>, LogError> {
    let bytes = std::fs::metadata(path).map_err(io_error("read", path))?.len();
    let wal = match Wal::read(&with_suffix(path, "-wal")) {
        Ok(wal) => wal,
        Err(error) => return Err(io_error("read", path)(error)),
    };
    if wal.is_damaged() {
        return Ok(Some("its WAL does not hold before its end".to_owned()));
    }
    if bytes < u64::from(PAGE_BYTES) && (has_segments || wal.has_commits()) {
        return Ok(Some(format!("it has {bytes} bytes")));
    }
    let read = || -> rusqlite::Result<Option<String>> {
        let connection = open_state(path)?;
        if has_segments {
            // Without its tables this fails, and that is damage.
            connection.query_row("SELECT count(*) FROM log", [], |_| Ok(()))?;
        }
        damage_in(&connection)
    };
    match read() {
        Ok(found) => Ok(found),
        Err(error)
            if sqlite_says_damage(&error)
                && error.sqlite_error_code() != Some(rusqlite::ErrorCode::SystemIoFailure) =>
        {
            Ok(Some(error.to_string()))
        }
        Err(error) => Err(sqlite_error("open", path)(error)),
    }
}
