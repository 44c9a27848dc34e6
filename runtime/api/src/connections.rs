//! `/api/v1/connections`: each with its state, transports, counters and faults.

use crate::app::Shared;
use crate::moment;
use crate::parameters::Parameters;
use crate::path::Name;
use crate::problem::{Problem, no_such_connection};
use axum::Json;
use axum::http::Uri;
use bulkhead_engine::{ConnectionStatus, Engine, LastFault, UsageStatus};
use serde_json::{Value, json};

/// Every connection, by name.
pub(crate) async fn all(state: Shared, uri: Uri) -> Result<Json<Value>, Problem> {
    Parameters::parse(uri.query(), &[])?;
    let connections: Vec<Value> = state.engine.connections().iter().map(shown).collect();
    Ok(Json(json!({ "connections": connections })))
}

/// One connection.
pub(crate) async fn one(state: Shared, Name(name): Name, uri: Uri) -> Result<Json<Value>, Problem> {
    Parameters::parse(uri.query(), &[])?;
    let connection = state.engine.connection(&name).ok_or_else(|| unknown(&state.engine, &name))?;
    Ok(Json(shown(&connection)))
}

/// The answer to a name that is none.
pub(crate) fn unknown(engine: &Engine, name: &str) -> Problem {
    let known: Vec<String> = engine.config().connections.keys().cloned().collect();
    no_such_connection(name, &known)
}

fn shown(connection: &ConnectionStatus) -> Value {
    json!({
        "name": connection.name,
        "adapter": connection.adapter,
        "enabled": connection.enabled,
        "state": connection.phase.name(),
        "reason": connection.phase.reason(),
        "roles": connection.roles,
        "transports": connection.transports,
        "points": connection.points,
        "counters": connection.counters,
        "usage": shown_usage(&connection.usage),
        "faults": connection.faults,
        "last_fault": connection.last_fault.as_ref().map(shown_fault),
        "dead_letters": connection.dead_letters,
        "dead_letters_dropped": connection.dead_letters_dropped,
    })
}

fn shown_usage(usage: &UsageStatus) -> Value {
    let crash = usage.last_crash.as_ref().map(|crash| {
        json!({
            "time": moment::rfc3339(crash.time.0),
            "code": crash.code,
            "message": crash.message,
            "backtrace": crash.backtrace,
        })
    });
    json!({
        "computed_us": usage.computed_us,
        "longest_call_us": usage.longest_call_us,
        "cpu_share": usage.cpu_share,
        "memory_bytes": usage.memory_bytes,
        "memory_peak_bytes": usage.memory_peak_bytes,
        "last_crash": crash,
    })
}

fn shown_fault(fault: &LastFault) -> Value {
    json!({
        "time": moment::rfc3339(fault.time),
        "point": fault.point,
        "code": fault.code,
        "message": fault.message,
    })
}
