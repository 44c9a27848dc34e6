//! Who sends a request: what its header fields, its certificate and its address say, checked against everything that lets
//! somebody in. Guessing is slowed down here; what a known somebody may do is decided elsewhere ([`super::table`]).

use super::accounts::Accounts;
use super::identity::{Identity, Proof};
use super::live::LiveAccounts;
use super::lockout::Lockouts;
use super::password::Verifier;
use super::policy::Policy;
use super::rate::{Rates, address_of};
use super::scheme::{Said, said};
use super::sessions::{Session, Sessions, stamp};
use super::{jwt, key, random};
use crate::error::ApiError;
use crate::peer::Peer;
use crate::problem::Problem;
use axum::http::{HeaderMap, StatusCode};
use bulkhead_config::ApiRole;
use bulkhead_engine::SystemClock;
use bulkhead_sandbox::capability::Clock;
use parking_lot::{Mutex, RwLock};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use subtle::ConstantTimeEq;

/// How long a password that was right is not computed again.
pub(crate) const SEEN_FOR: Duration = Duration::from_secs(300);
/// Why a credential is refused that fits nobody.
const NOT_KNOWN: &str = "this credential is not known here";
/// Credentials remembered so.
pub(crate) const SEEN_MAX: usize = 1_024;

/// The policy of a running server, which follows the config.
#[derive(Clone, Default)]
pub(crate) struct LivePolicy(Arc<RwLock<Arc<Policy>>>);

impl LivePolicy {
    pub(crate) fn new(policy: Policy) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(policy))))
    }

    /// That of this moment.
    pub(crate) fn now(&self) -> Arc<Policy> {
        self.0.read().clone()
    }

    pub(crate) fn set(&self, policy: Policy) {
        *self.0.write() = Arc::new(policy);
    }
}

/// Everything that lets somebody in.
pub(crate) struct Door {
    pub(crate) policy: LivePolicy,
    pub(crate) accounts: Arc<LiveAccounts>,
    pub(crate) sessions: Sessions,
    pub(crate) clock: SystemClock,
    /// The address listened on.
    pub(crate) listen: SocketAddr,
    /// The command line's key, while this gateway runs.
    pub(crate) command_key: Option<String>,
    pub(crate) rates: Rates,
    lockouts: Lockouts,
    verifier: Verifier,
    seen: Mutex<HashMap<[u8; 32], Seen>>,
    /// Goes into the digests of what was seen, so that those of a memory dump cannot be looked up.
    pepper: [u8; 32],
}

/// A credential that was right a moment ago.
struct Seen {
    until_ns: u64,
    /// What was kept of the user's password then.
    kept: Option<String>,
}

/// Somebody who is known.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) identity: Identity,
    /// The session they are in.
    pub(crate) session: Option<Session>,
}

impl From<Identity> for Arrival {
    fn from(identity: Identity) -> Self {
        Self { identity, session: None }
    }
}

/// Somebody who is not, and the name they gave, if any.
#[derive(Debug)]
pub(crate) struct Stranger {
    pub(crate) problem: Box<Problem>,
    pub(crate) name: Option<String>,
}

impl Stranger {
    fn nameless(problem: Problem) -> Self {
        Self { problem: Box::new(problem), name: None }
    }
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
}

impl Door {
    pub(crate) fn new(
        policy: LivePolicy,
        accounts: LiveAccounts,
        listen: SocketAddr,
        command_key: Option<String>,
    ) -> Result<Self, ApiError> {
        Ok(Self {
            policy,
            accounts: Arc::new(accounts),
            sessions: Sessions::default(),
            clock: SystemClock::default(),
            listen,
            command_key,
            rates: Rates::default(),
            lockouts: Lockouts::default(),
            verifier: Verifier::default(),
            seen: Mutex::default(),
            pepper: random::bytes()?,
        })
    }

    /// Whether nobody is known here at all, so that whoever is on this machine is let in.
    pub(crate) fn is_open(&self) -> bool {
        self.policy.now().is_empty() && self.accounts.known().is_empty()
    }

    /// Whether anybody is an admin.
    pub(crate) fn has_admin(&self) -> bool {
        self.policy.now().has_admin() || self.accounts.known().has_admin()
    }

