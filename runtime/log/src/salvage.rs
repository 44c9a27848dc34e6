//! Salvage of one segment: the damaged file is set aside, the rows that hold are put into a sealed segment in its place
//! under their seqs, and what is missing is recorded as gaps.
//!
//! The order makes every step a safe last one: first the damaged file gets its second name, then the gaps are recorded,
//! then the replacement counts, and only then the damaged file loses its first name. A kill before the replacement counts
//! leaves all as it was, and the next open begins anew; gaps that are recorded already are not recorded twice.

use crate::carve::carve_rows;
use crate::damage::{is_nearly, set_aside};
use crate::files::{FileOps, SegmentFile, remove_database};
use crate::gaps::recorded_between;
use crate::row_sum::row_sum;
use crate::salvage_blocks::collect_blocks;
use crate::seal::{Sealed, seal};
use crate::segment::{FORMAT, PUT, READINGS, TABLES, describe, key};
use crate::sqlite::{open_sealing, sqlite_error};
use crate::state::{State, clamp_seq, loaded_seq};
use crate::{Catalogue, Gap, GapReason, LogError};
use bulkhead_model::{PointId, Seq, Timestamp};
use rusqlite::Connection;
use rusqlite::types::{ToSqlOutput, ValueRef};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Gaps that the salvage of one segment records; with more, neighbours are recorded as one.
pub(crate) const SALVAGE_GAPS_MAX: usize = 100;

/// What salvage works with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surgery<'a> {
    pub(crate) files: &'a dyn FileOps,
    pub(crate) log_id: &'a str,
    pub(crate) catalogue: &'a Catalogue,
    pub(crate) state: &'a State,
}

/// A damaged segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patient<'a> {
    pub(crate) path: &'a Path,
    pub(crate) start: Seq,
    pub(crate) file: SegmentFile,
    /// The last seq it may hold; none: nobody knows, and what is behind the last row that is found is somebody else's care.
    pub(crate) last: Option<Seq>,
    pub(crate) last_commit: Timestamp,
}

/// What became of a damaged segment.
#[derive(Debug)]
pub(crate) struct Salvaged {
    /// The sealed segment in its place; none: not one row could be read.
    pub(crate) replacement: Option<Sealed>,
    /// The last seq that was read; none when there is none.
    pub(crate) last_row: Option<Seq>,
    pub(crate) rows: u64,
    /// The gaps that were recorded.
    pub(crate) gaps: Vec<Gap>,
    /// Where the damaged file is now.
    pub(crate) aside: PathBuf,
}

/// Salvages a segment. Nobody may have it open. After a failure the damaged file is where it was, and set aside only if it
/// is no longer there: each try would otherwise set it aside once more, and older files would go for it.
pub(crate) fn salvage(surgery: &Surgery<'_>, patient: &Patient<'_>) -> Result<Salvaged, LogError> {
    let aside = set_aside(surgery.files, patient.path)?;
    let salvaged = replace(surgery, patient, &aside);
    if salvaged.is_err() && is_same_file(patient.path, &aside) {
        // Where that fails, too, it counts in the quota and goes as the oldest.
        let _ = remove_database(surgery.files, &aside);
    }
    salvaged
}

/// Puts what can be read of a segment in its place.
fn replace(surgery: &Surgery<'_>, patient: &Patient<'_>, aside: &Path) -> Result<Salvaged, LogError> {
    let Surgery { files, log_id, catalogue, state } = *surgery;
    let Patient { path, start, file, last, last_commit } = *patient;
    let clean = path.with_file_name(format!("seg-{start:020}.salvage.tmp"));
    remove_database(files, &clean)?;
    let wrong = sqlite_error("salvage", path);
    let connection = new_segment(&clean, log_id, start, last_commit).map_err(&wrong)?;
    collect(&connection, log_id, patient)?;
    describe_points(&connection, catalogue).map_err(&wrong)?;
    let present = Present::of(&connection, start, last).map_err(&wrong)?;
    connection.close().map_err(|(_, error)| wrong(error))?;
    let gaps = record_missing(state, &present)?;
    let replacement = seal(files, catalogue, &clean, start, last_commit)?;
    remove_database(files, &clean)?;
    if replacement.as_ref().is_none_or(|replacement| replacement.file != file) {
        remove_database(files, path)?;
    }
    Ok(Salvaged { replacement, last_row: present.last_row, rows: present.rows, gaps, aside: aside.to_owned() })
}

/// Whether two names are of one file.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let of = |path: &Path| std::fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()));
    matches!((of(one), of(other)), (Ok(one), Ok(other)) if one == other)
}

