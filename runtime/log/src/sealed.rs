//! The inside of a sealed segment's file: writing its slices and blocks row by row, and reading the rows of a slice.
//!
//! Rows come by rising seq. They are collected until a slice is full ([`crate::config::SLICE_MAX_ROWS`] rows or
//! [`crate::config::SLICE_MAX_BYTES`] of texts and blobs), sorted by point, time and seq, and written as blocks of at
//! most [`crate::config::BLOCK_MAX_ROWS`] rows; one with [`crate::config::BLOCK_MAX_BYTES`] of texts and blobs ends
//! earlier. So memory is bounded by a slice, however long the segment, and a slice's seqs are before the next one's.
//!
//! Where the rows of a slice share few times (a poll's readings all have the same), the slice has a table of its times,
//! and its blocks name places in it: the places of one point's rows rise evenly where the times themselves do not.

use crate::block::{self, BlockInfo, SliceBase};
use crate::columns::{ColumnReader, Damage, Shape, put_numbers, put_varint, take_varint};
use crate::config::{BLOCK_MAX_BYTES, BLOCK_MAX_ROWS, SLICE_MAX_BYTES, SLICE_MAX_ROWS};
use crate::directory::{Directory, SliceInfo};
use crate::rows::{Class, Rows};
use crate::scan::RowFilter;
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use std::collections::HashSet;

/// The tables that hold the rows of a sealed segment.
pub(crate) const TABLES: &str = "
CREATE TABLE slices(
  id INTEGER PRIMARY KEY, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, rows INTEGER NOT NULL,
  crc INTEGER NOT NULL, times BLOB NOT NULL);
CREATE TABLE blocks(
  id INTEGER PRIMARY KEY, slice INTEGER NOT NULL, rows INTEGER NOT NULL, min_point INTEGER NOT NULL,
  max_point INTEGER NOT NULL, min_time INTEGER NOT NULL, max_time INTEGER NOT NULL, min_seq INTEGER NOT NULL,
  max_seq INTEGER NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE block_data(id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE expired(
  connection TEXT PRIMARY KEY, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, rows INTEGER NOT NULL) WITHOUT ROWID;
";

/// A slice has a table of times when its neighbouring rows have another time at most once in so many rows.
const ROWS_PER_TIME_MIN: usize = 8;

/// What could not be done to a sealed segment's file.
#[derive(Debug)]
pub(crate) enum SealedError {
    /// SQLite reports.
    Sqlite(rusqlite::Error),
    /// What is in it is not what was written.
    Damage(Damage),
}

impl From<rusqlite::Error> for SealedError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Damage> for SealedError {
    fn from(damage: Damage) -> Self {
        Self::Damage(damage)
    }
}

/// Where slices and blocks end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Bounds {
    pub(crate) slice_rows: usize,
    pub(crate) slice_bytes: usize,
    pub(crate) block_rows: usize,
    pub(crate) block_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            slice_rows: SLICE_MAX_ROWS,
            slice_bytes: SLICE_MAX_BYTES,
            block_rows: BLOCK_MAX_ROWS,
            block_bytes: BLOCK_MAX_BYTES,
        }
    }
}

/// What all rows come to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Totals {
    pub(crate) rows: i64,
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) min_time: i64,
    pub(crate) max_time: i64,
    /// CRC-32 over what is said of slices and blocks, their checksums included.
    pub(crate) checksum: u32,
    pub(crate) points: HashSet<u32>,
}

impl Totals {
    /// Of no rows, in a segment with this start: no time is in it.
    pub(crate) fn none(start: i64) -> Self {
        let checksum = Directory::default().checksum();
        let (min_time, max_time) = (i64::MAX, i64::MIN);
        Self { rows: 0, first: start, last: start, min_time, max_time, checksum, points: HashSet::new() }
    }
}

/// Takes rows by rising seq and writes them into the tables of a connection.
#[derive(Debug, Default)]
pub(crate) struct SealedWriter {
    bounds: Bounds,
    slice: Rows,
    directory: Directory,
    points: HashSet<u32>,
    times: Option<(i64, i64)>,
}

impl SealedWriter {
    /// Takes a row.
    pub(crate) fn push(
        &mut self,
        connection: &Connection,
        seq: i64,
        point: u32,
        time: i64,
        status: u32,
        value: ValueRef<'_>,
    ) -> Result<(), SealedError> {
        if self.slice.is_empty() {
            self.slice.reserve(self.bounds.slice_rows);
        }
        self.slice.push(seq, point, time, status, value);
        if self.slice.len() >= self.bounds.slice_rows || self.slice.heap_bytes() >= self.bounds.slice_bytes {
            self.end_slice(connection)?;
        }
        Ok(())
    }

