//! Devices that talk text over a serial line: a weighing scale and an NMEA 0183 instrument, each on a pseudo-terminal.

use crate::{Pty, PtyMaster, SimulatorError, service::Tasks};
use parking_lot::Mutex;
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{mpsc, oneshot},
    time::{Interval, MissedTickBehavior, interval},
};

/// Bytes that wait to be written by hand, in writes; the caller waits beyond.
const RAW_QUEUE: usize = 16;

/// Longest poll string that is recognised.
const MAX_POLL_BYTES: usize = 256;

/// When a scale speaks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ScaleMode {
    /// On its own, at each interval.
    Continuous(Duration),
    /// When it reads this string, such as `P\r\n`.
    Polled(Vec<u8>),
}

/// What a scale shows.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Weight {
    /// Kilograms; beyond ±99999.9 it reports overload.
    pub kilograms: f64,
    /// Whether it has come to rest.
    pub is_stable: bool,
}

/// Heaviest weight a scale can show in kilograms; beyond it says overload.
const MAX_KILOGRAMS: f64 = 99_999.9;

impl Weight {
    /// One line as scales of the common `ST,GS` format send it: stable or unstable or overload, gross, sign, seven
    /// characters, unit, carriage return and line feed.
    #[must_use]
    pub fn line(self) -> String {
        let sign = if self.kilograms < 0.0 { '-' } else { '+' };
        let magnitude = self.kilograms.abs();
        let state = match self.is_stable {
            _ if magnitude > MAX_KILOGRAMS => return format!("OL,GS,{sign}99999.9kg\r\n"),
            true => "ST",
            false => "US",
        };
        format!("{state},GS,{sign}{magnitude:07.1}kg\r\n")
    }
}

/// A serial weighing scale on a pseudo-terminal, until it is stopped or dropped.
#[derive(Debug)]
pub struct Scale {
    talker: Talker,
    weight: Arc<Mutex<Weight>>,
}

impl Scale {
    /// Opens a pseudo-terminal and speaks on it. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`SimulatorError::Pty`] where none can be opened.
    pub fn start(mode: ScaleMode, weight: Weight) -> Result<Self, SimulatorError> {
        let weight = Arc::new(Mutex::new(weight));
        let shown = weight.clone();
        let talker = Talker::start(mode, move |_| shown.lock().line())?;
        Ok(Self { talker, weight })
    }

    /// The device file to open.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.talker.path
    }

    /// Puts something on the scale.
    pub fn set_weight(&self, weight: Weight) {
        *self.weight.lock() = weight;
    }

    /// Lines sent.
    #[must_use]
    pub fn lines_sent(&self) -> u64 {
        self.talker.lines.load(Relaxed)
    }

    /// Writes bytes as they are, between two lines: a torn line, garbage, an echo.
    ///
    /// # Errors
    /// [`SimulatorError::Stopped`], [`SimulatorError::Write`].
    pub async fn write_raw(&self, bytes: &[u8]) -> Result<(), SimulatorError> {
        self.talker.write_raw(bytes).await
    }

    /// Closes the line; the path is gone.
    pub async fn stop(&mut self) {
        self.talker.tasks.stop().await;
    }
}

/// A sentence of NMEA 0183 with its checksum: the exclusive or of all characters between `$` and `*`, hexadecimal.
#[must_use]
pub fn nmea_sentence(body: &str) -> String {
    format!("${body}*{:02X}\r\n", nmea_checksum(body))
}

fn nmea_checksum(body: &str) -> u8 {
    body.bytes().fold(0, |sum, byte| sum ^ byte)
}

/// An instrument that talks NMEA 0183 on a pseudo-terminal, until it is stopped or dropped.
#[derive(Debug)]
pub struct NmeaTalker {
    talker: Talker,
}

impl NmeaTalker {
    /// Sends one of the bodies in turn, such as `WIMWV,045.0,R,10.5,N,A`, at each interval. `wrong_checksum_every` n
    /// gives each n-th sentence a wrong checksum. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`SimulatorError::Pty`] where no pseudo-terminal can be opened.
    pub fn start(
        every: Duration,
        bodies: Vec<String>,
        wrong_checksum_every: Option<u64>,
    ) -> Result<Self, SimulatorError> {
        let talker = Talker::start(ScaleMode::Continuous(every), move |line| {
            let body = bodies.get(line as usize % bodies.len().max(1)).map_or("", String::as_str);
            match wrong_checksum_every {
                Some(every) if every > 0 && (line + 1).is_multiple_of(every) => {
                    format!("${body}*{:02X}\r\n", !nmea_checksum(body))
                }
                _ => nmea_sentence(body),
            }
        })?;
        Ok(Self { talker })
    }

    /// The device file to open.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.talker.path
    }

    /// Sentences sent.
    #[must_use]
    pub fn lines_sent(&self) -> u64 {
        self.talker.lines.load(Relaxed)
    }

    /// Writes bytes as they are, between two sentences.
    ///
    /// # Errors
    /// [`SimulatorError::Stopped`], [`SimulatorError::Write`].
    pub async fn write_raw(&self, bytes: &[u8]) -> Result<(), SimulatorError> {
        self.talker.write_raw(bytes).await
    }

    /// Closes the line; the path is gone.
    pub async fn stop(&mut self) {
        self.talker.tasks.stop().await;
    }
}

