//! QoS 1 through a real mosquitto: with its default limits, and with limits set for this work. The publisher stays so
//! little ahead of the log that the broker's queue never overflows, so nothing may be lost; how fast that goes is the
//! figure.

use crate::figure::Figure;
use crate::in_process::InProcess;
use crate::mqtt::{TOPIC, VALUES, config};
use crate::place::{Place, subject};
use crate::rounds::{rate_until, reached};
use anyhow::{Context, Result, anyhow, bail, ensure};
use rumqttc_v4::{AsyncClient, MqttOptions, PublishOptions, QoS};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Longest wait for the broker to listen, and for the gateway to subscribe.
const READY_MAX: Duration = Duration::from_secs(10);
/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A broker's limits, and what can be asked of it with them.
struct Setting {
    name: &'static str,
    lines: &'static str,
    messages: u64,
    /// Messages that may be on the way: below the broker's queue, so that it need not drop any.
    ahead_max: u64,
}

static SETTINGS: [Setting; 2] = [
    Setting { name: "mosquitto-qos1-default", lines: "", messages: 5_000, ahead_max: 450 },
    Setting {
        name: "mosquitto-qos1-tuned",
        lines: "max_inflight_messages 8192\nmax_queued_messages 100000\n",
        messages: 200_000,
        ahead_max: 16_000,
    },
];

/// The figures.
pub(crate) fn measure(place: &Place) -> Result<Vec<Figure>> {
    SETTINGS.iter().map(|setting| one(place, setting)).collect()
}

fn one(place: &Place, setting: &'static Setting) -> Result<Figure> {
    let dir = place.folder()?;
    let broker = Mosquitto::start(dir.path(), setting.lines)?;
    let log = place.folder()?;
    let rate = subject()?.block_on(async {
        let running = InProcess::start(place, log.path(), &config(broker.address, 1), |_| {})?;
        let rate = async {
            subscribed(&running).await?;
            let committed = running.committed();
            tokio::select! {
                rate = rate_until(&committed, setting.messages * VALUES) => rate,
                ended = publish(broker.address, committed.clone(), setting) => ended.and(Err(anyhow!("publishing ended"))),
            }
        };
        let rate = rate.await.with_context(|| running.trouble());
        let rows = *running.committed().borrow();
        running.stop().await?;
        ensure!(rate.is_err() || rows == setting.messages * VALUES, "{rows} rows were committed");
        rate
    })?;
    Ok(Figure::of(setting.name, rate / VALUES as f64, "messages/s"))
}

/// Waits until the gateway is connected and subscribed.
async fn subscribed(running: &InProcess) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < READY_MAX {
        let connections = running.engine.connections();
        if connections.iter().flat_map(|connection| &connection.transports).any(|transport| transport.state == "up") {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    bail!("the gateway did not subscribe within {} s", READY_MAX.as_secs())
}

/// Publishes all messages, never too far ahead of what is committed.
async fn publish(broker: SocketAddr, mut committed: watch::Receiver<u64>, setting: &'static Setting) -> Result<()> {
    let mut options = MqttOptions::new("by-hand", (broker.ip().to_string(), broker.port()));
    options.set_keep_alive(30).set_inflight(1_000);
    let (client, mut events) = AsyncClient::builder(options).capacity(1_000).build();
    let mut published = std::pin::pin!(publish_all(&client, &mut committed, setting));
    let mut is_published = false;
    loop {
        // After the last message the event loop goes on with what is queued, until this future is dropped.
        tokio::select! {
            event = events.poll() => drop(event?),
            ended = &mut published, if !is_published => {
                ended?;
                is_published = true;
            }
        }
    }
}

async fn publish_all(client: &AsyncClient, committed: &mut watch::Receiver<u64>, setting: &Setting) -> Result<()> {
    for number in 0..setting.messages {
        let may_go = number.saturating_sub(setting.ahead_max);
        reached(committed, may_go * VALUES).await?;
        let mut payload = format!(r#"{{"temperature":{}.25,"pressure":1.125,"number":{number}"#, number % 90);
        payload += &" ".repeat(99_usize.saturating_sub(payload.len()));
        payload.push('}');
        client.publish(TOPIC, payload, PublishOptions::new(QoS::AtLeastOnce)).await?;
    }
    Ok(())
}

/// A mosquitto on a free port of loopback.
struct Mosquitto {
    child: Child,
    address: SocketAddr,
}

impl Mosquitto {
    fn start(dir: &Path, lines: &str) -> Result<Self> {
        // The port is free again when the listener is dropped; nobody else asks for it in that moment.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let config = dir.join("mosquitto.conf");
        std::fs::write(&config, format!("listener {} 127.0.0.1\nallow_anonymous true\n{lines}", address.port()))?;
        let mut command = Command::new(program());
        command
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(dir.join("mosquitto.log"))?);
        let child = command.spawn().context("mosquitto does not start: is it installed?")?;
        let broker = Self { child, address };
        let start = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            ensure!(start.elapsed() < READY_MAX, "mosquitto does not listen on {address}");
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(broker)
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        // It may have ended; then there is nothing to do.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Debian puts it where only root's search path looks.
fn program() -> &'static str {
    let elsewhere = "/usr/sbin/mosquitto";
    if Path::new(elsewhere).is_file() { elsewhere } else { "mosquitto" }
}
