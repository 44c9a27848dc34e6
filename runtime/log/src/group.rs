//! Writes to `state.db` from many threads, grouped: whoever gets the connection first carries out all that wait, in one
//! transaction and one fsync. Each caller returns when its own write is durable.
//!
//! When the disk is full, the log's reserve is given up and the group tried once more. When the medium fails, the
//! connection is closed and never used again: the next write opens the database anew, has the whole of its WAL written
//! into it and synced, and looks whether it is whole.

use crate::LogError;
use crate::reserve::Reserve;
use crate::sqlite::{set, sqlite_error};
use parking_lot::Mutex;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, Transaction};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Pages of the WAL after which its content is moved into the database.
const CHECKPOINT_PAGES: i64 = 256;

type Write = Box<dyn Fn(&Transaction<'_>) -> rusqlite::Result<()> + Send>;

struct Waiting {
    write: Write,
    outcome: Arc<OnceLock<Result<(), LogError>>>,
}

/// A database whose writes are grouped. Callers block, so at most one write a calling thread waits.
pub(crate) struct GroupedDatabase {
    path: PathBuf,
    /// None after a failure of the medium, until it could be opened again.
    connection: Mutex<Option<Connection>>,
    waiting: Mutex<Vec<Waiting>>,
    open: fn(&Path) -> rusqlite::Result<Connection>,
    reserve: Arc<Reserve>,
}

impl GroupedDatabase {
    /// A database that has been opened, and how to open it again.
    pub(crate) fn new(
        path: PathBuf,
        connection: Connection,
        open: fn(&Path) -> rusqlite::Result<Connection>,
        reserve: Arc<Reserve>,
    ) -> Self {
        Self { path, connection: Mutex::new(Some(connection)), waiting: Mutex::new(Vec::new()), open, reserve }
    }

    /// Carries out a write and returns when it is durable. Writes of one transaction share their fate; a write may be
    /// carried out twice, the first time in a transaction that came to nothing.
    pub(crate) fn write(
        &self,
        write: impl Fn(&Transaction<'_>) -> rusqlite::Result<()> + Send + 'static,
    ) -> Result<(), LogError> {
        let outcome = Arc::new(OnceLock::new());
        self.waiting.lock().push(Waiting { write: Box::new(write), outcome: Arc::clone(&outcome) });
        let mut connection = self.connection.lock();
        if outcome.get().is_none() {
            let group = std::mem::take(&mut *self.waiting.lock());
            let result = self.commit_group(&mut connection, &group);
            for waiting in group {
                // Nobody else sets it: the write was in this group alone.
                let _ = waiting.outcome.set(result.clone());
            }
        }
        drop(connection);
        outcome.get().cloned().unwrap_or(Err(LogError::Closed))
    }

    /// Reads. Waits while a group is being committed.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, LogError> {
        let mut connection = self.connection.lock();
        read(self.opened(&mut connection)?).map_err(sqlite_error("read", &self.path))
    }

    fn commit_group(&self, connection: &mut Option<Connection>, group: &[Waiting]) -> Result<(), LogError> {
        let wrong = sqlite_error("write to", &self.path);
        let mut result = commit(self.opened(connection)?, group).map_err(&wrong);
        if result.as_ref().is_err_and(LogError::is_full) && self.reserve.release() {
            result = commit(self.opened(connection)?, group).map_err(&wrong);
        }
        let is_durable = result.is_ok();
        if let Err(error) = &result
            && error.is_of_the_medium()
        {
            self.close(connection, error);
        }
        if is_durable && let Err(error) = self.opened(connection).and_then(|open| self.checkpoint_if_due(open)) {
            self.close(connection, &error);
        }
        result
    }

    /// Moves the WAL into the database when it has become long. SQLite would do it by itself, but pass over its failure.
    fn checkpoint_if_due(&self, connection: &Connection) -> Result<(), LogError> {
        let wrong = sqlite_error("checkpoint", &self.path);
        let pages: i64 = connection
            .prepare_cached("PRAGMA wal_checkpoint(NOOP)")
            .and_then(|mut look| look.query_row([], |row| row.get(1)))
            .map_err(&wrong)?;
        if pages < CHECKPOINT_PAGES {
            return Ok(());
        }
        set(connection, "wal_checkpoint(PASSIVE)").map_err(wrong)
    }

    /// Closes it without writing anything more through this connection.
    fn close(&self, connection: &mut Option<Connection>, cause: &LogError) {
        let Some(open) = connection.take() else { return };
        tracing::error!(path = %self.path.display(), error = %cause, "the database is closed and opened again");
        // Without the setting the closing would only try a checkpoint in vain.
        let _ = open.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
    }

    /// The connection; opened again if it had to be closed.
    fn opened<'a>(&self, connection: &'a mut Option<Connection>) -> Result<&'a mut Connection, LogError> {
        if connection.is_none() {
            *connection = Some(self.open_again().map_err(sqlite_error("open again", &self.path))?);
            tracing::warn!(path = %self.path.display(), "the database was opened again and is whole");
        }
        connection.as_mut().ok_or(LogError::Closed)
    }

    /// Opens it and verifies it. What a failed commit has left in the WAL may have reached the medium in part only: nothing
    /// may be appended to it before it has been written and synced as a whole.
    fn open_again(&self) -> rusqlite::Result<Connection> {
        let connection = (self.open)(&self.path)?;
        let verdict = verify(&connection);
        if verdict.is_err() {
            // It is tried again with the next write; closing must not write meanwhile.
            let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        }
        verdict.map(|()| connection)
    }
}

