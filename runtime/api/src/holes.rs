//! What a client that goes by seq has missed: the holes between the rows it gets, with the reasons that the log knows. A hole
//! nobody can explain is none: seqs rise, but not all are given.

use bulkhead_log::{GapReason, Log, LogError, Missing, Row};
use bulkhead_model::Seq;
use serde::Serialize;

/// A stretch of seqs that is missing; both ends belong to it.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Missing"))]
pub(crate) struct ShownHole {
    /// Why, as in the list of gaps; `unknown` where its record is lost.
    reason: &'static str,
    /// The first.
    from: u64,
    /// The last.
    to: u64,
}

/// The reason, as in the list of gaps, and a word where its record is lost.
pub(crate) fn reason(missing: &Missing) -> &'static str {
    missing.reason.map_or("unknown", GapReason::code)
}

/// Whether a client has to hear of it. Numbers that are skipped after a kill or a power cut are no loss where every commit is
/// on the medium before it counts: nothing that was acknowledged had them.
pub(crate) fn is_told(log: &Log, missing: &Missing) -> bool {
    missing.reason != Some(GapReason::SkippedAtOpen) || !log.is_fully_durable()
}

/// As clients get it.
pub(crate) fn shown(missing: &Missing) -> ShownHole {
    ShownHole { reason: reason(missing), from: missing.first, to: missing.last }
}

/// What is missing of a span that is gone as a whole, without a hole of its own. Blocks.
pub(crate) fn of_span(log: &Log, first: Seq, last: Seq) -> Result<Vec<Missing>, LogError> {
    explained(log, &[(first, last)])
}

/// What is missing between a seq and the rows that were found behind it, up to the last of them. Blocks where there are holes.
pub(crate) fn between(log: &Log, after: Seq, rows: &[Row]) -> Result<Vec<Missing>, LogError> {
    explained(log, &holes(after, rows.iter().map(|row| row.seq)))
}

/// The seqs that are left out behind one, in spans.
fn holes(after: Seq, seqs: impl Iterator<Item = Seq>) -> Vec<(Seq, Seq)> {
    let mut before = after;
    let mut holes = Vec::new();
    for seq in seqs {
        if seq > before + 1 {
            holes.push((before + 1, seq - 1));
        }
        before = seq;
    }
    holes
}

/// The parts of holes that the log has a reason for.
fn explained(log: &Log, holes: &[(Seq, Seq)]) -> Result<Vec<Missing>, LogError> {
    let (Some((first, _)), Some((_, last))) = (holes.first(), holes.last()) else { return Ok(Vec::new()) };
    let mut reasons = Vec::new();
    let mut next = *first;
    while next <= *last {
        // By the hundred; the last answer is empty.
        let some = log.missing(next, *last)?;
        let Some(behind) = some.last().map(|one| one.last + 1) else { break };
        next = behind;
        reasons.extend(some);
    }
    Ok(within(holes, &reasons))
}

/// What of spans with reasons lies in holes; both rise.
fn within(holes: &[(Seq, Seq)], reasons: &[Missing]) -> Vec<Missing> {
    let mut missing = Vec::new();
    let mut reasons = reasons.iter().peekable();
    for (first, last) in holes {
        while reasons.next_if(|one| one.last < *first).is_some() {}
        while let Some(one) = reasons.peek().filter(|one| one.first <= *last) {
            missing.push(Missing { first: one.first.max(*first), last: one.last.min(*last), reason: one.reason });
            if one.last > *last {
                break;
            }
            reasons.next();
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_log::GapReason::{Damaged, SkippedAtOpen};

    #[test]
    fn only_the_holes_between_rows_are_missing_and_each_for_its_reason() {
        let holes = holes(4, [5, 8, 9, 20].into_iter());
        assert_eq!(holes, [(6, 7), (10, 19)]);
        let span = |first, last, reason| Missing { first, last, reason: Some(reason) };
        let reasons = [span(1, 3, Damaged), span(5, 12, Damaged), span(15, 30, SkippedAtOpen)];
        let expected = [span(6, 7, Damaged), span(10, 12, Damaged), span(15, 19, SkippedAtOpen)];
        assert_eq!(within(&holes, &reasons), expected);
        assert_eq!(within(&holes, &[]), []);
        assert_eq!(within(&[], &reasons), []);
    }
}
