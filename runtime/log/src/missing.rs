//! Why seqs have no rows: what retention dropped, and when it did so to make room, span by span, and the gaps. So that who
//! pulls and comes too late is told the true reason.
//!
//! Segments go in the order of their seqs, so a drop needs its last seq only; drops one behind the other for the same
//! reason are one row.

use crate::config::{DROPS_MAX, MISSING_MAX};
use crate::gaps::GapReason;
use crate::salvage::without;
use crate::state::{State, clamp_seq, loaded_seq};
use crate::state_sum::sum_column;
use crate::{Durability, Log, LogError};
use bulkhead_model::Seq;
use rusqlite::{Connection, Transaction};

/// The table. Made at each open where it is missing.
pub(crate) const SCHEMA: &str = concat!(
    "CREATE TABLE IF NOT EXISTS drops(last INTEGER PRIMARY KEY, reason TEXT NOT NULL, ",
    sum_column!("last, reason"),
    ");"
);

/// A span of seqs without rows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Missing {
    /// Its first seq.
    pub first: Seq,
    /// Its last seq, which belongs to it.
    pub last: Seq,
    /// Why they are missing; none where that record is itself lost, or was never made.
    pub reason: Option<GapReason>,
}

impl Log {
    /// Whether a commit that counts as done survives a power cut, so that what is skipped at an opening was never
    /// acknowledged.
    #[must_use]
    pub fn is_fully_durable(&self) -> bool {
        self.shared().config.durability == Durability::Full
    }

    /// Why seqs of a span have no rows any more, as far as that is recorded: spans by rising seq that do not overlap, at most
    /// 100, those behind left for the next call. Up to what retention has dropped they leave nothing out; behind it, seqs
    /// that are in none have rows, were never given, or were of a connection that keeps its readings for a shorter time.
    /// Where more than 100 gaps of one damaged file were recorded as one, rows may lie inside. Blocks.
    ///
    /// # Errors
    /// As [`Log::cursor`].
    pub fn missing(&self, first: Seq, last: Seq) -> Result<Vec<Missing>, LogError> {
        let dropped_to = self.shared().dropped_to();
        self.shared().state.missing(first, last, dropped_to)
    }
}

impl State {
    fn missing(&self, first: Seq, last: Seq, dropped_to: Seq) -> Result<Vec<Missing>, LogError> {
        self.read(|connection| {
            let (gaps, drops) = (gaps_between(connection, first, last)?, drops_from(connection, first)?);
            // Where one list was cut, what is behind its end is for the next call.
            let cut = |length: usize, end: Option<Seq>| end.filter(|_| length == MISSING_MAX).unwrap_or(last);
            let of_gaps = cut(gaps.len(), gaps.last().map(|(_, last, _)| *last));
            let last = last.min(of_gaps).min(cut(drops.len(), drops.last().map(|(last, _)| *last)));
            Ok(composed(first, last, dropped_to, &gaps, &drops))
        })
    }
}

/// Puts a span together from gaps, by rising first seq, and from drops, by rising last seq. What was missing before its
/// segment was dropped is missing for the older reason.
fn composed(
    first: Seq,
    last: Seq,
    dropped_to: Seq,
    gaps: &[(Seq, Seq, GapReason)],
    drops: &[(Seq, GapReason)],
) -> Vec<Missing> {
    let mut missing = Vec::new();
    let mut next = first;
    for (from, to, reason) in gaps {
        let (first, last) = ((*from).max(next), (*to).min(last));
        if first <= last {
            missing.push(Missing { first, last, reason: Some(*reason) });
            next = last + 1;
        }
    }
    let known: Vec<(Seq, Seq)> = missing.iter().map(|one| (one.first, one.last)).collect();
    for (mut first, last) in without((first, last.min(dropped_to).max(first.saturating_sub(1))), &known) {
        while first <= last {
            let drop = drops.iter().find(|(to, _)| *to >= first);
            let to = drop.map_or(last, |(to, _)| (*to).min(last));
            missing.push(Missing { first, last: to, reason: drop.map(|(_, reason)| *reason) });
            first = to + 1;
        }
    }
    missing.sort_unstable_by_key(|one| one.first);
    let mut joined: Vec<Missing> = Vec::new();
    for one in missing {
        match joined.last_mut() {
            Some(before) if before.reason == one.reason && before.last + 1 == one.first => before.last = one.last,
            _ => joined.push(one),
        }
    }
    joined.truncate(MISSING_MAX);
    joined
}

/// Records that everything up to a seq has been dropped, and why for what was not before.
pub(crate) fn store_drop(transaction: &Transaction<'_>, last: Seq, reason: GapReason) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("DELETE FROM drops WHERE last = (SELECT max(last) FROM drops) AND reason = ?1")?
        .execute([reason.code()])?;
    transaction
        .prepare_cached("INSERT OR REPLACE INTO drops(last, reason) VALUES (?1, ?2)")?
        .execute((clamp_seq(last), reason.code()))?;
    transaction
        .prepare_cached(
            "DELETE FROM drops WHERE last <= (SELECT last FROM drops ORDER BY last DESC LIMIT 1 OFFSET ?1)",
        )?
        .execute([clamp_seq(DROPS_MAX)])
        .map(drop)
}

