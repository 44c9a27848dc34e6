//! An OData service by odatapy: an implementation of OData V4 that others wrote, with the entity set `Measurements`.

use crate::http_client::http_client;
use crate::lines::Lines;
use crate::programs::{python, root};
use anyhow::{Context, Result};
use serde_json::Value;
use std::process::Stdio;
use tokio::process::{Child, Command};

/// A running service. Dropping it ends it.
#[derive(Debug)]
pub struct ODataService {
    url: String,
    requests: Lines,
    complaints: Lines,
    _child: Child,
}

impl ODataService {
    /// Serves on a free loopback port. What an entity holds stands in `tests/python/odata_service.py`.
    ///
    /// # Errors
    /// Where the Python packages are missing or the service does not get ready.
    pub async fn start() -> Result<Self> {
        let mut command = Command::new(python()?);
        command.arg(root().join("tests/tests/python/odata_service.py"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("Python cannot be started")?;
        let complaints = Lines::capture(child.stderr.take().context("stderr was asked for")?);
        let requests = Lines::capture(child.stdout.take().context("stdout was asked for")?);
        let ready = requests.wait_for("`ready <port>`", |line| line.strip_prefix("ready ").map(str::to_owned)).await;
        let port = ready.with_context(|| format!("odatapy complained:{}", complaints.last()))?;
        Ok(Self { url: format!("http://127.0.0.1:{port}"), requests, complaints, _child: child })
    }

    /// The service's root.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The entities that a query brings.
    ///
    /// # Errors
    /// Where the service answers with none.
    pub async fn measurements(&self, query: &str) -> Result<Vec<Value>> {
        let client = http_client()?;
        let url = format!("{}/Measurements?{query}", self.url);
        let response = client.get(&url).send().await?.error_for_status().with_context(|| self.situation())?;
        let answer: Value = response.json().await?;
        answer["value"].as_array().cloned().with_context(|| format!("{url}: {answer}"))
    }

    /// What it was asked and what it complained about, for messages about failures.
    #[must_use]
    pub fn situation(&self) -> String {
        format!("the service was asked:{}\nand complained:{}", self.requests.last(), self.complaints.last())
    }
}
