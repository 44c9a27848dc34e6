//! The gateway's HTTP API as a client sees it.

use crate::wait::within;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value as Json;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Longest wait for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(70);
/// Rows of a page of readings.
const PAGE_ROWS: usize = 1000;

/// A reading as the API shows it. `unit` and `kind` come with latest readings only.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[expect(missing_docs, reason = "the API's own names")]
pub struct Reading {
    pub seq: u64,
    pub connection: String,
    pub point: String,
    pub time: String,
    pub status: u32,
    pub status_name: String,
    pub value: Json,
    #[serde(default)]
    pub unit: Option<String>,
    #[serde(default)]
    pub kind: Option<String>,
}

impl Reading {
    /// Whether it is of this point, named `connection/point`.
    #[must_use]
    pub fn is_of(&self, name: &str) -> bool {
        name.split_once('/') == Some((self.connection.as_str(), self.point.as_str()))
    }

    /// Whether its status is Good.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.status == 0
    }
}

/// A connection as the API shows it.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "the API's own names")]
pub struct Connection {
    pub name: String,
    pub state: String,
    pub reason: Option<String>,
    pub transports: Vec<Transport>,
    pub points: u64,
    pub counters: BTreeMap<String, u64>,
    pub faults: BTreeMap<String, u64>,
    pub last_fault: Option<Fault>,
    pub dead_letters: u64,
}

/// A transport as the API shows it.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "the API's own names")]
pub struct Transport {
    pub role: String,
    pub target: String,
    pub state: String,
    pub reason: Option<String>,
    pub counters: BTreeMap<String, u64>,
}

/// The newest fault of a connection.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "the API's own names")]
pub struct Fault {
    pub point: Option<String>,
    pub code: String,
    pub message: String,
}

/// A route as the API shows it.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "the API's own names")]
pub struct Route {
    pub name: String,
    pub state: String,
    pub reason: Option<String>,
    pub cursor: u64,
    pub backlog: u64,
    pub accepted: u64,
    pub rejected: u64,
    pub retries: u64,
    pub resent: u64,
    pub dead_letters: u64,
}

/// A declared point as the API shows it.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "the API's own names")]
pub struct Point {
    pub connection: String,
    pub name: String,
    pub kind: String,
    pub unit: Option<String>,
    pub group: Option<String>,
    pub writable: bool,
}

/// What a write was answered with.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "the API's own names")]
pub struct Written {
    pub written: Json,
    pub read_back: Option<Json>,
}

/// A write that was refused: the problem's status, code and detail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// The problem's code.
    pub code: String,
    /// The problem's text.
    pub detail: String,
}

/// A client of one gateway.
#[derive(Debug, Clone)]
pub struct Api {
    base: String,
    client: reqwest::Client,
}

impl Api {
    /// A client of the gateway at `http://address`.
    ///
    /// # Errors
    /// Where the HTTP client cannot be made.
    pub fn new(base: &str) -> Result<Self> {
        // Ring is the one TLS provider here; that another test has installed it already is no failure.
        _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().connect_timeout(ANSWER_MAX).build()?;
        Ok(Self { base: base.trim_end_matches('/').to_owned(), client })
    }

    /// The URL of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Status and body of a GET.
    ///
    /// # Errors
    /// Where no answer comes.
    pub async fn get(&self, path: &str) -> Result<(u16, String)> {
        let url = self.url(path);
        let response = self.client.get(&url).timeout(ANSWER_MAX).send().await.with_context(|| format!("GET {url}"))?;
        Ok((response.status().as_u16(), response.text().await?))
    }

    /// The JSON of a GET that is answered with 200.
    ///
    /// # Errors
    /// Where it is answered otherwise.
    pub async fn json(&self, path: &str) -> Result<Json> {
        let (status, body) = self.get(path).await?;
        ensure!(status == 200, "GET {path}: {status} {body}");
        serde_json::from_str(&body).with_context(|| format!("GET {path}: {body}"))
    }

    /// Status and body of a request without a body: `POST`, `DELETE`.
    ///
    /// # Errors
    /// Where no answer comes.
    pub async fn send(&self, method: reqwest::Method, path: &str) -> Result<(u16, Json)> {
        let url = self.url(path);
        let request = self.client.request(method, &url).timeout(ANSWER_MAX);
        let response = request.send().await.with_context(|| url)?;
        let status = response.status().as_u16();
        let body = response.text().await?;
        Ok((status, serde_json::from_str(&body).unwrap_or(Json::String(body))))
    }

    /// The dead letters of everybody, the newest first.
    ///
    /// # Errors
    /// As [`Api::json`].
    pub async fn dead_letters(&self) -> Result<Vec<Json>> {
        self.list("/api/v1/dead-letters", "dead_letters").await
    }

    async fn list<T: for<'de> Deserialize<'de>>(&self, path: &str, member: &str) -> Result<Vec<T>> {
        let answer = self.json(path).await?;
        serde_json::from_value(answer[member].clone()).with_context(|| format!("GET {path}: {answer}"))
    }

