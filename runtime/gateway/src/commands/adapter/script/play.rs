//! Playing a script: one call of the adapter a step.

use super::case::{Case, Delivered, Step};
use super::outcome::{self, fault};
use super::transports::{Diary, Memory, Points, ScriptClock, grant};
use bulkhead_model::{Kind, Reading, Status, Timestamp, Value};
use bulkhead_sandbox::capability::{Capabilities, Clock};
use bulkhead_sandbox::{Adapter, CallError, Guest, Limits, kind_to_wit, value_to_wit, wit};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

/// Plays a script and returns what came of it.
///
/// # Errors
/// In words: what of the script makes no sense, or why the adapter cannot be made ready at all.
pub(in super::super) async fn play(adapter: &Arc<Adapter>, case: &Case) -> Result<Json, String> {
    let now: jiff::Timestamp = case.now.parse().map_err(|error| format!("now: {error}"))?;
    let now = i64::try_from(now.as_nanosecond()).map_err(|error| format!("now: {error}"))?;
    let settings = serde_json::to_string(&case.settings).map_err(|error| format!("settings: {error}"))?;
    let diary = Arc::new(Diary::default());
    let points = Arc::new(Points::default());
    let clock = Arc::new(ScriptClock(AtomicI64::new(now)));
    let mut capabilities = Capabilities {
        catalogue: points.clone(),
        journal: diary.clone(),
        clock: clock.clone(),
        state: Some(Arc::new(Memory::default())),
        modbus: BTreeMap::new(),
        serial: BTreeMap::new(),
        tcp: BTreeMap::new(),
        mqtt: BTreeMap::new(),
        http: BTreeMap::new(),
        tap: bulkhead_sandbox::tap::Tap::default(),
    };
    grant(&mut capabilities, &case.transports, &diary);
    let limits = Limits { rebuild_first: std::time::Duration::ZERO, ..Limits::default() };
    let table = Arc::new(bulkhead_sandbox::PointTable::default());
    let guest = Guest::new(adapter.clone(), capabilities, table.clone(), limits, settings.into());
    let mut stage = Stage { guest: guest.map_err(|error| error.to_string())?, table, points, clock, diary };
    let started = stage.guest.start().await;
    let mut steps = vec![stage.told("start", started.map(|()| json!({})))];
    if steps[0].get("fault").is_none() && steps[0].get("failed").is_none() {
        for step in &case.steps {
            steps.push(stage.step(step).await?);
        }
    }
    let declared: Vec<Json> = stage.points.0.lock().iter().map(|point| declared(point)).collect();
    Ok(json!({ "declared": declared, "steps": steps }))
}

fn declared(point: &bulkhead_model::PointInfo) -> Json {
    let mut told = json!({ "name": point.name, "kind": point.kind.name() });
    let extra = [("unit", &point.unit), ("group", &point.group), ("description", &point.description)];
    for (key, value) in extra {
        if let Some(value) = value {
            told[key] = value.as_str().into();
        }
    }
    told
}

/// An adapter and what surrounds it.
struct Stage {
    guest: Guest,
    table: Arc<bulkhead_sandbox::PointTable>,
    points: Arc<Points>,
    clock: Arc<ScriptClock>,
    diary: Arc<Diary>,
}

impl Stage {
    async fn step(&mut self, step: &Step) -> Result<Json, String> {
        Ok(match step {
            Step::Wait(ms) => {
                self.clock.advance_ms(*ms);
                json!({ "call": format!("wait {ms} ms") })
            }
            Step::Check {} => {
                let found = self.guest.check().await;
                self.told("check", found.map(|found| json!({ "found": found })))
            }
            Step::Poll(group) => {
                let readings = self.guest.poll(group).await;
                let readings = readings.map(|readings| self.readings(&readings));
                self.told(&format!("poll {group}"), readings)
            }
            Step::Receive { transport, frames } => {
                let received = self.clock.now().0;
                let frames = frames.iter().map(|frame| frame_of(frame, received)).collect::<Result<Vec<_>, _>>()?;
                let readings = self.guest.receive(transport, &frames).await;
                let readings = readings.map(|readings| self.readings(&readings));
                self.told(&format!("receive {transport}"), readings)
            }
            Step::Write(values) => {
                let mut results = serde_json::Map::new();
                for (name, value) in values {
                    let (number, point) = self.table.find(name).ok_or_else(|| no_such_point(name))?;
                    let value = value_of(value, point.info.kind)?;
                    let outcome = self.guest.write(number, value).await;
                    results.insert(name.clone(), outcome.map_or_else(|error| failed(&error), |()| "written".into()));
                }
                self.told("write", Ok(json!({ "results": results })))
            }
            Step::Deliver(readings) => {
                let batch = batch_of(readings, self.clock.now())?;
                let outcome = self.guest.deliver(&batch).await;
                self.told("deliver", outcome.map(|outcome| delivered(&outcome)))
            }
            Step::Respond { method, path, query, headers, body } => {
                let request = wit::Request {
                    method: method.clone(),
                    path: path.clone(),
                    query: query.clone(),
                    headers: headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
                    body: body.0.clone(),
                    received: self.clock.now().0,
                };
                let reply = self.guest.respond(&request).await;
                let reply = reply.map(|reply| {
                    let mut told = self.readings(&reply.readings);
                    told["status"] = reply.status.into();
                    told["headers"] = json!(reply.headers);
                    told["body"] = outcome::bytes(&reply.body);
                    told
                });
                self.told(&format!("respond {method} {path}"), reply)
            }
        })
    }

