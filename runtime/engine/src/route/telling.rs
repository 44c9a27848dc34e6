//! What a route writes to the journal of what is lost or set aside: each once, with what a person needs to look it up.

use super::backlog::Gap;
use bulkhead_log::{Catalogue, RefusedReading};

/// Retention has deleted what the route had not read.
pub(super) fn of_gap(route: &str, gap: Gap) {
    let lost = gap.lost();
    tracing::error!(
        route,
        first_lost = gap.first_lost,
        first_available = gap.first_available,
        "retention has deleted up to {lost} readings of the log before this route could send them"
    );
}

/// One line for the refused readings of a batch, with the first of them.
pub(super) fn of_refused(route: &str, refused: &[RefusedReading], catalogue: &Catalogue) {
    let Some(first) = refused.first() else { return };
    let point = catalogue.by_id(first.row.reading.point);
    tracing::error!(
        route,
        connection = point.map(|point| &*point.connection),
        point = point.map(|point| point.info.name.as_str()),
        seq = first.row.seq,
        code = first.error.code,
        refused = refused.len(),
        "the upstream refused readings for good; they are kept as dead letters; the first: {}",
        first.error.message
    );
}
