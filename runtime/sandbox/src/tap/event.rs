//! What is told of a connection at work, as plain values.

use crate::bindings::bulkhead::adapter::types as wit;
use crate::capability::{Change, Fault, Frame, Incoming, Level, Message, Outgoing, Remedy, Span, Words};
use crate::error::CallError;
use crate::points::{Declared, PointTable};
use bulkhead_model::{Kind, PointId, PointInfo, Reading, Timestamp, Value};
use std::collections::HashMap;

/// Bytes an event takes in a queue apart from its texts and payloads; roughly.
const EVENT_BYTES: usize = 256;
/// The same for a reading, a span or a result in it.
const ITEM_BYTES: usize = 96;

/// One thing that happened between a guest and the host.
#[derive(Debug, Clone)]
pub struct TapEvent {
    /// When it was told, by the gateway's wall clock: a call's beginning, an answer's arrival.
    pub time: Timestamp,
    /// Which guest of the connection, from 1 on: one that polls, listens and delivers, one that writes and answers. After a
    /// reload further ones. 0: none, it was a transport.
    pub guest: u32,
    /// What it was.
    pub told: Told,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Told {
    /// The host calls the adapter.
    Calls(Call),
    /// The adapter's call has ended.
    Returns {
        /// The call's name, such as `poll`.
        call: &'static str,
        /// How long it took, waiting included.
        took_us: u64,
        /// What it brought.
        outcome: Result<Brought, Refused>,
    },
    /// The adapter has asked something of the host, and this was answered.
    Asks {
        /// The transport's role, where it is about one.
        transport: Option<String>,
        /// What was asked.
        asked: Asked,
        /// What was answered.
        answered: Answered,
        /// How long it took, without the wait for the adapter's turn.
        took_us: u64,
    },
    /// A Modbus transport has sent a request and has its answer. One read of an adapter becomes several of these where its spans
    /// are far from each other or the device refused them together; one of these serves several spans that lie close.
    Sends {
        /// The transport's role.
        transport: String,
        /// The request.
        request: ModbusRequest,
        /// Why it brought nothing; none: it was answered.
        fault: Option<Fault>,
        /// How long it took, with the wait for the bus.
        took_us: u64,
    },
    /// The adapter, or the host on its behalf, has reported a fault beside its readings.
    Reports {
        /// The point, where it is about one.
        point: Option<String>,
        /// The fault.
        fault: Fault,
    },
    /// The adapter has written a line to the journal.
    Says {
        /// How much it matters.
        level: Level,
        /// The line, tidied.
        message: String,
    },
}

/// A request as a Modbus device gets it (Modbus Application Protocol V1.1b3 §6).
#[derive(Debug, Clone, Copy)]
pub struct ModbusRequest {
    /// The unit id.
    pub unit: u8,
    /// The function code.
    pub function: u8,
    /// The registers or bits that are read or written.
    pub span: Span,
}

/// A call of the adapter.
#[derive(Debug, Clone)]
pub enum Call {
    /// `adapter.start`
    Start,
    /// `adapter.check`
    Check,
    /// `adapter.stop`
    Stop,
    /// `poller.poll`
    Poll {
        /// The group.
        group: String,
    },
    /// `listener.receive`
    Receive {
        /// The transport's role; `timer` for timers.
        transport: String,
        /// The frames.
        frames: Vec<Frame>,
    },
    /// `writer.write`
    Write {
        /// The point's name.
        point: String,
        /// The value.
        value: Value,
    },
    /// `sink.deliver`
    Deliver {
        /// The batch.
        batch: wit::Batch,
    },
    /// `responder.respond`
    Respond {
        /// The request.
        request: wit::Request,
    },
}

impl Call {
    /// The function's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Call::Start => "start",
            Call::Check => "check",
            Call::Stop => "stop",
            Call::Poll { .. } => "poll",
            Call::Receive { .. } => "receive",
            Call::Write { .. } => "write",
            Call::Deliver { .. } => "deliver",
            Call::Respond { .. } => "respond",
        }
    }
}

/// What a call brought.
#[derive(Debug, Clone)]
pub enum Brought {
    /// Nothing but that it is done.
    Nothing,
    /// A sentence of `check`.
    Found(String),
    /// Readings.
    Readings(Vec<TapReading>),
    /// How far a batch got.
    Outcome(wit::Outcome),
    /// What a responder answers.
    Reply {
        /// HTTP status.
        status: u16,
        /// Header fields.
        headers: Vec<(String, String)>,
        /// The body.
        body: Vec<u8>,
        /// Readings that the request brought.
        readings: Vec<TapReading>,
    },
}

/// A reading with what its point is called.
#[derive(Debug, Clone)]
pub struct TapReading {
    /// The point's name.
    pub point: String,
    /// The kind of its values.
    pub kind: Kind,
    /// Its unit.
    pub unit: Option<String>,
    /// The reading, as it goes to the log.
    pub reading: Reading,
}

