//! Walking rows over all segments, by rising or falling seq, some at a time: what `read`, `history` and the virtual table
//! stand on.
//!
//! An open segment is walked by seq. Of a sealed one, whose slices are in the order of seqs, one slice at a time is read:
//! of its blocks those that may have a match, and of their rows those that match, which are then put in order. Segments
//! that cannot hold a match are not opened.

use crate::LogError;
use crate::columns::Damage;
use crate::config::{SCAN_FIRST_ROWS, SCAN_MAX_BYTES, SCAN_MAX_ROWS};
use crate::directory::Directory;
use crate::reader::{Reader, Readers};
use crate::row_sum::row_sum;
use crate::rows::Rows;
use crate::seal::sealed_error;
use crate::sealed::{SealedError, read_slice};
use crate::segment::Segment;
use crate::shared::{Snapshot, may_hold};
use crate::state::clamp_seq;
use bulkhead_model::Seq;
use rusqlite::Row;
use rusqlite::types::Value as SqlValue;
use std::collections::{HashMap, HashSet, VecDeque};
use std::path::Path;
use std::sync::Arc;

/// Which rows a scan gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RowFilter {
    /// Of this point only.
    pub(crate) point: Option<u32>,
    /// Seqs above this one.
    pub(crate) after: i64,
    /// Seqs up to this one.
    pub(crate) up_to: i64,
    /// Times from this one on.
    pub(crate) time_from: i64,
    /// Times up to this one.
    pub(crate) time_to: i64,
    /// By falling seq.
    pub(crate) descending: bool,
}

impl Default for RowFilter {
    fn default() -> Self {
        Self { point: None, after: 0, up_to: i64::MAX, time_from: i64::MIN, time_to: i64::MAX, descending: false }
    }
}

impl RowFilter {
    /// The row of one seq.
    pub(crate) fn one(seq: Seq) -> Self {
        let seq = clamp_seq(seq);
        Self { after: seq - 1, up_to: seq, ..Self::default() }
    }

    /// Whether no row can match.
    pub(crate) fn is_empty(&self) -> bool {
        self.after >= self.up_to || self.time_from > self.time_to
    }
}

/// A row as it is stored.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct StoredRow {
    pub(crate) seq: i64,
    pub(crate) point: u32,
    pub(crate) time: i64,
    pub(crate) status: u32,
    pub(crate) value: SqlValue,
    /// The segment's file, for errors.
    pub(crate) path: Arc<Path>,
}

/// A walk over rows.
#[derive(Debug)]
pub(crate) struct Scan {
    filter: RowFilter,
    /// What is left to visit, in order.
    segments: VecDeque<Arc<Segment>>,
    readers: Arc<Readers>,
    current: Option<Visit>,
    fetched: VecDeque<StoredRow>,
    fetch_rows: usize,
}

/// The segment a scan is in.
#[derive(Debug)]
struct Visit {
    reader: Reader,
    path: Arc<Path>,
    plan: Plan,
}

/// How it goes through it.
#[derive(Debug)]
enum Plan {
    /// An open one by seq; the bounds close in on what is left.
    Walk { after: i64, up_to: i64 },
    /// A sealed one slice by slice: those left, and the matching rows of the one that was read last.
    Slices { directory: Arc<Directory>, left: VecDeque<usize>, slice: Box<Picked> },
}

/// The matching rows of a slice, and the order they are wanted in.
#[derive(Debug, Default)]
struct Picked {
    rows: Rows,
    order: Vec<u32>,
    /// How many of them were fetched.
    fetched: usize,
}

impl Scan {
    /// A scan of the rows that are in a snapshot.
    pub(crate) fn new(snapshot: &Snapshot, mut filter: RowFilter, readers: Arc<Readers>) -> Self {
        filter.up_to = filter.up_to.min(clamp_seq(snapshot.committed));
        filter.after = filter.after.max(clamp_seq(snapshot.dropped_to));
        let mut segments = VecDeque::new();
        if !filter.is_empty() {
            let all = &snapshot.segments;
            // A segment ends before the next one starts.
            let overlapping = all.iter().enumerate().filter(|(index, segment)| {
                let end = all.get(index + 1).map_or(i64::MAX, |next| clamp_seq(next.start) - 1);
                let end = segment.sealed_last().map_or(end, |last| clamp_seq(last).min(end));
                end > filter.after && clamp_seq(segment.start) <= filter.up_to
            });
            segments.extend(overlapping.map(|(_, segment)| Arc::clone(segment)));
            if filter.descending {
                segments.make_contiguous().reverse();
            }
        }
        Self { filter, segments, readers, current: None, fetched: VecDeque::new(), fetch_rows: SCAN_FIRST_ROWS }
    }

