//! Unit tests of adapters on the host, without wasm: a scripted [`Host`], an adapter run on it, readings with their names.
//!
//! ```
//! use bulkhead_sdk::prelude::*;
//! use bulkhead_sdk::testing::{self, Host};
//! # #[derive(serde::Deserialize)] struct Settings {}
//! # struct Scale;
//! # impl Adapter for Scale {
//! #     type Settings = Settings;
//! #     fn start(_: Settings) -> Result<Self, Fault> { Ok(Scale) }
//! #     fn check(&mut self) -> Result<String, Fault> { Ok("a scale".into()) }
//! # }
//! # impl Poller for Scale {
//! #     fn poll(&mut self, _: &str) -> Result<Vec<Reading>, Fault> {
//! #         let answer = serial::exchange("device", b"P\r\n", None, None, None)?;
//! #         let weight: f64 = String::from_utf8_lossy(&answer).trim().parse().unwrap_or(f64::NAN);
//! #         Ok(vec![Reading::new("weight", weight).unit("kg")])
//! #     }
//! # }
//! let host = Host::install();
//! host.on_exchange(|_transport, request| {
//!     assert_eq!(request, b"P\r\n");
//!     Ok(b"12.5".to_vec())
//! });
//! let mut scale = testing::start::<Scale>(serde_json::json!({})).unwrap();
//! let readings = scale.poll("default").unwrap();
//! assert_eq!(readings[0].name, "weight");
//! assert_eq!(readings[0].value, Some(12.5.into()));
//! ```

mod host;
mod readme;
mod schema;

pub use host::Host;
pub use readme::settings_in;
pub use schema::assert_schema;

use crate::{Adapter, Batch, Command, Fault, Frame, FrameKind, Listener, Outcome, Poller, Reading, Reply, Request};
use crate::{Responder, Sink, Status, Value, Writer, instance};

/// A reading as a test looks at it: its point by name.
#[derive(Clone, PartialEq, Debug)]
pub struct Seen {
    /// The point's name, as it was declared.
    pub name: String,
    /// The value.
    pub value: Option<Value>,
    /// The status.
    pub status: Status,
    /// The time, where the adapter set one.
    pub time: Option<i64>,
    /// The point's unit.
    pub unit: Option<String>,
}

/// An adapter that has started.
#[derive(Debug)]
pub struct Running<A> {
    /// The adapter itself.
    pub adapter: A,
}

/// Starts an adapter on the host of this thread, as the gateway does.
///
/// # Errors
/// The fault of `start`, or `bad-settings`.
pub fn start<A: Adapter>(settings: serde_json::Value) -> Result<Running<A>, Fault> {
    Ok(Running { adapter: instance::start(settings.to_string())? })
}

impl<A: Adapter> Running<A> {
    /// Calls `check`.
    ///
    /// # Errors
    /// The adapter's fault.
    pub fn check(&mut self) -> Result<String, Fault> {
        self.adapter.check()
    }

    /// Calls `poll`.
    ///
    /// # Errors
    /// The adapter's fault.
    pub fn poll(&mut self, group: &str) -> Result<Vec<Seen>, Fault>
    where
        A: Poller,
    {
        instance::poll(&mut self.adapter, group).map(seen)
    }

    /// Calls `receive`.
    ///
    /// # Errors
    /// The adapter's fault.
    pub fn receive(&mut self, transport: &str, frames: &[Frame]) -> Result<Vec<Seen>, Fault>
    where
        A: Listener,
    {
        instance::receive(&mut self.adapter, transport, frames).map(seen)
    }

    /// Calls `write` with one command for the point of this name.
    ///
    /// # Errors
    /// The adapter's fault; `unknown-point` where no such point was declared.
    pub fn write(&mut self, name: &str, value: impl Into<Value>) -> Result<(), Fault>
    where
        A: Writer,
    {
        let point = Host::current()
            .number(name)
            .ok_or_else(|| Fault::reject("unknown-point", format!("no point `{name}` was declared")))?;
        let command = Command { point, value: value.into() };
        self.adapter.write_all(&[command]).pop().unwrap_or(Ok(()))
    }

    /// Calls `deliver`.
    ///
    /// # Errors
    /// The adapter's fault.
    pub fn deliver(&mut self, batch: &Batch) -> Result<Outcome, Fault>
    where
        A: Sink,
    {
        self.adapter.deliver(batch)
    }

    /// Calls `respond`; the second part are the reply's readings.
    ///
    /// # Errors
    /// The adapter's fault.
    pub fn respond(&mut self, request: &Request) -> Result<(Reply, Vec<Seen>), Fault>
    where
        A: Responder,
    {
        let reply = instance::respond(&mut self.adapter, request)?;
        let readings = seen(reply.readings.clone());
        Ok((reply, readings))
    }
}

fn seen(readings: Vec<Reading>) -> Vec<Seen> {
    let host = Host::current();
    readings
        .into_iter()
        .map(|reading| {
            let info = host.info(reading.point).unwrap_or_else(|| panic!("point {} was never declared", reading.point));
            if let Some(value) = &reading.value {
                assert_eq!(value.kind(), info.kind, "the value of `{}` is not of its point's kind", info.name);
            }
            Seen {
                name: info.name,
                value: reading.value,
                status: Status(reading.status),
                time: reading.time,
                unit: info.unit,
            }
        })
        .collect()
}

impl Frame {
    /// A data frame as a byte stream brings it: no topic, received at 0.
    #[must_use]
    pub fn data(payload: impl Into<Vec<u8>>) -> Self {
        Self::message("", payload)
    }

    /// An MQTT message: not retained, no properties, received at 0.
    #[must_use]
    pub fn message(topic: &str, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            kind: FrameKind::Data,
            topic: topic.to_owned(),
            payload: payload.into(),
            received: 0,
            retained: false,
            properties: Vec::new(),
        }
    }
}
