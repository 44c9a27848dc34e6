//! One Modbus TCP connection: opened and kept open by a task, used one request at a time under a fair lock.
//!
//! After a timeout or an answer that is none the connection is closed, so that a late answer never answers the next
//! request. One that had answered is opened again when its first wait since it was opened is over, mostly at once, and
//! requests wait for it; one that never did waits with backoff, so that a device that accepts connections and says
//! nothing is asked seldom.

use super::fault::WireError;
use super::pacing::Pacing;
use crate::address::Address;
use crate::lifecycle::{Lifecycle, Signal};
use crate::reopening::Reopening;
use bulkhead_model::transport::{ModbusTcp, Reconnect};
use bulkhead_sandbox::backoff::random_u32;
use bulkhead_sandbox::capability::{Clock, LinkState};
use std::io;
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, watch};
use tokio_modbus::client::{Client, tcp};
use tokio_modbus::{Request, Response, Slave};
use tokio_util::sync::CancellationToken;

/// Whether a request can be sent now.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Connecting,
    Connected,
    Waiting { reason: String },
}

/// A connection in use.
struct Connected {
    client: Box<dyn Client>,
    stream: Arc<TcpStream>,
    /// Ends the running request when the connection is closed from outside.
    closed: CancellationToken,
}

/// The connection to one device.
pub(crate) struct TcpWire {
    address: Address,
    unit: u8,
    connect_timeout: Duration,
    timeout: Duration,
    gap: Duration,
    reconnect: Reconnect,
    clock: Arc<dyn Clock>,
    life: Arc<Lifecycle>,
    phase: watch::Sender<Phase>,
    slot: Mutex<(Option<Connected>, Pacing)>,
    /// Whether this connection has brought an answer.
    answered: AtomicBool,
    pub(crate) connects: AtomicU64,
}

impl TcpWire {
    pub(crate) fn new(settings: &ModbusTcp, address: Address, clock: Arc<dyn Clock>, life: Arc<Lifecycle>) -> Self {
        Self {
            address,
            unit: settings.modbus.unit_id,
            connect_timeout: Duration::from_millis(settings.connect_timeout_ms.into()),
            timeout: Duration::from_millis(settings.modbus.timeout_ms.into()),
            reconnect: settings.reconnect,
            clock,
            life,
            phase: watch::Sender::new(Phase::Waiting { reason: "not started".into() }),
            gap: Duration::from_millis(settings.modbus.request_gap_ms.into()),
            slot: Mutex::new((None, Pacing::default())),
            answered: AtomicBool::new(false),
            connects: AtomicU64::new(0),
        }
    }

    /// One request and its answer. The lock is held for this request only, so that others come between two of a read.
    pub(crate) async fn call(&self, request: Request<'_>) -> Result<Response, WireError> {
        // Twice: the first connection found may have been closed by the device while nobody used it.
        for _ in 0..2 {
            self.wait_connected().await?;
            let mut slot = self.slot.lock().await;
            let (connected, pacing) = &mut *slot;
            // Taken out while the request runs: when this call is dropped half-way, so is the connection.
            let Some(mut connection) = connected.take() else { continue };
            let _lost = LostUnlessKept { phase: &self.phase, connected };
            if !is_idle(&connection.stream) {
                continue;
            }
            pacing.wait(&*self.clock, self.gap).await;
            let answer = tokio::select! {
                answer = tokio::time::timeout(self.timeout, connection.client.call(request)) => answer,
                () = connection.closed.cancelled() => {
                    return Err(WireError::NotConnected("the connection was closed on request".into()));
                }
            };
            pacing.used(&*self.clock);
            let result = self.judge(answer);
            if matches!(result, Ok(_) | Err(WireError::Exception(_))) {
                self.answered.store(true, Ordering::Relaxed);
                self.life.set(LinkState::Up);
                *_lost.connected = Some(connection);
            }
            return result;
        }
        Err(WireError::NotConnected(format!("{} closes the connection at once", self.address)))
    }

    fn judge(
        &self,
        answer: Result<tokio_modbus::Result<Response>, tokio::time::error::Elapsed>,
    ) -> Result<Response, WireError> {
        match answer {
            Ok(Ok(Ok(response))) => Ok(response),
            Ok(Ok(Err(exception))) => Err(WireError::Exception(exception.into())),
            Ok(Err(tokio_modbus::Error::Transport(error))) => {
                Err(WireError::Broken(match error.kind() {
                    ErrorKind::InvalidData | ErrorKind::InvalidInput => {
                        format!("what came is not Modbus TCP ({error}); does the address lead to another service?")
                    }
                    // What the library says of a stream that ends is left out: it names an unrelated system error.
                    _ => "the device closed the connection before the answer".to_owned(),
                }))
            }
            Ok(Err(tokio_modbus::Error::Protocol(_))) => Err(WireError::Broken(
                "what came is not the answer to this request; the connection is opened anew".into(),
            )),
            Err(_) => {
                self.note_silence();
                Err(WireError::Timeout)
            }
        }
    }

    fn note_silence(&self) {
        if !self.answered.load(Ordering::Relaxed) {
            let reason = format!(
                "{} accepts connections but unit {} does not answer within {} ms",
                self.address,
                self.unit,
                self.timeout.as_millis()
            );
            self.life.set(LinkState::Down { reason });
        }
    }

