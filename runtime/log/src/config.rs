//! What can be set about a log, and the fixed bounds of what cannot.

use crate::files::{FileOps, SystemFiles};
use crate::{Log, LogError, WhenFull};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Weight of all readings that are queued for the writer or being committed, in bytes. Appends wait for room beyond it.
pub(crate) const QUEUE_MAX_BYTES: usize = 8 * 1024 * 1024;
/// Least weight of a command in that queue, so that the queue has at most `QUEUE_MAX_BYTES / COMMAND_MIN_BYTES` of them.
pub(crate) const COMMAND_MIN_BYTES: usize = 2 * 1024;
/// Most commands in the queue.
pub(crate) const QUEUE_MAX_COMMANDS: usize = QUEUE_MAX_BYTES / COMMAND_MIN_BYTES;
/// Heaviest batch of one append; a heavier one is refused.
pub(crate) const BATCH_MAX_BYTES: usize = 64 * 1024 * 1024;
/// Weight of the newest committed batches kept in memory, where readers near the tail find them.
pub(crate) const RING_MAX_BYTES: usize = 2 * 1024 * 1024;
/// How many seqs are reserved at a time; up to as many are skipped after an unclean end.
pub(crate) const SEQ_BLOCK: u64 = 1_000_000;
/// An open segment with more rows than this is not appended to after a restart but sealed: its ranges would have to be
/// read anew, which takes longer than starting a segment.
pub(crate) const RESUME_MAX_ROWS: u64 = 100_000;
/// Closed segments that may wait for sealing; at more, the open one grows beyond its bound instead.
pub(crate) const SEAL_BACKLOG_MAX: usize = 8;
/// Newest segments that are searched for latest readings before `open` returns; older ones follow in the background.
pub(crate) const LATEST_SEGMENTS_AT_OPEN: usize = 4;
/// A latest value heavier than this is not kept in memory but read from its segment when asked for.
pub(crate) const LATEST_VALUE_MAX_BYTES: usize = 1024;
/// Idle connections to segments kept for the next reader, over all segments.
pub(crate) const IDLE_READERS_MAX: usize = 6;
/// Rows a scan fetches at a time at first; doubled with each fetch.
pub(crate) const SCAN_FIRST_ROWS: usize = 64;
/// Most rows a scan fetches at a time.
pub(crate) const SCAN_MAX_ROWS: usize = 1024;
/// A scan fetches no further rows once those at hand have values of this many bytes.
pub(crate) const SCAN_MAX_BYTES: usize = 1024 * 1024;
/// Rows of a sealed segment that are sorted together: what sealing, and a reader, holds in memory at a time.
pub(crate) const SLICE_MAX_ROWS: usize = 65_536;
/// Texts and blobs of a slice, in bytes, behind which it ends; the value that reaches it is still in it.
pub(crate) const SLICE_MAX_BYTES: usize = 2 * 1024 * 1024;
/// Rows of a block, the least that is decoded.
pub(crate) const BLOCK_MAX_ROWS: usize = 4096;
/// Texts and blobs of a block, in bytes; a larger value has a block of its own.
pub(crate) const BLOCK_MAX_BYTES: usize = 256 * 1024;
/// Queries open at the same time.
pub(crate) const QUERIES_MAX: usize = 4;
/// Longest wait for one of them to end.
pub(crate) const QUERY_WAIT: Duration = Duration::from_secs(5);
/// How long one statement of a query may run unless the query says otherwise.
pub(crate) const QUERY_TIME_LIMIT: Duration = Duration::from_secs(10);
/// Dead letters kept of one route or one connection; beyond it the oldest go and are counted.
pub(crate) const DEAD_LETTERS_MAX_PER_ORIGIN: u64 = 10_000;
/// Bytes of the dead letters of one route or one connection; beyond it the oldest go and are counted.
pub(crate) const DEAD_LETTERS_MAX_BYTES: i64 = 32 * 1024 * 1024;
/// Bytes kept of a frame that an adapter failed on; of a longer one its beginning and its length.
pub const LETTER_PAYLOAD_MAX_BYTES: usize = 64 * 1024;
/// Bytes a backup copies and syncs at a time, so that a commit waits for no more than these on the medium.
pub(crate) const BACKUP_PIECE_BYTES: usize = 256 * 1024;
/// Most bytes a second a backup copies. It also leaves the medium alone for at least as long as it has used it.
pub(crate) const BACKUP_MAX_BYTES_PER_S: u64 = 32 * 1024 * 1024;
/// Rows a backup's check reads before it pauses for as long as they took.
pub(crate) const BACKUP_CHECK_ROWS: u64 = 20_000;
/// Longest manifest of a backup that is read.
pub(crate) const BACKUP_MANIFEST_MAX_BYTES: u64 = 64 * 1024 * 1024;
/// The reserve unless the config says otherwise.
const RESERVE_DEFAULT_BYTES: u64 = 4 * 1024 * 1024;
/// Pages of a segment's WAL after which its content is moved into the segment: 4 MiB. A larger WAL would save no writing (a
/// page is full long before), only make the pause of a checkpoint on slow flash longer.
pub(crate) const CHECKPOINT_PAGES: i64 = 4 * 1024 * 1024 / crate::sqlite::PAGE_BYTES as i64;
/// Gaps kept in `state.db`; beyond it the oldest goes.
pub(crate) const GAPS_MAX: u64 = 10_000;
/// Drops remembered with their reason, those for the same reason one behind the other being one; beyond it the oldest goes
/// and counts as the one behind it.
pub(crate) const DROPS_MAX: u64 = 1_000;
/// Spans that one question for what is missing brings.
pub(crate) const MISSING_MAX: usize = 100;
/// Routes that a gap names.
pub const GAP_ROUTES_MAX: usize = 100;
/// Bytes of sealed segments read a second when they are verified after a start.
pub(crate) const VERIFY_BYTES_PER_S: u64 = 2 * 1024 * 1024;
/// Longest rest between two segments then.
pub(crate) const VERIFY_PAUSE_MAX: Duration = Duration::from_secs(60);
/// Points of one connection; a connection that declares more gets [`LogError::TooManyPoints`].
pub const POINTS_MAX_PER_CONNECTION: usize = 20_000;
/// Keys in an adapter's memory.
pub const ADAPTER_STATE_MAX_KEYS: usize = 256;
/// Bytes of one key in an adapter's memory.
pub const ADAPTER_STATE_KEY_MAX_BYTES: usize = 255;
/// Bytes of all keys and values in an adapter's memory.
pub const ADAPTER_STATE_MAX_BYTES: usize = 64 * 1024;

