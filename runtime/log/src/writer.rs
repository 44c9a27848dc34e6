//! The writer's thread: the only one that gives seqs and appends. It collects appends into a group until there are
//! enough rows, enough bytes or enough time has passed, commits it as one transaction, and tells everybody. What it does
//! when the disk is full or fails is in `writer_recovery`.

use crate::appender::{Place, Refused};
use crate::appending::{Appending, start_segment};
use crate::batch::Batch;
use crate::config::{QUEUE_MAX_BYTES, SEAL_BACKLOG_MAX, SEQ_BLOCK};
use crate::pace::Pace;
use crate::sealer::Job;
use crate::segment::Knowledge;
use crate::shared::Shared;
use crate::space::{COMMIT_BYTES, Space};
use crate::writer_recovery::Revival;
use crate::{Catalogue, Committed, Gap, LogError, WhenFull, clock};
use bulkhead_model::{Reading, Seq, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::thread::JoinHandle;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// Room in the queue, given back when it is dropped.
pub(crate) type Room = OwnedSemaphorePermit;

/// A group is committed at this weight without waiting any longer: the queue has little room left to add to it.
const GROUP_MAX_BYTES: usize = QUEUE_MAX_BYTES / 4 * 3;

/// An append on its way to the writer.
#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) readings: Vec<Reading>,
    pub(crate) weight: usize,
    /// Where it stands in its appender's order, if it has one.
    pub(crate) place: Option<Place>,
    pub(crate) when_full: WhenFull,
    pub(crate) reply: oneshot::Sender<Result<Committed, Refused>>,
    pub(crate) room: Room,
}

/// What the writer is asked to do, in the order of asking.
#[derive(Debug)]
pub(crate) enum Command {
    /// To commit readings.
    Append(Append),
    /// To close the open segment if it is old enough at a moment.
    RotateIfAged { now: Timestamp, _room: Room },
    /// To close the open segment if it has rows, and to have the sealer answer.
    Seal { reply: oneshot::Sender<Result<(), LogError>>, _room: Room },
    /// To end.
    Close { reply: oneshot::Sender<Result<(), LogError>>, _room: Room },
}

/// The sealer as the writer sees it.
#[derive(Debug)]
pub(crate) struct Sealer {
    pub(crate) jobs: SyncSender<Job>,
    pub(crate) ending: Arc<AtomicBool>,
    pub(crate) thread: JoinHandle<()>,
    /// Reads the sealed segments once and slowly; ends with the sealer.
    pub(crate) verifier: JoinHandle<()>,
}

/// The writer.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    /// None after a failure, until another segment could be started.
    pub(crate) open: Option<Appending>,
    pub(crate) sealer: Sealer,
    pub(crate) next_seq: Seq,
    pub(crate) reserved_to: Seq,
    /// Gaps found at opening that a full disk kept from being written down.
    pub(crate) unrecorded: Vec<Gap>,
    /// By point: the start of the segment it was described in last, as of `described_as`; 0: in none.
    pub(crate) described: Vec<Seq>,
    /// Descriptions in segments below this start do not count: they may be gone.
    pub(crate) described_from: Seq,
    pub(crate) described_as: Arc<Catalogue>,
    pub(crate) space: Space,
    /// When a segment may be started again after a failure to.
    pub(crate) revival: Revival,
    pub(crate) pace: Pace,
}

/// An append inside a group.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) batch: Arc<Batch>,
    pub(crate) place: Option<Place>,
    pub(crate) when_full: WhenFull,
    reply: oneshot::Sender<Result<Committed, Refused>>,
    room: Room,
}

impl Member {
    fn new(append: Append, first: Seq) -> Self {
        let Append { readings, weight, place, when_full, reply, room } = append;
        Self { batch: Arc::new(Batch { first, readings, weight }), place, when_full, reply, room }
    }

    /// Gives the readings back.
    pub(crate) fn refuse(self, error: LogError) {
        if let Some(place) = &self.place {
            place.refuse();
        }
        // First the room, so that whoever hears of it finds the queue free.
        drop(self.room);
        // Whoever appended may have given up waiting.
        let _ = self.reply.send(Err(Refused { error, readings: Arc::unwrap_or_clone(self.batch).readings }));
    }
}

