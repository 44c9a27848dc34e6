//! What to do after a try to deliver: a pure policy over the sink's answer.
//!
//! A reading is given up only when the sink names it, or when a batch of it alone is refused or crashes the sink's
//! adapter [`CRASHES_MAX`] times. A larger batch with which that happens is sent in halves, which finds the reading.
//! Everything else waits.

use bulkhead_sandbox::capability::{Fault, Remedy};
use bulkhead_sandbox::{CallError, wit};

/// Crashes of the sink's adapter in a row after which the batch at hand is blamed.
pub(super) const CRASHES_MAX: u32 = 2;

/// What a try came to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reply {
    /// The sink has said how far it got.
    Answered(wit::Outcome),
    /// Nothing was taken, as far as anybody knows.
    Failed(Fault),
    /// The sink's adapter crashed or did not end in time; what it took nobody knows.
    Crashed(Fault),
    /// The sink's adapter crashed before and is not built anew yet; it has not seen the batch.
    Resting(Fault),
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    /// Go on with what is left, if anything is.
    GoOn,
    /// Wait as the fault asks, then try the rest again.
    Wait(Fault),
    /// Try the first half by itself.
    Halve,
    /// The one reading that was tried is refused.
    Refused(Fault),
}

impl Reply {
    /// The reply to a call of the sink.
    pub(super) fn of(outcome: Result<wit::Outcome, CallError>) -> Self {
        let error = match outcome {
            Ok(outcome) => return Reply::Answered(outcome),
            Err(CallError::Fault(fault)) => return Reply::Failed(fault),
            Err(error) => error,
        };
        let retry_after_ms = error.wait().map(|wait| u32::try_from(wait.as_millis()).unwrap_or(u32::MAX));
        let fault = Fault { retry_after_ms, ..Fault::new(Remedy::Retry, error.code(), error.to_string()) };
        match error {
            CallError::Trapped { .. } | CallError::TimedOut { .. } => Reply::Crashed(fault),
            CallError::Resting { .. } => Reply::Resting(fault),
            _ => Reply::Failed(fault),
        }
    }

    /// How many readings from the front of `count` are done with.
    pub(super) fn done(&self, count: usize) -> usize {
        match self {
            Reply::Answered(outcome) => (outcome.accepted as usize).min(count),
            _ => 0,
        }
    }

    /// Why the rest of `count` readings was not taken; none: there is no rest.
    pub(super) fn fault(&self, count: usize) -> Option<&Fault> {
        match self {
            Reply::Answered(outcome) => outcome.rest.as_ref().filter(|_| self.done(count) < count),
            Reply::Failed(fault) | Reply::Crashed(fault) | Reply::Resting(fault) => Some(fault),
        }
    }

    /// The readings done with that the upstream refused for good.
    pub(super) fn refused(&self) -> &[wit::Rejection] {
        match self {
            Reply::Answered(outcome) => &outcome.rejected,
            _ => &[],
        }
    }

    /// How many crashes in a row there have been after this one, `before` it so many.
    pub(super) fn crashes(&self, before: u32) -> u32 {
        match self {
            Reply::Crashed(_) => before.saturating_add(1),
            Reply::Resting(_) => before,
            Reply::Answered(_) | Reply::Failed(_) => 0,
        }
    }
}

