//! Building `state.db` anew when it is damaged or gone: from what holds of the damaged one, and from the segments, each of
//! which carries the log's id and describes the points it uses. What only `state.db` knew and what cannot be read of it any
//! more is lost: cursors (routes begin where their config says), batches on their way, dead letters, adapters' memory.
//!
//! Every step can be the last one before a kill: the new file counts once it is called `state.db.salvaged`, and the next
//! open then finishes what is left to do.

use crate::config::SEQ_BLOCK;
use crate::damage::set_aside;
use crate::files::{FileOps, SegmentFile, io_error, remove_database, with_suffix};
use crate::sqlite::{open_append, open_sealed, open_state, sqlite_error};
use crate::state::{State, clamp_seq, store_point};
use crate::state_schema::{key, read_or_create};
use crate::state_sum::{Copied, copy_sound, open_damaged};
use crate::{Catalogue, LogError, Point};
use bulkhead_model::{Kind, PointId, PointInfo, Seq};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is put behind `state.db` while a new one is made.
const UNFINISHED: &str = ".tmp";
/// What is put behind `state.db` when the new one is whole.
const FINISHED: &str = ".salvaged";

/// How a rebuilding went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Rebuilt {
    /// Where the damaged file is now; none when there was none.
    pub(crate) aside: Option<PathBuf>,
    /// How each table's rows came over; empty when nothing could be read.
    pub(crate) copied: Vec<Copied>,
    /// Cursors may be missing.
    pub(crate) cursors_lost: bool,
}

/// What is known from elsewhere and need not be found out: of a log that is open.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    pub(crate) log_id: Option<String>,
    pub(crate) reserved_to: Seq,
    pub(crate) dropped_to: Seq,
    /// In the order of declaring.
    pub(crate) points: Vec<Arc<Point>>,
}

/// A segment's file as a source of points and of the log's id.
pub(crate) type Source = (SegmentFile, PathBuf);

/// Finishes a replacement that was interrupted, and removes one that had not come so far. True when `state.db` is new now.
pub(crate) fn finish_interrupted(files: &dyn FileOps, state: &Path) -> Result<bool, LogError> {
    remove_database(files, &with_suffix(state, UNFINISHED))?;
    let finished = with_suffix(state, FINISHED);
    let name = finished.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let dir = state.parent().unwrap_or(Path::new("."));
    let is_there = files.list(dir).map_err(io_error("list", dir))?.iter().any(|entry| entry.name == name);
    if is_there {
        replace(files, state)?;
    }
    Ok(is_there)
}

/// Builds a new `state.db` and puts it in the place of the one that is there, if there is one; that one is set aside.
pub(crate) fn rebuild(
    files: &dyn FileOps,
    state: &Path,
    sources: &[Source],
    new_id: &str,
    known: &Known,
) -> Result<Rebuilt, LogError> {
    let is_there = state.exists();
    let aside = if is_there { Some(set_aside(files, state)?) } else { None };
    let unfinished = with_suffix(state, UNFINISHED);
    remove_database(files, &unfinished)?;
    let wrong = sqlite_error("rebuild", state);
    let mut new = open_state(&unfinished).map_err(&wrong)?;
    read_or_create(&mut new, new_id).map_err(&wrong)?;
    let copied = if is_there { copy_what_holds(state, &new) } else { Vec::new() };
    let fill = || -> rusqlite::Result<()> {
        new.execute_batch("BEGIN")?;
        let found_id = take_points(&new, sources)?;
        known.points.iter().try_for_each(|point| store_point(&new, point))?;
        complete_record(&new, sources, new_id, found_id, known)?;
        if !is_whole(&copied, "imports") {
            // At an opening nobody has looked yet which seqs there are.
            let to = known.log_id.is_some().then_some(known.reserved_to);
            crate::imports::note_lost(&new, to)?;
        }
        new.execute_batch("COMMIT")
    };
    fill().map_err(&wrong)?;
    new.close().map_err(|(_, error)| wrong(error))?;
    files.sync_file(&unfinished).map_err(io_error("sync", &unfinished))?;
    let finished = with_suffix(state, FINISHED);
    files.rename(&unfinished, &finished).map_err(io_error("rename", &unfinished))?;
    let dir = state.parent().unwrap_or(Path::new("."));
    files.sync_dir(dir).map_err(io_error("sync", dir))?;
    replace(files, state)?;
    let cursors_lost = !is_whole(&copied, "cursors");
    Ok(Rebuilt { aside, copied, cursors_lost })
}

