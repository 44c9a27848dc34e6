//! The task that owns a guest: it polls when a group is due and takes requests in the order they come.

use crate::assembly::NamedLink;
use crate::outage::Outage;
use crate::schedule::Schedule;
use crate::status::{Live, Phase, WebhookReply, WebhookRequest, add};
use bulkhead_config::{Connection, DEFAULT_POLL_GROUP};
use bulkhead_log::{Log, Pending};
use bulkhead_model::{Reading, Status, Value};
use bulkhead_sandbox::backoff::{Backoff, random_u32};
use bulkhead_sandbox::capability::{Clock, Fault, Frame, Journal, Remedy};
use bulkhead_sandbox::{CallError, Guest, PointTable, Role, wit};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Most appends of an actor whose commit is not known yet; then it waits for the oldest. So many that polls of a few
/// hundred readings fill a commit; their memory is bounded by the log's queue.
const UNCOMMITTED_MAX: usize = 64;
/// Longest wait of the final calls when the engine stops.
const STOP_MAX: Duration = Duration::from_secs(1);
/// Tries of a frame before it is given up.
const FRAME_TRIES: u32 = 2;
/// Bytes of a given-up frame that the journal shows.
const SHOWN_PAYLOAD_BYTES: usize = 64;

/// What an actor is asked to do.
pub(crate) enum Request {
    /// Frames of a transport, for the role listener.
    Frames(Frames),
    /// Polls a group now; the answer comes when the readings are committed.
    Poll(String, oneshot::Sender<Result<(), CallError>>),
    /// Delivers a batch, for the role sink.
    Deliver(Box<wit::Batch>, oneshot::Sender<Result<wit::Outcome, CallError>>),
    /// Writes a value to the point of this number inside the guest.
    Write(u32, Value, oneshot::Sender<Result<(), CallError>>),
    /// Answers a webhook; the answer comes when its readings are committed.
    Respond(WebhookRequest, oneshot::Sender<Result<WebhookReply, CallError>>),
}

/// Frames on their way from a transport.
pub(crate) struct Frames {
    pub(crate) role: String,
    pub(crate) frames: Vec<Frame>,
    /// True once their readings are committed; dropped or false: they must come again.
    pub(crate) done: oneshot::Sender<bool>,
}

/// What a polled connection remembers.
pub(super) struct Polling {
    pub(super) config: Connection,
    pub(super) schedule: Schedule,
    pub(super) outage: Outage,
    /// How many points there were when the groups were last worked out.
    pub(super) points_seen: usize,
    pub(super) failures: Backoff,
}

pub(super) struct Actor {
    pub(super) connection: String,
    pub(super) guest: Guest,
    pub(super) links: Vec<NamedLink>,
    pub(super) points: Arc<PointTable>,
    pub(super) log: Log,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) journal: Arc<dyn Journal>,
    pub(super) live: Arc<Live>,
    pub(super) stop: CancellationToken,
    pub(super) polling: Option<Polling>,
    pub(super) uncommitted: VecDeque<Pending>,
}

