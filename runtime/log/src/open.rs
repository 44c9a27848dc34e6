//! Opening a log: leftovers removed, the place to go on found, latest readings rebuilt, threads started.

use crate::appending::{Appending, start_segment};
use crate::batch::Ring;
use crate::config::{LATEST_SEGMENTS_AT_OPEN, QUEUE_MAX_COMMANDS, RESUME_MAX_ROWS, SEAL_BACKLOG_MAX, SEQ_BLOCK};
use crate::damage::is_damage;
use crate::files::{FileEntry, SegmentFile, io_error, remove_database};
use crate::latest::Latest;
use crate::log::LogId;
use crate::pace::Pace;
use crate::query::QueryPool;
use crate::reader::Readers;
use crate::repair::{self, OpenedState};
use crate::reserve::Reserve;
use crate::scan::{RowFilter, Scan, StoredRow, latest_rows};
use crate::sealer::{self, Closed};
use crate::segment::{self, Knowledge, Live, Segment, key};
use crate::segment_set::SegmentSet;
use crate::shared::{Shared, Snapshot};
use crate::space::Space;
use crate::sqlite::{assert_version, open_append, sqlite_error};
use crate::state::loaded_seq;
use crate::state_schema::LogRecord;
use crate::stats::Counters;
use crate::writer::{Command, Sealer, Writer};
use crate::writer_recovery::Revival;
use crate::{Catalogue, Durability, FileOps, Gap, LogConfig, LogError, WhenFull, clock, verify};
use bulkhead_model::{PointId, Seq, Timestamp};
use parking_lot::{Mutex, RwLock};
use std::collections::{HashMap, HashSet};
use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use tokio::sync::watch;

/// Jobs that may wait for the sealer: every segment of a full backlog, and as many requests for a report.
const SEALER_JOBS_MAX: usize = SEAL_BACKLOG_MAX * 2;
/// What SQLite keeps beside a segment.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// An open log with its writer.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) shared: Arc<Shared>,
    pub(crate) commands: SyncSender<Command>,
    pub(crate) writer: JoinHandle<()>,
}

/// Opens a log or creates it.
pub(crate) fn open(config: LogConfig, files: Arc<dyn FileOps>) -> Result<Opened, LogError> {
    assert_version()?;
    let dir = config.dir.clone();
    files.create_dir(&dir).map_err(io_error("create", &dir))?;
    let lock = lock(&dir)?;
    let entries = files.list(&dir).map_err(io_error("list", &dir))?;
    let found = remove_leftovers(&*files, &dir, &entries)?;
    let reserve = Arc::new(Reserve::new(&dir, config.reserve_bytes, Arc::clone(&files)));
    let OpenedState { state, record, rebuilt } = repair::open_state(&files, &dir, &found, &reserve)?;
    let found = remove_dropped(&*files, &dir, found, loaded_seq(record.dropped_to))?;
    files.sync_dir(&dir).map_err(io_error("sync", &dir))?;
    let id = LogId(Arc::from(record.log_id.as_str()));
    let mut catalogue = Catalogue::default();
    catalogue.insert_all(state.points()?);

    let surveyed = repair::survey(&files, &dir, &found, &state, &record, &mut catalogue)?;
    let last_stored = surveyed.last_stored.max(loaded_seq(record.dropped_to));
    let mut place = place_to_go_on(&record, last_stored, rebuilt.is_some());
    if rebuilt.is_none() && record.closed_at.is_some() && surveyed.damaged == 0 && !surveyed.has_unborn {
        // Closed in order, and nothing is missing: a log that was restored goes on behind its last row.
        place.skipped = None;
    }
    let skipped = repair::unrecorded(&state, &place)?;
    if skipped.is_empty() {
        place.skipped = None;
    }
    let reserved_to =
        on_a_full_disk(state.reserve_to(place.next + SEQ_BLOCK))?.map_or(place.next - 1, |()| place.next + SEQ_BLOCK);
    on_a_full_disk(state.bound_lost_imports(place.next - 1))?;
    let counters = Counters::default();
    counters.count_gaps(&surveyed.gaps);
    counters.files_damaged.fetch_add(surveyed.damaged + u64::from(rebuilt.is_some()), Ordering::Relaxed);
    let gaps = repair::gaps_of_opening(&skipped, place.next, rebuilt.as_ref(), surveyed.damaged > 0);
    counters.count_gaps(&gaps);
    let unrecorded = match gaps.is_empty() || on_a_full_disk(state.note_gaps(gaps.clone()))?.is_some() {
        true => Vec::new(),
        false => gaps,
    };
    let shared = Arc::new(Shared {
        files,
        readers: Arc::new(Readers::new(id.clone())),
        id,
        state,
        catalogue: RwLock::new(Arc::new(catalogue)),
        declaring: Mutex::new(()),
        segments: SegmentSet::new(surveyed.segments),
        ring: RwLock::new(Ring::new(last_stored)),
        latest: RwLock::new(Latest::default()),
        committed: watch::Sender::new(last_stored),
        queries: QueryPool::default(),
        counters,
        own_retention: RwLock::new(config.retention_of_connections.clone()),
        retaining: Mutex::new(()),
        described_from: AtomicU64::new(0),
        dropped_to: AtomicU64::new(loaded_seq(record.dropped_to)),
        reserve,
        may_drop_ahead: AtomicBool::new(config.when_full == WhenFull::DropOldest),
        largest_open: AtomicU64::new(0),
        skipped_at_open: place.skipped,
        _lock: lock,
        config,
    });
    start(shared, Going { next: place.next, reserved_to, unrecorded }, &found)
}

