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
//! | `reserve` | nothing: room that is given up when the disk is full, so that `state.db` can commit |
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
//! * What has been dropped is never passed over in silence: [`Log::read`] answers [`LogError::Gone`], and where a route had
//!   not read it, it is a [`Gap`].
//! * All files of the folder together stay within [`LogConfig::max_bytes`], copies being sealed included; what a reader still
//!   holds counts, and rather than drop more for it, appends wait to be taken.
//! * Whoever chose [`WhenFull::Refuse`] never makes the log drop anything.
//! * After a refusal an [`Appender`]'s later batches are refused too, until it goes on: nothing overtakes.
//! * A sync that failed is never tried again through the same connection, and nothing after it is acknowledged by it.
//!
//! # When the medium fails
//!
//! A segment that cannot be written to is given up for writing: what was acknowledged in it is counted through a new connection
//! (what cannot be read is a gap `damaged`), it is sealed, and another one is started, at once or with growing waits. The seqs
//! of the failed group are not given again. Its readings come back to whoever appended them; should the process end before that
//! segment is sealed, they may be found in it all the same, so a reading that is appended again may be there twice, under two
//! seqs. `state.db` is closed and opened anew, its WAL written into it as a whole and synced, and checked. Checkpoints are the
//! log's own, because SQLite passes over the failure of those it does by itself.
//!
//! # What settings cost
//!
//! | setting | costs | gives |
//! | --- | --- | --- |
//! | [`Durability::Full`] | a sync of the medium a commit | acknowledged readings survive a power cut |
//! | `commit_max_ms`, `commit_max_rows` | the wait of a reading for its commit | fewer syncs, fewer bytes written |
//! | `segment_max_rows` | room for a copy while it is sealed; what is dropped at a time | fewer files, fewer sealings |
//! | `max_bytes` | the oldest readings, or refusals | an end of what the log takes |
//! | `reserve_bytes` | as many bytes of the disk | cursors that move on a full disk |
//!
//! # At open
//!
//! Leftovers (`.tmp`, open twins of sealed segments, open segments without rows) are removed. After an unclean end the seqs
//! that were reserved are skipped, which is a gap `skipped-at-open`. On a full disk the reserve is given up first; where no
//! segment can be started the log opens all the same and takes readings once it can. The newest open segment goes on if it is short,
//! otherwise it is sealed like every older open one, off the writer's thread. The latest readings are rebuilt from the
//! newest segments backwards: the first few before [`LogConfig::open`] returns, the older ones behind its back.
//!
//! # Threads
//!
//! One writer (group commit), one sealer (seals, applies retention). Readers use their own connections. Functions that
//! touch the disk block and say so; call them from `spawn_blocking` or from a thread that may wait.

mod appender;
mod appending;
mod batch;
mod catalogue;
mod clock;
mod config;
mod delivery;
mod error;
mod files;
mod gaps;
mod group;
mod latest;
mod log;
mod memory_tables;
mod open;
mod pushdown;
mod query;
mod reader;
mod readings_table;
mod reserve;
mod retention;
mod scan;
mod seal;
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
pub use batch::{Committed, Row};
pub use catalogue::{Catalogue, Point};
pub use config::{
    ADAPTER_STATE_KEY_MAX_BYTES, ADAPTER_STATE_MAX_BYTES, ADAPTER_STATE_MAX_KEYS, Durability, GAP_ROUTES_MAX,
    LogConfig, POINTS_MAX_PER_CONNECTION,
};
pub use delivery::{DeadLetter, InFlight};
pub use error::LogError;
pub use files::{FileEntry, FileOps, SystemFiles};
pub use gaps::{Gap, GapReason};
pub use log::{Log, LogId};
pub use query::{Query, QueryRow, SqlValue};
pub use stats::LogStats;
pub use stored::value_of;
