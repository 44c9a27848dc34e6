//! The task of a byte line: keeps it open, cuts what arrives into frames for the listener, and runs exchanges one at a
//! time, which own the input while they run.
//!
//! When nobody takes frames fast enough, a TCP stream is no longer read, so that its sender waits; a serial device
//! cannot wait, so its frames are dropped, counted and reported.

use super::framing::{Framer, Piece, Rule};
use super::port::{Place, Port};
use crate::lifecycle::{Lifecycle, Signal, Signals};
use crate::queue::{Filler, Weighed};
use crate::reopening::Reopening;
use crate::repeats::Kind;
use crate::serial_port::LineMode;
use bulkhead_model::transport::Reconnect;
use bulkhead_sandbox::backoff::random_u32;
use bulkhead_sandbox::capability::{Clock, Frame, FrameKind, LinkState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// Bytes asked of the line at once.
const READ_BYTES: usize = 16 * 1024;
/// How long after its timeout an answer on a serial line is still waited for, to be thrown away.
const LATE_ANSWER_MS: u64 = 100;
/// After an exchange without an answer a serial line must have been silent this long before it is used again.
const DRAIN_SILENCE_MS: u64 = 20;
/// Longest time to wait for that silence.
const DRAIN_MAX_MS: u64 = 500;

/// What the transport asks of its task.
pub(crate) enum Command {
    /// Send, then read one frame.
    Exchange {
        request: Vec<u8>,
        rule: Rule,
        timeout: Duration,
        line: Option<LineMode>,
        reply: oneshot::Sender<Result<Vec<u8>, LineError>>,
    },
    /// Send.
    Send { data: Vec<u8>, reply: oneshot::Sender<Result<(), LineError>> },
}

/// Why an exchange failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LineError {
    /// The line is not open.
    NotConnected(String),
    /// No complete frame in time; how many bytes of it had come.
    Timeout { received: usize },
    /// The answer was longer than a frame may be.
    TooLong(usize),
    /// The line ended during the exchange.
    Lost(String),
    /// The port does not take the settings asked for.
    Settings(String),
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) opens: AtomicU64,
    pub(crate) frames: AtomicU64,
    pub(crate) too_long: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) exchanges: AtomicU64,
    pub(crate) timeouts: AtomicU64,
}

pub(crate) struct Driver {
    pub(crate) place: Place,
    pub(crate) rule: Rule,
    pub(crate) max_frame: usize,
    pub(crate) write_timeout: Duration,
    pub(crate) reconnect: Reconnect,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) life: Arc<Lifecycle>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) frames: Filler<Frame>,
}

impl Weighed for Frame {
    fn bytes(&self) -> usize {
        self.payload.len()
    }
}

/// How a session on an open line ended.
enum End {
    Stop,
    Reconnect,
    Lost(String),
}

impl Driver {
    /// Opens the line and keeps it open until the transport stops.
    pub(crate) async fn keep(mut self) {
        let mut signals = self.life.signals();
        let mut reopening = Reopening::new(self.reconnect);
        loop {
            let place = self.place.clone();
            let opened = tokio::select! {
                opened = place.open() => opened,
                signal = signals.next() => if signal == Signal::Stop { return } else { continue },
            };
            let (state, wait) = match opened {
                Ok(port) => {
                    self.counters.opens.fetch_add(1, Ordering::Relaxed);
                    self.life.set(LinkState::Up);
                    self.notice(FrameKind::Connected);
                    let opened_at = Instant::now();
                    let end = self.session(port, &mut signals).await;
                    self.notice(FrameKind::Disconnected);
                    let lived = opened_at.elapsed();
                    match end {
                        End::Stop => return,
                        End::Reconnect => (LinkState::Connecting, reopening.on_request(lived, random_u32())),
                        End::Lost(reason) => (LinkState::Down { reason }, reopening.after_session(lived, random_u32())),
                    }
                }
                Err(reason) => (LinkState::Down { reason }, reopening.after_failure(random_u32())),
            };
            let reason = match &state {
                LinkState::Down { reason } => reason.clone(),
                _ => "it is opened anew on request".to_owned(),
            };
            self.life.set(state);
            if !self.refuse_for(wait, &reason, &mut signals).await {
                return;
            }
            self.life.set(LinkState::Connecting);
        }
    }

