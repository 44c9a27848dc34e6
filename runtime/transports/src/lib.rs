//! Host-owned channels to devices and systems, behind the sandbox's capability traits: modbus-tcp, modbus-rtu, serial,
//! tcp, mqtt, http.
//!
//! [`open`] turns settings into a transport without touching the network or a device; its [`Link`] opens it, keeps it
//! open with backoff, and says in a sentence why it is not. Grants (write ranges, topics, base URLs) are checked here,
//! on the host's side of the sandbox. What decides (coalescing of Modbus reads, framing of byte streams, MQTT's session,
//! joining of URLs) are modules without clock or I/O.

#![forbid(unsafe_code)]

mod address;
mod error;
mod http;
mod lifecycle;
mod line;
mod modbus;
mod mqtt;
mod plain_text;
mod queue;
mod reopening;
mod repeats;
mod serial_port;
mod tls;

pub use error::TransportError;
pub use modbus::bus::Buses;

use bulkhead_model::Secret;
use bulkhead_model::transport::Transport;
use bulkhead_sandbox::capability::{ByteLine, Clock, FrameSource, Http, Link, Modbus, Mqtt};
use bulkhead_sandbox::tap::Tap;
use std::path::PathBuf;
use std::sync::Arc;

/// Where a transport belongs.
#[derive(Clone)]
pub struct Context {
    /// The connection's name.
    pub connection: String,
    /// The transport's role in the connection, such as `device`.
    pub role: String,
    /// The gateway's name; part of the MQTT client id.
    pub gateway: String,
    /// What relative files (certificates, secrets) are relative to.
    pub base_dir: PathBuf,
    /// Time for frames and pacing.
    pub clock: Arc<dyn Clock>,
    /// Who looks on at the connection.
    pub tap: Tap,
}

/// A transport that has been opened, but not started.
pub struct Opened {
    /// Its life cycle. Dropping every handle of a transport closes it.
    pub link: Arc<dyn Link>,
    /// What the guest may call.
    pub capability: Capability,
    /// Frames that arrive: present for serial, tcp and mqtt. Drop it when the adapter has no role `listener`: input that
    /// nobody waits for is then thrown away, and an MQTT transport does not subscribe.
    pub frames: Option<Box<dyn FrameSource>>,
}

/// The capability a transport carries, by the interface it belongs to.
#[derive(Clone)]
pub enum Capability {
    /// modbus-tcp and modbus-rtu: interface `modbus`.
    Modbus(Arc<dyn Modbus>),
    /// serial: interface `serial`.
    Serial(Arc<dyn ByteLine>),
    /// tcp: interfaces `tcp` and `serial`.
    Tcp(Arc<dyn ByteLine>),
    /// mqtt: interface `mqtt`.
    Mqtt(Arc<dyn Mqtt>),
    /// http: interface `http`.
    Http(Arc<dyn Http>),
}

/// Makes a transport from its settings. Opens no socket and no device: [`Link::start`] does. Files with certificates and
/// secrets are read here, so that a missing one is reported before anything runs.
///
/// # Errors
/// [`TransportError`]: a setting that cannot work, a secret or certificate that is not there.
pub fn open(settings: &Transport, context: Context, buses: &Buses) -> Result<Opened, TransportError> {
    match settings {
        Transport::ModbusTcp(settings) => modbus::open_tcp(settings, &context),
        Transport::ModbusRtu(settings) => modbus::open_rtu(settings, &context, buses),
        Transport::Serial(settings) => line::open_serial(settings, context),
        Transport::Tcp(settings) => line::open_tcp(settings, context),
        Transport::Mqtt(settings) => mqtt::open(settings, context),
        Transport::Http(settings) => http::open(settings, context),
    }
}

impl Context {
    fn setting_error(
        &self,
        setting: &'static str,
        value: impl Into<String>,
        expected: impl Into<String>,
    ) -> TransportError {
        TransportError::Setting {
            connection: self.connection.clone(),
            role: self.role.clone(),
            setting,
            value: value.into(),
            expected: expected.into(),
        }
    }

    fn reveal(&self, setting: &'static str, secret: &Secret) -> Result<String, TransportError> {
        secret.reveal(&self.base_dir).map_err(|reason| TransportError::Secret {
            connection: self.connection.clone(),
            role: self.role.clone(),
            setting,
            reason,
        })
    }
}

/// An entrance for a fuzz target into the framing of byte streams. Not an interface.
#[doc(hidden)]
pub mod fuzzing {
    use crate::line::framing::{Framer, Piece, Rule};

    /// The frames of a stream that comes in these pieces and ends each frame with this delimiter.
    #[must_use]
    pub fn frames(delimiter: &[u8], max: usize, pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut framer = Framer::new(Rule::Delimiter(delimiter.to_vec()), max);
        let mut frames = Vec::new();
        for piece in pieces {
            framer.push(piece);
            while let Some(piece) = framer.next() {
                frames.extend(match piece {
                    Piece::Frame(frame) => Some(frame),
                    Piece::TooLong(_) => None,
                });
            }
        }
        frames
    }
}
