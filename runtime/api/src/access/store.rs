//! The file of users and keys in the data folder: read whole, written whole beside itself and renamed, so that a power cut
//! leaves the old one or the new one. Several processes may change it: the command line does while the gateway runs.

use super::accounts::{Accounts, ApiKey, check_password};
use super::{key, password};
use crate::error::ApiError;
use bulkhead_config::{ACCOUNTS_FILE, ApiRole, Config};
use bulkhead_model::Timestamp;
use rustix::fs::FlockOperation;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Longest file that is read.
const FILE_MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Users and keys on disk.
#[derive(Clone, Debug)]
pub struct AccountStore {
    path: PathBuf,
}

/// Tells one version of the file from another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Version {
    inode: u64,
    length: u64,
    changed_ns: i128,
}

/// A key as it was asked for.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// What it is for.
    pub name: String,
    /// What its holder may do.
    pub role: ApiRole,
    /// The only connections it is good for; none: all.
    pub connections: Option<BTreeSet<String>>,
    /// When it ends; none: never.
    pub expires: Option<Timestamp>,
}

impl NewKey {
    /// Whether there are the connections that it is good for: a name with a slip in it would make a key that is good for nothing.
    ///
    /// # Errors
    /// [`ApiError::NoConnection`] for the first that is not among `known`.
    pub fn check_connections(&self, known: &BTreeSet<String>) -> Result<(), ApiError> {
        let Some(unknown) = self.connections.iter().flatten().find(|name| !known.contains(*name)) else {
            return Ok(());
        };
        let candidates: Vec<&str> = known.iter().map(String::as_str).collect();
        let near = bulkhead_config::nearest(unknown, &candidates).map(str::to_owned);
        Err(ApiError::NoConnection { name: unknown.clone(), near })
    }
}

