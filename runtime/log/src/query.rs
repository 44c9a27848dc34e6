//! SQL over the log: a read-only connection that sees the log as it was when the query was opened.
//!
//! | table | columns |
//! | --- | --- |
//! | `readings` | `seq`, `point`, `time`, `status`, `value`; bounds on `seq`, `point`, `time` and `ORDER BY seq` reach the segments |
//! | `latest_readings` | the same columns: the latest row by time, then seq, of each point whose name still stands for it |
//! | `points` | `id`, `connection`, `name`, `kind` (its name), `unit`, `description`, `writable`, `current` |
//!
//! `latest_readings` is taken when a statement begins, so it may be ahead of `readings`.
//! Times are nanoseconds since the Unix epoch, values as in [`crate::value_of`]; a real that is not a number is NULL here.
//! `points` also has the former points of a name whose kind has changed, with `current` 0.
//! The SQL text is the program's own: what comes from outside goes into parameters.

use crate::config::{QUERIES_MAX, QUERY_TIME_LIMIT, QUERY_WAIT};
use crate::shared::{Shared, Snapshot};
use crate::sqlite::{set, sqlite_error};
use crate::{LogError, clock, memory_tables, readings_table};
use parking_lot::{Condvar, Mutex};
use rusqlite::types::{ToSqlOutput, Value as Owned, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, params_from_iter};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// SQLite looks at the clock after so many steps of its virtual machine.
const STEPS_PER_LOOK: i32 = 4096;
/// Page cache of a query's connection: its tables are virtual, only sorts use it.
const QUERY_CACHE_KIB: u32 = 512;

/// A value as SQLite has it.
#[derive(Clone, PartialEq, Debug)]
pub enum SqlValue {
    /// NULL.
    Null,
    /// A whole number.
    Integer(i64),
    /// A floating-point number.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl SqlValue {
    pub(crate) fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }
    }
}

impl SqlValue {
    fn of(value: Owned) -> Self {
        match value {
            Owned::Null => Self::Null,
            Owned::Integer(number) => Self::Integer(number),
            Owned::Real(number) => Self::Real(number),
            Owned::Text(text) => Self::Text(text),
            Owned::Blob(bytes) => Self::Blob(bytes),
        }
    }
}

/// What the virtual tables of a query see.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) snapshot: Snapshot,
    pub(crate) shared: Arc<Shared>,
}

/// Where a connection's virtual tables find their view while the connection is in use.
pub(crate) type Slot = Arc<Mutex<Option<View>>>;

/// A connection with its tables.
#[derive(Debug)]
struct Tables {
    connection: Connection,
    slot: Slot,
    deadline: Arc<Mutex<Option<Instant>>>,
}

impl Tables {
    fn new() -> rusqlite::Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(":memory:", flags)?;
        set(&connection, "query_only = 1")?;
        set(&connection, &format!("cache_size = -{QUERY_CACHE_KIB}"))?;
        let slot = Slot::default();
        readings_table::register(&connection, &slot)?;
        memory_tables::register(&connection, &slot)?;
        let deadline: Arc<Mutex<Option<Instant>>> = Arc::default();
        let watched = Arc::clone(&deadline);
        let is_over = move || watched.lock().is_some_and(|end| clock::monotonic() >= end);
        connection.progress_handler(STEPS_PER_LOOK, Some(is_over))?;
        Ok(Self { connection, slot, deadline })
    }
}

/// The connections of a log for queries.
#[derive(Debug, Default)]
pub(crate) struct QueryPool {
    state: Mutex<PoolState>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct PoolState {
    in_use: usize,
    /// One is kept: making one takes a tenth of a millisecond, keeping many takes memory.
    idle: Option<Tables>,
}

impl QueryPool {
    fn take(&self) -> Result<Tables, LogError> {
        let mut state = self.state.lock();
        let busy = self.freed.wait_while_for(&mut state, |state| state.in_use >= QUERIES_MAX, QUERY_WAIT).timed_out();
        if busy && state.in_use >= QUERIES_MAX {
            return Err(LogError::QueriesBusy { max: QUERIES_MAX });
        }
        let tables = match state.idle.take() {
            Some(tables) => tables,
            None => Tables::new().map_err(sqlite_error("query", Path::new("the log")))?,
        };
        state.in_use += 1;
        Ok(tables)
    }