    /// Whether somebody here has this name, or a key this beginning.
    pub(crate) fn knows(&self, name: &str) -> bool {
        let accounts = self.accounts.known();
        let is_key = |id: &str| accounts.keys.iter().any(|key| key.id == id);
        accounts.user(name).is_some()
            || self.policy.now().of_user(name).is_some()
            || name.strip_prefix(key::PREFIX).is_some_and(is_key)
            || accounts.keys.iter().any(|key| key.name == name)
            || self.policy.now().names(name)
    }

    /// Who sends a request.
    pub(crate) async fn identify(&self, headers: &HeaderMap, peer: &Peer) -> Result<Arrival, Stranger> {
        let now_ns = self.clock.monotonic_ns();
        self.accounts.current(now_ns).await;
        match said(headers, peer.channel.tls) {
            Said::Bearer(token) if self.is_command_key(&token, peer) => {
                Ok(Identity::new(Proof::CommandLine, "command-line", ApiRole::Admin).into())
            }
            _ if self.is_open() => self.everybody(peer),
            Said::Nothing => self.by_certificate(peer).ok_or_else(|| {
                let detail = "say who you are: with a key or token (Bearer), with user name and password (Basic), with a \
                              client certificate, or log in";
                Stranger::nameless(unauthorized(detail))
            }),
            Said::NotUnderstood => {
                Err(Stranger::nameless(unauthorized("the Authorization header is neither Bearer nor Basic")))
            }
            Said::Cookie(cookie) => self.by_session(&cookie, now_ns).or_else(|| self.by_certificate(peer)).ok_or_else(|| {
                Stranger::nameless(unauthorized("the session has ended: log in again"))
            }),
            Said::Bearer(token) => self.by_bearer(&token, peer).await.map(Arrival::from),
            Said::Basic { user, password } => {
                self.by_password(&user, password, peer).await.map(|(identity, _)| identity.into())
            }
        }
    }

    /// Begins a session: what the browser is to hold, and the session.
    pub(crate) async fn log_in(
        &self,
        user: &str,
        password: String,
        peer: &Peer,
    ) -> Result<(String, Arrival), Stranger> {
        self.accounts.current(self.clock.monotonic_ns()).await;
        let (identity, kept) = self.by_password(user, password, peer).await?;
        let lengths = self.policy.now().session_lengths();
        let (token, session) = self
            .sessions
            .begin(user, stamp(&kept), self.clock.monotonic_ns(), lengths)
            .map_err(|error| Stranger::nameless(Problem::internal(error.to_string())))?;
        let identity = Identity { proof: Proof::Session, ..identity };
        Ok((token, Arrival { identity, session: Some(session) }))
    }

    /// Without any credential: who is on this machine, on a gateway that listens there only.
    fn everybody(&self, peer: &Peer) -> Result<Arrival, Stranger> {
        if self.listen.ip().to_canonical().is_loopback() && peer.channel.local {
            return Ok(Identity::new(Proof::Nothing, "local", ApiRole::Operator).into());
        }
        let detail = "nobody is known here: make the first user with `bulkhead user add` on the gateway";
        Err(Stranger::nameless(unauthorized(detail)))
    }

    fn is_command_key(&self, token: &str, peer: &Peer) -> bool {
        let key = self.command_key.as_deref().filter(|_| peer.channel.local);
        key.is_some_and(|key| bool::from(key.as_bytes().ct_eq(token.as_bytes())))
    }

    fn by_certificate(&self, peer: &Peer) -> Option<Arrival> {
        self.policy.now().of_certificate(peer.certificate.as_deref()?).map(Arrival::from)
    }

    fn by_session(&self, cookie: &str, now_ns: u64) -> Option<Arrival> {
        let policy = self.policy.now();
        let session = self.sessions.find(cookie, now_ns, policy.session_lengths())?;
        let of_accounts = self
            .accounts
            .known()
            .user(&session.user)
            .map(|user| (Identity::new(Proof::Session, &user.name, user.role), user.password.clone()));
        let (identity, kept) = of_accounts.or_else(|| policy.of_user(&session.user))?;
        if stamp(&kept) != session.stamp {
            self.sessions.end(cookie);
            return None;
        }
        Some(Arrival { identity, session: Some(session) })
    }

