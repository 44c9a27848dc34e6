//! `state.db`: what the log knows beside its rows. Every write is durable when its function returns.

use crate::config::{ADAPTER_STATE_KEY_MAX_BYTES, ADAPTER_STATE_MAX_KEYS};
use crate::group::GroupedDatabase;
use crate::letters::{self, Listing};
use crate::mend::{Memory, Mender};
use crate::reserve::Reserve;
use crate::sqlite::{open_state, sqlite_error};
use crate::state_schema::{FORMAT, LogRecord, key, read_or_create};
use crate::{
    DeadLetter, FileOps, InFlight, LetterCount, LetterError, LogError, LostFrame, Origin, Point, RefusedReading,
};
use bulkhead_model::{Kind, PointId, PointInfo, Seq, WriteLimits};
use parking_lot::Mutex;
use rusqlite::{OptionalExtension, Row, Transaction};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The open `state.db`.
#[derive(Debug)]
pub(crate) struct State {
    database: GroupedDatabase,
    /// Held while an adapter's memory is checked against its bounds and written.
    adapter_state: Mutex<()>,
    /// For mending.
    memory: Arc<Mutex<Memory>>,
}

/// A seq as SQLite stores it.
pub(crate) fn stored_seq(seq: Seq) -> Result<i64, LogError> {
    i64::try_from(seq).map_err(|_| LogError::OutOfRange { what: "the seq", number: seq })
}

/// A seq as it was stored; it was never negative.
pub(crate) fn loaded_seq(stored: i64) -> Seq {
    Seq::try_from(stored).unwrap_or(0)
}

impl State {
    /// Opens it, or creates it with a new log id.
    pub(crate) fn open(path: &Path, new_id: &str, reserve: Arc<Reserve>) -> Result<(Self, LogRecord), LogError> {
        let wrong = sqlite_error("open", path);
        let mut connection = open_state(path).map_err(&wrong)?;
        let record = read_or_create(&mut connection, new_id).map_err(&wrong)?;
        if record.format != FORMAT {
            let what = format!("format {} was found, {FORMAT} expected", record.format);
            return Err(LogError::Format { path: path.to_owned(), what });
        }
        let database = GroupedDatabase::new(path.to_owned(), connection, open_state, reserve);
        let memory = Memory {
            log_id: record.log_id.clone(),
            reserved_to: loaded_seq(record.reserved_to),
            dropped_to: loaded_seq(record.dropped_to),
            ..Memory::default()
        };
        Ok((Self { database, adapter_state: Mutex::new(()), memory: Arc::new(Mutex::new(memory)) }, record))
    }

    /// Has it rebuilt when it is found damaged.
    pub(crate) fn mends_itself_with(&self, path: &Path, files: Arc<dyn FileOps>) {
        self.database.mended_by(Mender { path: path.to_owned(), files, memory: Arc::clone(&self.memory) });
    }

    /// Notes that everything up to a seq has been dropped.
    pub(crate) fn note_dropped(&self, seq: Seq) {
        self.memory.lock().dropped_to = seq;
    }

    /// Notes points, so that they can be stored again.
    fn remember(&self, points: &[(Arc<Point>, bool)]) {
        let mut memory = self.memory.lock();
        // Those a name has moved on from first.
        let former = points.iter().filter(|(_, current)| !current);
        former.chain(points.iter().filter(|(_, current)| *current)).for_each(|(point, _)| memory.declare(point));
    }

    /// Changes `state.db` in one transaction; durable when it returns.
    pub(crate) fn write(
        &self,
        write: impl Fn(&Transaction<'_>) -> rusqlite::Result<()> + Send + 'static,
    ) -> Result<(), LogError> {
        self.database.write(write)
    }

    /// Reads `state.db`.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T>,
    ) -> Result<T, LogError> {
        self.database.read(read)
    }

    /// Reserves the seqs up to one; the log counts as open from then on.
    pub(crate) fn reserve_to(&self, seq: Seq) -> Result<(), LogError> {
        self.memory.lock().reserved_to = seq;
        let seq = stored_seq(seq)?;
        self.database.write(move |t| {
            t.execute("UPDATE log SET value = ?2 WHERE key = ?1", (key::RESERVED_TO, seq))?;
            t.execute("DELETE FROM log WHERE key = ?1", [key::CLOSED_AT]).map(drop)
        })
    }

