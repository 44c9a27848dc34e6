//! Who may do what: credentials with their secrets resolved, and the decision over one `Authorization` header.
//!
//! Only digests are kept. A secret is compared by digest and in constant time, against every credential, so that the time
//! of an answer tells nothing about a secret nor about which names there are.

use crate::error::ApiError;
use base64::Engine as _;
use bulkhead_config::{ApiRole, Config, Credential};
use bulkhead_engine::Follower;
use parking_lot::RwLock;
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// What the server needs of a config.
#[derive(Clone)]
pub struct ServerConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Who may use it. Empty: everybody who reaches it, which is why it then listens on loopback only.
    pub credentials: Credentials,
}

impl ServerConfig {
    /// Takes the API's section of a config and resolves its secrets. Reads the files that secrets name.
    ///
    /// # Errors
    /// [`ApiError::Credential`] for a secret that is missing or empty, [`ApiError::Unprotected`].
    pub fn from_config(config: &Config) -> Result<Self, ApiError> {
        let mut credentials = Credentials::default();
        for (name, credential) in &config.api.credentials {
            let wrong = |reason: String| ApiError::Credential { name: name.clone(), reason };
            let secret = credential.secret().reveal(&config.base_dir).map_err(wrong)?;
            if secret.is_empty() {
                return Err(wrong("the secret is empty".to_owned()));
            }
            credentials.add(credential, &secret);
        }
        let checked = Self { listen: config.api.listen, credentials };
        checked.check().map(|()| checked)
    }

    /// Whether it may listen where it wants to.
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        if self.credentials.is_empty() && !self.listen.ip().is_loopback() {
            return Err(ApiError::Unprotected { listen: self.listen });
        }
        Ok(())
    }
}

type Hash = [u8; 32];

#[derive(Clone)]
struct Entry {
    /// Of what stands in the header: `bearer:<token>` or `basic:<user>:<password>`.
    hash: Hash,
    role: ApiRole,
}

/// The credentials of the API.
#[derive(Clone, Default)]
pub struct Credentials {
    entries: Vec<Entry>,
}

/// What a request's `Authorization` header amounts to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    /// May act in this role.
    Granted(ApiRole),
    /// Has to say who it is: there is no header, or one that is not understood.
    Missing,
    /// Says something that is no credential of ours.
    Wrong,
}

/// The credentials of a running server, which follow the config.
#[derive(Clone, Default)]
pub(crate) struct LiveCredentials(Arc<RwLock<Arc<Credentials>>>);

impl LiveCredentials {
    pub(crate) fn new(credentials: Credentials) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(credentials))))
    }

    /// Those of this moment.
    pub(crate) fn now(&self) -> Arc<Credentials> {
        self.0.read().clone()
    }
}

/// Has a running server go by the credentials of the config.
pub(crate) struct FollowCredentials {
    pub(crate) credentials: LiveCredentials,
    /// Where it listens, whatever the config says by now.
    pub(crate) listen: SocketAddr,
}

impl FollowCredentials {
    /// What the config asks for, at the address that is listened on.
    fn wanted(&self, config: &Config) -> Result<ServerConfig, ApiError> {
        let wanted = ServerConfig { listen: self.listen, ..ServerConfig::from_config(config)? };
        wanted.check().map(|()| wanted)
    }
}

impl Follower for FollowCredentials {
    fn check(&self, config: &Config) -> Result<(), String> {
        self.wanted(config).map(drop).map_err(|error| error.to_string())
    }

    fn follow(&self, config: &Config) {
        match self.wanted(config) {
            Ok(wanted) => *self.credentials.0.write() = Arc::new(wanted.credentials),
            // A secret's file that vanished since the check: whoever was let in before still is.
            Err(error) => tracing::error!("the API's credentials stay as they were: {error}"),
        }
    }
}

impl Credentials {
    fn add(&mut self, credential: &Credential, secret: &str) {
        let hash = match credential {
            Credential::Token { .. } => bearer_hash(secret.as_bytes()),
            Credential::Password { username, .. } => basic_hash(format!("{username}:{secret}").as_bytes()),
        };
        self.entries.push(Entry { hash, role: credential.role() });
    }

    /// Whether there are none, and everybody is let in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Decides over the value of an `Authorization` header.
    pub(crate) fn access(&self, authorization: Option<&[u8]>) -> Access {
        if self.is_empty() {
            return Access::Granted(ApiRole::Operator);
        }
        let Some(given) = authorization.and_then(given_hash) else { return Access::Missing };
        let mut found = None;
        for entry in &self.entries {
            if bool::from(entry.hash.ct_eq(&given)) {
                found = found.max(Some(entry.role));
            }
        }
        found.map_or(Access::Wrong, Access::Granted)
    }
}

fn bearer_hash(token: &[u8]) -> Hash {
    Sha256::new().chain_update(b"bearer:").chain_update(token).finalize().into()
}

fn basic_hash(user_and_password: &[u8]) -> Hash {
    Sha256::new().chain_update(b"basic:").chain_update(user_and_password).finalize().into()
}

/// The digest of what a header gives (RFC 6750 §2.1, RFC 7617 §2); none for another scheme.
fn given_hash(header: &[u8]) -> Option<Hash> {
    let text = std::str::from_utf8(header).ok()?;
    let (scheme, rest) = text.trim().split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(bearer_hash(rest.as_bytes()));
    }
    if scheme.eq_ignore_ascii_case("basic") {
        return base64::engine::general_purpose::STANDARD.decode(rest).ok().map(|plain| basic_hash(&plain));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::Secret;

    fn credentials() -> Credentials {
        let mut all = Credentials::default();
        let secret = Secret::Text(String::new());
        all.add(&Credential::Token { token: secret.clone(), role: ApiRole::Reader }, "letmein");
        let user = Credential::Password { username: "anna".into(), password: secret, role: ApiRole::Operator };
        all.add(&user, "pass:word");
        all
    }

    fn basic(plain: &str) -> String {
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(plain))
    }

    #[test]
    fn each_scheme_gives_its_role_and_nothing_else_does() {
        let all = credentials();
        let access = |header: &str| all.access(Some(header.as_bytes()));
        assert_eq!(access("Bearer letmein"), Access::Granted(ApiRole::Reader));
        assert_eq!(access("bearer  letmein"), Access::Granted(ApiRole::Reader));
        assert_eq!(access(&basic("anna:pass:word")), Access::Granted(ApiRole::Operator));
        for wrong in ["Bearer letmei", "Bearer anna:pass:word", &basic("anna:"), &basic("letmein"), "Bearer "] {
            assert!(matches!(access(wrong), Access::Wrong | Access::Missing), "{wrong}");
        }
        for missing in ["Digest x", "Basic %%%", "letmein", ""] {
            assert_eq!(access(missing), Access::Missing, "{missing}");
        }
        assert_eq!(all.access(None), Access::Missing);
    }

    #[test]
    fn without_credentials_everybody_is_an_operator_and_only_loopback_will_do() {
        assert_eq!(Credentials::default().access(None), Access::Granted(ApiRole::Operator));
        let listen = |text: &str| ServerConfig { listen: text.parse().unwrap(), credentials: Credentials::default() };
        assert!(listen("127.0.0.1:0").check().is_ok() && listen("[::1]:0").check().is_ok());
        let refusal = listen("0.0.0.0:8470").check().unwrap_err().to_string();
        assert!(refusal.contains("0.0.0.0:8470") && refusal.contains("[api.credentials."), "{refusal}");
        assert!(ServerConfig { credentials: credentials(), ..listen("0.0.0.0:0") }.check().is_ok());
    }
}
