//! `/metrics`: everything that is counted, as Prometheus reads it (OpenMetrics text).
//!
//! The numbers belong to the engine, the log and the transports; here they are put into a fresh registry for each scrape.
//! Labels are names from the config, roles, states and the fixed names of counters, and fault codes, which the engine
//! bounds: their number does not grow with time or traffic.

use crate::app::Shared;
use crate::parameters::Parameters;
use crate::problem::Problem;
use axum::http::{Uri, header};
use axum::response::IntoResponse;
use bulkhead_engine::{ConnectionStatus, DiskWrites, Engine, RouteStatus, resident_bytes};
use bulkhead_log::LogStats;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::AtomicU64;

pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, String)>;
type Counters = Family<Labels, Counter>;
type Seconds = Family<Labels, Counter<f64, AtomicU64>>;
type Gauges = Family<Labels, Gauge<f64, AtomicU64>>;

/// Answers a scrape.
pub(crate) async fn metrics(state: Shared, uri: Uri) -> Result<impl IntoResponse, Problem> {
    Parameters::parse(uri.query(), &[])?;
    let engine = state.engine.clone();
    let text = state.with_log(move |log| {
        let registry = registry(&engine, &log.stats(), resident_bytes());
        let mut text = String::new();
        encode(&mut text, &registry).map_err(|_| Problem::internal("the metrics could not be written"))?;
        Ok(text)
    });
    Ok(([(header::CONTENT_TYPE, MEDIA_TYPE)], text.await?))
}

fn registry(engine: &Engine, stats: &LogStats, resident_bytes: Option<u64>) -> Registry {
    let mut registry = Registry::default();
    if let Some(bytes) = resident_bytes {
        let resident = Gauge::<f64, AtomicU64>::default();
        resident.set(as_f64(bytes));
        // The name that dashboards for any process know.
        registry.register_with_unit("process_resident_memory", "Memory the process has in RAM", Unit::Bytes, resident);
    }
    let ours = registry.sub_registry_with_prefix("bulkhead");
    let build = gauges(ours, "build_info", "The gateway's version; always 1");
    let name = engine.config().gateway.name.clone();
    set(&build, vec![("version", env!("CARGO_PKG_VERSION").to_owned()), ("gateway", name)], 1);
    let clock = Gauge::<f64, AtomicU64>::default();
    clock.set(as_f64(u64::from(engine.clock().status().trusted)));
    ours.register(
        "clock_trusted",
        "1, or 0 while the wall clock is doubted and readings it stamps are Uncertain",
        clock,
    );
    put_disk(ours, engine.disk_writes());
    put_connections(ours, &engine.connections());
    put_routes(ours, &engine.routes());
    put_log(ours, stats);
    registry
}

fn counters(registry: &mut Registry, name: &str, help: &str) -> Counters {
    let family = Counters::default();
    registry.register(name, help, family.clone());
    family
}

fn seconds(registry: &mut Registry, name: &str, help: &str) -> Seconds {
    let family = Seconds::default();
    registry.register(name, help, family.clone());
    family
}

fn gauges(registry: &mut Registry, name: &str, help: &str) -> Gauges {
    let family = Gauges::default();
    registry.register(name, help, family.clone());
    family
}

fn count(family: &Counters, labels: Labels, value: u64) {
    family.get_or_create(&labels).inc_by(value);
}

