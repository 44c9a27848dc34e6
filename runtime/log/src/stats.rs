//! Numbers about a log, for the API and for metrics.

use bulkhead_model::Seq;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Numbers about a log at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LogStats {
    /// Rows committed since it was opened.
    pub rows_committed: u64,
    /// Commits since it was opened.
    pub commits: u64,
    /// Commits that failed since it was opened; their appends were told.
    pub commits_failed: u64,
    /// How long the last commit took, without the wait for others to share it.
    pub last_commit: Duration,
    /// Segments, the open ones included.
    pub segments: usize,
    /// Segments that are closed but not sealed yet.
    pub segments_unsealed: usize,
    /// Sealings that failed since it was opened; they are tried again.
    pub sealings_failed: u64,
    /// Segments dropped since it was opened, for their age or for room.
    pub segments_dropped: u64,
    /// Rows in them.
    pub rows_dropped: u64,
    /// Segments given up for writing since it was opened, because their medium failed.
    pub segments_abandoned: u64,
    /// Appends refused since it was opened because there was no room.
    pub refused_when_full: u64,
    /// The longest that starting a segment or dropping one has kept the writer from committing since it was opened.
    pub longest_pause: Duration,
    /// Rows taken out of sealed segments since it was opened, because their connections keep them for a shorter time.
    pub rows_expired: u64,
    /// Bytes of all segments, WAL files included.
    pub bytes_on_disk: u64,
    /// Bytes of all files in the log's folder, damaged ones that are kept aside included.
    pub bytes_of_files: u64,
    /// The most it may take; none: what the disk has.
    pub max_bytes: Option<u64>,
    /// Free bytes on its disk.
    pub disk_free_bytes: u64,
    /// Whether the reserve is there; false after a full disk, until there is room.
    pub has_reserve: bool,
    /// The lowest seq that may still be read; 1 in a new log.
    pub first_available: Seq,
    /// The last committed seq; 0 in a new log.
    pub last: Seq,
    /// Weight in bytes of what is queued for the writer or being committed.
    pub queue_bytes: usize,
    /// How many times a segment was opened or looked into for a reader since the log was opened.
    pub segments_read: u64,
    /// Rows read from segments since the log was opened; those served from memory do not count.
    pub rows_read: u64,
    /// The seqs skipped at open after an unclean end: first and last. They may have been given to readings whose commit
    /// never finished; nobody was told of them.
    pub skipped_at_open: Option<(Seq, Seq)>,
    /// Damaged files set aside since the log was opened, those found at its opening included.
    pub files_damaged: u64,
    /// Bytes of damaged files that are kept in the folder `damaged`.
    pub bytes_set_aside: u64,
    /// Damaged files kept there that were removed to make room since the log was opened.
    pub damaged_given_up: u64,
    /// Gaps recorded since the log was opened, those of the opening included.
    pub gaps: u64,
    /// Rows of these gaps, as far as their number is known.
    pub gap_rows: u64,
    /// Gaps among them of which nobody knows how many rows they had.
    pub gaps_of_unknown_rows: u64,
}

/// The counters the threads of a log keep.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) rows_committed: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) commits_failed: AtomicU64,
    pub(crate) last_commit_ns: AtomicU64,
    pub(crate) sealings_failed: AtomicU64,
    pub(crate) segments_dropped: AtomicU64,
    pub(crate) files_damaged: AtomicU64,
    pub(crate) damaged_given_up: AtomicU64,
    pub(crate) rows_dropped: AtomicU64,
    pub(crate) rows_expired: AtomicU64,
    pub(crate) segments_abandoned: AtomicU64,
    pub(crate) refused_when_full: AtomicU64,
    pub(crate) longest_pause_ns: AtomicU64,
    pub(crate) gaps: AtomicU64,
    pub(crate) gap_rows: AtomicU64,
    pub(crate) gaps_of_unknown_rows: AtomicU64,
}

impl Counters {
    /// Notes that the writer could not commit for so long.
    pub(crate) fn note_pause(&self, pause: Duration) {
        self.longest_pause_ns.fetch_max(u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Counts gaps that have been recorded.
    pub(crate) fn count_gaps(&self, gaps: &[crate::Gap]) {
        for gap in gaps {
            self.gaps.fetch_add(1, Ordering::Relaxed);
            match gap.rows {
                Some(rows) => self.gap_rows.fetch_add(rows, Ordering::Relaxed),
                None => self.gaps_of_unknown_rows.fetch_add(1, Ordering::Relaxed),
            };
        }
    }
}
