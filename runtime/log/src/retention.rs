//! Retention: which sealed segments must go, and letting them go whole, the oldest first.
//!
//! Ages are counted from commit times as the wall clock said them, and it may have said anything: 1970 before it was set,
//! or a year to come. Segments are in the order of their commits, so a time that cannot be is replaced by what its
//! neighbours say ([`CommitTimes`]). What time it is now is the caller's to say, who knows how far the clock is believed.

use crate::LogError;
use crate::segment::Knowledge;
use crate::shared::Shared;
use bulkhead_model::Timestamp;
use std::sync::atomic::Ordering;

/// The bounds of retention.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Bounds {
    pub(crate) max_age_s: Option<u64>,
    pub(crate) max_bytes: Option<u64>,
}

impl Bounds {
    /// Whether the oldest segment must go, when all segments together have so many bytes.
    pub(crate) fn exceeded(self, all_bytes: u64, last_commit: Timestamp, now: Timestamp) -> bool {
        let too_many = self.max_bytes.is_some_and(|max| all_bytes > max);
        let age_ns = i128::from(now.0) - i128::from(last_commit.0);
        let too_old = self.max_age_s.is_some_and(|max| age_ns > i128::from(max) * 1_000_000_000);
        too_many || too_old
    }
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
    let bounds = Bounds { max_age_s: shared.config.retention_max_age_s, max_bytes: shared.config.retention_max_bytes };
    if bounds == (Bounds { max_age_s: None, max_bytes: None }) {
        return Ok(0);
    }
    let _alone = shared.retaining.lock();
    let mut all_bytes = shared.bytes_on_disk()?;
    let mut dropped = 0;
    let mut times = CommitTimes::default();
    for segment in shared.segments.now().iter() {
        let Knowledge::Sealed { last, bytes, .. } = &segment.knowledge else { break };
        let Some(summary) = shared.summary(segment)? else { break };
        let last_commit = match times.next(summary.last_commit, now) {
            Some(time) => time,
            None if now < Timestamp::PLAUSIBLE_FROM => now,
            None => first_plausible(shared, now)?,
        };
        if !bounds.exceeded(all_bytes, last_commit, now) {
            break;
        }
        // First the record, then the deed: a reader that finds rows missing must find out why.
        shared.state.dropped_to(*last)?;
        shared.dropped_to.store(*last, Ordering::Release);
        shared.segments.remove(segment.start);
        shared.readers.forget(segment.start, true);
        shared.counters.segments_dropped.fetch_add(1, Ordering::Relaxed);
        tracing::info!(segment = %segment.path.display(), last_seq = last, "retention dropped a segment");
        all_bytes = all_bytes.saturating_sub(*bytes);
        dropped += 1;
    }
    Ok(dropped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_goes_when_it_is_too_old_or_all_are_too_large() {
        let second = 1_000_000_000;
        let by_age = Bounds { max_age_s: Some(60), max_bytes: None };
        assert!(!by_age.exceeded(u64::MAX, Timestamp(0), Timestamp(60 * second)));
        assert!(by_age.exceeded(0, Timestamp(0), Timestamp(60 * second + 1)));
        assert!(!by_age.exceeded(0, Timestamp(100 * second), Timestamp(0)), "a clock that went back drops nothing");
        let by_bytes = Bounds { max_age_s: None, max_bytes: Some(1000) };
        assert!(!by_bytes.exceeded(1000, Timestamp(0), Timestamp(i64::MAX)));
        assert!(by_bytes.exceeded(1001, Timestamp(0), Timestamp(0)));
        assert!(!by_age.exceeded(0, Timestamp(0), Timestamp(i64::MIN)), "without a time to go by nothing is old");
        assert!(!Bounds { max_age_s: Some(u64::MAX), max_bytes: None }.exceeded(
            0,
            Timestamp(i64::MIN),
            Timestamp(i64::MAX)
        ));
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
