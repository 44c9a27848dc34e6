//! How fast a backup may go: a pure policy. A backup is in no hurry, commits are.

use crate::config::BACKUP_MAX_BYTES_PER_S;
use std::time::Duration;

/// The pause after a piece that was copied and synced: at most [`BACKUP_MAX_BYTES_PER_S`], and on a slow medium at most
/// half of its time.
pub(super) fn pause_after(bytes: u64, took: Duration) -> Duration {
    let at_full_rate = Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / BACKUP_MAX_BYTES_PER_S);
    at_full_rate.saturating_sub(took).max(took)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_medium_is_used_at_the_rate_and_a_slow_one_half_of_its_time() {
        let second = Duration::from_secs(1);
        assert_eq!(pause_after(BACKUP_MAX_BYTES_PER_S, Duration::ZERO), second);
        assert_eq!(pause_after(BACKUP_MAX_BYTES_PER_S, second / 4), second * 3 / 4);
        assert_eq!(pause_after(BACKUP_MAX_BYTES_PER_S, second * 4), second * 4);
        assert_eq!(pause_after(0, Duration::ZERO), Duration::ZERO);
    }
}
