//! The listener: accepts clients within bounds, serves each, and drains them at the end.

use crate::access::door::{Door, LivePolicy};
use crate::access::live::LiveAccounts;
use crate::access::policy::Policy;
use crate::access::store::AccountStore;
use crate::app::App;
use crate::audit::{AuditLog, AuditRecord, Recorder};
use crate::command_key;
use crate::error::ApiError;
use crate::limits::{CLIENTS_MAX, DRAIN_MAX, TURN};
use crate::operations::{Operations, Turns};
use crate::paths::router;
use crate::places::{AddressPlace, AddressPlaces};
use crate::request_id::Requests;
use crate::serving::{Serving, serve};
use crate::tls::{LiveTls, ShownCertificate, Tls};
use bulkhead_config::Config;
use bulkhead_engine::{Engine, Follower, SystemClock};
use bulkhead_sandbox::capability::Clock;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Pause after a failed `accept`: out of file descriptors, mostly, which another client's end will cure.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the server needs of a config.
#[derive(Clone)]
pub struct ServerConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Who may use it by the config.
    policy: Policy,
    /// Where users and keys are.
    store: AccountStore,
}

impl ServerConfig {
    /// Takes the API's section of a config and resolves its secrets. Reads the files that secrets name, and that of users and
    /// keys.
    ///
    /// # Errors
    /// [`ApiError::Credential`] for a secret that is missing or empty, [`ApiError::AccountsFile`],
    /// [`ApiError::Unprotected`].
    pub fn from_config(config: &Config) -> Result<Self, ApiError> {
        let taken = Self { listen: config.api.listen, policy: Policy::of(config)?, store: AccountStore::of(config) };
        taken.check().map(|()| taken)
    }

    /// Whether it may listen where it wants to.
    fn check(&self) -> Result<(), ApiError> {
        let is_loopback = self.listen.ip().to_canonical().is_loopback();
        if !is_loopback && self.policy.is_empty() && self.store.read()?.is_empty() {
            return Err(ApiError::Unprotected { listen: self.listen });
        }
        Ok(())
    }
}

/// The API's server, listening but not yet serving.
pub struct Server {
    listener: TcpListener,
    local_addr: SocketAddr,
    policy: LivePolicy,
    accounts: LiveAccounts,
    tls: LiveTls,
    command_key: Option<command_key::CommandKey>,
    audit_log: AuditLog,
    engine: Engine,
    operations: Operations,
}