/// Judges the reply to a batch of `count` readings, the last of `crashes` crashes in a row included.
pub(super) fn judge(count: usize, crashes: u32, reply: &Reply) -> Verdict {
    let Some(fault) = reply.fault(count) else { return Verdict::GoOn };
    let is_blamed = matches!(reply, Reply::Crashed(_)) && crashes >= CRASHES_MAX;
    let is_refused = fault.remedy == Remedy::Reject && !matches!(reply, Reply::Crashed(_) | Reply::Resting(_));
    let has_progress = reply.done(count) > 0;
    match (is_blamed || is_refused, has_progress, count) {
        // The rest is refused as a whole: it is tried by itself, and judged then.
        (true, true, _) => Verdict::GoOn,
        (true, false, 1) => Verdict::Refused(fault.clone()),
        (true, false, _) => Verdict::Halve,
        // A sink that got further and asks for no wait has only reached its own bound of one call.
        (false, true, _) if fault.retry_after_ms == Some(0) => Verdict::GoOn,
        (false, ..) => Verdict::Wait(fault.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn fault(remedy: Remedy) -> Fault {
        Fault::new(remedy, "code", "message")
    }

    fn answered(accepted: u32, rest: Option<Fault>) -> Reply {
        Reply::Answered(wit::Outcome { accepted, rejected: Vec::new(), rest })
    }

    #[test]
    fn a_refusal_is_narrowed_down_to_one_reading_and_nothing_else_is_given_up() {
        let refused = Reply::Failed(fault(Remedy::Reject));
        assert_eq!(judge(10, 0, &refused), Verdict::Halve);
        assert_eq!(judge(1, 0, &refused), Verdict::Refused(fault(Remedy::Reject)));
        for remedy in [Remedy::Retry, Remedy::Reconnect, Remedy::Reconfigure] {
            for count in [1, 10] {
                let failed = Reply::Failed(fault(remedy));
                assert_eq!(judge(count, 9, &failed), Verdict::Wait(fault(remedy)), "crashes of others do not count");
            }
        }
    }

    #[test]
    fn a_batch_is_blamed_for_the_second_crash_in_a_row() {
        let crashed = Reply::Crashed(fault(Remedy::Retry));
        let crashes = crashed.crashes(0);
        assert_eq!(judge(10, crashes, &crashed), Verdict::Wait(fault(Remedy::Retry)));
        let resting = Reply::Resting(fault(Remedy::Retry));
        assert_eq!(judge(10, resting.crashes(crashes), &resting), Verdict::Wait(fault(Remedy::Retry)));
        let crashes = crashed.crashes(resting.crashes(crashes));
        assert_eq!((crashes, judge(10, crashes, &crashed)), (2, Verdict::Halve));
        assert_eq!(judge(1, crashes, &crashed), Verdict::Refused(fault(Remedy::Retry)));
        assert_eq!(answered(10, None).crashes(2), 0);
    }

    #[test]
    fn what_was_taken_counts_and_the_rest_waits_or_goes_on() {
        assert_eq!(judge(10, 0, &answered(10, None)), Verdict::GoOn);
        assert_eq!(judge(10, 0, &answered(99, Some(fault(Remedy::Retry)))), Verdict::GoOn, "there is no rest");
        assert_eq!(judge(10, 0, &answered(4, Some(fault(Remedy::Retry)))), Verdict::Wait(fault(Remedy::Retry)));
        assert_eq!(judge(10, 0, &answered(4, Some(fault(Remedy::Reject)))), Verdict::GoOn);
        let bound = Fault { retry_after_ms: Some(0), ..fault(Remedy::Retry) };
        assert_eq!(judge(10, 0, &answered(4, Some(bound.clone()))), Verdict::GoOn);
        assert_eq!(judge(10, 0, &answered(0, Some(bound.clone()))), Verdict::Wait(bound), "no progress: no hurry");
    }

    #[test]
    fn crashes_and_rests_of_the_adapter_are_told_apart_from_its_faults() {
        let rebuild_in = Duration::from_millis(500);
        let trap = Reply::of(Err(CallError::Trapped { message: "unreachable".into(), rebuild_in }));
        let Reply::Crashed(fault) = trap else { panic!("{trap:?}") };
        assert_eq!((fault.code.as_str(), fault.retry_after_ms), ("trap", Some(500)));
        assert!(matches!(Reply::of(Err(CallError::Resting { rebuild_in })), Reply::Resting(_)));
        assert!(matches!(Reply::of(Err(CallError::NoSuchRole("sink"))), Reply::Failed(_)));
        // A fault of this name is the adapter's own word, no crash.
        let named = Fault::new(Remedy::Retry, "trap", "of mice");
        assert_eq!(Reply::of(Err(CallError::Fault(named.clone()))), Reply::Failed(named));
    }
}
