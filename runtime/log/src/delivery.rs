//! What a route keeps beside its cursor: the batch it has on the way. And what could not be delivered at all: dead
//! letters, which stay until somebody replays or discards them.

use crate::Row;
use bulkhead_model::{Seq, Timestamp};

/// The bounds of a batch that may have been sent; stored before it is, so that after a crash exactly it goes again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InFlight {
    /// The revision of the route that made it.
    pub revision: String,
    /// Its first seq.
    pub first: Seq,
    /// Its last seq.
    pub last: Seq,
}

/// Why something became a dead letter, and since when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LetterError {
    /// The fault's code.
    pub code: String,
    /// The fault's message.
    pub message: String,
    /// How often it was tried, replays included.
    pub tries: u32,
    /// When it was tried last.
    pub time: Timestamp,
}

/// A reading that an upstream will not take.
#[derive(Clone, PartialEq, Debug)]
pub struct RefusedReading {
    /// The reading whole: retention may drop the log's own copy.
    pub row: Row,
    /// Why.
    pub error: LetterError,
}

/// A frame that an adapter failed on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LostFrame {
    /// The role of the transport it came through.
    pub transport: String,
    /// Its topic; empty for byte streams.
    pub topic: String,
    /// Its bytes, or the first of them: compare with `payload_bytes`.
    pub payload: Vec<u8>,
    /// How many bytes it had.
    pub payload_bytes: u64,
    /// When it arrived.
    pub received: Timestamp,
    /// MQTT's retain flag.
    pub retained: bool,
    /// MQTT 5 user properties.
    pub properties: Vec<(String, String)>,
}

/// Whose dead letters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin<'a> {
    /// Readings that the upstream of this route refused.
    Route(&'a str),
    /// Frames that the adapter of this connection failed on.
    Connection(&'a str),
}

/// What a dead letter holds.
#[derive(Clone, PartialEq, Debug)]
pub enum LetterItem {
    /// A reading for the sink of a route.
    Reading {
        /// The route.
        route: String,
        /// The reading.
        row: Row,
    },
    /// A frame for the adapter of a connection.
    Frame {
        /// The connection.
        connection: String,
        /// The frame.
        frame: LostFrame,
    },
}

impl LetterItem {
    /// Whose it is.
    #[must_use]
    pub fn origin(&self) -> Origin<'_> {
        match self {
            Self::Reading { route, .. } => Origin::Route(route),
            Self::Frame { connection, .. } => Origin::Connection(connection),
        }
    }
}

/// Something that could not be delivered and is kept.
#[derive(Clone, PartialEq, Debug)]
pub struct DeadLetter {
    /// Its number; rising, never given twice.
    pub id: u64,
    /// What it is.
    pub item: LetterItem,
    /// Why it could not be delivered.
    pub error: LetterError,
}

/// How many dead letters somebody has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LetterCount {
    /// Kept now.
    pub kept: u64,
    /// Dropped so far because newer ones needed their room.
    pub dropped: u64,
}
