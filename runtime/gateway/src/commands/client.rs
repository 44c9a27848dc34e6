//! The command line as a client of the gateway that runs on the config's address.

use super::GATEWAY_CONNECT_MAX;
use crate::exit::Exit;
use bulkhead_config::{Config, Credential};
use reqwest::{Method, RequestBuilder};
use serde_json::Value as Json;
use std::net::SocketAddr;
use std::time::Duration;

/// Longest wait for an answer that takes no work.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Longest silence of a stream; the gateway says something every 15 s.
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// Longest line of a stream: frames that come together, whole, as digits.
const LINE_MAX_BYTES: usize = 64 << 20;

/// A client of the gateway at the config's address, with the config's credential.
pub(super) struct GatewayClient<'c> {
    config: &'c Config,
    client: reqwest::Client,
}

/// What the gateway answered.
pub(super) struct Answer {
    listen: SocketAddr,
    pub(super) status: u16,
    pub(super) body: String,
}

impl Answer {
    /// The answer as JSON; null where it is none.
    pub(super) fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// Whether what was asked for was done.
    pub(super) fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The JSON of a good answer, or in words what the gateway says is wrong.
    pub(super) fn outcome(&self) -> Result<Json, String> {
        let body = self.json();
        if self.is_good() {
            return Ok(body);
        }
        let detail = body["detail"].as_str().or(body["title"].as_str()).unwrap_or("without a reason");
        Err(format!("the gateway at {} refused ({}): {detail}", self.listen, self.status))
    }

    /// As [`Answer::outcome`], for a command that ends with a refusal.
    pub(super) fn done(&self) -> Result<Json, Exit> {
        self.outcome().map_err(Exit::failed)
    }
}

impl<'c> GatewayClient<'c> {
    /// Of the gateway of a config; `answer_max` is the longest wait for an answer.
    pub(super) fn new(config: &'c Config, answer_max: Duration) -> Result<Self, Exit> {
        let client =
            reqwest::Client::builder().connect_timeout(GATEWAY_CONNECT_MAX).timeout(answer_max).no_proxy().build()?;
        Ok(Self { config, client })
    }

    /// The same for a stream, which has no end of its own.
    pub(super) fn of_streams(config: &'c Config) -> Result<Self, Exit> {
        let client = reqwest::Client::builder();
        let client = client.connect_timeout(GATEWAY_CONNECT_MAX).read_timeout(SILENCE_MAX).no_proxy().build()?;
        Ok(Self { config, client })
    }

    /// The same for a file, which takes as long as it is long.
    pub(super) fn of_uploads(config: &'c Config) -> Result<Self, Exit> {
        let client = reqwest::Client::builder().connect_timeout(GATEWAY_CONNECT_MAX).no_proxy().build()?;
        Ok(Self { config, client })
    }

    /// A stream of lines of JSON, which only a running gateway can give.
    pub(super) async fn stream(&self, request: RequestBuilder) -> Result<LineStream, Exit> {
        let listen = self.config.api.listen;
        let response = match self.answered(request).await? {
            Ok(response) => response,
            Err(error) if error.is_connect() => return Err(nobody_at(listen)),
            Err(error) => return Err(Exit::failed(format!("the gateway at {listen} did not answer: {error}"))),
        };
        let status = response.status().as_u16();
        if !response.status().is_success() {
            let refused = Answer { listen, status, body: response.text().await? };
            return Err(Exit::failed(refused.outcome().err().unwrap_or_default()));
        }
        Ok(LineStream { listen, response, buffer: Vec::new() })
    }

    /// A request to the path that these segments make.
    pub(super) fn request(&self, method: Method, path: &[&str]) -> Result<RequestBuilder, Exit> {
        let listen = self.config.api.listen;
        let mut url = reqwest::Url::parse(&format!("http://{listen}"))
            .map_err(|error| Exit::failed(format!("api.listen {listen} makes no URL: {error}")))?;
        url.path_segments_mut().map_err(|()| Exit::failed("the API's URL has no path"))?.extend(path);
        Ok(self.client.request(method, url))
    }

    /// Gets a path. None: no gateway runs at the config's address.
    pub(super) async fn get(&self, path: &str) -> Result<Option<Answer>, Exit> {
        self.send(self.client.get(self.url(path))).await
    }

