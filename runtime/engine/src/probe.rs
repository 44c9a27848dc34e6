//! One connection put up by itself, for the command line: its adapter's own check, one poll, nothing stored.

use crate::assembly::{NamedLink, Parts, Stores, Surroundings, assemble};
use crate::clock::SystemClock;
use crate::command::{self, Command};
use crate::error::EngineError;
use crate::journal::ConnectionJournal;
use crate::status::{Live, Phase, TransportStatus};
use crate::stores::{MemoryCatalogue, MemoryState};
use bulkhead_config::{Config, DEFAULT_POLL_GROUP};
use bulkhead_model::transport::Transport;
use bulkhead_model::{PointInfo, Reading, Value};
use bulkhead_sandbox::capability::{Clock, FrameSource};
use bulkhead_sandbox::{CallError, Guest, Role, Sandbox};
use bulkhead_transports::Buses;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for a transport to connect.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Most frames a listening probe takes at a time.
const FRAMES_MAX: usize = 256;

/// A connection put up for a look. [`Probe::close`] it to free ports and sockets at once.
pub struct Probe {
    connection: String,
    guest: Guest,
    parts: Parts,
    live: Arc<Live>,
}

/// Why a transport is down, if it is.
pub(crate) fn reason_down(transport: &TransportStatus) -> Option<String> {
    let reason = transport.reason.as_deref().unwrap_or("without a reason");
    (transport.state == "down")
        .then(|| format!("its transport {} ({}) is down: {reason}", transport.role, transport.target))
}

/// A reading of a probe, with its point.
#[derive(Debug, Clone)]
pub struct ProbeReading {
    /// The point as the adapter declares it.
    pub point: Arc<PointInfo>,
    /// The reading.
    pub reading: Reading,
}

