//! `bulkhead reload` and `bulkhead rollback`: the config of a running gateway, through its API; a rollback also without one.

use super::client::{Answer, GatewayClient};
use crate::cli::ChangeArguments;
use crate::exit::Exit;
use crate::{console, journal};
use bulkhead_config::Config;
use bulkhead_engine::History;
use serde_json::{Value as Json, json};
use std::path::Path;
use std::time::Duration;

/// Longest wait for the running gateway: what ends and what begins have their own bounds, which are shorter together.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Has the running gateway read its config file again.
pub(crate) async fn reload(arguments: &ChangeArguments) -> Result<(), Exit> {
    journal::start_quiet();
    let path = &arguments.config.config;
    match ask(&candidates(path), "reload").await? {
        Some(answer) => tell(arguments, "the config was taken up", &answer),
        None => Err(Exit::failed(format!(
            "no gateway runs at the api.listen of {}; it will read the config when it starts",
            path.display()
        ))),
    }
}

/// Goes back to the config before.
pub(crate) async fn roll_back(arguments: &ChangeArguments) -> Result<(), Exit> {
    journal::start_quiet();
    let path = &arguments.config.config;
    if let Some(answer) = ask(&candidates(path), "rollback").await? {
        return tell(arguments, "the running gateway went back to the config before", &answer);
    }
    let history = history_of(path);
    let Some(kept) = history.roll_back_file(path)? else {
        return Err(Exit::failed(format!("no config before {} is kept", path.display())));
    };
    let undone = history.undone_path();
    match arguments.json {
        true => console::say_json(&json!({
            "through": "file",
            "file": path.to_string_lossy(),
            "number": kept.number,
            "undone": undone.to_string_lossy(),
        }))?,
        false => console::say(&format!(
            "no gateway runs; {} is the config number {} again; what it held is kept in {}",
            path.display(),
            kept.number,
            undone.display()
        )),
    }
    Ok(())
}

/// Configs by which a running gateway may be found: the one in the file, and the one that was applied last.
fn candidates(path: &Path) -> Vec<Config> {
    let in_file = bulkhead_config::read_text(path).ok();
    let newest = history_of(path).kept().ok().and_then(|kept| std::fs::read_to_string(&kept.first()?.path).ok());
    let read = |text: String| bulkhead_config::parse(&text, path, &bulkhead_engine::schemas_in()).ok();
    in_file.into_iter().chain(newest).filter_map(read).map(|loaded| loaded.config).collect()
}

/// The kept configs of the gateway whose config is in this file, right or wrong.
fn history_of(path: &Path) -> History {
    let text = bulkhead_config::read_text(path).unwrap_or_default();
    History::in_data_dir(&bulkhead_config::data_dir_of(&text, path))
}

/// Asks the running gateway. None: none runs where these configs say.
async fn ask(configs: &[Config], what: &str) -> Result<Option<Json>, Exit> {
    for config in configs {
        let client = GatewayClient::new(config, ANSWER_MAX)?;
        let path = format!("/api/v1/config/{what}");
        let asked = client.post(&path, &Json::Null);
        if let Some(answer) = console::while_waiting("waiting for the gateway", asked).await? {
            return if answer.is_good() { Ok(Some(answer.json())) } else { Err(refused(&answer)) };
        }
    }
    Ok(None)
}

/// What the gateway would not do; the mistakes of a config as `bulkhead check` shows them.
fn refused(answer: &Answer) -> Exit {
    let body = answer.json();
    match (body["code"].as_str(), body["text"].as_str(), body["detail"].as_str()) {
        (Some("invalid-config"), Some(text), detail) => {
            console::note_lines(text.trim_end());
            console::complain(detail.unwrap_or("the config is wrong; the running one stays"));
            Exit::Wrong
        }
        _ => answer.done().err().unwrap_or(Exit::Wrong),
    }
}

fn tell(arguments: &ChangeArguments, headline: &str, answer: &Json) -> Result<(), Exit> {
    if arguments.json {
        console::say_json(answer)?;
        return Ok(());
    }
    let took = answer["took_ms"].as_u64().unwrap_or_default();
    console::say(&format!("{headline} ({took} ms)"));
    let lists = [
        ("added", "added"),
        ("removed", "removed"),
        ("restarted", "restarted"),
        ("kept", "kept"),
        ("failed", "did not start"),
        ("needs_restart", "takes effect at the next start"),
    ];
    for (key, shown) in lists {
        let parts: Vec<String> = answer[key].as_array().into_iter().flatten().map(part).collect();
        if !parts.is_empty() {
            console::say(&format!("{shown}: {}", parts.join(", ")));
        }
    }
    Ok(())
}

/// A part of an answer's list: its name, or its name and the reason.
fn part(part: &Json) -> String {
    match (part["part"].as_str(), part["reason"].as_str()) {
        (Some(name), Some(reason)) => format!("{name} ({reason})"),
        _ => part.as_str().unwrap_or_default().to_owned(),
    }
}
