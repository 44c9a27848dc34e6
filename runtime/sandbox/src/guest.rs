//! The life cycle of one guest: built when first called, kept, thrown away after a trap or a timeout, rebuilt with backoff.

use crate::adapter::{Adapter, Role};
use crate::backoff::{Backoff, random_u32};
use crate::bindings::bulkhead::adapter::types as wit;
use crate::capability::{Capabilities, Fault, Remedy};
use crate::convert::{HostTimes, readings_to_model};
use crate::crash::{Crash, End, backtrace, crash, describe, end};
use crate::error::{CallError, SandboxError};
use crate::host::Paces;
use crate::instance::Instance;
use crate::limits::{CODE_MAX_BYTES, Limits, MESSAGE_MAX_BYTES};
use crate::points::PointTable;
use crate::tap::{Brought, Call, Calling, TapReading, Told};
use crate::text::tidy;
use bulkhead_model::{Reading, Timestamp, Value};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// One instance of an adapter with its grants, limits and settings. Calls take `&mut self`: a guest does one thing at a
/// time. A call that is dropped before its end loses the instance, and the next call builds a new one.
pub struct Guest {
    adapter: Arc<Adapter>,
    capabilities: Capabilities,
    points: Arc<PointTable>,
    limits: Limits,
    settings: Arc<str>,
    instance: Option<Box<Instance>>,
    backoff: Backoff,
    /// On the monotonic clock: no instance is built before.
    resting_until_ns: u64,
    paces: Arc<Mutex<Paces>>,
    counters: GuestCounters,
    last_crash: Option<Arc<Crash>>,
}

/// What a guest has been through since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GuestCounters {
    /// Calls of role functions.
    pub calls: u64,
    /// Instances that trapped.
    pub traps: u64,
    /// Instances that ran out of time.
    pub timeouts: u64,
    /// Instances built, the first included.
    pub instances: u64,
    /// What it has computed, in nanoseconds; waiting for the host is not counted, what the host does on its behalf is.
    pub computed_ns: u64,
    /// Its longest computation in one call.
    pub longest_ns: u64,
    /// The memory of its instance now: linear memories and tables.
    pub memory_bytes: u64,
    /// The most that an instance had.
    pub memory_peak_bytes: u64,
}

/// A responder's answer, its readings checked.
#[derive(Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Header fields.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Readings the request brought.
    pub readings: Vec<Reading>,
}

type Outcome<T> = Result<wasmtime::Result<Result<T, Fault>>, tokio::time::error::Elapsed>;

impl Guest {
    /// Prepares a guest; nothing runs yet. `settings` is JSON. Guests of one connection share `points`.
    ///
    /// # Errors
    /// [`SandboxError::NotGranted`] when the adapter imports more than `capabilities` holds.
    pub fn new(
        adapter: Arc<Adapter>,
        capabilities: Capabilities,
        points: Arc<PointTable>,
        limits: Limits,
        settings: Arc<str>,
    ) -> Result<Self, SandboxError> {
        adapter.check_grants(&capabilities)?;
        let tap = capabilities.tap.of_another_guest();
        let capabilities = Capabilities { tap, ..capabilities };
        let backoff = Backoff::new(limits.rebuild_first, limits.rebuild_max);
        let counters = GuestCounters::default();
        let paces = Paces::new(&limits);
        Ok(Self {
            adapter,
            capabilities,
            points,
            limits,
            settings,
            instance: None,
            backoff,
            resting_until_ns: 0,
            paces,
            counters,
            last_crash: None,
        })
    }

    /// The adapter it is an instance of.
    #[must_use]
    pub fn adapter(&self) -> &Adapter {
        &self.adapter
    }

    /// What it has been through.
    #[must_use]
    pub fn counters(&self) -> GuestCounters {
        self.counters
    }

    /// Why and where it last trapped or ran out of time.
    #[must_use]
    pub fn last_crash(&self) -> Option<Arc<Crash>> {
        self.last_crash.clone()
    }

    /// Builds the instance and calls its `start`, unless that is done.
    ///
    /// # Errors
    /// Any [`CallError`] but `NoSuchRole`; a fault of `start` comes as it is.
    pub async fn start(&mut self) -> Result<(), CallError> {
        let instance = self.ready().await?;
        self.instance = Some(instance);
        Ok(())
    }

