//! Appending: order, group commit, refusal of readings that would be stored as something false.
#![allow(clippy::unwrap_used, reason = "a failure of a test's own step is to end it")]

mod harness;

use bulkhead_log::{Committed, LogConfig, LogError};
use bulkhead_model::{Kind, PointId, PointInfo, Reading, Status, Timestamp, Value};
use harness::{all_rows, append, config, declare, reading, readings, seqs, within};
use std::time::Duration;

#[tokio::test]
async fn readings_come_back_in_order_under_consecutive_seqs() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(dir.path()).open().unwrap();
    let points = declare(&log, 3);
    let (first, second) = (readings(&points, 100, 7), readings(&points, 50, 5));
    assert_eq!(append(&log, first.clone()).await, Committed { first: 1, last: 7 });
    assert_eq!(append(&log, second.clone()).await, Committed { first: 8, last: 12 });
    assert_eq!(append(&log, Vec::new()).await, Committed { first: 13, last: 12 });
    assert_eq!(*log.committed().borrow(), 12);
    let rows = all_rows(&log);
    assert_eq!(seqs(&rows), (1..=12).collect::<Vec<_>>());
    let stored: Vec<Reading> = rows.into_iter().map(|row| row.reading).collect();
    assert_eq!(stored, [first, second].concat());
}

#[tokio::test]
async fn a_group_is_committed_when_it_has_enough_rows() {
    let dir = tempfile::tempdir().unwrap();
    let patient = LogConfig { commit_max_ms: 600_000, commit_max_rows: 100, ..LogConfig::new(dir.path()) };
    let log = patient.open().unwrap();
    let points = declare(&log, 1);
    let mut pending = Vec::new();
    for batch in 0..10 {
        pending.push(within(log.submit(readings(&points, batch * 10, 10))).await.unwrap());
    }
    for (batch, pending) in (0..).zip(pending) {
        let committed = within(pending.committed()).await.unwrap();
        assert_eq!(committed, Committed { first: batch * 10 + 1, last: batch * 10 + 10 });
    }
    assert_eq!(log.stats().commits, 1);
}

#[tokio::test]
async fn a_lone_append_is_committed_when_its_time_is_up_and_those_within_it_share_the_commit() {
    let dir = tempfile::tempdir().unwrap();
    let log = LogConfig { commit_max_ms: 700, ..LogConfig::new(dir.path()) }.open().unwrap();
    let points = declare(&log, 1);
    let pending = [
        within(log.submit(readings(&points, 0, 1))).await.unwrap(),
        within(log.submit(readings(&points, 1, 1))).await.unwrap(),
        within(log.submit(readings(&points, 2, 1))).await.unwrap(),
    ];
    assert_eq!(log.stats().rows_committed, 0, "the group waits for its time");
    for pending in pending {
        within(pending.committed()).await.unwrap();
    }
    let stats = log.stats();
    assert_eq!((stats.commits, stats.rows_committed), (1, 3));
}

#[tokio::test]
async fn a_full_queue_makes_appends_wait_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(dir.path()).open().unwrap();
    let point = log.declare("c", &[PointInfo::new("photo", Kind::Bytes)]).unwrap()[0];
    let value = Some(Value::Bytes(vec![7; 3 << 20]));
    let photo = Reading { point, time: Timestamp(1), status: Status::GOOD, value };
    let mut pending = Vec::new();
    for _ in 0..6 {
        pending.push(within(log.submit(vec![photo.clone()])).await.unwrap());
        assert!(log.stats().queue_bytes <= 8 << 20);
    }
    for pending in pending {
        within(pending.committed()).await.unwrap();
    }
    let rows = log.read(0, 100).unwrap();
    assert_eq!(rows.len(), 6);
    assert!(rows.iter().all(|row| row.reading == photo));
    assert_eq!(log.latest(point).unwrap().reading, photo, "a heavy latest value comes from disk");
}

#[tokio::test]
async fn readings_that_do_not_fit_their_point_are_refused_whole_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(dir.path()).open().unwrap();
    let points = declare(&log, 1);
    let wrong = Reading { value: Some(Value::Integer(3)), ..reading(points[0], 1, 0.0) };
    let error = within(log.append(vec![reading(points[0], 1, 1.0), wrong])).await.unwrap_err();
    assert_eq!(error.to_string(), "point `p0` of connection `c` takes real values, a reading brought integer");
    let error = within(log.append(vec![reading(PointId(99), 1, 1.0)])).await.unwrap_err();
    assert!(matches!(error, LogError::UnknownPoint { point: PointId(99) }));
    assert!(log.read(0, 10).unwrap().is_empty());
    let bad = Reading { status: Status::BAD_TIMEOUT, value: None, ..reading(points[0], 1, 0.0) };
    append(&log, vec![bad.clone()]).await;
    assert_eq!(log.read(0, 10).unwrap()[0].reading, bad);
}

#[tokio::test]
async fn a_follower_is_woken_by_each_commit_and_reads_from_memory() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(dir.path()).open().unwrap();
    let points = declare(&log, 2);
    let mut committed = log.committed();
    let follower = tokio::spawn({
        let log = log.clone();
        async move {
            let mut seen = Vec::new();
            while seen.len() < 500 {
                within(committed.changed()).await.unwrap();
                let after = seen.last().copied().unwrap_or(0);
                seen.extend(seqs(&log.read(after, 1000).unwrap()));
            }
            seen
        }
    });
    for batch in 0..50 {
        append(&log, readings(&points, batch, 10)).await;
    }
    assert_eq!(within(follower).await.unwrap(), (1..=500).collect::<Vec<_>>());
    assert_eq!(log.stats().rows_read, 0, "following touches no disk");
}

#[tokio::test]
async fn concurrent_appends_are_each_whole() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(dir.path()).open().unwrap();
    let points = declare(&log, 8);
    let tasks: Vec<_> = points
        .iter()
        .map(|point| {
            let (log, point) = (log.clone(), *point);
            tokio::spawn(async move {
                for batch in 0..20 {
                    append(&log, readings(&[point], batch * 5, 5)).await;
                }
            })
        })
        .collect();
    for task in tasks {
        within(task).await.unwrap();
    }
    let rows = all_rows(&log);
    assert_eq!(seqs(&rows), (1..=800).collect::<Vec<_>>());
    for batch in rows.chunks(5) {
        assert!(batch.iter().all(|row| row.reading.point == batch[0].reading.point));
    }
    for point in points {
        let times: Vec<i64> =
            rows.iter().filter(|row| row.reading.point == point).map(|row| row.reading.time.0).collect();
        assert_eq!(times, (0..100).collect::<Vec<_>>(), "order per point");
    }
}

#[tokio::test]
async fn a_closed_log_refuses_appends_and_lets_the_folder_go() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(dir.path()).open().unwrap();
    let points = declare(&log, 1);
    let other = log.clone();
    let waiting = within(log.submit(readings(&points, 0, 3))).await.unwrap();
    assert!(matches!(config(dir.path()).open(), Err(LogError::InUse { .. })));
    within(log.close()).await.unwrap();
    assert_eq!(within(waiting.committed()).await.unwrap(), Committed { first: 1, last: 3 }, "what was queued is kept");
    let refused = tokio::time::timeout(Duration::from_secs(5), other.append(readings(&points, 0, 1))).await.unwrap();
    assert!(matches!(refused, Err(LogError::Closed)));
    assert_eq!(other.read(0, 10).unwrap().len(), 3);
    drop(other);
    assert_eq!(all_rows(&config(dir.path()).open().unwrap()).len(), 3);
}