/// What `state.db` could not take because the disk is full may wait for the first reading: none is taken before.
fn on_a_full_disk(written: Result<(), LogError>) -> Result<Option<()>, LogError> {
    match written {
        Err(error) if error.is_full() => {
            tracing::error!(%error, "the disk is full: the log takes no readings until there is room");
            Ok(None)
        }
        written => written.map(Some),
    }
}

/// Where the writer goes on, and what it is to write down first.
struct Going {
    next: Seq,
    reserved_to: Seq,
    unrecorded: Vec<Gap>,
}

/// Takes the folder's lock.
pub(crate) fn lock(dir: &Path) -> Result<File, LogError> {
    let path = dir.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(io_error("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LogError::InUse { dir: dir.to_owned() }),
        Err(TryLockError::Error(error)) => Err(io_error("lock", &path)(error)),
    }
}

/// A new log id: 128 random bits in hexadecimal digits.
pub(crate) fn new_id() -> Result<String, LogError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        io_error("draw a log id for", Path::new("state.db"))(std::io::Error::other(error.to_string()))
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Removes what an interrupted sealing, retention or replacement has left. Returns the segments that stay.
fn remove_leftovers(
    files: &dyn FileOps,
    dir: &Path,
    entries: &[FileEntry],
) -> Result<Vec<(SegmentFile, FileEntry)>, LogError> {
    let parsed: Vec<_> =
        entries.iter().filter_map(|entry| Some((SegmentFile::parse(&entry.name)?, entry.clone()))).collect();
    let sealed: HashSet<Seq> = parsed
        .iter()
        .filter_map(|(file, _)| if let SegmentFile::Sealed { start, .. } = file { Some(*start) } else { None })
        .collect();
    let mut kept = Vec::new();
    for (file, entry) in parsed {
        let leftover = match file {
            SegmentFile::Unfinished => true,
            SegmentFile::Open { start } => sealed.contains(&start),
            SegmentFile::Sealed { .. } => false,
        };
        if leftover {
            remove_database(files, &dir.join(&entry.name))?;
        } else {
            kept.push((file, entry));
        }
    }
    remove_orphans(files, dir, entries)?;
    Ok(kept)
}

/// Removes segments that were dropped but whose files a kill has left: nobody would drop them a second time, and the quota
/// would wait for them to go. Returns the others.
fn remove_dropped(
    files: &dyn FileOps,
    dir: &Path,
    found: Vec<(SegmentFile, FileEntry)>,
    dropped_to: Seq,
) -> Result<Vec<(SegmentFile, FileEntry)>, LogError> {
    let is_dropped = |file: &SegmentFile| matches!(file, SegmentFile::Sealed { last, .. } if *last <= dropped_to);
    let (dropped, kept): (Vec<_>, Vec<_>) = found.into_iter().partition(|(file, _)| is_dropped(file));
    for (_, entry) in dropped {
        remove_database(files, &dir.join(&entry.name))?;
    }
    Ok(kept)
}

/// Removes what SQLite kept beside segments that are no longer there.
fn remove_orphans(files: &dyn FileOps, dir: &Path, entries: &[FileEntry]) -> Result<(), LogError> {
    let names: HashSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    for entry in entries.iter().filter(|entry| entry.name.starts_with("seg-")) {
        let base = COMPANIONS.iter().find_map(|suffix| entry.name.strip_suffix(suffix));
        if base.is_some_and(|base| !names.contains(base)) {
            let path = dir.join(&entry.name);
            match files.remove(&path) {
                // It went with its database just now.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                result => result.map_err(io_error("remove", &path))?,
            }
        }
    }
    Ok(())
}

/// Where a log goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) next: Seq,
    pub(crate) skipped: Option<(Seq, Seq)>,
}

