//! MQTT payloads that cannot be understood: each is Bad with its reason and counted; those around it come through.

use anyhow::{Context, Result, ensure};
use bulkhead_simulators::mqtt::{Broker, BrokerConfig, QoS};
use bulkhead_tests::{Gateway, Reading, within};
use serde_json::{Value, json};

fn press(broker: &Broker) -> String {
    format!(
        r#"
[connections.press]
adapter = "mqtt-json"

[connections.press.transports.broker]
kind = "mqtt"
address = "{}"
subscribe = ["plant/#"]
max_message_bytes = 1000

[[connections.press.settings.topics]]
filter = "plant/+line"
time = {{ path = "ts", format = "unix-ms", optional = true }}
points = [{{ path = "temp", unit = "°C" }}, {{ path = "count", type = "integer" }}]
"#,
        broker.address()
    )
}

/// A good payload, a wrong one, a good one; what the wrong one made of `l1.temp` and `l1.count`, and its code. A reason is
/// reported once for each point that is Bad.
async fn between_good_ones(wrong: &[u8], readings: [(&str, Value); 2], code: &str, texts: &[&str]) -> Result<()> {
    let broker = Broker::start(BrokerConfig::default()).await?;
    let gateway = Gateway::start(&press(&broker)).await?;
    within("the subscription", broker.wait_for_subscription("plant/#")).await?;
    let payloads = [&br#"{"temp": 1.5, "count": 1}"#[..], wrong, br#"{"temp": 2.5, "count": 3}"#];
    for payload in payloads {
        broker.publish("plant/l1", payload.to_vec(), QoS::AtLeastOnce, false);
    }
    gateway.reading("the last payload", |reading| reading.is_of("press/l1.count") && reading.value == json!(3)).await?;
    let all = gateway.api.readings().await?;
    let of = |point: &str| all.iter().filter(|reading| reading.point == point).map(short).collect::<Vec<_>>();
    let bad = readings.iter().filter(|(status, _)| status.starts_with("Bad")).count() as u64;
    let [temp, count] = readings;
    ensure!(of("l1.temp") == [("Good", json!(1.5)), temp, ("Good", json!(2.5))], "{all:#?}");
    ensure!(of("l1.count") == [("Good", json!(1)), count, ("Good", json!(3))], "{all:#?}");
    let press = gateway.api.connection("press").await?;
    ensure!(press.faults.get(code) == Some(&bad), "{:?}", press.faults);
    let fault = press.last_fault.context("no fault was kept")?;
    for text in texts {
        ensure!(fault.message.contains(text), "`{text}` is missing: {}", fault.message);
    }
    gateway.journal.wait_for_texts(&["press", code]).await?;
    within("every message to be acknowledged", broker.wait_until(|stats| stats.acknowledged >= 3)).await?;
    gateway.terminate().await?;
    Ok(())
}

fn short(reading: &Reading) -> (&str, Value) {
    (reading.status_name.as_str(), reading.value.clone())
}

#[tokio::test]
async fn what_is_no_json_is_bad_for_each_known_point() -> Result<()> {
    let bad = || ("BadDecodingError", json!(null));
    between_good_ones(b"{\"temp\": 1.5", [bad(), bad()], "not-json", &["plant/l1"]).await
}

#[tokio::test]
async fn a_value_of_another_type_is_bad_alone() -> Result<()> {
    let readings = [("BadTypeMismatch", json!(null)), ("Good", json!(2))];
    between_good_ones(br#"{"temp": {"c": 1}, "count": 2}"#, readings, "type-mismatch", &["plant/l1", "temp"]).await
}

#[tokio::test]
async fn a_number_with_a_fraction_is_not_rounded_to_a_whole_one() -> Result<()> {
    let readings = [("Good", json!(2.0)), ("BadTypeMismatch", json!(null))];
    between_good_ones(br#"{"temp": 2, "count": 2.5}"#, readings, "type-mismatch", &["plant/l1", "count"]).await
}

#[tokio::test]
async fn an_absent_value_is_bad_alone() -> Result<()> {
    let readings = [("Good", json!(9.5)), ("BadNoData", json!(null))];
    between_good_ones(br#"{"temp": 9.5}"#, readings, "missing-path", &["plant/l1", "count"]).await
}

#[tokio::test]
async fn a_time_that_is_none_spoils_the_payload_and_not_the_clock() -> Result<()> {
    let bad = || ("BadDecodingError", json!(null));
    let wrong = br#"{"ts": "yesterday", "temp": 9.5, "count": 2}"#;
    between_good_ones(wrong, [bad(), bad()], "bad-time", &["plant/l1", "yesterday"]).await
}

#[tokio::test]
async fn a_message_longer_than_the_bound_is_dropped_acknowledged_and_told() -> Result<()> {
    let broker = Broker::start(BrokerConfig::default()).await?;
    let gateway = Gateway::start(&press(&broker)).await?;
    within("the subscription", broker.wait_for_subscription("plant/#")).await?;
    let long = format!(r#"{{"temp": 7, "count": 7, "more": "{}"}}"#, "x".repeat(2000));
    broker.publish("plant/l1", long, QoS::AtLeastOnce, false);
    broker.publish("plant/l1", r#"{"temp": 1.5, "count": 1}"#, QoS::AtLeastOnce, false);
    gateway.reading("the short message", |reading| reading.is_of("press/l1.count")).await?;
    let readings = gateway.api.readings().await?;
    ensure!(readings.iter().all(|reading| reading.value != json!(7)), "{readings:?}");
    let told = |press: &bulkhead_tests::Connection| {
        press.transports[0].counters.iter().any(|(name, count)| name.contains("too_long") && *count == 1)
    };
    gateway.connection("press", "a counted message", told).await?;
    within("both messages to be acknowledged", broker.wait_until(|stats| stats.acknowledged >= 2)).await?;
    gateway.terminate().await?;
    Ok(())
}

#[tokio::test]
async fn a_broker_that_vanishes_makes_its_points_bad_once_until_it_is_back() -> Result<()> {
    let mut broker = Broker::start(BrokerConfig::default()).await?;
    let config =
        press(&broker).replace("max_message_bytes", "reconnect = { first_ms = 20, max_ms = 50 }\nmax_message_bytes");
    let gateway = Gateway::start(&config).await?;
    within("the subscription", broker.wait_for_subscription("plant/#")).await?;
    broker.publish("plant/l1", r#"{"temp": 1.5, "count": 1}"#, QoS::AtLeastOnce, false);
    let mut events = gateway.events().await?;
    events.until("a first value", |reading| reading.is_of("press/l1.count") && reading.is_good()).await?;
    // What is not acknowledged would come again: at least once.
    within("its acknowledgement", broker.wait_until(|stats| stats.acknowledged >= 1)).await?;
    broker.stop().await;
    let bad = events.until("the outage", |reading| reading.is_of("press/l1.count")).await?;
    ensure!(bad.status_name == "BadNotConnected" && bad.value.is_null(), "{bad:?}");
    gateway.journal.wait_for_texts(&["WARN", "press", "broker", "down"]).await?;
    broker.restart().await?;
    let accepted = broker.stats().accepted;
    within("the gateway to come back", broker.wait_until(|stats| stats.accepted > accepted || stats.connected > 0))
        .await?;
    broker.publish("plant/l1", r#"{"temp": 2.5, "count": 2}"#, QoS::AtLeastOnce, false);
    let back = events.until("a value afterwards", |reading| reading.is_of("press/l1.count")).await?;
    ensure!(back.is_good() && back.value == json!(2), "Bad more than once, or lost: {back:?}");
    gateway.terminate().await?;
    Ok(())
}
