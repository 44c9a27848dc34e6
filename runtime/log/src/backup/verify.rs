//! Checking a backup: lengths and sums of its files, then what is in them, read as the log itself reads it.

use super::copy::{record_of, rest};
use super::manifest::{FileRecord, LOG_DIR, Manifest, SegmentRecord, damaged};
use super::{BackupProgress, BackupReport, BackupStage, Meter, OnProgress};
use crate::config::BACKUP_CHECK_ROWS;
use crate::files::{SegmentFile, SystemFiles};
use crate::log::LogId;
use crate::reader::Readers;
use crate::scan::{RowFilter, Scan, StoredRow};
use crate::segment::{self, Segment, read_summary};
use crate::shared::Snapshot;
use crate::sqlite::{open_live, sqlite_error};
use crate::state::loaded_seq;
use crate::state_schema::{FORMAT, LogRecord, read_record};
use crate::stored::from_sql;
use crate::{Catalogue, LogError, clock};
use bulkhead_model::{Kind, Seq};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Checks a backup from end to end and changes nothing: every file against its length and SHA-256, the log id in
/// `state.db` and in each segment, the segments' checksums, ranges and rows, each row read. Blocks.
///
/// # Errors
/// [`LogError::BackupDamaged`], [`LogError::Format`] or [`LogError::ForeignSegment`] with the file that is wrong,
/// [`LogError::CalledOff`], or what the file system or SQLite reports.
pub fn verify_backup(dir: &Path, on_progress: &mut OnProgress<'_>) -> Result<BackupReport, LogError> {
    let manifest = Manifest::read(dir)?;
    let progress = BackupProgress { stage: BackupStage::Checking, bytes_done: 0, bytes_total: manifest.bytes() };
    let mut meter = Meter { progress, on_progress };
    check_files(dir, &manifest, &mut meter)?;
    for (index, file) in manifest.files.iter().enumerate() {
        let found = rows_of(dir, &manifest, index, &mut meter)?;
        if found != file.segment {
            let what = format!("{found:?} was found, {:?} expected", file.segment);
            return Err(damaged(&dir.join(&file.name), what));
        }
    }
    let rows: u64 = manifest.files.iter().filter_map(|file| file.segment).map(|segment| segment.rows).sum();
    if rows != manifest.rows {
        return Err(damaged(dir, format!("{rows} rows were found, {} expected", manifest.rows)));
    }
    Ok(BackupReport::of(dir, &manifest))
}

/// Checks the length and the sum of every file, and what `state.db` says of itself.
pub(super) fn check_files(dir: &Path, manifest: &Manifest, meter: &mut Meter<'_, '_>) -> Result<(), LogError> {
    for file in &manifest.files {
        let path = dir.join(&file.name);
        let found = match record_of(&path, &file.name, &mut |bytes| meter.add(bytes)) {
            Err(LogError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Err(damaged(&path, "it is not there"));
            }
            found => found?,
        };
        compare(file, &found, &path)?;
        meter.add(file.bytes)?;
    }
    let state = dir.join(LOG_DIR).join("state.db");
    let record = state_record(&state)?;
    if record.log_id != manifest.log_id {
        return Err(damaged(&state, format!("it is of log {}, {} expected", record.log_id, manifest.log_id)));
    }
    Ok(())
}

/// Whether a file is as it was recorded.
pub(super) fn compare(expected: &FileRecord, found: &FileRecord, path: &Path) -> Result<(), LogError> {
    if found.bytes != expected.bytes {
        return Err(damaged(path, format!("{} bytes were found, {} expected", found.bytes, expected.bytes)));
    }
    if found.sha256 != expected.sha256 {
        return Err(damaged(path, format!("its SHA-256 is {}, {} was expected", found.sha256, expected.sha256)));
    }
    Ok(())
}

/// What a `state.db` says of its log, after SQLite has looked through the whole file.
pub(super) fn state_record(path: &Path) -> Result<LogRecord, LogError> {
    let wrong = sqlite_error("read", path);
    let connection = open_live(path).map_err(&wrong)?;
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(&wrong)?;
    if verdict != "ok" {
        return Err(damaged(path, verdict));
    }
    let record = read_record(&connection).map_err(&wrong)?;
    if record.format != FORMAT {
        let what = format!("format {} was found, {FORMAT} expected", record.format);
        return Err(LogError::Format { path: path.to_owned(), what });
    }
    Ok(record)
}