/// Gaps of readings that had seqs and were not dropped, by rising first seq.
fn gaps_between(connection: &Connection, first: Seq, last: Seq) -> rusqlite::Result<Vec<(Seq, Seq, GapReason)>> {
    let mut select = connection.prepare_cached(
        "SELECT first, last, reason FROM gaps WHERE first <= ?2 AND last >= ?1 AND reason IN (?3, ?4)
         ORDER BY first LIMIT ?5",
    )?;
    let reasons = [GapReason::Damaged.code(), GapReason::SkippedAtOpen.code()];
    let rows = select.query_map(
        (clamp_seq(first), clamp_seq(last), reasons[0], reasons[1], clamp_seq(MISSING_MAX as u64)),
        |row| {
            let reason: String = row.get(2)?;
            Ok((loaded_seq(row.get(0)?), loaded_seq(row.get(1)?), GapReason::from_code(&reason)))
        },
    )?;
    rows.filter_map(|row| row.map(|(first, last, reason)| Some((first, last, reason?))).transpose()).collect()
}

/// Drops that reach a seq, by rising last seq.
fn drops_from(connection: &Connection, first: Seq) -> rusqlite::Result<Vec<(Seq, GapReason)>> {
    let mut select =
        connection.prepare_cached("SELECT last, reason FROM drops WHERE last >= ?1 ORDER BY last LIMIT ?2")?;
    let rows = select.query_map((clamp_seq(first), clamp_seq(MISSING_MAX as u64)), |row| {
        let reason: String = row.get(1)?;
        Ok((loaded_seq(row.get(0)?), GapReason::from_code(&reason)))
    })?;
    rows.filter_map(|row| row.map(|(last, reason)| Some((last, reason?))).transpose()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reserve::Reserve;
    use GapReason::{Damaged, DroppedWhenFull, Retention, SkippedAtOpen};
    use std::sync::Arc;

    fn span(first: Seq, last: Seq, reason: impl Into<Option<GapReason>>) -> Missing {
        Missing { first, last, reason: reason.into() }
    }

    #[test]
    fn what_is_dropped_has_a_reason_for_every_seq_and_a_gap_before_that_keeps_its_own() {
        let gaps = [(15, 18, Damaged), (35, 60, SkippedAtOpen)];
        let drops = [(10, Retention), (30, DroppedWhenFull)];
        assert_eq!(
            composed(5, 100, 30, &gaps, &drops),
            [
                span(5, 10, Retention),
                span(11, 14, DroppedWhenFull),
                span(15, 18, Damaged),
                span(19, 30, DroppedWhenFull),
                span(35, 60, SkippedAtOpen),
            ]
        );
        assert_eq!(composed(5, 8, 30, &gaps, &drops), [span(5, 8, Retention)]);
        assert_eq!(composed(31, 34, 30, &gaps, &drops), []);
        assert_eq!(composed(50, 70, 30, &gaps, &drops), [span(50, 60, SkippedAtOpen)]);
        assert_eq!(composed(5, 40, 30, &[], &drops[..1]), [span(5, 10, Retention), span(11, 30, None)]);
        assert_eq!(composed(1, 9, 0, &[], &[]), []);
    }

    #[test]
    fn drops_for_the_same_reason_are_one_and_only_the_newest_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Arc::new(Reserve::new(dir.path(), 0, Arc::new(crate::SystemFiles)));
        let state = State::open(&dir.path().join("state.db"), "a", reserve).unwrap().0;
        for (last, reason) in [(10, Retention), (20, Retention), (30, DroppedWhenFull), (40, Retention)] {
            state.write(move |transaction| store_drop(transaction, last, reason)).unwrap();
        }
        let expected = [span(1, 20, Retention), span(21, 30, DroppedWhenFull), span(31, 40, Retention)];
        assert_eq!(state.missing(1, 100, 40).unwrap(), expected);
        state
            .write(|transaction| {
                (0..DROPS_MAX).try_for_each(|number| {
                    let reason = if number % 2 == 0 { DroppedWhenFull } else { Retention };
                    store_drop(transaction, 50 + number * 10, reason)
                })
            })
            .unwrap();
        let kept: i64 = state.read(|c| c.query_row("SELECT count(*) FROM drops", [], |row| row.get(0))).unwrap();
        assert_eq!(loaded_seq(kept), DROPS_MAX);
        assert_eq!(state.missing(1, 60, 10_000).unwrap()[..2], [span(1, 50, DroppedWhenFull), span(51, 60, Retention)]);
    }
}
