//! The sink `odata` against SAP CAP, which refuses requests, swallows answers and is restarted while readings arrive.

use super::program::Check;
use crate::gateway::Gateway;
use crate::http_client::http_client;
use crate::lines::Lines;
use crate::numbers::{NUMBERS, commit_numbers};
use crate::wait::{until, within};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::{Child, Command};

/// The numbers that are committed before CAP is killed, while it is away, and afterwards.
const BEFORE: RangeInclusive<i64> = 1..=100;
const MEANWHILE: RangeInclusive<i64> = 101..=200;
const AFTERWARDS: RangeInclusive<i64> = 201..=250;
/// How many must have arrived before CAP is killed.
const ARRIVED_MIN: usize = 20;
/// The database of the project.
const DATABASE: &str = "plant.sqlite";

const READING: &str = r#"
entity_set = "Readings"
upsert = { key = ["Seq"], method = "PUT" }
properties = [
  { name = "Seq", from = "seq", type = "Edm.Int64" },
  { name = "Connection", from = "connection", type = "Edm.String" },
  { name = "Point", from = "point", type = "Edm.String" },
  { name = "Time", from = "time", type = "Edm.DateTimeOffset", precision = 7 },
  { name = "Value", from = "value", type = "Edm.Int64" },
]
"#;

/// A running CAP server on a database of its own. Dropping it ends it.
struct Cap {
    folder: PathBuf,
    url: String,
    child: Child,
    said: Lines,
}

/// Runs the checks with the project in `folder`, its packages installed.
pub(super) async fn checks(folder: &Path) -> Vec<Check> {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let mut checks = Vec::new();
    for (send, refuse, swallow) in [("entity", 5, 29), ("batch-json", 5, 7), ("batch-multipart", 5, 7)] {
        let settings = format!("send = \"{send}\"\nbatch_size = 10\n{READING}");
        let outcome = arrivals(&folder, &settings, refuse, swallow).await;
        let what = format!("readings arrive once each through refusals, timeouts and a restart, sent as {send}");
        checks.push(check(what, outcome));
    }
    let outcome = guarded_updates(&folder).await;
    checks.push(check("an update without If-Match is refused with 428 and told; with it, it is taken".into(), outcome));
    checks
}

fn check(what: String, outcome: Result<()>) -> Check {
    Check { what, failure: outcome.err().map(|error| format!("{error:#}")) }
}

/// Every `refuse`th request is refused, the answer to every `swallow`th never comes, and CAP is killed midway.
async fn arrivals(folder: &Path, settings: &str, refuse: u64, swallow: u64) -> Result<()> {
    let cap = Cap::start(folder).await?;
    cap.order(refuse, swallow).await?;
    let gateway = Gateway::start(&config(&cap.service(), settings)).await?;
    gateway.command(["test", "cap"]).await?.expect_code(0)?;
    commit_numbers(&gateway, BEFORE).await?;
    cap.readings_at_least(ARRIVED_MIN).await?;
    let faults = cap.faults().await?;
    let cap = cap.killed().await?;
    commit_numbers(&gateway, MEANWHILE).await?;
    let cap = cap.again().await?;
    cap.order(refuse, swallow).await?;
    commit_numbers(&gateway, AFTERWARDS).await?;
    let route = gateway.route("up", "the route to be through", |route| route.backlog == 0).await;
    let route = route.with_context(|| cap.said.last())?;
    ensure!(route.rejected == 0, "{route:?}");
    let later = cap.faults().await?;
    let happened = |name: &str| faults[name].as_u64().unwrap_or(0) + later[name].as_u64().unwrap_or(0);
    ensure!(happened("refused") > 0 && happened("swallowed") > 0, "the faults did not happen: {faults} {later}");
    let expected: Vec<(i64, i64)> = (1..=*AFTERWARDS.end()).map(|number| (number, number)).collect();
    let found = cap.readings().await?;
    ensure!(found == expected, "CAP has {} readings: {found:?}", found.len());
    gateway.terminate().await.map(|_| ())
}

/// CAP updates what has an `ETag` only where the request says which state it is about.
async fn guarded_updates(folder: &Path) -> Result<()> {
    let cap = Cap::start(folder).await?;
    let gauges = format!("{}/Gauges", cap.service());
    let new = json!({ "Name": "n", "Value": 0 });
    http_client()?.post(&gauges).json(&new).send().await?.error_for_status()?;
    let settings = |condition: &str| {
        format!(
            "entity_set = \"Gauges\"\nupsert = {{ key = [\"Name\"], method = \"PATCH\"{condition} }}\nproperties = [\n\
             {{ name = \"Name\", from = \"point\", type = \"Edm.String\" }},\n\
             {{ name = \"Value\", from = \"value\", type = \"Edm.Int64\" }},\n]\n"
        )
    };
    let gateway = Gateway::start(&config(&cap.service(), &settings(""))).await?;
    commit_numbers(&gateway, [1]).await?;
    gateway.route("up", "the update to be refused", |route| route.rejected == 1).await?;
    let letters = gateway.api.json("/api/v1/routes/up/dead-letters").await?;
    let letter = &letters["dead_letters"][0];
    let message = letter["message"].as_str().unwrap_or_default();
    ensure!(letter["code"] == "status-428" && message.contains("Precondition Required"), "{letter}");
    gateway.terminate().await?;

    let gateway = Gateway::start(&config(&cap.service(), &settings(", condition = \"exists\""))).await?;
    commit_numbers(&gateway, [2, 3]).await?;
    let route = gateway.route("up", "the updates to be through", |route| route.backlog == 0).await?;
    ensure!((route.accepted, route.rejected) == (2, 0), "{route:?}");
    let gauge: Value = http_client()?.get(format!("{gauges}('n')")).send().await?.json().await?;
    ensure!(gauge["Value"] == 3, "{gauge}");
    gateway.terminate().await.map(|_| ())
}

