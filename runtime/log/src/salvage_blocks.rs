//! Salvage of a sealed segment, block by block: a block is read if its own checksum and that of its slice hold, whatever has
//! become of the others and of the structure that leads to it.

use crate::LogError;
use crate::block::{self, BlockInfo, SliceBase};
use crate::carve::carve_records;
use crate::columns::ColumnReader;
use crate::directory::SliceInfo;
use crate::page::Record;
use crate::rows::Rows;
use crate::salvage::Collector;
use crate::scan::RowFilter;
use crate::sealed::read_times;
use rusqlite::types::ValueRef;
use std::collections::HashMap;
use std::path::Path;

/// What a sealed segment says of its contents, as far as it could be found.
#[derive(Debug, Default)]
struct Contents {
    /// By number, with their tables of times.
    slices: HashMap<i64, (SliceInfo, Vec<i64>)>,
    /// By number.
    blocks: HashMap<i64, Vec<BlockInfo>>,
}

/// Puts the rows of all blocks that hold into a segment that is being made.
pub(crate) fn collect_blocks(path: &Path, into: &mut Collector<'_>) -> Result<(), LogError> {
    let mut contents = Contents::default();
    let mut reader = ColumnReader::default();
    carve_records(path, |record| {
        contents.note(record, &mut reader);
        Ok(())
    })?;
    carve_records(path, |record| {
        let Some(columns) = record.columns() else { return Ok(()) };
        let &[ValueRef::Null, ValueRef::Blob(bytes)] = columns.as_slice() else { return Ok(()) };
        for rows in contents.read_block(record.rowid, bytes, &mut reader) {
            for row in 0..rows.len() {
                into.take(rows.seqs[row], rows.points[row], rows.times[row], rows.statuses[row], rows.value(row))?;
            }
        }
        Ok(())
    })
}

impl Contents {
    fn note(&mut self, record: &Record, reader: &mut ColumnReader) {
        let Some(columns) = record.columns() else { return };
        let number = |at: usize| columns.get(at).and_then(|column| column.as_i64().ok());
        match columns.as_slice() {
            [ValueRef::Null, .., ValueRef::Blob(times)] if columns.len() == 6 => {
                let (Some(first), Some(last), Some(rows), Some(crc)) = (number(1), number(2), number(3), number(4))
                else {
                    return;
                };
                let Ok(crc) = u32::try_from(crc) else { return };
                let slice = SliceInfo { number: record.rowid, first, last, rows, crc };
                if let Ok(times) = read_times(&slice, times, reader) {
                    self.slices.insert(slice.number, (slice, times));
                }
            }
            [ValueRef::Null, ..] if columns.len() == 10 => {
                let numbers: Option<Vec<i64>> = (1..10).map(number).collect();
                let Some(&[slice, rows, p0, p1, t0, t1, s0, s1, crc]) = numbers.as_deref() else { return };
                let Ok(crc) = u32::try_from(crc) else { return };
                let info = BlockInfo { slice, rows, points: (p0, p1), times: (t0, t1), seqs: (s0, s1), crc };
                self.blocks.entry(record.rowid).or_default().push(info);
            }
            _ => {}
        }
    }

    /// The rows of a block's bytes, if they are those of a block that is known.
    fn read_block(&self, number: i64, bytes: &[u8], reader: &mut ColumnReader) -> Vec<Rows> {
        let infos = self.blocks.get(&number).into_iter().flatten();
        infos
            .filter_map(|info| {
                let (slice, times) = self.slices.get(&info.slice)?;
                let base = SliceBase { number: slice.number, first: slice.first, times };
                let mut rows = Rows::default();
                block::read(&base, info, bytes, &RowFilter::default(), reader, &mut rows).ok()?;
                Some(rows)
            })
            .collect()
    }
}
