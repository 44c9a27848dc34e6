//! Upgrades on probation, watched by the gateway itself: whoever began one may be gone. The notes stand in the data folder;
//! each is taken up, its connections are looked at now and then, and at its end the new version stays or the previous one
//! comes back. What to make of a look is a pure policy, `bulkhead_bundle::Probation`.

use bulkhead_bundle::{BundleError, Installed, Pending, Probation, Seen, Verdict};
use bulkhead_config::Config;
use bulkhead_engine::{ConnectionStatus, Engine, LiveConfig, Trigger};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How often the notes and the connections are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Why a version goes back that was on probation while the gateway was down.
const RESTARTED: &str = "the gateway was restarted during its probation";
/// Why a version goes back whose upgrade was left half done.
const LEFT: &str = "the upgrade was interrupted";

/// The folders of a config's adapters.
#[derive(Debug, Clone)]
pub(crate) struct Folders {
    adapters: PathBuf,
    data_dir: PathBuf,
}

impl Folders {
    pub(crate) fn of(config: &Config) -> Self {
        Self { adapters: config.resolve(&config.gateway.adapters_dir), data_dir: config.data_dir() }
    }

    /// Ends what was on probation while no gateway ran. While a command is at work, it, or the watch, sees to that.
    pub(crate) fn settle(&self) -> Result<(), BundleError> {
        if Installed::pending_in(&self.data_dir)?.is_empty() {
            return Ok(());
        }
        for name in self.open()?.map_or(Ok(Vec::new()), |folder| folder.settle_interrupted(RESTARTED))? {
            tracing::warn!(adapter = %name, "its upgrade was interrupted on probation; the previous version is back");
        }
        Ok(())
    }

    /// Opens the folder for changes. None: a command is at work there.
    fn open(&self) -> Result<Option<Installed>, BundleError> {
        match Installed::open(&self.adapters, &self.data_dir) {
            Ok(folder) => Ok(Some(folder)),
            Err(BundleError::Busy { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether nobody is at work and the note still stands.
    fn is_to_be_watched(&self, note: &Pending) -> Result<bool, BundleError> {
        let folder = self.open()?;
        Ok(folder.is_some_and(|folder| folder.pending(&note.name).is_ok_and(|now| now.as_ref() == Some(note))))
    }

    /// Ends the probation of a note that still stands. False: a command is at work, or it ended otherwise.
    fn end(&self, note: &Pending, end: &End) -> Result<bool, BundleError> {
        let Some(folder) = self.open()? else { return Ok(false) };
        if folder.pending(&note.name)?.as_ref() != Some(note) {
            return Ok(false);
        }
        match end {
            End::Kept(why) => folder.keep(&note.name, why)?,
            End::Back(why) => folder.go_back(&note.name, why)?,
        }
        Ok(true)
    }
}

/// How a probation is to end, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    Kept(String),
    Back(String),
}

/// Watches upgrades until the gateway stops.
pub(crate) async fn watch(folders: Folders, live: Arc<LiveConfig>, engine: Engine, stop: CancellationToken) {
    let mut watch = Watch { folders, live, engine, watched: BTreeMap::new(), told: None };
    while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
        watch.told = match watch.look().await {
            Ok(()) => None,
            Err(error) => Some(watch.tell_once(error.to_string())),
        };
    }
}

struct Watch {
    folders: Folders,
    live: Arc<LiveConfig>,
    engine: Engine,
    /// The notes that were taken up, and since when, by the name of the adapter.
    watched: BTreeMap<String, (Pending, Instant)>,
    /// What went wrong at the last look.
    told: Option<String>,
}

impl Watch {
    async fn look(&mut self) -> Result<(), BundleError> {
        let data_dir = self.folders.data_dir.clone();
        let notes = blocking(move || Installed::pending_in(&data_dir)).await?;
        self.watched.retain(|_, (watched, _)| notes.contains(watched));
        for note in notes {
            match self.watched.get(&note.name).map(|(_, since)| *since) {
                Some(since) => {
                    if let Some(end) = self.judge(&note, since) {
                        self.end(note, end).await?;
                    }
                }
                None => self.take_up(note).await?,
            }
        }
        Ok(())
    }

    /// Has the connections begin with the new version, once its file is in place.
    async fn take_up(&mut self, note: Pending) -> Result<(), BundleError> {
        let (folders, asked) = (self.folders.clone(), note.clone());
        if !blocking(move || folders.is_to_be_watched(&asked)).await? {
            return Ok(());
        }
        if note.probation.is_none() {
            return self.end(note, End::Back(LEFT.into())).await;
        }
        tracing::info!(adapter = %note.name, version = %version(&note), "a new version is on probation");
        match self.live.reread(Trigger::Asked).await {
            Ok(_) => _ = self.watched.insert(note.name.clone(), (note, Instant::now())),
            Err(refusal) => self.end(note, End::Back(refusal.to_string())).await?,
        }
        Ok(())
    }

    fn judge(&self, note: &Pending, since: Instant) -> Option<End> {
        let connections = self.engine.connections();
        let now = connections.iter().filter(|one| one.adapter == note.name).map(|one| (one.name.clone(), seen(one)));
        judged(note.probation.as_ref()?, &now.collect(), since.elapsed())
    }

    async fn end(&mut self, note: Pending, end: End) -> Result<(), BundleError> {
        let (folders, asked, how) = (self.folders.clone(), note.clone(), end.clone());
        if !blocking(move || folders.end(&asked, &how)).await? {
            return Ok(());
        }
        self.watched.remove(&note.name);
        let version = version(&note);
        match end {
            End::Kept(why) => tracing::info!(adapter = %note.name, %version, "the new version stays: {why}"),
            End::Back(why) => {
                tracing::warn!(adapter = %note.name, %version, "the previous version is back, because {why}");
                // What is refused has been told in the journal.
                _ = self.live.reread(Trigger::Asked).await;
            }
        }
        Ok(())
    }

    /// Tells what goes wrong, but not at every look.
    fn tell_once(&self, problem: String) -> String {
        if self.told.as_ref() != Some(&problem) {
            tracing::error!("an upgrade on probation cannot be ended: {problem}; it is tried again");
        }
        problem
    }
}

fn judged(probation: &Probation, now: &BTreeMap<String, Seen>, watched: Duration) -> Option<End> {
    let is_over = watched >= Duration::from_secs(probation.seconds.into());
    match probation.verdict(now, is_over) {
        Verdict::Undecided => None,
        Verdict::Well => Some(End::Kept(format!("well for {} s", probation.seconds))),
        Verdict::Unwell(reason) => Some(End::Back(reason)),
    }
}

fn seen(connection: &ConnectionStatus) -> Seen {
    let counters = &connection.counters;
    Seen {
        state: connection.phase.name().to_owned(),
        reason: connection.phase.reason().map(str::to_owned),
        crashes: counters.traps + counters.timeouts,
        readings: counters.readings,
        readings_bad: counters.readings_bad,
    }
}

fn version(note: &Pending) -> String {
    note.new.version.as_ref().map_or_else(|| "without a manifest".to_owned(), ToString::to_string)
}

/// Does what waits for the disk off the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BundleError> + Send + 'static,
) -> Result<T, BundleError> {
    let ended = |_| BundleError::Folder { path: PathBuf::new(), cause: std::io::Error::other("its thread ended") };
    tokio::task::spawn_blocking(work).await.map_err(ended)?
}
