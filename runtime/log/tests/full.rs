//! The log when there is no more room: within its quota, and on a disk that is really full.
//!
//! The full disk is a small tmpfs in a mount namespace of the test's own, so that it needs no cleaning up: made by root, or
//! without root in a user namespace. Where neither is allowed, these tests fail.
#![allow(clippy::unwrap_used, reason = "a failure of a test's own step is to end it")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "figures for people, and the child's words for its parent"
)]

mod harness;

use bulkhead_log::{Appender, GapReason, Log, LogConfig, LogError, Missing, WhenFull};
use bulkhead_model::{Kind, PointId, PointInfo, Reading, Seq, Value};
use harness::{PATIENCE, config, reading, seqs, within};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const MIB: u64 = 1024 * 1024;
/// Longest time after which readings are taken again once there is room.
const BACK_WITHIN: Duration = Duration::from_secs(5);
/// Longest that starting or dropping a segment may keep the writer from committing.
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// Readings of 8 KiB each that no compression makes smaller.
fn images(point: PointId, from: i64, count: i64) -> Vec<Reading> {
    let image = |time: i64| {
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
    };
    (from..from + count).map(image).collect()
}

fn image_point(log: &Log) -> PointId {
    log.declare("camera", &[PointInfo::new("image", Kind::Bytes)]).unwrap()[0]
}

async fn submit(appender: &Appender, readings: Vec<Reading>) -> Result<Seq, LogError> {
    let outcome = match appender.submit(readings).await {
        Ok(mut pending) => within(pending.settled()).await,
        Err(refused) => Err(refused),
    };
    outcome.map(|committed| committed.last).map_err(|refused| {
        appender.go_on();
        refused.error
    })
}

/// Bytes of all files in a folder.
fn bytes_in(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap();
    entries.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len())).sum()
}

/// Watches a folder until told to stop. Returns the most bytes it ever had.
fn watch(dir: &Path, stop: &AtomicBool) -> u64 {
    let mut most = 0;
    while !stop.load(Ordering::Acquire) {
        most = most.max(bytes_in(dir));
        std::thread::yield_now();
    }
    most
}

/// Puts damaged files of a mebibyte each where the log keeps them.
fn set_aside(dir: &Path, count: u64) {
    std::fs::create_dir_all(dir.join("damaged")).unwrap();
    for number in 0..count {
        let name = format!("damaged/seg-{number:020}-20261122T000000Z.db");
        std::fs::write(dir.join(name), vec![7; MIB as usize]).unwrap();
    }
}

