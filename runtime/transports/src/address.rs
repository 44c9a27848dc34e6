//! `host:port` as the config gives it: pure.

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// Name or IP address, without brackets.
    pub(crate) host: String,
    /// Port, never 0.
    pub(crate) port: u16,
}

impl Address {
    /// Reads `host`, `host:port`, `[v6]` or `[v6]:port`. None where the host is empty or the port is no port; without
    /// a port `default_port`, and where that is missing too, none.
    pub(crate) fn parse(text: &str, default_port: Option<u16>) -> Option<Self> {
        let (host, port) = split(text)?;
        let port = match port {
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => port.parse().ok()?,
            Some(_) => return None,
            None => default_port?,
        };
        let valid = !host.is_empty() && port != 0 && !host.contains(|c: char| c.is_whitespace() || c.is_control());
        valid.then(|| Self { host: host.to_owned(), port })
    }
}

fn split(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    match text.matches(':').count() {
        0 => Some((text, None)),
        1 => text.split_once(':').map(|(host, port)| (host, Some(port))),
        // More colons than one without brackets: an IPv6 address without a port.
        _ => Some((text, None)),
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_ports_and_ipv6_are_told_apart() {
        let cases = [
            ("plc.local", Some("plc.local:502")),
            ("10.0.0.1:1502", Some("10.0.0.1:1502")),
            ("[fe80::1]:502", Some("[fe80::1]:502")),
            ("fe80::1", Some("[fe80::1]:502")),
            ("[::1]", Some("[::1]:502")),
            (":502", None),
            ("host:", None),
            ("host:0", None),
            ("host:70000", None),
            ("host:+5", None),
            ("[::1]x", None),
            ("a b:1", None),
        ];
        for (text, expected) in cases {
            let parsed = Address::parse(text, Some(502)).map(|address| address.to_string());
            assert_eq!(parsed.as_deref(), expected, "{text}");
        }
        assert_eq!(Address::parse("host", None), None);
    }
}
