//! The folder of adapters with what was accepted before: putting a file in place, upgrading on probation, going back.
//!
//! An adapter is two files in the folder, `NAME.wasm` and, where it is signed, `NAME.wasm.minisig`. Beside them, in the
//! gateway's data folder, stand the record of what was accepted (`accepted.json`), for an upgrade on probation the
//! files it replaced and a note of it (`pending/NAME.json`), and how the last one ended (`ended/NAME.json`). Every file is
//! complete and on disk before it gets its name, and the note is there before anything is replaced: whenever the machine
//! stops, either the note says what to go back to, or nothing was replaced. Once the new version stands in the record the
//! probation has ended well, note or not.

use crate::digest::sha256_hex;
use crate::durable::{read_json, remove_if_there, replace_signature, sync_folder, write_json, write_whole};
use crate::error::BundleError;
use crate::manifest::Manifest;
use crate::probation::Probation;
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
    /// How the running gateway is to watch it; none: whoever began it ends it at once, or it is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probation: Option<Probation>,
}

/// How an upgrade ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// What was on probation.
    pub new: Accepted,
    /// Whether it stays.
    pub is_kept: bool,
    /// Why, in words.
    pub why: String,
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
        for folder in [adapters, &records.join("previous"), &records.join("pending"), &records.join("ended")] {
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

    /// The upgrade of this adapter that is on probation, if one is.
    ///
    /// # Errors
    /// The operating system's word, or a note that cannot be read.
    pub fn pending_of(data_dir: &Path, name: &str) -> Result<Option<Pending>, BundleError> {
        read_json(&note_in(&records_in(data_dir), name))
    }

    /// How the last upgrade of this adapter ended; none: there was none, or it is on probation.
    ///
    /// # Errors
    /// The operating system's word, or a file that cannot be read.
    pub fn ended_of(data_dir: &Path, name: &str) -> Result<Option<Ended>, BundleError> {
        read_json(&ended_in(&records_in(data_dir), name))
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
    /// [`Installed::go_back`] ends it. Where one is on probation already, what is gone back to stays the version that was
    /// there before that one, and so does what its connections are held against.
    ///
    /// # Errors
    /// [`BundleError::NotInstalled`]; the operating system's word.
    pub fn begin_upgrade(&self, new: &Installing, probation: Option<Probation>) -> Result<(), BundleError> {
        if !self.has(&new.name) {
            return Err(self.not_installed(&new.name));
        }
        let accepted = Accepted::of(new.manifest.as_ref(), &new.vouched);
        let note = match self.note_with_previous(&new.name)? {
            Some(earlier) => Pending { new: accepted, probation: continued(earlier.probation, probation), ..earlier },
            None => {
                let old_sha256 = self.set_aside(&new.name)?;
                Pending { name: new.name.clone(), new: accepted, old_sha256, probation }
            }
        };
        remove_if_there(&ended_in(&self.records, &new.name))?;
        write_json(&note_in(&self.records, &new.name), &note)?;
        self.put(&new.name, &new.bytes, new.signature.as_deref())
    }

    /// The note of an upgrade, if what it replaced is there to go back to.
    fn note_with_previous(&self, name: &str) -> Result<Option<Pending>, BundleError> {
        let Some(note) = self.pending(name)? else { return Ok(None) };
        let is_there = read_adapter(&self.previous(name)).is_ok_and(|bytes| sha256_hex(&bytes) == note.old_sha256);
        Ok(Some(note).filter(|_| is_there))
    }

    /// Keeps a copy of the files that are there, to go back to. Returns the adapter's SHA-256.
    fn set_aside(&self, name: &str) -> Result<String, BundleError> {
        let (file, previous) = (self.file(name), self.previous(name));
        let old = read_adapter(&file)?;
        write_whole(&previous, &old)?;
        replace_signature(&signature_file(&previous), read_signature(&signature_file(&file))?.as_deref())?;
        Ok(sha256_hex(&old))
    }

    /// The upgrade of this adapter that is on probation, if one is.
    ///
    /// # Errors
    /// The operating system's word, or a note that cannot be read.
    pub fn pending(&self, name: &str) -> Result<Option<Pending>, BundleError> {
        read_json(&note_in(&self.records, name))
    }

    /// Ends a probation well: what is there is what was accepted. Nothing happens where there is none on probation.
    ///
    /// # Errors
    /// The operating system's word.
    pub fn keep(&self, name: &str, why: &str) -> Result<(), BundleError> {
        if let Some(pending) = self.pending(name)? {
            self.record(name, pending.new.clone())?;
            self.tell_end(name, Ended { new: pending.new, is_kept: true, why: why.to_owned() })?;
        }
        self.forget_pending(name)
    }

    /// Ends a probation by putting the previous file back. Nothing happens where there is none on probation.
    ///
    /// # Errors
    /// The operating system's word.
    pub fn go_back(&self, name: &str, why: &str) -> Result<(), BundleError> {
        if let Some(pending) = self.pending(name)? {
            let previous = self.previous(name);
            let signature = read_signature(&signature_file(&previous))?;
            self.put(name, &read_adapter(&previous)?, signature.as_deref())?;
            self.tell_end(name, Ended { new: pending.new, is_kept: false, why: why.to_owned() })?;
        }
        self.forget_pending(name)
    }

    /// Ends every probation that nobody ended, because the machine or the gateway stopped meanwhile: one whose version
    /// stands in the record has ended well; of the others the previous file comes back. Returns the names of the latter.
    ///
    /// # Errors
    /// The operating system's word.
    pub fn settle_interrupted(&self, why: &str) -> Result<Vec<String>, BundleError> {
        let mut gone_back = Vec::new();
        for pending in self.notes()? {
            if self.was_kept(&pending)? {
                self.keep(&pending.name, "it was well; the machine stopped while that was written down")?;
            } else {
                self.go_back(&pending.name, why)?;
                gone_back.push(pending.name);
            }
        }
        Ok(gone_back)
    }

    /// Whether a stop came between the two steps of [`Installed::keep`].
    fn was_kept(&self, pending: &Pending) -> Result<bool, BundleError> {
        let all: BTreeMap<String, Accepted> = read_json(&self.records.join("accepted.json"))?.unwrap_or_default();
        let is_recorded = all.get(&pending.name) == Some(&pending.new);
        let is_there =
            || read_adapter(&self.file(&pending.name)).is_ok_and(|bytes| sha256_hex(&bytes) == pending.new.sha256);
        Ok(is_recorded && is_there())
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

    fn tell_end(&self, name: &str, ended: Ended) -> Result<(), BundleError> {
        write_json(&ended_in(&self.records, name), &ended)
    }

    /// The note goes first: without it the previous files mean nothing.
    fn forget_pending(&self, name: &str) -> Result<(), BundleError> {
        let previous = self.previous(name);
        remove_if_there(&note_in(&self.records, name))?;
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
}

/// What a second upgrade is held against while the first is on probation: the connections before the first.
fn continued(earlier: Option<Probation>, probation: Option<Probation>) -> Option<Probation> {
    let before = earlier.map(|earlier| earlier.before);
    probation.map(|probation| Probation { before: before.unwrap_or(probation.before), ..probation })
}

fn note_in(records: &Path, name: &str) -> PathBuf {
    records.join("pending").join(format!("{name}.json"))
}

fn ended_in(records: &Path, name: &str) -> PathBuf {
    records.join("ended").join(format!("{name}.json"))
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
pub(crate) mod tests;
