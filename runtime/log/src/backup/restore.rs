//! From a backup to a folder that a log can be opened in.

use super::copy::copy_file;
use super::manifest::{LOG_DIR, Manifest};
use super::verify::{compare, state_record, verify_backup};
use super::writing::{remove_tree, sync_dir};
use super::{BackupReport, OnProgress};
use crate::config::SEQ_BLOCK;
use crate::files::{SegmentFile, io_error, with_suffix};
use crate::open::{lock, new_id};
use crate::segment::{PUT, key as segment_key};
use crate::sqlite::{set, sqlite_error};
use crate::state::{clamp_seq, loaded_seq};
use crate::state_schema::key as state_key;
use crate::{LogError, clock};
use bulkhead_model::Seq;
use rusqlite::Connection;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// How a backup is to be restored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Restore {
    /// Whether a log that is in the target is set aside; without it such a target is refused.
    pub replace: bool,
    /// The highest seq that systems above are known to have from the original; new ones go on behind it.
    pub continue_after: Option<Seq>,
}

/// What a restore has made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Restored {
    /// What the backup held; all of it was checked before.
    pub backup: BackupReport,
    /// The restored log's folder.
    pub dir: PathBuf,
    /// The restored log's id.
    pub log_id: String,
    /// The first seq it will give.
    pub next_seq: Seq,
    /// Where the log that was in the target is now, if there was one.
    pub set_aside: Option<PathBuf>,
}

/// Checks a backup and makes a log of it in a folder, under a new log id; it can then be opened. The folder gets its name
/// when everything in it is whole. Blocks.
///
/// # Errors
/// As [`verify_backup`]; [`LogError::Occupied`] when the folder is not empty and `replace` was not asked for;
/// [`LogError::InUse`] when a log is open there. The target is as it was then.
pub fn restore(from: &Path, to: &Path, how: Restore, on_progress: &mut OnProgress<'_>) -> Result<Restored, LogError> {
    let occupied = is_occupied(to)?;
    if occupied && !how.replace {
        return Err(LogError::Occupied {
            path: to.to_owned(),
            hint: "give an empty folder, or say that what is there is to be set aside",
        });
    }
    // Held until the folder has moved: nobody opens the old log meanwhile.
    let old_lock = if occupied { Some(lock(to)?) } else { None };
    let backup = verify_backup(from, on_progress)?;
    let manifest = Manifest::read(from)?;
    let log_id = new_id()?;
    let mark = high_water_mark(from, to, occupied, how.continue_after)?;

    let making = with_suffix(to, ".restoring");
    remove_tree(&making)?;
    let made = make(from, &making, &manifest, &log_id, mark);
    let made = made.and_then(|()| put_in_place(&making, to, occupied));
    if made.is_err()
        && let Err(error) = remove_tree(&making)
    {
        tracing::warn!(%error, "what there is of a failed restore could not be removed");
    }
    drop(old_lock);
    Ok(Restored { backup, dir: to.to_owned(), log_id, next_seq: mark + 1, set_aside: made? })
}

/// Whether there is anything in a folder.
fn is_occupied(dir: &Path) -> Result<bool, LogError> {
    match fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(io_error("list", dir)(error)),
    }
}

/// The last seq that the restored log counts as given: behind what the original had reserved by the time of the backup,
/// what the log that is replaced had, and what the operator knows of, by one block more.
fn high_water_mark(from: &Path, to: &Path, occupied: bool, known: Option<Seq>) -> Result<Seq, LogError> {
    let reserved = |dir: &Path| state_record(&dir.join("state.db")).map(|record| loaded_seq(record.reserved_to));
    let mut mark = reserved(&from.join(LOG_DIR))?.max(known.unwrap_or(0));
    if occupied {
        match reserved(to) {
            Ok(replaced) => mark = mark.max(replaced),
            // A damaged log is a good reason to restore: what it had is unknown then.
            Err(error) => tracing::warn!(%error, "the log that is replaced does not say how far it had come"),
        }
    }
    let out_of_range = LogError::OutOfRange { what: "the seq", number: mark };
    mark.checked_add(SEQ_BLOCK).filter(|mark| i64::try_from(*mark).is_ok()).ok_or(out_of_range)
}

/// Copies the log's files and gives them their new identity.
fn make(from: &Path, making: &Path, manifest: &Manifest, log_id: &str, mark: Seq) -> Result<(), LogError> {
    fs::create_dir_all(making).map_err(io_error("create", making))?;
    for file in &manifest.files {
        let Some(name) = file.name.strip_prefix(LOG_DIR).and_then(|rest| rest.strip_prefix('/')) else { continue };
        let (source, target) = (from.join(&file.name), making.join(name));
        let copied = copy_file(&source, &target, &file.name, &mut |_| Ok(()))?;
        compare(file, &copied, &source)?;
        let is_state = name == "state.db";
        if is_state || SegmentFile::parse(name).is_some() {
            let result = rewrite(&target, |connection| match is_state {
                true => identify_state(connection, log_id, mark),
                false => connection.execute(PUT, (segment_key::LOG_ID, log_id)).map(drop),
            });
            result.map_err(sqlite_error("write", &target))?;
            File::open(&target).and_then(|file| file.sync_all()).map_err(io_error("sync", &target))?;
        }
    }
    sync_dir(making)
}

/// Changes a database that nobody else knows yet: a crash leaves a folder that is made anew.
fn rewrite(path: &Path, change: impl FnOnce(&Connection) -> rusqlite::Result<()>) -> rusqlite::Result<()> {
    let connection = Connection::open(path)?;
    set(&connection, "journal_mode = OFF")?;
    set(&connection, "synchronous = OFF")?;
    change(&connection)?;
    connection.close().map_err(|(_, error)| error)
}

/// The log counts as closed in order behind the mark, so that it goes on there without calling anything skipped.
fn identify_state(connection: &Connection, log_id: &str, mark: Seq) -> rusqlite::Result<()> {
    let mut put = connection.prepare("INSERT OR REPLACE INTO log(key, value) VALUES (?1, ?2)")?;
    put.execute((state_key::LOG_ID, log_id))?;
    put.execute((state_key::RESERVED_TO, clamp_seq(mark)))?;
    put.execute((state_key::CLOSED_AT, clamp_seq(mark))).map(drop)
}

/// Gives the restored folder its name; what was there gets a dated one. Returns that.
fn put_in_place(making: &Path, to: &Path, occupied: bool) -> Result<Option<PathBuf>, LogError> {
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut set_aside = None;
    if occupied {
        let aside = with_suffix(to, &format!(".replaced-{}", clock::now().0 / 1_000_000_000));
        fs::rename(to, &aside).map_err(io_error("rename", to))?;
        set_aside = Some(aside);
    }
    // An empty folder gives way to a rename.
    fs::rename(making, to).map_err(io_error("rename", making))?;
    sync_dir(parent)?;
    Ok(set_aside)
}
