//! Which requests a browser was tricked into: names that were rebound to this machine (DNS rebinding), and pages of
//! other sites that send what changes something (cross-site request forgery). Pure decisions over header values.

use std::net::{IpAddr, SocketAddr};

/// The host of `host[:port]`, IPv6 addresses without their brackets.
fn host_of(authority: &str) -> &str {
    if let Some((host, _)) = authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return host;
    }
    authority.rsplit_once(':').map_or(authority, |(host, _)| host)
}

/// Whether a `Host` names this machine itself: `localhost`, a loopback address or the address listened on. Any other
/// name is one that somebody else's DNS has pointed here.
pub(crate) fn is_own_host(authority: &str, listen: SocketAddr) -> bool {
    let host = host_of(authority);
    if host.trim_end_matches('.').eq_ignore_ascii_case("localhost") {
        return true;
    }
    host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip == listen.ip())
}

/// Whether a request's `Origin` is the site it goes to. `null` (sandboxed frames, files) is foreign.
pub(crate) fn is_same_origin(origin: &str, authority: &str) -> bool {
    let Some((scheme, rest)) = origin.split_once("://") else { return false };
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let plain = |text: &str| text.strip_suffix(default_port).unwrap_or(text).to_ascii_lowercase();
    plain(rest) == plain(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_its_own() {
        let listen: SocketAddr = "127.0.0.2:8470".parse().unwrap();
        for own in ["localhost", "LocalHost:8470", "localhost.:1", "127.0.0.1:8470", "[::1]:8470", "127.0.0.2"] {
            assert!(is_own_host(own, listen), "{own}");
        }
        for foreign in
            ["evil.example", "localhost.evil.example:8470", "192.0.2.1", "", "127.0.0.1.evil.example", "[::2]"]
        {
            assert!(!is_own_host(foreign, listen), "{foreign}");
        }
    }

    #[test]
    fn an_origin_is_the_same_with_scheme_host_and_port() {
        assert!(is_same_origin("http://127.0.0.1:8470", "127.0.0.1:8470"));
        assert!(is_same_origin("https://Gateway.local", "gateway.local:443"));
        for foreign in ["null", "http://evil.example", "http://127.0.0.1:8471", "file://", "http://127.0.0.1:8470/x"] {
            assert!(!is_same_origin(foreign, "127.0.0.1:8470"), "{foreign}");
        }
    }
}
