//! One connection at work: its actors, its pumps, and the handle through which the rest of the engine reaches it.

mod actor;
mod commits;
mod frames;
mod held;
mod polling;
mod pump;

use crate::assembly::{NamedLink, Parts, Stores, Surroundings, assemble};
use crate::error::EngineError;
use crate::journal::ConnectionJournal;
use crate::letter_counts::LetterCounts;
use crate::reload::inputs::Inputs;
use crate::status::{ConnectionStatus, Live, Phase};
use crate::stores::{LogCatalogue, LogState};
use actor::Actor;
pub(crate) use actor::{ReplayedFrame, Request};
use bulkhead_log::{Log, Origin, WhenFull};
use bulkhead_sandbox::backoff::{Backoff, random_u32};
use bulkhead_sandbox::capability::{Clock, Fault, Journal, Remedy};
use bulkhead_sandbox::{GuestCounters, PointTable, Role};
use commits::Commits;
use futures_util::future::join_all;
use parking_lot::Mutex;
use polling::Polling;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Most batches of frames that wait for an actor; each pump holds back beyond it.
const FRAME_BATCHES_MAX: usize = 4;
/// Most requests (deliveries, checks, webhooks) that wait for a connection.
pub(crate) const REQUESTS_MAX: usize = 64;
/// Longest wait for the first connect of a transport before the first poll.
const FIRST_CONNECT_MAX: Duration = Duration::from_secs(5);
/// Longest wait, when the engine stops, for the commit of the last frames and their acknowledgement.
const LAST_ACKNOWLEDGEMENTS_MAX: Duration = Duration::from_secs(1);

/// A connection of a running engine.
pub(crate) struct ConnectionHandle {
    pub(crate) name: String,
    pub(crate) live: Arc<Live>,
    /// Frames that its adapter failed on.
    pub(crate) letters: Arc<LetterCounts>,
    clock: Arc<dyn Clock>,
    adapter: String,
    enabled: bool,
    /// Set once the parts are there.
    assembled: Mutex<Option<Assembled>>,
    /// Whether the adapter has started: before that it has no points to write to.
    started: AtomicBool,
    /// What its files held when it was put together; a reload looks whether they still do.
    pub(crate) inputs: OnceLock<Inputs>,
}

/// What a handle knows of a connection that has its parts.
#[derive(Clone)]
pub(crate) struct Assembled {
    pub(crate) points: Arc<PointTable>,
    pub(crate) roles: Vec<Role>,
    /// The actor that polls, listens and delivers.
    pub(crate) main: mpsc::Sender<Request>,
    /// The actor that writes and answers; an instance of its own.
    pub(crate) second: Option<mpsc::Sender<Request>>,
    links: Vec<NamedLink>,
}

impl Assembled {
    pub(crate) fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}

impl ConnectionHandle {
    /// Starts a connection of the config, or notes that it is switched off. Returns at once.
    pub(crate) fn start(
        name: &str,
        around: &Surroundings,
        log: &Log,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) -> Arc<Self> {
        let config = &around.config.connections[name];
        let phase = if config.enabled { Phase::Starting } else { Phase::Disabled };
        let handle = Arc::new(Self {
            name: name.to_owned(),
            live: Arc::new(Live::new(phase)),
            letters: Arc::new(LetterCounts::of(log, Origin::Connection(name))),
            clock: around.clock.clone(),
            adapter: config.adapter.clone(),
            enabled: config.enabled,
            assembled: Mutex::new(None),
            started: AtomicBool::new(false),
            inputs: OnceLock::new(),
        });
        if config.enabled {
            let run = Run { handle: handle.clone(), around: around.clone(), log: log.clone(), stop: stop.clone() };
            tasks.spawn(run.run(tasks.clone()));
        }
        handle
    }

    /// The connection's parts, if it has got that far.
    pub(crate) fn assembled(&self) -> Option<Assembled> {
        self.assembled.lock().clone()
    }

    /// The connection's parts, or why it does not run.
    pub(crate) fn running(&self) -> Result<Assembled, EngineError> {
        self.assembled().filter(|_| self.started.load(Ordering::Acquire)).ok_or_else(|| {
            let phase = self.live.phase.lock().clone();
            let reason = phase.reason().map_or_else(|| phase.name().to_owned(), str::to_owned);
            EngineError::NotRunning { connection: self.name.clone(), reason }
        })
    }

