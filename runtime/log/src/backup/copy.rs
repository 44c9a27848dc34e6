//! Copying for a backup, piece by piece: plain files, and databases that are being written to.

use super::manifest::{FileRecord, hex};
use super::pace::pause_after;
use crate::LogError;
use crate::clock;
use crate::config::BACKUP_PIECE_BYTES;
use crate::files::io_error;
use crate::sqlite::{open_live, set, sqlite_error};
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

/// Pages of a database copied at a time: one piece, at SQLite's page size.
const PIECE_PAGES: i32 = (BACKUP_PIECE_BYTES / 4096) as i32;
/// Page cache of a copy that is being written, so that it reaches the file piece by piece and not at the end.
const COPY_CACHE_KIB: u32 = 256;
/// Wait when a database is locked for a moment, and how often at most.
const LOCKED_WAIT: Duration = Duration::from_millis(20);
const LOCKED_TRIES_MAX: u32 = 500;

/// Told after each piece how many bytes it had; an error ends the copying.
pub(super) type OnPiece<'p> = dyn FnMut(u64) -> Result<(), LogError> + 'p;

/// Copies a file that does not change, and sums it on the way. It is synced when this returns.
pub(super) fn copy_file(
    from: &Path,
    to: &Path,
    name: &str,
    on_piece: &mut OnPiece<'_>,
) -> Result<FileRecord, LogError> {
    let source = File::open(from).map_err(io_error("read", from))?;
    copy_stream(source, from, to, name, on_piece)
}

/// Copies what a reader gives, as [`copy_file`] does.
pub(super) fn copy_stream(
    mut source: impl Read,
    from: &Path,
    to: &Path,
    name: &str,
    on_piece: &mut OnPiece<'_>,
) -> Result<FileRecord, LogError> {
    let mut target = File::create_new(to).map_err(io_error("create", to))?;
    let mut hasher = Sha256::new();
    let mut bytes = 0;
    let mut piece = vec![0; BACKUP_PIECE_BYTES];
    loop {
        let started = clock::monotonic();
        let length = fill(&mut source, &mut piece).map_err(io_error("read", from))?;
        if length == 0 {
            break;
        }
        hasher.update(&piece[..length]);
        target.write_all(&piece[..length]).and_then(|()| target.sync_data()).map_err(io_error("write", to))?;
        bytes += length as u64;
        rest(length as u64, started);
        on_piece(length as u64)?;
    }
    target.sync_all().map_err(io_error("sync", to))?;
    Ok(FileRecord { name: name.to_owned(), bytes, sha256: hex(&hasher.finalize()), segment: None })
}

/// Copies a database as it is at this moment, while others write to it, and closes the copy as one file without a
/// journal. `finish` may change the copy before.
pub(super) fn copy_database(
    from: &Path,
    to: &Path,
    on_piece: &mut OnPiece<'_>,
    finish: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> Result<(), LogError> {
    // Refused rather than written into: SQLite would open what is there.
    drop(File::create_new(to).map_err(io_error("create", to))?);
    let reading = sqlite_error("read", from);
    let writing = sqlite_error("write", to);
    let source = open_live(from).map_err(&reading)?;
    set(&source, "busy_timeout = 5000").map_err(&reading)?;
    // Without a read transaction of its own a backup begins anew with every commit to the source.
    source.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema;").map_err(&reading)?;
    let mut target = Connection::open(to).map_err(&writing)?;
    // It counts only once the whole backup is renamed; until then a torn copy is no loss.
    for pragma in ["journal_mode = OFF", "synchronous = OFF", &format!("cache_size = -{COPY_CACHE_KIB}")] {
        set(&target, pragma).map_err(&writing)?;
    }
    copy_pages(&source, &mut target, from, to, on_piece)?;
    source.execute_batch("COMMIT").map_err(&reading)?;
    drop(source);
    set(&target, "journal_mode = DELETE").map_err(&writing)?;
    finish(&target).map_err(&writing)?;
    target.close().map_err(|(_, error)| writing(error))?;
    File::open(to).and_then(|file| file.sync_all()).map_err(io_error("sync", to))
}

fn copy_pages(
    source: &Connection,
    target: &mut Connection,
    from: &Path,
    to: &Path,
    on_piece: &mut OnPiece<'_>,
) -> Result<(), LogError> {
    let reading = sqlite_error("read", from);
    let file = File::open(to).map_err(io_error("open", to))?;
    let backup = Backup::new(source, target).map_err(&reading)?;
    let mut locked = 0;
    loop {
        let started = clock::monotonic();
        let before = backup.progress().remaining;
        let step = backup.step(PIECE_PAGES).map_err(&reading)?;
        match step {
            StepResult::Busy | StepResult::Locked if locked < LOCKED_TRIES_MAX => {
                locked += 1;
                std::thread::sleep(LOCKED_WAIT);
                continue;
            }
            StepResult::Busy | StepResult::Locked => {
                let locked = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
                return Err(reading(rusqlite::Error::SqliteFailure(locked, None)));
            }
            _ => {}
        }
        file.sync_data().map_err(io_error("sync", to))?;
        let progress = backup.progress();
        let pages = if before == 0 { progress.pagecount } else { before } - progress.remaining;
        let bytes = u64::try_from(pages).unwrap_or(0) * 4096;
        rest(bytes, started);
        on_piece(bytes)?;
        if step == StepResult::Done {
            return Ok(());
        }
    }
}

/// The record of a file as it lies there.
pub(super) fn record_of(path: &Path, name: &str, on_piece: &mut OnPiece<'_>) -> Result<FileRecord, LogError> {
    let mut file = File::open(path).map_err(io_error("read", path))?;
    let mut hasher = Sha256::new();
    let mut bytes = 0;
    let mut piece = vec![0; BACKUP_PIECE_BYTES];
    loop {
        let started = clock::monotonic();
        let length = fill(&mut file, &mut piece).map_err(io_error("read", path))?;
        if length == 0 {
            return Ok(FileRecord { name: name.to_owned(), bytes, sha256: hex(&hasher.finalize()), segment: None });
        }
        hasher.update(&piece[..length]);
        bytes += length as u64;
        rest(0, started);
        on_piece(0)?;
    }
}

/// Reads until the piece is full or there is no more.
fn fill(source: &mut impl Read, piece: &mut [u8]) -> std::io::Result<usize> {
    let mut length = 0;
    while length < piece.len() {
        match source.read(&mut piece[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// Leaves the medium and the processor to others for a while.
pub(super) fn rest(bytes: u64, started: Instant) {
    std::thread::sleep(pause_after(bytes, started.elapsed()));
}
