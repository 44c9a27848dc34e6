//! How the engine goes over from one config to the next: what ends, in which order, and what begins.

use super::{Inner, Running, Work, end_all, tell_overdue};
use crate::assembly::Surroundings;
use crate::connection::ConnectionHandle;
use crate::error::EngineError;
use crate::reload::plan::{Plan, needs_restart};
use crate::reload::{Fate, Reloaded, Told};
use crate::route::RouteHandle;
use crate::status::Phase;
use bulkhead_config::Config;
use bulkhead_sandbox::capability::Clock;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// Longest wait, in a reload, for the routes that end and then for the connections that end.
const RELOAD_STOP_MAX: Duration = Duration::from_secs(10);
/// Longest wait, in a reload, for what began anew to get past its start, so that its answer can say what did not.
const RELOAD_START_MAX: Duration = Duration::from_secs(5);
/// How often it looks whether it has.
const RELOAD_LOOK: Duration = Duration::from_millis(10);

impl Inner {
    pub(super) async fn reload(&self, config: Arc<Config>) -> Result<Reloaded, EngineError> {
        let begun_ns = self.clock.monotonic_ns();
        let _alone = self.changing.lock().await;
        let plan = self.plan(&config).await;
        self.end(&plan).await?;
        if self.stopping.is_cancelled() {
            return Err(EngineError::Stopping);
        }
        self.begin(&plan, &config);
        let mut report = Reloaded::of(&plan);
        report.needs_restart = needs_restart(&self.started_with, &config);
        if !report.is_quiet() {
            report.failed = self.wait_for_starts(&plan).await;
            bulkhead_sandbox::memory::give_back();
        }
        let took = Duration::from_nanos(self.clock.monotonic_ns().saturating_sub(begun_ns));
        report.took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        report.tell(took);
        Ok(report)
    }

    /// What the new config asks for, files on disk included.
    async fn plan(&self, config: &Arc<Config>) -> Plan {
        let (old, running) = {
            let plant = self.plant.read();
            let running = plant.connections.iter().map(|(name, one)| (name.clone(), one.handle.clone()));
            (plant.config.clone(), running.collect::<Vec<_>>())
        };
        let new = config.clone();
        let disturbed = tokio::task::spawn_blocking(move || disturbed(&new, &running)).await.unwrap_or_default();
        Plan::of(&old, config, &disturbed)
    }

    /// Ends what has to: first the routes, so that what they have on the way can still be taken, then the connections,
    /// so that ports and sockets are free for those that begin.
    async fn end(&self, plan: &Plan) -> Result<(), EngineError> {
        let routes = ended(&plan.routes, &self.plant.read().routes);
        let connections = ended(&plan.connections, &self.plant.read().connections);
        let ends = async {
            let routes_ended = end_all(routes.iter().map(|one| &one.work), RELOAD_STOP_MAX).await;
            tell_overdue("routes", routes_ended, "their batches go again");
            let connections_ended = end_all(connections.iter().map(|one| &one.work), RELOAD_STOP_MAX).await;
            tell_overdue("connections", connections_ended, "their devices may be busy for those that begin anew");
        };
        tokio::select! {
            () = ends => {}
            () = self.stopping.cancelled() => return Err(EngineError::Stopping),
        }
        let mut plant = self.plant.write();
        plant.routes.retain(|name, _| !plan.routes.get(name).is_some_and(Fate::ends_the_old));
        plant.connections.retain(|name, _| !plan.connections.get(name).is_some_and(Fate::ends_the_old));
        Ok(())
    }

    /// Begins what the plan has as new, and has the log keep what it has for as long as the config says.
    pub(super) fn begin(&self, plan: &Plan, config: &Arc<Config>) {
        if self.log.keep_own_for(own_retentions(config)) {
            self.retention_changed.notify_one();
        }
        let around = Surroundings {
            config: config.clone(),
            sandbox: self.sandbox.clone(),
            buses: self.buses.clone(),
            clock: self.clock.clone(),
            taps: self.taps.clone(),
        };
        self.taps.keep(|name| config.connections.contains_key(name));
        let begun = |fates: &BTreeMap<String, Fate>| {
            fates.iter().filter(|(_, fate)| fate.begins_a_new()).map(|(name, _)| name.clone()).collect::<Vec<_>>()
        };
        let new_route = |name: String| {
            self.take_over_former_name(&name, config);
            let handle = RouteHandle::new(&name, &config.routes[&name], &self.log);
            (name, handle)
        };
        let routes: Vec<_> = begun(&plan.routes).into_iter().map(new_route).collect();
        let mut plant = self.plant.write();
        plant.config = config.clone();
        for name in begun(&plan.connections) {
            let work = Work::default();
            let handle = ConnectionHandle::start(&name, &around, &self.log, &work.stop, &work.tasks);
            plant.connections.insert(name, Arc::new(Running { handle, work }));
        }
        for (name, handle) in routes {
            let (route, work) = (&config.routes[&name], Work::default());
            if route.enabled {
                let sink = plant.connections[&route.to].handle.clone();
                work.tasks.spawn(handle.run(route, sink, self.clock.clone(), work.stop.clone()));
            }
            plant.routes.insert(name, Arc::new(Running { handle, work }));
        }
    }

    /// Gives a route without a cursor what its former name has. The log's own failures show when the route begins.
    fn take_over_former_name(&self, name: &str, config: &Config) {
        let Some(former) = &config.routes[name].renamed_from else { return };
        match self.log.rename_route(former, name) {
            Ok(true) => tracing::info!(route = name, former, "the route goes on where it was under its former name"),
            Ok(false) => {}
            Err(error) => tracing::error!(route = name, former, "the former name's cursor was not taken over: {error}"),
        }
    }

