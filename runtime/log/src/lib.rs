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
//! | `state.db` | points, the seq reservation, cursors, in-flight batches, dead letters, gaps, adapters' memory, how far imports have come |
//! | `seg-<start>.open.db` | a segment that is appended to, or waits to be sealed: rows by `seq`, no index, WAL |
//! | `seg-<start>-<last>.db` | a sealed segment: compressed blocks, read as immutable, at most replaced whole |
//! | `….tmp` | a segment being sealed, salvaged or written anew, a `state.db` being rebuilt; a leftover is removed at open |
//! | `state.db.salvaged` | a rebuilt `state.db` that is whole; the next open puts it in place |
//! | `damaged/` | damaged files that were set aside, named by the moment |
//! | `reserve` | nothing: room that is given up when the disk is full, so that `state.db` can commit |
//!
//! `<start>` and `<last>` are 20 decimal digits; `<start>` is the lowest seq the segment may hold. All but `lock` are SQLite
//! databases. `state.db`'s tables are in the module `state_schema`. A segment, format 2, has these:
//!
//! | table | in | columns |
//! | --- | --- | --- |
//! | `segment` | both | `key`, `value`: `format`, `log_id`, `start`, `first_commit`; sealed also `first_seq`, `last_seq`, `rows`, `min_time`, `max_time`, `last_commit`, `checksum` |
//! | `points` | both | `id`, `connection`, `name`, `kind`, `unit`, `description` of points used |
//! | `readings` | open | `seq`, `point`, `time`, `status`, `value`; values as in [`value_of`]'s module `stored` |
//! | `slices` | sealed | `id` from 0, `first_seq`, `last_seq`, `rows`, `crc`, `times` |
//! | `blocks` | sealed | `id` from 0, `slice`, `rows`, least and greatest `point`, `time`, `seq`, and `crc` |
//! | `block_data` | sealed | `id` as in `blocks`, `bytes` |
//! | `expired` | sealed | `connection`, `first_seq`, `last_seq`, `rows`: what was taken out because its connection keeps it for a shorter time |
//!
//! # A sealed segment's bytes
//!
//! Rows are cut, in the order of their seqs, into *slices* of 65,536 rows or 2 MiB of texts and bytes. A slice is sorted by
//! point, time and seq and cut into *blocks* of 4,096 rows or 256 KiB. So one point's rows of a slice lie in one or two
//! blocks, and a slice put back in the order of seqs follows the one before it.
//!
//! A *varint* is LEB128 (7 bits a byte, the lowest first); *zigzag* maps 0, −1, 1, −2 … to 0, 1, 2, 3 …; numbers in
//! checksums are i64, little-endian; checksums are CRC-32 (IEEE).
//!
//! `slices.times`: how many times the slice's table of times has (varint; 0: none), then they, rising, as a *numbers*
//! column. There is a table when neighbouring rows have another time at most once in 8 rows, as those of a poll do.
//!
//! `block_data.bytes`: nine columns, each behind its length in bytes (varint):
//!
//! | # | column | coded as |
//! | --- | --- | --- |
//! | 1 | points | runs |
//! | 2 | times, or places in the slice's table of times | numbers |
//! | 3 | seqs less the slice's `first_seq` | numbers |
//! | 4 | statuses | runs |
//! | 5 | storage classes: 0 none, 1 integer, 2 real, 3 text, 4 bytes | runs |
//! | 6 | values of class 1 | numbers |
//! | 7 | values of class 2 | reals |
//! | 8 | lengths of the values of classes 3 and 4 | numbers |
//! | 9 | these values, one behind the other | bytes |
//!
//! | coding | bytes |
//! | --- | --- |
//! | numbers, reals, bytes: none | nothing |
//! | numbers, all equal | `0`, the number (varint, zigzag) |
//! | numbers, up to 24 | `1`, each one's difference from the one before, the first from 0 (varint, zigzag) |
//! | numbers; reals | `2`, then of pco: the header, a chunk's metadata, one page; of i64 or f64 |
//! | runs | how many (varint), the length of the next column (varint), the runs' numbers (numbers), their lengths (numbers) |
//! | bytes | `0` and the bytes, or `1` and an LZ4 block of them |
//!
//! A block's `crc` is over slice, rows, least and greatest point, least and greatest time, least and greatest seq, then its
//! bytes. A slice's is over id, first and last seq and rows, then `times`. `segment.checksum` is over, slice by slice, the
//! same numbers of the slice and its `crc` (u32), and for each of its blocks likewise. A reader checks `checksum` when it
//! opens a segment, and a slice's and a block's `crc` before it decodes it: what has changed is an error, never a row.
//!
//! # Invariants
//!
//! * A reading's `seq` is given by the one writer thread, rises, and is never given twice: seqs are reserved in blocks
//!   in `state.db` before the first of a block is used, and after an unclean end the log goes on behind the block.
//! * [`Log::append`] returns after the commit, in durability [`Durability::Full`] after its fsync.
//! * Sealing changes no bit of a row: reals keep theirs, so do texts that are empty and values that are none.
//! * A sealed segment wins over its open twin; the twin is removed when the last reader has let it go.
//! * A sealed segment describes itself: log id, the points it uses, ranges, checksums. A point with rows in an open one is
//!   described in it or in a segment before it that is still there.
//! * What has been dropped is never passed over in silence: [`Log::read`] answers [`LogError::Gone`], and where a route had
//!   not read it, it is a [`Gap`]; what a connection's own retention has taken out of a segment that stays,
//!   [`Log::expired`] tells.
//! * All files of the folder together stay within [`LogConfig::max_bytes`], copies being sealed included; what a reader still
//!   holds counts, and rather than drop more for it, appends wait to be taken.
//! * Whoever chose [`WhenFull::Refuse`] never makes the log drop anything.
//! * After a refusal an [`Appender`]'s later batches are refused too, until it goes on: nothing overtakes.
//! * A sync that failed is never tried again through the same connection, and nothing after it is acknowledged by it.
//! * Every row of an open segment, every block of a sealed one and every row of `state.db` has a checksum; a row whose
//!   checksum does not hold is never shown.
//! * No damage of a file keeps the log from opening. What is lost by it is recorded as [`Gap`]s.
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
//! # At open
//!
//! Leftovers (`.tmp`, open twins of sealed segments, open segments without rows) are removed. After an unclean end the seqs
//! that were reserved are skipped, which is a gap `skipped-at-open`. On a full disk the reserve is given up first; where no
//! segment can be started the log opens all the same and takes readings once it can. The newest open segment goes on if it is short,
//! otherwise it is sealed like every older open one, off the writer's thread. The latest readings are rebuilt from the
//! newest segments backwards: the first few before [`LogConfig::open`] returns, the older ones behind its back. A segment
//! that is being written anew has its old file's name only once it is whole and synced: a crash leaves one or the other.
//!
//! # What each setting costs
//!
//! | setting | more of it | less of it |
//! | --- | --- | --- |
//! | `durability` | full: an fsync a commit | normal: none; a power cut takes the last seconds |
//! | `commit_max_ms` | fewer, larger commits; each reading waits longer | up to 50 commits a second at 20 ms |
//! | `commit_quiet_max_ms` | less wear: each commit has the device write some 5.8 KB, at 750 ms and ten single readings a second 0.96 GB a day | at 20 ms as much as 5 GB a day; few readings are there sooner |
//! | `commit_max_rows` | fewer fsyncs; up to 100 bytes of memory a row on the way | |
//! | `segment_max_rows` | fewer files, so that a query opens fewer; more open bytes (30 to 47 a row against 1 to 9 sealed) that a sealing needs at once | retention works in finer steps |
//! | `segment_max_age_s` | as above | data of slow sources is compressed sooner, in more files of at least 32 KiB |
//! | `retention_…` | disk | |
//! | `max_bytes` | disk | the oldest readings, or refusals |
//! | `reserve_bytes` | disk; cursors that move when it is full | |
//! | `retention_of_connections` | | each segment is written once more, when its newest row is so old |
//!
//! # Damage
//!
//! | what is damaged | found | what is done |
//! | --- | --- | --- |
//! | `state.db`, its WAL | at open: WAL, structure, indexes and sums; in operation: when SQLite says so | rebuilt from what holds of it, the segments, and memory; the log's id stays; seqs go on a block behind all that are known |
//! | the newest open segment, its WAL | at open: WAL, structure, each row | before `open` returns, the rows that hold are put into a sealed segment |
//! | another open segment | at open: WAL, header; when it is sealed: structure, each row | by the sealer's thread; until then reading it answers [`LogError::Damaged`] |
//! | a sealed segment | at open: header and length; whenever a block is read; once after each start, slowly | by the sealer's thread, block by block |
//! | a segment of another log | as above | set aside whole |
//!
//! The damaged file gets a second name in `damaged/`, the gaps are recorded, the replacement is renamed into place, and only
//! then the first name goes: a power cut between two steps loses nothing more. A WAL is damaged where a frame does not hold
//! and behind it a commit ends and another follows; where only the last commit does not hold, a power cut tore it, and nobody
//! was told of it.
//!
//! # Backup
//!
//! [`Log::backup_to`] copies the log while it is written to; [`restore`] makes a folder of a copy, under a new log id. See
//! the module `backup` for what is in one and why it is consistent.
//!
//! # Threads
//!
//! One writer (group commit), one sealer (seals, salvages, applies retention by size), one verifier (reads sealed segments
//! once after the open). Readers use their own connections. Functions that
//! touch the disk block and say so; call them from `spawn_blocking` or from a thread that may wait.

mod appender;
mod appending;
mod backup;
mod batch;
mod batch_table;
mod block;
mod carve;
mod catalogue;
mod clock;
mod columns;
mod config;
mod damage;
mod delivery;
mod directory;
mod error;
mod examine;
mod expiry;
mod files;
mod gaps;
mod group;
mod imports;
mod latest;
mod letters;
mod log;
mod log_letters;
mod memory_tables;
mod mend;
mod missing;
mod open;
mod pace;
mod page;
mod pushdown;
mod query;
mod reader;
mod readings_table;
mod rebuild;
mod repair;
mod reserve;
mod retention;
mod row_sum;
mod rows;
mod salvage;
mod salvage_blocks;
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
mod state_sum;
mod stats;
mod stored;
mod verify;
mod wal;
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
pub use expiry::Expired;
pub use files::{FileEntry, FileOps, SystemFiles};
pub use gaps::{Gap, GapReason};
pub use imports::{Forgotten, IMPORT_ID_MAX_BYTES, IMPORTS_MAX, ImportMark, ImportPart};
pub use log::{Log, LogId};
pub use missing::Missing;
pub use query::{Query, QueryRow, SqlValue};
pub use sqlite::sqlite_version;
pub use stats::LogStats;
pub use stored::value_of;
