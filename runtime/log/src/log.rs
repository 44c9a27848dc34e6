//! The log as its users see it: one handle, cheap to clone.

use crate::appender::Place;
use crate::batch::{rows_after, weight_of};
use crate::config::{
    ADAPTER_STATE_MAX_BYTES, BATCH_MAX_BYTES, COMMAND_MIN_BYTES, POINTS_MAX_PER_CONNECTION, QUEUE_MAX_BYTES,
};
use crate::expiry::{Expired, expired_in};
use crate::query::Query;
use crate::scan::{RowFilter, Scan};
use crate::segment::Knowledge;
use crate::shared::Shared;
use crate::sqlite::sqlite_error;
use crate::state::stored_seq;
use crate::writer::{Append, Command, Room};
use crate::{
    Appender, Catalogue, Committed, FileOps, Gap, GapReason, InFlight, LogConfig, LogError, LogStats, Pending, Point,
    Refused, RefusedReading, Row, WhenFull,
};
use bulkhead_model::{PointId, PointInfo, Reading, Seq, Timestamp};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use tokio::sync::{Semaphore, oneshot, watch};

/// The identity of a log: 32 hexadecimal digits, drawn at random when it is created.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct LogId(pub(crate) Arc<str>);

impl LogId {
    /// It as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A log that is open. Clones share it; it closes in order with [`Log::close`] or when the last clone goes.
#[derive(Clone, Debug)]
pub struct Log {
    pub(crate) shared: Arc<Shared>,
    queue: Arc<Queue>,
}

/// The way to the writer's thread.
#[derive(Debug)]
struct Queue {
    commands: Mutex<Option<SyncSender<Command>>>,
    /// One permit a byte; every command holds at least [`COMMAND_MIN_BYTES`], so the channel never overflows.
    room: Arc<Semaphore>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Log {
    pub(crate) fn open(config: LogConfig, files: Arc<dyn FileOps>) -> Result<Self, LogError> {
        let opened = crate::open::open(config, files)?;
        let queue = Queue {
            commands: Mutex::new(Some(opened.commands)),
            room: Arc::new(Semaphore::new(QUEUE_MAX_BYTES)),
            writer: Mutex::new(Some(opened.writer)),
        };
        Ok(Self { shared: opened.shared, queue: Arc::new(queue) })
    }

    /// What the log's threads share, for the modules that work beside them.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The log's identity; part of idempotency keys, delta links and event ids.
    #[must_use]
    pub fn id(&self) -> LogId {
        self.shared.id.clone()
    }

    /// Makes points of a connection known and returns their numbers, in order, when that is durable. The same name and
    /// kind give the same number at every call; another kind gives another number under the same name, whose former
    /// point stays readable by number. Unit, group, limits and description are replaced. Blocks when something is new.
    ///
    /// # Errors
    /// [`LogError::BadPointName`], [`LogError::TooManyPoints`], or what writing `state.db` met; nothing is declared then.
    pub fn declare(&self, connection: &str, points: &[PointInfo]) -> Result<Vec<PointId>, LogError> {
        if let Some(bad) = points.iter().find(|info| !PointInfo::name_is_valid(&info.name)) {
            return Err(LogError::BadPointName { connection: connection.to_owned(), name: bad.name.clone() });
        }
        let _alone = self.shared.declaring.lock();
        let mut next = Catalogue::clone(&self.catalogue());
        let mut changed = Vec::new();
        let ids = points
            .iter()
            .map(|info| {
                let (point, is_changed) = declared(&next, connection, info);
                if is_changed {
                    next.insert_all([(Arc::clone(&point), true)]);
                    changed.push(Arc::clone(&point));
                }
                point.id
            })
            .collect();
        if !changed.is_empty() {
            if next.count_of(connection) > POINTS_MAX_PER_CONNECTION {
                let (points, max) = (next.count_of(connection), POINTS_MAX_PER_CONNECTION);
                return Err(LogError::TooManyPoints { connection: connection.to_owned(), points, max });
            }
            self.shared.state.store_points(changed)?;
            *self.shared.catalogue.write() = Arc::new(next);
        }
        Ok(ids)
    }

    /// The points as they are now.
    #[must_use]
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.shared.catalogue()
    }

