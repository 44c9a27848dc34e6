//! A set for a site without a network: adapters, their signatures and the keys to verify them with, in one file.
//!
//! It is a tar archive of `adapters/NAME.wasm`, `adapters/NAME.wasm.minisig` and `keys/NAME.pub`. A key in it is for the
//! operator to compare and to put into the config by hand: a set that brought its own trust would bring none.

use crate::error::BundleError;
use crate::installed::check_name;
use crate::signature::PublicKey;
use crate::trust::ADAPTER_FILE_MAX_BYTES;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Longest set.
pub const SET_MAX_BYTES: u64 = 512 << 20;
/// Most files in one.
const FILES_MAX: usize = 300;

/// The content of a set. Nothing of it is verified yet.
#[derive(Debug, Default)]
pub struct OfflineSet {
    /// Adapters by name: the file, and its signature where it has one.
    pub adapters: BTreeMap<String, (Vec<u8>, Option<String>)>,
    /// Keys by name.
    pub keys: BTreeMap<String, PublicKey>,
}

impl OfflineSet {
    /// Reads a set.
    ///
    /// # Errors
    /// [`BundleError::BadSet`]: it is no tar archive, too long, or holds something else.
    pub fn read(path: &Path) -> Result<Self, BundleError> {
        let bad = |cause: String| BundleError::BadSet { path: path.to_owned(), cause };
        let file = File::open(path).map_err(BundleError::folder(path))?;
        let mut set = Self::default();
        let mut signatures = BTreeMap::new();
        let mut archive = tar::Archive::new(file.take(SET_MAX_BYTES));
        for (number, entry) in archive.entries().map_err(|error| bad(error.to_string()))?.enumerate() {
            let mut entry = entry.map_err(|error| bad(error.to_string()))?;
            let name = entry.path().map_err(|error| bad(error.to_string()))?.to_string_lossy().into_owned();
            let length = entry.size();
            if number >= FILES_MAX || length > ADAPTER_FILE_MAX_BYTES || !entry.header().entry_type().is_file() {
                return Err(bad(format!("{name:?} is too long, no plain file, or one of more than {FILES_MAX}")));
            }
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(|error| bad(error.to_string()))?;
            let text = || String::from_utf8_lossy(&bytes).into_owned();
            match parts(&name) {
                Some((Kind::Adapter, name)) => _ = set.adapters.insert(name, (bytes, None)),
                Some((Kind::Signature, name)) => _ = signatures.insert(name, text()),
                Some((Kind::Key, name)) => _ = set.keys.insert(name, PublicKey::parse(&text())?),
                None => return Err(bad(format!("it holds {name:?}, which has no place in a set"))),
            }
        }
        for (name, signature) in signatures {
            let adapter = set.adapters.get_mut(&name);
            adapter.ok_or_else(|| bad(format!("it holds a signature of {name}, and not the adapter")))?.1 =
                Some(signature);
        }
        match set.adapters.is_empty() {
            true => Err(bad("it holds no adapter".into())),
            false => Ok(set),
        }
    }

    /// Writes the set.
    ///
    /// # Errors
    /// The operating system's word.
    pub fn write(&self, path: &Path) -> Result<(), BundleError> {
        let write = || {
            let mut archive = tar::Builder::new(File::create(path)?);
            for (name, key) in &self.keys {
                append(
                    &mut archive,
                    &format!("keys/{name}.pub"),
                    format!("untrusted comment: {name}\n{}\n", key.text()).as_bytes(),
                )?;
            }
            for (name, (bytes, signature)) in &self.adapters {
                append(&mut archive, &format!("adapters/{name}.wasm"), bytes)?;
                if let Some(signature) = signature {
                    append(&mut archive, &format!("adapters/{name}.wasm.minisig"), signature.as_bytes())?;
                }
            }
            archive.into_inner()?.sync_all()
        };
        write().map_err(BundleError::folder(path))
    }
}

enum Kind {
    Adapter,
    Signature,
    Key,
}

/// What a file of a set is, by its path, and whose.
fn parts(path: &str) -> Option<(Kind, String)> {
    let (kind, name) = match path.split_once('/')? {
        ("keys", file) => (Kind::Key, file.strip_suffix(".pub")?),
        ("adapters", file) => match file.strip_suffix(".minisig") {
            Some(signed) => (Kind::Signature, signed.strip_suffix(".wasm")?),
            None => (Kind::Adapter, file.strip_suffix(".wasm")?),
        },
        _ => return None,
    };
    check_name(name).is_ok().then(|| (kind, name.to_owned()))
}

/// The same bytes whenever and by whomever it is made.
fn append(archive: &mut tar::Builder<File>, path: &str, bytes: &[u8]) -> std::io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    archive.append_data(&mut header, path, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::key_pair;

    #[test]
    fn a_set_comes_back_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("site.tar");
        let key = PublicKey::parse(&key_pair(None).unwrap().1).unwrap();
        let adapters = BTreeMap::from([
            ("press".to_owned(), (b"bytes".to_vec(), Some("signature".to_owned()))),
            ("pump".to_owned(), (b"more".to_vec(), None)),
        ]);
        let set = OfflineSet { adapters: adapters.clone(), keys: BTreeMap::from([("acme".to_owned(), key)]) };
        set.write(&path).unwrap();
        let read = OfflineSet::read(&path).unwrap();
        assert_eq!((&read.adapters, &read.keys), (&adapters, &set.keys));
    }

    #[test]
    fn what_has_no_place_in_a_set_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("site.tar");
        for name in ["adapters/x.sh", "etc/passwd", "adapters/a/b.wasm", "keys/a.wasm", "adapters/UP.wasm"] {
            let mut archive = tar::Builder::new(File::create(&path).unwrap());
            append(&mut archive, name, b"x").unwrap();
            archive.into_inner().unwrap();
            assert!(matches!(OfflineSet::read(&path), Err(BundleError::BadSet { .. })), "{name}");
        }
        std::fs::write(&path, b"no archive").unwrap();
        assert!(OfflineSet::read(&path).is_err());
    }
}
