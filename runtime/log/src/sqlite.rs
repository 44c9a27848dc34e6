//! How the log opens SQLite databases: flags, pragmas and memory, each chosen on purpose.
//!
//! `mmap_size` stays 0 everywhere: a read error of the medium must be an error, not a SIGBUS, and mapped pages would
//! count as resident memory. Page caches are small, because rows are read in order or by index and the operating system
//! caches files anyway. Sorts beyond a cache's size go to temporary files, not to memory.

use crate::LogError;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::sync::Arc;

/// The lowest SQLite that will do: it has the fix for the WAL-reset defect.
pub(crate) const SQLITE_MIN: (i32, &str) = (3_051_003, "3.51.3");
/// Page cache of the connection that appends: a commit of 10,000 numeric rows dirties about 500 KiB.
const APPEND_CACHE_KIB: u32 = 1024;
/// Page cache of a connection that reads.
const READ_CACHE_KIB: u32 = 192;
/// Page cache of the connection that seals: blocks are written once, in order.
const SEAL_CACHE_KIB: u32 = 256;
/// Page cache of `state.db`.
const STATE_CACHE_KIB: u32 = 256;
/// A WAL that grew beyond this is cut back after its checkpoint.
const WAL_MAX_BYTES: u32 = 8 * 1024 * 1024;
/// How long one connection waits for another's lock in `state.db`.
const BUSY_TIMEOUT_MS: u32 = 5_000;

/// Whether the SQLite that is linked will do.
pub(crate) fn assert_version() -> Result<(), LogError> {
    if rusqlite::version_number() < SQLITE_MIN.0 {
        return Err(LogError::SqliteTooOld { found: rusqlite::version(), expected: SQLITE_MIN.1 });
    }
    Ok(())
}

/// The version of the SQLite that is linked.
#[must_use]
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}

/// Makes a [`LogError::Sqlite`] of a SQLite error.
pub(crate) fn sqlite_error(action: &'static str, path: &Path) -> impl Fn(rusqlite::Error) -> LogError + use<> {
    let path = path.to_owned();
    move |source| LogError::Sqlite { action, path: path.clone(), source: Arc::new(source) }
}

/// `state.db`, made when it is not there. Always synced in full.
pub(crate) fn open_state(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    set(&connection, "journal_mode = WAL")?;
    set(&connection, "synchronous = FULL")?;
    set(&connection, &format!("busy_timeout = {BUSY_TIMEOUT_MS}"))?;
    set(&connection, &format!("cache_size = -{STATE_CACHE_KIB}"))?;
    // Whoever writes does it, and hears when it fails.
    set(&connection, "wal_autocheckpoint = 0")?;
    set(&connection, &format!("journal_size_limit = {WAL_MAX_BYTES}"))?;
    Ok(connection)
}

/// A segment to append to, made when it is not there.
pub(crate) fn open_append(path: &Path, full: bool) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    set(&connection, "journal_mode = WAL")?;
    prepare_to_append(&connection, full)?;
    Ok(connection)
}

/// A segment that is being made: nothing is synced until it is whole, because it counts only then.
pub(crate) fn open_unborn(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    set(&connection, "synchronous = OFF")?;
    set(&connection, "journal_mode = WAL")?;
    Ok(connection)
}

/// Has the commits of a connection synced in full, or left to the operating system.
pub(crate) fn prepare_to_append(connection: &Connection, full: bool) -> rusqlite::Result<()> {
    set(connection, if full { "synchronous = FULL" } else { "synchronous = NORMAL" })?;
    set(connection, &format!("cache_size = -{APPEND_CACHE_KIB}"))?;
    // Whoever writes does it, and hears when it fails.
    set(connection, "wal_autocheckpoint = 0")?;
    set(connection, &format!("journal_size_limit = {WAL_MAX_BYTES}"))
}

/// An open segment to read while it is appended to.
pub(crate) fn open_live(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    reader(Connection::open_with_flags(path, flags)?)
}

/// A sealed segment. It never changes, so SQLite neither locks it nor looks for a journal.
pub(crate) fn open_sealed(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    reader(Connection::open_with_flags(uri(path, "immutable=1"), flags)?)
}

fn reader(connection: Connection) -> rusqlite::Result<Connection> {
    set(&connection, &format!("cache_size = -{READ_CACHE_KIB}"))?;
    set(&connection, "query_only = 1")?;
    Ok(connection)
}

/// A segment that is being sealed: no journal and no sync, because it counts only once it is whole, synced and renamed.
pub(crate) fn open_sealing(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_URI,
    )?;
    set(&connection, "journal_mode = OFF")?;
    set(&connection, "synchronous = OFF")?;
    // Named, so that it does not hold for the open twin that is attached: that one has other users.
    set(&connection, "main.locking_mode = EXCLUSIVE")?;
    set(&connection, &format!("cache_size = -{SEAL_CACHE_KIB}"))?;
    Ok(connection)
}

/// A path as a `file:` URI with parameters.
pub(crate) fn uri(path: &Path, parameters: &str) -> String {
    let mut uri = String::from("file:");
    for character in path.to_string_lossy().chars() {
        match character {
            '%' => uri.push_str("%25"),
            '?' => uri.push_str("%3f"),
            '#' => uri.push_str("%23"),
            other => uri.push(other),
        }
    }
    uri.push('?');
    uri.push_str(parameters);
    uri
}

/// Sets a pragma, whether or not it answers with a row.
pub(crate) fn set(connection: &Connection, pragma: &str) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(&format!("PRAGMA {pragma}"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_linked_sqlite_will_do() {
        assert_version().unwrap();
    }

    #[test]
    fn a_path_with_the_marks_of_uris_opens() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a?b#c%20.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t(x); INSERT INTO t VALUES (7)").unwrap();
        let x: i64 = open_sealed(&path).unwrap().query_row("SELECT x FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(x, 7);
    }
}
