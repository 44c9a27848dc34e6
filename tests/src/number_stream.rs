//! A device that publishes `{"number": 1}`, `{"number": 2}`, … at QoS 1 and sends again what its broker has not
//! acknowledged, whatever happens to the broker meanwhile.

use crate::api::Reading;
use crate::wait::within;
use anyhow::{Context, Result, ensure};
use rumqttc_v4::{AsyncClient, Event, EventLoop, Incoming, MqttOptions, PublishOptions};
use std::collections::BTreeSet;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Messages that wait to be sent.
const WAITING_MAX: usize = 10;
/// Wait before the next connect while the broker is away.
const RECONNECT_WAIT: std::time::Duration = std::time::Duration::from_millis(50);

/// The stream, until it is dropped.
#[derive(Debug)]
pub struct NumberStream {
    acknowledged: watch::Receiver<u64>,
    limit: watch::Sender<u64>,
    _tasks: JoinSet<()>,
}

impl NumberStream {
    /// Its client id.
    pub const CLIENT: &str = "number-stream";
    /// Most messages that wait for their acknowledgement: what it may send again when the broker was away.
    pub const UNACKNOWLEDGED_MAX: u16 = 100;

    /// A stream to a topic, which is silent until [`NumberStream::publish_to`].
    ///
    /// # Errors
    /// Where the address is no `host:port`.
    pub fn start(broker: &str, topic: &str) -> Result<Self> {
        let (host, port) = broker.rsplit_once(':').context("a broker without port")?;
        let mut options = MqttOptions::new(Self::CLIENT, (host.to_owned(), port.parse::<u16>()?));
        options.set_keep_alive(30).set_clean_session(false);
        options.set_inflight(Self::UNACKNOWLEDGED_MAX);
        let (client, events) = AsyncClient::builder(options).capacity(WAITING_MAX).build();
        let (counter, acknowledged) = watch::channel(0);
        let (limit, limited) = watch::channel(0);
        let mut tasks = JoinSet::new();
        tasks.spawn(keep_connected(events, counter));
        tasks.spawn(publish_all(client, topic.to_owned(), limited));
        Ok(Self { acknowledged, limit, _tasks: tasks })
    }

    /// The connection `line`, which reads such a stream from a topic `plant/<name>/number` as the point `<name>.number`. `more`
    /// has further keys of it.
    #[must_use]
    pub fn connection(broker: &str, more: &str) -> String {
        format!(
            r#"
[connections.line]
adapter = "mqtt-json"
{more}

[connections.line.transports.broker]
kind = "mqtt"
address = "{broker}"
subscribe = ["plant/#"]
reconnect = {{ first_ms = 50, max_ms = 200 }}

[[connections.line.settings.topics]]
filter = "plant/+line/number"
points = [{{ path = "number", type = "integer" }}]
"#
        )
    }

    /// The (seq, number) of that connection's readings in the log: those that are sent again have more than one seq.
    ///
    /// # Errors
    /// When one of the first `count` numbers is missing, another is there, or their first times are not in order.
    pub fn logged(readings: &[Reading], count: u64) -> Result<Vec<(u64, u64)>> {
        let line = readings.iter().filter(|reading| reading.connection == "line");
        let logged: Vec<(u64, u64)> = line.filter_map(|reading| Some((reading.seq, reading.value.as_u64()?))).collect();
        let mut known = BTreeSet::new();
        let numbers = logged.iter().map(|(_, number)| *number);
        let first_times: Vec<u64> = numbers.filter(|number| known.insert(*number)).collect();
        ensure!(first_times == (1..=count).collect::<Vec<_>>(), "a number is missing or out of order in the log");
        Ok(logged)
    }

    /// Lets it publish the numbers up to this one, as fast as the broker takes them.
    pub fn publish_to(&self, last: u64) {
        self.limit.send_replace(last);
    }

    /// Waits until the broker has acknowledged all that may be published.
    ///
    /// # Errors
    /// When it does not.
    pub async fn finish(&self) -> Result<()> {
        let count = *self.limit.borrow();
        let mut acknowledged = self.acknowledged.clone();
        let what = format!("the broker to acknowledge {count} messages");
        within(&what, acknowledged.wait_for(|acknowledged| *acknowledged >= count)).await??;
        Ok(())
    }
}

async fn publish_all(client: AsyncClient, topic: String, mut limit: watch::Receiver<u64>) {
    for number in 1.. {
        let payload = format!("{{\"number\":{number}}}");
        if limit.wait_for(|limit| number <= *limit).await.is_err()
            || client.publish(topic.as_str(), payload, PublishOptions::at_least_once()).await.is_err()
        {
            return;
        }
    }
}

async fn keep_connected(mut events: EventLoop, acknowledged: watch::Sender<u64>) {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Incoming::PubAck(_))) => acknowledged.send_modify(|count| *count += 1),
            Ok(_) => {}
            Err(_) => tokio::time::sleep(RECONNECT_WAIT).await,
        }
    }
}
