//! What a request's header fields say about its sender, and by which way that may be said.

use axum::http::{HeaderMap, header};
use base64::Engine as _;

/// The cookie of a session over TLS: such a name makes browsers insist on `Secure`, on the whole host and no other.
pub(crate) const COOKIE_TLS: &str = "__Host-bulkhead";
/// The same without TLS, on this machine.
pub(crate) const COOKIE_PLAIN: &str = "bulkhead-session";

/// What somebody says about themselves.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// Nothing.
    Nothing,
    /// `Authorization: Bearer` (RFC 6750 §2.1).
    Bearer(String),
    /// `Authorization: Basic` (RFC 7617 §2).
    Basic { user: String, password: String },
    /// The cookie of a session.
    Cookie(String),
    /// `Authorization` in another scheme, or more than one.
    NotUnderstood,
}

/// What the header fields of a request say.
pub(crate) fn said(headers: &HeaderMap, tls: bool) -> Said {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    match (given.next(), given.next()) {
        (None, _) => cookie(headers, if tls { COOKIE_TLS } else { COOKIE_PLAIN }).map_or(Said::Nothing, Said::Cookie),
        (Some(_), Some(_)) => Said::NotUnderstood,
        (Some(value), None) => authorization(value.as_bytes()).unwrap_or(Said::NotUnderstood),
    }
}

/// Whether they hold a token: no browser adds one by itself.
pub(crate) fn is_bearer(headers: &HeaderMap) -> bool {
    matches!(said(headers, false), Said::Bearer(_))
}

fn authorization(header: &[u8]) -> Option<Said> {
    let text = std::str::from_utf8(header).ok()?;
    let (scheme, rest) = text.trim().split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Said::Bearer(rest.to_owned()));
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let plain = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(rest).ok()?).ok()?;
        let (user, password) = plain.split_once(':')?;
        return Some(Said::Basic { user: user.to_owned(), password: password.to_owned() });
    }
    None
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let fields = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(given, _)| *given == name).map(|(_, value)| value.to_owned())
}

/// How a request came here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Channel {
    /// Over TLS.
    pub(crate) tls: bool,
    /// From this machine.
    pub(crate) local: bool,
}

impl Channel {
    /// Whether nobody on the way can read along.
    pub(crate) fn is_private(self) -> bool {
        self.tls || self.local
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn of(header: &str) -> Said {
        said(&HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_str(header).unwrap())]), false)
    }

    fn basic(plain: &str) -> String {
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(plain))
    }

    #[test]
    fn schemes_are_told_apart() {
        assert!(of("Bearer letmein") == Said::Bearer("letmein".into()));
        assert!(of("bearer  letmein") == Said::Bearer("letmein".into()));
        let anna = Said::Basic { user: "anna".into(), password: "pass:word".into() };
        assert!(of(&basic("anna:pass:word")) == anna);
        for other in ["Digest x", "Basic %%%", "letmein", "", &basic("anna")] {
            assert!(of(other) == Said::NotUnderstood, "{other}");
        }
        assert!(said(&HeaderMap::new(), false) == Said::Nothing);
        let twice = HeaderMap::from_iter([(
            header::COOKIE,
            HeaderValue::from_static("a=b; bulkhead-session=s; __Host-bulkhead=t"),
        )]);
        assert!(said(&twice, false) == Said::Cookie("s".into()) && said(&twice, true) == Said::Cookie("t".into()));
    }
}