    /// Records that the log was closed in order, and the last seq it gave.
    pub(crate) fn closed_at(&self, seq: Seq) -> Result<(), LogError> {
        let seq = stored_seq(seq)?;
        self.database.write(move |t| t.execute(UPSERT_LOG, (key::CLOSED_AT, seq)).map(drop))
    }

    /// All points; true: the one its name stands for.
    pub(crate) fn points(&self) -> Result<Vec<(Arc<Point>, bool)>, LogError> {
        let points = self.read_points()?;
        self.remember(&points);
        Ok(points)
    }

    fn read_points(&self) -> Result<Vec<(Arc<Point>, bool)>, LogError> {
        self.database.read(|connection| {
            let mut select = connection.prepare(
                "SELECT id, connection, name, kind, unit, poll_group, writable, write_min, write_max, description,
                   current FROM points ORDER BY connection, id",
            )?;
            let mut interned: Arc<str> = Arc::from("");
            let mut points = Vec::new();
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                let name = row.get_ref(1)?.as_str()?;
                if *interned != *name {
                    interned = Arc::from(name);
                }
                points.push((Arc::new(point_of(row, Arc::clone(&interned))?), row.get(10)?));
            }
            Ok(points)
        })
    }

    /// Stores points, new and changed; each becomes the one its name stands for.
    pub(crate) fn store_points(&self, points: Vec<Arc<Point>>) -> Result<(), LogError> {
        let declared: Vec<_> = points.iter().map(|point| (Arc::clone(point), true)).collect();
        self.database.write(move |t| points.iter().try_for_each(|point| store_point(t, point)))?;
        self.remember(&declared);
        Ok(())
    }

    pub(crate) fn cursor(&self, name: &str) -> Result<Option<Seq>, LogError> {
        self.database.read(|c| {
            c.prepare_cached("SELECT seq FROM cursors WHERE name = ?1")?
                .query_row([name], |row| row.get(0).map(loaded_seq))
                .optional()
        })
    }

    pub(crate) fn cursors(&self) -> Result<Vec<(String, Seq)>, LogError> {
        self.database.read(|c| {
            c.prepare_cached("SELECT name, seq FROM cursors ORDER BY name")?
                .query_map([], |row| Ok((row.get(0)?, loaded_seq(row.get(1)?))))?
                .collect()
        })
    }

    pub(crate) fn set_cursor(&self, name: &str, seq: Seq) -> Result<(), LogError> {
        let (name, seq) = (name.to_owned(), stored_seq(seq)?);
        self.database.write(move |t| t.prepare_cached(UPSERT_CURSOR)?.execute((&name, seq)).map(drop))
    }

    pub(crate) fn remove_cursor(&self, name: &str) -> Result<(), LogError> {
        let name = name.to_owned();
        self.database.write(move |t| t.execute("DELETE FROM cursors WHERE name = ?1", [&name]).map(drop))
    }

    /// Moves a cursor with all that a route keeps beside it, if the old name has one and the new name none.
    pub(crate) fn rename_route(&self, from: &str, to: &str) -> Result<bool, LogError> {
        if self.cursor(from)?.is_none() || self.cursor(to)?.is_some() {
            return Ok(false);
        }
        let (from, to) = (from.to_owned(), to.to_owned());
        self.database.write(move |t| {
            for statement in [
                "UPDATE OR REPLACE cursors SET name = ?2 WHERE name = ?1",
                "UPDATE OR REPLACE in_flight SET route = ?2 WHERE route = ?1",
                letters::RENAME_ROUTE,
                letters::RENAME_DROPPED,
            ] {
                t.execute(statement, (&from, &to))?;
            }
            Ok(())
        })?;
        Ok(true)
    }

    /// Removes a cursor with the batch in flight and the dead letters of its route.
    pub(crate) fn forget_route(&self, route: &str) -> Result<(), LogError> {
        let route = route.to_owned();
        self.database.write(move |t| {
            for statement in [
                "DELETE FROM cursors WHERE name = ?1",
                "DELETE FROM in_flight WHERE route = ?1",
                letters::FORGET_ROUTE,
                letters::FORGET_DROPPED,
            ] {
                t.execute(statement, [&route])?;
            }
            Ok(())
        })
    }

    pub(crate) fn in_flight(&self, route: &str) -> Result<Option<InFlight>, LogError> {
        self.database.read(|c| {
            c.prepare_cached("SELECT revision, first, last FROM in_flight WHERE route = ?1")?
                .query_row([route], |row| {
                    Ok(InFlight {
                        revision: row.get(0)?,
                        first: loaded_seq(row.get(1)?),
                        last: loaded_seq(row.get(2)?),
                    })
                })
                .optional()
        })
    }

    pub(crate) fn begin_batch(&self, route: &str, batch: InFlight) -> Result<(), LogError> {
        let (route, first, last) = (route.to_owned(), stored_seq(batch.first)?, stored_seq(batch.last)?);
        self.database.write(move |t| {
            t.prepare_cached(UPSERT_IN_FLIGHT)?.execute((&route, &batch.revision, first, last)).map(drop)
        })
    }

    pub(crate) fn finish_batch(
        &self,
        route: &str,
        cursor: Seq,
        rest: Option<InFlight>,
        refused: Vec<RefusedReading>,
    ) -> Result<(), LogError> {
        let (route, cursor) = (route.to_owned(), stored_seq(cursor)?);
        let rest = rest
            .map(|rest| Ok::<_, LogError>((rest.revision, stored_seq(rest.first)?, stored_seq(rest.last)?)))
            .transpose()?;
        self.database.write(move |t| {
            t.prepare_cached(UPSERT_CURSOR)?.execute((&route, cursor))?;
            match &rest {
                Some((revision, first, last)) => {
                    t.prepare_cached(UPSERT_IN_FLIGHT)?.execute((&route, revision, first, last))?
                }
                None => t.prepare_cached("DELETE FROM in_flight WHERE route = ?1")?.execute([&route])?,
            };
            letters::keep_readings(t, &route, &refused)
        })
    }

    pub(crate) fn keep_frames(&self, connection: &str, lost: Vec<(LostFrame, LetterError)>) -> Result<(), LogError> {
        let connection = connection.to_owned();
        self.database.write(move |t| letters::keep_frames(t, &connection, &lost))
    }

    pub(crate) fn dead_letters(&self, listing: Listing<'_>) -> Result<Vec<DeadLetter>, LogError> {
        self.database.read(|c| letters::list(c, listing))
    }

    pub(crate) fn dead_letter(&self, id: u64) -> Result<Option<DeadLetter>, LogError> {
        self.database.read(|c| letters::one(c, id))
    }

    pub(crate) fn dead_letter_numbers(&self, origin: Origin<'_>, limit: usize) -> Result<Vec<u64>, LogError> {
        self.database.read(|c| letters::numbers(c, origin, limit))
    }

    pub(crate) fn dead_letter_count(&self, origin: Origin<'_>) -> Result<LetterCount, LogError> {
        self.database.read(|c| letters::count(c, origin))
    }

    pub(crate) fn dead_letter_failed(&self, id: u64, error: LetterError) -> Result<(), LogError> {
        self.database.write(move |t| letters::failed_again(t, id, &error))
    }

    pub(crate) fn remove_dead_letter(&self, id: u64) -> Result<bool, LogError> {
        self.counted(move |t| letters::remove(t, id)).map(|removed| removed > 0)
    }

    pub(crate) fn remove_dead_letters(&self, origin: Origin<'_>, up_to: u64) -> Result<u64, LogError> {
        let (is_route, name) = match origin {
            Origin::Route(name) => (true, name.to_owned()),
            Origin::Connection(name) => (false, name.to_owned()),
        };
        self.counted(move |t| {
            let origin = if is_route { Origin::Route(&name) } else { Origin::Connection(&name) };
            letters::remove_all(t, origin, up_to)
        })
    }

    /// A write that says how many rows it changed.
    fn counted(
        &self,
        write: impl Fn(&Transaction<'_>) -> rusqlite::Result<usize> + Send + 'static,
    ) -> Result<u64, LogError> {
        let changed = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&changed);
        self.database.write(move |t| write(t).map(|rows| count.store(rows as u64, Ordering::Release)))?;
        Ok(changed.load(Ordering::Acquire))
    }

    pub(crate) fn adapter_get(&self, connection: &str, name: &str) -> Result<Option<Vec<u8>>, LogError> {
        self.database.read(|c| {
            c.prepare_cached("SELECT value FROM adapter_state WHERE connection = ?1 AND key = ?2")?
                .query_row((connection, name), |row| row.get(0))
                .optional()
        })
    }

    pub(crate) fn adapter_set(
        &self,
        connection: &str,
        name: &str,
        value: &[u8],
        max_bytes: usize,
    ) -> Result<(), LogError> {
        let _alone = self.adapter_state.lock();
        let (keys, bytes) = self.database.read(|c| {
            c.prepare_cached(
                "SELECT count(*), coalesce(sum(length(CAST(key AS BLOB)) + length(value)), 0) FROM adapter_state
                 WHERE connection = ?1 AND key <> ?2",
            )?
            .query_row((connection, name), |row| Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?)))
        })?;
        let (keys, bytes) = (keys as usize, bytes as usize);
        if let Some(what) = adapter_state_excess(name.len(), keys + 1, bytes + name.len() + value.len(), max_bytes) {
            return Err(LogError::StateFull { connection: connection.to_owned(), what });
        }
        let (connection, name, value) = (connection.to_owned(), name.to_owned(), value.to_owned());
        self.database.write(move |t| {
            t.prepare_cached("INSERT OR REPLACE INTO adapter_state(connection, key, value) VALUES (?1, ?2, ?3)")?
                .execute((&connection, &name, &value))
                .map(drop)
        })
    }

    pub(crate) fn adapter_remove(&self, connection: &str, name: &str) -> Result<(), LogError> {
        let _alone = self.adapter_state.lock();
        let (connection, name) = (connection.to_owned(), name.to_owned());
        self.database.write(move |t| {
            t.execute("DELETE FROM adapter_state WHERE connection = ?1 AND key = ?2", (&connection, &name)).map(drop)
        })
    }
}

