//! The gate every request passes: is it meant for us, is it forged, who sends it, may they, how often; and how long it may
//! take.

use crate::access::door::{Arrival, Door, Stranger};
use crate::access::identity::{Identity, Proof};
use crate::access::rate::address_of;
use crate::access::scheme::is_bearer;
use crate::access::table::{Endpoint, Need, may};
use crate::app::{App, Shared};
use crate::audit::{self, AuditResult, Happened, Note};
use crate::cors;
use crate::finish::Asked;
use crate::forwarded::seen_through;
use crate::import;
use crate::limits::{HEADERS_MAX, REQUEST_MAX, REQUESTS_MAX, RETRY_AFTER};
use crate::odata::{Client, Rights, is_metadata, only_carries_requests};
use crate::origin::{is_own_host, is_same_origin};
use crate::path::PointPath;
use crate::peer::Peer;
use crate::problem::{Problem, Problematic, task_failed};
use crate::request_id::{self, NotServed, RequestId};
use crate::session::CSRF_HEADER;
use crate::tap;
use crate::unproved::Unproved;
use axum::extract::{FromRequestParts, MatchedPath, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bulkhead_config::ApiRole;
use bulkhead_sandbox::capability::Clock;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

/// Where the page that sends a request is, as the browser says (Fetch Metadata).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Where webhooks begin: they change something whatever their method.
pub(crate) const HOOKS_PREFIX: &str = "/hooks/";

/// Who sent a request, for handlers behind the gate.
pub(crate) struct Sender(Arrival);

impl Deref for Sender {
    type Target = Arrival;

    fn deref(&self) -> &Arrival {
        &self.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Sender {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let arrival = parts.extensions.get::<Arrival>().cloned();
        arrival.map(Self).ok_or_else(|| Problem::internal("a request came past the gate"))
    }
}

/// Lets a request through to its handler or answers it with the reason why not, under an id of its own.
pub(crate) async fn pass(state: Shared, request: Request, next: Next) -> Response {
    let id = state.ids.next();
    let mut response = id.clone().cover(passed(state, request, next)).await;
    if let Ok(text) = HeaderValue::from_str(id.text()) {
        response.headers_mut().insert(request_id::HEADER, text);
    }
    response
}

async fn passed(state: Shared, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    if let Some(peer) = parts.extensions.remove::<Peer>() {
        let config = state.engine.config();
        parts.extensions.insert(seen_through(peer, &parts.headers, |address| config.api.trusts(address)));
    }
    let path = parts.uri.path().to_owned();
    let origin = cors::named_origin(&parts.headers, &state.door.policy.now().cors_origins);
    let odata_client = Client::of(&parts);
    let seen = Seen::of(&parts);
    let admitted = admit(&state, &parts, origin.is_some()).await;
    let (is_change, app) = (seen.is_change(), Arc::clone(&state.0));
    let id = RequestId::current().filter(|_| is_change);
    let work = carried_out(app, Request::from_parts(parts, body), next, admitted, (seen, odata_client));
    let mut response = match id {
        // A client that goes away amid a change ends neither the change nor its record.
        Some(id) => tokio::spawn(id.cover(work)).await.unwrap_or_else(|error| task_failed(&error).into_response()),
        None => work.await,
    };
    if let Some(origin) = origin {
        cors::let_read(&mut response, origin);
    }
    with_safety_headers(response, &path)
}

/// The answer to a request that was let in or not, recorded.
async fn carried_out(
    app: Arc<App>,
    request: Request,
    next: Next,
    admitted: Result<Admitted, Stranger>,
    (mut seen, odata_client): (Seen, Option<Client>),
) -> Response {
    let (mut parts, body) = request.into_parts();
    let path = seen.path.clone();
    let mut response = match admitted {
        Err(stranger) => {
            seen.name = stranger.name;
            stranger.problem.into_response()
        }
        Ok(Admitted::Answered(answer)) => answer,
        Ok(Admitted::Somebody(arrival)) => {
            seen.arrival = Some(arrival.clone());
            parts.extensions.insert(rights(&app.door, &arrival.identity));
            parts.extensions.insert(arrival);
            answer(&app, Request::from_parts(parts, body), next, &path).await
        }
        Ok(Admitted::Anybody) => answer(&app, Request::from_parts(parts, body), next, &path).await,
        Ok(Admitted::Unproved(arrival)) => match unproved(&app, &parts) {
            Ok(place) => {
                seen.arrival = arrival.clone();
                // The handler may take the request apart before it reads the body.
                let _held = place.clone();
                parts.extensions.insert(place);
                if let Some(arrival) = arrival {
                    parts.extensions.insert(arrival);
                }
                answer(&app, Request::from_parts(parts, body), next, &path).await
            }
            Err(problem) => problem.into_response(),
        },
    };
    if let Some(client) = odata_client {
        client.reword(&mut response);
    }
    seen.record(&app, &mut response).await;
    response
}

/// What somebody may do beside reading, where the body of a request says what that is.
fn rights(door: &Door, identity: &Identity) -> Rights {
    let is_known = identity.proof != Proof::Nothing;
    Rights {
        write: identity.role >= ApiRole::Operator,
        configure: is_known && may(identity, Need::Config, door.has_admin()),
    }
}

/// What the audit log is told of a request.
struct Seen {
    method: Method,
    path: String,
    query: Option<String>,
    from: Option<IpAddr>,
    arrival: Option<Arrival>,
    /// What a stranger said their name is.
    name: Option<String>,
}

impl Seen {
    fn of(request: &Parts) -> Self {
        Self {
            method: request.method.clone(),
            path: request.uri.path().to_owned(),
            query: request.uri.query().map(str::to_owned),
            from: request.extensions.get::<Peer>().map(|peer| peer.client()),
            arrival: None,
            name: None,
        }
    }

    /// Whether it changes something itself; of webhooks the readings tell. What a batch carries is recorded where it is done,
    /// and a batch or a long query that only reads changes nothing.
    fn is_change(&self) -> bool {
        let is_own = !self.path.starts_with(HOOKS_PREFIX) && !only_carries_requests(&self.method, &self.path);
        (changes_something(&self.method, &self.path) || tap::is_tap(&self.path)) && is_own
    }

    /// Records refusals, and what changed something or was to; of webhooks, whose readings are in the log, only refusals.
    async fn record(self, app: &App, response: &mut Response) {
        let status = response.status();
        let is_hook = self.path.starts_with(HOOKS_PREFIX);
        let is_refusal = audit::result_of(status) == AuditResult::Refused;
        let is_change = self.is_change();
        let code = response.extensions_mut().remove().map(|Problematic { code, .. }| code);
        let request = RequestId::current();
        if let Some(id) = request.as_ref().filter(|_| status.is_client_error() || status.is_server_error()) {
            let what = NotServed { method: &self.method, path: &self.path, status, code };
            app.ids.tell(id, app.door.clock.monotonic_ns(), &what);
        }
        let Some(from) = self.from.filter(|_| is_refusal || is_change) else { return };
        let detail = response.extensions_mut().remove().map(|Note(detail)| detail);
        // A login says who it was of in its answer.
        let arrival = self.arrival.or_else(|| response.extensions_mut().remove());
        // A query that was understood holds names and numbers, one that was not can hold anything.
        let query = self.query.filter(|_| status.is_success() && !is_hook).map(|query| format!("?{query}"));
        let happened = Happened {
            time_ns: app.door.clock.now().0,
            monotonic_ns: app.door.clock.monotonic_ns(),
            arrival: arrival.as_ref(),
            known_name: self.name.filter(|name| app.door.knows(name)),
            from,
            what: format!("{} {}{}", self.method, self.path, query.unwrap_or_default()),
            request: request.map(|id| id.text().to_owned()),
            status,
            code,
            detail,
        };
        app.recorder.record(happened).await;
    }
}

/// A place for a request that nobody has proved to have sent, until its handler knows better.
fn unproved(app: &App, request: &Parts) -> Result<Unproved, Problem> {
    let peer = request.extensions.get::<Peer>().ok_or_else(|| Problem::internal("a request came from nowhere"))?;
    app.unproved.take(peer.client()).ok_or_else(|| too_many(RETRY_AFTER))
}

/// The handler's answer, in time and among no more than so many others.
async fn answer(app: &App, request: Request, next: Next, path: &str) -> Response {
    let Ok(_place) = Arc::clone(&app.requests).try_acquire_owned() else {
        let detail = format!("{REQUESTS_MAX} requests are being worked on, which is the most; try again in a moment");
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after(None).into_response();
    };
    // A file takes as long as it is long; a bound of its own ends an import whose file does not come.
    if path == import::PATH {
        return next.run(request).await;
    }
    let asked = Asked::of(request.method(), path, request.headers());
    let answering = async {
        let response = next.run(request).await;
        match asked {
            Some(asked) => asked.finish(response).await.unwrap_or_else(IntoResponse::into_response),
            None => response,
        }
    };
    match tokio::time::timeout(REQUEST_MAX, answering).await {
        Ok(response) => response,
        Err(_) => {
            let detail = format!("{path} was not answered within {} s", REQUEST_MAX.as_secs());
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "timeout", detail).into_response()
        }
    }
}

/// What the gate makes of a request.
enum Admitted {
    /// It is from somebody who may send it.
    Somebody(Arrival),
    /// It needs nobody.
    Anybody,
    /// Its handler looks for the proof in its body: a login, or a webhook with the one whose signature that would be.
    Unproved(Option<Arrival>),
    /// The gate itself has the answer.
    Answered(Response),
}

impl From<Problem> for Stranger {
    fn from(problem: Problem) -> Self {
        Self { problem: Box::new(problem), name: None }
    }
}

fn forbidden(code: &'static str, detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, code, detail)
}

/// Decides over a request. `is_named`: the config names the origin of its page.
async fn admit(app: &App, request: &Parts, is_named: bool) -> Result<Admitted, Stranger> {
    let door = &app.door;
    let peer = request.extensions.get::<Peer>().ok_or_else(|| Problem::internal("a request came from nowhere"))?;
    let now_ns = door.clock.monotonic_ns();
    door.accounts.current(now_ns).await;
    let policy = door.policy.now();
    let address = address_of(peer.client());
    take_turn(door, &format!("address:{address}"), policy.limits.address_requests_per_s)?;
    let authority = authority(request)?;
    check_host(door, &authority)?;
    if request.headers.len() > HEADERS_MAX {
        let detail = format!("a request has at most {HEADERS_MAX} header fields");
        return Err(Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "too-many-headers", detail).into());
    }
    if is_named && let Some(answer) = cors::preflight(request) {
        return Ok(Admitted::Answered(answer));
    }
    let changes = changes_something(&request.method, request.uri.path());
    let is_guarded = changes || tap::is_tap(request.uri.path());
    let is_foreign = is_guarded && check_origin(request, &authority).is_err();
    if is_foreign && !is_named {
        check_origin(request, &authority)?;
    }
    let endpoint = endpoint(request)?;
    let is_history = PointPath::is_history(request.uri.path());
    let need = endpoint.and_then(|endpoint| endpoint.need(&request.method));
    let need = need.filter(|_| !is_history || !changes);
    // What such a request carries is judged by its own method, by the rights that the handler is given.
    let only_carries = only_carries_requests(&request.method, request.uri.path());
    let need = need.map(|need| if only_carries { Need::Role(ApiRole::Viewer) } else { need });
    if need == Some(Need::Nobody) {
        return Ok(if changes { Admitted::Unproved(None) } else { Admitted::Anybody });
    }
    if policy.tls_required && !peer.channel.is_private() {
        return Err(forbidden("needs-tls", "this gateway is used over TLS only: https:// at the same port").into());
    }
    if need == Some(Need::Webhook)
        && let Some(connection) = crate::hooks::signed_connection(&policy, request.uri.path())
    {
        // The handler checks the signature, once it has the body.
        let identity = Identity::new(Proof::Signature, &connection, ApiRole::Operator);
        return Ok(Admitted::Unproved(Some(identity.into())));
    }
    let arrival = door.identify(&request.headers, peer).await?;
    let named =
        |problem: Problem| Stranger { problem: Box::new(problem), name: Some(arrival.identity.name.to_string()) };
    let counted_as = arrival.identity.counted_as();
    take_turn(door, &counted_as, policy.limits.credential_requests_per_s).map_err(named)?;
    check_session(&arrival, &request.headers, changes, is_foreign).map_err(named)?;
    if is_foreign {
        check_explicit(&request.headers).map_err(named)?;
    }
    let Some(endpoint) = endpoint else { return Ok(Admitted::Somebody(arrival)) };
    let Some(need) = need else {
        let only_reads = is_history || is_metadata(request.uri.path());
        return Ok(Admitted::Answered(not_allowed(endpoint, request.uri.path(), only_reads)));
    };
    check_role(door, &arrival.identity, endpoint, need, request).map_err(named)?;
    Ok(Admitted::Somebody(arrival))
}

