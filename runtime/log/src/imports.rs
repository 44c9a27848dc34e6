//! How far imports have come: a mark an import, in `state.db`, so that one that breaks off goes on where it was.
//!
//! Rows and marks are in different files, and no transaction spans both. So a mark is written before a part of an import is
//! appended: it says which part, and behind which seq its rows will be. A part is one append, and an append is committed whole
//! and under consecutive seqs, so whoever goes on looks there whether its rows are in the log ([`Log::find_appended`]) and then
//! knows.
//!
//! Marks that are lost with `state.db` are not made anew. That they are is noted, with the last seq that their rows can have;
//! whoever imports then asks for each part which of its rows are there already ([`Log::find_forgotten`]).

use crate::scan::RowFilter;
use crate::state::{State, clamp_seq, loaded_seq, stored_seq};
use crate::state_schema::key;
use crate::state_sum::sum_column;
use crate::{Log, LogError};
use bulkhead_model::{Reading, Seq, Timestamp, Value};
use rusqlite::{OptionalExtension, Row};
use std::ops::Range;

/// The table. Made at each open where it is missing.
pub(crate) const SCHEMA: &str = concat!(
    "CREATE TABLE IF NOT EXISTS imports(
       id TEXT PRIMARY KEY, time INTEGER NOT NULL, done INTEGER NOT NULL,
       bytes INTEGER NOT NULL, lines INTEGER NOT NULL, rows INTEGER NOT NULL, aside INTEGER NOT NULL, digest BLOB NOT NULL,
       last INTEGER NOT NULL, next_bytes INTEGER, next_digest BLOB, behind INTEGER, ",
    sum_column!("id, time, done, bytes, lines, rows, aside, digest, last, next_bytes, next_digest, behind"),
    ") WITHOUT ROWID;"
);

/// Imports whose marks are kept; beyond it those go that were written longest ago.
pub const IMPORTS_MAX: u64 = 1_000;
/// Longest name of an import, in bytes.
pub const IMPORT_ID_MAX_BYTES: usize = 128;
/// Readings of one point and time that are looked at to find a part of an import again.
const CANDIDATES_MAX: usize = 1_000;
/// Of those that are the same as a forgotten one, how many are tried for what follows them.
const COPIES_MAX: usize = 16;
/// Seqs behind the last forgotten row that was found among which the next one is looked for first.
const NEAR_ROWS: Seq = 1_024;
/// Searches among all others for rows of a part. A part of which nothing is there takes twelve.
const SEARCHES_MAX: usize = 32;
/// Rows that are compared at a time beside one that was found: the first time, and at most.
const COMPARED_FIRST_ROWS: usize = 16;
const COMPARED_MAX_ROWS: usize = 1_024;
/// Bytes in memory after which they are fewer.
const COMPARED_MAX_BYTES: usize = 4 * 1024 * 1024;

/// How far an import has come.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ImportMark {
    /// Its name.
    pub id: String,
    /// When the mark was made.
    pub time: Timestamp,
    /// Whether its end has been reached.
    pub done: bool,
    /// Bytes of its file that are dealt with.
    pub bytes: u64,
    /// Lines of them.
    pub lines: u64,
    /// Rows that are in the log.
    pub rows: u64,
    /// Rows that were set aside.
    pub aside: u64,
    /// A digest of these bytes.
    pub digest: Vec<u8>,
    /// The last seq of its rows; 0: none yet.
    pub last: Seq,
    /// The part that is being appended, if any.
    pub next: Option<ImportPart>,
}

/// A part of an import that may be in the log already.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ImportPart {
    /// Where it ends in the file, in bytes.
    pub bytes: u64,
    /// A digest of the file up to there.
    pub digest: Vec<u8>,
    /// The last seq before it was begun.
    pub behind: Seq,
}

impl Log {
    /// How far an import has come; none: nobody has heard of it. Blocks.
    ///
    /// # Errors
    /// As [`Log::cursor`].
    pub fn import_mark(&self, id: &str) -> Result<Option<ImportMark>, LogError> {
        self.shared().state.import_mark(id)
    }

