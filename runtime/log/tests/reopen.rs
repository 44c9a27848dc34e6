//! Opening again: after an orderly close, after a kill, with leftovers.
#![allow(clippy::unwrap_used, reason = "a failure of a test's own step is to end it")]

mod harness;

use bulkhead_log::{GapReason, LogConfig};
use bulkhead_model::{Seq, Value};
use harness::{all_rows, append, config, declare, readings, segment_files, seqs, within};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Where the child finds its log.
const CHILD_DIR: &str = "BULKHEAD_LOG_TEST_CHILD_DIR";
/// Rows of a segment in the kill test: few, so that the kill falls into sealings and rotations too.
const CHILD_SEGMENT_ROWS: u32 = 2_000;

/// How many batches each child may have acknowledged before it is killed.
const KILLS: [usize; 3] = [1, 30, 150];

fn child_config(dir: &Path) -> LogConfig {
    LogConfig { segment_max_rows: CHILD_SEGMENT_ROWS, ..config(dir) }
}

#[test]
#[ignore = "started by the kill test as a child process; it runs until it is killed"]
fn child_that_appends_until_it_is_killed() {
    let dir = PathBuf::from(std::env::var(CHILD_DIR).expect("the kill test sets it"));
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let log = child_config(&dir).open().unwrap();
        let points = declare(&log, 20);
        for time in 0.. {
            let committed = append(&log, readings(&points, time * 100, 100)).await;
            println!("\nacked {} {}", committed.first, committed.last);
        }
    });
}

fn start_child(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "child_that_appends_until_it_is_killed"])
        .env(CHILD_DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Kills a child once it has acknowledged so many batches. Returns all it acknowledged before it ended.
fn kill_after(mut child: Child, batches: usize) -> Vec<(Seq, Seq)> {
    let mut acked = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let Ok(line) = line else { break };
        if let Some((first, last)) = line.strip_prefix("acked ").and_then(|bounds| bounds.split_once(' ')) {
            acked.push((first.parse().unwrap(), last.parse().unwrap()));
        }
        if acked.len() == batches {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    acked
}

#[tokio::test]
async fn after_a_kill_everything_acknowledged_is_there_and_no_seq_is_given_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut acked: Vec<(Seq, Seq)> = Vec::new();
    for batches in KILLS {
        let child_dir = dir.path().to_owned();
        let child = tokio::task::spawn_blocking(move || kill_after(start_child(&child_dir), batches));
        let of_this_child = within(child).await.unwrap();
        assert!(of_this_child.len() >= batches);
        let last_before = acked.last().map_or(0, |(_, last)| *last);
        assert!(of_this_child[0].0 > last_before, "a seq was given twice");
        acked.extend(of_this_child);
    }
    let log = child_config(dir.path()).open().unwrap();
    let rows = all_rows(&log);
    assert!(rows.is_sorted_by(|a, b| a.seq < b.seq));
    for (first, last) in &acked {
        let start = rows.partition_point(|row| row.seq < *first);
        let batch = &rows[start..start + 100];
        assert_eq!(seqs(batch), (*first..=*last).collect::<Vec<_>>());
        assert!(batch.is_sorted_by_key(|row| row.reading.time));
        assert!(batch.iter().all(|row| row.reading.value == Some(Value::Real(row.reading.time.0 as f64))));
    }
    assert_eq!(log.stats().sealings_failed, 0);
    assert!(segment_files(dir.path()).iter().any(|name| !name.contains("open")), "the children sealed segments");
    let (skipped_from, skipped_to) = log.stats().skipped_at_open.expect("a kill leaves seqs that were reserved");
    let last = rows.last().unwrap().seq;
    assert!(skipped_from == last + 1 && skipped_to > last);
    let gaps = log.gaps(0, 10).unwrap();
    assert_eq!(gaps.len(), KILLS.len(), "one a kill");
    let newest = gaps.last().unwrap();
    assert_eq!((newest.first, newest.last, newest.rows), (skipped_from, skipped_to, None));
    assert!(gaps.iter().all(|gap| gap.reason == GapReason::SkippedAtOpen));
    assert_eq!(log.stats().gaps_of_unknown_rows, 1);
    let points = declare(&log, 20);
    assert_eq!(append(&log, readings(&points, 0, 1)).await.first, skipped_to + 1);
    for (point, latest) in points.iter().zip(log.latest_all()) {
        assert_eq!(latest.reading.point, *point);
        let of_point = all_rows(&log).into_iter().filter(|row| row.reading.point == *point);
        let expected = of_point.max_by_key(|row| (row.reading.time, row.seq));
        assert_eq!(Some(latest), expected);
    }
}

#[tokio::test]
async fn after_an_orderly_close_the_same_log_goes_on_with_the_next_seq() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(dir.path()).open().unwrap();
    let (id, points) = (log.id(), declare(&log, 3));
    append(&log, readings(&points, 0, 10)).await;
    log.set_cursor("r", 4).unwrap();
    within(log.close()).await.unwrap();
    assert_eq!(segment_files(dir.path()), ["seg-00000000000000000001.open.db"], "its WAL has gone into it");

    let log = config(dir.path()).open().unwrap();
    assert_eq!((log.id(), declare(&log, 3), log.cursor("r").unwrap()), (id, points.clone(), Some(4)));
    assert_eq!(*log.committed().borrow(), 10);
    assert_eq!(log.stats().skipped_at_open, None);
    assert_eq!((log.gaps(0, 10).unwrap(), log.stats().gaps), (Vec::new(), 0));
    assert_eq!(append(&log, readings(&points, 10, 2)).await.first, 11);
    assert_eq!(seqs(&all_rows(&log)), (1..=12).collect::<Vec<_>>());
    assert_eq!(log.stats().segments, 1, "a short open segment goes on");
    let latest: Vec<_> = log.latest_all().iter().map(|row| row.seq).collect();
    assert_eq!(latest, [11, 12, 9]);
    drop(log);

    let log = config(dir.path()).open().unwrap();
    assert_eq!(append(&log, readings(&points, 12, 1)).await.first, 13, "dropping the last handle closes in order too");
}

