//! MQTT by hand: rumqttc's event loop, serde_json into a struct, the values straight into the log by hand; at QoS 1 a
//! message is acknowledged after the commit of its rows, as the gateway does it.

use crate::hand_log::{HandLog, HandRow, HandValue};
use crate::hand_modbus::now_ns;
use crate::mqtt::{TOPIC, VALUES, finished};
use crate::rounds::rate_until;
use anyhow::{Result, anyhow};
use bulkhead_simulators::mqtt::{Flood, QoS as Quality};
use rumqttc_v4::{AckMode, AsyncClient, Event, EventLoop, Incoming, MqttOptions, Publish, QoS};
use serde::Deserialize;
use std::path::Path;
use tokio::sync::{mpsc, oneshot};

/// Messages in one append; the gateway gives its adapter as many at a time.
const APPEND_MESSAGES: usize = 1_024;
/// Appends whose commit is awaited.
const UNCOMMITTED_MAX: usize = 8;
/// Requests that wait for the event loop.
const REQUESTS_MAX: usize = 4_096;

#[derive(Deserialize)]
struct Payload {
    temperature: f64,
    pressure: f64,
}

/// Takes in so many messages, into a log in an empty folder; messages a second.
pub(crate) async fn run(dir: &Path, flood: &Flood, qos: Quality, messages: u64) -> Result<f64> {
    let broker = flood.address();
    let (log, writer) = HandLog::start(dir)?;
    let mut options = MqttOptions::new("by-hand", (broker.ip().to_string(), broker.port()));
    options.set_keep_alive(30).set_clean_session(true);
    if qos != Quality::AtMostOnce {
        options.set_ack_mode(AckMode::Manual);
    }
    options.set_max_request_batch(APPEND_MESSAGES);
    let (client, events) = AsyncClient::builder(options).capacity(REQUESTS_MAX).build();
    let asked = if qos == Quality::AtMostOnce { QoS::AtMostOnce } else { QoS::AtLeastOnce };
    client.subscribe(TOPIC, asked).await?;
    let (uncommitted, commits) = mpsc::channel(UNCOMMITTED_MAX);
    let acknowledging = tokio::spawn(acknowledge(client, commits));
    let receiving = tokio::spawn(receive(events, log.clone(), uncommitted, messages, qos != Quality::AtMostOnce));
    let rate = rate_until(&log.committed(), messages * VALUES).await;
    let rate = match rate {
        Ok(rate) => finished(flood).await.map(|()| rate),
        Err(error) => Err(error),
    };
    acknowledging.abort();
    receiving.abort();
    // Whether it ended by itself or was ended: its part of the log's handle is gone.
    _ = receiving.await;
    drop(log);
    tokio::task::spawn_blocking(|| writer.join()).await??;
    Ok(rate? / VALUES as f64)
}

type Uncommitted = (oneshot::Receiver<()>, Vec<Publish>);

/// Takes messages in, then lets the event loop run on for the acknowledgements.
async fn receive(
    mut events: EventLoop,
    log: HandLog,
    uncommitted: mpsc::Sender<Uncommitted>,
    messages: u64,
    keeps: bool,
) -> Result<()> {
    let mut received = 0;
    let mut rows = Vec::with_capacity(APPEND_MESSAGES * 2);
    let mut kept = Vec::new();
    let mut uncommitted = Some(uncommitted);
    loop {
        let Event::Incoming(Incoming::Publish(publish)) = events.poll().await? else { continue };
        let payload: Payload = serde_json::from_slice(&publish.payload)?;
        let time = now_ns();
        for (point, value) in [(1, payload.temperature), (2, payload.pressure)] {
            rows.push(HandRow { point, time, status: 0, value: HandValue::Real(value) });
        }
        received += 1;
        if keeps {
            kept.push(publish);
        }
        if rows.len() >= APPEND_MESSAGES * 2 || received == messages {
            let full = std::mem::replace(&mut rows, Vec::with_capacity(APPEND_MESSAGES * 2));
            let committed = log.submit(full).await?;
            if let Some(to) = &uncommitted
                && keeps
            {
                let waiting = (committed, std::mem::take(&mut kept));
                to.send(waiting).await.map_err(|_| anyhow!("acknowledging by hand ended"))?;
            }
        }
        if received == messages {
            uncommitted = None;
        }
    }
}

/// Acknowledges messages in order, each batch after its commit.
async fn acknowledge(client: AsyncClient, mut commits: mpsc::Receiver<Uncommitted>) -> Result<()> {
    while let Some((committed, messages)) = commits.recv().await {
        committed.await?;
        for message in &messages {
            client.ack(message).await?;
        }
    }
    Ok(())
}
