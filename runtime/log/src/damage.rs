//! Damage: which errors mean it, and the folder where damaged files are set aside, named by the moment and bounded.

use crate::files::{FileEntry, FileOps, io_error, remove_database, with_suffix};
use crate::{LogError, clock};
use bulkhead_model::Timestamp;
use rusqlite::{Error, ErrorCode, ffi};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The folder for damaged files, inside the log's.
pub(crate) const DAMAGED_DIR: &str = "damaged";
/// Files kept there, WALs apart; beyond it the oldest go.
pub(crate) const DAMAGED_MAX_FILES: usize = 32;
/// Bytes kept there; beyond it the oldest go, but the newest database and its WAL always stay.
pub(crate) const DAMAGED_MAX_BYTES: u64 = 256 * 1024 * 1024;
/// How many digits of a log id may differ from another's for both to be the same one, damaged: ids are drawn at random, so
/// two of them never come so near.
const ID_DIGITS_DAMAGED_MAX: usize = 2;
/// What is set aside of a database: it and its WAL.
const PARTS: [&str; 2] = ["", "-wal"];

/// Whether an error says that what is stored is not what was written, or cannot be read from the medium any more. Errors of
/// writing, of a full disk and of locks are none.
pub(crate) fn is_damage(error: &LogError) -> bool {
    match error {
        LogError::Sqlite { source, .. } => sqlite_says_damage(source),
        LogError::Format { .. } | LogError::Damaged { .. } | LogError::ForeignSegment { .. } => true,
        _ => false,
    }
}

/// As [`is_damage`], for an error of SQLite about a database whose tables and statements are the log's own: a table or a
/// column that is not there is damage too.
pub(crate) fn sqlite_says_damage(error: &Error) -> bool {
    const READ_FAILED: [i32; 4] =
        [ffi::SQLITE_IOERR_READ, ffi::SQLITE_IOERR_SHORT_READ, ffi::SQLITE_IOERR_DATA, ffi::SQLITE_IOERR_CORRUPTFS];
    match error {
        Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown => true,
            ErrorCode::SystemIoFailure => READ_FAILED.contains(&failure.extended_code),
            _ => false,
        },
        Error::SqlInputError { .. }
        | Error::FromSqlConversionFailure(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::InvalidColumnType(..)
        | Error::InvalidColumnIndex(_)
        | Error::InvalidColumnName(_)
        | Error::QueryReturnedNoRows
        | Error::Utf8Error(..)
        | Error::StatementChangedRows(_) => true,
        _ => false,
    }
}

/// Whether two log ids are the same but for a little damage.
pub(crate) fn is_nearly(found: &str, expected: &str) -> bool {
    let different = found.bytes().zip(expected.bytes()).filter(|(found, expected)| found != expected).count();
    found.len() == expected.len() && different <= ID_DIGITS_DAMAGED_MAX
}

/// Sets a database and its WAL aside: they get a second name in the folder for damaged files, durably, and stay where they
/// are until the caller replaces or removes them. Returns where the database is found from now on.
pub(crate) fn set_aside(files: &dyn FileOps, database: &Path) -> Result<PathBuf, LogError> {
    let dir = database.with_file_name(DAMAGED_DIR);
    files.create_dir(&dir).map_err(io_error("create", &dir))?;
    if let Some(parent) = dir.parent() {
        files.sync_dir(parent).map_err(io_error("sync", parent))?;
    }
    let entries = files.list(&dir).map_err(io_error("list", &dir))?;
    let name = database.file_name().unwrap_or_default().to_string_lossy();
    let name = free_name(&name, clock::now(), |name| entries.iter().any(|entry| entry.name.starts_with(name)));
    let target = dir.join(name);
    for part in PARTS {
        let (from, to) = (with_suffix(database, part), with_suffix(&target, part));
        match files.link(&from, &to) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            result => result.map_err(io_error("set aside", &from))?,
        }
    }
    files.sync_dir(&dir).map_err(io_error("sync", &dir))?;
    trim(files, &dir, &target)?;
    Ok(target)
}

/// Bytes of all files that are set aside; 0 where there are none.
pub(crate) fn bytes_aside(files: &dyn FileOps, log_dir: &Path) -> u64 {
    files.list(&log_dir.join(DAMAGED_DIR)).map_or(0, |entries| entries.iter().map(|entry| entry.bytes).sum())
}

/// Removes the oldest of the databases that are set aside, with its WAL, because there is no room: what could be read of it
/// is in the log, what could not is recorded as a gap. Returns its bytes; none: nothing is set aside. One that is being set
/// aside at this moment is still there under its own name.
pub(crate) fn give_up_oldest(files: &dyn FileOps, log_dir: &Path) -> Result<Option<u64>, LogError> {
    let dir = log_dir.join(DAMAGED_DIR);
    let entries = match files.list(&dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        entries => entries.map_err(io_error("list", &dir))?,
    };
    let Some(Aside { name, bytes, .. }) = oldest_first(&entries).into_iter().next() else { return Ok(None) };
    remove_database(files, &dir.join(&name))?;
    tracing::warn!(
        file = name,
        bytes,
        "a damaged file that was kept aside is removed to make room; what could be read of it is in the log"
    );
    Ok(Some(bytes))
}

/// A database that is set aside, with its WAL.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Aside {
    /// When the older of the two was last written to.
    modified: Timestamp,
    name: String,
    bytes: u64,
}

