//! Minisign keys and signatures. Made with one library, verified with a smaller one without dependencies: what the gateway
//! does with bytes it does not trust yet is as little as possible.

use crate::error::BundleError;
use minisign_verify::{Error as VerifyError, Signature};

/// Longest signature or key file, in bytes.
const SIGNATURE_MAX_BYTES: usize = 4096;

/// A key that signatures are verified with, as minisign writes it: 56 characters that begin with `RW`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    key: minisign_verify::PublicKey,
    text: String,
}

/// Why a signature does not vouch for bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is no signature.
    Malformed(String),
    /// It was made with another key.
    OtherKey,
    /// It was made for other bytes, or altered.
    Mismatch,
}

impl PublicKey {
    /// A key from its 56 characters, or from the content of a `.pub` file.
    ///
    /// # Errors
    /// [`BundleError::BadKey`].
    pub fn parse(text: &str) -> Result<Self, BundleError> {
        let bad =
            || BundleError::BadKey("it is no minisign public key: expected 56 characters that begin with RW".into());
        let line = text.lines().map(str::trim).rfind(|line| !line.is_empty()).ok_or_else(bad)?;
        let key = minisign_verify::PublicKey::from_base64(line).map_err(|_| bad())?;
        Ok(Self { key, text: line.to_owned() })
    }

    /// Its 56 characters.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its id, as minisign shows it.
    #[must_use]
    pub fn id(&self) -> String {
        minisign::PublicKey::from_base64(&self.text).map(|key| shown_id(key.keynum())).unwrap_or_default()
    }

    /// Whether a signature was made with this key for these bytes; its trusted comment then.
    pub(crate) fn verify(&self, bytes: &[u8], signature: &str) -> Result<String, Refused> {
        if signature.len() > SIGNATURE_MAX_BYTES {
            return Err(Refused::Malformed(format!("it has more than {SIGNATURE_MAX_BYTES} bytes")));
        }
        let decoded = Signature::decode(signature).map_err(|error| Refused::Malformed(error.to_string()))?;
        match self.key.verify(bytes, &decoded, false) {
            Ok(()) => Ok(decoded.trusted_comment().to_owned()),
            Err(VerifyError::UnexpectedKeyId) => Err(Refused::OtherKey),
            Err(VerifyError::InvalidSignature) => Err(Refused::Mismatch),
            Err(error) => Err(Refused::Malformed(error.to_string())),
        }
    }
}

/// The id of the key that a signature says it was made with.
pub(crate) fn key_id_of(signature: &str) -> String {
    minisign::SignatureBox::from_string(signature).map(|signature| shown_id(signature.keynum())).unwrap_or_default()
}

fn shown_id(number: &[u8]) -> String {
    number.iter().rev().map(|byte| format!("{byte:02X}")).collect()
}

/// A key that signatures are made with. Its `Debug` shows nothing of it.
pub struct SecretKey(minisign::SecretKey);

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey")
    }
}

impl SecretKey {
    /// A key from the content of its file; an encrypted one needs its password.
    ///
    /// # Errors
    /// [`BundleError::BadKey`].
    pub fn parse(text: &str, password: Option<&str>) -> Result<Self, BundleError> {
        let bad = |error: minisign::PError| BundleError::BadKey(format!("the secret key cannot be used: {error}"));
        let read = || minisign::SecretKeyBox::from_string(text).map_err(bad);
        let key = match password {
            Some(password) => read()?.into_secret_key(Some(password.to_owned())).map_err(bad)?,
            None => read()?.into_unencrypted_secret_key().map_err(|error| {
                BundleError::BadKey(format!(
                    "the secret key cannot be used: {error}; if it is encrypted, give its password"
                ))
            })?,
        };
        Ok(Self(key))
    }

