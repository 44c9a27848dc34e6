//! The task of an MQTT transport: connects, subscribes, takes messages in, sends messages and acknowledgements out.
//!
//! It drives rumqttc's packet codecs itself rather than rumqttc's event loop, for three needs: acknowledgements go out
//! by the thousand in one write, when the readings are committed; while nobody takes frames the socket is not read, so
//! that the broker waits, and pings are still sent, so that it does not give us up; and an acknowledgement of an earlier
//! connection never meets a packet id of this one.

use super::acks::{Acks, Owed};
use super::filter;
use super::options::{Command, Counters, Message, Options, PublishError, Waiter};
use super::packet::{Ack, ConnAck, Connect, Incoming, Publish, put_ack, put_disconnect, put_ping};
use super::session::{Again, Arrival, Session};
use super::stream::{Stream, Turn};
use super::will::Will;
use crate::lifecycle::{Lifecycle, Signal, Signals};
use crate::queue::Filler;
use crate::reopening::Reopening;
use crate::repeats::Kind;
use bulkhead_sandbox::backoff::random_u32;
use bulkhead_sandbox::capability::{Clock, Frame, FrameKind, LinkState};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// While this much waits to be written, no further messages of ours are taken.
const OUT_MAX_BYTES: usize = 1024 * 1024;
/// After this many half keep-alives without a byte from the broker, or with our bytes stuck, the connection is lost.
const SILENT_TICKS_MAX: u32 = 4;
/// Longest time to say good-bye.
const GOODBYE_TIMEOUT_MS: u64 = 300;

pub(crate) struct Driver {
    pub(crate) options: Options,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) life: Arc<Lifecycle>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) will: Arc<Will>,
    pub(crate) acks: Arc<Acks>,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) frames: Filler<Message>,
    pub(crate) session: Session<Waiter>,
    /// Numbers the connections, for [`Owed`].
    pub(crate) connection: u64,
    /// Whether this process has subscribed in the broker's session.
    pub(crate) subscribed: bool,
    pub(crate) batch: Vec<Message>,
}

enum End {
    Signal(Signal),
    Lost(String),
}

impl Driver {
    /// Connects and stays connected until the transport stops.
    pub(crate) async fn keep(mut self) {
        let mut signals = self.life.signals();
        let mut reopening = Reopening::new(self.options.reconnect);
        loop {
            let connected = tokio::select! {
                connected = self.connect() => connected,
                signal = signals.next() => {
                    if signal == Signal::Stop {
                        return;
                    }
                    self.void_tickets();
                    continue;
                }
            };
            let (lost, wait) = match connected {
                Ok((stream, ack)) => {
                    let connected_at = Instant::now();
                    let end = self.run(stream, &ack, &mut signals).await;
                    let lived = connected_at.elapsed();
                    match end {
                        End::Signal(Signal::Stop) => return,
                        End::Signal(Signal::Reconnect) => {
                            self.void_tickets();
                            (None, reopening.on_request(lived, random_u32()))
                        }
                        End::Lost(reason) => (Some(reason), reopening.after_session(lived, random_u32())),
                    }
                }
                Err(reason) => (Some(reason), reopening.after_failure(random_u32())),
            };
            let reason = lost.as_deref().unwrap_or("it is connected anew on request");
            let reason = format!("broker {}: {reason}", self.options.address);
            self.life.set(match lost {
                Some(_) => LinkState::Down { reason: reason.clone() },
                None => LinkState::Connecting,
            });
            if !self.refuse_for(wait, &reason, &mut signals).await {
                return;
            }
            self.life.set(LinkState::Connecting);
        }
    }

    /// Answers publishers with why there is no connection, until it is time to try again. False: the transport stops.
    async fn refuse_for(&mut self, wait: Duration, reason: &str, signals: &mut Signals) -> bool {
        let mut over = std::pin::pin!(tokio::time::sleep(wait));
        loop {
            tokio::select! {
                () = &mut over => return true,
                signal = signals.next() => {
                    self.void_tickets();
                    return signal == Signal::Reconnect;
                }
                Some(command) = self.commands.recv() => {
                    let _ = command.waiter.send(Err(PublishError::NotConnected(reason.to_owned())));
                }
            }
        }
    }

