//! Damage of single files: what is salvaged, what is set aside, and that the log goes on.
#![allow(clippy::unwrap_used, reason = "a failure of a test's own step is to end it")]

mod harness;

use bulkhead_log::{Gap, GapReason, InFlight, Log, LogConfig, LogError, Row};
use bulkhead_model::{Seq, Value};
use harness::{all_rows, append, config, declare, readings, segment_files, seqs, within};
use std::path::{Path, PathBuf};

/// Everything that is set aside.
fn set_aside(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir.join("damaged")) else { return Vec::new() };
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    std::fs::write(path, bytes).unwrap();
}

/// Copies a log's folder as a kill would leave it.
fn copy_of(dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    copy
}

fn damaged_gaps(log: &Log) -> Vec<Gap> {
    let gaps = log.gaps(0, usize::MAX).unwrap();
    gaps.into_iter().filter(|gap| gap.reason == GapReason::Damaged).collect()
}

fn open_segment(dir: &Path) -> PathBuf {
    dir.join(segment_files(dir).into_iter().find(|name| name.ends_with(".open.db")).unwrap())
}

fn sealed_segment(dir: &Path) -> PathBuf {
    let is_sealed = |name: &String| !name.contains("open") && name.ends_with(".db");
    dir.join(segment_files(dir).into_iter().find(is_sealed).unwrap())
}

/// Reads until the background has salvaged what the first reads met.
async fn rows_after_salvage(log: &Log) -> Vec<Row> {
    for _ in 0..3 {
        match log.read(0, usize::MAX) {
            Ok(rows) => return rows,
            Err(LogError::Damaged { .. }) => within(log.seal()).await.unwrap(),
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the salvage does not come to an end")
}

#[tokio::test]
async fn a_log_whose_state_is_gone_goes_on_from_its_segments() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(dir.path()).open().unwrap();
    let (id, points) = (log.id(), declare(&log, 3));
    append(&log, readings(&points, 0, 10)).await;
    within(log.seal()).await.unwrap();
    append(&log, readings(&points, 10, 10)).await;
    log.set_cursor("r", 7).unwrap();
    let before = all_rows(&log);
    within(log.close()).await.unwrap();
    std::fs::remove_file(dir.path().join("state.db")).unwrap();

    let log = config(dir.path()).open().unwrap();
    assert_eq!(log.id(), id, "every segment has it");
    assert_eq!(all_rows(&log), before);
    assert_eq!(declare(&log, 3), points);
    assert_eq!(log.cursor("r").unwrap(), None);
    let gaps = damaged_gaps(&log);
    assert_eq!((gaps.len(), gaps[0].first), (1, 21), "what may have been given behind the last row");
    let next = append(&log, readings(&points, 20, 1)).await.first;
    assert_eq!(next, gaps[0].last + 1);
    within(log.close()).await.unwrap();
    let log = config(dir.path()).open().unwrap();
    assert_eq!(all_rows(&log).len(), 21);
    assert_eq!(damaged_gaps(&log).len(), 1);
}

#[tokio::test]
async fn cursors_and_batches_survive_damage_elsewhere_in_state() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(dir.path()).open().unwrap();
    let points = declare(&log, 2000);
    append(&log, readings(&points, 0, 4000)).await;
    log.set_cursor("r", 7).unwrap();
    log.begin_batch("r", InFlight { revision: "a".into(), first: 8, last: 9 }).unwrap();
    within(log.close()).await.unwrap();
    let state = dir.path().join("state.db");
    let bytes = std::fs::read(&state).unwrap();
    // In the middle of a point's name.
    let place = bytes.windows(5).position(|window| window == b"p1234").unwrap();
    flip(&state, place + 2);

    let log = config(dir.path()).open().unwrap();
    assert_eq!((log.cursor("r").unwrap(), log.in_flight("r").unwrap().map(|batch| batch.last)), (Some(7), Some(9)));
    let again = declare(&log, 2000);
    let other: Vec<_> = again.iter().zip(&points).filter(|(again, before)| again != before).collect();
    assert!(other.is_empty(), "the segment describes the point: {other:?}");
    assert_eq!(log.read(0, usize::MAX).unwrap().len(), 4000);
    let aside = set_aside(dir.path());
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert!(aside[0].starts_with("state-20") && aside[0].ends_with("Z.db"), "{aside:?}");
}

