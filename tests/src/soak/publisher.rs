//! An MQTT source that knows what it sent: it publishes ids in order at QoS 1, keeps what its broker has not acknowledged,
//! and publishes that again, in order, on every new connection.

use super::ids::Ids;
use super::oracle::Sent;
use anyhow::{Context, Result};
use parking_lot::Mutex;
use rumqttc_v4::{AsyncClient, Event, EventLoop, Incoming, MqttOptions, PublishOptions};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Messages that wait for their acknowledgement.
const UNACKNOWLEDGED_MAX: u16 = 100;
/// Wait before the next connect.
const RECONNECT_WAIT: Duration = Duration::from_millis(20);

/// The source, until it is dropped.
#[derive(Debug)]
pub(crate) struct Publisher {
    shared: Arc<Shared>,
    _task: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    address: (String, u16),
    topic: String,
    ids: Ids,
    sent: Mutex<Sent>,
    acknowledged: watch::Sender<u64>,
    limit: watch::Sender<u64>,
    is_open: watch::Sender<bool>,
}

impl Publisher {
    /// Its client id.
    pub(crate) const CLIENT: &str = "soak-publisher";

    /// A source of lane 0 that is silent until [`Publisher::allow`].
    pub(crate) fn start(broker: &str, topic: &str, ids: Ids) -> Result<Self> {
        let (host, port) = broker.rsplit_once(':').context("a broker without port")?;
        let shared = Arc::new(Shared {
            address: (host.to_owned(), port.parse()?),
            topic: topic.to_owned(),
            ids,
            sent: Mutex::default(),
            acknowledged: watch::Sender::new(0),
            limit: watch::Sender::new(0),
            is_open: watch::Sender::new(true),
        });
        let mut task = JoinSet::new();
        task.spawn(keep_publishing(shared.clone()));
        Ok(Self { shared, _task: task })
    }

    /// Lets it publish the ids up to this one.
    pub(crate) fn allow(&self, last: u64) {
        self.shared.limit.send_replace(last);
    }

    /// Has it leave the broker, and stay away until it is told otherwise.
    pub(crate) fn keep_away(&self, away: bool) {
        self.shared.is_open.send_replace(!away);
    }

    /// Waits until the ids up to this one are acknowledged.
    pub(crate) async fn wait_acknowledged(&self, id: u64) {
        let mut acknowledged = self.shared.acknowledged.subscribe();
        // The sender lives as long as self.
        _ = acknowledged.wait_for(|acknowledged| *acknowledged >= id).await;
    }

    /// What it knows.
    pub(crate) fn sent(&self) -> Sent {
        *self.shared.sent.lock()
    }
}

async fn keep_publishing(shared: Arc<Shared>) {
    let mut is_open = shared.is_open.subscribe();
    while is_open.wait_for(|is_open| *is_open).await.is_ok() {
        let mut options = MqttOptions::new(Publisher::CLIENT, shared.address.clone());
        options.set_keep_alive(30).set_clean_session(true).set_inflight(UNACKNOWLEDGED_MAX);
        let (client, events) = AsyncClient::builder(options).capacity(1).build();
        // Whichever ends first ends the connection.
        tokio::select! {
            () = take_acknowledgements(&shared, events) => {}
            () = publish(&shared, &client) => {}
            _ = is_open.wait_for(|is_open| !is_open) => {}
        }
        tokio::time::sleep(RECONNECT_WAIT).await;
    }
}

async fn publish(shared: &Shared, client: &AsyncClient) {
    let mut limit = shared.limit.subscribe();
    let first = shared.sent.lock().acknowledged + 1;
    for id in first.. {
        if limit.wait_for(|limit| *limit >= id).await.is_err() {
            return;
        }
        note_sent(&mut shared.sent.lock(), id);
        let payload = json!({ "id": shared.ids.value(0, id) }).to_string();
        if client.publish(shared.topic.as_str(), payload, PublishOptions::at_least_once()).await.is_err() {
            return;
        }
    }
}

fn note_sent(sent: &mut Sent, id: u64) {
    sent.again += u64::from(id <= sent.sent);
    sent.sent = sent.sent.max(id);
}

/// The broker acknowledges in the order of the messages.
async fn take_acknowledgements(shared: &Shared, mut events: EventLoop) {
    while let Ok(event) = events.poll().await {
        if matches!(event, Event::Incoming(Incoming::PubAck(_))) {
            shared.sent.lock().acknowledged += 1;
            shared.acknowledged.send_modify(|acknowledged| *acknowledged += 1);
        }
    }
}
