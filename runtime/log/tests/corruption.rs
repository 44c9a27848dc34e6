//! Flipped bits, rubbish and truncation, in every kind of file of a log: after each, the log must serve again soon, show
//! nothing that was not written, and have counted everything that it does not show.
//!
//! `BULKHEAD_SOAK_TRIALS` says how many are tried; a table is printed.
#![allow(clippy::unwrap_used, reason = "a failure of a test's own step is to end it")]

mod harness;
#[path = "harness/trials.rs"]
mod trials;

use bulkhead_log::{Gap, GapReason, Log, LogConfig, LogError, Row};
use bulkhead_model::{Kind, PointId, PointInfo, Reading, Seq, Status, Timestamp, Value};
use harness::{PATIENCE, within};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use trials::{Numbers, seed, trials};

const TRIALS_SHORT: usize = 42;
const POINTS: usize = 40;
const SEGMENT_ROWS: u32 = 1500;
const BATCHES: u64 = 48;
const BATCH_ROWS: u64 = 125;
const CURSOR: Seq = 4321;

fn config(dir: &Path) -> LogConfig {
    LogConfig { segment_max_rows: SEGMENT_ROWS, ..harness::config(dir) }
}

fn name_of(point: usize) -> String {
    format!("hall {}, point {point}", point % 3)
}

fn declare(log: &Log) -> Vec<PointId> {
    let infos: Vec<PointInfo> = (0..POINTS)
        .map(|index| PointInfo::new(name_of(index), if index % 10 == 9 { Kind::Text } else { Kind::Real }))
        .collect();
    log.declare("line", &infos).unwrap()
}

/// The reading with a number.
fn reading(points: &[PointId], id: u64) -> Reading {
    let index = usize::try_from(id).unwrap() % POINTS;
    let value = if index % 10 == 9 {
        Value::Text(format!("{id} {}", "y".repeat(usize::try_from(id % 2000).unwrap())))
    } else {
        Value::Real(id as f64 * 0.37)
    };
    Reading {
        point: points[index],
        time: Timestamp(i64::try_from(id).unwrap()),
        status: Status::GOOD,
        value: Some(value),
    }
}

/// A log to damage: as a kill left it, or after a close in order; and every row that was acknowledged.
struct Original {
    dir: tempfile::TempDir,
    is_closed: bool,
    rows: BTreeMap<Seq, Reading>,
}

async fn original(is_closed: bool) -> Original {
    let work = tempfile::tempdir().unwrap();
    let log = config(work.path()).open().unwrap();
    let points = declare(&log);
    let mut rows = BTreeMap::new();
    for batch in 0..BATCHES {
        let readings: Vec<Reading> =
            (batch * BATCH_ROWS..(batch + 1) * BATCH_ROWS).map(|id| reading(&points, id)).collect();
        let committed = within(log.append(readings.clone())).await.unwrap();
        rows.extend((committed.first..).zip(readings));
        log.set_cursor("route", batch * 10).unwrap();
    }
    within(log.seal()).await.unwrap();
    // An open segment with pages in the database and others in the WAL.
    for batch in BATCHES..BATCHES + 8 {
        let readings: Vec<Reading> =
            (batch * BATCH_ROWS..(batch + 1) * BATCH_ROWS).map(|id| reading(&points, id)).collect();
        let committed = within(log.append(readings.clone())).await.unwrap();
        rows.extend((committed.first..).zip(readings));
    }
    log.set_cursor("route", CURSOR).unwrap();
    let dir = tempfile::tempdir().unwrap();
    if is_closed {
        within(log.close()).await.unwrap();
        copy(work.path(), dir.path());
    } else {
        copy(work.path(), dir.path());
        drop(log);
    }
    Original { dir, is_closed, rows }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// What a file is, for the table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Target {
    State,
    StateWal,
    OpenSegment,
    OpenSegmentWal,
    SealedSegment,
    Lock,
    Stray,
}