/// An empty segment that is not yet part of the log.
fn new_segment(path: &Path, log_id: &str, start: Seq, last_commit: Timestamp) -> rusqlite::Result<Connection> {
    let connection = open_sealing(path)?;
    connection.execute_batch(TABLES)?;
    connection.execute_batch(READINGS)?;
    connection.execute(PUT, (key::FORMAT, FORMAT))?;
    connection.execute(PUT, (key::LOG_ID, log_id))?;
    connection.execute(PUT, (key::START, clamp_seq(start)))?;
    // When its first row was committed is lost with the rest; later than its last it was not.
    connection.execute(PUT, (key::FIRST_COMMIT, last_commit.0))?;
    Ok(connection)
}

/// Puts rows into a segment that is being made.
pub(crate) struct Collector<'a> {
    insert: rusqlite::Statement<'a>,
    seqs: std::ops::RangeInclusive<i64>,
    damaged: &'a Path,
}

impl Collector<'_> {
    /// Takes a row that holds; one that is there already, or is none of the segment's, is left out.
    pub(crate) fn take(
        &mut self,
        seq: i64,
        point: u32,
        time: i64,
        status: u32,
        value: ValueRef<'_>,
    ) -> Result<(), LogError> {
        if !self.seqs.contains(&seq) {
            return Ok(());
        }
        let sum = row_sum(seq, point, time, status, value);
        let row = (seq, point, time, status, ToSqlOutput::Borrowed(value), sum);
        self.insert.execute(row).map(drop).map_err(sqlite_error("salvage", self.damaged))
    }
}

/// Puts the rows that hold into the new segment.
fn collect(new: &Connection, log_id: &str, patient: &Patient<'_>) -> Result<(), LogError> {
    let Patient { path, start, file, last, .. } = *patient;
    let wrong = sqlite_error("salvage", path);
    new.execute_batch("BEGIN").map_err(&wrong)?;
    let insert = new
        .prepare("INSERT OR IGNORE INTO readings(seq, point, time, status, value, sum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
        .map_err(&wrong)?;
    let seqs = clamp_seq(start)..=last.map_or(i64::MAX, clamp_seq);
    let mut into = Collector { insert, seqs: seqs.clone(), damaged: path };
    if log_id_of(path).is_some_and(|found| !is_nearly(&found, log_id)) {
        // It is another log's.
    } else if matches!(file, SegmentFile::Sealed { .. }) {
        collect_blocks(path, &mut into)?;
    } else {
        carve_rows(path, &seqs, |row| into.take(row.seq, row.point, row.time, row.status, row.value))?;
    }
    drop(into);
    new.execute_batch("COMMIT").map_err(&wrong)
}

/// The log id that a segment says to have, if SQLite can read it without the WAL.
fn log_id_of(path: &Path) -> Option<String> {
    let connection = crate::sqlite::open_sealed(path).ok()?;
    connection.query_row("SELECT value FROM segment WHERE key = ?1", [key::LOG_ID], |row| row.get(0)).ok()
}

/// Describes the points whose rows are in a segment; rows of a point that nobody knows any more go, they could not be read.
fn describe_points(new: &Connection, catalogue: &Catalogue) -> rusqlite::Result<()> {
    let mut select = new.prepare("SELECT DISTINCT point FROM readings")?;
    for point in select.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<u32>>>()? {
        match catalogue.by_id(PointId(point)) {
            Some(point) => describe(new, point)?,
            None => new.execute("DELETE FROM readings WHERE point = ?1", [point]).map(drop)?,
        }
    }
    Ok(())
}

/// Which seqs of a span are there.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Present {
    rows: u64,
    last_row: Option<Seq>,
    /// Spans without rows, in order, first and last seq of each.
    missing: Vec<(Seq, Seq)>,
}

impl Present {
    fn of(connection: &Connection, start: Seq, last: Option<Seq>) -> rusqlite::Result<Self> {
        let mut select = connection.prepare("SELECT seq FROM readings ORDER BY seq")?;
        let mut rows = select.query([])?;
        let mut present = Self { rows: 0, last_row: None, missing: Vec::new() };
        let mut next = start;
        while let Some(row) = rows.next()? {
            let seq = loaded_seq(row.get(0)?);
            if seq > next {
                present.missing.push((next, seq - 1));
            }
            present.rows += 1;
            present.last_row = Some(seq);
            next = seq + 1;
        }
        if let Some(last) = last.filter(|last| *last >= next) {
            present.missing.push((next, last));
        }
        Ok(present)
    }
}

