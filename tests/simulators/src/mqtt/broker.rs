//! The broker: sessions, retained messages and routing behind one lock, and the handle that tests hold.

use super::{
    connection,
    packet::{Connect, LEVEL_5, Message, QoS, SubscribeOptions},
    property::{Properties, id},
    session::{Delivery, Session},
    topic,
};
use crate::{
    SimulatorError,
    service::{ANY_LOOPBACK_PORT, TcpService},
};
use bytes::Bytes;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

/// Messages that wait for one client unless told otherwise; further ones are dropped and counted.
const DEFAULT_MAX_QUEUED: usize = 100_000;
/// Messages of QoS 1 and 2 on their way to one client unless told otherwise; a 5.0 client may ask for fewer.
const DEFAULT_MAX_IN_FLIGHT: usize = 1024;
/// Sessions kept, those of absent clients included; further clients are refused.
const MAX_SESSIONS: usize = 10_000;
/// Topics with a retained message; messages to further ones are passed on and not retained.
const MAX_RETAINED: usize = 10_000;

/// A user name and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name.
    pub user: String,
    /// The password.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// How a broker is set up.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// Where it listens; by default on a free loopback port.
    pub address: Option<SocketAddr>,
    /// What clients must show; by default nothing.
    pub credentials: Option<Credentials>,
    /// Messages that wait for one client; further ones are dropped and counted.
    pub max_queued: usize,
    /// Messages of QoS 1 and 2 on their way to one client, at most 65,535.
    pub max_in_flight: usize,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        let (max_queued, max_in_flight) = (DEFAULT_MAX_QUEUED, DEFAULT_MAX_IN_FLIGHT);
        Self { address: None, credentials: None, max_queued, max_in_flight }
    }
}

/// What a broker has done since it was first started, and what it holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BrokerStats {
    /// Connections that were accepted with CONNACK.
    pub accepted: u64,
    /// Connections that were refused.
    pub refused: u64,
    /// Clients connected now.
    pub connected: u64,
    /// Messages received from clients; a repeated QoS 2 message counts once.
    pub received: u64,
    /// Messages sent to clients, repetitions included.
    pub sent: u64,
    /// Messages of QoS 1 and 2 that a client has acknowledged to the end.
    pub acknowledged: u64,
    /// Messages dropped because a client's line was full.
    pub dropped: u64,
    /// Subscriptions, those of absent clients included.
    pub subscriptions: u64,
    /// Messages that wait for a client or its acknowledgement.
    pub outstanding: u64,
}

/// A small MQTT broker, until it is stopped or dropped. It has no shared subscriptions, subscription ids, topic aliases
/// or enhanced authentication, and says so to 5.0 clients; a will is sent at once, whatever its delay.
#[derive(Debug)]
pub struct Broker {
    address: SocketAddr,
    shared: Arc<Shared>,
    service: Option<TcpService>,
}

impl Broker {
    /// Listens.
    ///
    /// # Errors
    /// [`SimulatorError::Bind`] where the address is taken.
    pub async fn start(config: BrokerConfig) -> Result<Self, SimulatorError> {
        let address = config.address.unwrap_or(ANY_LOOPBACK_PORT);
        let shared = Arc::new(Shared { config, state: Mutex::default(), changed: Notify::new() });
        let mut broker = Self { address, shared, service: None };
        broker.restart().await?;
        Ok(broker)
    }

    /// Where it listens, or listened before it was stopped.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has done and holds.
    #[must_use]
    pub fn stats(&self) -> BrokerStats {
        self.shared.state.lock().stats()
    }

    /// Waits until the figures satisfy a predicate.
    pub async fn wait_until(&self, satisfied: impl Fn(&BrokerStats) -> bool) -> BrokerStats {
        loop {
            let changed = self.shared.changed.notified();
            let stats = self.stats();
            if satisfied(&stats) {
                return stats;
            }
            changed.await;
        }
    }

    /// Waits until a client subscribes to this very filter.
    pub async fn wait_for_subscription(&self, filter: &str) {
        loop {
            let changed = self.shared.changed.notified();
            if self.shared.state.lock().has_filter(filter) {
                return;
            }
            changed.await;
        }
    }

    /// Publishes a message as if a client had.
    pub fn publish(&self, topic: &str, payload: impl Into<Bytes>, qos: QoS, retain: bool) {
        let (topic, payload) = (topic.to_owned(), payload.into());
        self.shared.route(Message { topic, payload, qos, retain, properties: Properties::default() }, None);
    }

    /// The retained message of a topic.
    #[must_use]
    pub fn retained(&self, topic: &str) -> Option<Bytes> {
        self.shared.state.lock().retained.get(topic).map(|message| message.payload.clone())
    }

