//! Pages of other origins (CORS, Fetch standard): only those that the config names may read answers, and only with a credential
//! that the page itself sends. Cookies are not for them.

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::collections::BTreeSet;

/// How long a browser may remember that it was allowed to ask.
const REMEMBER_S: &str = "600";
/// Header fields that a page may send.
const MAY_SEND: &str = "authorization, content-type, accept, prefer, if-match, if-none-match, idempotency-key, last-event-id, \
                        odata-version, odata-maxversion, odata-isolation, x-csrf-token";
/// Header fields of an answer that a page may read.
const MAY_READ: &str =
    "etag, location, retry-after, odata-version, preference-applied, idempotency-replayed, x-request-id";

/// The origin of a request, if the config names it.
pub(crate) fn named_origin(headers: &HeaderMap, named: &BTreeSet<String>) -> Option<HeaderValue> {
    let origin = headers.get(header::ORIGIN)?;
    let text = origin.to_str().ok()?;
    named.contains(text).then(|| origin.clone())
}

/// The answer to a browser that asks before it sends a request; none: this is no such question.
pub(crate) fn preflight(request: &Parts) -> Option<Response> {
    let asks = request.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if request.method != Method::OPTIONS || !asks {
        return None;
    }
    let mut answer = StatusCode::NO_CONTENT.into_response();
    let headers = answer.headers_mut();
    let methods = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(MAY_SEND));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(REMEMBER_S));
    Some(answer)
}

/// Lets the page of a named origin read an answer.
pub(crate) fn let_read(answer: &mut Response, origin: HeaderValue) {
    let headers = answer.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(MAY_READ));
    headers.append(header::VARY, HeaderValue::from_static("origin"));
}
