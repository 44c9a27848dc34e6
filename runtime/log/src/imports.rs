//! How far imports have come: a mark an import, in `state.db`, so that one that breaks off goes on where it was.
//!
//! Rows and marks are in different files, and no transaction spans both. So a mark is written before a part of an import is
//! appended: it says which part, and behind which seq its rows will be. A part is one append, and an append is committed whole
//! and under consecutive seqs, so whoever goes on looks there whether its rows are in the log ([`Log::find_appended`]) and then
//! knows.

use crate::state::{State, loaded_seq, stored_seq};
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
