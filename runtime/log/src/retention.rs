//! Which sealed segments must go, for their age or for room, and letting them go whole, the oldest first. Where a route had
//! not read one yet, its span is a gap.

use crate::config::GAP_ROUTES_MAX;
use crate::gaps::store_gaps;
use crate::segment::{Knowledge, Segment};
use crate::shared::Shared;
use crate::space::{Usage, copy_of, segment_max_bytes};
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

/// Drops what must go at a moment. Returns how many segments were dropped.
pub(crate) fn apply(shared: &Shared, now: Timestamp) -> Result<usize, LogError> {
    let mut dropped = 0;
    // Whoever would rather be refused must not make the log drop, not even ahead of need.
    let may_drop = shared.may_drop_ahead.swap(false, Ordering::Relaxed);
    let usage = shared.usage()?;
    shared.largest_open.fetch_max(usage.unsealed_max, Ordering::Relaxed);
    loop {
        let _alone = shared.retaining.lock();
        let Some((segment, last)) = oldest_sealed(shared) else { break };
        let Some(summary) = shared.summary(&segment)? else { break };
        let reason = if is_too_old(shared.config.retention_max_age_s, summary.last_commit, now) {
            GapReason::Retention
        } else if may_drop && must_make_room(shared)? {
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
            store_gaps(transaction, &gaps)
        }
    })?;
    shared.counters.count_gaps(&gaps);
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
}