    pub(crate) fn status(&self) -> ConnectionStatus {
        let assembled = self.assembled();
        let faults = self.live.faults.lock();
        let letters = self.letters.now();
        ConnectionStatus {
            name: self.name.clone(),
            adapter: self.adapter.clone(),
            enabled: self.enabled,
            phase: self.live.phase.lock().clone(),
            roles: assembled.iter().flat_map(|parts| parts.roles.iter().map(|role| role.name())).collect(),
            transports: assembled.iter().flat_map(|parts| parts.links.iter().map(NamedLink::status)).collect(),
            points: assembled.as_ref().map_or(0, |parts| parts.points.len()),
            counters: self.live.counters.snapshot(),
            usage: self.live.usage.status(self.clock.monotonic_ns()),
            faults: faults.by_code.clone(),
            last_fault: faults.last.clone(),
            dead_letters: letters.kept,
            dead_letters_dropped: letters.dropped,
        }
    }
}

/// What a connection's transports lead to, for people.
fn devices(links: &[NamedLink]) -> String {
    links.iter().map(|link| link.link.describe()).collect::<Vec<_>>().join(", ")
}

/// The waits between tries of a connection that fails.
fn failures(config: &bulkhead_config::Connection) -> Backoff {
    let ms = |ms: u32| Duration::from_millis(u64::from(ms));
    Backoff::new(ms(config.limits.restart_first_ms), ms(config.limits.restart_max_ms))
}

/// The task that brings a connection up and holds it.
struct Run {
    handle: Arc<ConnectionHandle>,
    around: Surroundings,
    log: Log,
    stop: CancellationToken,
}

impl Run {
    async fn run(self, tasks: TaskTracker) {
        let connection = self.handle.name.clone();
        let journal = self.journal();
        let parts = match assemble(&connection, &self.around, self.stores(journal.clone())).await {
            Ok(parts) => parts,
            Err(error) => {
                tracing::error!(connection, "{error}");
                self.handle.live.set_phase(Phase::Failed(error.to_string()));
                return;
            }
        };
        // Set once: this is the only task that puts the connection together.
        _ = self.handle.inputs.set(parts.inputs.clone());
        journal.set_device(devices(&parts.links));
        let journal: Arc<dyn Journal> = journal;
        if let Err(error) = self.bring_up(parts, &journal, &tasks).await {
            tracing::error!(connection, "{error}");
            self.handle.live.set_phase(Phase::Failed(error.to_string()));
        }
    }

    fn journal(&self) -> Arc<ConnectionJournal> {
        let lines_per_s = self.around.config.connections[&self.handle.name].limits.log_lines_per_s;
        let (live, clock) = (self.handle.live.clone(), self.around.clock.clone());
        Arc::new(ConnectionJournal::new(&self.handle.name, live, clock, lines_per_s))
    }

    fn stores(&self, journal: Arc<dyn Journal>) -> Stores {
        let connection = self.handle.name.clone();
        let max_bytes = self.around.config.connections[&connection].limits.state_max_kb as usize * 1024;
        Stores {
            catalogue: Arc::new(LogCatalogue { log: self.log.clone(), connection: connection.clone() }),
            state: Arc::new(LogState { log: self.log.clone(), connection, max_bytes }),
            journal,
        }
    }

    /// Makes the actors, starts guests and transports, and stays until the engine stops.
    async fn bring_up(
        &self,
        mut parts: Parts,
        journal: &Arc<dyn Journal>,
        tasks: &TaskTracker,
    ) -> Result<(), EngineError> {
        let connection = &self.handle.name;
        let config = &self.around.config.connections[connection];
        let (main_inbox, second_inbox) = self.publish(&parts, config.limits.command_queue_max as usize);
        let mut main = Actor {
            connection: connection.clone(),
            guest: parts.guest(connection)?,
            links: parts.links.clone(),
            points: parts.points.clone(),
            clock: self.around.clock.clone(),
            journal: journal.clone(),
            live: self.handle.live.clone(),
            letters: self.handle.letters.clone(),
            stop: self.stop.clone(),
            polling: parts.adapter.has(Role::Poller).then(|| Polling::new(config)),
            silence: None,
            heartbeat: Duration::from_secs(u64::from(config.heartbeat_s)),
            failures: failures(config),
            published: GuestCounters::default(),
            log: self.log.clone(),
            commits: self.commits(),
        };
        let second = match second_inbox {
            Some(inbox) => Some((self.second_actor(&parts, journal)?, inbox)),
            None => None,
        };
        let mut backoff = failures(config);
        if !self.start_guest(&mut main, &mut backoff).await {
            return Ok(());
        }
        for link in &parts.links {
            link.link.start();
        }
        let mut pumps = Vec::with_capacity(parts.sources.len());
        for (role, source) in parts.sources.drain(..) {
            let max = config.limits.frames_per_call_max as usize;
            let to = self.handle.assembled().expect("published above").main;
            let link = parts.links.iter().find(|link| link.role == role).map(|link| link.link.clone());
            pumps.push(tasks.spawn(pump::pump(role, source, link, to, max, self.stop.clone())));
        }
        if let Some((second, inbox)) = second {
            tasks.spawn(second.run(inbox));
        }
        self.handle.started.store(true, Ordering::Release);
        self.handle.live.set_phase(Phase::Running);
        let device = devices(&parts.links);
        tracing::info!(
            connection,
            device,
            adapter = self.handle.adapter,
            points = parts.points.len(),
            "connection runs"
        );
        self.wait_for_links(&parts.links).await;
        main.run(main_inbox).await;
        // Until its pump has acknowledged what is committed, a transport must not say good-bye: the source would send it
        // again after the next start.
        _ = tokio::time::timeout(LAST_ACKNOWLEDGEMENTS_MAX, join_all(pumps)).await;
        self.close(&parts.links).await;
        Ok(())
    }