/// The kinds of all points, by number.
fn kinds(state: &Path) -> Result<HashMap<u32, Kind>, LogError> {
    let wrong = sqlite_error("read", state);
    let connection = open_live(state).map_err(&wrong)?;
    let read = || {
        connection
            .prepare("SELECT id, kind FROM points")?
            .query_map([], |row| Ok((row.get(0)?, Kind::from_number(row.get(1)?))))?
            .map(|row| row.map(|(id, kind)| kind.map(|kind| (id, kind))))
            .collect::<rusqlite::Result<Option<_>>>()
    };
    read().map_err(&wrong)?.ok_or_else(|| damaged(state, "a point is of a kind this version does not know"))
}

/// Reads every row of one of the manifest's files. None: it is no segment.
pub(super) fn rows_of(
    dir: &Path,
    manifest: &Manifest,
    index: usize,
    meter: &mut Meter<'_, '_>,
) -> Result<Option<SegmentRecord>, LogError> {
    let file = &manifest.files[index];
    let Some(name) = file.name.strip_prefix(LOG_DIR).and_then(|rest| rest.strip_prefix('/')) else { return Ok(None) };
    let Some(parsed) = SegmentFile::parse(name) else { return Ok(None) };
    let log_dir = dir.join(LOG_DIR);
    let path = log_dir.join(name);
    let segment = Segment::new(&log_dir, parsed, file.bytes, Arc::new(SystemFiles))
        .ok_or_else(|| damaged(&path, "an unfinished segment has no place in a backup"))?;
    let connection = segment.connect()?;
    segment::check(&connection, &segment.path, &manifest.log_id)?;
    let log_id = LogId(Arc::from(manifest.log_id.as_str()));
    let found = read_rows(&segment, &log_id, manifest.last_seq, &kinds(&log_dir.join("state.db"))?, meter)?;
    if let SegmentFile::Sealed { last, .. } = parsed {
        let expected = read_summary(&connection, &path)?;
        if (found.rows, found.first, found.last) != (expected.rows, expected.first, last) {
            let what = format!("{found:?} was found, it says {expected:?} up to seq {last}");
            return Err(damaged(&path, what));
        }
    }
    Ok(Some(found))
}

/// Reads every row of a segment. A sealed one's blocks are checked against their checksums on the way.
fn read_rows(
    segment: &Arc<Segment>,
    log_id: &LogId,
    last_seq: Seq,
    kinds: &HashMap<u32, Kind>,
    meter: &mut Meter<'_, '_>,
) -> Result<SegmentRecord, LogError> {
    let snapshot = Snapshot {
        segments: Arc::new(vec![Arc::clone(segment)]),
        committed: Seq::MAX,
        dropped_to: 0,
        catalogue: Arc::new(Catalogue::default()),
    };
    let mut scan = Scan::new(&snapshot, RowFilter::default(), Arc::new(Readers::new(log_id.clone())));
    let mut record = SegmentRecord { rows: 0, first: 0, last: 0 };
    let mut started = clock::monotonic();
    while let Some(row) = scan.next()? {
        check_row(&row, last_seq, kinds)?;
        let seq = loaded_seq(row.seq);
        if record.rows == 0 {
            record.first = seq;
        } else if seq <= record.last {
            return Err(damaged(&row.path, format!("seq {seq} stands behind {}", record.last)));
        }
        record.last = seq;
        record.rows += 1;
        if record.rows.is_multiple_of(BACKUP_CHECK_ROWS) {
            rest(0, started);
            meter.add(0)?;
            started = clock::monotonic();
        }
    }
    Ok(record)
}

/// Whether a row belongs to the backup's moment, to a known point, and has a value of its kind.
fn check_row(row: &StoredRow, last_seq: Seq, kinds: &HashMap<u32, Kind>) -> Result<(), LogError> {
    let wrong = |what: String| damaged(&row.path, format!("seq {}: {what}", row.seq));
    if loaded_seq(row.seq) > last_seq {
        return Err(wrong(format!("it is behind the backup's last one, {last_seq}")));
    }
    let kind = kinds.get(&row.point).ok_or_else(|| wrong(format!("point {} is not in state.db", row.point)))?;
    match from_sql(*kind, (&row.value).into()) {
        Some(_) => Ok(()),
        None => Err(wrong(format!("its value is no {kind}"))),
    }
}