#[tokio::test]
async fn a_new_log_has_a_new_id() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (one, two) = (config(one.path()).open().unwrap(), config(two.path()).open().unwrap());
    assert_ne!(one.id(), two.id());
    assert_eq!(one.id().as_str().len(), 32);
}

#[tokio::test]
async fn leftovers_of_an_interrupted_sealing_are_removed_and_the_sealed_segment_wins() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(dir.path()).open().unwrap();
    let points = declare(&log, 2);
    append(&log, readings(&points, 0, 10)).await;
    within(log.clone().close()).await.unwrap();
    drop(log);
    let open = dir.path().join("seg-00000000000000000001.open.db");
    let twin = std::fs::read(&open).unwrap();
    let log = config(dir.path()).open().unwrap();
    within(log.seal()).await.unwrap();
    let before = all_rows(&log);
    within(log.close()).await.unwrap();
    // As if the power had gone between the rename and the removal of the twin, and another sealing had begun.
    std::fs::write(&open, twin).unwrap();
    std::fs::write(dir.path().join("seg-00000000000000000011.tmp"), "half").unwrap();

    let log = config(dir.path()).open().unwrap();
    assert_eq!(all_rows(&log), before);
    let sealed = "seg-00000000000000000001-00000000000000000010.db";
    assert!(segment_files(dir.path()).contains(&sealed.to_owned()));
    assert!(!open.exists() && !dir.path().join("seg-00000000000000000011.tmp").exists());
}

#[tokio::test]
async fn a_segment_whose_making_was_interrupted_does_not_keep_the_log_from_opening() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(dir.path()).open().unwrap();
    let points = declare(&log, 1);
    append(&log, readings(&points, 0, 3)).await;
    within(log.close()).await.unwrap();
    let (empty, bare) = ("seg-00000000000000000004.open.db", "seg-00000000000000000005.open.db");
    std::fs::write(dir.path().join(empty), "").unwrap();
    let unborn = rusqlite::Connection::open(dir.path().join(bare)).unwrap();
    unborn.execute_batch("PRAGMA journal_mode = WAL; BEGIN; CREATE TABLE segment(key); ROLLBACK").unwrap();
    drop(unborn);
    assert!(std::fs::metadata(dir.path().join(bare)).unwrap().len() > 0);

    let log = config(dir.path()).open().unwrap();
    assert_eq!(append(&log, readings(&points, 3, 1)).await.first, 4);
    assert_eq!(seqs(&all_rows(&log)), [1, 2, 3, 4]);
    let files = segment_files(dir.path());
    assert!(!files.iter().any(|name| name.starts_with(empty) || name.starts_with(bare)), "{files:?}");
}

