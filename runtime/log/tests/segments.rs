//! Segments: sealing changes nothing a reader sees, bounds reach only the segments they must, retention drops segments
//! whole and says so.
#![allow(clippy::unwrap_used, reason = "a failure of a test's own step is to end it")]

mod harness;

use bulkhead_log::{Expired, Log, LogConfig, LogError, Query, Row, SqlValue};
use bulkhead_model::{Kind, PointId, PointInfo, Reading, Timestamp, Value};
use harness::{STATE_GROWTH_BYTES, all_rows, append, config, declare, reading, readings, segment_files, seqs, within};
use std::path::Path;

/// A log of sealed segments of 100 rows: points 0 to 19 in the first `segments`, point 20 in one more.
async fn sealed_log(dir: &Path, segments: i64) -> (Log, Vec<PointId>) {
    let log = LogConfig { segment_max_rows: 100, ..config(dir) }.open().unwrap();
    let points = declare(&log, 21);
    for segment in 0..segments {
        append(&log, readings(&points[..20], segment * 100, 100)).await;
    }
    append(&log, readings(&points[20..], segments * 100, 100)).await;
    within(log.seal()).await.unwrap();
    (log, points)
}

/// A reading of 8 KiB that no compression makes smaller.
fn image(point: PointId, time: i64) -> Reading {
    let mut state = time.unsigned_abs() + 1;
    let mut next = || {
        // Xorshift: not random, but without a pattern.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let bytes: Vec<u8> = (0..1024).flat_map(|_| next()).collect();
    Reading { value: Some(Value::Bytes(bytes)), ..reading(point, time, 0.0) }
}

/// How many times a segment was looked into, and how many rows were read, while something ran.
fn reads<T>(log: &Log, run: impl FnOnce() -> T) -> (T, u64, u64) {
    let before = log.stats();
    let result = run();
    let after = log.stats();
    (result, after.segments_read - before.segments_read, after.rows_read - before.rows_read)
}

fn integers(query: &Query, sql: &str, params: &[i64]) -> Vec<i64> {
    let params: Vec<SqlValue> = params.iter().copied().map(SqlValue::Integer).collect();
    let rows = query.collect(sql, &params, usize::MAX).unwrap();
    rows.into_iter()
        .map(|row| match row[0] {
            SqlValue::Integer(number) => number,
            ref other => panic!("{other:?} is no integer"),
        })
        .collect()
}

#[tokio::test]
async fn sealing_changes_nothing_a_reader_sees() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(dir.path()).open().unwrap();
    let points = declare(&log, 5);
    append(&log, readings(&points, 1000, 300)).await;
    append(&log, readings(&points, 0, 300)).await;
    within(log.clone().close()).await.unwrap();
    drop(log);
    // Opened anew, so that nothing comes from memory.
    let log = config(dir.path()).open().unwrap();
    let see = |log: &Log| {
        let history = log.history(points[2], Some(Timestamp(100)), Some(Timestamp(1100)), 50, 1000).unwrap();
        let query = log.query().unwrap();
        let sql = "SELECT seq, point, time, status, value FROM readings WHERE time < 1100 ORDER BY time DESC, seq";
        (all_rows(log), history, query.collect(sql, &[], usize::MAX).unwrap(), log.latest_all())
    };
    let open = see(&log);
    assert_eq!((open.0.len(), open.1.len(), open.2.len()), (600, 50, 400));
    within(log.seal()).await.unwrap();
    assert_eq!(see(&log), open);
    assert_eq!(segment_files(dir.path()).iter().filter(|name| !name.contains("open")).count(), 1);
    assert!(!dir.path().join("seg-00000000000000000001.open.db").exists(), "the open twin has gone");
    drop(log);
    assert_eq!(see(&config(dir.path()).open().unwrap()), open);
}

#[tokio::test]
async fn segments_are_closed_by_rows_and_by_age() {
    let dir = tempfile::tempdir().unwrap();
    let (log, points) = sealed_log(dir.path(), 3).await;
    assert_eq!(log.stats().segments, 5, "four of 100 rows and an open one");
    append(&log, readings(&points, 0, 1)).await;
    let in_two_days =
        Timestamp::from_system_time(std::time::SystemTime::now() + std::time::Duration::from_secs(172_800));
    log.apply_retention(in_two_days).unwrap();
    within(log.seal()).await.unwrap();
    assert_eq!(log.stats().segments, 6, "the one row was old enough");
    assert_eq!(seqs(&all_rows(&log)), (1..=401).collect::<Vec<_>>());
}