    /// All connections.
    ///
    /// # Errors
    /// As [`Api::json`].
    pub async fn connections(&self) -> Result<Vec<Connection>> {
        self.list("/api/v1/connections", "connections").await
    }

    /// One connection.
    ///
    /// # Errors
    /// As [`Api::json`].
    pub async fn connection(&self, name: &str) -> Result<Connection> {
        let answer = self.json(&format!("/api/v1/connections/{name}")).await?;
        serde_json::from_value(answer.clone()).with_context(|| format!("connection {name}: {answer}"))
    }

    /// One route.
    ///
    /// # Errors
    /// As [`Api::json`].
    pub async fn route(&self, name: &str) -> Result<Route> {
        let answer = self.json(&format!("/api/v1/routes/{name}")).await?;
        serde_json::from_value(answer.clone()).with_context(|| format!("route {name}: {answer}"))
    }

    /// All points.
    ///
    /// # Errors
    /// As [`Api::json`].
    pub async fn points(&self) -> Result<Vec<Point>> {
        self.list("/api/v1/points", "points").await
    }

    /// The latest reading of every point that has one.
    ///
    /// # Errors
    /// As [`Api::json`].
    pub async fn latest(&self) -> Result<Vec<Reading>> {
        self.list("/api/v1/latest", "readings").await
    }

    /// Every reading of the log, in order.
    ///
    /// # Errors
    /// As [`Api::json`].
    pub async fn readings(&self) -> Result<Vec<Reading>> {
        let mut readings: Vec<Reading> = Vec::new();
        let mut after = "0".to_owned();
        loop {
            let page = self.json(&format!("/api/v1/readings?after={after}&limit={PAGE_ROWS}")).await?;
            readings.extend(serde_json::from_value::<Vec<Reading>>(page["readings"].clone())?);
            page["cursor"].as_str().context("a page without a cursor")?.clone_into(&mut after);
            if page["more"] != Json::Bool(true) {
                return Ok(readings);
            }
        }
    }

    /// Writes to a point.
    ///
    /// # Errors
    /// Where no answer comes; a refusal is an answer.
    pub async fn write(&self, connection: &str, point: &str, value: &Json) -> Result<Result<Written, Refusal>> {
        let url = self.url(&format!("/api/v1/connections/{connection}/points/{point}"));
        let request = self.client.post(&url).timeout(ANSWER_MAX).json(&serde_json::json!({ "value": value }));
        let response = request.send().await.with_context(|| format!("POST {url}"))?;
        let status = response.status();
        let body: Json = response.json().await?;
        if status.is_success() {
            return Ok(Ok(serde_json::from_value(body)?));
        }
        let text = |member: &str| body[member].as_str().unwrap_or_default().to_owned();
        Ok(Err(Refusal { status: status.as_u16(), code: text("code"), detail: text("detail") }))
    }

    /// The event stream from the log's beginning.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub async fn events(&self) -> Result<Events> {
        let url = self.url("/api/v1/events?after=0");
        let response = self.client.get(&url).send().await?.error_for_status()?;
        Ok(Events { response, partial: Vec::new(), waiting: VecDeque::new() })
    }
}

/// Readings as the gateway commits them.
#[derive(Debug)]
pub struct Events {
    response: reqwest::Response,
    partial: Vec<u8>,
    waiting: VecDeque<Reading>,
}

impl Events {
    /// The next reading for which `wanted` holds; those before it are passed over.
    ///
    /// # Errors
    /// Names `what` and the last readings when it does not come, or the stream ends.
    pub async fn until(&mut self, what: &str, wanted: impl Fn(&Reading) -> bool) -> Result<Reading> {
        let mut passed: VecDeque<Reading> = VecDeque::new();
        let found = async {
            loop {
                let reading = self.next().await?;
                if wanted(&reading) {
                    return anyhow::Ok(reading);
                }
                passed.push_back(reading);
                if passed.len() > 10 {
                    passed.pop_front();
                }
            }
        };
        let outcome = within(what, found).await;
        outcome.with_context(|| format!("the last readings instead: {passed:#?}"))?
    }

    /// The next reading, whichever it is.
    ///
    /// # Errors
    /// When the stream ends.
    pub async fn next(&mut self) -> Result<Reading> {
        loop {
            if let Some(reading) = self.waiting.pop_front() {
                return Ok(reading);
            }
            let chunk = self.response.chunk().await?.context("the event stream has ended")?;
            self.partial.extend_from_slice(&chunk);
            while let Some(end) = self.partial.windows(2).position(|pair| pair == b"\n\n") {
                let event: Vec<u8> = self.partial.drain(..end + 2).collect();
                self.take(std::str::from_utf8(&event)?)?;
            }
        }
    }

    fn take(&mut self, event: &str) -> Result<()> {
        let data: String = event.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        if event.lines().any(|line| line == "event: readings") {
            let readings: Json = serde_json::from_str(&data)?;
            self.waiting.extend(serde_json::from_value::<Vec<Reading>>(readings["readings"].clone())?);
        }
        Ok(())
    }
}
