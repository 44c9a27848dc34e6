//! The folder of adapters with what was accepted before: putting a file in place, upgrading on probation, going back.
//!
//! An adapter is two files in the folder, `NAME.wasm` and, where it is signed, `NAME.wasm.minisig`. Beside them, in the
//! gateway's data folder, stand the record of what was accepted (`accepted.json`), and for an upgrade on probation the
//! files it replaced and a note of it (`pending/NAME.json`). Every file is complete and on disk before it gets its name, and
//! the note is there before anything is replaced: whenever the machine stops, either the note says what to go back to, or
//! nothing was replaced.

use crate::digest::sha256_hex;
use crate::durable::{read_json, remove_if_there, replace_signature, sync_folder, write_json, write_whole};
use crate::error::BundleError;
use crate::manifest::Manifest;
use crate::signature::signature_file;
use crate::trust::{Trust, Vouched, next_signature, read_adapter, read_signature};
use semver::Version;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Longest name of an adapter, in bytes; a config takes no longer one.
const NAME_MAX_BYTES: usize = 64;

/// What was accepted under a name: nothing older is taken unasked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The manifest's id; none: it had no manifest.
    pub id: Option<String>,
    /// The manifest's version; none: it had no manifest.
    pub version: Option<Version>,
    /// The file's SHA-256.
    pub sha256: String,
    /// The name of the key that had signed it.
    pub signed_by: Option<String>,
}

impl Accepted {
    fn of(manifest: Option<&Manifest>, vouched: &Vouched) -> Self {
        Self {
            id: manifest.map(|manifest| manifest.id.clone()),
            version: manifest.map(|manifest| manifest.version.clone()),
            sha256: vouched.sha256.clone(),
            signed_by: vouched.signed_by.clone(),
        }
    }

    /// Whether a file with this manifest may follow.
    pub(crate) fn admits(&self, name: &str, next: Option<&Manifest>) -> Result<(), BundleError> {
        let Some(accepted_id) = &self.id else { return Ok(()) };
        let found_id = next.map_or("without a manifest", |manifest| manifest.id.as_str());
        if found_id != accepted_id {
            let (found, accepted) = (found_id.to_owned(), accepted_id.clone());
            return Err(BundleError::AnotherId { name: name.into(), found, accepted });
        }
        match (&self.version, next) {
            (Some(accepted), Some(next)) if next.version < *accepted => Err(BundleError::Rollback {
                name: name.into(),
                found: next.version.to_string(),
                accepted: accepted.to_string(),
            }),
            _ => Ok(()),
        }
    }
}

/// A file on its way into the folder, judged.
#[derive(Debug)]
pub struct Installing {
    /// The adapter's name here.
    pub name: String,
    /// What the file says of itself; none: it has no manifest.
    pub manifest: Option<Manifest>,
    /// What became known of it.
    pub vouched: Vouched,
    bytes: Vec<u8>,
    signature: Option<String>,
}

impl Installing {
    /// Judges a file for a name: by pin and signature before it is parsed, then by the version that was accepted before.
    ///
    /// # Errors
    /// Any [`BundleError`] of the judgement.
    pub fn judged(
        name: &str,
        bytes: Vec<u8>,
        signature: Option<String>,
        trust: &Trust,
        allow_rollback: bool,
    ) -> Result<Self, BundleError> {
        check_name(name)?;
        let vouched = trust.judge(name, Path::new(&format!("{name}.wasm")), &bytes, signature.as_deref())?;
        let manifest = Manifest::read(&bytes).map_err(|cause| BundleError::BadManifest { name: name.into(), cause })?;
        if !allow_rollback && let Some(accepted) = trust.accepted(name)? {
            accepted.admits(name, manifest.as_ref())?;
        }
        Ok(Self { name: name.into(), manifest, vouched, bytes, signature })
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// An upgrade on probation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// The adapter.
    pub name: String,
    /// What replaced the file that was there.
    pub new: Accepted,
    /// The SHA-256 of the file that was there.
    pub old_sha256: String,
}

/// The folder of adapters of one gateway. Whoever changes it holds its lock.
#[derive(Debug)]
pub struct Installed {
    adapters: PathBuf,
    records: PathBuf,
    _lock: File,
}

impl Installed {
    /// Opens the folder for changes. Both folders are made if they are not there.
    ///
    /// # Errors
    /// [`BundleError::Busy`] while another process changes it; the operating system's word.
    pub fn open(adapters: &Path, data_dir: &Path) -> Result<Self, BundleError> {
        let records = records_in(data_dir);
        for folder in [adapters, &records.join("previous"), &records.join("pending")] {
            fs::create_dir_all(folder).map_err(BundleError::folder(folder))?;
        }
        let path = records.join("lock");
        let lock = File::create(&path).map_err(BundleError::folder(&path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { adapters: adapters.into(), records, _lock: lock }),
            Err(fs::TryLockError::WouldBlock) => Err(BundleError::Busy { path }),
            Err(fs::TryLockError::Error(cause)) => Err(BundleError::Folder { path, cause }),
        }
    }