    /// A signature of bytes, as the text of a `.minisig` file. `comment` is signed, too: one line.
    ///
    /// # Errors
    /// [`BundleError::BadKey`].
    pub fn sign(&self, bytes: &[u8], comment: &str) -> Result<String, BundleError> {
        let failed = |error: minisign::PError| BundleError::BadKey(format!("signing failed: {error}"));
        let comment = comment.replace(char::is_control, " ");
        let signed = minisign::sign(None, &self.0, bytes, Some(&comment), Some("signature of a Bulkhead adapter"));
        Ok(signed.map_err(failed)?.into_string())
    }

    /// The key that goes with it.
    ///
    /// # Errors
    /// [`BundleError::BadKey`].
    pub fn public_key(&self) -> Result<PublicKey, BundleError> {
        let failed = |error: minisign::PError| BundleError::BadKey(error.to_string());
        PublicKey::parse(&minisign::PublicKey::from_secret_key(&self.0).map_err(failed)?.to_base64())
    }
}

/// A new pair of keys as the texts of their files, secret and public; with a password the secret one is encrypted.
///
/// # Errors
/// [`BundleError::BadKey`] where the operating system gives no randomness.
pub fn key_pair(password: Option<&str>) -> Result<(String, String), BundleError> {
    let failed = |error: minisign::PError| BundleError::BadKey(format!("no key can be made: {error}"));
    let pair = match password {
        Some(password) => minisign::KeyPair::generate_encrypted_keypair(Some(password.to_owned())),
        None => minisign::KeyPair::generate_unencrypted_keypair(),
    };
    let pair = pair.map_err(failed)?;
    let secret = pair.sk.to_box(Some("secret key of Bulkhead adapters")).map_err(failed)?.into_string();
    Ok((secret, pair.pk.to_box().map_err(failed)?.into_string()))
}

/// The file of an adapter file's signature: `NAME.wasm.minisig`.
#[must_use]
pub fn signature_file(adapter: &std::path::Path) -> std::path::PathBuf {
    let mut name = adapter.as_os_str().to_owned();
    name.push(".minisig");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_signed_is_vouched_for_and_nothing_else() {
        let (secret, public) = key_pair(None).unwrap();
        let secret = SecretKey::parse(&secret, None).unwrap();
        let public = PublicKey::parse(&public).unwrap();
        assert_eq!(secret.public_key().unwrap(), public);
        assert!(public.text().starts_with("RW") && public.text().len() == 56 && public.id().len() == 16);
        let signature = secret.sign(b"adapter", "press 1.0.0").unwrap();
        assert_eq!(public.verify(b"adapter", &signature), Ok("press 1.0.0".to_owned()));
        assert_eq!(public.verify(b"another", &signature), Err(Refused::Mismatch));
        let altered = signature.replace("press 1.0.0", "press 2.0.0");
        assert_eq!(public.verify(b"adapter", &altered), Err(Refused::Mismatch));
        assert_eq!(key_id_of(&signature), public.id());
        let other = PublicKey::parse(&key_pair(None).unwrap().1).unwrap();
        assert_eq!(other.verify(b"adapter", &signature), Err(Refused::OtherKey));
        assert!(matches!(public.verify(b"adapter", "nonsense"), Err(Refused::Malformed(_))));
    }

    #[test]
    fn a_secret_key_with_a_password_needs_it_and_shows_nothing() {
        let (secret, _) = key_pair(Some("correct horse")).unwrap();
        assert!(SecretKey::parse(&secret, Some("correct horse")).is_ok());
        assert!(SecretKey::parse(&secret, Some("wrong")).is_err());
        assert!(SecretKey::parse(&secret, None).unwrap_err().to_string().contains("password"));
        assert_eq!(format!("{:?}", SecretKey::parse(&secret, Some("correct horse")).unwrap()), "SecretKey");
    }

    #[test]
    fn a_key_is_taken_from_its_file_or_its_line() {
        let (_, public) = key_pair(None).unwrap();
        let key = PublicKey::parse(&public).unwrap();
        assert_eq!(PublicKey::parse(key.text()).unwrap(), key);
        assert!(PublicKey::parse("RWnothing").is_err() && PublicKey::parse("").is_err());
    }
}
