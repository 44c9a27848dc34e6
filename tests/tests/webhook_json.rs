//! The adapter `webhook-json` behind the gateway's own API: what is posted is committed before the answer.

use anyhow::{Context, Result, ensure};
use bulkhead_tests::{Gateway, NUMBERS, Reading, commit_numbers, http_client};
use reqwest::Method;
use serde_json::{Value, json};

const HOOKS: &str = r#"
[connections.cloud]
adapter = "webhook-json"

[[connections.cloud.settings.hooks]]
path = "/+device/telemetry"
name = "{device}.{path}"
time = { path = "ts" }
points = [
  { path = "temp", unit = "°C" },
  { path = "ok", type = "boolean", optional = true },
]

[[connections.cloud.settings.hooks]]
path = "/lorawan"
each = "$.uplinks[*]"
name_path = "dev"
points = [{ path = "object.humidity", name = "humidity", unit = "%" }]
"#;

async fn send(gateway: &Gateway, method: Method, path: &str, body: &str) -> Result<(u16, String)> {
    let client = http_client()?;
    let url = gateway.api.url(&format!("/hooks/{path}"));
    let request = client.request(method, url).header("content-type", "application/json").body(body.to_owned());
    let response = request.send().await?;
    Ok((response.status().as_u16(), response.text().await?))
}

async fn post(gateway: &Gateway, path: &str, body: &str) -> Result<(u16, Value)> {
    let (status, answer) = send(gateway, Method::POST, path, body).await?;
    Ok((status, serde_json::from_str(&answer).with_context(|| format!("{status} {answer}"))?))
}

fn shown(reading: &Reading) -> (&str, &str, &str, &Value) {
    (&reading.point, &reading.time, &reading.status_name, &reading.value)
}

#[tokio::test]
async fn readings_are_in_the_log_when_the_answer_comes() -> Result<()> {
    let gateway = Gateway::start(HOOKS).await?;
    let body = r#"{"ts":"2026-05-04T10:00:00Z","temp":61.5,"ok":true}"#;
    assert_eq!(post(&gateway, "cloud/pump1/telemetry", body).await?, (200, json!({ "readings": 2 })));
    let time = "2026-05-04T10:00:00Z";
    let readings = gateway.api.readings().await?;
    assert_eq!(
        readings.iter().map(shown).collect::<Vec<_>>(),
        [("pump1.temp", time, "Good", &json!(61.5)), ("pump1.ok", time, "Good", &json!(true))]
    );
    let uplinks = r#"{"uplinks":[{"dev":"s1","object":{"humidity":40}},{"dev":"s2","object":{"humidity":41.5}}]}"#;
    assert_eq!(post(&gateway, "cloud/lorawan", uplinks).await?, (200, json!({ "readings": 2 })));
    let batch = r#"[{"ts":"2026-05-04T10:00:01Z","temp":1},{"ts":"2026-05-04T10:00:02Z","temp":2}]"#;
    assert_eq!(post(&gateway, "cloud/pump2/telemetry", batch).await?, (200, json!({ "readings": 2 })));
    let gateway = gateway.kill().await?.run().await?;
    let readings = gateway.api.readings().await?;
    let values: Vec<(&str, &Value)> =
        readings.iter().skip(2).map(|reading| (reading.point.as_str(), &reading.value)).collect();
    assert_eq!(
        values,
        [
            ("s1.humidity", &json!(40.0)),
            ("s2.humidity", &json!(41.5)),
            ("pump2.temp", &json!(1.0)),
            ("pump2.temp", &json!(2.0))
        ],
        "what was answered survives a kill"
    );
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_used_is_told_to_the_sender_and_becomes_bad_readings() -> Result<()> {
    let gateway = Gateway::start(&format!("{HOOKS}{NUMBERS}")).await?;
    let good = r#"{"ts":"2026-05-04T10:00:00Z","temp":20}"#;
    assert_eq!(post(&gateway, "cloud/pump1/telemetry", good).await?.0, 200);
    let half = r#"{"ts":"2026-05-04T10:00:01Z","temp":21,"ok":"maybe"}"#;
    let (status, answer) = post(&gateway, "cloud/pump1/telemetry", half).await?;
    ensure!(status == 200 && answer["problems"][0].as_str().is_some_and(|text| text.contains("ok")), "{answer}");
    let (status, answer) = post(&gateway, "cloud/pump1/telemetry", "{\"temp\":").await?;
    ensure!(status == 400 && answer["error"].is_string(), "{status} {answer}");
    let readings = gateway.api.readings().await?;
    let statuses: Vec<(&str, &str)> =
        readings.iter().map(|reading| (reading.point.as_str(), reading.status_name.as_str())).collect();
    assert_eq!(
        statuses,
        [
            ("pump1.temp", "Good"),
            ("pump1.temp", "Good"),
            ("pump1.ok", "BadTypeMismatch"),
            ("pump1.temp", "BadDecodingError"),
            ("pump1.ok", "BadDecodingError"),
        ]
    );
    assert!(readings.iter().all(|reading| reading.is_good() || reading.value.is_null()), "no value is made up");
    for (method, path, expected) in [
        (Method::POST, "cloud/unknown/path/of/parts", 404),
        (Method::POST, "nobody/numbers", 404),
        (Method::GET, "cloud/pump1/telemetry", 405),
        (Method::DELETE, "cloud/pump1/telemetry", 405),
    ] {
        let (status, answer) = send(&gateway, method.clone(), path, good).await?;
        assert_eq!(status, expected, "{method} {path}: {answer}");
    }
    let cloud = gateway.api.connection("cloud").await?;
    ensure!(cloud.faults.values().sum::<u64>() > 0 && cloud.last_fault.is_some(), "{cloud:?}");
    commit_numbers(&gateway, [1]).await?;
    assert_eq!(gateway.api.readings().await?.len(), 6, "the other connection goes on, and nothing else was committed");
    Ok(())
}

#[tokio::test]
async fn a_body_beyond_the_bound_is_refused_and_many_senders_at_once_lose_nothing() -> Result<()> {
    let gateway = Gateway::start(NUMBERS).await?;
    let large = format!("[{}]", " ".repeat(64 << 20));
    let refused = send(&gateway, Method::POST, "source/numbers", &large).await;
    // The server may close before the whole body was sent; either way nothing is committed.
    ensure!(refused.as_ref().map_or(true, |(status, _)| *status == 413), "{refused:?}");
    let senders = (0..8).map(|sender| {
        let gateway = &gateway;
        async move {
            for number in 0..25 {
                commit_numbers(gateway, [sender * 1000 + number]).await?;
            }
            anyhow::Ok(())
        }
    });
    for outcome in futures_util::future::join_all(senders).await {
        outcome?;
    }
    let readings = gateway.api.readings().await?;
    for sender in 0..8_i64 {
        let numbers = readings.iter().filter_map(|reading| reading.value.as_i64());
        let own: Vec<i64> = numbers.filter(|number| number / 1000 == sender).collect();
        assert_eq!(own, (0..25).map(|number| sender * 1000 + number).collect::<Vec<_>>(), "each sender's in order");
    }
    assert_eq!(readings.len(), 200);
    Ok(())
}