#[tokio::test]
async fn a_flipped_bit_in_an_open_segment_costs_a_row() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(dir.path()).open().unwrap();
    let points = declare(&log, 20);
    append(&log, readings(&points, 0, 5000)).await;
    let before = all_rows(&log);
    within(log.close()).await.unwrap();
    let path = open_segment(dir.path());
    let bytes = std::fs::read(&path).unwrap();
    // In the value of a row.
    let place = bytes.windows(8).position(|window| window == 2500_f64.to_be_bytes()).unwrap();
    flip(&path, place + 5);

    let log = config(dir.path()).open().unwrap();
    let after = all_rows(&log);
    let gaps = damaged_gaps(&log);
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!((gaps[0].rows, gaps[0].first), (Some(1), gaps[0].last));
    let expected: Vec<_> = before.iter().filter(|row| row.seq != gaps[0].first).cloned().collect();
    assert_eq!(after, expected);
    assert_eq!(log.stats().files_damaged, 1);
    assert_eq!(append(&log, readings(&points, 0, 1)).await.first, 5001);
    assert_eq!(set_aside(dir.path()).len(), 1);
}

#[tokio::test]
async fn what_lies_behind_a_flipped_bit_in_a_wal_is_salvaged() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(dir.path()).open().unwrap();
    let points = declare(&log, 5);
    for batch in 0..20 {
        append(&log, readings(&points, batch * 10, 10)).await;
    }
    let copy = copy_of(dir.path());
    let wal = PathBuf::from(format!("{}-wal", open_segment(copy.path()).display()));
    // In the page of the fourth frame: SQLite would stop there.
    flip(&wal, 32 + 3 * 4120 + 24 + 4000);
    let before = all_rows(&log);

    let log = config(copy.path()).open().unwrap();
    assert_eq!(all_rows(&log), before, "later versions of the page have all of its rows");
    assert_eq!(log.stats().files_damaged, 1);
    let next = append(&log, readings(&points, 0, 1)).await.first;
    assert!(next > 1_000_000, "what was reserved is skipped: {next}");
    assert_eq!(set_aside(copy.path()).len(), 2, "the database and its WAL");
}

#[tokio::test]
async fn a_sealed_segment_loses_only_blocks_and_is_replaced_in_operation() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(dir.path()).open().unwrap();
    let points = declare(&log, 50);
    // More than memory keeps for readers near the tail, and values that no compression makes small.
    let mut state = 1_u64;
    let mut all = readings(&points, 0, 60_000);
    for reading in &mut all {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        reading.value = Some(Value::Real(state as f64));
    }
    append(&log, all).await;
    within(log.seal()).await.unwrap();
    append(&log, readings(&points, 60_000, 10)).await;
    let before = log.read(0, usize::MAX).unwrap();
    let path = sealed_segment(dir.path());
    let middle = usize::try_from(std::fs::metadata(&path).unwrap().len() / 2).unwrap();
    // A block has several pages, the last of them with unused bytes: of two neighbours one at least is full.
    flip(&path, middle);
    flip(&path, middle + 4096);

    let after = rows_after_salvage(&log).await;
    let gaps = damaged_gaps(&log);
    let lost: u64 = gaps.iter().filter_map(|gap| gap.rows).sum();
    assert_eq!(after.len() as u64 + lost, before.len() as u64);
    assert!(lost > 0 && lost <= 2 * 4096, "{lost}");
    // Lost rows are told in a bounded number of spans, between which there may be rows that were kept.
    let is_lost = |seq: Seq| gaps.iter().any(|gap| gap.first <= seq && seq <= gap.last);
    let by_seq: std::collections::HashMap<Seq, &Row> = before.iter().map(|row| (row.seq, row)).collect();
    assert!(after.iter().all(|row| by_seq[&row.seq] == row));
    let kept: std::collections::HashSet<Seq> = after.iter().map(|row| row.seq).collect();
    assert!(before.iter().all(|row| kept.contains(&row.seq) || is_lost(row.seq)));
    assert_eq!(append(&log, readings(&points, 0, 1)).await.first, 60_011);
    within(log.close()).await.unwrap();
    let log = config(dir.path()).open().unwrap();
    assert_eq!(log.read(0, usize::MAX).unwrap().len(), after.len() + 1);
    assert_eq!(damaged_gaps(&log), gaps);
}