impl Target {
    const ALL: [Self; 7] = [
        Self::State,
        Self::StateWal,
        Self::OpenSegment,
        Self::OpenSegmentWal,
        Self::SealedSegment,
        Self::Lock,
        Self::Stray,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::State => "state.db",
            Self::StateWal => "state.db-wal",
            Self::OpenSegment => "open segment",
            Self::OpenSegmentWal => "its WAL",
            Self::SealedSegment => "sealed segment",
            Self::Lock => "lock",
            Self::Stray => "a file that is none of the log's",
        }
    }

    /// A file of this kind; none where there is none.
    fn pick(self, dir: &Path, numbers: &mut Numbers) -> Option<PathBuf> {
        let mut names: Vec<String> =
            std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names.retain(|name| match self {
            Self::State => name == "state.db",
            Self::StateWal => name == "state.db-wal",
            Self::OpenSegment => name.ends_with(".open.db"),
            Self::OpenSegmentWal => name.ends_with(".open.db-wal"),
            Self::SealedSegment => name.starts_with("seg-") && name.ends_with(".db") && !name.contains("open"),
            Self::Lock => name == "lock",
            Self::Stray => false,
        });
        if self == Self::Stray {
            let strays = ["seg-rubbish.db", "seg-00000000000000099999.open.db", "state.db.tmp", "notes.txt"];
            return Some(dir.join(strays[numbers.below(strays.len())]));
        }
        (!names.is_empty()).then(|| dir.join(&names[numbers.below(names.len())]))
    }
}

/// Damages a file and says how.
fn damage(path: &Path, numbers: &mut Numbers) -> &'static str {
    let mut bytes = std::fs::read(path).unwrap_or_default();
    let rubbish = |numbers: &mut Numbers, length: usize| -> Vec<u8> {
        (0..length).map(|_| numbers.next().to_le_bytes()[0]).collect()
    };
    if bytes.is_empty() {
        let length = numbers.below(9000);
        std::fs::write(path, rubbish(numbers, length)).unwrap();
        return "written with rubbish";
    }
    let how = match numbers.below(10) {
        0..=4 => {
            let at = numbers.below(bytes.len());
            bytes[at] ^= 1 << numbers.below(8);
            "a flipped bit"
        }
        5 => {
            for _ in 0..20 {
                let at = numbers.below(bytes.len());
                bytes[at] ^= 1 << numbers.below(8);
            }
            "twenty flipped bits"
        }
        6 => {
            let at = numbers.below(bytes.len()) / 512 * 512;
            let end = bytes.len().min(at + 512);
            let sector = rubbish(numbers, end - at);
            bytes[at..end].copy_from_slice(&sector);
            "a sector of rubbish"
        }
        7 => {
            bytes.truncate(numbers.below(bytes.len()));
            "cut off"
        }
        8 => {
            bytes.clear();
            "emptied"
        }
        _ => {
            let length = bytes.len();
            bytes = rubbish(numbers, length);
            "all rubbish"
        }
    };
    std::fs::write(path, bytes).unwrap();
    how
}

