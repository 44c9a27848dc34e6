//! The checksum that every row of an open segment carries: CRC-32 (IEEE) over the row, its seq included, so that a row passes
//! only under its own seq with the value it was given. The log's id is no part of it: a restored log has another one.
//!
//! SQLite checks its WAL and the structure of its pages, but not what is in a row: a flipped bit there would be another
//! value. A row takes five bytes more for it.

use rusqlite::types::ValueRef;

/// Bytes of a row's numbers: seq (i64), point (u32), time (i64), status (u32), then the value as a byte for its storage
/// class (0 none, 1 integer, 2 real, 3 text, 4 blob) and its eight bytes or its length (u64); little-endian.
const HEAD_BYTES: usize = 33;
/// Those of a row without a value, which ends with the class.
const HEAD_WITHOUT_VALUE_BYTES: usize = HEAD_BYTES - 8;

/// The sum of a row, as it is stored: over its numbers and, behind them, the bytes of a text or blob.
pub(crate) fn row_sum(seq: i64, point: u32, time: i64, status: u32, value: ValueRef<'_>) -> i32 {
    let (class, number, long): (u8, [u8; 8], &[u8]) = match value {
        ValueRef::Null => (0, [0; 8], &[]),
        ValueRef::Integer(number) => (1, number.to_le_bytes(), &[]),
        ValueRef::Real(number) => (2, number.to_le_bytes(), &[]),
        ValueRef::Text(text) => (3, (text.len() as u64).to_le_bytes(), text),
        ValueRef::Blob(blob) => (4, (blob.len() as u64).to_le_bytes(), blob),
    };
    let mut head = [0; HEAD_BYTES];
    head[..8].copy_from_slice(&seq.to_le_bytes());
    head[8..12].copy_from_slice(&point.to_le_bytes());
    head[12..20].copy_from_slice(&time.to_le_bytes());
    head[20..24].copy_from_slice(&status.to_le_bytes());
    head[24] = class;
    head[25..].copy_from_slice(&number);
    let head = if class == 0 { &head[..HEAD_WITHOUT_VALUE_BYTES] } else { &head[..] };
    let mut sum = crc32fast::hash(head);
    if !long.is_empty() {
        let mut hasher = crc32fast::Hasher::new_with_initial(sum);
        hasher.update(long);
        sum = hasher.finalize();
    }
    sum.cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_passes_only_as_it_was_written() {
        let sum = row_sum(7, 1, 1000, 0, ValueRef::Real(1.5));
        assert_eq!(row_sum(7, 1, 1000, 0, ValueRef::Real(1.5)), sum);
        let others = [
            row_sum(8, 1, 1000, 0, ValueRef::Real(1.5)),
            row_sum(7, 2, 1000, 0, ValueRef::Real(1.5)),
            row_sum(7, 1, 1001, 0, ValueRef::Real(1.5)),
            row_sum(7, 1, 1000, 1, ValueRef::Real(1.5)),
            row_sum(7, 1, 1000, 0, ValueRef::Real(1.25)),
            row_sum(7, 1, 1000, 0, ValueRef::Integer(1.5_f64.to_bits().cast_signed())),
            row_sum(7, 1, 1000, 0, ValueRef::Null),
            row_sum(7, 1, 1000, 0, ValueRef::Text(b"x")),
        ];
        assert!(others.iter().all(|other| *other != sum));
        assert_ne!(row_sum(1, 1, 1, 1, ValueRef::Text(b"x")), row_sum(1, 1, 1, 1, ValueRef::Blob(b"x")));
    }
}