impl Writer {
    /// Works until it is closed or the last handle has gone.
    pub(crate) fn run(mut self, commands: &Receiver<Command>) {
        while let Ok(mut command) = commands.recv() {
            loop {
                match command {
                    Command::Append(append) => match self.commit_group(append, commands) {
                        Some(next) => {
                            command = next;
                            continue;
                        }
                        None => break,
                    },
                    Command::RotateIfAged { now, .. } => self.rotate_if_due(now),
                    Command::Seal { reply, .. } => self.seal(reply),
                    Command::Close { reply, .. } => {
                        let result = self.end();
                        // Whoever closed may have given up waiting.
                        let _ = reply.send(result);
                        return;
                    }
                }
                break;
            }
        }
        if let Err(error) = self.end() {
            tracing::warn!(%error, "the log was not closed in order; the next open repairs that");
        }
    }

    /// Commits a group that begins with an append. Returns the command that ended it early, if one did.
    fn commit_group(&mut self, first: Append, commands: &Receiver<Command>) -> Option<Command> {
        let deadlines = self.pace.begin(clock::monotonic());
        let max_rows = self.shared.config.commit_max_rows as usize;
        let mut group = Vec::new();
        let (mut rows, mut bytes) = (0, 0);
        let mut next = Some(Command::Append(first));
        let mut outcome = self.begin();
        while let Some(Command::Append(append)) = next {
            let member = Member::new(append, self.next_seq);
            rows += member.batch.readings.len();
            bytes += member.room.num_permits();
            match self.admit(&member) {
                Err(error) => {
                    self.count_refusal(&error);
                    member.refuse(error);
                }
                Ok(()) => {
                    if outcome.is_ok() {
                        outcome = self.insert(&member.batch);
                    }
                    group.push(member);
                }
            }
            next = if rows >= max_rows || bytes >= GROUP_MAX_BYTES || outcome.is_err() {
                None
            } else {
                commands.recv_timeout(deadlines.with(rows).saturating_duration_since(clock::monotonic())).ok()
            };
        }
        let outcome = outcome.and_then(|()| if group.is_empty() { self.give_up_transaction() } else { self.commit() });
        self.pace.committed(deadlines, rows, clock::monotonic());
        match outcome {
            Ok(at) => self.publish(group, at),
            Err(error) => self.recover(group, error),
        }
        next
    }

    /// Begins a transaction, in a new segment if there is none.
    pub(crate) fn begin(&mut self) -> Result<(), LogError> {
        self.refresh_described();
        self.revive()?;
        self.open()?.begin()
    }

    /// The open segment.
    pub(crate) fn open(&mut self) -> Result<&mut Appending, LogError> {
        self.open.as_mut().ok_or(LogError::Closed)
    }

    /// Ends a transaction in which nothing came to be.
    fn give_up_transaction(&mut self) -> Result<Timestamp, LogError> {
        self.open()?.roll_back()?;
        Ok(clock::now())
    }

    /// Whether an append may be committed: nothing before it was refused, and there is room for it.
    fn admit(&mut self, member: &Member) -> Result<(), LogError> {
        if member.place.as_ref().is_some_and(Place::is_behind_a_refusal) {
            return Err(LogError::Behind);
        }
        if member.batch.readings.is_empty() {
            return Ok(());
        }
        let bytes = member.batch.weight as u64 + COMMIT_BYTES;
        if member.when_full == WhenFull::DropOldest {
            self.shared.may_drop_ahead.store(true, Ordering::Relaxed);
        }
        self.make_room(bytes, member.when_full)?;
        self.space.add(bytes);
        Ok(())
    }

    /// Forgets that points are described whose description has changed, or has gone with its segment. One in a segment
    /// that is still there will do: with 100,000 points, describing all in each would take a third of the time.
    fn refresh_described(&mut self) {
        let oldest = self.shared.segments.now().first().map_or(0, |oldest| oldest.start);
        self.described_from = oldest.max(self.shared.described_from.load(Ordering::Acquire)).max(1);
        let catalogue = self.shared.catalogue();
        if Arc::ptr_eq(&catalogue, &self.described_as) {
            return;
        }
        for (old, point) in self.described_as.iter().filter_map(|old| Some((old, catalogue.by_id(old.id)?))) {
            if !Arc::ptr_eq(old, point)
                && let Some(described) = self.described.get_mut(point.id.0 as usize)
            {
                *described = 0;
            }
        }
        self.described_as = catalogue;
    }

