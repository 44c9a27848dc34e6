//! Serial ports: who may share one.

use super::{At, Transport, transports};
use crate::Diagnostic;
use crate::tree::Node;
use std::collections::HashMap;

/// What all users of a bus must set alike, with the defaults in the words of the config.
const LINE_SETTINGS: [(&str, &str); 4] =
    [("baud", "9600"), ("parity", "\"none\""), ("data_bits", "8"), ("stop_bits", "1")];

/// Connections that run may share a port as a Modbus bus, if they agree how it is set; nobody else shares one.
pub(super) fn check(root: &Node, out: &mut Vec<Diagnostic>) {
    let mut ports: HashMap<&str, Transport<'_>> = HashMap::new();
    for transport in transports(root).filter(|transport| transport.enabled) {
        if !matches!(transport.kind, "serial" | "modbus-rtu") {
            continue;
        }
        let Some((port_at, port)) = transport.at.text_of("port") else { continue };
        match ports.get(port) {
            None => {
                ports.insert(port, transport);
            }
            Some(first) if first.kind == "modbus-rtu" && transport.kind == "modbus-rtu" => {
                agree(first, &transport, out)
            }
            Some(first) => {
                let message = format!(
                    "found {port:?}, which `connections.{}.transports.{}` has already as `{}`, expected a port of its own",
                    first.connection, first.role, first.kind
                );
                out.push(port_at.error(message).hint("only transports of kind `modbus-rtu` share a port"));
            }
        }
    }
}

fn agree(first: &Transport<'_>, other: &Transport<'_>, out: &mut Vec<Diagnostic>) {
    for (key, default) in LINE_SETTINGS {
        let value = |at: &At<'_>| at.node.get(key).map_or(default.to_owned(), |node| node.to_json().to_string());
        let (wanted, given) = (value(&first.at), value(&other.at));
        if wanted != given {
            let message = format!(
                "found `{key}` {given}, expected {wanted} as in `connections.{}.transports.{}`, which shares the port",
                first.connection, first.role
            );
            let at = other.at.get(key).unwrap_or_else(|| other.at.clone());
            out.push(at.error(message).hint("a line has one speed and one character format"));
        }
    }
}
