//! What the host can do for a guest, as traits: the sandbox calls them, `transports` and `engine` implement them.
//!
//! A guest names a transport by its role in the connection; the sandbox looks the role up in [`Capabilities`] and calls
//! the object behind it. The types are those of the WIT package. Each implementation keeps its own timeouts; the sandbox
//! puts a wall-clock limit on every call besides.

use crate::bindings::bulkhead::adapter as wit;
use crate::tap::Tap;
use async_trait::async_trait;
use bulkhead_model::{PointInfo, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

pub use crate::points::Declared;
pub use wit::http::{Incoming, Outgoing};
pub use wit::log::Level;
pub use wit::modbus::{Change, Span, SpanFault, Table, Words};
pub use wit::mqtt::{Message, Qos};
pub use wit::serial::{LineSettings, Parity};
pub use wit::types::{Fault, Frame, FrameKind, Framing, Remedy};

/// Makes points known: the log's catalogue.
#[async_trait]
pub trait Catalogue: Send + Sync {
    /// Points of this connection with their numbers, in order; the same name and kind give the same number.
    async fn declare(&self, points: Vec<PointInfo>) -> Result<Vec<Declared>, Fault>;
}

/// The connection's journal. Calls return at once; the implementation bounds rate and length.
pub trait Journal: Send + Sync {
    /// Writes one line.
    fn write(&self, level: Level, message: &str);
    /// Counts a fault, keeps it as the connection's last, and writes it with its point's name.
    fn report(&self, point: Option<&str>, fault: &Fault);
    /// The same for a crash of the adapter, which comes from the host and no oftener than its instances are built: however much
    /// the adapter writes, its crash is told.
    fn crashed(&self, fault: &Fault) {
        self.report(None, fault);
    }
}

/// Time. Policy never asks a clock; whoever does asks this one, so that a test can set it.
pub trait Clock: Send + Sync {
    /// The wall clock.
    fn now(&self) -> Timestamp;
    /// Nanoseconds of a clock that never goes back.
    fn monotonic_ns(&self) -> u64;
    /// Whether a moment that [`Clock::now`] gave can be trusted; readings that bear one which cannot become Uncertain.
    fn is_trusted(&self, _moment: Timestamp) -> bool {
        true
    }
}

/// A connection's small durable memory.
#[async_trait]
pub trait State: Send + Sync {
    /// The value under a key.
    async fn get(&self, key: String) -> Result<Option<Vec<u8>>, Fault>;
    /// Stores a value durably.
    async fn set(&self, key: String, value: Vec<u8>) -> Result<(), Fault>;
    /// Removes a key.
    async fn remove(&self, key: String) -> Result<(), Fault>;
}

/// A Modbus device.
#[async_trait]
pub trait Modbus: Send + Sync {
    /// Reads spans: merged, split, paced and timed out by the implementation. See `modbus.read` in the WIT.
    async fn read(&self, spans: Vec<Span>) -> Result<Words, Fault>;
    /// Writes in order, one request each; outside of the grant a fault `not-granted`.
    async fn write(&self, changes: Vec<Change>) -> Vec<Result<(), Fault>>;
}

/// A byte line: serial or TCP.
#[async_trait]
pub trait ByteLine: Send + Sync {
    /// Sends a request and reads one frame; absent arguments mean the transport's own settings.
    async fn exchange(
        &self,
        request: Vec<u8>,
        framing: Option<Framing>,
        timeout_ms: Option<u32>,
        line: Option<LineSettings>,
    ) -> Result<Vec<u8>, Fault>;
    /// Sends without waiting for an answer.
    async fn send(&self, data: Vec<u8>) -> Result<(), Fault>;
}

/// A broker to publish to.
#[async_trait]
pub trait Mqtt: Send + Sync {
    /// Publishes; above QoS 0 it returns when the broker has acknowledged.
    async fn publish(&self, message: Message) -> Result<(), Fault>;
    /// The last will from the next connect on.
    async fn set_will(&self, message: Message) -> Result<(), Fault>;
}

/// An HTTP server.
#[async_trait]
pub trait Http: Send + Sync {
    /// One request and its whole answer.
    async fn request(&self, request: Outgoing) -> Result<Incoming, Fault>;
}

/// Frames that arrive, and their acknowledgement.
#[async_trait]
pub trait FrameSource: Send {
    /// Waits for frames: at least one, at most `max`, in order of arrival. None: the transport has been stopped.
    /// What has been returned is not returned again unless the transport's source sends it again.
    async fn next(&mut self, max: usize) -> Option<FrameBatch>;
    /// Acknowledges a batch to its source, once its readings are committed. Batches are acknowledged in order.
    async fn acknowledge(&mut self, ticket: Ticket);
}

/// Frames that were received together.
#[derive(Debug)]
pub struct FrameBatch {
    /// The frames, in order of arrival.
    pub frames: Vec<Frame>,
    /// What to acknowledge once their readings are committed.
    pub ticket: Ticket,
}

/// Names a batch of frames to its source; the number's meaning is the source's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(pub u64);

/// Whether a transport's far side is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    /// Not started, or stopped.
    Stopped,
    /// Trying to connect for the first time or again.
    Connecting,
    /// Connected, or, where a protocol has no connection, the last request was answered.
    Up,
    /// Not connected; the next try follows.
    Down {
        /// Why, naming the address and what was expected.
        reason: String,
    },
}

/// The life cycle of a transport, whatever it carries.
#[async_trait]
pub trait Link: Send + Sync {
    /// Opens it and keeps it open with backoff, until `stop`. Returns at once. Called once.
    fn start(&self);
    /// Its state now and from now on.
    fn state(&self) -> tokio::sync::watch::Receiver<LinkState>;
    /// Drops the connection and opens a new one (remedy `reconnect`).
    async fn reconnect(&self);
    /// Closes it; returns when the socket or port is closed, within a second.
    async fn stop(&self);
    /// Address and kind for people, without credentials: `modbus-tcp 192.168.1.10:502 unit 1`.
    fn describe(&self) -> String;
    /// Counters for metrics: name (Prometheus style, `requests_total`) and value.
    fn counters(&self) -> Vec<(&'static str, u64)>;
}

/// What one connection's guest may use: its grants as objects, by the transport's role.
#[derive(Clone)]
pub struct Capabilities {
    /// The catalogue; always there.
    pub catalogue: Arc<dyn Catalogue>,
    /// The journal; always there.
    pub journal: Arc<dyn Journal>,
    /// The clock; always there.
    pub clock: Arc<dyn Clock>,
    /// The durable memory; none: not granted.
    pub state: Option<Arc<dyn State>>,
    /// Modbus devices.
    pub modbus: BTreeMap<String, Arc<dyn Modbus>>,
    /// Byte lines for the interface `serial`: transports of kind `serial` and `tcp`.
    pub serial: BTreeMap<String, Arc<dyn ByteLine>>,
    /// Byte lines for the interface `tcp`: transports of kind `tcp`.
    pub tcp: BTreeMap<String, Arc<dyn ByteLine>>,
    /// Brokers.
    pub mqtt: BTreeMap<String, Arc<dyn Mqtt>>,
    /// HTTP servers.
    pub http: BTreeMap<String, Arc<dyn Http>>,
    /// Who looks on.
    pub tap: Tap,
}

impl Fault {
    /// A fault with a remedy, a code for programs and a sentence for people.
    pub fn new(remedy: Remedy, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { remedy, code: code.into(), message: message.into(), retry_after_ms: None }
    }
}
