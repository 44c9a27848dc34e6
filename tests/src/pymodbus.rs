//! A Modbus server by pymodbus, over TCP or over a serial line. What it holds stands in `tests/python/modbus_server.py`.

use crate::lines::Lines;
use crate::programs::{python, root};
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Stdio;
use tokio::process::{Child, Command};

/// A running pymodbus server. Dropping it ends it.
#[derive(Debug)]
pub struct Pymodbus {
    port: String,
    _child: Child,
    complaints: Lines,
}

impl Pymodbus {
    /// Serves on a free loopback port.
    ///
    /// # Errors
    /// Where the Python packages are missing or the server does not get ready.
    pub async fn tcp() -> Result<Self> {
        Self::start(&["tcp"]).await
    }

    /// Serves a serial line at 19200 baud.
    ///
    /// # Errors
    /// As [`Pymodbus::tcp`].
    pub async fn rtu(line: &Path) -> Result<Self> {
        Self::start(&["rtu", line.to_str().context("the line's path is no text")?]).await
    }

    async fn start(arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(python()?);
        command.arg(root().join("tests/tests/python/modbus_server.py")).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("Python cannot be started")?;
        let complaints = Lines::capture(child.stderr.take().context("stderr was asked for")?);
        let lines = Lines::capture(child.stdout.take().context("stdout was asked for")?);
        let ready = lines.wait_for("`ready <port>`", |line| line.strip_prefix("ready ").map(str::to_owned)).await;
        let port = ready.with_context(|| format!("pymodbus complained:{}", complaints.last()))?;
        Ok(Self { port, _child: child, complaints })
    }

    /// `127.0.0.1:port` of a server over TCP.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The TCP port as text.
    #[must_use]
    pub fn port(&self) -> &str {
        &self.port
    }

    /// What it wrote to stderr.
    #[must_use]
    pub fn complaints(&self) -> &Lines {
        &self.complaints
    }
}