    /// Calls `adapter.check`: a sentence about what was found.
    ///
    /// # Errors
    /// Any [`CallError`].
    pub async fn check(&mut self) -> Result<String, CallError> {
        let calling = self.calling(|| Call::Check);
        let outcome = self.call_check().await;
        calling.hear(outcome, |found| Brought::Found(found.clone()))
    }

    async fn call_check(&mut self) -> Result<String, CallError> {
        let mut instance = self.begin().await?;
        let meter = instance.meter();
        let call = instance.adapter.call_check(&mut instance.store);
        let outcome = tokio::time::timeout(self.limits.call_total_timeout, meter.count(call)).await;
        let mut found = self.settle(instance, outcome)?;
        tidy(&mut found, MESSAGE_MAX_BYTES);
        Ok(found)
    }

    /// Calls `adapter.stop` if there is an instance, and drops it.
    pub async fn stop(&mut self) {
        if let Some(mut instance) = self.instance.take() {
            let calling = self.calling(|| Call::Stop);
            instance.begin_call();
            let meter = instance.meter();
            let call = meter.count(instance.adapter.call_stop(&mut instance.store));
            let error = match tokio::time::timeout(self.limits.call_timeout, call).await {
                Ok(Ok(())) => {
                    _ = calling.hear(Ok(()), |()| Brought::Nothing);
                    return;
                }
                Ok(Err(error)) => self.ended(&error, instance.store.data().last_words.clone()),
                Err(_) => self.took_too_long(self.limits.call_timeout),
            };
            _ = calling.hear(Err::<(), _>(error.clone()), |()| Brought::Nothing);
            let fault = Fault::new(Remedy::Reject, error.code(), format!("when it was stopped: {error}"));
            self.capabilities.journal.crashed(&fault);
        }
    }

    /// Drops the instance without a word; the next call builds another at once.
    pub fn discard(&mut self) {
        self.instance = None;
    }

    /// Calls `poller.poll`. Readings without a time get the moment the call's first request went out.
    ///
    /// # Errors
    /// Any [`CallError`].
    pub async fn poll(&mut self, group: &str) -> Result<Vec<Reading>, CallError> {
        let calling = self.calling(|| Call::Poll { group: group.to_owned() });
        let outcome = self.call_poll(group).await;
        calling.hear(outcome, |readings| Brought::Readings(TapReading::named(readings, &self.points)))
    }

    async fn call_poll(&mut self, group: &str) -> Result<Vec<Reading>, CallError> {
        let mut instance = self.begin().await?;
        let meter = instance.meter();
        let Some(poller) = instance.poller.clone() else { return self.lacks(instance, Role::Poller) };
        let called = self.capabilities.clock.now();
        let call = poller.call_poll(&mut instance.store, group);
        let outcome = tokio::time::timeout(self.limits.call_total_timeout, meter.count(call)).await;
        let time = instance.store.data().first_request.unwrap_or(called);
        let readings = self.settle(instance, outcome)?;
        Ok(self.checked(readings, &self.host_times(time, [])))
    }

    /// Calls `listener.receive`. Readings without a time get the moment the first of the frames arrived.
    ///
    /// # Errors
    /// Any [`CallError`].
    pub async fn receive(&mut self, transport: &str, frames: &[wit::Frame]) -> Result<Vec<Reading>, CallError> {
        let calling = self.calling(|| Call::Receive { transport: transport.to_owned(), frames: frames.to_vec() });
        let outcome = self.call_receive(transport, frames).await;
        calling.hear(outcome, |readings| Brought::Readings(TapReading::named(readings, &self.points)))
    }

    async fn call_receive(&mut self, transport: &str, frames: &[wit::Frame]) -> Result<Vec<Reading>, CallError> {
        let mut instance = self.begin().await?;
        let meter = instance.meter();
        let Some(listener) = instance.listener.clone() else { return self.lacks(instance, Role::Listener) };
        let time = frames.first().map_or_else(|| self.capabilities.clock.now(), |frame| Timestamp(frame.received));
        let call = listener.call_receive(&mut instance.store, transport, frames);
        let outcome = tokio::time::timeout(self.limits.call_total_timeout, meter.count(call)).await;
        let readings = self.settle(instance, outcome)?;
        let received = frames.iter().map(|frame| Timestamp(frame.received));
        Ok(self.checked(readings, &self.host_times(time, received)))
    }

