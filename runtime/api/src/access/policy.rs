//! What the config says about who may use the API, with its secrets resolved. Of secrets only digests are kept; they are
//! compared in constant time against every credential, so that the time of an answer tells nothing about a secret nor about
//! which names there are.

use super::certificates::PeerCertificate;
use super::identity::{Identity, Proof};
use super::jwt::Issuer;
use super::sessions::Lengths;
use crate::error::ApiError;
use crate::signature::Signer;
use bulkhead_config::{ApiLimits, ApiRole, ClientCertificate, Config, Credential};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use subtle::ConstantTimeEq;

/// A minute, the unit of sessions' lengths in the config.
const MINUTE: Duration = Duration::from_secs(60);

type Hash = [u8; 32];

#[derive(Clone)]
struct Entry {
    name: String,
    /// Of `bearer:<token>` or `basic:<user>:<password>`.
    hash: Hash,
    /// The user name of a password.
    user: Option<String>,
    role: ApiRole,
}

/// What others may send to a connection's webhooks.
#[derive(Clone)]
pub(crate) struct HookPolicy {
    pub(crate) body_max_bytes: usize,
    pub(crate) requests_per_s: u32,
    pub(crate) signer: Option<Signer>,
}

/// What the config says about who may use the API.
#[derive(Clone, Default)]
pub(crate) struct Policy {
    entries: Vec<Entry>,
    certificates: BTreeMap<String, ClientCertificate>,
    pub(crate) issuer: Option<Issuer>,
    pub(crate) cors_origins: BTreeSet<String>,
    pub(crate) limits: ApiLimits,
    pub(crate) tls_required: bool,
    pub(crate) hooks: BTreeMap<String, HookPolicy>,
}

impl Policy {
    /// Takes it from a config. Reads the files that secrets and keys are in.
    ///
    /// # Errors
    /// [`ApiError::Credential`] for a secret that is missing or empty, [`ApiError::File`] for keys of an issuer.
    pub(crate) fn of(config: &Config) -> Result<Self, ApiError> {
        let mut policy = Self {
            entries: Vec::new(),
            certificates: config.api.certificates.clone(),
            issuer: config.api.jwt.as_ref().map(|jwt| Issuer::of(jwt, config)).transpose()?,
            cors_origins: config.api.cors_origins.clone(),
            limits: config.api.limits.clone(),
            tls_required: config.api.tls.required,
            hooks: BTreeMap::new(),
        };
        for (name, credential) in &config.api.credentials {
            let place = format!("api.credentials.{name}");
            policy.add(name, credential, &revealed(credential.secret(), config, &place)?);
        }
        for (name, connection) in &config.connections {
            let webhook = &connection.webhook;
            let place = format!("connections.{name}.webhook.signature");
            let signer = webhook.signature.as_ref().map(|signature| {
                revealed(&signature.secret, config, &place).map(|secret| Signer::new(signature.clone(), &secret))
            });
            let hook = HookPolicy {
                body_max_bytes: webhook.body_max_bytes as usize,
                requests_per_s: webhook.requests_per_s,
                signer: signer.transpose()?,
            };
            policy.hooks.insert(name.clone(), hook);
        }
        Ok(policy)
    }

    fn add(&mut self, name: &str, credential: &Credential, secret: &str) {
        let (hash, user) = match credential {
            Credential::Token { .. } => (bearer_hash(secret), None),
            Credential::Password { username, .. } => (basic_hash(username, secret), Some(username.clone())),
        };
        self.entries.push(Entry { name: name.to_owned(), hash, user, role: credential.role() });
    }

