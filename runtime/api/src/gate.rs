//! The gate every request passes: is it meant for us, is it forged, who sends it, may they; and how long it may take.

use crate::app::Shared;
use crate::credential::{Access, LiveCredentials};
use crate::health::{HEALTH_PATH, READY_PATH};
use crate::limits::REQUEST_MAX;
use crate::odata::{Rights, only_carries_requests};
use crate::origin::{is_own_host, is_same_origin};
use crate::problem::Problem;
use crate::tap;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bulkhead_config::ApiRole;
use std::net::SocketAddr;

/// Where webhooks begin: they change something whatever their method.
pub(crate) const HOOKS_PREFIX: &str = "/hooks/";

/// What decides who is let in.
pub(crate) struct Gate {
    pub(crate) credentials: LiveCredentials,
    /// The address listened on.
    pub(crate) listen: SocketAddr,
}

/// Lets a request through to its handler or answers it with the reason why not.
pub(crate) async fn pass(state: Shared, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match state.gate.check(&parts) {
        Ok(rights) => parts.extensions.insert(rights),
        Err(problem) => return problem.into_response(),
    };
    let path = parts.uri.path().to_owned();
    let answer = next.run(Request::from_parts(parts, body));
    match tokio::time::timeout(REQUEST_MAX, answer).await {
        Ok(response) => with_safety_headers(response, &path),
        Err(_) => {
            let detail = format!("{path} was not answered within {} s", REQUEST_MAX.as_secs());
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "timeout", detail).into_response()
        }
    }
}

impl Gate {
    fn check(&self, request: &Parts) -> Result<Rights, Problem> {
        let authority = authority(request)?;
        let credentials = self.credentials.now();
        if credentials.is_empty() && !is_own_host(&authority, self.listen) {
            let detail = format!(
                "`{authority}` is not a name of this machine's own, and without credentials only those are answered: \
                 use localhost or an address, or configure a credential"
            );
            return Err(Problem::new(StatusCode::FORBIDDEN, "foreign-host", detail));
        }
        let path = request.uri.path();
        let writes = changes_something(&request.method, path) || tap::is_tap(path);
        if let Some(origin) = header_text(&request.headers, &header::ORIGIN).filter(|_| writes)
            && !is_same_origin(&origin, &authority)
        {
            let detail = format!("a page of `{origin}` may not change anything here");
            return Err(Problem::new(StatusCode::FORBIDDEN, "foreign-origin", detail));
        }
        if matches!(request.uri.path(), HEALTH_PATH | READY_PATH) {
            return Ok(Rights::default());
        }
        let given = request.headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        let access = credentials.access(given);
        may(access, writes && !only_carries_requests(&request.method, request.uri.path()))?;
        let is_operator = access == Access::Granted(ApiRole::Operator);
        Ok(Rights { write: is_operator, configure: is_operator && !credentials.is_empty() })
    }
}

/// Whether somebody with this access may do this.
fn may(access: Access, writes: bool) -> Result<(), Problem> {
    match access {
        Access::Granted(ApiRole::Operator) => Ok(()),
        Access::Granted(ApiRole::Reader) if !writes => Ok(()),
        Access::Granted(ApiRole::Reader) => {
            let detail = "this credential has the role reader; writing, webhooks and taps need the role operator";
            Err(Problem::new(StatusCode::FORBIDDEN, "reader", detail))
        }
        Access::Missing => {
            let detail = "say who you are: with a token (Bearer), or with user name and password (Basic)";
            Err(Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail))
        }
        Access::Wrong => {
            Err(Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "this credential is not known here"))
        }
    }
}

/// Whether a request may change something in the gateway or a device.
fn changes_something(method: &Method, path: &str) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) || path.starts_with(HOOKS_PREFIX)
}

/// The host and port a request was sent to (RFC 9112 §3.2: an absolute target wins over `Host`).
pub(crate) fn authority(request: &Parts) -> Result<String, Problem> {
    if let Some(authority) = request.uri.authority() {
        return Ok(authority.as_str().to_owned());
    }
    let mut hosts = request.headers.get_all(header::HOST).iter();
    match (hosts.next().and_then(|host| host.to_str().ok()), hosts.next()) {
        (Some(host), None) => Ok(host.to_owned()),
        _ => Err(Problem::bad_request("no-host", "a request needs exactly one Host header")),
    }
}

fn header_text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Nothing here is to be guessed at, framed or kept by caches. What a webhook's adapter answers is foreign: it runs in a
/// sandbox of the browser, too.
fn with_safety_headers(mut response: Response, path: &str) -> Response {
    const NOTHING: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox");
    const OWN: HeaderValue = HeaderValue::from_static(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
         frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    );
    let is_hook = path.starts_with(HOOKS_PREFIX);
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, if is_hook { NOTHING } else { OWN });
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_read_and_operators_write() {
        let status = |access, writes| may(access, writes).map_err(|problem| problem.status().as_u16());
        assert_eq!(status(Access::Granted(ApiRole::Reader), false), Ok(()));
        assert_eq!(status(Access::Granted(ApiRole::Reader), true), Err(403));
        assert_eq!(status(Access::Granted(ApiRole::Operator), true), Ok(()));
        assert_eq!(status(Access::Missing, false), Err(401));
        assert_eq!(status(Access::Wrong, true), Err(401));
    }

    #[test]
    fn webhooks_change_something_whatever_their_method() {
        assert!(changes_something(&Method::GET, "/hooks/shop/order"));
        assert!(changes_something(&Method::POST, "/api/v1/x") && changes_something(&Method::DELETE, "/"));
        assert!(!changes_something(&Method::GET, "/api/v1/points") && !changes_something(&Method::HEAD, "/"));
    }
}
