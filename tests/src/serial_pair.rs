//! Two ends of a serial line, made by socat out of two pseudo-terminals.

use crate::lines::Lines;
use crate::programs::program;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// A running socat between two pseudo-terminals. Dropping it ends the line.
#[derive(Debug)]
pub struct SerialPair {
    folder: TempDir,
    _child: Child,
}

impl SerialPair {
    /// Makes the pair.
    ///
    /// # Errors
    /// Where socat is missing or makes no line.
    pub async fn start() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("bulkhead-line-").tempdir()?;
        let end = |name: &str| format!("pty,rawer,echo=0,link={}", folder.path().join(name).display());
        let mut command = Command::new(program("socat")?);
        command.args(["-d", "-d", &end("device"), &end("gateway")]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("socat cannot be started")?;
        let lines = Lines::capture(child.stderr.take().context("stderr was asked for")?);
        // Both ends and their links are there when socat starts to carry bytes.
        lines.wait_for_texts(&["starting data transfer loop"]).await?;
        Ok(Self { folder, _child: child })
    }

    /// The end for the device.
    #[must_use]
    pub fn device(&self) -> PathBuf {
        self.end("device")
    }

    /// The end for the gateway.
    #[must_use]
    pub fn gateway(&self) -> PathBuf {
        self.end("gateway")
    }

    fn end(&self, name: &str) -> PathBuf {
        let folder: &Path = self.folder.path();
        folder.join(name)
    }
}
