//! The task that owns a guest: it polls when a group is due and takes requests in the order they come.

use super::commits::Commits;
use super::frames::Silence;
use super::polling::Polling;
use crate::assembly::NamedLink;
use crate::letter_counts::LetterCounts;
use crate::status::{Live, Phase, WebhookReply, WebhookRequest, add};
use bulkhead_log::Log;
use bulkhead_model::{Reading, Value};
use bulkhead_sandbox::backoff::{Backoff, random_u32};
use bulkhead_sandbox::capability::{Clock, Fault, Frame, Journal, Remedy};
use bulkhead_sandbox::{CallError, Guest, GuestCounters, PointTable, Role, wit};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Longest time an actor works on when the engine stops.
const STOP_MAX: Duration = Duration::from_secs(1);
/// How long it then waits for further requests.
const LAST_REQUEST_MAX: Duration = Duration::from_millis(50);

/// What an actor is asked to do.
pub(crate) enum Request {
    /// Frames of a transport, for the role listener.
    Frames(Frames),
    /// A frame that was given up, once more, for the role listener; the answer comes when its readings are committed.
    Replay(ReplayedFrame, oneshot::Sender<Result<(), CallError>>),
    /// Polls a group now; the answer comes when the readings are committed.
    Poll(String, oneshot::Sender<Result<(), CallError>>),
    /// Delivers a batch, for the role sink.
    Deliver(Box<wit::Batch>, oneshot::Sender<Result<wit::Outcome, CallError>>),
    /// Writes a value to the point of this number inside the guest.
    Write(u32, Value, oneshot::Sender<Result<(), CallError>>),
    /// Answers a webhook; the answer comes when its readings are committed.
    Respond(WebhookRequest, oneshot::Sender<Result<WebhookReply, CallError>>),
}

impl Request {
    /// Whether nobody waits for the answer any more: a write that was answered with a timeout must not happen later.
    fn is_abandoned(&self) -> bool {
        match self {
            Request::Frames(_) => false,
            Request::Replay(_, reply) | Request::Poll(_, reply) | Request::Write(_, _, reply) => reply.is_closed(),
            Request::Deliver(_, reply) => reply.is_closed(),
            Request::Respond(_, reply) => reply.is_closed(),
        }
    }
}

/// Frames on their way from a transport.
pub(crate) struct Frames {
    pub(crate) role: String,
    pub(crate) frames: Vec<Frame>,
    /// True once their readings are committed; dropped or false: they must come again.
    pub(crate) done: oneshot::Sender<bool>,
}

/// A dead letter's frame.
pub(crate) struct ReplayedFrame {
    pub(crate) role: String,
    pub(crate) frame: Frame,
}

pub(super) struct Actor {
    pub(super) connection: String,
    pub(super) guest: Guest,
    pub(super) links: Vec<NamedLink>,
    pub(super) points: Arc<PointTable>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) journal: Arc<dyn Journal>,
    pub(super) live: Arc<Live>,
    pub(super) letters: Arc<LetterCounts>,
    pub(super) stop: CancellationToken,
    pub(super) polling: Option<Polling>,
    /// Set while a transport that frames come from is down.
    pub(super) silence: Option<Silence>,
    pub(super) heartbeat: Duration,
    pub(super) failures: Backoff,
    pub(super) published: GuestCounters,
    /// What is on its way to the log.
    pub(super) log: Log,
    pub(super) commits: Commits,
}

