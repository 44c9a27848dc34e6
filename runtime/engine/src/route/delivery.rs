//! One route at work: reads behind its cursor, sends batches to its sink, moves the cursor when they were taken.
//!
//! The bounds of a batch are durable before it is sent, so that after a crash exactly that batch goes again under the
//! same key. The cursor moves over what the sink accepted and over what it rejected for good, which becomes a dead letter
//! in the same transaction; a sink that cannot be reached leaves it where it is.

use super::batching::{Batching, Ready};
use super::handle::RouteHandle;
use super::selection::Selection;
use crate::connection::{ConnectionHandle, Request};
use crate::status::{Phase, add};
use bulkhead_config::{Route, RouteStart};
use bulkhead_log::{Catalogue, DeadLetter, InFlight, Log, LogError, Row};
use bulkhead_model::Seq;
use bulkhead_sandbox::backoff::{Backoff, random_u32};
use bulkhead_sandbox::capability::{Clock, Fault, Remedy};
use bulkhead_sandbox::limits::RETRY_AFTER_MAX;
use bulkhead_sandbox::{CallError, Role, wit};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Most rows read from the log at a time.
const READ_MAX_ROWS: usize = 5_000;
/// The cursor of a route that selects nothing of what passes is stored this often, in seqs, so that a restart does not
/// read it all again.
const IDLE_CURSOR_STEP: u64 = 100_000;
/// What a crash of the sink's adapter is called, and how many of them in a row halve the batch.
const CRASH_CODES: [&str; 2] = ["trap", "deadline"];
const CRASHES_MAX: u32 = 2;
/// How long a delivery on its way may go on when the engine stops; then the batch goes again after the next start.
const LAST_DELIVERY_MAX: Duration = Duration::from_secs(1);
/// How long a route waits for a sink connection that has not started yet.
const SINK_WAIT: Duration = Duration::from_millis(200);

/// Names the route's meaning: a batch made under other rules is another batch.
fn revision(route: &Route) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    format!("{:?}{:?}{:?}{}", route.select, route.rename, route.convert, route.to).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

pub(super) struct Delivery {
    handle: Arc<RouteHandle>,
    revision: String,
    selection: Selection,
    /// The catalogue that `selection` was worked out from.
    catalogue_seen: Arc<Catalogue>,
    batching: Batching,
    backoff: Backoff,
    start: RouteStart,
    log: Log,
    sink: Arc<ConnectionHandle>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    /// Durable: everything up to here is done with.
    cursor: Seq,
    /// Everything up to here has been looked at; what was selected of it is in `waiting` or done.
    read_to: Seq,
    waiting: Vec<Row>,
    waiting_since_ns: u64,
    /// How often in a row the sink's adapter has crashed on the batch at hand.
    crashes: u32,
}

/// Why the task ends or pauses.
enum Stop {
    Engine,
    Log(LogError),
}

impl From<LogError> for Stop {
    fn from(error: LogError) -> Self {
        Stop::Log(error)
    }
}