/// When a commit counts as done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Durability {
    /// Synced to the medium: survives a power cut.
    #[default]
    Full,
    /// Handed to the operating system: survives the end of the process; a power cut may take the last seconds.
    /// `state.db` stays on [`Durability::Full`], so that no seq is ever given twice.
    Normal,
}

/// Where a log lives and how it commits, seals and forgets.
#[derive(Clone, PartialEq, Debug)]
pub struct LogConfig {
    /// The folder; made when it is not there.
    pub dir: PathBuf,
    /// When a commit counts as done.
    pub durability: Durability,
    /// Longest time in milliseconds that an append waits for others to share its commit, when there are many readings
    /// or somebody seems to wait for them.
    pub commit_max_ms: u32,
    /// The same for a few readings (up to 15) that follow others while nobody seems to wait for them: each commit has
    /// the device write some 4 KiB, however small. Less than `commit_max_ms` counts as that.
    pub commit_quiet_max_ms: u32,
    /// Rows at which a commit waits no longer. A batch is never split, so a commit may have more.
    pub commit_max_rows: u32,
    /// Rows at which a segment is closed and sealed.
    pub segment_max_rows: u32,
    /// Age in seconds, from its first commit, at which a segment is closed and sealed.
    pub segment_max_age_s: u32,
    /// Sealed segments whose newest commit is older than this many seconds are dropped. None: no bound.
    pub retention_max_age_s: Option<u64>,
    /// Seconds that connections keep their own readings, where that is shorter, by name: when the newest commit of a
    /// sealed segment is older, the segment is written anew without their rows. [`Log::keep_own_for`] changes it.
    pub retention_of_connections: BTreeMap<String, u64>,
    /// The quota: most bytes of all files in the folder, copies being sealed, the reserve and damaged files that are kept
    /// aside included. None: what the disk
    /// has. Small quotas make small segments: an open one is closed at a sixteenth of the room there is.
    pub max_bytes: Option<u64>,
    /// Bytes of a file that is given up when the disk is full, so that cursors still move and segments can be dropped; made
    /// again when there is room. 0: none.
    pub reserve_bytes: u64,
    /// What happens to readings for which there is no room. An [`Appender`](crate::Appender) may choose to be refused though
    /// the log drops.
    pub when_full: WhenFull,
}

impl LogConfig {
    /// The defaults: full durability; commits after 20 ms or 10,000 rows, of a few readings
    /// after 750 ms; segments of 500,000 rows or a day; no
    /// retention by age, no quota but the disk, where the oldest segment makes room; a reserve of 4 MiB.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            durability: Durability::Full,
            commit_max_ms: 20,
            commit_quiet_max_ms: 750,
            commit_max_rows: 10_000,
            segment_max_rows: 500_000,
            segment_max_age_s: 86_400,
            retention_max_age_s: None,
            max_bytes: None,
            reserve_bytes: RESERVE_DEFAULT_BYTES,
            when_full: WhenFull::DropOldest,
            retention_of_connections: BTreeMap::new(),
        }
    }

    /// Opens the log, or creates it in an empty folder. Blocks for file operations.
    ///
    /// # Errors
    /// [`LogError::InUse`] when another process has it open, [`LogError::SqliteTooOld`], [`LogError::StateMissing`],
    /// [`LogError::ForeignSegment`], [`LogError::Format`], or what the file system or SQLite reports.
    pub fn open(self) -> Result<Log, LogError> {
        self.open_with(Arc::new(SystemFiles))
    }

    /// As [`LogConfig::open`], with file operations of one's own: tests lose what was not synced.
    ///
    /// # Errors
    /// As [`LogConfig::open`].
    pub fn open_with(self, files: Arc<dyn FileOps>) -> Result<Log, LogError> {
        Log::open(self, files)
    }
}
