//! What these tests look on at: a serial device behind socat that answers lines, and a tap as a process.

use anyhow::{Context, Result};
use bulkhead_tests::{Gateway, Lines, SerialPair, gateway_binary, within};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value as Json;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use tokio::process::{Child, Command};

/// A weighing scale at one end of a line: it answers `READ` with one more than before, anything else with `ERR`. It speaks on a
/// thread of its own until the line is gone.
pub(crate) fn scale_at(line: &SerialPair) -> Result<()> {
    let mut device = OpenOptions::new().read(true).write(true).open(line.device())?;
    let requests = BufReader::new(device.try_clone()?);
    std::thread::spawn(move || {
        let mut kilograms = 12.5;
        for request in requests.lines() {
            let Ok(request) = request else { return };
            let answer =
                if request.starts_with("READ") { format!("ST,GS,+{kilograms:07.1}kg\r\n") } else { "ERR\r\n".into() };
            kilograms += 1.0;
            if device.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// A connection that asks the scale with `request`.
pub(crate) fn weighing(line: &SerialPair, request: &str, interval_ms: u32) -> String {
    format!(
        r#"
[connections.scale]
adapter = "serial-text"
poll_interval_ms = {interval_ms}

[connections.scale.transports.device]
kind = "serial"
port = "{}"
framing = {{ delimiter = "\r\n" }}

[connections.scale.settings]
poll = {{ request = "{request}\r\n" }}

[[connections.scale.settings.patterns]]
regex = '^(?<flag>ST|US|OL),GS,(?<weight>[-+ 0-9.]+)kg$'
status = {{ capture = "flag", values = {{ ST = "Good", US = "Uncertain", OL = "BadOutOfRange" }} }}
points = [{{ name = "weight", unit = "kg" }}]
"#,
        line.gateway().display()
    )
}

/// `bulkhead tap` as a process, its lines kept.
pub(crate) struct Tap {
    child: Child,
    pub(crate) lines: Lines,
    pub(crate) notes: Lines,
}

impl Tap {
    /// Begins, and waits until everything from here on is told.
    pub(crate) async fn start(gateway: &Gateway, arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(gateway_binary()?);
        command.arg("tap").args(arguments).env("BULKHEAD_CONFIG", gateway.site().path("running.toml"));
        command
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        let lines = Lines::capture(child.stdout.take().context("stdout was asked for")?);
        let notes = Lines::capture(child.stderr.take().context("stderr was asked for")?);
        let tap = Self { child, lines, notes };
        let begun = tap.lines.wait_for("the first line", |line| {
            (line.contains("looking on at") || line.contains(r#""kind":"tap""#)).then_some(())
        });
        begun.await.with_context(|| tap.notes.last())?;
        Ok(tap)
    }

    /// A line of JSON, past or to come.
    pub(crate) async fn line(&self, what: &str, wanted: impl Fn(&Json) -> bool) -> Result<Json> {
        self.lines.wait_for(what, |line| serde_json::from_str(line).ok().filter(|line| wanted(line))).await
    }

    /// Ctrl-C. Returns the exit code.
    pub(crate) async fn interrupt(mut self) -> Result<Option<i32>> {
        let pid = self.child.id().context("the tap has ended by itself")?;
        kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGINT)?;
        self.ended().await
    }

    /// Waits for its end. Returns the exit code.
    pub(crate) async fn ended(&mut self) -> Result<Option<i32>> {
        let status = within("the tap to end", self.child.wait()).await??;
        self.notes.ended().await?;
        Ok(status.code())
    }
}