    /// Answers commands with why the line is down, until it is time to try again. False: the transport stops.
    async fn refuse_for(&mut self, wait: Duration, reason: &str, signals: &mut Signals) -> bool {
        let mut over = std::pin::pin!(tokio::time::sleep(wait));
        loop {
            tokio::select! {
                () = &mut over => return true,
                signal = signals.next() => return signal == Signal::Reconnect,
                Some(command) = self.commands.recv() => {
                    let error = LineError::NotConnected(reason.to_owned());
                    match command {
                        Command::Exchange { reply, .. } => drop(reply.send(Err(error))),
                        Command::Send { reply, .. } => drop(reply.send(Err(error))),
                    }
                }
            }
        }
    }

    fn notice(&self, kind: FrameKind) {
        self.frames.push_notice(self.frame(kind, Vec::new()));
    }

    fn frame(&self, kind: FrameKind, payload: Vec<u8>) -> Frame {
        Frame {
            kind,
            topic: String::new(),
            payload,
            received: self.clock.now().0,
            retained: false,
            properties: Vec::new(),
        }
    }

    /// Uses an open line until it ends.
    async fn session(&mut self, mut port: Port, signals: &mut Signals) -> End {
        let mut framer = Framer::new(self.rule.clone(), self.max_frame);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let reads = self.place.cannot_wait() || self.frames.has_room();
            let silence = framer.waits_for_silence();
            let event = tokio::select! {
                signal = signals.next() => return if signal == Signal::Stop { End::Stop } else { End::Reconnect },
                Some(command) = self.commands.recv() => Event::Command(command),
                read = port.read(&mut buffer), if reads => Event::Read(read),
                () = self.frames.room(), if !reads => Event::Nothing,
                () = tokio::time::sleep(silence.unwrap_or_default()), if silence.is_some() => Event::Silence,
            };
            let result = match event {
                Event::Nothing => Ok(()),
                Event::Silence => {
                    let piece = framer.silence();
                    self.give(piece);
                    Ok(())
                }
                Event::Read(read) => read.map(|count| self.feed(&mut framer, &buffer[..count])),
                Event::Command(command) => tokio::select! {
                    result = self.run(command, &mut port, &mut framer, &mut buffer) => result,
                    signal = signals.next() => return if signal == Signal::Stop { End::Stop } else { End::Reconnect },
                },
            };
            if let Err(reason) = result {
                return End::Lost(reason);
            }
        }
    }

    fn feed(&self, framer: &mut Framer, data: &[u8]) {
        framer.push(data);
        while let Some(piece) = framer.next() {
            self.give(Some(piece));
        }
    }

    /// Hands a frame to the listener.
    fn give(&self, piece: Option<Piece>) {
        match piece {
            None => {}
            Some(Piece::TooLong(bytes)) => {
                self.counters.too_long.fetch_add(1, Ordering::Relaxed);
                let max = self.max_frame;
                let message = format!("a frame of {bytes} bytes was dropped: at most {max} (max_frame_bytes)");
                self.life.warn_seldom(Kind::TooLong, &message);
            }
            Some(Piece::Frame(_)) if self.place.cannot_wait() && !self.frames.has_room() => {
                let lost = self.counters.lost.fetch_add(1, Ordering::Relaxed) + 1;
                let message = format!("{lost} frames dropped so far: they come faster than they are taken");
                self.life.warn_seldom(Kind::Overrun, &message);
            }
            Some(Piece::Frame(payload)) => {
                self.counters.frames.fetch_add(1, Ordering::Relaxed);
                self.frames.push_all(&mut vec![self.frame(FrameKind::Data, payload)]);
            }
        }
    }

    /// Runs one command. The error means that the line must be opened anew.
    async fn run(
        &self,
        command: Command,
        port: &mut Port,
        framer: &mut Framer,
        buffer: &mut [u8],
    ) -> Result<(), String> {
        match command {
            Command::Send { data, reply } => {
                let written = self.write(port, &data).await;
                let lost = lost(&written);
                let _ = reply.send(written);
                lost
            }
            // Who asked has given up: a request that was not sent yet is not sent any more.
            Command::Exchange { reply, .. } if reply.is_closed() => Ok(()),
            Command::Exchange { request, rule, timeout, line, mut reply } => {
                self.counters.exchanges.fetch_add(1, Ordering::Relaxed);
                let before = match line.map_or(Ok(None), |line| port.set_mode(line)) {
                    Ok(before) => before,
                    Err(reason) => {
                        let _ = reply.send(Err(LineError::Settings(reason)));
                        return Ok(());
                    }
                };
                let result = tokio::select! {
                    result = self.exchange(port, framer, buffer, &request, rule, timeout) => result,
                    // Given up half-way: as if the answer had not come, for it may still.
                    () = reply.closed() => Err(LineError::Timeout { received: 0 }),
                };
                let mut outcome = lost(&result);
                if matches!(result, Err(LineError::Timeout { .. } | LineError::TooLong(_))) {
                    self.counters.timeouts.fetch_add(1, Ordering::Relaxed);
                    outcome = self.forget_late_answer(port, buffer).await;
                }
                if let (Some(before), Ok(())) = (before, &outcome) {
                    outcome = port.set_mode(before).map(|_| ());
                }
                let _ = reply.send(result);
                outcome
            }
        }
    }

    async fn write(&self, port: &mut Port, data: &[u8]) -> Result<(), LineError> {
        match tokio::time::timeout(self.write_timeout, port.write_all(data)).await {
            Ok(written) => written.map_err(LineError::Lost),
            Err(_) => {
                let limit = self.write_timeout.as_millis();
                Err(LineError::Lost(format!("{} did not take the bytes within {limit} ms", self.place)))
            }
        }
    }

    async fn exchange(
        &self,
        port: &mut Port,
        listening: &mut Framer,
        buffer: &mut [u8],
        request: &[u8],
        rule: Rule,
        timeout: Duration,
    ) -> Result<Vec<u8>, LineError> {
        let mut framer = Framer::new(rule, self.max_frame);
        if request.is_empty() {
            framer.push(&listening.take_partial());
        } else {
            self.hear_what_waits(port, listening, buffer).await?;
            listening.take_partial();
            self.write(port, request).await?;
        }
        let frame = self.answer(port, &mut framer, buffer, timeout).await;
        let rest = framer.take_partial();
        if frame.is_ok() {
            self.feed(listening, &rest);
        }
        frame
    }

    /// What came before the request is no answer to it: it belongs to the listener.
    async fn hear_what_waits(
        &self,
        port: &mut Port,
        listening: &mut Framer,
        buffer: &mut [u8],
    ) -> Result<(), LineError> {
        while let Ok(read) = tokio::time::timeout(Duration::ZERO, port.read(buffer)).await {
            let count = read.map_err(LineError::Lost)?;
            self.feed(listening, &buffer[..count]);
            if !self.frames.has_room() {
                break;
            }
        }
        Ok(())
    }

    async fn answer(
        &self,
        port: &mut Port,
        framer: &mut Framer,
        buffer: &mut [u8],
        timeout: Duration,
    ) -> Result<Vec<u8>, LineError> {
        let mut over = std::pin::pin!(tokio::time::sleep(timeout));
        let mut received = 0;
        loop {
            match framer.next() {
                Some(Piece::Frame(frame)) => return Ok(frame),
                Some(Piece::TooLong(bytes)) => return Err(LineError::TooLong(bytes)),
                None => {}
            }
            let silence = framer.waits_for_silence();
            tokio::select! {
                biased;
                read = port.read(buffer) => {
                    let count = read.map_err(LineError::Lost)?;
                    received += count;
                    framer.push(&buffer[..count]);
                }
                () = tokio::time::sleep(silence.unwrap_or_default()), if silence.is_some() => {
                    match framer.silence() {
                        Some(Piece::Frame(frame)) => return Ok(frame),
                        Some(Piece::TooLong(bytes)) => return Err(LineError::TooLong(bytes)),
                        None => {}
                    }
                }
                () = &mut over => return Err(LineError::Timeout { received }),
            }
        }
    }

    /// Makes sure that a late answer does not answer the next request: a TCP connection is closed, a serial line is
    /// drained until it is silent.
    async fn forget_late_answer(&self, port: &mut Port, buffer: &mut [u8]) -> Result<(), String> {
        if !self.place.cannot_wait() {
            return Err(format!("{} did not answer in time; the connection is opened anew", self.place));
        }
        let until_silent = async {
            let mut patience = Duration::from_millis(LATE_ANSWER_MS);
            while let Ok(read) = tokio::time::timeout(patience, port.read(buffer)).await {
                read?;
                patience = Duration::from_millis(DRAIN_SILENCE_MS);
            }
            Ok(())
        };
        tokio::time::timeout(Duration::from_millis(DRAIN_MAX_MS), until_silent).await.unwrap_or(Ok(()))
    }
}

enum Event {
    Nothing,
    Silence,
    Read(Result<usize, String>),
    Command(Command),
}

fn lost<T>(result: &Result<T, LineError>) -> Result<(), String> {
    match result {
        Err(LineError::Lost(reason)) => Err(reason.clone()),
        _ => Ok(()),
    }
}