    /// Calls `writer.write` with one command for the point that was last declared under a name.
    ///
    /// # Errors
    /// Any [`CallError`]; what the adapter says of the command is its fault.
    pub async fn write(&mut self, number: u32, value: Value) -> Result<(), CallError> {
        let calling = self.calling(|| {
            let point = self.points.name(number).unwrap_or_default();
            Call::Write { point, value: value.clone() }
        });
        let outcome = self.call_write(number, value).await;
        calling.hear(outcome, |()| Brought::Nothing)
    }

    async fn call_write(&mut self, number: u32, value: Value) -> Result<(), CallError> {
        let mut instance = self.begin().await?;
        let meter = instance.meter();
        let Some(writer) = instance.writer.clone() else { return self.lacks(instance, Role::Writer) };
        let command = crate::convert::command_to_wit(number, value);
        let call = writer.call_write(&mut instance.store, std::slice::from_ref(&command));
        let outcome = tokio::time::timeout(self.limits.call_total_timeout, meter.count(call)).await;
        let results = self.settle(instance, outcome.map(|called| called.map(Ok)))?;
        match results.into_iter().next() {
            Some(result) => result.map_err(|fault| CallError::Fault(bounded(fault))),
            None => {
                let message = "the adapter returned no result for the command; expected one";
                Err(CallError::Fault(Fault::new(Remedy::Reject, "no-result", message)))
            }
        }
    }

    /// Calls `sink.deliver`. The outcome's `accepted` is cut to the batch's length, rejections are in order, each index
    /// once and below `accepted`, and `rest` is there whenever something is left.
    ///
    /// # Errors
    /// Any [`CallError`].
    pub async fn deliver(&mut self, batch: &wit::Batch) -> Result<wit::Outcome, CallError> {
        let calling = self.calling(|| Call::Deliver { batch: batch.clone() });
        let outcome = self.call_deliver(batch).await;
        calling.hear(outcome, |outcome| Brought::Outcome(outcome.clone()))
    }

    async fn call_deliver(&mut self, batch: &wit::Batch) -> Result<wit::Outcome, CallError> {
        let mut instance = self.begin().await?;
        let meter = instance.meter();
        let Some(sink) = instance.sink.clone() else { return self.lacks(instance, Role::Sink) };
        let call = sink.call_deliver(&mut instance.store, batch);
        let outcome = tokio::time::timeout(self.limits.call_total_timeout, meter.count(call)).await;
        let mut outcome = self.settle(instance, outcome)?;
        let entries = u32::try_from(batch.entries.len()).unwrap_or(u32::MAX);
        outcome.accepted = outcome.accepted.min(entries);
        outcome.rejected.retain(|rejection| rejection.index < outcome.accepted);
        outcome.rejected.sort_by_key(|rejection| rejection.index);
        outcome.rejected.dedup_by_key(|rejection| rejection.index);
        for rejection in &mut outcome.rejected {
            rejection.fault = bounded(rejection.fault.clone());
        }
        outcome.rest = outcome.rest.map(bounded);
        if outcome.accepted < entries && outcome.rest.is_none() {
            let message = format!("the adapter took {} of {entries} readings and does not say why", outcome.accepted);
            outcome.rest = Some(Fault::new(Remedy::Retry, "incomplete-outcome", message));
        }
        Ok(outcome)
    }

    /// Calls `responder.respond`. Readings without a time get the moment the request arrived.
    ///
    /// # Errors
    /// Any [`CallError`].
    pub async fn respond(&mut self, request: &wit::Request) -> Result<Reply, CallError> {
        let calling = self.calling(|| Call::Respond { request: request.clone() });
        let outcome = self.call_respond(request).await;
        calling.hear(outcome, |reply| Brought::Reply {
            status: reply.status,
            headers: reply.headers.clone(),
            body: reply.body.clone(),
            readings: TapReading::named(&reply.readings, &self.points),
        })
    }

    async fn call_respond(&mut self, request: &wit::Request) -> Result<Reply, CallError> {
        let mut instance = self.begin().await?;
        let meter = instance.meter();
        let Some(responder) = instance.responder.clone() else { return self.lacks(instance, Role::Responder) };
        let call = responder.call_respond(&mut instance.store, request);
        let outcome = tokio::time::timeout(self.limits.call_total_timeout, meter.count(call)).await;
        let reply = self.settle(instance, outcome)?;
        let readings = self.checked(reply.readings, &self.host_times(Timestamp(request.received), []));
        Ok(Reply { status: reply.status, headers: reply.headers, body: reply.body, readings })
    }