fn verify(connection: &Connection) -> rusqlite::Result<()> {
    let is_busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if is_busy {
        return Err(failure(rusqlite::ffi::SQLITE_BUSY, "the WAL could not be written into it"));
    }
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(failure(rusqlite::ffi::SQLITE_CORRUPT, &verdict));
    }
    Ok(())
}

fn failure(code: std::ffi::c_int, what: &str) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), Some(what.to_owned()))
}

fn commit(connection: &mut Connection, group: &[Waiting]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for waiting in group {
        (waiting.write)(&transaction)?;
    }
    transaction.commit()
}

impl std::fmt::Debug for GroupedDatabase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupedDatabase").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemFiles;
    use crate::sqlite::open_state;

    fn database(dir: &Path) -> GroupedDatabase {
        let path = dir.join("t.db");
        let connection = open_state(&path).unwrap();
        connection.execute_batch("CREATE TABLE t(x INTEGER PRIMARY KEY)").unwrap();
        let reserve = Arc::new(Reserve::new(dir, 1000, Arc::new(SystemFiles)));
        GroupedDatabase::new(path, connection, open_state, reserve)
    }

    fn count(database: &GroupedDatabase) -> i64 {
        database.read(|c| c.query_row("SELECT count(*) FROM t", [], |row| row.get(0))).unwrap()
    }

    #[test]
    fn writes_of_many_threads_all_happen_and_a_failing_one_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let database = database(dir.path());
        std::thread::scope(|scope| {
            for x in 0..16_i64 {
                let database = &database;
                scope.spawn(move || {
                    database.write(move |t| t.execute("INSERT INTO t VALUES (?1)", [x]).map(drop)).unwrap();
                });
            }
        });
        assert_eq!(count(&database), 16);
        let error = database.write(|t| t.execute("INSERT INTO t VALUES (3)", []).map(drop)).unwrap_err();
        assert!(matches!(error, LogError::Sqlite { .. }));
        assert_eq!(count(&database), 16);
    }

    #[test]
    fn a_full_disk_costs_the_reserve_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let database = database(dir.path());
        database.reserve.make().unwrap();
        let reserve = dir.path().join("reserve");
        database
            .write({
                let reserve = reserve.clone();
                move |t| {
                    t.execute("INSERT INTO t VALUES (1)", [])?;
                    if reserve.exists() { Err(failure(rusqlite::ffi::SQLITE_FULL, "full")) } else { Ok(()) }
                }
            })
            .unwrap();
        assert!(!reserve.exists());
        assert_eq!(count(&database), 1);
        let full = |_: &Transaction<'_>| Err(failure(rusqlite::ffi::SQLITE_FULL, "full"));
        assert!(database.write(full).unwrap_err().is_full(), "once there is no reserve any more, it is told");
    }

    #[test]
    fn after_a_failure_of_the_medium_the_database_is_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let database = database(dir.path());
        database.write(|t| t.execute("INSERT INTO t VALUES (1)", []).map(drop)).unwrap();
        let broken = |t: &Transaction<'_>| {
            t.execute("INSERT INTO t VALUES (2)", [])?;
            Err(failure(rusqlite::ffi::SQLITE_IOERR_FSYNC, "no such luck"))
        };
        assert!(database.write(broken).unwrap_err().is_of_the_medium());
        assert!(database.connection.lock().is_none(), "the connection that failed is not used again");
        assert_eq!(count(&database), 1);
        database.write(|t| t.execute("INSERT INTO t VALUES (3)", []).map(drop)).unwrap();
        assert_eq!(count(&database), 2);
    }

    #[test]
    fn its_wal_stays_short() {
        let dir = tempfile::tempdir().unwrap();
        let database = database(dir.path());
        for x in 0..600_i64 {
            database.write(move |t| t.execute("INSERT INTO t VALUES (?1)", [x * 1_000]).map(drop)).unwrap();
        }
        let wal = std::fs::metadata(dir.path().join("t.db-wal")).unwrap().len();
        assert!(wal < (CHECKPOINT_PAGES.unsigned_abs() + 64) * 4200, "{wal}");
    }
}
