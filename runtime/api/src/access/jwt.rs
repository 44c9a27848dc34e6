//! Tokens of an issuer (JWT, RFC 7519): the signature is checked with one of the issuer's keys from a file (JWKS, RFC 7517),
//! by the algorithm that belongs to the key. What a token itself says about its algorithm only chooses among them: `none` and the
//! symmetric ones are not known here at all, so that a public key is never taken for a shared secret (RFC 8725 §3.1).

use super::identity::{Identity, Proof};
use crate::error::ApiError;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bulkhead_config::{ApiRole, Config, Jwt};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::io::Read as _;

/// Longest token that is looked at.
pub(crate) const TOKEN_MAX_BYTES: usize = 16 * 1024;
/// Longest file of keys.
const KEYS_FILE_MAX_BYTES: u64 = 256 * 1024;
/// Most keys taken from it.
pub(crate) const ISSUER_KEYS_MAX: usize = 32;
/// Most characters of a subject that are shown.
const SUBJECT_MAX_CHARS: usize = 128;

/// The algorithms that are known here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Algorithm {
    Rs256,
    Es256,
    EdDsa,
}

impl Algorithm {
    fn named(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            _ => None,
        }
    }
}

#[derive(Clone)]
enum PublicKey {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// A point of P-256, uncompressed.
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

#[derive(Clone)]
struct IssuerKey {
    id: Option<String>,
    key: PublicKey,
}

impl IssuerKey {
    fn algorithm(&self) -> Algorithm {
        match self.key {
            PublicKey::Rsa { .. } => Algorithm::Rs256,
            PublicKey::P256(_) => Algorithm::Es256,
            PublicKey::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.key {
            PublicKey::Rsa { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
            }
            PublicKey::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature).is_ok()
            }
            PublicKey::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok(),
        }
    }
}

/// A key as the file has it.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    used_for: Option<String>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Jwk {
    /// The key, if it is of a kind that is known here and for signatures.
    fn key(&self) -> Option<IssuerKey> {
        if self.used_for.as_deref().is_some_and(|used_for| used_for != "sig") {
            return None;
        }
        let bytes = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?.trim_end_matches('=')).ok();
        let key = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => PublicKey::Rsa { n: bytes(&self.n)?, e: bytes(&self.e)? },
            ("EC", Some("P-256")) => {
                let (x, y) = (bytes(&self.x)?, bytes(&self.y)?);
                if (x.len(), y.len()) != (32, 32) {
                    return None;
                }
                PublicKey::P256([&[4], x.as_slice(), &y].concat())
            }
            ("OKP", Some("Ed25519")) => PublicKey::Ed25519(bytes(&self.x)?),
            _ => return None,
        };
        let key = IssuerKey { id: self.kid.clone(), key };
        let fits = self.alg.as_deref().is_none_or(|name| Algorithm::named(name) == Some(key.algorithm()));
        fits.then_some(key)
    }
}

/// What a token begins with.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Json>,
}

/// What a token says, as far as it is asked for.
#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    sub: Option<String>,
    exp: Option<f64>,
    nbf: Option<f64>,
    #[serde(flatten)]
    others: serde_json::Map<String, Json>,
}

/// Whose tokens are believed.
#[derive(Clone)]
pub(crate) struct Issuer {
    issuer: String,
    audience: String,
    role_claim: String,
    roles: BTreeMap<String, ApiRole>,
    leeway_s: f64,
    keys: Vec<IssuerKey>,
}

impl Issuer {
    /// Takes it from a config. Reads the file of keys.
    ///
    /// # Errors
    /// [`ApiError::File`] where the file cannot be read or has no key that can be used.
    pub(crate) fn of(given: &Jwt, config: &Config) -> Result<Self, ApiError> {
        let path = config.resolve(&given.jwks_file);
        let wrong = |reason: String| ApiError::File { key: "api.jwt.jwks_file", path: path.clone(), reason };
        let mut text = String::new();
        std::fs::File::open(&path)
            .and_then(|file| file.take(KEYS_FILE_MAX_BYTES).read_to_string(&mut text))
            .map_err(|error| wrong(format!("cannot be read: {error}")))?;
        let keys = keys(&text).map_err(wrong)?;
        Ok(Self {
            issuer: given.issuer.clone(),
            audience: given.audience.clone(),
            role_claim: given.role_claim.clone(),
            roles: given.roles.clone(),
            leeway_s: f64::from(given.leeway_s),
            keys,
        })
    }

