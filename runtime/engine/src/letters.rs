//! Dead letters: what a person does with them. A reading goes to the sink of its route once more, a frame to the adapter
//! of its connection; what is taken is removed, what is not keeps its reason.

use crate::blocking::blocking;
use crate::clock::SystemClock;
use crate::command::ask;
use crate::connection::{ReplayedFrame, Request};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::route::{Replay, replay};
use bulkhead_log::{DeadLetter, LetterError, LetterItem, LogError, LostFrame, Origin, Row};
use bulkhead_sandbox::capability::{Clock, Fault, Frame, FrameKind, Remedy};
use bulkhead_sandbox::{CallError, Role};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for one replay; what goes on then is not undone, and the letter stays.
const REPLAY_MAX: Duration = Duration::from_secs(30);
/// Most dead letters replayed at a request.
const REPLAYS_MAX: usize = 1_000;
/// Time for the replays of one request; what is left then is for the next.
const REPLAYS_TIME_MAX: Duration = Duration::from_secs(30);

/// Whose dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LetterOwner {
    /// Readings that the upstream of this route refused.
    Route(String),
    /// Frames that the adapter of this connection failed on.
    Connection(String),
}

impl LetterOwner {
    /// The same for the log.
    #[must_use]
    pub fn origin(&self) -> Origin<'_> {
        match self {
            LetterOwner::Route(name) => Origin::Route(name),
            LetterOwner::Connection(name) => Origin::Connection(name),
        }
    }
}

/// What the replay of many dead letters came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Replayed {
    /// Taken and removed.
    pub taken: u64,
    /// Refused again; they stay.
    pub refused: u64,
    /// Why it ended before the last, where it did: the next tries would fail alike.
    pub stopped: Option<String>,
    /// How many the origin has now.
    pub kept: u64,
}

/// Dead letters that are being replayed: each by one request at a time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Replaying(Arc<Mutex<BTreeSet<u64>>>);

/// A place in [`Replaying`], given back when it is dropped.
struct Held {
    all: Replaying,
    letter: u64,
}

impl Replaying {
    fn hold(&self, letter: u64) -> Option<Held> {
        self.0.lock().insert(letter).then(|| Held { all: self.clone(), letter })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.0.lock().remove(&self.letter);
    }
}

impl Engine {
    /// Tries a dead letter again. When it is taken it is removed; else its error and number of tries are renewed.
    ///
    /// # Errors
    /// [`EngineError`]: no such letter, replayed by another, of a route or connection that does not take it, not taken.
    pub async fn replay(&self, letter: u64) -> Result<(), EngineError> {
        let _held = self.replaying().hold(letter).ok_or(EngineError::LetterBusy { letter })?;
        let log = self.log().clone();
        let found = blocking(move || log.dead_letter(letter)).await?.ok_or(EngineError::NoSuchLetter { letter })?;
        let outcome = match &found.item {
            LetterItem::Reading { route, row } => self.replay_reading(letter, route, row).await,
            LetterItem::Frame { connection, frame } => self.replay_frame(letter, connection, frame).await,
        };
        match outcome {
            Ok(()) => {
                let log = self.log().clone();
                blocking(move || log.remove_dead_letter(letter)).await?;
                self.count_letters(found.item.origin()).await;
                Ok(())
            }
            Err(error) => {
                self.note_failure(&found, &error).await?;
                Err(error)
            }
        }
    }

    async fn replay_reading(&self, letter: u64, name: &str, row: &Row) -> Result<(), EngineError> {
        let stuck = |reason: String| EngineError::LetterStuck { letter, reason };
        let config = self.config();
        let route =
            config.routes.get(name).ok_or_else(|| stuck(format!("the config has no route `{name}` any more")))?;
        let sink = self.find(&route.to)?;
        let tried = replay(self.log(), name, route, sink.as_ref(), letter, row);
        let failed = |fault, is_refused| Err(EngineError::LetterFailed { letter, fault, is_refused });
        match tokio::time::timeout(REPLAY_MAX, tried).await {
            Ok(Replay::Taken) => Ok(()),
            Ok(Replay::Refused(fault)) => failed(fault, true),
            Ok(Replay::Failed(fault)) => failed(fault, false),
            Ok(Replay::Foreign) => Err(stuck(format!("route {name} does not select its point any more"))),
            Err(_) => failed(no_answer(), false),
        }
    }

