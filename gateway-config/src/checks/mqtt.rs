//! MQTT: topics, filters, client ids, and what the protocol's version allows.

use super::address::{check_address, host_and_port};
use super::{At, transports};
use crate::tree::Node;
use crate::{Diagnostic, Gateway};
use std::collections::HashMap;

/// Longest topic or filter in bytes (MQTT 5.0 §1.5.4).
const TOPIC_MAX_BYTES: usize = 65_535;

/// Port without and with TLS.
const PORTS: (u16, u16) = (1883, 8883);

pub(super) fn check(transport: &At<'_>, out: &mut Vec<Diagnostic>) {
    check_address(transport, "address", Some(port(transport)), out);
    for filter in transport.items_of("subscribe").chain(transport.items_of("publish")) {
        let Some(text) = filter.node.text() else { continue };
        if let Err(reason) = check_filter(text) {
            out.push(filter.error(format!("found {text:?}, expected a topic filter: {reason}")));
        }
    }
    let will = transport.get("last_will");
    if let Some((at, topic)) = will.as_ref().and_then(|will| will.text_of("topic"))
        && (topic.is_empty() || topic.contains(['+', '#', '\0']) || topic.len() > TOPIC_MAX_BYTES)
    {
        out.push(at.error(format!("found {topic:?}, expected a topic without `+` and `#`")));
    }
    if let Some((at, "")) = transport.text_of("client_id") {
        out.push(at.error("found an empty text, expected a client id").hint("leave the key out for the default"));
    }
    let is_5 = transport.text_of("version").is_some_and(|(_, version)| version == "5");
    if let (Some(password), None, false) = (transport.get("password"), transport.get("username"), is_5) {
        let message = "found a password without `username`, expected both";
        out.push(password.error(message).hint("MQTT 3.1.1 has no password without a user name"));
    }
}

fn port(transport: &At<'_>) -> u16 {
    if transport.get("tls").is_some() { PORTS.1 } else { PORTS.0 }
}

/// A broker drops the older of two clients with the same id, for ever in turn.
pub(super) fn check_client_ids(root: &Node, out: &mut Vec<Diagnostic>) {
    let gateway = root.get("gateway").and_then(|gateway| gateway.text_of("name"));
    let gateway = gateway.map_or(Gateway::default().name, ToOwned::to_owned);
    let mut seen: HashMap<(String, u16, String), String> = HashMap::new();
    for transport in transports(root).filter(|transport| transport.enabled && transport.kind == "mqtt") {
        let Some((_, address)) = transport.at.text_of("address") else { continue };
        let Ok((host, port)) = host_and_port(address, Some(port(&transport.at))) else { continue };
        let given = transport.at.text_of("client_id");
        let id = given
            .as_ref()
            .map_or_else(|| format!("bulkhead-{gateway}-{}", transport.connection), |(_, id)| (*id).to_owned());
        let place = format!("connections.{}.transports.{}", transport.connection, transport.role);
        if let Some(other) = seen.insert((host.to_lowercase(), port, id.clone()), place) {
            let at = given.map_or_else(|| transport.at.clone(), |(at, _)| at);
            let message =
                format!("found the client id {id:?}, which `{other}` has at the same broker, expected another");
            out.push(at.error(message).hint("give each transport a `client_id` of its own"));
        }
    }
}

/// Why a text is no topic filter (MQTT 5.0 §4.7); shared subscriptions (§4.8.2) are filters too.
fn check_filter(text: &str) -> Result<(), &'static str> {
    let filter = match text.strip_prefix("$share/") {
        None => text,
        Some(shared) => match shared.split_once('/') {
            Some((group, filter)) if !group.is_empty() && !group.contains(['+', '#']) => filter,
            _ => return Err("a shared subscription is `$share/group/filter`"),
        },
    };
    if filter.is_empty() {
        return Err("it is empty");
    }
    if text.len() > TOPIC_MAX_BYTES || text.contains('\0') {
        return Err("it is longer than 65535 bytes or has a NUL in it");
    }
    let levels: Vec<&str> = filter.split('/').collect();
    for (index, level) in levels.iter().enumerate() {
        if level.contains('#') && (*level != "#" || index + 1 != levels.len()) {
            return Err("`#` stands alone as the last level");
        }
        if level.contains('+') && *level != "+" {
            return Err("`+` stands alone as a level");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_follow_the_grammar() {
        for good in ["a", "/", "+", "#", "a/+/b/#", "$SYS/#", "$share/g/a/+", "a//b"] {
            assert_eq!(check_filter(good), Ok(()), "{good}");
        }
        for bad in ["", "a#", "a/#/b", "a+/b", "$share/g", "$share//a", "$share/+/a", "$share/g/", "a\0"] {
            assert!(check_filter(bad).is_err(), "{bad}");
        }
    }
}
