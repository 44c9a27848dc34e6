//! Sealing one segment: its rows are read by seq and written as compressed blocks into a `.tmp` beside it, slice by slice;
//! that is synced, renamed, and the folder synced. Only then does it count; a crash before leaves the open twin as it was.

use crate::columns::Damage;
use crate::files::{FileOps, SegmentFile, io_error, remove_database};
use crate::row_sum::row_sum;
use crate::sealed::{self, SealedError, SealedWriter, Totals};
use crate::segment::{self, PUT, Summary, TABLES, key};
use crate::sqlite::{open_sealing, set, sqlite_error, uri};
use crate::state::loaded_seq;
use crate::{Catalogue, LogError};
use bulkhead_model::{PointId, Seq, Timestamp};
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use std::collections::HashSet;
use std::path::Path;

/// Page cache for reading the open twin: its rows are read once, in order.
const SOURCE_CACHE_KIB: u32 = 128;

/// A segment that has been sealed.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) file: SegmentFile,
    pub(crate) bytes: u64,
    pub(crate) summary: Summary,
}

/// Seals the segment of a file, with the points' descriptions as of now. None: it has no rows.
pub(crate) fn seal(
    files: &dyn FileOps,
    catalogue: &Catalogue,
    source: &Path,
    start: Seq,
    last_commit: Timestamp,
) -> Result<Option<Sealed>, LogError> {
    let tmp = source.with_file_name(format!("seg-{start:020}.tmp"));
    remove_database(files, &tmp)?;
    let written =
        write_sealed(catalogue, source, &tmp, last_commit).map_err(|error| sealed_error("seal", source)(error))?;
    let Some((totals, bytes)) = written else {
        remove_database(files, &tmp)?;
        return Ok(None);
    };
    let file = SegmentFile::Sealed { start, last: loaded_seq(totals.last) };
    publish(files, &tmp, file)?;
    Ok(Some(Sealed { file, bytes, summary: summary_of(&totals, last_commit) }))
}

/// Makes a finished copy count.
pub(crate) fn publish(files: &dyn FileOps, tmp: &Path, file: SegmentFile) -> Result<(), LogError> {
    let name = file.name().unwrap_or_default();
    let path = tmp.with_file_name(name);
    let dir = path.parent().unwrap_or(Path::new("."));
    files.sync_file(tmp).map_err(io_error("sync", tmp))?;
    files.rename(tmp, &path).map_err(io_error("rename", tmp))?;
    files.sync_dir(dir).map_err(io_error("sync", dir))
}

/// Makes a [`LogError`] of what went wrong inside a sealed segment.
pub(crate) fn sealed_error(action: &'static str, path: &Path) -> impl Fn(SealedError) -> LogError + use<> {
    let path = path.to_owned();
    move |error| match error {
        SealedError::Sqlite(error) => sqlite_error(action, &path)(error),
        SealedError::Damage(damage) => LogError::Format { path: path.clone(), what: damage.0 },
    }
}

pub(crate) fn summary_of(totals: &Totals, last_commit: Timestamp) -> Summary {
    Summary {
        rows: loaded_seq(totals.rows),
        first: loaded_seq(totals.first),
        min_time: totals.min_time,
        max_time: totals.max_time,
        last_commit,
    }
}

/// Writes what an open segment has into a new file. Returns what its rows come to and the file's length; none: it has
/// no row.
fn write_sealed(
    catalogue: &Catalogue,
    source: &Path,
    tmp: &Path,
    last_commit: Timestamp,
) -> Result<Option<(Totals, u64)>, SealedError> {
    let connection = open_sealing(tmp)?;
    // The twin is about to go: moving its WAL into it would be writing for nothing.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.execute("ATTACH ?1 AS source", [uri(source, "mode=rw")])?;
    set(&connection, &format!("source.cache_size = -{SOURCE_CACHE_KIB}"))?;
    connection.execute_batch(TABLES)?;
    connection.execute_batch(sealed::TABLES)?;
    connection.execute_batch(
        "BEGIN;
         INSERT INTO main.segment SELECT * FROM source.segment;
         INSERT INTO main.points SELECT * FROM source.points",
    )?;
    let mut writer = SealedWriter::default();
    push_rows(&connection, &mut writer)?;
    let Some(totals) = writer.finish(&connection)? else { return Ok(None) };
    describe_missing(&connection, catalogue, &totals)?;
    describe(&connection, &totals, last_commit)?;
    connection.execute_batch("COMMIT; DETACH source")?;
    Ok(Some((totals, copy_length(connection)?)))
}

/// Describes the points that were described in an earlier segment.
fn describe_missing(connection: &Connection, catalogue: &Catalogue, totals: &Totals) -> rusqlite::Result<()> {
    let mut select = connection.prepare("SELECT id FROM main.points")?;
    let described = select.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<HashSet<u32>>>()?;
    let missing = totals.points.difference(&described);
    for point in missing.filter_map(|point| catalogue.by_id(PointId(*point))) {
        segment::describe(connection, point)?;
    }
    Ok(())
}

/// Closes a file that was written; its length.
pub(crate) fn copy_length(connection: Connection) -> rusqlite::Result<u64> {
    let length = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
    let bytes = connection.query_row(length, [], |row| row.get(0).map(loaded_seq))?;
    connection.close().map_err(|(_, error)| error)?;
    Ok(bytes)
}

