//! Reading the sealed segments whole, once after each start and slowly, so that damage is found while a backup may still
//! have what is lost, and not only when somebody asks for just these rows.

use crate::config::{VERIFY_BYTES_PER_S, VERIFY_PAUSE_MAX};
use crate::directory::Directory;
use crate::scan::RowFilter;
use crate::seal::sealed_error;
use crate::sealed::read_slice;
use crate::segment::{Knowledge, Segment};
use crate::shared::{Shared, load_summary};
use crate::{LogError, clock};
use bulkhead_model::Seq;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Verifies what is sealed now, the oldest first, until it is through or the log ends.
pub(crate) fn run(shared: &Arc<Shared>, ending: &AtomicBool) {
    let starts: Vec<Seq> = shared.segments.now().iter().map(|segment| segment.start).collect();
    for start in starts {
        let begun = clock::monotonic();
        let Some(bytes) = verify_one(shared, start, ending) else { continue };
        if !wait(pause(bytes, begun.elapsed()), ending) {
            return;
        }
    }
    tracing::debug!("all sealed segments have been verified");
}

/// Verifies the segment of a start, if it is there and sealed. Returns its bytes. It is let go before the rest that follows,
/// so that retention can have its file.
fn verify_one(shared: &Arc<Shared>, start: Seq, ending: &AtomicBool) -> Option<u64> {
    let segments = shared.segments.now();
    let segment = segments.iter().find(|segment| segment.start == start).map(Arc::clone)?;
    drop(segments);
    let Knowledge::Sealed { bytes, .. } = segment.knowledge else { return None };
    if segment.is_suspect() {
        return None;
    }
    if let Err(error) = verify(shared, &segment, ending) {
        // Damage has it salvaged; anything else is left to the next start.
        let error = shared.readers.judge(&segment, error);
        tracing::warn!(segment = %segment.path.display(), %error, "a segment does not verify");
    }
    Some(bytes)
}

/// Reads every block of a segment, through a connection of its own: those for readers are theirs.
fn verify(shared: &Arc<Shared>, segment: &Arc<Segment>, ending: &AtomicBool) -> Result<(), LogError> {
    let connection = segment.connect()?;
    load_summary(segment, &connection, &shared.id)?;
    let wrong = sealed_error("verify", &segment.path);
    let directory = Directory::load(&connection).map_err(|error| wrong(error.into()))?;
    let directory = directory.map_err(|damage| wrong(damage.into()))?;
    for slice in 0..directory.slices.len() {
        if ending.load(Ordering::Acquire) {
            return Ok(());
        }
        read_slice(&connection, &directory, slice, &RowFilter::default()).map_err(&wrong)?;
    }
    Ok(())
}

/// How long to rest after a segment of so many bytes that took so long.
fn pause(bytes: u64, took: Duration) -> Duration {
    let due = Duration::from_millis(bytes.saturating_mul(1000) / VERIFY_BYTES_PER_S);
    due.saturating_sub(took).min(VERIFY_PAUSE_MAX)
}

/// Rests, and looks now and then whether the log ends; false when it does.
fn wait(pause: Duration, ending: &AtomicBool) -> bool {
    let until = clock::monotonic() + pause;
    while !ending.load(Ordering::Acquire) {
        let left = until.saturating_duration_since(clock::monotonic());
        if left.is_zero() {
            return true;
        }
        std::thread::park_timeout(left);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_followed_by_a_rest_that_keeps_the_rate() {
        let second = Duration::from_secs(1);
        assert_eq!(pause(VERIFY_BYTES_PER_S, Duration::ZERO), second);
        assert_eq!(pause(VERIFY_BYTES_PER_S, second / 4), second * 3 / 4);
        assert_eq!(pause(VERIFY_BYTES_PER_S, second * 2), Duration::ZERO);
        assert_eq!(pause(u64::MAX, Duration::ZERO), VERIFY_PAUSE_MAX);
    }
}
