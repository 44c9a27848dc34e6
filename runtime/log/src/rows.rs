//! Rows as columns in memory: a slice of a segment on its way into blocks, or out of them. Pure.

use crate::columns::Damage;
use rusqlite::types::{Value as SqlValue, ValueRef};

/// How SQLite stores a value: the storage class of a row's value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Class {
    /// NULL.
    None = 0,
    /// INTEGER.
    Integer = 1,
    /// REAL.
    Real = 2,
    /// TEXT.
    Text = 3,
    /// BLOB.
    Blob = 4,
}

impl Class {
    /// The class of a number; none for another one.
    pub(crate) fn of_number(number: u32) -> Option<Self> {
        [Self::None, Self::Integer, Self::Real, Self::Text, Self::Blob]
            .into_iter()
            .find(|class| *class as u32 == number)
    }

    fn of(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::None,
            ValueRef::Integer(_) => Self::Integer,
            ValueRef::Real(_) => Self::Real,
            ValueRef::Text(_) => Self::Text,
            ValueRef::Blob(_) => Self::Blob,
        }
    }
}

/// Rows, a vector a column.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Rows {
    pub(crate) seqs: Vec<i64>,
    pub(crate) points: Vec<u32>,
    pub(crate) times: Vec<i64>,
    pub(crate) statuses: Vec<u32>,
    pub(crate) classes: Vec<Class>,
    /// The bits of a number; of text and bytes their place in `heap`: its start above, its length in the low 32 bits.
    bits: Vec<u64>,
    heap: Vec<u8>,
}

impl Rows {
    pub(crate) fn len(&self) -> usize {
        self.seqs.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.seqs.is_empty()
    }

    /// Bytes of all texts and blobs.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.heap.len()
    }

    /// Makes room for so many rows in all.
    pub(crate) fn reserve(&mut self, rows: usize) {
        let more = rows.saturating_sub(self.len());
        self.seqs.reserve_exact(more);
        self.points.reserve_exact(more);
        self.times.reserve_exact(more);
        self.statuses.reserve_exact(more);
        self.classes.reserve_exact(more);
        self.bits.reserve_exact(more);
    }

    /// Forgets the rows and keeps the room.
    pub(crate) fn clear(&mut self) {
        self.seqs.clear();
        self.points.clear();
        self.times.clear();
        self.statuses.clear();
        self.classes.clear();
        self.bits.clear();
        self.heap.clear();
    }

    /// Puts a row at the end.
    pub(crate) fn push(&mut self, seq: i64, point: u32, time: i64, status: u32, value: ValueRef<'_>) {
        self.seqs.push(seq);
        self.points.push(point);
        self.times.push(time);
        self.statuses.push(status);
        self.classes.push(Class::of(value));
        self.bits.push(match value {
            ValueRef::Null => 0,
            ValueRef::Integer(number) => number.cast_unsigned(),
            ValueRef::Real(number) => number.to_bits(),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                let start = self.heap.len() as u64;
                self.heap.extend_from_slice(bytes);
                (start << 32) | bytes.len() as u64
            }
        });
    }

    /// The whole number of a row that has one.
    pub(crate) fn integer(&self, row: usize) -> i64 {
        self.bits[row].cast_signed()
    }

    /// The real of a row that has one.
    pub(crate) fn real(&self, row: usize) -> f64 {
        f64::from_bits(self.bits[row])
    }

    /// The bytes of a row's text or blob.
    pub(crate) fn bytes(&self, row: usize) -> &[u8] {
        let (start, length) = (self.bits[row] >> 32, self.bits[row] & u64::from(u32::MAX));
        let (start, length) = (usize::try_from(start).unwrap_or(0), usize::try_from(length).unwrap_or(0));
        &self.heap[start..start + length]
    }

    /// A row's value.
    pub(crate) fn value(&self, row: usize) -> ValueRef<'_> {
        match self.classes[row] {
            Class::None => ValueRef::Null,
            Class::Integer => ValueRef::Integer(self.integer(row)),
            Class::Real => ValueRef::Real(self.real(row)),
            Class::Text => ValueRef::Text(self.bytes(row)),
            Class::Blob => ValueRef::Blob(self.bytes(row)),
        }
    }

    /// A row's value, copied.
    pub(crate) fn owned_value(&self, row: usize) -> Result<SqlValue, Damage> {
        SqlValue::try_from(self.value(row)).map_err(|_| Damage::of(format!("seq {} is no UTF-8", self.seqs[row])))
    }

    /// The rows by rising seq, which no two of them share.
    pub(crate) fn by_seq(&self) -> Vec<u32> {
        let (Some(first), Some(last)) = (self.seqs.iter().min(), self.seqs.iter().max()) else { return Vec::new() };
        let span = usize::try_from(last.abs_diff(*first)).unwrap_or(usize::MAX);
        if span >= self.len().saturating_mul(DENSE_SPAN_MAX) {
            let mut order: Vec<u32> = (0_u32..).take(self.len()).collect();
            order.sort_unstable_by_key(|row| self.seqs[*row as usize]);
            return order;
        }
        // Close together, as they are in a slice: each has its place, and no sort is needed.
        let mut order = vec![NO_ROW; span + 1];
        for (row, seq) in (0_u32..).zip(&self.seqs) {
            order[usize::try_from(seq.abs_diff(*first)).unwrap_or(0)] = row;
        }
        order.retain(|row| *row != NO_ROW);
        order
    }

    /// The rows by point, then time, then seq, when they were pushed by rising seq.
    pub(crate) fn by_point_and_time(&self) -> Vec<u32> {
        let mut order = by_point(&self.points);
        for run in order.chunk_by_mut(|a, b| self.points[*a as usize] == self.points[*b as usize]) {
            if !run.is_sorted_by_key(|row| self.times[*row as usize]) {
                run.sort_by_key(|row| self.times[*row as usize]);
            }
        }
        order
    }
}

