//! `bulkhead run`: log, sandbox, engine and API together, until a signal ends them in order.

use super::{load_config, log_config, sandbox};
use crate::cli::RunArguments;
use crate::exit::Exit;
use crate::journal;
use bulkhead_api::Server;
use bulkhead_config::Config;
use bulkhead_engine::Engine;
use bulkhead_log::Log;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

pub(crate) async fn run(arguments: &RunArguments) -> Result<(), Exit> {
    let mut config = load_config(&arguments.config.config)?;
    if let Some(listen) = arguments.listen {
        config.api.listen = listen;
    }
    journal::start(&config)?;
    let stop = stop_signal()?;
    let gateway = RunningGateway::start(config).await?;
    tracing::info!(address = %gateway.address, "the gateway runs; its API is at http://{}/", gateway.address);
    stop.cancelled().await;
    tracing::info!("stopping");
    gateway.stop().await
}

/// A gateway with all its parts.
pub(crate) struct RunningGateway {
    pub(crate) engine: Engine,
    pub(crate) address: SocketAddr,
    log: Log,
    server: tokio::task::JoinHandle<Result<(), bulkhead_api::ApiError>>,
    stop_server: CancellationToken,
}

impl RunningGateway {
    /// Opens the log, starts the engine and the API.
    pub(crate) async fn start(config: Config) -> Result<Self, Exit> {
        let sandbox = sandbox(&config)?;
        let settings = log_config(&config);
        let log = tokio::task::spawn_blocking(move || settings.open())
            .await
            .map_err(|error| Exit::failed(format!("the log's thread ended: {error}")))??;
        let config = Arc::new(config);
        let engine = Engine::start(config.clone(), log.clone(), sandbox);
        let server = Server::bind(&config, engine.clone())?;
        let address = server.local_addr();
        let stop_server = CancellationToken::new();
        let server = tokio::spawn(server.run(stop_server.clone()));
        Ok(Self { engine, address, log, server, stop_server })
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