    /// Commits readings under consecutive seqs, in their order, and returns when the commit is durable. Readings of
    /// several appends share a commit; an append is never split.
    ///
    /// # Errors
    /// [`LogError::UnknownPoint`], [`LogError::KindMismatch`], [`LogError::BatchTooLarge`], [`LogError::Closed`], or what
    /// the commit met. Nothing of the batch is stored then.
    pub async fn append(&self, readings: Vec<Reading>) -> Result<Committed, LogError> {
        self.submit(readings).await?.committed().await
    }

    /// As [`Log::append`], but returns when the batch has found room in the queue, so that a caller can have several on
    /// the way. Batches of one caller are committed in the order of their `submit`.
    ///
    /// # Errors
    /// As [`Log::append`], except for what the commit meets.
    pub async fn submit(&self, readings: Vec<Reading>) -> Result<Pending, LogError> {
        let when_full = self.shared.config.when_full;
        self.submit_at(readings, None, when_full).await.map_err(|refused| refused.error)
    }

    /// A way into the log with an order of its own. Whoever chooses [`WhenFull::Refuse`] is refused when there is no room;
    /// [`WhenFull::DropOldest`] does what the log was opened with.
    #[must_use]
    pub fn appender(&self, when_full: WhenFull) -> Appender {
        let when_full = if when_full == WhenFull::Refuse { when_full } else { self.shared.config.when_full };
        Appender::new(self.clone(), when_full)
    }

    pub(crate) async fn submit_at(
        &self,
        readings: Vec<Reading>,
        place: Option<Place>,
        when_full: WhenFull,
    ) -> Result<Pending, Refused> {
        let weight = weight_of(&readings);
        if let Err(error) = self.shared.check(&readings).and_then(|()| weight_is_taken(weight)) {
            return Err(Refused { error, readings });
        }
        let room = match self.queue.reserve(weight).await {
            Ok(room) => room,
            Err(error) => return Err(Refused { error, readings }),
        };
        let (reply, pending) = oneshot::channel();
        let append = Append { readings, weight, place, when_full, reply, room };
        self.queue.send(Command::Append(append)).map_err(|error| Refused { error, readings: Vec::new() })?;
        Ok(Pending(pending))
    }

    /// The last committed seq, now and whenever it moves; 0 in a new log.
    #[must_use]
    pub fn committed(&self) -> watch::Receiver<Seq> {
        self.shared.committed.subscribe()
    }

    /// The first seq that retention has not deleted; there need be no row of it.
    #[must_use]
    pub fn first_available(&self) -> Seq {
        self.shared.dropped_to() + 1
    }

    /// The committed rows behind `after`, by rising seq, at most `limit`. Near the tail they come from memory; otherwise
    /// it blocks for the disk.
    ///
    /// # Errors
    /// [`LogError::Gone`] when rows behind `after` were dropped by retention; or what reading met.
    pub fn read(&self, after: Seq, limit: usize) -> Result<Vec<Row>, LogError> {
        self.read_within(after, limit, usize::MAX)
    }

    /// As [`Log::read`], but ending with the row that reaches `max_bytes` in memory.
    ///
    /// # Errors
    /// As [`Log::read`].
    pub fn read_within(&self, after: Seq, limit: usize, max_bytes: usize) -> Result<Vec<Row>, LogError> {
        let dropped_to = self.shared.dropped_to();
        if after < dropped_to {
            return Err(LogError::Gone { after, first_available: dropped_to + 1 });
        }
        let newest = self.shared.ring.read().after(after);
        if let Some(batches) = newest {
            return Ok(rows_after(&batches, after, limit, max_bytes));
        }
        let filter = RowFilter { after: stored_seq(after)?, ..RowFilter::default() };
        let rows = self.rows(filter, limit, max_bytes)?;
        // Retention may have dropped a segment between the first look and the scan.
        let dropped_to = self.shared.dropped_to();
        if after < dropped_to {
            return Err(LogError::Gone { after, first_available: dropped_to + 1 });
        }
        Ok(rows)
    }

