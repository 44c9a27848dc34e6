//! `/api/v1/dead-letters`: readings that an upstream refused and frames that an adapter failed on. They are listed,
//! replayed one by one or all of an origin, and discarded.

use crate::app::Shared;
use crate::connections;
use crate::json::{self, ShownReading};
use crate::limits::PAGE_MAX_BYTES;
use crate::moment;
use crate::parameters::Parameters;
use crate::path::Name;
use crate::problem::Problem;
use crate::routes;
use axum::Json;
use axum::http::{StatusCode, Uri};
use base64::Engine as _;
use bulkhead_engine::{Engine, LetterOwner, Replayed};
use bulkhead_log::{Catalogue, DeadLetter, LetterItem, Log, LostFrame, Row};
use serde::Serialize;

/// Dead letters, the newest first.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct LettersPage {
    /// The letters.
    dead_letters: Vec<ShownLetter>,
    /// How many of the route or connection were dropped because newer ones needed their room; only where one is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped: Option<u64>,
    /// How many of the route or connection are kept; only where one is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<u64>,
    /// What to give as `before` for the next page; null: this is the last.
    next: Option<String>,
    /// The route that was asked for in the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<String>,
}

/// Something that could not be delivered.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "DeadLetter"))]
pub(crate) struct ShownLetter {
    /// Why the last try failed, for programs.
    code: String,
    /// Its number, which rises and is never given twice.
    id: u64,
    /// Why the last try failed, for people.
    message: String,
    /// How many tries there were.
    tries: u64,
    /// When the last one was.
    #[cfg_attr(test, schemars(schema_with = "crate::contract::moment"))]
    tried_at: String,
    #[serde(flatten)]
    what: ShownItem,
}

/// What it is.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(inline))]
#[serde(tag = "kind", rename_all = "lowercase")]
enum ShownItem {
    /// A reading that the upstream of a route refused.
    Reading {
        /// The route.
        route: String,
        /// The connection of its point, where the point is still known.
        #[serde(skip_serializing_if = "Option::is_none")]
        connection: Option<String>,
        /// Its point.
        #[serde(skip_serializing_if = "Option::is_none")]
        point: Option<String>,
        #[serde(flatten)]
        reading: ShownReading,
    },
    /// A frame that an adapter failed on twice.
    Frame(ShownFrame),
}

/// A frame that an adapter failed on.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "DeadFrame"))]
struct ShownFrame {
    /// The connection.
    connection: String,
    /// Whether only the beginning of its bytes is kept.
    is_cut: bool,
    /// Its bytes, or the first of them, as base64.
    payload: String,
    /// How many bytes it had.
    payload_bytes: u64,
    /// MQTT 5 user properties: pairs of name and value.
    properties: Vec<(String, String)>,
    /// When it arrived.
    #[cfg_attr(test, schemars(schema_with = "crate::contract::moment"))]
    received: String,
    /// MQTT's retain flag.
    retained: bool,
    /// Its topic; empty for byte streams.
    topic: String,
    /// The role of the transport it came through.
    transport: String,
}

/// A dead letter that was taken.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Taken {
    /// Its number.
    id: u64,
    /// `true`.
    taken: bool,
}

/// What trying many came to.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Replayed"))]
pub(crate) struct ShownReplayed {
    /// How many there are now.
    kept: u64,
    /// Refused again; they stay.
    refused: u64,
    /// Why it ended before the last, where it did.
    stopped: Option<String>,
    /// Taken and removed.
    taken: u64,
}

/// What was discarded.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Discarded {
    /// How many.
    discarded: u64,
}

/// Dead letters, the newest first: `?route=&connection=&before=&limit=`.
pub(crate) async fn all(state: Shared, uri: Uri) -> Result<Json<LettersPage>, Problem> {
    let parameters = Parameters::parse(uri.query(), &["route", "connection", "before", "limit"])?;
    let owner = owner(&parameters)?;
    let (before, limit) = (parameters.number("before")?, parameters.limit()?);
    state.with_log(move |log| page(log, owner.as_ref(), before, limit)).await.map(Json)
}

/// The dead letters of a route, the newest first: `?before=&limit=`.
pub(crate) async fn of_route(state: Shared, Name(name): Name, uri: Uri) -> Result<Json<LettersPage>, Problem> {
    let parameters = Parameters::parse(uri.query(), &["before", "limit"])?;
    let (before, limit) = (parameters.number("before")?, parameters.limit()?);
    if !state.engine.config().routes.contains_key(&name) {
        return Err(routes::unknown(&state.engine, &name));
    }
    let owner = LetterOwner::Route(name.clone());
    let answer = state.with_log(move |log| {
        let mut page = page(log, Some(&owner), before, limit)?;
        page.route = Some(name);
        Ok(page)
    });
    answer.await.map(Json)
}