impl TapReading {
    /// Readings with the names that their points have in a table.
    pub(crate) fn named(readings: &[Reading], points: &PointTable) -> Vec<Self> {
        points.with(|declared| {
            let by_id: HashMap<PointId, &Declared> = declared.iter().map(|point| (point.id, point)).collect();
            let named = |reading: &Reading| {
                let info = &by_id.get(&reading.point)?.info;
                let (point, unit) = (info.name.clone(), info.unit.clone());
                Some(Self { point, kind: info.kind, unit, reading: reading.clone() })
            };
            readings.iter().filter_map(named).collect()
        })
    }
}

/// Why a call brought nothing.
#[derive(Debug, Clone)]
pub struct Refused {
    /// What the adapter's fault asks of the host; none: the adapter crashed, or could not be called.
    pub remedy: Option<Remedy>,
    /// For programs.
    pub code: String,
    /// For people.
    pub message: String,
}

impl Refused {
    pub(crate) fn of(error: &CallError) -> Self {
        match error {
            CallError::Fault(fault) => {
                Self { remedy: Some(fault.remedy), code: fault.code.clone(), message: fault.message.clone() }
            }
            other => Self { remedy: None, code: other.code().to_owned(), message: other.to_string() },
        }
    }
}

/// What an adapter asks of the host.
#[derive(Debug, Clone)]
pub enum Asked {
    /// `points.declare`
    Declare(Vec<PointInfo>),
    /// A function of `state`: its name, the key, the bytes to store. Values are not told: they are the adapter's own.
    State(&'static str, String, usize),
    /// `modbus.read`
    ModbusRead(Vec<Span>),
    /// `modbus.write`
    ModbusWrite(Vec<Change>),
    /// `exchange` of the interface `serial` or `tcp`
    Exchange(&'static str, Vec<u8>),
    /// `send` of the interface `serial` or `tcp`
    Send(&'static str, Vec<u8>),
    /// `mqtt.publish`
    Publish(Message),
    /// `mqtt.set-will`
    SetWill(Message),
    /// `http.request`
    Request(Outgoing),
}

impl Asked {
    /// Interface and function.
    #[must_use]
    pub fn name(&self) -> (&'static str, &'static str) {
        match self {
            Asked::Declare(_) => ("points", "declare"),
            Asked::State(function, ..) => ("state", function),
            Asked::ModbusRead(_) => ("modbus", "read"),
            Asked::ModbusWrite(_) => ("modbus", "write"),
            Asked::Exchange(interface, _) => (interface, "exchange"),
            Asked::Send(interface, _) => (interface, "send"),
            Asked::Publish(_) => ("mqtt", "publish"),
            Asked::SetWill(_) => ("mqtt", "set-will"),
            Asked::Request(_) => ("http", "request"),
        }
    }
}

/// What the host answers.
#[derive(Debug, Clone)]
pub enum Answered {
    /// It is done.
    Done,
    /// It did not work.
    Fault(Fault),
    /// Each item has an outcome of its own.
    Each(Vec<Result<(), Fault>>),
    /// Words of a Modbus device, with the spans that failed.
    Words(Words),
    /// A frame.
    Bytes(Vec<u8>),
    /// A server's answer.
    Response(Incoming),
    /// The bytes of a stored value; none: there is none.
    Stored(Option<usize>),
}

/// A good answer of a host call, as it is told.
pub(crate) trait Answer {
    fn told(&self) -> Answered;
}

impl Answer for () {
    fn told(&self) -> Answered {
        Answered::Done
    }
}

impl Answer for Vec<Declared> {
    fn told(&self) -> Answered {
        Answered::Done
    }
}

impl Answer for Words {
    fn told(&self) -> Answered {
        Answered::Words(self.clone())
    }
}

impl Answer for Vec<u8> {
    fn told(&self) -> Answered {
        Answered::Bytes(self.clone())
    }
}

impl Answer for Incoming {
    fn told(&self) -> Answered {
        Answered::Response(self.clone())
    }
}

impl Answer for Option<Vec<u8>> {
    fn told(&self) -> Answered {
        Answered::Stored(self.as_ref().map(Vec::len))
    }
}

/// Which events somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kinds {
    /// Calls of the adapter, and what it asks of the host beside its transports: points, state, the journal.
    pub calls: bool,
    /// What goes over transports: frames that arrive, exchanges, requests of webhooks.
    pub frames: bool,
    /// Readings.
    pub readings: bool,
    /// Faults and crashes.
    pub faults: bool,
}

impl Kinds {
    /// No event.
    pub const NONE: Self = Self { calls: false, frames: false, readings: false, faults: false };
    /// Every event.
    pub const ALL: Self = Self { calls: true, frames: true, readings: true, faults: true };

    /// Whether both have one in common.
    pub(crate) fn meet(self, other: Self) -> bool {
        self.calls && other.calls
            || self.frames && other.frames
            || self.readings && other.readings
            || self.faults && other.faults
    }
}

impl TapEvent {
    /// What kinds it is of.
    #[must_use]
    pub fn kinds(&self) -> Kinds {
        let none = Kinds::NONE;
        match &self.told {
            Told::Calls(Call::Receive { .. } | Call::Respond { .. }) => Kinds { calls: true, frames: true, ..none },
            Told::Calls(_) | Told::Says { .. } => Kinds { calls: true, ..none },
            Told::Returns { outcome: Err(_), .. } => Kinds { calls: true, faults: true, ..none },
            Told::Returns { outcome: Ok(Brought::Readings(_)), .. } => Kinds { calls: true, readings: true, ..none },
            Told::Returns { outcome: Ok(Brought::Reply { .. }), .. } => {
                Kinds { calls: true, frames: true, readings: true, ..none }
            }
            Told::Returns { .. } => Kinds { calls: true, ..none },
            Told::Asks { transport, answered, .. } => {
                let (on_transport, failed) = (transport.is_some(), answered.has_fault());
                Kinds { calls: !on_transport, frames: on_transport, faults: failed, ..none }
            }
            Told::Sends { fault, .. } => Kinds { frames: true, faults: fault.is_some(), ..none },
            Told::Reports { .. } => Kinds { faults: true, ..none },
        }
    }

    /// Roughly the bytes it holds.
    pub(crate) fn weight(&self) -> usize {
        EVENT_BYTES
            + match &self.told {
                Told::Calls(Call::Receive { frames, .. }) => {
                    frames.iter().map(|frame| ITEM_BYTES + frame.payload.len() + frame.topic.len()).sum()
                }
                Told::Calls(Call::Deliver { batch }) => {
                    let held = |entry: &wit::Entry| entry.reading.value.as_ref().map_or(0, wit_value_bytes);
                    batch.points.len() * ITEM_BYTES
                        + batch.entries.iter().map(|entry| ITEM_BYTES + held(entry)).sum::<usize>()
                }
                Told::Calls(Call::Respond { request }) => request.body.len() + header_bytes(&request.headers),
                Told::Calls(Call::Write { value, .. }) => value_bytes(value),
                Told::Calls(_) => 0,
                Told::Returns { outcome, .. } => match outcome {
                    Ok(Brought::Readings(readings)) => reading_bytes(readings),
                    Ok(Brought::Reply { headers, body, readings, .. }) => {
                        header_bytes(headers) + body.len() + reading_bytes(readings)
                    }
                    Ok(Brought::Outcome(outcome)) => outcome.rejected.len() * ITEM_BYTES * 2,
                    Ok(Brought::Found(found)) => found.len(),
                    Ok(Brought::Nothing) => 0,
                    Err(refused) => refused.message.len(),
                },
                Told::Asks { asked, answered, .. } => asked.weight() + answered.weight(),
                Told::Sends { fault, .. } => fault.as_ref().map_or(0, |fault| fault.message.len()),
                Told::Reports { fault, .. } => fault.message.len(),
                Told::Says { message, .. } => message.len(),
            }
    }
}

impl Asked {
    fn weight(&self) -> usize {
        match self {
            Asked::Declare(points) => points.len() * ITEM_BYTES * 2,
            Asked::State(_, key, _) => key.len(),
            Asked::ModbusRead(spans) => spans.len() * ITEM_BYTES,
            Asked::ModbusWrite(changes) => changes.iter().map(|change| ITEM_BYTES + change.words.len() * 2).sum(),
            Asked::Exchange(_, bytes) | Asked::Send(_, bytes) => bytes.len(),
            Asked::Publish(message) | Asked::SetWill(message) => message.payload.len() + message.topic.len(),
            Asked::Request(request) => request.body.len() + request.path.len() + header_bytes(&request.headers),
        }
    }
}

impl Answered {
    fn has_fault(&self) -> bool {
        match self {
            Answered::Fault(_) => true,
            Answered::Each(results) => results.iter().any(Result::is_err),
            Answered::Words(words) => !words.faults.is_empty(),
            Answered::Done | Answered::Bytes(_) | Answered::Response(_) | Answered::Stored(_) => false,
        }
    }

    fn weight(&self) -> usize {
        match self {
            Answered::Done | Answered::Stored(_) => 0,
            Answered::Fault(fault) => fault.message.len(),
            Answered::Each(results) => results.len() * ITEM_BYTES,
            Answered::Words(words) => words.words.len() * 2 + words.faults.len() * ITEM_BYTES,
            Answered::Bytes(bytes) => bytes.len(),
            Answered::Response(response) => response.body.len() + header_bytes(&response.headers),
        }
    }
}

fn header_bytes(headers: &[(String, String)]) -> usize {
    headers.iter().map(|(name, value)| name.len() + value.len()).sum()
}

fn reading_bytes(readings: &[TapReading]) -> usize {
    let held = |reading: &TapReading| reading.reading.value.as_ref().map_or(0, value_bytes);
    readings.iter().map(|reading| ITEM_BYTES + reading.point.len() + held(reading)).sum()
}

fn value_bytes(value: &Value) -> usize {
    match value {
        Value::Decimal(text) | Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::File(file) => file.data.len(),
        _ => 0,
    }
}

fn wit_value_bytes(value: &wit::Value) -> usize {
    match value {
        wit::Value::Decimal(text) | wit::Value::Text(text) => text.len(),
        wit::Value::Bytes(bytes) => bytes.len(),
        wit::Value::File(file) => file.data.len(),
        _ => 0,
    }
}