    /// Whoever asks for a new connection will not acknowledge what came over the old ones: the broker sends it again,
    /// and it is delivered again, QoS 2 too.
    fn void_tickets(&mut self) {
        self.session.forget_uncommitted();
        self.acks.void(self.session.number());
    }

    /// From the socket to the broker's acceptance.
    async fn connect(&self) -> Result<(Stream, ConnAck), String> {
        let limit = self.options.timeout;
        tokio::time::timeout(limit, self.connect_now())
            .await
            .unwrap_or_else(|_| Err(format!("no answer to the connect within {} ms", limit.as_millis())))
    }

    async fn connect_now(&self) -> Result<(Stream, ConnAck), String> {
        let options = &self.options;
        let mut stream = Stream::connect(&options.address, options.tls.as_ref()).await?;
        let will = self.will.current();
        let connect = Connect {
            client_id: &options.client_id,
            clean: !options.resume_session,
            keep_alive_s: options.keep_alive_s,
            username: options.username.as_deref(),
            password: options.password.as_deref(),
            will: will.as_ref(),
            session_expiry_s: if options.resume_session { options.session_expiry_s } else { 0 },
            receive_maximum: options.receive_maximum,
        };
        options.codec.put_connect(&mut stream.out, &connect)?;
        loop {
            stream.turn(true).await?;
            match options.codec.decode(&mut stream.input)? {
                None => {}
                Some(Incoming::ConnAck(ConnAck { refused: Some(reason), .. })) => {
                    return Err(format!("the connect was refused: {reason}"));
                }
                Some(Incoming::ConnAck(ack)) => return Ok((stream, ack)),
                Some(Incoming::Disconnect(reason)) => return Err(format!("the connect was refused: {reason}")),
                Some(_) => return Err("the broker's first packet is no answer to the connect".into()),
            }
        }
    }

    /// Uses a connection until it ends.
    async fn run(&mut self, mut stream: Stream, ack: &ConnAck, signals: &mut Signals) -> End {
        self.counters.connects.fetch_add(1, Ordering::Relaxed);
        self.connection += 1;
        let begun = self.begin(&mut stream, ack);
        if begun.is_ok() {
            self.frames.push_notice(self.notice(FrameKind::Connected));
        }
        let end = match begun {
            Ok(()) => self.serve(&mut stream, ack, signals).await,
            Err(reason) => Err(reason),
        };
        self.frames.push_all(&mut self.batch);
        self.frames.push_notice(self.notice(FrameKind::Disconnected));
        match end {
            Ok(signal) => {
                self.say_goodbye(&mut stream).await;
                End::Signal(signal)
            }
            Err(reason) => End::Lost(reason),
        }
    }

    fn notice(&self, kind: FrameKind) -> Message {
        let frame = Frame {
            kind,
            topic: String::new(),
            payload: Vec::new(),
            received: self.clock.now().0,
            retained: false,
            properties: Vec::new(),
        };
        Message { frame, owed: Owed::Nothing }
    }

    /// What comes first on a connection: subscriptions, and messages of ours that were on the way.
    fn begin(&mut self, stream: &mut Stream, ack: &ConnAck) -> Result<(), String> {
        let codec = self.options.codec;
        let again = self.session.resume(ack.session_present, ack.receive_maximum, Waiter::is_closed);
        self.acks.begin_connection(self.connection, self.session.number());
        for again in again {
            match again {
                Again::Publish(publish) => codec.put_publish(&mut stream.out, &publish, ack.max_packet_bytes)?,
                Again::PubRel(packet_id) => put_ack(&mut stream.out, Ack::Release, packet_id),
            }
        }
        // A session of an earlier run may have been made with other filters: once a run they are always sent.
        let known = ack.session_present && self.subscribed;
        if self.options.subscribe.is_empty() || self.frames.is_abandoned() || known {
            self.life.set(LinkState::Up);
            return Ok(());
        }
        let packet_id = self.session.free_id();
        codec.put_subscribe(&mut stream.out, packet_id, &self.options.subscribe, self.options.qos)
    }

