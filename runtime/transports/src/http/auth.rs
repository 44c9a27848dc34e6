//! Credentials for an HTTP server. They are put into the request here, on the host's side, and nowhere else.

use super::fault::{self, RequestError};
use crate::{Context, TransportError};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bulkhead_model::transport::HttpAuth;
use bulkhead_sandbox::capability::Clock;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Url};
use serde::Deserialize;
use std::fmt;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Longest answer of a token endpoint, in bytes.
const TOKEN_ANSWER_MAX_BYTES: usize = 65_536;
/// A token is renewed this long before it runs out, or after nine tenths of its life, whichever is later.
const RENEW_BEFORE_NS: u64 = 60 * 1_000_000_000;
/// How long a token is taken to live where the endpoint does not say (RFC 6749 §5.1 only recommends it).
const LIFETIME_DEFAULT_S: u64 = 300;

/// The header that proves who we are.
#[derive(Clone)]
pub(crate) struct Credential {
    name: HeaderName,
    value: HeaderValue,
}

impl Credential {
    fn new(name: HeaderName, value: &str) -> Option<Self> {
        let mut value = HeaderValue::from_str(value).ok()?;
        value.set_sensitive(true);
        Some(Self { name, value })
    }

    pub(crate) fn put(&self, headers: &mut HeaderMap) {
        headers.insert(self.name.clone(), self.value.clone());
    }
}

/// How to prove who we are.
pub(crate) enum Auth {
    None,
    Fixed(Credential),
    OAuth2(Box<OAuth2>),
}

/// Never shows a secret.
impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Auth::None => "none",
            Auth::Fixed(_) => "a fixed header",
            Auth::OAuth2(_) => "OAuth2 client credentials",
        })
    }
}

/// Client credentials (RFC 6749 §4.4).
pub(crate) struct OAuth2 {
    token_url: Url,
    basic: Credential,
    scope: String,
    clock: Arc<dyn Clock>,
    /// Held while a token is fetched: who needs one meanwhile waits for the same.
    token: Mutex<Option<Token>>,
}

struct Token {
    credential: Credential,
    /// Counts the tokens, so that a refused one is thrown away once.
    number: u64,
    renew_ns: u64,
}

/// What a token endpoint answers (RFC 6749 §5.1).
#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    expires_in: Option<f64>,
}

impl Auth {
    pub(crate) fn new(settings: Option<&HttpAuth>, context: &Context) -> Result<Self, TransportError> {
        let unusable = |setting| context.setting_error(setting, "(secret)", "text without control characters");
        Ok(match settings {
            None => Auth::None,
            Some(HttpAuth::Basic { username, password }) => {
                if username.contains(':') {
                    return Err(context.setting_error("auth.username", username, "a name without `:` (RFC 7617 §2)"));
                }
                let password = context.reveal("auth.password", password)?;
                Auth::Fixed(basic(username, &password).ok_or_else(|| unusable("auth.password"))?)
            }
            Some(HttpAuth::Bearer { token }) => {
                let token = context.reveal("auth.token", token)?;
                Auth::Fixed(bearer(&token).ok_or_else(|| unusable("auth.token"))?)
            }
            Some(HttpAuth::Header { name, value }) => {
                let header = HeaderName::from_bytes(name.as_bytes())
                    .map_err(|_| context.setting_error("auth.name", name, "a header name such as `X-API-Key`"))?;
                let value = context.reveal("auth.value", value)?;
                Auth::Fixed(Credential::new(header, &value).ok_or_else(|| unusable("auth.value"))?)
            }
            Some(HttpAuth::OAuth2 { token_url, client_id, client_secret, scopes }) => {
                let url = Url::parse(token_url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
                let token_url =
                    url.ok_or_else(|| context.setting_error("auth.token_url", token_url, "an http or https URL"))?;
                let secret = context.reveal("auth.client_secret", client_secret)?;
                // RFC 6749 §2.3.1: id and secret are form-encoded before they become user name and password.
                let basic = basic(&form_encode(client_id), &form_encode(&secret));
                Auth::OAuth2(Box::new(OAuth2 {
                    token_url,
                    basic: basic.ok_or_else(|| unusable("auth.client_secret"))?,
                    scope: scopes.join(" "),
                    clock: context.clock.clone(),
                    token: Mutex::new(None),
                }))
            }
        })
    }

    /// The header field that carries the credentials.
    pub(crate) fn header_name(&self) -> Option<&HeaderName> {
        match self {
            Auth::Fixed(credential) => Some(&credential.name),
            Auth::None | Auth::OAuth2(_) => None,
        }
    }

    /// The credentials for a request, and their number. `refused`: those of this number were, so fetch others.
    pub(crate) async fn credential(
        &self,
        client: &Client,
        refused: Option<u64>,
    ) -> Result<Option<(Credential, u64)>, RequestError> {
        match self {
            Auth::None => Ok(None),
            Auth::Fixed(credential) => Ok(Some((credential.clone(), 0))),
            Auth::OAuth2(oauth2) => oauth2.token(client, refused).await.map(Some),
        }
    }

    /// Whether other credentials can be had when these were refused.
    pub(crate) fn can_renew(&self) -> bool {
        matches!(self, Auth::OAuth2(_))
    }
}

impl OAuth2 {
    async fn token(&self, client: &Client, refused: Option<u64>) -> Result<(Credential, u64), RequestError> {
        let mut slot = self.token.lock().await;
        let number = slot.as_ref().map_or(0, |token| token.number);
        if let Some(token) = &*slot
            && refused != Some(token.number)
            && self.clock.monotonic_ns() < token.renew_ns
        {
            return Ok((token.credential.clone(), token.number));
        }
        *slot = None;
        let token = self.fetch(client, number + 1).await?;
        let result = (token.credential.clone(), token.number);
        *slot = Some(token);
        Ok(result)
    }

