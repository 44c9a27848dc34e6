//! The config as people change it: the file it stands in, the text that runs, the ones before it. One at a time is taken
//! up: read, checked, applied, kept.

mod file;
mod history;
mod refusal;
mod watch;

pub use history::{History, KeptConfig};
pub use refusal::Refusal;

use crate::Engine;
use crate::adapter_files::schemas_in;
use crate::blocking::off_thread;
use crate::reload::{Reloaded, needs_restart};
use bulkhead_config::{Config, Diagnostics, Loaded, Redacted};
use parking_lot::RwLock;
use serde::Serialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Mutex;
use watch::{Identities, Identity, identities};

/// A part of the process that goes by the config and is no connection or route: the journal's levels, the API's
/// credentials.
pub trait Follower: Send + Sync {
    /// Whether it could go by this config.
    ///
    /// # Errors
    /// In words, why it could not; the config is then refused whole.
    fn check(&self, config: &Config) -> Result<(), String>;

    /// Goes by this config from now on. It has been checked.
    fn follow(&self, config: &Config);
}

/// Who asks for the config file to be read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// The file changed.
    FileChanged,
    /// Somebody asked: a signal, the command line, the API.
    Asked,
}

/// A config that was taken up.
#[derive(Debug, Clone, Serialize)]
pub struct Applied {
    /// Names the running config; another config has another tag.
    pub tag: String,
    /// What it changed.
    #[serde(flatten)]
    pub changes: Reloaded,
    /// What is doubtful about it.
    pub warnings: Diagnostics,
}

/// The running config, for showing.
#[derive(Debug, Clone)]
pub struct Current {
    /// Names it; another config has another tag.
    pub tag: String,
    /// Its text, secrets covered.
    pub shown: Arc<str>,
    /// Keys whose change takes effect at the next start only.
    pub needs_restart: Vec<&'static str>,
    /// Why the config that stands in the file is not the one that runs; none: it is.
    pub refused: Option<String>,
}

/// The config of a running gateway.
pub struct LiveConfig {
    path: PathBuf,
    /// Listened on instead of `api.listen`.
    listen: Option<SocketAddr>,
    engine: Engine,
    started_with: Arc<Config>,
    history: History,
    followers: RwLock<Vec<Arc<dyn Follower>>>,
    /// Held by whoever takes a config up.
    running: Mutex<Running>,
    shown: RwLock<Current>,
}

/// The config that runs.
struct Running {
    text: Arc<str>,
    loaded: Loaded,
    number: u64,
    /// The files it names, as they were when it was taken up or when they were last tried.
    named: Identities,
}

/// The text of a config, which is in memory once where no secret of it had to be covered.
fn kept_once(text: String, loaded: &Loaded) -> Arc<str> {
    if text == **loaded.shown() { Arc::clone(loaded.shown()) } else { text.into() }
}

/// Where the text of a config comes from, and so what else is to be done with it.
enum Origin {
    /// It stands in the file.
    File,
    /// It is to be written to the file.
    Given,
    /// It is one of the history, and takes its place at the end; this is what the file held.
    History { number: u64, undone: Option<String> },
}

impl LiveConfig {
    /// The config that an engine was just started with: `text`, as it stood in `path`. It is kept as one that is good.
    /// Reads and writes files.
    #[must_use]
    pub fn new(path: &Path, text: String, loaded: Loaded, listen: Option<SocketAddr>, engine: Engine) -> Arc<Self> {
        let started_with = engine.config();
        let history = History::in_data_dir(&started_with.data_dir());
        let number = history.keep(&text).unwrap_or_else(|error| {
            tracing::warn!("the config could not be kept for a later rollback: {error}");
            1
        });
        let shown = Current {
            tag: tag(&engine, number),
            shown: loaded.shown().clone(),
            needs_restart: Vec::new(),
            refused: None,
        };
        let named = identities(loaded.config.named_files(), &Identities::new());
        Arc::new(Self {
            path: path.to_owned(),
            listen,
            engine,
            started_with,
            history,
            followers: RwLock::default(),
            running: Mutex::new(Running { text: kept_once(text, &loaded), loaded, number, named }),
            shown: RwLock::new(shown),
        })
    }

