//! What a tap does not show: the config's secrets wherever they stand, what a name tells to be one, and what the operator adds.

use bulkhead_config::{Redacted, TapSettings};
use std::collections::BTreeSet;

/// What stands in the place of what is covered.
const COVER: &str = "***";

/// Names with one of these in them have values that are covered: of header fields, of query parameters, of members in JSON.
const TELLTALES: [&str; 11] =
    ["authoriz", "authent", "cookie", "passw", "pwd", "token", "secret", "api-key", "api_key", "apikey", "access_key"];

/// Covers what is not to be shown.
pub(crate) struct Cover {
    secrets: Redacted,
    /// In lower case.
    headers: BTreeSet<String>,
}

impl Cover {
    pub(crate) fn new(secrets: Redacted, settings: &TapSettings) -> Self {
        let headers = settings.redact_headers.iter().map(|name| name.to_lowercase()).collect();
        Self { secrets: secrets.with(&settings.redact), headers }
    }

    /// A text as it may be shown.
    pub(crate) fn text(&self, text: &str) -> String {
        self.secrets.cover(text)
    }

    /// Bytes as they may be shown.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        match std::str::from_utf8(bytes) {
            Ok(text) => covered_members(&self.text(text)).into_bytes(),
            Err(_) => self.secrets.cover_bytes(bytes),
        }
    }

    /// The value of a header field or a user property as it may be shown.
    pub(crate) fn field(&self, name: &str, value: &str) -> String {
        let name = name.to_lowercase();
        if tells(&name) || self.headers.contains(&name) { COVER.to_owned() } else { self.text(value) }
    }

    /// A path with its query, or a query, as it may be shown.
    pub(crate) fn path(&self, path: &str) -> String {
        let (before, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        match query {
            Some(query) => format!("{}?{}", self.text(before), self.query(query)),
            None => self.text(path),
        }
    }

    /// A query as it may be shown.
    pub(crate) fn query(&self, query: &str) -> String {
        let shown = |pair: &str| match pair.split_once('=') {
            Some((name, _)) if tells(&name.to_lowercase()) => format!("{name}={COVER}"),
            _ => self.text(pair),
        };
        query.split('&').map(shown).collect::<Vec<_>>().join("&")
    }
}

fn tells(name: &str) -> bool {
    TELLTALES.iter().any(|word| name.contains(word))
}

/// A text in which the values of JSON members are covered whose names tell that they are secrets. It need not be JSON: what
/// looks like such a member is one.
fn covered_members(text: &str) -> String {
    let mut covered = String::new();
    let mut rest = text;
    while let Some((before, name, behind)) = next_string(rest) {
        let kept = rest.len() - behind.len();
        let value = behind.trim_start().strip_prefix(':').map(str::trim_start).filter(|value| value.starts_with('"'));
        let value = value.filter(|_| tells(&name.to_lowercase())).and_then(next_string);
        let Some((_, _, behind_value)) = value else {
            // The closing quote is not passed: in a text that is no JSON it may open the next string.
            let passed = before.len() + 1 + name.len();
            covered.push_str(&rest[..passed]);
            rest = &rest[passed..];
            continue;
        };
        let gap = &behind[..behind.find('"').unwrap_or(0)];
        covered.push_str(&rest[..kept]);
        covered.push_str(gap);
        covered.push_str("\"***\"");
        rest = behind_value;
    }
    covered + rest
}

/// What is before the next text in quotes, that text as it is written, and what is behind it.
fn next_string(text: &str) -> Option<(&str, &str, &str)> {
    let open = text.find('"')?;
    let inner = &text[open + 1..];
    let mut escaped = false;
    let close = inner.char_indices().find_map(|(at, character)| {
        let ends = character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        ends.then_some(at)
    })?;
    Some((&text[..open], &inner[..close], &inner[close + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_config::{AnyAdapter, redacted};
    use std::path::Path;

    fn cover() -> Cover {
        let config = "[api.credentials.a]\ntoken = \"hunter22\"\n[connections.x.settings]\npassword = \"öpen\"\n";
        let settings = TapSettings { redact: vec!["ACME 4711".into()], redact_headers: vec!["X-Customer".into()] };
        Cover::new(redacted(config, Path::new(""), &AnyAdapter), &settings)
    }

    #[test]
    fn secrets_and_configured_texts_are_covered_wherever_they_stand() {
        let cover = cover();
        assert_eq!(cover.text("login hunter22 öpen!"), "login *** ***!");
        assert_eq!(cover.bytes(b"\x02hunter22\xff"), b"\x02***\xff");
        assert_eq!(cover.bytes("for ACME 4711".as_bytes()), b"for ***");
        assert_eq!(cover.bytes(b"12.5 kg"), b"12.5 kg");
    }

    #[test]
    fn fields_that_carry_credentials_are_covered_by_their_names() {
        let cover = cover();
        for name in ["Authorization", "cookie", "Set-Cookie", "proxy-authenticate", "X-Api-Key", "x-customer"] {
            assert_eq!(cover.field(name, "something"), "***", "{name}");
        }
        assert_eq!(cover.field("content-type", "text/plain"), "text/plain");
        assert_eq!(cover.field("idempotency-key", "batch-1"), "batch-1");
        assert_eq!(cover.field("x-note", "hunter22"), "***");
        assert_eq!(cover.path("/a?access_token=x&b=1"), "/a?access_token=***&b=1");
        assert_eq!(cover.path("/hunter22/a"), "/***/a");
    }

    #[test]
    fn members_whose_names_tell_are_covered_whatever_is_around_them() {
        let shown = |text: &str| String::from_utf8(cover().bytes(text.as_bytes())).unwrap();
        assert_eq!(shown(r#"{"a": "b", "Token" : "x\"y", "n": 1}"#), r#"{"a": "b", "Token" : "***", "n": 1}"#);
        assert_eq!(shown(r#"{"user":{"password":"p"},"tokens":3}"#), r#"{"user":{"password":"***"},"tokens":3}"#);
        assert_eq!(shown(r#"5" pipe "token": "x""#), r#"5" pipe "token": "***""#);
        assert_eq!(shown("no quotes at all"), "no quotes at all");
        assert_eq!(shown("\"open"), "\"open");
    }
}
