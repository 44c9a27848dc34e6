//! mosquitto: a broker that others wrote, plain or with TLS, which can be stopped and started again at its port.

use crate::broker_flows::{BrokerFlow, BrokerFlows};
use crate::certificates::Certificates;
use crate::lines::Lines;
use crate::programs::program;
use crate::wait::within;
use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::Path;
use std::process::Stdio;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// How often another port is tried when somebody takes the chosen one first.
const PORT_TRIES: usize = 5;

/// How clients reach the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MosquittoListener {
    /// Plain TCP.
    Plain,
    /// TLS, and only with this user name and password: `gateway`, `s3cret-of-the-test`.
    TlsWithPassword,
}

/// A broker. Dropping it ends it.
#[derive(Debug)]
pub struct Mosquitto {
    listener: MosquittoListener,
    port: u16,
    folder: TempDir,
    certificates: Option<Certificates>,
    child: Option<Child>,
    lines: Option<Lines>,
    flows: watch::Sender<BrokerFlows>,
}

impl Mosquitto {
    /// Starts a broker on a free loopback port. It keeps sessions on disk across [`Mosquitto::restart`].
    ///
    /// # Errors
    /// Where mosquitto is missing or does not start.
    pub async fn start(listener: MosquittoListener) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("bulkhead-broker-").tempdir()?;
        let certificates = match listener {
            MosquittoListener::Plain => None,
            MosquittoListener::TlsWithPassword => Some(Certificates::make().await?),
        };
        let (flows, _) = watch::channel(BrokerFlows::default());
        let mut broker = Self { listener, port: 0, folder, certificates, child: None, lines: None, flows };
        if listener == MosquittoListener::TlsWithPassword {
            broker.write_passwords().await?;
        }
        for _ in 0..PORT_TRIES {
            // mosquitto cannot be asked for a free port: one is chosen for it.
            broker.port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            broker.write_config()?;
            if broker.restart().await.is_ok() {
                return Ok(broker);
            }
        }
        bail!("mosquitto does not start:{}", broker.lines.map(|lines| lines.last()).unwrap_or_default());
    }

    /// `localhost:port`; certificates are for that name.
    #[must_use]
    pub fn address(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// The certificates of a broker with TLS.
    #[must_use]
    pub fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    /// Stops it as systemd would: it saves its sessions.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let pid = child.id().context("mosquitto has ended by itself")?;
        kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGTERM)?;
        within("mosquitto to end", child.wait()).await??;
        match &self.lines {
            Some(lines) => lines.ended().await,
            None => Ok(()),
        }
    }

    /// Starts it again at its port.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        let mut command = Command::new(program("mosquitto")?);
        command.args(["-v", "-c"]).arg(self.path("mosquitto.conf"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("mosquitto cannot be started")?;
        let flows = self.flows.clone();
        let note = move |line: &str| flows.send_modify(|flows| flows.note(line));
        let lines = Lines::capture_with(child.stderr.take().context("stderr was asked for")?, note);
        self.child = Some(child);
        self.lines = Some(lines.clone());
        let running = |line: &str| line.contains(" running").then_some(());
        lines.wait_for("mosquitto's line that it runs", running).await
    }

    /// Waits until mosquitto has written a line with all these texts since its last start.
    ///
    /// # Errors
    /// When none comes.
    pub async fn wait_for(&self, texts: &[&str]) -> Result<String> {
        self.lines.as_ref().context("mosquitto was never started")?.wait_for_texts(texts).await
    }

    /// What its log says about the messages of a client, over all its starts, once that is as `wanted`.
    ///
    /// # Errors
    /// Names `what` and what the log says instead when it never is.
    pub async fn flow(&self, client: &str, what: &str, wanted: impl Fn(&BrokerFlow) -> bool) -> Result<BrokerFlow> {
        let mut flows = self.flows.subscribe();
        let found = within(what, flows.wait_for(|flows| wanted(&flows.of(client)))).await;
        let instead = || format!("of {client} mosquitto's log has {:?}", self.flows.borrow().of(client));
        Ok(found.with_context(instead)??.of(client))
    }

    /// Publishes with `mosquitto_pub`, QoS 1.
    ///
    /// # Errors
    /// Where the tool is missing or the broker refuses.
    pub async fn publish(&self, topic: &str, payload: &str) -> Result<()> {
        let mut command = Command::new(program("mosquitto_pub")?);
        command.args(["-h", "localhost", "-p", &self.port.to_string(), "-q", "1", "-t", topic, "-m", payload]);
        if let Some(certificates) = &self.certificates {
            command.arg("--cafile").arg(certificates.authority()).args(["-u", USER, "-P", PASSWORD]);
        }
        let output = within("mosquitto_pub", command.kill_on_drop(true).output()).await??;
        ensure!(output.status.success(), "mosquitto_pub: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn write_config(&self) -> Result<()> {
        let folder = self.folder.path();
        // By default mosquitto drops what goes beyond 1,000 waiting messages; what waits during a restart must not be.
        let mut config = format!(
            "listener {} 127.0.0.1\npersistence true\npersistence_location {}/\nlog_dest stderr\nlog_type all\n\
             max_queued_messages 0\n",
            self.port,
            folder.display()
        );
        match &self.certificates {
            None => config.push_str("allow_anonymous true\n"),
            Some(certificates) => {
                let line = |key: &str, path: &Path| format!("{key} {}\n", path.display());
                config += "allow_anonymous false\n";
                config += &line("password_file", &self.path("passwords"));
                config += &line("certfile", &certificates.server());
                config += &line("keyfile", &certificates.server_key());
            }
        }
        // Started by root it would give its rights up and lose its own files; for others this has no effect.
        config += "user root\n";
        Ok(std::fs::write(self.path("mosquitto.conf"), config)?)
    }

    async fn write_passwords(&self) -> Result<()> {
        let mut command = Command::new(program("mosquitto_passwd")?);
        command.args(["-b", "-c"]).arg(self.path("passwords")).args([USER, PASSWORD]).kill_on_drop(true);
        let output = within("mosquitto_passwd", command.output()).await??;
        ensure!(output.status.success(), "mosquitto_passwd: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Whether the listener wants TLS.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.listener == MosquittoListener::TlsWithPassword
    }
}

/// The user that the TLS listener lets in.
const USER: &str = "gateway";
/// Its password.
const PASSWORD: &str = "s3cret-of-the-test";
