//! Serial buses for Modbus RTU: one port, several connections, one request at a time in the order they came.
//!
//! The port is opened when its first user starts and closed when its last one stops. After a request that was not
//! answered, or was given up half-way, the line is drained until it has been silent for as long as the standard asks, so
//! that a late answer never answers the next request.

use super::fault::WireError;
use super::pacing::{Pacing, silent_interval};
use crate::TransportError;
use crate::serial_port::{LineMode, describe, open_port};
use bulkhead_model::transport::{ModbusRtu, Reconnect};
use bulkhead_sandbox::backoff::{Backoff, random_u32};
use bulkhead_sandbox::capability::Clock;
use parking_lot::Mutex as SyncMutex;
use serial2_tokio::SerialPort;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Mutex, watch};
use tokio_modbus::client::{Client, rtu};
use tokio_modbus::{Request, Response, Slave};

/// Longest time to drain a line on which something keeps talking.
const DRAIN_MAX_MS: u64 = 500;
/// How long after its timeout an answer is still waited for, to be thrown away. RTU has no transaction ids: one that
/// comes later still and fits the next request to the same unit cannot be told from its answer, so `timeout_ms` must
/// leave the slowest device time enough.
const LATE_ANSWER_MS: u64 = 100;
/// Least silence to wait for when draining: the kernel and USB adapters hand bytes over in lumps of up to 16 ms.
const DRAIN_SILENCE_MIN_MS: u64 = 20;

/// The serial ports that Modbus RTU transports share. Keep one for the whole gateway.
#[derive(Default, Clone)]
pub struct Buses(Arc<SyncMutex<BTreeMap<PathBuf, Weak<Bus>>>>);

impl Buses {
    /// No ports yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The bus on a port, shared with all who name the same port and set its line alike.
    pub(crate) fn share(&self, settings: &ModbusRtu, context: &crate::Context) -> Result<Arc<Bus>, TransportError> {
        let port = &settings.line.port;
        // By-id links and plain names of the same device must meet; one that is not there yet is known by its name.
        let key = std::fs::canonicalize(port).unwrap_or_else(|_| port.clone());
        let mode = LineMode::from(&settings.line);
        let mut buses = self.0.lock();
        buses.retain(|_, bus| bus.strong_count() > 0);
        // A bus that somebody still holds and nobody uses any more does not bind those who come after a reload.
        let in_use = |bus: &Arc<Bus>| bus.mode == mode || bus.users.load(Ordering::SeqCst) > 0;
        if let Some(bus) = buses.get(&key).and_then(Weak::upgrade).filter(in_use) {
            if bus.mode == mode {
                return Ok(bus);
            }
            return Err(TransportError::BusSettings {
                connection: context.connection.clone(),
                role: context.role.clone(),
                port: port.display().to_string(),
                existing: bus.mode.to_string(),
                wanted: mode.to_string(),
            });
        }
        let bus = Arc::new(Bus::new(port.clone(), mode, settings.reconnect, context.clock.clone()));
        buses.insert(key, Arc::downgrade(&bus));
        Ok(bus)
    }
}

/// One port and who may use it next.
pub(crate) struct Bus {
    port: PathBuf,
    mode: LineMode,
    clock: Arc<dyn Clock>,
    slot: Mutex<Slot>,
    users: AtomicUsize,
    /// Counts openings and losses, so that the users' tasks notice them.
    changes: watch::Sender<u64>,
    pub(crate) opens: AtomicU64,
}

struct Slot {
    open: Option<Open>,
    pacing: Pacing,
    backoff: Backoff,
    /// Why the port could not be opened, and when to try again.
    failed: Option<(String, u64)>,
}

struct Open {
    port: SerialPort,
    client: Box<dyn Client>,
    /// A request was sent and its answer has not been seen; until when it may come, on the monotonic clock.
    owed_until_ns: Option<u64>,
}

