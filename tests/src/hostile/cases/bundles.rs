//! Files that somebody else vouched for, nobody, or the right one for another file: in a gateway that asks for signatures. All
//! of them hold the same good adapter, so that only what is said of them can be the reason.

use crate::hostile::NAME;
use crate::hostile::case::{Case, Expect, File};
use crate::versioned_adapter::{Polled, versioned_adapter};
use anyhow::{Result, anyhow, ensure};
use bulkhead_bundle::{
    MANIFEST_SECTION, Manifest, PublicKey, SecretKey, append_section, custom_section, key_pair, signature_file,
};
use std::path::Path;
use std::sync::LazyLock;

/// An adapter's file, what lies beside it, and what was accepted before it.
pub(in crate::hostile) struct Bundle {
    pub(in crate::hostile) bytes: Vec<u8>,
    /// The text of its signature file.
    pub(in crate::hostile) signature: Option<String>,
    /// The version that was accepted under this name before, signed as it should be.
    pub(in crate::hostile) accepted: Option<Vec<u8>>,
}

struct Signers {
    /// The operator trusts this one.
    acme: SecretKey,
    stranger: SecretKey,
    public: PublicKey,
}

static SIGNERS: LazyLock<Signers> = LazyLock::new(|| {
    let made = || SecretKey::parse(&key_pair(None)?.0, None);
    let signers = || {
        let acme = made()?;
        let public = acme.public_key()?;
        Ok::<_, bulkhead_bundle::BundleError>(Signers { acme, stranger: made()?, public })
    };
    signers().expect("the operating system gives randomness")
});

/// The sections of a gateway that runs only what `acme` signed.
pub(in crate::hostile) fn security() -> String {
    let key = SIGNERS.public.text();
    format!("[security]\nrequire_signed = true\n[security.trusted_keys]\nacme = \"{key}\"\n\n")
}

/// Signs a file as `acme`.
pub(in crate::hostile) fn sign_file(file: &Path) -> Result<()> {
    Ok(std::fs::write(signature_file(file), signed_by_acme(&std::fs::read(file)?)?)?)
}

/// The signature of `acme`.
pub(in crate::hostile) fn signed_by_acme(bytes: &[u8]) -> Result<String> {
    Ok(SIGNERS.acme.sign(bytes, NAME)?)
}

fn adapter(version: &str) -> Result<Vec<u8>> {
    versioned_adapter(version, Polled::Well)
}

/// A file with a signature, nothing accepted before.
fn bundle(bytes: Vec<u8>, signature: String) -> Result<Bundle> {
    Ok(Bundle { bytes, signature: Some(signature), accepted: None })
}

/// The good adapter with its good signature, of which one of the two is changed.
fn altered(change: fn(&mut Vec<u8>, &mut String) -> Result<()>) -> Result<Bundle> {
    let mut bytes = adapter("1.0.0")?;
    let mut signature = signed_by_acme(&bytes)?;
    let before = (bytes.clone(), signature.clone());
    change(&mut bytes, &mut signature)?;
    ensure!(before != (bytes.clone(), signature.clone()), "nothing was changed");
    bundle(bytes, signature)
}

/// The adapter, after a version was accepted.
fn following(version: &str, accepted: Vec<u8>) -> Result<Bundle> {
    let bytes = adapter(version)?;
    Ok(Bundle { signature: Some(signed_by_acme(&bytes)?), bytes, accepted: Some(accepted) })
}

/// The adapter under another maker's id.
fn of_another_maker() -> Result<Vec<u8>> {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    let original = adapter("1.0.0")?;
    let mut manifest = Manifest::read(&original).map_err(|error| anyhow!(error))?.ok_or(anyhow!("no manifest"))?;
    manifest.id = "evil/press".into();
    append_section(&mut bytes, MANIFEST_SECTION, &serde_json::to_vec(&manifest)?);
    Ok(bytes)
}

