//! `/api/v1/routes`: each with its cursor, what waits behind it, and what its upstream refused.

use crate::app::Shared;
use crate::moment;
use crate::parameters::Parameters;
use crate::path::Name;
use crate::problem::Problem;
use axum::Json;
use axum::http::{StatusCode, Uri};
use bulkhead_engine::{Engine, RouteStatus};
use bulkhead_log::{Catalogue, DeadLetter};
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

/// What a route's upstream refused for good, the newest first.
pub(crate) async fn dead_letters(state: Shared, Name(name): Name, uri: Uri) -> Result<Json<Value>, Problem> {
    let limit = Parameters::parse(uri.query(), &["limit"])?.limit()?;
    if !state.engine.config().routes.contains_key(&name) {
        return Err(unknown(&state.engine, &name));
    }
    let answer = state.with_log(move |log| {
        let letters = log.dead_letters(Some(&name), limit)?;
        let catalogue = log.catalogue();
        let shown: Vec<Value> = letters.iter().map(|letter| shown_letter(letter, &catalogue)).collect();
        Ok(json!({ "route": name, "kept": log.dead_letter_count(&name)?, "dead_letters": shown }))
    });
    answer.await.map(Json)
}

fn unknown(engine: &Engine, name: &str) -> Problem {
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
        "gap": route.gap,
    })
}

fn shown_letter(letter: &DeadLetter, catalogue: &Catalogue) -> Value {
    let point = catalogue.by_id(letter.point);
    json!({
        "seq": letter.seq,
        "connection": point.map(|point| &*point.connection),
        "point": point.map(|point| point.info.name.as_str()),
        "time": moment::rfc3339(letter.time.0),
        "code": letter.code,
        "message": letter.message,
    })
}