    /// Whether the config itself names nobody.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.certificates.is_empty() && self.issuer.is_none()
    }

    /// Whether it makes anybody an admin.
    pub(crate) fn has_admin(&self) -> bool {
        let roles = self.entries.iter().map(|entry| entry.role);
        let roles = roles.chain(self.certificates.values().map(ClientCertificate::role));
        let mut roles = roles.chain(self.issuer.iter().flat_map(Issuer::roles));
        roles.any(|role| role == ApiRole::Admin)
    }

    /// Whose token this is.
    pub(crate) fn of_token(&self, token: &str) -> Option<Identity> {
        self.of_hash(&bearer_hash(token))
    }

    /// Whose user name and password these are.
    pub(crate) fn of_password(&self, user: &str, password: &str) -> Option<Identity> {
        self.of_hash(&basic_hash(user, password))
    }

    /// What a session that began with a credential's password goes by.
    pub(crate) fn of_user(&self, user: &str) -> Option<(Identity, String)> {
        let entry = self.entries.iter().find(|entry| entry.user.as_deref() == Some(user))?;
        Some((Identity::new(Proof::Session, &entry.name, entry.role), super::random::hex(&entry.hash)))
    }

    /// Whether a credential or certificate of the config has this name.
    pub(crate) fn names(&self, name: &str) -> bool {
        self.certificates.contains_key(name) || self.entries.iter().any(|entry| entry.name == name)
    }

    fn of_hash(&self, given: &Hash) -> Option<Identity> {
        let mut found: Option<&Entry> = None;
        for entry in &self.entries {
            if bool::from(entry.hash.ct_eq(given)) && found.is_none_or(|before| entry.role > before.role) {
                found = Some(entry);
            }
        }
        found.map(|entry| Identity::new(Proof::Config, &entry.name, entry.role))
    }

    /// Whose certificate this is; of several that fit the one with the highest role.
    pub(crate) fn of_certificate(&self, shown: &PeerCertificate) -> Option<Identity> {
        let fitting = self.certificates.iter().filter(|(_, known)| shown.fits(known));
        let (name, found) = fitting.max_by_key(|(_, known)| known.role())?;
        Some(Identity::new(Proof::Certificate, name, found.role()))
    }

    /// How long sessions last.
    pub(crate) fn session_lengths(&self) -> Lengths {
        Lengths { idle: MINUTE * self.limits.session_idle_min, most: MINUTE * self.limits.session_max_min }
    }
}

/// A secret that must be there.
fn revealed(secret: &bulkhead_model::Secret, config: &Config, place: &str) -> Result<String, ApiError> {
    let wrong = |reason: String| ApiError::Credential { place: place.to_owned(), reason };
    let text = secret.reveal(&config.base_dir).map_err(wrong)?;
    if text.is_empty() { Err(wrong("the secret is empty".to_owned())) } else { Ok(text) }
}

fn bearer_hash(token: &str) -> Hash {
    Sha256::new().chain_update(b"bearer:").chain_update(token).finalize().into()
}

fn basic_hash(user: &str, password: &str) -> Hash {
    Sha256::new().chain_update(b"basic:").chain_update(user).chain_update(b":").chain_update(password).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::Secret;

    fn policy() -> Policy {
        let mut policy = Policy::default();
        let secret = Secret::Text(String::new());
        policy.add("bi", &Credential::Token { token: secret.clone(), role: ApiRole::Viewer }, "letmein");
        let user = Credential::Password { username: "anna".into(), password: secret, role: ApiRole::Operator };
        policy.add("desk", &user, "pass:word");
        policy
    }

    #[test]
    fn each_credential_gives_its_role_and_nothing_else_does() {
        let policy = policy();
        let role = |found: Option<Identity>| found.map(|identity| (identity.name.to_string(), identity.role));
        assert_eq!(role(policy.of_token("letmein")), Some(("bi".into(), ApiRole::Viewer)));
        assert_eq!(role(policy.of_password("anna", "pass:word")), Some(("desk".into(), ApiRole::Operator)));
        for wrong in ["letmei", "anna:pass:word", ""] {
            assert_eq!(policy.of_token(wrong), None, "{wrong}");
        }
        assert_eq!(policy.of_password("anna", ""), None);
        assert_eq!(policy.of_password("letmein", ""), None);
        assert!(!policy.is_empty() && !policy.has_admin() && Policy::default().is_empty());
    }

    #[test]
    fn of_two_certificates_that_fit_the_higher_role_counts() {
        let mut policy = policy();
        let fingerprint = "ab".repeat(32);
        let by_name = ClientCertificate::CommonName { common_name: "mes".into(), role: ApiRole::Viewer };
        let by_print = ClientCertificate::Fingerprint { fingerprint: fingerprint.to_uppercase(), role: ApiRole::Admin };
        policy.certificates = BTreeMap::from([("a".into(), by_name), ("b".into(), by_print)]);
        let shown = |print: &str, name: &str| PeerCertificate {
            fingerprint: print.into(),
            common_names: vec![name.into()],
            dns_names: Vec::new(),
        };
        let role = |shown| policy.of_certificate(&shown).map(|identity| identity.role);
        assert_eq!(role(shown(&fingerprint, "mes")), Some(ApiRole::Admin));
        assert_eq!(role(shown("x", "mes")), Some(ApiRole::Viewer));
        assert_eq!(role(shown("x", "mes2")), None);
        assert!(policy.has_admin());
    }
}