/// The row of the table for a request; none: there is nothing at its path. What the router has and the table has not is not
/// served.
fn endpoint(request: &Parts) -> Result<Option<&'static Endpoint>, Problem> {
    let Some(path) = request.extensions.get::<MatchedPath>() else { return Ok(None) };
    let missing = || Problem::internal("nobody has said who may use this path");
    Endpoint::at(path.as_str()).map(Some).ok_or_else(missing)
}

/// The answer to a method that an endpoint does not take. `only_reads`: of its methods only those are taken here.
fn not_allowed(endpoint: &Endpoint, path: &str, only_reads: bool) -> Response {
    let detail = format!("{path} does not take this method; the header `allow` says which it takes");
    let mut answer = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail).into_response();
    let taken = endpoint.methods.iter().filter(|(name, _)| *name == "GET" || !only_reads);
    let methods = taken.flat_map(|(name, _)| if *name == "GET" { vec!["GET", "HEAD"] } else { vec![*name] });
    if let Ok(allow) = HeaderValue::from_str(&methods.collect::<Vec<_>>().join(",")) {
        answer.headers_mut().insert(header::ALLOW, allow);
    }
    answer
}

/// While nobody is known, only names of this machine are answered: another one was pointed here by somebody's DNS.
fn check_host(door: &Door, authority: &str) -> Result<(), Problem> {
    if !door.is_open() || is_own_host(authority, door.listen) {
        return Ok(());
    }
    let detail = format!(
        "`{authority}` is not a name of this machine's own, and without credentials only those are answered: use localhost \
         or an address, or make a user with `bulkhead user add`"
    );
    Err(forbidden("foreign-host", detail))
}

