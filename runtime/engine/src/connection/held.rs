//! Readings that the log has refused for now, in the order in which they must be committed, within a bound.

use bulkhead_model::Reading;
use std::collections::VecDeque;
use tokio::sync::oneshot;

/// Most readings that an actor holds for the log. While it holds any it does not poll, and a pump reads no further than a
/// few batches of frames, so that the bound is met only when many polls and frames were on their way.
pub(super) const HELD_MAX_READINGS: usize = 200_000;

/// Readings that are to be committed together.
#[derive(Debug)]
pub(super) struct HeldBatch {
    pub(super) readings: Vec<Reading>,
    /// Whoever waits to hear whether the readings of their frames are safe.
    pub(super) done: Option<oneshot::Sender<bool>>,
}

/// What is held.
#[derive(Debug, Default)]
pub(super) struct Held {
    batches: VecDeque<HeldBatch>,
    readings: usize,
}

impl Held {
    /// Puts a batch behind the others. Gives it back when that would be more than the bound.
    pub(super) fn push(&mut self, batch: HeldBatch) -> Result<(), HeldBatch> {
        if self.readings + batch.readings.len() > HELD_MAX_READINGS && !self.batches.is_empty() {
            return Err(batch);
        }
        self.readings += batch.readings.len();
        self.batches.push_back(batch);
        Ok(())
    }

    /// Puts the batch that was taken last in front again.
    pub(super) fn put_back(&mut self, batch: HeldBatch) {
        self.readings += batch.readings.len();
        self.batches.push_front(batch);
    }

    /// Takes the batch that is to be committed next.
    pub(super) fn pop(&mut self) -> Option<HeldBatch> {
        let batch = self.batches.pop_front()?;
        self.readings -= batch.readings.len();
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::{PointId, Status, Timestamp};

    fn batch(count: usize, time: i64) -> HeldBatch {
        let reading = Reading { point: PointId(1), time: Timestamp(time), status: Status::GOOD, value: None };
        HeldBatch { readings: vec![reading; count], done: None }
    }

    #[test]
    fn batches_leave_in_the_order_they_came_and_one_that_was_taken_comes_first_again() {
        let mut held = Held::default();
        for time in 0..3 {
            held.push(batch(2, time)).unwrap();
        }
        let first = held.pop().unwrap();
        assert_eq!((first.readings[0].time.0, held.readings), (0, 4));
        held.put_back(first);
        let times: Vec<i64> = std::iter::from_fn(|| held.pop()).map(|batch| batch.readings[0].time.0).collect();
        assert_eq!((times, held.readings, held.batches.is_empty()), (vec![0, 1, 2], 0, true));
    }

    #[test]
    fn beyond_the_bound_the_newest_is_given_back() {
        let mut held = Held::default();
        held.push(batch(HELD_MAX_READINGS - 1, 0)).unwrap();
        held.push(batch(1, 1)).unwrap();
        assert_eq!(held.push(batch(1, 2)).unwrap_err().readings[0].time.0, 2);
        assert_eq!(held.readings, HELD_MAX_READINGS);
        let mut empty = Held::default();
        empty.push(batch(HELD_MAX_READINGS + 1, 0)).unwrap();
        assert_eq!(empty.readings, HELD_MAX_READINGS + 1, "a single batch is never too large");
    }
}
