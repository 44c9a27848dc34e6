//! What all requests share, and which path is answered by what.

use crate::credential::Credentials;
use crate::gate::{self, Gate};
use crate::limits::STREAMS_MAX;
use crate::odata::GatewayService;
use crate::problem::{Problem, no_such_path, task_failed};
use crate::{connections, events, front_page, health, history, hooks, metrics, odata, points, routes, write};
use axum::http::{StatusCode, Uri};
use axum::routing::{any, get};
use axum::{Router, middleware};
use bulkhead_engine::Engine;
use bulkhead_log::Log;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// What all requests share.
pub(crate) struct App {
    pub(crate) engine: Engine,
    pub(crate) gate: Gate,
    /// One permit an event stream.
    pub(crate) streams: Arc<Semaphore>,
    /// Event streams end with it.
    pub(crate) shutdown: CancellationToken,
    pub(crate) odata: Arc<GatewayService>,
}

/// The shared state as handlers take it.
pub(crate) type Shared = axum::extract::State<Arc<App>>;

impl App {
    pub(crate) fn new(
        engine: Engine,
        credentials: Credentials,
        listen: SocketAddr,
        shutdown: CancellationToken,
    ) -> Self {
        let odata = Arc::new(GatewayService::new(engine.clone()));
        let gate = Gate { credentials, listen };
        Self { engine, gate, streams: Arc::new(Semaphore::new(STREAMS_MAX)), shutdown, odata }
    }

    /// Does what may wait for the disk, off the async threads.
    pub(crate) async fn with_log<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Log) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let log = self.engine.log().clone();
        tokio::task::spawn_blocking(move || work(&log)).await.map_err(|error| task_failed(&error))?
    }
}

/// The paths of the server behind its gate.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(front_page::html))
        .route("/front-page.js", get(front_page::script))
        .route("/front-page.css", get(front_page::style))
        .route("/api/v1/connections", get(connections::all))
        .route("/api/v1/connections/{connection}", get(connections::one))
        .route("/api/v1/connections/{connection}/points", get(points::of_connection))
        .route("/api/v1/connections/{connection}/points/{*point}", get(points::below).post(write::write))
        .route("/api/v1/points", get(points::all))
        .route("/api/v1/latest", get(points::latest))
        .route("/api/v1/readings", get(history::pull))
        .route("/api/v1/events", get(events::events))
        .route("/api/v1/routes", get(routes::all))
        .route("/api/v1/routes/{route}", get(routes::one))
        .route("/api/v1/routes/{route}/dead-letters", get(routes::dead_letters))
        .route("/hooks/{connection}", any(hooks::hook))
        .route("/hooks/{connection}/{*path}", any(hooks::hook))
        .route("/odata/v4", any(odata::answer))
        .route("/odata/v4/", any(odata::answer))
        .route("/odata/v4/{*path}", any(odata::answer))
        .route("/metrics", get(metrics::metrics))
        .route(health::HEALTH_PATH, get(health::health))
        .route(health::READY_PATH, get(health::ready))
        .fallback(async |uri: Uri| no_such_path(uri.path()))
        .method_not_allowed_fallback(async |uri: Uri| {
            let detail = format!("{} does not take this method; the header `allow` says which it takes", uri.path());
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
        })
        .layer(middleware::from_fn_with_state(Arc::clone(&app), gate::pass))
        .with_state(app)
}
