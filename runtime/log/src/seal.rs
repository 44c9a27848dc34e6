//! Sealing one segment: its rows are copied into a `.tmp` beside it, counted, summed and indexed there; the copy is
//! synced, renamed, and the folder synced. Only then does it count; a crash before leaves the open twin as it was.
//!
//! The checksum is CRC-32 (IEEE) over the rows by rising seq, each as: seq (i64), point (u32), time (i64), status (u32),
//! then the value as a byte for its storage class (0 none, 1 integer, 2 real, 3 text, 4 blob), followed by its eight bytes
//! or its length (u64) and its bytes; numbers little-endian. It is over rows, not over the file, so that it stays the
//! same when a later version stores the rows in another way.

use crate::LogError;
use crate::files::{FileOps, SegmentFile, io_error, remove_database};
use crate::segment::{INDEX, PUT, Summary, TABLES, key};
use crate::sqlite::{open_sealing, sqlite_error, uri};
use crate::state::loaded_seq;
use bulkhead_model::{Seq, Timestamp};
use crc32fast::Hasher;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::types::ValueRef;
use std::collections::HashMap;
use std::path::Path;

/// Bytes collected before the checksum takes them: it is fast only in large pieces.
const CHECKSUM_PIECE_BYTES: usize = 16 * 1024;

/// A segment that has been sealed.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) file: SegmentFile,
    pub(crate) bytes: u64,
    pub(crate) summary: Summary,
}

/// Seals the segment of a file. None: it has no rows.
pub(crate) fn seal(
    files: &dyn FileOps,
    source: &Path,
    start: Seq,
    last_commit: Timestamp,
) -> Result<Option<Sealed>, LogError> {
    let tmp = source.with_file_name(format!("seg-{start:020}.tmp"));
    remove_database(files, &tmp)?;
    let Some(contents) = write_copy(source, &tmp, last_commit).map_err(sqlite_error("seal", source))? else {
        remove_database(files, &tmp)?;
        return Ok(None);
    };
    let file = SegmentFile::Sealed { start, last: loaded_seq(contents.last) };
    publish(files, &tmp, file)?;
    Ok(Some(Sealed { file, bytes: contents.bytes, summary: contents.summary(last_commit) }))
}

/// Makes a finished copy count.
fn publish(files: &dyn FileOps, tmp: &Path, file: SegmentFile) -> Result<(), LogError> {
    let name = file.name().unwrap_or_default();
    let path = tmp.with_file_name(name);
    let dir = path.parent().unwrap_or(Path::new("."));
    files.sync_file(tmp).map_err(io_error("sync", tmp))?;
    files.rename(tmp, &path).map_err(io_error("rename", tmp))?;
    files.sync_dir(dir).map_err(io_error("sync", dir))
}

/// What the rows of a segment come to.
#[derive(Debug)]
struct Contents {
    rows: i64,
    first: i64,
    last: i64,
    min_time: i64,
    max_time: i64,
    checksum: u32,
    points: HashMap<u32, Span>,
    /// Length of the file.
    bytes: u64,
}

/// What the rows of one point in it come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Span {
    rows: i64,
    first: i64,
    last: i64,
    min_time: i64,
    max_time: i64,
}

impl Span {
    fn of(seq: i64, time: i64) -> Self {
        Self { rows: 0, first: seq, last: seq, min_time: time, max_time: time }
    }

    fn add(&mut self, seq: i64, time: i64) {
        self.rows += 1;
        self.last = seq;
        self.min_time = self.min_time.min(time);
        self.max_time = self.max_time.max(time);
    }
}

impl Contents {
    fn summary(&self, last_commit: Timestamp) -> Summary {
        Summary {
            rows: loaded_seq(self.rows),
            first: loaded_seq(self.first),
            min_time: self.min_time,
            max_time: self.max_time,
            last_commit,
        }
    }
}