const UPSERT_LOG: &str = "INSERT OR REPLACE INTO log(key, value) VALUES (?1, ?2)";
const UPSERT_IN_FLIGHT: &str = "INSERT OR REPLACE INTO in_flight(route, revision, first, last) VALUES (?1, ?2, ?3, ?4)";
const UPSERT_CURSOR: &str = "INSERT OR REPLACE INTO cursors(name, seq) VALUES (?1, ?2)";

/// Which bound an adapter's memory would go beyond with so many keys and bytes.
fn adapter_state_excess(key_bytes: usize, keys: usize, bytes: usize, max_bytes: usize) -> Option<String> {
    if key_bytes == 0 || key_bytes > ADAPTER_STATE_KEY_MAX_BYTES {
        Some(format!("a key has 1 to {ADAPTER_STATE_KEY_MAX_BYTES} bytes, this one {key_bytes}"))
    } else if keys > ADAPTER_STATE_MAX_KEYS {
        Some(format!("it has {ADAPTER_STATE_MAX_KEYS} keys already; remove one first"))
    } else if bytes > max_bytes {
        Some(format!("keys and values would take {bytes} bytes, {max_bytes} are the most"))
    } else {
        None
    }
}

fn point_of(row: &Row<'_>, connection: Arc<str>) -> rusqlite::Result<Point> {
    let kind = Kind::from_number(row.get(3)?).ok_or(rusqlite::Error::IntegralValueOutOfRange(3, row.get(3)?))?;
    let writable: bool = row.get(6)?;
    let write = if writable { Some(WriteLimits { min: row.get(7)?, max: row.get(8)? }) } else { None };
    let info =
        PointInfo { name: row.get(2)?, kind, unit: row.get(4)?, group: row.get(5)?, write, description: row.get(9)? };
    Ok(Point { id: PointId(row.get(0)?), connection, info: info.into() })
}

pub(crate) fn store_point(t: &rusqlite::Connection, point: &Point) -> rusqlite::Result<()> {
    let info = &point.info;
    t.prepare_cached("UPDATE points SET current = 0 WHERE connection = ?1 AND name = ?2")?
        .execute((&*point.connection, &info.name))?;
    t.prepare_cached(
        "INSERT OR REPLACE INTO points(id, connection, name, kind, unit, poll_group, writable, write_min, write_max,
           description, current) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 1)",
    )?
    .execute((
        point.id.0,
        &*point.connection,
        &info.name,
        info.kind.number(),
        &info.unit,
        &info.group,
        info.write.is_some(),
        info.write.and_then(|limits| limits.min),
        info.write.and_then(|limits| limits.max),
        &info.description,
    ))
    .map(drop)
}

/// A seq for a column; the seqs this process gives never come near the bound.
pub(crate) fn clamp_seq(seq: Seq) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}
