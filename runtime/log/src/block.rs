//! One block: up to a few thousand rows of a slice, sorted by point, time and seq, its columns written apart. Pure.
//!
//! A block is nine columns, each behind its length in bytes (varint); how each is written stands in [`crate::columns`]:
//!
//! | column | what |
//! | --- | --- |
//! | points | runs |
//! | times | numbers: times, or, in a slice with a table of times, places in it |
//! | seqs | numbers: what they are above the slice's first |
//! | statuses | runs |
//! | classes | runs of storage classes: 0 none, 1 integer, 2 real, 3 text, 4 blob |
//! | integers | numbers: the values of class 1, in order |
//! | reals | reals: those of class 2 |
//! | lengths | numbers: the bytes of each value of class 3 and 4 |
//! | bytes | these bytes, one behind the other |
//!
//! Its CRC-32 (IEEE) is over what its row says (slice, rows, least and greatest point, time and seq, each as an i64,
//! little-endian) and over its bytes.

use crate::columns::{ColumnReader, Damage, Shape, put_numbers, put_reals, put_runs, put_text, put_varint, take_bytes};
use crate::columns::{take_text, take_varint};
use crate::rows::{Class, Rows};
use crate::scan::RowFilter;
use crc32fast::Hasher;
use rusqlite::types::ValueRef;

/// Columns of a block.
const COLUMNS: usize = 9;

/// What a block's row says of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BlockInfo {
    pub(crate) slice: i64,
    pub(crate) rows: i64,
    pub(crate) points: (i64, i64),
    pub(crate) times: (i64, i64),
    pub(crate) seqs: (i64, i64),
    pub(crate) crc: u32,
}

impl BlockInfo {
    /// Whether it may have rows that a filter lets through.
    pub(crate) fn may_match(&self, filter: &RowFilter) -> bool {
        let overlaps = |(least, greatest): (i64, i64), from: i64, to: i64| least <= to && greatest >= from;
        let point = filter.point.map(i64::from);
        self.seqs.1 > filter.after
            && self.seqs.0 <= filter.up_to
            && overlaps(self.times, filter.time_from, filter.time_to)
            && point.is_none_or(|point| overlaps(self.points, point, point))
    }

    /// What it says, as it goes into checksums.
    pub(crate) fn sum_into(&self, hasher: &mut Hasher) {
        let numbers =
            [self.slice, self.rows, self.points.0, self.points.1, self.times.0, self.times.1, self.seqs.0, self.seqs.1];
        let mut bytes = [0; 64];
        for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        hasher.update(&bytes);
    }

    fn checksum(&self, bytes: &[u8]) -> u32 {
        let mut hasher = Hasher::new();
        self.sum_into(&mut hasher);
        hasher.update(bytes);
        hasher.finalize()
    }
}

/// What the blocks of a slice share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SliceBase<'a> {
    /// The slice's number.
    pub(crate) number: i64,
    /// Its first seq.
    pub(crate) first: i64,
    /// Its table of times, rising; empty when it has none.
    pub(crate) times: &'a [i64],
}

/// Writes the rows of a slice that `order` names, sorted by point, time and seq, as a block. `time_places` has each row's
/// place in the slice's table of times, if it has one.
pub(crate) fn write(
    base: &SliceBase<'_>,
    rows: &Rows,
    time_places: &[u32],
    order: &[u32],
) -> Result<(BlockInfo, Vec<u8>), Damage> {
    let each = || order.iter().map(|row| *row as usize);
    let mut bytes = Vec::new();
    let mut column = Vec::new();
    let mut end_column = |column: &mut Vec<u8>| {
        put_varint(&mut bytes, column.len() as u64);
        bytes.append(column);
    };
    put_runs(&mut column, each().map(|row| rows.points[row]))?;
    end_column(&mut column);
    let times: Vec<i64> = if base.times.is_empty() {
        each().map(|row| rows.times[row]).collect()
    } else {
        each().map(|row| i64::from(time_places[row])).collect()
    };
    put_numbers(&mut column, &times, Shape::Near)?;
    end_column(&mut column);
    let seqs: Vec<i64> = each().map(|row| rows.seqs[row] - base.first).collect();
    put_numbers(&mut column, &seqs, Shape::Near)?;
    end_column(&mut column);
    put_runs(&mut column, each().map(|row| rows.statuses[row]))?;
    end_column(&mut column);
    put_runs(&mut column, each().map(|row| rows.classes[row] as u32))?;
    end_column(&mut column);
    let integers: Vec<i64> =
        each().filter(|row| rows.classes[*row] == Class::Integer).map(|row| rows.integer(row)).collect();
    put_numbers(&mut column, &integers, Shape::Any)?;
    end_column(&mut column);
    let reals: Vec<f64> = each().filter(|row| rows.classes[*row] == Class::Real).map(|row| rows.real(row)).collect();
    put_reals(&mut column, &reals)?;
    end_column(&mut column);
    let (mut lengths, mut text) = (Vec::new(), Vec::new());
    for row in each().filter(|row| matches!(rows.classes[*row], Class::Text | Class::Blob)) {
        lengths.push(rows.bytes(row).len().cast_signed() as i64);
        text.extend_from_slice(rows.bytes(row));
    }
    put_numbers(&mut column, &lengths, Shape::Any)?;
    end_column(&mut column);
    put_text(&mut column, &text);
    end_column(&mut column);
    let mut info = describe(base, rows, order);
    info.crc = info.checksum(&bytes);
    Ok((info, bytes))
}