    fn end_slice(&mut self, connection: &Connection) -> Result<(), SealedError> {
        let rows = &self.slice;
        let (Some(&first), Some(&last)) = (rows.seqs.first(), rows.seqs.last()) else { return Ok(()) };
        let number = i64::try_from(self.directory.slices.len()).unwrap_or(i64::MAX);
        let (times, time_places) = table_of_times(&rows.times);
        let base = SliceBase { number, first, times: &times };
        let mut blocks = Vec::new();
        let mut insert = connection.prepare_cached("INSERT INTO block_data(id, bytes) VALUES (?1, ?2)")?;
        let order = rows.by_point_and_time();
        for (number, order) in (self.directory.block_count()..).zip(cut(rows, &order, self.bounds)) {
            let (info, bytes) = block::write(&base, rows, &time_places, order)?;
            insert.execute((number, bytes))?;
            blocks.push(info);
        }
        let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        let mut times_bytes = Vec::new();
        put_varint(&mut times_bytes, times.len() as u64);
        put_numbers(&mut times_bytes, &times, Shape::Near)?;
        let mut slice = SliceInfo { number, first, last, rows: count, crc: 0 };
        slice.crc = slice.checksum(&times_bytes);
        self.insert_infos(connection, &slice, &times_bytes, &blocks)?;
        for info in &blocks {
            let (min, max) = self.times.unwrap_or(info.times);
            self.times = Some((min.min(info.times.0), max.max(info.times.1)));
        }
        // They are in the order of points.
        let of_a_point = order.chunk_by(|a, b| rows.points[*a as usize] == rows.points[*b as usize]);
        self.points.extend(of_a_point.map(|run| rows.points[run[0] as usize]));
        self.directory.push(slice, &blocks);
        self.slice.clear();
        Ok(())
    }

    fn insert_infos(
        &self,
        connection: &Connection,
        slice: &SliceInfo,
        times: &[u8],
        blocks: &[BlockInfo],
    ) -> rusqlite::Result<()> {
        connection.prepare_cached("INSERT INTO slices VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute((
            slice.number,
            slice.first,
            slice.last,
            slice.rows,
            slice.crc,
            times,
        ))?;
        let mut insert =
            connection.prepare_cached("INSERT INTO blocks VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")?;
        for (number, info) in (self.directory.block_count()..).zip(blocks) {
            let BlockInfo { slice, rows, points, times, seqs, crc } = info;
            insert.execute((number, slice, rows, points.0, points.1, times.0, times.1, seqs.0, seqs.1, crc))?;
        }
        Ok(())
    }

    /// Writes what is left. None: there was no row.
    pub(crate) fn finish(mut self, connection: &Connection) -> Result<Option<Totals>, SealedError> {
        self.end_slice(connection)?;
        let slices = &self.directory.slices;
        let (Some(first), Some(last), Some((min_time, max_time))) = (slices.first(), slices.last(), self.times) else {
            return Ok(None);
        };
        Ok(Some(Totals {
            rows: slices.iter().map(|slice| slice.rows).sum(),
            first: first.first,
            last: last.last,
            min_time,
            max_time,
            checksum: self.directory.checksum(),
            points: self.points,
        }))
    }
}

/// The distinct times of rows, rising, and each row's place among them; both empty when there are too many.
fn table_of_times(times: &[i64]) -> (Vec<i64>, Vec<u32>) {
    let changes = times.windows(2).filter(|pair| pair[0] != pair[1]).count() + 1;
    if changes > times.len() / ROWS_PER_TIME_MIN {
        return (Vec::new(), Vec::new());
    }
    let runs = || times.chunk_by(|a, b| a == b);
    let mut table: Vec<i64> = runs().map(|run| run[0]).collect();
    table.sort_unstable();
    table.dedup();
    let mut places = Vec::with_capacity(times.len());
    for run in runs() {
        let place = table.partition_point(|time| *time < run[0]);
        places.extend(std::iter::repeat_n(u32::try_from(place).unwrap_or(u32::MAX), run.len()));
    }
    (table, places)
}

/// Cuts a sorted slice into blocks.
fn cut<'a>(rows: &'a Rows, mut order: &'a [u32], bounds: Bounds) -> impl Iterator<Item = &'a [u32]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let mut end = 0;
        for row in order.iter().take(bounds.block_rows) {
            let row = *row as usize;
            if matches!(rows.classes[row], Class::Text | Class::Blob) {
                bytes += rows.bytes(row).len();
            }
            if bytes > bounds.block_bytes && end > 0 {
                break;
            }
            end += 1;
        }
        let (block, rest) = order.split_at(end);
        order = rest;
        (!block.is_empty()).then_some(block)
    })
}

