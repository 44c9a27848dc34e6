//! Backups of a running gateway: one at a time, below one folder, watched and called off from outside.

use crate::adapter_files::schemas_in;
use crate::engine::Engine;
use crate::process::free_bytes;
use bulkhead_bundle::signature_file;
use bulkhead_config::{Config, Redacted, redacted};
use bulkhead_log::{BackupProgress, BackupReport, Beside, BesideContent, Log, LogError};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Longest name of a backup, in bytes.
const NAME_MAX_BYTES: usize = 100;

/// What is to be left free behind a backup: the log needs room to go on, and an estimate is not exact.
const BACKUP_SPARE_BYTES: u64 = 64 * 1024 * 1024;
/// How a backup is called until it is whole.
const PARTIAL_END: &str = ".partial";

/// Why a backup is not begun.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackupRefused {
    /// The name is none that a folder below the backup folder can have.
    #[error(
        "{name:?} is no name for a backup: expected 1 to {NAME_MAX_BYTES} of `a-z`, `A-Z`, `0-9`, `-`, `_` and `.`, \
         beginning with a letter or a digit and not ending in `.partial`"
    )]
    BadName {
        /// The name asked for.
        name: String,
    },
    /// There is one of that name.
    #[error("there is a backup {} already: give another name", dir.display())]
    Exists {
        /// Its folder.
        dir: PathBuf,
    },
    /// There is not enough room for it.
    #[error(
        "a backup below {} needs {needed_bytes} bytes, {free_bytes} are free: make room, or set gateway.backup_dir to \
         another disk", dir.display()
    )]
    NoRoom {
        /// The backup folder.
        dir: PathBuf,
        /// What it takes, with what is to be left.
        needed_bytes: u64,
        /// What is free.
        free_bytes: u64,
    },
    /// One is being made.
    #[error("the backup {name} is being made: wait for its end")]
    Running {
        /// Its name.
        name: String,
    },
}

/// What the newest backup is at.
#[derive(Debug, Clone)]
pub enum BackupState {
    /// It is being made.
    Running(Option<BackupProgress>),
    /// It is there, read back and compared.
    Done(BackupReport),
    /// There is none, for this reason.
    Failed(LogError),
}

/// The newest backup of this run of the gateway.
#[derive(Debug, Clone)]
pub struct BackupJob {
    /// Its name.
    pub name: String,
    /// Its folder.
    pub dir: PathBuf,
    /// What it is at.
    pub state: BackupState,
}

/// Makes backups of a running gateway. Clones share the one that is being made.
#[derive(Clone)]
pub struct Backups {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    config_file: PathBuf,
    newest: Mutex<Option<BackupJob>>,
    called_off: AtomicBool,
}

impl Backups {
    /// Of an engine whose config stands in a file.
    #[must_use]
    pub fn new(engine: Engine, config_file: PathBuf) -> Self {
        let (newest, called_off) = (Mutex::new(None), AtomicBool::new(false));
        Self { inner: Arc::new(Inner { engine, config_file, newest, called_off }) }
    }

    /// Begins a backup below the config's backup folder; it goes on on a thread of its own. Looks at the disk, so it blocks
    /// a little. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`BackupRefused`].
    pub fn begin(&self, name: &str) -> Result<BackupJob, BackupRefused> {
        if !is_backup_name(name) {
            return Err(BackupRefused::BadName { name: name.to_owned() });
        }
        let dir = self.inner.engine.config().backup_dir().join(name);
        if dir.exists() {
            return Err(BackupRefused::Exists { dir });
        }
        check_room(&dir, self.inner.engine.log())?;
        let job = BackupJob { name: name.to_owned(), dir, state: BackupState::Running(None) };
        {
            let mut newest = self.inner.newest.lock();
            if let Some(BackupJob { name, state: BackupState::Running(_), .. }) = &*newest {
                return Err(BackupRefused::Running { name: name.clone() });
            }
            *newest = Some(job.clone());
        }
        let (inner, dir) = (Arc::clone(&self.inner), job.dir.clone());
        tokio::task::spawn_blocking(move || inner.make(&dir));
        Ok(job)
    }

    /// The newest backup of this run, if there is one.
    #[must_use]
    pub fn newest(&self) -> Option<BackupJob> {
        self.inner.newest.lock().clone()
    }

    /// Calls off what is being made and whatever would be begun later: the gateway stops.
    pub fn stop(&self) {
        self.inner.called_off.store(true, Ordering::Release);
    }
}

impl Inner {
    fn make(&self, dir: &Path) {
        let state = match self.copy(dir) {
            Ok(report) => {
                tracing::info!(dir = %dir.display(), readings = report.rows, "a backup was made");
                BackupState::Done(report)
            }
            Err(error) => {
                tracing::error!(dir = %dir.display(), "no backup was made: {error}");
                BackupState::Failed(error)
            }
        };
        _ = self.note(state);
    }

    fn copy(&self, dir: &Path) -> Result<BackupReport, LogError> {
        let unreadable = |source| LogError::Io {
            action: "put the config into a backup:",
            path: self.config_file.clone(),
            source: Arc::new(source),
        };
        if let Some(above) = dir.parent() {
            remove_partial(above);
        }
        let contents = BackupContents::of(&self.engine.config(), &self.config_file).map_err(unreadable)?;
        let mut on_progress = |progress| self.note(BackupState::Running(Some(progress)));
        self.engine.log().backup_to(dir, &contents.files, &mut on_progress)
    }

