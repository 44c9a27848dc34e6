//! Pages of the log: a point's history, and everything behind a cursor. Both go by seq, so that rows that arrive while a
//! client pages are neither missed nor repeated.

use crate::app::{App, Shared};
use crate::holes;
use crate::json;
use crate::listing::{self, FORMAT, Form, TEXT};
use crate::page::Page;
use crate::parameters::{Parameters, Position};
use crate::path::PointPath;
use crate::points;
use crate::problem::Problem;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use bulkhead_log::{Log, LogError, LogId};
use bulkhead_model::Seq;
use holes::ShownHole;
use json::{ShownNamedReading, ShownReading};
use serde::Serialize;

/// Readings of a point, in the order of the log.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct HistoryPage {
    /// The lowest seq that the log still has.
    first_available_seq: u64,
    /// What to give as `after` for the next page; null: this is the last.
    next: Option<String>,
    /// The readings.
    readings: Vec<ShownReading>,
}

impl listing::Page for HistoryPage {
    type Row = ShownReading;
    const COLUMNS: &'static [&'static str] = &["seq", "time", "status", "status_name", "value"];

    fn rows(&self) -> &[ShownReading] {
        &self.readings
    }

    fn next(&self) -> Option<&str> {
        self.next.as_deref()
    }
}

/// Readings behind a cursor, in the order of the log.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct PullPage {
    /// What to give as `after` next time, also when nothing has come.
    cursor: String,
    /// The lowest seq that the log still has.
    first_available_seq: u64,
    /// What was deleted before it was fetched.
    gap: Option<Span>,
    /// The id of the log.
    log: String,
    /// Why numbers are missing, a stretch each.
    missing: Vec<ShownHole>,
    /// Whether there is more behind the cursor already.
    more: bool,
    /// The readings.
    readings: Vec<ShownNamedReading>,
}

impl listing::Page for PullPage {
    type Row = ShownNamedReading;
    const COLUMNS: &'static [&'static str] = &["seq", "connection", "point", "time", "status", "status_name", "value"];

    fn rows(&self) -> &[ShownNamedReading] {
        &self.readings
    }

    fn next(&self) -> Option<&str> {
        Some(&self.cursor)
    }
}

/// A stretch of seqs; both ends belong to it.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Span {
    /// The first.
    from: u64,
    /// The last.
    to: u64,
}

/// The history of a point: `?from=&to=&after=&limit=`; `from` belongs to it, `to` does not.
pub(crate) async fn of_point(app: &App, path: &PointPath, uri: &Uri, headers: &HeaderMap) -> Result<Response, Problem> {
    let parameters = Parameters::parse(uri.query(), &["from", "to", "after", "limit", FORMAT, TEXT])?;
    let form = Form::asked(&parameters, headers)?;
    let (from, to) = (parameters.moment("from")?, parameters.moment("to")?);
    let position = parameters.position("after")?;
    let limit = parameters.limit()?;
    let point = points::find(app, &path.connection, &path.point)?;
    let answer = app.with_log(move |log| {
        let after = seq_in(&log.id(), position)?;
        let page = Page::read(after, limit, |after, limit| log.history(point.id, from, to, after, limit))?;
        let next = page.last_seq().filter(|_| page.more).map(|seq| seq.to_string());
        let readings = page.rows.iter().map(json::reading).collect();
        Ok(HistoryPage { first_available_seq: log.stats().first_available, next, readings })
    });
    form.answer(&answer.await?, uri)
}

/// The seq of a position, if it is one of this log.
fn seq_in(log: &LogId, position: Option<Position>) -> Result<Seq, Problem> {
    match position {
        Some(Position { log: Some(other), .. }) if other != log.as_str() => {
            let detail = format!("the cursor is of log {other}, this is log {log}: begin anew without `after`");
            Err(Problem::new(StatusCode::GONE, "other-log", detail).with("log", log.as_str()))
        }
        Some(position) => Ok(position.seq),
        None => Ok(0),
    }
}

/// Everything behind a cursor: `?after=&limit=`. `cursor` is what to give as `after` next time, also when there is
/// nothing now. Rows that retention has dropped meanwhile are named in `gap`.
pub(crate) async fn pull(state: Shared, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let parameters = Parameters::parse(uri.query(), &["after", "limit", FORMAT, TEXT])?;
    let form = Form::asked(&parameters, &headers)?;
    let (position, limit) = (parameters.position("after")?, parameters.limit()?);
    let page = state.with_log(move |log| pull_page(log, position, limit)).await?;
    form.answer(&page, &uri)
}

fn pull_page(log: &Log, position: Option<Position>, limit: usize) -> Result<PullPage, Problem> {
    let id = log.id();
    let is_begin = position.is_none();
    let asked = seq_in(&id, position)?;
    let (page, gap) = read_over_gap(log, asked, limit)?;
    // Where the page begins: what was dropped before it is told below.
    let begun = gap.map_or(asked, |(_, to)| to);
    let mut missing = Vec::new();
    if let Some((from, to)) = gap.filter(|_| !is_begin) {
        missing = holes::of_span(log, from, to)?;
    }
    missing.extend(holes::between(log, begun, &page.rows)?);
    missing.retain(|one| holes::is_told(log, one));
    // Who begins anew has missed nothing.
    let gap = gap.filter(|_| !is_begin);
    let catalogue = log.catalogue();
    let readings = page
        .rows
        .iter()
        .filter_map(|row| Some(json::named_reading(row, catalogue.by_id(row.reading.point)?)))
        .collect();
    let reached = page.last_seq().or(gap.map(|(_, to)| to)).unwrap_or(asked);
    Ok(PullPage {
        cursor: cursor(&id, reached),
        first_available_seq: log.stats().first_available,
        gap: gap.map(|(from, to)| Span { from, to }),
        log: id.as_str().to_owned(),
        missing: missing.iter().map(holes::shown).collect(),
        more: page.more,
        readings,
    })
}

/// A cursor as clients get it.
pub(crate) fn cursor(log: &LogId, seq: Seq) -> String {
    format!("{log}-{seq}")
}

/// Reads behind a seq; where retention has dropped rows behind it, from the first one kept, with the seqs between.
fn read_over_gap(log: &Log, after: Seq, limit: usize) -> Result<(Page, Option<(Seq, Seq)>), LogError> {
    let mut position = after;
    loop {
        match Page::read(position, limit, |after, limit| log.read(after, limit)) {
            Ok(page) => {
                let gap = (position > after).then_some((after + 1, position));
                return Ok((page, gap));
            }
            // Retention may go on while this reads; it moves forward each time, so this ends.
            Err(LogError::Gone { first_available, .. }) if first_available > position + 1 => {
                position = first_available - 1;
            }
            Err(error) => return Err(error),
        }
    }
}