#[tokio::test]
async fn bounds_reach_only_the_segments_and_rows_they_must() {
    let dir = tempfile::tempdir().unwrap();
    let (log, points) = sealed_log(dir.path(), 9).await;
    let query = log.query().unwrap();
    let run = |sql: &str, params: &[i64]| reads(&log, || integers(&query, sql, params));

    let (found, segments, rows) = run("SELECT seq FROM readings WHERE seq > ?1 AND seq <= ?2", &[350, 360]);
    assert_eq!(found, (351..=360).collect::<Vec<_>>());
    assert_eq!((segments, rows), (1, 10));

    let (found, segments, rows) = run("SELECT time FROM readings WHERE time BETWEEN ?1 AND ?2", &[540, 560]);
    assert_eq!(found, (540..=560).collect::<Vec<_>>());
    assert_eq!((segments, rows), (1, 21), "other segments' times are known without looking");

    let point = i64::from(points[7].0);
    let (found, _, rows) = run("SELECT seq FROM readings WHERE point = ?1", &[point]);
    assert_eq!(found, (0..45).map(|index| index * 20 + 8).collect::<Vec<_>>());
    assert_eq!(rows, 45, "no other point's rows were read");

    let (found, segments, rows) =
        run("SELECT seq FROM readings WHERE point = ?1 AND time >= ?2 AND time < ?3", &[point, 300, 400]);
    assert_eq!(found, [308, 328, 348, 368, 388]);
    assert_eq!((segments, rows), (1, 5));

    let (found, segments, _) = run("SELECT seq FROM readings ORDER BY seq DESC LIMIT 3", &[]);
    assert_eq!(found, [1000, 999, 998]);
    assert_eq!(segments, 1, "the order by seq is the scan's own");

    let (found, _, rows) =
        run("SELECT r.seq FROM points p JOIN readings r ON r.point = p.id WHERE p.name = 'p20' AND r.seq < ?1", &[903]);
    assert_eq!(found, [901, 902]);
    assert_eq!(rows, 2, "a join looks the point's rows up");

    let (found, _, _) = run("SELECT count(*) FROM readings WHERE point IN (?1, 20) AND time > '350'", &[point]);
    assert_eq!(found, [27 + 100], "a list, and a text that SQLite compares as a number");
    assert_eq!(run("SELECT seq FROM readings WHERE time > NULL", &[]).0, [0; 0]);
    assert_eq!(run("SELECT seq FROM readings WHERE seq > 999.5", &[]).0, [1000]);
}

#[tokio::test]
async fn history_pages_by_seq_over_segments() {
    let dir = tempfile::tempdir().unwrap();
    let (log, points) = sealed_log(dir.path(), 5).await;
    append(&log, readings(&points[..2], 0, 4)).await;
    let mut rows: Vec<Row> = Vec::new();
    loop {
        let after = rows.last().map_or(0, |row| row.seq);
        let page = log.history(points[1], Some(Timestamp(0)), None, after, 4).unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 4);
        rows.extend(page);
    }
    let expected: Vec<_> = all_rows(&log).into_iter().filter(|row| row.reading.point == points[1]).collect();
    assert_eq!(rows, expected);
    assert_eq!(rows.len(), 27);
    assert!(log.history(points[1], None, Some(Timestamp(i64::MIN)), 0, 10).unwrap().is_empty());
    assert!(matches!(log.history(PointId(99), None, None, 0, 1), Err(LogError::UnknownPoint { .. })));
}

