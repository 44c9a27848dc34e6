//! Making a backup: the moment it is of, the copies, the manifest, the check, the name.

use super::copy::{copy_database, copy_file, copy_stream, record_of};
use super::manifest::{BACKUP_FORMAT, FileRecord, LOG_DIR, MANIFEST, MANIFEST_SUM, Manifest, stays_inside};
use super::verify::{check_files, rows_of};
use super::{BackupProgress, BackupReport, BackupStage, Beside, BesideContent, Meter, OnProgress};
use crate::files::{SegmentFile, io_error, with_suffix};
use crate::segment::Segment;
use crate::shared::{Shared, Snapshot};
use crate::state::clamp_seq;
use crate::{LogError, clock};
use bulkhead_model::Seq;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// What a backup is called until it is whole.
const PARTIAL: &str = ".partial";

/// Makes a backup; see [`crate::Log::backup_to`].
pub(super) fn write(
    shared: &Shared,
    dir: &Path,
    beside: &[Beside],
    on_progress: &mut OnProgress<'_>,
) -> Result<BackupReport, LogError> {
    if dir.exists() {
        return Err(LogError::Occupied { path: dir.to_owned(), hint: "give the backup another name" });
    }
    let partial = with_suffix(dir, PARTIAL);
    remove_tree(&partial)?;
    let log_dir = partial.join(LOG_DIR);
    fs::create_dir_all(&log_dir).map_err(io_error("create", &log_dir))?;
    let made = fill(shared, &partial, beside, on_progress).and_then(|manifest| {
        sync_dir(&log_dir)?;
        sync_dir(&partial)?;
        fs::rename(&partial, dir).map_err(io_error("rename", &partial))?;
        sync_dir(dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
        Ok(BackupReport::of(dir, &manifest))
    });
    if made.is_err()
        && let Err(error) = remove_tree(&partial)
    {
        tracing::warn!(%error, "what there is of a failed backup could not be removed");
    }
    made
}

fn fill(
    shared: &Shared,
    dir: &Path,
    beside: &[Beside],
    on_progress: &mut OnProgress<'_>,
) -> Result<Manifest, LogError> {
    let begun = clock::now();
    let (last_seq, segments) = moment(shared);
    let bytes_total = shared.bytes_on_disk()?;
    let mut meter =
        Meter { progress: BackupProgress { stage: BackupStage::Copying, bytes_done: 0, bytes_total }, on_progress };
    let mut files = vec![copy_state(shared, dir, last_seq, &mut meter)?];
    // Each is let go when it is copied: what retention has dropped meanwhile goes then.
    for segment in segments {
        files.extend(copy_segment(&segment, dir, last_seq, &mut meter)?);
    }
    for file in beside {
        files.push(copy_beside(file, dir, &mut meter)?);
    }
    let mut manifest =
        Manifest { format: BACKUP_FORMAT, log_id: shared.id.to_string(), begun_ns: begun.0, last_seq, rows: 0, files };
    let bytes_total = manifest.bytes();
    meter.progress = BackupProgress { stage: BackupStage::Checking, bytes_done: 0, bytes_total };
    check_files(dir, &manifest, &mut meter)?;
    for index in 0..manifest.files.len() {
        manifest.files[index].segment = rows_of(dir, &manifest, index, &mut meter)?;
    }
    manifest.rows = manifest.files.iter().filter_map(|file| file.segment).map(|segment| segment.rows).sum();
    manifest.write(dir)?;
    Ok(manifest)
}

/// The moment the backup is of: the seq that was committed last, and the segments with every row up to it. While they
/// are held their files stay.
fn moment(shared: &Shared) -> (Seq, Vec<Arc<Segment>>) {
    loop {
        let Snapshot { segments, committed, .. } = shared.snapshot();
        // Between the two looks a segment may have been filled, closed and sealed: its rows cannot be told apart there.
        if segments.iter().all(|segment| segment.sealed_last().is_none_or(|last| last <= committed)) {
            return (committed, segments.iter().cloned().collect());
        }
    }
}

fn copy_state(shared: &Shared, dir: &Path, last_seq: Seq, meter: &mut Meter<'_, '_>) -> Result<FileRecord, LogError> {
    let name = format!("{LOG_DIR}/state.db");
    let to = dir.join(&name);
    let last = clamp_seq(last_seq);
    copy_database(&shared.config.dir.join("state.db"), &to, &mut |bytes| meter.add(bytes), |copy| {
        copy.execute("UPDATE cursors SET seq = ?1 WHERE seq > ?1", [last])?;
        // How far an import that went on meanwhile was at the backup's moment is not known: it is no file's after a restore, so
        // that none is taken for new and imported twice.
        copy.execute("UPDATE imports SET digest = zeroblob(32) WHERE last > ?1", [last])?;
        copy.execute("DELETE FROM in_flight WHERE last > ?1", [last]).map(drop)
    })?;
    record_of(&to, &name, &mut |bytes| meter.add(bytes))
}

/// Copies a segment. None: it has no row of the backup's moment.
fn copy_segment(
    segment: &Segment,
    dir: &Path,
    last_seq: Seq,
    meter: &mut Meter<'_, '_>,
) -> Result<Option<FileRecord>, LogError> {
    let file = match segment.sealed_last() {
        Some(last) => SegmentFile::Sealed { start: segment.start, last },
        None => SegmentFile::Open { start: segment.start },
    };
    let name = format!("{LOG_DIR}/{}", file.name().unwrap_or_default());
    let to = dir.join(&name);
    if segment.is_sealed() {
        return copy_file(&segment.path, &to, &name, &mut |bytes| meter.add(bytes)).map(Some);
    }
    let mut rows = 0;
    copy_database(&segment.path, &to, &mut |bytes| meter.add(bytes), |copy| {
        copy.execute("DELETE FROM readings WHERE seq > ?1", [clamp_seq(last_seq)])?;
        rows = copy.query_row("SELECT count(*) FROM readings", [], |row| row.get::<_, i64>(0))?;
        Ok(())
    })?;
    if rows == 0 {
        fs::remove_file(&to).map_err(io_error("remove", &to))?;
        return Ok(None);
    }
    record_of(&to, &name, &mut |bytes| meter.add(bytes)).map(Some)
}

fn copy_beside(file: &Beside, dir: &Path, meter: &mut Meter<'_, '_>) -> Result<FileRecord, LogError> {
    let to = dir.join(&file.name);
    let is_taken = [MANIFEST, MANIFEST_SUM].contains(&file.name.as_str()) || to.starts_with(dir.join(LOG_DIR));
    if !stays_inside(&file.name) || is_taken {
        let refused = io::Error::new(io::ErrorKind::InvalidInput, "this is no name for a file beside the log");
        return Err(io_error("write", &to)(refused));
    }
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(io_error("create", parent))?;
    }
    let on_piece = &mut |bytes| meter.add(bytes);
    match &file.content {
        BesideContent::File(from) => copy_file(from, &to, &file.name, on_piece),
        BesideContent::Bytes(bytes) => copy_stream(bytes.as_slice(), &to, &to, &file.name, on_piece),
    }
}

/// Returns when the entries of a folder are on the medium.
pub(super) fn sync_dir(dir: &Path) -> Result<(), LogError> {
    fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_error("sync", dir))
}

/// Removes a folder with what is in it, if it is there.
pub(super) fn remove_tree(dir: &Path) -> Result<(), LogError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("remove", dir)(error)),
        _ => Ok(()),
    }
}
