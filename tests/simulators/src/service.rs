//! The life of a listening simulator: one accept loop, one task a connection, all ended by one token.

use crate::SimulatorError;
use parking_lot::Mutex;
use std::{future::Future, net::SocketAddr, sync::Arc};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Where simulators listen when no address is given: loopback, any free port.
pub(crate) const ANY_LOOPBACK_PORT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// Tasks that end when this is dropped, or when `stop` is awaited, which waits until they are gone.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    cancel: CancellationToken,
    tracker: TaskTracker,
}

impl Tasks {
    /// Runs a future until it ends or the tasks are stopped.
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        spawn_until(&self.tracker, self.cancel.clone(), future);
    }

    /// A token that is cancelled when the tasks are stopped.
    pub(crate) fn child_token(&self) -> CancellationToken {
        self.cancel.child_token()
    }

    /// What knows which tasks live: `stop` also waits for its tokens.
    pub(crate) fn tracker(&self) -> TaskTracker {
        self.tracker.clone()
    }

    /// Ends the tasks and waits until they are gone.
    pub(crate) async fn stop(&self) {
        self.cancel.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

fn spawn_until(tracker: &TaskTracker, cancel: CancellationToken, future: impl Future<Output = ()> + Send + 'static) {
    tracker.spawn(async move {
        cancel.run_until_cancelled_owned(future).await;
    });
}

/// Listens on an address.
pub(crate) async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), SimulatorError> {
    let failed = |source| SimulatorError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// A listening TCP simulator.
#[derive(Debug)]
pub(crate) struct TcpService {
    address: SocketAddr,
    tasks: Tasks,
    connections: Arc<Mutex<CancellationToken>>,
}

impl TcpService {
    /// Listens, and runs `serve` for each connection until it returns or the service is stopped.
    pub(crate) async fn start<F, Fut>(address: SocketAddr, serve: F) -> Result<Self, SimulatorError>
    where
        F: Fn(TcpStream) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let (listener, address) = bind(address).await?;
        let tasks = Tasks::default();
        let connections = Arc::new(Mutex::new(tasks.child_token()));
        let (tracker, current) = (tasks.tracker(), connections.clone());
        tasks.spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        // Small answers must not wait for an acknowledgement; a socket that refuses the option still works.
                        let _ = stream.set_nodelay(true);
                        let cancel = current.lock().clone();
                        spawn_until(&tracker, cancel, serve(stream));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "simulator could not accept a connection");
                        tokio::task::yield_now().await;
                    }
                }
            }
        });
        Ok(Self { address, tasks, connections })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes all connections; new ones are accepted.
    pub(crate) fn disconnect_all(&self) {
        let fresh = self.tasks.child_token();
        std::mem::replace(&mut *self.connections.lock(), fresh).cancel();
    }

    /// Closes the listening socket and all connections.
    pub(crate) async fn stop(&self) {
        self.tasks.stop().await;
    }
}
