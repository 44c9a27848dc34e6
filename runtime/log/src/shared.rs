//! What the handles, the writer and the sealer of one log share.

use crate::batch::Ring;
use crate::damage::{bytes_aside, give_up_oldest};
use crate::files::io_error;
use crate::latest::Latest;
use crate::log::LogId;
use crate::query::QueryPool;
use crate::reader::Readers;
use crate::reserve::Reserve;
use crate::salvage::{self, Patient, Surgery, salvage};
use crate::scan::StoredRow;
use crate::segment::{Knowledge, Segment, Summary, check, read_summary};
use crate::segment_set::{SegmentSet, Segments};
use crate::space::Usage;
use crate::state::{State, loaded_seq};
use crate::stats::Counters;
use crate::stored::from_sql;
use crate::{Catalogue, FileOps, Gap, LogConfig, LogError, LogStats, Row};
use bulkhead_model::{PointId, Reading, Seq, Status, Timestamp};
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// The parts of one open log.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: LogConfig,
    pub(crate) files: Arc<dyn FileOps>,
    pub(crate) id: LogId,
    pub(crate) state: State,
    pub(crate) catalogue: RwLock<Arc<Catalogue>>,
    /// Held while points are declared, so that numbers are given one after another.
    pub(crate) declaring: Mutex<()>,
    pub(crate) segments: SegmentSet,
    pub(crate) readers: Arc<Readers>,
    pub(crate) ring: RwLock<Ring>,
    pub(crate) latest: RwLock<Latest>,
    pub(crate) committed: watch::Sender<Seq>,
    pub(crate) queries: QueryPool,
    pub(crate) counters: Counters,
    /// Points described in segments below this start are described anew where they have new rows: rows, and with them
    /// descriptions, were taken out of these segments.
    pub(crate) described_from: AtomicU64,
    /// Seconds that connections keep their own readings, by name; changed while the log is open.
    pub(crate) own_retention: RwLock<BTreeMap<String, u64>>,
    /// Held while retention is applied.
    pub(crate) retaining: Mutex<()>,
    pub(crate) dropped_to: AtomicU64,
    pub(crate) reserve: Arc<Reserve>,
    /// Somebody appends who wants the oldest segment to make room, so that it may be dropped ahead of need.
    pub(crate) may_drop_ahead: AtomicBool,
    /// Bytes of the largest segment seen before it was sealed.
    pub(crate) largest_open: AtomicU64,
    pub(crate) skipped_at_open: Option<(Seq, Seq)>,
    /// The folder's lock; it goes with the process or with the log.
    pub(crate) _lock: std::fs::File,
}

/// The log at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) segments: Segments,
    pub(crate) committed: Seq,
    pub(crate) dropped_to: Seq,
    pub(crate) catalogue: Arc<Catalogue>,
}

