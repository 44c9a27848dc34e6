//! Writes to `state.db` from many threads, grouped: whoever gets the connection first carries out all that wait, in one
//! transaction and one fsync. Each caller returns when its own write is durable.

use crate::LogError;
use crate::damage::sqlite_says_damage;
use crate::mend::Mender;
use crate::sqlite::sqlite_error;
use parking_lot::Mutex;
use rusqlite::{Connection, Transaction};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

type Write = Box<dyn FnOnce(&Transaction<'_>) -> rusqlite::Result<()> + Send>;

struct Waiting {
    write: Write,
    outcome: Arc<OnceLock<Result<(), LogError>>>,
}

/// A database whose writes are grouped. Callers block, so at most one write a calling thread waits.
pub(crate) struct GroupedDatabase {
    path: PathBuf,
    connection: Mutex<Connection>,
    waiting: Mutex<Vec<Waiting>>,
    mender: OnceLock<Mender>,
}

impl GroupedDatabase {
    pub(crate) fn new(path: PathBuf, connection: Connection) -> Self {
        Self { path, connection: Mutex::new(connection), waiting: Mutex::new(Vec::new()), mender: OnceLock::new() }
    }

    /// Has the database mended when it is found damaged.
    pub(crate) fn mended_by(&self, mender: Mender) {
        // Set once, at the opening.
        let _ = self.mender.set(mender);
    }

    /// Mends the database if an error says that it is damaged. The error is the caller's all the same.
    fn mend_after(&self, error: &rusqlite::Error, connection: &mut Connection) {
        if sqlite_says_damage(error)
            && let Some(mender) = self.mender.get()
            && let Err(error) = mender.mend(connection)
        {
            tracing::error!(%error, "state.db is damaged and could not be mended; it is tried again");
        }
    }

    /// Carries out a write and returns when it is durable. Writes of one transaction share their fate.
    pub(crate) fn write(
        &self,
        write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()> + Send + 'static,
    ) -> Result<(), LogError> {
        let outcome = Arc::new(OnceLock::new());
        self.waiting.lock().push(Waiting { write: Box::new(write), outcome: Arc::clone(&outcome) });
        let mut connection = self.connection.lock();
        if outcome.get().is_none() {
            let group = std::mem::take(&mut *self.waiting.lock());
            let outcomes: Vec<_> = group.iter().map(|waiting| Arc::clone(&waiting.outcome)).collect();
            let result = commit(&mut connection, group).map_err(|error| {
                self.mend_after(&error, &mut connection);
                sqlite_error("write to", &self.path)(error)
            });
            for other in outcomes {
                // Nobody else sets it: the write was in this group alone.
                let _ = other.set(result.clone());
            }
        }
        drop(connection);
        outcome.get().cloned().unwrap_or(Err(LogError::Closed))
    }

    /// Reads. Waits while a group is being committed.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, LogError> {
        let mut connection = self.connection.lock();
        read(&connection).map_err(|error| {
            self.mend_after(&error, &mut connection);
            sqlite_error("read", &self.path)(error)
        })
    }
}

fn commit(connection: &mut Connection, group: Vec<Waiting>) -> rusqlite::Result<()> {
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

    #[test]
    fn writes_of_many_threads_all_happen_and_a_failing_one_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.db");
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch("CREATE TABLE t(x INTEGER PRIMARY KEY)").unwrap();
        let database = GroupedDatabase::new(path, connection);
        std::thread::scope(|scope| {
            for x in 0..16_i64 {
                let database = &database;
                scope.spawn(move || {
                    database.write(move |t| t.execute("INSERT INTO t VALUES (?1)", [x]).map(drop)).unwrap();
                });
            }
        });
        let count = |database: &GroupedDatabase| {
            database.read(|c| c.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0))).unwrap()
        };
        assert_eq!(count(&database), 16);
        let error = database.write(|t| t.execute("INSERT INTO t VALUES (3)", []).map(drop)).unwrap_err();
        assert!(matches!(error, LogError::Sqlite { .. }));
        assert_eq!(count(&database), 16);
    }
}
