//! The far sides of an adapter's transports as its script has them. What the adapter does to each is kept in order.

use super::case::{Answer, HttpAnswer, Transport};
use super::outcome::{bytes, fault};
use async_trait::async_trait;
use bulkhead_model::{PointId, PointInfo, Timestamp};
use bulkhead_sandbox::capability as host;
use host::{
    Change, Fault, Framing, Incoming, Level, LineSettings, Message, Outgoing, Remedy, Span, SpanFault, Table, Words,
};
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// What an adapter did and said, in order. Bounded by the script: each step is one call with its own limits.
#[derive(Default)]
pub(super) struct Diary {
    did: Mutex<Vec<Json>>,
    said: Mutex<Vec<Json>>,
}

impl Diary {
    fn note(&self, done: Json) {
        self.did.lock().push(done);
    }

    /// What was done since the last time it was taken.
    pub(super) fn take(&self) -> Vec<Json> {
        std::mem::take(&mut self.did.lock())
    }

    /// Lines of the journal and reports since the last time they were taken.
    pub(super) fn take_said(&self) -> Vec<Json> {
        std::mem::take(&mut self.said.lock())
    }
}

impl host::Journal for Diary {
    fn write(&self, level: Level, message: &str) {
        let level = match level {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        self.said.lock().push(json!({ level: message }));
    }

    fn report(&self, point: Option<&str>, reported: &Fault) {
        self.said.lock().push(json!({ "report": fault(reported), "point": point }));
    }
}

/// A clock that the script moves.
pub(super) struct ScriptClock(pub(super) AtomicI64);

impl ScriptClock {
    pub(super) fn advance_ms(&self, ms: u64) {
        let ns = i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        self.0.fetch_add(ns, Ordering::Relaxed);
    }
}

impl host::Clock for ScriptClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }

    fn monotonic_ns(&self) -> u64 {
        u64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(0)
    }
}

/// Numbers points and keeps them as they were declared last.
#[derive(Default)]
pub(super) struct Points(pub(super) Mutex<Vec<PointInfo>>);

#[async_trait]
impl host::Catalogue for Points {
    async fn declare(&self, declared: Vec<PointInfo>) -> Result<Vec<PointId>, Fault> {
        let mut points = self.0.lock();
        let number = |info: PointInfo| {
            let known = points.iter().position(|point| point.name == info.name && point.kind == info.kind);
            let index = known.unwrap_or(points.len());
            if index == points.len() {
                points.push(info)
            } else {
                points[index] = info
            }
            PointId(u32::try_from(index).unwrap_or(u32::MAX))
        };
        Ok(declared.into_iter().map(number).collect())
    }
}

/// A memory that ends with the script.
#[derive(Default)]
pub(super) struct Memory(Mutex<BTreeMap<String, Vec<u8>>>);

#[async_trait]
impl host::State for Memory {
    async fn get(&self, key: String) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.0.lock().get(&key).cloned())
    }

    async fn set(&self, key: String, value: Vec<u8>) -> Result<(), Fault> {
        self.0.lock().insert(key, value);
        Ok(())
    }

    async fn remove(&self, key: String) -> Result<(), Fault> {
        self.0.lock().remove(&key);
        Ok(())
    }
}

/// Puts the scripted transports into an adapter's capabilities. A line is there as `serial` and as `tcp`.
pub(super) fn grant(
    capabilities: &mut host::Capabilities,
    transports: &BTreeMap<String, Transport>,
    diary: &Arc<Diary>,
) {
    for (role, transport) in transports {
        let diary = diary.clone();
        let key = role.clone();
        let line = |answers: &[Answer]| {
            let answers = Mutex::new(answers.iter().cloned().collect());
            Arc::new(Line { role: role.clone(), answers, diary: diary.clone() })
        };
        match transport {
            Transport::Serial { answers } => _ = capabilities.serial.insert(key, line(answers)),
            Transport::Tcp { answers } => {
                let line = line(answers);
                capabilities.serial.insert(key.clone(), line.clone());
                capabilities.tcp.insert(key, line);
            }
            Transport::Modbus { holding_registers, input_registers, coils, discrete_inputs } => {
                let mut words = BTreeMap::new();
                fill(&mut words, 0, coils);
                fill(&mut words, 1, discrete_inputs);
                fill(&mut words, 2, input_registers);
                fill(&mut words, 3, holding_registers);
                let device = Registers { role: role.clone(), words: Mutex::new(words), diary };
                capabilities.modbus.insert(key, Arc::new(device));
            }
            Transport::Mqtt {} => _ = capabilities.mqtt.insert(key, Arc::new(Broker { role: role.clone(), diary })),
            Transport::Http { answers } => {
                let answers = Mutex::new(answers.iter().cloned().collect());
                capabilities.http.insert(key, Arc::new(Server { role: role.clone(), answers, diary }));
            }
        }
    }
}

fn unscripted(what: &str) -> Fault {
    Fault::new(Remedy::Retry, "not-in-the-script", format!("{what}, and the script has no such answer"))
}

struct Line {
    role: String,
    answers: Mutex<VecDeque<Answer>>,
    diary: Arc<Diary>,
}