    /// The committed rows of one point behind `after` whose time is from `from` on and before `to`, by rising seq, at
    /// most `limit`. For the next page pass the last row's seq. Blocks for the disk.
    ///
    /// # Errors
    /// [`LogError::UnknownPoint`], or what reading met.
    pub fn history(
        &self,
        point: PointId,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Row>, LogError> {
        if self.catalogue().by_id(point).is_none() {
            return Err(LogError::UnknownPoint { point });
        }
        let mut filter = RowFilter { point: Some(point.0), after: stored_seq(after)?, ..RowFilter::default() };
        filter.time_from = from.map_or(i64::MIN, |time| time.0);
        match to.map(|time| time.0.checked_sub(1)) {
            Some(None) => return Ok(Vec::new()),
            Some(Some(last)) => filter.time_to = last,
            None => {}
        }
        self.rows(filter, limit, usize::MAX)
    }

    /// The rows of a filter, at most so many, up to the one that reaches so many bytes. Blocks.
    pub(crate) fn rows(&self, filter: RowFilter, limit: usize, max_bytes: usize) -> Result<Vec<Row>, LogError> {
        let snapshot = self.shared.snapshot();
        let mut scan = Scan::new(&snapshot, filter, Arc::clone(&self.shared.readers));
        scan.expect(limit);
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while rows.len() < limit && bytes < max_bytes {
            let Some(stored) = scan.next()? else { break };
            let row: Row = snapshot.row(stored)?;
            bytes += row.weight_bytes();
            rows.push(row);
        }
        Ok(rows)
    }

    /// The row of a point with the greatest time of acquisition, of several that committed last; none when it has none. Blocks only for a value of
    /// more than a kibibyte, which is read from its segment.
    #[must_use]
    pub fn latest(&self, point: PointId) -> Option<Row> {
        self.shared.latest(point)
    }

    /// The latest row of every point whose name still stands for it, by rising point number. Blocks as
    /// [`Log::latest`].
    #[must_use]
    pub fn latest_all(&self) -> Vec<Row> {
        self.shared.latest_all()
    }

    /// A read-only SQL view of the log as it is now. Blocks while too many are in use.
    ///
    /// # Errors
    /// [`LogError::QueriesBusy`], or what SQLite reports.
    pub fn query(&self) -> Result<Query, LogError> {
        Query::open(&self.shared)
    }

    /// A cursor's position; none when there is no such cursor. Blocks.
    ///
    /// # Errors
    /// What reading `state.db` met; so for all functions below.
    pub fn cursor(&self, name: &str) -> Result<Option<Seq>, LogError> {
        self.shared.state.cursor(name)
    }

    /// Puts a cursor to a position, forward or back; durable when it returns. Blocks.
    ///
    /// # Errors
    /// What writing `state.db` met; so for all functions below that write.
    pub fn set_cursor(&self, name: &str, seq: Seq) -> Result<(), LogError> {
        self.shared.state.set_cursor(name, seq)
    }

    /// All cursors by name. Blocks.
    ///
    /// # Errors
    /// As [`Log::cursor`].
    pub fn cursors(&self) -> Result<Vec<(String, Seq)>, LogError> {
        self.shared.state.cursors()
    }

    /// Removes a cursor; nothing happens where there is none. Blocks.
    ///
    /// # Errors
    /// As [`Log::set_cursor`].
    pub fn remove_cursor(&self, name: &str) -> Result<(), LogError> {
        self.shared.state.remove_cursor(name)
    }

    /// Gives a route's cursor, its batch in flight and its dead letters to another name, in one transaction. Nothing happens,
    /// and false is returned, where the old name has no cursor or the new one has one already. Blocks.
    ///
    /// # Errors
    /// As [`Log::set_cursor`].
    pub fn rename_route(&self, from: &str, to: &str) -> Result<bool, LogError> {
        self.shared.state.rename_route(from, to)
    }

    /// Removes all that is kept for a route that is gone: its cursor, its batch in flight, its dead letters. Blocks.
    ///
    /// # Errors
    /// As [`Log::set_cursor`].
    pub fn forget_route(&self, route: &str) -> Result<(), LogError> {
        self.shared.state.forget_route(route)
    }

    /// The batch a route may have on the way. Blocks.
    ///
    /// # Errors
    /// As [`Log::cursor`].
    pub fn in_flight(&self, route: &str) -> Result<Option<InFlight>, LogError> {
        self.shared.state.in_flight(route)
    }

    /// Stores the bounds of the batch a route is about to send; durable when it returns. Blocks.
    ///
    /// # Errors
    /// As [`Log::set_cursor`].
    pub fn begin_batch(&self, route: &str, batch: InFlight) -> Result<(), LogError> {
        self.shared.state.begin_batch(route, batch)
    }

    /// Ends a route's batch in one transaction: the cursor named as the route moves, what is left of the batch is in flight
    /// or, without a rest, nothing is any more, what was refused is kept as dead letters of the route (the newest 10,000, at
    /// most 32 MiB). Blocks.
    ///
    /// # Errors
    /// As [`Log::set_cursor`].
    pub fn finish_batch(
        &self,
        route: &str,
        cursor: Seq,
        rest: Option<InFlight>,
        refused: Vec<RefusedReading>,
    ) -> Result<(), LogError> {
        self.shared.state.finish_batch(route, cursor, rest, refused)
    }

    /// What an adapter remembers under a key. Blocks.
    ///
    /// # Errors
    /// As [`Log::cursor`].
    pub fn state_get(&self, connection: &str, key: &str) -> Result<Option<Vec<u8>>, LogError> {
        self.shared.state.adapter_get(connection, key)
    }

    /// Has an adapter remember a value; durable when it returns. Blocks.
    ///
    /// # Errors
    /// [`LogError::StateFull`] beyond 256 keys of 1 to 255 bytes or 64 KiB in all; else as [`Log::set_cursor`].
    pub fn state_set(&self, connection: &str, key: &str, value: &[u8]) -> Result<(), LogError> {
        self.state_set_within(connection, key, value, ADAPTER_STATE_MAX_BYTES)
    }

    /// The same with another bound of all keys and values; never more than 64 KiB.
    ///
    /// # Errors
    /// As [`Log::state_set`].
    pub fn state_set_within(
        &self,
        connection: &str,
        key: &str,
        value: &[u8],
        max_bytes: usize,
    ) -> Result<(), LogError> {
        self.shared.state.adapter_set(connection, key, value, max_bytes.min(ADAPTER_STATE_MAX_BYTES))
    }

    /// Has an adapter forget a key; nothing happens where there is none. Blocks.
    ///
    /// # Errors
    /// As [`Log::set_cursor`].
    pub fn state_remove(&self, connection: &str, key: &str) -> Result<(), LogError> {
        self.shared.state.adapter_remove(connection, key)
    }

    /// What is missing from the log and why: gaps behind a number, by rising number, at most `limit`; 0 for the first page.
    /// The newest 10,000 are kept. Blocks.
    ///
    /// # Errors
    /// As [`Log::cursor`].
    pub fn gaps(&self, after_id: u64, limit: usize) -> Result<Vec<Gap>, LogError> {
        self.shared.state.gaps(after_id, limit)
    }

    /// Records that readings of a connection were given up before they had a seq, or were never taken from their source, so
    /// that nobody knows how many they are; durable when it returns. Blocks.
    ///
    /// # Errors
    /// As [`Log::set_cursor`].
    pub fn note_gap(&self, connection: &str, rows: Option<u64>, reason: GapReason) -> Result<(), LogError> {
        let at = *self.shared.committed.borrow();
        let gap = Gap { rows, connection: Some(connection.to_owned()), ..Gap::now(at, at, reason) };
        self.shared.note_gaps(vec![gap])
    }

    /// Numbers about the log now. Lists the folder, so it blocks a little.
    #[must_use]
    pub fn stats(&self) -> LogStats {
        let free = self.queue.room.available_permits();
        LogStats { queue_bytes: QUEUE_MAX_BYTES.saturating_sub(free), ..self.shared.stats() }
    }

    /// When the newest commit that is known of was, as the wall clock said it. Looks into a segment at most.
    #[must_use]
    pub fn newest_commit(&self) -> Option<Timestamp> {
        self.shared.segments.now().iter().rev().find_map(|segment| match &segment.knowledge {
            Knowledge::Live(live) => Some(live.lock()).filter(|live| live.rows > 0).map(|live| live.last_commit),
            Knowledge::Sealed { .. } => self.shared.summary(segment).ok()?.map(|summary| summary.last_commit),
            Knowledge::Unread => None,
        })
    }

    /// Closes the open segment if it is old enough, drops the sealed segments that retention no longer allows at `now`,
    /// and takes the rows out of others whose connections keep them for a shorter time. Returns how many were dropped. By
    /// size the log does the same after each sealing; by age it never does by itself, since its own clock may be wrong:
    /// call this now and then, with a time that is believed. Blocks.
    ///
    /// # Errors
    /// What reading or writing met; what could be dropped before it was.
    pub fn apply_retention(&self, now: Timestamp) -> Result<usize, LogError> {
        if let Some(room) = self.queue.try_reserve() {
            self.queue.send(Command::RotateIfAged { now, _room: room })?;
        }
        let dropped = crate::retention::apply(&self.shared, now)?;
        crate::expiry::apply(&self.shared, now)?;
        Ok(dropped)
    }

    /// Has connections keep their own readings for so many seconds from the next [`Log::apply_retention`] on, by name,
    /// instead of those of [`LogConfig::retention_of_connections`] or of the call before; others keep theirs as long as the
    /// log. What is gone does not come back when a time is made longer. Returns whether that changes anything.
    pub fn keep_own_for(&self, seconds: BTreeMap<String, u64>) -> bool {
        let mut own = self.shared.own_retention.write();
        let differs = *own != seconds;
        *own = seconds;
        differs
    }

    /// The rows that are missing behind `after` because their connections keep them for a shorter time than the log,
    /// segment by segment: who counts what came must not take them for lost. Blocks.
    ///
    /// # Errors
    /// What reading met.
    pub fn expired(&self, after: Seq) -> Result<Vec<Expired>, LogError> {
        Ok(self.expired_page(after, usize::MAX)?.0)
    }

    /// As [`Log::expired`], but ending with the segment that reaches `limit`, which may bring more. The second is what to
    /// give as `after` for the next page; none: there is nothing more. Blocks.
    ///
    /// # Errors
    /// What reading met.
    pub fn expired_page(&self, after: Seq, limit: usize) -> Result<(Vec<Expired>, Option<Seq>), LogError> {
        let mut expired = Vec::new();
        let segments = self.shared.segments.now();
        let newest = segments.iter().rev().find_map(|segment| segment.sealed_last());
        let behind = segments.iter().filter_map(|segment| Some((segment, segment.sealed_last()?)));
        for (segment, last) in behind.filter(|(_, last)| *last > after) {
            let reader = self.shared.readers.open(segment)?;
            let found = expired_in(&reader).map_err(sqlite_error("read", &segment.path))?;
            expired.extend(found.into_iter().filter(|expired| expired.last > after));
            if expired.len() >= limit {
                return Ok((expired, Some(last).filter(|last| newest.is_some_and(|newest| *last < newest))));
            }
        }
        Ok((expired, None))
    }

    /// Closes the open segment and returns when it and those before it are sealed. An empty one stays as it is.
    ///
    /// # Errors
    /// [`LogError::Closed`], or what the sealing met; it is tried again later.
    pub async fn seal(&self) -> Result<(), LogError> {
        let room = self.queue.reserve(0).await?;
        let (reply, sealed) = oneshot::channel();
        self.queue.send(Command::Seal { reply, _room: room })?;
        sealed.await.unwrap_or(Err(LogError::Closed))
    }

    /// Commits what is queued, moves the WAL into its segment, and ends the log's threads. Appends of other clones are
    /// refused from now on; reading goes on.
    ///
    /// # Errors
    /// [`LogError::Closed`] when it was closed before, or what closing met; everything acknowledged is on disk anyway.
    pub async fn close(self) -> Result<(), LogError> {
        let room = self.queue.reserve(0).await?;
        let (reply, closed) = oneshot::channel();
        self.queue.send(Command::Close { reply, _room: room })?;
        self.queue.commands.lock().take();
        let result = closed.await.unwrap_or(Err(LogError::Closed));
        let writer = self.queue.writer.lock().take();
        if let Some(writer) = writer {
            // It answered just before its end: this wait is short.
            let _ = tokio::task::spawn_blocking(move || writer.join()).await;
        }
        result
    }
}

impl Queue {
    /// Waits until there is room for so many bytes. A batch heavier than the queue takes all of it.
    async fn reserve(&self, weight: usize) -> Result<Room, LogError> {
        let bytes = weight.clamp(COMMAND_MIN_BYTES, QUEUE_MAX_BYTES);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        Arc::clone(&self.room).acquire_many_owned(bytes).await.map_err(|_| LogError::Closed)
    }

