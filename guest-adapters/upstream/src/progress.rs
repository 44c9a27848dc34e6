//! How far the delivery of a batch has got: entries are done with in order, so that what is accepted is always a prefix.

use bulkhead_sdk::{Fault, Outcome, Rejection};

/// Counts entries as they are done with.
#[derive(Debug, Default)]
pub struct Progress {
    accepted: u32,
    rejected: Vec<Rejection>,
}

impl Progress {
    /// How many entries are done with: the index of the next.
    #[must_use]
    pub fn next(&self) -> usize {
        usize::try_from(self.accepted).unwrap_or(usize::MAX)
    }

    /// The next entries were taken.
    pub fn taken(&mut self, count: usize) {
        self.accepted = self.accepted.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// The next entry was refused for good.
    pub fn refused(&mut self, fault: Fault) {
        self.rejected.push(Rejection { index: self.accepted, fault });
        self.accepted = self.accepted.saturating_add(1);
    }

    /// The outcome: everything is done with.
    #[must_use]
    pub fn done(self) -> Outcome {
        Outcome { accepted: self.accepted, rejected: self.rejected, rest: None }
    }

    /// The outcome where a fault stopped the rest. Where nothing is done with yet it is the fault of the whole batch.
    ///
    /// # Errors
    /// The fault, if no entry is done with.
    pub fn stopped(self, fault: Fault) -> Result<Outcome, Fault> {
        if self.accepted == 0 {
            return Err(fault);
        }
        Ok(Outcome { accepted: self.accepted, rejected: self.rejected, rest: Some(fault) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_counted_in_order_and_a_fault_before_the_first_is_the_batchs() {
        let mut progress = Progress::default();
        progress.taken(2);
        progress.refused(Fault::reject("status-400", "no"));
        let outcome = progress.stopped(Fault::retry("status-503", "later")).expect("some were done with");
        assert_eq!((outcome.accepted, outcome.rejected[0].index, outcome.rest.is_some()), (3, 2, true));
        assert_eq!(Progress::default().stopped(Fault::retry("x", "y")).expect_err("none was").code, "x");
    }
}
