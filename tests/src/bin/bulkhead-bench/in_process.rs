//! The gateway's engine inside this process: what the binary runs, without its command line and its API.

use crate::place::Place;
use anyhow::{Context, Result, anyhow};
use bulkhead_config::{AnyAdapter, Config};
use bulkhead_engine::Engine;
use bulkhead_log::{Log, LogConfig};
use bulkhead_sandbox::SandboxConfig;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;

/// A running engine with its log.
pub(crate) struct InProcess {
    pub(crate) engine: Engine,
    pub(crate) log: Log,
}

impl InProcess {
    /// Starts an engine on the text of a config with the defaults of the log, in an empty folder. `change` sets what
    /// the text may not: a poll interval of 0 polls again at once.
    pub(crate) fn start(place: &Place, dir: &Path, text: &str, change: impl FnOnce(&mut Config)) -> Result<Self> {
        let loaded = bulkhead_config::parse(text, &dir.join("gateway.toml"), &AnyAdapter)
            .map_err(|mistakes| anyhow!("the measurement's own config is wrong: {mistakes}"))?;
        let mut config = loaded.config;
        config.gateway.adapters_dir.clone_from(&place.adapters);
        change(&mut config);
        let log = LogConfig::new(dir).open().context("the log does not open")?;
        let sandbox = SandboxConfig { cache_dir: Some(place.cache()), ..SandboxConfig::default() }.build()?;
        Ok(Self { engine: Engine::start(Arc::new(config), log.clone(), sandbox), log })
    }

    /// Rows committed: in a new log the last seq.
    pub(crate) fn committed(&self) -> watch::Receiver<u64> {
        self.log.committed()
    }

    /// Stops in order and frees the folder.
    pub(crate) async fn stop(self) -> Result<()> {
        self.engine.stop().await;
        Ok(self.log.close().await?)
    }

    /// Why connections do not run, if some do not.
    pub(crate) fn trouble(&self) -> String {
        let waiting = self.engine.connections().into_iter().filter_map(|connection| {
            let reason = connection.phase.reason()?.to_owned();
            Some(format!("{}: {reason}", connection.name))
        });
        let waiting: Vec<String> = waiting.collect();
        if waiting.is_empty() { "every connection runs".into() } else { waiting.join("; ") }
    }
}
