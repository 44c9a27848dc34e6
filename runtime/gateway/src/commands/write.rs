//! `bulkhead write`: a value to a point, through the running gateway where there is one, else directly.

use super::client::GatewayClient;
use super::{load_config, open_probe, poll};
use crate::cli::WriteArguments;
use crate::exit::Exit;
use crate::{console, journal};
use bulkhead_config::Config;
use bulkhead_engine::Command;
use reqwest::Method;
use serde_json::Value as Json;
use std::time::Duration;

/// Longest wait for the running gateway: a command and its read-back.
const ANSWER_MAX: Duration = Duration::from_secs(65);

pub(crate) async fn write(arguments: &WriteArguments) -> Result<(), Exit> {
    let config = load_config(&arguments.config.config)?;
    journal::start_quiet();
    let outcome = match through_gateway(arguments, &config).await? {
        Some(outcome) => outcome,
        None => directly(arguments, &config).await?,
    };
    match arguments.json {
        true => console::say_json(&outcome)?,
        false => console::say(&sentence(arguments, &outcome)),
    }
    Ok(())
}

/// Asks the running gateway. None: no gateway runs at the config's address.
async fn through_gateway(arguments: &WriteArguments, config: &Config) -> Result<Option<Json>, Exit> {
    let gateway = GatewayClient::new(config, ANSWER_MAX)?;
    let path = ["api", "v1", "connections", &arguments.connection, "points", &arguments.point];
    let request = gateway.request(Method::POST, &path)?.json(&serde_json::json!({ "text": arguments.value }));
    match gateway.send(request).await? {
        None => Ok(None),
        Some(answer) => answer.done().map(Some),
    }
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
