//! The capability `modbus` over one wire: reads in merged requests that are split when a device refuses them, and
//! writes within the grant.

use super::coalesce::{Limits, Request, split};
use super::fault::{WireError, describe, reading, span_refused, write_max};
use super::grant::{ReadGrant, WriteGrant};
use super::memory::{Learned, Memory};
use super::rtu::RtuWire;
use super::tcp::TcpWire;
use crate::Context;
use crate::lifecycle::{Lifecycle, Task};
use async_trait::async_trait;
use bulkhead_sandbox::capability::{
    Change, Clock, Fault, Link, LinkState, Modbus, Remedy, Span, SpanFault, Table, Words,
};
use bulkhead_sandbox::tap::{ModbusRequest, Tap, Told};
use parking_lot::Mutex;
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;
use tokio_modbus::{Request as WireRequest, Response};

/// Most words in one call of `read`, over all spans.
const READ_WORDS_MAX: usize = 262_144;

/// What a connection may do with its device, and how its device is called.
pub(crate) struct Policy {
    pub(crate) limits: Limits,
    pub(crate) grant: WriteGrant,
    pub(crate) read_grant: ReadGrant,
    /// `modbus-tcp 10.0.0.1:502 unit 1`.
    pub(crate) device: String,
    pub(crate) unit: u8,
    pub(crate) timeout_ms: u32,
}

/// The way to the device.
pub(crate) enum Wire {
    Tcp(Arc<TcpWire>),
    Rtu(Arc<RtuWire>),
}

/// A Modbus device as a connection's transport.
pub(crate) struct ModbusTransport {
    wire: Wire,
    policy: Policy,
    /// `press-1 (modbus-tcp 10.0.0.1:502 unit 1)`, for faults.
    who: String,
    /// Its role in the connection, and who looks on.
    role: String,
    tap: Tap,
    clock: Arc<dyn Clock>,
    memory: Mutex<Memory>,
    life: Arc<Lifecycle>,
    task: Task,
    counters: Counters,
}

#[derive(Default)]
struct Counters {
    requests: AtomicU64,
    timeouts: AtomicU64,
    exceptions: AtomicU64,
    splits: AtomicU64,
    writes: AtomicU64,
}

/// What became of a read, beside its words.
#[derive(Default)]
struct Outcome {
    faults: Vec<SpanFault>,
    /// What to do next time, when it is not what the plan says.
    relearned: Option<Relearned>,
}

/// What a device that refused a request has shown of itself.
struct Relearned {
    /// The requests to send.
    requests: Vec<Request>,
    /// What it does not have, with its own word for it.
    missing: Vec<(Request, Fault)>,
}

impl ModbusTransport {
    pub(crate) fn new(wire: Wire, policy: Policy, life: Arc<Lifecycle>, context: &Context) -> Self {
        Self {
            wire,
            who: format!("{} ({})", context.connection, policy.device),
            memory: Mutex::new(Memory::new(policy.read_grant.clone())),
            policy,
            role: context.role.clone(),
            tap: context.tap.clone(),
            clock: context.clock.clone(),
            life,
            task: Task::default(),
            counters: Counters::default(),
        }
    }

