//! What the writer does when a commit fails. A full disk: it makes room by dropping the oldest segment and commits again,
//! or refuses. Any other failure of the medium: the segment is given up for writing, what was acknowledged in it is
//! verified through a new connection, and another segment is started. A sync that failed is never tried again: the
//! operating system may have thrown away what it could not write, and would report success.

use crate::appender::Refused;
use crate::appending::{Appending, start_segment};
use crate::damage::is_damage;
use crate::retention::drop_oldest;
use crate::writer::{Member, Writer};
use crate::{Gap, GapReason, LogError, WhenFull, clock};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Wait before a segment is started again after a failure to; doubled with each.
const REVIVAL_FIRST: Duration = Duration::from_millis(50);
/// Longest such wait.
const REVIVAL_MAX: Duration = Duration::from_secs(1);
/// Longest wait of a commit for room that readers and the sealer are about to give: with it, no commit stalls for longer
/// than with a drop.
const ROOM_WAIT_MAX: Duration = Duration::from_millis(40);
/// How often it looks.
const ROOM_LOOK_EVERY: Duration = Duration::from_millis(2);
/// Most segments that are dropped to make room for one commit.
const DROPS_PER_COMMIT_MAX: usize = 16;

/// When a segment may be started again.
#[derive(Debug, Default)]
pub(crate) struct Revival {
    not_before: Option<Instant>,
    wait: Duration,
    error: Option<LogError>,
}

impl Revival {
    /// Whether it may be tried now.
    pub(crate) fn is_due(&self) -> bool {
        self.not_before.is_none_or(|not_before| clock::monotonic() >= not_before)
    }

    /// It failed: the next try is later.
    pub(crate) fn failed(&mut self) {
        self.wait = (self.wait * 2).clamp(REVIVAL_FIRST, REVIVAL_MAX);
        self.not_before = Some(clock::monotonic() + self.wait);
    }

    /// It worked.
    pub(crate) fn succeeded(&mut self) {
        *self = Self::default();
    }
}