impl Shared {
    pub(crate) fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&self.catalogue.read())
    }

    pub(crate) fn dropped_to(&self) -> Seq {
        self.dropped_to.load(Ordering::Acquire)
    }

    /// The log now. Rows committed later are not in it.
    pub(crate) fn snapshot(&self) -> Snapshot {
        // In this order: every row up to `committed` is in the segments, and its point in the catalogue.
        let committed = *self.committed.borrow();
        let segments = self.segments.now();
        let dropped_to = self.dropped_to();
        Snapshot { segments, committed, dropped_to, catalogue: self.catalogue() }
    }

    /// Checks readings before they are queued: each names a point, and its value is of the point's kind.
    pub(crate) fn check(&self, readings: &[Reading]) -> Result<(), LogError> {
        let catalogue = self.catalogue();
        for reading in readings {
            let point = catalogue.by_id(reading.point).ok_or(LogError::UnknownPoint { point: reading.point })?;
            if let Some(value) = &reading.value
                && value.kind() != point.info.kind
            {
                return Err(LogError::KindMismatch {
                    connection: Arc::clone(&point.connection),
                    name: point.info.name.clone(),
                    expected: point.info.kind,
                    found: value.kind(),
                });
            }
        }
        Ok(())
    }

    /// What its files take now.
    pub(crate) fn usage(&self) -> Result<Usage, LogError> {
        Usage::now(&*self.files, &self.config.dir, self.dropped_to())
    }

    /// Gives the oldest damaged file that is kept aside up for room. False: there is none that could be.
    pub(crate) fn give_up_damaged(&self) -> bool {
        match give_up_oldest(&*self.files, &self.config.dir) {
            Ok(given_up) => {
                self.counters.damaged_given_up.fetch_add(u64::from(given_up.is_some()), Ordering::Relaxed);
                given_up.is_some()
            }
            Err(error) => {
                tracing::warn!(%error, "a damaged file that is kept aside cannot be removed to make room");
                false
            }
        }
    }

    /// Makes the reserve. False: there is no room for it.
    pub(crate) fn make_reserve(&self) -> bool {
        self.reserve.make().inspect_err(|error| tracing::warn!(%error, "the log's reserve cannot be made yet")).is_ok()
    }

    /// Records gaps and counts them.
    pub(crate) fn note_gaps(&self, gaps: Vec<Gap>) -> Result<(), LogError> {
        self.state.note_gaps(gaps.clone())?;
        self.counters.count_gaps(&gaps);
        Ok(())
    }

    /// Has a segment salvaged if an error says that it is damaged.
    pub(crate) fn note_damage(&self, segment: &Segment, error: &LogError) {
        let error = self.readers.judge(segment, error.clone());
        tracing::debug!(%error, "found while reading");
    }

    /// Salvages a segment that is known to be damaged and is not the one being appended to, and puts what could be read in
    /// its place.
    pub(crate) fn salvage(
        self: &Arc<Self>,
        segment: &Arc<Segment>,
        last_commit: Option<Timestamp>,
    ) -> Result<(), LogError> {
        let catalogue = self.catalogue();
        let surgery =
            Surgery { files: &*self.files, log_id: self.id.as_str(), catalogue: &catalogue, state: &self.state };
        let patient = Patient {
            path: &segment.path,
            start: segment.start,
            file: segment.file(),
            last: segment.sealed_last().or_else(|| self.segments.next_start(segment.start).map(|next| next - 1)),
            last_commit: last_commit.unwrap_or_else(crate::clock::now),
        };
        let salvaged = salvage(&surgery, &patient)?;
        salvage::tell(&segment.path, "see above", &salvaged);
        self.counters.files_damaged.fetch_add(1, Ordering::Relaxed);
        self.counters.count_gaps(&salvaged.gaps);
        let new = salvaged
            .replacement
            .and_then(|sealed| Segment::new(&self.config.dir, sealed.file, sealed.bytes, Arc::clone(&self.files)));
        self.segments.swap(segment.start, new.clone());
        self.readers.forget(segment.start, segment.is_sealed());
        match new {
            Some(new) => crate::open::note_latest_of(self, &new),
            None => Ok(()),
        }
    }

    /// What a sealed segment says of itself; none for one that is not sealed.
    pub(crate) fn summary(&self, segment: &Arc<Segment>) -> Result<Option<Summary>, LogError> {
        self.readers.summary(segment)
    }

    pub(crate) fn latest(&self, point: PointId) -> Option<Row> {
        let kept = self.latest.read().get(point)?;
        self.whole(kept)
    }

    pub(crate) fn latest_all(&self) -> Vec<Row> {
        let catalogue = self.catalogue();
        let kept = self.latest.read().all(|point| catalogue.is_current(point));
        kept.into_iter().filter_map(|kept| self.whole(kept)).collect()
    }

    /// A latest row with its value, fetched from its segment when it was too heavy to keep.
    fn whole(&self, kept: crate::latest::LatestRow) -> Option<Row> {
        if !kept.on_disk {
            return Some(kept.row);
        }
        let snapshot = self.snapshot();
        let filter = crate::scan::RowFilter::one(kept.row.seq);
        let mut scan = crate::scan::Scan::new(&snapshot, filter, Arc::clone(&self.readers));
        match scan.next().and_then(|stored| stored.map(|stored| snapshot.row(stored)).transpose()) {
            Ok(row) => row,
            Err(error) => {
                tracing::warn!(point = kept.row.reading.point.0, %error, "a latest value cannot be read");
                None
            }
        }
    }

    pub(crate) fn stats(&self) -> LogStats {
        let segments = self.segments.now();
        let counters = &self.counters;
        let usage = self.usage().unwrap_or_default();
        let first = segments.first().map_or(0, |first| match self.summary(first) {
            Ok(Some(summary)) => summary.first,
            _ => first.start,
        });
        LogStats {
            rows_committed: counters.rows_committed.load(Ordering::Relaxed),
            commits: counters.commits.load(Ordering::Relaxed),
            commits_failed: counters.commits_failed.load(Ordering::Relaxed),
            last_commit: Duration::from_nanos(counters.last_commit_ns.load(Ordering::Relaxed)),
            segments: segments.len(),
            segments_unsealed: self.segments.backlog(),
            sealings_failed: counters.sealings_failed.load(Ordering::Relaxed),
            segments_dropped: counters.segments_dropped.load(Ordering::Relaxed),
            rows_dropped: counters.rows_dropped.load(Ordering::Relaxed),
            segments_abandoned: counters.segments_abandoned.load(Ordering::Relaxed),
            refused_when_full: counters.refused_when_full.load(Ordering::Relaxed),
            longest_pause: Duration::from_nanos(counters.longest_pause_ns.load(Ordering::Relaxed)),
            rows_expired: counters.rows_expired.load(Ordering::Relaxed),
            bytes_on_disk: self.bytes_on_disk().unwrap_or(0),
            bytes_of_files: usage.files,
            max_bytes: self.config.max_bytes,
            disk_free_bytes: usage.free,
            has_reserve: usage.has_reserve,
            first_available: first.max(self.dropped_to() + 1),
            last: *self.committed.borrow(),
            queue_bytes: 0,
            segments_read: self.readers.handed_out(),
            rows_read: self.readers.rows_read(),
            skipped_at_open: self.skipped_at_open,
            bytes_set_aside: bytes_aside(&*self.files, &self.config.dir),
            damaged_given_up: counters.damaged_given_up.load(Ordering::Relaxed),
            files_damaged: counters.files_damaged.load(Ordering::Relaxed),
            gaps: counters.gaps.load(Ordering::Relaxed),
            gap_rows: counters.gap_rows.load(Ordering::Relaxed),
            gaps_of_unknown_rows: counters.gaps_of_unknown_rows.load(Ordering::Relaxed),
        }
    }

    /// Bytes of the segments, WAL files included. A retired one that a reader still holds does not count.
    pub(crate) fn bytes_on_disk(&self) -> Result<u64, LogError> {
        let dir = &self.config.dir;
        let entries = self.files.list(dir).map_err(io_error("list", dir))?;
        let bytes_of = |segment: &Arc<Segment>| match (&segment.knowledge, segment.path.file_name()) {
            (Knowledge::Sealed { bytes, .. }, _) => *bytes,
            (_, Some(name)) => {
                let name = name.to_string_lossy();
                entries.iter().filter(|entry| entry.name.starts_with(&*name)).map(|entry| entry.bytes).sum()
            }
            (_, None) => 0,
        };
        Ok(self.segments.now().iter().map(bytes_of).sum())
    }
}