#[tokio::test]
async fn damaged_files_that_are_kept_count_in_the_quota_and_go_before_any_reading_does() {
    for when_full in [WhenFull::DropOldest, WhenFull::Refuse] {
        let dir = tempfile::tempdir().unwrap();
        let quota = 6 * MIB;
        let log = LogConfig { max_bytes: Some(quota), when_full, ..config(dir.path()) }.open().unwrap();
        set_aside(dir.path(), 3);
        assert_eq!(log.stats().bytes_set_aside, 3 * MIB);
        assert!(log.stats().bytes_of_files >= 3 * MIB, "they count");
        let point = image_point(&log);
        let appender = log.appender(when_full);
        let deadline = Instant::now() + PATIENCE;
        for batch in 0.. {
            let outcome = submit(&appender, images(point, batch * 10, 10)).await;
            let most = bytes_in(dir.path()) + bytes_in(&dir.path().join("damaged"));
            assert!(most <= quota, "{most} bytes were on disk, {quota} are allowed");
            let stats = log.stats();
            assert_eq!(stats.bytes_set_aside, (3 - stats.damaged_given_up) * MIB);
            if outcome.is_err() || stats.segments_dropped > 0 {
                assert_eq!(stats.bytes_set_aside, 0, "no reading goes while there is anything else to go: {stats:?}");
                break;
            }
            assert!(Instant::now() < deadline, "the quota must be reached: {stats:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_stays_within_its_quota_while_it_seals_and_drops_and_a_route_is_told_what_it_missed() {
    let dir = tempfile::tempdir().unwrap();
    let quota = 24 * MIB;
    let log = LogConfig { max_bytes: Some(quota), ..config(dir.path()) }.open().unwrap();
    let point = image_point(&log);
    log.set_cursor("slow", 0).unwrap();
    let stop = AtomicBool::new(false);
    let appender = log.appender(WhenFull::DropOldest);
    let (most, last) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch(dir.path(), &stop));
        let appending = scope.spawn(|| {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
                let mut last = 0;
                // Four times the quota.
                for batch in 0..1_200 {
                    let deadline = Instant::now() + PATIENCE;
                    last = loop {
                        match submit(&appender, images(point, batch * 10, 10)).await {
                            Ok(last) => break last,
                            // Sealing has not kept up: there is nothing to drop yet.
                            Err(error) => assert!(error.is_full() && Instant::now() < deadline, "{error}"),
                        }
                    };
                    if batch == 600 {
                        log.set_cursor("prompt", last).unwrap();
                    }
                }
                last
            })
        });
        let last = appending.join().unwrap();
        stop.store(true, Ordering::Release);
        (watching.join().unwrap(), last)
    });
    let stats = log.stats();
    println!(
        "| quota | most | written | segments dropped | longest pause |\n| {quota} | {most} | {} | {} | {:?} |",
        12_000 * 8192,
        stats.segments_dropped,
        stats.longest_pause
    );
    assert!(most <= quota, "{most} bytes were on disk, {quota} are allowed");
    assert!(most > quota / 2, "the quota is used: {most}");
    assert!(stats.segments_dropped > 10 && stats.rows_dropped > 6_000);
    let LogError::Gone { first_available, .. } = log.read(0, 1).unwrap_err() else { panic!("nothing was dropped") };
    let rows = log.read(first_available - 1, usize::MAX).unwrap();
    assert_eq!((seqs(&rows).first(), seqs(&rows).last()), (Some(&first_available), Some(&last)));

    let gaps = log.gaps(0, 1000).unwrap();
    assert_eq!(gaps.iter().filter_map(|gap| gap.rows).sum::<u64>(), stats.rows_dropped);
    assert_eq!((stats.gaps, stats.gap_rows), (gaps.len() as u64, stats.rows_dropped));
    assert!(gaps.windows(2).all(|pair| pair[0].last < pair[1].first && pair[0].id < pair[1].id), "one after the other");
    assert_eq!(gaps[0].first, 1);
    assert_eq!(gaps.last().unwrap().last, first_available - 1);
    let dropped = Missing { first: 1, last: first_available - 1, reason: Some(GapReason::DroppedWhenFull) };
    assert_eq!(log.missing(1, last).unwrap(), [dropped], "also for whoever pulls");
    let prompt = log.cursor("prompt").unwrap().unwrap();
    for gap in &gaps {
        assert_eq!(gap.reason, GapReason::DroppedWhenFull);
        assert!(gap.routes.contains(&"slow".to_owned()));
        if gap.last <= prompt {
            assert_eq!(gap.routes, ["slow"], "{prompt}");
        }
    }
}

#[tokio::test]
async fn whoever_would_rather_be_refused_is_while_others_make_the_log_drop() {
    let dir = tempfile::tempdir().unwrap();
    let log = LogConfig { max_bytes: Some(16 * MIB), ..config(dir.path()) }.open().unwrap();
    let point = image_point(&log);
    let (careful, careless) = (log.appender(WhenFull::Refuse), log.appender(WhenFull::DropOldest));
    let mut taken = 0;
    let error = loop {
        match submit(&careful, images(point, taken, 10)).await {
            Ok(_) => taken += 10,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, LogError::Full { .. }) && error.is_retryable(), "{error}");
    assert!(error.to_string().contains("log.max_bytes"), "{error}");
    assert!(taken > 500, "{taken}");
    within(log.seal()).await.unwrap();
    let stats = log.stats();
    assert_eq!((stats.segments_dropped, stats.refused_when_full), (0, 1), "nothing was dropped for it");
    // The others go on, each at once; sealing is let keep up, since only what is sealed can be dropped.
    for batch in 0..100 {
        if batch % 5 == 0 {
            within(log.seal()).await.unwrap();
        }
        submit(&careless, images(point, batch * 10, 10)).await.unwrap();
    }
    assert!(log.stats().segments_dropped > 0);
    assert!(log.gaps(0, 10).unwrap().is_empty(), "nobody had a cursor: nobody missed anything");
}

