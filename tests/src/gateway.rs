//! A running gateway as most tests see it: its API, its journal, its commands, its end.

use crate::api::{Api, Connection, Events, Reading, Route};
use crate::gateway_process::GatewayProcess;
use crate::lines::Lines;
use crate::memory::Memory;
use crate::site::{CommandOutput, Site, run_command};
use crate::wait::until;
use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The config that commands beside a running gateway get: the site's, with the real address.
const RUNNING_CONFIG: &str = "running.toml";

/// A running gateway. Dropping it kills it.
#[derive(Debug)]
pub struct Gateway {
    /// Its API.
    pub api: Api,
    /// What it writes to stderr.
    pub journal: Lines,
    process: GatewayProcess,
    site: Site,
}

impl Gateway {
    /// A gateway with these connections and routes, ready.
    ///
    /// # Errors
    /// As [`Site::new`] and [`Site::run`].
    pub async fn start(connections_and_routes: &str) -> Result<Self> {
        Site::new(connections_and_routes)?.run().await
    }

    /// Runs a site's config and waits until every connection is past its start.
    pub(crate) async fn run(site: Site) -> Result<Self> {
        let mut process = GatewayProcess::spawn(&site, &[])?;
        let api = process.api().await?;
        let api = api.with_context(|| format!("it ended while it started; {}", process.situation()))?;
        let base = api.url("");
        let address = base.trim_start_matches("http://");
        let config = site.config()?.replace("listen = \"127.0.0.1:0\"", &format!("listen = \"{address}\""));
        site.write_file(RUNNING_CONFIG, &config)?;
        ensure!(process.is_ready(&api).await?, "it ended while it started; {}", process.situation());
        Ok(Self { api, journal: process.journal.clone(), process, site })
    }

    /// Its process.
    ///
    /// # Errors
    /// When it has ended.
    pub fn pid(&self) -> Result<Pid> {
        self.process.pid()
    }

    /// The site it runs.
    #[must_use]
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// One of the gateway's commands with the config of this running gateway.
    ///
    /// # Errors
    /// When it cannot be started or does not end.
    pub async fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Result<CommandOutput> {
        run_command(arguments, Some(&self.site.path(RUNNING_CONFIG))).await
    }

    /// The first reading of the log, past or to come, for which `wanted` holds.
    ///
    /// # Errors
    /// Names `what` and the situation when none comes.
    pub async fn reading(&self, what: &str, wanted: impl Fn(&Reading) -> bool) -> Result<Reading> {
        let mut events = self.api.events().await?;
        events.until(what, wanted).await.with_context(|| self.situation())
    }

    /// Readings from the log's beginning on.
    ///
    /// # Errors
    /// Where the stream cannot be opened.
    pub async fn events(&self) -> Result<Events> {
        self.api.events().await
    }

    /// A connection, once it is as `wanted`.
    ///
    /// # Errors
    /// Names `what`, what the connection is instead and the situation when it never is.
    pub async fn connection(&self, name: &str, what: &str, wanted: impl Fn(&Connection) -> bool) -> Result<Connection> {
        let found = until(what, async || {
            let connection = self.api.connection(name).await?;
            Ok(if wanted(&connection) { Ok(connection) } else { Err(format!("{connection:#?}")) })
        });
        found.await.with_context(|| self.situation())
    }

    /// A route, once it is as `wanted`.
    ///
    /// # Errors
    /// As [`Gateway::connection`].
    pub async fn route(&self, name: &str, what: &str, wanted: impl Fn(&Route) -> bool) -> Result<Route> {
        let found = until(what, async || {
            let route = self.api.route(name).await?;
            Ok(if wanted(&route) { Ok(route) } else { Err(format!("{route:#?}")) })
        });
        found.await.with_context(|| self.situation())
    }

    /// Has it read its config again, as `systemctl reload` would.
    ///
    /// # Errors
    /// When it has ended.
    pub fn hang_up(&self) -> Result<()> {
        kill(self.pid()?, Signal::SIGHUP)?;
        Ok(())
    }

    /// The memory it has in RAM, in bytes.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resident_bytes(&self) -> Result<u64> {
        Memory::of(self.pid()?).resident_bytes()
    }

    /// Ends it as systemd would. It must exit with 0 within 5 seconds; the site can run again.
    ///
    /// # Errors
    /// When it does not.
    pub async fn terminate(mut self) -> Result<(Site, Lines)> {
        self.process.terminate().await?;
        Ok((self.site, self.journal))
    }

    /// Ends it as a power cut would: without a word. The site can run again.
    ///
    /// # Errors
    /// When the process cannot be ended.
    pub async fn kill(mut self) -> Result<Site> {
        self.process.kill().await?;
        Ok(self.site)
    }

    /// The journal's end, for messages about failures.
    #[must_use]
    pub fn situation(&self) -> String {
        self.process.situation()
    }
}