impl Server {
    /// Listens where the config says. Reads the files its secrets, certificates, users and keys are in; makes a certificate
    /// in the data folder where the config names none. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`ApiError::Unprotected`] for an address that others can reach while nobody is known, [`ApiError::Credential`],
    /// [`ApiError::AccountsFile`], [`ApiError::File`], [`ApiError::Listen`].
    pub fn bind(config: &Config, engine: Engine) -> Result<Self, ApiError> {
        let taken = ServerConfig::from_config(config)?;
        let failed = |source| ApiError::Listen { listen: taken.listen, source };
        let listener = std::net::TcpListener::bind(taken.listen).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = TcpListener::from_std(listener).map_err(failed)?;
        let local_addr = listener.local_addr().map_err(failed)?;
        let tls = LiveTls::new(Tls::of(config)?);
        let accounts = LiveAccounts::open(taken.store)?;
        // Only now: another gateway that runs on this data folder has its key there.
        let command_key = command_key::CommandKey::leave(config);
        let policy = LivePolicy::new(taken.policy);
        let (audit_log, operations) = (AuditLog::in_folder(&config.data_dir()), Operations::default());
        Ok(Self { listener, local_addr, policy, accounts, tls, command_key, audit_log, engine, operations })
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

    /// The certificate that it shows to those who come by TLS.
    #[must_use]
    pub fn certificate(&self) -> ShownCertificate {
        self.tls.shown()
    }

    /// Serves until `shutdown`, then ends event streams and lets the other requests finish for at most two seconds.
    ///
    /// # Errors
    /// [`ApiError::Random`] where the operating system gives no random numbers.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), ApiError> {
        let (turns, live) = (self.operations.turns.clone(), self.operations.config.clone());
        let (recorder, recording) = Recorder::start(self.audit_log.clone());
        let recorder = Arc::new(recorder);
        if let Some(live) = live {
            let (policy, tls, listen) = (self.policy.clone(), self.tls.clone(), self.local_addr);
            live.add_follower(Arc::new(Following { policy, tls, listen, recorder: Arc::downgrade(&recorder) }));
        }
        let key = self.command_key.as_ref().map(|key| key.text().to_owned());
        let door = Door::new(self.policy.clone(), self.accounts, self.local_addr, key)?;
        let guarded = (door, Requests::new()?);
        let app =
            Arc::new(App::new(self.engine, guarded, (recorder, self.audit_log), shutdown.clone(), self.operations));
        let clients = TaskTracker::new();
        let cut = CancellationToken::new();
        let serving = Arc::new(Serving {
            router: router(app),
            tls: self.tls,
            shutdown: shutdown.clone(),
            cut: cut.clone(),
            tasks: clients.clone(),
        });
        let mut doorway = Doorway {
            listener: &self.listener,
            places: Arc::new(Semaphore::new(CLIENTS_MAX)),
            addresses: AddressPlaces::default(),
            policy: self.policy,
        };
        while let Some((stream, address, place)) = doorway.next(&shutdown, &turns).await {
            let (serving, cut) = (serving.clone(), cut.clone());
            clients.spawn(async move {
                tokio::select! {
                    () = serve(stream, address, &serving) => {}
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
        // With the last request goes the last who records; what waits is written.
        drop(serving);
        if tokio::time::timeout(DRAIN_MAX, recording).await.is_err() {
            tracing::warn!("the audit log did not take its last records in time");
        }
        Ok(())
    }
}

/// Has a running server go by the API's section of the config.
struct Following {
    policy: LivePolicy,
    tls: LiveTls,
    /// Where it listens, whatever the config says by now.
    listen: SocketAddr,
    recorder: Weak<Recorder>,
}

impl Following {
    /// What the config asks for, at the address that is listened on.
    fn wanted(&self, config: &Config) -> Result<(Policy, Tls), ApiError> {
        let mut here = config.clone();
        here.api.listen = self.listen;
        Ok((ServerConfig::from_config(&here)?.policy, Tls::of(config)?))
    }
}

impl Follower for Following {
    fn check(&self, config: &Config) -> Result<(), String> {
        self.wanted(config).map(drop).map_err(|error| error.to_string())
    }

    fn follow(&self, config: &Config) {
        match self.wanted(config) {
            Ok((policy, tls)) => {
                self.policy.set(policy);
                self.tls.set(tls);
                if let Some(recorder) = self.recorder.upgrade() {
                    recorder.note(AuditRecord::of_gateway(SystemClock::default().now().0, "config taken up"));
                }
            }
            // A secret's file that vanished since the check: whoever was let in before still is.
            Err(error) => tracing::error!("the API's credentials stay as they were: {error}"),
        }
    }
}

/// A client's place among all and among those of its address.
type Place = (OwnedSemaphorePermit, AddressPlace);

/// Where clients come in.
struct Doorway<'l> {
    listener: &'l TcpListener,
    places: Arc<Semaphore>,
    addresses: AddressPlaces,
    policy: LivePolicy,
}

impl Doorway<'_> {
    /// The next client, once there is a place for it; none when it is time to stop.
    async fn next(&mut self, shutdown: &CancellationToken, turns: &Turns) -> Option<(TcpStream, SocketAddr, Place)> {
        let mut next = std::pin::pin!(self.accept());
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

    async fn accept(&self) -> Option<(TcpStream, SocketAddr, Place)> {
        let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    let most = self.policy.now().limits.address_connections_max;
                    if let Some(of_address) = self.addresses.take(address.ip(), most) {
                        return Some((stream, address, (place, of_address)));
                    }
                    tracing::debug!(%address, "has as many connections open as one address may");
                }
                Err(error) => {
                    tracing::warn!("the API could not take a client: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}
