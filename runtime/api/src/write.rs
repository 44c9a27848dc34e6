//! `POST /api/v1/connections/{connection}/points/{point}`: a value for a point, answered with what the device says
//! afterwards.

use crate::app::{App, Shared};
use crate::audit::Note;
use crate::gate::Sender;
use crate::idempotency;
use crate::json;
use crate::limits::WRITE_BODY_MAX_BYTES;
use crate::moment;
use crate::parameters::Parameters;
use crate::path::PointPath;
use crate::problem::Problem;
use axum::Json;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bulkhead_engine::{Command, Written};
use bulkhead_model::{Kind, Value};
use json::ShownReading;
use serde::Serialize;
use serde_json::{Value as Given, json};

/// What a write came to.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Written"))]
pub(crate) struct ShownWritten {
    /// What the device said afterwards; null where the connection cannot be polled.
    read_back: Option<ShownReading>,
    /// What was sent to the device.
    #[cfg_attr(test, schemars(schema_with = "crate::contract::value"))]
    written: Given,
}

/// Writes `{"value": …}` or `{"text": "…"}`.
pub(crate) async fn write(state: Shared, sender: Sender, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    Parameters::parse(parts.uri.query(), &[])?;
    let path = PointPath::parse(parts.uri.path())?;
    check_media_type(&parts.headers)?;
    let body = read_body(body, WRITE_BODY_MAX_BYTES).await?;
    idempotency::once(&state, &sender, &parts, &body, written(&state, &path, &body)).await
}

async fn written(app: &App, path: &PointPath, body: &[u8]) -> Result<Response, Problem> {
    let catalogue = app.engine.log().catalogue();
    let kind = catalogue.by_name(&path.connection, &path.point).map(|point| point.info.kind);
    let command = command(body, kind)?;
    let shown = shown(&app.engine.write(&path.connection, &path.point, command).await?);
    let mut answer = Json(&shown).into_response();
    answer.extensions_mut().insert(Note(json!({ "written": shown.written })));
    Ok(answer)
}

/// Only JSON: what a page of another site can send without being asked first (a form, plain text) is refused.
pub(crate) fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = given.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let detail = format!("the body is `{given}`: expected application/json");
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", detail))
}

/// A body of at most `max` bytes.
pub(crate) async fn read_body(body: Body, max: usize) -> Result<bytes::Bytes, Problem> {
    use http_body_util::{BodyExt, LengthLimitError, Limited};
    match Limited::new(body, max).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large(max)),
        Err(error) => Err(Problem::bad_request("bad-body", format!("the body could not be read: {error}"))),
    }
}

/// The answer to a body that is longer than it may be.
pub(crate) fn too_large(max: usize) -> Problem {
    let detail = format!("the body has more than {max} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", detail)
}

fn bad_body(detail: impl Into<String>) -> Problem {
    Problem::bad_request("bad-body", detail)
}

/// The command of a body, for a point of a kind; the kind of an unknown point is unknown.
fn command(body: &[u8], kind: Option<Kind>) -> Result<Command, Problem> {
    let expected = r#"expected {"value": …} or {"text": "…"}"#;
    let parsed: Given = serde_json::from_slice(body).map_err(|error| bad_body(format!("{expected}: {error}")))?;
    let members = parsed.as_object().filter(|members| members.len() == 1);
    let Some((name, given)) = members.and_then(|members| members.iter().next()) else {
        return Err(bad_body(expected));
    };
    match (name.as_str(), given) {
        ("text", Given::String(text)) => Ok(Command::Text(text.clone())),
        ("value", given) => value(given, kind),
        (other, _) if other != "text" => Err(bad_body(format!("unknown member `{other}`; {expected}"))
            .near(bulkhead_config::nearest(other, &["value", "text"]))),
        _ => Err(bad_body(format!("`text` is no text; {expected}"))),
    }
}

/// A JSON value as a command. Whether it fits the point, the engine decides.
fn value(given: &Given, kind: Option<Kind>) -> Result<Command, Problem> {
    let command = match given {
        Given::Bool(value) => Command::Value(Value::Boolean(*value)),
        // Digits stay digits: a detour over a floating-point number would change them.
        Given::Number(number) if kind == Some(Kind::Decimal) => Command::Text(number.to_string()),
        Given::Number(number) => Command::Value(match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::Integer(whole),
            (None, Some(real)) => Value::Real(real),
            (None, None) => return Err(bad_body(format!("{number} is no number this gateway can hold"))),
        }),
        Given::String(text) => Command::Value(text_value(text, kind)),
        Given::Null | Given::Array(_) | Given::Object(_) => {
            return Err(bad_body("`value` must be a number, true, false or a text"));
        }
    };
    Ok(command)
}

/// A JSON text: a moment or a length of time where the point is one and the text reads as one.
fn text_value(text: &str, kind: Option<Kind>) -> Value {
    let special = match kind {
        Some(Kind::Time) => rfc3339_moment(text).map(Value::Time),
        Some(Kind::Duration) => moment::parse_duration(text).map(Value::Duration),
        _ => None,
    };
    special.unwrap_or_else(|| Value::Text(text.to_owned()))
}

/// RFC 3339 only: plain digits are nanoseconds to the engine, not milliseconds.
fn rfc3339_moment(text: &str) -> Option<i64> {
    if text.parse::<i64>().is_ok() { None } else { moment::parse(text).map(|time| time.0) }
}

fn shown(written: &Written) -> ShownWritten {
    let read_back = written.read_back.as_ref().map(json::reading);
    ShownWritten { read_back, written: json::value(&written.value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(body: &str, kind: Kind) -> Option<Command> {
        command(body.as_bytes(), Some(kind)).ok()
    }

    #[test]
    fn bodies_become_commands() {
        let value = |value| Some(Command::Value(value));
        assert_eq!(of(r#"{"value": 55}"#, Kind::Real), value(Value::Integer(55)));
        assert_eq!(of(r#"{"value": 55.5}"#, Kind::Real), value(Value::Real(55.5)));
        assert_eq!(of(r#"{"value": true}"#, Kind::Boolean), value(Value::Boolean(true)));
        assert_eq!(of(r#"{"value": 0.10}"#, Kind::Decimal), Some(Command::Text("0.1".into())));
        assert_eq!(of(r#"{"text": "on"}"#, Kind::Boolean), Some(Command::Text("on".into())));
        assert_eq!(of(r#"{"value": "1970-01-01T00:00:01Z"}"#, Kind::Time), value(Value::Time(1_000_000_000)));
        assert_eq!(of(r#"{"value": "PT2S"}"#, Kind::Duration), value(Value::Duration(2_000_000_000)));
        assert_eq!(of(r#"{"value": "7"}"#, Kind::Time), value(Value::Text("7".into())));
    }

    #[test]
    fn what_is_no_command_is_refused() {
        for body in
            ["", "5", "{}", r#"{"value": null}"#, r#"{"value": 1, "text": "1"}"#, r#"{"text": 1}"#, r#"{"val": 1}"#]
        {
            assert_eq!(of(body, Kind::Real), None, "{body}");
        }
        let near = command(br#"{"valu": 1}"#, None).unwrap_err();
        assert!(format!("{near:?}").contains("did you mean `value`?"));
    }
}
