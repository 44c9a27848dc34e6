//! A gateway with neighbours that hostile connections come to and go from by reloads, and what is measured of it meanwhile.

use super::cases::bundles::{Bundle, sign_file, signed_by_acme};
use super::neighbours::{INTERVAL, Neighbours};
use crate::gateway::Gateway;
use crate::memory::Memory;
use crate::programs::adapters;
use crate::site::Site;
use anyhow::{Context, Result, ensure};
use bulkhead_bundle::{Installed, Installing, Trust, signature_file};
use reqwest::Method;
use serde_json::Value as Json;
use std::time::Duration;

/// Polls that the percentile before the first case is taken from.
const POLLS_BEFORE: usize = 200;

/// The gateway, its neighbours, and its memory.
pub(super) struct Plant {
    pub(super) gateway: Gateway,
    pub(super) neighbours: Neighbours,
    pub(super) memory: Memory,
    /// The neighbours' percentile without any hostile connection.
    pub(super) p99_before: Duration,
    quiet: String,
}

impl Plant {
    pub(super) async fn start(sections: &str) -> Result<Self> {
        let neighbours = Neighbours::start().await?;
        let quiet = format!(
            "[gateway]\ndata_dir = \"data\"\nadapters_dir = \"adapters\"\n\n[api]\nlisten = \"127.0.0.1:0\"\n\n\
             [health]\ninterval_s = 0\n\n{sections}{}",
            neighbours.config()
        );
        let site = Site::verbatim(&quiet)?;
        let folder = site.path("adapters");
        std::fs::create_dir(&folder)?;
        std::fs::copy(adapters()?.join("modbus-registers.wasm"), folder.join("modbus-registers.wasm"))?;
        // Where signatures are asked for, the neighbours' adapter needs one, too.
        sign_file(&folder.join("modbus-registers.wasm"))?;
        let gateway = site.run().await?;
        let memory = Memory::of(gateway.pid()?);
        let mut plant = Self { gateway, neighbours, memory, p99_before: Duration::MAX, quiet };
        plant.polled(50).await?;
        plant.neighbours.forget();
        plant.polled(POLLS_BEFORE).await?;
        plant.p99_before = plant.neighbours.p99().max(INTERVAL);
        Ok(plant)
    }

    /// Waits until the neighbours have been polled so often since they forgot.
    pub(super) async fn polled(&self, times: usize) -> Result<()> {
        crate::wait::until("the neighbours' polls", async || {
            let count = self.neighbours.count();
            Ok(if count >= times { Ok(()) } else { Err(format!("{count} of {times}")) })
        })
        .await
    }

    /// Puts an adapter's file in its place, whole at once.
    pub(super) fn install(&self, adapter: &str, bytes: &[u8]) -> Result<()> {
        let folder = self.gateway.site().path("adapters");
        let (new, place) = (folder.join(format!("{adapter}.new")), folder.join(format!("{adapter}.wasm")));
        std::fs::write(&new, bytes)?;
        std::fs::rename(&new, place)?;
        Ok(())
    }

    /// Puts an adapter's file in its place with what lies beside it, after what was accepted before it.
    pub(super) fn install_bundle(&self, adapter: &str, bundle: &Bundle) -> Result<()> {
        let folder = self.gateway.site().path("adapters");
        if let Some(accepted) = &bundle.accepted {
            let signature = Some(signed_by_acme(accepted)?);
            let judged = Installing::judged(adapter, accepted.clone(), signature, &Trust::default(), true)?;
            Installed::open(&folder, &self.gateway.site().path("data"))?.install(&judged)?;
        }
        self.install(adapter, &bundle.bytes)?;
        let beside = signature_file(&folder.join(format!("{adapter}.wasm")));
        match &bundle.signature {
            Some(signature) => std::fs::write(beside, signature)?,
            None => _ = std::fs::remove_file(beside),
        }
        Ok(())
    }

    /// Has the gateway take these connections and routes up beside the neighbours. The answer's status and body.
    pub(super) async fn reload(&self, more: &str) -> Result<(u16, Json)> {
        self.gateway.site().write_file("gateway.toml", &format!("{}{more}", self.quiet))?;
        self.gateway.api.send(Method::POST, "/api/v1/config/reload").await
    }

    /// Takes everything but the neighbours away.
    pub(super) async fn clear(&self) -> Result<()> {
        let (status, answer) = self.reload("").await?;
        ensure!(status == 200, "the hostile connection cannot be removed: {status} {answer}");
        Ok(())
    }

    /// The journal's lines from a moment on.
    pub(super) fn journal_since(&self, moment: jiff::Timestamp) -> Vec<String> {
        let is_later = |line: &String| {
            let time = line.split_once(' ').and_then(|(time, _)| time.parse::<jiff::Timestamp>().ok());
            time.is_some_and(|time| time >= moment)
        };
        self.gateway.journal.all().into_iter().filter(is_later).collect()
    }

    /// Whether the gateway answers, all neighbours run and are read.
    pub(super) async fn is_alive(&self) -> Result<()> {
        let (status, body) = self.gateway.api.get("/healthz").await.context("the gateway does not answer")?;
        ensure!(status == 200, "/healthz says {status}: {body}");
        for connection in self.gateway.api.connections().await? {
            if connection.name != super::NAME {
                ensure!(
                    connection.state == "running",
                    "{} is {}: {:?}",
                    connection.name,
                    connection.state,
                    connection.reason
                );
            }
        }
        Ok(())
    }
}
