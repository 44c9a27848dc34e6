//! The gateway as a running process.

use crate::api::{Api, Connection, Events, Reading, Route};
use crate::lines::Lines;
use crate::site::{CommandOutput, Site, clean_command, run_command};
use crate::wait::{until, within};
use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::process::Child;

/// The gateway's promise: after SIGTERM it ends within this time.
const STOP_MAX: Duration = Duration::from_secs(5);
/// The config that commands beside a running gateway get: the site's, with the real address.
const RUNNING_CONFIG: &str = "running.toml";

/// A running gateway. Dropping it kills it.
#[derive(Debug)]
pub struct Gateway {
    /// Its API.
    pub api: Api,
    /// What it writes to stderr.
    pub journal: Lines,
    child: Child,
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
        let mut command = clean_command()?;
        command.args(["run", "--listen", "127.0.0.1:0", "-c"]).arg(site.path("gateway.toml"));
        command.envs(site.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().context("the gateway cannot be started")?;
        let journal = Lines::capture(child.stderr.take().context("stderr was asked for")?);
        let address = journal.wait_for("the API's address", api_address).await?;
        let config = site.config()?.replace("listen = \"127.0.0.1:0\"", &format!("listen = \"{address}\""));
        site.write_file(RUNNING_CONFIG, &config)?;
        let gateway = Self { api: Api::new(&format!("http://{address}"))?, journal, child, site };
        gateway.wait_until_ready().await?;
        Ok(gateway)
    }

    async fn wait_until_ready(&self) -> Result<()> {
        let ready = until("the gateway to be ready", async || {
            let (status, body) = self.api.get("/readyz").await?;
            Ok(if status == 200 { Ok(()) } else { Err(body) })
        });
        ready.await.with_context(|| self.situation())
    }

    /// Its process.
    ///
    /// # Errors
    /// When it has ended.
    pub fn pid(&self) -> Result<Pid> {
        let pid = self.child.id().context("the gateway has ended already")?;
        Ok(Pid::from_raw(i32::try_from(pid)?))
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
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kilobytes * 1024)
    }

    /// Ends it as systemd would. It must exit with 0 within 5 seconds; the site can run again.
    ///
    /// # Errors
    /// When it does not.
    pub async fn terminate(mut self) -> Result<(Site, Lines)> {
        let begin = Instant::now();
        kill(self.pid()?, Signal::SIGTERM)?;
        let status = self.wait_for_end().await?;
        let took = begin.elapsed();
        ensure!(status.code() == Some(0), "after SIGTERM the gateway ended with {status}{}", self.situation());
        ensure!(took <= STOP_MAX, "the gateway took {took:?} to end{}", self.situation());
        Ok((self.site, self.journal))
    }

    /// Ends it as a power cut would: without a word. The site can run again.
    ///
    /// # Errors
    /// When the process cannot be ended.
    pub async fn kill(mut self) -> Result<Site> {
        self.child.start_kill()?;
        self.wait_for_end().await?;
        Ok(self.site)
    }

    async fn wait_for_end(&mut self) -> Result<ExitStatus> {
        match within("the gateway to end", self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(error) => bail!("{error}{}", self.situation()),
        }
    }

    /// The journal's end, for messages about failures.
    #[must_use]
    pub fn situation(&self) -> String {
        format!("the gateway's journal ends with:{}", self.journal.last())
    }
}

/// The address in the line with which a gateway says that it runs.
pub(crate) fn api_address(line: &str) -> Option<String> {
    let (_, after) = line.split_once("its API is at http://")?;
    Some(after.split('/').next()?.to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_address_is_taken_from_the_journal() {
        let line = "INFO the gateway runs; its API is at http://127.0.0.1:4321/ address=127.0.0.1:4321";
        assert_eq!(super::api_address(line).as_deref(), Some("127.0.0.1:4321"));
        assert_eq!(super::api_address("INFO starting"), None);
    }
}
