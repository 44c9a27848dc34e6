//! `/api/v1/users`: who may use the API with a password, for admins. Passwords go in and never come out.

use crate::access::store::AccountStore;
use crate::app::{App, Shared};
use crate::audit::Note;
use crate::error::ApiError;
use crate::limits::WRITE_BODY_MAX_BYTES;
use crate::parameters::Parameters;
use crate::path::Name;
use crate::problem::{Problem, task_failed};
use crate::write::{check_media_type, read_body};
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use bulkhead_config::ApiRole;
use bulkhead_sandbox::capability::Clock;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A user to be made.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUser {
    /// 1 to 64 letters, digits, `-`, `_`, `.`, `@` and `+`.
    #[cfg_attr(test, schemars(schema_with = "crate::contract::account_name"))]
    name: String,
    /// What they may do.
    #[cfg_attr(test, schemars(schema_with = "crate::contract::role"))]
    role: ApiRole,
    /// At least 8 characters.
    #[cfg_attr(test, schemars(schema_with = "crate::contract::password"))]
    password: String,
}

/// Another password.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPassword {
    /// At least 8 characters.
    #[cfg_attr(test, schemars(schema_with = "crate::contract::password"))]
    password: String,
}

/// Users.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Users {
    /// By name.
    users: Vec<ShownUser>,
}

/// A user, without the password.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "User"))]
pub(crate) struct ShownUser {
    /// The name.
    name: String,
    /// What they may do.
    #[cfg_attr(test, schemars(schema_with = "crate::contract::role"))]
    role: &'static str,
}

/// All users.
pub(crate) async fn all(state: Shared, uri: Uri) -> Result<Json<Users>, Problem> {
    Parameters::parse(uri.query(), &[])?;
    let accounts = state.door.accounts.current(state.door.clock.monotonic_ns()).await;
    Ok(Json(Users { users: accounts.users.iter().map(|user| shown(&user.name, user.role)).collect() }))
}

/// Makes a user: `{"name", "role", "password"}`.
pub(crate) async fn add(state: Shared, uri: Uri, headers: HeaderMap, body: Body) -> Result<impl IntoResponse, Problem> {
    Parameters::parse(uri.query(), &[])?;
    let NewUser { name, role, password } =
        given(&headers, body, r#"{"name": "…", "role": "…", "password": "…"}"#).await?;
    let made = shown(&name, role);
    changed(&state, move |store| store.add_user(&name, role, &password)).await?;
    Ok((StatusCode::CREATED, Extension(Note(json!(made))), Json(made)))
}

/// Gives a user another password: `{"password"}`. Their sessions end.
pub(crate) async fn set_password(
    state: Shared,
    Name(user): Name,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    Parameters::parse(uri.query(), &[])?;
    let NewPassword { password } = given(&headers, body, r#"{"password": "…"}"#).await?;
    changed(&state, move |store| store.set_password(&user, &password)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a user. Their sessions end.
pub(crate) async fn remove(state: Shared, Name(user): Name, uri: Uri) -> Result<StatusCode, Problem> {
    Parameters::parse(uri.query(), &[])?;
    changed(&state, move |store| store.remove_user(&user)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn shown(name: &str, role: ApiRole) -> ShownUser {
    ShownUser { name: name.to_owned(), role: role.name() }
}

/// A body of a form that is stated; what is wrong with it is not repeated, because it can hold secrets.
pub(crate) async fn given<T: DeserializeOwned>(headers: &HeaderMap, body: Body, form: &str) -> Result<T, Problem> {
    check_media_type(headers)?;
    let body = read_body(body, WRITE_BODY_MAX_BYTES).await?;
    serde_json::from_slice(&body).map_err(|_| Problem::bad_request("bad-body", format!("expected {form}")))
}

/// Changes users or keys, off the async threads, and has the server know it at once.
pub(crate) async fn changed<T: Send + 'static>(
    app: &App,
    change: impl FnOnce(&AccountStore) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, Problem> {
    let store = app.door.accounts.store.clone();
    let done = tokio::task::spawn_blocking(move || change(&store)).await.map_err(|error| task_failed(&error))??;
    app.door.accounts.look(app.door.clock.monotonic_ns()).await;
    Ok(done)
}