    /// Lets the rest of the engine reach the connection. The returned ends belong to its actors.
    fn publish(
        &self,
        parts: &Parts,
        commands_max: usize,
    ) -> (mpsc::Receiver<Request>, Option<mpsc::Receiver<Request>>) {
        let (main, main_inbox) = mpsc::channel(FRAME_BATCHES_MAX + REQUESTS_MAX);
        let needs_second = parts.adapter.has(Role::Writer) || parts.adapter.has(Role::Responder);
        let (second, second_inbox) = match needs_second {
            true => {
                let (second, inbox) = mpsc::channel(commands_max.max(1));
                (Some(second), Some(inbox))
            }
            false => (None, None),
        };
        *self.handle.assembled.lock() = Some(Assembled {
            points: parts.points.clone(),
            roles: parts.adapter.roles().iter().copied().collect(),
            main,
            second,
            links: parts.links.clone(),
        });
        (main_inbox, second_inbox)
    }

    fn second_actor(&self, parts: &Parts, journal: &Arc<dyn Journal>) -> Result<Actor, EngineError> {
        let config = &self.around.config.connections[&self.handle.name];
        Ok(Actor {
            connection: self.handle.name.clone(),
            guest: parts.guest(&self.handle.name)?,
            links: parts.links.clone(),
            points: parts.points.clone(),
            clock: self.around.clock.clone(),
            journal: journal.clone(),
            live: self.handle.live.clone(),
            letters: self.handle.letters.clone(),
            stop: self.stop.clone(),
            polling: None,
            silence: None,
            heartbeat: Duration::from_secs(u64::from(config.heartbeat_s)),
            failures: failures(config),
            published: GuestCounters::default(),
            log: self.log.clone(),
            commits: self.commits(),
        })
    }

    fn commits(&self) -> Commits {
        let config = &self.around.config;
        let when_full = config.connections[&self.handle.name].when_full.unwrap_or(config.log.when_full);
        let when_full = match when_full {
            bulkhead_config::WhenFull::DropOldest => WhenFull::DropOldest,
            bulkhead_config::WhenFull::Refuse => WhenFull::Refuse,
        };
        Commits::new(&self.handle.name, &self.log, when_full, self.handle.live.clone())
    }

    /// Starts the guest, again and again with growing waits. False: it will not start, or the engine stops.
    async fn start_guest(&self, actor: &mut Actor, backoff: &mut Backoff) -> bool {
        loop {
            let error = match actor.guest.start().await {
                Ok(()) => return true,
                Err(error) => error,
            };
            actor.report(None, &error);
            if let bulkhead_sandbox::CallError::Fault(Fault { remedy: Remedy::Reconfigure | Remedy::Reject, .. })
            | bulkhead_sandbox::CallError::CannotStart(_) = &error
            {
                tracing::error!(connection = self.handle.name, "the adapter does not start: {error}");
                self.handle.live.set_phase(Phase::Failed(error.to_string()));
                return false;
            }
            let wait = error.wait().unwrap_or_else(|| backoff.next(random_u32()));
            self.handle.live.set_phase(Phase::Waiting(error.to_string()));
            tokio::select! {
                () = self.stop.cancelled() => return false,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Gives the transports time to connect, so that the first poll does not record an outage that is none.
    async fn wait_for_links(&self, links: &[NamedLink]) {
        for link in links {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = link.settled(FIRST_CONNECT_MAX) => {}
            }
        }
    }

    async fn close(&self, links: &[NamedLink]) {
        join_all(links.iter().map(|link| link.link.stop())).await;
        // Whoever comes after a reload finds ports and buses free: nothing holds on to them.
        *self.handle.assembled.lock() = None;
        self.handle.live.set_phase(Phase::Stopped);
        tracing::info!(connection = self.handle.name, "connection stopped");
    }
}
