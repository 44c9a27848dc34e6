//! Connections whose readings expire before the log's: once all rows of a sealed segment are older than such a connection
//! keeps its own, the segment is written anew without them and put in the old one's place.
//!
//! The new file has the old one's name, so the rename replaces it at once: a crash leaves one or the other. It keeps the
//! segment's start and last seq, and says in its table `expired` whose rows are missing and between which seqs. Who has
//! the old file open reads on in it; whoever opens it from then on sees the new one.

use crate::LogError;
use crate::columns::Damage;
use crate::files::{SegmentFile, remove_database};
use crate::reader::Reader;
use crate::retention::CommitTimes;
use crate::scan::RowFilter;
use crate::seal::{copy_length, describe, publish, sealed_error, summary_of};
use crate::sealed::{SealedError, SealedWriter, TABLES, Totals, read_slice};
use crate::segment::{Knowledge, Segment};
use crate::shared::Shared;
use crate::sqlite::{open_sealing, sqlite_error, uri};
use bulkhead_model::{Seq, Timestamp};
use rusqlite::Connection;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Rows of a connection that are no longer in a segment, because the connection keeps its readings for a shorter time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expired {
    /// The connection.
    pub connection: String,
    /// The seq of the first such row.
    pub first: Seq,
    /// The seq of the last one. Rows of others lie between.
    pub last: Seq,
    /// How many there were.
    pub rows: u64,
}

/// The connections whose rows must go from a segment with this last commit, by name.
fn due(retention: &BTreeMap<String, u64>, last_commit: Timestamp, now: Timestamp) -> impl Iterator<Item = &String> {
    let age_ns = i128::from(now.0) - i128::from(last_commit.0);
    retention.iter().filter(move |(_, max)| age_ns > i128::from(**max) * 1_000_000_000).map(|(name, _)| name)
}

/// Writes the sealed segments anew that have rows of connections whose time is over. Returns how many.
pub(crate) fn apply(shared: &Shared, now: Timestamp) -> Result<usize, LogError> {
    let retention = shared.own_retention.read().clone();
    if retention.is_empty() {
        return Ok(0);
    }
    let _alone = shared.retaining.lock();
    let (mut rewritten, mut times) = (0, CommitTimes::default());
    for segment in shared.segments.now().iter().filter(|segment| segment.is_sealed()) {
        let Some(summary) = shared.summary(segment)? else { continue };
        let last_commit = times.believed(shared, summary.last_commit, now)?;
        let gone = segment.gone_connections();
        let due: Vec<&String> =
            due(&retention, last_commit, now).filter(|name| !gone.contains(name.as_str())).collect();
        if !due.is_empty() {
            rewritten += usize::from(expire(shared, segment, &due)?);
        }
    }
    Ok(rewritten)
}

/// Takes connections' rows out of a segment. False: it has none.
fn expire(shared: &Shared, segment: &Arc<Segment>, connections: &[&String]) -> Result<bool, LogError> {
    let reader = shared.readers.open(segment)?;
    let points = points_of(&reader, connections).map_err(sqlite_error("read", &segment.path))?;
    if points.is_empty() {
        segment.has_none_of(connections);
        return Ok(false);
    }
    let (Some(last), summary) = (segment.sealed_last(), reader.summary()?) else { return Ok(false) };
    let tmp = segment.path.with_file_name(format!("seg-{:020}.tmp", segment.start));
    remove_database(&*shared.files, &tmp)?;
    let (totals, bytes) = write_rest(&reader, &tmp, &points).map_err(sealed_error("rewrite", &segment.path))?;
    let file = SegmentFile::Sealed { start: segment.start, last };
    publish(&*shared.files, &tmp, file)?;
    let new = Segment::new(&shared.config.dir, file, bytes, Arc::clone(&shared.files)).ok_or(LogError::Closed)?;
    new.has_none_of(connections);
    new.has_none_of(&segment.gone_connections().iter().collect::<Vec<_>>());
    if let Knowledge::Sealed { summary: known, .. } = &new.knowledge {
        known.get_or_init(|| summary_of(&totals, summary.last_commit));
    }
    shared.described_from.fetch_max(segment.start + 1, Ordering::AcqRel);
    shared.segments.supersede(new);
    shared.readers.forget(segment.start, true);
    let expired = summary.rows.saturating_sub(totals.rows.unsigned_abs());
    shared.counters.rows_expired.fetch_add(expired, Ordering::Relaxed);
    tracing::info!(segment = %segment.path.display(), rows = expired, ?connections, "expired rows were taken out");
    Ok(true)
}

