//! `/api/v1/connections`: each with its state, transports, counters and faults.

use crate::app::Shared;
use crate::moment;
use crate::parameters::Parameters;
use crate::path::Name;
use crate::problem::{Problem, no_such_connection};
use axum::Json;
use axum::http::Uri;
use bulkhead_engine::{ConnectionStatus, CountersSnapshot, Engine, LastFault, TransportStatus, UsageStatus};
use serde::Serialize;
use std::collections::BTreeMap;

/// Connections, by name.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Connections {
    /// Every connection of the config.
    connections: Vec<ShownConnection>,
}

/// A connection as it is now.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Connection"))]
pub(crate) struct ShownConnection {
    /// Its adapter.
    adapter: String,
    /// What it has done since the gateway started.
    #[cfg_attr(test, schemars(schema_with = "crate::contract::counters"))]
    counters: CountersSnapshot,
    /// Frames kept as dead letters.
    dead_letters: u64,
    /// Dead letters dropped so far because newer ones needed their room.
    dead_letters_dropped: u64,
    /// Whether the config has it on.
    enabled: bool,
    /// Faults since the start, by code.
    faults: BTreeMap<String, u64>,
    /// The newest fault.
    last_fault: Option<ShownFault>,
    /// Its name.
    name: String,
    /// How many points it has declared.
    points: usize,
    /// Why it waits or has failed.
    reason: Option<String>,
    /// The adapter's roles; empty before it is loaded.
    roles: Vec<&'static str>,
    /// Where it is in its life.
    #[cfg_attr(test, schemars(schema_with = "crate::contract::phase"))]
    state: &'static str,
    /// Its transports.
    transports: Vec<ShownTransport>,
    /// What its adapter uses of the machine.
    usage: ShownUsage,
}

/// A transport of a connection.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Transport"))]
struct ShownTransport {
    /// Its own counters.
    counters: BTreeMap<&'static str, u64>,
    /// Why it is down.
    reason: Option<String>,
    /// Its role in the connection.
    role: String,
    /// `stopped`, `connecting`, `up` or `down`.
    state: &'static str,
    /// Its kind and address, without credentials.
    target: String,
}

/// What an adapter uses of the machine.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Usage"))]
struct ShownUsage {
    /// Time computed since the start, in microseconds.
    computed_us: u64,
    /// The share of one core that computing took over the last ten seconds or so, 0 to 1.
    cpu_share: f64,
    /// Why and where an instance last crashed or ran out of time.
    last_crash: Option<ShownCrash>,
    /// The longest computation in one call, in microseconds.
    longest_call_us: u64,
    /// Memory of the instances now, in bytes.
    memory_bytes: u64,
    /// The most they had.
    memory_peak_bytes: u64,
}

/// How an instance of an adapter ended.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Crash"))]
struct ShownCrash {
    /// The adapter's functions, the innermost first.
    backtrace: Vec<String>,
    /// `trap`, `deadline` or `cannot-start`.
    code: &'static str,
    /// In words.
    message: String,
    /// When.
    #[cfg_attr(test, schemars(schema_with = "crate::contract::moment"))]
    time: String,
}

/// A fault of an adapter.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Fault"))]
struct ShownFault {
    /// For programs.
    code: String,
    /// For people.
    message: String,
    /// The point, where it is about one.
    point: Option<String>,
    /// When.
    #[cfg_attr(test, schemars(schema_with = "crate::contract::moment"))]
    time: String,
}

/// Every connection, by name.
pub(crate) async fn all(state: Shared, uri: Uri) -> Result<Json<Connections>, Problem> {
    Parameters::parse(uri.query(), &[])?;
    Ok(Json(Connections { connections: state.engine.connections().into_iter().map(shown).collect() }))
}

/// One connection.
pub(crate) async fn one(state: Shared, Name(name): Name, uri: Uri) -> Result<Json<ShownConnection>, Problem> {
    Parameters::parse(uri.query(), &[])?;
    let connection = state.engine.connection(&name).ok_or_else(|| unknown(&state.engine, &name))?;
    Ok(Json(shown(connection)))
}

/// What a test found.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Tested {
    /// What was found, in words.
    message: String,
    /// Whether it works.
    ok: bool,
}

/// Whether a connection works: of one that is on what it is doing, one that is off is put up for its adapter's own check.
pub(crate) async fn test(state: Shared, Name(name): Name, uri: Uri) -> Result<Json<Tested>, Problem> {
    Parameters::parse(uri.query(), &[])?;
    let (ok, message) = match state.engine.test(&name).await? {
        Ok(message) => (true, message),
        Err(message) => (false, message),
    };
    Ok(Json(Tested { message, ok }))
}

/// The answer to a name that is none.
pub(crate) fn unknown(engine: &Engine, name: &str) -> Problem {
    let known: Vec<String> = engine.config().connections.keys().cloned().collect();
    no_such_connection(name, &known)
}

fn shown(connection: ConnectionStatus) -> ShownConnection {
    ShownConnection {
        adapter: connection.adapter,
        counters: connection.counters,
        dead_letters: connection.dead_letters,
        dead_letters_dropped: connection.dead_letters_dropped,
        enabled: connection.enabled,
        faults: connection.faults,
        last_fault: connection.last_fault.map(shown_fault),
        name: connection.name,
        points: connection.points,
        reason: connection.phase.reason().map(str::to_owned),
        roles: connection.roles,
        state: connection.phase.name(),
        transports: connection.transports.into_iter().map(shown_transport).collect(),
        usage: shown_usage(&connection.usage),
    }
}

fn shown_transport(transport: TransportStatus) -> ShownTransport {
    let TransportStatus { role, target, state, reason, counters } = transport;
    ShownTransport { counters, reason, role, state, target }
}

fn shown_usage(usage: &UsageStatus) -> ShownUsage {
    let last_crash = usage.last_crash.as_ref().map(|crash| ShownCrash {
        backtrace: crash.backtrace.clone(),
        code: crash.code,
        message: crash.message.clone(),
        time: moment::rfc3339(crash.time.0),
    });
    ShownUsage {
        computed_us: usage.computed_us,
        cpu_share: usage.cpu_share,
        last_crash,
        longest_call_us: usage.longest_call_us,
        memory_bytes: usage.memory_bytes,
        memory_peak_bytes: usage.memory_peak_bytes,
    }
}

fn shown_fault(fault: LastFault) -> ShownFault {
    ShownFault { code: fault.code, message: fault.message, point: fault.point, time: moment::rfc3339(fault.time) }
}
