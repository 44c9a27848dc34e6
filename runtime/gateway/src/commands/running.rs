//! The running gateway as commands reach it: its API at the config's address, with the config's credential.

use super::GATEWAY_CONNECT_MAX;
use crate::exit::Exit;
use bulkhead_config::{ApiRole, Config, Credential};
use reqwest::{Method, RequestBuilder};
use serde_json::Value as Json;
use std::time::Duration;

/// A gateway that may run.
pub(super) struct Running<'a> {
    config: &'a Config,
    client: reqwest::Client,
}

/// What became of a request.
pub(super) enum Answer {
    /// No gateway runs at the address.
    Nobody,
    /// It was done; null where there is nothing to say.
    Done(Json),
    /// It was refused; why.
    Refused(String),
}

impl<'a> Running<'a> {
    /// The gateway of a config; `answer_max` is the longest wait for an answer.
    pub(super) fn at(config: &'a Config, answer_max: Duration) -> Result<Self, Exit> {
        let client =
            reqwest::Client::builder().connect_timeout(GATEWAY_CONNECT_MAX).timeout(answer_max).no_proxy().build()?;
        Ok(Self { config, client })
    }

    /// A request to a path below `/api/v1`.
    pub(super) fn request(&self, method: Method, path: &[&str]) -> Result<RequestBuilder, Exit> {
        let listen = self.config.api.listen;
        let mut url = reqwest::Url::parse(&format!("http://{listen}/api/v1"))
            .map_err(|error| Exit::failed(format!("api.listen {listen} makes no URL: {error}")))?;
        url.path_segments_mut().map_err(|()| Exit::failed("the API's URL has no path"))?.extend(path);
        with_credential(self.client.request(method, url), self.config)
    }

    /// Sends a request.
    pub(super) async fn answer(&self, request: RequestBuilder) -> Result<Answer, Exit> {
        let listen = self.config.api.listen;
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() => return Ok(Answer::Nobody),
            Err(error) => return Err(Exit::failed(format!("the gateway at {listen} did not answer: {error}"))),
        };
        let status = response.status();
        let body: Json = response.json().await.unwrap_or_default();
        if status.is_success() {
            return Ok(Answer::Done(body));
        }
        let detail = body["detail"].as_str().or(body["title"].as_str()).unwrap_or("without a reason");
        Ok(Answer::Refused(format!("the gateway at {listen} refused ({}): {detail}", status.as_u16())))
    }

    /// Sends a request that only a running gateway can answer.
    pub(super) async fn must_answer(&self, request: RequestBuilder) -> Result<Result<Json, String>, Exit> {
        match self.answer(request).await? {
            Answer::Done(body) => Ok(Ok(body)),
            Answer::Refused(reason) => Ok(Err(reason)),
            Answer::Nobody => {
                let listen = self.config.api.listen;
                Err(Exit::failed(format!("no gateway runs at the config's api.listen, {listen}; start it first")))
            }
        }
    }
}

/// Adds the first credential of the config that may write.
fn with_credential(request: RequestBuilder, config: &Config) -> Result<RequestBuilder, Exit> {
    let operator = config.api.credentials.iter().find(|(_, credential)| credential.role() == ApiRole::Operator);
    let Some((name, credential)) = operator else { return Ok(request) };
    let secret = credential
        .secret()
        .reveal(&config.base_dir)
        .map_err(|reason| Exit::failed(format!("api.credentials.{name}: {reason}")))?;
    Ok(match credential {
        Credential::Token { .. } => request.bearer_auth(secret),
        Credential::Password { username, .. } => request.basic_auth(username, Some(secret)),
    })
}
