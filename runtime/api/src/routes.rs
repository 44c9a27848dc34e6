//! `/api/v1/routes`: each with its cursor, what waits behind it, and what its upstream refused.

use crate::app::Shared;
use crate::parameters::Parameters;
use crate::path::Name;
use crate::problem::Problem;
use axum::Json;
use axum::http::{StatusCode, Uri};
use bulkhead_engine::{Engine, RouteStatus};
use serde_json::{Value, json};

/// Every route, by name.
pub(crate) async fn all(state: Shared, uri: Uri) -> Result<Json<Value>, Problem> {
    Parameters::parse(uri.query(), &[])?;
    let routes: Vec<Value> = state.engine.routes().iter().map(shown).collect();
    let engine = state.engine.clone();
    let removed = state.with_log(move |log| {
        let removed = engine.removed_routes()?;
        let newest = *log.committed().borrow();
        let shown = |(name, cursor): (String, u64)| json!({ "name": name, "cursor": cursor, "backlog": newest.saturating_sub(cursor) });
        Ok(removed.into_iter().map(shown).collect::<Vec<_>>())
    });
    Ok(Json(json!({ "routes": routes, "removed": removed.await? })))
}

/// Forgets what is kept for a route that the config no longer has.
pub(crate) async fn forget(state: Shared, Name(name): Name, uri: Uri) -> Result<StatusCode, Problem> {
    Parameters::parse(uri.query(), &[])?;
    let engine = state.engine.clone();
    state.with_log(move |_| Ok(engine.forget_route(&name)?)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// One route.
pub(crate) async fn one(state: Shared, Name(name): Name, uri: Uri) -> Result<Json<Value>, Problem> {
    Parameters::parse(uri.query(), &[])?;
    let routes = state.engine.routes();
    let route = routes.iter().find(|route| route.name == name).ok_or_else(|| unknown(&state.engine, &name))?;
    Ok(Json(shown(route)))
}

pub(crate) fn unknown(engine: &Engine, name: &str) -> Problem {
    let config = engine.config();
    let known: Vec<&str> = config.routes.keys().map(String::as_str).collect();
    Problem::not_found("no-such-route", format!("there is no route `{name}`"))
        .near(bulkhead_config::nearest(name, &known))
}

fn shown(route: &RouteStatus) -> Value {
    json!({
        "name": route.name,
        "to": route.to,
        "enabled": route.enabled,
        "state": route.phase.name(),
        "reason": route.phase.reason(),
        "cursor": route.cursor,
        "backlog": route.backlog,
        "accepted": route.accepted,
        "rejected": route.rejected,
        "batches": route.batches,
        "retries": route.retries,
        "resent": route.resent,
        "gap": route.gap,
        "dead_letters": route.dead_letters,
        "dead_letters_dropped": route.dead_letters_dropped,
    })
}
