//! `/api/v1/dead-letters`: readings that an upstream refused and frames that an adapter failed on. They are listed,
//! replayed one by one or all of an origin, and discarded.

use crate::app::Shared;
use crate::connections;
use crate::json;
use crate::limits::PAGE_MAX_BYTES;
use crate::moment;
use crate::parameters::Parameters;
use crate::path::Name;
use crate::problem::Problem;
use crate::routes;
use axum::Json;
use axum::http::{StatusCode, Uri};
use base64::Engine as _;
use bulkhead_engine::{Engine, LetterOwner};
use bulkhead_log::{Catalogue, DeadLetter, LetterItem, Log, LostFrame, Row};
use serde_json::{Map, Value, json};

/// Dead letters, the newest first: `?route=&connection=&before=&limit=`.
pub(crate) async fn all(state: Shared, uri: Uri) -> Result<Json<Value>, Problem> {
    let parameters = Parameters::parse(uri.query(), &["route", "connection", "before", "limit"])?;
    let owner = owner(&parameters)?;
    let (before, limit) = (parameters.number("before")?, parameters.limit()?);
    state.with_log(move |log| page(log, owner.as_ref(), before, limit)).await.map(Json)
}

/// The dead letters of a route, the newest first: `?before=&limit=`.
pub(crate) async fn of_route(state: Shared, Name(name): Name, uri: Uri) -> Result<Json<Value>, Problem> {
    let parameters = Parameters::parse(uri.query(), &["before", "limit"])?;
    let (before, limit) = (parameters.number("before")?, parameters.limit()?);
    if !state.engine.config().routes.contains_key(&name) {
        return Err(routes::unknown(&state.engine, &name));
    }
    let owner = LetterOwner::Route(name.clone());
    let answer = state.with_log(move |log| {
        let mut page = page(log, Some(&owner), before, limit)?;
        page["route"] = name.into();
        Ok(page)
    });
    answer.await.map(Json)
}

fn page(log: &Log, owner: Option<&LetterOwner>, before: Option<u64>, limit: usize) -> Result<Value, Problem> {
    let origin = owner.map(LetterOwner::origin);
    let letters = log.dead_letters(origin, before, limit, PAGE_MAX_BYTES)?;
    let has_more = match letters.last() {
        Some(last) => !log.dead_letters(origin, Some(last.id), 1, 1)?.is_empty(),
        None => false,
    };
    let catalogue = log.catalogue();
    let shown: Vec<Value> = letters.iter().map(|letter| shown(letter, &catalogue)).collect();
    let next = letters.last().filter(|_| has_more).map(|last| last.id.to_string());
    let mut page = json!({ "dead_letters": shown, "next": next });
    if let Some(origin) = origin {
        let count = log.dead_letter_count(origin)?;
        page["kept"] = count.kept.into();
        page["dropped"] = count.dropped.into();
    }
    Ok(page)
}

/// One dead letter.
pub(crate) async fn one(state: Shared, Name(letter): Name, uri: Uri) -> Result<Json<Value>, Problem> {
    Parameters::parse(uri.query(), &[])?;
    let id = number(&letter)?;
    let answer = state.with_log(move |log| match log.dead_letter(id)? {
        Some(letter) => Ok(shown(&letter, &log.catalogue())),
        None => Err(bulkhead_engine::EngineError::NoSuchLetter { letter: id }.into()),
    });
    answer.await.map(Json)
}

/// Tries one again.
pub(crate) async fn replay(state: Shared, Name(letter): Name, uri: Uri) -> Result<Json<Value>, Problem> {
    Parameters::parse(uri.query(), &[])?;
    let id = number(&letter)?;
    state.engine.replay(id).await?;
    Ok(Json(json!({ "id": id, "taken": true })))
}

/// Tries all of an origin again: `?route=` or `?connection=`.
pub(crate) async fn replay_all(state: Shared, uri: Uri) -> Result<Json<Value>, Problem> {
    let parameters = Parameters::parse(uri.query(), &["route", "connection"])?;
    let owner = known_owner(&state.engine, &parameters)?;
    let replayed = state.engine.replay_all(&owner).await?;
    Ok(Json(json!({
        "taken": replayed.taken,
        "refused": replayed.refused,
        "stopped": replayed.stopped,
        "kept": replayed.kept,
    })))
}

