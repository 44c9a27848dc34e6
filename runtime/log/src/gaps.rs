//! Gaps: spans of seqs whose rows the log no longer has or never got, why, and how many rows they were. They are kept in
//! `state.db`, so that what is missing is told for as long as anybody asks, not only in the journal of the day.

use crate::LogError;
use crate::config::GAPS_MAX;
use crate::state::{State, clamp_seq, loaded_seq};
use bulkhead_model::{Seq, Timestamp};
use rusqlite::{Connection, Row, Transaction};
use std::fmt;

/// The table. Made at each open where it is missing.
pub(crate) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS gaps(
  id INTEGER PRIMARY KEY AUTOINCREMENT, first INTEGER NOT NULL, last INTEGER NOT NULL, rows INTEGER,
  reason TEXT NOT NULL, connection TEXT, routes TEXT NOT NULL, time INTEGER NOT NULL);
";
/// What stands between two names of routes in a column; no name has it.
const BETWEEN_NAMES: char = '\n';

/// Why rows are missing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum GapReason {
    /// The oldest segment was dropped to make room, and it was still needed or the disk was full.
    DroppedWhenFull,
    /// A segment was dropped for its age before a route had read it.
    Retention,
    /// A damaged file was set aside; these rows could not be read from it.
    Damaged,
    /// The log had not been closed in order: seqs that may have been given to rows are skipped.
    SkippedAtOpen,
    /// Readings were refused because there was no room for them.
    Refused,
    /// Readings could not be committed and could not be kept until that was possible.
    CommitFailed,
}

impl GapReason {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::DroppedWhenFull, Self::Retention, Self::Damaged, Self::SkippedAtOpen, Self::Refused, Self::CommitFailed];

    /// Its code, as in the API and on disk.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::DroppedWhenFull => "dropped-when-full",
            Self::Retention => "retention",
            Self::Damaged => "damaged",
            Self::SkippedAtOpen => "skipped-at-open",
            Self::Refused => "refused",
            Self::CommitFailed => "commit-failed",
        }
    }

    /// The reason of a code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }
}

impl fmt::Display for GapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A span of the log that is missing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gap {
    /// Its number, rising in the order of recording; 0 until it is recorded.
    pub id: u64,
    /// Its first seq. Of readings that never had a seq ([`GapReason::Refused`], [`GapReason::CommitFailed`]): the last one
    /// committed when they were given up.
    pub first: Seq,
    /// Its last seq, which belongs to it.
    pub last: Seq,
    /// How many rows are missing; none when nobody knows. Seqs are not always given without holes, so it may be less than
    /// the span.
    pub rows: Option<u64>,
    /// Why they are missing.
    pub reason: GapReason,
    /// The connection whose readings they were, when they were of one.
    pub connection: Option<String>,
    /// The routes that had not sent them yet, at most [`GAP_ROUTES_MAX`](crate::GAP_ROUTES_MAX) by name.
    pub routes: Vec<String>,
    /// When it was recorded, by the log's clock.
    pub time: Timestamp,
}

impl Gap {
    /// A gap recorded now: rows of unknown number, of no single connection, missed by no route.
    pub(crate) fn now(first: Seq, last: Seq, reason: GapReason) -> Self {
        let time = crate::clock::now();
        Self { id: 0, first, last, rows: None, reason, connection: None, routes: Vec::new(), time }
    }
}

impl State {
    /// Records gaps in one transaction; the newest [`GAPS_MAX`] are kept.
    pub(crate) fn note_gaps(&self, gaps: Vec<Gap>) -> Result<(), LogError> {
        self.write(move |transaction| store_gaps(transaction, &gaps))
    }

    /// Gaps behind a number, by rising number.
    pub(crate) fn gaps(&self, after_id: u64, limit: usize) -> Result<Vec<Gap>, LogError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read(|connection| read_gaps(connection, clamp_seq(after_id), limit))
    }
}

