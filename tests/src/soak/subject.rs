//! The gateway under test over its many lives: started on the same site again and again, killed, found dead, and at
//! another address each time.

use crate::api::Api;
use crate::lines::Lines;
use crate::programs::gateway_binary;
use crate::site::{Site, clean};
use crate::wait::{PATIENCE, within};
use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// Pause between two looks at whether it is ready.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A gateway, running or not. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Subject {
    site: Site,
    life: Option<Life>,
    /// The URL of its API while it has one.
    url: watch::Sender<Option<String>>,
}

#[derive(Debug)]
struct Life {
    child: Child,
    journal: Lines,
}

/// How a start went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// It is ready.
    Ready,
    /// It ended before it was.
    Died,
}

impl Subject {
    pub(crate) fn new(config: &str) -> Result<Self> {
        Ok(Self { site: Site::new(config)?, life: None, url: watch::Sender::new(None) })
    }

    /// Where its API is, as long as it is somewhere.
    pub(crate) fn url(&self) -> watch::Receiver<Option<String>> {
        self.url.subscribe()
    }

    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    /// A client of its API.
    pub(crate) fn api(&self) -> Result<Api> {
        let url = self.url.borrow().clone().context("the gateway does not run")?;
        Api::new(&url)
    }

    /// Starts it and waits until it is ready; it must be.
    pub(crate) async fn start(&mut self) -> Result<()> {
        match self.start_under(&[]).await? {
            Start::Ready => Ok(()),
            Start::Died => bail!("the gateway ended while it started{}", self.situation()),
        }
    }

    /// Starts it as an argument of another program, which must become it.
    pub(crate) async fn start_under(&mut self, wrapper: &[OsString]) -> Result<Start> {
        self.spawn(wrapper)?;
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let life = self.life.as_mut().context("just started")?;
            if life.child.try_wait()?.is_some() {
                self.url.send_replace(None);
                return Ok(Start::Died);
            }
            if self.url.borrow().is_none()
                && let Some(address) = life.journal.all().iter().find_map(|line| crate::gateway::api_address(line))
            {
                self.url.send_replace(Some(format!("http://{address}")));
            }
            if self.url.borrow().is_some() && matches!(self.api()?.get("/readyz").await, Ok((200, _))) {
                return Ok(Start::Ready);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        bail!("the gateway is not ready after {} s{}", PATIENCE.as_secs(), self.situation())
    }

    fn spawn(&mut self, wrapper: &[OsString]) -> Result<()> {
        let gateway = gateway_binary()?.into_os_string();
        let run = ["run", "--listen", "127.0.0.1:0", "-c"].map(OsString::from);
        let mut words = wrapper.iter().cloned().chain([gateway]).chain(run);
        let mut command = Command::new(words.next().context("no program")?);
        clean(command.args(words).arg(self.site.path("gateway.toml")));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().context("the gateway cannot be started")?;
        let journal = Lines::capture(child.stderr.take().context("stderr was asked for")?);
        self.life = Some(Life { child, journal });
        Ok(())
    }

    /// Starts it and lets it go on starting: for a kill in the middle of that.
    pub(crate) fn start_only(&mut self) -> Result<()> {
        self.spawn(&[])
    }

    /// Ends it without a word.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        let life = self.life.as_mut().context("the gateway does not run")?;
        life.child.start_kill()?;
        within("the gateway to end", life.child.wait()).await??;
        self.url.send_replace(None);
        Ok(())
    }

    /// Ends it in order.
    pub(crate) async fn terminate(&mut self) -> Result<()> {
        let pid = self.pid()?;
        kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGTERM)?;
        let life = self.life.as_mut().context("the gateway does not run")?;
        let status = within("the gateway to end", life.child.wait()).await??;
        self.url.send_replace(None);
        anyhow::ensure!(status.success(), "after SIGTERM the gateway ended with {status}{}", self.situation());
        Ok(())
    }

    /// Waits for its death at another's hand; false: it lives on after this time.
    pub(crate) async fn dies_within(&mut self, limit: Duration) -> Result<bool> {
        let life = self.life.as_mut().context("the gateway does not run")?;
        let died = tokio::time::timeout(limit, life.child.wait()).await;
        if let Ok(status) = died {
            status?;
            self.url.send_replace(None);
            return Ok(true);
        }
        Ok(false)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> Result<u32> {
        self.life.as_ref().and_then(|life| life.child.id()).context("the gateway does not run")
    }

    /// The journal's end, for messages about failures.
    pub(crate) fn situation(&self) -> String {
        let last = self.life.as_ref().map(|life| life.journal.last()).unwrap_or_default();
        format!("; the gateway's journal ends with:{last}")
    }
}
