//! A recording put on disk: the script, and beside it what is expected of it. It is played once, in the real sandbox, so that a
//! fixture that does not bring what the gateway read is never taken for a good one.

use super::super::sandbox;
use super::script::{Case, Recorded, Recording, difference, plain, play, strayed};
use crate::exit::Exit;
use bulkhead_config::{Config, Redacted};
use bulkhead_model::transport::Transport;
use serde_json::Value as Json;
use std::path::{Path, PathBuf};

/// What was written.
pub(in crate::commands) struct Kept {
    pub(in crate::commands) calls: usize,
    pub(in crate::commands) expected_file: PathBuf,
    /// Where the script brings something else than the gateway read; none: it brings the same.
    pub(in crate::commands) differs: Option<String>,
}

/// Writes the script of a recording to `file`, and what the gateway read to `NAME.expected.json` beside it.
pub(in crate::commands) async fn keep(
    recording: Recording,
    config: &Config,
    connection: &str,
    secrets: &Redacted,
    file: &Path,
) -> Result<Kept, Exit> {
    let calls = recording.len();
    let Some(described) = config.connections.get(connection) else {
        return Err(Exit::failed(format!("the config has no connection {connection}")));
    };
    let transports = described.transports.iter().map(|(role, transport)| (role.clone(), kind(transport)));
    let transports: Vec<_> = transports.collect();
    let settings = settings(&described.settings.text(), secrets).map_err(Exit::failed)?;
    let recorded = recording.script(settings, &transports).map_err(Exit::failed)?;
    let text = format!(
        "# What the connection {connection} of {} did, recorded by `bulkhead tap --record`. Secrets are covered.\n{}",
        config.gateway.name, recorded.text
    );
    std::fs::write(file, &text).map_err(|error| not_written(file, &error))?;
    let (expected, differs) = expected(config, &described.adapter, &text, &recorded).await?;
    let expected_file = file.with_extension("expected.json");
    let shown = serde_json::to_string_pretty(&expected)? + "\n";
    std::fs::write(&expected_file, shown).map_err(|error| not_written(&expected_file, &error))?;
    Ok(Kept { calls, expected_file, differs })
}

fn not_written(file: &Path, error: &std::io::Error) -> Exit {
    Exit::failed(format!("{} cannot be written: {error}", file.display()))
}

/// The settings as the adapter is told them, secrets covered, as TOML.
fn settings(text: &str, secrets: &Redacted) -> Result<toml::Table, String> {
    let json: Json = serde_json::from_str(text).map_err(|error| format!("the settings are no JSON: {error}"))?;
    match plain(&covered(json, secrets))? {
        toml::Value::Table(table) => Ok(table),
        _ => Err("the settings are no table".into()),
    }
}

/// JSON with the secrets in its texts covered, as the tap covers them in what the adapter sends.
fn covered(json: Json, secrets: &Redacted) -> Json {
    match json {
        Json::String(text) => secrets.cover(&text).into(),
        Json::Array(items) => items.into_iter().map(|item| covered(item, secrets)).collect(),
        Json::Object(members) => members
            .into_iter()
            .map(|(key, value)| (key, covered(value, secrets)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other,
    }
}

fn kind(transport: &Transport) -> &'static str {
    match transport {
        Transport::ModbusTcp(_) | Transport::ModbusRtu(_) => "modbus",
        Transport::Serial(_) => "serial",
        Transport::Tcp(_) => "tcp",
        Transport::Mqtt(_) => "mqtt",
        Transport::Http(_) => "http",
    }
}

/// What the script brings, with the readings of the gateway in it, and the first place where the two differ.
async fn expected(
    config: &Config,
    adapter: &str,
    script: &str,
    recorded: &Recorded,
) -> Result<(Json, Option<String>), Exit> {
    let case = Case::parse(script).map_err(Exit::failed)?;
    let (sandbox, path, name) = (sandbox(config)?, config.adapter_file(adapter), adapter.to_owned());
    let adapter = tokio::task::spawn_blocking(move || sandbox.load(&name, &path)).await??;
    let found = play(&adapter, &case).await.map_err(Exit::failed)?;
    let mut wanted = found.clone();
    // The first step is the adapter's start, which the gateway's lines need not have.
    for (step, outcome) in wanted["steps"].as_array_mut().into_iter().flatten().skip(1).zip(&recorded.outcomes) {
        want(step, outcome);
    }
    let missing = found["steps"].as_array().map_or(0, Vec::len) < recorded.outcomes.len() + 1;
    let differs = match missing {
        true => Some(format!("the adapter does not start: {}", found["steps"][0])),
        false => difference("", &wanted, &found).map(|place| match strayed(&found) {
            Some(how) => format!("{place}\n    {how}"),
            None => place,
        }),
    };
    Ok((wanted, differs))
}

/// Puts what the gateway saw into what a step brought: values and statuses, or the fault.
fn want(step: &mut Json, outcome: &Json) {
    if !outcome["fault"].is_null() && step["fault"]["code"] != outcome["fault"]["code"] {
        // A crash is told in other words by the gateway; that there is one shows in the step as `failed`.
        if !outcome["fault"]["remedy"].is_null() {
            step["fault"] = outcome["fault"].clone();
        }
    }
    let Some(seen) = outcome["readings"].as_array() else { return };
    let Some(readings) = step["readings"].as_array_mut() else {
        if !seen.is_empty() {
            step["readings"] = seen.iter().map(|reading| reading["point"].clone()).collect();
        }
        return;
    };
    readings.truncate(seen.len());
    for (index, seen) in seen.iter().enumerate() {
        match readings.get_mut(index) {
            None => readings.push(seen.clone()),
            Some(reading) => {
                let names = ["point", "status", "unit"];
                for name in names.into_iter().filter(|name| !seen[*name].is_null()) {
                    reading[name] = seen[name].clone();
                }
                // Times and bytes are written in another way by the API; their bytes stand in `did`.
                let is_comparable =
                    ["boolean", "integer", "real", "decimal", "text"].iter().any(|kind| seen["kind"] == *kind);
                if is_comparable && !is_same_number(&reading["value"], &seen["value"]) {
                    reading["value"] = seen["value"].clone();
                }
            }
        }
    }
}

/// Whether two values are the same number: NaN is null in one and a text in the other, and covered texts are texts.
fn is_same_number(a: &Json, b: &Json) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a.to_bits() == b.to_bits(),
        (None, None) => a.is_null() && ["NaN", "INF", "-INF"].iter().any(|word| b == *word),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_gateway_read_is_what_is_expected() {
        let mut step = json!({ "call": "poll", "readings": [
            { "point": "a", "kind": "real", "status": "Good", "time": "t", "value": 1.0 },
            { "point": "b", "kind": "real", "status": "Good", "time": "t", "value": null },
        ] });
        let same = json!({ "readings": [
            { "point": "a", "kind": "real", "status": "Good", "unit": null, "time": "u", "value": 1.0 },
            { "point": "b", "kind": "real", "status": "Good", "unit": null, "time": "u", "value": "NaN" },
        ] });
        let before = step.clone();
        want(&mut step, &same);
        assert_eq!(step, before);
        want(&mut step, &json!({ "readings": [{ "point": "a", "kind": "real", "status": "Bad", "value": 2.0 }] }));
        let expected = json!([{ "point": "a", "kind": "real", "status": "Bad", "time": "t", "value": 2.0 }]);
        assert_eq!(step["readings"], expected);
        want(&mut step, &json!({ "fault": { "remedy": "retry", "code": "timeout", "message": "m" } }));
        assert_eq!(step["fault"]["code"], "timeout");
    }
}