fn config(service: &str, settings: &str) -> String {
    format!(
        r#"{NUMBERS}
[connections.cap]
adapter = "odata"

[connections.cap.transports.upstream]
kind = "http"
base_url = "{service}"
allow_methods = ["GET", "HEAD", "POST", "PATCH", "PUT"]
timeout_ms = 1000

[connections.cap.settings]
{settings}

[routes.up]
select = ["source/*"]
to = "cap"
batch_max_age_ms = 1
retry_first_ms = 10
retry_max_ms = 100
"#
    )
}

impl Cap {
    /// Runs the project on an empty database and a free port.
    async fn start(folder: &Path) -> Result<Self> {
        for name in [DATABASE.to_owned(), format!("{DATABASE}-shm"), format!("{DATABASE}-wal")] {
            // It may not be there.
            _ = std::fs::remove_file(folder.join(name));
        }
        let deployed = within("CAP's tables", program(folder, "cds-deploy").output()).await??;
        ensure!(deployed.status.success(), "cds-deploy failed: {}", String::from_utf8_lossy(&deployed.stderr));
        Self::serve(folder, "0").await
    }

    async fn serve(folder: &Path, port: &str) -> Result<Self> {
        let mut command = program(folder, "cds-serve");
        command.env("PORT", port).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("CAP cannot be started")?;
        let said = Lines::capture(child.stdout.take().context("stdout was asked for")?);
        let complaints = Lines::capture(child.stderr.take().context("stderr was asked for")?);
        let url = said.wait_for("`server listening on`", address).await;
        let url = url.with_context(|| format!("CAP complained:{}", complaints.last()))?;
        Ok(Self { folder: folder.to_owned(), url, child, said })
    }

    /// Ends it without a word.
    async fn killed(mut self) -> Result<Self> {
        self.child.start_kill()?;
        within("CAP to end", self.child.wait()).await??;
        Ok(self)
    }

    /// Runs it again at the same address, on the same database.
    async fn again(self) -> Result<Self> {
        let port = self.url.rsplit(':').next().context("no port")?.to_owned();
        Self::serve(&self.folder, &port).await
    }

    fn service(&self) -> String {
        format!("{}/odata/v4/plant", self.url)
    }

    async fn order(&self, refuse: u64, swallow: u64) -> Result<()> {
        let faults = json!({ "refuse": refuse, "swallow": swallow });
        http_client()?.post(format!("{}/faults", self.url)).json(&faults).send().await?.error_for_status()?;
        Ok(())
    }

    async fn faults(&self) -> Result<Value> {
        Ok(http_client()?.get(format!("{}/faults", self.url)).send().await?.json().await?)
    }

    async fn readings_at_least(&self, count: usize) -> Result<()> {
        let arrived = until("the first readings at CAP", async || {
            let found = self.readings().await?.len();
            Ok(if found >= count { Ok(()) } else { Err(format!("{found} readings")) })
        });
        arrived.await.with_context(|| self.said.last())
    }

    /// Numbers and values of all readings, in order, by pages, whose next links are relative to the service.
    async fn readings(&self) -> Result<Vec<(i64, i64)>> {
        let mut found = Vec::new();
        let mut next = Some("Readings?$orderby=Seq".to_owned());
        while let Some(page) = next {
            ensure!(!page.contains("://"), "CAP's next links were relative: {page}");
            let answer: Value = http_client()?.get(format!("{}/{page}", self.service())).send().await?.json().await?;
            for row in answer["value"].as_array().with_context(|| answer.to_string())? {
                found.push((row["Seq"].as_i64().unwrap_or(-1), row["Value"].as_i64().unwrap_or(-1)));
            }
            next = answer["@odata.nextLink"].as_str().map(str::to_owned);
        }
        Ok(found)
    }
}

/// A program of the project's packages.
fn program(folder: &Path, name: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(folder.join("node_modules/.bin").join(name)).current_dir(folder).env("NO_COLOR", "1");
    command
}

/// The address in the line with which CAP says that it listens.
fn address(line: &str) -> Option<String> {
    let (_, after) = line.split_once("server listening on { url: '")?;
    Some(after.split('\'').next()?.replace("localhost", "127.0.0.1"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_address_is_taken_from_what_cap_says() {
        let line = "[cds] - server listening on { url: 'http://localhost:40123' }";
        assert_eq!(super::address(line).as_deref(), Some("http://127.0.0.1:40123"));
        assert_eq!(super::address("[cds] - using auth strategy"), None);
    }
}
