//! What clients must show: Basic (RFC 7617), Bearer (RFC 6750), a key in a header, or a token from the upstream's own
//! OAuth2 endpoint (RFC 6749 section 4.4, client credentials).

use axum::http::{HeaderMap, header};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use std::{collections::HashMap, fmt, time::Duration};
use tokio::time::Instant;

/// Tokens that are valid at a time; beyond, all earlier ones end.
const MAX_TOKENS: usize = 1000;

/// What a client must show.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum Auth {
    /// Nothing.
    #[default]
    Open,
    /// User name and password.
    Basic {
        /// The user name.
        user: String,
        /// The password.
        password: String,
    },
    /// This token.
    Bearer(String),
    /// This value in a header.
    Header {
        /// The header's name.
        name: String,
        /// Its value.
        value: String,
    },
    /// A token of the endpoint `/token`, which gives it for these credentials (in the body or as Basic).
    OAuth2 {
        /// The client's id.
        client_id: String,
        /// Its secret.
        client_secret: String,
        /// How long a token is valid.
        lifetime: Duration,
    },
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Auth::Open => "Open",
            Auth::Basic { .. } => "Basic(…)",
            Auth::Bearer(_) => "Bearer(…)",
            Auth::Header { .. } => "Header(…)",
            Auth::OAuth2 { .. } => "OAuth2(…)",
        })
    }
}

/// The tokens given so far.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    valid: HashMap<String, Instant>,
    given: u64,
}

impl Tokens {
    pub(crate) fn given(&self) -> u64 {
        self.given
    }

    pub(crate) fn expire_all(&mut self) {
        self.valid.clear();
    }

    fn give(&mut self, lifetime: Duration, now: Instant) -> String {
        if self.valid.len() >= MAX_TOKENS {
            self.valid.clear();
        }
        self.given += 1;
        let token = format!("simulated-token-{}", self.given);
        self.valid.insert(token.clone(), now + lifetime);
        token
    }
}

impl Auth {
    /// Whether a request shows it; else the WWW-Authenticate header of the 401.
    pub(crate) fn check(&self, headers: &HeaderMap, tokens: &Tokens, now: Instant) -> Result<(), &'static str> {
        let (is_shown, challenge) = match self {
            Auth::Open => return Ok(()),
            Auth::Basic { user, password } => (shows_basic(headers, user, password), "Basic realm=\"simulator\""),
            Auth::Bearer(token) => (bearer(headers) == Some(token), "Bearer"),
            Auth::Header { name, value } => (text(headers, name) == Some(value), "ApiKey"),
            Auth::OAuth2 { .. } => {
                let valid = bearer(headers).and_then(|token| tokens.valid.get(token)).is_some_and(|until| *until > now);
                (valid, "Bearer error=\"invalid_token\"")
            }
        };
        if is_shown { Ok(()) } else { Err(challenge) }
    }

    /// Answers a request for a token: status and body.
    pub(crate) fn give_token(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        tokens: &mut Tokens,
        now: Instant,
    ) -> (u16, Value) {
        let Auth::OAuth2 { client_id, client_secret, lifetime } = self else {
            return (404, json!({ "error": "this upstream gives no tokens" }));
        };
        let form = form(body);
        let field = |name: &str| form.get(name).map(String::as_str);
        if field("grant_type") != Some("client_credentials") {
            return (400, json!({ "error": "unsupported_grant_type" }));
        }
        let in_body = field("client_id") == Some(client_id) && field("client_secret") == Some(client_secret);
        // RFC 6749 section 2.3.1: as user name and password both are form-encoded, which changes only unusual ones.
        if !in_body && !shows_basic(headers, &form_encode(client_id), &form_encode(client_secret)) {
            return (401, json!({ "error": "invalid_client" }));
        }
        let token = tokens.give(*lifetime, now);
        (200, json!({ "access_token": token, "token_type": "Bearer", "expires_in": lifetime.as_secs() }))
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    text(headers, header::AUTHORIZATION.as_str())?.strip_prefix("Bearer ")
}

fn shows_basic(headers: &HeaderMap, user: &str, password: &str) -> bool {
    let shown = text(headers, header::AUTHORIZATION.as_str()).and_then(|value| value.strip_prefix("Basic "));
    let shown = shown.and_then(|encoded| BASE64_STANDARD.decode(encoded).ok());
    shown == Some(format!("{user}:{password}").into_bytes())
}

/// An HTML form's fields.
fn form(body: &[u8]) -> HashMap<String, String> {
    let body = String::from_utf8_lossy(body);
    let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (percent_decode(&name.replace('+', " ")), percent_decode(&value.replace('+', " "))))
        .collect()
}

/// A text as the value of an HTML form's field.
fn form_encode(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
        b' ' => "+".to_owned(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

/// Text without its percent escapes; a malformed one stays as it is.
pub(crate) fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let byte =
            escape.and_then(|hex| std::str::from_utf8(hex).ok()).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        decoded.push(byte.unwrap_or(bytes[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_given_for_credentials_and_end() {
        let lifetime = Duration::from_secs(60);
        let auth = Auth::OAuth2 { client_id: "gw".into(), client_secret: "s+/ %".into(), lifetime };
        let (mut tokens, now) = (Tokens::default(), Instant::now());
        let wrong = b"grant_type=client_credentials&client_id=gw&client_secret=other";
        assert_eq!(auth.give_token(&HeaderMap::new(), wrong, &mut tokens, now).0, 401);
        let right = b"grant_type=client_credentials&client_id=gw&client_secret=s%2B%2F+%25";
        let (status, answer) = auth.give_token(&HeaderMap::new(), right, &mut tokens, now);
        assert_eq!((status, tokens.given()), (200, 1));
        let mut headers = HeaderMap::new();
        let token = answer["access_token"].as_str().unwrap();
        headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
        assert!(auth.check(&headers, &tokens, now).is_ok());
        assert!(auth.check(&headers, &tokens, now + lifetime).is_err());
        tokens.expire_all();
        assert!(auth.check(&headers, &tokens, now).is_err());
    }

    #[test]
    fn basic_and_header_keys() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==".parse().unwrap());
        headers.insert("x-api-key", "k".parse().unwrap());
        let check = |auth: Auth| auth.check(&headers, &Tokens::default(), Instant::now()).is_ok();
        let basic = |password: &str| Auth::Basic { user: "Aladdin".into(), password: password.into() };
        let key = |value: &str| Auth::Header { name: "X-Api-Key".into(), value: value.into() };
        assert!(check(basic("open sesame")) && !check(basic("closed")));
        assert!(check(key("k")) && !check(key("l")));
        assert!(!check(Auth::Bearer("t".into())));
    }
}
