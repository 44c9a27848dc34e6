//! Where the measurements find adapters and the gateway, and where they put their logs.

use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// What all measurements share.
pub(crate) struct Place {
    /// The folder of the adapters' components.
    pub(crate) adapters: PathBuf,
    /// The gateway's binary.
    pub(crate) gateway: PathBuf,
    /// Runs of each kind behind a ratio.
    pub(crate) rounds: u16,
    /// A folder on a real disk, so that a sync is one: `target/` of the current folder.
    scratch: TempDir,
}

impl Place {
    /// From the environment variables that `cargo xtask bench` sets.
    pub(crate) fn find(rounds: u16) -> Result<Self> {
        let path = |variable: &str| {
            let value = std::env::var_os(variable).map(PathBuf::from);
            value.with_context(|| format!("{variable} is not set: run `cargo xtask bench`"))
        };
        let adapters = path("BULKHEAD_ADAPTERS")?;
        if !adapters.join("modbus-registers.wasm").is_file() {
            bail!("{} holds no adapters: run `cargo xtask build-adapters`", adapters.display());
        }
        let target = std::env::current_dir()?.join("target");
        std::fs::create_dir_all(&target).with_context(|| format!("{} cannot be made", target.display()))?;
        let scratch = tempfile::Builder::new().prefix("bench-").tempdir_in(&target)?;
        let adapters = std::fs::canonicalize(adapters)?;
        Ok(Self { adapters, gateway: path("BULKHEAD_GATEWAY")?, rounds, scratch })
    }

    /// A new folder, removed with the handle.
    pub(crate) fn folder(&self) -> Result<TempDir> {
        Ok(tempfile::tempdir_in(self.scratch.path())?)
    }

    /// Where compiled adapters are kept, so that only the first run compiles.
    pub(crate) fn cache(&self) -> PathBuf {
        self.scratch.path().join("compiled")
    }

    /// The gateway's binary, if it is there.
    pub(crate) fn gateway(&self) -> Result<&PathBuf> {
        if !self.gateway.is_file() {
            bail!("{} is not there: run `cargo xtask bench`, which builds the gateway", self.gateway.display());
        }
        Ok(&self.gateway)
    }

    /// The folder of what measures decoding.
    pub(crate) fn decoding(&self) -> Result<PathBuf> {
        let folder = std::env::var_os("BULKHEAD_DECODING").map(PathBuf::from);
        folder.context("BULKHEAD_DECODING is not set: run `cargo xtask bench`")
    }

    /// The log's own measurements, built beside the gateway.
    pub(crate) fn log_bench(&self) -> Result<PathBuf> {
        let program = self.gateway.with_file_name("examples").join("log_bench");
        if !program.is_file() {
            bail!("{} is not there: run `cargo xtask bench`, which builds it", program.display());
        }
        Ok(program)
    }
}

/// A runtime of its own for the simulated devices: one thread, as if they were another process.
pub(crate) fn field() -> Result<Runtime> {
    Ok(Builder::new_multi_thread().worker_threads(1).thread_name("field").enable_all().build()?)
}

/// The runtime of what is measured, as the gateway has it; the same for what is done by hand.
pub(crate) fn subject() -> Result<Runtime> {
    let threads = std::thread::available_parallelism().map_or(2, |cores| cores.get().min(4));
    Ok(Builder::new_multi_thread().worker_threads(threads).thread_name("subject").enable_all().build()?)
}