#[tokio::test]
async fn foreign_and_empty_segments_are_set_aside_and_counted() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for dir in [dir.path(), other.path()] {
        let log = LogConfig { segment_max_rows: 10, ..config(dir) }.open().unwrap();
        let points = declare(&log, 1);
        for batch in 0..4 {
            append(&log, readings(&points, batch * 10, 10)).await;
        }
        within(log.seal()).await.unwrap();
        append(&log, readings(&points, 0, 5)).await;
        within(log.close()).await.unwrap();
    }
    let sealed = |start: u64| format!("seg-{start:020}-{:020}.db", start + 9);
    std::fs::copy(other.path().join(sealed(11)), dir.path().join(sealed(11))).unwrap();
    std::fs::write(dir.path().join(sealed(21)), "").unwrap();
    std::fs::copy(open_segment(other.path()), open_segment(dir.path())).unwrap();
    std::fs::write(dir.path().join("seg-rubbish.db"), "x").unwrap();
    std::fs::write(dir.path().join("lock"), "rubbish").unwrap();

    let log = LogConfig { segment_max_rows: 10, ..config(dir.path()) }.open().unwrap();
    let rows = rows_after_salvage(&log).await;
    let expected: Vec<Seq> = (1..=10).chain(31..=40).collect();
    assert_eq!(seqs(&rows), expected);
    let mut gaps: Vec<_> = damaged_gaps(&log).iter().map(|gap| (gap.first, gap.last)).collect();
    gaps.sort_unstable();
    assert_eq!(gaps, [(11, 20), (21, 30), (41, 45)]);
    assert_eq!(set_aside(dir.path()).len(), 3);
    let points = declare(&log, 1);
    assert_eq!(append(&log, readings(&points, 0, 1)).await.first, 46);
}

#[tokio::test]
async fn state_that_is_damaged_in_operation_is_mended_without_losing_what_memory_knows() {
    let dir = tempfile::tempdir().unwrap();
    let log = config(dir.path()).open().unwrap();
    // So many that not all of the file is in SQLite's cache.
    let points = declare(&log, 20_000);
    append(&log, readings(&points, 0, 10)).await;
    // Not one byte is left of it, nor of its WAL.
    for name in ["state.db", "state.db-wal"] {
        let path = dir.path().join(name);
        let length = usize::try_from(std::fs::metadata(&path).unwrap().len()).unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &vec![0xa5; length], 0).unwrap();
    }
    assert!(log.in_flight("r").is_err(), "the first to meet the damage is told");
    assert_eq!(set_aside(dir.path()).len(), 2, "the file and its WAL");
    log.set_cursor("r", 5).unwrap();
    assert_eq!(log.cursor("r").unwrap(), Some(5));
    append(&log, readings(&points, 10, 10)).await;
    within(log.close()).await.unwrap();
    let log = config(dir.path()).open().unwrap();
    assert_eq!((declare(&log, 20_000), log.cursor("r").unwrap()), (points.clone(), Some(5)));
    assert_eq!(seqs(&all_rows(&log)), (1..=20).collect::<Vec<_>>());
    assert_eq!(append(&log, readings(&points, 0, 1)).await.first, 21);
}
