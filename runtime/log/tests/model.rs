//! The log against a `Vec`: whatever is appended, refused, sealed, dropped for room, closed, cut off and reopened in whatever
//! order, both show the same, and what is gone is told.
#![allow(clippy::unwrap_used, reason = "a failure of a test's own step is to end it")]

mod harness;

use bulkhead_log::{FileEntry, FileOps, GapReason, Log, LogConfig, LogError, Row, SqlValue, SystemFiles, WhenFull};
use bulkhead_model::{PointId, Reading, Timestamp};
use harness::{config, declare, reading, seqs, within};
use proptest::prelude::*;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const POINTS: usize = 4;

/// One thing done to the log or asked of it.
#[derive(Clone, Debug)]
enum Step {
    Append {
        pairs: Vec<(usize, i64)>,
        when_full: WhenFull,
    },
    /// The disk has room from now on, or none.
    Disk {
        has_room: bool,
    },
    /// A route moves its cursor to somewhere in the log.
    MoveCursor(u64),
    Seal,
    Close,
    /// Ends without closing in order, as far as a living process can: the last handle is dropped.
    Drop,
    /// The process is killed: its files stay as they are, and another one opens them.
    Kill,
    Read {
        after: u64,
        limit: usize,
    },
    History {
        point: usize,
        from: Option<i64>,
        to: Option<i64>,
        after: u64,
        limit: usize,
    },
    Query {
        point: usize,
        from: i64,
        descending: bool,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let times = -20..20_i64;
    let step = prop_oneof![
        6 => (prop::collection::vec((0..POINTS, times.clone()), 0..12), prop::bool::weighted(0.3)).prop_map(
            |(pairs, refuse)| Step::Append {
                pairs,
                when_full: if refuse { WhenFull::Refuse } else { WhenFull::DropOldest },
            }
        ),
        2 => Just(Step::Seal),
        1 => Just(Step::Kill),
        3 => prop::bool::weighted(0.4).prop_map(|has_room| Step::Disk { has_room }),
        1 => (0..80_u64).prop_map(Step::MoveCursor),
        1 => Just(Step::Close),
        1 => Just(Step::Drop),
        3 => (0..80_u64, 0..30_usize).prop_map(|(after, limit)| Step::Read { after, limit }),
        3 => (0..POINTS, prop::option::of(times.clone()), prop::option::of(times.clone()), 0..80_u64, 0..30_usize)
            .prop_map(|(point, from, to, after, limit)| Step::History { point, from, to, after, limit }),
        2 => (0..POINTS, times, any::<bool>())
            .prop_map(|(point, from, descending)| Step::Query { point, from, descending }),
    ];
    prop::collection::vec(step, 1..25)
}

/// The system's files on a disk whose free space is what the test says.
#[derive(Debug)]
struct Disk {
    free: AtomicU64,
}

impl FileOps for Disk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        SystemFiles.create_dir(dir)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<FileEntry>> {
        SystemFiles.list(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        SystemFiles.rename(from, to)
    }
    fn remove(&self, file: &Path) -> io::Result<()> {
        SystemFiles.remove(file)
    }
    fn sync_file(&self, file: &Path) -> io::Result<()> {
        SystemFiles.sync_file(file)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        SystemFiles.sync_dir(dir)
    }
    fn free_bytes(&self, _: &Path) -> io::Result<u64> {
        Ok(self.free.load(Ordering::SeqCst))
    }
}

fn open(dir: &Path, disk: &Arc<Disk>) -> (Log, Vec<PointId>) {
    // Segments of a few rows, so that reads cross them.
    let config = LogConfig { segment_max_rows: 9, commit_max_ms: 0, reserve_bytes: 0, ..config(dir) };
    let log = config.open_with(disk.clone()).unwrap();
    let points = declare(&log, POINTS);
    (log, points)
}

/// What a killed process would have left: its files as they are now, without what only memory held.
fn copy_as_killed(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name != "lock" && !name.ends_with("-shm") {
            std::fs::copy(entry.path(), to.join(name)).unwrap();
        }
    }
}

