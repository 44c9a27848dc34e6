//! Whom the operator believes, and the judgement of an adapter's bytes by it, before anything parses them.

use crate::digest::sha256_hex;
use crate::error::BundleError;
use crate::installed::{Accepted, Installed};
use crate::manifest::Manifest;
use crate::signature::{PublicKey, Refused, key_id_of, signature_file};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Longest adapter file: the largest interpreters (Python) take about 20 MB.
pub const ADAPTER_FILE_MAX_BYTES: u64 = 64 << 20;
/// Longest signature file that is read.
const SIGNATURE_FILE_MAX_BYTES: u64 = 4096;

/// The operator's word: which adapters may run. The default believes every file, but no wrong signature.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// Whether an adapter needs the signature of a trusted key.
    pub require_signed: bool,
    /// Trusted keys by the names that the operator gave them.
    pub keys: BTreeMap<String, PublicKey>,
    /// The SHA-256 of adapters by name: no other file of that name is taken.
    pub pins: BTreeMap<String, String>,
    /// The gateway's data folder, where it is on record what was accepted before; none: nothing was. It is read at each
    /// judgement, because commands change it while the gateway runs.
    pub record: Option<PathBuf>,
}

/// What became known of a file that may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouched {
    /// The SHA-256 of its bytes.
    pub sha256: String,
    /// The name of the trusted key that signed it; none: it is not signed, or with a key that nobody knows here.
    pub signed_by: Option<String>,
    /// What the signer signed beside the bytes.
    pub comment: Option<String>,
}

impl Trust {
    /// Judges bytes by pin and signature. Nothing of the bytes is parsed.
    ///
    /// # Errors
    /// [`BundleError`]: not pinned, not signed, unknown key, wrong signature. A signature that bears a trusted key's id and
    /// does not fit is refused whether signatures are required or not.
    pub fn judge(
        &self,
        name: &str,
        file: &Path,
        bytes: &[u8],
        signature: Option<&str>,
    ) -> Result<Vouched, BundleError> {
        let sha256 = sha256_hex(bytes);
        if let Some(expected) = self.pins.get(name)
            && *expected != sha256
        {
            return Err(BundleError::NotPinned { name: name.into(), found: sha256, expected: expected.clone() });
        }
        let Some(signature) = signature else {
            return match self.require_signed {
                true => Err(BundleError::NotSigned { name: name.into(), expected: signature_file(file) }),
                false => Ok(Vouched { sha256, signed_by: None, comment: None }),
            };
        };
        let mut refused = None;
        for (key_name, key) in &self.keys {
            match key.verify(bytes, signature) {
                Ok(comment) => {
                    return Ok(Vouched { sha256, signed_by: Some(key_name.clone()), comment: Some(comment) });
                }
                Err(Refused::OtherKey) => {}
                Err(Refused::Mismatch) => {
                    refused = Some(BundleError::SignatureMismatch { name: name.into(), key: key_name.clone() });
                }
                Err(Refused::Malformed(cause)) => {
                    return Err(BundleError::BadSignatureFile { name: name.into(), cause });
                }
            }
        }
        if let Some(refused) = refused {
            return Err(refused);
        }
        match self.require_signed {
            true => {
                Err(BundleError::UnknownKey { name: name.into(), key_id: key_id_of(signature), trusted: self.names() })
            }
            false => Ok(Vouched { sha256, signed_by: None, comment: None }),
        }
    }

    /// Of several signatures of the same bytes the one to judge them by: one of a trusted key that fits, else the first, whose
    /// refusal then says why.
    #[must_use]
    pub fn best_of(&self, name: &str, bytes: &[u8], mut signatures: Vec<String>) -> Option<String> {
        let file = PathBuf::from(format!("{name}.wasm"));
        let fits =
            |text: &String| self.judge(name, &file, bytes, Some(text)).is_ok_and(|vouched| vouched.signed_by.is_some());
        let best = signatures.iter().position(fits).unwrap_or(0);
        (best < signatures.len()).then(|| signatures.swap_remove(best))
    }

    /// Reads an adapter for use: its bytes, judged. The bytes that are returned are the ones that were judged.
    ///
    /// # Errors
    /// As [`Trust::judge`]; the file is absent or too long; under `require_signed` it is older than what was accepted, and
    /// not the very file that the operator has put on probation all the same.
    pub fn read(&self, name: &str, file: &Path) -> Result<(Vec<u8>, Vouched), BundleError> {
        let bytes = read_adapter(file)?;
        let vouched = self.judge_file(name, file, &bytes)?;
        if self.require_signed
            && let Some(accepted) = self.accepted(name)?
            && !self.is_on_probation(name, &vouched.sha256)?
        {
            let manifest =
                Manifest::read(&bytes).map_err(|cause| BundleError::BadManifest { name: name.into(), cause })?;
            accepted.admits(name, manifest.as_ref())?;
        }
        Ok((bytes, vouched))
    }