    /// A token. Keys and tokens of an issuer cannot be guessed: a right one is taken whatever else its address has failed at.
    async fn by_bearer(&self, token: &str, peer: &Peer) -> Result<Identity, Stranger> {
        let digest = self.digest("bearer", token);
        let policy = self.policy.now();
        let issuer = policy.issuer.as_ref().filter(|_| jwt::looks_like_one(token));
        let id = key::id_of(token);
        if id.is_none() && issuer.is_none() && !self.was_seen(&digest) {
            self.not_locked_out(None, peer)?;
        }
        if let Some(identity) = policy.of_token(token) {
            if !peer.channel.is_private() {
                tracing::debug!(credential = %identity.name, "a token of the config came without TLS");
            }
            self.remember(digest, None);
            return Ok(identity);
        }
        private(peer, "keys and tokens")?;
        let found = match (id, issuer) {
            (Some(id), _) => self.by_key(id, token).await,
            (None, Some(issuer)) => issuer.holder(token, self.seconds()),
            (None, None) => Err(NOT_KNOWN),
        };
        found.map_err(|reason| {
            let name = id.map(|id| format!("{}{id}", key::PREFIX));
            match self.not_locked_out(None, peer) {
                Err(waiting) => Stranger { name, ..waiting },
                Ok(()) => {
                    self.lockouts.failed(None, &address_of(peer.client()), self.clock.monotonic_ns());
                    Stranger { problem: Box::new(unauthorized(reason)), name }
                }
            }
        })
    }

