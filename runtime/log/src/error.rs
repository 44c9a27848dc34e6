//! What can go wrong with a log. Errors are cheap to clone, because the failure of one commit reaches many callers.

use bulkhead_model::{Kind, PointId, Seq};
use rusqlite::ErrorCode;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

/// What went wrong.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogError {
    /// A file operation failed.
    #[error("the log cannot {action} {}", path.display())]
    Io {
        /// What was being done: `create`, `sync`, `rename`, …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// SQLite reported an error.
    #[error("the log cannot {action} {}", path.display())]
    Sqlite {
        /// What was being done.
        action: &'static str,
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: Arc<rusqlite::Error>,
    },
    /// The SQLite that is linked lacks the WAL-reset fix.
    #[error("SQLite {found} is linked, at least {expected} is needed: rebuild with the bundled SQLite")]
    SqliteTooOld {
        /// The version linked.
        found: &'static str,
        /// The lowest version that will do.
        expected: &'static str,
    },
    /// Another process has the log open.
    #[error("the log in {} is open in another process: stop it, or give this gateway a folder of its own", dir.display())]
    InUse {
        /// The log's folder.
        dir: PathBuf,
    },
    /// A file is damaged. It is being set aside and salvaged; the call may succeed when that is done.
    #[error("{} is damaged ({what}): it is set aside and what can be read of it is salvaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What shows it.
        what: String,
    },
    /// A file is of a format this version does not know, or lacks what it must have.
    #[error("{} is not a file this version can read: {what}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        what: String,
    },
    /// A segment belongs to another log.
    #[error("{} belongs to log {found}, this is log {expected}: move the file away", path.display())]
    ForeignSegment {
        /// The segment.
        path: PathBuf,
        /// The log id in it.
        found: String,
        /// The id of this log.
        expected: String,
    },
    /// A reading names a point that was never declared.
    #[error("no point has the number {}: declare it before its first reading", point.0)]
    UnknownPoint {
        /// The number.
        point: PointId,
    },
    /// A reading's value is not of its point's kind. Nothing of the batch was stored.
    #[error("point `{name}` of connection `{connection}` takes {expected} values, a reading brought {found}")]
    KindMismatch {
        /// The point's connection.
        connection: Arc<str>,
        /// The point's name.
        name: String,
        /// The point's kind.
        expected: Kind,
        /// The value's kind.
        found: Kind,
    },
    /// A name that no point can have.
    #[error(
        "connection `{connection}` declares a point named {name:?}: 1 to 255 bytes without control characters are expected"
    )]
    BadPointName {
        /// The connection.
        connection: String,
        /// The name.
        name: String,
    },
    /// A connection declares too many points.
    #[error(
        "connection `{connection}` would have {points} points, and {max} are the most: names that it declared earlier count as \
         long as the log knows them. If its adapter makes up names as it goes (of numbers, orders, times), change its settings; \
         then give the connection another name: that begins with no points, and the readings stay under the old one"
    )]
    TooManyPoints {
        /// The connection.
        connection: String,
        /// How many it would have.
        points: usize,
        /// The most it can have.
        max: usize,
    },
    /// A batch is too heavy.
    #[error("a batch of {bytes} bytes is more than the {max} the log takes at once: split it")]
    BatchTooLarge {
        /// Its weight.
        bytes: usize,
        /// The heaviest that is taken.
        max: usize,
    },
    /// Rows that were asked for have been dropped by retention.
    #[error("the rows after {after} are gone, dropped by retention: the first one kept is {first_available}")]
    Gone {
        /// The position asked for.
        after: Seq,
        /// The first seq that is still there; go on after the one before it.
        first_available: Seq,
    },
    /// There is no room for readings, and none may be made.
    #[error("the log in {} is full: {what}", dir.display())]
    Full {
        /// The log's folder.
        dir: PathBuf,
        /// What it takes and what it may take.
        what: String,
    },
    /// A batch that was submitted before this one was refused.
    #[error("readings submitted before these were refused")]
    Behind,
    /// An adapter's memory is full.
    #[error("the memory of connection `{connection}` is full: {what}")]
    StateFull {
        /// The connection.
        connection: String,
        /// Which bound was reached.
        what: String,
    },
    /// A statement ran longer than its query allows.
    #[error("the query ran longer than {limit_ms} ms: narrow it by point, time or seq")]
    QueryTimeout {
        /// The limit in milliseconds.
        limit_ms: u64,
    },
    /// Too many queries run at once.
    #[error("{max} queries are running and none ended in time: try again later")]
    QueriesBusy {
        /// How many may run at once.
        max: usize,
    },
    /// A number is outside of what the log can store.
    #[error("{what} {number} is more than the log can store")]
    OutOfRange {
        /// What it is.
        what: &'static str,
        /// The number.
        number: u64,
    },
    /// There is something where a backup or a restored log is to go.
    #[error("{} is there already and not empty: {hint}", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
        /// What to do about it.
        hint: &'static str,
    },
    /// A backup is not what its manifest says.
    #[error("the backup is damaged: {}: {what}", path.display())]
    BackupDamaged {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        what: String,
    },
    /// Whoever asked for a backup has called it off; nothing of it is left.
    #[error("the backup was called off")]
    CalledOff,
    /// The log has been closed.
    #[error("the log is closed")]
    Closed,
}

impl LogError {
    /// Whether the same call may succeed later without anything else being changed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Io { .. }
                | Self::Sqlite { .. }
                | Self::Damaged { .. }
                | Self::Full { .. }
                | Self::Behind
                | Self::QueriesBusy { .. }
        )
    }

    /// Whether it says that there is no room, in the log or on the disk.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full { .. } => true,
            Self::Sqlite { source, .. } => source.sqlite_error_code() == Some(ErrorCode::DiskFull),
            Self::Io { source, .. } => matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded),
            _ => false,
        }
    }

    /// Whether it says that the medium cannot be read or written, beyond being full.
    pub(crate) fn is_of_the_medium(&self) -> bool {
        match self {
            Self::Sqlite { source, .. } => matches!(
                source.sqlite_error_code(),
                Some(
                    ErrorCode::SystemIoFailure
                        | ErrorCode::CannotOpen
                        | ErrorCode::DatabaseCorrupt
                        | ErrorCode::NotADatabase
                        | ErrorCode::ReadOnly
                        | ErrorCode::FileLockingProtocolFailed
                )
            ),
            Self::Io { .. } => !self.is_full(),
            _ => false,
        }
    }
}
