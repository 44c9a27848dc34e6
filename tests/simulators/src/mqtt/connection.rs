//! One client's connection to the broker.

use super::{
    broker::{Expiry, Online, Shared},
    packet::{
        Connect, LEVEL_3_1_1, LEVEL_5, MAX_PACKET_BYTES, Malformed, Message, Packet, QoS, SubscribeOptions, kind,
        put_acknowledge, put_packet, take_packet,
    },
    property::{Held, Properties, id},
    topic,
};
use bytes::{Buf, BytesMut};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep_until, timeout},
};

/// Longest wait for a new connection's CONNECT.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for a client that has no keep-alive: in effect forever.
const NO_KEEP_ALIVE: Duration = Duration::from_secs(365 * 86_400);
/// Output that waits for the socket; beyond, no message is taken out of line and no packet is read.
const OUTPUT_BYTES: usize = 256 * 1024;

/// Reason and return codes (3.1.1 section 3.2.2.3; 5.0 section 2.4).
mod code {
    pub(super) const V3_BAD_VERSION: u8 = 1;
    pub(super) const V3_BAD_CLIENT_ID: u8 = 2;
    pub(super) const V3_UNAVAILABLE: u8 = 3;
    pub(super) const V3_BAD_CREDENTIALS: u8 = 4;
    pub(super) const V5_BAD_VERSION: u8 = 0x84;
    pub(super) const V5_BAD_CREDENTIALS: u8 = 0x86;
    pub(super) const V5_TAKEN_OVER: u8 = 0x8E;
    pub(super) const V5_BUSY: u8 = 0x89;
    pub(super) const V5_BAD_CLIENT_ID: u8 = 0x85;
    pub(super) const V5_NO_SUBSCRIPTION: u8 = 0x11;
    pub(super) const V5_BAD_FILTER: u8 = 0x8F;
    pub(super) const V5_QUOTA_EXCEEDED: u8 = 0x97;
    pub(super) const V3_BAD_FILTER: u8 = 0x80;
}

/// Serves a client until it leaves or misbehaves.
pub(crate) async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let mut input = BytesMut::new();
    let Ok(Ok(connect)) = timeout(CONNECT_TIMEOUT, read_connect(&mut stream, &mut input)).await else { return };
    match Client::accept(connect, shared.clone()) {
        Ok(mut client) => {
            if let Err(error) = client.run(&mut stream, input).await {
                tracing::debug!(%error, client = client.id, "simulated broker lost a client");
            }
        }
        Err(refusal) => {
            shared.state.lock().stats.refused += 1;
            shared.changed.notify_waiters();
            let _ = stream.write_all(&refusal).await;
        }
    }
}

async fn read_connect(stream: &mut TcpStream, input: &mut BytesMut) -> io::Result<Connect> {
    loop {
        match take_packet(input, LEVEL_3_1_1)? {
            Some(Packet::Connect(connect)) => return Ok(connect),
            Some(_) => return Err(Malformed("a first packet that is not CONNECT").into()),
            None if stream.read_buf(input).await? == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            None => {}
        }
    }
}

/// What follows a packet.
enum Next {
    Continue,
    Leave,
}

struct Client {
    id: String,
    level: u8,
    expiry: Expiry,
    keep_alive: Duration,
    window: usize,
    will: Option<Message>,
    online: Online,
    shared: Arc<Shared>,
    output: Vec<u8>,
}

impl Client {
    /// Opens the session, or gives the CONNACK that refuses it.
    fn accept(connect: Connect, shared: Arc<Shared>) -> Result<Self, Vec<u8>> {
        let level = connect.level;
        check(&connect, &shared).map_err(|reason| conn_ack(level, false, reason, Properties::default()))?;
        let is_assigned = connect.client_id.is_empty();
        let id = if is_assigned { assigned_client_id() } else { connect.client_id.clone() };
        let opened = shared.state.lock().open(&id, connect.clean_start, Instant::now());
        let busy = if level >= LEVEL_5 { code::V5_BUSY } else { code::V3_UNAVAILABLE };
        let (online, is_present) = opened.ok_or_else(|| conn_ack(level, false, busy, Properties::default()))?;
        let receive_maximum = connect.properties.number(id::RECEIVE_MAXIMUM).unwrap_or(u32::from(u16::MAX)) as usize;
        let mut client = Self {
            expiry: Expiry::of(&connect),
            keep_alive: keep_alive(connect.keep_alive_seconds),
            window: shared.config.max_in_flight.min(receive_maximum),
            output: conn_ack(level, is_present, 0, offer(is_assigned.then_some(&id))),
            will: connect.will,
            id,
            level,
            online,
            shared,
        };
        client.resend();
        client.shared.changed.notify_waiters();
        Ok(client)
    }

