//! The API's address and its credentials.

use super::At;
use crate::Diagnostic;
use crate::tree::Node;
use std::collections::HashMap;
use std::net::SocketAddr;

pub(super) fn check(root: &Node, out: &mut Vec<Diagnostic>) {
    let Some(api) = At::root(root).get("api") else { return };
    listen(&api, out);
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
fn listen(api: &At<'_>, out: &mut Vec<Diagnostic>) {
    let Some((at, text)) = api.text_of("listen") else { return };
    let Ok(address) = text.parse::<SocketAddr>() else { return };
    if !address.ip().to_canonical().is_loopback() && api.entries_of("credentials").next().is_none() {
        out.push(
            at.error(format!(
                "found {text:?} and no credential, expected a loopback address such as \"127.0.0.1:8470\""
            ))
            .hint("add `[api.credentials.<name>]` with a token to let other machines in"),
        );
    }
}
