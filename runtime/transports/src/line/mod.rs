//! Byte lines: serial ports and TCP streams, with framing, exchanges and unsolicited frames.

mod driver;
pub(crate) mod framing;
mod port;

use crate::address::Address;
use crate::lifecycle::{Lifecycle, Task};
use crate::queue::{Taker, queue};
use crate::serial_port::LineMode;
use crate::{Capability, Context, Opened, TransportError};
use async_trait::async_trait;
use bulkhead_model::transport::{Framing as FramingSetting, Reconnect, Serial, Tcp};
use bulkhead_sandbox::capability::{
    ByteLine, Fault, Frame, FrameBatch, FrameSource, Framing, LineSettings, Link, LinkState, Remedy, Ticket,
};
use driver::{Command, Counters, Driver, LineError};
use framing::{FRAME_MAX, Rule};
use parking_lot::Mutex;
use port::Place;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// Most exchanges and sends that wait for the line.
const COMMANDS_MAX: usize = 16;
/// Longest request to send, in bytes.
const REQUEST_MAX: usize = 262_144;
/// Longest wait for an answer that a guest may ask for, in milliseconds.
const TIMEOUT_MAX_MS: u32 = 60_000;

/// A serial port or a TCP stream as a connection's transport.
struct Line {
    connection: String,
    place: Place,
    rule: Rule,
    max_frame: usize,
    timeout_ms: u32,
    commands: mpsc::Sender<Command>,
    /// Taken by `start`.
    driver: Mutex<Option<Driver>>,
    life: Arc<Lifecycle>,
    task: Task,
    counters: Arc<Counters>,
}

struct Settings<'a> {
    framing: &'a FramingSetting,
    timeout_ms: u32,
    max_frame_bytes: u32,
    reconnect: Reconnect,
}

pub(crate) fn open_serial(settings: &Serial, context: Context) -> Result<Opened, TransportError> {
    let mode = LineMode::from(&settings.line);
    mode.check().map_err(|(setting, value, expected)| context.setting_error(setting, value, expected))?;
    let place = Place::Serial { path: settings.line.port.clone(), mode };
    let (line, frames) = line(
        place,
        &context,
        &Settings {
            framing: &settings.framing,
            timeout_ms: settings.timeout_ms,
            max_frame_bytes: settings.max_frame_bytes,
            reconnect: settings.reconnect,
        },
    )?;
    Ok(Opened { link: line.clone(), capability: Capability::Serial(line), frames: Some(frames) })
}

pub(crate) fn open_tcp(settings: &Tcp, context: Context) -> Result<Opened, TransportError> {
    let address = Address::parse(&settings.address, None)
        .ok_or_else(|| context.setting_error("address", &settings.address, "`host:port`"))?;
    let place = Place::Tcp { address, connect_timeout: Duration::from_millis(settings.connect_timeout_ms.into()) };
    let (line, frames) = line(
        place,
        &context,
        &Settings {
            framing: &settings.framing,
            timeout_ms: settings.timeout_ms,
            max_frame_bytes: settings.max_frame_bytes,
            reconnect: settings.reconnect,
        },
    )?;
    Ok(Opened { link: line.clone(), capability: Capability::Tcp(line), frames: Some(frames) })
}

fn line(
    place: Place,
    context: &Context,
    settings: &Settings<'_>,
) -> Result<(Arc<Line>, Box<dyn FrameSource>), TransportError> {
    let max_frame = usize::try_from(settings.max_frame_bytes).unwrap_or(FRAME_MAX).clamp(1, FRAME_MAX);
    let rule = match settings.framing {
        FramingSetting::Delimiter(text) => Rule::Delimiter(text.clone().into_bytes()),
        FramingSetting::Length(length) => Rule::Length(usize::try_from(*length).unwrap_or(usize::MAX)),
        FramingSetting::IdleGapMs(gap) => Rule::IdleGap(Duration::from_millis((*gap).into())),
    };
    let rule = rule
        .check(max_frame)
        .map_err(|expected| context.setting_error("framing", format!("{:?}", settings.framing), expected))?;
    let (commands, received) = mpsc::channel(COMMANDS_MAX);
    let (filler, taker) = queue();
    let life = Arc::new(Lifecycle::new(context, place.to_string()));
    let counters = Arc::new(Counters::default());
    let driver = Driver {
        place: place.clone(),
        rule: rule.clone(),
        max_frame,
        write_timeout: Duration::from_millis(settings.timeout_ms.into()),
        reconnect: settings.reconnect,
        clock: context.clock.clone(),
        life: life.clone(),
        counters: counters.clone(),
        commands: received,
        frames: filler,
    };
    let line = Line {
        connection: context.connection.clone(),
        place,
        rule,
        max_frame,
        timeout_ms: settings.timeout_ms,
        commands,
        driver: Mutex::new(Some(driver)),
        life,
        task: Task::default(),
        counters,
    };
    Ok((Arc::new(line), Box::new(LineFrames { frames: taker, batches: 0 })))
}

impl Line {
    fn fault(&self, remedy: Remedy, code: &str, why: &str) -> Fault {
        Fault::new(remedy, code, format!("{} ({}): {why}", self.connection, self.place))
    }

