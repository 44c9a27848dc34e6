//! A running engine: every connection and route of one config. How it goes over to the next is in `change`.

mod change;

use crate::clock::SystemClock;
use crate::command::{self, Command, Written};
use crate::connection::{ConnectionHandle, Request};
use crate::disk_writes::{DiskMeter, DiskWrites};
use crate::error::EngineError;
use crate::letters::Replaying;
use crate::probe::{Probe, reason_down};
use crate::reload::Reloaded;
use crate::reload::plan::Plan;
use crate::route::RouteHandle;
use crate::status::{ConnectionStatus, Phase, RouteStatus, WebhookReply, WebhookRequest};
use crate::taps::Taps;
use bulkhead_config::Config;
use bulkhead_log::Log;
use bulkhead_model::Timestamp;
use bulkhead_sandbox::capability::Clock;
use bulkhead_sandbox::tap::{Kinds, Listening};
use bulkhead_sandbox::{Role, Sandbox};
use bulkhead_transports::Buses;
use futures_util::future::join_all;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Longest wait for each of the three stages of a stop: the sources, the routes, the sinks.
const STAGE_STOP_MAX: Duration = Duration::from_millis(1400);
/// When starting is taken to be over: what reading the config, loading adapters and declaring points took on the way is
/// then given back.
const STARTED_AFTER: Duration = Duration::from_secs(5);
/// How often the clock is looked at.
const CLOCK_LOOK: Duration = Duration::from_secs(1);
/// How often it is looked at how much was written to the disk, and how often the journal says it.
const DISK_LOOK: Duration = Duration::from_secs(60);
const DISK_TOLD_EVERY: Duration = Duration::from_secs(86_400);
/// How often retention looks for segments to drop.
const RETENTION_INTERVAL: Duration = Duration::from_secs(60);

/// Connections and routes at work. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    /// The config the process was started with: what cannot be changed while it runs is still as it says.
    started_with: Arc<Config>,
    log: Log,
    sandbox: Sandbox,
    buses: Arc<Buses>,
    clock: Arc<SystemClock>,
    plant: RwLock<Plant>,
    /// Held by whoever replaces the plant.
    changing: Mutex<()>,
    /// Set when the engine stops; a reload then waits for nothing any more.
    stopping: CancellationToken,
    disk_meter: DiskMeter,
    /// Told when connections keep their readings for another time than before.
    retention_changed: Arc<Notify>,
    upkeep: Work,
    replaying: Replaying,
    taps: Arc<Taps>,
}

/// Everything that runs, and the config it comes from.
struct Plant {
    config: Arc<Config>,
    connections: BTreeMap<String, Arc<Running<ConnectionHandle>>>,
    routes: BTreeMap<String, Arc<Running<RouteHandle>>>,
}

/// A connection or route with its tasks.
struct Running<H> {
    handle: Arc<H>,
    work: Work,
}

/// Tasks that stop together.
#[derive(Default)]
struct Work {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Work {
    /// Tells the tasks to end and waits until they have, at most so long. False: some have not.
    async fn end(&self, limit: Duration) -> bool {
        self.stop.cancel();
        self.tasks.close();
        tokio::time::timeout(limit, self.tasks.wait()).await.is_ok()
    }
}

/// Ends the tasks of several parts at once. Returns whether all have ended in time.
async fn end_all(works: impl IntoIterator<Item = &Work>, limit: Duration) -> bool {
    join_all(works.into_iter().map(|work| work.end(limit))).await.into_iter().all(|ended| ended)
}

impl Engine {
    /// Starts every enabled connection and route of a config. Returns at once: what fails to start shows in its status.
    /// Must be called inside a tokio runtime.
    #[must_use]
    pub fn start(config: Arc<Config>, log: Log, sandbox: Sandbox) -> Self {
        let clock = SystemClock::after(log.newest_commit());
        Self::start_at(config, log, sandbox, clock)
    }

    /// As [`Engine::start`], with a clock of one's own.
    #[must_use]
    pub fn start_at(config: Arc<Config>, log: Log, sandbox: Sandbox, clock: SystemClock) -> Self {
        let plant = Plant { config: config.clone(), connections: BTreeMap::new(), routes: BTreeMap::new() };
        let inner = Arc::new(Inner {
            started_with: config.clone(),
            log,
            sandbox,
            buses: Arc::new(Buses::default()),
            clock: Arc::new(clock),
            plant: RwLock::new(plant),
            changing: Mutex::new(()),
            stopping: CancellationToken::new(),
            disk_meter: DiskMeter::default(),
            retention_changed: Arc::default(),
            upkeep: Work::default(),
            replaying: Replaying::default(),
            taps: Arc::default(),
        });
        let everything = Plan::of(&nothing(&config), &config, &BTreeMap::new());
        inner.begin(&everything, &config);
        let stop = &inner.upkeep.stop;
        inner.upkeep.tasks.spawn(give_back_once_started(stop.clone()));
        inner.upkeep.tasks.spawn(watch_clock(inner.clock.clone(), stop.clone()));
        inner.upkeep.tasks.spawn(watch_disk(Arc::clone(&inner), stop.clone()));
        let changed = inner.retention_changed.clone();
        inner.upkeep.tasks.spawn(keep_retention(inner.log.clone(), inner.clock.clone(), changed, stop.clone()));
        Self { inner }
    }

