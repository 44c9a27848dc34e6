//! What an adapter author uses.
//!
//! An adapter is a WebAssembly component that speaks one device's or one system's language. Its author writes a struct,
//! the trait [`Adapter`] and one small trait for each role it has: [`Poller`] reads when the host says so, [`Listener`]
//! takes what arrives, [`Writer`] carries out commands, [`Sink`] delivers readings upstream, [`Responder`] answers
//! webhooks. [`export!`] makes a component of it. A whole adapter, settings included:
//!
//! ```
#![doc = include_str!("../examples/thermometer.rs")]
//! ```
//!
//! Settings arrive as a typed struct. [`Reading::new`] declares its point and interns the name, so that in the steady state
//! only numbers cross to the host; [`points::declare`] with [`Reading::at`] does the same for hot paths without a look-up.
//! What the host lends is in one module a capability: [`modbus`], [`serial`], [`tcp`], [`mqtt`], [`http`], [`clock`],
//! [`state`], [`log`]; only those that are used become imports of the component, and each must be granted by a transport.
//!
//! Unit tests run on the host without wasm: see [`testing`]. To build the component, compile the crate as a `cdylib` for
//! `wasm32-unknown-unknown` and encode it: in this repository `cargo xtask build-adapters` does both.
//!
//! A panic ends the instance; its message and place are written to the journal first, and the host starts a new instance.

mod adapter;
#[doc(hidden)]
pub mod bindings;
mod fault;
mod host;
mod instance;
pub mod points;
mod reading;
mod registry;
mod scaling;
mod status;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
pub mod text;
mod value;

pub use adapter::{Adapter, Listener, Poller, Responder, Sink, Writer};
pub use bindings::bulkhead::adapter::types::{
    Batch, BatchPoint, Command, Entry, Fault, File, Frame, FrameKind, Framing, Kind, Outcome, PointInfo, Reading,
    Rejection, Remedy, Reply, Request, Value, WriteLimits,
};
pub use host::{clock, http, log, modbus, mqtt, serial, state, tcp};
#[doc(hidden)]
pub use instance::Exported;
pub use points::{NewPoint, Point};
pub use scaling::Scaling;
pub use status::Status;

/// What most adapters need, in one `use`.
pub mod prelude {
    pub use crate::{Adapter, Listener, Poller, Responder, Sink, Writer};
    pub use crate::{
        Batch, Command, Fault, Frame, FrameKind, Framing, Kind, NewPoint, Outcome, Point, Reading, Remedy,
    };
    pub use crate::{Entry, Rejection, Reply, Request, Status, Value, WriteLimits};
    pub use crate::{clock, http, log, modbus, mqtt, points, serial, state, tcp};
    pub use serde::Deserialize;
}
