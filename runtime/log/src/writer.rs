//! The writer's thread: the only one that gives seqs and appends. It collects appends into a group until there are
//! enough rows, enough bytes or enough time has passed, commits it as one transaction, and tells everybody.

use crate::batch::Batch;
use crate::config::{QUEUE_MAX_BYTES, SEAL_BACKLOG_MAX, SEQ_BLOCK};
use crate::files::io_error;
use crate::pace::Pace;
use crate::row_sum::RowSums;
use crate::sealer::{Closed, Job};
use crate::segment::{self, Knowledge, Live, PUT, Segment, key};
use crate::shared::Shared;
use crate::sqlite::{set, sqlite_error};
use crate::state::clamp_seq;
use crate::stored::{to_sql, value_ref};
use crate::{Catalogue, Committed, Durability, LogError, clock};
use bulkhead_model::{Reading, Seq, Timestamp};
use rusqlite::Connection;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::thread::JoinHandle;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// Room in the queue, given back when it is dropped.
pub(crate) type Room = OwnedSemaphorePermit;

/// A group is committed at this weight without waiting any longer: the queue has little room left to add to it.
const GROUP_MAX_BYTES: usize = QUEUE_MAX_BYTES / 4 * 3;

/// What the writer is asked to do, in the order of asking.
#[derive(Debug)]
pub(crate) enum Command {
    /// To commit readings.
    Append { readings: Vec<Reading>, weight: usize, reply: oneshot::Sender<Result<Committed, LogError>>, room: Room },
    /// To close the open segment if it is old enough at a moment.
    RotateIfAged { now: Timestamp, _room: Room },
    /// To close the open segment if it has rows, and to have the sealer answer.
    Seal { reply: oneshot::Sender<Result<(), LogError>>, _room: Room },
    /// To end.
    Close { reply: oneshot::Sender<Result<(), LogError>>, _room: Room },
}

/// The segment that is appended to.
#[derive(Debug)]
pub(crate) struct Appending {
    pub(crate) connection: Connection,
    pub(crate) segment: Arc<Segment>,
    pub(crate) rows: u64,
    pub(crate) first_commit: Option<Timestamp>,
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
    pub(crate) open: Appending,
    pub(crate) sealer: Sealer,
    pub(crate) next_seq: Seq,
    pub(crate) reserved_to: Seq,
    /// The points described in the open segment, by number, as of `described_as`.
    pub(crate) described: Vec<bool>,
    pub(crate) described_as: Arc<Catalogue>,
    pub(crate) sums: RowSums,
    pub(crate) pace: Pace,
}

/// An append inside a group.
#[derive(Debug)]
struct Member {
    batch: Batch,
    reply: oneshot::Sender<Result<Committed, LogError>>,
    room: Room,
}

