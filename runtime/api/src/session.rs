//! `/api/v1/login`, `…/logout`, `…/session`: people who log in from a browser get a session in a cookie, and a second secret
//! that their page repeats in a header whenever it changes something.

use crate::access::door::Arrival;
use crate::access::scheme::{COOKIE_PLAIN, COOKIE_TLS, Said, said};
use crate::app::Shared;
use crate::gate::Sender;
use crate::limits::WRITE_BODY_MAX_BYTES;
use crate::parameters::Parameters;
use crate::peer::Peer;
use crate::problem::Problem;
use crate::unproved::read_in_time;
use crate::write::check_media_type;
use axum::Json;
use axum::body::Body;
use axum::extract::Extension;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bulkhead_sandbox::capability::Clock;
use serde::Deserialize;
use serde_json::{Value, json};

/// The header in which a page repeats its second secret.
pub(crate) const CSRF_HEADER: HeaderName = HeaderName::from_static("x-csrf-token");

/// Who wants to log in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    username: String,
    password: String,
}

/// Begins a session: `{"username": "…", "password": "…"}`.
pub(crate) async fn log_in(
    state: Shared,
    Extension(peer): Extension<Peer>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    Parameters::parse(uri.query(), &[])?;
    check_media_type(&headers)?;
    let body = read_in_time(body, WRITE_BODY_MAX_BYTES, || state.door.clock.monotonic_ns()).await?;
    let expected = r#"expected {"username": "…", "password": "…"}"#;
    // What serde says could show a part of the password.
    let given: Credentials =
        serde_json::from_slice(&body).map_err(|_| Problem::bad_request("bad-body", expected.to_owned()))?;
    let (token, arrival) =
        state.door.log_in(&given.username, given.password, &peer).await.map_err(|stranger| *stranger.problem)?;
    let lengths = state.door.policy.now().session_lengths();
    let mut answer = Json(shown(&arrival)).into_response();
    set_cookie(&mut answer, peer.channel.tls, &token, lengths.most.as_secs())?;
    answer.extensions_mut().insert(arrival);
    Ok(answer)
}

/// Ends the session of the request.
pub(crate) async fn log_out(
    state: Shared,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if let Said::Cookie(token) = said(&headers, peer.channel.tls) {
        state.door.sessions.end(&token);
    }
    let mut answer = StatusCode::NO_CONTENT.into_response();
    set_cookie(&mut answer, peer.channel.tls, "", 0)?;
    Ok(answer)
}

/// Who the sender is.
pub(crate) async fn show(sender: Sender, uri: Uri) -> Result<Json<Value>, Problem> {
    Parameters::parse(uri.query(), &[])?;
    Ok(Json(shown(&sender)))
}

fn shown(arrival: &Arrival) -> Value {
    let identity = &arrival.identity;
    let mut shown = json!({
        "name": &*identity.name,
        "role": identity.role.name(),
        "proof": identity.proof.name(),
        "connections": identity.connections.as_deref(),
    });
    if let Some(session) = &arrival.session {
        shown["user"] = session.user.clone().into();
        shown["csrf_token"] = session.csrf.clone().into();
    }
    shown
}

fn set_cookie(answer: &mut Response, tls: bool, token: &str, max_age_s: u64) -> Result<(), Problem> {
    let (name, secure) = if tls { (COOKIE_TLS, "; Secure") } else { (COOKIE_PLAIN, "") };
    let cookie = format!("{name}={token}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Strict{secure}");
    let value = HeaderValue::from_str(&cookie).map_err(|_| Problem::internal("the cookie cannot be written"))?;
    answer.headers_mut().insert(header::SET_COOKIE, value);
    Ok(())
}