    async fn serve(&mut self, stream: &mut Stream, ack: &ConnAck, signals: &mut Signals) -> Result<Signal, String> {
        let keep_alive_s = ack.keep_alive_s.unwrap_or(self.options.keep_alive_s).max(2);
        let half = Duration::from_millis(u64::from(keep_alive_s) * 500);
        let mut ticks = tokio::time::interval(half);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        ticks.reset();
        let mut silent_ticks = 0;
        // What the connect brought along with its acknowledgement.
        self.take_in(stream)?;
        loop {
            for (session, packet_id) in self.acks.take(&mut stream.out) {
                if self.session.committed(session, packet_id) {
                    put_ack(&mut stream.out, Ack::Received, packet_id);
                }
            }
            let reads = self.frames.has_room();
            let takes = stream.out.len() < OUT_MAX_BYTES && self.session.has_room();
            let acks = self.acks.clone();
            tokio::select! {
                signal = signals.next() => return Ok(signal),
                turn = stream.turn(reads) => {
                    let turn = turn?;
                    // Written bytes may only have reached our own socket's buffer; while we read, only bytes count.
                    if turn == Turn::Read || !reads {
                        silent_ticks = 0;
                    }
                    if turn == Turn::Read {
                        self.take_in(stream)?;
                    }
                }
                () = acks.added() => {}
                Some(command) = self.commands.recv(), if takes => self.publish(stream, ack, command),
                () = self.frames.room(), if !reads => {}
                _ = ticks.tick() => {
                    // While we do not read, the broker's silence says nothing; that our bytes are stuck does.
                    silent_ticks = if reads || !stream.out.is_empty() { silent_ticks + 1 } else { 0 };
                    if silent_ticks > SILENT_TICKS_MAX {
                        return Err(format!("no answer to a ping within {} s", u32::from(keep_alive_s) * 2));
                    }
                    put_ping(&mut stream.out);
                }
            }
        }
    }

    fn publish(&mut self, stream: &mut Stream, ack: &ConnAck, command: Command) {
        let Command { mut publish, waiter } = command;
        // Who asked has given up: what was not sent yet is not sent any more.
        if waiter.is_closed() {
            return;
        }
        if publish.qos > 0 {
            publish.packet_id = self.session.free_id();
        }
        match self.options.codec.put_publish(&mut stream.out, &publish, ack.max_packet_bytes) {
            Err(reason) => drop(waiter.send(Err(PublishError::Refused(reason)))),
            Ok(()) => {
                self.counters.published.fetch_add(1, Ordering::Relaxed);
                if publish.qos == 0 {
                    let _ = waiter.send(Ok(()));
                } else {
                    self.session.sent(publish, waiter);
                }
            }
        }
    }

    /// Handles every whole packet that has been read, and hands the messages on together.
    fn take_in(&mut self, stream: &mut Stream) -> Result<(), String> {
        let received = self.clock.now().0;
        while let Some(packet) = self.options.codec.decode(&mut stream.input)? {
            self.handle(packet, stream, received)?;
        }
        self.frames.push_all(&mut self.batch);
        Ok(())
    }

    fn handle(&mut self, packet: Incoming, stream: &mut Stream, received: i64) -> Result<(), String> {
        match packet {
            Incoming::Publish(publish) => return self.message(publish, stream, received),
            Incoming::PubAck(id, result) => answer(self.session.acknowledged(id), result),
            Incoming::PubRec(id, Ok(())) => {
                // Also for an id we do not know: a broker that waits for it must be released.
                self.session.received(id);
                put_ack(&mut stream.out, Ack::Release, id);
            }
            Incoming::PubRec(id, refused) => answer(self.session.refused(id), refused),
            Incoming::PubComp(id) => answer(self.session.completed(id), Ok(())),
            Incoming::PubRel(id) => {
                self.session.released(id);
                put_ack(&mut stream.out, Ack::Complete, id);
            }
            Incoming::SubAck(results) => self.subscribed(&results)?,
            Incoming::Disconnect(reason) => return Err(format!("the broker ended the connection: {reason}")),
            Incoming::ConnAck(_) => return Err("the broker answered the connect twice".into()),
            Incoming::Other => {}
        }
        Ok(())
    }