    /// Sends one request, which is about this span.
    async fn call(&self, span: Span, request: WireRequest<'_>) -> Result<Response, WireError> {
        self.counters.requests.fetch_add(1, Ordering::Relaxed);
        let (function, since_ns) = (request.function_code().value(), self.clock.monotonic_ns());
        let result = match &self.wire {
            Wire::Tcp(wire) => wire.call(request).await,
            Wire::Rtu(wire) => wire.call(request).await,
        };
        self.tap.tell(&self.clock, || Told::Sends {
            transport: self.role.clone(),
            request: ModbusRequest { unit: self.policy.unit, function, span },
            fault: result.as_ref().err().map(|error| {
                let doing = format!("function {function} of {}", describe(span.table, span.address, span.count));
                error.fault(&self.who, &doing, self.policy.timeout_ms)
            }),
            took_us: self.clock.monotonic_ns().saturating_sub(since_ns) / 1000,
        });
        match &result {
            Err(WireError::Timeout) => self.counters.timeouts.fetch_add(1, Ordering::Relaxed),
            Err(WireError::Exception(_)) => self.counters.exceptions.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
        result
    }

    /// Sends one read request and puts its words where they belong.
    async fn read_one(&self, request: &Request, words: &mut [u16]) -> Result<(), WireError> {
        let span = Span { table: request.table, address: request.address, count: request.count };
        let Span { address, count, .. } = span;
        let sent = match request.table {
            Table::Coil => WireRequest::ReadCoils(address, count),
            Table::DiscreteInput => WireRequest::ReadDiscreteInputs(address, count),
            Table::InputRegister => WireRequest::ReadInputRegisters(address, count),
            Table::HoldingRegister => WireRequest::ReadHoldingRegisters(address, count),
        };
        let response = self.call(span, sent).await?;
        let answer = match response {
            Response::ReadHoldingRegisters(words) | Response::ReadInputRegisters(words) => words,
            // The answer's last byte is padded with bits nobody asked for.
            Response::ReadCoils(bits) | Response::ReadDiscreteInputs(bits) => {
                bits.into_iter().take(count.into()).map(u16::from).collect()
            }
            _ => Vec::new(),
        };
        if answer.len() != usize::from(count) {
            return Err(WireError::Broken(format!("{count} words were asked for and {} came", answer.len())));
        }
        request.scatter(&answer, words);
        Ok(())
    }

    fn fail(&self, request: &Request, error: &WireError, faults: &mut Vec<SpanFault>) {
        let fault = error.fault(&self.who, &reading(request), self.policy.timeout_ms);
        faults.extend(request.spans.iter().map(|&index| SpanFault { index, fault: fault.clone() }));
    }

    /// Sends all requests of a plan. An error that ends the call gives its fault to all spans not yet read.
    async fn read_plan(&self, learned: &Learned, words: &mut [u16]) -> Outcome {
        let mut outcome = Outcome::default();
        let mut ended: Option<WireError> = None;
        for (position, request) in learned.plan.requests.iter().enumerate() {
            if let Some(error) = &ended {
                self.fail(request, error, &mut outcome.faults);
                outcome.keep(request);
                continue;
            }
            match self.read_one(request, words).await {
                Ok(()) => outcome.keep(request),
                Err(error) if error.is_refusal() => {
                    outcome.begin_relearning(&learned.plan.requests[..position]);
                    ended = self.read_split(request.clone(), error, learned, words, &mut outcome).await;
                }
                Err(error) => {
                    self.fail(request, &error, &mut outcome.faults);
                    outcome.keep(request);
                    ended = error.ends_the_call().then_some(error);
                }
            }
        }
        outcome
    }

    /// Reads what a device refused in one request in smaller ones, down to single spans.
    async fn read_split(
        &self,
        refused: Request,
        error: WireError,
        learned: &Learned,
        words: &mut [u16],
        outcome: &mut Outcome,
    ) -> Option<WireError> {
        let mut open = Vec::new();
        self.split_or_give_up(refused, &error, learned, &mut open, outcome);
        while let Some(request) = open.pop() {
            match self.read_one(&request, words).await {
                Ok(()) => outcome.keep(&request),
                Err(error) if error.is_refusal() => {
                    self.split_or_give_up(request, &error, learned, &mut open, outcome);
                }
                Err(error) => {
                    self.fail(&request, &error, &mut outcome.faults);
                    outcome.keep(&request);
                    if error.ends_the_call() {
                        for request in open.into_iter().rev() {
                            self.fail(&request, &error, &mut outcome.faults);
                            outcome.keep(&request);
                        }
                        return Some(error);
                    }
                }
            }
        }
        None
    }

    fn split_or_give_up(
        &self,
        request: Request,
        error: &WireError,
        learned: &Learned,
        open: &mut Vec<Request>,
        outcome: &mut Outcome,
    ) {
        if let Some(parts) = split(&request, &learned.spans, self.policy.limits) {
            self.counters.splits.fetch_add(1, Ordering::Relaxed);
            open.extend(parts.into_iter().rev());
            return;
        }
        self.fail(&request, error, &mut outcome.faults);
        let fault = error.fault(&self.who, &reading(&request), self.policy.timeout_ms);
        if let Some(relearned) = &mut outcome.relearned {
            relearned.missing.push((request, fault));
        }
    }

    fn check(&self, change: &Change) -> Result<(), Fault> {
        let count = change.words.len();
        let what = describe(change.table, change.address, u16::try_from(count).unwrap_or(u16::MAX));
        let reject = |code: &str, why: String| {
            Err(Fault::new(Remedy::Reject, code, format!("{}: writing {what}: {why}", self.who)))
        };
        if !matches!(change.table, Table::Coil | Table::HoldingRegister) {
            return reject("bad-span", "only coils and holding registers can be written".into());
        }
        let max = write_max(change.table);
        if count == 0 || count > max || usize::from(change.address) + count > 0x1_0000 {
            return reject("bad-span", format!("{count} words: expected 1 to {max}, not beyond address 65535"));
        }
        if !self.policy.grant.allows(change) {
            return reject("not-granted", "outside of the transport's `allow_write`".into());
        }
        if change.table == Table::Coil && change.words.iter().any(|&word| word > 1) {
            return reject("bad-value", "a coil takes 0 or 1".into());
        }
        Ok(())
    }

    async fn write_one(&self, change: &Change) -> Result<(), Fault> {
        self.check(change)?;
        self.counters.writes.fetch_add(1, Ordering::Relaxed);
        let bits: Vec<bool> = match change.table {
            Table::Coil => change.words.iter().map(|&word| word == 1).collect(),
            _ => Vec::new(),
        };
        let (address, words) = (change.address, &change.words[..]);
        let count = u16::try_from(words.len()).unwrap_or(u16::MAX);
        let span = Span { table: change.table, address, count };
        let registers = || WireRequest::WriteMultipleRegisters(address, Cow::Borrowed(words));
        let result = match (change.table, words, &bits[..]) {
            (Table::Coil, _, [bit]) => self.call(span, WireRequest::WriteSingleCoil(address, *bit)).await,
            (Table::Coil, _, bits) => {
                self.call(span, WireRequest::WriteMultipleCoils(address, Cow::Borrowed(bits))).await
            }
            (_, [word], _) => match self.call(span, WireRequest::WriteSingleRegister(address, *word)).await {
                // Some devices know function 16 only.
                Err(WireError::Exception(1)) => self.call(span, registers()).await,
                result => result,
            },
            _ => self.call(span, registers()).await,
        };
        let doing = || format!("writing {}", describe(change.table, address, count));
        result.map(|_| ()).map_err(|error| error.fault(&self.who, &doing(), self.policy.timeout_ms))
    }
}

impl Outcome {
    /// From here on the requests that worked are noted, beginning with those before.
    fn begin_relearning(&mut self, before: &[Request]) {
        self.relearned.get_or_insert_with(|| Relearned { requests: before.to_vec(), missing: Vec::new() });
    }

