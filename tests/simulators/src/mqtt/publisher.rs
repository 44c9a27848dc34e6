//! A fake device that publishes telemetry to any broker over a socket of its own.

use super::{
    broker::Credentials,
    packet::{Connect, LEVEL_3_1_1, Message, Packet, QoS, kind, put_connect, put_publish, take_packet},
    property::Properties,
};
use crate::service::Tasks;
use bytes::BytesMut;
use std::{
    f64::consts::TAU,
    fmt, io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

/// Wait after a lost or refused connection.
const RECONNECT_WAIT: Duration = Duration::from_millis(200);
/// Longest wait for the broker's CONNACK.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// QoS 1 messages that are not acknowledged; at that many the device skips its turn.
const MAX_UNACKNOWLEDGED: u64 = 1000;

/// Makes the n-th payload.
pub type Payload = Arc<dyn Fn(u64) -> String + Send + Sync>;

/// A publishing device.
#[derive(Clone)]
pub struct PublisherConfig {
    /// The broker.
    pub broker: SocketAddr,
    /// The client id.
    pub client_id: String,
    /// What it shows the broker.
    pub credentials: Option<Credentials>,
    /// The topic.
    pub topic: String,
    /// Time between two messages.
    pub every: Duration,
    /// At most QoS 1; a higher one is sent as 1.
    pub qos: QoS,
    /// Whether the broker is to retain them.
    pub retain: bool,
    /// Makes the n-th payload, from 0.
    pub payload: Payload,
}

impl PublisherConfig {
    /// Publishes [`telemetry`] at QoS 1, not retained, without credentials.
    #[must_use]
    pub fn new(broker: SocketAddr, topic: &str, every: Duration) -> Self {
        let client_id = format!("simulated-{}", topic.replace('/', "-"));
        let payload: Payload = Arc::new(telemetry);
        Self {
            broker,
            client_id,
            credentials: None,
            topic: topic.into(),
            every,
            qos: QoS::AtLeastOnce,
            retain: false,
            payload,
        }
    }
}

impl fmt::Debug for PublisherConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublisherConfig")
            .field("broker", &self.broker)
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

/// The n-th message of a press: time (RFC 3339, UTC), temperature in °C and pressure in bar that swing, and a number.
#[must_use]
pub fn telemetry(number: u64) -> String {
    let phase = TAU * (number % 60) as f64 / 60.0;
    let (temperature, pressure) = (60.0 + 5.0 * phase.sin(), 4.0 + 0.5 * phase.cos());
    let time = jiff::Timestamp::now();
    format!(r#"{{"time":"{time:.3}","temperature":{temperature:.2},"pressure":{pressure:.3},"number":{number}}}"#)
}

/// What a publisher has done.
#[derive(Debug, Default)]
pub struct PublisherStats {
    published: AtomicU64,
    acknowledged: AtomicU64,
    connections: AtomicU64,
    changed: Notify,
}

impl PublisherStats {
    /// Messages written to the socket.
    pub fn published(&self) -> u64 {
        self.published.load(Relaxed)
    }

    /// Messages the broker has acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Relaxed)
    }

    /// Connections the broker has accepted.
    pub fn connections(&self) -> u64 {
        self.connections.load(Relaxed)
    }

    /// Waits until the figures satisfy a predicate.
    pub async fn wait_until(&self, satisfied: impl Fn(&PublisherStats) -> bool) {
        loop {
            let changed = self.changed.notified();
            if satisfied(self) {
                return;
            }
            changed.await;
        }
    }

    fn count(&self, counter: &AtomicU64) {
        counter.fetch_add(1, Relaxed);
        self.changed.notify_waiters();
    }
}

/// A device that publishes until it is stopped or dropped; it connects again when the broker goes away.
#[derive(Debug)]
pub struct Publisher {
    stats: Arc<PublisherStats>,
    tasks: Tasks,
}

impl Publisher {
    /// Starts publishing. Must be called inside a tokio runtime.
    #[must_use]
    pub fn start(config: PublisherConfig) -> Self {
        let (stats, tasks) = (Arc::<PublisherStats>::default(), Tasks::default());
        let shared = stats.clone();
        tasks.spawn(async move {
            loop {
                if let Err(error) = publish_until_lost(&config, &shared).await {
                    tracing::debug!(%error, topic = config.topic, "simulated device lost its broker");
                }
                sleep(RECONNECT_WAIT).await;
            }
        });
        Self { stats, tasks }
    }

    /// What it has done.
    #[must_use]
    pub fn stats(&self) -> &Arc<PublisherStats> {
        &self.stats
    }

    /// Closes its connection without a word, and waits until its task is gone.
    pub async fn stop(&mut self) {
        self.tasks.stop().await;
    }
}

async fn publish_until_lost(config: &PublisherConfig, stats: &PublisherStats) -> io::Result<()> {
    let mut stream = TcpStream::connect(config.broker).await?;
    stream.set_nodelay(true)?;
    let mut input = BytesMut::new();
    timeout(CONNECT_TIMEOUT, connect(&mut stream, &mut input, config)).await??;
    stats.count(&stats.connections);
    let mut ticks = interval(config.every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut connection = Connection { stats, unacknowledged: 0, last_packet_id: 0 };
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                if let Some(bytes) = connection.next_message(config) {
                    stream.write_all(&bytes).await?;
                    stats.count(&stats.published);
                }
            }
            read = stream.read_buf(&mut input) => {
                if read? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                connection.take_acknowledgements(&mut input)?;
            }
        }
    }
}

