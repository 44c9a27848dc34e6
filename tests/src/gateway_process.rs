//! One life of the gateway's process: started on a site, ready or dead, and ended by one hand or another.

use crate::api::Api;
use crate::lines::Lines;
use crate::programs::gateway_binary;
use crate::site::{CONFIG, Site, clean};
use crate::wait::{until, within};
use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

/// The gateway's promise: after SIGTERM it ends within this time.
const STOP_MAX: Duration = Duration::from_secs(5);
/// Longest time from the moment a killed process stops answering until it can be waited for.
const DEATH_MAX: Duration = Duration::from_secs(2);

/// A process that was started. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct GatewayProcess {
    child: Child,
    /// What it writes to stderr.
    pub(crate) journal: Lines,
}

impl GatewayProcess {
    /// Starts the gateway on a site's config, as an argument of another program if there is one; that must become it.
    pub(crate) fn spawn(site: &Site, wrapper: &[OsString]) -> Result<Self> {
        let gateway = gateway_binary()?.into_os_string();
        let run = ["run", "--listen", "127.0.0.1:0", "-c"].map(OsString::from);
        let mut words = wrapper.iter().cloned().chain([gateway]).chain(run);
        let mut command = Command::new(words.next().context("no program")?);
        clean(command.args(words).arg(site.path(CONFIG)));
        command.envs(site.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().context("the gateway cannot be started")?;
        let journal = Lines::capture(child.stderr.take().context("stderr was asked for")?);
        Ok(Self { child, journal })
    }

    /// Its API, once the journal says where that is; none: it ended before.
    pub(crate) async fn api(&mut self) -> Result<Option<Api>> {
        let named = until("the API's address", async || {
            let has_ended = self.child.try_wait()?.is_some();
            let address = self.journal.all().iter().find_map(|line| api_address(line));
            match address {
                _ if has_ended => Ok(Ok(None)),
                Some(address) => Ok(Ok(Some(Api::new(&format!("http://{address}"))?))),
                None => Ok(Err("no line with it".to_owned())),
            }
        });
        named.await.with_context(|| self.situation())
    }

    /// Waits until it is ready; false: it ended before.
    pub(crate) async fn is_ready(&mut self, api: &Api) -> Result<bool> {
        let ready = until("the gateway to be ready", async || {
            match api.get("/readyz").await {
                Ok((200, _)) => Ok(Ok(true)),
                Ok((_, body)) => Ok(Err(body)),
                // It says that it listens: only a dead one does not answer.
                Err(error) => {
                    if self.dies_within(DEATH_MAX).await? {
                        Ok(Ok(false))
                    } else {
                        Err(error)
                    }
                }
            }
        });
        ready.await.with_context(|| self.situation())
    }

    /// Its number.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn pid(&self) -> Result<Pid> {
        let pid = self.child.id().context("the gateway has ended already")?;
        Ok(Pid::from_raw(i32::try_from(pid)?))
    }

    /// Ends it as systemd would: it must exit with 0 within 5 seconds.
    pub(crate) async fn terminate(&mut self) -> Result<()> {
        let begin = Instant::now();
        kill(self.pid()?, Signal::SIGTERM)?;
        let Ok(status) = within("the gateway to end", self.child.wait()).await else {
            bail!("after SIGTERM the gateway does not end; {}", self.situation());
        };
        let (status, took) = (status?, begin.elapsed());
        ensure!(status.code() == Some(0), "after SIGTERM the gateway ended with {status}; {}", self.situation());
        ensure!(took <= STOP_MAX, "the gateway took {took:?} to end; {}", self.situation());
        Ok(())
    }

    /// Ends it without a word.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        self.child.start_kill()?;
        within("the gateway to end", self.child.wait()).await.with_context(|| self.situation())??;
        Ok(())
    }

    /// Waits for its death at another's hand; false: it lives on after this time.
    pub(crate) async fn dies_within(&mut self, limit: Duration) -> Result<bool> {
        match tokio::time::timeout(limit, self.child.wait()).await {
            Ok(status) => status.map(|_| true).context("the gateway cannot be waited for"),
            Err(_) => Ok(false),
        }
    }

    /// The journal's end, for messages about failures.
    pub(crate) fn situation(&self) -> String {
        format!("the gateway's journal ends with:{}", self.journal.last())
    }
}

/// The address in the line with which a gateway says that it runs.
fn api_address(line: &str) -> Option<String> {
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