impl AccountStore {
    /// The users and keys of a config's data folder. Touches nothing.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self { path: config.accounts_file() }
    }

    /// The users and keys of a data folder. Touches nothing.
    #[must_use]
    pub fn in_folder(data_dir: &Path) -> Self {
        Self { path: data_dir.join(ACCOUNTS_FILE) }
    }

    /// All of them; none where there is no file yet.
    ///
    /// # Errors
    /// [`ApiError::AccountsFile`] where the file cannot be read or is none: it is never taken for an empty one.
    pub fn read(&self) -> Result<Accounts, ApiError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Accounts::default()),
            Err(error) => return Err(self.failed("cannot be read", &error)),
        };
        let mut text = String::new();
        file.take(FILE_MAX_BYTES).read_to_string(&mut text).map_err(|error| self.failed("cannot be read", &error))?;
        let wrong = |reason: String| ApiError::AccountsFile { path: self.path.clone(), reason };
        let accounts: Accounts = serde_json::from_str(&text).map_err(|error| wrong(format!("is damaged: {error}")))?;
        if !accounts.is_known_form() {
            return Err(wrong("was written by another version of the gateway".into()));
        }
        Ok(accounts)
    }

    /// Which version of the file is there; none: no file.
    pub(crate) fn version(&self) -> io::Result<Option<Version>> {
        match fs::metadata(&self.path) {
            Ok(found) => Ok(Some(Version {
                inode: found.ino(),
                length: found.len(),
                changed_ns: i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec()),
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a user.
    ///
    /// # Errors
    /// [`ApiError::Account`] for a name or password that will not do, [`ApiError::AccountsFile`].
    pub fn add_user(&self, name: &str, role: ApiRole, password: &str) -> Result<(), ApiError> {
        check_password(password)?;
        let kept = password::hash(password)?;
        self.change(|accounts| accounts.add_user(name, role, kept))
    }

    /// Gives a user another password; sessions with the old one end.
    ///
    /// # Errors
    /// [`ApiError::NoAccount`], [`ApiError::Account`], [`ApiError::AccountsFile`].
    pub fn set_password(&self, name: &str, password: &str) -> Result<(), ApiError> {
        check_password(password)?;
        let kept = password::hash(password)?;
        self.change(|accounts| accounts.set_password(name, kept))
    }

    /// Removes a user; their sessions end.
    ///
    /// # Errors
    /// [`ApiError::NoAccount`], [`ApiError::AccountsFile`].
    pub fn remove_user(&self, name: &str) -> Result<(), ApiError> {
        self.change(|accounts| accounts.remove_user(name).map(drop))
    }

    /// Makes a key. Its text is in the answer and is kept nowhere.
    ///
    /// # Errors
    /// [`ApiError::Account`] for what will not do, [`ApiError::AccountsFile`].
    pub fn create_key(&self, new: NewKey, now: Timestamp) -> Result<(ApiKey, String), ApiError> {
        let (id, text) = key::make()?;
        let made = ApiKey {
            name: new.name,
            id,
            role: new.role,
            connections: new.connections,
            created_ns: now.0,
            expires_ns: new.expires.map(|end| end.0),
            digest: key::digest(&text),
        };
        self.change(|accounts| accounts.add_key(made.clone()))?;
        Ok((made, text))
    }

    /// Revokes a key, by its id, what it begins with, or its name.
    ///
    /// # Errors
    /// [`ApiError::NoAccount`], [`ApiError::AccountsFile`].
    pub fn revoke_key(&self, which: &str) -> Result<ApiKey, ApiError> {
        self.change(|accounts| accounts.revoke_key(which))
    }

    /// Reads, changes and writes, with everybody else kept out.
    fn change<T>(&self, change: impl FnOnce(&mut Accounts) -> Result<T, ApiError>) -> Result<T, ApiError> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let failed = |error: io::Error| self.failed("cannot be written", &error);
        private_folder(folder).map_err(failed)?;
        let lock = private_file(&folder.join("lock")).map_err(failed)?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
        let mut accounts = self.read()?;
        let outcome = change(&mut accounts)?;
        let text = serde_json::to_string_pretty(&accounts).map_err(|error| failed(error.into()))?;
        replace(&self.path, text.as_bytes()).map_err(failed)?;
        Ok(outcome)
    }

    fn failed(&self, what: &str, error: &io::Error) -> ApiError {
        ApiError::AccountsFile { path: self.path.clone(), reason: format!("{what}: {error}") }
    }
}

/// Makes a folder, and those above it, for its owner only. What root makes belongs to whom the folder above belongs to, so that the
/// gateway's own user can read what the command line of root has made.
pub(crate) fn private_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
        private_folder(above)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => give_to_owner_above(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Opens a file that only its owner may read, and makes it where there is none.
pub(crate) fn private_file(path: &Path) -> io::Result<File> {
    let is_new = !path.exists();
    let file = OpenOptions::new().create(true).append(true).read(true).mode(0o600).open(path)?;
    if is_new {
        give_to_owner_above(path)?;
    }
    Ok(file)
}

/// Writes a file whole: beside itself, to the disk, then renamed.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = private_file(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

fn give_to_owner_above(path: &Path) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let owner = fs::metadata(above)?;
    std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn store(dir: &Path) -> AccountStore {
        AccountStore { path: dir.join("data/access/accounts.json") }
    }

    #[test]
    fn what_is_made_is_read_again_and_is_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        assert!(store.read().unwrap().is_empty() && store.version().unwrap().is_none());
        store.add_user("anna", ApiRole::Admin, "correct horse").unwrap();
        let before = store.version().unwrap();
        let new = NewKey { name: "bi".into(), role: ApiRole::Viewer, connections: None, expires: None };
        let (key, text) = store.create_key(new, Timestamp(5)).unwrap();
        assert_ne!(store.version().unwrap(), before);
        let read = store.read().unwrap();
        assert_eq!((read.users.len(), &read.keys[0]), (1, &key));
        let written = fs::read_to_string(&store.path).unwrap();
        assert!(!written.contains("correct horse") && !written.contains(&text[12..]), "{written}");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&store.path), mode(store.path.parent().unwrap())), (0o600, 0o700));
        store.remove_user("anna").unwrap();
        store.revoke_key("bi").unwrap();
        assert!(store.read().unwrap().is_empty());
    }

    #[test]
    fn a_key_is_good_for_connections_that_are_there() {
        let known = ["boiler", "press"].map(str::to_owned).into();
        let check = |connections: Option<&[&str]>| {
            let connections = connections.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
            NewKey { name: "k".into(), role: ApiRole::Viewer, connections, expires: None }.check_connections(&known)
        };
        assert!(check(None).is_ok() && check(Some(&["press", "boiler"])).is_ok());
        let near = check(Some(&["boiler", "prss"])).unwrap_err().to_string();
        assert_eq!(near, "there is no connection `prss`; did you mean `press`?");
        assert_eq!(check(Some(&["zzz"])).unwrap_err().to_string(), "there is no connection `zzz`");
    }

    #[test]
    fn a_damaged_file_is_no_empty_one_and_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        store.add_user("anna", ApiRole::Admin, "correct horse").unwrap();
        let whole = fs::read_to_string(&store.path).unwrap();
        for damaged in ["", "{}", &whole[..whole.len() / 2], &whole.replace("\"format\": 1", "\"format\": 2")] {
            fs::write(&store.path, damaged).unwrap();
            assert!(matches!(store.read(), Err(ApiError::AccountsFile { .. })), "{damaged}");
            assert!(store.add_user("eve", ApiRole::Admin, "correct horse").is_err());
            assert_eq!(fs::read_to_string(&store.path).unwrap(), damaged);
        }
    }

    #[test]
    fn several_writers_lose_nothing_of_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        std::thread::scope(|scope| {
            for n in 0..8 {
                let store = store.clone();
                let new = NewKey { name: format!("k{n}"), role: ApiRole::Viewer, connections: None, expires: None };
                scope.spawn(move || store.create_key(new, Timestamp(1)).unwrap());
            }
        });
        assert_eq!(store.read().unwrap().keys.len(), 8);
    }
}
