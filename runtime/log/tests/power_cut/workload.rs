//! What the process does whose power is cut: it appends, seals, drops, moves cursors, declares, closes and opens, and says
//! what it is about to do and what has been acknowledged to it.

use super::trials::Numbers;
use bulkhead_log::{InFlight, Log, LogConfig};
use bulkhead_model::{Kind, PointId, PointInfo, Reading, Status, Timestamp, Value};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Small segments: every few batches one is closed, sealed, and its twin removed.
pub(crate) fn config(dir: &Path) -> LogConfig {
    LogConfig { segment_max_rows: 60, commit_max_ms: 0, retention_max_age_s: Some(3600), ..LogConfig::new(dir) }
}

/// Every so many readings one is a text.
const TEXT_EVERY: u64 = 17;
const POINTS: usize = 7;

/// The reading with a number: all of it follows from the number.
pub(crate) fn reading(points: &[PointId], id: u64) -> Reading {
    let (point, value) = if id.is_multiple_of(TEXT_EVERY) {
        (points[POINTS - 1], Value::Text(format!("{id} {}", "x".repeat(usize::try_from(id % 1500).unwrap()))))
    } else {
        (points[usize::try_from(id).unwrap() % (POINTS - 1)], Value::Real(id as f64))
    };
    Reading { point, time: Timestamp(i64::try_from(id).unwrap()), status: Status::GOOD, value: Some(value) }
}

/// Declares the points of the readings.
pub(crate) fn declare(log: &Log) -> Vec<PointId> {
    let mut infos: Vec<PointInfo> =
        (1..POINTS).map(|index| PointInfo::new(format!("real {index}"), Kind::Real)).collect();
    infos.push(PointInfo::new("text", Kind::Text));
    log.declare("line", &infos).unwrap()
}

/// Two hours from now: whatever was committed is older than retention allows.
fn much_later() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    Timestamp(i64::try_from(now).unwrap() + 7200 * 1_000_000_000)
}

struct Work {
    log: Log,
    points: Vec<PointId>,
    words: File,
    numbers: Numbers,
    next_id: u64,
    committed: u64,
    extra_points: usize,
}

/// Does so many things in a folder.
pub(crate) async fn run(dir: &Path, words: &Path, steps: usize, seed: u64) {
    let words = File::options().create(true).append(true).open(words).unwrap();
    let log = config(dir).open().unwrap();
    let points = declare(&log);
    let mut work = Work { log, points, words, numbers: Numbers(seed), next_id: 1, committed: 0, extra_points: 0 };
    work.say("declared");
    for _ in 0..steps {
        work.step(dir).await;
    }
    work.append(1).await;
}

impl Work {
    /// One write: one call in the trace.
    fn say(&mut self, line: &str) {
        self.words.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    async fn step(&mut self, dir: &Path) {
        match self.numbers.below(40) {
            0..=19 => self.append(1).await,
            20..=23 => self.append(3).await,
            24..=27 => self.move_cursor(),
            28..=31 => self.begin_batch(),
            32..=34 => self.finish_batch(),
            35 => self.declare_more(),
            36 => self.log.seal().await.unwrap(),
            37 => self.drop_old(),
            _ => self.close_and_open(dir).await,
        }
    }

    /// Appends batches that are on the way together.
    async fn append(&mut self, batches: usize) {
        let mut pending = Vec::new();
        for _ in 0..batches {
            let (first, count) = (self.next_id, 1 + self.numbers.below(25) as u64);
            self.next_id += count;
            self.say(&format!("submitted {first} {count}"));
            let readings = (first..first + count).map(|id| reading(&self.points, id)).collect();
            pending.push((first, self.log.submit(readings).await.unwrap()));
        }
        for (id, batch) in pending {
            let committed = batch.committed().await.unwrap();
            self.committed = committed.last;
            self.say(&format!("acknowledged {} {} {id}", committed.first, committed.last));
        }
    }

    fn some_seq(&mut self) -> u64 {
        self.numbers.below(usize::try_from(self.committed).unwrap() + 1) as u64
    }

    fn move_cursor(&mut self) {
        let seq = self.some_seq();
        self.say(&format!("moving pull {seq}"));
        self.log.set_cursor("pull", seq).unwrap();
        self.say(&format!("moved pull {seq}"));
    }

    fn begin_batch(&mut self) {
        let first = self.some_seq();
        self.say(&format!("beginning {first} {}", first + 5));
        self.log.begin_batch("route", InFlight { revision: "a".into(), first, last: first + 5 }).unwrap();
        self.say(&format!("begun {first} {}", first + 5));
    }

    fn finish_batch(&mut self) {
        let seq = self.some_seq();
        self.say(&format!("moving route {seq}"));
        self.say("beginning none");
        self.log.finish_batch("route", seq, None, Vec::new()).unwrap();
        self.say(&format!("moved route {seq}"));
        self.say("begun none");
    }

    fn declare_more(&mut self) {
        self.extra_points += 1;
        let name = format!("extra {}", self.extra_points);
        let id = self.log.declare("line", &[PointInfo::new(&name, Kind::Integer)]).unwrap()[0];
        self.say(&format!("point {} {name}", id.0));
    }

    fn drop_old(&mut self) {
        self.say(&format!("dropping {}", self.committed));
        self.log.apply_retention(much_later()).unwrap();
    }

    async fn close_and_open(&mut self, dir: &Path) {
        // The handle that stays does not keep the log open.
        self.log.clone().close().await.unwrap();
        let closed = std::mem::replace(&mut self.log, {
            let elsewhere = tempfile::tempdir().unwrap();
            LogConfig::new(elsewhere.path()).open().unwrap()
        });
        drop(closed);
        self.log = config(dir).open().unwrap();
    }
}
