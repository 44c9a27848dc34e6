//! Connections by themselves: poll groups, limits, and the global numbers that must agree; secrets that are not there.

use super::{At, connections};
use crate::tree::{Node, Value};
use crate::{DEFAULT_POLL_GROUP, Diagnostic, HEALTH_CONNECTION, Limits, Log};
use bulkhead_model::Secret;
use std::path::Path;

pub(super) fn check(root: &Node, out: &mut Vec<Diagnostic>) {
    if let Some(log) = At::root(root).get("log") {
        let default = Log::default();
        log.ordered(
            ("commit_max_rows", default.commit_max_rows.into()),
            ("segment_max_rows", default.segment_max_rows.into()),
            out,
        );
    }
    for (entry, connection) in connections(root) {
        if entry.key == HEALTH_CONNECTION {
            let message = format!("found a connection named {HEALTH_CONNECTION:?}, expected another name");
            let hint = "the gateway records its own health under this name";
            out.push(Diagnostic::error(&entry.key_span, connection.path.clone(), message).hint(hint));
        }
        for (group, at) in connection.entries_of("poll_groups") {
            if group.key == DEFAULT_POLL_GROUP {
                let message = "found a group of this name, expected another name";
                let hint = "`poll_interval_ms` is the interval of the group `default`";
                out.push(Diagnostic::error(&group.key_span, at.path.clone(), message).hint(hint));
            }
        }
        if let Some(limits) = connection.get("limits") {
            let default = Limits::default();
            limits.ordered(
                ("restart_first_ms", default.restart_first_ms.into()),
                ("restart_max_ms", default.restart_max_ms.into()),
                out,
            );
        }
        writable_without_grant(&connection, out);
    }
}

/// Points that can be written by the settings, on a Modbus device that nothing may be written to. Said once a connection.
fn writable_without_grant(connection: &At<'_>, out: &mut Vec<Diagnostic>) {
    let is_modbus = |at: &At<'_>| at.text_of("kind").is_some_and(|(_, kind)| kind.starts_with("modbus-"));
    let devices: Vec<At<'_>> = connection.entries_of("transports").map(|(_, at)| at).filter(is_modbus).collect();
    if devices.is_empty() || devices.iter().any(|device| device.items_of("allow_write").next().is_some()) {
        return;
    }
    let points = connection.get("settings").into_iter().flat_map(|settings| settings.items_of("points"));
    let mut writable = points.filter_map(|point| point.get("writable"));
    if let Some(at) = writable.find(|at| matches!(at.node.value, Value::Boolean(true) | Value::Table(_))) {
        let message =
            "found a point that can be written, but its transport has no `allow_write`: every write is refused";
        out.push(at.warning(message).hint("for example `allow_write = [\"holding-register:100-120\"]`"));
    }
}

/// Where the config has secrets, by the keys that hold them.
const SECRET_KEYS: [&str; 6] = ["token", "password", "value", "client_secret", "secret", "key"];

/// Empty secrets are errors; files and variables that are not there now are warnings, because they may come later.
pub(super) fn check_secrets(root: &Node, base_dir: &Path, out: &mut Vec<Diagnostic>) {
    let credentials = At::root(root).get("api").into_iter().flat_map(|api| api.entries_of("credentials"));
    let transports = super::transports(root).flat_map(|transport| {
        let auth = transport.at.get("auth");
        std::iter::once(transport.at).chain(auth)
    });
    let tls = At::root(root).get("api").and_then(|api| api.get("tls"));
    let signatures = connections(root).filter_map(|(_, connection)| connection.get("webhook")?.get("signature"));
    for holder in credentials.map(|(_, at)| at).chain(transports).chain(tls).chain(signatures) {
        for secret in SECRET_KEYS.iter().filter_map(|key| holder.get(key)) {
            check_secret(&secret, base_dir, out);
        }
    }
}

fn check_secret(secret: &At<'_>, base_dir: &Path, out: &mut Vec<Diagnostic>) {
    if matches!(&secret.node.value, Value::Text(text) if text.is_empty()) {
        out.push(secret.error("found an empty text, expected a secret"));
    }
    if let Some((at, file)) = secret.text_of("file")
        && !base_dir.join(file).is_file()
    {
        let message = format!("found {file:?}, which is no file now; it must be one when the secret is needed");
        out.push(at.warning(message).hint("the name is relative to the config file"));
    }
    if let Some((at, variable)) = secret.text_of("env")
        && std::env::var_os(variable).is_none()
    {
        out.push(at.warning(format!("found {variable:?}, an environment variable that is not set now")));
    }
    if let Some((at, name)) = secret.text_of("credential")
        && !Secret::credential_file(name).is_ok_and(|file| file.is_file())
    {
        let message = format!("found {name:?}, a credential that systemd has not handed to this process");
        out.push(at.warning(message).hint("`LoadCredential=` in the unit hands it to the service"));
    }
}