#[tokio::test]
async fn the_quota_drops_the_oldest_segments_whole_and_reading_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let log = LogConfig { segment_max_rows: 100, ..config(dir.path()) }.open().unwrap();
    let point = log.declare("c", &[PointInfo::new("image", Kind::Bytes)]).unwrap()[0];
    for segment in 0..10 {
        append(&log, (0..100).map(|row| image(point, segment * 100 + row)).collect()).await;
    }
    within(log.seal()).await.unwrap();
    let stats = log.stats();
    within(log.close()).await.unwrap();
    // All that is not a segment stays; of the segments, half has room.
    let max_bytes = stats.bytes_of_files + STATE_GROWTH_BYTES - stats.bytes_on_disk / 2;
    let bounded = LogConfig { max_bytes: Some(max_bytes), segment_max_rows: 100, ..config(dir.path()) };
    let log = bounded.clone().open().unwrap();
    let view = log.query().unwrap();
    let dropped = log.apply_retention(Timestamp(0)).unwrap() as u64;
    assert!((3..8).contains(&dropped), "about half: {dropped}");
    let first = dropped * 100 + 1;
    let error = log.read(0, 10).unwrap_err();
    assert!(matches!(error, LogError::Gone { after: 0, first_available } if first_available == first));
    assert_eq!(seqs(&log.read(first - 1, 2000).unwrap()), (first..=1000).collect::<Vec<_>>());
    assert_eq!(log.stats().first_available, first);
    assert_eq!(log.apply_retention(Timestamp(0)).unwrap(), 0, "enough is enough");

    assert_eq!(integers(&view, "SELECT count(*) FROM readings", &[]), [1000], "a query sees on what it began with");
    let names = segment_files(dir.path());
    assert!(names[0].starts_with("seg-00000000000000000001-"), "its files stay as long: {names:?}");
    drop(view);
    assert!(segment_files(dir.path())[0].starts_with(&format!("seg-{first:020}-")));
    within(log.close()).await.unwrap();
    let log = bounded.open().unwrap();
    assert!(matches!(log.read(0, 10), Err(LogError::Gone { first_available, .. }) if first_available == first));
}

#[tokio::test]
async fn a_segment_that_was_dropped_and_whose_file_a_kill_left_goes_at_the_next_open() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig { retention_max_age_s: Some(60), segment_max_rows: 100, ..config(dir.path()) };
    let log = config.clone().open().unwrap();
    let ids = declare(&log, 1);
    append(&log, readings(&ids, 0, 100)).await;
    within(log.seal()).await.unwrap();
    let name = segment_files(dir.path()).remove(0);
    let file = dir.path().join(&name);
    let bytes = std::fs::read(&file).unwrap();
    let commit = log.newest_commit().unwrap();
    assert_eq!(log.apply_retention(Timestamp(commit.0 + 61_000_000_000)).unwrap(), 1);
    within(log.close()).await.unwrap();
    assert!(!file.exists());
    // As a kill leaves it between the record of the drop and the file's removal.
    std::fs::write(&file, bytes).unwrap();
    let log = config.open().unwrap();
    assert!(!file.exists(), "nobody would drop {name} again, and the quota would wait for it");
    assert!(matches!(log.read(0, 10), Err(LogError::Gone { first_available: 101, .. })));
    assert_eq!(append(&log, readings(&ids, 100, 1)).await.first, 101);
}

#[tokio::test]
async fn retention_by_age_follows_no_clock_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig { retention_max_age_s: Some(60), segment_max_rows: 100, ..config(dir.path()) };
    let log = config.open().unwrap();
    let ids = declare(&log, 1);
    append(&log, readings(&ids, 0, 100)).await;
    within(log.seal()).await.unwrap();
    let commit = log.newest_commit().unwrap();
    assert!(commit.is_plausible());
    assert_eq!(log.apply_retention(Timestamp(i64::MIN)).unwrap(), 0, "there is no time to go by");
    assert_eq!(log.apply_retention(Timestamp(0)).unwrap(), 0, "the clock was never set");
    assert_eq!(log.apply_retention(Timestamp(commit.0 + 61_000_000_000)).unwrap(), 1);
}

#[tokio::test]
async fn retention_by_age_looks_at_commits_not_at_the_readings_own_times() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig { retention_max_age_s: Some(3600), segment_max_rows: 100, ..config(dir.path()) };
    let log = config.open().unwrap();
    let points = declare(&log, 1);
    append(&log, readings(&points, 0, 100)).await;
    within(log.seal()).await.unwrap();
    let now = Timestamp::from_system_time(std::time::SystemTime::now());
    assert_eq!(log.apply_retention(now).unwrap(), 0, "the readings are of 1970, their commit is fresh");
    assert_eq!(log.apply_retention(Timestamp(now.0 + 3_700 * 1_000_000_000)).unwrap(), 1);
    assert!(matches!(log.read(0, 1), Err(LogError::Gone { first_available: 101, .. })));
    assert!(log.read(100, 1).unwrap().is_empty());
}

