//! MQTT 3.1.1 and 5: subscriptions to what is granted, acknowledged after the commit; publishing within the grant.

mod acks;
mod driver;
mod filter;
mod options;
mod packet;
mod session;
mod source;
mod stream;
mod v311_packets;
mod v5_packets;
mod will;

use crate::address::Address;
use crate::lifecycle::{Lifecycle, Task};
use crate::queue::queue;
use crate::{Capability, Context, Opened, TransportError, tls};
use acks::Acks;
use async_trait::async_trait;
use bulkhead_model::transport::{LastWill, Mqtt as Settings, MqttVersion};
use bulkhead_sandbox::capability::{Fault, Link, LinkState, Message, Mqtt, Qos, Remedy};
use bytes::Bytes;
use driver::Driver;
use options::{Command, Counters, Options, PublishError};
use packet::{Codec, Publish};
use parking_lot::Mutex;
use rustls_pki_types::ServerName;
use session::Session;
use source::MqttFrames;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use stream::Tls;
use tokio::sync::{mpsc, oneshot, watch};
use will::Will;

/// The registered ports.
const DEFAULT_PORT: u16 = 1883;
const DEFAULT_TLS_PORT: u16 = 8883;
/// Most messages of ours that wait to be sent.
const COMMANDS_MAX: usize = 64;
/// Longest payload to publish, in bytes.
const PAYLOAD_MAX: usize = 262_144;
/// What topic, properties and header may add to a message's payload on the wire.
const HEADER_MAX_BYTES: u32 = 2 * 65_536;
/// Longest client id that every broker takes is 23 bytes; most take this many.
const CLIENT_ID_MAX: usize = 128;

/// A broker as a connection's transport.
struct MqttTransport {
    connection: String,
    description: String,
    publish: Vec<String>,
    timeout: Duration,
    commands: mpsc::Sender<Command>,
    /// Taken by `start`.
    driver: Mutex<Option<Driver>>,
    will: Arc<Will>,
    acks: Arc<Acks>,
    life: Arc<Lifecycle>,
    task: Task,
    counters: Arc<Counters>,
}

pub(crate) fn open(settings: &Settings, context: Context) -> Result<Opened, TransportError> {
    let options = options(settings, &context)?;
    let (commands, received) = mpsc::channel(COMMANDS_MAX);
    let (filler, taker) = queue();
    let counters = Arc::new(Counters::default());
    let will = Arc::new(Will::new(settings.last_will.as_ref().map(will_of)));
    let acks = Arc::new(Acks::default());
    let version = if options.codec.is_v5 { "5" } else { "3.1.1" };
    let secured = if options.tls.is_some() { " with TLS" } else { "" };
    let description = format!("mqtt {} (MQTT {version}{secured})", options.address);
    let life = Arc::new(Lifecycle::new(&context, description.clone()));
    let transport = Arc::new(MqttTransport {
        connection: context.connection.clone(),
        description,
        publish: settings.publish.clone(),
        timeout: options.timeout,
        commands,
        driver: Mutex::new(Some(Driver {
            options,
            clock: context.clock.clone(),
            life: life.clone(),
            counters: counters.clone(),
            will: will.clone(),
            acks: acks.clone(),
            commands: received,
            frames: filler,
            session: Session::new(),
            connection: 0,
            subscribed: false,
            batch: Vec::new(),
        })),
        will,
        acks: acks.clone(),
        life,
        task: Task::default(),
        counters,
    });
    Ok(Opened {
        link: transport.clone(),
        capability: Capability::Mqtt(transport),
        frames: Some(Box::new(MqttFrames::new(taker, acks))),
    })
}

fn options(settings: &Settings, context: &Context) -> Result<Options, TransportError> {
    let default_port = if settings.tls.is_some() { DEFAULT_TLS_PORT } else { DEFAULT_PORT };
    let address = Address::parse(&settings.address, Some(default_port))
        .ok_or_else(|| context.setting_error("address", &settings.address, "`host` or `host:port`"))?;
    check_filters("subscribe", &settings.subscribe, context)?;
    check_filters("publish", &settings.publish, context)?;
    if let Some(will) = &settings.last_will
        && !filter::is_topic(&will.topic)
    {
        return Err(context.setting_error("last_will.topic", &will.topic, "a topic without wildcards"));
    }
    if settings.password.is_some() && settings.username.is_none() {
        return Err(context.setting_error("username", "missing", "a user name beside the password"));
    }
    let client_id = settings.client_id.clone().unwrap_or_else(|| default_client_id(context));
    if client_id.is_empty() || client_id.len() > CLIENT_ID_MAX {
        return Err(context.setting_error("client_id", client_id, format!("1 to {CLIENT_ID_MAX} bytes")));
    }
    let tls = match &settings.tls {
        None => None,
        Some(tls) => {
            let name = tls.server_name.clone().unwrap_or_else(|| address.host.clone());
            let server_name = ServerName::try_from(name.clone())
                .map_err(|_| context.setting_error("tls.server_name", name, "a host name or IP address"))?;
            Some(Tls { config: Arc::new(tls::client_config(tls, context)?), server_name })
        }
    };
    Ok(Options {
        address,
        tls,
        codec: Codec {
            is_v5: settings.version == MqttVersion::V5,
            max_incoming_bytes: settings.max_message_bytes.saturating_add(HEADER_MAX_BYTES),
        },
        client_id,
        username: settings.username.clone(),
        password: settings.password.as_ref().map(|secret| context.reveal("password", secret)).transpose()?,
        subscribe: settings.subscribe.clone(),
        qos: settings.qos.min(2),
        keep_alive_s: settings.keep_alive_s.max(2),
        resume_session: settings.resume_session,
        session_expiry_s: settings.session_expiry_s,
        receive_maximum: settings.receive_maximum.max(1),
        max_message_bytes: usize::try_from(settings.max_message_bytes).unwrap_or(usize::MAX),
        timeout: Duration::from_millis(settings.timeout_ms.into()),
        reconnect: settings.reconnect,
    })
}

