//! What the log does when the operating system fails it: a child process appends under strace, which makes system calls on
//! the log's files fail. It must acknowledge nothing that is not there afterwards, and go on by itself.
//!
//! strace comes with `cargo xtask test`; where it is missing or may not trace, these tests fail.
#![allow(clippy::unwrap_used, reason = "a failure of a test's own step is to end it")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "figures for people, and the child's words for its parent"
)]

mod harness;

use bulkhead_log::{Appender, GapReason, Log, LogConfig, LogError, WhenFull};
use bulkhead_model::{Seq, Value};
use harness::{all_rows, config, declare, readings, within};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

/// Where the child finds its log.
const CHILD_DIR: &str = "BULKHEAD_LOG_FAULTS_CHILD_DIR";
/// Batches the child must get acknowledged.
const BATCHES: i64 = 60;
/// Readings in each.
const BATCH_ROWS: i64 = 10;
/// Rows of a segment: few, so that segments are started and sealed under the failures too.
const SEGMENT_ROWS: u32 = 100;
/// The child moves a cursor after so many batches.
const CURSOR_EVERY: i64 = 5;
/// Calls that fail one after the other.
const BURST: usize = 4;
/// Wait before the child tries again what failed.
const AGAIN: Duration = Duration::from_millis(10);
/// Tries of one thing before the child gives up.
const TRIES: usize = 500;

fn child_config(dir: &Path) -> LogConfig {
    LogConfig { segment_max_rows: SEGMENT_ROWS, commit_max_ms: 0, when_full: WhenFull::Refuse, ..config(dir) }
}

/// Tries until it works; whatever fails must say that another try is right.
async fn until_it_works<T>(what: &str, mut attempt: impl AsyncFnMut() -> Result<T, LogError>) -> T {
    for _ in 0..TRIES {
        match attempt().await {
            Ok(done) => return done,
            Err(error) => {
                eprintln!("{what}: {error:?}");
                assert!(error.is_retryable(), "{what}: {error}");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
    panic!("{what} does not work any more");
}

#[tokio::test]
#[ignore = "started by the tests of this file as a child process, under strace"]
async fn child_that_appends_whatever_fails() {
    let dir = PathBuf::from(std::env::var(CHILD_DIR).expect("the parent sets it"));
    let log: Log = until_it_works("open", async || child_config(&dir).open()).await;
    let points = until_it_works("declare", async || {
        let infos: Vec<_> =
            (0..20).map(|n| bulkhead_model::PointInfo::new(format!("p{n}"), bulkhead_model::Kind::Real)).collect();
        log.declare("c", &infos)
    })
    .await;
    let appender = log.appender(WhenFull::Refuse);
    for batch in 0..BATCHES {
        let committed = until_it_works("append", async || {
            let readings = readings(&points, batch * BATCH_ROWS, BATCH_ROWS as usize);
            append_once(&appender, readings).await
        })
        .await;
        println!("\nacked {} {} {}", committed.first, committed.last, batch * BATCH_ROWS);
        if batch % CURSOR_EVERY == 0 {
            until_it_works("move a cursor", async || log.set_cursor("route", committed.last)).await;
            println!("\ncursor {}", committed.last);
        }
    }
    let stats = log.stats();
    println!("\nstats {} {}", stats.commits, stats.segments_abandoned);
    // Closing may meet a failure as well; what was acknowledged is on disk anyway.
    _ = within(log.close()).await;
    println!("\nfinished");
}

async fn append_once(
    appender: &Appender,
    readings: Vec<bulkhead_model::Reading>,
) -> Result<bulkhead_log::Committed, LogError> {
    let outcome = match appender.submit(readings).await {
        Ok(mut pending) => within(pending.settled()).await,
        Err(refused) => Err(refused),
    };
    outcome.map_err(|refused| {
        appender.go_on();
        refused.error
    })
}

/// What a child said.
#[derive(Debug, Default)]
struct Said {
    acked: Vec<(Seq, Seq, i64)>,
    cursor: Seq,
    commits: u64,
    segments_abandoned: u64,
    finished: bool,
}

impl Said {
    fn parse(output: &Output) -> Self {
        let mut said = Self::default();
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let number = |index: usize| words[index].parse::<u64>().unwrap();
            match words.first() {
                Some(&"acked") => said.acked.push((number(1), number(2), number(3) as i64)),
                Some(&"cursor") => said.cursor = number(1),
                Some(&"stats") => (said.commits, said.segments_abandoned) = (number(1), number(2)),
                Some(&"finished") => said.finished = true,
                _ => {}
            }
        }
        said
    }
}

/// Runs the child under strace.
fn run_child(dir: &Path, strace: &[String]) -> (Said, String) {
    let output = Command::new("strace")
        .args(["-f", "-o"])
        .arg(dir.with_extension("trace"))
        .args(strace)
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "child_that_appends_whatever_fails"])
        .env(CHILD_DIR, dir)
        .output()
        .unwrap_or_else(|error| panic!("strace does not start ({error}): `cargo xtask test` installs it"));
    let said = Said::parse(&output);
    let trace = std::fs::read_to_string(dir.with_extension("trace")).unwrap_or_default();
    assert!(trace.contains("exited with"), "strace could not trace: {}", String::from_utf8_lossy(&output.stderr));
    assert!(said.finished, "{strace:?}: the child did not go on: {}", String::from_utf8_lossy(&output.stderr));
    (said, trace)
}

