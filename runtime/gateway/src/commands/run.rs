//! `bulkhead run`: log, sandbox, engine and API together, until a signal ends them in order; SIGHUP has the config read
//! again.

use super::{load_text, log_config, sandbox};
use crate::cli::RunArguments;
use crate::exit::Exit;
use crate::notify::{Notifier, monotonic};
use crate::probation::{self, Folders};
use crate::{console, journal, watchdog};
use bulkhead_api::{Operations, Server, ShownCertificate, Turns};
use bulkhead_config::{Config, Loaded};
use bulkhead_engine::{Backups, Engine, LiveConfig, RecentLines, Trigger, record_health};
use bulkhead_log::Log;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

pub(crate) async fn run(arguments: &RunArguments) -> Result<(), Exit> {
    let path = &arguments.config.config;
    let (text, mut loaded) = load_text(path)?;
    if let Some(listen) = arguments.listen {
        loaded.config.api.listen = listen;
    }
    let journal = journal::start(&loaded.config)?;
    let folders = Folders::of(&loaded.config);
    folders.settle()?;
    let notifier = Notifier::from_environment();
    let stop = stop_signal()?;
    let hangup = signal(SignalKind::hangup())?;
    let file = ConfigFile { path: path.clone(), text, loaded: loaded.clone(), listen: arguments.listen };
    let offers = Offers { recent: journal.recent, file: Some(file) };
    let gateway = RunningGateway::start(loaded.config, offers).await?;
    watchdog::watch(notifier.clone(), gateway.engine.clone(), gateway.turns.clone(), &stop);
    tracing::info!(address = %gateway.address, "the gateway runs; its API is at http://{}/", gateway.address);
    tell_certificate(&gateway.certificate, &gateway.address);
    match &gateway.live {
        Some(live) => {
            live.add_follower(Arc::new(journal.levels));
            tokio::spawn(live.clone().watch_files(stop.clone()));
            tokio::spawn(probation::watch(folders, live.clone(), gateway.engine.clone(), stop.clone()));
            reload_at_hangup(live, hangup, &notifier, &stop).await;
        }
        None => stop.cancelled().await,
    }
    notifier.stopping();
    tracing::info!("stopping");
    gateway.stop().await
}

/// Says by what the certificate is told, in the journal and, where that is elsewhere, at the terminal of the start too.
fn tell_certificate(shown: &ShownCertificate, address: &SocketAddr) {
    let by_whom = if shown.is_self_signed { "its own, self-signed" } else { "that of the config" };
    let fingerprint = &shown.fingerprint;
    tracing::info!(%fingerprint, "over TLS it is https://{address}/, with {by_whom} certificate; SHA-256 {fingerprint}");
    if console::stdout_is_terminal() {
        console::say(&format!("https://{address}/ has {by_whom} certificate with the SHA-256 {fingerprint}"));
    }
}

/// Reads the config again at each SIGHUP, until it is time to stop; the service manager is told when it begins and ends.
async fn reload_at_hangup(live: &Arc<LiveConfig>, mut hangup: Signal, notifier: &Notifier, stop: &CancellationToken) {
    while let Some(()) = until_hangup(stop, &mut hangup).await {
        tracing::info!("SIGHUP: reading the config again");
        notifier.reloading(monotonic());
        // What is refused has been told in the journal.
        _ = live.reread(Trigger::Asked).await;
        notifier.ready();
    }
}

/// The next SIGHUP; none: it is time to stop.
async fn until_hangup(stop: &CancellationToken, hangup: &mut Signal) -> Option<()> {
    tokio::select! {
        () = stop.cancelled() => None,
        received = hangup.recv() => received,
    }
}

/// What the process offers to its operators beside the engine.
#[derive(Default)]
pub(crate) struct Offers {
    /// The journal's last lines.
    pub(crate) recent: RecentLines,
    /// The config as it stands in its file; none: it cannot be changed, and there are no backups.
    pub(crate) file: Option<ConfigFile>,
}

/// A config as it stands in its file.
pub(crate) struct ConfigFile {
    path: PathBuf,
    text: String,
    loaded: Loaded,
    /// Listened on instead of `api.listen`.
    listen: Option<SocketAddr>,
}

/// A gateway with all its parts.
pub(crate) struct RunningGateway {
    pub(crate) engine: Engine,
    pub(crate) address: SocketAddr,
    /// What the API shows to those who come by TLS.
    pub(crate) certificate: ShownCertificate,
    /// Turns of the API's loop.
    pub(crate) turns: Turns,
    backups: Option<Backups>,
    /// The config as it can be changed; none: it stands in no file.
    live: Option<Arc<LiveConfig>>,
    stop_health: CancellationToken,
    log: Log,
    server: tokio::task::JoinHandle<Result<(), bulkhead_api::ApiError>>,
    stop_server: CancellationToken,
}

impl RunningGateway {
    /// Opens the log, starts the engine and the API. With a file the config can be changed while it runs.
    pub(crate) async fn start(config: Config, offers: Offers) -> Result<Self, Exit> {
        let sandbox = sandbox(&config)?;
        let settings = log_config(&config);
        let log = tokio::task::spawn_blocking(move || settings.open())
            .await
            .map_err(|error| Exit::failed(format!("the log's thread ended: {error}")))??;
        let config = Arc::new(config);
        let engine = Engine::start(config.clone(), log.clone(), sandbox);
        let backups = offers.file.as_ref().map(|file| Backups::new(engine.clone(), file.path.clone()));
        let server = Server::bind(&config, engine.clone())?;
        let (address, certificate) = (server.local_addr(), server.certificate());
        // Only now: a config whose API cannot listen is none to go back to.
        let live =
            offers.file.map(|file| LiveConfig::new(&file.path, file.text, file.loaded, file.listen, engine.clone()));
        let turns = Turns::default();
        let operations =
            Operations { journal: offers.recent, backups: backups.clone(), config: live.clone(), turns: turns.clone() };
        let server = server.with_operations(operations);
        let stop_server = CancellationToken::new();
        let server = tokio::spawn(server.run(stop_server.clone()));
        let stop_health = CancellationToken::new();
        tokio::spawn(record_health(engine.clone(), stop_health.clone()));
        Ok(Self { engine, address, certificate, turns, backups, live, stop_health, log, server, stop_server })
    }

    /// Stops in order: no new requests, then routes and connections, then the log with what they handed to it.
    pub(crate) async fn stop(self) -> Result<(), Exit> {
        self.stop_server.cancel();
        self.stop_health.cancel();
        if let Some(backups) = &self.backups {
            backups.stop();
        }
        self.engine.stop().await;
        let served = self.server.await;
        let closed = self.log.close().await;
        match served {
            Ok(outcome) => outcome?,
            Err(error) => return Err(Exit::failed(format!("the API's task ended: {error}"))),
        }
        Ok(closed?)
    }
}

/// Cancelled by SIGTERM or Ctrl-C. A second signal ends the process at once.
pub(crate) fn stop_signal() -> Result<CancellationToken, Exit> {
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let cancelled = stop.clone();
    tokio::spawn(async move {
        for _ in 0..2 {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if cancelled.is_cancelled() {
                std::process::exit(130);
            }
            cancelled.cancel();
        }
    });
    Ok(stop)
}