/// Pages of other sites change nothing. Browsers that send no `Origin` (with an image, say) tell by `Sec-Fetch-Site`.
fn check_origin(request: &Parts, authority: &str) -> Result<(), Problem> {
    let Some(origin) = header_text(&request.headers, &header::ORIGIN) else {
        let site = header_text(&request.headers, &SEC_FETCH_SITE).unwrap_or_default();
        return match site.as_str() {
            "cross-site" | "same-site" => {
                Err(forbidden("foreign-origin", "a page of another site may not change anything here"))
            }
            _ => Ok(()),
        };
    };
    if is_same_origin(&origin, authority) {
        return Ok(());
    }
    Err(forbidden("foreign-origin", format!("a page of `{origin}` may not change anything here")))
}

/// What a browser adds by itself (a password it remembers, a client certificate, being on this machine) proves nothing about
/// the page of a named origin. A token does, and so does a header that no page can send without having been allowed to.
fn check_explicit(headers: &HeaderMap) -> Result<(), Problem> {
    if is_bearer(headers) || headers.get(CSRF_HEADER).is_some_and(|value| !value.is_empty()) {
        return Ok(());
    }
    let detail = format!(
        "a page of another origin that changes something shows a key or token (Bearer), or says by the header {CSRF_HEADER} \
         that it means to use what the browser sends by itself"
    );
    Err(forbidden("csrf", detail))
}