impl Snapshot {
    /// A stored row as a reading.
    pub(crate) fn row(&self, stored: StoredRow) -> Result<Row, LogError> {
        let point = PointId(stored.point);
        let damaged = |what: String| LogError::Format { path: stored.path.to_path_buf(), what };
        let kind = self.catalogue.by_id(point).ok_or(LogError::UnknownPoint { point })?.info.kind;
        let value = from_sql(kind, (&stored.value).into())
            .ok_or_else(|| damaged(format!("seq {} has a value that is no {kind}", stored.seq)))?;
        let reading = Reading { point, time: Timestamp(stored.time), status: Status(stored.status), value };
        Ok(Row { seq: loaded_seq(stored.seq), reading })
    }
}

/// What is known in memory of a segment's rows: false only when none can match.
pub(crate) fn may_hold(segment: &Segment, point: Option<u32>, time_from: i64, time_to: i64) -> bool {
    let overlaps = |min: i64, max: i64| min <= time_to && max >= time_from;
    match &segment.knowledge {
        Knowledge::Live(live) => {
            let live = live.lock();
            live.rows > 0 && overlaps(live.min_time, live.max_time) && point.is_none_or(|point| live.has_point(point))
        }
        Knowledge::Unread => true,
        Knowledge::Sealed { summary, .. } => {
            summary.get().is_none_or(|summary| overlaps(summary.min_time, summary.max_time))
        }
    }
}

/// Reads and checks what a sealed segment says of itself.
pub(crate) fn load_summary(
    segment: &Segment,
    connection: &rusqlite::Connection,
    log_id: &LogId,
) -> Result<Summary, LogError> {
    check(connection, &segment.path, log_id.as_str())?;
    read_summary(connection, &segment.path)
}