    /// Judges bytes by the signature beside their file. While an upgrade is being put in place there are two, for a
    /// moment, and the one that fits counts.
    fn judge_file(&self, name: &str, file: &Path, bytes: &[u8]) -> Result<Vouched, BundleError> {
        let beside = signature_file(file);
        let first = self.judge(name, file, bytes, read_signature(&beside)?.as_deref());
        if first.is_err()
            && let Some(next) = read_signature(&next_signature(&beside))?
            && let Ok(vouched) = self.judge(name, file, bytes, Some(&next))
        {
            return Ok(vouched);
        }
        first
    }

    /// What was accepted before under a name.
    ///
    /// # Errors
    /// The record is there and cannot be read.
    pub fn accepted(&self, name: &str) -> Result<Option<Accepted>, BundleError> {
        let all = self.record.as_deref().map(Installed::accepted_in).transpose()?;
        Ok(all.and_then(|mut all| all.remove(name)))
    }

    /// Whether the operator has put this file on probation under this name. What it may not follow was judged then.
    fn is_on_probation(&self, name: &str, sha256: &str) -> Result<bool, BundleError> {
        let note = self.record.as_deref().map(|data_dir| Installed::pending_of(data_dir, name)).transpose()?.flatten();
        Ok(note.is_some_and(|note| note.new.sha256 == sha256))
    }

    fn names(&self) -> String {
        match self.keys.is_empty() {
            true => "there are none".into(),
            false => self.keys.keys().cloned().collect::<Vec<_>>().join(", "),
        }
    }
}

/// Where the signature of a file stands that is about to be put in place.
pub(crate) fn next_signature(signature: &Path) -> PathBuf {
    signature.with_extension("minisig.next")
}

/// The text of a signature file; none where there is none.
pub(crate) fn read_signature(path: &Path) -> Result<Option<String>, BundleError> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(BundleError::folder(path)(error)),
    };
    let mut bytes = Vec::new();
    file.take(SIGNATURE_FILE_MAX_BYTES + 1).read_to_end(&mut bytes).map_err(BundleError::folder(path))?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// The bytes of an adapter file.