    /// Posts JSON to a path; null: nothing. None: no gateway runs at the config's address.
    pub(super) async fn post(&self, path: &str, body: &Json) -> Result<Option<Answer>, Exit> {
        let request = self.client.post(self.url(path));
        self.send(if body.is_null() { request } else { request.json(body) }).await
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.config.api.listen)
    }

    /// Sends a request. None: no gateway runs at the config's address.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Option<Answer>, Exit> {
        let listen = self.config.api.listen;
        let failed = |error| Exit::failed(format!("the gateway at {listen} did not answer: {error}"));
        let response = match self.answered(request).await? {
            Ok(response) => response,
            Err(error) if error.is_connect() => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let status = response.status().as_u16();
        Ok(Some(Answer { listen, status, body: response.text().await.map_err(failed)? }))
    }

    /// What is answered to a request with the key that the running gateway has left for us; where there is none that it
    /// knows, with a credential of the config.
    async fn answered(&self, request: RequestBuilder) -> Result<reqwest::Result<reqwest::Response>, Exit> {
        if let (Some(key), Some(request)) = (bulkhead_api::command_line_key(self.config), request.try_clone()) {
            let answered = request.bearer_auth(key).send().await;
            if !answered.as_ref().is_ok_and(is_unknown) {
                return Ok(answered);
            }
        }
        Ok(with_credential(request, self.config)?.send().await)
    }

    /// Sends a request that can be sent once only, such as one with a file, and that only a running gateway can answer: with
    /// the key that it has left for us, or else, made anew, with a credential of the config.
    pub(super) async fn must_answer_anew(
        &self,
        request: &impl Fn() -> Result<RequestBuilder, Exit>,
    ) -> Result<Answer, Exit> {
        if let Some(key) = bulkhead_api::command_line_key(self.config) {
            let answer = self.plainly(request()?.bearer_auth(key)).await?;
            if answer.status != reqwest::StatusCode::UNAUTHORIZED.as_u16() {
                return Ok(answer);
            }
        }
        self.plainly(with_credential(request()?, self.config)?).await
    }

    async fn plainly(&self, request: RequestBuilder) -> Result<Answer, Exit> {
        let listen = self.config.api.listen;
        let failed = |error| Exit::failed(format!("the gateway at {listen} did not answer: {error}"));
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() => return Err(nobody_at(listen)),
            Err(error) => return Err(failed(error)),
        };
        let status = response.status().as_u16();
        Ok(Answer { listen, status, body: response.text().await.map_err(failed)? })
    }

    /// Sends a request that only a running gateway can answer.
    pub(super) async fn must_answer(&self, request: RequestBuilder) -> Result<Answer, Exit> {
        let listen = self.config.api.listen;
        self.send(request).await?.ok_or_else(|| nobody_at(listen))
    }
}

fn nobody_at(listen: SocketAddr) -> Exit {
    Exit::failed(format!("no gateway runs at the config's api.listen, {listen}; start it first"))
}

/// Lines of JSON as they come.
pub(super) struct LineStream {
    listen: SocketAddr,
    response: reqwest::Response,
    /// What has come of the next line.
    buffer: Vec<u8>,
}

impl LineStream {
    /// The next line; none: the gateway has ended the stream. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Result<Option<Json>, Exit> {
        let listen = self.listen;
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                // An empty one only says that the gateway is there.
                if line.len() > 1 {
                    return Ok(Some(serde_json::from_slice(&line)?));
                }
                continue;
            }
            if self.buffer.len() > LINE_MAX_BYTES {
                return Err(Exit::failed(format!(
                    "a line of the gateway at {listen} is longer than {LINE_MAX_BYTES} bytes"
                )));
            }
            let gone = |error| Exit::failed(format!("the gateway at {listen} is gone: {error}"));
            match self.response.chunk().await.map_err(gone)? {
                Some(bytes) => self.buffer.extend_from_slice(&bytes),
                None => return Ok(None),
            }
        }
    }
}

/// Whether the gateway does not know who asked.
fn is_unknown(response: &reqwest::Response) -> bool {
    response.status() == reqwest::StatusCode::UNAUTHORIZED
}

/// Adds the credential of the config with the highest role, if there is one.
fn with_credential(request: RequestBuilder, config: &Config) -> Result<RequestBuilder, Exit> {
    let credentials = &config.api.credentials;
    // Of equal roles the first by name.
    let highest = credentials.iter().rev().max_by_key(|(_, credential)| credential.role());
    let Some((name, credential)) = highest else { return Ok(request) };
    let secret = credential
        .secret()
        .reveal(&config.base_dir)
        .map_err(|reason| Exit::failed(format!("api.credentials.{name}: {reason}")))?;
    Ok(match credential {
        Credential::Token { .. } => request.bearer_auth(secret),
        Credential::Password { username, .. } => request.basic_auth(username, Some(secret)),
    })
}

/// A moment for the name of a file: `20261122T031500Z`.
pub(super) fn moment_for_names() -> String {
    jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string()
}
