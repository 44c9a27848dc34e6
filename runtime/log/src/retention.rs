//! Which sealed segments must go, for their age or for room, and letting them go whole, the oldest first. Where a route had
//! not read one yet, its span is a gap.
//!
//! Ages are counted from commit times as the wall clock said them, and it may have said anything: 1970 before it was set,
//! or a year to come. Segments are in the order of their commits, so a time that cannot be is replaced by what its
//! neighbours say ([`CommitTimes`]). What time it is now is the caller's to say, who knows how far the clock is believed.

use crate::config::GAP_ROUTES_MAX;
use crate::gaps::store_gaps;
use crate::missing::store_drop;
use crate::segment::{Knowledge, Segment};
use crate::shared::Shared;
use crate::space::{Usage, copy_of, segment_max_bytes};
use crate::state::loaded_seq;
use crate::state_schema::key;
use crate::{Gap, GapReason, LogError};
use bulkhead_model::{Seq, Timestamp};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Whether a segment whose last commit was at one moment is too old at another.
fn is_too_old(max_age_s: Option<u64>, last_commit: Timestamp, now: Timestamp) -> bool {
    let age_ns = i128::from(now.0) - i128::from(last_commit.0);
    max_age_s.is_some_and(|max| age_ns > i128::from(max) * 1_000_000_000)
}

/// Whether the oldest segment must go to leave room for another open segment and its copy, so that the writer, which also
/// looks at the quota, need not wait for a drop.
fn is_too_much(usage: &Usage, max_bytes: Option<u64>, reserve_bytes: u64, largest_open: u64) -> bool {
    let limit = usage.limit(max_bytes);
    let next = largest_open.max(usage.unsealed_max).min(segment_max_bytes(limit));
    let to_come = copy_of(next).saturating_add(next);
    usage.with_what_is_to_come(reserve_bytes).saturating_add(to_come) > limit
}

/// Makes sense of the commit times of segments, taken from the oldest on: a pure policy. Each gives a time that is not before
/// any other before it; none while there was none that can be.
#[derive(Debug, Default)]
pub(crate) struct CommitTimes {
    newest: Option<Timestamp>,
}

impl CommitTimes {
    /// When a segment was last committed to, at the earliest, given what it says itself.
    pub(crate) fn next(&mut self, said: Timestamp, now: Timestamp) -> Option<Timestamp> {
        if said.is_plausible() && said <= now {
            self.newest = self.newest.max(Some(said));
        }
        self.newest
    }

    /// As [`CommitTimes::next`], and where no segment before it knows, by what those behind it say.
    pub(crate) fn believed(&mut self, shared: &Shared, said: Timestamp, now: Timestamp) -> Result<Timestamp, LogError> {
        match self.next(said, now) {
            Some(time) => Ok(time),
            None if now < Timestamp::PLAUSIBLE_FROM => Ok(now),
            None => first_plausible(shared, now),
        }
    }
}

/// The first commit time that can be, of segments from the oldest on: those before it are no younger.
fn first_plausible(shared: &Shared, now: Timestamp) -> Result<Timestamp, LogError> {
    for segment in shared.segments.now().iter() {
        if let Knowledge::Sealed { .. } = &segment.knowledge
            && let Some(summary) = shared.summary(segment)?
            && summary.last_commit.is_plausible()
            && summary.last_commit <= now
        {
            return Ok(summary.last_commit);
        }
    }
    // None of them knows: none is old.
    Ok(now)
}

/// Drops what must go at a moment. Returns how many segments were dropped.
pub(crate) fn apply(shared: &Shared, now: Timestamp) -> Result<usize, LogError> {
    let mut dropped = 0;
    let mut times = CommitTimes::default();
    // Whoever would rather be refused must not make the log drop, not even ahead of need.
    let may_drop = shared.may_drop_ahead.swap(false, Ordering::Relaxed);
    let usage = shared.usage()?;
    shared.largest_open.fetch_max(usage.unsealed_max, Ordering::Relaxed);
    loop {
        let _alone = shared.retaining.lock();
        let Some((segment, last)) = oldest_sealed(shared) else { break };
        let Some(summary) = shared.summary(&segment)? else { break };
        let last_commit = times.believed(shared, summary.last_commit, now)?;
        let reason = if is_too_old(shared.config.retention_max_age_s, last_commit, now) {
            GapReason::Retention
        } else if may_drop && must_make_room(shared)? {
            if shared.give_up_damaged() {
                continue;
            }
            GapReason::DroppedWhenFull
        } else {
            break;
        };
        drop_segment(shared, &segment, last, Some(summary.rows), reason)?;
        dropped += 1;
    }
    Ok(dropped)
}

fn must_make_room(shared: &Shared) -> Result<bool, LogError> {
    // What has been dropped and is still read does not count: dropping more would not bring it back sooner.
    let usage = shared.usage()?.when_readers_are_gone();
    let largest_open = shared.largest_open.load(Ordering::Relaxed);
    Ok(is_too_much(&usage, shared.config.max_bytes, shared.reserve.bytes(), largest_open))
}

/// Drops the oldest sealed segment, because there is no room for more. False: there is none.
pub(crate) fn drop_oldest(shared: &Shared) -> Result<bool, LogError> {
    let _alone = shared.retaining.lock();
    let Some((segment, last)) = oldest_sealed(shared) else { return Ok(false) };
    let rows = match shared.summary(&segment) {
        Ok(summary) => summary.map(|summary| summary.rows),
        Err(error) => {
            tracing::warn!(segment = %segment.path.display(), %error, "a segment that is dropped cannot say how many rows it has");
            None
        }
    };
    drop_segment(shared, &segment, last, rows, GapReason::DroppedWhenFull)?;
    Ok(true)
}