#[tokio::test]
async fn a_connections_own_retention_takes_its_rows_out_of_sealed_segments_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let bounded = LogConfig {
        retention_of_connections: [("short".to_owned(), 60), ("none".to_owned(), 60)].into(),
        segment_max_rows: 100,
        ..config(dir.path())
    };
    let log = bounded.clone().open().unwrap();
    let long = declare(&log, 3);
    let short = log.declare("short", &[PointInfo::new("s", Kind::Real)]).unwrap();
    let mixed = [long[0], short[0], long[1], short[0]];
    append(&log, readings(&mixed, 0, 100)).await;
    append(&log, readings(&short, 100, 100)).await;
    append(&log, readings(&long, 200, 100)).await;
    within(log.seal()).await.unwrap();
    within(log.close()).await.unwrap();
    // Opened anew, so that nothing comes from memory.
    let log = bounded.clone().open().unwrap();
    let all = all_rows(&log);
    let view = log.query().unwrap();
    let now = Timestamp::from_system_time(std::time::SystemTime::now());
    log.apply_retention(Timestamp(now.0 + 59 * 1_000_000_000)).unwrap();
    assert_eq!(all_rows(&log), all, "a minute has not gone");
    assert!(log.expired(0).unwrap().is_empty());

    let files = segment_files(dir.path());
    let later = Timestamp(now.0 + 3_600 * 1_000_000_000);
    assert_eq!(log.apply_retention(later).unwrap(), 0, "no segment goes whole");
    let kept: Vec<Row> = all.iter().filter(|row| row.reading.point != short[0]).cloned().collect();
    assert_eq!(all_rows(&log), kept);
    assert!(log.history(short[0], None, None, 0, 10).unwrap().is_empty());
    assert_eq!(segment_files(dir.path()), files, "the files keep their names");
    assert_eq!((log.stats().rows_expired, log.stats().first_available), (150, 1));
    let gone = |first, last, rows| Expired { connection: "short".into(), first, last, rows };
    let expired = [gone(2, 100, 50), gone(101, 200, 100)];
    assert_eq!(log.expired(0).unwrap(), expired);
    assert_eq!(log.expired(150).unwrap(), expired[1..]);
    assert_eq!(log.expired(200).unwrap(), []);
    assert_eq!(log.expired_page(0, 1).unwrap(), (expired[..1].to_vec(), Some(100)));
    assert_eq!(log.expired_page(100, 1).unwrap(), (expired[1..].to_vec(), Some(200)));
    assert_eq!(log.expired_page(200, 1).unwrap(), (Vec::new(), None));
    log.apply_retention(later).unwrap();
    assert_eq!(log.stats().rows_expired, 150, "what is gone is not looked for again");
    assert_eq!(integers(&view, "SELECT count(*) FROM readings WHERE seq > 200", &[]), [100]);
    drop(view);

    within(log.close()).await.unwrap();
    let log = bounded.open().unwrap();
    assert_eq!((all_rows(&log), log.expired(0).unwrap()), (kept, expired.to_vec()));
    log.apply_retention(later).unwrap();
    assert_eq!((log.stats().rows_expired, log.expired(0).unwrap()), (0, expired.to_vec()));
}

#[tokio::test]
async fn every_sealed_segment_describes_its_points_though_they_are_described_once() {
    let dir = tempfile::tempdir().unwrap();
    let log = LogConfig { segment_max_rows: 100, ..config(dir.path()) }.open().unwrap();
    let points = declare(&log, 3);
    append(&log, readings(&points, 0, 100)).await;
    append(&log, readings(&points[..2], 100, 100)).await;
    within(log.seal()).await.unwrap();
    append(&log, readings(&points[1..], 200, 10)).await;
    let described = |name: &str| -> Vec<u32> {
        let connection = rusqlite::Connection::open(dir.path().join(name)).unwrap();
        let mut select = connection.prepare("SELECT id FROM points ORDER BY id").unwrap();
        select.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap()
    };
    let numbers = |points: &[PointId]| points.iter().map(|point| point.0).collect::<Vec<u32>>();
    let files = segment_files(dir.path());
    assert_eq!(described(&files[0]), numbers(&points));
    assert_eq!(described(&files[1]), numbers(&points[..2]));
    assert_eq!(described(&files[2]), [0; 0], "an open one leaves that to those before it");

    // Where those before it have gone, it does not.
    within(log.close()).await.unwrap();
    let log = LogConfig { segment_max_rows: 100, retention_max_age_s: Some(60), ..config(dir.path()) }.open().unwrap();
    append(&log, readings(&points, 300, 10)).await;
    within(log.seal()).await.unwrap();
    let now = Timestamp::from_system_time(std::time::SystemTime::now());
    assert_eq!(log.apply_retention(Timestamp(now.0 + 100 * 1_000_000_000)).unwrap(), 3);
    append(&log, readings(&points, 400, 10)).await;
    assert_eq!(described(&segment_files(dir.path())[0]), numbers(&points));
}
