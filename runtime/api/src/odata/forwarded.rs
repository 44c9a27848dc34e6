//! How a client reached the gateway: as it stands in the request, or as a proxy says that the config trusts (RFC 7239, and
//! the older `X-Forwarded-*`). It shapes the links in answers. Pure.

use crate::forwarded::parameter;
use axum::http::{HeaderMap, HeaderName};

/// Longest prefix of a path that a proxy may name, and longest host.
const NAME_MAX_BYTES: usize = 255;

/// How a client reached the gateway.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Origin {
    /// `http` or `https`.
    pub(super) scheme: String,
    /// Host, with the port if it is not the scheme's own.
    pub(super) authority: String,
    /// What stands before the gateway's paths; empty or with a slash before and none behind.
    pub(super) prefix: String,
}

impl Origin {
    /// As the request itself has it.
    pub(super) fn direct(tls: bool, authority: String) -> Self {
        Self { scheme: if tls { "https" } else { "http" }.to_owned(), authority, prefix: String::new() }
    }

    /// The same as a trusted proxy says. What it says wrongly is as if it said nothing. Of several proxies the last one
    /// counts, which is the one that the gateway sees.
    pub(super) fn forwarded(mut self, headers: &HeaderMap) -> Self {
        let standard = last(headers, &HeaderName::from_static("forwarded"), ',');
        let (scheme, host) = match standard {
            Some(element) => (parameter(&element, "proto"), parameter(&element, "host")),
            None => (
                last(headers, &HeaderName::from_static("x-forwarded-proto"), ','),
                last(headers, &HeaderName::from_static("x-forwarded-host"), ','),
            ),
        };
        let scheme = scheme.map(|scheme| scheme.to_ascii_lowercase());
        if let Some(scheme) = scheme.filter(|scheme| matches!(scheme.as_str(), "http" | "https")) {
            self.scheme = scheme;
        }
        if let Some(host) = host.filter(|host| is_authority(host)) {
            self.authority = host;
        }
        let prefix = last(headers, &HeaderName::from_static("x-forwarded-prefix"), ',');
        if let Some(prefix) = prefix.filter(|prefix| is_prefix(prefix)) {
            self.prefix = prefix.trim_end_matches('/').to_owned();
        }
        self
    }
}

/// The last element of a list that may stand in several fields.
fn last(headers: &HeaderMap, name: &HeaderName, separator: char) -> Option<String> {
    let field = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    field.rsplit(separator).next().map(|element| element.trim().to_owned()).filter(|element| !element.is_empty())
}

fn is_authority(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    !text.is_empty() && text.len() <= NAME_MAX_BYTES && text.bytes().all(plain)
}

fn is_prefix(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    text.starts_with('/') && !text.contains("//") && text.len() <= NAME_MAX_BYTES && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn seen(fields: &[(&'static str, &'static str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let origin = Origin::direct(false, "gw:8470".into()).forwarded(&headers);
        format!("{}://{}{}", origin.scheme, origin.authority, origin.prefix)
    }

    #[test]
    fn the_last_proxy_says_how_the_client_came() {
        assert_eq!(seen(&[]), "http://gw:8470");
        assert_eq!(
            seen(&[("forwarded", "for=1.2.3.4;proto=https;host=\"plant.example:444\"")]),
            "https://plant.example:444"
        );
        assert_eq!(seen(&[("forwarded", "host=evil.example, host=plant.example")]), "http://plant.example");
        assert_eq!(seen(&[("forwarded", "host=a.example"), ("forwarded", "host=b.example")]), "http://b.example");
        let older =
            [("x-forwarded-proto", "HTTPS"), ("x-forwarded-host", "a, b.example"), ("x-forwarded-prefix", "/gw/")];
        assert_eq!(seen(&older), "https://b.example/gw");
        assert_eq!(seen(&[("forwarded", "proto=https"), ("x-forwarded-host", "x.example")]), "https://gw:8470");
    }

    #[test]
    fn what_is_no_scheme_host_or_prefix_is_not_believed() {
        for wrong in [
            ("x-forwarded-proto", "javascript"),
            ("x-forwarded-host", "a/b"),
            ("x-forwarded-host", "a@b"),
            ("x-forwarded-prefix", "gw"),
            ("x-forwarded-prefix", "//evil.example"),
            ("forwarded", "host=\"a b\""),
        ] {
            assert_eq!(seen(&[wrong]), "http://gw:8470", "{wrong:?}");
        }
    }
}