/// Changes the version in the manifest, in its place.
fn newer_in_its_manifest(bytes: &mut [u8]) -> Result<()> {
    let section = custom_section(bytes, MANIFEST_SECTION).map_err(|error| anyhow!(error))?;
    let section = section.ok_or(anyhow!("no manifest"))?.to_vec();
    let at = bytes.windows(section.len()).position(|part| part == section).ok_or(anyhow!("no manifest"))?;
    let version = section.windows(5).position(|part| part == b"1.0.0").ok_or(anyhow!("no version"))?;
    bytes[at + version] = b'9';
    Ok(())
}

/// Another letter in the second line, where the signature of the bytes stands.
fn another_letter(signature: &mut String) -> Result<()> {
    let line = signature.find('\n').ok_or(anyhow!("one line"))?;
    let at = line + 60;
    let letter = if signature.as_bytes().get(at) == Some(&b'A') { "B" } else { "A" };
    signature.replace_range(at..=at, letter);
    Ok(())
}

pub(super) fn cases() -> Vec<Case> {
    let refused = |name, bundle, says| Case::new(11, name, File::Bundle(bundle), Expect::NotStarted { says });
    let unfit = "does not fit the file";
    let runs = |seen: &crate::hostile::case::Seen| {
        ensure!(seen.connection["counters"]["polls"].as_u64() > Some(0), "it is not polled: {}", seen.connection);
        Ok(())
    };
    vec![
        Case::new(
            11,
            "is signed as it should be",
            File::Bundle(|| adapter("1.0.0").and_then(|bytes| bundle(bytes.clone(), signed_by_acme(&bytes)?))),
            Expect::Goes { look: runs },
        ),
        refused(
            "is not signed",
            || Ok(Bundle { bytes: adapter("1.0.0")?, signature: None, accepted: None }),
            "is not signed",
        ),
        refused("has a signature with another letter", || altered(|_, signature| another_letter(signature)), unfit),
        refused(
            "has a signature whose comment was changed",
            || {
                altered(|_, signature| {
                    *signature = signature.replace(&format!("trusted comment: {NAME}"), "trusted comment: any");
                    Ok(())
                })
            },
            unfit,
        ),
        refused(
            "has a signature of the old form",
            || {
                altered(|_, signature| {
                    *signature = signature.replacen("\nRU", "\nRW", 1);
                    Ok(())
                })
            },
            "no minisign signature",
        ),
        refused(
            "has 1 MB of signature",
            || bundle(adapter("1.0.0")?, "untrusted comment: x\n".repeat(50_000)),
            "no minisign signature",
        ),
        refused(
            "is signed with an unknown key",
            || adapter("1.0.0").and_then(|bytes| bundle(bytes.clone(), SIGNERS.stranger.sign(&bytes, NAME)?)),
            "none of security.trusted_keys",
        ),
        refused(
            "has the signature of another file",
            || bundle(adapter("1.0.0")?, signed_by_acme(&adapter("1.0.1")?)?),
            unfit,
        ),
        refused(
            "has a byte changed after it was signed",
            || {
                altered(|bytes, _| {
                    let middle = bytes.len() / 2;
                    bytes[middle] ^= 1;
                    Ok(())
                })
            },
            unfit,
        ),
        refused(
            "has another version in its manifest than was signed",
            || altered(|bytes, _| newer_in_its_manifest(bytes)),
            unfit,
        ),
        refused(
            "has a section behind what was signed",
            || {
                altered(|bytes, _| {
                    append_section(bytes, "more", b"trailing data");
                    Ok(())
                })
            },
            unfit,
        ),
        refused(
            "is cut off after it was signed",
            || {
                altered(|bytes, _| {
                    bytes.truncate(bytes.len() - 1);
                    Ok(())
                })
            },
            unfit,
        ),
        refused(
            "is not the file that is pinned",
            || adapter("1.0.0").and_then(|bytes| bundle(bytes.clone(), signed_by_acme(&bytes)?)),
            "security.pins expects 0000",
        )
        .sections("[security.pins]\nhostile = \"0000000000000000000000000000000000000000000000000000000000000000\"\n"),
        refused("is older than what was accepted", || following("1.0.0", adapter("1.0.1")?), "older than 1.0.1"),
        refused(
            "is another maker's than what was accepted",
            || following("1.0.0", of_another_maker()?),
            "was accepted under this name",
        ),
    ]
}