    async fn fetch(&self, client: &Client, number: u64) -> Result<Token, RequestError> {
        let mut form = vec![("grant_type", "client_credentials")];
        if !self.scope.is_empty() {
            form.push(("scope", self.scope.as_str()));
        }
        let asked_ns = self.clock.monotonic_ns();
        let mut request = client.post(self.token_url.clone()).form(&form).build().map_err(fault::of_reqwest)?;
        self.basic.put(request.headers_mut());
        let response = client.execute(request).await.map_err(fault::of_reqwest)?;
        let refused = |why: String| RequestError::Token(format!("the token endpoint {} {why}", self.token_url));
        let status = response.status();
        let body = fault::read_body(response, TOKEN_ANSWER_MAX_BYTES).await?;
        if !status.is_success() {
            return Err(refused(format!("answered {status}; are client id and secret right?")));
        }
        // The answer itself is never shown: it may hold the token.
        let answer: TokenAnswer = serde_json::from_slice(&body)
            .map_err(|_| refused("answered what is no token: expected JSON with `access_token`".into()))?;
        let credential =
            bearer(&answer.access_token).ok_or_else(|| refused("gave a token that no header can carry".into()))?;
        let lifetime_ns = lifetime_ns(answer.expires_in);
        let renew_after_ns = lifetime_ns.saturating_sub(RENEW_BEFORE_NS).max(lifetime_ns / 10 * 9);
        Ok(Token { credential, number, renew_ns: asked_ns.saturating_add(renew_after_ns) })
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a range that fits")]
fn lifetime_ns(expires_in_s: Option<f64>) -> u64 {
    const YEAR_S: f64 = 31_536_000.0;
    let seconds = expires_in_s.filter(|seconds| seconds.is_finite()).map(|seconds| seconds.clamp(0.0, YEAR_S) as u64);
    seconds.unwrap_or(LIFETIME_DEFAULT_S) * 1_000_000_000
}

fn basic(username: &str, password: &str) -> Option<Credential> {
    Credential::new(AUTHORIZATION, &format!("Basic {}", BASE64_STANDARD.encode(format!("{username}:{password}"))))
}

fn bearer(token: &str) -> Option<Credential> {
    Credential::new(AUTHORIZATION, &format!("Bearer {token}"))
}

/// As in `application/x-www-form-urlencoded`.
fn form_encode(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
        b' ' => "+".to_owned(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let auth = Auth::Fixed(bearer("hunter2").unwrap());
        assert!(!format!("{auth:?}").contains("hunter2"));
        let mut headers = HeaderMap::new();
        if let Auth::Fixed(credential) = &auth {
            credential.put(&mut headers);
        }
        assert_eq!(headers[AUTHORIZATION], "Bearer hunter2");
        assert!(!format!("{headers:?}").contains("hunter2"));
    }

    #[test]
    fn ids_and_secrets_are_form_encoded() {
        assert_eq!(form_encode("a b:c/ä"), "a+b%3Ac%2F%C3%A4");
        assert_eq!(lifetime_ns(Some(-5.0)), 0);
        assert_eq!(lifetime_ns(None), LIFETIME_DEFAULT_S * 1_000_000_000);
    }
}