impl Probe {
    /// Puts the connection up: loads its adapter, starts it and its transports, and waits for them to connect.
    ///
    /// # Errors
    /// [`EngineError`]; that a transport does not connect is not one, see [`Probe::transports`].
    pub async fn open(config: &Config, sandbox: Sandbox, connection: &str) -> Result<Self, EngineError> {
        let config = Arc::new(apart(config, connection));
        let Some(settings) = config.connections.get(connection) else {
            let known = config.connections.keys().cloned().collect();
            return Err(EngineError::NoSuchConnection { name: connection.to_owned(), known });
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let live = Arc::new(Live::new(Phase::Starting));
        let lines_per_s = settings.limits.log_lines_per_s;
        let stores = Stores {
            catalogue: Arc::new(MemoryCatalogue::default()),
            state: Arc::new(MemoryState::default()),
            journal: Arc::new(ConnectionJournal::new(connection, live.clone(), clock.clone(), lines_per_s)),
        };
        let (buses, taps) = (Arc::new(Buses::default()), Arc::default());
        let around = Surroundings { config: config.clone(), sandbox, buses, clock, taps };
        let parts = assemble(connection, &around, stores).await?;
        let mut guest = parts.guest(connection)?;
        let failed = |cause| EngineError::Call { connection: connection.to_owned(), cause };
        guest.start().await.map_err(failed)?;
        for link in &parts.links {
            link.link.start();
        }
        for link in &parts.links {
            link.settled(CONNECT_MAX).await;
        }
        Ok(Self { connection: connection.to_owned(), guest, parts, live })
    }

    /// Its transports as they are now.
    #[must_use]
    pub fn transports(&self) -> Vec<TransportStatus> {
        self.parts.links.iter().map(NamedLink::status).collect()
    }

    /// Faults the adapter has reported so far, by code, and the newest.
    #[must_use]
    pub fn faults(&self) -> (BTreeMap<String, u64>, Option<crate::LastFault>) {
        let faults = self.live.faults.lock();
        (faults.by_code.clone(), faults.last.clone())
    }

    /// The adapter's own check: a sentence about what it found.
    ///
    /// # Errors
    /// [`EngineError::Call`] with what it could not find.
    pub async fn check(&mut self) -> Result<String, EngineError> {
        self.guest.check().await.map_err(|cause| self.failed(cause))
    }

    /// Every point's value once: polls each group, and, for an adapter that listens, waits up to `listen` for frames.
    ///
    /// # Errors
    /// [`EngineError::Call`] with the first failure.
    pub async fn poll_once(&mut self, listen: Duration) -> Result<Vec<ProbeReading>, EngineError> {
        let adapter = &self.parts.adapter;
        if !adapter.has(Role::Poller) && !adapter.has(Role::Listener) {
            let (connection, adapter) = (self.connection.clone(), adapter.name().to_owned());
            let role = "poller and no role listener";
            return Err(EngineError::MissingRole { connection, adapter, role, needed_by: "reading its points".into() });
        }
        let mut readings = Vec::new();
        if self.parts.adapter.has(Role::Poller) {
            for group in self.groups() {
                let polled = self.guest.poll(&group).await;
                readings.extend(polled.map_err(|cause| self.failed(cause))?);
            }
        }
        if readings.is_empty() && self.parts.adapter.has(Role::Listener) {
            readings = self.listen(listen).await?;
        }
        Ok(self.named(readings))
    }

    /// Writes a value to a point and reads it back, where the connection can be polled.
    ///
    /// # Errors
    /// [`EngineError`]: no such point, read-only, out of range, the device refused.
    pub async fn write(&mut self, point: &str, command: Command) -> Result<(Value, Option<Reading>), EngineError> {
        if self.parts.points.is_empty() && self.parts.adapter.has(Role::Poller) {
            // Some adapters declare their points only as they read them.
            self.poll_once(Duration::ZERO).await?;
        }
        let name = self.connection.clone();
        let Some((number, declared)) = self.parts.points.find(point) else {
            return Err(command::no_such_point(&name, point, &self.parts.points));
        };
        let value = command::checked(&name, &declared.info, command)?;
        if !self.parts.adapter.has(Role::Writer) {
            return Err(command::not_writable(&name, point, "its adapter has no role writer"));
        }
        self.guest.write(number, value.clone()).await.map_err(|cause| self.failed(cause))?;
        if !self.parts.adapter.has(Role::Poller) {
            return Ok((value, None));
        }
        let group = declared.info.group.as_deref().unwrap_or(DEFAULT_POLL_GROUP);
        let polled = self.guest.poll(group).await.map_err(|cause| self.failed(cause))?;
        Ok((value, polled.into_iter().find(|reading| reading.point == declared.id)))
    }

    /// The adapter's own check, with a word about a transport that is down; then everything is closed.
    ///
    /// # Errors
    /// What does not work, as text.
    pub(crate) async fn finding(mut self) -> Result<String, String> {
        let found = self.check().await.map_err(|error| error.to_string());
        let down = self.transports().iter().find_map(reason_down);
        self.close().await;
        match (found, down) {
            (Ok(_), Some(down)) => Err(down),
            (found, _) => found,
        }
    }

    /// Closes its transports.
    pub async fn close(mut self) {
        self.guest.stop().await;
        for link in &self.parts.links {
            link.link.stop().await;
        }
    }

    fn failed(&self, cause: CallError) -> EngineError {
        EngineError::Call { connection: self.connection.clone(), cause }
    }

    fn groups(&self) -> BTreeSet<String> {
        let is_listener = self.parts.adapter.has(Role::Listener);
        let declared = self.parts.points.all().into_iter().filter_map(|point| match &point.info.group {
            None if is_listener => None,
            group => Some(group.as_deref().unwrap_or(DEFAULT_POLL_GROUP).to_owned()),
        });
        let groups: BTreeSet<String> = declared.collect();
        match groups.is_empty() && !is_listener {
            true => BTreeSet::from([DEFAULT_POLL_GROUP.to_owned()]),
            false => groups,
        }
    }

    /// Frames of the first transport that brings some, turned into readings. They are not acknowledged: whoever sent
    /// them keeps them for the gateway.
    async fn listen(&mut self, limit: Duration) -> Result<Vec<Reading>, EngineError> {
        let mut sources = std::mem::take(&mut self.parts.sources);
        let waits = sources.iter_mut().map(|(role, source)| Box::pin(next_frames(role, source.as_mut())));
        let waits: Vec<_> = waits.collect();
        if waits.is_empty() {
            return Ok(Vec::new());
        }
        let first = tokio::time::timeout(limit, futures_util::future::select_all(waits)).await;
        let Ok(((role, frames), _, _)) = first else { return Ok(Vec::new()) };
        self.guest.receive(&role, &frames).await.map_err(|cause| self.failed(cause))
    }

    fn named(&self, readings: Vec<Reading>) -> Vec<ProbeReading> {
        let points = self.parts.points.all();
        let by_id: BTreeMap<_, _> = points.into_iter().map(|point| (point.id, point.info)).collect();
        readings
            .into_iter()
            .filter_map(|reading| Some(ProbeReading { point: by_id.get(&reading.point)?.clone(), reading }))
            .collect()
    }
}

/// The config with one connection changed so that it disturbs nobody: a broker would close the running gateway's session
/// for another with the same client id, and hand its messages to it.
fn apart(config: &Config, connection: &str) -> Config {
    let mut config = config.clone();
    let transports = config.connections.get_mut(connection).into_iter().flat_map(|one| one.transports.values_mut());
    for transport in transports {
        if let Transport::Mqtt(mqtt) = transport {
            mqtt.client_id = Some(format!("bulkhead-probe-{}", std::process::id()));
            mqtt.resume_session = false;
            mqtt.last_will = None;
        }
    }
    config
}

/// The next frames of a source that carry data.
async fn next_frames(role: &str, source: &mut dyn FrameSource) -> (String, Vec<bulkhead_sandbox::wit::Frame>) {
    loop {
        match source.next(FRAMES_MAX).await {
            Some(batch) if batch.frames.iter().any(|frame| frame.kind == bulkhead_sandbox::wit::FrameKind::Data) => {
                return (role.to_owned(), batch.frames);
            }
            Some(_) => {}
            None => std::future::pending().await,
        }
    }
}
