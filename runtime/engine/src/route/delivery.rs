//! One route at work: reads behind its cursor, sends batches to its sink, moves the cursor when they were taken.
//!
//! The bounds of a batch are durable before it is sent, so that after a crash exactly that batch goes again under the
//! same key. The cursor moves over what the sink accepted and over what it rejected for good, which becomes a dead letter
//! in the same transaction; a sink that cannot be reached leaves it where it is. What to do after a try is decided in
//! [`super::verdict`], what a batch holds in [`super::batching`] and [`super::backlog`].

use super::backlog::Backlog;
use super::batching::{Batching, Ready};
use super::handle::RouteHandle;
use super::key;
use super::pace::Pace;
use super::selection::Selection;
use super::telling;
use super::upstream::Upstream;
use super::verdict::{Reply, Verdict, judge};
use crate::blocking::blocking;
use crate::status::{Phase, add};
use bulkhead_config::{Route, RouteStart};
use bulkhead_log::{InFlight, LetterError, Log, LogError, RefusedReading};
use bulkhead_model::Seq;
use bulkhead_sandbox::backoff::{Backoff, random_u32};
use bulkhead_sandbox::capability::{Clock, Fault, Remedy};
use bulkhead_sandbox::limits::RETRY_AFTER_MAX;
use bulkhead_sandbox::wit;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The cursor of a route that selects nothing of what passes is stored this often, in seqs, so that a restart does not
/// read it all again.
const IDLE_CURSOR_STEP: u64 = 100_000;
/// How long a delivery on its way may go on when the engine stops; then the batch goes again after the next start.
const LAST_DELIVERY_MAX: Duration = Duration::from_secs(1);
/// How long a route waits for a sink connection that has not started yet.
const SINK_WAIT: Duration = Duration::from_millis(200);

