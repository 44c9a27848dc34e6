//! `bulkhead run`: log, sandbox, engine and API together, until a signal ends them in order; SIGHUP has the config read
//! again.

use super::{load_text, log_config, sandbox};
use crate::cli::RunArguments;
use crate::exit::Exit;
use crate::journal;
use bulkhead_api::Server;
use bulkhead_config::{Config, Loaded};
use bulkhead_engine::{Engine, LiveConfig, Trigger};
use bulkhead_log::Log;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

pub(crate) async fn run(arguments: &RunArguments) -> Result<(), Exit> {
    let path = &arguments.config.config;
    let (text, mut loaded) = load_text(path)?;
    if let Some(listen) = arguments.listen {
        loaded.config.api.listen = listen;
    }
    let levels = journal::start(&loaded.config)?;
    let stop = stop_signal()?;
    let mut reload = signal(SignalKind::hangup())?;
    let file = ConfigFile { path, text, loaded: loaded.clone(), listen: arguments.listen };
    let gateway = RunningGateway::start(loaded.config, Some(file)).await?;
    tracing::info!(address = %gateway.address, "the gateway runs; its API is at http://{}/", gateway.address);
    if let Some(live) = &gateway.live {
        live.add_follower(Arc::new(levels));
        tokio::spawn(live.clone().watch_file(stop.clone()));
    }
    while let Some(()) = until_hangup(&stop, &mut reload).await {
        if let Some(live) = &gateway.live {
            tracing::info!("SIGHUP: reading the config again");
            // What is refused has been told in the journal.
            _ = live.reread(Trigger::Asked).await;
        }
    }
    tracing::info!("stopping");
    gateway.stop().await
}

/// The next SIGHUP; none: it is time to stop.
async fn until_hangup(stop: &CancellationToken, hangup: &mut Signal) -> Option<()> {
    tokio::select! {
        () = stop.cancelled() => None,
        received = hangup.recv() => received,
    }
}

/// A config as it stands in its file.
pub(crate) struct ConfigFile<'p> {
    path: &'p Path,
    text: String,
    loaded: Loaded,
    /// Listened on instead of `api.listen`.
    listen: Option<SocketAddr>,
}

/// A gateway with all its parts.
pub(crate) struct RunningGateway {
    pub(crate) engine: Engine,
    pub(crate) address: SocketAddr,
    /// The config as it can be changed; none: it stands in no file.
    live: Option<Arc<LiveConfig>>,
    log: Log,
    server: tokio::task::JoinHandle<Result<(), bulkhead_api::ApiError>>,
    stop_server: CancellationToken,
}

impl RunningGateway {
    /// Opens the log, starts the engine and the API. With a file the config can be changed while it runs.
    pub(crate) async fn start(config: Config, file: Option<ConfigFile<'_>>) -> Result<Self, Exit> {
        let sandbox = sandbox(&config)?;
        let settings = log_config(&config);
        let log = tokio::task::spawn_blocking(move || settings.open())
            .await
            .map_err(|error| Exit::failed(format!("the log's thread ended: {error}")))??;
        let config = Arc::new(config);
        let engine = Engine::start(config.clone(), log.clone(), sandbox);
        let mut server = Server::bind(&config, engine.clone())?;
        let address = server.local_addr();
        // Only now: a config whose API cannot listen is none to go back to.
        let live = file.map(|file| LiveConfig::new(file.path, file.text, file.loaded, file.listen, engine.clone()));
        if let Some(live) = &live {
            server = server.with_config(live.clone());
        }
        let stop_server = CancellationToken::new();
        let server = tokio::spawn(server.run(stop_server.clone()));
        Ok(Self { engine, address, live, log, server, stop_server })
    }

    /// Stops in order: no new requests, then routes and connections, then the log with what they handed to it.
    pub(crate) async fn stop(self) -> Result<(), Exit> {
        self.stop_server.cancel();
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