    /// Says how many rows will be asked for, so that they are fetched at once.
    pub(crate) fn expect(&mut self, rows: usize) {
        self.fetch_rows = rows.clamp(1, SCAN_MAX_ROWS);
    }

    /// The next row.
    pub(crate) fn next(&mut self) -> Result<Option<StoredRow>, LogError> {
        loop {
            if let Some(row) = self.fetched.pop_front() {
                return Ok(Some(row));
            }
            let Some(mut visit) = self.current.take().map_or_else(|| self.enter_next(), |visit| Ok(Some(visit)))?
            else {
                return Ok(None);
            };
            match visit.fetch(&self.filter, self.fetch_rows, &mut self.fetched) {
                Ok(true) => self.current = Some(visit),
                Ok(false) => {}
                // What was fetched before the damage holds, but it would be a page with a hole.
                Err(error) => {
                    self.fetched.clear();
                    return Err(self.readers.judge(&visit.reader.segment, error));
                }
            }
            self.readers.count_rows(self.fetched.len());
            self.fetch_rows = (self.fetch_rows * 2).min(SCAN_MAX_ROWS);
        }
    }

    /// Opens the next segment that may hold a match.
    fn enter_next(&mut self) -> Result<Option<Visit>, LogError> {
        let filter = &self.filter;
        while let Some(segment) = self.segments.pop_front() {
            if !may_hold(&segment, filter.point, filter.time_from, filter.time_to) {
                continue;
            }
            let reader = self.readers.open(&segment)?;
            if segment.is_sealed() {
                reader.summary()?;
                if !may_hold(&segment, filter.point, filter.time_from, filter.time_to) {
                    continue;
                }
            }
            if let Some(plan) = plan(&reader, filter)? {
                return Ok(Some(Visit { reader, path: Arc::from(segment.path.as_path()), plan }));
            }
        }
        Ok(None)
    }
}

/// How to go through a segment; none when it has no matching row.
fn plan(reader: &Reader, filter: &RowFilter) -> Result<Option<Plan>, LogError> {
    if !reader.segment.is_sealed() {
        return Ok(Some(Plan::Walk { after: filter.after, up_to: filter.up_to }));
    }
    let directory = reader.directory()?;
    let mut left: VecDeque<usize> = directory.matching_slices(filter).collect();
    if filter.descending {
        left.make_contiguous().reverse();
    }
    Ok((!left.is_empty()).then(|| Plan::Slices { directory, left, slice: Box::default() }))
}

impl Visit {
    /// Fetches some rows; false when the segment has no more.
    fn fetch(&mut self, filter: &RowFilter, rows: usize, into: &mut VecDeque<StoredRow>) -> Result<bool, LogError> {
        let path = &self.path;
        match &mut self.plan {
            Plan::Slices { directory, left, slice } => {
                let wrong = sealed_error("read", path);
                while slice.fetched >= slice.order.len() {
                    let Some(next) = left.pop_front() else { return Ok(false) };
                    let rows = read_slice(&self.reader, directory, next, filter).map_err(&wrong)?;
                    **slice = Picked::new(rows, filter.descending);
                }
                slice.fetch(rows, path, into).map_err(|damage| wrong(damage.into()))?;
                Ok(slice.fetched < slice.order.len() || !left.is_empty())
            }
            Plan::Walk { after, up_to } => {
                let wrong = sealed_error("read", path);
                let has_more = walk(&self.reader, filter, (*after, *up_to), rows, path, into).map_err(wrong)?;
                match into.back() {
                    Some(last) if filter.descending => *up_to = last.seq - 1,
                    Some(last) => *after = last.seq,
                    None => {}
                }
                Ok(has_more)
            }
        }
    }
}

impl Picked {
    fn new(rows: Rows, descending: bool) -> Self {
        let mut order = rows.by_seq();
        if descending {
            order.reverse();
        }
        Self { rows, order, fetched: 0 }
    }

    fn fetch(&mut self, rows: usize, path: &Arc<Path>, into: &mut VecDeque<StoredRow>) -> Result<(), Damage> {
        let (to, mut bytes) = (self.order.len().min(self.fetched + rows), 0);
        while self.fetched < to && bytes < SCAN_MAX_BYTES {
            let row = stored_of(&self.rows, self.order[self.fetched] as usize, path)?;
            self.fetched += 1;
            bytes += heap_bytes(&row.value);
            into.push_back(row);
        }
        Ok(())
    }
}

