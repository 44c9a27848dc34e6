//! The gateway's own health as points of the built-in connection `gateway`: how far routes lag, how connections are,
//! what the log takes and what is left of disk and memory. They go the way of all readings, so that routes can select
//! them and pulling clients see them. What the points are is a pure function over a sample; the task around it takes one
//! now and then.
//!
//! A route takes them only when a pattern names `gateway` itself: who asks for `*/*` means the devices. What a route
//! sends of them adds a handful of readings an interval to every backlog, its own included; it does not grow by itself.

use crate::blocking::blocking;
use crate::clock::SystemClock;
use crate::disk_writes::DiskWrites;
use crate::engine::Engine;
use crate::process::{free_bytes, resident_bytes};
use bulkhead_config::HEALTH_CONNECTION;
use bulkhead_log::{Log, LogError, LogStats};
use bulkhead_model::{Kind, PointInfo, Reading, Status, Timestamp, Value};
use bulkhead_sandbox::capability::Clock;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often the config is looked at while it has the health points switched off.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// A route at one moment.
#[derive(Debug, Clone, PartialEq)]
struct RouteSample {
    name: String,
    state: &'static str,
    /// Seqs behind its cursor.
    backlog: u64,
    /// Age of the oldest reading behind it.
    backlog_s: f64,
    gap: u64,
}

/// A connection at one moment.
#[derive(Debug, Clone, PartialEq)]
struct ConnectionSample {
    name: String,
    state: &'static str,
    /// How often its adapter had to be built anew.
    restarts: u64,
    /// Transports that are up, of how many.
    transports: (usize, usize),
}

/// The gateway at one moment.
#[derive(Debug, Clone, PartialEq)]
struct Sample {
    routes: Vec<RouteSample>,
    connections: Vec<ConnectionSample>,
    log: LogStats,
    readings_per_s: f64,
    quota_bytes: u64,
    free_bytes: Option<u64>,
    written: DiskWrites,
    resident_bytes: Option<u64>,
    uptime_s: u64,
}

/// Every point of a sample with its value; none: nobody knows it.
fn points(sample: &Sample) -> Vec<(PointInfo, Option<Value>)> {
    let mut points = Vec::new();
    let mut add = |name: String, unit: Option<&str>, value: Kinded| {
        let mut info = PointInfo::new(name, value.kind);
        info.unit = unit.map(str::to_owned);
        points.push((info, value.value));
    };
    for route in &sample.routes {
        let name = |what: &str| format!("route.{}.{what}", route.name);
        add(name("state"), None, text(route.state));
        add(name("backlog"), None, count(route.backlog));
        add(name("backlog_age"), Some("s"), real(route.backlog_s));
        add(name("gap"), None, count(route.gap));
    }
    for connection in &sample.connections {
        let name = |what: &str| format!("connection.{}.{what}", connection.name);
        let (up, all) = connection.transports;
        add(name("state"), None, text(connection.state));
        add(name("restarts"), None, count(connection.restarts));
        add(name("transports_down"), None, count((all - up) as u64));
    }
    let log = &sample.log;
    add("log.readings".into(), None, count(log.rows_committed));
    add("log.readings_per_s".into(), Some("1/s"), real(sample.readings_per_s));
    add("log.commits".into(), None, count(log.commits));
    add("log.commits_failed".into(), None, count(log.commits_failed));
    add("log.last_commit".into(), Some("ms"), real(log.last_commit.as_secs_f64() * 1e3));
    add("log.queue_bytes".into(), Some("B"), count(log.queue_bytes as u64));
    add("log.bytes".into(), Some("B"), count(log.bytes_on_disk));
    add("log.file_bytes".into(), Some("B"), count(log.bytes_of_files));
    add("log.quota_bytes".into(), Some("B"), count(sample.quota_bytes));
    add("log.quota_used".into(), Some("%"), share(log.bytes_of_files, sample.quota_bytes));
    add("log.gaps".into(), None, count(log.gaps));
    add("log.gap_readings".into(), None, count(log.gap_rows));
    add("log.readings_dropped".into(), None, count(log.rows_dropped));
    add("log.readings_expired".into(), None, count(log.rows_expired));
    add("log.files_damaged".into(), None, count(log.files_damaged));
    add("log.damaged_bytes".into(), Some("B"), count(log.bytes_set_aside));
    add("log.segments_dropped".into(), None, count(log.segments_dropped));
    let skipped = log.skipped_at_open.map_or(0, |(first, last)| last.saturating_sub(first) + 1);
    add("log.skipped_at_start".into(), None, count(skipped));
    add("disk.free_bytes".into(), Some("B"), known(sample.free_bytes));
    add("disk.written_bytes".into(), Some("B"), known(sample.written.bytes));
    add("disk.written_bytes_per_day".into(), Some("B"), known(sample.written.bytes_per_day));
    add("process.resident_bytes".into(), Some("B"), known(sample.resident_bytes));
    add("process.uptime".into(), Some("s"), count(sample.uptime_s));
    points
}