    /// Waits until all that began is past its start; says what has failed by then.
    async fn wait_for_starts(&self, plan: &Plan) -> Vec<Told> {
        let begun: Vec<_> = {
            let plant = self.plant.read();
            let names = plan.connections.iter().filter(|(_, fate)| fate.begins_a_new()).map(|(name, _)| name);
            names.filter_map(|name| plant.connections.get(name).map(|one| one.handle.clone())).collect()
        };
        let past_start = async {
            while begun.iter().any(|handle| *handle.live.phase.lock() == Phase::Starting) {
                tokio::time::sleep(RELOAD_LOOK).await;
            }
        };
        tokio::select! {
            () = past_start => {}
            () = tokio::time::sleep(RELOAD_START_MAX) => {}
            () = self.stopping.cancelled() => {}
        }
        let failed = |handle: &Arc<ConnectionHandle>| match &*handle.live.phase.lock() {
            Phase::Failed(reason) => {
                Some(Told { part: format!("connections.{}", handle.name), reason: reason.clone() })
            }
            _ => None,
        };
        begun.iter().filter_map(failed).collect()
    }
}

/// The connections that keep their readings for a time of their own, and how many seconds.
fn own_retentions(config: &Config) -> BTreeMap<String, u64> {
    let own = config.connections.iter().filter_map(|(name, one)| Some((name.clone(), one.retention_max_age_s?)));
    own.collect()
}

/// The running parts that a plan ends.
fn ended<H>(fates: &BTreeMap<String, Fate>, running: &BTreeMap<String, Arc<Running<H>>>) -> Vec<Arc<Running<H>>> {
    let ends = |name: &String| fates.get(name).is_some_and(Fate::ends_the_old);
    running.iter().filter(|(name, _)| ends(name)).map(|(_, one)| one.clone()).collect()
}

/// Connections that must begin anew although their sections may be the same. Reads files.
fn disturbed(config: &Config, running: &[(String, Arc<ConnectionHandle>)]) -> BTreeMap<String, String> {
    let mut adapters = HashMap::new();
    let reason = |(name, handle): &(String, Arc<ConnectionHandle>)| {
        let connection = config.connections.get(name).filter(|connection| connection.enabled)?;
        if matches!(*handle.live.phase.lock(), Phase::Failed(_)) {
            return Some((name.clone(), "it had failed".to_owned()));
        }
        let changed = handle.inputs.get()?.changed(config, connection, &mut adapters)?;
        Some((name.clone(), changed))
    };
    running.iter().filter_map(reason).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{SystemClock, TimeSource};
    use crate::engine::Engine;
    use bulkhead_config::AnyAdapter;
    use bulkhead_log::LogConfig;
    use bulkhead_model::{Kind, PointInfo, Reading, Status, Timestamp};
    use bulkhead_sandbox::SandboxConfig;
    use std::path::Path;

    /// A clock that stands still, some minutes after the machine's at the test's begin.
    struct Later(Timestamp);

    impl TimeSource for Later {
        fn wall(&self) -> Timestamp {
            self.0
        }

        fn monotonic_ns(&self) -> u64 {
            0
        }
    }

    fn config(dir: &Path, of_the_boiler: &str) -> Arc<Config> {
        let text = format!(
            "[connections.boiler]\nadapter = \"a\"\nenabled = false\n{of_the_boiler}\n\
             [connections.press]\nadapter = \"a\"\nenabled = false\n"
        );
        Arc::new(bulkhead_config::parse(&text, &dir.join("gateway.toml"), &AnyAdapter).unwrap().config)
    }

    #[tokio::test]
    async fn a_connections_own_retention_takes_effect_on_reload_and_restarts_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let log = LogConfig { commit_max_ms: 1, ..LogConfig::new(dir.path().join("log")) }.open().unwrap();
        for connection in ["boiler", "press"] {
            let point = log.declare(connection, &[PointInfo::new("flow", Kind::Real)]).unwrap()[0];
            let reading = Reading { point, time: Timestamp(0), status: Status::GOOD, value: None };
            log.append(vec![reading; 5]).await.unwrap();
        }
        log.seal().await.unwrap();
        let in_ten_minutes = Timestamp(SystemClock::default().now().0 + 600_000_000_000);
        let clock = SystemClock::with_source(Arc::new(Later(in_ten_minutes)), None);
        let sandbox = SandboxConfig::default().build().unwrap();
        let engine = Engine::start_at(config(dir.path(), ""), log.clone(), sandbox, clock);
        let gone = || log.expired(0).unwrap().into_iter().map(|gone| (gone.connection, gone.rows)).collect::<Vec<_>>();
        engine.reload(config(dir.path(), "retention_max_age_s = 3600")).await.unwrap();
        assert_eq!(gone(), [], "none is an hour old");

        let report = engine.reload(config(dir.path(), "retention_max_age_s = 60")).await.unwrap();
        assert!(report.is_quiet() && report.needs_restart.is_empty(), "{report:?}");
        let expired = async {
            while log.stats().rows_expired == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        // Retention looks every minute by itself: sooner than that it must have been told.
        tokio::time::timeout(Duration::from_secs(20), expired).await.expect("rows to go");
        assert_eq!(gone(), [("boiler".to_owned(), 5)]);
        engine.stop().await;
    }
}
