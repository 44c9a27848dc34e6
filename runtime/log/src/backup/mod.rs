//! Backup and restore.
//!
//! A backup is a folder:
//!
//! | in it | what it is |
//! | --- | --- |
//! | `manifest.json`, `manifest.json.sha256` | what the backup is of; length and SHA-256 of every file; the sum of that |
//! | `log/state.db` | points, cursors, dead letters, adapters' memory |
//! | `log/seg-….db` | the segments, those still open as one file without a WAL |
//! | anything else | files the caller puts beside them ([`Beside`]): config, adapters |
//!
//! It is made under another name, checked, and renamed: a folder without `.partial` in its name is whole.
//!
//! # Why it is consistent
//!
//! The backup is of one moment: the seq that was committed last when it began, call it *S*. The segments of that moment
//! are held, so that neither sealing nor retention takes their files away; sealed ones never change and are copied as
//! they are, open ones through SQLite's online backup inside of one read transaction, less the rows behind *S*.
//! `state.db` is copied after *S* was read: every point of a row up to *S* was stored before the row. Cursors that
//! have moved on meanwhile are put back to *S*, and batches in flight behind it are forgotten. So after a restore
//! nothing up to *S* is lost, and what a route had on the way may come again.
//!
//! # What it costs the log
//!
//! Copying goes in pieces of 256 KiB, each synced before the next, at most 32 MiB a second and at most half of the
//! time, so that a commit waits for one piece at most. While an open segment is copied its WAL cannot start over; it
//! grows by what is committed meanwhile. Files that retention drops meanwhile stay until they are copied. Copies are
//! never hard links: a damaged sector would damage both.
//!
//! # Restore
//!
//! [`restore`] checks the backup first. The log it makes has a new id, in `state.db` and in each segment, so that old
//! idempotency keys, delta links and event ids never mean something else. Its seqs go on behind everything the original
//! had reserved when the backup was made, and one block more, since the original may have gone on after it.

mod copy;
mod manifest;
mod pace;
mod restore;
mod verify;
mod writing;

pub use restore::{Restore, Restored, restore};
pub use verify::verify_backup;

use crate::{Log, LogError};
use bulkhead_model::{Seq, Timestamp};
use manifest::Manifest;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// A file to put into a backup beside the log's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Beside {
    /// Its path inside the backup, such as `config/gateway.toml`; not below `log`.
    pub name: String,
    /// What is in it.
    pub content: BesideContent,
}

/// Where the content of a [`Beside`] comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BesideContent {
    /// These bytes.
    Bytes(Vec<u8>),
    /// A file, copied as it is.
    File(PathBuf),
}

/// What a backup is at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BackupStage {
    /// Files are copied.
    Copying,
    /// The copy is read back and checked.
    Checking,
}

/// How far a backup or a check is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BackupProgress {
    /// What it is at.
    pub stage: BackupStage,
    /// Bytes done in this stage.
    pub bytes_done: u64,
    /// Bytes of this stage; while copying an estimate, since the log goes on.
    pub bytes_total: u64,
}

/// Told now and then how far it is; `Break` calls it off.
pub type OnProgress<'p> = dyn FnMut(BackupProgress) -> ControlFlow<()> + 'p;

/// What a checked backup holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BackupReport {
    /// The backup's folder.
    pub dir: PathBuf,
    /// The id of the log it was made from.
    pub log_id: String,
    /// When it was begun.
    pub begun: Timestamp,
    /// Every reading up to this seq that the log had is in it.
    pub last_seq: Seq,
    /// Readings in it, each read back.
    pub rows: u64,
    /// Segments in it.
    pub segments: usize,
    /// Files in it, each with its SHA-256 compared.
    pub files: usize,
    /// Bytes of these files.
    pub bytes: u64,
}

impl BackupReport {
    fn of(dir: &Path, manifest: &Manifest) -> Self {
        Self {
            dir: dir.to_owned(),
            log_id: manifest.log_id.clone(),
            begun: Timestamp(manifest.begun_ns),
            last_seq: manifest.last_seq,
            rows: manifest.rows,
            segments: manifest.files.iter().filter(|file| file.segment.is_some()).count(),
            files: manifest.files.len(),
            bytes: manifest.bytes(),
        }
    }
}

impl Log {
    /// Makes a backup of the log as it is now in a new folder, and reads it back before that folder gets its name. Every
    /// reading whose append returned before this call is in it. Appends go on meanwhile. Blocks for as long as copying
    /// and checking take.
    ///
    /// # Errors
    /// [`LogError::Occupied`] when the folder is there already, [`LogError::CalledOff`], [`LogError::BackupDamaged`]
    /// when the copy does not read back, or what the file system or SQLite reports. Nothing is left of it then.
    pub fn backup_to(
        &self,
        dir: &Path,
        beside: &[Beside],
        on_progress: &mut OnProgress<'_>,
    ) -> Result<BackupReport, LogError> {
        writing::write(self.shared(), dir, beside, on_progress)
    }
}

/// Bytes done of a stage, told to whoever asked for the backup.
struct Meter<'p, 'f> {
    progress: BackupProgress,
    on_progress: &'p mut OnProgress<'f>,
}

impl Meter<'_, '_> {
    fn add(&mut self, bytes: u64) -> Result<(), LogError> {
        self.progress.bytes_done += bytes;
        self.progress.bytes_total = self.progress.bytes_total.max(self.progress.bytes_done);
        match (self.on_progress)(self.progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(LogError::CalledOff),
        }
    }
}