/// Reads the rows of a slice that a filter lets through, in no order, decoding only the blocks that may have some.
pub(crate) fn read_slice(
    connection: &Connection,
    directory: &Directory,
    slice: usize,
    filter: &RowFilter,
) -> Result<Rows, SealedError> {
    let mut rows = Rows::default();
    let Some(info) = directory.slices.get(slice) else { return Ok(rows) };
    let mut reader = ColumnReader::default();
    let times = connection
        .prepare_cached("SELECT times FROM slices WHERE id = ?1")?
        .query_row([info.number], |row| Ok(read_times(info, row.get_ref(0)?.as_blob()?, &mut reader)))??;
    let base = SliceBase { number: info.number, first: info.first, times: &times };
    let mut select = connection.prepare_cached("SELECT bytes FROM block_data WHERE id = ?1")?;
    if filter.point.is_none() {
        let most: i64 = directory.matching(slice, filter).map(|(_, block)| block.rows).sum();
        rows.reserve(usize::try_from(most).map_err(Damage::of)?.min(SLICE_MAX_ROWS));
    }
    for (number, block) in directory.matching(slice, filter) {
        select.query_row([number], |row| {
            Ok(block::read(&base, block, row.get_ref(0)?.as_blob()?, filter, &mut reader, &mut rows))
        })??;
    }
    Ok(rows)
}