/// The databases among files, each with its WAL, by their age.
fn oldest_first(entries: &[FileEntry]) -> Vec<Aside> {
    let mut kept: BTreeMap<&str, (Timestamp, u64)> = BTreeMap::new();
    for entry in entries {
        let name = entry.name.strip_suffix(PARTS[1]).unwrap_or(&entry.name);
        let known = kept.entry(name).or_insert((entry.modified, 0));
        *known = (known.0.min(entry.modified), known.1 + entry.bytes);
    }
    let aside = |(name, (modified, bytes)): (&str, _)| Aside { modified, name: name.to_owned(), bytes };
    let mut oldest_first: Vec<_> = kept.into_iter().map(aside).collect();
    oldest_first.sort_by(|one, other| (one.modified, &one.name).cmp(&(other.modified, &other.name)));
    oldest_first
}

/// Removes the oldest databases with their WALs beyond the bounds.
fn trim(files: &dyn FileOps, dir: &Path, newest: &Path) -> Result<(), LogError> {
    let kept = oldest_first(&files.list(dir).map_err(io_error("list", dir))?);
    let newest = newest.file_name().unwrap_or_default().to_string_lossy();
    let mut bytes: u64 = kept.iter().map(|one| one.bytes).sum();
    let mut count = kept.len();
    for Aside { name, bytes: own, .. } in kept.into_iter().filter(|one| one.name != newest) {
        if bytes <= DAMAGED_MAX_BYTES && count <= DAMAGED_MAX_FILES {
            break;
        }
        remove_database(files, &dir.join(&name))?;
        tracing::warn!(file = name, "an old damaged file is removed: too many are kept");
        bytes -= own;
        count -= 1;
    }
    Ok(())
}

/// `name.db` as `name-<moment>.db`, with a number where that is taken.
fn free_name(name: &str, now: Timestamp, is_taken: impl Fn(&str) -> bool) -> String {
    let base = name.strip_suffix(".db").unwrap_or(name);
    let moment = moment(now);
    let first = format!("{base}-{moment}.db");
    std::iter::once(first)
        .chain((2..).map(|number: u64| format!("{base}-{moment}-{number}.db")))
        .find(|name| !is_taken(name))
        .unwrap_or_default()
}

/// A moment as `20261122T031500Z`.
fn moment(at: Timestamp) -> String {
    let seconds = at.0.div_euclid(1_000_000_000);
    let (day, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(day);
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

/// Year, month and day of a day counted from 1970-01-01. Years are taken to begin in March, so that the leap day is last.
fn civil(days: i64) -> (i64, i64, i64) {
    const DAYS_IN_400_YEARS: i64 = 146_097;
    let from_march = days + 719_468;
    let (cycle, day) = (from_march.div_euclid(DAYS_IN_400_YEARS), from_march.rem_euclid(DAYS_IN_400_YEARS));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (cycle * 400 + year + next_year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::SystemFiles;

    #[test]
    fn a_name_tells_the_moment_and_is_not_given_twice() {
        let at = |seconds: i64| Timestamp(seconds * 1_000_000_000);
        assert_eq!(moment(at(0)), "19700101T000000Z");
        assert_eq!(moment(at(951_782_399)), "20000228T235959Z");
        assert_eq!(moment(at(951_782_400)), "20000229T000000Z");
        assert_eq!(moment(at(1_795_317_300)), "20261122T031500Z");
        assert_eq!(moment(Timestamp(-1)), "19691231T235959Z");
        assert_eq!(free_name("state.db", at(0), |_| false), "state-19700101T000000Z.db");
        assert_eq!(free_name("state.db", at(0), |name| !name.contains("-3")), "state-19700101T000000Z-3.db");
    }

    #[test]
    fn an_id_with_a_flipped_bit_is_the_same_and_another_is_not() {
        assert!(is_nearly("0123456789abcdef", "0123456789abcdef"));
        assert!(is_nearly("0123456789abcdef", "0123456789abcdeg"));
        assert!(!is_nearly("0123456789abcdef", "fedcba9876543210"));
        assert!(!is_nearly("0123", "0123456789abcdef"));
    }

    #[test]
    fn what_is_set_aside_stays_as_it_was_and_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("seg-1.db");
        for round in 0..DAMAGED_MAX_FILES + 3 {
            std::fs::write(&database, round.to_string()).unwrap();
            std::fs::write(dir.path().join("seg-1.db-wal"), "wal").unwrap();
            let aside = set_aside(&SystemFiles, &database).unwrap();
            assert_eq!(std::fs::read_to_string(&aside).unwrap(), round.to_string());
            assert_eq!(std::fs::read_to_string(with_suffix(&aside, "-wal")).unwrap(), "wal");
            // Others take the names, as a replacement does.
            std::fs::remove_file(&database).unwrap();
            std::fs::remove_file(dir.path().join("seg-1.db-wal")).unwrap();
        }
        let kept = SystemFiles.list(&dir.path().join(DAMAGED_DIR)).unwrap();
        assert_eq!(kept.iter().filter(|entry| !entry.name.ends_with("-wal")).count(), DAMAGED_MAX_FILES);
        let bytes = bytes_aside(&SystemFiles, dir.path());
        assert_eq!(give_up_oldest(&SystemFiles, dir.path()).unwrap(), Some(1 + 3), "the fourth, `3`, and its WAL");
        assert_eq!(bytes_aside(&SystemFiles, dir.path()), bytes - 4);
        while give_up_oldest(&SystemFiles, dir.path()).unwrap().is_some() {}
        assert_eq!(bytes_aside(&SystemFiles, dir.path()), 0);
        assert_eq!(give_up_oldest(&SystemFiles, &dir.path().join("no log")).unwrap(), None);
    }
}
