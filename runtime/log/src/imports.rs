//! How far imports have come: a mark an import, in `state.db`, so that one that breaks off goes on where it was.
//!
//! Rows and marks are in different files, and no transaction spans both. So a mark is written before a part of an import is
//! appended: it says which part, and behind which seq its rows will be. A part is one append, and an append is committed whole
//! and under consecutive seqs, so whoever goes on looks there whether its rows are in the log ([`Log::find_appended`]) and then
//! knows.
//!
//! Marks that are lost with `state.db` are not made anew. That they are is noted, with the last seq that their rows can have; whoever
//! imports then asks for each part how much of it is there already ([`Log::find_forgotten`]).

use crate::state::{State, loaded_seq, stored_seq};
use crate::state_schema::key;
use crate::state_sum::sum_column;
use crate::{Log, LogError};
use bulkhead_model::{Reading, Seq, Timestamp, Value};
use rusqlite::{OptionalExtension, Row};

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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Forgotten {
    /// How many of the readings that were asked about, from the first on.
    pub readings: usize,
    /// The seq of the last of them.
    pub last: Seq,
}

impl Log {
    /// How many of these readings, from the first on, were committed behind a seq in this order, bit by bit, by an import whose mark
    /// was lost with `state.db`. They need not have been committed together. None: the first was not, or no mark was ever lost.
    /// Blocks.
    ///
    /// # Errors
    /// What reading met.
    pub fn find_forgotten(&self, readings: &[Reading], behind: Seq) -> Result<Option<Forgotten>, LogError> {
        let to = self.shared().state.imports_lost_to()?;
        let mut found: Option<Forgotten> = None;
        while let known = found.map_or(0, |found| found.readings)
            && known < readings.len()
        {
            let behind = found.map_or(behind, |found| found.last).max(self.shared().dropped_to());
            let Some(run) = self.longest_run(&readings[known..], behind, to)? else { break };
            found = Some(Forgotten { readings: known + run.readings, last: run.last });
        }
        Ok(found)
    }

    /// The longest beginning of these readings that stands under consecutive seqs behind one seq and up to another.
    fn longest_run(&self, readings: &[Reading], behind: Seq, to: Seq) -> Result<Option<Forgotten>, LogError> {
        let Some(first) = readings.first().filter(|_| behind < to) else { return Ok(None) };
        let (from, until) = (Some(first.time), first.time.0.checked_add(1).map(Timestamp));
        let mut longest: Option<Forgotten> = None;
        for candidate in self.history(first.point, from, until, behind, CANDIDATES_MAX)? {
            if candidate.seq > to || !is_same(&candidate.reading, first) {
                continue;
            }
            let rows = self.read(candidate.seq - 1, readings.len())?;
            let follows = |&(expected, (row, reading)): &(Seq, (&crate::Row, &Reading))| {
                row.seq == expected && expected <= to && is_same(&row.reading, reading)
            };
            let length = (candidate.seq..).zip(rows.iter().zip(readings)).take_while(follows).count();
            let run = Forgotten { readings: length, last: candidate.seq + (length as Seq).saturating_sub(1) };
            longest = longest.filter(|longest| longest.readings >= length).or(Some(run));
            if length == readings.len() {
                break;
            }
        }
        Ok(longest)
    }
}

/// What stands for the last seq of rows whose marks were lost until it is known.
const NOT_KNOWN_YET: i64 = i64::MAX;

/// Notes in a `state.db` that is built anew that marks are missing in it, and up to which seq rows may be theirs. None: that is
/// found out by the opening ([`State::bound_lost_imports`]).
pub(crate) fn note_lost(state: &rusqlite::Connection, to: Option<Seq>) -> rusqlite::Result<()> {
    let to = to.map_or(NOT_KNOWN_YET, crate::state::clamp_seq);
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
        let last = crate::state::clamp_seq(last);
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
        assert_eq!(log.find_forgotten(&all, 0).unwrap(), None, "no mark was lost");
        log.close().await.unwrap();
        std::fs::remove_file(dir.path().join("state.db")).unwrap();
        let log = LogConfig { commit_max_ms: 1, ..LogConfig::new(dir.path()) }.open().unwrap();
        let found = |readings: &[Reading], behind| log.find_forgotten(readings, behind).unwrap();
        assert_eq!(found(&all, 0), Some(Forgotten { readings: 7, last }));
        assert_eq!(found(&all[5..], 0), Some(Forgotten { readings: 2, last }));
        assert_eq!(found(&all[7..], 0), None);
        assert_eq!(found(&all, last), None, "what lies before is of another part");
        assert_eq!(found(&[all[4].clone(), all[3].clone()], 0).map(|found| found.readings), Some(1), "another order");
        let other = Reading { value: Some(Value::Integer(5)), ..reading(0) };
        assert_eq!(found(&[other], 0), None);
        log.append(all[7..].to_vec()).await.unwrap();
        assert_eq!(found(&all[7..], 0), None, "what comes later has its mark");
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