#[async_trait]
impl host::ByteLine for Line {
    async fn exchange(
        &self,
        request: Vec<u8>,
        _framing: Option<Framing>,
        _timeout_ms: Option<u32>,
        _line: Option<LineSettings>,
    ) -> Result<Vec<u8>, Fault> {
        let mut answers = self.answers.lock();
        let fits = answers.front().is_some_and(|next| next.request.as_ref().is_none_or(|asked| asked.0 == request));
        let answer = if fits { answers.pop_front() } else { None };
        let answer = match answer {
            Some(Answer { fault: Some(fault), .. }) => Err(fault.fault()),
            Some(Answer { answer, .. }) => Ok(answer.unwrap_or_default().0),
            None => {
                Err(unscripted(&format!("the adapter sent {:?} on {}", String::from_utf8_lossy(&request), self.role)))
            }
        };
        let told = answer.as_ref().map_or_else(fault, |answer| bytes(answer));
        self.diary.note(json!({ "exchange": self.role, "request": bytes(&request), "answer": told }));
        answer
    }

    async fn send(&self, data: Vec<u8>) -> Result<(), Fault> {
        self.diary.note(json!({ "send": self.role, "data": bytes(&data) }));
        Ok(())
    }
}

/// Words by table (0 coils, 1 discrete inputs, 2 input registers, 3 holding registers) and address.
type Bank = BTreeMap<(u8, u16), u16>;

fn fill(bank: &mut Bank, table: u8, rows: &BTreeMap<String, Vec<u16>>) {
    for (start, words) in rows {
        let start: u16 = start.parse().unwrap_or(0);
        bank.extend(words.iter().zip(start..).map(|(word, address)| ((table, address), *word)));
    }
}

fn number(table: Table) -> (u8, &'static str) {
    match table {
        Table::Coil => (0, "coil"),
        Table::DiscreteInput => (1, "discrete-input"),
        Table::InputRegister => (2, "input-register"),
        Table::HoldingRegister => (3, "holding-register"),
    }
}

struct Registers {
    role: String,
    words: Mutex<Bank>,
    diary: Arc<Diary>,
}

#[async_trait]
impl host::Modbus for Registers {
    async fn read(&self, spans: Vec<Span>) -> Result<Words, Fault> {
        let bank = self.words.lock();
        let mut read = Words { words: Vec::new(), faults: Vec::new() };
        let mut told = Vec::new();
        for (index, span) in (0u32..).zip(&spans) {
            let (table, name) = number(span.table);
            told.push(format!("{name}:{}-{}", span.address, u32::from(span.address) + u32::from(span.count) - 1));
            let words = (0..span.count).map(|offset| bank.get(&(table, span.address.wrapping_add(offset))).copied());
            if words.clone().any(|word| word.is_none()) {
                let message = format!("the script has no {name} at some of {}", told.last().map_or("", String::as_str));
                read.faults
                    .push(SpanFault { index, fault: Fault::new(Remedy::Reject, "illegal-data-address", message) });
            }
            read.words.extend(words.map(Option::unwrap_or_default));
        }
        self.diary.note(json!({ "modbus-read": self.role, "spans": told }));
        Ok(read)
    }

    async fn write(&self, changes: Vec<Change>) -> Vec<Result<(), Fault>> {
        let mut bank = self.words.lock();
        let write = |change: Change| {
            let (table, name) = number(change.table);
            let told = json!({ "modbus-write": self.role, "from": format!("{name}:{}", change.address), "words": change.words });
            self.diary.note(told);
            bank.extend(change.words.iter().zip(change.address..).map(|(word, address)| ((table, address), *word)));
            Ok(())
        };
        changes.into_iter().map(write).collect()
    }
}

struct Broker {
    role: String,
    diary: Arc<Diary>,
}

impl Broker {
    fn note(&self, what: &str, message: &Message) {
        let payload = bytes(&message.payload);
        self.diary
            .note(json!({ what: self.role, "topic": message.topic, "payload": payload, "retain": message.retain }));
    }
}

#[async_trait]
impl host::Mqtt for Broker {
    async fn publish(&self, message: Message) -> Result<(), Fault> {
        self.note("publish", &message);
        Ok(())
    }

    async fn set_will(&self, message: Message) -> Result<(), Fault> {
        self.note("set-will", &message);
        Ok(())
    }
}

struct Server {
    role: String,
    answers: Mutex<VecDeque<HttpAnswer>>,
    diary: Arc<Diary>,
}

#[async_trait]
impl host::Http for Server {
    async fn request(&self, request: Outgoing) -> Result<Incoming, Fault> {
        let asked = format!("{} {}", request.method, request.path);
        let mut answers = self.answers.lock();
        let fits = answers.front().is_some_and(|next| next.request.as_ref().is_none_or(|expected| *expected == asked));
        let answer = if fits { answers.pop_front() } else { None };
        let answer = match answer {
            Some(HttpAnswer { fault: Some(fault), .. }) => Err(fault.fault()),
            Some(answer) => Ok(Incoming {
                status: answer.status,
                headers: answer.headers.into_iter().collect(),
                body: answer.body.0,
            }),
            None => Err(unscripted(&format!("the adapter asked {asked} of {}", self.role))),
        };
        let told = answer
            .as_ref()
            .map_or_else(fault, |answer| json!({ "status": answer.status, "body": bytes(&answer.body) }));
        self.diary.note(json!({ "request": self.role, "asked": asked, "headers": request.headers, "body": bytes(&request.body), "answer": told }));
        answer
    }
}
