//! Simulated devices and upstreams: what tests, benches and the demo stand in for the field and for the systems above.
//!
//! The wire formats here are written from the standards and share no code with the gateway or its libraries, so that
//! one checks the other. Everything listens on loopback, on a port the system chose unless an address is given, and
//! reports the real one. Each simulator is a handle: dropping it, or awaiting its `stop`, ends its tasks and closes its
//! sockets; `restart` takes the same port again, so that reconnects can be tested.

#![forbid(unsafe_code)]

mod error;
pub mod modbus;
pub mod mqtt;
mod pty;
pub mod scale;
mod service;
pub mod upstream;

pub use error::SimulatorError;
pub use pty::{Pty, PtyMaster};
