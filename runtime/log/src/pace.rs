//! How long a commit waits for others to share it. Pure: moments in, a decision out.
//!
//! Each commit of few readings has the device write at least a page of the WAL: ten a second are more than 3 GB a day,
//! however small the readings. So a group of few readings waits longer than one of many, unless somebody seems to wait
//! for it. Somebody does when
//!
//! * the log was quiet: some commits are saved up for that ([`QUIET_CREDIT_MAX`], one more every [`QUIET_CREDIT_EVERY`]),
//! * or the group began just after the last commit ([`ANSWER_MAX`]): a source that goes on when it is told.

use std::time::{Duration, Instant};

/// A group with so many readings waits no longer than `commit_max_ms`: they fill a good part of a page. It is below the
/// window of 20 messages that brokers usually give a client, so that a full window never waits.
pub(crate) const QUIET_MAX_ROWS: usize = 16;
/// Commits of few readings that may follow each other without waiting longer.
const QUIET_CREDIT_MAX: u32 = 20;
/// How soon there is one more of them.
const QUIET_CREDIT_EVERY: Duration = Duration::from_secs(10);
/// A group that begins so soon after a commit is taken for its answer.
const ANSWER_MAX: Duration = Duration::from_millis(5);

/// What is remembered from one group to the next.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    short: Duration,
    long: Duration,
    credit: u32,
    /// When the credit was last counted; it is whole up to there.
    credited: Instant,
    last_commit: Option<Instant>,
    /// Groups begun.
    groups: u32,
}

/// Until when a group waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Deadlines {
    /// With many readings.
    many: Instant,
    /// With few.
    few: Instant,
}

impl Deadlines {
    /// Until when it waits with so many readings. None, as a look at whether the log answers has, need not wait long.
    pub(crate) fn with(self, rows: usize) -> Instant {
        if rows == 0 || rows >= QUIET_MAX_ROWS { self.many } else { self.few }
    }
}

impl Pace {
    /// Waits as configured, from a moment on.
    pub(crate) fn new(commit_max_ms: u32, commit_quiet_max_ms: u32, now: Instant) -> Self {
        let short = Duration::from_millis(commit_max_ms.into());
        let long = Duration::from_millis(commit_quiet_max_ms.into()).max(short);
        Self { short, long, credit: QUIET_CREDIT_MAX, credited: now, last_commit: None, groups: 0 }
    }

    /// A group begins.
    pub(crate) fn begin(&mut self, now: Instant) -> Deadlines {
        self.count_credit(now);
        let is_answer = self.last_commit.is_some_and(|last| now.saturating_duration_since(last) <= ANSWER_MAX);
        self.groups = self.groups.wrapping_add(1);
        let few = if is_answer || self.credit > 0 { self.short } else { self.long - self.varied() };
        Deadlines { many: now + self.short, few: now + few }
    }

    /// Up to a sixth of the long wait, another part each time: a wait that kept step with a source's cycle would end just
    /// before its next reading, which would then look like an answer.
    fn varied(&self) -> Duration {
        ((self.long - self.short) / 6 * (self.groups.wrapping_mul(61) % 100)) / 100
    }

    /// A group with so many readings, begun with these deadlines, was committed.
    pub(crate) fn committed(&mut self, deadlines: Deadlines, rows: usize, now: Instant) {
        let was_short = deadlines.few == deadlines.many;
        if was_short && rows > 0 && rows < QUIET_MAX_ROWS {
            self.credit = self.credit.saturating_sub(1);
        }
        self.last_commit = Some(now);
    }

    fn count_credit(&mut self, now: Instant) {
        while self.credit < QUIET_CREDIT_MAX && now.saturating_duration_since(self.credited) >= QUIET_CREDIT_EVERY {
            self.credit += 1;
            self.credited += QUIET_CREDIT_EVERY;
        }
        if self.credit == QUIET_CREDIT_MAX {
            self.credited = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Milliseconds that a group of one reading waits when it begins at each of these moments, in milliseconds, and is
    /// committed at its deadline.
    fn waits(begins_ms: impl IntoIterator<Item = u64>) -> Vec<u128> {
        let start = crate::clock::monotonic();
        let mut pace = Pace::new(20, 500, start);
        begins_ms
            .into_iter()
            .map(|begin| {
                let begin = start + Duration::from_millis(begin);
                let deadlines = pace.begin(begin);
                pace.committed(deadlines, 1, deadlines.with(1));
                (deadlines.with(1) - begin).as_millis()
            })
            .collect()
    }

    #[test]
    fn a_trickle_soon_waits_longer_and_quiet_gives_its_credit_back() {
        let trickle = waits((0..100).map(|second| second * 600));
        assert_eq!(trickle[..20], [20; 20]);
        let long = trickle.iter().filter(|wait| (420..=500).contains(*wait)).count();
        assert_eq!(long, 100 - 20 - 59_400 / 10_000, "and one in ten seconds is spared");
        let after_an_hour = waits((0..40).map(|second| second * 600).chain([3_600_000, 3_600_600]));
        assert!(after_an_hour[39] >= 420);
        assert_eq!(after_an_hour[40..], [20, 20]);
    }

    #[test]
    fn a_source_that_goes_on_when_it_is_told_is_not_held_up() {
        // Each group begins 2 ms after the commit before.
        let waits = waits((0..200).map(|group| group * 22));
        assert_eq!(waits, [20; 200]);
    }

    #[test]
    fn a_cycle_does_not_look_like_answers() {
        let start = crate::clock::monotonic();
        let mut pace = Pace { credit: 0, ..Pace::new(20, 750, start) };
        let (mut at, mut short) = (start, 0);
        for _ in 0..1000 {
            let deadlines = pace.begin(at);
            let end = deadlines.with(1);
            pace.committed(deadlines, 1, end);
            short += u32::from(end - at == Duration::from_millis(20));
            // The next reading of a cycle of 50 ms that comes after the commit, a millisecond late.
            let cycles = u32::try_from((end - start).as_millis() / 50).unwrap() + 1;
            at = start + Duration::from_millis(50) * cycles + Duration::from_millis(1);
        }
        // One in 10 s is saved up; one in ten comes within 5 ms of a commit by chance.
        assert!(short < 180, "{short} of 1000");
    }

    #[test]
    fn many_readings_never_wait_longer() {
        let start = crate::clock::monotonic();
        let mut pace = Pace { credit: 0, ..Pace::new(20, 500, start) };
        let deadlines = pace.begin(start);
        assert!(deadlines.with(QUIET_MAX_ROWS - 1) - start >= Duration::from_millis(420));
        assert_eq!(deadlines.with(QUIET_MAX_ROWS) - start, Duration::from_millis(20));
        assert_eq!(deadlines.with(0) - start, Duration::from_millis(20));
        let mut pace = Pace { credit: 0, ..Pace::new(700, 500, start) };
        assert_eq!(pace.begin(start).with(1) - start, Duration::from_millis(700), "the longer of the two counts");
    }
}