/// Rows whose seqs span at most so many times their number are put in order by place.
const DENSE_SPAN_MAX: usize = 4;
/// A place without a row.
const NO_ROW: u32 = u32::MAX;
/// Bits of a point that one pass of the sort looks at: three passes see them all.
const DIGIT_BITS: u32 = 11;

/// The rows by point, those of one point in their order: a radix sort, since a slice is sorted for every 65,536 rows.
fn by_point(points: &[u32]) -> Vec<u32> {
    let mut order: Vec<u32> = (0_u32..).take(points.len()).collect();
    let mut sorted = vec![0; points.len()];
    for pass in 0..u32::BITS.div_ceil(DIGIT_BITS) {
        let digit_of = |row: u32| (points[row as usize] >> (pass * DIGIT_BITS)) as usize & ((1 << DIGIT_BITS) - 1);
        let mut places = [0_usize; 1 << DIGIT_BITS];
        order.iter().for_each(|row| places[digit_of(*row)] += 1);
        if places.contains(&points.len()) {
            continue;
        }
        let mut place = 0;
        for count in &mut places {
            place += std::mem::replace(count, place);
        }
        for row in &order {
            let place = &mut places[digit_of(*row)];
            sorted[*place] = *row;
            *place += 1;
        }
        std::mem::swap(&mut order, &mut sorted);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn rows_are_sorted_as_a_sort_would(
            keys in prop::collection::vec((prop_oneof![0..4_u32, any::<u32>()], -3..3_i64), 0..200)
        ) {
            let mut rows = Rows::default();
            for (seq, (point, time)) in (1..).zip(&keys) {
                rows.push(seq, *point, *time, 0, ValueRef::Null);
            }
            let mut expected: Vec<u32> = (0_u32..).take(keys.len()).collect();
            expected.sort_by_key(|row| (keys[*row as usize], *row));
            prop_assert_eq!(rows.by_point_and_time(), expected);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn rows_are_put_in_the_order_of_their_seqs(
            seqs in prop::collection::hash_set(prop_oneof![0..80_i64, any::<i64>().prop_map(|seq| seq / 2)], 0..80),
            few in any::<bool>(),
        ) {
            let mut rows = Rows::default();
            seqs.iter().filter(|seq| !few || **seq < 80).for_each(|seq| rows.push(*seq, 0, 0, 0, ValueRef::Null));
            let ordered: Vec<i64> = rows.by_seq().into_iter().map(|row| rows.seqs[row as usize]).collect();
            let mut expected = rows.seqs.clone();
            expected.sort_unstable();
            prop_assert_eq!(ordered, expected);
        }
    }

    #[test]
    fn values_are_kept_as_they_are() {
        let values = [
            ValueRef::Text(b""),
            ValueRef::Integer(i64::MIN),
            ValueRef::Blob(b"xyz"),
            ValueRef::Null,
            ValueRef::Real(-0.0),
            ValueRef::Text(b"last"),
        ];
        let mut rows = Rows::default();
        for (seq, value) in (1..).zip(values) {
            rows.push(seq, 1, 2, 3, value);
        }
        let back: Vec<_> = (0..rows.len()).map(|row| rows.value(row)).collect();
        assert_eq!(back, values);
        assert_eq!(rows.real(4).to_bits(), (-0.0_f64).to_bits());
        assert_eq!(rows.heap_bytes(), 7);
    }
}
