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
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The header in which a page repeats its second secret.
pub(crate) const CSRF_HEADER: HeaderName = HeaderName::from_static("x-csrf-token");

/// Who wants to log in.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    /// The user's name.
    username: String,
    /// The password.
    password: String,
}

/// Who sends a request.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Sender"))]
pub(crate) struct ShownSender {
    /// The connections that the key is good for; null: all.
    connections: Option<BTreeSet<String>>,
    /// What the page repeats in the header `X-CSRF-Token`; only within a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    csrf_token: Option<String>,
    /// The user, key, credential or certificate.
    name: String,
    /// How they proved it.
    proof: &'static str,
    /// What they may do.
    #[cfg_attr(test, schemars(schema_with = "crate::contract::role"))]
    role: &'static str,
    /// The user of the session; only within one.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
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
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    Parameters::parse(uri.query(), &[])?;
    if let Said::Cookie(token) = said(&headers, peer.channel.tls) {
        state.door.sessions.end(&token);
    }
    let mut answer = StatusCode::NO_CONTENT.into_response();
    set_cookie(&mut answer, peer.channel.tls, "", 0)?;
    Ok(answer)
}

/// Who the sender is.
pub(crate) async fn show(sender: Sender, uri: Uri) -> Result<Json<ShownSender>, Problem> {
    Parameters::parse(uri.query(), &[])?;
    Ok(Json(shown(&sender)))
}

fn shown(arrival: &Arrival) -> ShownSender {
    let (identity, session) = (&arrival.identity, arrival.session.as_ref());
    ShownSender {
        connections: identity.connections.as_deref().cloned(),
        csrf_token: session.map(|session| session.csrf.clone()),
        name: identity.name.to_string(),
        proof: identity.proof.name(),
        role: identity.role.name(),
        user: session.map(|session| session.user.clone()),
    }
}

fn set_cookie(answer: &mut Response, tls: bool, token: &str, max_age_s: u64) -> Result<(), Problem> {
    let (name, secure) = if tls { (COOKIE_TLS, "; Secure") } else { (COOKIE_PLAIN, "") };
    let cookie = format!("{name}={token}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Strict{secure}");
    let value = HeaderValue::from_str(&cookie).map_err(|_| Problem::internal("the cookie cannot be written"))?;
    answer.headers_mut().insert(header::SET_COOKIE, value);
    Ok(())
}