/// Behind the last row after an orderly close; behind everything that was reserved otherwise; and a block further when
/// `state.db` had to be rebuilt: what was reserved, nobody knows for sure then.
fn place_to_go_on(record: &LogRecord, last_stored: Seq, rebuilt: bool) -> Place {
    if rebuilt {
        let closed_at = record.closed_at.map_or(0, loaded_seq);
        let behind = last_stored.max(loaded_seq(record.reserved_to)).max(closed_at) + SEQ_BLOCK;
        return Place { next: behind + 1, skipped: Some((last_stored + 1, behind)) };
    }
    match record.closed_at {
        Some(closed_at) => {
            let closed_at = loaded_seq(closed_at);
            // Rows that were there at the close and are not now: their segment is damaged or gone.
            let skipped = (closed_at > last_stored).then_some((last_stored + 1, closed_at));
            Place { next: last_stored.max(closed_at) + 1, skipped }
        }
        None => {
            let reserved_to = loaded_seq(record.reserved_to);
            let skipped = (reserved_to > last_stored).then_some((last_stored + 1, reserved_to));
            Place { next: last_stored.max(reserved_to) + 1, skipped }
        }
    }
}

/// Finds the segment to append to and starts the threads.
fn start(shared: Arc<Shared>, going: Going, found: &[(SegmentFile, FileEntry)]) -> Result<Opened, LogError> {
    let open = match resume(&shared)? {
        Some(open) => Some(open),
        None => start_segment(&shared, going.next)
            .inspect(|open| shared.segments.push(Arc::clone(&open.segment)))
            .inspect_err(|error| tracing::error!(%error, "no segment can be started yet: the log takes no readings"))
            .ok(),
    };
    let older = note_newest(&shared)?;
    let leftovers = leftovers(&shared, found);
    let (jobs, waiting_jobs) = sync_channel(SEALER_JOBS_MAX);
    let (commands, waiting_commands) = sync_channel(QUEUE_MAX_COMMANDS);
    let ending = Arc::new(AtomicBool::new(false));
    let sealer_thread = spawn("log-sealer", {
        let (shared, ending) = (Arc::clone(&shared), Arc::clone(&ending));
        move || sealer::run(&shared, leftovers, older, &waiting_jobs, &ending)
    })?;
    shared.readers.reports_to(jobs.clone());
    let verifier = spawn("log-verifier", {
        let (shared, ending) = (Arc::clone(&shared), Arc::clone(&ending));
        move || verify::run(&shared, &ending)
    })?;
    let writer = Writer {
        described: Vec::new(),
        described_from: 1,
        described_as: shared.catalogue(),
        pace: Pace::new(shared.config.commit_max_ms, shared.config.commit_quiet_max_ms, clock::monotonic()),
        reserved_to: going.reserved_to,
        unrecorded: going.unrecorded,
        shared: Arc::clone(&shared),
        open,
        sealer: Sealer { jobs, ending, thread: sealer_thread, verifier },
        next_seq: going.next,
        space: Space::default(),
        revival: Revival::default(),
    };
    let writer = spawn("log-writer", move || writer.run(&waiting_commands))?;
    Ok(Opened { shared, commands, writer })
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, LogError> {
    let builder = std::thread::Builder::new().name(name.to_owned());
    builder.spawn(work).map_err(io_error("start a thread for", Path::new(name)))
}

/// The newest segment, if it is open and short enough to go on.
fn resume(shared: &Shared) -> Result<Option<Appending>, LogError> {
    let segments = shared.segments.now();
    let Some(newest) =
        segments.last().filter(|segment| matches!(segment.knowledge, Knowledge::Unread) && !segment.is_suspect())
    else {
        return Ok(None);
    };
    let wrong = sqlite_error("open", &newest.path);
    let full = shared.config.durability == Durability::Full;
    let connection = open_append(&newest.path, full).map_err(&wrong)?;
    let bounds = connection.query_row("SELECT min(seq), max(seq) FROM readings", [], |row| {
        Ok(row.get::<_, Option<i64>>(0)?.zip(row.get::<_, Option<i64>>(1)?))
    });
    let span = bounds.map_err(&wrong)?.map_or(0, |(first, last)| last.abs_diff(first) + 1);
    if span > RESUME_MAX_ROWS.min(u64::from(shared.config.segment_max_rows)) {
        return Ok(None);
    }
    let first_commit = segment::number(&connection, key::FIRST_COMMIT).map_err(&wrong)?.map(Timestamp);
    let live = read_live(&connection).map_err(&wrong)?;
    let rows = live.rows;
    let segment = Segment::live(&shared.config.dir, newest.start, live, Arc::clone(&shared.files));
    let segment = segment.ok_or(LogError::Closed)?;
    shared.segments.resume(Arc::clone(&segment));
    Appending::resume(connection, segment, rows, first_commit).map(Some)
}

/// Reads what is to be known of a short open segment.
fn read_live(connection: &rusqlite::Connection) -> rusqlite::Result<Live> {
    let mut live = Live::default();
    let mut select = connection.prepare("SELECT point, time FROM readings")?;
    let mut rows = select.query([])?;
    let now = clock::now();
    while let Some(row) = rows.next()? {
        live.note_row(PointId(row.get(0)?), row.get(1)?, now);
    }
    Ok(live)
}

/// The open segments that are not gone on with, as the sealer takes them. When their last row was committed nobody knows;
/// their file's last change is close.
fn leftovers(shared: &Shared, found: &[(SegmentFile, FileEntry)]) -> Vec<Closed> {
    let modified_of = |start: Seq| {
        let entry = found.iter().find(|(file, _)| *file == SegmentFile::Open { start });
        entry.map_or_else(clock::now, |(_, entry)| entry.modified)
    };
    let segments = shared.segments.now();
    segments
        .iter()
        .filter(|segment| matches!(segment.knowledge, Knowledge::Unread))
        .map(|segment| Closed {
            segment: Arc::clone(segment),
            connection: None,
            last_commit: modified_of(segment.start),
        })
        .collect()
}

/// Takes the latest readings of the newest segments in. Returns the sealed ones that are left, the newest first.
fn note_newest(shared: &Arc<Shared>) -> Result<Vec<Arc<Segment>>, LogError> {
    let mut older: Vec<_> = shared.segments.now().iter().rev().cloned().collect();
    let unsealed = older.iter().take_while(|segment| !segment.is_sealed()).count();
    let at_once = unsealed.max(LATEST_SEGMENTS_AT_OPEN).min(older.len());
    for segment in older.drain(..at_once) {
        match note_latest_of(shared, &segment) {
            // Its salvage looks for them again.
            Err(error) if is_damage(&error) => shared.note_damage(&segment, &error),
            result => result?,
        }
    }
    Ok(older)
}

/// Takes the latest readings of one segment in, for points of which no later one is known.
pub(crate) fn note_latest_of(shared: &Arc<Shared>, segment: &Arc<Segment>) -> Result<(), LogError> {
    let catalogue = shared.catalogue();
    // With the summary comes the check that the segment is of this log.
    let max_time = match segment.is_sealed() {
        true => shared.summary(segment)?.map_or(i64::MAX, |summary| summary.max_time),
        false => i64::MAX,
    };
    let wanted: HashSet<u32> = {
        let latest = shared.latest.read();
        let current = catalogue.iter().filter(|point| catalogue.is_current(point.id));
        current.filter(|point| latest.may_be_later(point.id, max_time)).map(|point| point.id.0).collect()
    };
    if wanted.is_empty() {
        return Ok(());
    }
    let snapshot = Snapshot { segments: Arc::new(vec![Arc::clone(segment)]), ..shared.snapshot() };
    if segment.is_sealed() {
        let rows = latest_rows(&shared.readers.open(segment)?, &wanted)?;
        for stored in rows {
            shared.latest.write().note_older(&snapshot.row(stored)?);
        }
        return Ok(());
    }
    let mut scan = Scan::new(&snapshot, RowFilter::default(), Arc::clone(&shared.readers));
    let mut latest: HashMap<u32, StoredRow> = HashMap::new();
    while let Some(stored) = scan.next()? {
        // By rising seq: of the same time the one committed last.
        let is_later = latest.get(&stored.point).is_none_or(|known| known.time <= stored.time);
        if is_later && wanted.contains(&stored.point) {
            latest.insert(stored.point, stored);
        }
    }
    for stored in latest.into_values() {
        shared.latest.write().note_older(&snapshot.row(stored)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::SystemFiles;

    fn record(reserved_to: i64, closed_at: Option<i64>) -> LogRecord {
        LogRecord { format: 1, log_id: "a".into(), reserved_to, closed_at, dropped_to: 0 }
    }

    #[test]
    fn after_an_orderly_close_seqs_go_on_and_after_another_end_the_reserved_ones_are_skipped() {
        assert_eq!(place_to_go_on(&record(0, Some(0)), 0, false), Place { next: 1, skipped: None });
        assert_eq!(place_to_go_on(&record(900, Some(10)), 10, false), Place { next: 11, skipped: None });
        assert_eq!(place_to_go_on(&record(900, Some(12)), 10, false), Place { next: 13, skipped: Some((11, 12)) });
        assert_eq!(place_to_go_on(&record(900, None), 10, false), Place { next: 901, skipped: Some((11, 900)) });
        assert_eq!(place_to_go_on(&record(900, None), 950, false), Place { next: 951, skipped: None });
        let behind = 900 + SEQ_BLOCK;
        assert_eq!(
            place_to_go_on(&record(900, Some(10)), 10, true),
            Place { next: behind + 1, skipped: Some((11, behind)) }
        );
    }

    #[test]
    fn leftovers_go_and_segments_stay() {
        let dir = tempfile::tempdir().unwrap();
        let open = |start| SegmentFile::Open { start }.name().unwrap();
        let sealed = SegmentFile::Sealed { start: 1, last: 9 }.name().unwrap();
        let names = [open(1), format!("{}-wal", open(1)), sealed.clone(), open(10), format!("{}-wal", open(10))];
        let gone = ["seg-00000000000000000010.tmp".to_owned(), format!("{}-shm", open(7))];
        for name in names.iter().chain(&gone) {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        std::fs::write(dir.path().join("notes.txt"), "").unwrap();
        let entries = SystemFiles.list(dir.path()).unwrap();
        let kept = remove_leftovers(&SystemFiles, dir.path(), &entries).unwrap();
        assert_eq!(kept.len(), 2);
        let mut left: Vec<_> = SystemFiles.list(dir.path()).unwrap().into_iter().map(|entry| entry.name).collect();
        left.sort();
        let mut expected = vec!["notes.txt".to_owned(), sealed, open(10), format!("{}-wal", open(10))];
        expected.sort();
        assert_eq!(left, expected);
    }
}