    /// The roles that its tokens can give.
    pub(crate) fn roles(&self) -> impl Iterator<Item = ApiRole> {
        self.roles.values().copied()
    }

    /// Who holds a token at a time, in seconds since 1970.
    ///
    /// # Errors
    /// Why it is not believed, in words that hold nothing of it.
    pub(crate) fn holder(&self, token: &str, now_s: f64) -> Result<Identity, &'static str> {
        let claims = self.signed_claims(token)?;
        self.check(&claims, now_s)?;
        let role = self.role(&claims).ok_or("the token gives none of the configured roles")?;
        // Without it callers could not be told from one another: they would share turns and idempotency keys.
        let subject = claims.sub.as_deref().ok_or("the token does not say whose it is: `sub` is missing")?;
        let name: String = subject.chars().take(SUBJECT_MAX_CHARS).collect();
        Ok(Identity::new(Proof::Token, &name, role))
    }

    fn signed_claims(&self, token: &str) -> Result<Claims, &'static str> {
        const NO_TOKEN: &str = "this is no token (JWT) that can be read";
        if token.len() > TOKEN_MAX_BYTES {
            return Err("the token is too long");
        }
        let (message, signature) = token.rsplit_once('.').ok_or(NO_TOKEN)?;
        let (header, claims) = message.split_once('.').ok_or(NO_TOKEN)?;
        let decoded = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| NO_TOKEN);
        let header: Header = serde_json::from_slice(&decoded(header)?).map_err(|_| NO_TOKEN)?;
        let signature = decoded(signature)?;
        let algorithm =
            Algorithm::named(&header.alg).ok_or("the token's algorithm is none of RS256, ES256 and EdDSA")?;
        if header.crit.is_some() {
            return Err("the token has critical extensions, none of which is known here");
        }
        let fits = |key: &&IssuerKey| {
            key.algorithm() == algorithm && (header.kid.is_none() || key.id.is_none() || key.id == header.kid)
        };
        if !self.keys.iter().filter(fits).any(|key| key.has_signed(message.as_bytes(), &signature)) {
            return Err("the token is not signed by a key of the issuer");
        }
        serde_json::from_slice(&decoded(claims)?).map_err(|_| NO_TOKEN)
    }

    fn check(&self, claims: &Claims, now_s: f64) -> Result<(), &'static str> {
        if claims.iss.as_deref() != Some(self.issuer.as_str()) {
            return Err("the token is of another issuer");
        }
        let is_ours = match claims.others.get("aud") {
            Some(Json::String(audience)) => *audience == self.audience,
            Some(Json::Array(all)) => all.iter().any(|one| one.as_str() == Some(&self.audience)),
            _ => false,
        };
        if !is_ours {
            return Err("the token is for somebody else");
        }
        match claims.exp {
            None => return Err("the token has no end"),
            Some(end) if now_s >= end + self.leeway_s => return Err("the token has ended"),
            Some(_) => {}
        }
        if claims.nbf.is_some_and(|begin| now_s < begin - self.leeway_s) {
            return Err("the token is not good yet");
        }
        Ok(())
    }

    fn role(&self, claims: &Claims) -> Option<ApiRole> {
        let mut parts = self.role_claim.split('/');
        let first = claims.others.get(parts.next()?)?;
        let claim = parts.try_fold(first, |object, part| object.get(part))?;
        let role = |value: &Json| self.roles.get(value.as_str()?).copied();
        match claim {
            Json::Array(values) => values.iter().filter_map(role).max(),
            value => role(value),
        }
    }
}

fn keys(text: &str) -> Result<Vec<IssuerKey>, String> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Json>,
    }
    let set: Set = serde_json::from_str(text).map_err(|error| format!("is no set of keys (JWKS): {error}"))?;
    let keys = set.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok()?.key());
    let keys: Vec<IssuerKey> = keys.take(ISSUER_KEYS_MAX).collect();
    if keys.is_empty() {
        return Err("has no key for signatures by RSA, P-256 or Ed25519".into());
    }
    Ok(keys)
}

/// Whether a text looks like a token.
pub(crate) fn looks_like_one(text: &str) -> bool {
    text.starts_with("eyJ") && text.bytes().filter(|byte| *byte == b'.').count() == 2
}

#[cfg(test)]
#[path = "jwt_tests.rs"]
mod tests;
