//! What an HTTP transport may do: methods, paths, networks.

use super::{At, connections};
use crate::Diagnostic;
use crate::tree::Node;
use crate::walk::did_you_mean;
use std::net::IpAddr;

/// Methods that change nothing (RFC 9110 §9.2.1).
const READING_METHODS: [&str; 4] = ["GET", "HEAD", "OPTIONS", "TRACE"];
/// The ranges that have names.
const NETWORKS: [&str; 3] = ["loopback", "link-local", "private"];

/// Checks the grants of one transport.
pub(super) fn check(transport: &At<'_>, out: &mut Vec<Diagnostic>) {
    for at in transport.items_of("allow_methods") {
        let Some(text) = at.node.text() else { continue };
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_uppercase()) || text == "CONNECT" {
            let hint = match text.to_uppercase() {
                upper if !upper.is_empty() && upper != text => format!("did you mean `{upper}`?"),
                _ => "`CONNECT` makes tunnels: it cannot be granted".into(),
            };
            let message = format!("found {text:?}, expected the name of a method in capitals, such as \"POST\"");
            out.push(at.error(message).hint(hint));
        }
    }
    for at in transport.items_of("allow_paths") {
        let Some(text) = at.node.text() else { continue };
        if let Some(reason) = no_path(text) {
            let message = format!("found {text:?}, expected a path below `base_url`, such as \"/orders\": {reason}");
            out.push(at.error(message));
        }
    }
    for at in transport.items_of("allow_networks") {
        let Some(text) = at.node.text() else { continue };
        if !NETWORKS.contains(&text) && !is_network(text) {
            let message = format!(
                "found {text:?}, expected `loopback`, `link-local`, `private` or a network such as \"10.1.0.0/16\""
            );
            let hint = did_you_mean(text, &NETWORKS);
            let error = at.error(message);
            out.push(match hint {
                Some(hint) => error.hint(hint),
                None => error,
            });
        }
    }
}

/// Why a text is no path of a grant.
fn no_path(text: &str) -> Option<&'static str> {
    match text {
        _ if !text.starts_with('/') => Some("it does not begin with `/`"),
        _ if text.contains(['?', '#', '\\']) || text.contains(char::is_control) => {
            Some("it has a character that ends a path")
        }
        _ if text.split('/').any(|part| matches!(part, "." | "..")) || text.to_lowercase().contains("%2e") => {
            Some("its dots would climb out of it")
        }
        _ => None,
    }
}

fn is_network(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let (Ok(address), Ok(bits)) = (address.parse::<IpAddr>(), bits.parse::<u8>()) else { return false };
    bits <= if address.is_ipv4() { 32 } else { 128 }
}

/// Whether all that a connection reaches is an HTTP server it may only read from: nothing can be delivered to it.
pub(super) fn only_reads(root: &Node, connection: &str) -> bool {
    let found = connections(root).find(|(entry, _)| entry.key == connection);
    let mut transports = found.into_iter().flat_map(|(_, at)| at.entries_of("transports")).map(|(_, at)| at).peekable();
    let reads_only = |at: &At<'_>| {
        at.text_of("kind").is_some_and(|(_, kind)| kind == "http")
            && at.items_of("allow_methods").all(|method| {
                // What is no text is wrong, and said elsewhere.
                method.node.text().is_some_and(|method| READING_METHODS.contains(&method))
            })
    };
    transports.peek().is_some() && transports.all(|at| reads_only(&at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_networks_are_what_they_are() {
        for good in ["/", "/orders", "/a b/c", "/$batch"] {
            assert_eq!(no_path(good), None, "{good}");
        }
        for bad in ["", "orders", "/../x", "/a/./b", "/%2e%2E/x", "/a?b", "/a#b", "/a\\b"] {
            assert!(no_path(bad).is_some(), "{bad}");
        }
        assert!(is_network("10.0.0.0/8") && is_network("fd00::/8") && is_network("192.168.1.7/32"));
        assert!(!is_network("10.0.0.0") && !is_network("10.0.0.0/33") && !is_network("lan/8") && !is_network("::/129"));
    }
}