fn describe(base: &SliceBase<'_>, rows: &Rows, order: &[u32]) -> BlockInfo {
    let span = |of: &dyn Fn(usize) -> i64| {
        let each = || order.iter().map(|row| of(*row as usize));
        (each().min().unwrap_or(0), each().max().unwrap_or(0))
    };
    BlockInfo {
        slice: base.number,
        rows: i64::try_from(order.len()).unwrap_or(i64::MAX),
        points: span(&|row| i64::from(rows.points[row])),
        times: span(&|row| rows.times[row]),
        seqs: span(&|row| rows.seqs[row]),
        crc: 0,
    }
}

/// Reads the rows of a block that a filter lets through and puts them behind others. The checksum is looked at first.
pub(crate) fn read(
    base: &SliceBase<'_>,
    info: &BlockInfo,
    bytes: &[u8],
    filter: &RowFilter,
    reader: &mut ColumnReader,
    into: &mut Rows,
) -> Result<(), Damage> {
    if info.checksum(bytes) != info.crc {
        return Err(Damage::of(format!("the block of seqs {} to {} has changed", info.seqs.0, info.seqs.1)));
    }
    let count = usize::try_from(info.rows).map_err(Damage::of)?;
    let columns = split(bytes)?;
    let points = reader.runs(columns[0], count)?;
    let Some((from, to)) = candidates(&points, filter) else { return Ok(()) };
    let mut times = reader.numbers(columns[1], count)?;
    if !base.times.is_empty() {
        for time in &mut times {
            let place = usize::try_from(*time).ok().and_then(|place| base.times.get(place));
            *time = *place.ok_or_else(|| Damage::of("a time that the slice's table lacks"))?;
        }
    }
    let in_time = |row: &usize| times[*row] >= filter.time_from && times[*row] <= filter.time_to;
    let mut picked: Vec<usize> = (from..to).filter(in_time).collect();
    if picked.is_empty() {
        return Ok(());
    }
    let mut seqs = reader.numbers(columns[2], count)?;
    seqs.iter_mut().for_each(|seq| *seq = seq.wrapping_add(base.first));
    picked.retain(|row| seqs[*row] > filter.after && seqs[*row] <= filter.up_to);
    if picked.is_empty() {
        return Ok(());
    }
    let statuses = reader.runs(columns[3], count)?;
    let values = Values::read(&columns, count, reader)?;
    let (mut point, mut status) = (RunCursor::new(&points), RunCursor::new(&statuses));
    let mut classes = values.cursor();
    for row in picked {
        into.push(seqs[row], point.number(row), times[row], status.number(row), classes.value(row)?);
    }
    Ok(())
}

fn split(mut bytes: &[u8]) -> Result<[&[u8]; COLUMNS], Damage> {
    let mut columns: [&[u8]; COLUMNS] = [&[]; COLUMNS];
    for column in &mut columns {
        let length = take_varint(&mut bytes)?;
        *column = take_bytes(&mut bytes, length)?;
    }
    if bytes.is_empty() { Ok(columns) } else { Err(Damage::of("a block is longer than its columns")) }
}

