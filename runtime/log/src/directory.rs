//! What a sealed segment's file says of its slices and blocks: the rows of its tables `slices` and `blocks`, read at once
//! and checked as a whole, so that a changed bound cannot hide a block.

use crate::block::BlockInfo;
use crate::columns::Damage;
use crate::scan::RowFilter;
use crc32fast::Hasher;
use rusqlite::Connection;
use std::ops::Range;

/// What a slice's row says of it, without its table of times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SliceInfo {
    pub(crate) number: i64,
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) rows: i64,
    pub(crate) crc: u32,
}

impl SliceInfo {
    fn sum_into(&self, hasher: &mut Hasher) {
        for number in [self.number, self.first, self.last, self.rows] {
            hasher.update(&number.to_le_bytes());
        }
    }

    /// CRC-32 over its numbers, each as an i64, little-endian, and its table of times.
    pub(crate) fn checksum(&self, times: &[u8]) -> u32 {
        let mut hasher = Hasher::new();
        self.sum_into(&mut hasher);
        hasher.update(times);
        hasher.finalize()
    }
}

/// The slices of a segment by rising seq, and their blocks, those of one slice one behind the other.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Directory {
    pub(crate) slices: Vec<SliceInfo>,
    /// Where in `blocks` each slice's are.
    ranges: Vec<Range<usize>>,
    blocks: Vec<BlockInfo>,
}

impl Directory {
    /// Takes in a slice behind those it has, with its blocks.
    pub(crate) fn push(&mut self, slice: SliceInfo, blocks: &[BlockInfo]) {
        let start = self.blocks.len();
        self.blocks.extend_from_slice(blocks);
        self.slices.push(slice);
        self.ranges.push(start..self.blocks.len());
    }

    /// How many blocks there are; they are numbered from 0.
    pub(crate) fn block_count(&self) -> i64 {
        number_of(self.blocks.len())
    }

    /// The blocks of a slice that may have rows a filter lets through, with their numbers.
    pub(crate) fn matching(&self, slice: usize, filter: &RowFilter) -> impl Iterator<Item = (i64, &BlockInfo)> {
        let range = self.ranges.get(slice).cloned().unwrap_or_default();
        (number_of(range.start)..).zip(&self.blocks[range]).filter(|(_, block)| block.may_match(filter))
    }

    /// The slices that have such blocks.
    pub(crate) fn matching_slices(&self, filter: &RowFilter) -> impl DoubleEndedIterator<Item = usize> {
        (0..self.slices.len()).filter(|slice| self.matching(*slice, filter).next().is_some())
    }

    /// CRC-32 over what it says: each slice's numbers and checksum, each followed by those of its blocks.
    pub(crate) fn checksum(&self) -> u32 {
        let mut hasher = Hasher::new();
        for (slice, range) in self.slices.iter().zip(&self.ranges) {
            slice.sum_into(&mut hasher);
            hasher.update(&slice.crc.to_le_bytes());
            for block in &self.blocks[range.clone()] {
                block.sum_into(&mut hasher);
                hasher.update(&block.crc.to_le_bytes());
            }
        }
        hasher.finalize()
    }

    /// Reads it.
    pub(crate) fn load(connection: &Connection) -> rusqlite::Result<Result<Self, Damage>> {
        let said = crate::segment::number(connection, crate::segment::key::CHECKSUM)?;
        let mut select = connection.prepare("SELECT id, first_seq, last_seq, rows, crc FROM slices ORDER BY id")?;
        let slices = select.query_map([], |row| {
            let (number, first, last) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(SliceInfo { number, first, last, rows: row.get(3)?, crc: row.get(4)? })
        })?;
        let slices = slices.collect::<rusqlite::Result<Vec<_>>>()?;
        let mut select = connection.prepare(
            "SELECT slice, rows, min_point, max_point, min_time, max_time, min_seq, max_seq, crc FROM blocks ORDER BY id",
        )?;
        let blocks = select.query_map([], |row| {
            let (slice, rows, points) = (row.get(0)?, row.get(1)?, (row.get(2)?, row.get(3)?));
            let (times, seqs) = ((row.get(4)?, row.get(5)?), (row.get(6)?, row.get(7)?));
            Ok(BlockInfo { slice, rows, points, times, seqs, crc: row.get(8)? })
        })?;
        let blocks = blocks.collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(Self::of(slices, &blocks)
            .filter(|directory| said == Some(i64::from(directory.checksum())))
            .ok_or_else(|| Damage::of("what it says of its slices and blocks does not come to its checksum")))
    }

    fn of(slices: Vec<SliceInfo>, blocks: &[BlockInfo]) -> Option<Self> {
        let mut directory = Self::default();
        let mut by_slice = blocks.chunk_by(|a, b| a.slice == b.slice);
        for slice in slices {
            let blocks = by_slice.next().filter(|blocks| blocks[0].slice == slice.number)?;
            directory.push(slice, blocks);
        }
        by_slice.next().is_none().then_some(directory)
    }
}

fn number_of(place: usize) -> i64 {
    i64::try_from(place).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(slice: i64, points: (i64, i64), times: (i64, i64)) -> BlockInfo {
        BlockInfo { slice, rows: 5, points, times, seqs: (slice * 10 + 1, slice * 10 + 10), crc: 9 }
    }

    #[test]
    fn only_blocks_whose_bounds_match_are_named_and_a_changed_bound_changes_the_sum() {
        let slice = |number| SliceInfo { number, first: number * 10 + 1, last: number * 10 + 10, rows: 10, crc: 7 };
        let mut directory = Directory::default();
        directory.push(slice(0), &[block(0, (1, 4), (0, 50)), block(0, (4, 9), (20, 50))]);
        directory.push(slice(1), &[block(1, (2, 3), (60, 90))]);
        let of = |filter: RowFilter| -> Vec<i64> {
            let slices: Vec<usize> = directory.matching_slices(&filter).collect();
            slices.into_iter().flat_map(|slice| directory.matching(slice, &filter).map(|(number, _)| number)).collect()
        };
        assert_eq!(of(RowFilter::default()), [0, 1, 2]);
        assert_eq!(of(RowFilter { point: Some(4), ..RowFilter::default() }), [0, 1]);
        assert_eq!(of(RowFilter { time_to: 10, ..RowFilter::default() }), [0]);
        assert_eq!(of(RowFilter { after: 10, ..RowFilter::default() }), [2]);
        assert_eq!(of(RowFilter { up_to: 10, time_from: 51, ..RowFilter::default() }), [0; 0]);
        let mut changed = directory.clone();
        changed.blocks[1].times.1 = 49;
        assert_ne!(changed.checksum(), directory.checksum());
    }
}