    /// Puts a batch into the open transaction under the next seqs.
    pub(crate) fn insert(&mut self, batch: &Arc<Batch>) -> Result<(), LogError> {
        self.next_seq = batch.end();
        self.reserve()?;
        self.describe_points(&batch.readings)?;
        self.open()?.insert(batch)
    }

    /// Makes sure that every seq up to the next one is reserved.
    fn reserve(&mut self) -> Result<(), LogError> {
        if !self.unrecorded.is_empty() {
            self.shared.state.note_gaps(self.unrecorded.clone())?;
            self.unrecorded.clear();
        }
        if self.next_seq > self.reserved_to {
            let to = self.next_seq.saturating_add(SEQ_BLOCK);
            self.shared.state.reserve_to(to)?;
            self.reserved_to = to;
        }
        Ok(())
    }

    /// Describes the points of readings in the open segment that are not yet described in it or in one before it.
    fn describe_points(&mut self, readings: &[Reading]) -> Result<(), LogError> {
        for reading in readings {
            let index = reading.point.0 as usize;
            if self.described.get(index).is_some_and(|start| *start >= self.described_from) {
                continue;
            }
            // Appends were checked against a catalogue; it may be newer than the one this group began with.
            let known = self.described_as.by_id(reading.point).cloned();
            let point = known
                .or_else(|| self.shared.catalogue().by_id(reading.point).cloned())
                .ok_or(LogError::UnknownPoint { point: reading.point })?;
            let open = self.open()?;
            open.describe(&point)?;
            let start = open.segment.start;
            if self.described.len() <= index {
                self.described.resize(index + 1, 0);
            }
            self.described[index] = start;
        }
        Ok(())
    }

    /// Commits the open transaction. Returns the moment.
    pub(crate) fn commit(&mut self) -> Result<Timestamp, LogError> {
        let started = clock::monotonic();
        let now = clock::now();
        self.open()?.commit(now)?;
        let took = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.shared.counters.last_commit_ns.store(took, Ordering::Relaxed);
        Ok(now)
    }

    /// Tells everybody of a group that has been committed.
    pub(crate) fn publish(&mut self, group: Vec<Member>, at: Timestamp) {
        if group.is_empty() {
            return;
        }
        let Some(open) = &mut self.open else { return };
        let shared = Arc::clone(&self.shared);
        let mut rows = 0;
        let mut last = None;
        let mut answers = Vec::with_capacity(group.len());
        if let Knowledge::Live(live) = &open.segment.knowledge {
            let mut live = live.lock();
            group.iter().for_each(|member| live.note(&member.batch.readings, at));
        }
        let (mut ring, mut latest) = (shared.ring.write(), shared.latest.write());
        for Member { batch, reply, room, .. } in group {
            let committed = Committed { first: batch.first, last: batch.end() - 1 };
            latest.note(batch.first, &batch.readings);
            if !batch.readings.is_empty() {
                rows += batch.readings.len() as u64;
                last = Some(committed.last);
                ring.push(batch);
            }
            answers.push((reply, committed, room));
        }
        drop((ring, latest));
        open.rows += rows;
        shared.counters.rows_committed.fetch_add(rows, Ordering::Relaxed);
        shared.counters.commits.fetch_add(1, Ordering::Relaxed);
        if let Some(last) = last {
            shared.committed.send_replace(last);
        }
        for (reply, committed, room) in answers {
            drop(room);
            // Whoever appended may have given up waiting; the rows are committed all the same.
            let _ = reply.send(Ok(committed));
        }
        if let Err(error) = self.open().and_then(|open| open.checkpoint_if_due()) {
            self.abandon(&error);
        }
        self.rotate_if_due(at);
    }