/// Hands the rows of the attached twin over. Each is checked: under the blocks' checksums a changed one would hold again.
fn push_rows(connection: &Connection, writer: &mut SealedWriter) -> Result<(), SealedError> {
    let mut select =
        connection.prepare("SELECT seq, point, time, status, value, sum FROM source.readings ORDER BY seq")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (seq, point, time, status) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        let value = row.get_ref(4)?;
        if row_sum(seq, point, time, status, value) != row.get::<_, i32>(5)? {
            return Err(Damage(format!("the reading with seq {seq} is not what was written")).into());
        }
        writer.push(connection, seq, point, time, status, value)?;
    }
    Ok(())
}

/// Writes down what the rows come to, and forgets the points that have none.
pub(crate) fn describe(connection: &Connection, totals: &Totals, last_commit: Timestamp) -> Result<(), SealedError> {
    let mut put = connection.prepare(PUT)?;
    for (key, number) in [
        (key::ROWS, totals.rows),
        (key::FIRST, totals.first),
        (key::LAST, totals.last),
        (key::MIN_TIME, totals.min_time),
        (key::MAX_TIME, totals.max_time),
        (key::LAST_COMMIT, last_commit.0),
        (key::CHECKSUM, i64::from(totals.checksum)),
    ] {
        put.execute((key, number))?;
    }
    let mut select = connection.prepare("SELECT id FROM main.points")?;
    let described = select.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<u32>>>()?;
    let mut delete = connection.prepare("DELETE FROM main.points WHERE id = ?1")?;
    for unused in described.iter().filter(|point| !totals.points.contains(point)) {
        delete.execute([unused])?;
    }
    let used = described.iter().filter(|point| totals.points.contains(point)).count();
    if used == totals.points.len() {
        Ok(())
    } else {
        Err(Damage(format!("{} points have rows, {used} of them are described", totals.points.len())).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::Directory;
    use crate::files::SystemFiles;
    use crate::scan::RowFilter;
    use std::path::PathBuf;

    fn open_segment(dir: &Path, rows: &[(i64, u32, i64)]) -> PathBuf {
        let path = dir.join("seg-00000000000000000001.open.db");
        let connection = segment::create(&path, true, "abc", 1).unwrap();
        connection.execute("INSERT INTO points(id, connection, name, kind) VALUES (77, 'c', 'unused', 2)", []).unwrap();
        for (seq, point, time) in rows {
            connection
                .execute(
                    "INSERT OR IGNORE INTO points(id, connection, name, kind) VALUES (?1, 'c', 'n' || ?1, 2)",
                    [point],
                )
                .unwrap();
            let sum = row_sum(*seq, *point, *time, 0, rusqlite::types::ValueRef::Real(1.5));
            connection
                .execute("INSERT INTO readings VALUES (?1, ?2, ?3, 0, 1.5, ?4)", (seq, point, time, sum))
                .unwrap();
        }
        path
    }

    #[test]
    fn a_sealed_segment_says_what_is_in_it_and_notices_a_changed_block() {
        let dir = tempfile::tempdir().unwrap();
        let source = open_segment(dir.path(), &[(5, 1, 30), (6, 2, 10), (9, 1, 20)]);
        let sealed = seal(&SystemFiles, &Catalogue::default(), &source, 1, Timestamp(77)).unwrap().unwrap();
        assert_eq!(sealed.file, SegmentFile::Sealed { start: 1, last: 9 });
        let path = dir.path().join(sealed.file.name().unwrap());
        let connection = crate::sqlite::open_sealed(&path).unwrap();
        let summary = segment::read_summary(&connection, &path).unwrap();
        assert_eq!(summary, sealed.summary);
        let expected = Summary { rows: 3, first: 5, min_time: 10, max_time: 30, last_commit: Timestamp(77) };
        assert_eq!(summary, expected);
        assert_eq!(sealed.bytes, std::fs::metadata(&path).unwrap().len());
        let points: Vec<u32> = connection
            .prepare("SELECT id FROM points ORDER BY id")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<rusqlite::Result<_>>()
            .unwrap();
        assert_eq!(points, [1, 2]);
        let directory = Directory::load(&connection).unwrap().unwrap();
        let read = |connection: &Connection| sealed::read_slice(connection, &directory, 0, &RowFilter::default());
        let rows = read(&connection).unwrap();
        assert_eq!((rows.points, rows.times, rows.seqs), (vec![1, 1, 2], vec![20, 30, 10], vec![9, 5, 6]));

        let changed = Connection::open(&path).unwrap();
        changed.execute("UPDATE block_data SET bytes = CAST(bytes || x'00' AS BLOB)", []).unwrap();
        assert!(matches!(read(&changed), Err(SealedError::Damage(_))));
        changed.execute("UPDATE blocks SET max_time = 29", []).unwrap();
        assert!(Directory::load(&changed).unwrap().is_err());
    }

    #[test]
    fn an_empty_segment_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let source = open_segment(dir.path(), &[]);
        assert!(seal(&SystemFiles, &Catalogue::default(), &source, 1, Timestamp(0)).unwrap().is_none());
        let tmp = source.with_file_name("seg-00000000000000000001.tmp");
        assert!(!tmp.exists());
    }
}
