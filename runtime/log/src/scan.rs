//! Walking rows over all segments, by rising or falling seq, some at a time: what `read`, `history` and the virtual table
//! stand on.
//!
//! In each segment a scan either walks the rows by seq, or, when the segment is sealed and the point asked for is rare in
//! it, collects the point's seqs from the index and picks these rows. Segments that cannot hold a match are not opened.

use crate::LogError;
use crate::config::{SCAN_FIRST_ROWS, SCAN_MAX_BYTES, SCAN_MAX_ROWS, SCAN_MAX_SEQS};
use crate::reader::{Reader, Readers};
use crate::segment::Segment;
use crate::shared::{Snapshot, may_hold};
use crate::sqlite::sqlite_error;
use crate::state::clamp_seq;
use bulkhead_model::Seq;
use rusqlite::types::Value as SqlValue;
use rusqlite::{OptionalExtension, Row};
use std::collections::VecDeque;
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
    /// By seq; the bounds close in on what is left.
    Walk { after: i64, up_to: i64 },
    /// These seqs, in order.
    Pick { seqs: VecDeque<i64> },
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
            let wrong = sqlite_error("read", &visit.path);
            if visit.fetch(&self.filter, self.fetch_rows, &mut self.fetched).map_err(wrong)? {
                self.current = Some(visit);
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
            let plan = plan(&reader, filter).map_err(sqlite_error("read", &segment.path))?;
            if let Some(plan) = plan {
                return Ok(Some(Visit { reader, path: Arc::from(segment.path.as_path()), plan }));
            }
        }
        Ok(None)
    }
}

/// How to go through a segment; none when it has no row of the point.
fn plan(reader: &Reader, filter: &RowFilter) -> rusqlite::Result<Option<Plan>> {
    let walk = Plan::Walk { after: filter.after, up_to: filter.up_to };
    let Some(point) = filter.point.filter(|_| reader.segment.is_sealed()) else { return Ok(Some(walk)) };
    let counts: Option<(i64, i64)> = reader
        .prepare_cached("SELECT rows, (SELECT value FROM segment WHERE key = 'rows') FROM points WHERE id = ?1")?
        .query_row([point], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match counts {
        None => Ok(None),
        Some((rows, all)) if is_rare(rows, all) => collect_seqs(reader, filter, point).map(Some),
        Some(_) => Ok(Some(walk)),
    }
}

/// Whether picking a point's rows is cheaper than walking past all others: a picked row costs some four walked ones.
fn is_rare(rows: i64, all: i64) -> bool {
    rows.saturating_mul(4) <= all && rows.unsigned_abs() <= SCAN_MAX_SEQS
}

fn collect_seqs(reader: &Reader, filter: &RowFilter, point: u32) -> rusqlite::Result<Plan> {
    let mut select = reader.prepare_cached(
        "SELECT seq FROM readings INDEXED BY readings_by_point_time
         WHERE point = ?1 AND time >= ?2 AND time <= ?3 AND seq > ?4 AND seq <= ?5",
    )?;
    let parameters = (point, filter.time_from, filter.time_to, filter.after, filter.up_to);
    let mut seqs = select.query_map(parameters, |row| row.get(0))?.collect::<rusqlite::Result<Vec<i64>>>()?;
    seqs.sort_unstable();
    if filter.descending {
        seqs.reverse();
    }
    Ok(Plan::Pick { seqs: seqs.into() })
}

impl Visit {
    /// Fetches some rows; false when the segment has no more.
    fn fetch(&mut self, filter: &RowFilter, rows: usize, into: &mut VecDeque<StoredRow>) -> rusqlite::Result<bool> {
        let path = &self.path;
        match &mut self.plan {
            Plan::Pick { seqs } => {
                let mut select = self
                    .reader
                    .prepare_cached("SELECT seq, point, time, status, value FROM readings WHERE seq = ?1")?;
                for seq in seqs.drain(..rows.min(seqs.len())) {
                    into.push_back(select.query_row([seq], |row| stored(row, path))?);
                }
                Ok(!seqs.is_empty())
            }
            Plan::Walk { after, up_to } => {
                let limit = i64::try_from(rows).unwrap_or(i64::MAX);
                let mut select = self.reader.prepare_cached(walk_sql(filter))?;
                let parameters =
                    rusqlite::params![*after, *up_to, filter.time_from, filter.time_to, limit, filter.point];
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
                match into.back() {
                    Some(last) if filter.descending => *up_to = last.seq - 1,
                    Some(last) => *after = last.seq,
                    None => {}
                }
                Ok(count == rows || bytes >= SCAN_MAX_BYTES)
            }
        }
    }
}

fn walk_sql(filter: &RowFilter) -> &'static str {
    macro_rules! walk {
        ($point:literal, $order:literal) => {
            concat!(
                "SELECT seq, point, time, status, value FROM readings NOT INDEXED
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

/// The last row of every point in a sealed segment.
pub(crate) fn last_rows(reader: &Reader) -> Result<Vec<StoredRow>, LogError> {
    let path: Arc<Path> = Arc::from(reader.segment.path.as_path());
    let read = || -> rusqlite::Result<Vec<StoredRow>> {
        let mut select = reader.prepare(
            "SELECT r.seq, r.point, r.time, r.status, r.value
             FROM points p CROSS JOIN readings r ON r.seq = p.last_seq",
        )?;
        select.query_map([], |row| stored(row, &path))?.collect()
    };
    read().map_err(sqlite_error("read", &reader.segment.path))
}

/// The bytes a value holds beside its own size.
fn heap_bytes(value: &SqlValue) -> usize {
    match value {
        SqlValue::Null | SqlValue::Integer(_) | SqlValue::Real(_) => 0,
        SqlValue::Text(text) => text.len(),
        SqlValue::Blob(bytes) => bytes.len(),
    }
}

fn stored(row: &Row<'_>, path: &Arc<Path>) -> rusqlite::Result<StoredRow> {
    Ok(StoredRow {
        seq: row.get(0)?,
        point: row.get(1)?,
        time: row.get(2)?,
        status: row.get(3)?,
        value: row.get(4)?,
        path: Arc::clone(path),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_points_are_picked_and_common_ones_walked() {
        assert!(is_rare(50, 500_000) && is_rare(0, 0));
        assert!(!is_rare(300_000, 500_000) && !is_rare(70_000, 10_000_000));
    }

    #[test]
    fn a_filter_that_nothing_matches_says_so() {
        assert!(!RowFilter::default().is_empty());
        assert!(!RowFilter::one(5).is_empty());
        assert!(RowFilter { after: 7, up_to: 7, ..RowFilter::default() }.is_empty());
        assert!(RowFilter { time_from: 3, time_to: 2, ..RowFilter::default() }.is_empty());
    }
}
