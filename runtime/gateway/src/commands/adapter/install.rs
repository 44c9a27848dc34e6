//! `bulkhead adapter install`, `remove` and `pack`: adapters into the gateway's folder and out of it.

use super::super::{checked, shown_if_wrong};
use super::source::{Fetched, fetch, is_set};
use super::{name_of, read_text};
use crate::cli::{InstallArguments, PackArguments, RemoveArguments};
use crate::console;
use crate::exit::Exit;
use bulkhead_bundle::{Installed, Installing, OfflineSet, PublicKey, Trust, read_adapter, signature_file};
use bulkhead_config::{AnyAdapter, Config};
use bulkhead_engine::users_of;
use serde_json::{Value as Json, json};
use std::path::Path;

/// A config by itself: its adapters need not be there yet.
pub(super) fn config_alone(path: &Path) -> Result<Config, Exit> {
    let text = shown_if_wrong(bulkhead_config::read_text(path))?;
    Ok(checked(bulkhead_config::parse(&text, path, &AnyAdapter))?.config)
}

/// The folder of a config's adapters, for changes.
pub(super) fn folder_of(config: &Config) -> Result<Installed, Exit> {
    Ok(Installed::open(&config.resolve(&config.gateway.adapters_dir), &config.data_dir())?)
}

pub(super) async fn install(arguments: &InstallArguments) -> Result<(), Exit> {
    let config = config_alone(&arguments.config.config)?;
    let trust = bulkhead_engine::trust(&config)?;
    let folder = folder_of(&config)?;
    let judged = match is_set(&arguments.file) {
        true => judge_set(arguments, &trust)?,
        false => vec![judge_file(arguments, &trust).await?],
    };
    // All are judged before the first is put in place.
    if let Some(there) = judged.iter().find(|new| folder.has(&new.name)) {
        let name = &there.name;
        return Err(Exit::failed(format!(
            "adapter {name} is there already; `bulkhead adapter upgrade` replaces it on probation"
        )));
    }
    for new in &judged {
        folder.install(new)?;
    }
    let told: Vec<Json> = judged.iter().map(as_json).collect();
    match arguments.json {
        true => console::say_json(&told)?,
        false => judged.iter().for_each(|new| console::say(&format!("installed {}", told_of(new)))),
    }
    Ok(())
}

/// One file, judged under its name here.
pub(super) async fn judge_file(arguments: &InstallArguments, trust: &Trust) -> Result<Installing, Exit> {
    let Fetched { name, bytes, signatures } = fetch(arguments).await?;
    let signature = trust.best_of(&name, &bytes, signatures);
    Ok(Installing::judged(&name, bytes, signature, trust, arguments.allow_rollback)?)
}

fn judge_set(arguments: &InstallArguments, trust: &Trust) -> Result<Vec<Installing>, Exit> {
    if arguments.name.is_some() || arguments.signature.is_some() {
        return Err(Exit::failed("a set brings names and signatures of its own: leave --name and --signature out"));
    }
    let set = OfflineSet::read(&arguments.file)?;
    let unknown: Vec<_> = set.keys.iter().filter(|(_, key)| !trust.keys.values().any(|known| known == *key)).collect();
    let judged = set
        .adapters
        .into_iter()
        .map(|(name, (bytes, signature))| Installing::judged(&name, bytes, signature, trust, arguments.allow_rollback));
    let judged: Result<Vec<_>, _> = judged.collect();
    if judged.is_err() && !unknown.is_empty() {
        console::note(
            "the set brings keys that the config does not trust. Compare them with what their owners publish, then add:",
        );
        console::note("");
        console::note("[security.trusted_keys]");
        unknown.iter().for_each(|(name, key)| console::note(&format!("{name} = \"{}\"", key.text())));
        console::note("");
    }
    Ok(judged?)
}

pub(super) fn as_json(new: &Installing) -> Json {
    json!({
        "name": new.name,
        "id": new.manifest.as_ref().map(|manifest| manifest.id.clone()),
        "version": new.manifest.as_ref().map(|manifest| manifest.version.to_string()),
        "sha256": new.vouched.sha256,
        "signed_by": new.vouched.signed_by,
    })
}

/// `press: acme/press 1.2.0, signed by acme`.
pub(super) fn told_of(new: &Installing) -> String {
    let what = new.manifest.as_ref();
    let what = what.map_or("no manifest".to_owned(), |manifest| format!("{} {}", manifest.id, manifest.version));
    let signed = new.vouched.signed_by.as_ref();
    let signed = signed.map_or("not signed by a trusted key".to_owned(), |key| format!("signed by {key}"));
    format!("{}: {what}, {signed}", new.name)
}

pub(super) fn remove(arguments: &RemoveArguments) -> Result<(), Exit> {
    let config = config_alone(&arguments.config.config)?;
    let name = &arguments.name;
    let users = users_of(&config, name);
    if !users.is_empty() {
        let users = users.join(", ");
        return Err(Exit::failed(format!("adapter {name} is used by {users}; remove them from the config first")));
    }
    folder_of(&config)?.remove(name)?;
    match arguments.json {
        true => console::say_json(&json!({ "removed": name }))?,
        false => console::say(&format!("removed {name}")),
    }
    Ok(())
}

pub(super) fn pack(arguments: &PackArguments) -> Result<(), Exit> {
    let mut set = OfflineSet::default();
    for file in &arguments.files {
        let signature = Some(signature_file(file)).filter(|file| file.is_file()).map(|f| read_text(&f)).transpose()?;
        let name = name_of(file)?;
        if set.adapters.insert(name.clone(), (read_adapter(file)?, signature)).is_some() {
            return Err(Exit::failed(format!("two of the files are named {name}.wasm: a set has one of a name")));
        }
    }
    for file in &arguments.keys {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        set.keys.insert(name, PublicKey::parse(&read_text(file)?)?);
    }
    set.write(&arguments.output)?;
    // What was written is what a site will read.
    let read = OfflineSet::read(&arguments.output)?;
    let signed = read.adapters.values().filter(|(_, signature)| signature.is_some()).count() as u64;
    console::say(&format!(
        "{}: {} ({signed} signed), {}",
        arguments.output.display(),
        console::counted(read.adapters.len() as u64, "adapter"),
        console::counted(read.keys.len() as u64, "key")
    ));
    Ok(())
}