    /// Whether there is an instance.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.instance.is_some()
    }

    /// How long until an instance that crashed may be built anew; nothing where none rests.
    #[must_use]
    pub fn rests_for(&self) -> Duration {
        Duration::from_nanos(self.resting_until_ns.saturating_sub(self.capabilities.clock.monotonic_ns()))
    }

    /// How long until the next timer of the guest runs out; none: it has set none.
    #[must_use]
    pub fn next_timer(&self) -> Option<Duration> {
        let ends = *self.instance.as_ref()?.store.data().timers.values().min()?;
        Some(Duration::from_nanos(ends.saturating_sub(self.capabilities.clock.monotonic_ns())))
    }

    /// Takes the timers that have run out, as frames of kind `timer`.
    pub fn take_timers(&mut self) -> Vec<wit::Frame> {
        let now = self.capabilities.clock.monotonic_ns();
        let received = self.capabilities.clock.now().0;
        let Some(instance) = self.instance.as_mut() else { return Vec::new() };
        let timers = &mut instance.store.data_mut().timers;
        let due: Vec<String> = timers.iter().filter(|(_, ends)| **ends <= now).map(|(name, _)| name.clone()).collect();
        due.into_iter()
            .inspect(|name| {
                timers.remove(name);
            })
            .map(|topic| wit::Frame {
                kind: wit::FrameKind::Timer,
                topic,
                payload: Vec::new(),
                received,
                retained: false,
                properties: Vec::new(),
            })
            .collect()
    }

    /// Tells whoever looks on that the guest is called; see [`crate::tap`].
    fn calling(&self, call: impl FnOnce() -> Call) -> Calling {
        self.capabilities.tap.calls(&self.capabilities.clock, call)
    }

    /// Reports a fault on the guest's behalf.
    fn report(&self, point: Option<&str>, fault: &Fault) {
        let told = || Told::Reports { point: point.map(str::to_owned), fault: fault.clone() };
        self.capabilities.tap.tell(&self.capabilities.clock, told);
        self.capabilities.journal.report(point, fault);
    }

    /// An instance, with its budget filled for one role call.
    async fn begin(&mut self) -> Result<Box<Instance>, CallError> {
        let mut instance = self.ready().await?;
        instance.begin_call();
        self.counters.calls += 1;
        Ok(instance)
    }

    /// The instance there is, or a new one that has been started.
    async fn ready(&mut self) -> Result<Box<Instance>, CallError> {
        if let Some(instance) = self.instance.take() {
            return Ok(instance);
        }
        let now = self.capabilities.clock.monotonic_ns();
        if now < self.resting_until_ns {
            return Err(CallError::Resting { rebuild_in: Duration::from_nanos(self.resting_until_ns - now) });
        }
        self.counters.instances += 1;
        let (capabilities, points, paces) = (self.capabilities.clone(), self.points.clone(), self.paces.clone());
        let building = Instance::new(&self.adapter, capabilities, points, &self.limits, paces);
        let built = tokio::time::timeout(self.limits.call_total_timeout, building).await;
        let mut instance = Box::new(match built {
            Ok(Ok(instance)) => instance,
            Ok(Err(error)) => return Err(self.not_built(&error)),
            Err(_) => return Err(self.took_too_long(self.limits.call_total_timeout)),
        });
        instance.begin_call();
        let meter = instance.meter();
        let calling = self.calling(|| Call::Start);
        let call = meter.count(instance.adapter.call_start(&mut instance.store, &self.settings));
        let outcome = tokio::time::timeout(self.limits.call_total_timeout, call).await;
        // That it starts does not make up for what it did before: only a role call that works ends the growing waits.
        let failures_before = self.backoff.clone();
        let started = calling.hear(self.settle(instance, outcome), |()| Brought::Nothing);
        if started.is_ok() {
            self.backoff = failures_before;
        }
        match started {
            Ok(()) => Ok(self.instance.take().expect("settle keeps the instance of a call that succeeded")),
            Err(error) => {
                // An instance whose start failed is not started: the next call begins anew.
                self.instance = None;
                Err(error)
            }
        }
    }

    /// Keeps the instance after a call that returned, throws it away after one that did not.
    fn settle<T>(&mut self, instance: Box<Instance>, outcome: Outcome<T>) -> Result<T, CallError> {
        self.measure(&instance);
        match outcome {
            Ok(Ok(result)) => {
                self.instance = Some(instance);
                self.backoff.succeeded();
                result.map_err(|fault| CallError::Fault(bounded(fault)))
            }
            Ok(Err(error)) => {
                let last_words = instance.store.data().last_words.clone();
                drop(instance);
                Err(self.ended(&error, last_words))
            }
            Err(_) => {
                drop(instance);
                Err(self.took_too_long(self.limits.call_total_timeout))
            }
        }
    }

    /// Adds up what a call has taken.
    fn measure(&mut self, instance: &Instance) {
        let state = instance.store.data();
        let spent_ns = u64::try_from(state.meter.spent().as_nanos()).unwrap_or(u64::MAX);
        let memory_bytes = state.memory.bytes() as u64;
        let counters = &mut self.counters;
        counters.computed_ns = counters.computed_ns.saturating_add(spent_ns);
        counters.longest_ns = counters.longest_ns.max(spent_ns);
        counters.memory_bytes = memory_bytes;
        counters.memory_peak_bytes = counters.memory_peak_bytes.max(memory_bytes);
    }

    /// A call that ended with a trap, the deadline's included; its instance is gone.
    fn ended(&mut self, error: &wasmtime::Error, last_words: Option<String>) -> CallError {
        let rebuild_in = self.rest_after_failure();
        let failed = match end(error, last_words, &self.limits) {
            End::Deadline => {
                self.counters.timeouts += 1;
                let what = format!("it computed for more than {} ms", self.limits.call_timeout.as_millis());
                CallError::TimedOut { what, rebuild_in }
            }
            End::Trap(message) => {
                self.counters.traps += 1;
                CallError::Trapped { message, rebuild_in }
            }
        };
        self.remember(failed, backtrace(error))
    }

    /// A call that lasted too long, waiting included.
    fn took_too_long(&mut self, limit: Duration) -> CallError {
        self.counters.timeouts += 1;
        let what = format!("the call lasted more than {} ms", limit.as_millis());
        let rebuild_in = self.rest_after_failure();
        self.remember(CallError::TimedOut { what, rebuild_in }, Vec::new())
    }

    /// An instance that could not be made: what it ran meanwhile is judged as a call, anything else is for good.
    fn not_built(&mut self, error: &wasmtime::Error) -> CallError {
        if error.is::<wasmtime::Trap>() {
            return self.ended(error, None);
        }
        self.rest_after_failure();
        let failed = CallError::CannotStart(describe(error, &self.limits));
        self.remember(failed, backtrace(error))
    }

    fn remember(&mut self, failed: CallError, backtrace: Vec<String>) -> CallError {
        self.counters.memory_bytes = 0;
        let crash = crash(self.capabilities.clock.now(), &failed, backtrace);
        self.last_crash = crash.map(Arc::new).or(self.last_crash.take());
        failed
    }

    fn rest_after_failure(&mut self) -> Duration {
        let wait = self.backoff.next(random_u32());
        let wait_ns = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
        self.resting_until_ns = self.capabilities.clock.monotonic_ns().saturating_add(wait_ns);
        wait
    }

    fn lacks<T>(&mut self, instance: Box<Instance>, role: Role) -> Result<T, CallError> {
        self.instance = Some(instance);
        Err(CallError::NoSuchRole(role.name()))
    }

    /// Checks readings and reports what was wrong with them.
    /// The host's times of a call, with those that its clock is not sure of.
    fn host_times(&self, default: Timestamp, others: impl IntoIterator<Item = Timestamp>) -> HostTimes {
        let clock = &self.capabilities.clock;
        let mut doubted: Vec<Timestamp> =
            others.into_iter().chain([default]).filter(|time| !clock.is_trusted(*time)).collect();
        doubted.dedup();
        HostTimes { default, doubted }
    }

    fn checked(&self, readings: Vec<wit::Reading>, times: &HostTimes) -> Vec<Reading> {
        let checked = readings_to_model(readings, &self.points, times);
        if checked.unknown_points > 0 {
            let message = format!(
                "{} readings name points that were never declared; they cannot be kept",
                checked.unknown_points
            );
            self.report(None, &Fault::new(Remedy::Reject, "unknown-point", message));
        }
        if let Some((name, expected, found)) = checked.first_mismatch {
            let message =
                format!("the value is of kind {found}, the point of kind {expected}; recorded as BadTypeMismatch");
            self.report(Some(&name), &Fault::new(Remedy::Reject, "type-mismatch", message));
        }
        checked.readings
    }
}

fn bounded(mut fault: Fault) -> Fault {
    tidy(&mut fault.message, MESSAGE_MAX_BYTES);
    tidy(&mut fault.code, CODE_MAX_BYTES);
    fault
}
