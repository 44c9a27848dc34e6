//! `host:port` and URLs.

use super::At;
use crate::Diagnostic;
use url::Url;

/// Why a text is not `host:port`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum AddressError {
    Scheme,
    Host,
    Port,
    NoPort,
}

/// Host and port of `host:port`; IPv6 hosts stand in brackets. `default_port` makes the port optional.
pub(super) fn host_and_port(text: &str, default_port: Option<u16>) -> Result<(&str, u16), AddressError> {
    if text.contains("://") {
        return Err(AddressError::Scheme);
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(AddressError::Host)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| AddressError::Host)?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':').ok_or(AddressError::Port)?) })
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let is_name = |c: char| c.is_alphanumeric() || "-._".contains(c);
    if host.is_empty() || host.len() > 253 || (!text.starts_with('[') && !host.chars().all(is_name)) {
        return Err(AddressError::Host);
    }
    match port {
        None => default_port.map(|port| (host, port)).ok_or(AddressError::NoPort),
        Some(port) => match port.parse::<u16>() {
            Ok(number) if number > 0 && port.bytes().all(|byte| byte.is_ascii_digit()) => Ok((host, number)),
            _ => Err(AddressError::Port),
        },
    }
}

/// Says what is wrong with the `host:port` under a key.
pub(super) fn check_address(table: &At<'_>, key: &str, default_port: Option<u16>, out: &mut Vec<Diagnostic>) {
    let Some((at, text)) = table.text_of(key) else { return };
    let Err(error) = host_and_port(text, default_port) else { return };
    let port = default_port.map_or(String::new(), |port| format!("; without a port it is {port}"));
    let hint = match error {
        AddressError::Scheme => "leave the scheme and `://` out".to_owned(),
        AddressError::Host if text.matches(':').count() > 1 => "an IPv6 address stands in brackets: `[::1]:502`".into(),
        AddressError::Host => "a host is a name or an IP address".into(),
        AddressError::Port => "a port is a number from 1 to 65535".into(),
        AddressError::NoPort => format!("for example \"{text}:4001\""),
    };
    out.push(at.error(format!("found {text:?}, expected `host:port`{port}")).hint(hint));
}

/// Says what is wrong with the URL under a key; gives it when nothing is.
pub(super) fn check_url(table: &At<'_>, key: &str, schemes: &[&str], out: &mut Vec<Diagnostic>) -> Option<Url> {
    let (at, text) = table.text_of(key)?;
    // What stands before an `@` may be a password: such a URL is never shown.
    let shown = if text.contains('@') { "a URL".to_owned() } else { format!("{text:?}") };
    let expected = format!(
        "a URL that begins with {}",
        schemes.iter().map(|it| format!("{it}://")).collect::<Vec<_>>().join(" or ")
    );
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => {
            out.push(at.error(format!("found {shown}, expected {expected}: {error}")));
            return None;
        }
    };
    if !schemes.contains(&url.scheme()) || url.host_str().is_none_or(str::is_empty) {
        out.push(at.error(format!("found {shown}, expected {expected}")));
        return None;
    }
    if !url.username().is_empty() || url.password().is_some() {
        let message = "found a URL with a user name in it, expected one without";
        out.push(at.error(message).hint("credentials stand in a table of their own, such as `auth`"));
        return None;
    }
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_told_apart() {
        assert_eq!(host_and_port("plc-1.local", Some(502)), Ok(("plc-1.local", 502)));
        assert_eq!(host_and_port("10.0.0.1:4001", None), Ok(("10.0.0.1", 4001)));
        assert_eq!(host_and_port("[::1]:502", None), Ok(("::1", 502)));
        assert_eq!(host_and_port("[::1]", Some(502)), Ok(("::1", 502)));
        for (text, error) in [
            ("tcp://x:1", AddressError::Scheme),
            ("::1", AddressError::Host),
            ("a b:1", AddressError::Host),
            ("x:", AddressError::Port),
            ("x:+5", AddressError::Port),
            ("x:70000", AddressError::Port),
            ("x:0", AddressError::Port),
            ("[::1]5", AddressError::Port),
            ("x", AddressError::NoPort),
        ] {
            assert_eq!(host_and_port(text, None), Err(error), "{text}");
        }
    }
}
