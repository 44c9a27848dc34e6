//! `/hooks/{connection}/{path}`: webhooks, answered by the connection's adapter after its readings are committed.

use crate::access::policy::Policy;
use crate::app::{App, Shared};
use crate::gate::{HOOKS_PREFIX, Sender, take_turn};
use crate::idempotency;
use crate::limits::HOOK_BODY_MAX_BYTES;
use crate::path::decode;
use crate::problem::{Problem, no_such_path};
use crate::signature::Signer;
use crate::unproved::{Unproved, read_in_time};
use crate::write::read_body;
use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use bulkhead_engine::{WebhookReply, WebhookRequest};
use bulkhead_sandbox::capability::Clock;

/// Header fields that never reach an adapter: they are how clients show who they are.
const WITHHELD: [HeaderName; 3] = [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE];

/// Header fields of an adapter's reply that are the server's to set (RFC 9110 §7.6.1), or that would speak for the whole
/// origin.
const REPLY_WITHHELD: [HeaderName; 7] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::SET_COOKIE,
    header::STRICT_TRANSPORT_SECURITY,
    header::WWW_AUTHENTICATE,
];

/// Hands a request to the connection's adapter and sends what it answers.
pub(crate) async fn hook(state: Shared, sender: Sender, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let (connection, path) = target(parts.uri.path())?;
    let policy = state.door.policy.now();
    let hook = policy.hooks.get(&connection);
    let body_max_bytes = hook.map_or(HOOK_BODY_MAX_BYTES, |hook| hook.body_max_bytes);
    let unproved = parts.extensions.get::<Unproved>();
    let body = match unproved {
        Some(_) => read_in_time(body, body_max_bytes, || state.door.clock.monotonic_ns()).await?,
        None => read_body(body, body_max_bytes).await?,
    };
    if let Some(signer) = hook.and_then(|hook| hook.signer.as_ref()) {
        check_signature(&state, signer, &parts, &body)?;
    }
    if let Some(unproved) = unproved {
        unproved.proved();
    }
    // Only now: what has no right signature must not use up the turns of the true sender.
    if let Some(hook) = hook {
        take_turn(&state.door, &format!("hook:{connection}"), hook.requests_per_s)?;
    }
    let request = WebhookRequest {
        method: parts.method.as_str().to_owned(),
        path,
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: handed_on(&parts.headers),
        body: body.clone().into(),
    };
    idempotency::once(&state, &sender, &parts, &body, async {
        let reply = state.engine.respond(&connection, request).await.map_err(Problem::of_responder)?;
        answer(&connection, reply)
    })
    .await
}

/// The connection of a path whose webhooks are signed.
pub(crate) fn signed_connection(policy: &Policy, path: &str) -> Option<String> {
    let (connection, _) = target(path).ok()?;
    policy.hooks.get(&connection)?.signer.as_ref().map(|_| connection)
}

/// A wrong signature is no failure of its address: a secret that is worth its name cannot be guessed, and behind the same
/// address may be the true sender.
fn check_signature(app: &App, signer: &Signer, request: &Parts, body: &[u8]) -> Result<(), Problem> {
    let now_s = app.door.clock.now().0 / 1_000_000_000;
    let checked = signer.check(&request.headers, body, now_s);
    checked.map_err(|reason| Problem::new(StatusCode::UNAUTHORIZED, "bad-signature", reason))
}

/// The connection of a hook's path, and the path below it with its first slash.
fn target(path: &str) -> Result<(String, String), Problem> {
    let rest = path.strip_prefix(HOOKS_PREFIX).ok_or_else(|| no_such_path(path))?;
    let (connection, below) = rest.split_once('/').unwrap_or((rest, ""));
    Ok((decode(connection)?, format!("/{below}")))
}

/// The header fields an adapter sees, names in lower case.
fn handed_on(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .filter(|(name, _)| !WITHHELD.contains(name))
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}

fn answer(connection: &str, reply: WebhookReply) -> Result<Response, Problem> {
    let wrong = |what: String| {
        let detail = format!("connection {connection}: the adapter's reply cannot be sent: {what}");
        Problem::new(StatusCode::BAD_GATEWAY, "bad-reply", detail)
    };
    // 1xx are not answers; an adapter has no business with them.
    let status = StatusCode::from_u16(reply.status).ok().filter(|status| status.as_u16() >= 200);
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = status.ok_or_else(|| wrong(format!("its status is {}", reply.status)))?;
    for (name, value) in reply.headers {
        let name: HeaderName = name.parse().map_err(|_| wrong(format!("`{name}` is no header name")))?;
        let value =
            HeaderValue::from_str(&value).map_err(|_| wrong(format!("its header {name} has control characters")))?;
        if !REPLY_WITHHELD.contains(&name) {
            response.headers_mut().append(name, value);
        }
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_do_not_reach_adapters() {
        let mut headers = HeaderMap::new();
        for name in ["authorization", "cookie", "proxy-authorization", "x-signature"] {
            headers.insert(name, HeaderValue::from_static("s3cret"));
        }
        assert_eq!(handed_on(&headers), [("x-signature".to_owned(), "s3cret".to_owned())]);
    }

    #[test]
    fn a_hooks_path_keeps_its_encoding_below_the_connection() {
        assert_eq!(target("/hooks/shop/a%2Fb/c").unwrap(), ("shop".into(), "/a%2Fb/c".into()));
        assert_eq!(target("/hooks/shop").unwrap(), ("shop".into(), "/".into()));
    }

    #[test]
    fn replies_cannot_split_or_hijack() {
        let reply = |status, name: &str, value: &str| {
            answer("shop", WebhookReply { status, headers: vec![(name.into(), value.into())], body: b"ok".to_vec() })
        };
        let fine = reply(202, "Set-Cookie", "a=b").unwrap();
        assert!(fine.status() == StatusCode::ACCEPTED && fine.headers().is_empty());
        assert!(reply(200, "x-a", "b\r\nx-c: d").is_err() && reply(200, "x a", "b").is_err());
        assert!(reply(100, "x-a", "b").is_err() && reply(99, "x-a", "b").is_err());
    }
}