/// The times of a slice's table, if its checksum holds.
pub(crate) fn read_times(info: &SliceInfo, mut bytes: &[u8], reader: &mut ColumnReader) -> Result<Vec<i64>, Damage> {
    if info.checksum(bytes) != info.crc {
        return Err(Damage::of(format!("the times of seqs {} to {} have changed", info.first, info.last)));
    }
    let count = take_varint(&mut bytes)?;
    if count > info.rows.unsigned_abs() {
        return Err(Damage::of(format!("{count} times for {} rows", info.rows)));
    }
    reader.numbers(bytes, usize::try_from(count).map_err(Damage::of)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rusqlite::types::Value as SqlValue;

    type Row = (i64, u32, i64, u32, SqlValue);

    fn sealed(rows: &[Row], bounds: Bounds) -> (Connection, Option<Totals>, Directory) {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(crate::segment::TABLES).unwrap();
        connection.execute_batch(TABLES).unwrap();
        let mut writer = SealedWriter { bounds, ..SealedWriter::default() };
        for (seq, point, time, status, value) in rows {
            writer.push(&connection, *seq, *point, *time, *status, value.into()).unwrap();
        }
        let totals = writer.finish(&connection).unwrap();
        let checksum = totals.as_ref().map_or(0, |totals| i64::from(totals.checksum));
        connection.execute(crate::segment::PUT, (crate::segment::key::CHECKSUM, checksum)).unwrap();
        let directory = Directory::load(&connection).unwrap().unwrap();
        (connection, totals, directory)
    }

    /// The rows that a filter lets through, by seq.
    fn read(connection: &Connection, directory: &Directory, filter: &RowFilter) -> Vec<Row> {
        let mut all = Vec::new();
        for slice in directory.matching_slices(filter) {
            let rows = read_slice(connection, directory, slice, filter).unwrap();
            all.extend(rows.by_seq().into_iter().map(|row| {
                let row = row as usize;
                let value = rows.owned_value(row).unwrap();
                (rows.seqs[row], rows.points[row], rows.times[row], rows.statuses[row], value)
            }));
        }
        all
    }

    /// Rows that are equal bit by bit.
    fn same(a: &[Row], b: &[Row]) -> bool {
        let bits = |value: &SqlValue| if let SqlValue::Real(real) = value { real.to_bits() } else { 0 };
        a.len() == b.len()
            && a.iter().zip(b).all(|(a, b)| {
                let values = bits(&a.4) == bits(&b.4) && (a.4 == b.4 || matches!(a.4, SqlValue::Real(_)));
                (a.0, a.1, a.2, a.3) == (b.0, b.1, b.2, b.3) && values
            })
    }

    fn values() -> impl Strategy<Value = SqlValue> {
        prop_oneof![
            Just(SqlValue::Null),
            any::<i64>().prop_map(SqlValue::Integer),
            (0..3_i64).prop_map(SqlValue::Integer),
            any::<u64>().prop_map(|bits| SqlValue::Real(f64::from_bits(bits))),
            Just(SqlValue::Real(-0.0)),
            ".{0,20}".prop_map(SqlValue::Text),
            Just(SqlValue::Text(String::new())),
            any::<Vec<u8>>().prop_map(SqlValue::Blob),
            (0..600_usize).prop_map(|length| SqlValue::Blob(vec![7; length])),
        ]
    }

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let statuses = prop_oneof![9 => Just(0_u32), 1 => any::<u32>()];
        let points = prop_oneof![3 => 0..5_u32, 1 => any::<u32>()];
        let times = prop_oneof![3 => -4..4_i64, 1 => any::<i64>()];
        let row = (1..9_i64, points, times, 0..20_usize, statuses, values());
        prop::collection::vec(row, 0..150).prop_map(|rows| {
            let (mut last_seq, mut last_time) = (0, 0);
            rows.into_iter()
                .map(|(step, point, time, change, status, value)| {
                    last_seq += step;
                    // Mostly the time of the row before, as a poll's readings have.
                    last_time = if change == 0 { time } else { last_time };
                    (last_seq, point, last_time, status, value)
                })
                .collect()
        })
    }

    fn filters() -> impl Strategy<Value = RowFilter> {
        let times = prop::option::of((-5..5_i64, -5..5_i64));
        let seqs = prop::option::of((0..500_i64, 0..500_i64));
        (prop::option::of(0..5_u32), times, seqs).prop_map(|(point, times, seqs)| {
            let (time_from, time_to) = times.unwrap_or((i64::MIN, i64::MAX));
            let (after, up_to) = seqs.unwrap_or((0, i64::MAX));
            RowFilter { point, after, up_to, time_from, time_to, descending: false }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]
        #[test]
        fn what_is_sealed_is_read_as_it_was(
            rows in rows(),
            filters in prop::collection::vec(filters(), 4),
            slice_rows in 1..120_usize,
            slice_bytes in 1..3000_usize,
            block_rows in 1..50_usize,
            block_bytes in 1..500_usize,
        ) {
            let (connection, totals, directory) = sealed(&rows, Bounds { slice_rows, slice_bytes, block_rows, block_bytes });
            prop_assert!(same(&read(&connection, &directory, &RowFilter::default()), &rows));
            for filter in filters {
                let matches = |row: &&Row| {
                    row.0 > filter.after && row.0 <= filter.up_to && filter.point.is_none_or(|point| row.1 == point)
                        && row.2 >= filter.time_from && row.2 <= filter.time_to
                };
                let expected: Vec<Row> = rows.iter().filter(matches).cloned().collect();
                prop_assert!(same(&read(&connection, &directory, &filter), &expected), "{filter:?}");
            }
            let span = totals.map(|totals| (totals.rows, totals.first, totals.last, totals.min_time, totals.max_time));
            let times = || rows.iter().map(|row| row.2);
            let expected = rows.first().zip(rows.last()).map(|(first, last)| {
                (rows.len() as i64, first.0, last.0, times().min().unwrap(), times().max().unwrap())
            });
            prop_assert_eq!(span, expected);
        }
    }

    #[test]
    fn a_large_value_has_a_block_of_its_own_and_memory_has_a_bound() {
        let long = |seq: i64, bytes: usize| (seq, 1, seq, 0, SqlValue::Blob(vec![seq.to_le_bytes()[0]; bytes]));
        let rows = [long(1, 10), long(2, BLOCK_MAX_BYTES * 3), long(3, 10), long(4, SLICE_MAX_BYTES), long(5, 1)];
        let (connection, _, directory) = sealed(&rows, Bounds::default());
        assert_eq!((directory.block_count(), directory.slices.len()), (5, 2));
        assert!(same(&read(&connection, &directory, &RowFilter::default()), &rows));
    }

    #[test]
    fn every_changed_byte_of_a_slice_is_noticed() {
        let rows: Vec<Row> =
            (1..=60).map(|seq| (seq, (seq % 3) as u32, seq / 20, 0, SqlValue::Real(seq as f64 * 1.1))).collect();
        let (connection, _, directory) = sealed(&rows, Bounds::default());
        for (table, column) in [("block_data", "bytes"), ("slices", "times")] {
            let whole: Vec<u8> =
                connection.query_row(&format!("SELECT {column} FROM {table}"), [], |row| row.get(0)).unwrap();
            assert!(whole.len() > 1);
            let put = |bytes: &[u8]| {
                connection.execute(&format!("UPDATE {table} SET {column} = ?1"), [bytes]).unwrap();
                read_slice(&connection, &directory, 0, &RowFilter::default())
            };
            for place in 0..whole.len() {
                let mut changed = whole.clone();
                changed[place] ^= 1 << (place % 8);
                assert!(matches!(put(&changed), Err(SealedError::Damage(_))), "{table} {place}");
            }
            put(&whole).unwrap();
        }
    }
}