    /// Has a part of the process follow every config that is taken up from now on.
    pub fn add_follower(&self, follower: Arc<dyn Follower>) {
        self.followers.write().push(follower);
    }

    /// The running config, for showing.
    #[must_use]
    pub fn current(&self) -> Current {
        self.shown.read().clone()
    }

    /// The running config without its secrets, to cover them in other texts. Waits while another config is being taken up.
    /// None: the process ends.
    pub async fn redacted(&self) -> Option<Redacted> {
        let (text, path) = (Arc::clone(&self.running.lock().await.text), self.path.clone());
        off_thread(move || bulkhead_config::redacted(&text, &path, &schemas_in())).await
    }

    /// The file it stands in.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Checks a text as if it were to be taken up: everything that [`LiveConfig::put`] checks.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn check(&self, text: String) -> Result<Diagnostics, Refusal> {
        let running = self.running.lock().await;
        let whole = running.loaded.uncover(&running.text, &text, &self.path).map_err(Refusal::Invalid)?;
        drop(running);
        let loaded = self.load(whole).await?.1;
        self.check_followers(&loaded.config)?;
        Ok(loaded.warnings)
    }

    /// Takes a text up and writes it to the file. Secrets that stand covered in it, as [`Current::shown`] has them, stay what
    /// they are. `expected` is the tag of the config it was made from; none: whatever runs.
    ///
    /// # Errors
    /// [`Refusal`]: another config runs by now, the file holds changes of its own, the text is wrong, or it cannot be
    /// written. The running config stays.
    pub async fn put(self: &Arc<Self>, text: String, expected: Option<String>) -> Result<Applied, Refusal> {
        let live = self.clone();
        on_its_own(async move { live.put_now(text, expected).await }).await
    }

    async fn put_now(&self, text: String, expected: Option<String>) -> Result<Applied, Refusal> {
        let mut running = self.running.lock().await;
        let tag = tag(&self.engine, running.number);
        if expected.is_some_and(|expected| expected != tag) {
            return Err(Refusal::Outdated { tag });
        }
        if self.read_file().await.is_some_and(|file| file != *running.text) {
            return Err(Refusal::FileEdited { path: self.path.clone() });
        }
        let whole = running.loaded.uncover(&running.text, &text, &self.path).map_err(Refusal::Invalid)?;
        self.take_up(&mut running, whole, Origin::Given).await
    }

    /// Reads the file again and takes up what it holds. None: the file changed and holds what runs.
    ///
    /// # Errors
    /// [`Refusal`]; the running config stays.
    pub async fn reread(self: &Arc<Self>, trigger: Trigger) -> Result<Option<Applied>, Refusal> {
        let live = self.clone();
        on_its_own(async move { live.reread_now(trigger, None).await }).await
    }

    /// As [`LiveConfig::reread`], for a version of the file that has settled. None also when the file is another one by now:
    /// between the look and the read somebody may have begun to write it, and half a config can be a valid one.
    pub(crate) async fn reread_settled(self: &Arc<Self>, settled: Identity) -> Result<Option<Applied>, Refusal> {
        let live = self.clone();
        on_its_own(async move { live.reread_now(Trigger::FileChanged, Some(settled)).await }).await
    }

    async fn reread_now(&self, trigger: Trigger, settled: Option<Identity>) -> Result<Option<Applied>, Refusal> {
        let mut running = self.running.lock().await;
        let path = self.path.clone();
        let (text, now) = blocking(move || (bulkhead_config::read_text(&path), Identity::at(&path))).await?;
        if settled.is_some() && now != settled {
            return Ok(None);
        }
        if trigger == Trigger::FileChanged && text.as_ref().is_ok_and(|text| **text == *running.text) {
            self.shown.write().refused = None;
            return Ok(None);
        }
        let outcome = match text {
            Ok(text) => self.take_up(&mut running, text, Origin::File).await,
            Err(diagnostics) => Err(Refusal::Invalid(diagnostics)),
        };
        if let Err(refusal) = &outcome {
            self.shown.write().refused = Some(refusal.to_string());
            refusal.tell();
        }
        outcome.map(Some)
    }

    /// The files that the running config names: as they were read, and as they are now. None while a config is being taken
    /// up.
    pub(crate) async fn named_files_now(&self) -> Option<(Identities, Identities)> {
        let (read, files) = {
            let running = self.running.try_lock().ok()?;
            (running.named.clone(), running.loaded.config.named_files())
        };
        blocking(move || {
            let now = identities(files, &read);
            (read, now)
        })
        .await
        .ok()
    }

    /// Takes the running config up again because files that it names have changed and settled: only what uses them begins
    /// anew. None: they are others again by now.
    ///
    /// # Errors
    /// [`Refusal`]; the running config stays as it is, with what it had read of the files.
    pub(crate) async fn reread_named(self: &Arc<Self>, settled: Identities) -> Result<Option<Applied>, Refusal> {
        let live = self.clone();
        on_its_own(async move { live.reread_named_now(settled).await }).await
    }

    async fn reread_named_now(&self, settled: Identities) -> Result<Option<Applied>, Refusal> {
        let mut running = self.running.lock().await;
        let loaded = self.load(running.text.to_string()).await;
        let (files, before) = (running.loaded.config.named_files(), settled.clone());
        if blocking(move || identities(files, &before)).await? != settled {
            return Ok(None);
        }
        // Tried once, whatever comes of it.
        running.named.clone_from(&settled);
        let refused_file = self.shown.read().refused.clone();
        let outcome = match loaded {
            Ok((text, loaded)) => {
                tracing::info!("a file that the config names has changed");
                self.go_over(&mut running, text, loaded, Origin::File).await
            }
            Err(refusal) => Err(refusal),
        };
        match &outcome {
            // The config's file may still hold what was refused.
            Ok(_) if self.read_file().await.is_some_and(|file| file != *running.text) => {
                self.shown.write().refused = refused_file;
            }
            Ok(_) => {}
            Err(refusal) => {
                self.shown.write().refused = Some(refusal.to_string());
                refusal.tell();
            }
        }
        outcome.map(Some)
    }

    /// Goes back to the newest kept config that is another than the one in the file, and writes it there. What the file
    /// held is kept as [`History::undone_path`].
    ///
    /// # Errors
    /// [`Refusal`]: there is none before, or it cannot be taken up any more. The running config stays.
    pub async fn roll_back(self: &Arc<Self>) -> Result<Applied, Refusal> {
        let live = self.clone();
        on_its_own(async move { live.roll_back_now().await }).await
    }

    async fn roll_back_now(&self) -> Result<Applied, Refusal> {
        let mut running = self.running.lock().await;
        let undone = self.read_file().await;
        let (history, held) = (self.history.clone(), undone.clone());
        let before = blocking(move || history.before(held.as_deref())).await?;
        let (kept, text) = before.map_err(|source| self.file_refusal(source))?.ok_or(Refusal::NothingBefore)?;
        let origin = Origin::History { number: kept.number, undone };
        let applied = self.take_up(&mut running, text, origin).await?;
        tracing::info!(number = kept.number, "rolled back to the config before");
        Ok(applied)
    }

    /// What the file holds; none where it cannot be read.
    async fn read_file(&self) -> Option<String> {
        let path = self.path.clone();
        blocking(move || bulkhead_config::read_text(&path)).await.ok()?.ok()
    }

    /// Checks a text and gives it back with its config.
    async fn load(&self, text: String) -> Result<(String, Loaded), Refusal> {
        let path = self.path.clone();
        let (text, outcome) = blocking(move || {
            let outcome = bulkhead_config::parse(&text, &path, &schemas_in());
            (text, outcome)
        })
        .await?;
        let mut loaded = outcome.map_err(Refusal::Invalid)?;
        if let Some(listen) = self.listen {
            loaded.config.api.listen = listen;
        }
        Ok((text, loaded))
    }

    fn check_followers(&self, config: &Config) -> Result<(), Refusal> {
        let followers = self.followers.read().clone();
        followers.iter().try_for_each(|follower| follower.check(config)).map_err(Refusal::CannotFollow)
    }

    /// Checks a text, and if nothing is wrong with it, goes over to it and keeps it.
    async fn take_up(&self, running: &mut Running, text: String, origin: Origin) -> Result<Applied, Refusal> {
        let (text, loaded) = self.load(text).await?;
        self.go_over(running, text, loaded, origin).await
    }

    /// Goes over to a config that was loaded just now, and keeps it.
    async fn go_over(
        &self,
        running: &mut Running,
        text: String,
        loaded: Loaded,
        origin: Origin,
    ) -> Result<Applied, Refusal> {
        let files = loaded.config.named_files();
        let named = blocking(move || identities(files, &Identities::new())).await?;
        self.check_followers(&loaded.config)?;
        if !matches!(origin, Origin::File) {
            let (path, written) = (self.path.clone(), text.clone());
            blocking(move || file::replace(&path, &written)).await?.map_err(|source| self.file_refusal(source))?;
        }
        let config = Arc::new(loaded.config.clone());
        let changes = self.engine.reload(config.clone()).await.map_err(|_| Refusal::Stopping)?;
        self.followers.read().iter().for_each(|follower| follower.follow(&config));
        if text != *running.text || matches!(origin, Origin::History { .. }) {
            running.number = self.keep(&text, origin, running.number).await;
        }
        let warnings = loaded.warnings.clone();
        *running = Running { text: kept_once(text, &loaded), loaded, number: running.number, named };
        let tag = tag(&self.engine, running.number);
        *self.shown.write() = Current {
            tag: tag.clone(),
            shown: running.loaded.shown().clone(),
            needs_restart: needs_restart(&self.started_with, &config),
            refused: None,
        };
        Ok(Applied { tag, changes, warnings })
    }

    /// Keeps a config that was applied; a failure costs the rollback, not the config. Returns its number.
    async fn keep(&self, text: &str, origin: Origin, number: u64) -> u64 {
        let (history, text) = (self.history.clone(), text.to_owned());
        let kept = blocking(move || match origin {
            Origin::History { number, undone } => history.went_back_to(number, &text, undone.as_deref()),
            Origin::File | Origin::Given => history.keep(&text),
        });
        let failed = match kept.await {
            Ok(Ok(kept)) => return kept,
            Ok(Err(error)) => error.to_string(),
            Err(refusal) => refusal.to_string(),
        };
        tracing::warn!("the config could not be kept for a later rollback: {failed}");
        number + 1
    }

    fn file_refusal(&self, source: std::io::Error) -> Refusal {
        Refusal::File { path: self.path.clone(), source }
    }
}

/// Names a config: by the log, which is another when the gateway was set up anew, and by a number that is never used again.
fn tag(engine: &Engine, number: u64) -> String {
    format!("{}-{number}", engine.log().id())
}

/// Runs a change of the config on a task of its own: a client that goes away must not leave half of it behind.
async fn on_its_own<T: Send + 'static>(
    change: impl Future<Output = Result<T, Refusal>> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::spawn(change).await.unwrap_or(Err(Refusal::Stopping))
}

/// Does what waits for the disk off the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
    off_thread(work).await.ok_or(Refusal::Stopping)
}
