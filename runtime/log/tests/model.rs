//! The log against a `Vec`: whatever is appended, sealed and reopened in whatever order, both show the same.
#![allow(clippy::unwrap_used, reason = "a failure of a test's own step is to end it")]

mod harness;

use bulkhead_log::{Log, LogConfig, Row, SqlValue};
use bulkhead_model::{PointId, Reading, Timestamp};
use harness::{config, declare, reading, seqs, within};
use proptest::prelude::*;
use std::path::Path;

const POINTS: usize = 4;

/// One thing done to the log or asked of it.
#[derive(Clone, Debug)]
enum Step {
    Append(Vec<(usize, i64)>),
    Seal,
    Close,
    /// Ends without closing in order, as far as a living process can: the last handle is dropped.
    Drop,
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
        5 => prop::collection::vec((0..POINTS, times.clone()), 0..12).prop_map(Step::Append),
        2 => Just(Step::Seal),
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

fn open(dir: &Path) -> (Log, Vec<PointId>) {
    // Segments of a few rows, so that reads cross them.
    let log = LogConfig { segment_max_rows: 9, commit_max_ms: 0, ..config(dir) }.open().unwrap();
    let points = declare(&log, POINTS);
    (log, points)
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
    let dir = tempfile::tempdir().unwrap();
    let (mut log, points) = open(dir.path());
    let mut model: Vec<Row> = Vec::new();
    for step in steps {
        match step {
            Step::Append(pairs) => {
                let readings: Vec<Reading> =
                    pairs.iter().map(|(point, time)| reading(points[*point], *time, *time as f64)).collect();
                let committed = within(log.append(readings.clone())).await.unwrap();
                assert!(committed.first > model.last().map_or(0, |row| row.seq));
                model.extend((committed.first..).zip(readings).map(|(seq, reading)| Row { seq, reading }));
            }
            Step::Seal => within(log.seal()).await.unwrap(),
            Step::Close => {
                within(log.close()).await.unwrap();
                log = open(dir.path()).0;
            }
            Step::Drop => {
                drop(log);
                log = open(dir.path()).0;
            }
            Step::Read { after, limit } => {
                let expected: Vec<Row> = model.iter().filter(|row| row.seq > after).take(limit).cloned().collect();
                assert_eq!(log.read(after, limit).unwrap(), expected);
            }
            Step::History { point, from, to, after, limit } => {
                let matches = |row: &&Row| {
                    row.reading.point == points[point]
                        && row.seq > after
                        && from.is_none_or(|from| row.reading.time.0 >= from)
                        && to.is_none_or(|to| row.reading.time.0 < to)
                };
                let expected: Vec<Row> = model.iter().filter(matches).take(limit).cloned().collect();
                let (from, to) = (from.map(Timestamp), to.map(Timestamp));
                assert_eq!(log.history(points[point], from, to, after, limit).unwrap(), expected);
            }
            Step::Query { point, from, descending } => {
                let expected = expected_query(&model, points[point], from, descending);
                assert_eq!(query(&log, points[point], from, descending), expected);
            }
        }
        assert_eq!(*log.committed().borrow(), model.last().map_or(0, |row| row.seq));
    }
    let latest: Vec<Row> =
        points.iter().filter_map(|point| model.iter().rfind(|row| row.reading.point == *point).cloned()).collect();
    // Older segments are looked through behind the back of `open`: a report of the sealer comes after that.
    within(log.seal()).await.unwrap();
    assert_eq!(log.latest_all(), latest);
    assert_eq!(seqs(&log.read(0, usize::MAX).unwrap()), seqs(&model));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_log_shows_what_a_vec_would(steps in steps()) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run(steps));
    }
}
