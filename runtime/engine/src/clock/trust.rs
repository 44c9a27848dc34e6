//! Whether the wall clock can be believed, and what time retention goes by: a pure policy over samples of both clocks.
//!
//! A clock is doubted when what it says cannot be (it was never set, or is decades ahead), and for some time after it has
//! jumped against the monotonic clock. Slewing and a smeared leap second stay far below what counts as a jump. The first
//! time that can be is a clock being set, and believed at once.
//!
//! Retention deletes, so it believes less: it goes by the time that had passed without the jump until a jump forward has
//! lasted a day. A jump back it follows at once, since that deletes less.

use bulkhead_model::Timestamp;

/// The wall clock may differ by this from what the monotonic clock makes it, for steps that are none of note.
pub(crate) const JUMP_MIN_NS: u64 = 2_000_000_000;
/// And by this share of the time between two looks: the kernel slews by 1/2000 at most, a leap second is smeared by less.
const DRIFT_SHARE: u64 = 1000;
/// A clock that has jumped is believed again after it has run evenly for so long.
pub(crate) const JUMP_DOUBTED_NS: u64 = 300 * 1_000_000_000;
/// Retention follows a jump forward after it has lasted so long.
pub(crate) const JUMP_HELD_NS: u64 = 86_400 * 1_000_000_000;

/// One look at both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) wall: Timestamp,
    pub(crate) monotonic_ns: u64,
}

impl Sample {
    /// What the wall clock has to say later, if it runs evenly.
    fn wall_at(self, monotonic_ns: u64) -> Timestamp {
        let passed = i64::try_from(monotonic_ns.saturating_sub(self.monotonic_ns)).unwrap_or(i64::MAX);
        Timestamp(self.wall.0.saturating_add(passed))
    }

    /// By how much a later look differs from that, in nanoseconds; none: by nothing of note.
    fn jump_to(self, later: Sample) -> Option<i64> {
        let by = later.wall.0.saturating_sub(self.wall_at(later.monotonic_ns).0);
        let drift = later.monotonic_ns.saturating_sub(self.monotonic_ns) / DRIFT_SHARE;
        (by.unsigned_abs() > JUMP_MIN_NS + drift).then_some(by)
    }
}

/// Why the wall clock is doubted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// It says a time before this gateway was made: it was never set.
    NeverSet,
    /// It says a time decades ahead.
    FarAhead,
    /// It has jumped by so many nanoseconds, forward or back, a short time ago.
    Jumped {
        /// By how much; negative: back.
        by_ns: i64,
    },
}

impl std::fmt::Display for Doubt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Doubt::NeverSet => f.write_str("it says a time before this gateway was made; it was probably never set"),
            Doubt::FarAhead => f.write_str("it says a time decades ahead"),
            Doubt::Jumped { by_ns } => {
                let (seconds, way) =
                    (by_ns.unsigned_abs() / 1_000_000_000, if *by_ns < 0 { "back" } else { "forward" });
                write!(f, "it jumped {way} by {seconds} s")
            }
        }
    }
}

/// What has been seen of the clocks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trust {
    last: Option<Sample>,
    /// The newest sample that was believed: what a jump is measured from.
    believed: Option<Sample>,
    /// Since when a clock that has jumped runs evenly, on the monotonic clock.
    even_since_ns: u64,
    doubt: Option<Doubt>,
    retention: Retention,
}

/// The time retention goes by.
#[derive(Debug, Clone, Default)]
struct Retention {
    /// A sample from which it is counted on.
    from: Option<Sample>,
    /// Since when the wall clock is ahead of it, on the monotonic clock, with a sample of that jump.
    ahead: Option<Sample>,
}

impl Trust {
    /// That of a gateway whose newest commit was at this time: what the clock says at the start is not believed by
    /// retention when it is far from it.
    pub(crate) fn after(newest_commit: Option<Timestamp>, monotonic_ns: u64) -> Self {
        let from = newest_commit.filter(|time| time.is_plausible()).map(|wall| Sample { wall, monotonic_ns });
        Self { retention: Retention { from, ahead: None }, ..Self::default() }
    }

    /// Takes a look at the clocks. Returns why the wall clock is doubted now.
    pub(crate) fn look(&mut self, now: Sample) -> Option<Doubt> {
        self.doubt = self.judge(now);
        self.last = Some(now);
        if self.doubt.is_none() {
            self.believed = Some(now);
        }
        self.retention.look(now);
        self.doubt
    }

