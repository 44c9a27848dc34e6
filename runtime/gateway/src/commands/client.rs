//! The command line as a client of the gateway that runs on the config's address.

use crate::exit::Exit;
use bulkhead_config::{ApiRole, Config, Credential};
use serde_json::Value as Json;
use std::time::Duration;

/// Longest wait to find out whether a gateway runs.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// Longest wait for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// A client of the gateway at the config's address.
pub(super) struct GatewayClient<'c> {
    config: &'c Config,
    client: reqwest::Client,
}

/// What the gateway answered.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

impl Answer {
    /// The JSON of a good answer, or what the gateway says is wrong.
    pub(super) fn json(&self, config: &Config) -> Result<Json, Exit> {
        let body: Json = serde_json::from_str(&self.body).unwrap_or_default();
        if (200..300).contains(&self.status) {
            return Ok(body);
        }
        let detail = body["detail"].as_str().or(body["title"].as_str()).unwrap_or("without a reason");
        Err(Exit::failed(format!("the gateway at {} refused ({}): {detail}", config.api.listen, self.status)))
    }
}

impl<'c> GatewayClient<'c> {
    pub(super) fn new(config: &'c Config) -> Result<Self, Exit> {
        let client = reqwest::Client::builder().connect_timeout(CONNECT_MAX).timeout(ANSWER_MAX).no_proxy().build()?;
        Ok(Self { config, client })
    }

    /// Gets a path. None: no gateway runs at the config's address.
    pub(super) async fn get(&self, path: &str) -> Result<Option<Answer>, Exit> {
        self.send(self.client.get(self.url(path))).await
    }

    /// Posts JSON to a path. None: no gateway runs at the config's address.
    pub(super) async fn post(&self, path: &str, body: &Json) -> Result<Option<Answer>, Exit> {
        self.send(self.client.post(self.url(path)).json(body)).await
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.config.api.listen)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Option<Answer>, Exit> {
        let listen = self.config.api.listen;
        let failed = |error| Exit::failed(format!("the gateway at {listen} did not answer: {error}"));
        let response = match with_credential(request, self.config)?.send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let status = response.status().as_u16();
        Ok(Some(Answer { status, body: response.text().await.map_err(failed)? }))
    }
}

/// Adds the first credential of the config that may write; where none may, the first there is.
pub(super) fn with_credential(
    request: reqwest::RequestBuilder,
    config: &Config,
) -> Result<reqwest::RequestBuilder, Exit> {
    let credentials = &config.api.credentials;
    let operator = credentials.iter().find(|(_, credential)| credential.role() == ApiRole::Operator);
    let Some((name, credential)) = operator.or_else(|| credentials.iter().next()) else { return Ok(request) };
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
