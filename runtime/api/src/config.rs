//! `/api/v1/config`: the running config, and the ways to another one. What is refused leaves the running one as it is.

use crate::access::door::Arrival;
use crate::access::identity::Proof;
use crate::app::{App, Shared};
use crate::audit::Note;
use crate::gate::Sender;
use crate::limits::CONFIG_BODY_MAX_BYTES;
use crate::parameters::Parameters;
use crate::path::Name;
use crate::problem::Problem;
use crate::write::read_body;
use axum::Json;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bulkhead_config::{Diagnostic, Diagnostics};
use bulkhead_engine::{Applied, Current, LiveConfig, Refusal, Trigger};
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;

const MEDIA_TYPE: &str = "application/toml";

/// How the running config stands to the file.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ConfigStatus {
    /// The file.
    file: String,
    /// Keys whose change takes effect at the next start only.
    needs_restart: Vec<&'static str>,
    /// Why what stands in the file does not run; null: it does.
    refused: Option<String>,
    /// The tag of the running config.
    tag: String,
}

/// What a check found.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Checked {
    /// What is wrong or doubtful.
    #[cfg_attr(test, schemars(with = "Vec<crate::contract::DiagnosticShape>"))]
    diagnostics: Vec<Diagnostic>,
    /// Whether it would be taken.
    ok: bool,
    /// What `bulkhead check` prints.
    text: String,
}

/// The running config as TOML, secrets covered; its tag in `ETag`.
pub(crate) async fn show(state: Shared, uri: Uri) -> Result<Response, Problem> {
    Parameters::parse(uri.query(), &[])?;
    let current = live(&state)?.current();
    let mut response = current.shown.to_string().into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    Ok(tagged(response, &current.tag))
}

/// Whether the running config is the one in the file, and what of it waits for the next start.
pub(crate) async fn status(state: Shared, uri: Uri) -> Result<Json<ConfigStatus>, Problem> {
    Parameters::parse(uri.query(), &[])?;
    let live = live(&state)?;
    let current = live.current();
    let file = live.path().to_string_lossy().into_owned();
    let Current { tag, needs_restart, refused, .. } = current;
    Ok(Json(ConfigStatus { file, needs_restart, refused, tag }))
}

/// Takes up a config in TOML that was made from the one whose tag `If-Match` gives, and writes it to the file.
pub(crate) async fn put(
    state: Shared,
    sender: Sender,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    Parameters::parse(uri.query(), &[])?;
    let live = live(&state)?;
    let text = config_text(&sender, &headers, body).await?;
    let expected = expected(headers.get(header::IF_MATCH), &live.current().tag)?;
    applied(live.put(text, expected).await)
}