    /// Keeps how far an import has come; durable when it returns. Blocks.
    ///
    /// # Errors
    /// As [`Log::set_cursor`].
    pub fn set_import_mark(&self, mark: &ImportMark) -> Result<(), LogError> {
        self.shared().state.set_import_mark(mark)
    }

    /// The seq of the first of these readings where they were committed together behind a seq, bit by bit; none: they were not.
    /// Blocks.
    ///
    /// # Errors
    /// [`LogError::Gone`] when retention has dropped rows behind that seq, or what reading met.
    pub fn find_appended(&self, readings: &[Reading], behind: Seq) -> Result<Option<Seq>, LogError> {
        let Some(first) = readings.first() else { return Ok(None) };
        let (from, to) = (Some(first.time), first.time.0.checked_add(1).map(Timestamp));
        for candidate in self.history(first.point, from, to, behind, CANDIDATES_MAX)? {
            let found = self.read(candidate.seq - 1, readings.len())?;
            let is_run = found.first().is_some_and(|row| row.seq == candidate.seq) && found.len() == readings.len();
            let follows = found.windows(2).all(|pair| pair[0].seq + 1 == pair[1].seq);
            if is_run && follows && found.iter().zip(readings).all(|(row, reading)| is_same(&row.reading, reading)) {
                return Ok(Some(candidate.seq));
            }
        }
        Ok(None)
    }
}

/// Rows that are in the log though no mark says so.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Forgotten {
    /// Which of the readings that were asked about, by rising place.
    pub readings: Vec<Range<usize>>,
    /// The seq of the last of them; where there are none the one behind which they were looked for.
    pub last: Seq,
}

impl Forgotten {
    /// Those of the readings that are not among them.
    #[must_use]
    pub fn others(&self, readings: &[Reading]) -> Vec<Reading> {
        let ends = self.readings.iter().map(|found| found.end);
        let starts = self.readings.iter().map(|found| found.start).chain([readings.len()]);
        let between = std::iter::once(0).chain(ends).zip(starts);
        between.flat_map(|(from, to)| readings.get(from..to).unwrap_or_default()).cloned().collect()
    }
}

/// The seqs among which forgotten rows are looked for: behind the first, up to the second.
type Within = (Seq, Seq);

impl Log {
    /// Which of these readings were committed behind a seq in this order, bit by bit, by an import whose mark was lost with
    /// `state.db`; none where no mark ever was. A seq that only later rows have is taken as 0. Not all need be there, nor
    /// together. Each is looked for near the one before, and with at most `SEARCHES_MAX` searches among all rows. Blocks.
    ///
    /// # Errors
    /// What reading met.
    pub fn find_forgotten(&self, readings: &[Reading], behind: Seq) -> Result<Forgotten, LogError> {
        let to = self.shared().state.imports_lost_to()?;
        let mut found = Forgotten { readings: Vec::new(), last: if behind > to { 0 } else { behind } };
        let (mut next, mut ahead, mut searches) = (0, 0, 0);
        while next < readings.len() {
            let behind = found.last.max(self.shared().dropped_to());
            if behind >= to {
                break;
            }
            let probe = (next + ahead).min(readings.len() - 1);
            let near = to.min(behind.saturating_add((probe - next) as Seq + NEAR_ROWS));
            let mut copies = self.copies(&readings[probe], (behind, near))?;
            if copies.is_empty() && near < to && searches < SEARCHES_MAX {
                searches += 1;
                copies = self.copies(&readings[probe], (near, to))?;
            }
            let beside = self.longest_beside(readings, (next, probe), &copies, (behind, to))?;
            if let Some((end, seq)) = beside.last().map(|(range, seq)| (range.end, *seq)) {
                found.readings.extend(beside.into_iter().map(|(range, _)| range));
                (found.last, next, ahead) = (seq, end, 0);
            } else if probe + 1 == readings.len() {
                break;
            } else {
                // Further and further ahead: thousands of rows that are gone cost few searches.
                ahead = (ahead * 2).max(1);
            }
        }
        Ok(found)
    }