    fn resend(&mut self) {
        let mut state = self.shared.state.lock();
        let output = &mut self.output;
        let sent = state.session(&self.id, &self.online).map_or(0, |session| session.resend(self.level, output));
        state.stats.sent += sent;
    }

    async fn run(&mut self, stream: &mut TcpStream, mut input: BytesMut) -> io::Result<()> {
        let (mut reader, mut writer) = stream.split();
        let mut unsent = BytesMut::new();
        let mut deadline = Instant::now() + self.keep_alive;
        loop {
            while let Some(packet) = take_packet(&mut input, self.level)? {
                deadline = Instant::now() + self.keep_alive;
                if let Next::Leave = self.handle(packet)? {
                    return Ok(());
                }
            }
            self.send_waiting(OUTPUT_BYTES.saturating_sub(unsent.len()));
            unsent.extend_from_slice(&self.output);
            self.output.clear();
            tokio::select! {
                read = reader.read_buf(&mut input), if unsent.len() < OUTPUT_BYTES => if read? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                },
                written = writer.write(&unsent), if !unsent.is_empty() => unsent.advance(written?),
                () = self.online.wake.notified() => {}
                () = sleep_until(deadline) => return Err(io::ErrorKind::TimedOut.into()),
                () = self.online.taken_over.cancelled() => {
                    if self.level >= LEVEL_5 {
                        unsent.extend_from_slice(&[kind::DISCONNECT << 4, 1, code::V5_TAKEN_OVER]);
                        let _ = writer.try_write(&unsent);
                    }
                    return Ok(());
                }
            }
        }
    }

    fn send_waiting(&mut self, room_bytes: usize) {
        let mut state = self.shared.state.lock();
        let Some(session) = state.session(&self.id, &self.online) else { return };
        let sent = session.send(self.window, room_bytes, self.level, &mut self.output);
        if sent > 0 {
            state.stats.sent += sent;
            self.shared.changed.notify_waiters();
        }
    }

    fn handle(&mut self, packet: Packet) -> Result<Next, Malformed> {
        match packet {
            Packet::Publish { message, packet_id } => self.publish(message, packet_id)?,
            Packet::Acknowledge { kind, packet_id, failed } => self.acknowledge(kind, packet_id, failed),
            Packet::Subscribe { packet_id, filters } => self.subscribe(packet_id, filters)?,
            Packet::Unsubscribe { packet_id, filters } => self.unsubscribe(packet_id, &filters),
            Packet::PingRequest => self.output.extend_from_slice(&[0xD0, 0]),
            Packet::Disconnect { with_will, session_expiry_seconds } => {
                if !with_will {
                    self.will = None;
                }
                if let Some(seconds) = session_expiry_seconds {
                    self.expiry = Expiry::from_seconds(seconds);
                }
                return Ok(Next::Leave);
            }
            Packet::Connect(_) | Packet::ConnAck { .. } | Packet::Other => {
                return Err(Malformed("a packet that a connected client does not send"));
            }
        }
        Ok(Next::Continue)
    }

    fn publish(&mut self, message: Message, packet_id: u16) -> Result<(), Malformed> {
        if !topic::is_valid_topic(&message.topic) {
            return Err(Malformed("a topic that is empty or has a wildcard"));
        }
        let is_new = {
            let mut state = self.shared.state.lock();
            let Some(session) = state.session(&self.id, &self.online) else { return Ok(()) };
            let is_new = message.qos != QoS::ExactlyOnce || session.received(packet_id);
            state.stats.received += u64::from(is_new);
            is_new
        };
        match message.qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => put_acknowledge(kind::PUBACK, packet_id, &mut self.output),
            QoS::ExactlyOnce => put_acknowledge(kind::PUBREC, packet_id, &mut self.output),
        }
        if is_new {
            self.shared.route(message, Some(&self.id));
        }
        Ok(())
    }

    fn acknowledge(&mut self, kind: u8, packet_id: u16, failed: bool) {
        let mut state = self.shared.state.lock();
        let Some(session) = state.session(&self.id, &self.online) else { return };
        if kind == kind::PUBREL {
            session.released(packet_id);
            put_acknowledge(kind::PUBCOMP, packet_id, &mut self.output);
        } else if session.acknowledged(kind, packet_id, failed, &mut self.output) {
            state.stats.acknowledged += 1;
            self.shared.changed.notify_waiters();
        }
    }

    fn subscribe(&mut self, packet_id: u16, filters: Vec<(String, SubscribeOptions)>) -> Result<(), Malformed> {
        if filters.is_empty() {
            return Err(Malformed("a subscription without a filter"));
        }
        let is_v5 = self.level >= LEVEL_5;
        let mut body = self.acknowledgement_head(packet_id);
        let mut state = self.shared.state.lock();
        for (filter, options) in filters {
            let is_shared = filter.starts_with("$share/");
            if !topic::is_valid_filter(&filter) || is_shared {
                body.push(if is_v5 { code::V5_BAD_FILTER } else { code::V3_BAD_FILTER });
                continue;
            }
            let Some(session) = state.session(&self.id, &self.online) else { return Ok(()) };
            let Some(is_new) = session.subscribe(filter.clone(), options) else {
                body.push(if is_v5 { code::V5_QUOTA_EXCEEDED } else { code::V3_BAD_FILTER });
                continue;
            };
            body.push(options.qos as u8);
            if options.retain_handling == 0 || (options.retain_handling == 1 && is_new) {
                state.queue_retained(&self.id, &filter, options, self.shared.config.max_queued);
            }
        }
        drop(state);
        put_packet(kind::SUBACK << 4, &body, &mut self.output);
        self.shared.changed.notify_waiters();
        Ok(())
    }

    fn unsubscribe(&mut self, packet_id: u16, filters: &[String]) {
        let mut body = self.acknowledgement_head(packet_id);
        let mut state = self.shared.state.lock();
        let Some(session) = state.session(&self.id, &self.online) else { return };
        for filter in filters {
            let was_there = session.unsubscribe(filter);
            if self.level >= LEVEL_5 {
                body.push(if was_there { 0 } else { code::V5_NO_SUBSCRIPTION });
            }
        }
        drop(state);
        put_packet(kind::UNSUBACK << 4, &body, &mut self.output);
        self.shared.changed.notify_waiters();
    }

    /// Packet id and, in 5.0, no properties.
    fn acknowledgement_head(&self, packet_id: u16) -> Vec<u8> {
        let mut body = packet_id.to_be_bytes().to_vec();
        if self.level >= LEVEL_5 {
            Properties::default().write(&mut body);
        }
        body
    }
}