/// Within a session a page that changes something repeats the session's second secret, and is one of the gateway's own.
fn check_session(arrival: &Arrival, headers: &HeaderMap, changes: bool, is_foreign: bool) -> Result<(), Problem> {
    let Some(session) = arrival.session.as_ref().filter(|_| changes) else { return Ok(()) };
    if is_foreign || !session.is_repeated_by(headers.get(CSRF_HEADER).map(HeaderValue::as_bytes)) {
        let detail =
            format!("within a session what changes something needs the header {CSRF_HEADER}: csrf_token of the login");
        return Err(forbidden("csrf", detail));
    }
    Ok(())
}

/// Whether somebody who is known may do this.
fn check_role(
    door: &Door,
    identity: &Identity,
    endpoint: &Endpoint,
    need: Need,
    request: &Parts,
) -> Result<(), Problem> {
    if !may(identity, need, door.has_admin()) {
        let needed = match need {
            Need::Role(role) => role.name(),
            Need::Webhook => ApiRole::Operator.name(),
            Need::Config | Need::Nobody => ApiRole::Admin.name(),
        };
        let detail = format!("{} has the role {}; this needs the role {needed}", identity.name, identity.role.name());
        return Err(forbidden("role-needed", detail).with("needed", needed));
    }
    match &identity.connections {
        Some(connections) if !endpoint.is_within(connections, request.uri.path(), request.uri.query()) => {
            let detail = "this key is good for some connections only, and this is not about one of them alone";
            Err(forbidden("outside-scope", detail))
        }
        _ => Ok(()),
    }
}

/// One request of a client's, if it has one left.
pub(crate) fn take_turn(door: &Door, client: &str, per_s: u32) -> Result<(), Problem> {
    door.rates.take(client, door.clock.monotonic_ns(), per_s).map_err(too_many)
}

fn too_many(wait: Duration) -> Problem {
    let detail = "too many requests; slow down";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", detail).retry_after(Some(wait))
}

/// Whether a request may change something in the gateway or a device.
pub(crate) fn changes_something(method: &Method, path: &str) -> bool {
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
    fn webhooks_change_something_whatever_their_method() {
        assert!(changes_something(&Method::GET, "/hooks/shop/order"));
        assert!(changes_something(&Method::POST, "/api/v1/x") && changes_something(&Method::DELETE, "/"));
        assert!(!changes_something(&Method::GET, "/api/v1/points") && !changes_something(&Method::HEAD, "/"));
    }
}