#[tokio::test]
async fn after_a_refusal_nothing_overtakes() {
    let dir = tempfile::tempdir().unwrap();
    let log =
        LogConfig { max_bytes: Some(16 * MIB), when_full: WhenFull::Refuse, ..config(dir.path()) }.open().unwrap();
    let point = image_point(&log);
    let appender = log.appender(WhenFull::DropOldest);
    let mut from = 0;
    while submit(&appender, images(point, from, 50)).await.is_ok() {
        from += 50;
    }
    // A large one is refused; the small one behind it would have room.
    let mut large = appender.submit(images(point, 100_000, 100)).await.unwrap();
    let mut small = appender.submit(vec![Reading { value: None, ..reading(point, 200_000, 0.0) }]).await.unwrap();
    let refused = within(large.settled()).await.unwrap_err();
    assert!(refused.error.is_full());
    assert_eq!(refused.readings, images(point, 100_000, 100), "they come back whole");
    let behind = within(small.settled()).await.unwrap_err();
    assert!(matches!(behind.error, LogError::Behind) && behind.error.is_retryable());
    assert_eq!(behind.readings.len(), 1);
    appender.go_on();
    let deadline = Instant::now() + PATIENCE;
    // What it thinks of the room is a moment old.
    while let Err(error) = submit(&appender, behind.readings.clone()).await {
        assert!(error.is_full() && Instant::now() < deadline, "{error}");
    }
}

// ---- a disk that is really full

/// Where the child finds its disk.
const CHILD_DISK: &str = "BULKHEAD_LOG_FULL_CHILD_DISK";
const DISK_BYTES: u64 = 32 * MIB;

/// Runs one of the tests below on a disk of its own.
fn on_a_small_disk(child: &str) {
    let dir = tempfile::tempdir().unwrap();
    let script = r#"mount -t tmpfs -o size="$1" tmpfs "$2" && echo mounted && shift 2 && exec "$@""#;
    let run = |options: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(options).args(["sh", "-c", script, "sh", &DISK_BYTES.to_string()]).arg(dir.path());
        command.arg(std::env::current_exe().unwrap()).args(["--ignored", "--exact", "--nocapture", child]);
        command.env(CHILD_DISK, dir.path()).output().unwrap_or_else(|error| panic!("unshare does not start: {error}"))
    };
    let mounted = |output: &std::process::Output| String::from_utf8_lossy(&output.stdout).starts_with("mounted");
    let mut output = run(&["--mount"]);
    if !mounted(&output) {
        output = run(&["--user", "--map-root-user", "--mount"]);
    }
    let text = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).join("\n");
    assert!(mounted(&output), "no tmpfs can be mounted here, neither as root nor in a user namespace: {text}");
    assert!(output.status.success(), "{text}");
    for line in text.lines().filter(|line| line.starts_with('|')) {
        println!("{line}");
    }
}

fn child_disk() -> PathBuf {
    PathBuf::from(std::env::var(CHILD_DISK).expect("the parent sets it"))
}

/// Takes all the room that is left on a disk.
fn fill(disk: &Path) -> PathBuf {
    let path = disk.join("something-else");
    let mut file = std::fs::File::options().create(true).append(true).open(&path).unwrap();
    let piece = [7; 4096];
    while file.write_all(&piece).is_ok() {}
    path
}

#[test]
fn on_a_full_disk_cursors_still_move_and_readings_are_taken_again_once_there_is_room() {
    on_a_small_disk("child_that_refuses_on_a_full_disk");
}