/// Checks a config in TOML as [`put`] would, and changes nothing.
pub(crate) async fn check(
    state: Shared,
    sender: Sender,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Checked>, Problem> {
    Parameters::parse(uri.query(), &[])?;
    let live = live(&state)?;
    let text = config_text(&sender, &headers, body).await?;
    let shown = |ok: bool, diagnostics: &Diagnostics| {
        Json(Checked { diagnostics: diagnostics.items.clone(), ok, text: diagnostics.plain() })
    };
    match live.check(text).await {
        Ok(warnings) => Ok(shown(true, &warnings)),
        Err(Refusal::Invalid(diagnostics)) => Ok(shown(false, &diagnostics)),
        Err(Refusal::CannotFollow(reason)) => {
            Ok(Json(Checked { diagnostics: Vec::new(), ok: false, text: format!("{reason}\n") }))
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// Has the config's file read again.
pub(crate) async fn reload(state: Shared, uri: Uri) -> Result<Response, Problem> {
    Parameters::parse(uri.query(), &[])?;
    match live(&state)?.reread(Trigger::Asked).await {
        Ok(Some(done)) => applied(Ok(done)),
        Ok(None) => Err(Problem::internal("a reload that was asked for changed nothing and said nothing")),
        Err(refusal) => Err(refusal.into()),
    }
}

/// Goes back to the config before.
pub(crate) async fn roll_back(state: Shared, uri: Uri) -> Result<Response, Problem> {
    Parameters::parse(uri.query(), &[])?;
    applied(live(&state)?.roll_back().await)
}

/// Switches a connection on.
pub(crate) async fn enable(state: Shared, sender: Sender, Name(name): Name, uri: Uri) -> Result<Response, Problem> {
    Parameters::parse(uri.query(), &[])?;
    may_send_config(&sender)?;
    applied(Ok(switched(&state, &name, true).await?))
}

/// Switches a connection off.
pub(crate) async fn disable(state: Shared, sender: Sender, Name(name): Name, uri: Uri) -> Result<Response, Problem> {
    Parameters::parse(uri.query(), &[])?;
    may_send_config(&sender)?;
    applied(Ok(switched(&state, &name, false).await?))
}

/// Changes `enabled` of a connection as the config's author would: everything else of its text stays.
pub(crate) async fn switched(app: &App, connection: &str, enabled: bool) -> Result<Applied, Problem> {
    let live = live(app)?;
    if !app.engine.config().connections.contains_key(connection) {
        return Err(crate::connections::unknown(&app.engine, connection));
    }
    let current = live.current();
    let text = bulkhead_config::switched(&current.shown, connection, enabled).ok_or_else(|| {
        let detail = format!(
            "the config does not have `[connections.{connection}]` as a table of its own: set `enabled = {enabled}` there"
        );
        Problem::new(StatusCode::CONFLICT, "not-in-place", detail)
    })?;
    // Made from the config that runs: another one in between is the other's right.
    live.put(text, Some(current.tag)).await.map_err(|refusal| match refusal {
        refusal @ Refusal::Outdated { .. } => Problem::new(StatusCode::CONFLICT, "outdated", refusal.to_string()),
        refusal => refusal.into(),
    })
}

fn live(app: &App) -> Result<&Arc<LiveConfig>, Problem> {
    app.operations.config.as_ref().ok_or_else(|| {
        Problem::not_found("no-config-file", "this gateway was started without a config file that could be changed")
    })
}

/// Whether a change of the config is taken from somebody: not while nobody is known, and everybody is taken for local.
fn may_send_config(sender: &Arrival) -> Result<(), Problem> {
    if sender.identity.proof != Proof::Nothing {
        return Ok(());
    }
    let detail = "while nobody is known here the API takes no config: make a user with `bulkhead user add`, or change the \
                  file instead";
    Err(Problem::new(StatusCode::FORBIDDEN, "needs-credential", detail))
}

/// The body as text, from somebody who may send a config: it names files and addresses, so that without credentials
/// everybody on the machine could have them read and sent elsewhere.
async fn config_text(sender: &Arrival, headers: &HeaderMap, body: Body) -> Result<String, Problem> {
    may_send_config(sender)?;
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !given.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(MEDIA_TYPE) {
        let detail = format!("the body is `{given}`: expected {MEDIA_TYPE}");
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", detail));
    }
    let bytes = read_body(body, CONFIG_BODY_MAX_BYTES).await?;
    String::from_utf8(bytes.into()).map_err(|_| Problem::bad_request("bad-body", "the body is not UTF-8"))
}

/// The tag that the running config must have; none: any will do. `current` is the one it has.
fn expected(if_match: Option<&HeaderValue>, current: &str) -> Result<Option<String>, Problem> {
    let Some(if_match) = if_match else {
        let detail = "say from which config this one was made: If-Match with the ETag of GET /api/v1/config, or *";
        return Err(Problem::new(StatusCode::PRECONDITION_REQUIRED, "if-match-needed", detail));
    };
    let wrong = || Problem::bad_request("bad-if-match", "If-Match is none of this server's: expected \"<tag>\" or *");
    let text = if_match.to_str().map_err(|_| wrong())?.trim();
    if text == "*" {
        return Ok(None);
    }
    let tag = |tag: &str| tag.trim().strip_prefix('"')?.strip_suffix('"').map(str::to_owned);
    let tags: Vec<String> = text.split(',').map(tag).collect::<Option<_>>().ok_or_else(wrong)?;
    let found = tags.iter().find(|tag| *tag == current).or(tags.first());
    found.cloned().map(Some).ok_or_else(wrong)
}

fn applied(outcome: Result<Applied, Refusal>) -> Result<Response, Problem> {
    let done = outcome?;
    let tag = done.tag.clone();
    let mut answer = tagged(Json(json!(done)).into_response(), &tag);
    answer.extensions_mut().insert(Note(json!({ "tag": tag })));
    Ok(answer)
}

fn tagged(mut response: Response, tag: &str) -> Response {
    // A tag is a log's id and a number: it makes a header.
    if let Ok(value) = HeaderValue::from_str(&format!("\"{tag}\"")) {
        response.headers_mut().insert(header::ETAG, value);
    }
    response
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::Invalid(diagnostics) => {
                let detail = format!("the config has {} mistakes; the running one stays", diagnostics.errors());
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-config", detail)
                    .with("diagnostics", json!(diagnostics.items))
                    .with("text", diagnostics.plain())
            }
            Refusal::CannotFollow(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-config", detail),
            Refusal::Outdated { tag } => {
                Self::new(StatusCode::PRECONDITION_FAILED, "outdated-config", detail).with("tag", tag)
            }
            Refusal::FileEdited { .. } => Self::new(StatusCode::CONFLICT, "file-edited", detail),
            Refusal::File { .. } => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "config-file", detail),
            Refusal::NothingBefore => Self::new(StatusCode::CONFLICT, "nothing-before", detail),
            Refusal::Stopping => Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", detail).retry_after(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_needed_and_read_as_the_standard_has_it() {
        let of = |text: &'static str| expected(Some(&HeaderValue::from_static(text)), "a-2");
        assert_eq!(of("*").unwrap(), None);
        assert_eq!(of("\"a-2\"").unwrap().as_deref(), Some("a-2"));
        assert_eq!(of("\"a-1\", \"a-2\"").unwrap().as_deref(), Some("a-2"), "one of several will do");
        assert_eq!(of("\"a-1\"").unwrap().as_deref(), Some("a-1"));
        for wrong in ["a-2", "W/\"a-2\"", "\"a-2", ""] {
            assert_eq!(of(wrong).unwrap_err().status(), StatusCode::BAD_REQUEST, "{wrong}");
        }
        assert_eq!(expected(None, "a-2").unwrap_err().status(), StatusCode::PRECONDITION_REQUIRED);
    }
}
