//! The listener: accepts clients within bounds, serves each, and drains them at the end.

use crate::app::App;
use crate::credential::{FollowCredentials, LiveCredentials, ServerConfig};
use crate::error::ApiError;
use crate::limits::{CLIENTS_MAX, DRAIN_MAX, HEAD_MAX, HEAD_MAX_BYTES, HEADERS_MAX, TURN};
use crate::odata::PeerAddress;
use crate::operations::{Operations, Turns};
use crate::paths::router;
use axum::Router;
use bulkhead_config::Config;
use bulkhead_engine::Engine;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Pause after a failed `accept`: out of file descriptors, mostly, which another client's end will cure.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The API's server, listening but not yet serving.
pub struct Server {
    listener: TcpListener,
    local_addr: SocketAddr,
    config: ServerConfig,
    engine: Engine,
    operations: Operations,
}

impl Server {
    /// Listens where the config says. Reads the files its secrets are in. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`ApiError::Unprotected`] for an address that others can reach without a credential being configured,
    /// [`ApiError::Credential`], [`ApiError::Listen`].
    pub fn bind(config: &Config, engine: Engine) -> Result<Self, ApiError> {
        Self::listen(ServerConfig::from_config(config)?, engine)
    }

    /// As [`Server::bind`], with settings of one's own.
    ///
    /// # Errors
    /// [`ApiError::Unprotected`], [`ApiError::Listen`].
    pub fn listen(config: ServerConfig, engine: Engine) -> Result<Self, ApiError> {
        config.check()?;
        let failed = |source| ApiError::Listen { listen: config.listen, source };
        let listener = std::net::TcpListener::bind(config.listen).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = TcpListener::from_std(listener).map_err(failed)?;
        let local_addr = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, local_addr, config, engine, operations: Operations::default() })
    }

    /// The same with what the process around the engine offers to its operators.
    #[must_use]
    pub fn with_operations(self, operations: Operations) -> Self {
        Self { operations, ..self }
    }

    /// The address it listens on, with the port the system gave.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until `shutdown`, then ends event streams and lets the other requests finish for at most two seconds.
    ///
    /// # Errors
    /// None today; kept for what a listener may meet.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), ApiError> {
        let (turns, live) = (self.operations.turns.clone(), self.operations.config.clone());
        let credentials = LiveCredentials::new(self.config.credentials);
        if let Some(live) = live {
            let follower = FollowCredentials { credentials: credentials.clone(), listen: self.local_addr };
            live.add_follower(Arc::new(follower));
        }
        let app = App::new(self.engine, credentials, self.local_addr, shutdown.clone(), self.operations);
        let router = router(Arc::new(app));
        let clients = TaskTracker::new();
        let cut = CancellationToken::new();
        let places = Arc::new(Semaphore::new(CLIENTS_MAX));
        while let Some(stream) = next_client(&self.listener, &places, &shutdown, &turns).await {
            let (stream, place) = stream;
            let (router, shutdown, cut) = (router.clone(), shutdown.clone(), cut.clone());
            clients.spawn(async move {
                tokio::select! {
                    () = serve(stream, router, shutdown) => {}
                    () = cut.cancelled() => {}
                }
                drop(place);
            });
        }
        drop(self.listener);
        clients.close();
        if tokio::time::timeout(DRAIN_MAX, clients.wait()).await.is_err() {
            tracing::warn!(clients = clients.len(), "requests were cut off because they did not end in time");
            cut.cancel();
            clients.wait().await;
        }
        Ok(())
    }
}

type Place = tokio::sync::OwnedSemaphorePermit;

/// The next client, once there is a place for it; none when it is time to stop.
async fn next_client(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    shutdown: &CancellationToken,
    turns: &Turns,
) -> Option<(TcpStream, Place)> {
    let next = async {
        let place = Arc::clone(places).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return Some((stream, place)),
                Err(error) => {
                    tracing::warn!("the API could not take a client: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    let mut next = std::pin::pin!(next);
    let mut turn = tokio::time::interval(TURN);
    loop {
        turns.count();
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return None,
            client = next.as_mut() => return client,
            _ = turn.tick() => {}
        }
    }
}

/// Serves one client until it leaves, or until its request on the way is answered when it is time to stop.
async fn serve(stream: TcpStream, router: Router, shutdown: CancellationToken) {
    // Events are small and must not wait for each other.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!("a client's socket refuses TCP_NODELAY: {error}");
    }
    let router = match stream.peer_addr() {
        Ok(address) => router.layer(axum::Extension(PeerAddress(address))),
        Err(_) => router,
    };
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_MAX_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("a client went away: {error}");
    }
}