fn check_filters(setting: &'static str, filters: &[String], context: &Context) -> Result<(), TransportError> {
    match filters.iter().find(|text| !filter::is_filter(text)) {
        Some(text) => Err(context.setting_error(setting, text, "a topic filter: `+` a whole level, `#` the last one")),
        None => Ok(()),
    }
}

/// The same at each start, so that the broker knows its session, and another for each transport of a gateway.
fn default_client_id(context: &Context) -> String {
    let mut id = format!("bulkhead-{}-{}-{}", context.gateway, context.connection, context.role);
    while id.len() > CLIENT_ID_MAX {
        id.pop();
    }
    id
}

fn will_of(will: &LastWill) -> Publish {
    Publish {
        duplicate: false,
        qos: will.qos.min(2),
        retain: will.retain,
        topic: Bytes::from(will.topic.clone()),
        packet_id: 0,
        payload: Bytes::from(will.payload.clone()),
        properties: Vec::new(),
    }
}

impl MqttTransport {
    fn fault(&self, remedy: Remedy, code: &str, why: &str) -> Fault {
        Fault::new(remedy, code, format!("{} ({}): {why}", self.connection, self.description))
    }

    /// A message the grant allows.
    fn granted(&self, message: Message) -> Result<Publish, Fault> {
        let Message { topic, payload, qos, retain, properties } = message;
        if !filter::is_topic(&topic) {
            return Err(self.fault(Remedy::Reject, "bad-topic", &format!("`{topic}` is no topic to publish to")));
        }
        if !self.publish.iter().any(|filter| filter::matches(filter, &topic)) {
            let why = format!("publishing to `{topic}` is outside of the transport's `publish` filters");
            return Err(self.fault(Remedy::Reject, "not-granted", &why));
        }
        if payload.len() > PAYLOAD_MAX {
            let why = format!("a payload of {} bytes for `{topic}`: at most {PAYLOAD_MAX}", payload.len());
            return Err(self.fault(Remedy::Reject, "too-large", &why));
        }
        let qos = match qos {
            Qos::AtMostOnce => 0,
            Qos::AtLeastOnce => 1,
            Qos::ExactlyOnce => 2,
        };
        Ok(Publish {
            duplicate: false,
            qos,
            retain,
            topic: Bytes::from(topic),
            packet_id: 0,
            payload: Bytes::from(payload),
            properties,
        })
    }

    async fn send(&self, publish: Publish) -> Result<(), Fault> {
        let stopped = || self.fault(Remedy::Retry, "not-connected", "the transport is not running");
        if self.driver.lock().is_some() {
            return Err(stopped());
        }
        let (waiter, answer) = oneshot::channel();
        self.commands.send(Command { publish, waiter }).await.map_err(|_| stopped())?;
        match answer.await.map_err(|_| stopped())? {
            Ok(()) => Ok(()),
            Err(PublishError::NotConnected(reason)) => {
                Err(self.fault(Remedy::Retry, "not-connected", &format!("not connected: {reason}")))
            }
            Err(PublishError::Refused(reason)) => Err(self.fault(Remedy::Reject, "refused", &reason)),
        }
    }
}

#[async_trait]
impl Mqtt for MqttTransport {
    async fn publish(&self, message: Message) -> Result<(), Fault> {
        let publish = self.granted(message)?;
        tokio::time::timeout(self.timeout, self.send(publish)).await.unwrap_or_else(|_| {
            let why = format!("the broker has not acknowledged a message within {} ms", self.timeout.as_millis());
            Err(self.fault(Remedy::Retry, "timeout", &why))
        })
    }

    async fn set_will(&self, message: Message) -> Result<(), Fault> {
        self.will.set(self.granted(message)?);
        Ok(())
    }
}

#[async_trait]
impl Link for MqttTransport {
    fn start(&self) {
        if let Some(driver) = self.driver.lock().take() {
            self.task.spawn(&self.life, driver.keep());
        }
    }

    fn state(&self) -> watch::Receiver<LinkState> {
        self.life.watch()
    }

    async fn reconnect(&self) {
        // At once, not when the task hears of it: whatever is acknowledged from now on comes again.
        self.acks.close();
        self.life.reconnect();
    }

    async fn stop(&self) {
        // A transport that never ran ends its frames too.
        drop(self.driver.lock().take());
        self.task.stop(&self.life).await;
    }

    fn describe(&self) -> String {
        self.description.clone()
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        let counters = &self.counters;
        [
            ("connects_total", &counters.connects),
            ("messages_total", &counters.messages),
            ("messages_redelivered_total", &counters.redelivered),
            ("published_total", &counters.published),
            ("foreign_messages_total", &counters.foreign),
            ("messages_too_long_total", &counters.too_long),
            ("subscriptions_refused_total", &counters.refused),
        ]
        .map(|(name, counter)| (name, counter.load(Ordering::Relaxed)))
        .into()
    }
}
