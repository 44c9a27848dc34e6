//! `/api/v1/events`: the log as server-sent events, resumable by `Last-Event-ID`.
//!
//! Every event carries `id: <log id>-<seq>`: everything up to that seq has been sent or does not match. There are two:
//!
//! * `readings`: `{"readings": […]}`, at most 256 of them, in order;
//! * `gap`: `{"reason", "from", "to"}`: readings with these numbers are missing, for a reason as in the list of gaps
//!   (`retention`, `dropped-when-full`, `damaged`; `skipped-at-open` where acknowledged readings can be among these;
//!   `unknown` where its record is lost), one event for each stretch; or `other-log`: the id is of another log (it was restored or made anew), and the stream begins with the first
//!   reading there is.
//!
//! Without `Last-Event-ID` and `?after=` the stream begins with the next reading. A comment with an `id` comes at least
//! every 15 seconds, so that a client whose patterns match nothing still moves on. Readings are taken from the log as fast
//! as the client takes them: a slow client lags, nothing is dropped for it and nothing is kept for it in memory.

use crate::app::{App, Shared};
use crate::feed::{Feed, Filter, Start};
use crate::limits::{STREAM_SELECTORS_MAX, STREAMS_MAX};
use crate::parameters::{Parameters, Position};
use crate::problem::Problem;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use bulkhead_config::glob::Selector;
use std::sync::Arc;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Opens a stream: `?after=&connection=&select=`, the last one several times.
pub(crate) async fn events(state: Shared, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let parameters = Parameters::parse(uri.query(), &["after", "connection", "select"])?;
    let start = start(&parameters, &headers)?;
    let filter = filter(&state, &parameters)?;
    let place = Arc::clone(&state.streams).try_acquire_owned().map_err(|_| {
        let detail = format!("{STREAMS_MAX} event streams are open, which is the most; try again later");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after(None)
    })?;
    let feed = Feed::new(state.engine.log().clone(), start, filter, state.shutdown.clone(), place);
    let mut response = Response::new(Body::from_stream(feed.into_stream()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // Some reverse proxies hold answers back until they have a lot of them.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

/// Where to begin: a reconnecting browser's `Last-Event-ID` is newer than the `after` its page once asked for.
fn start(parameters: &Parameters, headers: &HeaderMap) -> Result<Start, Problem> {
    let asked = parameters.position("after")?;
    let Some(last) = headers.get(LAST_EVENT_ID) else {
        return Ok(asked.map_or(Start::Now, Start::After));
    };
    let position = last.to_str().ok().and_then(Position::parse).ok_or_else(|| {
        Problem::bad_request("bad-event-id", "Last-Event-ID is none of this server's: expected <log id>-<seq>")
    })?;
    Ok(Start::After(position))
}

fn filter(app: &App, parameters: &Parameters) -> Result<Filter, Problem> {
    let mut selectors = Vec::new();
    for text in parameters.all("select").take(STREAM_SELECTORS_MAX + 1) {
        let selector = Selector::parse(text).map_err(|error| {
            let problem = Problem::bad_request("bad-parameter", format!("`select={text}`: {error}"));
            problem.with("parameter", "select")
        })?;
        selectors.push(selector);
    }
    if selectors.len() > STREAM_SELECTORS_MAX {
        let detail = format!("more than {STREAM_SELECTORS_MAX} patterns; open several streams");
        return Err(Problem::bad_request("bad-parameter", detail).with("parameter", "select"));
    }
    let connection = parameters.one("connection")?.map(str::to_owned);
    if let Some(name) = &connection {
        crate::points::check_connection(app, &app.engine.log().catalogue(), name)?;
    }
    Ok(Filter { connection, selectors })
}