/// Records gaps inside a transaction, for whoever must change something else with them.
pub(crate) fn store_gaps(transaction: &Transaction<'_>, gaps: &[Gap]) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO gaps(first, last, rows, reason, connection, routes, time) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for gap in gaps {
        let routes = gap.routes.join(&BETWEEN_NAMES.to_string());
        insert.execute((
            clamp_seq(gap.first),
            clamp_seq(gap.last),
            gap.rows.map(clamp_seq),
            gap.reason.code(),
            &gap.connection,
            routes,
            gap.time.0,
        ))?;
    }
    transaction
        .prepare_cached("DELETE FROM gaps WHERE id <= (SELECT max(id) FROM gaps) - ?1")?
        .execute([clamp_seq(GAPS_MAX)])
        .map(drop)
}

fn read_gaps(connection: &Connection, after_id: i64, limit: i64) -> rusqlite::Result<Vec<Gap>> {
    connection
        .prepare_cached(
            "SELECT id, first, last, rows, reason, connection, routes, time FROM gaps WHERE id > ?1 ORDER BY id LIMIT ?2",
        )?
        .query_map((after_id, limit), gap_of)?
        .collect()
}

fn gap_of(row: &Row<'_>) -> rusqlite::Result<Gap> {
    let code: String = row.get(4)?;
    let reason = GapReason::from_code(&code).ok_or_else(|| {
        let what = format!("{code:?} is no reason of a gap that this version knows");
        rusqlite::Error::FromSqlConversionFailure(4, rusqlite::types::Type::Text, what.into())
    })?;
    let routes: String = row.get(6)?;
    Ok(Gap {
        id: loaded_seq(row.get(0)?),
        first: loaded_seq(row.get(1)?),
        last: loaded_seq(row.get(2)?),
        rows: row.get::<_, Option<i64>>(3)?.map(loaded_seq),
        reason,
        connection: row.get(5)?,
        routes: routes.split(BETWEEN_NAMES).filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        time: Timestamp(row.get(7)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reserve::Reserve;
    use std::sync::Arc;

    fn state(dir: &tempfile::TempDir) -> State {
        let reserve = Arc::new(Reserve::new(dir.path(), 0, Arc::new(crate::SystemFiles)));
        State::open(&dir.path().join("state.db"), "a", reserve).unwrap().0
    }

    #[test]
    fn codes_go_both_ways() {
        for reason in GapReason::ALL {
            assert_eq!(GapReason::from_code(reason.code()), Some(reason));
        }
        assert_eq!(GapReason::from_code("lost"), None);
    }

    #[test]
    fn gaps_are_listed_as_they_were_recorded_and_by_page() {
        let dir = tempfile::tempdir().unwrap();
        let state = state(&dir);
        let gaps: Vec<Gap> = GapReason::ALL
            .into_iter()
            .zip(1..)
            .map(|(reason, number)| Gap {
                id: number,
                rows: (number % 2 == 0).then_some(number * 10),
                connection: (number == 3).then(|| "press".to_owned()),
                routes: (1..number).map(|route| format!("route {route}")).collect(),
                ..Gap::now(number * 100, number * 100 + 9, reason)
            })
            .collect();
        state.note_gaps(gaps.clone()).unwrap();
        assert_eq!(state.gaps(0, usize::MAX).unwrap(), gaps);
        assert_eq!(state.gaps(2, 3).unwrap(), gaps[2..5]);
        drop(state);
        assert_eq!(self::state(&dir).gaps(5, 10).unwrap(), gaps[5..]);
    }

    #[test]
    fn only_the_newest_gaps_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let state = state(&dir);
        state.note_gaps((0..GAPS_MAX + 5).map(|seq| Gap::now(seq, seq, GapReason::Refused)).collect()).unwrap();
        let kept = state.gaps(0, usize::MAX).unwrap();
        assert_eq!((kept.len() as u64, kept[0].id), (GAPS_MAX, 6));
        state.note_gaps(vec![Gap::now(1, 1, GapReason::Refused)]).unwrap();
        assert_eq!(state.gaps(0, 1).unwrap()[0].id, 7);
    }
}