impl Delivery {
    /// A route's task, ready to run.
    pub(super) fn new(
        handle: &Arc<RouteHandle>,
        route: &Route,
        sink: Arc<ConnectionHandle>,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            handle: handle.clone(),
            revision: revision(route),
            selection: Selection::new(route),
            catalogue_seen: handle.log.catalogue(),
            batching: Batching {
                max_readings: route.batch_max_readings as usize,
                max_age_ns: u64::from(route.batch_max_age_ms) * 1_000_000,
            },
            backoff: Backoff::new(
                Duration::from_millis(u64::from(route.retry_first_ms)),
                Duration::from_millis(u64::from(route.retry_max_ms)),
            ),
            start: route.from,
            log: handle.log.clone(),
            sink,
            clock,
            stop,
            cursor: 0,
            read_to: 0,
            waiting: Vec::new(),
            waiting_since_ns: 0,
            crashes: 0,
        }
    }

    pub(super) async fn run(mut self) {
        self.handle.set_phase(Phase::Running);
        loop {
            match self.work().await {
                Stop::Engine => break,
                Stop::Log(error) => {
                    tracing::error!(route = self.handle.name, "the log: {error}");
                    self.handle.set_phase(Phase::Waiting(error.to_string()));
                    let wait = self.backoff.next(random_u32());
                    if self.pause(wait).await.is_err() {
                        break;
                    }
                }
            }
        }
        self.store_last_look().await;
        self.handle.set_phase(Phase::Stopped);
    }

    /// Stores how far the route has looked, so that one that begins anew under other rules does not look at it again.
    async fn store_last_look(&mut self) {
        if !self.waiting.is_empty() || self.read_to <= self.cursor {
            return;
        }
        let (log, route, cursor) = (self.log.clone(), self.handle.name.clone(), self.read_to);
        // Where the log refuses, the route reads that piece again.
        _ = blocking(move || log.set_cursor(&route, cursor)).await;
    }

    async fn work(&mut self) -> Stop {
        let outcome: Result<(), Stop> = async {
            self.take_up().await?;
            loop {
                self.gather().await?;
                self.send_waiting().await?;
            }
        }
        .await;
        match outcome {
            Err(stop) => stop,
            Ok(()) => Stop::Engine,
        }
    }

    /// Finds the cursor, and sends the batch again that may have been on the way when the gateway ended.
    async fn take_up(&mut self) -> Result<(), Stop> {
        let (log, route) = (self.log.clone(), self.handle.name.clone());
        let (cursor, in_flight) = blocking(move || Ok((log.cursor(&route)?, log.in_flight(&route)?))).await?;
        self.cursor = match (cursor, self.start) {
            (Some(cursor), _) => cursor,
            (None, RouteStart::Oldest) => 0,
            (None, RouteStart::Now) => *self.log.committed().borrow(),
            (None, RouteStart::Seq(first)) => first.saturating_sub(1).min(*self.log.committed().borrow()),
        };
        if cursor.is_none() {
            let (log, route, cursor) = (self.log.clone(), self.handle.name.clone(), self.cursor);
            blocking(move || log.set_cursor(&route, cursor)).await?;
        }
        self.read_to = self.cursor;
        self.waiting.clear();
        self.handle.cursor.store(self.cursor, Ordering::Relaxed);
        match in_flight {
            Some(batch) if batch.revision == self.revision && batch.last > self.cursor => self.resend(batch).await,
            _ => Ok(()),
        }
    }

    /// Reads exactly the rows of a batch again and sends them.
    async fn resend(&mut self, batch: InFlight) -> Result<(), Stop> {
        while self.read_to < batch.last {
            let before = self.read_to;
            self.read_more(Some(batch.last)).await?;
            if self.read_to == before {
                break;
            }
        }
        tracing::info!(
            route = self.handle.name,
            first = batch.first,
            last = batch.last,
            "a batch may have been sent before; it goes again under the same key"
        );
        match self.waiting.is_empty() {
            true => Ok(()),
            false => self.send(self.waiting.len()).await,
        }
    }

    /// Reads on until there is a batch to send.
    async fn gather(&mut self) -> Result<(), Stop> {
        let mut committed = self.log.committed();
        loop {
            while self.waiting.len() < self.batching.max_readings && self.read_to < *committed.borrow_and_update() {
                self.read_more(None).await?;
            }
            let now = self.clock.monotonic_ns();
            let wait = match self.batching.ready(self.waiting.len(), self.waiting_since_ns, now) {
                Ready::Now => return Ok(()),
                Ready::In { ns } => Some(Duration::from_nanos(ns)),
                Ready::Idle => {
                    self.store_idle_cursor().await?;
                    None
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => return Err(Stop::Engine),
                changed = committed.changed() => changed.map_err(|_| Stop::Engine)?,
                () = sleep(wait) => {}
            }
        }
    }

    /// Reads a piece of the log and keeps what the route selects.
    async fn read_more(&mut self, up_to: Option<Seq>) -> Result<(), Stop> {
        let (log, after) = (self.log.clone(), self.read_to);
        let rows = match blocking(move || log.read(after, READ_MAX_ROWS)).await {
            Err(LogError::Gone { after, first_available }) => return self.skip_gap(after, first_available),
            outcome => outcome?,
        };
        let catalogue = self.log.catalogue();
        if !Arc::ptr_eq(&catalogue, &self.catalogue_seen) {
            self.selection.forget();
            self.catalogue_seen = catalogue.clone();
        }
        let Some(last) = rows.last().map(|row| row.seq) else {
            // Numbers that were reserved and never used: there is nothing between here and the last commit.
            self.read_to = up_to.unwrap_or_else(|| *self.log.committed().borrow());
            return Ok(());
        };
        self.read_to = up_to.map_or(last, |up_to| last.min(up_to));
        let was_empty = self.waiting.is_empty();
        for row in rows {
            if row.seq <= self.read_to && self.selection.takes(&row, &catalogue) {
                self.waiting.push(row);
            }
        }
        if was_empty && !self.waiting.is_empty() {
            self.waiting_since_ns = self.clock.monotonic_ns();
        }
        Ok(())
    }

    /// Retention has deleted what the route had not read: that is a loss, which is counted and told.
    fn skip_gap(&mut self, after: Seq, first_available: Seq) -> Result<(), Stop> {
        let lost = first_available.saturating_sub(after + 1);
        add(&self.handle.gap, lost);
        tracing::error!(
            route = self.handle.name,
            first_lost = after + 1,
            first_available,
            "retention has deleted up to {lost} readings of the log before this route could send them"
        );
        self.read_to = first_available.saturating_sub(1);
        Ok(())
    }

    /// Stores how far the route has looked when nothing it selects was there.
    async fn store_idle_cursor(&mut self) -> Result<(), Stop> {
        let step = self.read_to - self.cursor;
        // In memory the cursor is always up to date, so that the backlog of an idle route shows as none.
        self.handle.cursor.store(self.read_to, Ordering::Relaxed);
        if step < IDLE_CURSOR_STEP {
            return Ok(());
        }
        let (log, route, cursor) = (self.log.clone(), self.handle.name.clone(), self.read_to);
        blocking(move || log.set_cursor(&route, cursor)).await?;
        self.cursor = self.read_to;
        Ok(())
    }

    async fn send_waiting(&mut self) -> Result<(), Stop> {
        while self.waiting.len() >= self.batching.max_readings {
            self.send(self.batching.max_readings).await?;
        }
        let now = self.clock.monotonic_ns();
        match self.batching.ready(self.waiting.len(), self.waiting_since_ns, now) {
            Ready::Now => self.send(self.waiting.len()).await,
            _ => Ok(()),
        }
    }

    /// Sends the first `count` waiting readings until they are done with: taken, rejected, or split and sent in parts.
    async fn send(&mut self, count: usize) -> Result<(), Stop> {
        let mut count = count;
        let mut left = count;
        while left > 0 {
            if self.stop.is_cancelled() {
                return Err(Stop::Engine);
            }
            count = count.clamp(1, left);
            let (first, last) = (self.waiting[0].seq, self.waiting[count - 1].seq);
            let (log, route) = (self.log.clone(), self.handle.name.clone());
            let in_flight = InFlight { revision: self.revision.clone(), first, last };
            blocking(move || log.begin_batch(&route, in_flight)).await?;
            let key = format!("{}-{}-{}-{first}-{last}", self.log.id(), self.handle.name, self.revision);
            let rows = self.waiting[..count].to_vec();
            let batch = self.selection.batch(key, &self.handle.name, rows, &self.log.catalogue());
            add(&self.handle.batches, 1);
            let outcome = self.deliver(batch).await?;
            let done = self.account(outcome, &mut count).await?;
            left -= done;
            if done > 0 {
                // After a batch that had to be halved the rest goes in larger pieces again.
                count = count.saturating_mul(2);
            }
        }
        Ok(())
    }

    /// Hands a batch to the sink's actor. An outcome that says nothing was taken stands for every failure.
    async fn deliver(&mut self, batch: wit::Batch) -> Result<wit::Outcome, Stop> {
        let refused = |fault: Fault| wit::Outcome { accepted: 0, rejected: Vec::new(), rest: Some(fault) };
        let sink = loop {
            match self.sink.assembled() {
                Some(sink) => break sink,
                None => {
                    if let Err(error) = self.sink.running() {
                        self.handle.set_phase(Phase::Waiting(error.to_string()));
                    }
                    self.pause(SINK_WAIT).await?;
                }
            }
        };
        if !sink.has(Role::Sink) {
            let message = format!("connection {} has no role sink; routes can only lead to a sink", self.sink.name);
            return Ok(refused(Fault::new(Remedy::Reconfigure, "no-such-role", message)));
        }
        let (reply, outcome) = oneshot::channel();
        let delivery = async {
            let sent = sink.main.send(Request::Deliver(Box::new(batch), reply)).await;
            (sent, outcome.await)
        };
        let (sent, outcome) = tokio::select! {
            delivered = delivery => delivered,
            () = after(&self.stop, LAST_DELIVERY_MAX) => return Err(Stop::Engine),
        };
        Ok(match (sent, outcome) {
            (Ok(()), Ok(Ok(outcome))) => outcome,
            (Ok(()), Ok(Err(CallError::Fault(fault)))) => refused(fault),
            (Ok(()), Ok(Err(error))) => {
                let retry_after_ms = error.wait().map(|wait| u32::try_from(wait.as_millis()).unwrap_or(u32::MAX));
                refused(Fault { retry_after_ms, ..Fault::new(Remedy::Retry, error.code(), error.to_string()) })
            }
            _ => {
                let phase = self.sink.live.phase.lock().clone();
                let reason = phase.reason().unwrap_or(phase.name()).to_owned();
                refused(Fault::new(
                    Remedy::Retry,
                    "sink-not-running",
                    format!("connection {}: {reason}", self.sink.name),
                ))
            }
        })
    }

    /// Moves the cursor over what is done with, and waits where the rest must wait. Returns how many readings are done.
    async fn account(&mut self, outcome: wit::Outcome, count: &mut usize) -> Result<usize, Stop> {
        let mut done = (outcome.accepted as usize).min(*count);
        let mut letters: Vec<DeadLetter> = outcome
            .rejected
            .iter()
            .map(|rejection| self.dead_letter(rejection.index as usize, &rejection.fault))
            .collect();
        let fault = outcome.rest.filter(|_| done < *count);
        let has_crashed = fault.as_ref().is_some_and(|fault| CRASH_CODES.contains(&fault.code.as_str()));
        self.crashes = if has_crashed { self.crashes + 1 } else { 0 };
        // A batch that the sink crashes on again and again holds a reading that it cannot take.
        let is_rejected =
            self.crashes >= CRASHES_MAX || fault.as_ref().is_some_and(|fault| fault.remedy == Remedy::Reject);
        if done == 0 && is_rejected {
            if *count > 1 {
                // The sink cannot say which reading it will not take: halves find it.
                *count /= 2;
                return Ok(0);
            }
            letters.extend(fault.as_ref().map(|fault| self.dead_letter(0, fault)));
            done = 1;
        }
        if done > 0 {
            self.finish(done, letters).await?;
            self.backoff.succeeded();
            self.handle.set_phase(Phase::Running);
        }
        // A sink that got further and asks for no wait has only reached its own bound of one call.
        let goes_on = |fault: &Fault| done > 0 && fault.retry_after_ms == Some(0);
        if let Some(fault) = fault.filter(|fault| !is_rejected && !goes_on(fault)) {
            self.wait_after(&fault).await?;
        }
        Ok(done)
    }

    fn dead_letter(&self, index: usize, fault: &Fault) -> DeadLetter {
        let row = &self.waiting[index];
        DeadLetter {
            route: self.handle.name.clone(),
            seq: row.seq,
            point: row.reading.point,
            code: fault.code.clone(),
            message: fault.message.clone(),
            time: self.clock.now(),
        }
    }

    /// One line for the refused readings of a batch, with the first of them.
    fn tell_refused(&self, letters: &[DeadLetter]) {
        let Some(first) = letters.first() else { return };
        let catalogue = self.log.catalogue();
        let point = catalogue.by_id(first.point);
        tracing::error!(
            route = self.handle.name,
            connection = point.map(|point| &*point.connection),
            point = point.map(|point| point.info.name.as_str()),
            seq = first.seq,
            code = first.code,
            refused = letters.len(),
            "the upstream refused readings for good; they are kept as dead letters; the first: {}",
            first.message
        );
    }

    async fn finish(&mut self, done: usize, letters: Vec<DeadLetter>) -> Result<(), Stop> {
        // Behind the last waiting reading nothing was selected up to where the route has read.
        let cursor = if done == self.waiting.len() { self.read_to } else { self.waiting[done - 1].seq };
        let rejected = letters.len() as u64;
        self.tell_refused(&letters);
        let (log, route) = (self.log.clone(), self.handle.name.clone());
        blocking(move || log.finish_batch(&route, cursor, &letters)).await?;
        self.waiting.drain(..done);
        self.cursor = cursor;
        self.handle.cursor.store(cursor, Ordering::Relaxed);
        add(&self.handle.accepted, done as u64 - rejected);
        add(&self.handle.rejected, rejected);
        Ok(())
    }

    async fn wait_after(&mut self, fault: &Fault) -> Result<(), Stop> {
        add(&self.handle.retries, 1);
        let reason = format!("{}: {}", fault.code, fault.message);
        let wait = self.backoff.next(random_u32());
        let asked = fault.retry_after_ms.map_or(Duration::ZERO, |ms| Duration::from_millis(u64::from(ms)));
        let asked = asked.min(RETRY_AFTER_MAX);
        tracing::warn!(
            route = self.handle.name,
            connection = self.sink.name,
            code = fault.code,
            retry_in_ms = wait.max(asked).as_millis(),
            "the upstream did not take a batch; the cursor waits: {}",
            fault.message
        );
        self.handle.set_phase(match fault.remedy {
            Remedy::Reconfigure => Phase::Failed(reason),
            _ => Phase::Waiting(reason),
        });
        self.pause(wait.max(asked)).await
    }

    async fn pause(&self, wait: Duration) -> Result<(), Stop> {
        tokio::select! {
            () = self.stop.cancelled() => Err(Stop::Engine),
            () = tokio::time::sleep(wait) => Ok(()),
        }
    }
}

/// Some time after the engine has begun to stop.
async fn after(stop: &CancellationToken, grace: Duration) {
    stop.cancelled().await;
    tokio::time::sleep(grace).await;
}

async fn sleep(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}

/// Runs a call of the log where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(LogError::Closed))
}
