//! A config with its data folder on disk, and the gateway's commands on it.

use crate::gateway::Gateway;
use crate::programs::{adapters, compiled_adapters, gateway_binary};
use crate::wait::within;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;
use tokio::process::Command;

/// The config's file.
pub(crate) const CONFIG: &str = "gateway.toml";

/// A folder with a config and the gateway's data. Gone when dropped.
#[derive(Debug)]
pub struct Site {
    folder: TempDir,
    /// What its gateway finds in its environment beside the usual.
    pub(crate) environment: Vec<(String, String)>,
}

/// What a command of the gateway came to.
#[derive(Debug)]
pub struct CommandOutput {
    /// The exit code; none: ended by a signal.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Site {
    /// A site with these connections and routes; folders and a free port for the API are added.
    ///
    /// # Errors
    /// Where the adapters or the gateway are not built, or the disk refuses.
    pub fn new(connections_and_routes: &str) -> Result<Self> {
        let adapters = adapters()?;
        // Readings of the gateway's own health come in between those of a test; one that wants them says so.
        let health = if connections_and_routes.contains("[health]") { "" } else { "[health]\ninterval_s = 0\n\n" };
        let head = format!(
            "[gateway]\ndata_dir = \"data\"\nadapters_dir = \"{}\"\n\n[api]\nlisten = \"127.0.0.1:0\"\n\n{health}",
            adapters.display()
        );
        Self::verbatim(&(head + connections_and_routes))
    }

    /// A site with exactly this config. Its data folder should be `data`.
    ///
    /// # Errors
    /// As [`Site::new`].
    pub fn verbatim(config: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("bulkhead-test-").tempdir().context("no temporary folder")?;
        let data = folder.path().join("data");
        std::fs::create_dir(&data)?;
        std::os::unix::fs::symlink(compiled_adapters()?, data.join("compiled"))?;
        let site = Self { folder, environment: Vec::new() };
        site.write_file(CONFIG, config)?;
        Ok(site)
    }

    /// The same with a variable in the environment of its gateway.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// A path inside the site.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file beside the config.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn write_file(&self, name: &str, text: &str) -> Result<()> {
        let path = self.path(name);
        std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))
    }

    /// The config as it is.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn config(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.path(CONFIG))?)
    }

    /// Runs the gateway; it is ready when this returns.
    ///
    /// # Errors
    /// With the gateway's last lines when it does not get ready.
    pub async fn run(self) -> Result<Gateway> {
        Gateway::run(self).await
    }

    /// One of the gateway's commands, with this config: `site.command(["check", "--json"])`.
    ///
    /// # Errors
    /// When it cannot be started or does not end.
    pub async fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Result<CommandOutput> {
        let config = self.path(CONFIG);
        run_command(arguments, Some(&config)).await
    }
}

/// A command of the gateway, with or without a config.
///
/// # Errors
/// When it cannot be started or does not end.
pub async fn run_command<'a>(
    arguments: impl IntoIterator<Item = &'a str>,
    config: Option<&Path>,
) -> Result<CommandOutput> {
    let mut command = clean_command()?;
    command.args(arguments).stdin(Stdio::null());
    if let Some(config) = config {
        command.env("BULKHEAD_CONFIG", config);
    }
    let shown = format!("{:?}", command.as_std());
    let output = within(&shown, command.output()).await?.with_context(|| format!("{shown} cannot be started"))?;
    Ok(CommandOutput {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// The gateway's program, to be given arguments. It ends with its handle.
pub(crate) fn clean_command() -> Result<Command> {
    let mut command = Command::new(gateway_binary()?);
    clean(&mut command);
    Ok(command)
}

/// Takes out of a command's environment what would change the gateway. It ends with its handle.
pub(crate) fn clean(command: &mut Command) {
    command.env_remove("BULKHEAD_CONFIG").env_remove("http_proxy").env("NO_COLOR", "1").kill_on_drop(true);
}

impl CommandOutput {
    /// What it printed, if it ended with this code.
    ///
    /// # Errors
    /// With everything it said when it ended otherwise.
    pub fn expect_code(self, code: i32) -> Result<Self> {
        anyhow::ensure!(self.code == Some(code), "expected exit code {code}: {self}");
        Ok(self)
    }

    /// stdout as JSON.
    ///
    /// # Errors
    /// Where it is none.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("no JSON on stdout: {self}"))
    }
}

impl std::fmt::Display for CommandOutput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit code {:?}\nstdout:\n{}\nstderr:\n{}", self.code, self.stdout, self.stderr)
    }
}
