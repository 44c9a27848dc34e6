//! `/api/v1/import`: history from files, CSV or NDJSON, into the log.
//!
//! The body is the whole file, however often it is sent: what is in the log already is passed over, after it was seen to be the
//! same. A thread takes the file apart ([`parts`]); pieces reach it through a bounded channel.

pub(crate) mod bounds;
mod columns;
pub mod fuzzing;
mod moments;
mod parts;
mod records;
mod rows;
mod settings;

use crate::access::random;
use crate::app::{App, Shared};
use crate::audit::Note;
use crate::moment;
use crate::parameters::Parameters;
use crate::path::Name;
use crate::problem::{Problem, no_such_connection, task_failed};
use axum::Json;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bounds::{DISCARD_MAX, IMPORTS_AT_ONCE_MAX, PIECE_BYTES, PIECES_AHEAD, STALL_MAX};
use bulkhead_engine::SystemClock;
use bulkhead_log::ImportMark;
use bytes::Bytes;
use http_body_util::BodyExt;
use parking_lot::Mutex;
pub(crate) use parts::ShownImport;
use parts::{Intake, shown};
use rows::BadRow;
use serde::Serialize;
use serde_json::json;
use settings::Settings;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::mpsc;

/// The path of imports, which take as long as their file is long.
pub(crate) const PATH: &str = "/api/v1/import";

/// What an import came to.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Imported {
    /// Bad rows.
    bad: u64,
    /// The first of them, one by one.
    bad_rows: Vec<BadRow>,
    /// The least time of its readings.
    #[cfg_attr(test, schemars(schema_with = "crate::contract::moment_or_null"))]
    from: Option<String>,
    #[serde(flatten)]
    import: ShownImport,
    /// Readings that this request brought.
    imported: u64,
    /// Readings that were in the log before, by the same import.
    known: u64,
    /// The greatest time of its readings.
    #[cfg_attr(test, schemars(schema_with = "crate::contract::moment_or_null"))]
    to: Option<String>,
}

/// The imports that are under way, by name.
#[derive(Clone, Default)]
pub(crate) struct Underway(Arc<Mutex<BTreeSet<String>>>);

/// An import's place among them, given back when its thread has ended.
struct Place {
    all: Underway,
    id: String,
}

