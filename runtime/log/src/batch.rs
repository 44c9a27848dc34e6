//! Readings on their way to the disk and just after: their weight in memory, the batch they were committed in, and the
//! ring of the newest committed batches.

use crate::config::{COMMAND_MIN_BYTES, RING_MAX_BYTES};
use bulkhead_model::{Reading, Seq, Value};
use std::collections::VecDeque;
use std::sync::Arc;

/// A reading with its number in the log.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// Its number.
    pub seq: Seq,
    /// The reading.
    pub reading: Reading,
}

impl Row {
    /// Roughly what it takes in memory, in bytes.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        size_of::<Self>() + self.reading.value.as_ref().map_or(0, value_heap_bytes)
    }
}

/// The seqs of an append that has been committed; nobody else's are between them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Committed {
    /// Of its first reading.
    pub first: Seq,
    /// Of its last reading. An empty append has `last` one below `first`.
    pub last: Seq,
}

/// The bytes a value holds beside its own size.
pub(crate) fn value_heap_bytes(value: &Value) -> usize {
    match value {
        Value::Boolean(_) | Value::Integer(_) | Value::Real(_) | Value::Time(_) | Value::Duration(_) => 0,
        Value::Decimal(text) | Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::File(file) => size_of_val(&**file) + file.name.len() + file.media_type.len() + file.data.len(),
    }
}

/// The bytes a batch takes in memory.
pub(crate) fn weight_of(readings: &[Reading]) -> usize {
    let heap: usize = readings.iter().filter_map(|reading| reading.value.as_ref()).map(value_heap_bytes).sum();
    size_of_val(readings) + heap
}

/// Readings that were committed together, under consecutive seqs.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) first: Seq,
    pub(crate) readings: Vec<Reading>,
    pub(crate) weight: usize,
}

impl Batch {
    /// The seq behind its last reading.
    pub(crate) fn end(&self) -> Seq {
        self.first + self.readings.len() as u64
    }
}

/// The newest committed batches, bounded by weight.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    batches: VecDeque<Arc<Batch>>,
    weight: usize,
    /// Every committed row with a seq above this one is in the ring.
    complete_after: Seq,
}

impl Ring {
    /// An empty ring behind everything up to `committed`.
    pub(crate) fn new(committed: Seq) -> Self {
        Self { batches: VecDeque::new(), weight: 0, complete_after: committed }
    }

    /// Takes a batch in and lets the oldest ones go.
    pub(crate) fn push(&mut self, batch: Arc<Batch>) {
        self.weight += Self::weight(&batch);
        self.batches.push_back(batch);
        while self.weight > RING_MAX_BYTES {
            let Some(oldest) = self.batches.pop_front() else { break };
            self.weight -= Self::weight(&oldest);
            self.complete_after = oldest.end() - 1;
        }
    }

    /// A batch counts with what its entry costs, so that many small ones are bounded too.
    fn weight(batch: &Batch) -> usize {
        batch.weight + COMMAND_MIN_BYTES / 16
    }

    /// The batches with rows behind `after`; none when some of them are no longer here.
    pub(crate) fn after(&self, after: Seq) -> Option<Vec<Arc<Batch>>> {
        if after < self.complete_after {
            return None;
        }
        let start = self.batches.partition_point(|batch| batch.end() <= after + 1);
        Some(self.batches.range(start..).cloned().collect())
    }
}

/// The rows of batches behind `after`, at most `limit`, ending with the one that reaches `max_bytes`.
pub(crate) fn rows_after(batches: &[Arc<Batch>], after: Seq, limit: usize, max_bytes: usize) -> Vec<Row> {
    let mut bytes = 0;
    batches
        .iter()
        .flat_map(|batch| (batch.first..).zip(&batch.readings))
        .filter(|(seq, _)| *seq > after)
        .take(limit)
        .map(|(seq, reading)| Row { seq, reading: reading.clone() })
        .take_while(|row| {
            let fits = bytes < max_bytes;
            bytes += row.weight_bytes();
            fits
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::{PointId, Status, Timestamp};

    fn batch(first: Seq, count: usize, text_bytes: usize) -> Arc<Batch> {
        let value = Some(Value::Text("x".repeat(text_bytes)));
        let reading = Reading { point: PointId(1), time: Timestamp(0), status: Status::GOOD, value };
        let readings = vec![reading; count];
        let weight = weight_of(&readings);
        Arc::new(Batch { first, readings, weight })
    }

    #[test]
    fn the_ring_serves_what_it_has_whole_and_refuses_the_rest() {
        let mut ring = Ring::new(10);
        ring.push(batch(11, 3, 1));
        ring.push(batch(20, 2, 1));
        assert!(ring.after(9).is_none());
        let seqs = |after, limit| -> Vec<Seq> {
            rows_after(&ring.after(after).unwrap(), after, limit, usize::MAX).iter().map(|row| row.seq).collect()
        };
        assert_eq!(seqs(10, 100), [11, 12, 13, 20, 21]);
        assert_eq!(seqs(12, 2), [13, 20]);
        let one = rows_after(&ring.after(10).unwrap(), 10, 100, 1);
        assert_eq!(one.len(), 1, "the one that reaches the bound still comes");
        assert_eq!(seqs(15, 100), [20, 21]);
        assert_eq!(seqs(21, 100), [0; 0]);
    }

    #[test]
    fn the_ring_stays_within_its_weight_however_small_the_batches() {
        let mut ring = Ring::new(0);
        for index in 0..100_000_u64 {
            ring.push(batch(index + 1, 1, 0));
        }
        assert!(ring.batches.len() <= RING_MAX_BYTES / (COMMAND_MIN_BYTES / 16));
        assert!(ring.after(0).is_none());
        let mut ring = Ring::new(0);
        ring.push(batch(1, 1, RING_MAX_BYTES + 1));
        assert!(ring.batches.is_empty(), "a batch heavier than the ring is not kept");
        assert!(ring.after(1).is_some());
    }
}
