//! A running engine: every connection and route of one config.

use crate::assembly::Surroundings;
use crate::clock::SystemClock;
use crate::command::{self, Command, Written};
use crate::connection::{ConnectionHandle, Request};
use crate::error::EngineError;
use crate::letters::Replaying;
use crate::route::RouteHandle;
use crate::status::{ConnectionStatus, RouteStatus, WebhookReply, WebhookRequest};
use bulkhead_config::Config;
use bulkhead_log::Log;
use bulkhead_sandbox::{Role, Sandbox};
use bulkhead_transports::Buses;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Longest wait for each of the three stages of a stop: the sources, the routes, the sinks.
const STAGE_STOP_MAX: Duration = Duration::from_millis(1400);
/// When starting is taken to be over: what reading the config, loading adapters and declaring points took on the way is
/// then given back.
const STARTED_AFTER: Duration = Duration::from_secs(5);
/// How often retention looks for segments to drop.
const RETENTION_INTERVAL: Duration = Duration::from_secs(60);

/// Connections and routes at work. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    config: Arc<Config>,
    log: Log,
    connections: BTreeMap<String, Arc<ConnectionHandle>>,
    routes: BTreeMap<String, Arc<RouteHandle>>,
    sources: Stage,
    routes_stage: Stage,
    sinks: Stage,
    replaying: Replaying,
}

/// Tasks that stop together.
struct Stage {
    what: &'static str,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Stage {
    fn new(what: &'static str) -> Self {
        Self { what, stop: CancellationToken::new(), tasks: TaskTracker::new() }
    }
}

impl Engine {
    /// Starts every enabled connection and route of a config. Returns at once: what fails to start shows in its status.
    /// Must be called inside a tokio runtime.
    #[must_use]
    pub fn start(config: Arc<Config>, log: Log, sandbox: Sandbox) -> Self {
        let clock = Arc::new(SystemClock::default());
        let around =
            Surroundings { config: config.clone(), sandbox, buses: Arc::new(Buses::default()), clock: clock.clone() };
        let (sources, routes_stage, sinks) = (Stage::new("sources"), Stage::new("routes"), Stage::new("sinks"));
        let is_sink = |name: &String| config.routes.values().any(|route| route.to == *name);
        let start = |name: &String| {
            let stage = if is_sink(name) { &sinks } else { &sources };
            (name.clone(), ConnectionHandle::start(name, &around, &log, &stage.stop, &stage.tasks))
        };
        let connections: BTreeMap<String, Arc<ConnectionHandle>> = config.connections.keys().map(start).collect();
        let routes: BTreeMap<String, Arc<RouteHandle>> =
            config.routes.iter().map(|(name, route)| (name.clone(), RouteHandle::new(name, route, &log))).collect();
        for (name, route) in config.routes.iter().filter(|(_, route)| route.enabled) {
            let sink = connections[&route.to].clone();
            routes_stage.tasks.spawn(routes[name].run(route, sink, clock.clone(), routes_stage.stop.clone()));
        }
        sources.tasks.spawn(give_back_once_started(sources.stop.clone()));
        sources.tasks.spawn(keep_retention(log.clone(), clock, sources.stop.clone()));
        let replaying = Replaying::default();
        let inner = Inner { config, log, connections, routes, sources, routes_stage, sinks, replaying };
        Self { inner: Arc::new(inner) }
    }

    /// The config it runs.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// The log it writes to.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.inner.log
    }

    /// Every connection as it is now, by name.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionStatus> {
        self.inner.connections.values().map(|connection| connection.status()).collect()
    }

    /// One connection as it is now.
    #[must_use]
    pub fn connection(&self, name: &str) -> Option<ConnectionStatus> {
        self.inner.connections.get(name).map(|connection| connection.status())
    }

    /// Every route as it is now, by name.
    #[must_use]
    pub fn routes(&self) -> Vec<RouteStatus> {
        self.inner.routes.values().map(|route| route.status()).collect()
    }

    /// Whether every enabled connection has got past its start, failed ones included.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.inner.connections.values().all(|connection| *connection.live.phase.lock() != crate::Phase::Starting)
    }

    /// Writes a value to a point and reads it back.
    ///
    /// # Errors
    /// [`EngineError`]: no such connection or point, read-only, out of range, the device refused, too many waiting.
    pub async fn write(&self, connection: &str, point: &str, command: Command) -> Result<Written, EngineError> {
        command::write(self.find(connection)?, &self.inner.log, point, command).await
    }

    /// Has a responder answer a webhook request. Its readings are committed before this returns.
    ///
    /// # Errors
    /// [`EngineError`]: no such connection, no role responder, the adapter's fault, too many waiting.
    pub async fn respond(&self, connection: &str, request: WebhookRequest) -> Result<WebhookReply, EngineError> {
        let handle = self.find(connection)?;
        let parts = handle.running()?;
        let Some(second) = parts.second.as_ref().filter(|_| parts.has(Role::Responder)) else {
            return Err(EngineError::MissingRole {
                connection: connection.to_owned(),
                adapter: handle.status().adapter,
                role: Role::Responder.name(),
                needed_by: "a webhook".into(),
            });
        };
        command::ask(connection, second, |reply| Request::Respond(request, reply)).await
    }

    /// Stops everything within three times [`STAGE_STOP_MAX`]: first the sources, so that what they have brought is in the log, then
    /// the routes, which end what they have on the way, then the sinks. The log stays open for its owner to close.
    pub async fn stop(&self) {
        let stages = [
            (&self.inner.sources, "what was not committed was not acknowledged"),
            (&self.inner.routes_stage, "what they had on the way goes again after the next start"),
            (&self.inner.sinks, "what they had on the way goes again after the next start"),
        ];
        for (stage, consequence) in stages {
            stage.stop.cancel();
            stage.tasks.close();
            if tokio::time::timeout(STAGE_STOP_MAX, stage.tasks.wait()).await.is_err() {
                tracing::warn!("some {} did not stop in time; {consequence}", stage.what);
            }
        }
    }

    /// Dead letters that are being replayed.
    pub(crate) fn replaying(&self) -> &Replaying {
        &self.inner.replaying
    }

    pub(crate) fn route_handle(&self, name: &str) -> Option<&RouteHandle> {
        self.inner.routes.get(name).map(Arc::as_ref)
    }

    pub(crate) fn find(&self, connection: &str) -> Result<&ConnectionHandle, EngineError> {
        self.inner.connections.get(connection).map(Arc::as_ref).ok_or_else(|| EngineError::NoSuchConnection {
            name: connection.to_owned(),
            known: self.inner.connections.keys().cloned().collect(),
        })
    }
}

/// Gives memory back once, when starting is over.
async fn give_back_once_started(stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(STARTED_AFTER) => bulkhead_sandbox::memory::give_back(),
    }
}

/// Drops segments that the log's retention has passed, now and then.
async fn keep_retention(log: Log, clock: Arc<SystemClock>, stop: CancellationToken) {
    use bulkhead_sandbox::capability::Clock;
    loop {
        let (log, now) = (log.clone(), clock.now());
        match tokio::task::spawn_blocking(move || log.apply_retention(now)).await {
            Ok(Ok(0)) => {}
            Ok(Ok(dropped)) => tracing::info!(dropped, "segments of the log were dropped by retention"),
            Ok(Err(error)) => tracing::error!("retention: {error}"),
            Err(_) => return,
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(RETENTION_INTERVAL) => {}
        }
    }
}