    fn give_back(&self, tables: Tables) {
        let mut state = self.state.lock();
        state.in_use -= 1;
        state.idle = Some(tables);
        drop(state);
        self.freed.notify_one();
    }
}

/// A read-only SQL view of the log at one moment. Segments it sees stay until it is dropped, so do not keep it.
#[derive(Debug)]
pub struct Query {
    tables: Option<Tables>,
    shared: Arc<Shared>,
    time_limit: Duration,
}

/// A row of a query's answer.
#[derive(Debug)]
pub struct QueryRow<'a> {
    row: &'a rusqlite::Row<'a>,
}

impl QueryRow<'_> {
    /// The value of a column, counted from 0; NULL for a column that is not there.
    #[must_use]
    pub fn value(&self, column: usize) -> SqlValue {
        self.row.get::<_, Owned>(column).map_or(SqlValue::Null, SqlValue::of)
    }

    /// The whole number in a column; none for anything else.
    #[must_use]
    pub fn integer(&self, column: usize) -> Option<i64> {
        self.row.get_ref(column).ok()?.as_i64().ok()
    }

    /// The text in a column; none for anything else.
    #[must_use]
    pub fn text(&self, column: usize) -> Option<&str> {
        self.row.get_ref(column).ok()?.as_str().ok()
    }
}

impl Query {
    pub(crate) fn open(shared: &Arc<Shared>) -> Result<Self, LogError> {
        let tables = shared.queries.take()?;
        *tables.slot.lock() = Some(View { snapshot: shared.snapshot(), shared: Arc::clone(shared) });
        Ok(Self { tables: Some(tables), shared: Arc::clone(shared), time_limit: QUERY_TIME_LIMIT })
    }

    /// Sets how long each statement may run; 10 s unless set.
    pub fn set_time_limit(&mut self, limit: Duration) {
        self.time_limit = limit;
    }

    /// The last seq this query sees.
    #[must_use]
    pub fn last_seq(&self) -> bulkhead_model::Seq {
        self.tables().slot.lock().as_ref().map_or(0, |view| view.snapshot.committed)
    }

    /// Runs a statement and hands its rows over one by one, until there is none left or `each` breaks. Blocks.
    ///
    /// # Errors
    /// [`LogError::QueryTimeout`], or what SQLite or a segment reports; rows may have been handed over before.
    pub fn rows(
        &self,
        sql: &str,
        params: &[SqlValue],
        mut each: impl FnMut(&QueryRow<'_>) -> ControlFlow<()>,
    ) -> Result<(), LogError> {
        *self.tables().deadline.lock() = clock::monotonic().checked_add(self.time_limit);
        let result = self.run(sql, params, &mut each);
        *self.tables().deadline.lock() = None;
        result.map_err(|error| self.explain(error))
    }

    fn run(
        &self,
        sql: &str,
        params: &[SqlValue],
        each: &mut dyn FnMut(&QueryRow<'_>) -> ControlFlow<()>,
    ) -> rusqlite::Result<()> {
        let mut statement = self.tables().connection.prepare_cached(sql)?;
        let mut rows =
            statement.query(params_from_iter(params.iter().map(|value| ToSqlOutput::Borrowed(value.as_ref()))))?;
        while let Some(row) = rows.next()? {
            if each(&QueryRow { row }).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Runs a statement and collects its rows, at most `limit`. Blocks.
    ///
    /// # Errors
    /// As [`Query::rows`].
    pub fn collect(&self, sql: &str, params: &[SqlValue], limit: usize) -> Result<Vec<Vec<SqlValue>>, LogError> {
        let mut all = Vec::new();
        if limit == 0 {
            return Ok(all);
        }
        self.rows(sql, params, |row| {
            let columns = row.row.as_ref().column_count();
            all.push((0..columns).map(|column| row.value(column)).collect());
            if all.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(all)
    }

    fn explain(&self, error: rusqlite::Error) -> LogError {
        if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) {
            let limit_ms = u64::try_from(self.time_limit.as_millis()).unwrap_or(u64::MAX);
            return LogError::QueryTimeout { limit_ms };
        }
        sqlite_error("query", &self.shared.config.dir)(error)
    }

    fn tables(&self) -> &Tables {
        self.tables.as_ref().expect("the tables are taken out only by drop")
    }
}

impl Drop for Query {
    fn drop(&mut self) {
        if let Some(tables) = self.tables.take() {
            // The view holds segments, and with them files: it goes now, the connection stays.
            tables.slot.lock().take();
            self.shared.queries.give_back(tables);
        }
    }
}