/// Whether all of a table came over.
fn is_whole(copied: &[Copied], table: &str) -> bool {
    copied.iter().any(|copied| copied.table == table && !copied.is_partial)
}

/// Puts the finished file in the place of the damaged one. The WAL goes first and for sure: beside a new database it would
/// be taken for its own.
fn replace(files: &dyn FileOps, state: &Path) -> Result<(), LogError> {
    let dir = state.parent().unwrap_or(Path::new("."));
    for suffix in ["-wal", "-shm", "-journal"] {
        let path = with_suffix(state, suffix);
        match files.remove(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            result => result.map_err(io_error("remove", &path))?,
        }
    }
    files.sync_dir(dir).map_err(io_error("sync", dir))?;
    let finished = with_suffix(state, FINISHED);
    files.rename(&finished, state).map_err(io_error("rename", &finished))?;
    files.sync_dir(dir).map_err(io_error("sync", dir))
}

/// Copies what holds of the damaged file; nothing when it cannot even be opened.
fn copy_what_holds(damaged: &Path, new: &Connection) -> Vec<Copied> {
    let copy = || -> rusqlite::Result<Vec<Copied>> {
        let damaged = open_damaged(damaged)?;
        // What is set aside is this file under another name: it stays as it is.
        damaged.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        copy_sound(&damaged, new)
    };
    copy().unwrap_or_else(|error| {
        tracing::debug!(%error, "nothing can be read of the damaged state.db");
        Vec::new()
    })
}

/// Takes the points of all segments that can be read, the newest segment first, where they are not known already. Returns
/// the log id that most segments carry.
fn take_points(new: &Connection, sources: &[Source]) -> rusqlite::Result<Option<String>> {
    let mut newest_first: Vec<_> = sources.iter().collect();
    newest_first.sort_by_key(|(file, _)| std::cmp::Reverse(file.start()));
    let mut ids: BTreeMap<String, usize> = BTreeMap::new();
    let mut described: HashSet<i64> = HashSet::new();
    for (file, path) in newest_first {
        match points_of(*file, path) {
            Ok((id, points)) => {
                *ids.entry(id).or_default() += 1;
                for point in points {
                    if described.insert(point.id) {
                        store_if_unknown(new, &point)?;
                    }
                }
            }
            Err(error) => tracing::debug!(segment = %path.display(), %error, "no points can be read of this segment"),
        }
    }
    Ok(ids.into_iter().max_by_key(|(_, count)| *count).map(|(id, _)| id))
}

/// Takes the points of a segment in that `state.db` does not know: the commit that declared them is lost.
pub(crate) fn adopt_points(state: &State, catalogue: &mut Catalogue, segment: &Path) -> Result<(), LogError> {
    let start = SegmentFile::Open { start: 0 };
    let (_, described) = points_of(start, segment).map_err(sqlite_error("read", segment))?;
    let unknown: Vec<Arc<Point>> = described
        .into_iter()
        .filter_map(Described::point)
        .filter(|point| catalogue.by_id(point.id).is_none())
        .map(Arc::new)
        .collect();
    if !unknown.is_empty() {
        tracing::warn!(points = unknown.len(), "state.db did not know points that have readings: they are taken in");
        state.store_points(unknown.clone())?;
        catalogue.insert_all(unknown.into_iter().map(|point| (point, true)));
    }
    Ok(())
}

/// Says in the journal what became of `state.db`.
pub(crate) fn tell(state: &Path, why: &str, rebuilt: &Rebuilt) {
    let partial: Vec<&str> =
        rebuilt.copied.iter().filter(|copied| copied.is_partial).map(|copied| copied.table.as_str()).collect();
    let set_aside = rebuilt.aside.as_ref().map_or_else(|| "nowhere".to_owned(), |path| path.display().to_string());
    tracing::error!(
        file = %state.display(),
        set_aside,
        cursors_lost = rebuilt.cursors_lost,
        tables_in_part = partial.join(", "),
        "state.db is damaged ({why}) and was built anew from what could be read and from the segments; routes whose \
         cursor is lost begin where their config says; check the disk"
    );
}

/// A point as a segment describes it.
struct Described {
    id: i64,
    connection: String,
    name: String,
    kind: i64,
    unit: Option<String>,
    description: Option<String>,
}

