//! The handle that tests hold on the upstream.

use super::{
    Accepted, Auth, Misbehaviour, Rejection, auth::Tokens, listener::CuttableListener, script::Script, serve,
    store::Store,
};
use crate::{
    SimulatorError,
    service::{ANY_LOOPBACK_PORT, Tasks, bind},
};
use parking_lot::Mutex;
use serde_json::Value;
use std::{collections::HashMap, net::SocketAddr, sync::Arc};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Values and entities kept, unless told otherwise.
const DEFAULT_MAX_STORED: usize = 200_000;

/// How an upstream is set up.
#[derive(Clone, Debug)]
pub struct UpstreamConfig {
    /// Where it listens; by default on a free loopback port.
    pub address: Option<SocketAddr>,
    /// What clients must show, except for `/` and `/token`.
    pub auth: Auth,
    /// The header with the key that makes a repeated request known.
    pub idempotency_header: String,
    /// The property that is the key of a POSTed entity: one that exists is refused with 409. Without, and for entities
    /// that lack it, the upstream numbers them.
    pub key_property: Option<String>,
    /// Whether changing an entity without If-Match is refused with 428.
    pub requires_if_match: bool,
    /// Values and entities kept; the oldest are forgotten, and still counted.
    pub max_stored: usize,
}

impl Default for UpstreamConfig {
    fn default() -> Self {
        Self {
            address: None,
            auth: Auth::Open,
            idempotency_header: "idempotency-key".into(),
            key_property: None,
            requires_if_match: false,
            max_stored: DEFAULT_MAX_STORED,
        }
    }
}

/// What an upstream has done since it was first started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UpstreamStats {
    /// Requests received, those to `/` and `/token` excluded; a batch is one.
    pub requests: u64,
    /// Requests refused for want of credentials.
    pub unauthorized: u64,
    /// Requests that met a misbehaviour.
    pub misbehaved: u64,
    /// Values and entities accepted.
    pub accepted: u64,
    /// Tokens given.
    pub tokens: u64,
}

/// An HTTP upstream, until it is stopped or dropped.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    tasks: Option<Tasks>,
    connections: Arc<Mutex<CancellationToken>>,
}

impl Upstream {
    /// Listens.
    ///
    /// # Errors
    /// [`SimulatorError::Bind`] where the address is taken.
    pub async fn start(config: UpstreamConfig) -> Result<Self, SimulatorError> {
        let address = config.address.unwrap_or(ANY_LOOPBACK_PORT);
        let state = State {
            store: Store::new(config.max_stored),
            script: Script::default(),
            tokens: Tokens::default(),
            stats: UpstreamStats::default(),
        };
        let shared = Arc::new(Shared { config, state: Mutex::new(state), changed: Notify::new() });
        let mut upstream = Self { address, shared, tasks: None, connections: Arc::default() };
        upstream.restart().await?;
        Ok(upstream)
    }

    /// Where it listens, or listened before it was stopped.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it has done.
    #[must_use]
    pub fn stats(&self) -> UpstreamStats {
        self.shared.state.lock().stats()
    }

    /// What it accepted, in order, as far as it is kept.
    #[must_use]
    pub fn accepted(&self) -> Vec<Accepted> {
        self.shared.state.lock().store.accepted().cloned().collect()
    }

    /// How many requests with each idempotency key it accepted something from: more than one is a duplicate.
    #[must_use]
    pub fn accepted_by_key(&self) -> HashMap<String, u64> {
        self.shared.state.lock().store.key_counts().clone()
    }

    /// The entity of a set with a key, as it is now.
    #[must_use]
    pub fn entity(&self, set: &str, key: &str) -> Option<Value> {
        self.shared.state.lock().store.entity(set, key).map(|entity| entity.body.clone())
    }

    /// Waits until `count` values and entities were accepted in all; returns those that are kept.
    pub async fn wait_for(&self, count: u64) -> Vec<Accepted> {
        self.wait_until(|stats| stats.accepted >= count).await;
        self.accepted()
    }

    /// Waits until the figures satisfy a predicate.
    pub async fn wait_until(&self, satisfied: impl Fn(&UpstreamStats) -> bool) -> UpstreamStats {
        loop {
            let changed = self.shared.changed.notified();
            let stats = self.stats();
            if satisfied(&stats) {
                return stats;
            }
            changed.await;
        }
    }

    /// What it accepted since this was last asked, in order, as far as it is kept; figures and entities stay.
    #[must_use]
    pub fn take_accepted(&self) -> Vec<Accepted> {
        self.shared.state.lock().store.take_accepted()
    }

    /// Forgets the list of what was accepted; figures and entities stay.
    pub fn forget_accepted(&self) {
        self.shared.state.lock().store.forget_accepted();
    }

    /// The next `times` requests, after those already lined up, meet this.
    pub fn next(&self, misbehaviour: Misbehaviour, times: usize) {
        self.shared.state.lock().script.line_up(misbehaviour, times);
    }

    /// The next requests meet these, one each.
    pub fn script(&self, misbehaviours: impl IntoIterator<Item = Misbehaviour>) {
        misbehaviours.into_iter().for_each(|misbehaviour| self.next(misbehaviour, 1));
    }

    /// Every request meets this once nothing is lined up.
    pub fn always(&self, misbehaviour: Misbehaviour) {
        self.shared.state.lock().script.set_always(Some(misbehaviour));
    }

    /// Refuses the entities for which the predicate gives a rejection; the others of a batch are accepted.
    pub fn reject(&self, predicate: impl Fn(&Value) -> Option<Rejection> + Send + Sync + 'static) {
        self.shared.state.lock().script.reject = Some(Arc::new(predicate));
    }

    /// It behaves again. Requests that hang go on hanging; see [`Upstream::disconnect_all`].
    pub fn behave(&self) {
        self.shared.state.lock().script.clear();
    }

    /// All OAuth2 tokens given so far are worth nothing from now on.
    pub fn expire_tokens(&self) {
        self.shared.state.lock().tokens.expire_all();
    }

    /// Cuts all connections; new ones are accepted.
    pub fn disconnect_all(&self) {
        if let Some(tasks) = &self.tasks {
            std::mem::replace(&mut *self.connections.lock(), tasks.child_token()).cancel();
        }
    }

    /// Closes the listening socket and cuts all connections, and waits until they are gone. What was accepted stays.
    pub async fn stop(&mut self) {
        if let Some(tasks) = self.tasks.take() {
            tasks.stop().await;
        }
    }

    /// Listens again on the same port; stops first if it runs.
    ///
    /// # Errors
    /// [`SimulatorError::Bind`] where somebody else took the port meanwhile.
    pub async fn restart(&mut self) -> Result<(), SimulatorError> {
        self.stop().await;
        let (inner, address) = bind(self.address).await?;
        let tasks = Tasks::default();
        *self.connections.lock() = tasks.child_token();
        let listener = CuttableListener { inner, current: self.connections.clone(), tracker: tasks.tracker() };
        let shared = self.shared.clone();
        tasks.spawn(async move {
            if let Err(error) = serve::run(listener, shared).await {
                tracing::warn!(%error, "simulated upstream stopped serving");
            }
        });
        self.address = address;
        self.tasks = Some(tasks);
        Ok(())
    }
}

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: UpstreamConfig,
    pub(crate) state: Mutex<State>,
    pub(crate) changed: Notify,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) script: Script,
    pub(crate) tokens: Tokens,
    pub(crate) stats: UpstreamStats,
}

impl State {
    fn stats(&self) -> UpstreamStats {
        UpstreamStats { accepted: self.store.accepted_total(), tokens: self.tokens.given(), ..self.stats }
    }
}