fn set(family: &Gauges, labels: Labels, value: u64) {
    family.get_or_create(&labels).set(as_f64(value));
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus has floating-point numbers only")]
fn as_f64(number: u64) -> f64 {
    number as f64
}

fn put_connections(registry: &mut Registry, connections: &[ConnectionStatus]) {
    let state = gauges(registry, "connection_state", "1 for the state the connection is in");
    let points = gauges(registry, "connection_points", "Points the connection has declared");
    let events = counters(registry, "connection_events", "What the connection has done, by event");
    let letters = gauges(registry, "connection_dead_letters", "Frames kept as dead letters");
    let dropped = counters(registry, "connection_dead_letters_dropped", "Dead letters dropped for newer ones");
    let faults = counters(registry, "connection_faults", "Faults of the connection, by code");
    let share = gauges(registry, "connection_cpu_share", "Share of one core that the adapter computed for lately");
    let longest = gauges(registry, "connection_longest_call_seconds", "The adapter's longest computation in one call");
    let computed = seconds(registry, "connection_computed_seconds", "Time the adapter has computed");
    let memory = gauges(registry, "connection_memory_bytes", "Memory of the adapter's instances");
    let peak = gauges(registry, "connection_memory_peak_bytes", "The most memory they had");
    let up = gauges(registry, "transport_up", "1 while the transport is up");
    let transports = counters(registry, "transport_events", "What the transport has done, by event");
    for connection in connections {
        let named = || vec![("connection", connection.name.clone())];
        set(&state, with(named(), "state", connection.phase.name()), 1);
        set(&points, named(), connection.points as u64);
        set(&letters, named(), connection.dead_letters);
        count(&dropped, named(), connection.dead_letters_dropped);
        for (event, value) in connection.counters.named() {
            count(&events, with(named(), "event", event), value);
        }
        let usage = &connection.usage;
        share.get_or_create(&named()).set(usage.cpu_share);
        longest.get_or_create(&named()).set(as_f64(usage.longest_call_us) / 1e6);
        computed.get_or_create(&named()).inc_by(as_f64(usage.computed_us) / 1e6);
        set(&memory, named(), usage.memory_bytes);
        set(&peak, named(), usage.memory_peak_bytes);
        for (code, value) in &connection.faults {
            count(&faults, with(named(), "code", code), *value);
        }
        for transport in &connection.transports {
            let named = || with(named(), "transport", &transport.role);
            set(&up, named(), u64::from(transport.state == "up"));
            for (event, value) in &transport.counters {
                count(&transports, with(named(), "event", event.trim_end_matches("_total")), *value);
            }
        }
    }
}

fn with(mut labels: Labels, name: &'static str, value: &str) -> Labels {
    labels.push((name, value.to_owned()));
    labels
}

fn put_routes(registry: &mut Registry, routes: &[RouteStatus]) {
    let state = gauges(registry, "route_state", "1 for the state the route is in");
    let backlog = gauges(registry, "route_backlog", "Readings of the log behind the route's cursor");
    let cursor = gauges(registry, "route_cursor_seq", "The route's cursor");
    let accepted = counters(registry, "route_accepted", "Readings the upstream took");
    let rejected = counters(registry, "route_rejected", "Readings the upstream refused for good");
    let batches = counters(registry, "route_batches", "Batches sent, tries included");
    let retries = counters(registry, "route_retries", "Tries that failed");
    let resent = counters(registry, "route_resent", "Readings sent again because nobody knew whether they had arrived");
    let letters = gauges(registry, "route_dead_letters", "Dead letters kept");
    let dropped = counters(registry, "route_dead_letters_dropped", "Dead letters dropped for newer ones");
    let gap = counters(registry, "route_gap", "Seqs that retention deleted before the route had read them");
    for route in routes {
        let named = || vec![("route", route.name.clone())];
        set(&state, with(named(), "state", route.phase.name()), 1);
        set(&backlog, named(), route.backlog);
        set(&cursor, named(), route.cursor);
        set(&letters, named(), route.dead_letters);
        for (family, value) in [
            (&accepted, route.accepted),
            (&rejected, route.rejected),
            (&batches, route.batches),
            (&retries, route.retries),
            (&resent, route.resent),
            (&dropped, route.dead_letters_dropped),
            (&gap, route.gap),
        ] {
            count(family, named(), value);
        }
    }
}

fn put_disk(registry: &mut Registry, writes: DiskWrites) {
    if let Some(bytes) = writes.bytes {
        let written = <Counter>::default();
        written.inc_by(bytes);
        let help = "Bytes the process has had the disk write: log, sealing and all else";
        registry.register_with_unit("disk_written", help, Unit::Bytes, written);
    }
    if let Some(bytes) = writes.bytes_per_day {
        let a_day = Gauge::<f64, AtomicU64>::default();
        a_day.set(as_f64(bytes));
        let help = "The same a day, over the last day or as much of it as there was";
        registry.register_with_unit("disk_written_per_day", help, Unit::Bytes, a_day);
    }
}

fn put_log(registry: &mut Registry, stats: &LogStats) {
    for (name, help, value) in [
        ("log_rows", "Readings committed since the start", stats.rows_committed),
        ("log_commits", "Commits since the start", stats.commits),
        ("log_commits_failed", "Commits that failed since the start", stats.commits_failed),
        ("log_sealings_failed", "Sealings of segments that failed since the start", stats.sealings_failed),
        ("log_segments_dropped", "Segments dropped since the start, for their age or for room", stats.segments_dropped),
        ("log_rows_dropped", "Readings in them", stats.rows_dropped),
        ("log_segments_abandoned", "Segments given up for writing because their disk failed", stats.segments_abandoned),
        ("log_refused_when_full", "Appends refused since the start because there was no room", stats.refused_when_full),
        (
            "log_rows_expired",
            "Readings deleted since the start because their connections keep them no longer",
            stats.rows_expired,
        ),
        ("log_damaged_removed", "Damaged files kept aside that were removed for room", stats.damaged_given_up),
        ("log_files_damaged", "Damaged files found since the start", stats.files_damaged),
        ("log_gaps", "Gaps recorded since the start", stats.gaps),
        ("log_gap_rows", "Readings missing in them, as far as that is known", stats.gap_rows),
        ("log_gaps_of_unknown_rows", "Gaps of which that is not known", stats.gaps_of_unknown_rows),
    ] {
        let counter = <Counter>::default();
        counter.inc_by(value);
        registry.register(name, help, counter);
    }
    for (name, help, value) in [
        ("log_segments", "Segments on disk", stats.segments as u64),
        ("log_segments_unsealed", "Segments that wait to be sealed", stats.segments_unsealed as u64),
        ("log_bytes", "Bytes of all segments on disk", stats.bytes_on_disk),
        ("log_file_bytes", "Bytes of all files of the log", stats.bytes_of_files),
        ("log_damaged_bytes", "Bytes of damaged files that are kept aside", stats.bytes_set_aside),
        ("log_max_bytes", "The most they may have", stats.max_bytes.unwrap_or(0)),
        ("log_disk_free_bytes", "Free bytes on the log's disk", stats.disk_free_bytes),
        ("log_reserve", "1 while the reserve for a full disk is there", u64::from(stats.has_reserve)),
        ("log_queue_bytes", "Bytes that wait for their commit", stats.queue_bytes as u64),
        ("log_first_seq", "The lowest seq that may still be read", stats.first_available),
        ("log_last_seq", "The last committed seq", stats.last),
    ] {
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(as_f64(value));
        registry.register(name, help, gauge);
    }
    let last_commit = Gauge::<f64, AtomicU64>::default();
    last_commit.set(stats.last_commit.as_secs_f64());
    registry.register_with_unit("log_last_commit", "How long the last commit took", Unit::Seconds, last_commit);
    let pause = Gauge::<f64, AtomicU64>::default();
    pause.set(stats.longest_pause.as_secs_f64());
    let help = "The longest that starting or dropping a segment has held up commits since the start";
    registry.register_with_unit("log_longest_pause", help, Unit::Seconds, pause);
}
