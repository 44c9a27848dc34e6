//! What must be in a log after a power cut, and what may be: from what was said up to then.

use super::workload::{config, declare, reading};
use bulkhead_log::{InFlight, Log};
use bulkhead_model::{Kind, PointId, PointInfo, Seq};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

/// The bounds of a batch on its way; none: there is none.
type Bounds = Option<(Seq, Seq)>;

/// What was said before the cut.
#[derive(Debug, Default)]
pub(crate) struct Said {
    declared: bool,
    /// The reading's number of every acknowledged seq.
    pub(crate) acknowledged: BTreeMap<Seq, u64>,
    submitted: BTreeSet<u64>,
    /// By cursor: what was acknowledged last, and what may have happened since.
    cursors: BTreeMap<String, (Option<Seq>, Vec<Seq>)>,
    begun: Bounds,
    /// What the batch on its way may be since.
    beginning: Vec<Bounds>,
    points: Vec<(u32, String)>,
    /// Rows up to this seq may have been dropped.
    dropped_to: Seq,
}

impl Said {
    pub(crate) fn before(said: &[(usize, String)], cut: usize) -> Self {
        let mut all = Self::default();
        said.iter().take_while(|(line, _)| *line <= cut).for_each(|(_, words)| all.note(words));
        all
    }

    fn note(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words[at].parse::<u64>().unwrap();
        match words[0] {
            "declared" => self.declared = true,
            "submitted" => self.submitted.extend(number(1)..number(1) + number(2)),
            "acknowledged" => self.acknowledged.extend((number(1)..=number(2)).zip(number(3)..)),
            "moving" => self.cursors.entry(words[1].to_owned()).or_default().1.push(number(2)),
            "moved" => drop(self.cursors.insert(words[1].to_owned(), (Some(number(2)), Vec::new()))),
            "beginning" => self.beginning.push((words[1] != "none").then(|| (number(1), number(2)))),
            "begun" => {
                self.begun = (words[1] != "none").then(|| (number(1), number(2)));
                self.beginning.clear();
            }
            "point" => self.points.push((words[1].parse().unwrap(), words[2..].join(" "))),
            "dropping" => self.dropped_to = number(1),
            other => panic!("{other}"),
        }
    }
}

/// What a log came to that a power cut left.
#[derive(Debug)]
pub(crate) struct Held {
    /// How long its opening took.
    pub(crate) opening: Duration,
    /// Acknowledged readings it does not have.
    pub(crate) lost: usize,
}

/// Opens the log that a power cut left and holds it against what was said.
pub(crate) async fn check(dir: &Path, said: &Said) -> Held {
    let begun = Instant::now();
    let log = config(dir).open().unwrap();
    let points = declare(&log);
    let opening = begun.elapsed();
    let aside =
        std::fs::read_dir(dir.join("damaged")).map(|files| files.flatten().map(|file| file.path()).collect::<Vec<_>>());
    assert_eq!(log.stats().files_damaged, 0, "a power cut damages nothing: {aside:?}, {:?}", log.gaps(0, 100));
    let (last, lost) = check_rows(&log, &points, said);
    check_cursors(&log, said);
    for (id, name) in &said.points {
        assert_eq!(log.declare("line", &[PointInfo::new(name, Kind::Integer)]).unwrap(), [PointId(*id)]);
    }
    // What was acknowledged may have been dropped meanwhile; its number is not given again all the same.
    let last = said.acknowledged.last_key_value().map_or(0, |(seq, _)| *seq).max(last);
    let next = log.append(vec![reading(&points, 1_000_000)]).await.unwrap();
    assert!(next.first > last, "seq {} was given before", next.first);
    log.close().await.unwrap();
    let log = config(dir).open().unwrap();
    assert_eq!(log.read(next.first - 1, 10).unwrap().len(), 1);
    Held { opening, lost }
}

/// The last seq that is there, and how many acknowledged readings are not.
fn check_rows(log: &Log, points: &[PointId], said: &Said) -> (Seq, usize) {
    let first = log.stats().first_available;
    let rows = log.read(first - 1, usize::MAX).unwrap();
    assert!(rows.is_sorted_by(|a, b| a.seq < b.seq && a.reading.time < b.reading.time), "out of order or twice");
    for row in &rows {
        let id = row.reading.time.0.unsigned_abs();
        assert!(said.submitted.contains(&id), "nobody appended {row:?}");
        assert_eq!(row.reading, reading(points, id), "changed");
        assert!(
            said.acknowledged.get(&row.seq).is_none_or(|acknowledged| *acknowledged == id),
            "another's seq: {row:?}"
        );
    }
    let there: BTreeSet<Seq> = rows.iter().map(|row| row.seq).collect();
    let lost: Vec<&Seq> = said
        .acknowledged
        .keys()
        .filter(|seq| !(there.contains(seq) || **seq <= said.dropped_to && **seq < first))
        .collect();
    assert!(lost.is_empty(), "{} acknowledged rows are lost: {lost:?}", lost.len());
    (rows.last().map_or(0, |row| row.seq), lost.len())
}

fn check_cursors(log: &Log, said: &Said) {
    for (name, (moved, moving)) in &said.cursors {
        let found = log.cursor(name).unwrap();
        assert!(found == *moved || found.is_some_and(|seq| moving.contains(&seq)), "{name}: {found:?}, {moved:?}");
    }
    let found = log.in_flight("route").unwrap().map(|InFlight { first, last, .. }| (first, last));
    assert!(found == said.begun || said.beginning.contains(&found), "in flight: {found:?}, {:?}", said.begun);
    if said.declared {
        assert!(log.catalogue().len() >= 7);
    }
}