    /// Goes over to another config: what differs ends, then begins anew; the rest notices nothing. Connections that had
    /// failed, and those whose adapter, secrets or certificates have changed on disk, begin anew, too. Returns when what
    /// is new has got past its start, at the latest after some seconds; dropping the future does not undo it.
    ///
    /// # Errors
    /// [`EngineError::Stopping`] when the engine stops; everything else shows in the report and in the status.
    pub async fn reload(&self, config: Arc<Config>) -> Result<Reloaded, EngineError> {
        let inner = self.inner.clone();
        // On a task of its own: a client that goes away must not leave half a reload behind.
        let reload = tokio::spawn(async move { inner.reload(config).await });
        reload.await.unwrap_or(Err(EngineError::Stopping))
    }

    /// The config it runs.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        self.inner.plant.read().config.clone()
    }

    /// The log it writes to.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.inner.log
    }

    /// The clock it goes by, and what is thought of it.
    #[must_use]
    pub fn clock(&self) -> &SystemClock {
        &self.inner.clock
    }

    /// What the process has had the disk write.
    #[must_use]
    pub fn disk_writes(&self) -> DiskWrites {
        self.inner.disk_meter.look(self.inner.clock.monotonic_ns())
    }

    /// Every connection as it is now, by name.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionStatus> {
        self.inner.plant.read().connections.values().map(|connection| connection.handle.status()).collect()
    }

    /// One connection as it is now.
    #[must_use]
    pub fn connection(&self, name: &str) -> Option<ConnectionStatus> {
        self.inner.plant.read().connections.get(name).map(|connection| connection.handle.status())
    }

    /// Every route as it is now, by name.
    #[must_use]
    pub fn routes(&self) -> Vec<RouteStatus> {
        self.inner.plant.read().routes.values().map(|route| route.handle.status()).collect()
    }

    /// Whether every enabled connection has got past its start, failed ones included.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let plant = self.inner.plant.read();
        plant.connections.values().all(|connection| *connection.handle.live.phase.lock() != Phase::Starting)
    }

    /// Routes that the config no longer has, with the cursors that are still kept for them. Blocks.
    ///
    /// # Errors
    /// What the log met.
    pub fn removed_routes(&self) -> Result<Vec<(String, u64)>, EngineError> {
        let config = self.config();
        let cursors = self.inner.log.cursors()?;
        Ok(cursors.into_iter().filter(|(name, _)| !config.routes.contains_key(name)).collect())
    }

    /// Forgets the cursor, the batch on its way and the dead letters of a route that the config no longer has. Blocks.
    ///
    /// # Errors
    /// [`EngineError::NoSuchRoute`], [`EngineError::RouteInUse`], or what the log met.
    pub fn forget_route(&self, name: &str) -> Result<(), EngineError> {
        if self.config().routes.contains_key(name) {
            return Err(EngineError::RouteInUse { name: name.to_owned() });
        }
        let known = self.removed_routes()?;
        if !known.iter().any(|(removed, _)| removed == name) {
            let known = known.into_iter().map(|(removed, _)| removed).collect();
            return Err(EngineError::NoSuchRoute { name: name.to_owned(), known });
        }
        self.inner.log.forget_route(name)?;
        tracing::info!(route = name, "the cursor and the dead letters of this removed route were forgotten");
        Ok(())
    }

    /// Writes a value to a point and reads it back.
    ///
    /// # Errors
    /// [`EngineError`]: no such connection or point, read-only, out of range, the device refused, too many waiting.
    pub async fn write(&self, connection: &str, point: &str, command: Command) -> Result<Written, EngineError> {
        let handle = self.find(connection)?;
        command::write(&handle, &self.inner.log, point, command).await
    }

    /// Whether a connection works: one that is on by what it is doing, because a second user of its devices would take answers
    /// from the first; one that is off by being put up for its adapter's own check. May take as long as its transports
    /// take to connect.
    ///
    /// # Errors
    /// [`EngineError::NoSuchConnection`]. That it does not work is no error: it is what was asked for.
    pub async fn test(&self, connection: &str) -> Result<Result<String, String>, EngineError> {
        let handle = self.find(connection)?;
        let status = handle.status();
        if status.enabled {
            return Ok(match (&status.phase, status.transports.iter().find_map(reason_down)) {
                (Phase::Running, None) => Ok(format!("{connection} is running and its transports are up")),
                (Phase::Running, Some(down)) => Err(down),
                (phase, _) => Err(match phase.reason() {
                    Some(reason) => format!("{connection} is {}: {reason}", phase.name()),
                    None => format!("{connection} is {}", phase.name()),
                }),
            });
        }
        match Probe::open(&self.config(), self.inner.sandbox.clone(), connection).await {
            Ok(probe) => Ok(probe.finding().await),
            Err(error) => Ok(Err(error.to_string())),
        }
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

    /// Looks on at a connection from now on, its reloads included.
    ///
    /// # Errors
    /// [`EngineError::NoSuchConnection`].
    pub fn tap(&self, connection: &str, kinds: Kinds) -> Result<Listening, EngineError> {
        self.find(connection).map(|_| self.inner.taps.of(connection).listen(kinds))
    }

    /// Stops everything within three times [`STAGE_STOP_MAX`]: first the sources, so that what they have brought is in the log, then
    /// the routes, which end what they have on the way, then the sinks. The log stays open for its owner to close.
    pub async fn stop(&self) {
        self.inner.stopping.cancel();
        let _alone = self.inner.changing.lock().await;
        let (connections, routes, config) = {
            let plant = self.inner.plant.read();
            (plant.connections.clone(), plant.routes.clone(), plant.config.clone())
        };
        let is_sink = |name: &str| config.routes.values().any(|route| route.to == name);
        let (sinks, sources): (Vec<_>, Vec<_>) = connections.iter().partition(|(name, _)| is_sink(name));
        let works = |part: &[(&String, &Arc<Running<ConnectionHandle>>)]| {
            part.iter().map(|(_, running)| Arc::clone(running)).collect::<Vec<_>>()
        };
        let (sources, sinks) = (works(&sources), works(&sinks));
        let again = "what they had on the way goes again after the next start";
        let unacknowledged = "what was not committed was not acknowledged";
        let first = sources.iter().map(|one| &one.work).chain([&self.inner.upkeep]);
        tell_overdue("sources", end_all(first, STAGE_STOP_MAX).await, unacknowledged);
        tell_overdue("routes", end_all(routes.values().map(|one| &one.work), STAGE_STOP_MAX).await, again);
        tell_overdue("sinks", end_all(sinks.iter().map(|one| &one.work), STAGE_STOP_MAX).await, again);
    }

    /// Dead letters that are being replayed.
    pub(crate) fn replaying(&self) -> &Replaying {
        &self.inner.replaying
    }

    pub(crate) fn route_handle(&self, name: &str) -> Option<Arc<RouteHandle>> {
        self.inner.plant.read().routes.get(name).map(|running| running.handle.clone())
    }

    pub(crate) fn find(&self, connection: &str) -> Result<Arc<ConnectionHandle>, EngineError> {
        let plant = self.inner.plant.read();
        let found = plant.connections.get(connection).map(|running| running.handle.clone());
        found.ok_or_else(|| EngineError::NoSuchConnection {
            name: connection.to_owned(),
            known: plant.connections.keys().cloned().collect(),
        })
    }
}

