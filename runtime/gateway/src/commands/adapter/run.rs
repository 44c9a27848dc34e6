//! `bulkhead adapter run`: a project's adapter against a real or simulated device, its readings printed as they come.

use super::super::{load_adapters_from, sandbox};
use super::project;
use crate::cli::RunAdapterArguments;
use crate::exit::Exit;
use crate::{console, journal};
use bulkhead_config::Config;
use bulkhead_engine::{Probe, ProbeReading};
use bulkhead_model::{escaped_json, printable};
use serde_json::json;
use std::time::Duration;

/// Longest wait for frames of a device that speaks by itself, in one round.
const LISTEN: Duration = Duration::from_secs(10);

pub(super) async fn run(arguments: &RunAdapterArguments) -> Result<(), Exit> {
    let project = project::at(&arguments.project)?;
    let built = project::build(&project)?;
    let folder = built.parent().unwrap_or(project.folder());
    let file = arguments.config.clone().unwrap_or_else(|| arguments.project.join("run.toml"));
    let config = load_adapters_from(&file, folder)?;
    journal::start_quiet();
    let name = connection_of(&config, project.name())?;
    let opening = Probe::open(&config, sandbox(&config)?, &name);
    let mut probe = console::while_waiting("loading the adapter and connecting", opening).await?;
    for transport in probe.transports() {
        console::note(&format!("{}  {}  {}", transport.role, transport.target, transport.state));
    }
    let interval = Duration::from_millis(u64::from(config.connections[&name].poll_interval_ms));
    let mut rounds = 0;
    let outcome = tokio::select! {
        outcome = look(&mut probe, arguments, interval, &mut rounds) => outcome,
        stopped = tokio::signal::ctrl_c() => Ok(stopped?),
    };
    probe.close().await;
    outcome
}

/// Round after round, until as many are done as were asked for.
async fn look(
    probe: &mut Probe,
    arguments: &RunAdapterArguments,
    interval: Duration,
    rounds: &mut u32,
) -> Result<(), Exit> {
    loop {
        *rounds += 1;
        match probe.poll_once(LISTEN).await {
            Ok(readings) => readings.iter().for_each(|read| console::say(&line(read, arguments.json))),
            Err(error) if arguments.times == Some(*rounds) => return Err(error.into()),
            Err(error) => console::note(&error.to_string()),
        }
        if arguments.times == Some(*rounds) {
            return Ok(());
        }
        tokio::time::sleep(interval).await;
    }
}

/// The connection of the config that the project is about: the only one, or the one with its adapter.
fn connection_of(config: &Config, adapter: &str) -> Result<String, Exit> {
    let mut own = config.connections.iter().filter(|(_, connection)| connection.adapter == adapter);
    match (own.next(), own.next()) {
        (Some((name, _)), None) => Ok(name.clone()),
        _ => Err(Exit::failed(format!("the config needs exactly one connection with the adapter {adapter}"))),
    }
}

fn line(read: &ProbeReading, as_json: bool) -> String {
    let time = super::super::poll::time(read.reading.time);
    let value = read.reading.value.as_ref();
    if as_json {
        let value = value.map(super::super::poll::json_value);
        let (point, status) = (&read.point.name, read.reading.status.to_string());
        let told = json!({ "time": time, "point": point, "value": value, "unit": read.point.unit, "status": status });
        return escaped_json(&told.to_string());
    }
    let unit = read.point.unit.as_deref().unwrap_or_default();
    let value = value.map(|value| printable(&value.to_string())).unwrap_or_default();
    format!("{time}  {}  {value} {unit}  {}", read.point.name, read.reading.status)
}
