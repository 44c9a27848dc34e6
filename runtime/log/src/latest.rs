//! The latest row of every point, in memory: that with the greatest time of acquisition, and of several that which was
//! committed last. So late and imported readings displace nothing newer. Values too heavy for memory stay on disk.

use crate::Row;
use crate::batch::value_heap_bytes;
use crate::config::LATEST_VALUE_MAX_BYTES;
use bulkhead_model::{PointId, Reading, Seq, Value};

/// The latest row of a point.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct LatestRow {
    /// The row; without its value when that is on disk.
    pub(crate) row: Row,
    /// Its value was too heavy to keep.
    pub(crate) on_disk: bool,
}

/// The latest rows, by point number.
#[derive(Debug, Default)]
pub(crate) struct Latest {
    rows: Vec<Option<LatestRow>>,
}

impl Latest {
    /// Takes committed readings in.
    pub(crate) fn note(&mut self, first: Seq, readings: &[Reading]) {
        for (seq, reading) in (first..).zip(readings) {
            if self.place_of(reading.point).is_none_or(|known| known <= (reading.time.0, seq)) {
                self.put(seq, reading);
            }
        }
    }

    /// Takes a row in unless a later one of its point is known.
    pub(crate) fn note_older(&mut self, row: &Row) {
        if self.place_of(row.reading.point).is_none_or(|known| known < (row.reading.time.0, row.seq)) {
            self.put(row.seq, &row.reading);
        }
    }

    /// The time and the seq of a point's latest row.
    fn place_of(&self, point: PointId) -> Option<(i64, Seq)> {
        let row = &self.rows.get(point.0 as usize)?.as_ref()?.row;
        Some((row.reading.time.0, row.seq))
    }

    /// Whether rows up to a time may hold a later one of a point.
    pub(crate) fn may_be_later(&self, point: PointId, max_time: i64) -> bool {
        self.place_of(point).is_none_or(|(time, _)| time <= max_time)
    }

    /// A point's latest row.
    pub(crate) fn get(&self, point: PointId) -> Option<LatestRow> {
        self.rows.get(point.0 as usize)?.clone()
    }

    /// The latest rows of the points that a predicate lets through, by point.
    pub(crate) fn all(&self, wanted: impl Fn(PointId) -> bool) -> Vec<LatestRow> {
        self.rows.iter().flatten().filter(|latest| wanted(latest.row.reading.point)).cloned().collect()
    }

    fn put(&mut self, seq: Seq, reading: &Reading) {
        let index = reading.point.0 as usize;
        if self.rows.len() <= index {
            self.rows.resize(index + 1, None);
        }
        let on_disk = reading.value.as_ref().is_some_and(|value| value_heap_bytes(value) > LATEST_VALUE_MAX_BYTES);
        match &mut self.rows[index] {
            Some(kept) => {
                kept.row.seq = seq;
                kept.row.reading.time = reading.time;
                kept.row.reading.status = reading.status;
                kept.on_disk = on_disk;
                put_value(&mut kept.row.reading.value, reading.value.as_ref().filter(|_| !on_disk));
            }
            empty => {
                let value = reading.value.as_ref().filter(|_| !on_disk).cloned();
                *empty = Some(LatestRow { row: Row { seq, reading: Reading { value, ..*reading } }, on_disk });
            }
        }
    }
}

/// Copies a value, into the text that is already there where both are texts.
fn put_value(kept: &mut Option<Value>, new: Option<&Value>) {
    match (&mut *kept, new) {
        (Some(Value::Text(kept)), Some(Value::Text(new))) | (Some(Value::Decimal(kept)), Some(Value::Decimal(new))) => {
            kept.clone_from(new);
        }
        (kept, new) => *kept = new.cloned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::{Status, Timestamp};

    fn reading(point: u32, value: Value) -> Reading {
        Reading { point: PointId(point), time: Timestamp(1), status: Status::GOOD, value: Some(value) }
    }

    #[test]
    fn the_last_committed_row_of_each_point_is_kept_and_older_ones_do_not_replace_it() {
        let mut latest = Latest::default();
        latest.note(
            5,
            &[reading(0, Value::Text("a".into())), reading(2, Value::Real(1.0)), reading(2, Value::Real(2.0))],
        );
        latest.note(8, &[reading(0, Value::Text("longer".into()))]);
        latest.note_older(&Row { seq: 6, reading: reading(2, Value::Real(9.0)) });
        latest.note_older(&Row { seq: 1, reading: reading(1, Value::Real(3.0)) });
        let rows: Vec<_> =
            latest.all(|_| true).into_iter().map(|l| (l.row.seq, l.row.reading.value.unwrap())).collect();
        assert_eq!(rows, [(8, Value::Text("longer".into())), (1, Value::Real(3.0)), (7, Value::Real(2.0))]);
        assert_eq!(latest.all(|point| point.0 == 1).len(), 1);
    }

    #[test]
    fn what_comes_late_displaces_nothing_newer() {
        let at = |time: i64, value: f64| Reading { time: Timestamp(time), ..reading(0, Value::Real(value)) };
        let mut latest = Latest::default();
        latest.note(1, &[at(10, 1.0), at(5, 2.0)]);
        latest.note(3, &[at(9, 3.0)]);
        assert_eq!(latest.get(PointId(0)).unwrap().row.seq, 1);
        latest.note(4, &[at(10, 4.0)]);
        assert_eq!(latest.get(PointId(0)).unwrap().row.seq, 4, "of the same time the one committed last");
        latest.note_older(&Row { seq: 2, reading: at(11, 5.0) });
        assert_eq!(latest.get(PointId(0)).unwrap().row.seq, 2);
        assert!(latest.may_be_later(PointId(0), 11) && !latest.may_be_later(PointId(0), 10));
        assert!(latest.may_be_later(PointId(9), 0));
    }

    #[test]
    fn a_heavy_value_is_left_on_disk() {
        let mut latest = Latest::default();
        latest.note(1, &[reading(0, Value::Bytes(vec![0; LATEST_VALUE_MAX_BYTES + 1]))]);
        let kept = latest.get(PointId(0)).unwrap();
        assert!(kept.on_disk && kept.row.reading.value.is_none());
        latest.note(2, &[reading(0, Value::Bytes(vec![1]))]);
        assert!(!latest.get(PointId(0)).unwrap().on_disk);
    }
}
