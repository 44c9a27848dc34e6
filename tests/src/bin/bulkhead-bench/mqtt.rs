//! JSON messages of 100 bytes with two values from a source that floods: source → adapter → committed log, in messages a
//! second.

use crate::figure::Figure;
use crate::hand_log::rows_on_disk;
use crate::hand_mqtt;
use crate::in_process::InProcess;
use crate::place::{Place, field, subject};
use crate::rounds::{in_turn, rate_until};
use anyhow::{Context, Result, ensure};
use bulkhead_simulators::mqtt::{Flood, FloodConfig, QoS};
use std::net::SocketAddr;
use std::time::Duration;

/// Messages of a run.
const MESSAGES: u64 = 2_000_000;
/// Values of a message, each a row.
pub(crate) const VALUES: u64 = 2;
/// The topic.
pub(crate) const TOPIC: &str = "plant/press/telemetry";
/// Part of the reference that is to be reached.
const RATIO_MIN: f64 = 0.4;
/// Messages a second that are to be reached.
const RATE_MIN: f64 = 150_000.0;
/// Longest wait for the last acknowledgement.
const FINISH_MAX: Duration = Duration::from_secs(10);

/// The figures of one quality of service.
pub(crate) fn measure(place: &Place, qos: QoS) -> Result<Vec<Figure>> {
    let by_hand = || {
        flooded(qos, |flood| {
            let dir = place.folder()?;
            subject()?.block_on(hand_mqtt::run(dir.path(), flood, qos, MESSAGES))
        })
    };
    let gateway = || {
        flooded(qos, |flood| {
            let dir = place.folder()?;
            let rate = subject()?.block_on(through_gateway(place, dir.path(), flood, qos))?;
            let rows = rows_on_disk(dir.path())?;
            ensure!(rows == MESSAGES * VALUES, "{rows} rows are in the log, expected {}", MESSAGES * VALUES);
            Ok(rate)
        })
    };
    let (reference, measured) = in_turn(place.rounds, "messages/s", by_hand, gateway)?;
    let name = format!("mqtt-qos{}", qos as u8);
    Ok(vec![
        Figure::of(&name, measured, "messages/s").beside(reference, RATIO_MIN),
        Figure::of(format!("{name}-rate"), measured, "messages/s").at_least(RATE_MIN),
    ])
}

/// Runs something beside a flood.
fn flooded(qos: QoS, run: impl FnOnce(&Flood) -> Result<f64>) -> Result<f64> {
    let field = field()?;
    let flood = field.block_on(Flood::start(FloodConfig::new(MESSAGES, qos, TOPIC)))?;
    run(&flood)
}

/// Waits until every message was sent and, at QoS 1, acknowledged.
pub(crate) async fn finished(flood: &Flood) -> Result<()> {
    let finished = tokio::time::timeout(FINISH_MAX, flood.finished()).await;
    let acknowledged = || format!("{} of {MESSAGES} messages were acknowledged", flood.acknowledged());
    finished.with_context(acknowledged)??;
    Ok(())
}

async fn through_gateway(place: &Place, dir: &std::path::Path, flood: &Flood, qos: QoS) -> Result<f64> {
    let running = InProcess::start(place, dir, &config(flood.address(), qos as u8), |_| {})?;
    let rate = rate_until(&running.committed(), MESSAGES * VALUES).await.with_context(|| running.trouble());
    let rate = match rate {
        Ok(rate) => finished(flood).await.map(|()| rate),
        Err(error) => Err(error),
    };
    running.stop().await?;
    Ok(rate? / VALUES as f64)
}

/// A config with one connection to a broker.
pub(crate) fn config(broker: SocketAddr, qos: u8) -> String {
    format!(
        r#"
[connections.press]
adapter = "mqtt-json"

[connections.press.transports.broker]
kind = "mqtt"
address = "{broker}"
subscribe = ["{TOPIC}"]
qos = {qos}

[[connections.press.settings.topics]]
filter = "{TOPIC}"
name = "{{path}}"
points = [
  {{ path = "temperature", type = "real" }},
  {{ path = "pressure", type = "real" }},
]
"#
    )
}