impl Bus {
    fn new(port: PathBuf, mode: LineMode, reconnect: Reconnect, clock: Arc<dyn Clock>) -> Self {
        let backoff = Backoff::new(
            Duration::from_millis(reconnect.first_ms.into()),
            Duration::from_millis(reconnect.max_ms.into()),
        );
        Self {
            port,
            mode,
            clock,
            slot: Mutex::new(Slot { open: None, pacing: Pacing::default(), backoff, failed: None }),
            users: AtomicUsize::new(0),
            changes: watch::Sender::new(0),
            opens: AtomicU64::new(0),
        }
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Opens the port if it is not open and its backoff is over. The error says why not and how long to wait.
    pub(crate) async fn open(&self) -> Result<(), (String, Duration)> {
        self.open_slot(&mut *self.slot.lock().await)
    }

    fn open_slot(&self, slot: &mut Slot) -> Result<(), (String, Duration)> {
        if slot.open.is_some() {
            return Ok(());
        }
        let now_ns = self.clock.monotonic_ns();
        if let Some((reason, retry_ns)) = &slot.failed
            && now_ns < *retry_ns
        {
            return Err((reason.clone(), Duration::from_nanos(retry_ns - now_ns)));
        }
        match self.open_now() {
            Ok(open) => {
                slot.open = Some(open);
                slot.failed = None;
                slot.backoff.succeeded();
                self.opens.fetch_add(1, Ordering::Relaxed);
                self.changes.send_modify(|count| *count += 1);
                Ok(())
            }
            Err(reason) => {
                let wait = slot.backoff.next(random_u32());
                let retry_ns = now_ns.saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX));
                slot.failed = Some((reason.clone(), retry_ns));
                Err((reason, wait))
            }
        }
    }

    fn open_now(&self) -> Result<Open, String> {
        let port = open_port(&self.port, self.mode)?;
        let client = attach(&port).map_err(|error| describe(&self.port, &error))?;
        Ok(Open { port, client, owed_until_ns: None })
    }

    /// Closes the port; the next user opens it anew.
    pub(crate) async fn close(&self) {
        self.slot.lock().await.open = None;
        self.changes.send_modify(|count| *count += 1);
    }

    pub(crate) fn join(self: &Arc<Self>) -> BusUser {
        self.users.fetch_add(1, Ordering::SeqCst);
        BusUser { bus: self.clone(), left: false }
    }

    /// One request to one unit. The lock is held for this request only; who waits gets it in the order they came.
    pub(crate) async fn call(
        &self,
        unit: u8,
        timeout: Duration,
        gap: Duration,
        request: Request<'_>,
    ) -> Result<Response, WireError> {
        let mut slot = self.slot.lock().await;
        self.open_slot(&mut slot).map_err(|(reason, _)| WireError::NotConnected(reason))?;
        let Slot { open, pacing, .. } = &mut *slot;
        let Some(line) = open else { return Err(WireError::NotConnected("the port was closed".into())) };
        if line.owed_until_ns.is_some()
            && let Err(error) = self.drain(line).await
        {
            *open = None;
            return Err(self.lost(&error));
        }
        pacing.wait(&*self.clock, gap.max(silent_interval(self.mode.baud))).await;
        // Noise since the last answer is not the beginning of the next one.
        let _ = line.port.discard_input_buffer();
        line.client.set_slave(Slave(unit));
        let timeout_ns = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        line.owed_until_ns = Some(self.clock.monotonic_ns().saturating_add(timeout_ns));
        let answer = tokio::time::timeout(timeout, line.client.call(request)).await;
        pacing.used(&*self.clock);
        match answer {
            Ok(Ok(result)) => {
                line.owed_until_ns = None;
                result.map_err(|exception| WireError::Exception(exception.into()))
            }
            Ok(Err(tokio_modbus::Error::Transport(error))) if !is_framing_error(&error) => {
                *open = None;
                Err(self.lost(&error))
            }
            Ok(Err(_)) => {
                Err(self.recover(open, WireError::Broken("what came is not the answer to this request".into())).await)
            }
            Err(_) => Err(self.recover(open, WireError::Timeout).await),
        }
    }

    async fn recover(&self, open: &mut Option<Open>, error: WireError) -> WireError {
        let Some(line) = open else { return error };
        match self.drain(line).await {
            Ok(()) => error,
            Err(error) => {
                *open = None;
                self.lost(&error)
            }
        }
    }

    fn lost(&self, error: &std::io::Error) -> WireError {
        self.changes.send_modify(|count| *count += 1);
        WireError::NotConnected(describe(&self.port, error))
    }

    /// Throws input away until the line has been silent long enough, and forgets what the client had buffered.
    async fn drain(&self, line: &mut Open) -> std::io::Result<()> {
        let silence = silent_interval(self.mode.baud).max(Duration::from_millis(DRAIN_SILENCE_MIN_MS));
        // Who asked may have given up long before the device answers: its answer is waited for and thrown away.
        let owed_ns = line.owed_until_ns.map_or(0, |until_ns| until_ns.saturating_sub(self.clock.monotonic_ns()));
        let owed = Duration::from_nanos(owed_ns);
        let mut rubbish = [0; 512];
        let until_silent = async {
            let mut patience = silence.max(owed + Duration::from_millis(LATE_ANSWER_MS));
            while let Ok(read) = tokio::time::timeout(patience, line.port.read(&mut rubbish)).await {
                if read? == 0 {
                    return Err(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
                }
                patience = silence;
            }
            Ok(())
        };
        let limit = owed + Duration::from_millis(DRAIN_MAX_MS);
        if let Ok(result) = tokio::time::timeout(limit, until_silent).await {
            result?;
        }
        line.client = attach(&line.port)?;
        line.owed_until_ns = None;
        Ok(())
    }
}

fn attach(port: &SerialPort) -> std::io::Result<Box<dyn Client>> {
    Ok(rtu::attach_slave(port.try_clone()?, Slave(0)).into())
}

/// Errors the RTU codec makes of bytes that are no frame: the port itself is well.
fn is_framing_error(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::InvalidData | std::io::ErrorKind::InvalidInput)
}

/// A transport that uses a bus; the port is closed when the last one has left.
pub(crate) struct BusUser {
    bus: Arc<Bus>,
    left: bool,
}

impl BusUser {
    pub(crate) async fn leave(mut self) {
        self.left = true;
        if self.bus.users.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.bus.slot.lock().await.open = None;
        }
    }
}

impl Drop for BusUser {
    fn drop(&mut self) {
        if !self.left {
            self.bus.users.fetch_sub(1, Ordering::SeqCst);
        }
    }
}