fn tell_overdue(what: &str, ended: bool, consequence: &str) {
    if !ended {
        tracing::warn!("some {what} did not stop in time; {consequence}");
    }
}

/// A config without connections and routes, otherwise the same.
fn nothing(config: &Config) -> Config {
    Config { connections: BTreeMap::new(), routes: BTreeMap::new(), ..config.clone() }
}

/// Gives memory back once, when starting is over.
async fn give_back_once_started(stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(STARTED_AFTER) => bulkhead_sandbox::memory::give_back(),
    }
}

/// Looks at the clock now and then, so that a jump is noticed, and told, where nothing asks for the time.
async fn watch_clock(clock: Arc<SystemClock>, stop: CancellationToken) {
    loop {
        _ = clock.now();
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(CLOCK_LOOK) => {}
        }
    }
}

/// Counts what is written to the disk, and says it in the journal once a day and at the end.
async fn watch_disk(inner: Arc<Inner>, stop: CancellationToken) {
    let mut told = tokio::time::interval(DISK_TOLD_EVERY);
    // The first tick is at once.
    told.tick().await;
    loop {
        inner.disk_meter.look(inner.clock.monotonic_ns());
        let is_over = tokio::select! {
            () = stop.cancelled() => true,
            _ = told.tick() => false,
            () = tokio::time::sleep(DISK_LOOK) => continue,
        };
        let writes = inner.disk_meter.look(inner.clock.monotonic_ns());
        if let Some(bytes) = writes.bytes {
            tracing::info!(bytes, bytes_per_day = writes.bytes_per_day, "written to the disk since the start");
        }
        if is_over {
            return;
        }
    }
}

/// Drops segments that the log's retention has passed, and readings that their connections keep no longer: now and then,
/// and at once when that changed.
async fn keep_retention(log: Log, clock: Arc<SystemClock>, changed: Arc<Notify>, stop: CancellationToken) {
    loop {
        // Without a time to go by nothing is old.
        let (log, now) = (log.clone(), clock.retention_now().unwrap_or(Timestamp(i64::MIN)));
        match tokio::task::spawn_blocking(move || log.apply_retention(now)).await {
            Ok(Ok(0)) => {}
            Ok(Ok(dropped)) => tracing::info!(dropped, "segments of the log were dropped by retention"),
            Ok(Err(error)) => tracing::error!("retention: {error}"),
            Err(_) => return,
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = changed.notified() => {}
            () = tokio::time::sleep(RETENTION_INTERVAL) => {}
        }
    }
}
