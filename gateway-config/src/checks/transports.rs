//! Transports one by one: addresses, URLs, framing, write grants, TLS files.

use super::address::{check_address, check_url};
use super::{At, http_grants, mqtt, transports};
use crate::Diagnostic;
use crate::tree::{Node, Value};
use crate::walk::did_you_mean;
use bulkhead_model::transport::Reconnect;
use std::ops::RangeInclusive;
use std::path::Path;

/// Port of Modbus over TCP.
const MODBUS_PORT: u16 = 502;

/// The units a device on a serial line can have (MODBUS over Serial Line 1.02 §2.2).
const RTU_UNITS: RangeInclusive<i64> = 1..=247;

/// Longest delimiter in bytes, as in the WIT.
const DELIMITER_MAX_BYTES: usize = 16;

/// Longest frame in bytes, as in the WIT.
const FRAME_MAX_BYTES: i64 = 262_144;

/// Longest silence that ends a frame, in milliseconds, as in the WIT.
const IDLE_GAP_MAX_MS: i64 = 60_000;

/// The tables of a Modbus device.
const TABLES: [&str; 4] = ["coil", "discrete-input", "input-register", "holding-register"];

/// The tables of a Modbus device that can be written.
const WRITABLE_TABLES: [&str; 2] = ["coil", "holding-register"];

pub(super) fn check(root: &Node, base_dir: &Path, out: &mut Vec<Diagnostic>) {
    for transport in transports(root) {
        let at = &transport.at;
        match transport.kind {
            "modbus-tcp" => {
                check_address(at, "address", Some(MODBUS_PORT), out);
                grants(at, out);
            }
            "modbus-rtu" => {
                unit(at, out);
                grants(at, out);
            }
            "serial" => framing(at, out),
            "tcp" => {
                check_address(at, "address", None, out);
                framing(at, out);
            }
            "mqtt" => mqtt::check(at, out),
            "http" => {
                http(at, out);
                http_grants::check(at, out);
            }
            _ => {}
        }
        if let Some(tls) = at.get("tls") {
            tls_files(&tls, base_dir, out);
        }
        if let Some(reconnect) = at.get("reconnect") {
            let default = Reconnect::default();
            reconnect.ordered(("first_ms", default.first_ms.into()), ("max_ms", default.max_ms.into()), out);
        }
    }
}

fn unit(transport: &At<'_>, out: &mut Vec<Diagnostic>) {
    let (Some(unit), Some(at)) = (transport.integer_of("unit_id"), transport.get("unit_id")) else { return };
    // What no unit id at all can be, the walker has refused.
    if RTU_UNITS.contains(&unit) || u8::try_from(unit).is_err() {
        return;
    }
    let (first, last) = (RTU_UNITS.start(), RTU_UNITS.end());
    let hint = if unit == 0 { "0 is for everybody: no device answers it" } else { "those above it are reserved" };
    out.push(at.error(format!("found {unit}, expected {first} to {last} on a serial line")).hint(hint));
}

fn grants(transport: &At<'_>, out: &mut Vec<Diagnostic>) {
    for (key, tables) in [("allow_read", &TABLES[..]), ("allow_write", &WRITABLE_TABLES[..])] {
        for grant in transport.items_of(key) {
            let Some(text) = grant.node.text() else { continue };
            let Err(reason) = check_grant(text, tables) else { continue };
            let message = format!("found {text:?}, expected `table:address` or `table:first-last`: {reason}");
            let table = text.split(':').next().unwrap_or(text);
            let near = if tables.contains(&table) { None } else { did_you_mean(table, tables) };
            let hint = near.unwrap_or_else(|| "for example \"holding-register:100-120\"".into());
            out.push(grant.error(message).hint(hint));
        }
    }
}

/// Why a text is no grant on one of these tables, such as `coil:3` or `holding-register:100-120`.
fn check_grant(text: &str, tables: &[&str]) -> Result<(), String> {
    let (table, range) = text.split_once(':').ok_or("there is no `:`")?;
    if !tables.contains(&table) {
        let quoted: Vec<String> = tables.iter().map(|table| format!("`{table}`")).collect();
        return Err(match tables == WRITABLE_TABLES {
            true => "what can be written is `coil` and `holding-register`".into(),
            false => format!("the tables are {}", quoted.join(", ")),
        });
    }
    let number = |text: &str| match text.parse::<u16>() {
        Ok(number) if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(number),
        _ => Err(format!("`{text}` is no address from 0 to 65535")),
    };
    match range.split_once('-') {
        None => number(range).map(|_| ()),
        Some((first, last)) if number(first)? > number(last)? => Err("the first address is above the last".into()),
        Some(_) => Ok(()),
    }
}