    fn note(&self, state: BackupState) -> ControlFlow<()> {
        if let Some(newest) = self.newest.lock().as_mut() {
            newest.state = state;
        }
        if self.called_off.load(Ordering::Acquire) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// What of a gateway goes into a backup beside its log.
#[derive(Debug, Clone)]
pub struct BackupContents {
    /// The config, its secrets covered, as `config/<its name>`; the files that its settings name, beside it as it names them;
    /// and the adapters it uses, as `adapters/<name>.wasm`
    /// with their signatures.
    pub files: Vec<Beside>,
    /// Files that settings name by a path that leads out of the config's folder, with their names in the backup.
    pub elsewhere: Vec<(PathBuf, String)>,
    /// What was covered in the config, and where it takes secrets from: these files are not in the backup.
    pub config: Redacted,
}

impl BackupContents {
    /// Reads a config's file and looks its adapters up; one whose file is not there is left out and told of.
    ///
    /// # Errors
    /// What reading the config met.
    pub fn of(config: &Config, config_file: &Path) -> std::io::Result<Self> {
        let text = std::fs::read_to_string(config_file)?;
        let covered = redacted(&text, config_file, &schemas_in());
        let name = config_file.file_name().map_or_else(|| "gateway.toml".into(), |name| name.to_string_lossy());
        let content = BesideContent::Bytes(covered.text.clone().into_bytes());
        let mut files = vec![Beside { name: format!("config/{name}"), content }];
        let mut elsewhere = Vec::new();
        for named in &config.settings_files {
            let file = config.resolve(named);
            let name = below_config(named).unwrap_or_else(|| {
                let last = named.file_name().unwrap_or_default().to_string_lossy();
                let name = format!("config/elsewhere/{}-{last}", elsewhere.len() + 1);
                elsewhere.push((named.clone(), name.clone()));
                name
            });
            if file.is_file() {
                files.push(Beside { name, content: BesideContent::File(file) });
            } else {
                tracing::warn!(file = %file.display(), "a file that settings name is not in the backup: it is no file");
            }
        }
        let adapters: BTreeSet<&str> = config.connections.values().map(|one| one.adapter.as_str()).collect();
        for adapter in adapters {
            let file = config.adapter_file(adapter);
            if file.is_file() {
                let name = format!("adapters/{adapter}.wasm");
                let signature = signature_file(&file);
                if signature.is_file() {
                    files.push(Beside { name: format!("{name}.minisig"), content: BesideContent::File(signature) });
                }
                files.push(Beside { name, content: BesideContent::File(file) });
            } else {
                tracing::warn!(adapter, file = %file.display(), "an adapter is not in the backup: it is no file");
            }
        }
        Ok(Self { files, elsewhere, config: covered })
    }
}

/// The name of a file in a backup, beside the config; none for one outside of the config's folder.
fn below_config(named: &Path) -> Option<String> {
    let mut name = String::from("config");
    for part in named.components() {
        match part {
            Component::Normal(part) => name.extend(["/", part.to_str()?]),
            Component::CurDir => {}
            _ => return None,
        }
    }
    Some(name)
}

/// Whether there is room for a copy of a log where a backup is to be made.
///
/// # Errors
/// [`BackupRefused::NoRoom`].
pub fn check_room(dir: &Path, log: &Log) -> Result<(), BackupRefused> {
    let needed_bytes = log.stats().bytes_on_disk.saturating_add(BACKUP_SPARE_BYTES);
    match free_bytes(dir) {
        Some(free_bytes) if free_bytes < needed_bytes => {
            Err(BackupRefused::NoRoom { dir: dir.to_owned(), needed_bytes, free_bytes })
        }
        _ => Ok(()),
    }
}

/// Removes what a gateway that was killed has left of backups: while it runs there is one at a time, and this is before it.
fn remove_partial(dir: &Path) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().ends_with(PARTIAL_END)) {
        match std::fs::remove_dir_all(entry.path()) {
            Ok(()) => {
                tracing::info!(dir = %entry.path().display(), "what there was of an unfinished backup is removed")
            }
            Err(error) => tracing::warn!(dir = %entry.path().display(), "it cannot be removed: {error}"),
        }
    }
}

/// Whether a name is one of a folder that stays below the backup folder, and none of one that is being made.
fn is_backup_name(name: &str) -> bool {
    let may = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    name.len() <= NAME_MAX_BYTES
        && name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && name.bytes().all(may)
        && !name.ends_with(PARTIAL_END)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_backups_go_and_whole_ones_stay() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a", "b.partial"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        remove_partial(dir.path());
        assert!(dir.path().join("a").exists() && !dir.path().join("b.partial").exists());
        remove_partial(&dir.path().join("nowhere"));
    }

    #[test]
    fn what_settings_name_keeps_its_place_beside_the_config_unless_that_is_outside() {
        let below = |named: &str| below_config(Path::new(named));
        assert_eq!(below("points.csv").as_deref(), Some("config/points.csv"));
        assert_eq!(below("./lists/boiler.csv").as_deref(), Some("config/lists/boiler.csv"));
        assert_eq!((below("/etc/points.csv"), below("../points.csv"), below("lists/../../x")), (None, None, None));
    }

    #[test]
    fn a_backups_name_never_leads_out_of_its_folder() {
        for good in ["bulkhead-20261122T031500Z", "a", "before_update.2"] {
            assert!(is_backup_name(good), "{good}");
        }
        for bad in ["", ".", "..", ".a", "a/b", "/a", "a\\b", "a.partial", "ä", "a b", &"x".repeat(101)] {
            assert!(!is_backup_name(bad), "{bad}");
        }
    }
}