impl Actor {
    /// Works until the engine stops; then waits for what it has handed to the log and lets the guest say goodbye.
    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Request>) {
        loop {
            self.plan_groups();
            let poll_in = self.next_poll();
            let timer_in = self.guest.next_timer();
            let stop = self.stop.clone();
            tokio::select! {
                () = stop.cancelled() => break,
                () = sleep(poll_in) => self.poll_due().await,
                () = sleep(timer_in) => self.run_timers().await,
                request = inbox.recv() => match request {
                    Some(request) => self.handle(request).await,
                    None => break,
                },
            }
            self.publish_counters();
        }
        while let Some(pending) = self.uncommitted.pop_front() {
            self.settle(pending).await;
        }
        _ = tokio::time::timeout(STOP_MAX, self.guest.stop()).await;
    }

    async fn handle(&mut self, request: Request) {
        match request {
            Request::Frames(frames) => self.receive(frames).await,
            Request::Poll(group, reply) => {
                let outcome = self.poll_now(&group).await;
                _ = reply.send(outcome);
            }
            Request::Deliver(batch, reply) => {
                let outcome = self.guest.deliver(&batch).await;
                if let Err(error) = &outcome {
                    self.report(None, error);
                    self.follow_remedy(error).await;
                }
                _ = reply.send(outcome);
            }
            Request::Write(point, value, reply) => {
                let outcome = self.guest.write(point, value).await;
                let counters = &self.live.counters;
                add(if outcome.is_ok() { &counters.writes } else { &counters.writes_failed }, 1);
                _ = reply.send(outcome);
            }
            Request::Respond(request, reply) => {
                let outcome = self.respond(request).await;
                _ = reply.send(outcome);
            }
        }
    }

    // ---- polling

    /// Keeps the schedule in step with the points: groups come from their declarations.
    fn plan_groups(&mut self) {
        let is_listener = self.guest.adapter().has(Role::Listener);
        let Some(polling) = self.polling.as_mut() else { return };
        if polling.points_seen == self.points.len() {
            return;
        }
        let declared: BTreeSet<String> = self
            .points
            .all()
            .into_iter()
            .filter_map(|point| match (point.info.group, is_listener) {
                (Some(group), _) => Some(group),
                (None, false) => Some(DEFAULT_POLL_GROUP.to_owned()),
                (None, true) => None,
            })
            .collect();
        polling.points_seen = self.points.len();
        let groups = if declared.is_empty() && !is_listener {
            // An adapter that declares its points as it reads them is asked for the default group until it has some.
            BTreeSet::from([DEFAULT_POLL_GROUP.to_owned()])
        } else {
            declared
        };
        let config = &polling.config;
        let beats = groups.into_iter().map(|group| {
            let interval_ns = u64::from(config.interval_ms(&group)) * 1_000_000;
            (group, interval_ns)
        });
        polling.schedule.set_groups(beats, self.clock.monotonic_ns());
    }

    fn next_poll(&self) -> Option<Duration> {
        let due = self.polling.as_ref()?.schedule.next_due_ns()?;
        Some(Duration::from_nanos(due.saturating_sub(self.clock.monotonic_ns())))
    }

    async fn poll_due(&mut self) {
        let now = self.clock.monotonic_ns();
        let Some(polling) = self.polling.as_mut() else { return };
        let missed_before = polling.schedule.missed();
        let due = polling.schedule.take_due(now);
        add(&self.live.counters.polls_missed, polling.schedule.missed() - missed_before);
        if let Some(group) = due
            && let Err(error) = self.poll(&group).await
        {
            self.after_failed_poll(&error).await;
        }
    }

    async fn poll_now(&mut self, group: &str) -> Result<(), CallError> {
        let outcome = self.poll(group).await;
        while let Some(pending) = self.uncommitted.pop_front() {
            self.settle(pending).await;
        }
        outcome
    }

    /// One poll: its readings, or the outage it met, go to the log.
    async fn poll(&mut self, group: &str) -> Result<(), CallError> {
        add(&self.live.counters.polls, 1);
        let outcome = self.guest.poll(group).await;
        let (mut readings, outcome) = match outcome {
            Ok(readings) => (readings, Ok(())),
            Err(error) => {
                let bad = self.bad_readings(group, status_of(&error));
                self.report(None, &error);
                (bad, Err(error))
            }
        };
        let now = self.clock.monotonic_ns();
        if let Some(polling) = self.polling.as_mut() {
            let before = polling.outage.left_out();
            polling.outage.filter(&mut readings, now);
            add(&self.live.counters.readings_left_out, polling.outage.left_out() - before);
            if outcome.is_ok() {
                polling.failures.succeeded();
            }
        }
        self.append(readings).await;
        if outcome.is_ok() {
            self.live.set_phase_if_waiting();
        }
        outcome
    }

    /// One Bad reading for each point of a group, stamped now: the moment the outage was seen.
    fn bad_readings(&self, group: &str, status: Status) -> Vec<Reading> {
        let time = self.clock.now();
        self.points
            .all()
            .into_iter()
            .filter(|point| point.info.group.as_deref().unwrap_or(DEFAULT_POLL_GROUP) == group)
            .map(|point| Reading { point: point.id, time, status, value: None })
            .collect()
    }

    async fn after_failed_poll(&mut self, error: &CallError) {
        self.live.set_phase(Phase::Waiting(error.to_string()));
        self.follow_remedy(error).await;
        // A guest that is being rebuilt is not asked before it can be; polls in between would all fail alike.
        if let Some(wait) = error.wait() {
            self.pause(wait).await;
        }
    }

    /// Does what a fault asks of the host.
    async fn follow_remedy(&mut self, error: &CallError) {
        match error {
            CallError::Fault(Fault { remedy: Remedy::Reconnect, .. }) => {
                for link in &self.links {
                    link.link.reconnect().await;
                }
            }
            CallError::Fault(Fault { remedy: Remedy::Reconfigure, .. }) | CallError::CannotStart(_) => {
                tracing::error!(connection = self.connection, "needs another configuration: {error}");
                self.live.set_phase(Phase::Failed(error.to_string()));
                let wait = self.polling.as_mut().map(|polling| polling.failures.next(random_u32()));
                if let Some(wait) = wait {
                    self.pause(wait).await;
                }
            }
            _ => {}
        }
    }

    async fn pause(&mut self, wait: Duration) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }

    // ---- frames

    async fn receive(&mut self, batch: Frames) {
        add(&self.live.counters.frames, batch.frames.len() as u64);
        let Some(readings) = self.understand(&batch.role, &batch.frames).await else {
            _ = batch.done.send(false);
            return;
        };
        if readings.is_empty() {
            _ = batch.done.send(true);
            return;
        }
        self.count_readings(&readings);
        let count = readings.len() as u64;
        match self.log.submit(readings).await {
            Ok(pending) => {
                let (live, connection) = (self.live.clone(), self.connection.clone());
                // The commit is awaited beside the actor, so that the next frames are understood meanwhile. The log's
                // bounded queue and the pump's bound keep the number of these tasks small.
                tokio::spawn(async move {
                    let committed = pending.committed().await;
                    if let Err(error) = &committed {
                        add(&live.counters.readings_lost, count);
                        tracing::error!(
                            connection,
                            "readings of frames were not committed and stay unacknowledged: {error}"
                        );
                    }
                    _ = batch.done.send(committed.is_ok());
                });
            }
            Err(error) => {
                tracing::error!(connection = self.connection, "the log took no readings of frames: {error}");
                _ = batch.done.send(false);
            }
        }
    }

    /// The readings of frames. Where the guest fails on them, halves are tried, down to the frame that it is about,
    /// which is given up after [`FRAME_TRIES`]. None: the engine stops, or the guest cannot run.
    async fn understand(&mut self, role: &str, frames: &[Frame]) -> Option<Vec<Reading>> {
        let mut readings = Vec::new();
        let mut parts = VecDeque::from([(0, frames.len(), 0)]);
        while let Some((start, end, failures)) = parts.pop_front() {
            let error = match self.guest.receive(role, &frames[start..end]).await {
                Ok(more) if readings.is_empty() => {
                    readings = more;
                    continue;
                }
                Ok(more) => {
                    readings.extend(more);
                    continue;
                }
                Err(error) => error,
            };
            if self.stop.is_cancelled() || matches!(error, CallError::NoSuchRole(_)) {
                return None;
            }
            if let CallError::Resting { rebuild_in } = error {
                parts.push_front((start, end, failures));
                self.pause(rebuild_in).await;
                continue;
            }
            self.report(None, &error);
            self.follow_remedy(&error).await;
            let is_rejected = matches!(&error, CallError::Fault(fault) if fault.remedy == Remedy::Reject);
            match (end - start, failures + 1 >= FRAME_TRIES || is_rejected) {
                (1, true) => self.give_up(role, &frames[start], &error),
                (1, false) => parts.push_front((start, end, failures + 1)),
                (_, false) => parts.push_front((start, end, failures + 1)),
                (count, true) => {
                    let middle = start + count / 2;
                    parts.push_front((middle, end, 0));
                    parts.push_front((start, middle, 0));
                }
            }
            if let Some(wait) = error.wait() {
                self.pause(wait).await;
            }
        }
        Some(readings)
    }

    fn give_up(&self, role: &str, frame: &Frame, error: &CallError) {
        add(&self.live.counters.frames_given_up, 1);
        let shown: String = frame.payload.iter().take(SHOWN_PAYLOAD_BYTES).map(|byte| format!("{byte:02x}")).collect();
        tracing::error!(
            connection = self.connection,
            transport = role,
            topic = frame.topic,
            bytes = frame.payload.len(),
            payload_begins = shown,
            "a frame is given up, the adapter failed on it {FRAME_TRIES} times: {error}"
        );
    }

    async fn run_timers(&mut self) {
        let frames = self.guest.take_timers();
        if frames.is_empty() || !self.guest.adapter().has(Role::Listener) {
            return;
        }
        match self.guest.receive("timer", &frames).await {
            Ok(readings) => self.append(readings).await,
            Err(error) => self.report(None, &error),
        }
    }

    // ---- webhooks

    async fn respond(&mut self, request: WebhookRequest) -> Result<WebhookReply, CallError> {
        add(&self.live.counters.requests, 1);
        let request = wit::Request {
            method: request.method,
            path: request.path,
            query: request.query,
            headers: request.headers,
            body: request.body,
            received: self.clock.now().0,
        };
        let reply = self.guest.respond(&request).await.inspect_err(|error| self.report(None, error))?;
        self.count_readings(&reply.readings);
        if !reply.readings.is_empty() {
            let committed = self.log.append(reply.readings).await;
            committed.map_err(|error| CallError::Fault(Fault::new(Remedy::Retry, "log", error.to_string())))?;
        }
        Ok(WebhookReply { status: reply.status, headers: reply.headers, body: reply.body })
    }

    // ---- the log

    fn count_readings(&self, readings: &[Reading]) {
        let bad = readings.iter().filter(|reading| reading.status.is_bad()).count();
        add(&self.live.counters.readings, readings.len() as u64);
        add(&self.live.counters.readings_bad, bad as u64);
    }

    /// Hands polled readings to the log without waiting for their commit, unless many are on the way.
    async fn append(&mut self, readings: Vec<Reading>) {
        if readings.is_empty() {
            return;
        }
        self.count_readings(&readings);
        let count = readings.len() as u64;
        match self.log.submit(readings).await {
            Ok(pending) => self.uncommitted.push_back(pending),
            Err(error) => {
                add(&self.live.counters.readings_lost, count);
                tracing::error!(connection = self.connection, "the log took no readings: {error}");
            }
        }
        while self.uncommitted.len() > UNCOMMITTED_MAX {
            if let Some(pending) = self.uncommitted.pop_front() {
                self.settle(pending).await;
            }
        }
    }

    async fn settle(&mut self, pending: Pending) {
        if let Err(error) = pending.committed().await {
            add(&self.live.counters.readings_lost, 1);
            tracing::error!(connection = self.connection, "readings were not committed: {error}");
        }
    }

    fn publish_counters(&self) {
        // Two actors share the counters of a connection; the one that polls, listens or delivers speaks for its guest.
        if self.polling.is_some() || self.guest.adapter().has(Role::Listener) || self.guest.adapter().has(Role::Sink) {
            let own = self.guest.counters();
            let counters = &self.live.counters;
            let set = |counter: &std::sync::atomic::AtomicU64, value| {
                counter.store(value, std::sync::atomic::Ordering::Relaxed)
            };
            set(&counters.calls, own.calls);
            set(&counters.traps, own.traps);
            set(&counters.timeouts, own.timeouts);
            set(&counters.instances, own.instances);
        }
    }
}

/// What is due is ready at once: the timer would round it up to its next millisecond.
async fn sleep(duration: Option<Duration>) {
    match duration {
        Some(Duration::ZERO) => {}
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}

/// The status that tells an outage by its fault.
fn status_of(error: &CallError) -> Status {
    match error {
        CallError::Fault(fault) => match fault.code.as_str() {
            "timeout" => Status::BAD_TIMEOUT,
            "not-connected" | "connect" => Status::BAD_NOT_CONNECTED,
            _ if fault.remedy == Remedy::Reconfigure => Status::BAD_CONFIGURATION_ERROR,
            _ => Status::BAD_COMMUNICATION_ERROR,
        },
        _ => Status::BAD_INTERNAL_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_by_its_fault() {
        let fault = |code: &str| CallError::Fault(Fault::new(Remedy::Retry, code, ""));
        assert_eq!(status_of(&fault("timeout")), Status::BAD_TIMEOUT);
        assert_eq!(status_of(&fault("not-connected")), Status::BAD_NOT_CONNECTED);
        assert_eq!(status_of(&CallError::CannotStart(String::new())), Status::BAD_INTERNAL_ERROR);
    }
}