/// What must be in the log.
#[derive(Default)]
struct Model {
    rows: Vec<Row>,
    /// Everything up to here has been dropped.
    dropped_to: u64,
    cursor: u64,
    /// The number of the last gap that was looked at.
    gaps_seen: u64,
}

impl Model {
    fn kept(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.seq > self.dropped_to)
    }

    fn last(&self) -> u64 {
        self.rows.last().map_or(0, |row| row.seq)
    }

    /// Learns what the log has dropped, and checks that it tells of it what it must.
    fn follow_drops(&mut self, log: &Log) {
        let dropped_to = match log.read(0, 0) {
            Err(LogError::Gone { after: 0, first_available }) => first_available - 1,
            other => {
                assert_eq!(other.unwrap(), []);
                0
            }
        };
        assert!(dropped_to >= self.dropped_to, "what was dropped does not come back");
        let gaps = log.gaps(self.gaps_seen, 1000).unwrap();
        self.gaps_seen = gaps.last().map_or(self.gaps_seen, |gap| gap.id);
        let missed: Vec<_> = gaps.into_iter().filter(|gap| gap.reason != GapReason::SkippedAtOpen).collect();
        for gap in &missed {
            assert_eq!((gap.reason, &gap.routes[..]), (GapReason::DroppedWhenFull, &["route".to_owned()][..]));
            assert!(gap.first > self.dropped_to && gap.last <= dropped_to && gap.last > self.cursor);
            let rows = self.rows.iter().filter(|row| (gap.first..=gap.last).contains(&row.seq)).count();
            assert_eq!(gap.rows, Some(rows as u64));
        }
        let dropped = self.rows.iter().filter(|row| row.seq > self.dropped_to && row.seq <= dropped_to);
        for row in dropped.filter(|row| row.seq > self.cursor) {
            assert!(missed.iter().any(|gap| (gap.first..=gap.last).contains(&row.seq)), "{} was missed", row.seq);
        }
        self.dropped_to = dropped_to;
    }
}

/// What a query by point and time is to give.
fn expected_query(model: &[Row], point: PointId, from: i64, descending: bool) -> Vec<u64> {
    let matching = model.iter().filter(|row| row.reading.point == point && row.reading.time.0 >= from);
    let mut found: Vec<u64> = matching.map(|row| row.seq).collect();
    if descending {
        found.reverse();
    }
    found
}

fn query(log: &Log, point: PointId, from: i64, descending: bool) -> Vec<u64> {
    let order = if descending { "DESC" } else { "ASC" };
    let sql = format!("SELECT seq FROM readings WHERE point = ?1 AND time >= ?2 ORDER BY seq {order}");
    let params = [SqlValue::Integer(i64::from(point.0)), SqlValue::Integer(from)];
    let rows = log.query().unwrap().collect(&sql, &params, usize::MAX).unwrap();
    let seq_of = |row: Vec<SqlValue>| if let SqlValue::Integer(seq) = row[0] { seq.unsigned_abs() } else { 0 };
    rows.into_iter().map(seq_of).collect()
}