fn page(log: &Log, owner: Option<&LetterOwner>, before: Option<u64>, limit: usize) -> Result<LettersPage, Problem> {
    let origin = owner.map(LetterOwner::origin);
    let letters = log.dead_letters(origin, before, limit, PAGE_MAX_BYTES)?;
    let has_more = match letters.last() {
        Some(last) => !log.dead_letters(origin, Some(last.id), 1, 1)?.is_empty(),
        None => false,
    };
    let catalogue = log.catalogue();
    let next = letters.last().filter(|_| has_more).map(|last| last.id.to_string());
    let dead_letters = letters.into_iter().map(|letter| shown(letter, &catalogue)).collect();
    let count = origin.map(|origin| log.dead_letter_count(origin)).transpose()?;
    let (kept, dropped) = (count.as_ref().map(|count| count.kept), count.as_ref().map(|count| count.dropped));
    Ok(LettersPage { dead_letters, dropped, kept, next, route: None })
}

/// One dead letter.
pub(crate) async fn one(state: Shared, Name(letter): Name, uri: Uri) -> Result<Json<ShownLetter>, Problem> {
    Parameters::parse(uri.query(), &[])?;
    let id = number(&letter)?;
    let answer = state.with_log(move |log| match log.dead_letter(id)? {
        Some(letter) => Ok(shown(letter, &log.catalogue())),
        None => Err(bulkhead_engine::EngineError::NoSuchLetter { letter: id }.into()),
    });
    answer.await.map(Json)
}

/// Tries one again.
pub(crate) async fn replay(state: Shared, Name(letter): Name, uri: Uri) -> Result<Json<Taken>, Problem> {
    Parameters::parse(uri.query(), &[])?;
    let id = number(&letter)?;
    state.engine.replay(id).await?;
    Ok(Json(Taken { id, taken: true }))
}

/// Tries all of an origin again: `?route=` or `?connection=`.
pub(crate) async fn replay_all(state: Shared, uri: Uri) -> Result<Json<ShownReplayed>, Problem> {
    let parameters = Parameters::parse(uri.query(), &["route", "connection"])?;
    let owner = known_owner(&state.engine, &parameters)?;
    let Replayed { taken, refused, stopped, kept } = state.engine.replay_all(&owner).await?;
    Ok(Json(ShownReplayed { kept, refused, stopped, taken }))
}

/// Removes one for good.
pub(crate) async fn discard(state: Shared, Name(letter): Name, uri: Uri) -> Result<StatusCode, Problem> {
    Parameters::parse(uri.query(), &[])?;
    state.engine.discard(number(&letter)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes those of an origin for good: `?route=` or `?connection=`, and `up_to=` for those up to a number.
pub(crate) async fn discard_all(state: Shared, uri: Uri) -> Result<Json<Discarded>, Problem> {
    let parameters = Parameters::parse(uri.query(), &["route", "connection", "up_to"])?;
    // Those of a route that the config has no more can go, too: its name is not looked up.
    let owner = owner(&parameters)?.ok_or_else(no_owner)?;
    let discarded = state.engine.discard_all(&owner, parameters.number("up_to")?).await?;
    Ok(Json(Discarded { discarded }))
}

fn number(text: &str) -> Result<u64, Problem> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && i64::try_from(*number).is_ok());
    number.ok_or_else(|| Problem::not_found("no-such-dead-letter", format!("`{text}` is no number of a dead letter")))
}

/// The origin that a query names; none: all.
fn owner(parameters: &Parameters) -> Result<Option<LetterOwner>, Problem> {
    match (parameters.name("route")?, parameters.name("connection")?) {
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

fn shown(letter: DeadLetter, catalogue: &Catalogue) -> ShownLetter {
    let DeadLetter { id, item, error, .. } = letter;
    ShownLetter {
        code: error.code,
        id,
        message: error.message,
        tries: error.tries.into(),
        tried_at: moment::rfc3339(error.time.0),
        what: match item {
            LetterItem::Reading { route, row } => shown_reading(route, &row, catalogue),
            LetterItem::Frame { connection, frame } => ShownItem::Frame(shown_frame(connection, frame)),
        },
    }
}

fn shown_reading(route: String, row: &Row, catalogue: &Catalogue) -> ShownItem {
    let point = catalogue.by_id(row.reading.point);
    ShownItem::Reading {
        route,
        connection: point.map(|point| point.connection.to_string()),
        point: point.map(|point| point.info.name.clone()),
        reading: json::reading(row),
    }
}

fn shown_frame(connection: String, frame: LostFrame) -> ShownFrame {
    ShownFrame {
        connection,
        is_cut: frame.payload_bytes > frame.payload.len() as u64,
        payload: base64::engine::general_purpose::STANDARD.encode(&frame.payload),
        payload_bytes: frame.payload_bytes,
        properties: frame.properties,
        received: moment::rfc3339(frame.received.0),
        retained: frame.retained,
        topic: frame.topic,
        transport: frame.transport,
    }
}
