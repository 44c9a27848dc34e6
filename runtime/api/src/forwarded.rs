//! What a trusted proxy says about the request it hands on: for whom, and how its client came (RFC 7239, and the older
//! `X-Forwarded-*`). Pure.

use crate::peer::Peer;
use axum::http::{HeaderMap, HeaderName};
use std::net::{IpAddr, SocketAddr};

const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Proxies in a row that are followed back.
pub(crate) const PROXIES_MAX: usize = 16;

/// A peer as the request's header fields tell about it, if the other end of the connection is a trusted proxy. From anybody
/// else they are ignored.
pub(crate) fn seen_through(peer: Peer, headers: &HeaderMap, trusts: impl Fn(IpAddr) -> bool) -> Peer {
    let proxy = peer.address.ip();
    if !trusts(proxy) {
        return peer;
    }
    match client(proxy, headers, trusts) {
        Some(client) => {
            let tls = scheme(headers).map_or(peer.channel.tls, |scheme| scheme == "https");
            peer.behind_proxy(client, tls)
        }
        None => peer,
    }
}

/// The client: the last address of the list that is no trusted proxy's. What stands before it was written by itself. Where
/// the standard field and the older one disagree, a proxy has handed on one that is the client's invention: then nobody
/// knows, and it is the proxy that counts.
fn client(proxy: IpAddr, headers: &HeaderMap, trusts: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let standard =
        list(headers, &FORWARDED).map(|list| walk(proxy, &list, |element| parameter(element, "for"), &trusts));
    let older = list(headers, &FOR).map(|list| walk(proxy, &list, |element| Some(element.to_owned()), &trusts));
    match (standard, older) {
        (Some(standard), Some(older)) if standard != older => Some(proxy),
        (standard, older) => standard.or(older),
    }
}

/// Follows a list back, from the end to the first address that is not trusted.
fn walk(
    proxy: IpAddr,
    list: &[String],
    node: impl Fn(&str) -> Option<String>,
    trusts: impl Fn(IpAddr) -> bool,
) -> IpAddr {
    let mut last = proxy;
    for element in list.iter().rev().take(PROXIES_MAX) {
        if !trusts(last) {
            break;
        }
        // `unknown` and names of a proxy's own: who is behind it, nobody says.
        let Some(address) = node(element).as_deref().and_then(address) else { break };
        last = address;
    }
    last
}

/// An address with or without a port, IPv6 with or without brackets.
fn address(node: &str) -> Option<IpAddr> {
    let node = node.trim().trim_matches('"');
    let plain = node.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(node);
    let with_port = || node.parse::<SocketAddr>().ok().map(|address| address.ip());
    plain.parse().ok().or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

/// How the client came to the proxy that the gateway sees. Where both fields are there, one may be the client's own, and it is
/// `https` only by both.
fn scheme(headers: &HeaderMap) -> Option<String> {
    let standard = list(headers, &FORWARDED).and_then(|list| list.last().cloned());
    let standard = standard.map(|element| parameter(&element, "proto").map(|proto| proto.to_ascii_lowercase()));
    let other = list(headers, &PROTO).and_then(|list| list.last().map(|proto| proto.to_ascii_lowercase()));
    match (standard, other) {
        (Some(one), Some(other)) if one.as_ref() == Some(&other) => one,
        (Some(_), Some(_)) => Some("http".to_owned()),
        (Some(one), None) => one,
        (None, other) => other,
    }
}

/// The elements of a list that may stand in several fields; none: there is no such field.
fn list(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<String>> {
    let fields: Vec<_> = headers.get_all(name).iter().collect();
    let text = |field: &&axum::http::HeaderValue| String::from_utf8_lossy(field.as_bytes()).into_owned();
    let elements = |text: String| text.split(',').map(|element| element.trim().to_owned()).collect::<Vec<_>>();
    (!fields.is_empty()).then(|| fields.iter().map(text).flat_map(elements).collect())
}

/// A parameter of an element of `Forwarded`, without its quotes.
pub(crate) fn parameter(element: &str, name: &str) -> Option<String> {
    element.split(';').find_map(|pair| {
        let (found, value) = pair.split_once('=')?;
        found.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn peer(from: &str, fields: &[(&'static str, &'static str)]) -> Peer {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let peer = Peer::plain(format!("{from}:5000").parse().unwrap(), "192.0.2.1:8470".parse().unwrap());
        let proxies = ["127.0.0.1", "10.0.0.1", "10.0.0.2"];
        seen_through(peer, &headers, |address| proxies.contains(&address.to_string().as_str()))
    }

    fn client(from: &str, fields: &[(&'static str, &'static str)]) -> String {
        peer(from, fields).client().to_string()
    }

    #[test]
    fn the_client_is_the_last_address_that_is_no_trusted_proxys() {
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client("203.0.113.9", &[("x-forwarded-for", "198.51.100.7")]), "203.0.113.9", "from anybody else");
        for (fields, expected) in [
            ([("x-forwarded-for", "1.1.1.1, 203.0.113.9")], "203.0.113.9"),
            ([("x-forwarded-for", "1.1.1.1, 203.0.113.9, 10.0.0.2")], "203.0.113.9"),
            ([("x-forwarded-for", "10.0.0.2")], "10.0.0.2"),
            ([("x-forwarded-for", "203.0.113.9, nonsense")], "10.0.0.1"),
            ([("x-forwarded-for", "203.0.113.9:4711")], "203.0.113.9"),
            ([("forwarded", "for=1.1.1.1, for=\"[2001:db8::1]:99\";proto=https")], "2001:db8::1"),
            ([("forwarded", "for=203.0.113.9, for=_hidden")], "10.0.0.1"),
            ([("forwarded", "proto=https")], "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.1", &fields), expected, "{fields:?}");
        }
        let fields = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "203.0.113.9")];
        assert_eq!(client("10.0.0.1", &fields), "203.0.113.9");
    }

    #[test]
    fn where_the_fields_disagree_the_proxy_counts() {
        let of = |standard| client("10.0.0.1", &[("forwarded", standard), ("x-forwarded-for", "203.0.113.9")]);
        assert_eq!(of("for=203.0.113.9"), "203.0.113.9");
        assert_eq!(of("for=198.51.100.7"), "10.0.0.1", "nginx hands on what the client wrote");
    }

    #[test]
    fn a_client_behind_a_proxy_is_not_this_machine_and_private_only_over_tls() {
        let of =
            |from, scheme| peer(from, &[("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", scheme)]).channel;
        assert!(of("127.0.0.1", "https").is_private() && !of("127.0.0.1", "https").local);
        assert!(!of("127.0.0.1", "http").is_private());
        assert!(!of("10.0.0.1", "https").is_private(), "the way from the proxy can be read along");
        assert!(peer("127.0.0.1", &[("x-forwarded-for", "127.0.0.1")]).channel.local);
        assert!(peer("127.0.0.1", &[("x-forwarded-proto", "https")]).channel.local, "it says for nobody");
        // The field that its proxy does not set is the client's own.
        let both = [
            ("forwarded", "for=203.0.113.9;proto=https"),
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-proto", "http"),
        ];
        assert!(!peer("127.0.0.1", &both).channel.tls);
    }
}
