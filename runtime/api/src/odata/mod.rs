//! `/odata/v4/`: the log and the connections as an OData service.
//!
//! The crate `bulkhead-odata` knows the standard; here is what it is served: the model, and a service that answers typed
//! queries by SQL over the log ([`bulkhead_log::Query`]).

mod lists;
mod model;
mod points_filter;
mod readings;
mod row;
mod service;
mod statement;

pub(crate) use service::GatewayService;

use crate::app::Shared;
use crate::gate::authority;
use crate::peer::Peer;
use crate::problem::{Problem, task_failed};
use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use bulkhead_engine::SystemClock;
use bulkhead_sandbox::capability::Clock;

/// The service root's path, without its last slash.
const ROOT: &str = "/odata/v4";

/// Answers a request below the service root.
pub(crate) async fn answer(state: Shared, request: Request) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let root_url = format!("{}://{}{ROOT}/", scheme(&parts), authority(&parts)?);
    let service = state.odata.clone();
    let work = move || {
        let headers: Vec<(&str, &str)> =
            parts.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
        let request = bulkhead_odata::Request {
            method: parts.method.as_str(),
            path_below_root: parts.uri.path().strip_prefix(ROOT).unwrap_or_default(),
            query: parts.uri.query().unwrap_or_default(),
            headers: &headers,
            body: &[],
            root_url: &root_url,
            now_ns: SystemClock::default().now().0,
        };
        bulkhead_odata::handle(&request, &*service)
    };
    let answered = tokio::task::spawn_blocking(work).await.map_err(|error| task_failed(&error))?;
    response(answered)
}

/// How the client reached us: a TLS-terminating proxy in front says so. It only shapes the links in the client's own answer.
fn scheme(request: &Parts) -> &'static str {
    if request.extensions.get::<Peer>().is_some_and(|peer| peer.channel.tls) {
        return "https";
    }
    let forwarded = request.headers.get("x-forwarded-proto").map(HeaderValue::as_bytes);
    if forwarded.is_some_and(|proto| proto.eq_ignore_ascii_case(b"https")) { "https" } else { "http" }
}

fn response(answered: bulkhead_odata::Response) -> Result<Response, Problem> {
    let mut response = Response::new(Body::from(answered.body));
    *response.status_mut() = StatusCode::from_u16(answered.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in answered.headers {
        let value =
            HeaderValue::from_str(&value).map_err(|_| Problem::internal(format!("the header {name} is none")))?;
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        let seconds = crate::problem::retry_after_seconds(crate::limits::RETRY_AFTER);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    Ok(response)
}