/// However a connection ends, by its task being cancelled too, its session learns of it.
impl Drop for Client {
    fn drop(&mut self) {
        let sends_will = self.shared.state.lock().close(&self.id, &self.online, self.expiry, Instant::now());
        if let Some(will) = self.will.take().filter(|_| sends_will) {
            self.shared.route(will, Some(&self.id));
        }
        self.shared.changed.notify_waiters();
    }
}

/// Whether a client is let in; else the reason.
fn check(connect: &Connect, shared: &Shared) -> Result<(), u8> {
    let is_v5 = connect.level >= LEVEL_5;
    if ![LEVEL_3_1_1, LEVEL_5].contains(&connect.level) {
        return Err(if is_v5 { code::V5_BAD_VERSION } else { code::V3_BAD_VERSION });
    }
    if !is_v5 && connect.client_id.is_empty() && !connect.clean_start {
        return Err(code::V3_BAD_CLIENT_ID);
    }
    if connect.client_id.len() > usize::from(u16::MAX) {
        return Err(code::V5_BAD_CLIENT_ID);
    }
    let is_known = shared.config.credentials.as_ref().is_none_or(|wanted| {
        connect.user.as_deref() == Some(&wanted.user) && connect.password.as_deref() == Some(wanted.password.as_bytes())
    });
    match is_known {
        true => Ok(()),
        false if is_v5 => Err(code::V5_BAD_CREDENTIALS),
        false => Err(code::V3_BAD_CREDENTIALS),
    }
}

fn assigned_client_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("assigned-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// One and a half times what the client promised (section 3.1.2.10).
fn keep_alive(seconds: u16) -> Duration {
    if seconds == 0 { NO_KEEP_ALIVE } else { Duration::from_millis(u64::from(seconds) * 1500) }
}

/// What the broker can do, as 5.0 clients want to know it.
fn offer(assigned: Option<&String>) -> Properties {
    let offer = Properties::default()
        .with(id::MAXIMUM_PACKET_BYTES, Held::Four(MAX_PACKET_BYTES as u32))
        .with(id::SUBSCRIPTION_IDS_AVAILABLE, Held::Byte(0))
        .with(id::SHARED_SUBSCRIPTIONS_AVAILABLE, Held::Byte(0));
    match assigned {
        Some(id) => offer.with(id::ASSIGNED_CLIENT_ID, Held::Data(id.clone().into_bytes().into())),
        None => offer,
    }
}

fn conn_ack(level: u8, session_present: bool, code: u8, properties: Properties) -> Vec<u8> {
    let mut body = vec![u8::from(session_present), code];
    if level >= LEVEL_5 {
        properties.write(&mut body);
    }
    let mut out = Vec::new();
    put_packet(kind::CONNACK << 4, &body, &mut out);
    out
}