/// Records what is missing and not recorded yet. Returns what was recorded now.
fn record_missing(state: &State, present: &Present) -> Result<Vec<Gap>, LogError> {
    let (Some(first), Some(last)) = (present.missing.first(), present.missing.last()) else { return Ok(Vec::new()) };
    let known = state.read(|connection| recorded_between(connection, first.0, last.1))?;
    let missing = present.missing.iter().flat_map(|span| without(*span, &known)).collect();
    let gaps: Vec<Gap> = at_most(missing, SALVAGE_GAPS_MAX)
        .into_iter()
        .map(|(first, last, rows)| Gap { rows: Some(rows), ..Gap::now(first, last, GapReason::Damaged) })
        .collect();
    if !gaps.is_empty() {
        state.note_gaps(gaps.clone())?;
    }
    Ok(gaps)
}

/// A span without the spans of others.
pub(crate) fn without((first, last): (Seq, Seq), others: &[(Seq, Seq)]) -> Vec<(Seq, Seq)> {
    let mut left = vec![(first, last)];
    for (from, to) in others {
        left = left
            .into_iter()
            .flat_map(|(first, last)| {
                if *to < first || *from > last {
                    return vec![(first, last)];
                }
                let before = (first < *from).then(|| (first, from - 1));
                let behind = (*to < last).then(|| (to + 1, last));
                before.into_iter().chain(behind).collect()
            })
            .collect();
    }
    left
}

/// Spans with the seqs in each; the nearest neighbours are made one until there are few enough.
fn at_most(spans: Vec<(Seq, Seq)>, max: usize) -> Vec<(Seq, Seq, u64)> {
    let mut spans: Vec<_> = spans.into_iter().map(|(first, last)| (first, last, last - first + 1)).collect();
    if spans.len() <= max {
        return spans;
    }
    // As many of the narrowest distances as there are spans too many.
    let mut distances: Vec<(u64, usize)> =
        spans.windows(2).enumerate().map(|(index, pair)| (pair[1].0 - pair[0].1, index)).collect();
    distances.sort_unstable();
    let mut joined: Vec<usize> = distances.into_iter().take(spans.len() - max).map(|(_, index)| index).collect();
    joined.sort_unstable();
    for index in joined.into_iter().rev() {
        let (_, last, rows) = spans.remove(index + 1);
        spans[index] = (spans[index].0, last, spans[index].2 + rows);
    }
    spans
}

/// Sets aside a segment that is none of this log's, or of which nothing can be read, and removes it from the log.
pub(crate) fn expel(surgery: &Surgery<'_>, patient: &Patient<'_>) -> Result<Salvaged, LogError> {
    let aside = set_aside(surgery.files, patient.path)?;
    let missing = patient.last.filter(|last| *last >= patient.start).map(|last| (patient.start, last));
    let present = Present { rows: 0, last_row: None, missing: missing.into_iter().collect() };
    let gaps = record_missing(surgery.state, &present)?;
    remove_database(surgery.files, patient.path)?;
    Ok(Salvaged { replacement: None, last_row: None, rows: 0, gaps, aside })
}

/// Says in the journal what became of a damaged file.
pub(crate) fn tell(path: &Path, why: &str, salvaged: &Salvaged) {
    let missing: u64 = salvaged.gaps.iter().filter_map(|gap| gap.rows).sum();
    tracing::error!(
        file = %path.display(),
        set_aside = %salvaged.aside.display(),
        rows_kept = salvaged.rows,
        rows_missing = missing,
        "a segment of the log is damaged ({why}): what could be read is kept, what is missing is recorded as a gap; \
         check the disk, and keep the file that was set aside if you want to have it examined"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_loses_what_others_have() {
        assert_eq!(without((5, 9), &[]), [(5, 9)]);
        assert_eq!(without((5, 9), &[(1, 4), (10, 12)]), [(5, 9)]);
        assert_eq!(without((5, 9), &[(1, 20)]), []);
        assert_eq!(without((5, 9), &[(1, 5), (7, 7), (9, 30)]), [(6, 6), (8, 8)]);
    }

    #[test]
    fn too_many_spans_become_few_and_lose_no_seq() {
        let spans = vec![(1, 1), (3, 4), (100, 100), (102, 102), (200, 210)];
        assert_eq!(at_most(spans.clone(), 5).len(), 5);
        assert_eq!(at_most(spans.clone(), 3), [(1, 4, 3), (100, 102, 2), (200, 210, 11)]);
        assert_eq!(at_most(spans, 1), [(1, 210, 16)]);
    }
}