/// The points of connections that are in a segment.
fn points_of(reader: &Connection, connections: &[&String]) -> rusqlite::Result<HashSet<u32>> {
    let mut select = reader.prepare("SELECT id FROM points WHERE connection = ?1")?;
    let mut points = HashSet::new();
    for connection in connections {
        for point in select.query_map([connection], |row| row.get(0))? {
            points.insert(point?);
        }
    }
    Ok(points)
}

/// Writes a segment's rows but those of some points into a new file.
fn write_rest(reader: &Reader, tmp: &Path, gone: &HashSet<u32>) -> Result<(Totals, u64), SealedError> {
    let connection = open_sealing(tmp)?;
    connection.execute("ATTACH ?1 AS source", [uri(&reader.segment.path, "immutable=1")])?;
    connection.execute_batch(crate::segment::TABLES)?;
    connection.execute_batch(TABLES)?;
    connection.execute_batch(
        "BEGIN;
         INSERT INTO main.segment SELECT * FROM source.segment;
         INSERT INTO main.points SELECT * FROM source.points;
         INSERT INTO main.expired SELECT * FROM source.expired",
    )?;
    let directory = reader.directory().map_err(Damage::of)?;
    let mut writer = SealedWriter::default();
    let mut expired = Tally::default();
    for slice in 0..directory.slices.len() {
        let rows = read_slice(reader, &directory, slice, &RowFilter::default())?;
        for row in rows.by_seq().into_iter().map(|row| row as usize) {
            let (seq, point) = (rows.seqs[row], rows.points[row]);
            if gone.contains(&point) {
                expired.note(point, seq);
            } else {
                writer.push(&connection, seq, point, rows.times[row], rows.statuses[row], rows.value(row))?;
            }
        }
    }
    let last_commit = reader.summary().map_err(Damage::of)?.last_commit;
    let start = i64::try_from(reader.segment.start).unwrap_or(i64::MAX);
    expired.write(&connection)?;
    let totals = writer.finish(&connection)?.unwrap_or_else(|| Totals::none(start));
    describe(
        &connection,
        &Totals { last: reader.segment.sealed_last().map_or(totals.last, crate::state::clamp_seq), ..totals.clone() },
        last_commit,
    )?;
    connection.execute_batch("COMMIT; DETACH source")?;
    Ok((totals, copy_length(connection)?))
}

/// Rows taken out, by point.
#[derive(Debug, Default)]
struct Tally(BTreeMap<u32, (i64, i64, i64)>);

impl Tally {
    fn note(&mut self, point: u32, seq: i64) {
        let (_, last, rows) = self.0.entry(point).or_insert((seq, seq, 0));
        (*last, *rows) = (seq, *rows + 1);
    }

    /// Writes them down by connection, whose points are still described in the source.
    fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut name = connection.prepare("SELECT connection FROM source.points WHERE id = ?1")?;
        let mut put = connection.prepare(
            "INSERT INTO main.expired VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT(connection) DO UPDATE SET first_seq = min(first_seq, ?2), last_seq = max(last_seq, ?3),
               rows = rows + ?4",
        )?;
        for (point, (first, last, rows)) in &self.0 {
            let name: String = name.query_row([point], |row| row.get(0))?;
            put.execute((name, first, last, rows))?;
        }
        Ok(())
    }
}

/// What has expired in a segment.
pub(crate) fn expired_in(reader: &Connection) -> rusqlite::Result<Vec<Expired>> {
    let mut select = reader.prepare("SELECT connection, first_seq, last_seq, rows FROM expired ORDER BY first_seq")?;
    let expired = select.query_map([], |row| {
        let seq = |column| row.get(column).map(crate::state::loaded_seq);
        Ok(Expired { connection: row.get(0)?, first: seq(1)?, last: seq(2)?, rows: seq(3)? })
    })?;
    expired.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_due_when_the_newest_row_of_a_segment_is_older_than_it_keeps_its_own() {
        let retention = BTreeMap::from([("day".to_owned(), 86_400), ("hour".to_owned(), 3_600)]);
        let due_after = |seconds: i64| -> Vec<&String> {
            due(&retention, Timestamp(0), Timestamp(seconds * 1_000_000_000)).collect()
        };
        assert!(due_after(3_600).is_empty() && due_after(-90_000).is_empty());
        assert_eq!(due_after(3_601), ["hour"]);
        assert_eq!(due_after(86_401), ["day", "hour"]);
    }
}
