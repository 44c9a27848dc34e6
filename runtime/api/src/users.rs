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
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewUser {
    name: String,
    role: ApiRole,
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    password: String,
}

/// All users.
pub(crate) async fn all(state: Shared, uri: Uri) -> Result<Json<Value>, Problem> {
    Parameters::parse(uri.query(), &[])?;
    let accounts = state.door.accounts.current(state.door.clock.monotonic_ns()).await;
    let users: Vec<Value> = accounts.users.iter().map(|user| shown(&user.name, user.role)).collect();
    Ok(Json(json!({ "users": users })))
}

/// Makes a user: `{"name", "role", "password"}`.
pub(crate) async fn add(state: Shared, uri: Uri, headers: HeaderMap, body: Body) -> Result<impl IntoResponse, Problem> {
    Parameters::parse(uri.query(), &[])?;
    let NewUser { name, role, password } =
        given(&headers, body, r#"{"name": "…", "role": "…", "password": "…"}"#).await?;
    let made = shown(&name, role);
    changed(&state, move |store| store.add_user(&name, role, &password)).await?;
    Ok((StatusCode::CREATED, Extension(Note(made.clone())), Json(made)))
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

fn shown(name: &str, role: ApiRole) -> Value {
    json!({ "name": name, "role": role.name() })
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