type Written = oneshot::Sender<std::io::Result<()>>;

/// One task that owns the line: it sends a line at each tick or poll, and raw bytes in between.
#[derive(Debug)]
struct Talker {
    path: PathBuf,
    lines: Arc<AtomicU64>,
    raw: mpsc::Sender<(Vec<u8>, Written)>,
    tasks: Tasks,
}

impl Talker {
    fn start(mode: ScaleMode, line: impl Fn(u64) -> String + Send + 'static) -> Result<Self, SimulatorError> {
        let Pty { master, path } = Pty::open()?;
        let (raw, raw_writes) = mpsc::channel(RAW_QUEUE);
        let (lines, tasks) = (Arc::new(AtomicU64::new(0)), Tasks::default());
        let voice = Voice { line_end: master, raw_writes, lines: lines.clone(), line };
        let shown = path.display().to_string();
        tasks.spawn(async move {
            if let Err(error) = voice.run(mode).await {
                tracing::warn!(%error, path = shown, "simulated serial line broke");
            }
        });
        Ok(Self { path, lines, raw, tasks })
    }

    async fn write_raw(&self, bytes: &[u8]) -> Result<(), SimulatorError> {
        let (done, written) = oneshot::channel();
        self.raw.send((bytes.to_vec(), done)).await.map_err(|_| SimulatorError::Stopped)?;
        let written = written.await.map_err(|_| SimulatorError::Stopped)?;
        written.map_err(|source| SimulatorError::Write { path: self.path.display().to_string(), source })
    }
}

struct Voice<F> {
    line_end: PtyMaster,
    raw_writes: mpsc::Receiver<(Vec<u8>, Written)>,
    lines: Arc<AtomicU64>,
    line: F,
}

impl<F: Fn(u64) -> String> Voice<F> {
    async fn run(mut self, mode: ScaleMode) -> std::io::Result<()> {
        let (mut ticks, poll) = match mode {
            ScaleMode::Continuous(every) => (Some(steady(every)), None),
            ScaleMode::Polled(poll) => (None, Some(poll)),
        };
        let mut heard = Vec::new();
        let mut chunk = [0; MAX_POLL_BYTES];
        loop {
            tokio::select! {
                () = next_tick(&mut ticks) => self.say().await?,
                Some((bytes, done)) = self.raw_writes.recv() => {
                    let _ = done.send(self.line_end.write_all(&bytes).await);
                }
                count = self.line_end.read(&mut chunk) => {
                    heard.extend_from_slice(&chunk[..count?]);
                    for _ in 0..take_polls(&mut heard, poll.as_deref()) {
                        self.say().await?;
                    }
                }
            }
        }
    }

    async fn say(&mut self) -> std::io::Result<()> {
        let line = (self.line)(self.lines.load(Relaxed));
        self.line_end.write_all(line.as_bytes()).await?;
        self.lines.fetch_add(1, Relaxed);
        Ok(())
    }
}

fn steady(every: Duration) -> Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

async fn next_tick(ticks: &mut Option<Interval>) {
    match ticks {
        Some(ticks) => {
            ticks.tick().await;
        }
        None => std::future::pending().await,
    }
}

/// Takes what was heard up to the last poll string and returns how many there were; keeps a bounded rest.
fn take_polls(heard: &mut Vec<u8>, poll: Option<&[u8]>) -> usize {
    let mut polls = 0;
    if let Some(poll) = poll.filter(|poll| !poll.is_empty()) {
        while let Some(at) = heard.windows(poll.len()).position(|window| window == poll) {
            heard.drain(..at + poll.len());
            polls += 1;
        }
    }
    let excess = heard.len().saturating_sub(MAX_POLL_BYTES);
    heard.drain(..excess);
    polls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_scale() {
        let line = |kilograms, is_stable| Weight { kilograms, is_stable }.line();
        assert_eq!(line(123.4, true), "ST,GS,+00123.4kg\r\n");
        assert_eq!(line(-0.5, false), "US,GS,-00000.5kg\r\n");
        assert_eq!(line(99_999.9, true), "ST,GS,+99999.9kg\r\n");
        assert_eq!(line(123_456.0, true), "OL,GS,+99999.9kg\r\n");
    }

    #[test]
    fn a_published_nmea_sentence_has_its_checksum() {
        let body = "GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,";
        assert_eq!(nmea_sentence(body), format!("${body}*47\r\n"));
    }

    #[test]
    fn polls_are_found_torn_doubled_and_amid_noise() {
        let mut heard = b"xxP\r".to_vec();
        assert_eq!(take_polls(&mut heard, Some(b"P\r\n")), 0);
        heard.extend_from_slice(b"\nP\r\nP");
        assert_eq!(take_polls(&mut heard, Some(b"P\r\n")), 2);
        assert_eq!(heard, b"P");
        heard.extend_from_slice(&[0; 1000]);
        assert_eq!(take_polls(&mut heard, None), 0);
        assert_eq!(heard.len(), MAX_POLL_BYTES);
    }
}
