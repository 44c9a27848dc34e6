//! A source for benches: it speaks as a broker to one subscriber and pushes prepared messages as fast as the socket
//! takes them. What it costs is a copy to the socket: messages are encoded once, acknowledgements only counted.

use super::packet::{
    Connect, LEVEL_3_1_1, LEVEL_5, Malformed, Message, Packet, QoS, kind, put_packet, put_publish, take_packet,
};
use super::property::{Properties, id};
use crate::{
    SimulatorError,
    service::{ANY_LOOPBACK_PORT, TcpService},
};
use bytes::{Buf, BytesMut};
use std::{
    io,
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
    sync::watch,
    time::Instant,
};

/// Messages of QoS 1 on their way at a time, unless told otherwise.
const DEFAULT_WINDOW: u16 = 8192;
/// Messages prepared at QoS 0, sent again and again.
const PREPARED_AT_QOS_0: u16 = 8192;
/// Payload, unless told otherwise.
const DEFAULT_PAYLOAD_BYTES: usize = 100;
/// Bytes of acknowledgements read at once.
const INPUT_BYTES: usize = 256 * 1024;
/// Bytes handed to the socket at once.
const WRITE_BYTES: usize = 512 * 1024;

/// What is to be pushed.
#[derive(Clone, Debug)]
pub struct FloodConfig {
    /// Where it listens; by default on a free loopback port.
    pub address: Option<SocketAddr>,
    /// How many messages.
    pub messages: u64,
    /// At most QoS 1.
    pub qos: QoS,
    /// The topic of all.
    pub topic: String,
    /// Bytes of each payload, a JSON object with two values; at least 60.
    pub payload_bytes: usize,
    /// Messages of QoS 1 that are not acknowledged, at most; a 5.0 subscriber may ask for fewer. Also the number of
    /// different messages, which then repeat.
    pub window: u16,
}

impl FloodConfig {
    /// 100-byte payloads with a window of 8,192.
    #[must_use]
    pub fn new(messages: u64, qos: QoS, topic: &str) -> Self {
        let (payload_bytes, window) = (DEFAULT_PAYLOAD_BYTES, DEFAULT_WINDOW);
        Self { address: None, messages, qos, topic: topic.into(), payload_bytes, window }
    }
}

/// How a flood went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FloodReport {
    /// Messages sent and, at QoS 1, acknowledged.
    pub messages: u64,
    /// From the subscription to the last acknowledgement, or at QoS 0 to the last byte given to the socket.
    pub elapsed: Duration,
}

/// A flood, until it is stopped or dropped. Each subscriber gets all messages; one at a time makes sense.
#[derive(Debug)]
pub struct Flood {
    service: TcpService,
    acknowledged: Arc<AtomicU64>,
    report: watch::Receiver<Option<FloodReport>>,
}

impl Flood {
    /// Listens.
    ///
    /// # Errors
    /// [`SimulatorError::Bind`] where the address is taken.
    pub async fn start(config: FloodConfig) -> Result<Self, SimulatorError> {
        let address = config.address.unwrap_or(ANY_LOOPBACK_PORT);
        let (reports, report) = watch::channel(None);
        let acknowledged = Arc::<AtomicU64>::default();
        let shared = Arc::new(Shared { config, acknowledged: acknowledged.clone(), reports });
        let serve = move |stream| {
            let shared = shared.clone();
            async move {
                if let Err(error) = push(stream, &shared).await {
                    tracing::debug!(%error, "flood lost its subscriber");
                }
            }
        };
        Ok(Self { service: TcpService::start(address, serve).await?, acknowledged, report })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.service.address()
    }

    /// Acknowledgements received so far.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Relaxed)
    }

    /// Waits until all messages are acknowledged or, at QoS 0, sent.
    ///
    /// # Errors
    /// [`SimulatorError::Stopped`] when the flood is stopped first.
    pub async fn finished(&self) -> Result<FloodReport, SimulatorError> {
        let mut report = self.report.clone();
        let report = report.wait_for(Option::is_some).await.map_err(|_| SimulatorError::Stopped)?;
        report.ok_or(SimulatorError::Stopped)
    }

    /// Closes everything.
    pub async fn stop(&mut self) {
        self.service.stop().await;
    }
}

#[derive(Debug)]
struct Shared {
    config: FloodConfig,
    acknowledged: Arc<AtomicU64>,
    reports: watch::Sender<Option<FloodReport>>,
}

