//! The API's address, its credentials, its TLS and whose tokens it believes; signatures of webhooks.

use super::{At, connections};
use crate::tree::Node;
use crate::{ACCOUNTS_FILE, Diagnostic, Gateway};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;

pub(super) fn check(root: &Node, base_dir: &Path, out: &mut Vec<Diagnostic>) {
    for (_, connection) in connections(root) {
        if let Some(signature) = connection.get("webhook").and_then(|webhook| webhook.get("signature")) {
            check_signature(&signature, out);
        }
    }
    let Some(api) = At::root(root).get("api") else { return };
    listen(root, &api, base_dir, out);
    check_tls(&api, base_dir, out);
    check_files(&api, base_dir, out);
    for at in api.items_of("trusted_proxies") {
        let Some(text) = at.node.text().filter(|text| !crate::proxies::is_network(text)) else { continue };
        let message = format!("found {text:?}, expected an address or a network such as \"10.1.0.0/16\"");
        out.push(at.error(message));
    }
    let mut users: HashMap<&str, String> = HashMap::new();
    for (_, credential) in api.entries_of("credentials") {
        if let Some((at, username)) = credential.text_of("username") {
            if username.contains(':') {
                let message = format!("found {username:?}, expected a user name without `:`");
                out.push(at.error(message).hint("HTTP Basic cannot carry it"));
            }
            if let Some(other) = users.insert(username, at.path.to_string()) {
                out.push(at.error(format!("found {username:?}, which is the user name of `{other}` too")));
            }
        }
    }
}

/// Other machines get in only with a credential.
fn listen(root: &Node, api: &At<'_>, base_dir: &Path, out: &mut Vec<Diagnostic>) {
    let Some((at, text)) = api.text_of("listen") else { return };
    let Ok(address) = text.parse::<SocketAddr>() else { return };
    let is_empty = |key| api.entries_of(key).next().is_none();
    let names_nobody = is_empty("credentials") && is_empty("certificates") && api.get("jwt").is_none();
    if !address.ip().to_canonical().is_loopback() && names_nobody && !has_accounts(root, base_dir) {
        let message =
            format!("found {text:?} and no credential, expected a loopback address such as \"127.0.0.1:8470\"");
        let hint = "make a user with `bulkhead user add` or add `[api.credentials.<name>]` with a token to let other \
                    machines in";
        out.push(at.error(message).hint(hint));
    }
}

/// Whether users or keys were made in the data folder. Whether there still are any, the start looks.
fn has_accounts(root: &Node, base_dir: &Path) -> bool {
    let gateway = At::root(root).get("gateway");
    let given = gateway.as_ref().and_then(|gateway| gateway.text_of("data_dir")).map(|(_, dir)| Path::new(dir));
    base_dir.join(given.unwrap_or(&Gateway::default().data_dir)).join(ACCOUNTS_FILE).is_file()
}

/// A certificate has its key; whose certificates are whose is asked only where any are asked for.
fn check_tls(api: &At<'_>, base_dir: &Path, out: &mut Vec<Diagnostic>) {
    let tls = api.get("tls");
    let of_tls = |key: &str| tls.as_ref().and_then(|tls| tls.get(key));
    match (of_tls("certificate_file"), of_tls("key")) {
        (Some(at), None) => out.push(at.error("found a certificate and no `key`, expected both")),
        (None, Some(at)) => out.push(at.error("found a key and no `certificate_file`, expected both")),
        _ => {}
    }
    if of_tls("client_ca_file").is_none()
        && let Some((_, certificate)) = api.entries_of("certificates").next()
    {
        let message = "found a client certificate, but `api.tls.client_ca_file` is absent: none is asked for";
        out.push(certificate.error(message));
    }
    for key in ["certificate_file", "client_ca_file"] {
        if let Some(at) = of_tls(key) {
            check_file(&at, base_dir, out);
        }
    }
}

fn check_files(api: &At<'_>, base_dir: &Path, out: &mut Vec<Diagnostic>) {
    if let Some(at) = api.get("jwt").and_then(|jwt| jwt.get("jwks_file")) {
        check_file(&at, base_dir, out);
    }
}

fn check_file(at: &At<'_>, base_dir: &Path, out: &mut Vec<Diagnostic>) {
    let Some(file) = at.node.text() else { return };
    if !base_dir.join(file).is_file() {
        let message = format!("found {file:?}, which is no file now; it must be one at the start");
        out.push(at.warning(message).hint("the name is relative to the config file"));
    }
}

/// A text that is signed holds the body once, and a time where one is sent.
fn check_signature(signature: &At<'_>, out: &mut Vec<Diagnostic>) {
    let has_time = signature.get("timestamp_header").is_some();
    let Some((at, signed)) = signature.text_of("signed") else {
        if has_time {
            let message = "found a header with a time and no `signed`: the time must be signed, too";
            out.push(signature.error(message).hint("for example `signed = \"{timestamp}.{body}\"`"));
        }
        return;
    };
    if signed.matches("{body}").count() != 1 {
        out.push(at.error(format!("found {signed:?}, expected `{{body}}` once in it")));
    }
    match (signed.contains("{timestamp}"), has_time) {
        (true, false) => out.push(at.error("found `{timestamp}`, but `timestamp_header` is absent")),
        (false, true) => out.push(at.error("found no `{timestamp}`: a time that is not signed can be replaced")),
        _ => {}
    }
}