    /// The seqs of the first rows that are the same as a reading.
    fn copies(&self, reading: &Reading, (behind, to): Within) -> Result<Vec<Seq>, LogError> {
        let time = reading.time.0;
        let filter = RowFilter { point: Some(reading.point.0), time_from: time, time_to: time, ..between(behind, to) };
        let rows = self.rows(filter, CANDIDATES_MAX, COMPARED_MAX_BYTES)?;
        Ok(rows.iter().filter(|row| is_same(&row.reading, reading)).map(|row| row.seq).take(COPIES_MAX).collect())
    }

    /// Of rows that are the same as the reading `probe` the one that has most in common with it beside it.
    fn longest_beside(
        &self,
        all: &[Reading],
        span: (usize, usize),
        copies: &[Seq],
        within: Within,
    ) -> Result<Vec<Beside>, LogError> {
        let mut longest = Vec::new();
        for seq in copies {
            let beside = self.beside(all, span, *seq, within)?;
            if count(&beside) > count(&longest) {
                longest = beside;
            }
        }
        Ok(longest)
    }

    /// The readings, from one on, that stand to the reading `probe` as rows that are the same stand to its row. Each run of them
    /// comes with the seq of its end; what was changed in the file is between such runs.
    fn beside(
        &self,
        all: &[Reading],
        (from, probe): (usize, usize),
        seq: Seq,
        (behind, to): Within,
    ) -> Result<Vec<Beside>, LogError> {
        let before = (probe - from).min(usize::try_from(seq - behind - 1).unwrap_or(usize::MAX));
        let (mut at, mut rows, mut runs) = (probe - before, COMPARED_FIRST_ROWS, Vec::new());
        while at < all.len() {
            let first = seq + at as Seq - probe as Seq;
            let last = first.saturating_add(rows as Seq - 1).min(to);
            let found = self.rows(between(first - 1, last), rows, COMPARED_MAX_BYTES)?;
            let place_of = |seq: Seq| at + usize::try_from(seq - first).unwrap_or(usize::MAX);
            let is_like =
                |row: &&crate::Row| all.get(place_of(row.seq)).is_some_and(|reading| is_same(&row.reading, reading));
            let same: Vec<(usize, Seq)> =
                found.iter().filter(is_like).map(|row| (place_of(row.seq), row.seq)).collect();
            if at > probe && same.is_empty() {
                break;
            }
            same.into_iter().for_each(|(place, seq)| add(&mut runs, place, seq));
            at = found.last().map_or(at + rows, |row| place_of(row.seq) + 1);
            rows = (rows * 4).min(COMPARED_MAX_ROWS);
        }
        Ok(runs)
    }
}

/// A run of readings, and the seq of its last row.
type Beside = (Range<usize>, Seq);

fn count(runs: &[Beside]) -> usize {
    runs.iter().map(|(range, _)| range.len()).sum()
}

fn add(runs: &mut Vec<Beside>, place: usize, seq: Seq) {
    match runs.last_mut() {
        Some((range, last)) if range.end == place => (range.end, *last) = (place + 1, seq),
        _ => runs.push((place..place + 1, seq)),
    }
}

/// All rows behind a seq up to another.
fn between(behind: Seq, to: Seq) -> RowFilter {
    RowFilter { after: clamp_seq(behind), up_to: clamp_seq(to), ..RowFilter::default() }
}

/// What stands for the last seq of rows whose marks were lost until it is known.
const NOT_KNOWN_YET: i64 = i64::MAX;

/// Notes in a `state.db` that is built anew that marks are missing in it, and up to which seq rows may be theirs. None: that is
/// found out by the opening ([`State::bound_lost_imports`]).
pub(crate) fn note_lost(state: &rusqlite::Connection, to: Option<Seq>) -> rusqlite::Result<()> {
    let to = to.map_or(NOT_KNOWN_YET, clamp_seq);
    state.execute("INSERT OR REPLACE INTO log(key, value) VALUES (?1, ?2)", (key::IMPORTS_LOST_TO, to)).map(drop)
}

/// Whether two readings are the same bit by bit: a real that is no number is the same as itself.
fn is_same(one: &Reading, other: &Reading) -> bool {
    let values = match (&one.value, &other.value) {
        (Some(Value::Real(a)), Some(Value::Real(b))) => a.to_bits() == b.to_bits(),
        (a, b) => a == b,
    };
    (one.point, one.time, one.status) == (other.point, other.time, other.status) && values
}

