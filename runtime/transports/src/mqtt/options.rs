//! What the MQTT task is given and what it is asked: its options, commands, messages and counters.

use super::acks::Owed;
use super::packet::{Codec, Publish};
use super::stream::Tls;
use crate::address::Address;
use crate::queue::Weighed;
use bulkhead_model::transport::Reconnect;
use bulkhead_sandbox::capability::Frame;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::oneshot;

/// A frame and what it is owed once its readings are committed.
pub(crate) struct Message {
    pub(crate) frame: Frame,
    pub(crate) owed: Owed,
}

impl Weighed for Message {
    fn bytes(&self) -> usize {
        self.frame.payload.len() + self.frame.topic.len()
    }
}

/// Why a message was not published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PublishError {
    NotConnected(String),
    /// The broker refuses it, or takes none so long; why.
    Refused(String),
}

pub(crate) type Waiter = oneshot::Sender<Result<(), PublishError>>;

/// A message to send, and who waits for it.
pub(crate) struct Command {
    pub(crate) publish: Publish,
    pub(crate) waiter: Waiter,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) connects: AtomicU64,
    pub(crate) messages: AtomicU64,
    /// Those among them that the broker marks as sent before (MQTT's DUP flag).
    pub(crate) redelivered: AtomicU64,
    pub(crate) published: AtomicU64,
    /// Messages on topics that are not granted, from subscriptions of an earlier configuration.
    pub(crate) foreign: AtomicU64,
    pub(crate) too_long: AtomicU64,
    pub(crate) refused: AtomicU64,
}

/// What does not change while the transport lives.
pub(crate) struct Options {
    pub(crate) address: Address,
    pub(crate) tls: Option<Tls>,
    pub(crate) codec: Codec,
    pub(crate) client_id: String,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) subscribe: Vec<String>,
    pub(crate) qos: u8,
    pub(crate) keep_alive_s: u16,
    pub(crate) resume_session: bool,
    pub(crate) session_expiry_s: u32,
    pub(crate) receive_maximum: u16,
    /// Longest payload that is handed on; longer ones are dropped and reported.
    pub(crate) max_message_bytes: usize,
    pub(crate) timeout: Duration,
    pub(crate) reconnect: Reconnect,
}