/// A WAL whose frames were in part written and never synced: its header is not there, a commit of its only round is.
fn torn_wal() -> Vec<u8> {
    const FRAME_BYTES: usize = 24 + 1024;
    let mut wal = vec![0; 32 + 2 * FRAME_BYTES];
    for (frame, (page, commit)) in [(1_u8, 0_u8), (2, 2)].into_iter().enumerate() {
        let at = 32 + frame * FRAME_BYTES;
        wal[at + 3] = page;
        wal[at + 7] = commit;
        wal[at + 8..at + 16].copy_from_slice(b"the salt");
    }
    wal
}

#[tokio::test]
async fn a_segment_that_was_closed_without_a_row_is_no_damage_however_its_making_is_torn() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(dir.path()).open().unwrap();
    let points = declare(&log, 3);
    let last = append(&log, readings(&points, 0, 100)).await.last;
    within(log.seal()).await.unwrap();
    within(log.close()).await.unwrap();
    let empty = dir.path().join(format!("seg-{:020}.open.db", last + 1));
    assert!(empty.exists(), "{:?}", segment_files(dir.path()));
    // What SQLite has made the segment with, cut off without a sync, and removed at the close: a power cut may undo both.
    std::fs::write(empty.with_extension("db-wal"), torn_wal()).unwrap();

    let log = config(dir.path()).open().unwrap();
    assert_eq!(log.stats().files_damaged, 0);
    assert_eq!(log.gaps(0, 10).unwrap(), []);
    assert_eq!(seqs(&all_rows(&log)).last(), Some(&last));
    assert_eq!(append(&log, readings(&points, 1000, 1)).await.first, last + 1);
    within(log.close()).await.unwrap();
}

#[tokio::test]
async fn a_newest_segment_that_had_rows_when_it_was_closed_and_has_none_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(dir.path()).open().unwrap();
    let points = declare(&log, 3);
    append(&log, readings(&points, 0, 100)).await;
    within(log.close()).await.unwrap();
    let newest = dir.path().join(format!("seg-{:020}.open.db", 1));
    std::fs::write(&newest, vec![0; 4096]).unwrap();
    std::fs::write(newest.with_extension("db-wal"), torn_wal()).unwrap();

    let log = config(dir.path()).open().unwrap();
    assert_eq!(log.stats().files_damaged, 1);
    let gaps = log.gaps(0, 10).unwrap();
    assert_eq!(
        gaps.iter().map(|gap| (gap.first, gap.last, gap.reason)).collect::<Vec<_>>(),
        [(1, 100, GapReason::Damaged)]
    );
    within(log.close()).await.unwrap();
}

#[tokio::test]
async fn the_latest_of_a_point_is_that_of_the_greatest_time_after_a_start_too() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(dir.path()).open().unwrap();
    let points = declare(&log, 2);
    // In turn, at rising times: the newest is the eighth row of the first segment.
    append(&log, readings(&points, 100, 8)).await;
    within(log.seal()).await.unwrap();
    // What comes late and old goes into a segment of its own, and into the open one.
    append(&log, readings(&points, 0, 4)).await;
    within(log.seal()).await.unwrap();
    append(&log, readings(&points, 50, 4)).await;
    let latest = |log: &bulkhead_log::Log| log.latest_all().iter().map(|row| row.seq).collect::<Vec<_>>();
    assert_eq!(latest(&log), [7, 8]);
    within(log.close()).await.unwrap();
    let log = config(dir.path()).open().unwrap();
    // Older segments are looked through behind the back of `open`: a report of the sealer comes after that.
    within(log.seal()).await.unwrap();
    assert_eq!(latest(&log), [7, 8]);
}
