//! `bulkhead adapter list`: what is in the gateway's folder, judged as the gateway judges it.

use super::install::{config_alone, users_of};
use crate::cli::ListArguments;
use crate::console;
use crate::exit::Exit;
use bulkhead_bundle::{Installed, Manifest, Trust};
use serde_json::{Value as Json, json};
use std::path::Path;

pub(super) fn list(arguments: &ListArguments) -> Result<(), Exit> {
    let config = config_alone(&arguments.config.config)?;
    let trust = bulkhead_engine::trust(&config)?;
    let folder = config.resolve(&config.gateway.adapters_dir);
    let pending = Installed::pending_in(&config.data_dir())?;
    let rows = Installed::names_in(&folder).into_iter().map(|name| {
        let mut row = look_at(&name, &folder.join(format!("{name}.wasm")), &trust);
        row["used_by"] = json!(users_of(&config, &name));
        let ended = Installed::ended_of(&config.data_dir(), &name).ok().flatten();
        row["last_upgrade"] = json!(ended);
        row["on_probation"] = json!(pending.iter().any(|one| one.name == name));
        row
    });
    let rows: Vec<Json> = rows.collect();
    if arguments.json {
        console::say(&serde_json::to_string_pretty(&rows)?);
    } else if rows.is_empty() {
        console::say(&format!("there is no adapter in {}", folder.display()));
    } else {
        let header = ["adapter", "version", "id", "signed by", "used by", "state"];
        console::say(&console::table(header, rows.iter().map(cells)));
    }
    Ok(())
}

fn look_at(name: &str, file: &Path, trust: &Trust) -> Json {
    let admitted = trust.read(name, file);
    let (state, manifest, vouched) = match admitted {
        // What is not vouched for is not parsed here either.
        Err(refusal) => (format!("refused: {refusal}"), None, None),
        Ok((bytes, vouched)) => match Manifest::read(&bytes) {
            Ok(manifest) => ("admitted".to_owned(), manifest, Some(vouched)),
            Err(cause) => (format!("no adapter: {cause}"), None, Some(vouched)),
        },
    };
    json!({
        "name": name,
        "version": manifest.as_ref().map(|manifest| manifest.version.to_string()),
        "id": manifest.as_ref().map(|manifest| manifest.id.clone()),
        "sha256": vouched.as_ref().map(|vouched| vouched.sha256.clone()),
        "signed_by": vouched.and_then(|vouched| vouched.signed_by),
        "state": state,
    })
}

fn cells(row: &Json) -> [String; 6] {
    let text = |key: &str| row[key].as_str().unwrap_or("–").to_owned();
    let users: Vec<&str> = row["used_by"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    let users = if users.is_empty() { "–".to_owned() } else { users.join(", ") };
    let state = match row["on_probation"] == true {
        true => format!("{}, on probation", text("state")),
        false => text("state"),
    };
    [text("name"), text("version"), text("id"), text("signed_by"), users, state]
}