/// Every row that the log shows, when what was found damaged has been salvaged.
async fn rows_after_salvage(log: &Log) -> Vec<Row> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match log.read(log.stats().first_available - 1, usize::MAX) {
            Ok(rows) => return rows,
            Err(LogError::Damaged { .. }) if Instant::now() < deadline => within(log.seal()).await.unwrap(),
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// How a trial went.
#[derive(Debug)]
struct Outcome {
    serving: Duration,
    lost: u64,
    uncounted: u64,
    invented: u64,
}

fn missing_spans(log: &Log) -> Vec<Gap> {
    let mut gaps = log.gaps(0, usize::MAX).unwrap();
    gaps.retain(|gap| matches!(gap.reason, GapReason::Damaged | GapReason::SkippedAtOpen));
    gaps
}

/// Opens a damaged log and holds it against what was acknowledged.
async fn examine(dir: &Path, original: &Original) -> Outcome {
    let begun = Instant::now();
    let log = config(dir).open().unwrap();
    let points = declare(&log);
    let appended = within(log.append(vec![reading(&points, 999_999)])).await.unwrap();
    let rows = rows_after_salvage(&log).await;
    let serving = begun.elapsed();

    let is_as_written = |row: &Row| {
        let point = log.catalogue().by_id(row.reading.point).map(|point| point.info.name.clone());
        let expected = name_of(usize::try_from(row.reading.time.0).unwrap() % POINTS);
        original.rows.get(&row.seq) == Some(&row.reading) && point == Some(expected)
    };
    let invented = rows.iter().filter(|row| row.seq != appended.first && !is_as_written(row)).count() as u64;
    let there: BTreeSet<Seq> = rows.iter().map(|row| row.seq).collect();
    assert!(there.contains(&appended.first), "what is appended is shown");
    assert!(!original.rows.contains_key(&appended.first), "a seq was given twice");
    let gaps = missing_spans(&log);
    let lost: Vec<Seq> = original.rows.keys().copied().filter(|seq| !there.contains(seq)).collect();
    let is_counted = |seq: &&Seq| gaps.iter().any(|gap| gap.first <= **seq && **seq <= gap.last);
    let uncounted = lost.len() - lost.iter().filter(is_counted).count();

    within(log.close()).await.unwrap();
    let log = config(dir).open().unwrap();
    assert_eq!(rows_after_salvage(&log).await, rows, "the next opening finds the same");
    assert_eq!(log.stats().files_damaged, 0, "and no damage");
    assert_eq!(missing_spans(&log), gaps);
    Outcome { serving, lost: lost.len() as u64, uncounted: uncounted as u64, invented }
}

#[derive(Default)]
struct Line {
    trials: usize,
    acknowledged: usize,
    lost: u64,
    uncounted: u64,
    invented: u64,
    longest: Duration,
}

#[tokio::test]
async fn whatever_is_damaged_the_log_serves_again_and_has_counted_what_is_lost() {
    let originals = [original(false).await, original(true).await];
    let mut numbers = Numbers(seed());
    let mut table: BTreeMap<Target, Line> = BTreeMap::new();
    for trial in 0..trials(TRIALS_SHORT) {
        let target = Target::ALL[trial % Target::ALL.len()];
        let mut original = &originals[numbers.below(2)];
        let dir = tempfile::tempdir().unwrap();
        if target.pick(original.dir.path(), &mut Numbers(0)).is_none() {
            // A close in order leaves no WAL.
            original = &originals[0];
        }
        copy(original.dir.path(), dir.path());
        let path = target.pick(dir.path(), &mut numbers).unwrap();
        let how = damage(&path, &mut numbers);
        let name = path.file_name().unwrap().to_string_lossy();
        eprintln!("trial {trial}: {name}, {how}; closed in order: {}", original.is_closed);
        let outcome = examine(dir.path(), original).await;
        assert_eq!((outcome.uncounted, outcome.invented), (0, 0), "{outcome:?}");
        assert!(outcome.serving < Duration::from_secs(10), "{outcome:?}");
        let line = table.entry(target).or_default();
        line.trials += 1;
        line.acknowledged += original.rows.len();
        line.lost += outcome.lost;
        line.uncounted += outcome.uncounted;
        line.invented += outcome.invented;
        line.longest = line.longest.max(outcome.serving);
    }
    println!(
        "| damaged | trials | acknowledged | lost and counted | lost uncounted | invented | serving again after, longest |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for (target, line) in &table {
        println!(
            "| {} | {} | {} | {} | {} | {} | {} ms |",
            target.name(),
            line.trials,
            line.acknowledged,
            line.lost,
            line.uncounted,
            line.invented,
            line.longest.as_millis()
        );
    }
}
