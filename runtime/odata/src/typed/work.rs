//! How much a request may have evaluated: expressions over rows can multiply, so that a short one takes hours.

use crate::limits::{WORK_MAX_STEPS, WORK_STEPS_PER_ROW};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The steps that are left. One thread works on a request; the count is shared with what else belongs to it.
#[derive(Debug)]
pub(crate) struct Work {
    steps_left: AtomicU64,
    /// Whether the body was not made as a whole, because nobody is to see it.
    is_partial: AtomicBool,
}

impl Default for Work {
    fn default() -> Self {
        Self { steps_left: AtomicU64::new(WORK_MAX_STEPS), is_partial: AtomicBool::new(false) }
    }
}

impl Work {
    /// Says that the body is not made as a whole.
    pub(crate) fn leave_rest_out(&self) {
        self.is_partial.store(true, Ordering::Relaxed);
    }

    /// Whether the body was made as a whole.
    pub(crate) fn is_whole(&self) -> bool {
        !self.is_partial.load(Ordering::Relaxed)
    }

    /// Gives back what a row of a stream may take, unless none are left.
    pub(crate) fn add_row(&self) {
        let left = self.steps_left.load(Ordering::Relaxed);
        if left > 0 {
            self.steps_left.store(left.saturating_add(WORK_STEPS_PER_ROW).min(WORK_MAX_STEPS), Ordering::Relaxed);
        }
    }

    /// Takes steps; whether some are left. Once there are none, there are none any more.
    pub(crate) fn take(&self, steps: usize) -> bool {
        let left = self.steps_left.load(Ordering::Relaxed).saturating_sub(steps as u64);
        self.steps_left.store(left, Ordering::Relaxed);
        left > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_ends_for_good() {
        let work = Work::default();
        assert!(work.take(1) && work.take(0));
        assert!(!work.take(usize::MAX) && !work.take(0) && !work.take(1));
        work.add_row();
        assert!(!work.take(0));
    }

    #[test]
    fn rows_give_back_no_more_than_there_was() {
        let work = Work::default();
        assert!(work.take(10));
        (0..10).for_each(|_| work.add_row());
        assert!(!work.take(usize::try_from(WORK_MAX_STEPS).unwrap()));
    }
}