    fn fault_of(&self, error: LineError, timeout_ms: u32) -> Fault {
        match error {
            LineError::NotConnected(reason) => {
                self.fault(Remedy::Retry, "not-connected", &format!("not connected: {reason}"))
            }
            LineError::Timeout { received: 0 } => self.fault(
                Remedy::Retry,
                "timeout",
                &format!("no answer within {timeout_ms} ms; are line settings and request right?"),
            ),
            LineError::Timeout { received } => self.fault(
                Remedy::Retry,
                "timeout",
                &format!("{received} bytes but no whole frame within {timeout_ms} ms; is the framing right?"),
            ),
            LineError::TooLong(bytes) => self.fault(
                Remedy::Reject,
                "too-large",
                &format!("an answer of {bytes} bytes: at most {} (max_frame_bytes)", self.max_frame),
            ),
            LineError::Lost(reason) => {
                self.fault(Remedy::Retry, "not-connected", &format!("the line was lost: {reason}"))
            }
            LineError::Settings(reason) => self.fault(Remedy::Reject, "bad-setting", &reason),
        }
    }

    fn rule_of(&self, framing: Option<Framing>) -> Result<Rule, Fault> {
        let rule = match framing {
            None => return Ok(self.rule.clone()),
            Some(Framing::Delimiter(bytes)) => Rule::Delimiter(bytes),
            Some(Framing::Length(length)) => Rule::Length(usize::try_from(length).unwrap_or(usize::MAX)),
            Some(Framing::IdleGapMs(gap)) => Rule::IdleGap(Duration::from_millis(gap.into())),
        };
        rule.check(self.max_frame)
            .map_err(|expected| self.fault(Remedy::Reject, "bad-setting", &format!("framing: expected {expected}")))
    }

    fn mode_of(&self, line: Option<LineSettings>) -> Result<Option<LineMode>, Fault> {
        let mode = line.as_ref().map(LineMode::from);
        match mode.map_or(Ok(()), LineMode::check) {
            Ok(()) => Ok(mode),
            Err((setting, value, expected)) => {
                let why = format!("{setting} is {value}: expected {expected}");
                Err(self.fault(Remedy::Reject, "bad-setting", &why))
            }
        }
    }

    async fn ask<T>(
        &self,
        data_bytes: usize,
        timeout_ms: u32,
        command: impl FnOnce(oneshot::Sender<Result<T, LineError>>) -> Command,
    ) -> Result<T, Fault> {
        if data_bytes > REQUEST_MAX {
            let why = format!("a request of {data_bytes} bytes: at most {REQUEST_MAX}");
            return Err(self.fault(Remedy::Reject, "too-large", &why));
        }
        let stopped = || self.fault(Remedy::Retry, "not-connected", "the transport is not running");
        if self.driver.lock().is_some() {
            return Err(stopped());
        }
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| stopped())?;
        let result = answer.await.map_err(|_| stopped())?;
        result.map_err(|error| self.fault_of(error, timeout_ms))
    }
}

#[async_trait]
impl ByteLine for Line {
    async fn exchange(
        &self,
        request: Vec<u8>,
        framing: Option<Framing>,
        timeout_ms: Option<u32>,
        line: Option<LineSettings>,
    ) -> Result<Vec<u8>, Fault> {
        let rule = self.rule_of(framing)?;
        let line = self.mode_of(line)?;
        let timeout_ms = timeout_ms.unwrap_or(self.timeout_ms).clamp(1, TIMEOUT_MAX_MS);
        let timeout = Duration::from_millis(timeout_ms.into());
        let bytes = request.len();
        self.ask(bytes, timeout_ms, |reply| Command::Exchange { request, rule, timeout, line, reply }).await
    }

    async fn send(&self, data: Vec<u8>) -> Result<(), Fault> {
        self.ask(data.len(), self.timeout_ms, |reply| Command::Send { data, reply }).await
    }
}

#[async_trait]
impl Link for Line {
    fn start(&self) {
        if let Some(driver) = self.driver.lock().take() {
            self.task.spawn(&self.life, driver.keep());
        }
    }

    fn state(&self) -> watch::Receiver<LinkState> {
        self.life.watch()
    }

    async fn reconnect(&self) {
        self.life.reconnect();
    }

    async fn stop(&self) {
        // A transport that never ran ends its frames too.
        drop(self.driver.lock().take());
        self.task.stop(&self.life).await;
    }

    fn describe(&self) -> String {
        self.place.to_string()
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        let counters = &self.counters;
        [
            ("connects_total", &counters.opens),
            ("frames_total", &counters.frames),
            ("frames_too_long_total", &counters.too_long),
            ("frames_lost_total", &counters.lost),
            ("exchanges_total", &counters.exchanges),
            ("exchange_timeouts_total", &counters.timeouts),
        ]
        .map(|(name, counter)| (name, counter.load(Ordering::Relaxed)))
        .into()
    }
}

/// Frames of a line. A byte stream cannot be asked for again, so there is nothing to acknowledge.
struct LineFrames {
    frames: Taker<Frame>,
    batches: u64,
}

#[async_trait]
impl FrameSource for LineFrames {
    async fn next(&mut self, max: usize) -> Option<FrameBatch> {
        let frames = self.frames.take(max).await?;
        self.batches += 1;
        Some(FrameBatch { frames, ticket: Ticket(self.batches) })
    }

    async fn acknowledge(&mut self, _: Ticket) {}
}
