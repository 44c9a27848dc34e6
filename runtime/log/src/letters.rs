//! The tables of the dead letters in `state.db`: readings that an upstream refused and frames that an adapter failed on,
//! under one numbering. Each is whole in its row, so that it can be replayed when the log has long dropped the rest.
//!
//! Bounded per origin (a route or a connection) in number and bytes; beyond it the oldest go, and are counted.

use crate::Row;
use crate::config::{DEAD_LETTERS_MAX_BYTES, DEAD_LETTERS_MAX_PER_ORIGIN};
use crate::delivery::{DeadLetter, LetterCount, LetterError, LetterItem, LostFrame, Origin, RefusedReading};
use crate::state::{clamp_seq, loaded_seq};
use crate::stored::{from_sql, to_sql};
use bulkhead_model::{Kind, PointId, Reading, Status, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, Transaction};

/// The tables.
pub(crate) const SCHEMA: &str = "
CREATE TABLE dead_letters(
  id INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL, origin TEXT NOT NULL,
  seq INTEGER, point INTEGER, time INTEGER NOT NULL, status INTEGER, value_kind INTEGER, value,
  transport TEXT, topic TEXT, payload BLOB, payload_bytes INTEGER, retained INTEGER, properties BLOB,
  code TEXT NOT NULL, message TEXT NOT NULL, tries INTEGER NOT NULL, tried_at INTEGER NOT NULL, bytes INTEGER NOT NULL);
CREATE INDEX dead_letters_by_origin ON dead_letters(kind, origin, id, bytes);
CREATE TABLE dead_letters_dropped(
  kind INTEGER NOT NULL, origin TEXT NOT NULL, dropped INTEGER NOT NULL, PRIMARY KEY(kind, origin)) WITHOUT ROWID;
";

/// Gives the dead letters of a route, and the count of those dropped, to another name.
pub(crate) const RENAME_ROUTE: &str = "UPDATE dead_letters SET origin = ?2 WHERE kind = 0 AND origin = ?1";
pub(crate) const RENAME_DROPPED: &str =
    "UPDATE OR REPLACE dead_letters_dropped SET origin = ?2 WHERE kind = 0 AND origin = ?1";
/// Removes the dead letters of a route, and the count of those dropped.
pub(crate) const FORGET_ROUTE: &str = "DELETE FROM dead_letters WHERE kind = 0 AND origin = ?1";
pub(crate) const FORGET_DROPPED: &str = "DELETE FROM dead_letters_dropped WHERE kind = 0 AND origin = ?1";

/// What a row of the table holds, in its column `kind`.
const READING: i64 = 0;
const FRAME: i64 = 1;

const COLUMNS: &str = "id, kind, origin, seq, point, time, status, value_kind, value, transport, topic, payload,
  payload_bytes, retained, properties, code, message, tries, tried_at";

impl<'a> Origin<'a> {
    fn columns(self) -> (i64, &'a str) {
        match self {
            Origin::Route(name) => (READING, name),
            Origin::Connection(name) => (FRAME, name),
        }
    }
}

