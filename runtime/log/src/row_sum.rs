//! The checksum that every row of an open segment carries: CRC-32 (IEEE) over the row, its seq included, so that a row passes
//! only under its own seq with the value it was given. The log's id is no part of it: a restored log has another one.
//!
//! SQLite checks its WAL and the structure of its pages, but not what is in a row: a flipped bit there would be another
//! value. A row takes five bytes more for it.

use rusqlite::types::ValueRef;

/// Sums rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct RowSums {
    bytes: Vec<u8>,
}

impl RowSums {
    /// The sum of a row, as it is stored.
    pub(crate) fn of(&mut self, seq: i64, point: u32, time: i64, status: u32, value: ValueRef<'_>) -> i32 {
        self.bytes.clear();
        put_row(&mut self.bytes, seq, point, time, status, value);
        crc32fast::hash(&self.bytes).cast_signed()
    }
}

/// Puts a row behind the bytes that are to be summed: seq (i64), point (u32), time (i64), status (u32), then the value as
/// a byte for its storage class (0 none, 1 integer, 2 real, 3 text, 4 blob), followed by its eight bytes or its length
/// (u64) and its bytes; numbers little-endian.
fn put_row(bytes: &mut Vec<u8>, seq: i64, point: u32, time: i64, status: u32, value: ValueRef<'_>) {
    bytes.extend_from_slice(&seq.to_le_bytes());
    bytes.extend_from_slice(&point.to_le_bytes());
    bytes.extend_from_slice(&time.to_le_bytes());
    bytes.extend_from_slice(&status.to_le_bytes());
    let (class, long): (u8, &[u8]) = match value {
        ValueRef::Null => (0, &[]),
        ValueRef::Integer(number) => {
            bytes.push(1);
            bytes.extend_from_slice(&number.to_le_bytes());
            return;
        }
        ValueRef::Real(number) => {
            bytes.push(2);
            bytes.extend_from_slice(&number.to_le_bytes());
            return;
        }
        ValueRef::Text(text) => (3, text),
        ValueRef::Blob(blob) => (4, blob),
    };
    bytes.push(class);
    if class != 0 {
        bytes.extend_from_slice(&(long.len() as u64).to_le_bytes());
        bytes.extend_from_slice(long);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_passes_only_as_it_was_written() {
        let mut sums = RowSums::default();
        let sum = sums.of(7, 1, 1000, 0, ValueRef::Real(1.5));
        assert_eq!(sums.of(7, 1, 1000, 0, ValueRef::Real(1.5)), sum);
        let others = [
            sums.of(8, 1, 1000, 0, ValueRef::Real(1.5)),
            sums.of(7, 2, 1000, 0, ValueRef::Real(1.5)),
            sums.of(7, 1, 1001, 0, ValueRef::Real(1.5)),
            sums.of(7, 1, 1000, 1, ValueRef::Real(1.5)),
            sums.of(7, 1, 1000, 0, ValueRef::Real(1.25)),
            sums.of(7, 1, 1000, 0, ValueRef::Integer(1.5_f64.to_bits().cast_signed())),
            sums.of(7, 1, 1000, 0, ValueRef::Null),
            sums.of(7, 1, 1000, 0, ValueRef::Text(b"x")),
        ];
        assert!(others.iter().all(|other| *other != sum));
        assert_ne!(sums.of(1, 1, 1, 1, ValueRef::Text(b"x")), sums.of(1, 1, 1, 1, ValueRef::Blob(b"x")));
    }
}