    /// Room for a command without readings, if there is any.
    fn try_reserve(&self) -> Option<Room> {
        let bytes = u32::try_from(COMMAND_MIN_BYTES).unwrap_or(u32::MAX);
        Arc::clone(&self.room).try_acquire_many_owned(bytes).ok()
    }

    fn send(&self, command: Command) -> Result<(), LogError> {
        let commands = self.commands.lock();
        // With the room reserved the channel cannot be full: an error means that the writer has ended.
        commands.as_ref().ok_or(LogError::Closed)?.try_send(command).map_err(|_| LogError::Closed)
    }
}

impl Drop for Queue {
    /// The last handle goes: the writer commits what is queued and ends, and the next `open` finds the folder free.
    fn drop(&mut self) {
        self.commands.get_mut().take();
        if let Some(writer) = self.writer.get_mut().take() {
            let _ = writer.join();
        }
    }
}

fn weight_is_taken(bytes: usize) -> Result<(), LogError> {
    let max = BATCH_MAX_BYTES;
    if bytes > max { Err(LogError::BatchTooLarge { bytes, max }) } else { Ok(()) }
}

/// The point a declaration stands for, and whether it differs from what the catalogue has.
fn declared(catalogue: &Catalogue, connection: &str, info: &PointInfo) -> (Arc<Point>, bool) {
    let named = catalogue.by_name(connection, &info.name);
    if let Some(point) = named.filter(|point| *point.info == *info) {
        return (Arc::clone(point), false);
    }
    let interned = named
        .map(|point| Arc::clone(&point.connection))
        .or_else(|| catalogue.of_connection(connection).next().map(|point| Arc::clone(&point.connection)))
        .unwrap_or_else(|| Arc::from(connection));
    let id = match named {
        Some(point) if point.info.kind == info.kind => point.id,
        Some(_) => catalogue.former(connection, info).map_or_else(|| catalogue.next_id(), |point| point.id),
        None => catalogue.next_id(),
    };
    (Arc::new(Point { id, connection: interned, info: Arc::new(info.clone()) }), true)
}
