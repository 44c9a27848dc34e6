//! `/api/v1/routes`: each with its cursor, what waits behind it, and what its upstream refused.

use crate::app::Shared;
use crate::parameters::Parameters;
use crate::path::Name;
use crate::problem::Problem;
use axum::Json;
use axum::http::{StatusCode, Uri};
use bulkhead_engine::{Engine, RouteStatus};
use serde::Serialize;

/// Routes, by name.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Routes {
    /// Routes that the config no longer has, with what is kept for them.
    removed: Vec<RemovedRoute>,
    /// Every route of the config.
    routes: Vec<ShownRoute>,
}

/// A route that the config no longer has.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct RemovedRoute {
    /// Seqs of the log behind the cursor.
    backlog: u64,
    /// Where it had got to.
    cursor: u64,
    /// Its name.
    name: String,
}

/// A route as it is now.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Route"))]
pub(crate) struct ShownRoute {
    /// Readings the upstream took.
    accepted: u64,
    /// Seqs of the log behind the cursor, whether the route selects them or not.
    backlog: u64,
    /// Batches sent, tries included.
    batches: u64,
    /// Everything up to this seq has been taken or refused.
    cursor: u64,
    /// Dead letters kept.
    dead_letters: u64,
    /// Dead letters dropped so far because newer ones needed their room.
    dead_letters_dropped: u64,
    /// Whether the config has it on.
    enabled: bool,
    /// Seqs that were deleted before the route had read them.
    gap: u64,
    /// Its name.
    name: String,
    /// Why it waits or has failed.
    reason: Option<String>,
    /// Readings the upstream refused for good.
    rejected: u64,
    /// Readings sent again because nobody knew whether they had arrived.
    resent: u64,
    /// Tries that failed.
    retries: u64,
    /// Where it is in its life.
    #[cfg_attr(test, schemars(schema_with = "crate::contract::phase"))]
    state: &'static str,
    /// The sink connection.
    to: String,
}

/// Every route, by name.
pub(crate) async fn all(state: Shared, uri: Uri) -> Result<Json<Routes>, Problem> {
    Parameters::parse(uri.query(), &[])?;
    let routes = state.engine.routes().into_iter().map(shown).collect();
    let engine = state.engine.clone();
    let removed = state.with_log(move |log| {
        let removed = engine.removed_routes()?;
        let newest = *log.committed().borrow();
        let shown =
            |(name, cursor): (String, u64)| RemovedRoute { backlog: newest.saturating_sub(cursor), cursor, name };
        Ok(removed.into_iter().map(shown).collect::<Vec<_>>())
    });
    Ok(Json(Routes { removed: removed.await?, routes }))
}

/// Forgets what is kept for a route that the config no longer has.
pub(crate) async fn forget(state: Shared, Name(name): Name, uri: Uri) -> Result<StatusCode, Problem> {
    Parameters::parse(uri.query(), &[])?;
    let engine = state.engine.clone();
    state.with_log(move |_| Ok(engine.forget_route(&name)?)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// One route.
pub(crate) async fn one(state: Shared, Name(name): Name, uri: Uri) -> Result<Json<ShownRoute>, Problem> {
    Parameters::parse(uri.query(), &[])?;
    let mut routes = state.engine.routes().into_iter();
    let route = routes.find(|route| route.name == name).ok_or_else(|| unknown(&state.engine, &name))?;
    Ok(Json(shown(route)))
}

pub(crate) fn unknown(engine: &Engine, name: &str) -> Problem {
    let config = engine.config();
    let known: Vec<&str> = config.routes.keys().map(String::as_str).collect();
    Problem::not_found("no-such-route", format!("there is no route `{name}`"))
        .near(bulkhead_config::nearest(name, &known))
}

fn shown(route: RouteStatus) -> ShownRoute {
    ShownRoute {
        accepted: route.accepted,
        backlog: route.backlog,
        batches: route.batches,
        cursor: route.cursor,
        dead_letters: route.dead_letters,
        dead_letters_dropped: route.dead_letters_dropped,
        enabled: route.enabled,
        gap: route.gap,
        name: route.name,
        reason: route.phase.reason().map(str::to_owned),
        rejected: route.rejected,
        resent: route.resent,
        retries: route.retries,
        state: route.phase.name(),
        to: route.to,
    }
}