    /// What was accepted before, by name; empty where nothing was.
    ///
    /// # Errors
    /// The record is there and cannot be read: then nobody can say what was accepted.
    pub fn accepted_in(data_dir: &Path) -> Result<BTreeMap<String, Accepted>, BundleError> {
        read_json(&records_in(data_dir).join("accepted.json")).map(Option::unwrap_or_default)
    }

    /// Upgrades that are on probation, by name.
    ///
    /// # Errors
    /// The operating system's word, or a note that cannot be read.
    pub fn pending_in(data_dir: &Path) -> Result<Vec<Pending>, BundleError> {
        let folder = records_in(data_dir).join("pending");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(BundleError::folder(&folder)(error)),
        };
        let notes = entries.flatten().map(|entry| entry.path());
        let notes = notes.filter(|path| path.extension().is_some_and(|end| end == "json"));
        let mut pending: Vec<Pending> =
            notes.filter_map(|path| read_json(&path).transpose()).collect::<Result<_, _>>()?;
        pending.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(pending)
    }

    /// Whether an adapter of this name is there.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.file(name).is_file()
    }

    /// Puts a judged file in place and records it as accepted.
    ///
    /// # Errors
    /// The operating system's word.
    pub fn install(&self, new: &Installing) -> Result<(), BundleError> {
        self.put(&new.name, &new.bytes, new.signature.as_deref())?;
        self.record(&new.name, Accepted::of(new.manifest.as_ref(), &new.vouched))?;
        self.forget_pending(&new.name)
    }

    /// Puts a judged file in the place of the one that is there, on probation: [`Installed::keep`] or
    /// [`Installed::go_back`] ends it.
    ///
    /// # Errors
    /// [`BundleError::NotInstalled`]; the operating system's word.
    pub fn begin_upgrade(&self, new: &Installing) -> Result<(), BundleError> {
        let file = self.file(&new.name);
        if !self.has(&new.name) {
            return Err(self.not_installed(&new.name));
        }
        let old = read_adapter(&file)?;
        let previous = self.previous(&new.name);
        write_whole(&previous, &old)?;
        replace_signature(&signature_file(&previous), read_signature(&signature_file(&file))?.as_deref())?;
        let note = Pending {
            name: new.name.clone(),
            new: Accepted::of(new.manifest.as_ref(), &new.vouched),
            old_sha256: sha256_hex(&old),
        };
        write_json(&self.note(&new.name), &note)?;
        self.put(&new.name, &new.bytes, new.signature.as_deref())
    }

    /// Ends a probation well: what is there is what was accepted.
    ///
    /// # Errors
    /// The operating system's word.
    pub fn keep(&self, name: &str) -> Result<(), BundleError> {
        if let Some(pending) = read_json::<Pending>(&self.note(name))? {
            self.record(name, pending.new)?;
        }
        self.forget_pending(name)
    }

    /// Ends a probation by putting the previous file back. Nothing happens where there is none on probation.
    ///
    /// # Errors
    /// The operating system's word.
    pub fn go_back(&self, name: &str) -> Result<(), BundleError> {
        if read_json::<Pending>(&self.note(name))?.is_some() {
            let previous = self.previous(name);
            let signature = read_signature(&signature_file(&previous))?;
            self.put(name, &read_adapter(&previous)?, signature.as_deref())?;
        }
        self.forget_pending(name)
    }

    /// Puts every previous file back whose probation nobody ended: the machine or the command stopped meanwhile.
    /// Returns their names.
    ///
    /// # Errors
    /// The operating system's word.
    pub fn settle_interrupted(&self) -> Result<Vec<String>, BundleError> {
        let names: Vec<String> = self.notes()?.into_iter().map(|pending| pending.name).collect();
        for name in &names {
            self.go_back(name)?;
        }
        Ok(names)
    }

    /// Removes an adapter's files. What was accepted stays on record, so that nothing older follows unasked.
    ///
    /// # Errors
    /// [`BundleError::NotInstalled`]; the operating system's word.
    pub fn remove(&self, name: &str) -> Result<(), BundleError> {
        check_name(name)?;
        if !self.has(name) {
            return Err(self.not_installed(name));
        }
        let file = self.file(name);
        fs::remove_file(&file).map_err(BundleError::folder(&file))?;
        remove_if_there(&signature_file(&file))?;
        self.forget_pending(name)?;
        sync_folder(&self.adapters)
    }

    /// The names of the adapters in the folder, sorted.
    #[must_use]
    pub fn names_in(adapters: &Path) -> Vec<String> {
        let files = fs::read_dir(adapters).into_iter().flatten().flatten().map(|entry| entry.path());
        let wasm = files.filter(|path| path.extension().is_some_and(|end| end == "wasm"));
        let mut names: Vec<String> = wasm
            .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
            .filter(|n| check_name(n).is_ok())
            .collect();
        names.sort();
        names
    }

    /// Signature first under another name, then the file, then the signature under its own: at each moment one of the two
    /// signatures fits the file.
    fn put(&self, name: &str, bytes: &[u8], signature: Option<&str>) -> Result<(), BundleError> {
        let file = self.file(name);
        let beside = signature_file(&file);
        let next = next_signature(&beside);
        if let Some(signature) = signature {
            write_whole(&next, signature.as_bytes())?;
        }
        write_whole(&file, bytes)?;
        match signature {
            Some(_) => fs::rename(&next, &beside).map_err(BundleError::folder(&beside))?,
            None => remove_if_there(&beside)?,
        }
        sync_folder(&self.adapters)
    }

    fn record(&self, name: &str, accepted: Accepted) -> Result<(), BundleError> {
        let path = self.records.join("accepted.json");
        let mut all: BTreeMap<String, Accepted> = read_json(&path)?.unwrap_or_default();
        all.insert(name.to_owned(), accepted);
        write_json(&path, &all)
    }

    /// The note goes first: without it the previous files mean nothing.
    fn forget_pending(&self, name: &str) -> Result<(), BundleError> {
        let previous = self.previous(name);
        remove_if_there(&self.note(name))?;
        sync_folder(&self.records.join("pending"))?;
        remove_if_there(&previous)?;
        remove_if_there(&signature_file(&previous))
    }

    fn notes(&self) -> Result<Vec<Pending>, BundleError> {
        self.records.parent().map_or_else(|| Ok(Vec::new()), Self::pending_in)
    }

    fn not_installed(&self, name: &str) -> BundleError {
        let names = Self::names_in(&self.adapters);
        let available = if names.is_empty() { "none".into() } else { names.join(", ") };
        BundleError::NotInstalled { name: name.into(), folder: self.adapters.clone(), available }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.adapters.join(format!("{name}.wasm"))
    }

    fn previous(&self, name: &str) -> PathBuf {
        self.records.join("previous").join(format!("{name}.wasm"))
    }

    fn note(&self, name: &str) -> PathBuf {
        self.records.join("pending").join(format!("{name}.json"))
    }
}