impl Described {
    /// The point; none when its kind is one that this version does not know.
    fn point(self) -> Option<Point> {
        let kind = Kind::from_number(u8::try_from(self.kind).ok()?)?;
        let info = PointInfo { unit: self.unit, description: self.description, ..PointInfo::new(self.name, kind) };
        Some(Point { id: PointId(u32::try_from(self.id).ok()?), connection: self.connection.into(), info: info.into() })
    }
}

fn points_of(file: SegmentFile, path: &Path) -> rusqlite::Result<(String, Vec<Described>)> {
    let is_sealed = matches!(file, SegmentFile::Sealed { .. });
    if std::fs::metadata(path).is_ok_and(|metadata| metadata.len() == 0) {
        // SQLite would remove its WAL, in which there may be rows.
        return Err(rusqlite::Error::InvalidPath(path.to_owned()));
    }
    let connection = if is_sealed { open_sealed(path)? } else { open_append(path, true)? };
    if !is_sealed {
        // It may be salvaged next: it is left as it is.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    }
    let id =
        connection
            .query_row("SELECT value FROM segment WHERE key = ?1", [crate::segment::key::LOG_ID], |row| row.get(0))?;
    let mut select =
        connection.prepare("SELECT id, connection, name, kind, unit, description FROM points ORDER BY id DESC")?;
    let points = select.query_map([], |row| {
        Ok(Described {
            id: row.get(0)?,
            connection: row.get(1)?,
            name: row.get(2)?,
            kind: row.get(3)?,
            unit: row.get(4)?,
            description: row.get(5)?,
        })
    })?;
    Ok((id, points.collect::<rusqlite::Result<_>>()?))
}

/// Stores a point unless its number or its name and kind are known. It becomes the one its name stands for if none is yet.
fn store_if_unknown(new: &Connection, point: &Described) -> rusqlite::Result<()> {
    let Described { id, connection, name, kind, unit, description } = point;
    let has_current = new
        .prepare_cached("SELECT 1 FROM points WHERE connection = ?1 AND name = ?2 AND current")?
        .exists((connection, name))?;
    new.prepare_cached(
        "INSERT OR IGNORE INTO points(id, connection, name, kind, unit, writable, description, current)
         VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7)",
    )?
    .execute((id, connection, name, kind, unit, description, !has_current))
    .map(drop)
}

/// Fills in what the record of the log needs and does not have.
fn complete_record(
    new: &Connection,
    sources: &[Source],
    new_id: &str,
    found_id: Option<String>,
    known: &Known,
) -> rusqlite::Result<()> {
    const PUT: &str = "INSERT OR REPLACE INTO log(key, value) VALUES (?1, ?2)";
    let number = |key: &str| -> rusqlite::Result<Option<i64>> {
        new.query_row("SELECT value FROM log WHERE key = ?1", [key], |row| row.get(0)).optional()
    };
    let id: String = new.query_row("SELECT value FROM log WHERE key = ?1", [key::LOG_ID], |row| row.get(0))?;
    let was_read = id != new_id;
    if let Some(id) = known.log_id.clone().or_else(|| found_id.filter(|_| !was_read)) {
        new.execute(PUT, (key::LOG_ID, id))?;
    }
    let mut reserved = number(key::RESERVED_TO)?.unwrap_or(0).max(clamp_seq(known.reserved_to));
    let is_opening = known.log_id.is_none();
    if is_opening {
        // What was given, nobody knows for sure. It is written here and now: were it only kept in mind, a second failure
        // before the next reservation would forget it, and seqs would be given twice.
        let given = sources.iter().map(|(file, _)| file.known_to()).max().unwrap_or(0);
        let closed_at = number(key::CLOSED_AT)?.unwrap_or(0);
        reserved = reserved.max(closed_at).max(clamp_seq(given)).saturating_add(clamp_seq(SEQ_BLOCK));
    }
    new.execute(PUT, (key::RESERVED_TO, reserved))?;
    if is_opening || reserved == 0 || number(key::CLOSED_AT)? == Some(0) {
        // That is what the table of a new log says; this one was in use.
        new.execute("DELETE FROM log WHERE key = ?1", [key::CLOSED_AT])?;
    }
    if number(key::DROPPED_TO)?.unwrap_or(0) == 0 {
        let first = sources.iter().filter_map(|(file, _)| file.start()).min().unwrap_or(1);
        let dropped_to = if known.log_id.is_some() { known.dropped_to } else { first.saturating_sub(1) };
        new.execute(PUT, (key::DROPPED_TO, clamp_seq(dropped_to)))?;
    }
    Ok(())
}