impl Writer {
    /// Works until it is closed or the last handle has gone.
    pub(crate) fn run(mut self, commands: &Receiver<Command>) {
        while let Ok(mut command) = commands.recv() {
            loop {
                match command {
                    Command::Append { .. } => match self.commit_group(command, commands) {
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
    fn commit_group(&mut self, first: Command, commands: &Receiver<Command>) -> Option<Command> {
        let deadlines = self.pace.begin(clock::monotonic());
        let max_rows = self.shared.config.commit_max_rows as usize;
        let mut group = Vec::new();
        let (mut rows, mut bytes) = (0, 0);
        let mut next = Some(first);
        let mut outcome = self.begin();
        while let Some(Command::Append { readings, weight, reply, room }) = next {
            rows += readings.len();
            bytes += room.num_permits();
            let batch = Batch { first: self.next_seq, readings, weight };
            if outcome.is_ok() {
                outcome = self.insert(&batch);
            }
            group.push(Member { batch, reply, room });
            next = if rows >= max_rows || bytes >= GROUP_MAX_BYTES || outcome.is_err() {
                None
            } else {
                commands.recv_timeout(deadlines.with(rows).saturating_duration_since(clock::monotonic())).ok()
            };
        }
        let outcome = outcome.and_then(|()| self.commit());
        self.pace.committed(deadlines, rows, clock::monotonic());
        match outcome {
            Ok(at) => self.publish(group, at),
            Err(error) => self.refuse(group, &error),
        }
        next
    }

    fn begin(&mut self) -> Result<(), LogError> {
        self.refresh_described();
        self.run_sql("begin a commit in", "BEGIN IMMEDIATE")
    }

    /// Forgets that points are described whose description has changed.
    fn refresh_described(&mut self) {
        let catalogue = self.shared.catalogue();
        if Arc::ptr_eq(&catalogue, &self.described_as) {
            return;
        }
        for (old, point) in self.described_as.iter().filter_map(|old| Some((old, catalogue.by_id(old.id)?))) {
            if !Arc::ptr_eq(old, point)
                && let Some(described) = self.described.get_mut(point.id.0 as usize)
            {
                *described = false;
            }
        }
        self.described_as = catalogue;
    }

    /// Puts a batch into the open transaction under the next seqs.
    fn insert(&mut self, batch: &Batch) -> Result<(), LogError> {
        self.next_seq = batch.end();
        self.reserve()?;
        let wrong = sqlite_error("append to", &self.open.segment.path);
        self.describe_points(&batch.readings)?;
        let connection = &self.open.connection;
        let mut insert = connection
            .prepare_cached(
                "INSERT INTO readings(seq, point, time, status, value, sum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )
            .map_err(&wrong)?;
        for (seq, reading) in (batch.first..).zip(&batch.readings) {
            let (seq, value) = (clamp_seq(seq), to_sql(reading.value.as_ref()));
            let sum = self.sums.of(seq, reading.point.0, reading.time.0, reading.status.0, value_ref(&value));
            let bind = || {
                insert.raw_bind_parameter(1, seq)?;
                insert.raw_bind_parameter(2, reading.point.0)?;
                insert.raw_bind_parameter(3, reading.time.0)?;
                insert.raw_bind_parameter(4, reading.status.0)?;
                insert.raw_bind_parameter(5, value)?;
                insert.raw_bind_parameter(6, sum)?;
                insert.raw_execute()
            };
            bind().map_err(&wrong)?;
        }
        Ok(())
    }

    /// Makes sure that every seq up to the next one is reserved.
    fn reserve(&mut self) -> Result<(), LogError> {
        if self.next_seq > self.reserved_to {
            let to = self.next_seq.saturating_add(SEQ_BLOCK);
            self.shared.state.reserve_to(to)?;
            self.reserved_to = to;
        }
        Ok(())
    }

    /// Describes the points of readings in the open segment that are not yet described there.
    fn describe_points(&mut self, readings: &[Reading]) -> Result<(), LogError> {
        for reading in readings {
            let index = reading.point.0 as usize;
            if self.described.get(index) == Some(&true) {
                continue;
            }
            // Appends were checked against a catalogue; it may be newer than the one this group began with.
            let known = self.described_as.by_id(reading.point).cloned();
            let point = known
                .or_else(|| self.shared.catalogue().by_id(reading.point).cloned())
                .ok_or(LogError::UnknownPoint { point: reading.point })?;
            segment::describe(&self.open.connection, &point)
                .map_err(sqlite_error("append to", &self.open.segment.path))?;
            if self.described.len() <= index {
                self.described.resize(index + 1, false);
            }
            self.described[index] = true;
        }
        Ok(())
    }

    /// Commits the open transaction. Returns the moment.
    fn commit(&mut self) -> Result<Timestamp, LogError> {
        let started = clock::monotonic();
        let now = clock::now();
        if self.open.first_commit.is_none() {
            self.open
                .connection
                .execute(PUT, (key::FIRST_COMMIT, now.0))
                .map_err(sqlite_error("append to", &self.open.segment.path))?;
        }
        self.run_sql("commit to", "COMMIT")?;
        self.open.first_commit.get_or_insert(now);
        let took = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.shared.counters.last_commit_ns.store(took, Ordering::Relaxed);
        Ok(now)
    }

    /// Tells everybody of a group that has been committed.
    fn publish(&mut self, group: Vec<Member>, at: Timestamp) {
        let shared = Arc::clone(&self.shared);
        let mut rows = 0;
        let mut last = None;
        let mut answers = Vec::with_capacity(group.len());
        if let Knowledge::Live(live) = &self.open.segment.knowledge {
            let mut live = live.lock();
            group.iter().for_each(|member| live.note(&member.batch.readings, at));
        }
        let (mut ring, mut latest) = (shared.ring.write(), shared.latest.write());
        for Member { batch, reply, room } in group {
            let committed = Committed { first: batch.first, last: batch.end() - 1 };
            latest.note(batch.first, &batch.readings);
            if !batch.readings.is_empty() {
                rows += batch.readings.len() as u64;
                last = Some(committed.last);
                ring.push(Arc::new(batch));
            }
            answers.push((reply, committed, room));
        }
        drop((ring, latest));
        self.open.rows += rows;
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
        self.rotate_if_due(at);
    }

    /// Tells the appends of a group that they failed. Their seqs are not given again: a commit that failed may yet have
    /// reached the disk.
    fn refuse(&mut self, group: Vec<Member>, error: &LogError) {
        self.shared.counters.commits_failed.fetch_add(1, Ordering::Relaxed);
        tracing::error!(%error, appends = group.len(), "a commit failed");
        if !self.open.connection.is_autocommit()
            && let Err(error) = self.run_sql("roll back a commit in", "ROLLBACK")
        {
            tracing::error!(%error, "a failed commit could not be rolled back");
        }
        self.described.clear();
        for Member { reply, .. } in group {
            let _ = reply.send(Err(error.clone()));
        }
    }

    fn run_sql(&self, action: &'static str, sql: &str) -> Result<(), LogError> {
        let run = || self.open.connection.prepare_cached(sql)?.execute([]).map(drop);
        run().map_err(sqlite_error(action, &self.open.segment.path))
    }

    /// Closes the open segment when it has enough rows or is old enough.
    fn rotate_if_due(&mut self, now: Timestamp) {
        let config = &self.shared.config;
        let is_due =
            is_due(self.open.rows, self.open.first_commit, now, config.segment_max_rows, config.segment_max_age_s);
        // A damaged one is closed, so that it can be salvaged.
        if is_due || self.open.segment.is_suspect() {
            self.rotate();
        }
    }

    /// Starts a new segment and hands the old one to the sealer. Where that is not possible the old one goes on.
    fn rotate(&mut self) {
        if self.shared.segments.backlog() >= SEAL_BACKLOG_MAX {
            tracing::warn!(waiting = SEAL_BACKLOG_MAX, "sealing lags behind: the open segment grows beyond its bound");
            return;
        }
        let new = match start_segment(&self.shared, self.next_seq) {
            Ok(new) => new,
            Err(error) => {
                tracing::error!(%error, "no new segment can be started: the open one grows beyond its bound");
                return;
            }
        };
        self.shared.segments.push(Arc::clone(&new.segment));
        self.described.clear();
        let old = std::mem::replace(&mut self.open, new);
        let last_commit = match &old.segment.knowledge {
            Knowledge::Live(live) => live.lock().last_commit,
            _ => clock::now(),
        };
        let closed = Closed { segment: old.segment, connection: Some(old.connection), last_commit };
        if self.sealer.jobs.send(Job::Seal(closed)).is_err() {
            tracing::error!("the sealer has ended: segments are sealed at the next open");
        }
    }

    fn seal(&mut self, reply: oneshot::Sender<Result<(), LogError>>) {
        if self.open.rows > 0 {
            self.rotate();
        }
        // Without a sealer the reply is dropped with the job, and whoever waits is told so.
        let _ = self.sealer.jobs.send(Job::Report(reply));
    }

    /// Moves the WAL into the segment, waits for the sealer, and records that the log was closed in order.
    fn end(self) -> Result<(), LogError> {
        let Self { shared, open, sealer, next_seq, .. } = self;
        let checkpointed = set(&open.connection, "wal_checkpoint(TRUNCATE)");
        let checkpointed = checkpointed.map_err(sqlite_error("checkpoint", &open.segment.path));
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
        shared.state.closed_at(next_seq - 1)
    }
}

/// Whether a segment is to be closed.
fn is_due(rows: u64, first_commit: Option<Timestamp>, now: Timestamp, max_rows: u32, max_age_s: u32) -> bool {
    let aged = first_commit
        .is_some_and(|first| i128::from(now.0) - i128::from(first.0) >= i128::from(max_age_s) * 1_000_000_000);
    rows > 0 && (rows >= u64::from(max_rows) || aged)
}

/// Starts a segment that may hold seqs from `start` on.
pub(crate) fn start_segment(shared: &Shared, start: Seq) -> Result<Appending, LogError> {
    let dir = &shared.config.dir;
    let segment = Segment::live(dir, start, Live::default(), Arc::clone(&shared.files)).ok_or(LogError::Closed)?;
    let full = shared.config.durability == Durability::Full;
    let connection = segment::create(&segment.path, full, shared.id.as_str(), start)?;
    shared.files.sync_dir(dir).map_err(io_error("sync", dir))?;
    Ok(Appending { connection, segment, rows: 0, first_commit: None })
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