fn write_copy(source: &Path, tmp: &Path, last_commit: Timestamp) -> rusqlite::Result<Option<Contents>> {
    let connection = open_sealing(tmp)?;
    // The twin is about to go: moving its WAL into it would be writing for nothing.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.execute("ATTACH ?1 AS source", [uri(source, "mode=rw")])?;
    connection.execute_batch(TABLES)?;
    connection.execute_batch("BEGIN")?;
    for table in ["segment", "points", "readings"] {
        connection.execute_batch(&format!("INSERT INTO main.{table} SELECT * FROM source.{table}"))?;
    }
    connection.execute_batch("COMMIT; DETACH source")?;
    let Some(mut contents) = sum_up(&connection)? else { return Ok(None) };
    connection.execute_batch("BEGIN")?;
    connection.execute_batch(INDEX)?;
    describe(&connection, &contents, last_commit)?;
    connection.execute_batch("COMMIT")?;
    let length = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
    contents.bytes = connection.query_row(length, [], |row| row.get(0).map(loaded_seq))?;
    connection.close().map_err(|(_, error)| error)?;
    Ok(Some(contents))
}

/// Reads all rows once. None: there is none.
fn sum_up(connection: &Connection) -> rusqlite::Result<Option<Contents>> {
    let mut select = connection.prepare("SELECT seq, point, time, status, value FROM main.readings ORDER BY seq")?;
    let mut rows = select.query([])?;
    let mut points: HashMap<u32, Span> = HashMap::new();
    let mut whole: Option<Span> = None;
    let (mut hasher, mut piece) = (Hasher::new(), Vec::with_capacity(CHECKSUM_PIECE_BYTES * 2));
    while let Some(row) = rows.next()? {
        let (seq, point, time): (i64, u32, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        put_row(&mut piece, seq, point, time, row.get(3)?, row.get_ref(4)?);
        if piece.len() >= CHECKSUM_PIECE_BYTES {
            hasher.update(&piece);
            piece.clear();
        }
        points.entry(point).or_insert_with(|| Span::of(seq, time)).add(seq, time);
        whole.get_or_insert_with(|| Span::of(seq, time)).add(seq, time);
    }
    hasher.update(&piece);
    let checksum = hasher.finalize();
    Ok(whole.map(|Span { rows, first, last, min_time, max_time }| Contents {
        rows,
        first,
        last,
        min_time,
        max_time,
        checksum,
        points,
        bytes: 0,
    }))
}

/// Puts a row behind the bytes that are to be summed.
pub(crate) fn put_row(bytes: &mut Vec<u8>, seq: i64, point: u32, time: i64, status: u32, value: ValueRef<'_>) {
    bytes.extend_from_slice(&seq.to_le_bytes());
    bytes.extend_from_slice(&point.to_le_bytes());
    bytes.extend_from_slice(&time.to_le_bytes());
    bytes.extend_from_slice(&status.to_le_bytes());
    let (class, long): (u8, &[u8]) = match value {
        ValueRef::Null => (0, &[]),
        ValueRef::Integer(number) => {
            bytes.push(1);
            bytes.extend_from_slice(&number.to_le_bytes());
            return;
        }
        ValueRef::Real(number) => {
            bytes.push(2);
            bytes.extend_from_slice(&number.to_le_bytes());
            return;
        }
        ValueRef::Text(text) => (3, text),
        ValueRef::Blob(blob) => (4, blob),
    };
    bytes.push(class);
    if class != 0 {
        bytes.extend_from_slice(&(long.len() as u64).to_le_bytes());
        bytes.extend_from_slice(long);
    }
}

/// Writes down what the rows come to.
fn describe(connection: &Connection, contents: &Contents, last_commit: Timestamp) -> rusqlite::Result<()> {
    let mut put = connection.prepare(PUT)?;
    for (key, number) in [
        (key::ROWS, contents.rows),
        (key::FIRST, contents.first),
        (key::LAST, contents.last),
        (key::MIN_TIME, contents.min_time),
        (key::MAX_TIME, contents.max_time),
        (key::LAST_COMMIT, last_commit.0),
        (key::CHECKSUM, i64::from(contents.checksum)),
    ] {
        put.execute((key, number))?;
    }
    let mut update = connection.prepare(
        "UPDATE points SET rows = ?2, first_seq = ?3, last_seq = ?4, min_time = ?5, max_time = ?6 WHERE id = ?1",
    )?;
    for (point, span) in &contents.points {
        let changed = update.execute((point, span.rows, span.first, span.last, span.min_time, span.max_time))?;
        if changed == 0 {
            return Err(rusqlite::Error::StatementChangedRows(changed));
        }
    }
    connection.execute("DELETE FROM points WHERE rows IS NULL", []).map(drop)
}

/// Whether the rows of a sealed segment still come to what it says of them.
#[cfg(test)]
pub(crate) fn is_whole(connection: &Connection) -> rusqlite::Result<bool> {
    let said = crate::segment::number(connection, key::CHECKSUM)?;
    Ok(sum_up(connection)?.map(|contents| i64::from(contents.checksum)) == said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::SystemFiles;
    use crate::segment;
    use std::path::PathBuf;

    fn open_segment(dir: &Path, rows: &[(i64, u32, i64)]) -> PathBuf {
        let path = dir.join("seg-00000000000000000001.open.db");
        let connection = segment::create(&path, true, "abc", 1).unwrap();
        for (seq, point, time) in rows {
            connection
                .execute(
                    "INSERT OR IGNORE INTO points(id, connection, name, kind) VALUES (?1, 'c', 'n' || ?1, 2)",
                    [point],
                )
                .unwrap();
            connection.execute("INSERT INTO readings VALUES (?1, ?2, ?3, 0, 1.5)", (seq, point, time)).unwrap();
        }
        path
    }

    #[test]
    fn a_sealed_segment_says_what_is_in_it_and_notices_a_changed_row() {
        let dir = tempfile::tempdir().unwrap();
        let source = open_segment(dir.path(), &[(5, 1, 30), (6, 2, 10), (9, 1, 20)]);
        let sealed = seal(&SystemFiles, &source, 1, Timestamp(77)).unwrap().unwrap();
        assert_eq!(sealed.file, SegmentFile::Sealed { start: 1, last: 9 });
        let path = dir.path().join(sealed.file.name().unwrap());
        let connection = crate::sqlite::open_sealed(&path).unwrap();
        let summary = segment::read_summary(&connection, &path).unwrap();
        assert_eq!(summary, sealed.summary);
        let expected = Summary { rows: 3, first: 5, min_time: 10, max_time: 30, last_commit: Timestamp(77) };
        assert_eq!(summary, expected);
        assert_eq!(sealed.bytes, std::fs::metadata(&path).unwrap().len());
        let spans: Vec<(u32, i64, i64, i64, i64, i64)> = connection
            .prepare("SELECT id, rows, first_seq, last_seq, min_time, max_time FROM points ORDER BY id")
            .unwrap()
            .query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?, r.get(5)?)))
            .unwrap()
            .collect::<rusqlite::Result<_>>()
            .unwrap();
        assert_eq!(spans, [(1, 2, 5, 9, 20, 30), (2, 1, 6, 6, 10, 10)]);
        assert!(is_whole(&connection).unwrap());
        let changed = Connection::open(&path).unwrap();
        changed.execute("UPDATE readings SET value = 1.25 WHERE seq = 6", []).unwrap();
        assert!(!is_whole(&changed).unwrap());
    }

    #[test]
    fn an_empty_segment_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let source = open_segment(dir.path(), &[]);
        assert!(seal(&SystemFiles, &source, 1, Timestamp(0)).unwrap().is_none());
        let tmp = source.with_file_name("seg-00000000000000000001.tmp");
        assert!(!tmp.exists());
    }
}
