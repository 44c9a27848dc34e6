//! Which path is answered by what.

use crate::app::App;
use crate::problem::{Problem, no_such_path};
use crate::{
    adapters, audit_paths, backup, config, connections, dead_letters, docs_page, events, front_page, gaps, gate,
    health, history, hooks, import, journal, keys, log_state, metrics, odata, points, routes, session, tap, users,
    write,
};
use axum::http::{StatusCode, Uri};
use axum::routing::{MethodRouter, any, delete, get, post};
use axum::{Router, middleware};
use std::sync::Arc;

/// A router that remembers its paths, so that a test can hold them against the table of what each needs.
#[derive(Default)]
struct Paths {
    router: Router<Arc<App>>,
    known: Vec<&'static str>,
}

impl Paths {
    fn route(mut self, path: &'static str, methods: MethodRouter<Arc<App>>) -> Self {
        self.known.push(path);
        Self { router: self.router.route(path, methods), known: self.known }
    }
}

/// All paths.
fn paths() -> Paths {
    Paths::default()
        .route("/", get(front_page::html))
        .route("/front-page.js", get(front_page::script))
        .route("/front-page.css", get(front_page::style))
        .route("/docs", get(docs_page::html))
        .route("/docs/{asset}", get(docs_page::asset))
        .route("/api/v1/openapi.json", get(docs_page::document))
        .route("/api/v1/connections", get(connections::all))
        .route("/api/v1/connections/{connection}", get(connections::one))
        .route("/api/v1/connections/{connection}/points", get(points::of_connection))
        .route("/api/v1/connections/{connection}/points/{*point}", get(points::below).post(write::write))
        .route("/api/v1/connections/{connection}/enable", post(config::enable))
        .route("/api/v1/connections/{connection}/disable", post(config::disable))
        .route("/api/v1/connections/{connection}/test", post(connections::test))
        .route("/api/v1/connections/{connection}/tap", get(tap::tap))
        .route("/api/v1/points", get(points::all))
        .route("/api/v1/latest", get(points::latest))
        .route("/api/v1/readings", get(history::pull))
        .route("/api/v1/events", get(events::events))
        .route("/api/v1/config", get(config::show).post(config::put))
        .route("/api/v1/config/status", get(config::status))
        .route("/api/v1/config/check", post(config::check))
        .route("/api/v1/config/reload", post(config::reload))
        .route("/api/v1/config/rollback", post(config::roll_back))
        .route("/api/v1/log", get(log_state::state))
        .route("/api/v1/log/expired", get(log_state::expired))
        .route("/api/v1/gaps", get(gaps::gaps))
        .route("/api/v1/routes", get(routes::all))
        .route("/api/v1/routes/{route}", get(routes::one).delete(routes::forget))
        .route("/api/v1/routes/{route}/dead-letters", get(dead_letters::of_route))
        .route("/api/v1/dead-letters", get(dead_letters::all).delete(dead_letters::discard_all))
        .route("/api/v1/dead-letters/replay", post(dead_letters::replay_all))
        .route("/api/v1/dead-letters/{letter}", get(dead_letters::one).delete(dead_letters::discard))
        .route("/api/v1/dead-letters/{letter}/replay", post(dead_letters::replay))
        .route("/api/v1/adapters", get(adapters::all))
        .route("/api/v1/backup", get(backup::newest).post(backup::begin))
        .route("/api/v1/journal", get(journal::lines))
        .route(import::PATH, post(import::import))
        .route("/api/v1/import/{id}", get(import::one))
        .route("/hooks/{connection}", any(hooks::hook))
        .route("/hooks/{connection}/{*path}", any(hooks::hook))
        .route("/odata/v4", any(odata::answer))
        .route("/odata/v4/", any(odata::answer))
        .route("/odata/v4/{*path}", any(odata::answer))
        .route("/api/v1/login", post(session::log_in))
        .route("/api/v1/logout", post(session::log_out))
        .route("/api/v1/session", get(session::show))
        .route("/api/v1/users", get(users::all).post(users::add))
        .route("/api/v1/users/{user}", delete(users::remove))
        .route("/api/v1/users/{user}/password", post(users::set_password))
        .route("/api/v1/audit", get(audit_paths::records))
        .route("/api/v1/keys", get(keys::all).post(keys::create))
        .route("/api/v1/keys/{key}", delete(keys::revoke))
        .route("/metrics", get(metrics::metrics))
        .route(health::HEALTH_PATH, get(health::health))
        .route(health::READY_PATH, get(health::ready))
}

/// The paths that are served, as the router has them.
#[must_use]
pub fn served_paths() -> Vec<&'static str> {
    paths().known
}

/// The paths of the server behind its gate.
pub(crate) fn router(app: Arc<App>) -> Router {
    paths()
        .router
        .fallback(async |uri: Uri| no_such_path(uri.path()))
        .method_not_allowed_fallback(async |uri: Uri| {
            let detail = format!("{} does not take this method; the header `allow` says which it takes", uri.path());
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
        })
        .layer(middleware::from_fn_with_state(Arc::clone(&app), gate::pass))
        .with_state(app)
}
