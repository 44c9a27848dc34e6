//! One unit on a shared RTU bus: its requests, and its rest when it does not answer, so that a dead unit does not cost
//! the others on the line a timeout at every poll.

use super::bus::Bus;
use super::fault::WireError;
use crate::lifecycle::{Lifecycle, Signal};
use bulkhead_model::transport::ModbusRtu;
use bulkhead_sandbox::backoff::{Backoff, random_u32};
use bulkhead_sandbox::capability::{Clock, LinkState};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_modbus::{Request, Response};

/// A unit on a bus.
pub(crate) struct RtuWire {
    pub(crate) bus: Arc<Bus>,
    unit: u8,
    timeout: Duration,
    gap: Duration,
    clock: Arc<dyn Clock>,
    life: Arc<Lifecycle>,
    silence: Mutex<Silence>,
    rests: Notify,
}

/// How long a unit has not answered.
struct Silence {
    backoff: Backoff,
    /// A first silence may be noise on the line; from the second on the unit rests.
    timeouts: u32,
    retry_ns: u64,
}

impl RtuWire {
    pub(crate) fn new(settings: &ModbusRtu, bus: Arc<Bus>, clock: Arc<dyn Clock>, life: Arc<Lifecycle>) -> Self {
        let backoff = Backoff::new(
            Duration::from_millis(settings.reconnect.first_ms.into()),
            Duration::from_millis(settings.reconnect.max_ms.into()),
        );
        Self {
            bus,
            unit: settings.modbus.unit_id,
            timeout: Duration::from_millis(settings.modbus.timeout_ms.into()),
            gap: Duration::from_millis(settings.modbus.request_gap_ms.into()),
            clock,
            life,
            silence: Mutex::new(Silence { backoff, timeouts: 0, retry_ns: 0 }),
            rests: Notify::new(),
        }
    }

    /// One request and its answer.
    pub(crate) async fn call(&self, request: Request<'_>) -> Result<Response, WireError> {
        self.check_rest()?;
        let result = self.bus.call(self.unit, self.timeout, self.gap, request).await;
        match &result {
            Ok(_) | Err(WireError::Exception(_)) => {
                let mut silence = self.silence.lock();
                silence.timeouts = 0;
                silence.backoff.succeeded();
                drop(silence);
                self.life.set(LinkState::Up);
            }
            Err(WireError::Timeout) => self.note_silence(),
            Err(WireError::NotConnected(reason)) => self.life.set(LinkState::Down { reason: reason.clone() }),
            Err(WireError::Broken(_)) => {}
        }
        result
    }

    fn check_rest(&self) -> Result<(), WireError> {
        let silence = self.silence.lock();
        let rest_ns = silence.retry_ns.saturating_sub(self.clock.monotonic_ns());
        if silence.timeouts < 2 || rest_ns == 0 {
            return Ok(());
        }
        Err(WireError::NotConnected(format!(
            "unit {} has not answered {} times; asked again in {} ms",
            self.unit,
            silence.timeouts,
            rest_ns / 1_000_000
        )))
    }

    fn note_silence(&self) {
        let mut silence = self.silence.lock();
        silence.timeouts = silence.timeouts.saturating_add(1);
        if silence.timeouts < 2 {
            return;
        }
        let rest = silence.backoff.next(random_u32());
        let rest_ns = u64::try_from(rest.as_nanos()).unwrap_or(u64::MAX);
        silence.retry_ns = self.clock.monotonic_ns().saturating_add(rest_ns);
        drop(silence);
        let reason = format!("unit {} does not answer within {} ms", self.unit, self.timeout.as_millis());
        self.life.set(LinkState::Down { reason });
        self.rests.notify_one();
    }

    /// Ends the rest: the next request is sent.
    pub(crate) fn wake(&self) {
        self.silence.lock().timeouts = 0;
    }

    /// Opens the port, opens it again when it is lost, and says when a resting unit may be asked again.
    pub(crate) async fn keep(self: Arc<Self>) {
        let mut signals = self.life.signals();
        let user = self.bus.join();
        let mut changes = self.bus.changes();
        loop {
            changes.mark_unchanged();
            let opened = self.bus.open().await;
            let wait = match opened {
                Ok(()) => {
                    if self.life.state() == LinkState::Connecting && self.silence.lock().timeouts == 0 {
                        self.life.set(LinkState::Up);
                    }
                    None
                }
                Err((reason, wait)) => {
                    self.life.set(LinkState::Down { reason });
                    Some(wait)
                }
            };
            let go_on = match wait {
                Some(wait) => signals.pause(wait).await,
                None => tokio::select! {
                    _ = changes.changed() => true,
                    () = self.rests.notified() => self.rest(&mut signals).await,
                    signal = signals.next() => match signal {
                        Signal::Stop => false,
                        Signal::Reconnect => {
                            self.wake();
                            self.bus.close().await;
                            true
                        }
                    },
                },
            };
            if !go_on {
                break;
            }
            if self.life.state() != LinkState::Up {
                self.life.set(LinkState::Connecting);
            }
        }
        user.leave().await;
    }

    async fn rest(&self, signals: &mut crate::lifecycle::Signals) -> bool {
        let rest_ns = self.silence.lock().retry_ns.saturating_sub(self.clock.monotonic_ns());
        signals.pause(Duration::from_nanos(rest_ns)).await
    }
}