/// The rows that can be of the point asked for: from, to. None: there is none.
fn candidates(points: &[(u32, usize)], filter: &RowFilter) -> Option<(usize, usize)> {
    let Some(point) = filter.point else { return Some((0, points.last()?.1)) };
    let run = points.binary_search_by_key(&point, |(number, _)| *number).ok()?;
    Some((run.checked_sub(1).map_or(0, |before| points[before].1), points[run].1))
}

/// Looks up the number of a row's run, for rising rows.
struct RunCursor<'a> {
    runs: std::slice::Iter<'a, (u32, usize)>,
    number: u32,
    end: usize,
}

impl<'a> RunCursor<'a> {
    fn new(runs: &'a [(u32, usize)]) -> Self {
        Self { runs: runs.iter(), number: 0, end: 0 }
    }

    fn number(&mut self, row: usize) -> u32 {
        while row >= self.end {
            let Some((number, end)) = self.runs.next() else { break };
            (self.number, self.end) = (*number, *end);
        }
        self.number
    }
}

/// The values of a block.
struct Values {
    classes: Vec<(u32, usize)>,
    integers: Vec<i64>,
    reals: Vec<f64>,
    /// Where each text or blob ends.
    ends: Vec<usize>,
    text: Vec<u8>,
}

impl Values {
    fn read(columns: &[&[u8]; COLUMNS], rows: usize, reader: &mut ColumnReader) -> Result<Self, Damage> {
        let classes = reader.runs(columns[4], rows)?;
        let mut counts = [0_usize; 5];
        let mut before = 0;
        for (class, end) in &classes {
            let class = Class::of_number(*class).ok_or_else(|| Damage::of(format!("storage class {class}")))?;
            counts[class as usize] += end - before;
            before = *end;
        }
        let integers = reader.numbers(columns[5], counts[Class::Integer as usize])?;
        let reals = reader.reals(columns[6], counts[Class::Real as usize])?;
        let lengths = reader.numbers(columns[7], counts[Class::Text as usize] + counts[Class::Blob as usize])?;
        let mut end = 0_usize;
        let ends = lengths
            .into_iter()
            .map(|length| {
                let length = usize::try_from(length).map_err(Damage::of)?;
                end = end.checked_add(length).ok_or_else(|| Damage::of("texts too long"))?;
                Ok(end)
            })
            .collect::<Result<Vec<_>, Damage>>()?;
        let text = take_text(columns[8], end)?;
        Ok(Self { classes, integers, reals, ends, text })
    }

    fn cursor(&self) -> ValueCursor<'_> {
        ValueCursor { values: self, run: 0, row: 0, integers: 0, reals: 0, texts: 0 }
    }
}

/// Looks up the value of a row, for rising rows.
struct ValueCursor<'a> {
    values: &'a Values,
    run: usize,
    /// The row the counts below are of.
    row: usize,
    integers: usize,
    reals: usize,
    texts: usize,
}

impl<'a> ValueCursor<'a> {
    fn value(&mut self, row: usize) -> Result<ValueRef<'a>, Damage> {
        let values = self.values;
        loop {
            let (class, end) = *values.classes.get(self.run).ok_or_else(|| Damage::of("too few classes"))?;
            let class = Class::of_number(class).unwrap_or(Class::None);
            let to = row.min(end);
            let passed = to - self.row;
            match class {
                Class::None => {}
                Class::Integer => self.integers += passed,
                Class::Real => self.reals += passed,
                Class::Text | Class::Blob => self.texts += passed,
            }
            self.row = to;
            if row < end {
                return Ok(self.at(class));
            }
            self.run += 1;
        }
    }

    /// The value at the counts. There are as many as the classes say.
    fn at(&self, class: Class) -> ValueRef<'a> {
        let values = self.values;
        let text = || {
            let start = self.texts.checked_sub(1).map_or(0, |before| values.ends[before]);
            &values.text[start..values.ends[self.texts]]
        };
        match class {
            Class::None => ValueRef::Null,
            Class::Integer => ValueRef::Integer(values.integers[self.integers]),
            Class::Real => ValueRef::Real(values.reals[self.reals]),
            Class::Text => ValueRef::Text(text()),
            Class::Blob => ValueRef::Blob(text()),
        }
    }
}
