//! `bulkhead run`: log, sandbox, engine and API together, until a signal ends them in order.

use super::{load_config, log_config, sandbox};
use crate::cli::RunArguments;
use crate::exit::Exit;
use crate::notify::Notifier;
use crate::{journal, watchdog};
use bulkhead_api::{Operations, Server, Turns};
use bulkhead_config::Config;
use bulkhead_engine::{Backups, Engine, RecentLines, record_health};
use bulkhead_log::Log;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

pub(crate) async fn run(arguments: &RunArguments) -> Result<(), Exit> {
    let mut config = load_config(&arguments.config.config)?;
    if let Some(listen) = arguments.listen {
        config.api.listen = listen;
    }
    let journal = journal::start(&config)?;
    let notifier = Notifier::from_environment();
    let stop = stop_signal()?;
    let offers = Offers { journal, config_file: Some(arguments.config.config.clone()) };
    let gateway = RunningGateway::start(config, offers).await?;
    watchdog::watch(notifier.clone(), gateway.engine.clone(), gateway.turns.clone(), &stop);
    tracing::info!(address = %gateway.address, "the gateway runs; its API is at http://{}/", gateway.address);
    stop.cancelled().await;
    notifier.stopping();
    tracing::info!("stopping");
    gateway.stop().await
}

/// What the process offers to its operators beside the engine.
#[derive(Default)]
pub(crate) struct Offers {
    pub(crate) journal: RecentLines,
    /// The config's file, for backups; none: no backups.
    pub(crate) config_file: Option<PathBuf>,
}

/// A gateway with all its parts.
pub(crate) struct RunningGateway {
    pub(crate) engine: Engine,
    pub(crate) address: SocketAddr,
    /// Turns of the API's loop.
    pub(crate) turns: Turns,
    backups: Option<Backups>,
    stop_health: CancellationToken,
    log: Log,
    server: tokio::task::JoinHandle<Result<(), bulkhead_api::ApiError>>,
    stop_server: CancellationToken,
}

impl RunningGateway {
    /// Opens the log, starts the engine and the API.
    pub(crate) async fn start(config: Config, offers: Offers) -> Result<Self, Exit> {
        let sandbox = sandbox(&config)?;
        let settings = log_config(&config);
        let log = tokio::task::spawn_blocking(move || settings.open())
            .await
            .map_err(|error| Exit::failed(format!("the log's thread ended: {error}")))??;
        let config = Arc::new(config);
        let engine = Engine::start(config.clone(), log.clone(), sandbox);
        let backups = offers.config_file.map(|file| Backups::new(engine.clone(), file));
        let operations = Operations { journal: offers.journal, backups: backups.clone(), turns: Turns::default() };
        let turns = operations.turns.clone();
        let server = Server::bind(&config, engine.clone())?.with_operations(operations);
        let address = server.local_addr();
        let stop_server = CancellationToken::new();
        let server = tokio::spawn(server.run(stop_server.clone()));
        let stop_health = CancellationToken::new();
        tokio::spawn(record_health(engine.clone(), stop_health.clone()));
        Ok(Self { engine, address, turns, backups, stop_health, log, server, stop_server })
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
    use tokio::signal::unix::{SignalKind, signal};
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
