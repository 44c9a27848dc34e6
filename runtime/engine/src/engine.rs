//! A running engine: every connection and route of one config.

use crate::assembly::Surroundings;
use crate::clock::SystemClock;
use crate::command::{self, Command, Written};
use crate::connection::{ConnectionHandle, Request};
use crate::error::EngineError;
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

/// Longest time the engine waits for its tasks when it stops; what is not done then goes again after the next start.
const STOP_MAX: Duration = Duration::from_secs(4);
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
    stop: CancellationToken,
    stop_routes: CancellationToken,
    tasks: TaskTracker,
    route_tasks: TaskTracker,
}

impl Engine {
    /// Starts every enabled connection and route of a config. Returns at once: what fails to start shows in its status.
    /// Must be called inside a tokio runtime.
    #[must_use]
    pub fn start(config: Arc<Config>, log: Log, sandbox: Sandbox) -> Self {
        let clock = Arc::new(SystemClock::default());
        let around =
            Surroundings { config: config.clone(), sandbox, buses: Arc::new(Buses::default()), clock: clock.clone() };
        let (stop, stop_routes) = (CancellationToken::new(), CancellationToken::new());
        let (tasks, route_tasks) = (TaskTracker::new(), TaskTracker::new());
        let connections: BTreeMap<String, Arc<ConnectionHandle>> = config
            .connections
            .keys()
            .map(|name| (name.clone(), ConnectionHandle::start(name, &around, &log, &stop, &tasks)))
            .collect();
        let routes: BTreeMap<String, Arc<RouteHandle>> =
            config.routes.iter().map(|(name, route)| (name.clone(), RouteHandle::new(name, route, &log))).collect();
        for (name, route) in config.routes.iter().filter(|(_, route)| route.enabled) {
            let sink = connections[&route.to].clone();
            route_tasks.spawn(routes[name].run(route, sink, clock.clone(), stop_routes.clone()));
        }
        tasks.spawn(keep_retention(log.clone(), clock, stop.clone()));
        let inner = Inner { config, log, connections, routes, stop, stop_routes, tasks, route_tasks };
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

    /// Stops everything within [`STOP_MAX`]: first the sources, then, with what time is left, the routes. The log stays
    /// open for its owner to close.
    pub async fn stop(&self) {
        let until = tokio::time::Instant::now() + STOP_MAX;
        self.inner.stop_routes.cancel();
        self.inner.route_tasks.close();
        if tokio::time::timeout_at(until, self.inner.route_tasks.wait()).await.is_err() {
            tracing::warn!("routes did not stop in time; what they had on the way goes again after the next start");
        }
        self.inner.stop.cancel();
        self.inner.tasks.close();
        if tokio::time::timeout_at(until, self.inner.tasks.wait()).await.is_err() {
            tracing::warn!("connections did not stop in time; what was not committed was not acknowledged");
        }
    }

    fn find(&self, connection: &str) -> Result<&ConnectionHandle, EngineError> {
        self.inner.connections.get(connection).map(Arc::as_ref).ok_or_else(|| EngineError::NoSuchConnection {
            name: connection.to_owned(),
            known: self.inner.connections.keys().cloned().collect(),
        })
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