/// Encoded messages of equal length; that of packet id n at place n − 1.
struct Prepared {
    bytes: Vec<u8>,
    message_bytes: u64,
    messages: u64,
}

impl Prepared {
    fn new(config: &FloodConfig, window: u16, level: u8) -> Self {
        let mut bytes = Vec::new();
        for packet_id in 1..=window {
            let payload = payload(packet_id, config.payload_bytes).into();
            let (topic, qos) = (config.topic.clone(), config.qos.min(QoS::AtLeastOnce));
            let message = Message { topic, payload, qos, retain: false, properties: Properties::default() };
            put_publish(&message, packet_id, false, level, &mut bytes);
        }
        let messages = u64::from(window);
        Self { message_bytes: bytes.len() as u64 / messages, messages, bytes }
    }

    /// The bytes to send next, when `from` bytes were sent in all and `to` may be: as far as they lie together.
    fn next(&self, from: u64, to: u64) -> &[u8] {
        let round = self.message_bytes * self.messages;
        let start = from % round;
        let end = round.min(start + (to - from)).min(start + WRITE_BYTES as u64);
        &self.bytes[start as usize..end as usize]
    }
}

/// A JSON object with two values, filled up with spaces, which JSON allows, to the given length.
fn payload(number: u16, bytes: usize) -> Vec<u8> {
    let temperature = 20.0 + f64::from(number % 1000) / 100.0;
    let pressure = 1.0 + f64::from(number % 500) / 1000.0;
    let values = format!(r#"{{"temperature":{temperature:.2},"pressure":{pressure:.3},"device":"flood""#);
    let mut payload = values.into_bytes();
    payload.resize(bytes.max(payload.len() + 1) - 1, b' ');
    payload.push(b'}');
    payload
}

async fn push(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut input = BytesMut::with_capacity(INPUT_BYTES);
    let connect = shake_hands(&mut stream, &mut input).await?;
    let asked = connect.properties.number(id::RECEIVE_MAXIMUM).unwrap_or(u32::from(u16::MAX));
    let window = match shared.config.qos {
        QoS::AtMostOnce => PREPARED_AT_QOS_0,
        _ => shared.config.window.min(asked as u16).max(1),
    };
    let prepared = Prepared::new(&shared.config, window, connect.level);
    shared.acknowledged.store(0, Relaxed);
    let start = Instant::now();
    let mut run = Run { prepared, level: connect.level, sent_bytes: 0, acknowledged: 0, control: Vec::new() };
    run.push_all(&mut stream, &mut input, shared).await?;
    let report = FloodReport { messages: shared.config.messages, elapsed: start.elapsed() };
    shared.reports.send_replace(Some(report));
    run.keep_open(&mut stream, &mut input).await
}

/// Accepts the client and its first subscription.
async fn shake_hands(stream: &mut TcpStream, input: &mut BytesMut) -> io::Result<Connect> {
    let mut connected = None;
    loop {
        let level = connected.as_ref().map_or(LEVEL_3_1_1, |connect: &Connect| connect.level);
        let no_properties: &[u8] = if level >= LEVEL_5 { &[0] } else { &[] };
        let mut answer = Vec::new();
        match (take_packet(input, level)?, connected.take()) {
            (Some(Packet::Connect(connect)), None) => {
                let body: &[u8] = if connect.level >= LEVEL_5 { &[0, 0, 0] } else { &[0, 0] };
                put_packet(kind::CONNACK << 4, body, &mut answer);
                connected = Some(connect);
            }
            (Some(Packet::Subscribe { packet_id, filters }), Some(connect)) => {
                let granted = filters.iter().map(|(_, options)| options.qos as u8);
                let body: Vec<u8> =
                    packet_id.to_be_bytes().into_iter().chain(no_properties.iter().copied()).chain(granted).collect();
                put_packet(kind::SUBACK << 4, &body, &mut answer);
                stream.write_all(&answer).await?;
                return Ok(connect);
            }
            (Some(Packet::PingRequest), before) => {
                answer.extend_from_slice(&[0xD0, 0]);
                connected = before;
            }
            (Some(_), _) => return Err(Malformed("neither CONNECT nor SUBSCRIBE").into()),
            (None, before) => {
                connected = before;
                if stream.read_buf(input).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
        stream.write_all(&answer).await?;
    }
}

/// One subscriber's flood.
struct Run {
    prepared: Prepared,
    level: u8,
    sent_bytes: u64,
    acknowledged: u64,
    /// Ping answers, sent between two messages.
    control: Vec<u8>,
}

impl Run {
    async fn push_all(&mut self, stream: &mut TcpStream, input: &mut BytesMut, shared: &Shared) -> io::Result<()> {
        let (mut reader, mut writer) = stream.split();
        let waits = shared.config.qos != QoS::AtMostOnce;
        let all_bytes = shared.config.messages * self.prepared.message_bytes;
        loop {
            let is_sent = self.sent_bytes == all_bytes;
            if is_sent && (!waits || self.acknowledged >= shared.config.messages) {
                return Ok(());
            }
            if !self.control.is_empty() && self.sent_bytes.is_multiple_of(self.prepared.message_bytes) {
                writer.write_all(&self.control).await?;
                self.control.clear();
            }
            let may_bytes = match waits {
                true => all_bytes.min((self.acknowledged + self.prepared.messages) * self.prepared.message_bytes),
                false => all_bytes,
            };
            // With a ping to answer, go only to the end of the message that is under way.
            let may_bytes = match self.control.is_empty() {
                true => may_bytes,
                false => may_bytes.min(self.sent_bytes.next_multiple_of(self.prepared.message_bytes)),
            };
            tokio::select! {
                biased;
                read = reader.read_buf(input) => {
                    if read? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    self.acknowledged += take_acknowledgements(input, self.level, &mut self.control)?;
                    shared.acknowledged.store(self.acknowledged, Relaxed);
                }
                written = writer.write(self.prepared.next(self.sent_bytes, may_bytes)), if may_bytes > self.sent_bytes => {
                    self.sent_bytes += written? as u64;
                }
            }
        }
    }

    /// Answers pings until the subscriber leaves.
    async fn keep_open(&mut self, stream: &mut TcpStream, input: &mut BytesMut) -> io::Result<()> {
        loop {
            stream.write_all(&self.control).await?;
            self.control.clear();
            if stream.read_buf(input).await? == 0 {
                return Ok(());
            }
            take_acknowledgements(input, self.level, &mut self.control)?;
        }
    }
}

/// Takes all complete packets off the input; how many acknowledgements there were. Answers to pings are appended.
fn take_acknowledgements(input: &mut BytesMut, level: u8, control: &mut Vec<u8>) -> Result<u64, Malformed> {
    let mut acknowledged = 0;
    loop {
        let short = input.chunks_exact(4).take_while(|packet| packet[..2] == [kind::PUBACK << 4, 2]).count();
        input.advance(short * 4);
        acknowledged += short as u64;
        match take_packet(input, level)? {
            Some(Packet::Acknowledge { kind: kind::PUBACK, .. }) => acknowledged += 1,
            Some(Packet::PingRequest) => control.extend_from_slice(&[0xD0, 0]),
            Some(_) => {}
            None => break,
        }
    }
    if input.capacity() - input.len() < INPUT_BYTES / 4 {
        input.reserve(INPUT_BYTES);
    }
    Ok(acknowledged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prepared_messages_are_equal_in_length_and_wrap_at_the_end() {
        let config = FloodConfig::new(1, QoS::AtLeastOnce, "t");
        for level in [LEVEL_3_1_1, LEVEL_5] {
            let prepared = Prepared::new(&config, 300, level);
            let message = prepared.message_bytes;
            assert_eq!(message * 300, prepared.bytes.len() as u64);
            assert_eq!(prepared.next(299 * message + 5, 310 * message).len() as u64, message - 5);
            assert_eq!(prepared.next(300 * message, 301 * message), &prepared.bytes[..message as usize]);
        }
    }

    #[test]
    fn payloads_are_json_of_the_length_asked() {
        for number in [1, 999, u16::MAX] {
            let payload = payload(number, 100);
            assert_eq!(payload.len(), 100);
            let value: serde_json::Value = serde_json::from_slice(&payload).unwrap();
            assert!(value["temperature"].is_f64() && value["pressure"].is_f64());
        }
    }

    #[test]
    fn acknowledgements_short_and_long_and_pings_are_told_apart() {
        let mut input = BytesMut::from(&[0x40, 2, 0, 1, 0x40, 3, 0, 2, 0, 0xC0, 0, 0x40, 2, 0, 3, 0x40][..]);
        let mut control = Vec::new();
        assert_eq!(take_acknowledgements(&mut input, LEVEL_5, &mut control), Ok(3));
        assert_eq!((control.as_slice(), input.as_ref()), (&[0xD0, 0][..], &[0x40][..]));
    }
}
