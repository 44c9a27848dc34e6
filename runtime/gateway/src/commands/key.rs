//! `bulkhead key`: API keys. As `bulkhead user`, it changes the file in the data folder itself.

use super::accounts::{connection_names, recorded, store};
use crate::cli::{ConfigArgument, CreateKeyArguments, KeyCommand, ListAccountsArguments, RevokeKeyArguments};
use crate::exit::Exit;
use crate::{console, journal};
use bulkhead_api::{ApiKey, NewKey};
use bulkhead_engine::SystemClock;
use bulkhead_model::Timestamp;
use bulkhead_sandbox::capability::Clock;
use serde_json::{Value as Json, json};

/// Nanoseconds of a day.
const DAY_NS: i64 = 86_400_000_000_000;

pub(crate) fn key(command: &KeyCommand) -> Result<(), Exit> {
    journal::start_quiet();
    match command {
        KeyCommand::Create(arguments) => create(arguments),
        KeyCommand::List(arguments) => list(arguments),
        KeyCommand::Revoke(arguments) => revoke(arguments),
    }
}

fn create(arguments: &CreateKeyArguments) -> Result<(), Exit> {
    let now = SystemClock::default().now();
    let new = NewKey {
        name: arguments.name.clone(),
        role: arguments.role,
        connections: (!arguments.connections.is_empty()).then(|| arguments.connections.iter().cloned().collect()),
        expires: arguments.expires_days.map(|days| Timestamp(now.0.saturating_add(i64::from(days) * DAY_NS))),
    };
    if !arguments.allow_unknown {
        check_connections(&new, &arguments.config)?;
    }
    let (key, text) = store(&arguments.config)?.create_key(new, now)?;
    recorded(&arguments.config, "key create".into(), Some(shown(&key, now)))?;
    if arguments.json {
        let mut shown = shown(&key, now);
        shown["key"] = text.into();
        console::say_json(&shown)?;
    } else {
        console::say(&text);
        console::note(&format!("key {} has the role {}; it is not shown again", key.name, key.role.name()));
    }
    Ok(())
}

/// Refuses connections that the config does not have. What cannot be read of a config is no reason to: the first key is made
/// before the config is right.
fn check_connections(new: &NewKey, config: &ConfigArgument) -> Result<(), Exit> {
    if new.connections.is_none() {
        return Ok(());
    }
    let Some(known) = connection_names(config)? else {
        console::note(&format!(
            "note: {} has mistakes, so nobody has looked whether it has these connections",
            config.config.display()
        ));
        return Ok(());
    };
    new.check_connections(&known).map_err(|error| {
        let file = config.config.display();
        Exit::failed(format!("{error} (it is not in {file}; if it comes later, add --allow-unknown)"))
    })
}

fn list(arguments: &ListAccountsArguments) -> Result<(), Exit> {
    let (keys, now) = (store(&arguments.config)?.read()?.keys, SystemClock::default().now());
    if arguments.json {
        let keys: Vec<Json> = keys.iter().map(|key| shown(key, now)).collect();
        console::say_json(&keys)?;
    } else if keys.is_empty() {
        console::say("no keys");
    } else {
        console::say_lines(&console::table(
            ["key", "begins with", "role", "connections", "made", "ends"],
            keys.iter().map(|key| row(key, now)),
        ));
    }
    Ok(())
}

fn revoke(arguments: &RevokeKeyArguments) -> Result<(), Exit> {
    let key = store(&arguments.config)?.revoke_key(&arguments.key)?;
    recorded(
        &arguments.config,
        "key revoke".into(),
        Some(json!({ "name": key.name, "prefix": format!("bk_{}", key.id) })),
    )?;
    console::say(&format!("key {} is revoked", key.name));
    Ok(())
}

fn time(ns: i64) -> String {
    super::poll::time(Timestamp(ns))
}

fn has_ended(key: &ApiKey, now: Timestamp) -> bool {
    key.expires_ns.is_some_and(|end_ns| now.0 >= end_ns)
}

fn shown(key: &ApiKey, now: Timestamp) -> Json {
    json!({
        "name": key.name,
        "prefix": format!("bk_{}", key.id),
        "role": key.role.name(),
        "connections": key.connections,
        "created": time(key.created_ns),
        "expires": key.expires_ns.map(time),
        "has_ended": has_ended(key, now),
    })
}

fn row(key: &ApiKey, now: Timestamp) -> [String; 6] {
    let connections = key
        .connections
        .as_ref()
        .map_or("all".to_owned(), |names| names.iter().map(String::as_str).collect::<Vec<_>>().join(", "));
    let ends = match key.expires_ns {
        None => "never".to_owned(),
        Some(_) if has_ended(key, now) => "has ended".to_owned(),
        Some(end_ns) => time(end_ns),
    };
    [key.name.clone(), format!("bk_{}", key.id), key.role.name().to_owned(), connections, time(key.created_ns), ends]
}
