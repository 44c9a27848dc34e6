//! A dead letter of a route once more: its reading goes to the route's sink as a batch of its own.

use super::key::letter_key;
use super::selection::Selection;
use super::upstream::Upstream;
use super::verdict::{Reply, Verdict, judge};
use bulkhead_config::Route;
use bulkhead_log::{Log, Row};
use bulkhead_sandbox::capability::Fault;

/// What a replay came to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Replay {
    /// The upstream has taken it.
    Taken,
    /// The upstream has refused it again.
    Refused(Fault),
    /// It could not be tried, or nobody knows whether it arrived.
    Failed(Fault),
    /// The route as it is now makes nothing of it.
    Foreign,
}

/// Sends the reading of a letter by the rules the route has now, under the letter's own key. Order means nothing here:
/// what followed the reading was sent long ago.
pub(crate) async fn replay(
    log: &Log,
    name: &str,
    route: &Route,
    sink: &dyn Upstream,
    letter: u64,
    row: &Row,
) -> Replay {
    let mut selection = Selection::new(route);
    let catalogue = log.catalogue();
    if !selection.takes(row, &catalogue) {
        return Replay::Foreign;
    }
    let key = letter_key(&log.id(), name, letter);
    let batch = selection.batch(key, name, std::iter::once(row.clone()), &catalogue);
    let reply = sink.deliver(batch).await;
    match (reply.refused().first(), judge(1, 0, &reply)) {
        (Some(rejection), _) => Replay::Refused(rejection.fault.clone()),
        (None, Verdict::GoOn) => Replay::Taken,
        (None, Verdict::Refused(fault)) => Replay::Refused(fault),
        (None, Verdict::Wait(fault)) if matches!(reply, Reply::Crashed(_)) => Replay::Refused(fault),
        (None, Verdict::Wait(fault)) => Replay::Failed(fault),
        // One reading has no halves.
        (None, Verdict::Halve) => Replay::Foreign,
    }
}