    /// Waits for a connect that is under way, at most as long as for an answer.
    async fn wait_connected(&self) -> Result<(), WireError> {
        if *self.phase.borrow() == Phase::Connected {
            return Ok(());
        }
        let mut phase = self.phase.subscribe();
        let settled = tokio::time::timeout(self.timeout, phase.wait_for(|phase| *phase != Phase::Connecting)).await;
        let reason = match settled.as_ref().map(|result| result.as_deref()) {
            Ok(Ok(Phase::Connected)) => return Ok(()),
            Ok(Ok(Phase::Waiting { reason })) => reason.clone(),
            _ => format!("{} has not taken the connection yet", self.address),
        };
        Err(WireError::NotConnected(reason))
    }

    /// The transport starts: from now on requests wait for the first connect.
    pub(crate) fn begin(&self) {
        self.phase.send_replace(Phase::Connecting);
    }

    /// Opens the connection and keeps it open until the transport stops.
    pub(crate) async fn keep(self: Arc<Self>) {
        let mut signals = self.life.signals();
        let mut phase = self.phase.subscribe();
        let mut reopening = Reopening::new(self.reconnect);
        loop {
            self.phase.send_replace(Phase::Connecting);
            let connected = tokio::select! {
                connected = self.connect() => connected,
                signal = signals.next() => if signal == Signal::Stop { break } else { continue },
            };
            let (down, wait) = match connected {
                Ok(closed) => {
                    let connected_at = Instant::now();
                    let signal = tokio::select! {
                        _ = phase.wait_for(|phase| *phase != Phase::Connected) => None,
                        signal = signals.next() => Some(signal),
                    };
                    closed.cancel();
                    self.slot.lock().await.0 = None;
                    let lived = connected_at.elapsed();
                    match signal {
                        Some(Signal::Stop) => break,
                        Some(Signal::Reconnect) => (None, reopening.on_request(lived, random_u32())),
                        None if self.answered.load(Ordering::Relaxed) => (None, reopening.after_answers(lived)),
                        None => (Some(self.why_silent()), reopening.after_session(lived, random_u32())),
                    }
                }
                Err(reason) => (Some(reason), reopening.after_failure(random_u32())),
            };
            match down {
                Some(reason) => {
                    self.life.set(LinkState::Down { reason: reason.clone() });
                    self.phase.send_replace(Phase::Waiting { reason });
                }
                None => {
                    self.life.set(LinkState::Connecting);
                    self.phase.send_replace(Phase::Connecting);
                }
            }
            if !signals.pause(wait).await {
                break;
            }
            self.life.set(LinkState::Connecting);
        }
        self.phase.send_replace(Phase::Waiting { reason: "stopped".into() });
    }

    /// Why a connection that brought no answer is down.
    fn why_silent(&self) -> String {
        match self.life.state() {
            LinkState::Down { reason } => reason,
            _ => format!("{} closed the connection without an answer", self.address),
        }
    }

    async fn connect(&self) -> Result<CancellationToken, String> {
        let connect = TcpStream::connect((self.address.host.as_str(), self.address.port));
        let stream = match tokio::time::timeout(self.connect_timeout, connect).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(format!("cannot connect to {}: {error}", self.address)),
            Err(_) => {
                let limit = self.connect_timeout.as_millis();
                return Err(format!("cannot connect to {}: no answer within {limit} ms", self.address));
            }
        };
        stream.set_nodelay(true).map_err(|error| format!("{}: {error}", self.address))?;
        let stream = Arc::new(stream);
        let closed = CancellationToken::new();
        let client = tcp::attach_slave(SharedStream(stream.clone()), Slave(self.unit)).into();
        let had_answered = self.answered.swap(false, Ordering::Relaxed);
        let first = self.connects.fetch_add(1, Ordering::Relaxed) == 0;
        self.slot.lock().await.0 = Some(Connected { client, stream, closed: closed.clone() });
        self.phase.send_replace(Phase::Connected);
        // After a connection that never answered, only an answer shows that the device is there.
        if first || had_answered {
            self.life.set(LinkState::Up);
        }
        Ok(closed)
    }
}

/// Tells the keeper that the connection is gone, unless it was put back.
struct LostUnlessKept<'a> {
    phase: &'a watch::Sender<Phase>,
    connected: &'a mut Option<Connected>,
}

impl Drop for LostUnlessKept<'_> {
    fn drop(&mut self) {
        if self.connected.is_none() {
            self.phase.send_if_modified(|phase| {
                let was_connected = *phase == Phase::Connected;
                if was_connected {
                    *phase = Phase::Connecting;
                }
                was_connected
            });
        }
    }
}

/// Whether nothing has come since the last answer: neither the end of the connection nor stray bytes.
fn is_idle(stream: &TcpStream) -> bool {
    matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// A stream that the Modbus client reads and writes while we can still look at it.
#[derive(Debug)]
struct SharedStream(Arc<TcpStream>);

impl AsyncRead for SharedStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(context))?;
            match self.0.try_read(buffer.initialize_unfilled()) {
                Ok(count) => {
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for SharedStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(context))?;
            match self.0.try_write(data) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The stream is closed when its last handle goes.
        Poll::Ready(Ok(()))
    }
}