///
/// # Errors
/// It is absent, cannot be read, or has more than [`ADAPTER_FILE_MAX_BYTES`].
pub fn read_adapter(path: &Path) -> Result<Vec<u8>, BundleError> {
    let unreadable = |cause| BundleError::Unreadable { path: path.to_owned(), cause };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    let mut bytes = Vec::new();
    if length <= ADAPTER_FILE_MAX_BYTES {
        // It may grow while it is read.
        file.take(ADAPTER_FILE_MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    }
    match length.max(bytes.len() as u64) {
        bytes if bytes > ADAPTER_FILE_MAX_BYTES => {
            Err(BundleError::TooLarge { path: path.to_owned(), bytes, limit: ADAPTER_FILE_MAX_BYTES })
        }
        _ => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::{SecretKey, key_pair};

    struct Signer {
        secret: SecretKey,
        public: PublicKey,
    }

    fn signer() -> Signer {
        let (secret, public) = key_pair(None).unwrap();
        Signer { secret: SecretKey::parse(&secret, None).unwrap(), public: PublicKey::parse(&public).unwrap() }
    }

    fn trusting(signer: &Signer, require_signed: bool) -> Trust {
        let keys = BTreeMap::from([("acme".to_owned(), signer.public.clone())]);
        Trust { require_signed, keys, ..Trust::default() }
    }

    fn judge(trust: &Trust, bytes: &[u8], signature: Option<&str>) -> Result<Vouched, BundleError> {
        trust.judge("press", Path::new("press.wasm"), bytes, signature)
    }

    #[test]
    fn a_signature_of_a_trusted_key_is_required_where_it_is_asked_for() {
        let (acme, stranger) = (signer(), signer());
        let strict = trusting(&acme, true);
        let good = acme.secret.sign(b"bytes", "press").unwrap();
        assert_eq!(judge(&strict, b"bytes", Some(&good)).unwrap().signed_by.as_deref(), Some("acme"));
        assert!(matches!(judge(&strict, b"bytes", None), Err(BundleError::NotSigned { .. })));
        let unknown = stranger.secret.sign(b"bytes", "press").unwrap();
        let error = judge(&strict, b"bytes", Some(&unknown)).unwrap_err();
        assert!(matches!(&error, BundleError::UnknownKey { key_id, .. } if *key_id == stranger.public.id()), "{error}");
        let of_another = acme.secret.sign(b"another", "press").unwrap();
        assert!(matches!(judge(&strict, b"bytes", Some(&of_another)), Err(BundleError::SignatureMismatch { .. })));
        assert!(matches!(judge(&strict, b"bytes", Some("x")), Err(BundleError::BadSignatureFile { .. })));
    }

    #[test]
    fn of_several_signatures_the_one_of_a_trusted_key_counts() {
        let (acme, stranger) = (signer(), signer());
        let trust = trusting(&acme, true);
        let theirs = stranger.secret.sign(b"bytes", "press").unwrap();
        let ours = acme.secret.sign(b"bytes", "press").unwrap();
        assert_eq!(trust.best_of("press", b"bytes", vec![theirs.clone(), ours.clone()]), Some(ours));
        assert_eq!(trust.best_of("press", b"bytes", vec![theirs.clone()]), Some(theirs));
        assert_eq!(trust.best_of("press", b"bytes", Vec::new()), None);
    }

    #[test]
    fn without_the_requirement_an_unsigned_file_passes_and_a_wrong_signature_does_not() {
        let (acme, stranger) = (signer(), signer());
        let lax = trusting(&acme, false);
        assert_eq!(judge(&lax, b"bytes", None).unwrap().signed_by, None);
        let unknown = stranger.secret.sign(b"bytes", "press").unwrap();
        assert_eq!(judge(&lax, b"bytes", Some(&unknown)).unwrap().signed_by, None);
        let of_another = acme.secret.sign(b"another", "press").unwrap();
        assert!(matches!(judge(&lax, b"bytes", Some(&of_another)), Err(BundleError::SignatureMismatch { .. })));
    }

    #[test]
    fn a_pin_admits_one_file_whatever_its_signature_says() {
        let acme = signer();
        let mut trust = trusting(&acme, false);
        trust.pins.insert("press".into(), sha256_hex(b"bytes"));
        assert!(judge(&trust, b"bytes", None).is_ok());
        let signed = acme.secret.sign(b"other bytes", "press").unwrap();
        assert!(matches!(judge(&trust, b"other bytes", Some(&signed)), Err(BundleError::NotPinned { .. })));
        assert!(trust.judge("pump", Path::new("pump.wasm"), b"other bytes", None).is_ok(), "only its name is pinned");
    }

    #[test]
    fn files_are_judged_by_the_signature_beside_them_before_they_are_parsed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("press.wasm");
        // No component at all: whoever parsed it would say so.
        std::fs::write(&file, b"not wasm").unwrap();
        let acme = signer();
        let mut strict = trusting(&acme, true);
        strict.record = Some(dir.path().join("data"));
        std::fs::create_dir_all(dir.path().join("data/adapters")).unwrap();
        let record = BTreeMap::from([("press", crate::installed::tests::accepted("1.0.0"))]);
        let record = serde_json::to_vec(&record).unwrap();
        std::fs::write(dir.path().join("data/adapters/accepted.json"), record).unwrap();
        assert!(matches!(strict.read("press", &file), Err(BundleError::NotSigned { .. })));
        std::fs::write(signature_file(&file), acme.secret.sign(b"older bytes", "press").unwrap()).unwrap();
        assert!(matches!(strict.read("press", &file), Err(BundleError::SignatureMismatch { .. })));
        std::fs::write(next_signature(&signature_file(&file)), acme.secret.sign(b"not wasm", "press").unwrap())
            .unwrap();
        assert!(matches!(strict.read("press", &file), Err(BundleError::BadManifest { .. })), "signed, so it is parsed");
        strict.record = None;
        assert_eq!(strict.read("press", &file).unwrap().0, b"not wasm");
    }

    #[test]
    fn a_file_that_is_too_long_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("long.wasm");
        std::fs::File::create(&path).unwrap().set_len(ADAPTER_FILE_MAX_BYTES + 1).unwrap();
        assert!(matches!(read_adapter(&path), Err(BundleError::TooLarge { .. })));
        assert!(matches!(read_adapter(&dir.path().join("none")), Err(BundleError::Unreadable { .. })));
    }
}
