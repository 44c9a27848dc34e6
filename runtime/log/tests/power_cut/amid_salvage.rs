//! Logs with a damaged file, and a process that opens them and has them salvaged: when its power is cut, nothing is lost
//! beyond what the damage cost.

use super::disk::Disk;
use super::trials::Numbers;
use super::workload::{config, declare, reading};
use super::{some_cut, some_kept};
use bulkhead_log::{Log, LogError, Row};
use bulkhead_model::Seq;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Batches of the log before the damage, and readings of each.
const BATCHES: u64 = 11;
const BATCH_ROWS: u64 = 23;
const CURSOR: Seq = 100;

/// Which file is damaged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Damaged {
    State,
    OpenSegment,
    SealedSegment,
}

impl Damaged {
    pub(crate) const ALL: [Self; 3] = [Self::State, Self::OpenSegment, Self::SealedSegment];
}

/// Makes a log as a kill leaves it, with one file damaged.
pub(crate) async fn make(dir: &Path, damaged: Damaged) {
    let work = tempfile::tempdir().unwrap();
    let log = config(work.path()).open().unwrap();
    let points = declare(&log);
    log.set_cursor("pull", CURSOR).unwrap();
    for batch in 0..BATCHES {
        let first = 1 + batch * BATCH_ROWS;
        log.append((first..first + BATCH_ROWS).map(|id| reading(&points, id)).collect()).await.unwrap();
        // Several commits follow: damage of the last one alone cannot be told from a cut.
        if batch + 4 == BATCHES {
            log.seal().await.unwrap();
        }
    }
    copy(work.path(), dir);
    let mut names: Vec<String> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let name = names.iter().find(|name| match damaged {
        Damaged::State => *name == "state.db",
        Damaged::OpenSegment => name.ends_with(".open.db-wal"),
        Damaged::SealedSegment => name.starts_with("seg-") && name.ends_with(".db") && !name.contains("open"),
    });
    let path = dir.join(name.unwrap());
    let mut bytes = std::fs::read(&path).unwrap();
    match damaged {
        Damaged::State => bytes.fill(0x55),
        // In the first of its commits.
        Damaged::OpenSegment => bytes[300] ^= 1,
        // All behind the first page: its description, its slices and its blocks.
        Damaged::SealedSegment => bytes[4096..].fill(0x55),
    }
    std::fs::write(path, bytes).unwrap();
}

pub(crate) fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// Opens a log, has it salvaged, and appends.
pub(crate) async fn salvage_and_append(dir: &Path, words: &Path) {
    let mut words = File::options().create(true).append(true).open(words).unwrap();
    let log = config(dir).open().unwrap();
    let points = declare(&log);
    rows_after_salvage(&log).await;
    for batch in 0..3 {
        let first = 10_000 + batch * 10;
        let committed = log.append((first..first + 10).map(|id| reading(&points, id)).collect()).await.unwrap();
        words.write_all(format!("acknowledged {} {first}\n", committed.first).as_bytes()).unwrap();
    }
    log.close().await.unwrap();
}

async fn rows_after_salvage(log: &Log) -> Vec<Row> {
    for _ in 0..10 {
        match log.read(log.stats().first_available - 1, usize::MAX) {
            Ok(rows) => return rows,
            Err(LogError::Damaged { .. }) => log.seal().await.unwrap(),
            Err(error) => panic!("{error:?}"),
        }
    }
    panic!("the salvage does not come to an end");
}

/// The readings' numbers that a log shows, by seq.
async fn ids(dir: &Path) -> BTreeMap<Seq, u64> {
    let log = config(dir).open().unwrap();
    let points = declare(&log);
    let rows = rows_after_salvage(&log).await;
    for row in &rows {
        assert_eq!(row.reading, reading(&points, row.reading.time.0.unsigned_abs()), "changed");
    }
    rows.iter().map(|row| (row.seq, row.reading.time.0.unsigned_abs())).collect()
}

/// Cuts the power so many times while a damaged log is salvaged. Returns how many readings were held against what was
/// left, and how many of them were lost.
pub(crate) async fn cut(disk: &Disk, damaged_dir: &Path, damaged: Damaged, trials: usize, seed: u64) -> (usize, usize) {
    let whole = tempfile::tempdir().unwrap();
    copy(damaged_dir, whole.path());
    let without_cut = ids(whole.path()).await;
    let total = usize::try_from(BATCHES * BATCH_ROWS).unwrap();
    assert!(without_cut.len() <= total && without_cut.len() > total / 2, "{damaged:?}: {}", without_cut.len());
    assert_eq!(without_cut.len() < total, damaged == Damaged::SealedSegment, "{}", without_cut.len());
    let mut numbers = Numbers(seed);
    let (mut held, mut lost_in_all) = (0, 0);
    for trial in 0..trials {
        let cut = some_cut(disk, &mut numbers);
        let kept = some_kept(cut, &mut numbers);
        let image = tempfile::tempdir().unwrap();
        disk.write_image(cut, kept, &mut numbers, image.path());
        eprintln!("{damaged:?} {trial}: the power goes at line {cut} of {}; kept: {kept:?}", disk.lines);
        let mut expected = without_cut.clone();
        for (_, line) in disk.said.iter().take_while(|(line, _)| *line <= cut) {
            let numbers: Vec<u64> = line.split(' ').skip(1).map(|word| word.parse().unwrap()).collect();
            expected.extend((numbers[0]..numbers[0] + 10).zip(numbers[1]..));
        }
        let found = ids(image.path()).await;
        let lost: Vec<_> = expected.iter().filter(|(seq, id)| found.get(seq) != Some(id)).collect();
        assert!(lost.is_empty(), "{lost:?}");
        let log = config(image.path()).open().unwrap();
        if damaged != Damaged::State {
            assert_eq!(log.cursor("pull").unwrap(), Some(CURSOR));
        }
        held += expected.len();
        lost_in_all += lost.len();
    }
    (held, lost_in_all)
}