fn records_in(data_dir: &Path) -> PathBuf {
    data_dir.join("adapters")
}

pub(crate) fn check_name(name: &str) -> Result<(), BundleError> {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    match !name.is_empty() && name.len() <= NAME_MAX_BYTES && name.bytes().all(good) {
        true => Ok(()),
        false => Err(BundleError::BadName { name: name.into() }),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::manifest::tests::manifest;
    use crate::{MANIFEST_SECTION, PublicKey, SecretKey, append_section, key_pair};

    pub(crate) fn accepted(version: &str) -> Accepted {
        let vouched = Vouched { sha256: String::new(), signed_by: None, comment: None };
        Accepted::of(Some(&manifest(version)), &vouched)
    }

    fn component(version: &str) -> Vec<u8> {
        let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
        append_section(&mut bytes, MANIFEST_SECTION, &serde_json::to_vec(&manifest(version)).unwrap());
        bytes
    }

    struct Site {
        _dir: tempfile::TempDir,
        adapters: PathBuf,
        data: PathBuf,
        secret: SecretKey,
        key: PublicKey,
    }

    impl Site {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let (secret, key) = key_pair(None).unwrap();
            Self {
                adapters: dir.path().join("adapters"),
                data: dir.path().join("data"),
                _dir: dir,
                secret: SecretKey::parse(&secret, None).unwrap(),
                key: PublicKey::parse(&key).unwrap(),
            }
        }

        fn trust(&self) -> Trust {
            Trust {
                require_signed: true,
                keys: BTreeMap::from([("acme".into(), self.key.clone())]),
                pins: BTreeMap::new(),
                record: Some(self.data.clone()),
            }
        }

        fn installing(&self, version: &str, allow_rollback: bool) -> Result<Installing, BundleError> {
            let bytes = component(version);
            let signature = self.secret.sign(&bytes, version).unwrap();
            Installing::judged("press", bytes, Some(signature), &self.trust(), allow_rollback)
        }

        fn open(&self) -> Installed {
            Installed::open(&self.adapters, &self.data).unwrap()
        }

        /// The version that a gateway would run, judged by its signature.
        fn running(&self) -> String {
            let (bytes, vouched) = self.trust().read("press", &self.adapters.join("press.wasm")).unwrap();
            assert_eq!(vouched.signed_by.as_deref(), Some("acme"));
            Manifest::read(&bytes).unwrap().unwrap().version.to_string()
        }
    }

    #[test]
    fn an_older_version_is_refused_unless_it_is_asked_for() {
        let site = Site::new();
        site.open().install(&site.installing("1.2.0", false).unwrap()).unwrap();
        let error = site.installing("1.1.9", false).unwrap_err();
        assert!(error.to_string().contains("1.1.9, older than 1.2.0"), "{error}");
        // Put there by hand, with a good signature: the gateway refuses it, too.
        let old = component("1.0.0");
        fs::write(site.adapters.join("press.wasm"), &old).unwrap();
        fs::write(site.adapters.join("press.wasm.minisig"), site.secret.sign(&old, "old").unwrap()).unwrap();
        let refused = site.trust().read("press", &site.adapters.join("press.wasm")).unwrap_err();
        assert!(matches!(refused, BundleError::Rollback { .. }), "{refused}");
        site.open().install(&site.installing("1.1.9", true).unwrap()).unwrap();
        assert_eq!(site.running(), "1.1.9");
    }

    #[test]
    fn another_adapter_under_the_same_name_is_refused() {
        let mut other = manifest("9.0.0");
        other.id = "evil/press".into();
        let error = accepted("1.0.0").admits("press", Some(&other)).unwrap_err();
        assert!(matches!(error, BundleError::AnotherId { .. }));
        assert!(matches!(accepted("1.0.0").admits("press", None), Err(BundleError::AnotherId { .. })));
    }

    #[test]
    fn an_upgrade_is_kept_or_the_previous_version_comes_back_with_its_signature() {
        let site = Site::new();
        let folder = site.open();
        assert!(matches!(
            folder.begin_upgrade(&site.installing("1.0.0", false).unwrap()),
            Err(BundleError::NotInstalled { .. })
        ));
        folder.install(&site.installing("1.0.0", false).unwrap()).unwrap();
        folder.begin_upgrade(&site.installing("1.1.0", false).unwrap()).unwrap();
        assert_eq!(site.running(), "1.1.0");
        assert_eq!(Installed::pending_in(&site.data).unwrap()[0].name, "press");
        folder.go_back("press").unwrap();
        assert_eq!(site.running(), "1.0.0");
        assert_eq!(Installed::pending_in(&site.data).unwrap(), []);
        // What failed was never accepted: it may be tried again, and so may what lies between.
        folder.begin_upgrade(&site.installing("1.0.5", false).unwrap()).unwrap();
        folder.keep("press").unwrap();
        assert_eq!(site.running(), "1.0.5");
        assert!(site.installing("1.0.4", false).is_err());
    }

    #[test]
    fn an_upgrade_that_nobody_ended_is_taken_back() {
        let site = Site::new();
        let folder = site.open();
        folder.install(&site.installing("1.0.0", false).unwrap()).unwrap();
        folder.begin_upgrade(&site.installing("1.1.0", false).unwrap()).unwrap();
        drop(folder);
        assert_eq!(site.open().settle_interrupted().unwrap(), ["press"]);
        assert_eq!(site.running(), "1.0.0");
        assert_eq!(site.open().settle_interrupted().unwrap(), Vec::<String>::new());
    }

    #[test]
    fn whatever_file_a_stop_left_behind_one_signature_fits() {
        let site = Site::new();
        let folder = site.open();
        folder.install(&site.installing("1.0.0", false).unwrap()).unwrap();
        // The two moments inside of `put`: the next signature is there, then the file as well.
        let next = site.installing("1.1.0", false).unwrap();
        let path = site.adapters.join("press.wasm");
        fs::write(site.adapters.join("press.wasm.minisig.next"), next.signature.as_ref().unwrap()).unwrap();
        assert_eq!(site.running(), "1.0.0");
        fs::write(&path, next.bytes()).unwrap();
        assert_eq!(site.running(), "1.1.0");
    }

    #[test]
    fn what_was_removed_leaves_its_version_behind_and_one_command_works_at_a_time() {
        let site = Site::new();
        let folder = site.open();
        assert!(matches!(Installed::open(&site.adapters, &site.data), Err(BundleError::Busy { .. })));
        folder.install(&site.installing("2.0.0", false).unwrap()).unwrap();
        assert_eq!(Installed::names_in(&site.adapters), ["press"]);
        folder.remove("press").unwrap();
        assert_eq!(Installed::names_in(&site.adapters), Vec::<String>::new());
        assert!(matches!(folder.remove("press"), Err(BundleError::NotInstalled { .. })));
        assert!(matches!(site.installing("1.0.0", false), Err(BundleError::Rollback { .. })));
        assert!(matches!(folder.remove("../press"), Err(BundleError::BadName { .. })));
    }
}
