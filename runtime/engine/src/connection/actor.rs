//! The task that owns a guest: it polls when a group is due and takes requests in the order they come.

use super::polling::Polling;
use crate::assembly::NamedLink;
use crate::status::{Live, Phase, WebhookReply, WebhookRequest, add};
use bulkhead_log::{Log, Pending};
use bulkhead_model::{Reading, Value};
use bulkhead_sandbox::backoff::random_u32;
use bulkhead_sandbox::capability::{Clock, Fault, Frame, Journal, Remedy};
use bulkhead_sandbox::{CallError, Guest, PointTable, Role, wit};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Most appends of an actor whose commit is not known yet; then it waits for the oldest. So many that polls of a few
/// hundred readings fill a commit; their memory is bounded by the log's queue.
const UNCOMMITTED_MAX: usize = 64;
/// Longest wait of the final calls when the engine stops.
const STOP_MAX: Duration = Duration::from_secs(1);

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
    /// Appends whose commit is not known yet, with their number of readings.
    pub(super) uncommitted: VecDeque<(Pending, u64)>,
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

    /// Does what a fault asks of the host.
    pub(super) async fn follow_remedy(&mut self, error: &CallError) {
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

    pub(super) async fn pause(&mut self, wait: Duration) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }

    /// Counts a failed call and writes it to the journal.
    pub(super) fn report(&self, point: Option<&str>, error: &CallError) {
        let fault = match error {
            CallError::Fault(fault) => fault.clone(),
            other => Fault::new(Remedy::Retry, other.code(), other.to_string()),
        };
        self.journal.report(point, &fault);
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

    pub(super) fn count_readings(&self, readings: &[Reading]) {
        let bad = readings.iter().filter(|reading| reading.status.is_bad()).count();
        add(&self.live.counters.readings, readings.len() as u64);
        add(&self.live.counters.readings_bad, bad as u64);
    }

    /// Hands polled readings to the log without waiting for their commit, unless many are on the way.
    pub(super) async fn append(&mut self, readings: Vec<Reading>) {
        if readings.is_empty() {
            return;
        }
        self.count_readings(&readings);
        let count = readings.len() as u64;
        match self.log.submit(readings).await {
            Ok(pending) => self.uncommitted.push_back((pending, count)),
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

    pub(super) async fn settle(&mut self, (pending, count): (Pending, u64)) {
        if let Err(error) = pending.committed().await {
            add(&self.live.counters.readings_lost, count);
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
