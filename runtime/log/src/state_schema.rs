//! The tables of `state.db`; those of the dead letters are in the module `letters`.

use crate::state_sum::sum_column;
use rusqlite::{Connection, OptionalExtension};

/// The format of `state.db`: that of segments, so that the files of a log are of one format and one number says which.
pub(crate) use crate::segment::FORMAT;

const SCHEMA: &str = concat!(
    "
CREATE TABLE log(key TEXT PRIMARY KEY, value NOT NULL, ",
    sum_column!("key, value"),
    ") WITHOUT ROWID;
CREATE TABLE points(
  id INTEGER PRIMARY KEY, connection TEXT NOT NULL, name TEXT NOT NULL, kind INTEGER NOT NULL, unit TEXT,
  poll_group TEXT, writable INTEGER NOT NULL, write_min REAL, write_max REAL, description TEXT,
  current INTEGER NOT NULL, ",
    sum_column!("id, connection, name, kind, unit, poll_group, writable, write_min, write_max, description, current"),
    ", UNIQUE(connection, name, kind));
CREATE TABLE cursors(name TEXT PRIMARY KEY, seq INTEGER NOT NULL, ",
    sum_column!("name, seq"),
    ") WITHOUT ROWID;
CREATE TABLE in_flight(
  route TEXT PRIMARY KEY, revision TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, ",
    sum_column!("route, revision, first, last"),
    ") WITHOUT ROWID;
CREATE TABLE adapter_state(
  connection TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, ",
    sum_column!("connection, key, value"),
    ", PRIMARY KEY(connection, key)) WITHOUT ROWID;
"
);

/// The keys of the table `log`.
pub(crate) mod key {
    /// [`super::FORMAT`].
    pub(crate) const FORMAT: &str = "format";
    /// The log id.
    pub(crate) const LOG_ID: &str = "log_id";
    /// The last seq that is reserved.
    pub(crate) const RESERVED_TO: &str = "reserved_to";
    /// The last seq given, when the log was closed in order; absent while it is open.
    pub(crate) const CLOSED_AT: &str = "closed_at";
    /// The last seq that retention has dropped.
    pub(crate) const DROPPED_TO: &str = "dropped_to";
    /// The last seq up to which rows may be of imports whose marks were lost; absent where none ever were.
    pub(crate) const IMPORTS_LOST_TO: &str = "imports_lost_to";
}

/// What `state.db` says of the log as a whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct LogRecord {
    pub(crate) format: i64,
    pub(crate) log_id: String,
    pub(crate) reserved_to: i64,
    pub(crate) closed_at: Option<i64>,
    pub(crate) dropped_to: i64,
}

/// Reads the record, or makes the tables and the record of a new log.
pub(crate) fn read_or_create(connection: &mut Connection, new_id: &str) -> rusqlite::Result<LogRecord> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let exists: bool =
        transaction.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'log'", [], |row| row.get(0))?;
    if !exists {
        transaction.execute_batch(SCHEMA)?;
        transaction.execute_batch(crate::letters::SCHEMA)?;
        let mut insert = transaction.prepare("INSERT INTO log(key, value) VALUES (?1, ?2)")?;
        insert.execute((key::FORMAT, FORMAT))?;
        insert.execute((key::LOG_ID, new_id))?;
        insert.execute((key::RESERVED_TO, 0))?;
        insert.execute((key::CLOSED_AT, 0))?;
        insert.execute((key::DROPPED_TO, 0))?;
    }
    transaction.execute_batch(crate::gaps::SCHEMA)?;
    transaction.execute_batch(crate::missing::SCHEMA)?;
    transaction.execute_batch(crate::imports::SCHEMA)?;
    let record = read_record(&transaction)?;
    transaction.commit()?;
    Ok(record)
}

/// What a `state.db` says of its log.
pub(crate) fn read_record(connection: &Connection) -> rusqlite::Result<LogRecord> {
    let mut select = connection.prepare("SELECT value FROM log WHERE key = ?1")?;
    Ok(LogRecord {
        format: select.query_row([key::FORMAT], |row| row.get(0))?,
        log_id: select.query_row([key::LOG_ID], |row| row.get(0))?,
        reserved_to: select.query_row([key::RESERVED_TO], |row| row.get(0))?,
        closed_at: select.query_row([key::CLOSED_AT], |row| row.get(0)).optional()?,
        dropped_to: select.query_row([key::DROPPED_TO], |row| row.get(0))?,
    })
}