const COLUMNS: &str = "id, time, done, bytes, lines, rows, aside, digest, last, next_bytes, next_digest, behind";

impl State {
    /// Puts down the last seq that was given before this opening where marks were lost and nobody knew it.
    pub(crate) fn bound_lost_imports(&self, last: Seq) -> Result<(), LogError> {
        if self.imports_lost_to()? != loaded_seq(NOT_KNOWN_YET) {
            return Ok(());
        }
        let last = clamp_seq(last);
        self.write(move |transaction| {
            transaction.execute("UPDATE log SET value = ?2 WHERE key = ?1", (key::IMPORTS_LOST_TO, last)).map(drop)
        })
    }

    /// The last seq up to which rows may be of imports whose marks were lost; 0: none were.
    fn imports_lost_to(&self) -> Result<Seq, LogError> {
        let select = "SELECT value FROM log WHERE key = ?1";
        let lost = |connection: &rusqlite::Connection| {
            connection.query_row(select, [key::IMPORTS_LOST_TO], |row| row.get(0)).optional()
        };
        self.read(lost).map(|to| loaded_seq(to.unwrap_or(0)))
    }

    fn import_mark(&self, id: &str) -> Result<Option<ImportMark>, LogError> {
        let select = format!("SELECT {COLUMNS} FROM imports WHERE id = ?1");
        self.read(|connection| connection.query_row(&select, [id], mark_of).optional())
    }

    fn set_import_mark(&self, mark: &ImportMark) -> Result<(), LogError> {
        let mark = mark.clone();
        let [bytes, lines, rows, aside] =
            [mark.bytes, mark.lines, mark.rows, mark.aside].map(|number| i64::try_from(number).unwrap_or(i64::MAX));
        let (part, last) = (mark.next.as_ref(), stored_seq(mark.last)?);
        let next_bytes = part.map(|part| i64::try_from(part.bytes).unwrap_or(i64::MAX));
        let behind = part.map(|part| stored_seq(part.behind)).transpose()?;
        let insert =
            format!("INSERT OR REPLACE INTO imports({COLUMNS}) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)");
        self.write(move |transaction| {
            let next_digest = mark.next.as_ref().map(|part| &part.digest);
            let values = rusqlite::params![
                mark.id,
                mark.time.0,
                mark.done,
                bytes,
                lines,
                rows,
                aside,
                mark.digest,
                last,
                next_bytes,
                next_digest,
                behind
            ];
            transaction.prepare_cached(&insert)?.execute(values)?;
            let oldest =
                "DELETE FROM imports WHERE id IN (SELECT id FROM imports ORDER BY time DESC LIMIT -1 OFFSET ?1)";
            transaction.prepare_cached(oldest)?.execute([i64::try_from(IMPORTS_MAX).unwrap_or(i64::MAX)]).map(drop)
        })
    }
}