    /// Closes all connections, as a broken network does: wills are sent, sessions kept; clients may come again.
    pub fn disconnect_all(&self) {
        if let Some(service) = &self.service {
            service.disconnect_all();
        }
    }

    /// Closes the listening socket and all connections, and waits until its tasks are gone. Sessions, retained messages
    /// and figures stay; no wills are sent.
    pub async fn stop(&mut self) {
        if let Some(service) = self.service.take() {
            self.shared.state.lock().is_stopping = true;
            service.stop().await;
            self.shared.state.lock().is_stopping = false;
        }
    }

    /// Forgets all sessions and retained messages, as a broker without persistence does when it restarts. Meant for a
    /// stopped one.
    pub fn forget(&self) {
        let mut state = self.shared.state.lock();
        state.retained.clear();
        state.sessions.retain(|_, entry| entry.online.is_some());
    }

    /// Listens again on the same port; stops first if it runs.
    ///
    /// # Errors
    /// [`SimulatorError::Bind`] where somebody else took the port meanwhile.
    pub async fn restart(&mut self) -> Result<(), SimulatorError> {
        self.stop().await;
        let shared = self.shared.clone();
        let serve = move |stream| connection::serve(stream, shared.clone());
        let service = TcpService::start(self.address, serve).await?;
        self.address = service.address();
        self.service = Some(service);
        Ok(())
    }
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: BrokerConfig,
    pub(crate) state: Mutex<State>,
    pub(crate) changed: Notify,
}

impl Shared {
    /// Passes a message on; `from` is the client it came from.
    pub(crate) fn route(&self, message: Message, from: Option<&str>) {
        self.state.lock().route(message, from, self.config.max_queued);
        self.changed.notify_waiters();
    }
}

/// A client that is connected.
#[derive(Clone, Debug)]
pub(crate) struct Online {
    /// Which of the broker's connections it is, so that one that was taken over cannot close its successor's session.
    generation: u64,
    /// Messages wait.
    pub(crate) wake: Arc<Notify>,
    /// Cancelled when the client connects anew.
    pub(crate) taken_over: CancellationToken,
}

#[derive(Debug, Default)]
struct Entry {
    session: Session,
    online: Option<Online>,
    /// When the session of an absent client ends; none: never.
    expires: Option<Instant>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    sessions: HashMap<String, Entry>,
    retained: BTreeMap<String, Arc<Message>>,
    pub(crate) stats: BrokerStats,
    generations: u64,
    is_stopping: bool,
}

/// How long a session outlives its connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Expiry {
    Never,
    After(Duration),
}

impl Expiry {
    /// As a CONNECT asks: 3.1.1 by its clean session flag, 5.0 by a property.
    pub(crate) fn of(connect: &Connect) -> Self {
        if connect.level >= LEVEL_5 {
            Self::from_seconds(connect.properties.number(id::SESSION_EXPIRY_SECONDS).unwrap_or(0))
        } else if connect.clean_start {
            Expiry::After(Duration::ZERO)
        } else {
            Expiry::Never
        }
    }

    pub(crate) fn from_seconds(seconds: u32) -> Self {
        if seconds == u32::MAX { Expiry::Never } else { Expiry::After(Duration::from_secs(u64::from(seconds))) }
    }
}

impl State {
    /// Opens a client's session; whether it was there before. None when there are too many.
    pub(crate) fn open(&mut self, client_id: &str, clean_start: bool, now: Instant) -> Option<(Online, bool)> {
        self.sessions.retain(|_, entry| entry.online.is_some() || entry.expires.is_none_or(|expires| expires > now));
        if let Some(old) = self.sessions.get(client_id).and_then(|entry| entry.online.as_ref()) {
            old.taken_over.cancel();
            self.stats.connected -= 1;
        }
        if clean_start {
            self.sessions.remove(client_id);
        }
        let is_present = self.sessions.contains_key(client_id);
        if !is_present && self.sessions.len() >= MAX_SESSIONS {
            return None;
        }
        self.generations += 1;
        let online = Online {
            generation: self.generations,
            wake: Arc::new(Notify::new()),
            taken_over: CancellationToken::new(),
        };
        self.sessions.entry(client_id.to_owned()).or_default().online = Some(online.clone());
        self.stats.accepted += 1;
        self.stats.connected += 1;
        Some((online, is_present))
    }