impl Underway {
    fn begin(&self, id: &str) -> Result<Place, Problem> {
        let mut all = self.0.lock();
        if all.contains(id) {
            let detail = format!("the import `{id}` is under way");
            return Err(Problem::new(StatusCode::CONFLICT, "import-running", detail).retry_after(None));
        }
        if all.len() >= IMPORTS_AT_ONCE_MAX {
            let detail = format!("{IMPORTS_AT_ONCE_MAX} imports are under way, which is the most; try again later");
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after(None));
        }
        all.insert(id.to_owned());
        Ok(Place { all: self.clone(), id: id.to_owned() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.all.0.lock().remove(&self.id);
    }
}

/// What reaches the thread.
enum Piece {
    Bytes(Bytes),
    /// The file has been read to its end.
    End,
}

/// Imports a file.
pub(crate) async fn import(state: Shared, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let media_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if parts.headers.contains_key(header::CONTENT_ENCODING) {
        let detail = "send the file as it is, not compressed";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", detail));
    }
    let settings = Settings::of(media_type, parts.uri.query())?;
    check_connection(&state, &settings)?;
    let id = match &settings.id {
        Some(id) => id.clone(),
        None => random::hex(&random::bytes::<8>()?),
    };
    let place = state.imports.begin(&id)?;
    let is_trial = settings.dry_run;
    let mark = match is_trial {
        true => None,
        false => mark_of(&state, &id).await?,
    };
    let before = mark.unwrap_or_else(|| ImportMark { id: id.clone(), ..ImportMark::default() });
    let known = before.rows;
    let (pieces, waiting) = mpsc::channel(PIECES_AHEAD);
    let (log, config) = (state.engine.log().clone(), state.engine.config());
    let working = tokio::task::spawn_blocking(move || {
        let _place = place;
        let mut intake = Intake::new(log, config, SystemClock::default(), settings, before);
        let outcome = work(&mut intake, waiting);
        (outcome, intake.mark, intake.done)
    });
    feed(body, pieces).await?;
    let (outcome, mark, done) = working.await.map_err(|error| task_failed(&error))?;
    let state = match is_trial {
        true => "trial",
        false if mark.done => "done",
        false => "broken-off",
    };
    let note = Note(json!({ "id": id, "readings": done.readings, "set_aside": done.bad }));
    let told = Imported {
        bad: done.bad,
        bad_rows: done.bad_rows,
        from: done.times.map(|(least, _)| moment::rfc3339(least.0)),
        import: shown(&mark, state),
        imported: done.readings,
        known: known + done.forgotten,
        to: done.times.map(|(_, most)| moment::rfc3339(most.0)),
    };
    let mut answer = match outcome {
        Ok(()) => Json(told).into_response(),
        Err(problem) => problem.with("import", json!(told)).into_response(),
    };
    answer.extensions_mut().insert(note);
    Ok(answer)
}

/// A connection that is given for all rows is told once if it is none, and not with each row.
fn check_connection(state: &Shared, settings: &Settings) -> Result<(), Problem> {
    let Some(name) = &settings.connection else { return Ok(()) };
    let config = state.engine.config();
    if parts::is_connection(name, &config, &state.engine.log().catalogue()) {
        return Ok(());
    }
    let known: Vec<String> = config.connections.keys().cloned().collect();
    Err(no_such_connection(name, &known))
}

/// Takes pieces until the file or the request ends. Blocks.
fn work(intake: &mut Intake<SystemClock>, mut pieces: mpsc::Receiver<Piece>) -> Result<(), Problem> {
    let mut is_whole = false;
    let mut taken = Ok(());
    while let Some(piece) = pieces.blocking_recv() {
        match piece {
            Piece::Bytes(bytes) => taken = intake.push(&bytes),
            Piece::End => is_whole = true,
        }
        if taken.is_err() || is_whole {
            break;
        }
    }
    let outcome = taken.and_then(|()| intake.finish(is_whole));
    if outcome.is_err() {
        intake.give_up();
    }
    outcome
}

/// Hands a body on, piece by piece.
async fn feed(mut body: Body, pieces: mpsc::Sender<Piece>) -> Result<(), Problem> {
    loop {
        let frame = tokio::time::timeout(STALL_MAX, body.frame()).await.map_err(|_| {
            let detail = format!("nothing more of the file came for {} s; send it again to go on", STALL_MAX.as_secs());
            Problem::new(StatusCode::REQUEST_TIMEOUT, "body-too-slow", detail)
        })?;
        let Some(frame) = frame else {
            // Where the thread has ended, its outcome says why.
            let _ = pieces.send(Piece::End).await;
            return Ok(());
        };
        let frame =
            frame.map_err(|error| Problem::bad_request("bad-body", format!("the body could not be read: {error}")))?;
        let Ok(mut data) = frame.into_data() else { continue };
        while !data.is_empty() {
            let piece = data.split_to(data.len().min(PIECE_BYTES));
            if pieces.send(Piece::Bytes(piece)).await.is_err() {
                // Who sends without reading would never get to read why.
                let _ =
                    tokio::time::timeout(DISCARD_MAX, async { while let Some(Ok(_)) = body.frame().await {} }).await;
                return Ok(());
            }
        }
    }
}

/// How far an import has come.
pub(crate) async fn one(state: Shared, Name(id): Name, uri: Uri) -> Result<Json<ShownImport>, Problem> {
    Parameters::parse(uri.query(), &[])?;
    let is_running = state.imports.0.lock().contains(&id);
    let mark = mark_of(&state, &id).await?;
    let state = match &mark {
        _ if is_running => "running",
        Some(mark) if mark.done => "done",
        Some(_) => "broken-off",
        None => return Err(Problem::not_found("no-such-import", format!("nobody has heard of an import `{id}`"))),
    };
    let mark = mark.unwrap_or_else(|| ImportMark { id, ..ImportMark::default() });
    Ok(Json(shown(&mark, state)))
}

async fn mark_of(app: &App, id: &str) -> Result<Option<ImportMark>, Problem> {
    let id = id.to_owned();
    app.with_log(move |log| Ok(log.import_mark(&id)?)).await
}