    fn keep(&mut self, request: &Request) {
        if let Some(relearned) = &mut self.relearned {
            relearned.requests.push(request.clone());
        }
    }
}

#[async_trait]
impl Modbus for ModbusTransport {
    async fn read(&self, spans: Vec<Span>) -> Result<Words, Fault> {
        let total: usize = spans.iter().map(|span| usize::from(span.count)).sum();
        if total > READ_WORDS_MAX {
            let message = format!("{}: {total} words asked for in one call: at most {READ_WORDS_MAX}", self.who);
            return Err(Fault::new(Remedy::Reject, "too-large", message));
        }
        let now_ns = self.clock.monotonic_ns();
        let mut learned = self.memory.lock().take(&spans, self.policy.limits, now_ns);
        let mut words = vec![0; learned.plan.words];
        let Outcome { mut faults, relearned } = self.read_plan(&learned, &mut words).await;
        faults.extend(learned.plan.refused.iter().map(|&(index, refusal)| SpanFault {
            index,
            fault: span_refused(&self.who, &spans[index as usize], refusal),
        }));
        faults.extend(learned.missing.iter().flat_map(|missing| {
            let fault = |&index| SpanFault { index, fault: missing.fault.clone() };
            missing.request.spans.iter().map(fault)
        }));
        faults.sort_unstable_by_key(|fault| fault.index);
        if let Some(Relearned { requests, missing }) = relearned {
            learned.learn(requests, missing, now_ns);
        }
        self.memory.lock().put(learned);
        // Nothing could be asked at all: that is a fault of the whole call.
        if faults.len() == spans.len()
            && let Some(first) = faults.first()
            && first.fault.code == "not-connected"
        {
            return Err(faults.swap_remove(0).fault);
        }
        Ok(Words { words, faults })
    }

    async fn write(&self, changes: Vec<Change>) -> Vec<Result<(), Fault>> {
        let mut results = Vec::with_capacity(changes.len());
        for change in &changes {
            results.push(self.write_one(change).await);
        }
        results
    }
}

#[async_trait]
impl Link for ModbusTransport {
    fn start(&self) {
        match &self.wire {
            Wire::Tcp(wire) => {
                wire.begin();
                self.task.spawn(&self.life, wire.clone().keep());
            }
            Wire::Rtu(wire) => self.task.spawn(&self.life, wire.clone().keep()),
        }
    }

    fn state(&self) -> watch::Receiver<LinkState> {
        self.life.watch()
    }

    async fn reconnect(&self) {
        self.memory.lock().clear();
        if let Wire::Rtu(wire) = &self.wire {
            wire.wake();
        }
        self.life.reconnect();
    }

    async fn stop(&self) {
        self.task.stop(&self.life).await;
    }

    fn describe(&self) -> String {
        self.policy.device.clone()
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        let connects = match &self.wire {
            Wire::Tcp(wire) => &wire.connects,
            Wire::Rtu(wire) => &wire.bus.opens,
        };
        let counters = &self.counters;
        [
            ("requests_total", &counters.requests),
            ("timeouts_total", &counters.timeouts),
            ("exceptions_total", &counters.exceptions),
            ("splits_total", &counters.splits),
            ("writes_total", &counters.writes),
            ("connects_total", connects),
        ]
        .map(|(name, counter)| (name, counter.load(Ordering::Relaxed)))
        .into()
    }
}
