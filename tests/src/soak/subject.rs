//! The gateway under test over its many lives: started on the same site again and again, killed, found dead, and at
//! another address each time.

use crate::api::Api;
use crate::gateway_process::GatewayProcess;
use crate::site::Site;
use anyhow::{Context, Result, bail};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::time::Duration;
use tokio::sync::watch;

/// A gateway, running or not. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Subject {
    site: Site,
    /// The last one, which may be over.
    life: Option<GatewayProcess>,
    /// The URL of its API while it has one.
    url: watch::Sender<Option<String>>,
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
            Start::Died => bail!("the gateway ended while it started; {}", self.situation()),
        }
    }

    /// Starts it as an argument of another program, which must become it.
    pub(crate) async fn start_under(&mut self, wrapper: &[OsString]) -> Result<Start> {
        let life = self.life.insert(GatewayProcess::spawn(&self.site, wrapper)?);
        let Some(api) = life.api().await? else { return Ok(Start::Died) };
        self.url.send_replace(Some(api.url("")));
        if life.is_ready(&api).await? {
            return Ok(Start::Ready);
        }
        self.url.send_replace(None);
        Ok(Start::Died)
    }

    /// Starts it and lets it go on starting: for a kill in the middle of that.
    pub(crate) fn start_only(&mut self) -> Result<()> {
        self.life = Some(GatewayProcess::spawn(&self.site, &[])?);
        Ok(())
    }

    /// Ends it without a word.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        self.life()?.kill().await?;
        self.url.send_replace(None);
        Ok(())
    }

    /// Ends it in order.
    pub(crate) async fn terminate(&mut self) -> Result<()> {
        self.life()?.terminate().await?;
        self.url.send_replace(None);
        Ok(())
    }

    /// Waits for its death at another's hand; false: it lives on after this time.
    pub(crate) async fn dies_within(&mut self, limit: Duration) -> Result<bool> {
        let died = self.life()?.dies_within(limit).await?;
        if died {
            self.url.send_replace(None);
        }
        Ok(died)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> Result<Pid> {
        self.life.as_ref().context("the gateway does not run")?.pid()
    }

    fn life(&mut self) -> Result<&mut GatewayProcess> {
        self.life.as_mut().context("the gateway does not run")
    }

    /// The journal's end, for messages about failures.
    pub(crate) fn situation(&self) -> String {
        self.life.as_ref().map_or_else(|| "it never ran".to_owned(), GatewayProcess::situation)
    }
}
