//! `bulkhead tap`: a connection of the running gateway, looked on at live; and what was seen, made a script for
//! `bulkhead adapter test`.

mod told;

use super::adapter::{Recording, record};
use super::client::GatewayClient;
use super::load_text;
use crate::cli::TapArguments;
use crate::exit::Exit;
use crate::{console, journal};
use bulkhead_config::{Config, redacted};
use bulkhead_model::escaped_json;
use reqwest::Method;
use serde_json::Value as Json;
use std::path::Path;
use tokio::signal::unix::{SignalKind, signal};
use told::Wanted;

pub(crate) async fn tap(arguments: &TapArguments) -> Result<(), Exit> {
    journal::start_quiet();
    let (text, loaded) = load_text(&arguments.config.config)?;
    let config = loaded.config;
    if let Some(file) = arguments.record.as_deref() {
        check_target(file)?;
    }
    let mut recording = arguments.record.as_ref().map(|_| Recording::default());
    look_on(&config, arguments, recording.as_mut()).await?;
    let (Some(recording), Some(file)) = (recording, arguments.record.as_deref()) else { return Ok(()) };
    let secrets = redacted(&text, &arguments.config.config, &bulkhead_engine::schemas_in()).with(&config.tap.redact);
    let keeping = record::keep(recording, &config, &arguments.connection, &secrets, file);
    let kept = console::while_waiting("playing the recording", keeping).await?;
    let calls = console::counted(kept.calls as u64, "call");
    console::note(&format!("{}: {calls}; what is expected: {}", file.display(), kept.expected_file.display()));
    match kept.differs {
        None => Ok(()),
        Some(place) => Err(Exit::failed(format!(
            "played back, the recording does not bring what the gateway read, so it is no fixture as it is: {place}"
        ))),
    }
}

/// Whether a recording can be written, before there is one.
fn check_target(file: &Path) -> Result<(), Exit> {
    if file.extension().is_none_or(|end| end != "toml") {
        return Err(Exit::failed(format!("{}: a script's name ends in .toml", file.display())));
    }
    if file.exists() {
        return Err(Exit::failed(format!("{} is there already; another name, or remove it first", file.display())));
    }
    match file.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        Some(folder) => Err(Exit::failed(format!("there is no folder {}", folder.display()))),
        None => Ok(()),
    }
}

/// Prints what happens until the time is over, Ctrl-C or SIGTERM comes, or the recording is full.
async fn look_on(config: &Config, arguments: &TapArguments, mut recording: Option<&mut Recording>) -> Result<(), Exit> {
    let wanted = Wanted::of(arguments);
    let client = GatewayClient::of_streams(config)?;
    let mut request = client.request(Method::GET, &["api", "v1", "connections", &arguments.connection, "tap"])?;
    match recording {
        Some(_) => request = request.query(&[("whole", "true")]),
        None => request = request.query(&wanted.asked()),
    }
    if let Some(seconds) = arguments.for_s {
        request = request.query(&[("for_s", seconds)]);
    }
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut stream = client.stream(request).await?;
    loop {
        let line = tokio::select! {
            line = stream.next() => line?,
            _ = terminated.recv() => return Ok(()),
            _ = interrupted.recv() => return Ok(()),
        };
        let Some(line) = line else {
            return Err(Exit::failed("the gateway has stopped"));
        };
        if wanted.takes(&line) {
            let shown = if arguments.json { escaped_json(&line.to_string()) } else { told::told(&line) };
            // A recording goes on without a reader.
            if !console::is_heard(&shown) && recording.is_none() {
                return Ok(());
            }
        }
        if line["kind"] == "end" {
            return if arguments.for_s.is_some() { Ok(()) } else { Err(ended(&line)) };
        }
        let taken = recording.as_deref_mut().map(|recording| recording.take(&line));
        if let Some(Err(reason)) = taken {
            console::note(&format!("the recording ends here: {reason}"));
            return Ok(());
        }
    }
}

fn ended(line: &Json) -> Exit {
    Exit::failed(format!("the tap has ended: {}", line["reason"].as_str().unwrap_or("without a reason")))
}
