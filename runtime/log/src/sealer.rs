//! The sealer's thread: seals closed segments, applies retention after each, and at the start completes the latest
//! readings, and what is known of their times, from older segments.

use crate::LogError;
use crate::clock;
use crate::expiry;
use crate::open::note_latest_of;
use crate::retention;
use crate::seal::seal;
use crate::segment::{Knowledge, Segment};
use crate::shared::Shared;
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
    for segment in older {
        if ending.load(Ordering::Acquire) {
            break;
        }
        // With its span of times known, a query that it has nothing for need not open it.
        let known = note_latest_of(shared, &segment).and_then(|()| shared.summary(&segment).map(drop));
        if let Err(error) = known {
            tracing::warn!(segment = %segment.path.display(), %error, "its latest readings cannot be read");
        }
    }
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Seal(closed) => {
                unsealed.push(closed);
                seal_all(shared, &mut unsealed, ending);
            }
            Job::Report(reply) => {
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
        match seal_one(shared, closed, ending) {
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

fn seal_one(shared: &Arc<Shared>, closed: &mut Closed, ending: &AtomicBool) -> Result<(), LogError> {
    let segment = &closed.segment;
    let catalogue = shared.catalogue();
    let sealed = seal(&*shared.files, &catalogue, &segment.path, segment.start, closed.last_commit)?;
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
    if let Some(connection) = closed.connection.take() {
        // The twin is about to be removed: its WAL need not be moved into it first.
        let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
    }
    let now = clock::now();
    if let Err(error) =
        retention::apply(shared, now).and_then(|_| expiry::apply(shared, now, || ending.load(Ordering::Acquire)))
    {
        tracing::warn!(%error, "retention could not be applied");
    }
    Ok(())
}