impl Actor {
    /// Works until the engine stops. What its transports have brought by then still goes to the log; whatever the guest is
    /// doing gets [`STOP_MAX`] to end.
    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Request>) {
        let stop = self.stop.clone();
        let overdue = async move {
            stop.cancelled().await;
            tokio::time::sleep(STOP_MAX).await;
        };
        let work = async {
            while self.step(&mut inbox).await {
                self.publish_counters();
            }
            while let Ok(Some(request)) = tokio::time::timeout(LAST_REQUEST_MAX, inbox.recv()).await {
                if let Request::Frames(frames) = request {
                    self.receive(frames).await;
                }
            }
            self.commits.end().await;
            self.guest.stop().await;
        };
        tokio::select! {
            () = work => {}
            () = overdue => tracing::warn!(connection = self.connection, "the adapter was busy when the gateway stopped"),
        }
    }

    /// Does one thing: what is due, or what comes next. False: the engine stops.
    async fn step(&mut self, inbox: &mut mpsc::Receiver<Request>) -> bool {
        self.plan_groups();
        let poll_in = self.next_poll();
        let timer_in = self.guest.next_timer();
        let heartbeat_in = self.next_heartbeat();
        // A listener is called only when something comes; its timers need an instance meanwhile.
        let is_lost = self.guest.adapter().has(Role::Listener) && !self.guest.is_up();
        let rebuild_in = is_lost.then(|| self.guest.rests_for());
        let stop = self.stop.clone();
        tokio::select! {
            () = stop.cancelled() => return false,
            () = sleep(poll_in) => self.poll_due().await,
            () = sleep(timer_in) => self.run_timers().await,
            () = sleep(heartbeat_in) => self.record_silence().await,
            event = self.commits.next() => self.commits.handle(event).await,
            () = sleep(rebuild_in) => self.rebuild().await,
            request = inbox.recv() => match request {
                Some(request) => self.handle(request).await,
                None => return false,
            },
        }
        true
    }

    /// Builds the guest anew after it has crashed.
    async fn rebuild(&mut self) {
        if let Err(error) = self.guest.start().await {
            self.report(None, &error);
            let wait = self.failures.next(random_u32());
            self.pause(wait).await;
        }
    }

    async fn handle(&mut self, request: Request) {
        if request.is_abandoned() {
            return;
        }
        match request {
            Request::Frames(frames) => self.receive(frames).await,
            Request::Replay(frame, reply) => {
                let outcome = self.replay(&frame).await;
                self.after_call(&outcome).await;
                _ = reply.send(outcome);
            }
            Request::Poll(group, reply) => {
                let outcome = self.poll_now(&group).await;
                _ = reply.send(outcome);
            }
            Request::Deliver(batch, reply) => {
                let outcome = self.guest.deliver(&batch).await;
                self.after_call(&outcome).await;
                _ = reply.send(outcome);
            }
            Request::Write(point, value, reply) => {
                let outcome = self.guest.write(point, value).await;
                let counters = &self.live.counters;
                add(if outcome.is_ok() { &counters.writes } else { &counters.writes_failed }, 1);
                self.after_call(&outcome).await;
                _ = reply.send(outcome);
            }
            Request::Respond(request, reply) => {
                let outcome = self.respond(request).await;
                self.after_call(&outcome).await;
                _ = reply.send(outcome);
            }
        }
    }

    /// Counts a failure and does what it asks for.
    pub(super) async fn after_call<T>(&mut self, outcome: &Result<T, CallError>) {
        if let Err(error) = outcome {
            self.report(None, error);
            self.follow_remedy(error).await;
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
    pub(super) fn report(&mut self, point: Option<&str>, error: &CallError) {
        self.publish_counters();
        let told = |other: &CallError| Fault::new(Remedy::Retry, other.code(), other.to_string());
        match error {
            CallError::Fault(fault) => self.journal.report(point, fault),
            CallError::Trapped { .. } | CallError::TimedOut { .. } | CallError::CannotStart(_) => {
                self.journal.crashed(&told(error));
            }
            CallError::Resting { .. } | CallError::NoSuchRole(_) => self.journal.report(point, &told(error)),
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
        let reply = self.guest.respond(&request).await?;
        self.count_readings(&reply.readings);
        if !reply.readings.is_empty() {
            self.commits.commit_now(reply.readings).await?;
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
        if !readings.is_empty() {
            self.count_readings(&readings);
            self.commits.submit(readings, None).await;
        }
    }

    /// Adds what the guest has been through since the last time; two actors share the counters of a connection.
    pub(super) fn publish_counters(&mut self) {
        let (now, before) = (self.guest.counters(), std::mem::replace(&mut self.published, self.guest.counters()));
        let counters = &self.live.counters;
        add(&counters.calls, now.calls - before.calls);
        add(&counters.traps, now.traps - before.traps);
        add(&counters.timeouts, now.timeouts - before.timeouts);
        add(&counters.instances, now.instances - before.instances);
        let now_ns = self.clock.monotonic_ns();
        self.live.usage.add(&now, &before, self.guest.last_crash(), now_ns);
    }
}

async fn sleep(duration: Option<Duration>) {
    match duration {
        Some(Duration::ZERO) => {}
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}