    async fn by_key(&self, id: &str, token: &str) -> Result<Identity, &'static str> {
        let mut accounts = self.accounts.known();
        if !accounts.keys.iter().any(|key| key.id == id) {
            // It may have been made a moment ago.
            self.accounts.look(self.clock.monotonic_ns()).await;
            accounts = self.accounts.known();
        }
        let given = key::digest(token);
        let found = accounts.keys.iter().find(|key| key.id == id);
        let found = found.filter(|key| bool::from(key.digest.as_bytes().ct_eq(given.as_bytes())));
        let key = found.ok_or(NOT_KNOWN)?;
        if key.expires_ns.is_some_and(|end_ns| self.clock.now().0 >= end_ns) {
            return Err("this key has ended: have a new one made");
        }
        let connections = key.connections.clone().map(Arc::new);
        Ok(Identity { connections, ..Identity::new(Proof::Key, &key.name, key.role) })
    }

    /// Whose password it is, and what is kept of it.
    async fn by_password(&self, user: &str, password: String, peer: &Peer) -> Result<(Identity, String), Stranger> {
        private(peer, "passwords")?;
        let digest = self.digest(user, &password);
        if !self.was_seen(&digest) {
            self.not_locked_out(Some(user), peer)?;
        }
        let mut accounts = self.accounts.known();
        if accounts.user(user).is_none() {
            self.accounts.look(self.clock.monotonic_ns()).await;
            accounts = self.accounts.known();
        }
        if let Some(found) = self.seen_before(&accounts, user, &password) {
            return Ok(found);
        }
        // One at a time: whoever waits for this turn is told what the guesses before have come to.
        let turn = self.verifier.turn().await.map_err(|_| {
            let detail = "too many passwords are being checked; try again in a moment";
            Stranger::nameless(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after(None))
        })?;
        if let Some(found) = self.seen_before(&accounts, user, &password) {
            return Ok(found);
        }
        self.not_locked_out(Some(user), peer)?;
        let address = address_of(peer.client());
        let known = of_accounts(&accounts, user);
        let found = match self.of_config(user, &password) {
            Some((identity, kept)) => Some((identity, kept, None)),
            None => {
                let is_right = turn.verify(password, known.as_ref().map(|(_, kept)| kept.clone())).await;
                known.filter(|_| is_right).map(|(identity, kept)| (identity, kept.clone(), Some(kept)))
            }
        };
        let now_ns = self.clock.monotonic_ns();
        let outcome = match found {
            Some((identity, kept, of_account)) => {
                self.remember(digest, of_account);
                self.lockouts.proved(user, &address, now_ns);
                Ok((identity, kept))
            }
            None => {
                self.lockouts.failed(Some(user), &address, now_ns);
                Err(Stranger { problem: Box::new(unauthorized(NOT_KNOWN)), name: Some(user.to_owned()) })
            }
        };
        drop(turn);
        outcome
    }

    /// The same, where the password was right a moment ago and has not changed.
    fn seen_before(&self, accounts: &Accounts, user: &str, password: &str) -> Option<(Identity, String)> {
        let digest = self.digest(user, password);
        let seen = self.seen.lock().get(&digest).filter(|seen| self.is_fresh(seen))?.kept.clone();
        match seen {
            Some(seen) => of_accounts(accounts, user).filter(|(_, kept)| *kept == seen),
            None => self.of_config(user, password),
        }
    }

    fn of_config(&self, user: &str, password: &str) -> Option<(Identity, String)> {
        let policy = self.policy.now();
        let identity = policy.of_password(user, password)?;
        Some((identity, policy.of_user(user).map(|(_, kept)| kept).unwrap_or_default()))
    }

    /// Remembers a credential that was right.
    fn remember(&self, digest: [u8; 32], kept: Option<String>) {
        let now_ns = self.clock.monotonic_ns();
        let until_ns = now_ns.saturating_add(u64::try_from(SEEN_FOR.as_nanos()).unwrap_or(u64::MAX));
        let mut seen = self.seen.lock();
        if seen.len() >= SEEN_MAX && !seen.contains_key(&digest) {
            seen.retain(|_, entry| entry.until_ns > now_ns);
            let oldest = seen.iter().min_by_key(|(_, entry)| entry.until_ns).map(|(digest, _)| *digest);
            if let Some(oldest) = oldest.filter(|_| seen.len() >= SEEN_MAX) {
                seen.remove(&oldest);
            }
        }
        seen.insert(digest, Seen { until_ns, kept });
    }

    fn was_seen(&self, digest: &[u8; 32]) -> bool {
        self.seen.lock().get(digest).is_some_and(|seen| self.is_fresh(seen))
    }

    fn is_fresh(&self, seen: &Seen) -> bool {
        seen.until_ns > self.clock.monotonic_ns()
    }

    fn digest(&self, kind: &str, secret: &str) -> [u8; 32] {
        let hash = Sha256::new()
            .chain_update(self.pepper)
            .chain_update(kind.len().to_le_bytes())
            .chain_update(kind)
            .chain_update(secret);
        hash.finalize().into()
    }

    /// Whether an address may try a credential now, of a user if it is one's password.
    fn not_locked_out(&self, user: Option<&str>, peer: &Peer) -> Result<(), Stranger> {
        let wait = self.lockouts.wait(user, &address_of(peer.client()), self.clock.monotonic_ns());
        let Some(wait) = wait else { return Ok(()) };
        Err(Stranger { problem: Box::new(locked_out(wait)), name: user.map(str::to_owned) })
    }

    /// The time in seconds since 1970.
    #[expect(clippy::cast_precision_loss, reason = "a second's fraction of a token's end does not matter")]
    pub(crate) fn seconds(&self) -> f64 {
        self.clock.now().0 as f64 / 1e9
    }
}

/// What the accounts say about a user who gave a password, and what is kept of it.
fn of_accounts(accounts: &Accounts, user: &str) -> Option<(Identity, String)> {
    let user = accounts.user(user)?;
    Some((Identity::new(Proof::Password, &user.name, user.role), user.password.clone()))
}

/// An answer to somebody who failed too often.
fn locked_out(wait: Duration) -> Problem {
    let detail = "too many failures from this address or of this name; wait before you try again";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "locked-out", detail).retry_after(Some(wait))
}

/// Secrets are taken only where nobody on the way can read along.
fn private(peer: &Peer, what: &str) -> Result<(), Stranger> {
    if peer.channel.is_private() {
        return Ok(());
    }
    let detail =
        format!("{what} are taken over TLS only, unless they come from this machine: use https:// at the same port");
    Err(Stranger::nameless(Problem::new(StatusCode::FORBIDDEN, "needs-tls", detail)))
}

#[cfg(test)]
#[path = "door_tests.rs"]
mod tests;