impl Writer {
    /// Makes sure that there is a segment to append to.
    pub(crate) fn revive(&mut self) -> Result<(), LogError> {
        if self.open.is_some() {
            return Ok(());
        }
        if !self.revival.is_due()
            && let Some(error) = &self.revival.error
        {
            return Err(error.clone());
        }
        match start_segment(&self.shared, self.next_seq) {
            Ok(new) => {
                tracing::warn!(segment = %new.segment.path.display(), "the log goes on in a new segment");
                self.shared.segments.push(Arc::clone(&new.segment));
                self.described.clear();
                self.space.forget_open();
                self.open = Some(new);
                self.revival.succeeded();
                Ok(())
            }
            Err(error) => {
                self.revival.failed();
                self.revival.error = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Does what the failure of a group's commit asks for. Everybody in the group gets an answer.
    pub(crate) fn recover(&mut self, group: Vec<Member>, error: LogError) {
        self.described.clear();
        let rolled_back = self.open.as_mut().map_or(Ok(()), Appending::roll_back);
        if error.is_full() && rolled_back.is_ok() {
            self.space.note_full();
            return self.commit_after_dropping(group, error);
        }
        if self.is_of_the_open_segment(&error) || rolled_back.is_err() {
            self.abandon(&error);
        }
        self.refuse(group, &error);
    }

    /// Whether an error says that the open segment cannot be written to; others are about `state.db` or a single reading.
    fn is_of_the_open_segment(&self, error: &LogError) -> bool {
        let Some(open) = &self.open else { return false };
        match error {
            LogError::Sqlite { path, .. } | LogError::Io { path, .. } => *path == open.segment.path,
            _ => false,
        }
    }

    /// The disk is full: those who would rather be refused are, for the others segments are dropped until they fit.
    fn commit_after_dropping(&mut self, group: Vec<Member>, mut error: LogError) {
        let (refusing, mut staying): (Vec<_>, Vec<_>) =
            group.into_iter().partition(|member| member.when_full == WhenFull::Refuse);
        self.refuse(refusing, &error);
        for _ in 0..DROPS_PER_COMMIT_MAX {
            if staying.is_empty() {
                return;
            }
            match self.drop_one() {
                Ok(true) => {}
                Ok(false) => break,
                Err(failure) => {
                    error = failure;
                    break;
                }
            }
            match self.commit_again(&mut staying) {
                Ok(at) => return self.publish(staying, at),
                Err(failure) if failure.is_full() => {
                    error = failure;
                    self.described.clear();
                    if self.open.as_mut().is_some_and(|open| open.roll_back().is_err()) {
                        break;
                    }
                }
                Err(failure) => return self.recover_from_other(staying, &failure),
            }
        }
        self.refuse(staying, &error);
    }

    fn recover_from_other(&mut self, group: Vec<Member>, error: &LogError) {
        self.described.clear();
        let rolled_back = self.open.as_mut().map_or(Ok(()), Appending::roll_back);
        if self.is_of_the_open_segment(error) || rolled_back.is_err() {
            self.abandon(error);
        }
        self.refuse(group, error);
    }

    /// Commits a group anew, under new seqs.
    fn commit_again(&mut self, group: &mut [Member]) -> Result<bulkhead_model::Timestamp, LogError> {
        self.begin()?;
        for member in group {
            Arc::make_mut(&mut member.batch).first = self.next_seq;
            self.insert(&member.batch)?;
        }
        self.commit()
    }

    /// Makes room for readings, or says why there is none.
    pub(crate) fn make_room(&mut self, bytes: u64, when_full: WhenFull) -> Result<(), LogError> {
        if self.space.fits(&self.shared, bytes)? {
            return Ok(());
        }
        if when_full == WhenFull::DropOldest && self.drop_until_it_fits(bytes)? {
            return Ok(());
        }
        Err(self.space.why(&self.shared))
    }

    /// Drops segments until so many bytes fit. Where readers still hold what has been dropped, or nothing is sealed yet that
    /// could be, it waits a moment. False: there is no room yet.
    fn drop_until_it_fits(&mut self, bytes: u64) -> Result<bool, LogError> {
        let deadline = clock::monotonic() + ROOM_WAIT_MAX;
        let mut drops = 0;
        loop {
            let is_promised = self.space.will_fit(&self.shared, bytes);
            if !is_promised && drops < DROPS_PER_COMMIT_MAX && self.drop_one()? {
                drops += 1;
            } else if (is_promised || self.shared.segments.backlog() > 0) && clock::monotonic() < deadline {
                std::thread::sleep(ROOM_LOOK_EVERY);
            } else {
                return Ok(false);
            }
            self.space.look(&self.shared)?;
            if self.space.fits(&self.shared, bytes)? {
                return Ok(true);
            }
        }
    }

    /// Drops the oldest sealed segment. False: there is none.
    fn drop_one(&mut self) -> Result<bool, LogError> {
        let started = clock::monotonic();
        let dropped = drop_oldest(&self.shared);

        self.shared.counters.note_pause(started.elapsed());
        dropped
    }

    /// Gives the open segment up for writing: verifies it, has it sealed, and starts another.
    pub(crate) fn abandon(&mut self, cause: &LogError) {
        let Some(open) = self.open.take() else { return };
        self.shared.counters.segments_abandoned.fetch_add(1, Ordering::Relaxed);
        self.described.clear();
        // Its name must not be used again while somebody may still read it.
        self.next_seq = self.next_seq.max(open.segment.start + 1);
        let segment = open.segment.path.display().to_string();
        tracing::error!(segment, error = %Causes(cause), "a segment cannot be written to any more and is given up for writing");
        open.forsake();
        if open.rows == 0 {
            self.shared.segments.remove(open.segment.start);
        } else {
            self.verify(&open);
            self.hand_to_sealer(open);
        }
        if let Err(error) = self.revive() {
            tracing::error!(error = %Causes(&error), "no other segment can be started yet");
        }
    }

    /// Looks whether what was acknowledged is there, and records what is not.
    fn verify(&self, open: &Appending) {
        let (first, last) = (open.segment.start, *self.shared.committed.borrow());
        let missing = match open.verify(self.shared.id.as_str()) {
            Ok(0) => {
                tracing::info!(rows = open.rows, "everything acknowledged in the segment can be read");
                return;
            }
            Ok(missing) => Some(missing),
            Err(error) if is_damage(&error) => {
                // Its salvage says what is missing.
                let error = self.shared.readers.judge(&open.segment, error);
                tracing::debug!(error = %Causes(&error), "found while verifying");
                return;
            }
            Err(error) => {
                tracing::error!(error = %Causes(&error), "the segment that was given up cannot be verified");
                None
            }
        };
        tracing::error!(first, last, missing, "rows that were acknowledged cannot be read");
        let gap = Gap { rows: missing, ..Gap::now(first, last, GapReason::Damaged) };
        if let Err(error) = self.shared.note_gaps(vec![gap]) {
            tracing::error!(error = %Causes(&error), "the gap could not be recorded");
        }
    }

    /// Tells the appends of a group that they failed. Their seqs are not given again: a commit that failed may yet have
    /// reached the disk.
    fn refuse(&mut self, group: Vec<Member>, error: &LogError) {
        if group.is_empty() {
            return;
        }
        self.shared.counters.commits_failed.fetch_add(1, Ordering::Relaxed);
        if !error.is_full() {
            tracing::error!(error = %Causes(error), appends = group.len(), "a commit failed");
        }
        let told = self.told(error);
        for member in group {
            self.count_refusal(error);
            member.refuse(told.clone());
        }
    }

    /// A failure as those who append are told: a full disk looks the same to them whoever noticed it.
    fn told(&self, error: &LogError) -> LogError {
        match error {
            LogError::Sqlite { action, path, .. } | LogError::Io { action, path, .. } if error.is_full() => {
                LogError::Full {
                    dir: self.shared.config.dir.clone(),
                    what: format!("the disk has no room to {action} {}", path.display()),
                }
            }
            other => other.clone(),
        }
    }

    /// Counts an append that is refused because there is no room.
    pub(crate) fn count_refusal(&self, error: &LogError) {
        if error.is_full() {
            self.shared.counters.refused_when_full.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// An error with its causes on one line.
struct Causes<'a>(&'a LogError);

impl std::fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = std::error::Error::source(self.0);
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl From<Refused> for LogError {
    fn from(refused: Refused) -> Self {
        refused.error
    }
}
