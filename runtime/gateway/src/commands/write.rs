//! `bulkhead write`: a value to a point, through the running gateway where there is one, else directly.

use super::{load_config, open_probe, poll};
use crate::cli::WriteArguments;
use crate::exit::Exit;
use crate::{console, journal};
use bulkhead_config::{ApiRole, Config, Credential};
use bulkhead_engine::Command;
use serde_json::Value as Json;
use std::time::Duration;

/// Longest wait for the running gateway: a command and its read-back.
const ANSWER_MAX: Duration = Duration::from_secs(65);
/// Longest wait to find out whether a gateway runs.
const CONNECT_MAX: Duration = Duration::from_secs(2);

pub(crate) async fn write(arguments: &WriteArguments) -> Result<(), Exit> {
    let config = load_config(&arguments.config.config)?;
    journal::start_quiet();
    let outcome = match through_gateway(arguments, &config).await? {
        Some(outcome) => outcome,
        None => directly(arguments, &config).await?,
    };
    match arguments.json {
        true => console::say(&serde_json::to_string_pretty(&outcome)?),
        false => console::say(&sentence(arguments, &outcome)),
    }
    Ok(())
}

/// Asks the running gateway. None: no gateway runs at the config's address.
async fn through_gateway(arguments: &WriteArguments, config: &Config) -> Result<Option<Json>, Exit> {
    let listen = config.api.listen;
    let mut url = reqwest::Url::parse(&format!("http://{listen}/api/v1/connections"))
        .map_err(|error| Exit::failed(format!("api.listen {listen} makes no URL: {error}")))?;
    url.path_segments_mut().map_err(|()| Exit::failed("the API's URL has no path"))?.extend([
        arguments.connection.as_str(),
        "points",
        arguments.point.as_str(),
    ]);
    let client = reqwest::Client::builder().connect_timeout(CONNECT_MAX).timeout(ANSWER_MAX).no_proxy().build()?;
    let request = client.post(url).json(&serde_json::json!({ "text": arguments.value }));
    let response = match with_credential(request, config)?.send().await {
        Ok(response) => response,
        Err(error) if error.is_connect() => return Ok(None),
        Err(error) => return Err(Exit::failed(format!("the gateway at {listen} did not answer: {error}"))),
    };
    let status = response.status();
    let body: Json = response.json().await.unwrap_or_default();
    match status.is_success() {
        true => Ok(Some(body)),
        false => {
            let detail = body["detail"].as_str().or(body["title"].as_str()).unwrap_or("without a reason");
            Err(Exit::failed(format!("the gateway at {listen} refused ({}): {detail}", status.as_u16())))
        }
    }
}

/// Adds the first credential of the config that may write.
pub(super) fn with_credential(
    request: reqwest::RequestBuilder,
    config: &Config,
) -> Result<reqwest::RequestBuilder, Exit> {
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

/// Puts the connection up for this one command.
async fn directly(arguments: &WriteArguments, config: &Config) -> Result<Json, Exit> {
    console::note("no gateway runs at the config's api.listen; writing directly");
    let mut probe = open_probe(config, &arguments.connection).await?;
    let written =
        console::while_waiting("writing", probe.write(&arguments.point, Command::Text(arguments.value.clone()))).await;
    probe.close().await;
    let (value, read_back) = written?;
    Ok(serde_json::json!({
        "written": poll::json_value(&value),
        "read_back": read_back.map(|reading| serde_json::json!({
            "value": reading.value.as_ref().map(poll::json_value),
            "status_name": reading.status.to_string(),
            "time": poll::time(reading.time),
        })),
    }))
}

fn sentence(arguments: &WriteArguments, outcome: &Json) -> String {
    let point = format!("{}/{}", arguments.connection, arguments.point);
    let written = &outcome["written"];
    match outcome["read_back"].as_object() {
        Some(back) => {
            let status = back.get("status_name").and_then(Json::as_str).unwrap_or("");
            format!("{point}: wrote {written}, read back {} ({status})", back.get("value").unwrap_or(&Json::Null))
        }
        None => format!("{point}: wrote {written}; the connection cannot be polled, so nothing was read back"),
    }
}