fn mark_of(row: &Row<'_>) -> rusqlite::Result<ImportMark> {
    let next = row.get::<_, Option<i64>>(9)?.map(|bytes| {
        let (digest, behind) = (row.get::<_, Option<Vec<u8>>>(10)?, row.get::<_, Option<i64>>(11)?);
        let behind = loaded_seq(behind.unwrap_or_default());
        Ok::<_, rusqlite::Error>(ImportPart { bytes: loaded_seq(bytes), digest: digest.unwrap_or_default(), behind })
    });
    Ok(ImportMark {
        id: row.get(0)?,
        time: Timestamp(row.get(1)?),
        done: row.get(2)?,
        bytes: loaded_seq(row.get(3)?),
        lines: loaded_seq(row.get(4)?),
        rows: loaded_seq(row.get(5)?),
        aside: loaded_seq(row.get(6)?),
        digest: row.get(7)?,
        last: loaded_seq(row.get(8)?),
        next: next.transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LogConfig;
    use bulkhead_model::{Kind, PointInfo, Status};

    #[tokio::test]
    async fn marks_stay_and_the_oldest_go() {
        let dir = tempfile::tempdir().unwrap();
        let mark = |n: u64| ImportMark {
            id: format!("i{n}"),
            time: Timestamp(i64::try_from(n).unwrap()),
            bytes: n,
            digest: vec![7; 32],
            next: n.is_multiple_of(2).then(|| ImportPart { bytes: n + 1, digest: vec![8; 32], behind: 3 }),
            ..ImportMark::default()
        };
        let log = LogConfig::new(dir.path()).open().unwrap();
        (0..IMPORTS_MAX + 2).for_each(|n| log.set_import_mark(&mark(n)).unwrap());
        log.close().await.unwrap();
        let log = LogConfig::new(dir.path()).open().unwrap();
        assert_eq!(log.import_mark("i1").unwrap(), None);
        for n in [2, 3, IMPORTS_MAX + 1] {
            assert_eq!(log.import_mark(&format!("i{n}")).unwrap(), Some(mark(n)));
        }
        log.set_import_mark(&ImportMark { done: true, ..mark(3) }).unwrap();
        assert!(log.import_mark("i3").unwrap().unwrap().done);
        log.close().await.unwrap();
    }

    #[tokio::test]
    async fn rows_of_imports_whose_marks_are_lost_are_found_in_their_order_and_no_later_ones() {
        let dir = tempfile::tempdir().unwrap();
        let log = LogConfig { commit_max_ms: 1, ..LogConfig::new(dir.path()) }.open().unwrap();
        let point = log.declare("b", &[PointInfo::new("x", Kind::Integer)]).unwrap()[0];
        let reading =
            |n: i64| Reading { point, time: Timestamp(n), status: Status::GOOD, value: Some(Value::Integer(n)) };
        let all: Vec<Reading> = (0..10).map(reading).collect();
        // Two parts with something else between them, as an import leaves them that has broken off.
        log.append(all[..4].to_vec()).await.unwrap();
        log.append(vec![reading(77)]).await.unwrap();
        let last = log.append(all[4..7].to_vec()).await.unwrap().last;
        assert_eq!(log.find_forgotten(&all, 0).unwrap(), Forgotten::default(), "no mark was lost");
        log.close().await.unwrap();
        std::fs::remove_file(dir.path().join("state.db")).unwrap();
        let log = LogConfig { commit_max_ms: 1, ..LogConfig::new(dir.path()) }.open().unwrap();
        let found = |readings: &[Reading], behind| {
            let found = log.find_forgotten(readings, behind).unwrap();
            let runs: Vec<(usize, usize)> = found.readings.iter().map(|run| (run.start, run.end)).collect();
            (runs, found.last)
        };
        assert_eq!(found(&all, 0), (vec![(0, 4), (4, 7)], last));
        assert_eq!(found(&all[5..], 0), (vec![(0, 2)], last));
        assert_eq!(found(&all[7..], 0), (vec![], 0));
        assert_eq!(found(&all, last), (vec![], last), "what lies before is of another part");
        assert_eq!(found(&[all[4].clone(), all[3].clone()], 0).0, [(0, 1)], "another order");
        let other = Reading { value: Some(Value::Integer(5)), ..reading(0) };
        assert_eq!(found(&[other], 0), (vec![], 0));
        let later = log.append(all[7..].to_vec()).await.unwrap().last;
        assert_eq!(found(&all[7..], 0), (vec![], 0), "what comes later has its mark");
        assert_eq!(found(&all, later), (vec![(0, 4), (4, 7)], last), "no forgotten row is behind it");
        log.close().await.unwrap();
    }

    #[tokio::test]
    async fn forgotten_rows_are_found_past_those_that_are_not_there_with_few_searches() {
        let dir = tempfile::tempdir().unwrap();
        let log = LogConfig { commit_max_ms: 1, ..LogConfig::new(dir.path()) }.open().unwrap();
        let point = log.declare("b", &[PointInfo::new("x", Kind::Integer)]).unwrap()[0];
        let reading =
            |n: i64| Reading { point, time: Timestamp(n), status: Status::GOOD, value: Some(Value::Integer(n)) };
        let all: Vec<Reading> = (0..2_000).map(reading).collect();
        let last = log.append(all.clone()).await.unwrap().last;
        log.close().await.unwrap();
        std::fs::remove_file(dir.path().join("state.db")).unwrap();
        let log = LogConfig { commit_max_ms: 1, ..LogConfig::new(dir.path()) }.open().unwrap();
        let found = |readings: &[Reading]| log.find_forgotten(readings, 0).unwrap();
        // Changed in the file: each third row, the first and the last among them.
        let mut changed = all.clone();
        changed.iter_mut().step_by(3).for_each(|reading| reading.value = Some(Value::Integer(-1)));
        let others: Vec<Reading> = changed.iter().step_by(3).cloned().collect();
        assert_eq!(found(&changed).others(&changed), others);
        // Rows that came between, and those before that retention has taken.
        let strange: Vec<Reading> = (5_000..6_700).map(reading).collect();
        for (at, many) in [(0, 1), (0, 1_700), (1, 1_700), (700, 1_700), (1_999, 1_700), (2_000, 1_700)] {
            let grown = [&all[..at], &strange[..many], &all[at..]].concat();
            let found = found(&grown);
            assert_eq!(found.others(&grown), strange[..many], "{many} rows at {at}");
            assert_eq!(found.last, last);
        }
        assert_eq!(found(&strange).others(&strange), strange);
        // Rows that were left out of the file.
        let fewer = [&all[..10], &all[500..900], &all[1_000..]].concat();
        assert_eq!(found(&fewer).others(&fewer), []);
        // As many single rows between.
        let every = all.iter().zip(&strange).flat_map(|(one, other)| [one.clone(), other.clone()]);
        let every: Vec<Reading> = every.collect();
        assert_eq!(found(&every).others(&every), strange);
        log.close().await.unwrap();
    }

    #[tokio::test]
    async fn searches_for_forgotten_rows_that_lie_far_apart_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let log = LogConfig { commit_max_ms: 1, ..LogConfig::new(dir.path()) }.open().unwrap();
        let point = log.declare("b", &[PointInfo::new("x", Kind::Integer)]).unwrap()[0];
        let reading =
            |n: i64| Reading { point, time: Timestamp(n), status: Status::GOOD, value: Some(Value::Integer(n)) };
        let apart = usize::try_from(NEAR_ROWS).unwrap() + 1;
        let all: Vec<Reading> = (0..).map(reading).take(apart * (SEARCHES_MAX + 8)).collect();
        for part in all.chunks(5_000) {
            log.append(part.to_vec()).await.unwrap();
        }
        log.close().await.unwrap();
        std::fs::remove_file(dir.path().join("state.db")).unwrap();
        let log = LogConfig { commit_max_ms: 1, ..LogConfig::new(dir.path()) }.open().unwrap();
        let few: Vec<Reading> = all.iter().step_by(apart).cloned().collect();
        // The first is near the beginning.
        let found = log.find_forgotten(&few, 0).unwrap();
        assert_eq!(found.others(&few), few[SEARCHES_MAX + 1..]);
        log.close().await.unwrap();
    }

    #[tokio::test]
    async fn what_was_appended_together_is_found_and_nothing_like_it() {
        let dir = tempfile::tempdir().unwrap();
        let log = LogConfig { commit_max_ms: 1, ..LogConfig::new(dir.path()) }.open().unwrap();
        let points = log.declare("b", &[PointInfo::new("x", Kind::Real), PointInfo::new("y", Kind::Real)]).unwrap();
        let reading = |point: usize, time: i64, value: f64| Reading {
            point: points[point],
            time: Timestamp(time),
            status: Status::GOOD,
            value: Some(Value::Real(value)),
        };
        let part = vec![reading(0, 1, f64::NAN), reading(1, 1, 2.0), reading(0, 2, 3.0)];
        log.append(part[..2].to_vec()).await.unwrap();
        log.append(vec![reading(1, 9, 9.0)]).await.unwrap();
        assert_eq!(log.find_appended(&part, 0).unwrap(), None, "only its beginning is there");
        let at = log.append(part.clone()).await.unwrap();
        for sealed in [false, true] {
            assert_eq!(log.find_appended(&part, 0).unwrap(), Some(at.first), "{sealed}");
            assert_eq!(log.find_appended(&part, at.first).unwrap(), None);
            assert_eq!(log.find_appended(&[reading(0, 1, 1.0)], 0).unwrap(), None);
            log.seal().await.unwrap();
        }
        log.close().await.unwrap();
    }
}