    /// Closes the open segment when it has enough rows, takes enough of the room there is, or is old enough.
    fn rotate_if_due(&mut self, now: Timestamp) {
        let config = &self.shared.config;
        let Some(open) = &self.open else { return };
        let is_large = open.rows > 0 && self.space.open_is_large(config.max_bytes);
        // A damaged one is closed, so that it can be salvaged.
        let is_due = is_due(open.rows, open.first_commit, now, config.segment_max_rows, config.segment_max_age_s);
        if is_large || is_due || open.segment.is_suspect() {
            self.rotate();
        }
    }

    /// Starts a new segment and hands the old one to the sealer. Where that is not possible the old one goes on.
    fn rotate(&mut self) {
        if !self.revival.is_due() {
            return;
        }
        if self.shared.segments.backlog() >= SEAL_BACKLOG_MAX {
            self.revival.failed();
            tracing::warn!(waiting = SEAL_BACKLOG_MAX, "sealing lags behind: the open segment grows beyond its bound");
            return;
        }
        let started = clock::monotonic();
        let new = match start_segment(&self.shared, self.next_seq) {
            Ok(new) => new,
            Err(error) => {
                self.revival.failed();
                tracing::error!(%error, "no new segment can be started: the open one grows beyond its bound");
                return;
            }
        };
        self.revival.succeeded();
        self.shared.segments.push(Arc::clone(&new.segment));
        self.space.forget_open();
        if let Some(old) = self.open.replace(new) {
            self.hand_to_sealer(old);
        }
        self.shared.counters.note_pause(started.elapsed());
    }

    /// Has a closed segment sealed.
    pub(crate) fn hand_to_sealer(&self, old: Appending) {
        // Never full in order: the backlog is bounded below the channel's length.
        if self.sealer.jobs.try_send(Job::Seal(old.close())).is_err() {
            tracing::error!("the sealer takes no more: segments are sealed at the next open");
        }
    }

    fn seal(&mut self, reply: oneshot::Sender<Result<(), LogError>>) {
        if self.open.as_ref().is_some_and(|open| open.rows > 0) {
            self.rotate();
        }
        // Without a sealer the reply is dropped with the job, and whoever waits is told so.
        let _ = self.sealer.jobs.send(Job::Report(reply));
    }

    /// Moves the WAL into the segment, waits for the sealer, and records that the log was closed in order.
    fn end(self) -> Result<(), LogError> {
        let Self { shared, open, sealer, next_seq, unrecorded, .. } = self;
        let checkpointed = open.as_ref().map_or(Ok(()), Appending::finish);
        drop(open);
        sealer.ending.store(true, Ordering::Release);
        shared.readers.reports_to_nobody();
        drop(sealer.jobs);
        sealer.verifier.thread().unpark();
        if sealer.verifier.join().is_err() {
            tracing::error!("the verifier's thread panicked");
        }
        if sealer.thread.join().is_err() {
            tracing::error!("the sealer's thread panicked");
        }
        checkpointed?;
        // A log that was closed in order has no gap to tell at its next opening.
        if !unrecorded.is_empty() {
            shared.state.note_gaps(unrecorded)?;
        }
        shared.state.closed_at(next_seq - 1)
    }
}

/// Whether a segment is to be closed.
fn is_due(rows: u64, first_commit: Option<Timestamp>, now: Timestamp, max_rows: u32, max_age_s: u32) -> bool {
    let aged = first_commit
        .is_some_and(|first| i128::from(now.0) - i128::from(first.0) >= i128::from(max_age_s) * 1_000_000_000);
    rows > 0 && (rows >= u64::from(max_rows) || aged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_closed_by_rows_or_by_age_but_never_empty() {
        let second = 1_000_000_000;
        let at = |seconds: i64| Timestamp(seconds * second);
        assert!(!is_due(0, Some(at(0)), at(1_000_000), 10, 60));
        assert!(!is_due(9, Some(at(0)), at(59), 10, 60));
        assert!(is_due(10, Some(at(0)), at(0), 10, 60));
        assert!(is_due(1, Some(at(0)), at(60), 10, 60));
        assert!(!is_due(1, Some(at(100)), at(0), 10, 60), "a clock that went back closes nothing");
    }
}