/// Keeps readings that a route's upstream refused.
pub(crate) fn keep_readings(t: &Transaction<'_>, route: &str, refused: &[RefusedReading]) -> rusqlite::Result<()> {
    if refused.is_empty() {
        return Ok(());
    }
    let mut insert = t.prepare_cached(
        "INSERT INTO dead_letters(kind, origin, seq, point, time, status, value_kind, value,
           code, message, tries, tried_at, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?;
    for RefusedReading { row, error } in refused {
        let reading = &row.reading;
        insert.execute(rusqlite::params![
            READING,
            route,
            clamp_seq(row.seq),
            reading.point.0,
            reading.time.0,
            reading.status.0,
            reading.value.as_ref().map(|value| value.kind().number()),
            to_sql(reading.value.as_ref()),
            error.code,
            error.message,
            error.tries,
            error.time.0,
            stored_bytes(row.weight_bytes() + error.message.len()),
        ])?;
    }
    drop(insert);
    trim(t, Origin::Route(route))
}

/// Keeps frames that a connection's adapter failed on.
pub(crate) fn keep_frames(
    t: &Transaction<'_>,
    connection: &str,
    lost: &[(LostFrame, LetterError)],
) -> rusqlite::Result<()> {
    if lost.is_empty() {
        return Ok(());
    }
    let mut insert = t.prepare_cached(
        "INSERT INTO dead_letters(kind, origin, time, transport, topic, payload, payload_bytes, retained, properties,
           code, message, tries, tried_at, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?;
    for (frame, error) in lost {
        let properties = properties_to_blob(&frame.properties);
        insert.execute(rusqlite::params![
            FRAME,
            connection,
            frame.received.0,
            frame.transport,
            frame.topic,
            frame.payload,
            clamp_seq(frame.payload_bytes),
            frame.retained,
            properties,
            error.code,
            error.message,
            error.tries,
            error.time.0,
            stored_bytes(frame.payload.len() + frame.topic.len() + properties.len() + error.message.len()),
        ])?;
    }
    drop(insert);
    trim(t, Origin::Connection(connection))
}

fn stored_bytes(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Drops the oldest of an origin beyond its bounds, and counts them.
fn trim(t: &Transaction<'_>, origin: Origin<'_>) -> rusqlite::Result<()> {
    let (kind, name) = origin.columns();
    let mut select =
        t.prepare_cached("SELECT id, bytes FROM dead_letters WHERE kind = ?1 AND origin = ?2 ORDER BY id DESC")?;
    let mut rows = select.query((kind, name))?;
    let (mut letters, mut bytes, mut drop_from) = (0, 0_i64, None);
    while let Some(row) = rows.next()? {
        letters += 1;
        bytes = bytes.saturating_add(row.get(1)?);
        // The newest stays, however large it is.
        if letters > DEAD_LETTERS_MAX_PER_ORIGIN || (bytes > DEAD_LETTERS_MAX_BYTES && letters > 1) {
            drop_from = Some(row.get::<_, i64>(0)?);
            break;
        }
    }
    drop(rows);
    let Some(newest) = drop_from else { return Ok(()) };
    let dropped = t
        .prepare_cached("DELETE FROM dead_letters WHERE kind = ?1 AND origin = ?2 AND id <= ?3")?
        .execute((kind, name, newest))?;
    t.prepare_cached(
        "INSERT INTO dead_letters_dropped(kind, origin, dropped) VALUES (?1, ?2, ?3)
           ON CONFLICT(kind, origin) DO UPDATE SET dropped = dropped + excluded.dropped",
    )?
    .execute((kind, name, stored_bytes(dropped)))
    .map(drop)
}

/// Which letters to list.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Listing<'a> {
    pub(crate) origin: Option<Origin<'a>>,
    /// Only those with lower numbers.
    pub(crate) before: Option<u64>,
    pub(crate) limit: usize,
    /// The list ends with the letter that reaches this many bytes.
    pub(crate) max_bytes: usize,
}

/// The newest first.
pub(crate) fn list(c: &Connection, listing: Listing<'_>) -> rusqlite::Result<Vec<DeadLetter>> {
    let (kind, name) = listing.origin.map(Origin::columns).unzip();
    let before = listing.before.map_or(i64::MAX, clamp_seq);
    let limit = i64::try_from(listing.limit).unwrap_or(i64::MAX);
    let mut select = c.prepare_cached(&format!(
        "SELECT {COLUMNS}, bytes FROM dead_letters
         WHERE (?1 IS NULL OR (kind = ?1 AND origin = ?2)) AND id < ?3 ORDER BY id DESC LIMIT ?4"
    ))?;
    let mut rows = select.query((kind, name, before, limit))?;
    let (mut letters, mut bytes) = (Vec::new(), 0_i64);
    let max_bytes = stored_bytes(listing.max_bytes);
    while bytes < max_bytes
        && let Some(row) = rows.next()?
    {
        bytes = bytes.saturating_add(row.get(19)?);
        letters.push(letter_of(row)?);
    }
    Ok(letters)
}

/// The numbers of an origin's letters, the oldest first.
pub(crate) fn numbers(c: &Connection, origin: Origin<'_>, limit: usize) -> rusqlite::Result<Vec<u64>> {
    let (kind, name) = origin.columns();
    c.prepare_cached("SELECT id FROM dead_letters WHERE kind = ?1 AND origin = ?2 ORDER BY id LIMIT ?3")?
        .query_map((kind, name, i64::try_from(limit).unwrap_or(i64::MAX)), |row| row.get(0).map(loaded_seq))?
        .collect()
}

/// One letter.
pub(crate) fn one(c: &Connection, id: u64) -> rusqlite::Result<Option<DeadLetter>> {
    c.prepare_cached(&format!("SELECT {COLUMNS} FROM dead_letters WHERE id = ?1"))?
        .query_row([clamp_seq(id)], letter_of)
        .optional()
}

/// How many there are of an origin.
pub(crate) fn count(c: &Connection, origin: Origin<'_>) -> rusqlite::Result<LetterCount> {
    let kept = c
        .prepare_cached("SELECT count(*) FROM dead_letters WHERE kind = ?1 AND origin = ?2")?
        .query_row(origin.columns(), |row| row.get(0).map(loaded_seq))?;
    let dropped = c
        .prepare_cached("SELECT dropped FROM dead_letters_dropped WHERE kind = ?1 AND origin = ?2")?
        .query_row(origin.columns(), |row| row.get(0).map(loaded_seq))
        .optional()?;
    Ok(LetterCount { kept, dropped: dropped.unwrap_or(0) })
}

/// Takes note of another try that failed.
pub(crate) fn failed_again(t: &Transaction<'_>, id: u64, error: &LetterError) -> rusqlite::Result<()> {
    t.prepare_cached("UPDATE dead_letters SET code = ?2, message = ?3, tries = ?4, tried_at = ?5 WHERE id = ?1")?
        .execute((clamp_seq(id), &error.code, &error.message, error.tries, error.time.0))
        .map(drop)
}

/// Removes one.
pub(crate) fn remove(t: &Transaction<'_>, id: u64) -> rusqlite::Result<usize> {
    t.prepare_cached("DELETE FROM dead_letters WHERE id = ?1")?.execute([clamp_seq(id)])
}

/// Removes all of an origin up to a number.
pub(crate) fn remove_all(t: &Transaction<'_>, origin: Origin<'_>, up_to: u64) -> rusqlite::Result<usize> {
    let (kind, name) = origin.columns();
    t.prepare_cached("DELETE FROM dead_letters WHERE kind = ?1 AND origin = ?2 AND id <= ?3")?.execute((
        kind,
        name,
        clamp_seq(up_to),
    ))
}

fn letter_of(row: &SqlRow<'_>) -> rusqlite::Result<DeadLetter> {
    let origin: String = row.get(2)?;
    let item = match row.get(1)? {
        READING => LetterItem::Reading { route: origin, row: reading_of(row)? },
        FRAME => LetterItem::Frame { connection: origin, frame: frame_of(row)? },
        other => return Err(rusqlite::Error::IntegralValueOutOfRange(1, other)),
    };
    let error =
        LetterError { code: row.get(15)?, message: row.get(16)?, tries: row.get(17)?, time: Timestamp(row.get(18)?) };
    Ok(DeadLetter { id: row.get(0).map(loaded_seq)?, item, error })
}

fn reading_of(row: &SqlRow<'_>) -> rusqlite::Result<Row> {
    let kind: Option<u8> = row.get(7)?;
    let wrong = || rusqlite::Error::IntegralValueOutOfRange(7, kind.map_or(-1, i64::from));
    let value = match kind {
        None => None,
        Some(number) => {
            let kind = Kind::from_number(number).ok_or_else(wrong)?;
            from_sql(kind, row.get_ref(8)?).ok_or_else(wrong)?
        }
    };
    let reading =
        Reading { point: PointId(row.get(4)?), time: Timestamp(row.get(5)?), status: Status(row.get(6)?), value };
    Ok(Row { seq: loaded_seq(row.get(3)?), reading })
}

fn frame_of(row: &SqlRow<'_>) -> rusqlite::Result<LostFrame> {
    Ok(LostFrame {
        transport: row.get(9)?,
        topic: row.get(10)?,
        payload: row.get(11)?,
        payload_bytes: loaded_seq(row.get(12)?),
        received: Timestamp(row.get(5)?),
        retained: row.get(13)?,
        properties: properties_from_blob(row.get_ref(14)?.as_blob()?),
    })
}

/// Pairs of texts as bytes: each text behind its length (u32, little-endian).
fn properties_to_blob(properties: &[(String, String)]) -> Vec<u8> {
    let mut blob = Vec::new();
    for text in properties.iter().flat_map(|(name, value)| [name, value]) {
        // A text of an MQTT packet has at most 65,535 bytes.
        blob.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
        blob.extend(text.as_bytes());
    }
    blob
}

/// Undoes [`properties_to_blob`]; what is damaged ends the list.
fn properties_from_blob(blob: &[u8]) -> Vec<(String, String)> {
    let mut rest = blob;
    std::iter::from_fn(|| Some((take_text(&mut rest)?, take_text(&mut rest)?))).collect()
}

fn take_text(rest: &mut &[u8]) -> Option<String> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (text, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = after;
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn properties_come_back_as_they_were(properties in any::<Vec<(String, String)>>()) {
            prop_assert_eq!(properties_from_blob(&properties_to_blob(&properties)), properties);
        }

        #[test]
        fn damaged_properties_are_never_read_past_their_end(blob in any::<Vec<u8>>()) {
            let bytes: usize = properties_from_blob(&blob).iter().map(|(name, value)| name.len() + value.len() + 8).sum();
            prop_assert!(bytes <= blob.len());
        }
    }
}
