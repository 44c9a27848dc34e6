//! `/odata/v4/`: the log and the connections as an OData service.
//!
//! The crate `bulkhead-odata` knows the standard; here is what it is served: the model, and a service that answers typed
//! queries by SQL over the log ([`bulkhead_log::Query`]). Long answers leave piece by piece.

mod actions;
mod aggregate;
mod changes;
mod forwarded;
mod lists;
mod model;
mod names;
mod outlet;
mod points_filter;
mod readings;
mod refused;
mod row;
mod service;
mod statement;
mod wide;

pub(crate) use refused::Client;
#[cfg(test)]
pub(crate) use row::text_of;
pub(crate) use service::Face;

use crate::access::door::Arrival;
use crate::app::{App, Shared};
use crate::audit::{Happened, Note};
use crate::gate::authority;
use crate::limits::{ODATA_AT_ONCE_MAX, ODATA_WAIT, RETRY_AFTER};
use crate::peer::Peer;
use crate::problem::{Problem, task_failed};
use crate::request_id::RequestId;
use crate::write::read_body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use bulkhead_engine::SystemClock;
use bulkhead_odata::limits::BODY_MAX_BYTES;
use bulkhead_sandbox::capability::Clock;
use forwarded::Origin;
use outlet::Exit;
use service::{CarriedRequest, GatewayService};
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// The service root's path, without its last slash.
const ROOT: &str = "/odata/v4";

/// What the sender of a request may do beside reading; the gate puts it into the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Rights {
    /// Write to points and test connections.
    pub(crate) write: bool,
    /// Change the config.
    pub(crate) configure: bool,
}

/// Places for requests at the same time.
pub(crate) fn places() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(ODATA_AT_ONCE_MAX))
}

/// Whether a request reads whatever its method: what its body asks for is decided when it is read.
pub(crate) fn only_carries_requests(method: &Method, path: &str) -> bool {
    let below = path.strip_prefix(ROOT).map(|rest| rest.trim_end_matches('/'));
    let ends = |rest: &str| ["/$batch", "/%24batch", "/$query", "/%24query"].iter().any(|end| rest.ends_with(end));
    method == Method::POST && below.is_some_and(ends)
}

/// Whether a path is that of the service's description, which can only be read.
pub(crate) fn is_metadata(path: &str) -> bool {
    path.strip_prefix(ROOT).is_some_and(|below| matches!(below, "/$metadata" | "/%24metadata"))
}

/// Answers a request below the service root.
pub(crate) async fn answer(state: Shared, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let root_url = root_url(&state, &parts)?;
    let body = read_body(body, BODY_MAX_BYTES).await?;
    let place = tokio::time::timeout(ODATA_WAIT, Arc::clone(&state.odata.places).acquire_owned()).await;
    let Ok(Ok(place)) = place else {
        let detail = format!("{ODATA_AT_ONCE_MAX} OData requests are being answered; try again");
        let busy = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail);
        return Err(busy.retry_after(Some(RETRY_AFTER)));
    };
    let rights = parts.extensions.get::<Rights>().copied().unwrap_or_default();
    let accepted = parts.headers.get("accept-encoding").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (exit, answered) = Exit::new(accepted, parts.method == Method::HEAD);
    let app = Arc::clone(&state.0);
    // The thread that does the work has none of its own.
    let id = RequestId::current();
    let work = move || {
        // It goes back only when the last piece has left.
        let _place = place;
        let headers: Vec<(&str, &str)> =
            parts.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
        let request = bulkhead_odata::Request {
            method: parts.method.as_str(),
            path_below_root: parts.uri.path().strip_prefix(ROOT).unwrap_or_default(),
            query: parts.uri.query().unwrap_or_default(),
            headers: &headers,
            body: &body,
            root_url: &root_url,
            now_ns: SystemClock::default().now().0,
        };
        match GatewayService::new(Arc::clone(&app), rights) {
            Ok(service) => {
                let response = bulkhead_odata::handle_streaming(&request, &service, &exit);
                record_carried(&app, &parts, id.as_ref(), service.take_carried());
                let note = service.note.lock().take().map(Note);
                let response =
                    service.failure().map_or(response, |error| bulkhead_odata::handle::refusal(&request, &error));
                exit.end(response, note);
            }
            Err(error) => exit.end(bulkhead_odata::handle::refusal(&request, &error), None),
        }
    };
    let working = tokio::task::spawn_blocking(work);
    match answered.await {
        Ok(response) => response,
        // Nothing came: the work ended without an answer.
        Err(_) => match working.await {
            Err(error) => Err(task_failed(&error)),
            Ok(()) => Err(Problem::internal("an OData request came to no answer")),
        },
    }
}

/// Records what the requests of a batch have changed or wanted to, each on its own. Blocks.
fn record_carried(app: &App, batch: &Parts, id: Option<&RequestId>, carried: Vec<CarriedRequest>) {
    let (Some(arrival), Some(peer)) = (batch.extensions.get::<Arrival>(), batch.extensions.get::<Peer>()) else {
        return;
    };
    for request in carried {
        let happened = Happened {
            time_ns: app.door.clock.now().0,
            monotonic_ns: app.door.clock.monotonic_ns(),
            arrival: Some(arrival),
            known_name: None,
            from: peer.client(),
            what: format!("{} {ROOT}/{} in $batch", request.method, request.path_below_root),
            request: id.map(|id| id.text().to_owned()),
            status: StatusCode::from_u16(request.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            code: None,
            detail: request.note,
        };
        Handle::current().block_on(app.recorder.record(happened));
    }
}

/// The service root as the client reaches it: through a proxy if the other end of its connection is a trusted one.
fn root_url(state: &Shared, request: &Parts) -> Result<String, Problem> {
    let peer = request.extensions.get::<Peer>();
    let direct = Origin::direct(peer.is_some_and(|peer| peer.channel.tls), authority(request)?);
    let is_trusted = peer.is_some_and(|peer| state.engine.config().api.trusts(peer.address.ip()));
    let Origin { scheme, authority, prefix } = if is_trusted { direct.forwarded(&request.headers) } else { direct };
    Ok(format!("{scheme}://{authority}{prefix}{ROOT}/"))
}