    /// A connection ended. Whether its will is to be sent, should it have left without a word.
    pub(crate) fn close(&mut self, client_id: &str, online: &Online, expiry: Expiry, now: Instant) -> bool {
        let Some(entry) = self.sessions.get_mut(client_id) else { return !self.is_stopping };
        if entry.online.as_ref().is_some_and(|current| current.generation == online.generation) {
            self.stats.connected -= 1;
            entry.online = None;
            entry.session.client_left();
            match expiry {
                Expiry::After(Duration::ZERO) => drop(self.sessions.remove(client_id)),
                Expiry::After(duration) => entry.expires = Some(now + duration),
                Expiry::Never => entry.expires = None,
            }
        }
        !self.is_stopping
    }

    /// The session of a connection, unless it was taken over.
    pub(crate) fn session(&mut self, client_id: &str, online: &Online) -> Option<&mut Session> {
        let entry = self.sessions.get_mut(client_id)?;
        entry.online.as_ref().filter(|current| current.generation == online.generation)?;
        Some(&mut entry.session)
    }

    /// Puts the retained messages that a new subscription selects in line for its client.
    pub(crate) fn queue_retained(&mut self, client_id: &str, filter: &str, options: SubscribeOptions, most: usize) {
        let Some(entry) = self.sessions.get_mut(client_id) else { return };
        for message in self.retained.values().filter(|message| topic::matches(filter, &message.topic)) {
            let delivery = Delivery { message: message.clone(), qos: options.qos.min(message.qos), retain: true };
            if !entry.session.queue(delivery, most) {
                self.stats.dropped += 1;
            }
        }
    }

    fn route(&mut self, message: Message, from: Option<&str>, most: usize) {
        let message = Arc::new(message);
        if message.retain {
            self.retain(&message);
        }
        for (client_id, entry) in &mut self.sessions {
            let is_own = from == Some(client_id.as_str());
            let Some(delivery) = entry.session.selects(&message, is_own) else { continue };
            match &entry.online {
                None if delivery.qos == QoS::AtMostOnce => continue,
                online => {
                    if !entry.session.queue(delivery, most) {
                        self.stats.dropped += 1;
                    }
                    if let Some(online) = online {
                        online.wake.notify_one();
                    }
                }
            }
        }
    }

    fn retain(&mut self, message: &Arc<Message>) {
        if message.payload.is_empty() {
            self.retained.remove(&message.topic);
        } else if self.retained.len() < MAX_RETAINED || self.retained.contains_key(&message.topic) {
            self.retained.insert(message.topic.clone(), message.clone());
        }
    }

    fn has_filter(&self, filter: &str) -> bool {
        self.sessions.values().any(|entry| entry.session.filters().any(|known| known == filter))
    }

    fn stats(&self) -> BrokerStats {
        let sessions = || self.sessions.values().map(|entry| &entry.session);
        BrokerStats {
            subscriptions: sessions().map(|session| session.filters().count() as u64).sum(),
            outstanding: sessions().map(|session| session.outstanding() as u64).sum(),
            ..self.stats
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(qos: QoS) -> Message {
        let (topic, payload) = ("t".into(), Bytes::from_static(b"x"));
        Message { topic, payload, qos, retain: false, properties: Properties::default() }
    }

    /// A state with one connected client that subscribed to everything.
    fn state_with_client(now: Instant) -> (State, Online) {
        let mut state = State::default();
        let (online, _) = state.open("c", true, now).unwrap();
        let options =
            SubscribeOptions { qos: QoS::ExactlyOnce, no_local: false, retain_as_published: false, retain_handling: 0 };
        state.session("c", &online).unwrap().subscribe("#".into(), options);
        (state, online)
    }

    #[test]
    fn only_acknowledged_kinds_wait_for_a_client_that_left_and_only_while_its_session_lasts() {
        let now = Instant::now();
        let (mut state, online) = state_with_client(now);
        [QoS::AtMostOnce, QoS::AtLeastOnce].into_iter().for_each(|qos| state.route(message(qos), None, 10));
        let hour = Duration::from_secs(3600);
        assert!(state.close("c", &online, Expiry::After(hour), now));
        assert_eq!(state.stats().outstanding, 1);
        assert!(state.open("c", false, now + hour / 2).unwrap().1);
        let (online, _) = state.open("c", false, now + hour / 2).unwrap();
        state.close("c", &online, Expiry::After(hour), now + hour);
        assert!(!state.open("c", false, now + 2 * hour).unwrap().1);
    }

    #[test]
    fn a_full_line_drops_and_counts() {
        let (mut state, _online) = state_with_client(Instant::now());
        (0..5).for_each(|_| state.route(message(QoS::AtLeastOnce), None, 3));
        assert_eq!((state.stats().outstanding, state.stats().dropped), (3, 2));
    }
}
