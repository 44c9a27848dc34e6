//! The log: the durable, ordered store of readings, and the cursors into it.
//!
//! ```
//! use bulkhead_log::LogConfig;
//! use bulkhead_model::{Kind, PointInfo, Reading, Status, Timestamp, Value};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let log = LogConfig::new(dir.path()).open()?;
//! let point = log.declare("press", &[PointInfo::new("force", Kind::Real)])?[0];
//! let value = Some(Value::Real(61.5));
//! let reading = Reading { point, time: Timestamp(0), status: Status::GOOD, value };
//! let committed = log.append(vec![reading.clone()]).await?;
//! assert_eq!(log.read(committed.first - 1, 10)?[0].reading, reading);
//! log.close().await
//! # })?;
//! # Ok(())
//! # }
//! ```
//!
//! # On disk
//!
//! A folder, used by one process at a time (`lock` is held while it is open):
//!
//! | file | what it is |
//! | --- | --- |
//! | `state.db` | points, the seq reservation, cursors, in-flight batches, dead letters, gaps, adapters' memory |
//! | `seg-<start>.open.db` | a segment that is appended to, or waits to be sealed: rows by `seq`, no index, WAL |
//! | `seg-<start>-<last>.db` | a sealed segment: never changed, indexed by (point, time), read as immutable |
//! | `….tmp` | a segment being sealed; a leftover is removed at open |
//!
//! `<start>` and `<last>` are 20 decimal digits; `<start>` is the lowest seq the segment may hold. The tables of a
//! segment are in the module `segment`, those of `state.db` in `state_schema`.
//!
//! # Invariants
//!
//! * A reading's `seq` is given by the one writer thread, rises, and is never given twice: seqs are reserved in blocks
//!   in `state.db` before the first of a block is used, and after an unclean end the log goes on behind the block.
//! * [`Log::append`] returns after the commit, in durability [`Durability::Full`] after its fsync.
//! * A sealed segment wins over its open twin; the twin is removed when the last reader has let it go.
//! * A segment describes itself: log id, the points it uses, ranges, a checksum over its rows.
//! * What retention has dropped is never passed over in silence: [`Log::read`] answers [`LogError::Gone`].
//!
//! # At open
//!
//! Leftovers (`.tmp`, open twins of sealed segments) are removed. The newest open segment goes on if it is short,
//! otherwise it is sealed like every older open one, off the writer's thread. The latest readings are rebuilt from the
//! newest segments backwards: the first few before [`LogConfig::open`] returns, the older ones behind its back.
//!
//! # Backup
//!
//! [`Log::backup_to`] copies the log while it is written to; [`restore`] makes a folder of a copy, under a new log id. See
//! the module `backup` for what is in one and why it is consistent.
//!
//! # Threads
//!
//! One writer (group commit), one sealer (seals, applies retention). Readers use their own connections. Functions that
//! touch the disk block and say so; call them from `spawn_blocking` or from a thread that may wait.

mod appender;
mod appending;
mod backup;
mod batch;
mod block;
mod catalogue;
mod clock;
mod columns;
mod config;
mod delivery;
mod directory;
mod error;
mod files;
mod gaps;
mod group;
mod latest;
mod letters;
mod log;
mod memory_tables;
mod open;
mod pushdown;
mod query;
mod reader;
mod readings_table;
mod reserve;
mod retention;
mod rows;
mod scan;
mod seal;
mod sealed;
mod sealer;
mod segment;
mod segment_set;
mod shared;
mod space;
mod sqlite;
mod state;
mod state_schema;
mod stats;
mod stored;
mod writer;
mod writer_recovery;

pub use appender::{Appender, Pending, Refused, WhenFull};
pub use backup::{
    BackupProgress, BackupReport, BackupStage, Beside, BesideContent, OnProgress, Restore, Restored, restore,
    verify_backup,
};
pub use batch::{Committed, Row};
pub use catalogue::{Catalogue, Point};
pub use config::{
    ADAPTER_STATE_KEY_MAX_BYTES, ADAPTER_STATE_MAX_BYTES, ADAPTER_STATE_MAX_KEYS, Durability, GAP_ROUTES_MAX,
    LETTER_PAYLOAD_MAX_BYTES, LogConfig, POINTS_MAX_PER_CONNECTION,
};
pub use delivery::{DeadLetter, InFlight, LetterCount, LetterError, LetterItem, LostFrame, Origin, RefusedReading};
pub use error::LogError;
pub use files::{FileEntry, FileOps, SystemFiles};
pub use gaps::{Gap, GapReason};
pub use log::{Log, LogId};
pub use query::{Query, QueryRow, SqlValue};
pub use sqlite::sqlite_version;
pub use stats::LogStats;
pub use stored::value_of;
