//! Power cuts: a process works with a log under `strace`; from the trace, the folder is built as a disk may have it if the
//! power goes at a moment (`disk`), opened, and held against what had been acknowledged by then (`oracle`).
//!
//! `BULKHEAD_SOAK_TRIALS` says how many cuts; a table is printed.
#![allow(clippy::unwrap_used, reason = "a failure of a test's own step is to end it")]
#![allow(clippy::print_stderr, reason = "a failing trial is found by what was printed before it")]

mod amid_salvage;
mod disk;
mod oracle;
mod trace;
#[path = "../harness/trials.rs"]
mod trials;
mod workload;

use amid_salvage::Damaged;
use disk::{Disk, Kept};
use oracle::Said;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use trials::{Numbers, SEED, seed, trials};

/// Where the child finds its log, where it says what it does, and which of the two children it is.
const CHILD_DIR: &str = "BULKHEAD_LOG_TEST_CHILD_DIR";
const CHILD_WORDS: &str = "BULKHEAD_LOG_TEST_CHILD_WORDS";
/// Held by each test: a program that is being started has, until it runs, a copy of everything its parent has open, the locks
/// of another test's logs included, so that these could not be opened again.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Cuts in the suite.
const TRIALS_SHORT: usize = 60;
/// Cuts of one run of the child; then it works anew, on other things.
const TRIALS_A_RUN: usize = 250;
/// What the child does.
const STEPS: usize = 150;

#[test]
#[ignore = "started by the power cut test as a child process"]
fn child_that_works() {
    let dir = PathBuf::from(std::env::var(CHILD_DIR).expect("the power cut test sets it"));
    let words = PathBuf::from(std::env::var(CHILD_WORDS).expect("the power cut test sets it"));
    tokio::runtime::Runtime::new().unwrap().block_on(workload::run(&dir, &words, STEPS, seed()));
}

#[test]
#[ignore = "started by the test of salvage as a child process"]
fn child_that_salvages() {
    let dir = PathBuf::from(std::env::var(CHILD_DIR).expect("the power cut test sets it"));
    let words = PathBuf::from(std::env::var(CHILD_WORDS).expect("the power cut test sets it"));
    tokio::runtime::Runtime::new().unwrap().block_on(amid_salvage::salvage_and_append(&dir, &words));
}

/// Runs a child of this program under `strace`. Returns what it did to a folder that was before as a copy says.
fn traced(child: &str, seed: u64, dir: &Path, copy: &Path) -> Disk {
    let aside = tempfile::tempdir().unwrap();
    let (words, trace) = (aside.path().join("words"), aside.path().join("trace"));
    let status = Command::new("strace")
        .args(["-f", "-xx", "-s", "16777216", "-e", &format!("trace={}", trace::CALLS), "-o"])
        .arg(&trace)
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", child])
        .env(CHILD_DIR, dir)
        .env(CHILD_WORDS, &words)
        .env(SEED, seed.to_string())
        .stdout(Stdio::null())
        .status()
        .expect("strace is needed: install it (Debian: apt-get install strace)");
    assert!(status.success(), "the child failed");
    let calls = trace::parse(&std::fs::read_to_string(&trace).unwrap());
    Disk::of(&calls, dir, copy, &words)
}

/// When the power goes: half of the time anywhere, half of the time just before or after something becomes durable or gets
/// another name.
fn some_cut(disk: &Disk, numbers: &mut Numbers) -> usize {
    if numbers.below(2) == 0 {
        return numbers.below(disk.lines + 1);
    }
    let moment = disk.moments[numbers.below(disk.moments.len())];
    (moment + numbers.below(3)).saturating_sub(1)
}

fn some_kept(cut: usize, numbers: &mut Numbers) -> Kept {
    match numbers.below(8) {
        0 => Kept::Nothing,
        1 => Kept::All,
        2 => Kept::Until(numbers.below(cut + 1)),
        3 => Kept::Contents,
        4 => Kept::Names,
        5 => Kept::Some,
        _ => Kept::Torn,
    }
}

#[tokio::test]
async fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut numbers = Numbers(seed());
    let (mut moments, mut acknowledged, mut lost, mut longest) = (0, 0, 0, Duration::ZERO);
    let mut disk = Disk::default();
    for trial in 0..trials(TRIALS_SHORT) {
        if trial % TRIALS_A_RUN == 0 {
            let (dir, empty) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            disk = traced("child_that_works", numbers.next(), dir.path(), empty.path());
            moments += disk.lines;
        }
        let cut = some_cut(&disk, &mut numbers);
        let kept = some_kept(cut, &mut numbers);
        let image = tempfile::tempdir().unwrap();
        disk.write_image(cut, kept, &mut numbers, image.path());
        let said = Said::before(&disk.said, cut);
        eprintln!(
            "trial {trial}: the power goes at line {cut} of {}; of what was not synced is kept: {kept:?}",
            disk.lines
        );
        let held = oracle::check(image.path(), &said).await;
        longest = longest.max(held.opening);
        lost += held.lost;
        acknowledged += said.acknowledged.len();
    }
    println!("| power cuts | moments to cut at | acknowledged readings held against | lost | longest opening |");
    println!("| ---: | ---: | ---: | ---: | ---: |");
    let trials = trials(TRIALS_SHORT);
    println!("| {trials} | {moments} | {acknowledged} | {lost} | {} ms |", longest.as_millis());
}

#[tokio::test]
async fn a_power_cut_amid_salvage_loses_nothing_more() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let seed = seed();
    println!("| damaged | power cuts amid salvage | readings held against | lost beyond the damage |");
    println!("| --- | ---: | ---: | ---: |");
    for damaged in Damaged::ALL {
        let (original, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        amid_salvage::make(original.path(), damaged).await;
        amid_salvage::copy(original.path(), dir.path());
        let disk = traced("child_that_salvages", seed, dir.path(), original.path());
        let trials = trials(TRIALS_SHORT) / 3;
        let (held, lost) = amid_salvage::cut(&disk, original.path(), damaged, trials, seed).await;
        println!("| {damaged:?} | {trials} | {held} | {lost} |");
    }
}