    fn readings(&self, readings: &[Reading]) -> Json {
        let points = self.table.all();
        let named = readings.iter().filter_map(|reading| {
            let point = points.iter().find(|point| point.id == reading.point)?;
            Some(outcome::reading(&point.info, reading))
        });
        json!({ "readings": named.collect::<Vec<_>>() })
    }

    /// A step's outcome with what the adapter did to its transports and said meanwhile.
    fn told(&self, call: &str, outcome: Result<Json, CallError>) -> Json {
        let mut told = json!({ "call": call });
        for (key, list) in [("did", self.diary.take()), ("said", self.diary.take_said())] {
            if !list.is_empty() {
                told[key] = list.into();
            }
        }
        match outcome {
            Ok(Json::Object(more)) => more.into_iter().for_each(|(key, value)| told[key.as_str()] = value),
            Ok(_) => {}
            Err(CallError::Fault(reported)) => told["fault"] = fault(&reported),
            Err(error) => told["failed"] = without_waits(&error).into(),
        }
        told
    }
}

/// What a call that brought nothing has to say, without the wait that follows it in a gateway.
fn without_waits(error: &CallError) -> String {
    match error {
        CallError::Trapped { message, .. } => format!("the adapter crashed: {message}"),
        CallError::TimedOut { what, .. } => format!("the adapter did not finish in time ({what})"),
        other => other.to_string(),
    }
}

fn failed(error: &CallError) -> Json {
    match error {
        CallError::Fault(reported) => fault(reported),
        other => without_waits(other).into(),
    }
}

fn no_such_point(name: &str) -> String {
    format!("write: the adapter has declared no point {name:?} by then")
}

fn frame_of(frame: &super::case::Frame, received: i64) -> Result<wit::Frame, String> {
    let kind = match frame.kind.as_str() {
        "data" => wit::FrameKind::Data,
        "connected" => wit::FrameKind::Connected,
        "disconnected" => wit::FrameKind::Disconnected,
        "timer" => wit::FrameKind::Timer,
        other => return Err(format!("frame kind {other:?}: expected data, connected, disconnected or timer")),
    };
    Ok(wit::Frame {
        kind,
        topic: frame.topic.clone(),
        payload: frame.payload.0.clone(),
        received,
        retained: frame.retained,
        properties: frame.properties.clone(),
    })
}

/// A value of the script as a point's kind has it.
fn value_of(value: &toml::Value, kind: Kind) -> Result<Value, String> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Value::parse(kind, &text).map_err(|error| format!("{text}: {error}"))
}

/// The kind that a value of the script has by itself.
fn kind_of(value: &toml::Value) -> Kind {
    match value {
        toml::Value::Boolean(_) => Kind::Boolean,
        toml::Value::Integer(_) => Kind::Integer,
        toml::Value::Float(_) => Kind::Real,
        _ => Kind::Text,
    }
}

fn batch_of(readings: &[Delivered], now: Timestamp) -> Result<wit::Batch, String> {
    let mut batch =
        wit::Batch { key: "script-1".into(), route: "script".into(), points: Vec::new(), entries: Vec::new() };
    for (index, given) in (0u32..).zip(readings) {
        let kind = given.value.as_ref().map_or(Kind::Real, kind_of);
        batch.points.push(wit::BatchPoint {
            connection: given.connection.clone(),
            name: given.point.clone(),
            kind: kind_to_wit(kind),
            unit: given.unit.clone(),
            description: None,
        });
        let status = Status::from_name(&given.status).ok_or_else(|| format!("status {:?} is none", given.status))?;
        let value = given.value.as_ref().map(|value| value_of(value, kind)).transpose()?.map(value_to_wit);
        let reading = wit::Reading { point: index, time: Some(now.0), status: status.0, value };
        batch.entries.push(wit::Entry { seq: u64::from(index) + 1, reading });
    }
    Ok(batch)
}

fn delivered(outcome: &wit::Outcome) -> Json {
    let rejected = outcome.rejected.iter().map(|one| json!({ "index": one.index, "fault": fault(&one.fault) }));
    let mut told = json!({ "accepted": outcome.accepted, "rejected": rejected.collect::<Vec<_>>() });
    if let Some(rest) = &outcome.rest {
        told["rest"] = fault(rest);
    }
    told
}

/// What was not in the script, in words; none: the adapter kept to it.
pub(in super::super) fn strayed(outcome: &Json) -> Option<String> {
    let steps = outcome["steps"].as_array().into_iter().flatten();
    let done = steps.flat_map(|step| step["did"].as_array().into_iter().flatten());
    done.filter(|did| did["answer"]["code"] == "not-in-the-script")
        .find_map(|did| did["answer"]["message"].as_str().map(str::to_owned))
}