/// A value with its kind, which it has also while it is unknown.
struct Kinded {
    kind: Kind,
    value: Option<Value>,
}

fn known(number: Option<u64>) -> Kinded {
    let value = number.map(|number| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX)));
    Kinded { kind: Kind::Integer, value }
}

fn count(number: u64) -> Kinded {
    known(Some(number))
}

fn real(number: f64) -> Kinded {
    Kinded { kind: Kind::Real, value: Some(Value::Real(number)) }
}

/// How much of something is used, in percent; unknown where there is no bound.
#[expect(clippy::cast_precision_loss, reason = "a share is not exact")]
fn share(used: u64, of: u64) -> Kinded {
    let value = (of > 0).then(|| Value::Real(used as f64 * 100.0 / of as f64));
    Kinded { kind: Kind::Real, value }
}

fn text(text: &str) -> Kinded {
    Kinded { kind: Kind::Text, value: Some(Value::Text(text.to_owned())) }
}

/// Records the health of an engine until it stops: at once, and then at each interval of the config.
pub async fn record_health(engine: Engine, stop: CancellationToken) {
    let mut recorder = Recorder::new(engine);
    loop {
        let interval_s = recorder.engine.config().health.interval_s;
        let wait = if interval_s == 0 { LOOK_AGAIN } else { Duration::from_secs(interval_s.into()) };
        if interval_s > 0
            && let Err(error) = recorder.record().await
        {
            tracing::warn!("the gateway's health could not be recorded: {error}");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// What is remembered from one sample to the next.
struct Recorder {
    engine: Engine,
    clock: SystemClock,
    /// When the last sample was taken and how many rows there were then.
    last: Option<(u64, u64)>,
}

impl Recorder {
    fn new(engine: Engine) -> Self {
        Self { engine, clock: SystemClock::default(), last: None }
    }

    /// Takes a sample and commits its readings.
    async fn record(&mut self) -> Result<(), LogError> {
        let (engine, now) = (self.engine.clone(), self.clock.now());
        // Looking at the disk and declaring points may wait for the disk.
        let mut sample = blocking(move || look(&engine, now)).await?;
        let now_ns = self.clock.monotonic_ns();
        let rows = sample.log.rows_committed;
        if let Some((then_ns, before)) = self.last.replace((now_ns, rows)) {
            sample.readings_per_s = rate(rows.saturating_sub(before), now_ns.saturating_sub(then_ns));
        }
        sample.uptime_s = now_ns / 1_000_000_000;
        let log = self.engine.log().clone();
        let readings = blocking(move || readings(&log, &sample, now)).await?;
        self.engine.log().append(readings).await.map(drop)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate is not exact")]
fn rate(rows: u64, span_ns: u64) -> f64 {
    if span_ns == 0 { 0.0 } else { rows as f64 * 1e9 / span_ns as f64 }
}

/// The engine as it is now; what hangs on the sample before is left at nothing.
fn look(engine: &Engine, now: Timestamp) -> Result<Sample, LogError> {
    let (config, log) = (engine.config(), engine.log());
    let mut routes = Vec::new();
    for route in engine.routes() {
        let backlog_s = if route.backlog == 0 { 0.0 } else { oldest_age_s(log, route.cursor, now)? };
        let state = route.phase.name();
        routes.push(RouteSample { name: route.name, state, backlog: route.backlog, backlog_s, gap: route.gap });
    }
    let connections = engine.connections().into_iter().map(|connection| ConnectionSample {
        state: connection.phase.name(),
        restarts: connection.counters.traps + connection.counters.timeouts,
        transports: (
            connection.transports.iter().filter(|transport| transport.state == "up").count(),
            connection.transports.len(),
        ),
        name: connection.name,
    });
    Ok(Sample {
        routes,
        connections: connections.collect(),
        log: log.stats(),
        readings_per_s: 0.0,
        quota_bytes: config.log.max_bytes,
        free_bytes: free_bytes(&config.data_dir()),
        written: engine.disk_writes(),
        resident_bytes: resident_bytes(),
        uptime_s: 0,
    })
}

/// How long ago the first reading behind a cursor was acquired; 0 where its time is in the future.
fn oldest_age_s(log: &Log, cursor: u64, now: Timestamp) -> Result<f64, LogError> {
    let rows = match log.read(cursor, 1) {
        Err(LogError::Gone { first_available, .. }) => log.read(first_available.saturating_sub(1), 1)?,
        rows => rows?,
    };
    let age_ns = rows.first().map_or(0, |row| now.0.saturating_sub(row.reading.time.0).max(0));
    Ok(Duration::from_nanos(age_ns.unsigned_abs()).as_secs_f64())
}

/// Declares the points of a sample and makes readings of it.
fn readings(log: &Log, sample: &Sample, now: Timestamp) -> Result<Vec<Reading>, LogError> {
    let (infos, values): (Vec<PointInfo>, Vec<Option<Value>>) = points(sample).into_iter().unzip();
    let ids = log.declare(HEALTH_CONNECTION, &infos)?;
    let reading = |(point, value): (_, Option<Value>)| {
        let status = if value.is_some() { Status::GOOD } else { Status::BAD_NO_DATA };
        Reading { point, time: now, status, value }
    };
    Ok(ids.into_iter().zip(values).map(reading).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_config::AnyAdapter;
    use bulkhead_log::LogConfig;
    use bulkhead_sandbox::SandboxConfig;
    use std::sync::Arc;

    const CONFIG: &str = "
        [connections.boiler]
        adapter = \"a\"
        enabled = false
        [connections.erp]
        adapter = \"b\"
        enabled = false
        [routes.up]
        select = [\"boiler/*\", \"gateway/*\"]
        to = \"erp\"
        enabled = false
    ";

    fn engine(dir: &std::path::Path) -> Engine {
        let loaded = bulkhead_config::parse(CONFIG, &dir.join("gateway.toml"), &AnyAdapter).expect("a good config");
        let log = LogConfig { commit_max_ms: 1, ..LogConfig::new(dir.join("log")) }.open().expect("a log");
        Engine::start(Arc::new(loaded.config), log, SandboxConfig::default().build().expect("a sandbox"))
    }

    fn latest(log: &Log, name: &str) -> Option<Value> {
        let catalogue = log.catalogue();
        let point = catalogue.by_name(HEALTH_CONNECTION, name).unwrap_or_else(|| panic!("no point {name}"));
        log.latest(point.id).expect("a reading").reading.value
    }

    #[tokio::test]
    async fn health_is_in_the_log_as_readings_like_any_other_and_counts_in_backlogs() {
        let dir = tempfile::tempdir().unwrap();
        let engine = engine(dir.path());
        let log = engine.log().clone();
        let point = log.declare("boiler", &[PointInfo::new("flow", Kind::Real)]).unwrap()[0];
        let hour_ago = Timestamp(SystemClock::default().now().0 - 3_600_000_000_000);
        let reading = Reading { point, time: hour_ago, status: Status::GOOD, value: Some(Value::Real(1.0)) };
        log.append(vec![reading; 5]).await.unwrap();
        let mut recorder = Recorder::new(engine.clone());
        recorder.record().await.unwrap();
        assert_eq!(latest(&log, "route.up.backlog"), Some(Value::Integer(5)));
        assert_eq!(latest(&log, "connection.boiler.state"), Some(Value::Text("disabled".into())));
        assert_eq!(latest(&log, "log.readings"), Some(Value::Integer(5)));
        let Some(Value::Real(age)) = latest(&log, "route.up.backlog_age") else { panic!("no age") };
        assert!((3600.0..3700.0).contains(&age), "{age}");
        for name in ["process.resident_bytes", "disk.free_bytes", "log.bytes"] {
            assert!(matches!(latest(&log, name), Some(Value::Integer(1..))), "{name}");
        }
        let points = log.catalogue().of_connection(HEALTH_CONNECTION).count() as i64;
        recorder.record().await.unwrap();
        assert_eq!(latest(&log, "route.up.backlog"), Some(Value::Integer(5 + points)));
        assert!(matches!(latest(&log, "log.readings_per_s"), Some(Value::Real(rate)) if rate > 0.0));
        assert_eq!(log.catalogue().of_connection(HEALTH_CONNECTION).count() as i64, points, "nothing grows by itself");
        engine.stop().await;
    }

    #[test]
    fn what_nobody_knows_is_no_zero() {
        let sample = Sample {
            routes: Vec::new(),
            connections: Vec::new(),
            log: LogStats { skipped_at_open: Some((5, 9)), bytes_of_files: 14, gaps: 2, ..LogStats::default() },
            readings_per_s: 0.0,
            quota_bytes: 56,
            free_bytes: None,
            written: DiskWrites { bytes: Some(4096), bytes_per_day: None },
            resident_bytes: Some(3),
            uptime_s: 1,
        };
        let points = points(&sample);
        let value = |name: &str| points.iter().find(|(info, _)| info.name == name).expect("the point").1.clone();
        assert_eq!(value("disk.free_bytes"), None);
        assert_eq!(value("process.resident_bytes"), Some(Value::Integer(3)));
        assert_eq!(value("log.skipped_at_start"), Some(Value::Integer(5)));
        assert_eq!((value("log.quota_used"), value("log.gaps")), (Some(Value::Real(25.0)), Some(Value::Integer(2))));
        assert_eq!(value("disk.written_bytes"), Some(Value::Integer(4096)));
        assert_eq!(value("disk.written_bytes_per_day"), None);
        assert!(points.iter().all(|(info, _)| PointInfo::name_is_valid(&info.name)));
    }
}