pub(super) struct Delivery {
    handle: Arc<RouteHandle>,
    revision: String,
    batching: Batching,
    reject_tries: u32,
    backoff: Backoff,
    pace: Pace,
    start: RouteStart,
    log: Log,
    sink: Arc<dyn Upstream>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    /// Durable: everything up to here is done with.
    cursor: Seq,
    backlog: Backlog,
    /// The bounds that are durable.
    in_flight: Option<(Seq, Seq)>,
    /// The bounds of the batch that was sent last and may have arrived.
    unsure: Option<(Seq, Seq)>,
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
        sink: Arc<dyn Upstream>,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            handle: handle.clone(),
            revision: key::revision(route),
            batching: Batching {
                max_readings: route.batch_max_readings as usize,
                max_age_ns: u64::from(route.batch_max_age_ms) * 1_000_000,
            },
            reject_tries: route.reject_tries,
            backoff: Backoff::new(
                Duration::from_millis(u64::from(route.retry_first_ms)),
                Duration::from_millis(u64::from(route.retry_max_ms)),
            ),
            pace: Pace::new(route.drain_max_per_s),
            start: route.from,
            log: handle.log.clone(),
            sink,
            clock,
            stop,
            cursor: 0,
            backlog: Backlog::new(handle.log.clone(), Selection::new(route)),
            in_flight: None,
            unsure: None,
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
        let read_to = self.backlog.read_to();
        if self.backlog.len() > 0 || read_to <= self.cursor {
            return;
        }
        let (log, route, cursor) = (self.log.clone(), self.handle.name.clone(), read_to);
        // Where the log refuses, the route reads that piece again.
        _ = blocking(move || log.set_cursor(&route, cursor)).await;
    }

    async fn work(&mut self) -> Stop {
        let outcome: Result<(), Stop> = async {
            self.take_up().await?;
            loop {
                self.gather().await?;
                self.send(self.backlog.next_batch(self.batching)).await?;
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
        self.backlog.begin_after(self.cursor);
        let in_flight = in_flight.filter(|batch| batch.revision == self.revision && batch.last > self.cursor);
        self.in_flight = in_flight.as_ref().map(|batch| (batch.first, batch.last));
        self.unsure = self.in_flight;
        self.handle.cursor.store(self.cursor, Ordering::Relaxed);
        match in_flight {
            Some(batch) => self.resend(batch).await,
            None => Ok(()),
        }
    }

    /// Reads exactly the rows of a batch again and sends them.
    async fn resend(&mut self, batch: InFlight) -> Result<(), Stop> {
        while self.backlog.read_to() < batch.last {
            let before = self.backlog.read_to();
            self.read_more(Some(batch.last)).await?;
            if self.backlog.read_to() == before {
                break;
            }
        }
        tracing::info!(
            route = self.handle.name,
            first = batch.first,
            last = batch.last,
            "a batch may have been sent before; it goes again under the same key"
        );
        match self.backlog.len() {
            0 => Ok(()),
            count => self.send(count).await,
        }
    }

    /// Reads on until there is a batch to send.
    async fn gather(&mut self) -> Result<(), Stop> {
        let mut committed = self.log.committed();
        loop {
            while !self.backlog.is_full(self.batching) && self.backlog.read_to() < *committed.borrow_and_update() {
                self.read_more(None).await?;
            }
            let wait = match self.backlog.ready(self.batching, self.clock.monotonic_ns()) {
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

    async fn read_more(&mut self, up_to: Option<Seq>) -> Result<(), Stop> {
        let gap = self.backlog.read_more(up_to, self.clock.monotonic_ns()).await?;
        if let Some(gap) = gap {
            add(&self.handle.gap, gap.lost());
            telling::of_gap(&self.handle.name, gap);
        }
        Ok(())
    }

    /// Stores how far the route has looked when nothing it selects was there.
    async fn store_idle_cursor(&mut self) -> Result<(), Stop> {
        let read_to = self.backlog.read_to();
        // In memory the cursor is always up to date, so that the backlog of an idle route shows as none.
        self.handle.cursor.store(read_to, Ordering::Relaxed);
        if read_to - self.cursor < IDLE_CURSOR_STEP {
            return Ok(());
        }
        let (log, route) = (self.log.clone(), self.handle.name.clone());
        blocking(move || log.set_cursor(&route, read_to)).await?;
        self.cursor = read_to;
        Ok(())
    }

    /// Sends the first `count` waiting readings until they are done with: taken, rejected, or split and sent in parts.
    async fn send(&mut self, count: usize) -> Result<(), Stop> {
        let (mut left, mut part) = (count, count);
        while left > 0 {
            if self.stop.is_cancelled() {
                return Err(Stop::Engine);
            }
            part = part.clamp(1, left);
            let reply = self.try_part(part).await?;
            self.crashes = reply.crashes(self.crashes);
            let verdict = judge(part, self.crashes, &reply);
            let (done, refused) = self.done_with(part, &reply, &verdict).await?;
            if done > 0 {
                let rest = part - done;
                self.finish(done, rest, refused).await?;
                left -= done;
                // What is left of a part goes as it is: it may have arrived under a key of its own. After a batch that had
                // to be halved the rest goes in larger parts again.
                part = if rest > 0 { rest } else { part.saturating_mul(2) };
            }
            match verdict {
                Verdict::Halve => part /= 2,
                Verdict::Wait(fault) => {
                    // An adapter that rests has not seen the batch.
                    self.unsure = self.in_flight.filter(|_| !matches!(reply, Reply::Resting(_))).or(self.unsure);
                    self.wait_after(&fault).await?;
                }
                Verdict::GoOn | Verdict::Refused(_) => {}
            }
        }
        Ok(())
    }

    /// How many readings from the front are done with after a reply, and which of them become dead letters.
    async fn done_with(
        &mut self,
        part: usize,
        reply: &Reply,
        verdict: &Verdict,
    ) -> Result<(usize, Vec<RefusedReading>), Stop> {
        let mut refused = Vec::new();
        for rejection in reply.refused() {
            refused.extend(self.insist(rejection.index as usize, &rejection.fault).await?);
        }
        if let Verdict::Refused(fault) = verdict {
            refused.extend(self.insist(0, fault).await?);
            return Ok((1, refused));
        }
        Ok((reply.done(part), refused))
    }

    /// Makes the bounds of the next `part` readings durable and hands them to the sink.
    async fn try_part(&mut self, part: usize) -> Result<Reply, Stop> {
        self.keep_pace(part).await?;
        let bounds @ (first, last) = self.backlog.bounds(part);
        if self.in_flight != Some(bounds) {
            let (log, route) = (self.log.clone(), self.handle.name.clone());
            let in_flight = InFlight { revision: self.revision.clone(), first, last };
            blocking(move || log.begin_batch(&route, in_flight)).await?;
            self.in_flight = Some(bounds);
        }
        let key = key::batch_key(&self.log.id(), &self.handle.name, &self.revision, first, last);
        let batch = self.backlog.batch(key, &self.handle.name, part);
        if self.unsure == Some(bounds) {
            add(&self.handle.resent, part as u64);
        }
        self.deliver(batch).await
    }

    /// Tries a refused reading by itself as often as the route says. None: it was taken after all.
    ///
    /// Meanwhile the batch it came in counts as on its way, so that after a crash it goes again as it was.
    async fn insist(&mut self, index: usize, fault: &Fault) -> Result<Option<RefusedReading>, Stop> {
        let mut fault = fault.clone();
        let mut tries = self.crashes.max(1);
        while tries < self.reject_tries {
            self.wait_after(&fault).await?;
            self.keep_pace(1).await?;
            let seq = self.backlog.row(index).seq;
            let key = key::batch_key(&self.log.id(), &self.handle.name, &self.revision, seq, seq);
            let batch = self.backlog.batch_of_one(key, &self.handle.name, index);
            let reply = self.deliver(batch).await?;
            // An upstream that cannot be reached has not refused it once more.
            let (next, is_refusal) = match (reply.refused().first(), reply.fault(1)) {
                (Some(rejection), _) => (&rejection.fault, true),
                (None, Some(fault)) => (fault, matches!(reply, Reply::Crashed(_)) || fault.remedy == Remedy::Reject),
                (None, None) => return Ok(None),
            };
            fault = next.clone();
            tries += u32::from(is_refusal);
        }
        let error = LetterError { code: fault.code, message: fault.message, tries, time: self.clock.now() };
        Ok(Some(RefusedReading { row: self.backlog.row(index).clone(), error }))
    }

    /// Waits until the route may send so many readings.
    async fn keep_pace(&mut self, readings: usize) -> Result<(), Stop> {
        let wait_ns = self.pace.wait_ns(self.clock.monotonic_ns());
        if wait_ns > 0 {
            self.pause(Duration::from_nanos(wait_ns)).await?;
        }
        self.pace.sent(readings, self.clock.monotonic_ns());
        Ok(())
    }

    /// Hands a batch to the sink.
    async fn deliver(&mut self, batch: wit::Batch) -> Result<Reply, Stop> {
        while let Some(reason) = self.sink.not_ready() {
            self.handle.set_phase(Phase::Waiting(reason));
            self.pause(SINK_WAIT).await?;
        }
        add(&self.handle.batches, 1);
        tokio::select! {
            reply = self.sink.deliver(batch) => Ok(reply),
            () = after(&self.stop, LAST_DELIVERY_MAX) => Err(Stop::Engine),
        }
    }

    /// Moves the cursor over the next `done` readings; those refused among them become dead letters with it. The `rest`
    /// readings behind them, which were sent with them, count as on their way from then on.
    async fn finish(&mut self, done: usize, rest: usize, refused: Vec<RefusedReading>) -> Result<(), Stop> {
        let cursor = self.backlog.cursor_after(done);
        let on_the_way = (rest > 0).then(|| (self.backlog.row(done).seq, self.backlog.row(done + rest - 1).seq));
        let in_flight = on_the_way.map(|(first, last)| InFlight { revision: self.revision.clone(), first, last });
        let rejected = refused.len() as u64;
        telling::of_refused(&self.handle.name, &refused, &self.log.catalogue());
        let (log, route) = (self.log.clone(), self.handle.name.clone());
        blocking(move || log.finish_batch(&route, cursor, in_flight, refused)).await?;
        self.backlog.drop_front(done);
        self.in_flight = on_the_way;
        self.unsure = None;
        self.cursor = cursor;
        // The cursor is shown last: whoever sees it there sees the dead letters that came with it.
        if rejected > 0 {
            self.handle.letters.look_again().await;
        }
        add(&self.handle.accepted, done as u64 - rejected);
        add(&self.handle.rejected, rejected);
        self.handle.cursor.store(cursor, Ordering::Relaxed);
        self.backoff.succeeded();
        self.handle.set_phase(Phase::Running);
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
            connection = self.sink.name(),
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
