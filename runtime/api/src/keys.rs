//! `/api/v1/keys`: API keys, for admins. A key's text is in the answer that made it and nowhere else.

use crate::access::accounts::ApiKey;
use crate::access::key::PREFIX;
use crate::access::store::NewKey;
use crate::app::Shared;
use crate::audit::Note;
use crate::moment;
use crate::parameters::Parameters;
use crate::path::Name;
use crate::problem::Problem;
use crate::users::{changed, given};
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use bulkhead_config::ApiRole;
use bulkhead_sandbox::capability::Clock;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    name: String,
    #[serde(default)]
    role: ApiRole,
    connections: Option<BTreeSet<String>>,
    expires: Option<String>,
}

/// All keys, without their secrets.
pub(crate) async fn all(state: Shared, uri: Uri) -> Result<Json<Value>, Problem> {
    Parameters::parse(uri.query(), &[])?;
    let accounts = state.door.accounts.current(state.door.clock.monotonic_ns()).await;
    let now_ns = state.door.clock.now().0;
    let keys: Vec<Value> = accounts.keys.iter().map(|key| shown(key, now_ns)).collect();
    Ok(Json(json!({ "keys": keys })))
}

/// Makes a key: `{"name", "role", "connections", "expires"}`, the last two if wanted.
pub(crate) async fn create(
    state: Shared,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<impl IntoResponse, Problem> {
    Parameters::parse(uri.query(), &[])?;
    let form = r#"{"name": "…", "role": "…", "connections": ["…"], "expires": "2027-01-01T00:00:00Z"}"#;
    let Wanted { name, role, connections, expires } = given(&headers, body, form).await?;
    let end = |text: String| {
        moment::parse(&text)
            .ok_or_else(|| Problem::bad_request("bad-body", "`expires` is no time (RFC 3339)".to_owned()))
    };
    let new = NewKey { name, role, connections, expires: expires.map(end).transpose()? };
    let now = state.door.clock.now();
    let (key, text) = changed(&state, move |store| store.create_key(new, now)).await?;
    let mut made = shown(&key, now.0);
    let note = Note(made.clone());
    made["key"] = text.into();
    Ok((StatusCode::CREATED, Extension(note), Json(made)))
}

/// Revokes a key, by its prefix or its name.
pub(crate) async fn revoke(state: Shared, Name(key): Name, uri: Uri) -> Result<StatusCode, Problem> {
    Parameters::parse(uri.query(), &[])?;
    changed(&state, move |store| store.revoke_key(&key)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn shown(key: &ApiKey, now_ns: i64) -> Value {
    json!({
        "name": key.name,
        "prefix": format!("{PREFIX}{}", key.id),
        "role": key.role.name(),
        "connections": key.connections,
        "created": moment::rfc3339(key.created_ns),
        "expires": key.expires_ns.map(moment::rfc3339),
        "has_ended": key.expires_ns.is_some_and(|end_ns| now_ns >= end_ns),
    })
}