fn oldest_sealed(shared: &Shared) -> Option<(Arc<Segment>, Seq)> {
    let segments = shared.segments.now();
    let oldest = segments.first()?;
    match oldest.knowledge {
        Knowledge::Sealed { last, .. } => Some((Arc::clone(oldest), last)),
        _ => None,
    }
}

fn drop_segment(
    shared: &Shared,
    segment: &Segment,
    last: Seq,
    rows: Option<u64>,
    reason: GapReason,
) -> Result<(), LogError> {
    let routes = routes_behind(shared.state.cursors()?, last);
    let first = shared.dropped_to() + 1;
    let gaps: Vec<Gap> = if routes.is_empty() {
        Vec::new()
    } else {
        tracing::error!(
            ?routes,
            first,
            last,
            rows,
            reason = reason.code(),
            "readings are dropped that these routes had not sent"
        );
        vec![Gap { rows, routes, ..Gap::now(first.max(segment.start), last, reason) }]
    };
    // First the record, then the deed: a reader that finds rows missing must find out why.
    shared.state.write({
        let (gaps, last) = (gaps.clone(), crate::state::stored_seq(last)?);
        move |transaction| {
            transaction.execute("INSERT OR REPLACE INTO log(key, value) VALUES (?1, ?2)", (key::DROPPED_TO, last))?;
            store_drop(transaction, loaded_seq(last), reason)?;
            store_gaps(transaction, &gaps)
        }
    })?;
    shared.counters.count_gaps(&gaps);
    shared.state.note_dropped(last);
    shared.dropped_to.store(last, Ordering::Release);
    shared.segments.remove(segment.start);
    shared.readers.forget(segment.start, true);
    shared.counters.segments_dropped.fetch_add(1, Ordering::Relaxed);
    shared.counters.rows_dropped.fetch_add(rows.unwrap_or(0), Ordering::Relaxed);
    tracing::info!(segment = %segment.path.display(), last_seq = last, rows, reason = reason.code(), "a segment was dropped");
    Ok(())
}

/// The routes whose cursors are before a seq, at most [`GAP_ROUTES_MAX`].
fn routes_behind(cursors: Vec<(String, Seq)>, last: Seq) -> Vec<String> {
    cursors.into_iter().filter(|(_, at)| *at < last).map(|(name, _)| name).take(GAP_ROUTES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_goes_when_it_is_too_old_and_a_clock_that_went_back_drops_nothing() {
        let second = 1_000_000_000;
        let old = |max, last, now| is_too_old(max, Timestamp(last), Timestamp(now));
        assert!(!old(Some(60), 0, 60 * second) && old(Some(60), 0, 60 * second + 1));
        assert!(!old(Some(60), 100 * second, 0) && !old(None, i64::MIN, i64::MAX));
        assert!(!old(Some(60), 0, i64::MIN), "without a time to go by nothing is old");
        assert!(!old(Some(u64::MAX), i64::MIN, i64::MAX));
    }

    #[test]
    fn a_segment_goes_when_another_one_and_its_copy_would_not_fit() {
        const MIB: u64 = 1024 * 1024;
        // Closed for their rows, segments have 2 MiB: 2 for the next, 3 for its copy, 1 for state.db.
        let usage = |files| Usage { files: files * MIB, free: u64::MAX, has_reserve: true, ..Usage::default() };
        assert!(!is_too_much(&usage(58), Some(64 * MIB), 0, 2 * MIB));
        assert!(is_too_much(&usage(59), Some(64 * MIB), 0, 2 * MIB));
        assert!(!is_too_much(&usage(59), None, 0, 2 * MIB), "no quota, a disk without end");
        // The same when it is the disk that ends.
        let disk = |free| Usage { free: free * MIB, ..usage(58) };
        assert!(!is_too_much(&disk(6), None, 0, 2 * MIB) && is_too_much(&disk(5), None, 0, 2 * MIB));
        // The reserve is to come back.
        assert!(is_too_much(&Usage { has_reserve: false, ..disk(6) }, None, MIB, 2 * MIB));
    }

    #[test]
    fn only_routes_that_had_not_read_it_miss_a_segment() {
        let cursors = vec![("a".to_owned(), 9), ("b".to_owned(), 10), ("c".to_owned(), 0)];
        assert_eq!(routes_behind(cursors, 10), ["a", "c"]);
        let many = (0..500).map(|n| (n.to_string(), 0)).collect();
        assert_eq!(routes_behind(many, 1).len(), GAP_ROUTES_MAX);
    }

    #[test]
    fn times_that_cannot_be_are_those_of_the_segment_before() {
        let day = |day: i64| Timestamp(Timestamp::PLAUSIBLE_FROM.0 + day * 86_400_000_000_000);
        let (never_set, far_ahead, now) = (Timestamp(5), Timestamp(i64::MAX), day(30));
        let said = [never_set, day(1), never_set, day(2), far_ahead, day(40), day(1), day(3)];
        let mut times = CommitTimes::default();
        let taken: Vec<_> = said.into_iter().map(|said| times.next(said, now)).collect();
        let expected = [None, Some(1), Some(1), Some(2), Some(2), Some(2), Some(2), Some(3)];
        assert_eq!(taken, expected.map(|taken| taken.map(day)));
    }
}
