//! The sealer's thread: seals closed segments, applies retention by size after each, and at the start completes the latest
//! readings, and what is known of their times, from older segments.

use crate::LogError;
use crate::damage::is_damage;
use crate::open::note_latest_of;
use crate::retention;
use crate::seal::seal;
use crate::segment::{Knowledge, Segment};
use crate::shared::Shared;
use crate::sqlite::sqlite_error;
use crate::state::loaded_seq;
use bulkhead_model::Timestamp;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use tokio::sync::oneshot;

/// A closed segment.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) segment: Arc<Segment>,
    /// The connection it was appended through, if that was in this process: closing it is left to the sealer.
    pub(crate) connection: Option<Connection>,
    pub(crate) last_commit: Timestamp,
}

/// What the sealer is asked to do.
#[derive(Debug)]
pub(crate) enum Job {
    /// To seal a segment.
    Seal(Closed),
    /// To salvage the segments that have been found damaged.
    Salvage,
    /// To say how the sealings before went.
    Report(oneshot::Sender<Result<(), LogError>>),
}

/// The sealer's work, from the leftovers of earlier processes to the end of its jobs. While `ending`, segments are left
/// as they are: the next open has them sealed.
pub(crate) fn run(
    shared: &Arc<Shared>,
    leftovers: Vec<Closed>,
    older: Vec<Arc<Segment>>,
    jobs: &Receiver<Job>,
    ending: &AtomicBool,
) {
    let mut unsealed = leftovers;
    seal_all(shared, &mut unsealed, ending);
    salvage_all(shared, ending);
    for segment in older {
        if ending.load(Ordering::Acquire) {
            break;
        }
        // With its span of times known, a query that it has nothing for need not open it.
        let known = note_latest_of(shared, &segment).and_then(|()| shared.summary(&segment).map(drop));
        if let Err(error) = known {
            tracing::warn!(segment = %segment.path.display(), %error, "its latest readings cannot be read");
            shared.note_damage(&segment, &error);
        }
    }
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Seal(closed) => {
                unsealed.push(closed);
                seal_all(shared, &mut unsealed, ending);
            }
            Job::Salvage => salvage_all(shared, ending),
            Job::Report(reply) => {
                salvage_all(shared, ending);
                let failure = seal_all(shared, &mut unsealed, ending);
                let failure = failure.or((!unsealed.is_empty()).then_some(LogError::Closed));
                let result = failure.map_or(Ok(()), Err);
                // Whoever asked may have given up waiting.
                let _ = reply.send(result);
            }
        }
    }
}

/// Seals what waits, in order; what fails stays and is tried again with the next job. Returns the last failure.
fn seal_all(shared: &Arc<Shared>, unsealed: &mut Vec<Closed>, ending: &AtomicBool) -> Option<LogError> {
    let mut failure = None;
    unsealed.retain_mut(|closed| {
        if ending.load(Ordering::Acquire) {
            return true;
        }
        match seal_one(shared, closed) {
            Ok(()) => false,
            Err(error) => {
                shared.counters.sealings_failed.fetch_add(1, Ordering::Relaxed);
                tracing::error!(segment = %closed.segment.path.display(), %error, "a segment could not be sealed");
                failure = Some(error);
                true
            }
        }
    });
    failure
}

/// Salvages the damaged segments that do not wait to be sealed; what fails is tried again with the next job.
fn salvage_all(shared: &Arc<Shared>, ending: &AtomicBool) {
    let segments = shared.segments.now();
    for segment in segments.iter().filter(|segment| segment.is_suspect() && segment.is_sealed()) {
        if ending.load(Ordering::Acquire) {
            break;
        }
        if let Err(error) = shared.salvage(segment, None) {
            tracing::error!(segment = %segment.path.display(), %error, "salvage failed; it is tried again");
        }
    }
}

fn seal_one(shared: &Arc<Shared>, closed: &mut Closed) -> Result<(), LogError> {
    let catalogue = shared.catalogue();
    let segment = Arc::clone(&closed.segment);
    if segment.is_suspect() {
        drop_without_checkpoint(closed);
        return shared.salvage(&segment, Some(closed.last_commit));
    }
    let looked = look_at_closed(&segment);
    let sealed =
        looked.and_then(|()| seal(&*shared.files, &catalogue, &segment.path, segment.start, closed.last_commit));
    let sealed = match sealed {
        Err(error) if is_damage(&error) => {
            let error = shared.readers.judge(&segment, error);
            drop_without_checkpoint(closed);
            tracing::debug!(%error, "found at sealing");
            return shared.salvage(&segment, Some(closed.last_commit));
        }
        sealed => sealed?,
    };
    match sealed {
        None => shared.segments.remove(segment.start),
        Some(sealed) => {
            let new = Segment::new(&shared.config.dir, sealed.file, sealed.bytes, Arc::clone(&shared.files))
                .ok_or(LogError::Closed)?;
            if let Knowledge::Sealed { summary, .. } = &new.knowledge {
                summary.get_or_init(|| sealed.summary);
            }
            shared.segments.replace(new);
        }
    }
    shared.readers.forget(segment.start, false);
    drop_without_checkpoint(closed);
    // By size only: what is old is for those to say who know how far the clock is believed.
    if let Err(error) = retention::apply(shared, Timestamp(i64::MIN)) {
        tracing::warn!(%error, "retention could not be applied");
    }
    Ok(())
}

/// Looks for rows that a closed segment does not show any more, before it is sealed; those it shows are checked one by
/// one while they are read.
fn look_at_closed(segment: &Segment) -> Result<(), LogError> {
    let connection = segment.connect()?;
    let wrong = sqlite_error("read", &segment.path);
    let what = match &segment.knowledge {
        Knowledge::Live(live) => {
            let expected = live.lock().rows;
            let found: i64 =
                connection.query_row("SELECT count(*) FROM readings", [], |row| row.get(0)).map_err(wrong)?;
            (loaded_seq(found) != expected).then(|| format!("it has {found} rows, {expected} were written"))
        }
        _ => {
            let said: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(wrong)?;
            (said != "ok").then_some(said)
        }
    };
    what.map_or(Ok(()), |what| Err(LogError::Damaged { path: segment.path.clone(), what }))
}

/// Lets the writer's connection go: its segment is about to be removed, so its WAL need not be moved into it.
fn drop_without_checkpoint(closed: &mut Closed) {
    if let Some(connection) = closed.connection.take() {
        let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
    }
}
