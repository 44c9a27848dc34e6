//! `/api/v1/connections/{connection}/tap`: a connection at work, live, one JSON object a line (NDJSON), secrets covered.
//!
//! What a line is, its member `kind` says:
//!
//! * `tap`: the first; from here on everything is told;
//! * `call`, `return`: the host calls the adapter, and what it brought: readings, a reply, a fault;
//! * `exchange`: what the adapter asked of the host, over a transport or not, and what was answered;
//! * `fault`: a fault reported beside the readings; `said`: a line for the journal;
//! * `dropped`: so many lines found no room in the tap's queue here, because they were not fetched as fast as they came;
//! * `end`: the last, with the reason; it is missing when the gateway stops.
//!
//! An empty line comes at least every 15 seconds. `?show=` (`calls`, `frames`, `readings`, `faults`; several times) leaves the
//! others out, `?for_s=` ends the tap after so many seconds, `?whole=true` shows long payloads whole.

mod cover;
mod shape;

use crate::app::{App, Shared};
use crate::limits::{HEARTBEAT, TAP_LOOK, TAP_MAX_S, TAP_PAYLOAD_MAX_BYTES, TAP_WHOLE_MAX_BYTES, TAPS_MAX};
use crate::moment;
use crate::parameters::Parameters;
use crate::path::Name;
use crate::problem::Problem;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use bulkhead_config::{AnyAdapter, Config};
use bulkhead_engine::EngineError;
use bulkhead_sandbox::capability::Clock;
use bulkhead_sandbox::tap::{Heard, Kinds, Listening, TAP_QUEUE_MAX_EVENTS};
use bytes::Bytes;
use cover::Cover;
use futures_util::stream::{Stream, unfold};
use serde_json::{Value as Json, json};
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

/// Where the connections of the API are.
const CONNECTIONS: &str = "/api/v1/connections/";

/// Whether a path is a tap's, which shows what an operator alone may see.
pub(crate) fn is_tap(path: &str) -> bool {
    path.strip_prefix(CONNECTIONS).and_then(|rest| rest.split_once('/')).is_some_and(|(_, last)| last == "tap")
}