fn framing(transport: &At<'_>, out: &mut Vec<Diagnostic>) {
    let Some(framing) = transport.get("framing") else { return };
    if let Some((at, delimiter)) = framing.text_of("delimiter")
        && !(1..=DELIMITER_MAX_BYTES).contains(&delimiter.len())
    {
        out.push(at.error(format!("found {} bytes, expected 1 to {DELIMITER_MAX_BYTES}", delimiter.len())));
    }
    for (key, max) in [("length", FRAME_MAX_BYTES), ("idle_gap_ms", IDLE_GAP_MAX_MS)] {
        if let (Some(number), Some(at)) = (framing.integer_of(key), framing.get(key))
            && !(1..=max).contains(&number)
        {
            out.push(at.error(format!("found {number}, expected a whole number from 1 to {max}")));
        }
    }
    if let Some(length) = framing.integer_of("length") {
        let most = transport.integer_of("max_frame_bytes").unwrap_or(FRAME_MAX_BYTES);
        if length > most && (1..=FRAME_MAX_BYTES).contains(&length) {
            out.push(
                framing.error(format!("found frames of {length} bytes, expected at most `max_frame_bytes`, {most}")),
            );
        }
    }
}

fn http(transport: &At<'_>, out: &mut Vec<Diagnostic>) {
    let base = check_url(transport, "base_url", &["http", "https"], out);
    check_url(transport, "proxy", &["http", "https", "socks5", "socks5h"], out);
    if let Some(at) = transport.get("tls").and_then(|tls| tls.get("server_name")) {
        let message = "found a server name, expected none for the kind \"http\": the host of `base_url` is the name that the \
                       certificate must carry";
        out.push(at.error(message).hint("take it out, and have `base_url` name the server as its certificate does"));
    }
    let auth = transport.get("auth");
    if let Some(auth) = &auth {
        check_url(auth, "token_url", &["http", "https"], out);
        header_name(auth, out);
    }
    let Some(base) = base else { return };
    if (base.query().is_some() || base.fragment().is_some())
        && let Some((at, text)) = transport.text_of("base_url")
    {
        out.push(at.error(format!("found {text:?}, expected a URL without `?` and `#`: requests go below it")));
    }
    if base.scheme() == "http"
        && !is_loopback(&base)
        && let Some(auth) = auth
    {
        out.push(
            auth.warning("found credentials for a server without TLS: they can be read on the way").hint("use https"),
        );
    }
}

fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// A field name is a token (RFC 9110 §5.6.2) and not one that the host sets itself.
fn header_name(auth: &At<'_>, out: &mut Vec<Diagnostic>) {
    let Some((at, name)) = auth.text_of("name") else { return };
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let is_ours = ["host", "connection", "content-length", "transfer-encoding"].contains(&name.to_lowercase().as_str());
    if name.is_empty() || !name.bytes().all(is_token) || is_ours {
        out.push(at.error(format!("found {name:?}, expected the name of a header field such as \"X-API-Key\"")));
    }
}

fn tls_files(tls: &At<'_>, base_dir: &Path, out: &mut Vec<Diagnostic>) {
    match (tls.get("certificate_file"), tls.get("key_file")) {
        (Some(at), None) => out.push(at.error("found a certificate without `key_file`, expected both")),
        (None, Some(at)) => out.push(at.error("found a key without `certificate_file`, expected both")),
        _ => {}
    }
    for at in ["ca_file", "certificate_file", "key_file"].iter().filter_map(|key| tls.get(key)) {
        if let Value::Text(file) = &at.node.value
            && !base_dir.join(file).is_file()
        {
            let message = format!("found {file:?}, which is no file now; it must be one when the connection starts");
            out.push(at.warning(message).hint("the name is relative to the config file"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_name_a_writable_table_and_a_range() {
        for good in ["coil:3", "holding-register:100-120", "coil:0-65535", "coil:7-7"] {
            assert_eq!(check_grant(good, &WRITABLE_TABLES), Ok(()), "{good}");
        }
        assert_eq!(check_grant("input-register:1", &TABLES), Ok(()));
        for bad in ["coil", "coil:", "input-register:1", "coil:9-3", "coil:65536", "coil:+1", "coil:1-", "coil:1-2-3"] {
            assert!(check_grant(bad, &WRITABLE_TABLES).is_err(), "{bad}");
        }
    }
}
