//! The far sides of an adapter's transports as its script has them. What the adapter does to each is kept in order.

use super::case::{Answer, HttpAnswer, Transport};
use super::modbus::{Conversation, Registers};
use super::outcome::{bytes, fault};
use async_trait::async_trait;
use bulkhead_model::{PointId, PointInfo, Timestamp};
use bulkhead_sandbox::capability as host;
use host::{Fault, Framing, Incoming, Level, LineSettings, Message, Outgoing, Remedy};
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
    pub(super) fn note(&self, done: Json) {
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
pub(super) struct Points(pub(super) Mutex<Vec<Arc<PointInfo>>>);

#[async_trait]
impl host::Catalogue for Points {
    async fn declare(&self, declared: Vec<PointInfo>) -> Result<Vec<host::Declared>, Fault> {
        let mut points = self.0.lock();
        let number = |info: PointInfo| {
            let info = Arc::new(info);
            let known = points.iter().position(|point| point.name == info.name && point.kind == info.kind);
            let index = known.unwrap_or(points.len());
            if index == points.len() {
                points.push(Arc::clone(&info));
            } else {
                points[index] = Arc::clone(&info);
            }
            host::Declared { id: PointId(u32::try_from(index).unwrap_or(u32::MAX)), info }
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
            Transport::Modbus { answers, .. } if !answers.is_empty() => {
                capabilities.modbus.insert(key, Arc::new(Conversation::new(role, answers, diary)));
            }
            Transport::Modbus { holding_registers, input_registers, coils, discrete_inputs, .. } => {
                let tables = [coils, discrete_inputs, input_registers, holding_registers];
                capabilities.modbus.insert(key, Arc::new(Registers::new(role, tables, diary)));
            }
            Transport::Mqtt {} => _ = capabilities.mqtt.insert(key, Arc::new(Broker { role: role.clone(), diary })),
            Transport::Http { answers } => {
                let answers = Mutex::new(answers.iter().cloned().collect());
                capabilities.http.insert(key, Arc::new(Server { role: role.clone(), answers, diary }));
            }
        }
    }
}

/// The fault of a call that the script does not have here; `expected` is the one it has.
pub(super) fn unscripted(done: &str, expected: Option<String>) -> Fault {
    let expected = expected.unwrap_or_else(|| "no further call".to_owned());
    Fault::new(Remedy::Retry, "not-in-the-script", format!("{done}, and the script expects {expected} here"))
}

/// What a script expects a line to be sent, and the first byte that was another.
fn expected_bytes(expected: &[u8], sent: &[u8]) -> String {
    let differs = expected.iter().zip(sent).position(|(a, b)| a != b).unwrap_or(expected.len().min(sent.len()));
    let shown = |bytes: &[u8]| bytes.get(differs).map_or("nothing".to_owned(), |byte| format!("{byte:02x}"));
    format!("{}, which differs at byte {differs}: expected {}, sent {}", bytes(expected), shown(expected), shown(sent))
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
                let next = answers.front().and_then(|next| next.request.as_ref());
                let expected = next.map(|expected| expected_bytes(&expected.0, &request));
                Err(unscripted(&format!("the adapter sent {} on {}", bytes(&request), self.role), expected))
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
            None => {
                let expected = answers.front().and_then(|next| next.request.clone());
                Err(unscripted(&format!("the adapter asked {asked} of {}", self.role), expected))
            }
        };
        let told = answer
            .as_ref()
            .map_or_else(fault, |answer| json!({ "status": answer.status, "body": bytes(&answer.body) }));
        self.diary.note(json!({ "request": self.role, "asked": asked, "headers": request.headers, "body": bytes(&request.body), "answer": told }));
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_that_differs_is_named() {
        assert_eq!(
            expected_bytes(b"READ\r\n", b"REED\r\n"),
            "\"READ\\r\\n\", which differs at byte 2: expected 41, sent 45"
        );
        assert!(expected_bytes(&[2, 3], &[2]).ends_with("differs at byte 1: expected 03, sent nothing"));
    }
}