/// Removes one for good.
pub(crate) async fn discard(state: Shared, Name(letter): Name, uri: Uri) -> Result<StatusCode, Problem> {
    Parameters::parse(uri.query(), &[])?;
    state.engine.discard(number(&letter)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes those of an origin for good: `?route=` or `?connection=`, and `up_to=` for those up to a number.
pub(crate) async fn discard_all(state: Shared, uri: Uri) -> Result<Json<Value>, Problem> {
    let parameters = Parameters::parse(uri.query(), &["route", "connection", "up_to"])?;
    // Those of a route that the config has no more can go, too: its name is not looked up.
    let owner = owner(&parameters)?.ok_or_else(no_owner)?;
    let discarded = state.engine.discard_all(&owner, parameters.number("up_to")?).await?;
    Ok(Json(json!({ "discarded": discarded })))
}

fn number(text: &str) -> Result<u64, Problem> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && i64::try_from(*number).is_ok());
    number.ok_or_else(|| Problem::not_found("no-such-dead-letter", format!("`{text}` is no number of a dead letter")))
}

/// The origin that a query names; none: all.
fn owner(parameters: &Parameters) -> Result<Option<LetterOwner>, Problem> {
    match (parameters.one("route")?, parameters.one("connection")?) {
        (Some(_), Some(_)) => Err(Problem::bad_request("bad-parameter", "give `route` or `connection`, not both")),
        (Some(name), None) => Ok(Some(LetterOwner::Route(name.to_owned()))),
        (None, Some(name)) => Ok(Some(LetterOwner::Connection(name.to_owned()))),
        (None, None) => Ok(None),
    }
}

fn no_owner() -> Problem {
    Problem::bad_request("bad-parameter", "say whose dead letters: `?route=…` or `?connection=…`")
}

/// The origin that a query must name, as the config has it.
fn known_owner(engine: &Engine, parameters: &Parameters) -> Result<LetterOwner, Problem> {
    let owner = owner(parameters)?.ok_or_else(no_owner)?;
    let config = engine.config();
    match &owner {
        LetterOwner::Route(name) if !config.routes.contains_key(name) => Err(routes::unknown(engine, name)),
        LetterOwner::Connection(name) if !config.connections.contains_key(name) => {
            Err(connections::unknown(engine, name))
        }
        _ => Ok(owner),
    }
}

fn shown(letter: &DeadLetter, catalogue: &Catalogue) -> Value {
    let mut members = Map::from_iter([("id".to_owned(), letter.id.into())]);
    match &letter.item {
        LetterItem::Reading { route, row } => put_reading(&mut members, route, row, catalogue),
        LetterItem::Frame { connection, frame } => put_frame(&mut members, connection, frame),
    }
    let error = &letter.error;
    members.insert("code".into(), error.code.clone().into());
    members.insert("message".into(), error.message.clone().into());
    members.insert("tries".into(), error.tries.into());
    members.insert("tried_at".into(), moment::rfc3339(error.time.0).into());
    Value::Object(members)
}

fn put_reading(members: &mut Map<String, Value>, route: &str, row: &Row, catalogue: &Catalogue) {
    members.insert("kind".into(), "reading".into());
    members.insert("route".into(), route.into());
    let point = catalogue.by_id(row.reading.point);
    let reading = match point {
        Some(point) => json::named_reading(row, point),
        None => json::reading(row),
    };
    if let Value::Object(reading) = reading {
        members.extend(reading);
    }
}

fn put_frame(members: &mut Map<String, Value>, connection: &str, frame: &LostFrame) {
    members.insert("kind".into(), "frame".into());
    members.insert("connection".into(), connection.into());
    members.insert("transport".into(), frame.transport.clone().into());
    members.insert("topic".into(), frame.topic.clone().into());
    members.insert("received".into(), moment::rfc3339(frame.received.0).into());
    members.insert("retained".into(), frame.retained.into());
    members.insert("properties".into(), json!(frame.properties));
    members.insert("payload".into(), base64::engine::general_purpose::STANDARD.encode(&frame.payload).into());
    members.insert("payload_bytes".into(), frame.payload_bytes.into());
    let is_cut = frame.payload_bytes > frame.payload.len() as u64;
    members.insert("is_cut".into(), is_cut.into());
}