async fn run(steps: Vec<Step>) {
    let root = tempfile::tempdir().unwrap();
    let mut dir = root.path().join("log 0");
    let disk = Arc::new(Disk { free: AtomicU64::new(u64::MAX) });
    let (mut log, points) = open(&dir, &disk);
    log.set_cursor("route", 0).unwrap();
    let mut model = Model::default();
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Append { pairs, when_full } => {
                let readings: Vec<Reading> =
                    pairs.iter().map(|(point, time)| reading(points[*point], *time, *time as f64)).collect();
                let mut pending = within(log.appender(when_full).submit(readings.clone())).await.unwrap();
                match within(pending.settled()).await {
                    Ok(committed) => {
                        assert!(committed.first > model.last());
                        let rows = (committed.first..).zip(readings).map(|(seq, reading)| Row { seq, reading });
                        model.rows.extend(rows);
                    }
                    Err(refused) => {
                        // What the log thinks of its disk may be a moment old.
                        assert!(refused.error.is_full(), "{}", refused.error);
                        assert_eq!(refused.readings, readings);
                    }
                }
            }
            Step::Disk { has_room } => disk.free.store(if has_room { u64::MAX } else { 0 }, Ordering::SeqCst),
            Step::MoveCursor(seq) => {
                let seq = seq.min(model.last());
                log.set_cursor("route", seq).unwrap();
                // Drops that the sealer made before are of the cursor's former place.
                model.follow_drops(&log);
                model.cursor = seq;
            }
            Step::Seal => within(log.seal()).await.unwrap(),
            Step::Close => {
                within(log.close()).await.unwrap();
                log = open(&dir, &disk).0;
            }
            Step::Drop => {
                drop(log);
                log = open(&dir, &disk).0;
            }
            Step::Kill => {
                // The sealer must be at rest while files are copied; a kill in its midst is another test's.
                within(log.seal()).await.unwrap();
                let copy = root.path().join(format!("log {}", number + 1));
                copy_as_killed(&dir, &copy);
                drop(log);
                dir = copy;
                log = open(&dir, &disk).0;
                assert!(log.stats().skipped_at_open.is_some_and(|(first, _)| first > model.last()));
            }
            Step::Read { after, limit } => {
                model.follow_drops(&log);
                let expected: Vec<Row> = model.kept().filter(|row| row.seq > after).take(limit).cloned().collect();
                match log.read(after, limit) {
                    Ok(rows) => assert_eq!(rows, expected),
                    Err(LogError::Gone { first_available, .. }) => {
                        assert!(after < model.dropped_to && first_available == model.dropped_to + 1);
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            Step::History { point, from, to, after, limit } => {
                model.follow_drops(&log);
                let matches = |row: &&Row| {
                    row.reading.point == points[point]
                        && row.seq > after
                        && from.is_none_or(|from| row.reading.time.0 >= from)
                        && to.is_none_or(|to| row.reading.time.0 < to)
                };
                let expected: Vec<Row> = model.kept().filter(matches).take(limit).cloned().collect();
                let (from, to) = (from.map(Timestamp), to.map(Timestamp));
                assert_eq!(log.history(points[point], from, to, after, limit).unwrap(), expected);
            }
            Step::Query { point, from, descending } => {
                model.follow_drops(&log);
                let kept: Vec<Row> = model.kept().cloned().collect();
                let expected = expected_query(&kept, points[point], from, descending);
                assert_eq!(query(&log, points[point], from, descending), expected);
            }
        }
        if disk.free.load(Ordering::SeqCst) == 0 {
            // The sealer drops ahead of need; nothing is looked at while it may.
            within(log.seal()).await.unwrap();
        }
        model.follow_drops(&log);
        assert_eq!(*log.committed().borrow(), model.last());
        assert_eq!(log.cursor("route").unwrap(), Some(model.cursor));
    }
    let newest_of = |point: &PointId| {
        model.kept().filter(|row| row.reading.point == *point).max_by_key(|row| (row.reading.time.0, row.seq)).cloned()
    };
    let latest: Vec<Row> = points.iter().filter_map(newest_of).collect();
    // Older segments are looked through behind the back of `open`: a report of the sealer comes after that.
    within(log.seal()).await.unwrap();
    // A latest reading outlives its segment until the next start.
    let known = log.latest_all();
    let kept: Vec<&Row> = known.iter().filter(|row| row.seq > model.dropped_to).collect();
    assert!(kept.iter().all(|row| latest.contains(row)), "{kept:?} are not among {latest:?}");
    let place = |row: &Row| (row.reading.time.0, row.seq);
    for row in &latest {
        let shown = known.iter().find(|shown| shown.reading.point == row.reading.point).unwrap();
        assert!(shown == row || place(shown) > place(row), "{shown:?} is shown for {row:?}");
    }
    let kept: Vec<Row> = model.kept().cloned().collect();
    assert_eq!(seqs(&log.read(model.dropped_to, usize::MAX).unwrap()), seqs(&kept));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_log_shows_what_a_vec_would(steps in steps()) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run(steps));
    }
}
