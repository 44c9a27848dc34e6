//! Whether the process lives and whether its connections have got past their start; open to everybody.

use crate::app::Shared;
use crate::limits::HEALTH_MAX;
use crate::problem::Problem;
use axum::Json;
use axum::http::StatusCode;
use bulkhead_engine::{ClockStatus, Phase};
use bulkhead_log::LogError;
use serde::Serialize;

/// The gateway is well.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Health {
    /// What is thought of the wall clock.
    #[cfg_attr(test, schemars(with = "Clock"))]
    clock: ClockStatus,
    /// `ok`.
    status: &'static str,
}

/// What is thought of the wall clock.
#[cfg(test)]
#[derive(Serialize, schemars::JsonSchema)]
struct Clock {
    /// Whether readings that the gateway stamps are as sure as any.
    trusted: bool,
    /// Why not.
    reason: Option<String>,
}

/// Every connection is past its start.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Readiness {
    /// `ready`.
    status: &'static str,
}

pub(crate) const HEALTH_PATH: &str = "/healthz";
pub(crate) const READY_PATH: &str = "/readyz";

/// 200 while the process answers and the log takes appends. Says what is thought of the clock: a wrong one is no reason to
/// restart anything.
pub(crate) async fn health(state: Shared) -> Result<Json<Health>, Problem> {
    // An empty append goes the whole way through the writer's queue and its commit, and leaves nothing behind.
    let failed = |detail| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "log-failed", detail);
    let append = tokio::time::timeout(HEALTH_MAX, state.engine.log().append(Vec::new()));
    match append.await.map_err(|_| failed("the log did not take an append in time"))? {
        Ok(_) => Ok(Json(Health { clock: state.engine.clock().status(), status: "ok" })),
        Err(LogError::Closed) => {
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the log is closed: the gateway stops"))
        }
        Err(error) => {
            tracing::error!("the log does not take appends: {}", crate::problem::chain(&error));
            Err(failed("the log does not take appends"))
        }
    }
}

/// 200 when every enabled connection is past its start, failed ones included; otherwise 503 with those that are not.
pub(crate) async fn ready(state: Shared) -> Result<Json<Readiness>, Problem> {
    let connections = state.engine.connections();
    let starting: Vec<&str> = connections
        .iter()
        .filter(|connection| connection.phase == Phase::Starting)
        .map(|connection| connection.name.as_str())
        .collect();
    if starting.is_empty() {
        return Ok(Json(Readiness { status: "ready" }));
    }
    let detail = format!("connections are still starting: {}", starting.join(", "));
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "starting", detail).retry_after(None);
    Err(problem.with("starting", starting))
}