/// Opens a tap.
pub(crate) async fn tap(state: Shared, Name(name): Name, uri: Uri) -> Result<Response, Problem> {
    let parameters = Parameters::parse(uri.query(), &["show", "for_s", "whole"])?;
    let asked = Asked::of(&parameters)?;
    if !state.engine.config().connections.contains_key(&name) {
        return Err(crate::connections::unknown(&state.engine, &name));
    }
    let place = Arc::clone(&state.taps).try_acquire_owned().map_err(|_| {
        let detail = format!("{TAPS_MAX} taps are open, which is the most; try again later");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after(None)
    })?;
    // Taken before the secrets are: if it is another by then, they are looked up again.
    let config = state.engine.config();
    let cover = Cover::of(&state).await.ok_or_else(|| Problem::from(EngineError::Stopping))?;
    let listening = state.engine.tap(&name, asked.kinds).map_err(Problem::from)?;
    let until = asked.for_s.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let app = Arc::clone(&state.0);
    let stream = Told { app, name, listening, cover, config, asked, until, stage: Stage::Beginning, _place: place };
    let mut response = Response::new(Body::from_stream(stream.into_stream()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    // Some reverse proxies hold answers back until they have a lot of them.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

/// What a tap is asked for.
struct Asked {
    kinds: Kinds,
    for_s: Option<u64>,
    payload_max_bytes: usize,
}

impl Asked {
    fn of(parameters: &Parameters) -> Result<Self, Problem> {
        let wrong = |name: &str, text: &str, expected: String| {
            let detail = format!("`{name}={text}`: expected {expected}");
            Problem::bad_request("bad-parameter", detail).with("parameter", name)
        };
        let mut kinds = Kinds::NONE;
        for text in parameters.all("show") {
            match text {
                "calls" => kinds.calls = true,
                "frames" => kinds.frames = true,
                "readings" => kinds.readings = true,
                "faults" => kinds.faults = true,
                _ => return Err(wrong("show", text, "calls, frames, readings or faults".into())),
            }
        }
        if kinds == Kinds::NONE {
            kinds = Kinds::ALL;
        }
        let for_s = parameters.number("for_s")?;
        if let Some(given) = for_s.filter(|given| !(1..=TAP_MAX_S).contains(given)) {
            return Err(wrong("for_s", &given.to_string(), format!("1 to {TAP_MAX_S}")));
        }
        let payload_max_bytes = match parameters.one("whole")? {
            None | Some("false") => TAP_PAYLOAD_MAX_BYTES,
            Some("true") => TAP_WHOLE_MAX_BYTES,
            Some(text) => return Err(wrong("whole", text, "true or false".into())),
        };
        Ok(Self { kinds, for_s, payload_max_bytes })
    }
}

/// How far a tap's stream has got.
#[derive(PartialEq, Eq)]
enum Stage {
    Beginning,
    Going,
    Ended,
}

/// One tap at work.
struct Told {
    app: Arc<App>,
    name: String,
    listening: Listening,
    cover: Cover,
    /// The config whose secrets `cover` knows.
    config: Arc<Config>,
    asked: Asked,
    until: Option<Instant>,
    stage: Stage,
    _place: OwnedSemaphorePermit,
}

impl Told {
    fn into_stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        unfold(self, async |mut told| {
            let line = told.next().await?;
            Some((Ok(line), told))
        })
    }

    /// The next line with its end.
    async fn next(&mut self) -> Option<Bytes> {
        match self.stage {
            Stage::Ended => return None,
            Stage::Beginning => {
                self.stage = Stage::Going;
                return Some(line(&self.first()));
            }
            Stage::Going => {}
        }
        let silence_ends = Instant::now() + HEARTBEAT;
        let mut look = tokio::time::interval_at(Instant::now() + TAP_LOOK, TAP_LOOK);
        let shutdown = self.app.shutdown.clone();
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return None,
                () = at(self.until) => return Some(self.end("the time that was asked for is over")),
                heard = self.listening.next() => {
                    self.follow_config().await?;
                    return Some(line(&self.shown(&heard)));
                }
                _ = look.tick() => {
                    if !self.app.engine.config().connections.contains_key(&self.name) {
                        return Some(self.end("the connection is no longer in the config"));
                    }
                    if Instant::now() >= silence_ends {
                        return Some(Bytes::from_static(b"\n"));
                    }
                }
            }
        }
    }

    /// Knows the secrets of the config that runs before anything is shown that happened under it.
    async fn follow_config(&mut self) -> Option<()> {
        let config = self.app.engine.config();
        if !Arc::ptr_eq(&config, &self.config) {
            self.cover = Cover::of(&self.app).await?;
            self.config = config;
        }
        Some(())
    }

    fn first(&self) -> Json {
        let connection = self.config.connections.get(&self.name);
        json!({
            "kind": "tap",
            "time": moment::rfc3339(self.app.engine.clock().now().0),
            "connection": self.name,
            "adapter": connection.map(|connection| &connection.adapter),
            "queue_max": TAP_QUEUE_MAX_EVENTS,
            "payload_max_bytes": self.asked.payload_max_bytes,
        })
    }

    fn shown(&self, heard: &Heard) -> Json {
        match heard {
            Heard::Event(event) => shape::event(event, &self.cover, self.asked.payload_max_bytes),
            Heard::Dropped(events) => json!({ "kind": "dropped", "events": events }),
        }
    }

    fn end(&mut self, reason: &str) -> Bytes {
        self.stage = Stage::Ended;
        line(&json!({ "kind": "end", "reason": reason }))
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

fn line(told: &Json) -> Bytes {
    Bytes::from(format!("{told}\n"))
}

impl Cover {
    /// What the running config says is to be covered. None: the gateway stops.
    async fn of(app: &App) -> Option<Self> {
        let secrets = match &app.operations.config {
            Some(live) => live.redacted().await?,
            // Without a file there is nothing that could name a secret's source.
            None => bulkhead_config::redacted("", Path::new(""), &AnyAdapter),
        };
        Some(Self::new(secrets, &app.engine.config().tap))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tap_is_told_from_a_point_of_that_name() {
        assert!(is_tap("/api/v1/connections/boiler/tap"));
        assert!(!is_tap("/api/v1/connections/boiler/points/tap"));
        assert!(!is_tap("/api/v1/connections/tap") && !is_tap("/api/v1/points/tap"));
    }

    #[test]
    fn what_is_asked_for_is_taken_strictly() {
        let asked = |query| Parameters::parse(Some(query), &["show", "for_s", "whole"]).and_then(|p| Asked::of(&p));
        assert_eq!(asked("").unwrap().kinds, Kinds::ALL);
        let some = asked("show=frames&show=faults&for_s=10&whole=true").unwrap();
        assert_eq!(some.kinds, Kinds { frames: true, faults: true, ..Kinds::NONE });
        assert_eq!((some.for_s, some.payload_max_bytes), (Some(10), TAP_WHOLE_MAX_BYTES));
        for wrong in ["show=all", "for_s=0", "for_s=86401", "whole=1"] {
            assert!(asked(wrong).is_err(), "{wrong}");
        }
    }
}
