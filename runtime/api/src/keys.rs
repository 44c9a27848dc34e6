//! `/api/v1/keys`: API keys, for admins. A key's text is in the answer that made it and nowhere else.

use crate::access::accounts::ApiKey;
use crate::access::key::PREFIX;
use crate::access::store::NewKey;
use crate::app::{App, Shared};
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
use bulkhead_config::{ApiRole, HEALTH_CONNECTION};
use bulkhead_sandbox::capability::Clock;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeSet;

/// A key to be made.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "NewApiKey"))]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// What it is for: 1 to 64 letters, digits, `-`, `_`, `.`, `@` and `+`.
    #[cfg_attr(test, schemars(schema_with = "crate::contract::account_name"))]
    name: String,
    /// What its holder may do; a viewer's without.
    #[serde(default)]
    #[cfg_attr(test, schemars(schema_with = "crate::contract::role"))]
    role: ApiRole,
    /// The connections it is good for; all without.
    #[cfg_attr(test, schemars(with = "Option<BTreeSet<String>>", length(min = 1, max = 100)))]
    connections: Option<Vec<String>>,
    /// Whether connections may be named that are not there yet; refused without.
    #[serde(default)]
    allow_unknown: bool,
    /// When it ends; it does not end by itself without.
    #[serde(default)]
    #[cfg_attr(test, schemars(schema_with = "crate::contract::moment_or_null"))]
    expires: Option<String>,
}

/// API keys.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Keys {
    /// By name.
    keys: Vec<ShownKey>,
}

/// A key, without its secret.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "ApiKey"))]
pub(crate) struct ShownKey {
    /// The connections it is good for; null: all.
    connections: Option<BTreeSet<String>>,
    /// When it was made.
    #[cfg_attr(test, schemars(schema_with = "crate::contract::moment"))]
    created: String,
    /// When it ends; null: it does not by itself.
    #[cfg_attr(test, schemars(schema_with = "crate::contract::moment_or_null"))]
    expires: Option<String>,
    /// Whether that is past.
    has_ended: bool,
    /// What it is for.
    name: String,
    /// What its text begins with.
    prefix: String,
    /// What its holder may do.
    #[cfg_attr(test, schemars(schema_with = "crate::contract::role"))]
    role: &'static str,
}

/// A key that was made.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "MadeApiKey"))]
pub(crate) struct MadeKey {
    #[serde(flatten)]
    key: ShownKey,
    /// Its text, shown this once.
    #[serde(rename = "key")]
    text: String,
}

/// All keys, without their secrets.
pub(crate) async fn all(state: Shared, uri: Uri) -> Result<Json<Keys>, Problem> {
    Parameters::parse(uri.query(), &[])?;
    let accounts = state.door.accounts.current(state.door.clock.monotonic_ns()).await;
    let now_ns = state.door.clock.now().0;
    Ok(Json(Keys { keys: accounts.keys.iter().map(|key| shown(key, now_ns)).collect() }))
}

/// Makes a key: `{"name", "role", "connections", "allow_unknown", "expires"}`, the last three if wanted.
pub(crate) async fn create(
    state: Shared,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<impl IntoResponse, Problem> {
    Parameters::parse(uri.query(), &[])?;
    let form = r#"{"name": "…", "role": "…", "connections": ["…"], "expires": "2027-01-01T00:00:00Z"}"#;
    let Wanted { name, role, connections, allow_unknown, expires } = given(&headers, body, form).await?;
    let end = |text: String| {
        moment::parse(&text)
            .ok_or_else(|| Problem::bad_request("bad-body", "`expires` is no time (RFC 3339)".to_owned()))
    };
    let connections = connections.map(each_once).transpose()?;
    let new = NewKey { name, role, connections, expires: expires.map(end).transpose()? };
    if !allow_unknown {
        check_connections(&state, &new)?;
    }
    let now = state.door.clock.now();
    let (key, text) = changed(&state, move |store| store.create_key(new, now)).await?;
    let key = shown(&key, now.0);
    let note = Note(json!(key));
    Ok((StatusCode::CREATED, Extension(note), Json(MadeKey { key, text })))
}

/// Refuses connections that are neither in the config nor in the log.
fn check_connections(app: &App, new: &NewKey) -> Result<(), Problem> {
    let catalogue = app.engine.log().catalogue();
    let mut known: BTreeSet<String> = app.engine.config().connections.keys().cloned().collect();
    known.insert(HEALTH_CONNECTION.to_owned());
    known.extend(
        new.connections.iter().flatten().filter(|name| catalogue.of_connection(name).next().is_some()).cloned(),
    );
    let allow = "`\"allow_unknown\": true` makes the key for one that comes later";
    new.check_connections(&known).map_err(|error| Problem::from(error).and(allow))
}

fn each_once(names: Vec<String>) -> Result<BTreeSet<String>, Problem> {
    let (given, set) = (names.len(), BTreeSet::from_iter(names));
    let twice = || Problem::bad_request("bad-body", "`connections` names a connection twice");
    if set.len() == given { Ok(set) } else { Err(twice()) }
}

/// Revokes a key, by its prefix or its name.
pub(crate) async fn revoke(state: Shared, Name(key): Name, uri: Uri) -> Result<StatusCode, Problem> {
    Parameters::parse(uri.query(), &[])?;
    changed(&state, move |store| store.revoke_key(&key)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn shown(key: &ApiKey, now_ns: i64) -> ShownKey {
    ShownKey {
        connections: key.connections.clone(),
        created: moment::rfc3339(key.created_ns),
        expires: key.expires_ns.map(moment::rfc3339),
        has_ended: key.expires_ns.is_some_and(|end_ns| now_ns >= end_ns),
        name: key.name.clone(),
        prefix: format!("{PREFIX}{}", key.id),
        role: key.role.name(),
    }
}