    async fn replay_frame(&self, letter: u64, name: &str, frame: &LostFrame) -> Result<(), EngineError> {
        let stuck = |reason: String| EngineError::LetterStuck { letter, reason };
        if frame.payload_bytes > frame.payload.len() as u64 {
            let (kept, all) = (frame.payload.len(), frame.payload_bytes);
            return Err(stuck(format!("only the first {kept} of its {all} bytes were kept")));
        }
        let handle = self.find(name).map_err(|_| stuck(format!("the config has no connection `{name}` any more")))?;
        let parts = handle.running()?;
        if !parts.has(Role::Listener) {
            return Err(stuck(format!("the adapter of connection {name} takes no frames")));
        }
        let replayed = ReplayedFrame { role: frame.transport.clone(), frame: frame_of(frame) };
        match ask(name, &parts.main, |reply| Request::Replay(replayed, reply)).await {
            Err(EngineError::Call { cause, .. }) => {
                let is_refused = match &cause {
                    CallError::Fault(fault) => fault.remedy == Remedy::Reject,
                    CallError::Trapped { .. } | CallError::TimedOut { .. } => true,
                    _ => false,
                };
                let fault = match cause {
                    CallError::Fault(fault) => fault,
                    other => Fault::new(Remedy::Retry, other.code(), other.to_string()),
                };
                Err(EngineError::LetterFailed { letter, fault, is_refused })
            }
            outcome => outcome,
        }
    }

    /// Writes down why a dead letter was not taken this time.
    async fn note_failure(&self, letter: &DeadLetter, error: &EngineError) -> Result<(), LogError> {
        let EngineError::LetterFailed { fault, .. } = error else { return Ok(()) };
        let error = LetterError {
            code: fault.code.clone(),
            message: fault.message.clone(),
            tries: letter.error.tries.saturating_add(1),
            time: SystemClock::default().now(),
        };
        let (log, id) = (self.log().clone(), letter.id);
        blocking(move || log.dead_letter_failed(id, error)).await
    }

    /// Tries all dead letters of an origin again, the oldest first, until one could not be tried at all, or
    /// [`REPLAYS_MAX`] were, or half a minute is over.
    ///
    /// # Errors
    /// What reading or writing the log met.
    pub async fn replay_all(&self, owner: &LetterOwner) -> Result<Replayed, EngineError> {
        let (log, of) = (self.log().clone(), owner.clone());
        let letters = blocking(move || log.dead_letter_numbers(of.origin(), REPLAYS_MAX)).await?;
        let mut replayed = Replayed::default();
        let end = tokio::time::Instant::now() + REPLAYS_TIME_MAX;
        for letter in letters {
            if tokio::time::Instant::now() >= end {
                replayed.stopped = Some("the time for one request is over; ask again for the rest".to_owned());
                break;
            }
            match self.replay(letter).await {
                Ok(()) => replayed.taken += 1,
                Err(EngineError::LetterFailed { is_refused: true, .. } | EngineError::LetterStuck { .. }) => {
                    replayed.refused += 1;
                }
                Err(EngineError::NoSuchLetter { .. } | EngineError::LetterBusy { .. }) => {}
                Err(EngineError::Log(error)) => return Err(error.into()),
                Err(error) => {
                    replayed.stopped = Some(error.to_string());
                    break;
                }
            }
        }
        let (log, of) = (self.log().clone(), owner.clone());
        replayed.kept = blocking(move || log.dead_letter_count(of.origin())).await?.kept;
        Ok(replayed)
    }

    /// Removes a dead letter for good.
    ///
    /// # Errors
    /// [`EngineError`]: no such letter, being replayed.
    pub async fn discard(&self, letter: u64) -> Result<(), EngineError> {
        let _held = self.replaying().hold(letter).ok_or(EngineError::LetterBusy { letter })?;
        let log = self.log().clone();
        let found = blocking(move || {
            let found = log.dead_letter(letter)?;
            log.remove_dead_letter(letter).map(|_| found)
        });
        let found = found.await?.ok_or(EngineError::NoSuchLetter { letter })?;
        tracing::info!(letter, "a dead letter was discarded");
        self.count_letters(found.item.origin()).await;
        Ok(())
    }

    /// Removes all dead letters of an origin for good, up to a number where one is given, and says how many there were.
    ///
    /// # Errors
    /// What writing the log met.
    pub async fn discard_all(&self, owner: &LetterOwner, up_to: Option<u64>) -> Result<u64, EngineError> {
        let (log, of) = (self.log().clone(), owner.clone());
        let discarded = blocking(move || log.remove_dead_letters(of.origin(), up_to.unwrap_or(u64::MAX))).await?;
        tracing::info!(?owner, discarded, "dead letters were discarded");
        self.count_letters(owner.origin()).await;
        Ok(discarded)
    }

    async fn count_letters(&self, origin: Origin<'_>) {
        match origin {
            Origin::Route(name) => {
                if let Some(route) = self.route_handle(name) {
                    route.letters.look_again().await;
                }
            }
            Origin::Connection(name) => {
                if let Ok(connection) = self.find(name) {
                    connection.letters.look_again().await;
                }
            }
        }
    }
}

fn no_answer() -> Fault {
    let message = format!("no answer within {} s; whether it arrived nobody knows", REPLAY_MAX.as_secs());
    Fault::new(Remedy::Retry, "timeout", message)
}

fn frame_of(lost: &LostFrame) -> Frame {
    Frame {
        kind: FrameKind::Data,
        topic: lost.topic.clone(),
        payload: lost.payload.clone(),
        received: lost.received.0,
        retained: lost.retained,
        properties: lost.properties.clone(),
    }
}