#[tokio::test]
#[ignore = "started by a test of this file as a child process, on a small disk"]
async fn child_that_refuses_on_a_full_disk() {
    let disk = child_disk();
    let dir = disk.join("log");
    let config = LogConfig { when_full: WhenFull::Refuse, reserve_bytes: MIB, ..config(&dir) };
    let log = config.clone().open().unwrap();
    let point = image_point(&log);
    let appender = log.appender(WhenFull::DropOldest);
    let mut acked = Vec::new();
    for from in 0..100 {
        acked.push(submit(&appender, images(point, from, 1)).await.unwrap());
    }
    assert!(log.stats().has_reserve);
    let filler = fill(&disk);
    let deadline = Instant::now() + PATIENCE;
    let error = loop {
        assert!(Instant::now() < deadline, "readings are taken on a full disk");
        match submit(&appender, images(point, 1000, 1)).await {
            Ok(last) => acked.push(last),
            Err(error) => break error,
        }
    };
    assert!(error.is_full(), "{error}");
    // More than what may still lie in blocks that state.db already has.
    for round in 0..2_000 {
        log.set_cursor(&format!("route {}", round % 300), acked[0]).unwrap();
    }
    log.declare("later", &[PointInfo::new("x", Kind::Real)]).unwrap();
    assert!(!log.stats().has_reserve, "that took the reserve");
    fill(&disk);
    assert!(submit(&appender, images(point, 2000, 1)).await.unwrap_err().is_full());

    // It can be closed and opened on the full disk, too.
    drop(appender);
    within(log.close()).await.unwrap_or_else(|error| eprintln!("closing: {error}"));
    let log = config.open().unwrap();
    let appender = log.appender(WhenFull::DropOldest);
    assert!(submit(&appender, images(point, 3000, 1)).await.unwrap_err().is_full());

    std::fs::remove_file(filler).unwrap();
    let freed = Instant::now();
    let last = loop {
        match submit(&appender, images(point, 4000, 1)).await {
            Ok(last) => break last,
            Err(error) => assert!(error.is_full() && freed.elapsed() < BACK_WITHIN, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let back_after = freed.elapsed();
    acked.push(last);
    assert!(log.stats().has_reserve, "the reserve is back before readings are");
    let stored = seqs(&log.read(0, usize::MAX).unwrap());
    let lost: Vec<&Seq> = acked.iter().filter(|seq| !stored.contains(seq)).collect();
    assert!(lost.is_empty(), "{lost:?} were acknowledged");
    println!("\n| acknowledged on a disk that fills up | lost | readings taken again after |");
    println!("| {} | {} | {} ms |", acked.len(), lost.len(), back_after.as_millis());
    assert_eq!(log.cursor("route 7").unwrap(), Some(acked[0]));
}

#[test]
fn on_a_full_disk_the_oldest_segments_make_room() {
    on_a_small_disk("child_that_drops_on_a_full_disk");
}

#[tokio::test]
#[ignore = "started by a test of this file as a child process, on a small disk"]
async fn child_that_drops_on_a_full_disk() {
    let disk = child_disk();
    // No quota: only the disk has an end.
    let log = LogConfig { reserve_bytes: MIB, ..config(&disk.join("log")) }.open().unwrap();
    let point = image_point(&log);
    log.set_cursor("route", 0).unwrap();
    let appender = log.appender(WhenFull::DropOldest);
    let mut last = 0;
    let mut refused = 0;
    for batch in 0..1_000 {
        let deadline = Instant::now() + PATIENCE;
        last = loop {
            match submit(&appender, images(point, batch * 10, 10)).await {
                Ok(last) => break last,
                Err(error) => {
                    refused += 1;
                    assert!(error.is_full() && Instant::now() < deadline, "batch {batch}: {error}");
                }
            }
        };
        if batch == 500 {
            // Somebody else takes what is left.
            fill(&disk);
        }
    }
    // With nothing left to seal, nothing more is dropped while it is looked at.
    within(log.seal()).await.unwrap();
    let stats = log.stats();
    println!("\n| written | disk | segments dropped | refused meanwhile | longest pause |");
    println!(
        "| {} | {DISK_BYTES} | {} | {refused} | {:?} |",
        10_000 * 8192,
        stats.segments_dropped,
        stats.longest_pause
    );
    // This disk syncs at once, so what is left is the log's own doing.
    assert!(stats.longest_pause < PAUSE_MAX, "{:?}", stats.longest_pause);
    let LogError::Gone { first_available, .. } = log.read(0, 1).unwrap_err() else { panic!("nothing was dropped") };
    let rows = log.read(first_available - 1, usize::MAX).unwrap();
    assert_eq!(rows.last().unwrap().seq, last);
    assert_eq!(stats.rows_dropped, stats.gap_rows, "the route had read nothing");
    assert_eq!(log.cursor("route").unwrap(), Some(0));
}