    fn judge(&mut self, now: Sample) -> Option<Doubt> {
        if now.wall < Timestamp::PLAUSIBLE_FROM {
            return Some(Doubt::NeverSet);
        }
        if !now.wall.is_plausible() {
            return Some(Doubt::FarAhead);
        }
        // The first time that can be is believed: there is nothing to measure it by.
        let believed = self.believed?;
        let by_ns = believed.jump_to(now)?;
        let is_even = self.last.is_some_and(|last| last.jump_to(now).is_none());
        if !is_even || !matches!(self.doubt, Some(Doubt::Jumped { .. })) {
            self.even_since_ns = now.monotonic_ns;
        }
        let has_settled = now.monotonic_ns.saturating_sub(self.even_since_ns) >= JUMP_DOUBTED_NS;
        (!has_settled).then_some(Doubt::Jumped { by_ns })
    }

    /// The time by which readings may be deleted for their age; none: for none of them.
    pub(crate) fn retention_now(&self, now: Sample) -> Option<Timestamp> {
        let counted = self.retention.from?.wall_at(now.monotonic_ns);
        now.wall.is_plausible().then(|| counted.min(now.wall)).or(Some(counted))
    }
}

impl Retention {
    fn look(&mut self, now: Sample) {
        if !now.wall.is_plausible() {
            self.ahead = None;
            return;
        }
        let Some(from) = self.from else {
            self.from = Some(now);
            return;
        };
        match from.jump_to(now) {
            Some(by_ns) if by_ns > 0 => {
                let begun = *self.ahead.get_or_insert(now);
                if begun.jump_to(now).is_some() {
                    // Another jump on top: what is held has to last anew.
                    self.ahead = Some(now);
                } else if now.monotonic_ns.saturating_sub(begun.monotonic_ns) >= JUMP_HELD_NS {
                    *self = Self { from: Some(now), ahead: None };
                }
            }
            _ => *self = Self { from: Some(now), ahead: None },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;
    const YEAR_S: i64 = 31_556_952;

    fn sample(wall_s: i64, monotonic_s: u64) -> Sample {
        let wall = Timestamp(Timestamp::PLAUSIBLE_FROM.0 + wall_s * 1_000_000_000);
        Sample { wall, monotonic_ns: monotonic_s * SECOND }
    }

    #[test]
    fn an_even_clock_is_believed_and_so_is_a_smeared_leap_second() {
        let mut trust = Trust::default();
        for second in 0..86_400_u64 {
            // One second more over a day.
            let smear_ns = i64::try_from(second * SECOND / 86_400).unwrap();
            let mut now = sample(i64::try_from(second).unwrap(), second);
            now.wall.0 += smear_ns;
            assert_eq!(trust.look(now), None, "at {second} s");
        }
    }

    #[test]
    fn a_clock_that_was_never_set_is_doubted_until_it_is() {
        let mut trust = Trust::default();
        assert_eq!(trust.look(sample(-56 * YEAR_S, 0)), Some(Doubt::NeverSet));
        assert_eq!(trust.look(sample(-56 * YEAR_S + 60, 60)), Some(Doubt::NeverSet));
        assert_eq!(trust.look(sample(1000, 61)), None, "it was set");
        assert_eq!(trust.look(sample(1001, 62)), None);
    }

    #[test]
    fn a_jump_is_doubted_until_it_is_taken_back_or_has_lasted() {
        for by in [-3600, 3600] {
            let mut trust = Trust::default();
            trust.look(sample(10_000, 0));
            let doubt = Some(Doubt::Jumped { by_ns: by * 1_000_000_000 });
            assert_eq!(trust.look(sample(10_001 + by, 1)), doubt);
            assert_eq!(trust.look(sample(10_002 + by, 2)), doubt);
            assert_eq!(trust.look(sample(10_003, 3)), None, "taken back");
            assert_eq!(trust.look(sample(10_004 + by, 4)), doubt);
            assert_eq!(trust.look(sample(10_303 + by, 303)), doubt);
            assert_eq!(trust.look(sample(10_304 + by, 304)), None, "it runs evenly since five minutes");
            assert_eq!(trust.look(sample(10_305 + by, 305)), None);
        }
    }

    #[test]
    fn a_clock_that_comes_back_from_the_next_century_is_believed_where_it_would_have_been() {
        let mut trust = Trust::default();
        assert_eq!(trust.look(sample(5, 0)), None);
        assert_eq!(trust.look(sample(74 * YEAR_S, 1)), Some(Doubt::FarAhead));
        assert_eq!(trust.look(sample(7, 2)), None);
        assert_eq!(trust.look(sample(74 * YEAR_S, 3)), Some(Doubt::FarAhead));
        let elsewhere = trust.look(sample(3604, 4));
        assert!(matches!(elsewhere, Some(Doubt::Jumped { .. })), "it comes back to another time: {elsewhere:?}");
    }

    #[test]
    fn retention_does_not_follow_a_jump_ahead_before_a_day() {
        let mut trust = Trust::default();
        trust.look(sample(100, 0));
        let ahead = |second: u64| sample(10 * YEAR_S + i64::try_from(second).unwrap(), second);
        for second in [1, 600, 86_399] {
            trust.look(ahead(second));
            assert_eq!(
                trust.retention_now(ahead(second)),
                Some(sample(100 + i64::try_from(second).unwrap(), second).wall)
            );
        }
        trust.look(ahead(86_401));
        assert_eq!(trust.retention_now(ahead(86_401)), Some(ahead(86_401).wall));
    }

    #[test]
    fn retention_never_follows_into_the_next_century_and_deletes_nothing_before_the_clock_is_set() {
        let mut trust = Trust::default();
        let far = |second: u64| sample(74 * YEAR_S + i64::try_from(second).unwrap(), second);
        trust.look(sample(-56 * YEAR_S, 0));
        assert_eq!(trust.retention_now(sample(-56 * YEAR_S, 0)), None);
        trust.look(sample(100, 1));
        for day in 1..400 {
            trust.look(far(day * 86_400));
        }
        let end = 400 * 86_400;
        assert_eq!(trust.retention_now(far(end)), Some(sample(99 + i64::try_from(end).unwrap(), end).wall));
    }

    #[test]
    fn a_gateway_that_starts_years_after_its_last_commit_waits_a_day_before_it_deletes_for_it() {
        let mut trust = Trust::after(Some(sample(0, 0).wall), 0);
        let late = |second: u64| sample(3 * YEAR_S + i64::try_from(second).unwrap(), second);
        assert_eq!(trust.look(late(0)), None, "it was off, and its clock may well be right");
        assert_eq!(trust.retention_now(late(10)), Some(sample(10, 10).wall));
        trust.look(late(86_400));
        assert_eq!(trust.retention_now(late(86_400)), Some(late(86_400).wall));
        let never_set = Trust::after(Some(Timestamp(5)), 0);
        assert_eq!(never_set.retention_now(late(0)), None, "a commit of 1970 says nothing");
    }

    #[test]
    fn retention_follows_a_jump_back_at_once() {
        let mut trust = Trust::default();
        trust.look(sample(10_000, 0));
        trust.look(sample(5_001, 1));
        assert_eq!(trust.retention_now(sample(5_001, 1)), Some(sample(5_001, 1).wall));
    }

    proptest! {
        /// However the wall clock jumps about within a day of running, retention sees no more time pass than has passed.
        #[test]
        fn retention_never_runs_ahead_of_the_time_that_has_passed(
            jumps in prop::collection::vec((1_u64..600, -100 * YEAR_S..100 * YEAR_S), 1..100),
        ) {
            let mut trust = Trust::default();
            let begin = sample(1000, 0);
            trust.look(begin);
            let mut second = 0;
            for (passed, wall_s) in jumps {
                second += passed;
                prop_assume!(second < 86_000);
                let now = sample(wall_s, second);
                trust.look(now);
                let latest = begin.wall_at(now.monotonic_ns);
                prop_assert!(trust.retention_now(now).is_none_or(|time| time <= latest.max(now.wall.min(latest))));
            }
        }

        /// A clock that runs evenly is never doubted, whenever it is looked at, and an even clock is believed again in time.
        #[test]
        fn an_even_clock_is_believed_at_last(looks in prop::collection::vec(1_u64..120, 10..100), jump_s in -YEAR_S..YEAR_S) {
            let mut trust = Trust::default();
            trust.look(sample(2 * YEAR_S, 0));
            let mut second = 0;
            for passed in looks {
                second += passed;
                let doubt = trust.look(sample(2 * YEAR_S + jump_s + i64::try_from(second).unwrap(), second));
                if second * SECOND > JUMP_DOUBTED_NS + 120 * SECOND || jump_s.unsigned_abs() <= 2 {
                    prop_assert_eq!(doubt, None);
                }
            }
        }
    }
}