/// The files the child may use, for strace to tell them from those of the program's own start. Seqs rise by whole batches, so
/// segments start at one behind a multiple of them, or one further when a segment was given up empty.
fn paths_of(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = ["", "-wal", "-shm", "-journal"].map(|end| format!("state.db{end}")).into();
    names.extend(["reserve", "lock"].map(str::to_owned));
    for start in (1..BATCHES * BATCH_ROWS * 2).filter(|seq| seq % BATCH_ROWS <= 2) {
        names.push(format!("seg-{start:020}.tmp"));
        names.extend(["", "-wal", "-shm", "-journal"].map(|end| format!("seg-{start:020}.open.db{end}")));
    }
    let paths = names.into_iter().map(|name| dir.join(name)).chain([dir.to_owned()]);
    paths.flat_map(|path| ["-P".to_owned(), path.to_str().unwrap().to_owned()]).collect()
}

/// Everything the child was told is there must be there, once and in order.
/// Returns how many acknowledged readings are not.
fn verify(dir: &Path, said: &Said, what: &str) -> usize {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let log = child_config(dir).open().unwrap();
        let rows: BTreeMap<Seq, _> = all_rows(&log).into_iter().map(|row| (row.seq, row.reading)).collect();
        let (mut before, mut missing) = (0, Vec::new());
        for (first, last, time) in &said.acked {
            assert!(*first > before, "{what}: seq {first} was given twice");
            before = *last;
            for (seq, time) in (*first..=*last).zip(*time..) {
                let Some(reading) = rows.get(&seq) else {
                    missing.push(seq);
                    continue;
                };
                assert_eq!((reading.time.0, &reading.value), (time, &Some(Value::Real(time as f64))), "{what}");
            }
        }
        assert!(missing.is_empty(), "{what}: {missing:?} were acknowledged and are not there");
        assert!(log.cursor("route").unwrap() >= Some(said.cursor), "{what}: the cursor went back");
        let lost = log.gaps(0, 1000).unwrap().into_iter().filter(|gap| gap.rows != Some(0));
        let lost: Vec<_> = lost.filter(|gap| gap.reason != GapReason::SkippedAtOpen).collect();
        assert!(lost.is_empty(), "{what}: a loss is told where there is none: {lost:?}");
        // It goes on as if nothing had been.
        let points = declare(&log, 20);
        assert!(harness::append(&log, readings(&points, 0, 1)).await.first > before);
        within(log.close()).await.unwrap();
        missing.len()
    })
}

/// Has bursts of calls fail, each burst in a run of its own: the first calls of every thread, the next ones, and so on.
fn fail(syscall: &str, error: &str, last_call: usize) {
    let (mut trials, mut acked, mut lost, mut hit, mut abandoned) = (0, 0, 0, 0, 0);
    for first in (1..=last_call).step_by(BURST) {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("log");
        let until = first + BURST - 1;
        let what = format!("{syscall} {first} to {until} of each thread fail with {error}");
        let inject = format!("inject={syscall}:error={error}:when={first}..{until}");
        let mut options = vec!["-e".to_owned(), format!("trace={syscall}"), "-e".to_owned(), inject];
        options.extend(paths_of(&dir));
        let (said, trace) = run_child(&dir, &options);
        lost += verify(&dir, &said, &what);
        assert_eq!(said.acked.len() as i64, BATCHES, "{what}");
        trials += 1;
        acked += said.acked.len() as i64 * BATCH_ROWS;
        hit += trace.lines().filter(|line| line.contains("(INJECTED)")).count();
        abandoned += said.segments_abandoned;
    }
    println!("| call | runs | calls that failed | acknowledged | lost | segments given up |");
    println!("| {syscall} {error} | {trials} | {hit} | {acked} | {lost} | {abandoned} |");
    assert!(hit > 0, "no {syscall} was made to fail");
}

macro_rules! failing {
    ($($name:ident: $syscall:literal, $error:literal, $last_call:literal;)*) => {
        $(#[test]
        fn $name() {
            fail($syscall, $error, $last_call);
        })*
    };
}

failing! {
    sync_fails: "fsync", "EIO", 40;
    sync_finds_no_room: "fsync", "ENOSPC", 16;
    writing_fails: "pwrite64", "EIO", 60;
    writing_finds_no_room: "pwrite64", "ENOSPC", 60;
    opening_fails: "openat", "EIO", 24;
    opening_finds_no_room: "openat", "ENOSPC", 24;
    too_many_files_are_open: "openat", "EMFILE", 24;
    reading_fails: "pread64", "EIO", 24;
    cutting_fails: "ftruncate", "EIO", 8;
    removing_fails: "unlink", "EIO", 16;
    renaming_fails: "rename", "EIO", 8;
    renaming_finds_no_room: "rename", "ENOSPC", 8;
    listing_fails: "getdents64", "EIO", 16;
    asking_for_free_space_fails: "statfs", "EIO", 8;
}

#[test]
fn in_full_durability_there_is_a_sync_for_each_commit() {
    let dir = tempfile::tempdir().unwrap();
    let (said, trace) = run_child(&dir.path().join("log"), &["-y".into(), "-e".into(), "trace=fdatasync,fsync".into()]);
    let of_wals = trace.lines().filter(|line| line.contains("sync(") && line.contains(".open.db-wal>")).count() as u64;
    println!("| commits | syncs of a segment's WAL |\n| {} | {of_wals} |", said.commits);
    assert!(
        said.commits >= BATCHES.unsigned_abs() && of_wals >= said.commits,
        "{of_wals} syncs, {} commits",
        said.commits
    );
}