/// Reads some rows of an open segment between two seqs, until their values are heavy. Returns whether there may be more.
fn walk(
    reader: &Reader,
    filter: &RowFilter,
    (after, up_to): (i64, i64),
    rows: usize,
    path: &Arc<Path>,
    into: &mut VecDeque<StoredRow>,
) -> Result<bool, SealedError> {
    let limit = i64::try_from(rows).unwrap_or(i64::MAX);
    let mut select = reader.prepare_cached(walk_sql(filter))?;
    let parameters = rusqlite::params![after, up_to, filter.time_from, filter.time_to, limit, filter.point];
    let mut found = select.query(parameters)?;
    let (mut count, mut bytes) = (0, 0);
    while bytes < SCAN_MAX_BYTES
        && let Some(row) = found.next()?
    {
        let row = stored(row, path)?;
        count += 1;
        bytes += heap_bytes(&row.value);
        into.push_back(row);
    }
    Ok(count == rows || bytes >= SCAN_MAX_BYTES)
}

fn walk_sql(filter: &RowFilter) -> &'static str {
    macro_rules! walk {
        ($point:literal, $order:literal) => {
            concat!(
                "SELECT seq, point, time, status, value, sum FROM readings NOT INDEXED
                 WHERE seq > ?1 AND seq <= ?2 AND time >= ?3 AND time <= ?4 AND ",
                $point,
                " ORDER BY seq ",
                $order,
                " LIMIT ?5"
            )
        };
    }
    match (filter.point.is_some(), filter.descending) {
        (true, false) => walk!("point = ?6", "ASC"),
        (true, true) => walk!("point = ?6", "DESC"),
        (false, false) => walk!("?6 IS NULL", "ASC"),
        (false, true) => walk!("?6 IS NULL", "DESC"),
    }
}

/// The latest row of each of these points in a sealed segment: by time, then by seq.
pub(crate) fn latest_rows(reader: &Reader, wanted: &HashSet<u32>) -> Result<Vec<StoredRow>, LogError> {
    let path: Arc<Path> = Arc::from(reader.segment.path.as_path());
    let wrong = sealed_error("read", &path);
    let directory = reader.directory()?;
    let mut latest: HashMap<u32, StoredRow> = HashMap::new();
    for slice in 0..directory.slices.len() {
        let rows = read_slice(reader, &directory, slice, &RowFilter::default()).map_err(&wrong)?;
        for row in 0..rows.len() {
            let (point, place) = (rows.points[row], (rows.times[row], rows.seqs[row]));
            let is_later = latest.get(&point).is_none_or(|known| (known.time, known.seq) < place);
            if is_later && wanted.contains(&point) {
                latest.insert(point, stored_of(&rows, row, &path).map_err(|damage| wrong(damage.into()))?);
            }
        }
    }
    Ok(latest.into_values().collect())
}

fn stored_of(rows: &Rows, row: usize, path: &Arc<Path>) -> Result<StoredRow, Damage> {
    Ok(StoredRow {
        seq: rows.seqs[row],
        point: rows.points[row],
        time: rows.times[row],
        status: rows.statuses[row],
        value: rows.owned_value(row)?,
        path: Arc::clone(path),
    })
}

/// The bytes a value holds beside its own size.
fn heap_bytes(value: &SqlValue) -> usize {
    match value {
        SqlValue::Null | SqlValue::Integer(_) | SqlValue::Real(_) => 0,
        SqlValue::Text(text) => text.len(),
        SqlValue::Blob(bytes) => bytes.len(),
    }
}

fn stored(row: &Row<'_>, path: &Arc<Path>) -> Result<StoredRow, SealedError> {
    let (seq, point, time, status) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
    if row_sum(seq, point, time, status, row.get_ref(4)?) != row.get::<_, i32>(5)? {
        return Err(Damage::of(format!("the reading with seq {seq} is not what was written")).into());
    }
    Ok(StoredRow { seq, point, time, status, value: row.get(4)?, path: Arc::clone(path) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_nothing_matches_says_so() {
        assert!(!RowFilter::default().is_empty());
        assert!(!RowFilter::one(5).is_empty());
        assert!(RowFilter { after: 7, up_to: 7, ..RowFilter::default() }.is_empty());
        assert!(RowFilter { time_from: 3, time_to: 2, ..RowFilter::default() }.is_empty());
    }
}