    fn subscribed(&mut self, results: &[Result<(), String>]) -> Result<(), String> {
        let refused: Vec<String> = std::iter::zip(&self.options.subscribe, results)
            .filter_map(|(filter, result)| result.as_ref().err().map(|reason| format!("`{filter}` ({reason})")))
            .collect();
        if !refused.is_empty() {
            self.counters.refused.fetch_add(refused.len() as u64, Ordering::Relaxed);
            let refused_words = refused.join(", ");
            if refused.len() == results.len() {
                return Err(format!("the broker refuses the subscriptions: {refused_words}"));
            }
            self.life.warn_seldom(Kind::Refused, &format!("the broker refuses the subscriptions {refused_words}"));
        }
        self.subscribed = true;
        self.life.set(LinkState::Up);
        Ok(())
    }

    fn message(&mut self, publish: Publish, stream: &mut Stream, received: i64) -> Result<(), String> {
        let packet_id = publish.packet_id;
        let topic = std::str::from_utf8(&publish.topic).map_err(|_| "a topic is not UTF-8".to_owned())?;
        if !self.options.subscribe.iter().any(|filter| filter::matches(filter, topic)) {
            self.counters.foreign.fetch_add(1, Ordering::Relaxed);
            dismiss(&publish, stream);
            return Ok(());
        }
        if publish.payload.len() > self.options.max_message_bytes {
            self.counters.too_long.fetch_add(1, Ordering::Relaxed);
            let (bytes, max) = (publish.payload.len(), self.options.max_message_bytes);
            let message = format!(
                "a message of {bytes} bytes was dropped: at most {max} (max_message_bytes); its topic: `{topic}`"
            );
            self.life.warn_seldom(Kind::TooLong, &message);
            dismiss(&publish, stream);
            return Ok(());
        }
        let owed = match publish.qos {
            0 => Owed::Nothing,
            1 => Owed::PubAck { connection: self.connection, packet_id },
            _ => match self.session.arrived(packet_id) {
                Arrival::Deliver => Owed::PubRec { session: self.session.number(), packet_id },
                Arrival::Wait => return Ok(()),
                Arrival::Acknowledge => {
                    put_ack(&mut stream.out, Ack::Received, packet_id);
                    return Ok(());
                }
            },
        };
        self.counters.messages.fetch_add(1, Ordering::Relaxed);
        self.counters.redelivered.fetch_add(u64::from(publish.duplicate), Ordering::Relaxed);
        let frame = Frame {
            kind: FrameKind::Data,
            topic: topic.to_owned(),
            payload: publish.payload.to_vec(),
            received,
            retained: publish.retain,
            properties: publish.properties,
        };
        self.batch.push(Message { frame, owed });
        Ok(())
    }

    /// Sends what is committed and a good-bye, so that the broker does not publish the last will.
    async fn say_goodbye(&mut self, stream: &mut Stream) {
        for (session, packet_id) in self.acks.take(&mut stream.out) {
            if self.session.committed(session, packet_id) {
                put_ack(&mut stream.out, Ack::Received, packet_id);
            }
        }
        put_disconnect(&mut stream.out);
        let sent = tokio::time::timeout(Duration::from_millis(GOODBYE_TIMEOUT_MS), stream.turn(false)).await;
        if !matches!(sent, Ok(Ok(Turn::Written))) {
            self.life.debug("the good-bye was not sent");
        }
    }
}

/// Acknowledges a message that never reaches the adapter: it must not block the broker's window.
fn dismiss(publish: &Publish, stream: &mut Stream) {
    match publish.qos {
        0 => {}
        1 => put_ack(&mut stream.out, Ack::Publish, publish.packet_id),
        _ => put_ack(&mut stream.out, Ack::Received, publish.packet_id),
    }
}

fn answer(waiter: Option<Waiter>, result: Result<(), String>) {
    if let Some(waiter) = waiter {
        let _ = waiter.send(result.map_err(PublishError::Refused));
    }
}