/// The publisher's view of one connection.
struct Connection<'a> {
    stats: &'a PublisherStats,
    unacknowledged: u64,
    last_packet_id: u16,
}

impl Connection<'_> {
    fn next_message(&mut self, config: &PublisherConfig) -> Option<Vec<u8>> {
        let qos = config.qos.min(QoS::AtLeastOnce);
        if self.unacknowledged >= MAX_UNACKNOWLEDGED {
            return None;
        }
        if qos == QoS::AtLeastOnce {
            self.unacknowledged += 1;
            self.last_packet_id = self.last_packet_id.checked_add(1).unwrap_or(1);
        }
        let payload = (config.payload)(self.stats.published()).into();
        let (topic, retain) = (config.topic.clone(), config.retain);
        let message = Message { topic, payload, qos, retain, properties: Properties::default() };
        let mut bytes = Vec::new();
        put_publish(&message, self.last_packet_id, false, LEVEL_3_1_1, &mut bytes);
        Some(bytes)
    }

    fn take_acknowledgements(&mut self, input: &mut BytesMut) -> io::Result<()> {
        while let Some(packet) = take_packet(input, LEVEL_3_1_1)? {
            if let Packet::Acknowledge { kind: kind::PUBACK, .. } = packet {
                self.unacknowledged = self.unacknowledged.saturating_sub(1);
                self.stats.count(&self.stats.acknowledged);
            }
        }
        Ok(())
    }
}

async fn connect(stream: &mut TcpStream, input: &mut BytesMut, config: &PublisherConfig) -> io::Result<()> {
    let mut bytes = Vec::new();
    let credentials = config.credentials.clone();
    let (user, password) = credentials.map(|known| (known.user, known.password.into_bytes().into())).unzip();
    let connect = Connect {
        level: LEVEL_3_1_1,
        clean_start: true,
        keep_alive_seconds: 0,
        properties: Properties::default(),
        client_id: config.client_id.clone(),
        will: None,
        user,
        password,
    };
    put_connect(&connect, &mut bytes);
    stream.write_all(&bytes).await?;
    loop {
        match take_packet(input, LEVEL_3_1_1)? {
            Some(Packet::ConnAck { code: 0 }) => return Ok(()),
            Some(_) => return Err(io::ErrorKind::ConnectionRefused.into()),
            None if stream.read_buf(input).await? == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            None => {}
        }
    }
}
