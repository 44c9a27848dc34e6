//! Paging by seq: a point's history and the pull of everything, while more is appended.

use crate::harness::{BEGIN_NS, Gateway, QUIET, answer, declare, reading};
use bulkhead_log::Log;
use bulkhead_model::{PointId, Value};
use reqwest::StatusCode;

/// Appends readings number `from` to `to` of a point, in small batches.
async fn append(log: &Log, point: PointId, from: i64, to: i64) {
    for begin in (from..to).step_by(70) {
        let batch = (begin..(begin + 70).min(to)).map(|number| reading(point, number, Some(Value::Integer(number))));
        log.append(batch.collect()).await.unwrap();
    }
}

#[tokio::test]
async fn pages_to_the_end_are_exactly_what_was_appended_while_more_is_appended() {
    let gateway = Gateway::start(QUIET).await;
    let points = declare(&gateway.log);
    append(&gateway.log, points.odd, 0, 1_000).await;
    gateway.log.seal().await.unwrap();
    let (log, odd, flow) = (gateway.log.clone(), points.odd, points.flow);
    let appending = tokio::spawn(async move {
        for begin in (1_000..3_000).step_by(100) {
            append(&log, odd, begin, begin + 100).await;
            log.append(vec![reading(flow, begin, Some(Value::Real(0.5)))]).await.unwrap();
        }
    });
    let path = "/api/v1/connections/boiler/points/hall%2F3%20%C2%B0C%3F%23%25/readings";
    let mut values = Vec::new();
    let mut after = "0".to_owned();
    // The last page may be seen before the last append: go on until everything is there.
    while values.len() < 3_000 {
        let page = gateway.json(&format!("{path}?limit=137&after={after}")).await;
        let readings = page["readings"].as_array().unwrap();
        assert!(readings.len() <= 137);
        values.extend(readings.iter().map(|reading| reading["value"].as_i64().unwrap()));
        if let Some(last) = readings.last() {
            after = last["seq"].to_string();
        }
        assert!(page["next"].as_str().is_none_or(|next| next == after));
        if page["next"].is_null() && readings.is_empty() {
            tokio::task::yield_now().await;
        }
    }
    appending.await.unwrap();
    assert_eq!(values, (0..3_000).collect::<Vec<i64>>());
    assert!(gateway.json(&format!("{path}?after={after}")).await["next"].is_null());
    gateway.stop().await;
}

#[tokio::test]
async fn a_history_keeps_to_its_times() {
    let gateway = Gateway::start(QUIET).await;
    let points = declare(&gateway.log);
    append(&gateway.log, points.odd, 0, 20).await;
    let path = "/api/v1/connections/boiler/points/hall%2F3%20%C2%B0C%3F%23%25/readings";
    let ms = BEGIN_NS / 1_000_000;
    for (query, from, to) in [
        ("from=2026-01-01T00:00:05Z&to=2026-01-01T00:00:08Z".to_owned(), 5, 8),
        (format!("from={}&to={}", ms + 5_000, ms + 8_000), 5, 8),
        ("to=2026-01-01T01:00:03%2B01:00".to_owned(), 0, 3),
        ("from=2026-01-01T00:00:18Z".to_owned(), 18, 20),
        ("from=2027-01-01T00:00:18Z".to_owned(), 0, 0),
    ] {
        let page = gateway.json(&format!("{path}?{query}")).await;
        let values: Vec<i64> =
            page["readings"].as_array().unwrap().iter().map(|reading| reading["value"].as_i64().unwrap()).collect();
        assert_eq!(values, (from..to).collect::<Vec<i64>>(), "{query}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn the_pull_resumes_by_its_cursor_and_refuses_another_logs() {
    let (gateway, points) = Gateway::with_readings().await;
    let first = gateway.json("/api/v1/readings?limit=4").await;
    assert_eq!((first["more"].as_bool(), first["readings"].as_array().unwrap().len()), (Some(true), 4));
    let cursor = first["cursor"].as_str().unwrap().to_owned();
    assert_eq!(cursor, format!("{}-4", gateway.log.id()));
    let rest = gateway.json(&format!("/api/v1/readings?after={cursor}")).await;
    assert_eq!((rest["readings"][0]["seq"].as_u64(), rest["more"].as_bool()), (Some(5), Some(false)));
    let end = rest["cursor"].as_str().unwrap().to_owned();
    let nothing = gateway.json(&format!("/api/v1/readings?after={end}")).await;
    assert_eq!((nothing["readings"].as_array().unwrap().len(), nothing["cursor"].as_str()), (0, Some(end.as_str())));
    append(&gateway.log, points.odd, 50, 51).await;
    let more = gateway.json(&format!("/api/v1/readings?after={end}")).await;
    assert_eq!(more["readings"][0]["value"], 50);
    assert!(more["gap"].is_null());
    let other = format!("/api/v1/readings?after={}-4", "0".repeat(32));
    let (status, problem) = answer(gateway.get(&other)).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::GONE, Some("other-log")));
    gateway.stop().await;
}

#[tokio::test]
async fn what_retention_has_dropped_is_named_and_the_pull_goes_on_behind_it() {
    let (gateway, points) = Gateway::with_readings().await;
    gateway.drop_everything().await;
    append(&gateway.log, points.odd, 50, 52).await;
    let page = gateway.json("/api/v1/readings?after=4").await;
    assert_eq!(page["gap"], serde_json::json!({ "from": 5, "to": 11 }));
    assert_eq!(page["missing"], serde_json::json!([{ "reason": "retention", "from": 5, "to": 11 }]));
    assert_eq!((page["first_available_seq"].as_u64(), page["readings"][0]["seq"].as_u64()), (Some(12), Some(12)));
    let from_the_begin = gateway.json("/api/v1/readings").await;
    assert!(from_the_begin["gap"].is_null(), "who begins anew has missed nothing");
    assert_eq!(from_the_begin["missing"], serde_json::json!([]));
    assert_eq!(from_the_begin["readings"].as_array().unwrap().len(), 2);
    assert_eq!(gateway.json("/api/v1/readings?after=11").await["gap"], serde_json::Value::Null);
    gateway.stop().await;
}

#[tokio::test]
async fn gaps_are_listed_by_page() {
    let gateway = Gateway::start(QUIET).await;
    let empty = gateway.json("/api/v1/gaps").await;
    assert_eq!(empty, serde_json::json!({ "gaps": [], "next": null }));
    gateway.log.set_cursor("to-cloud", 0).unwrap();
    append(&gateway.log, declare(&gateway.log).odd, 0, 70).await;
    gateway.drop_everything().await;
    gateway.log.note_gap("boiler", None, bulkhead_log::GapReason::Refused).unwrap();
    let page = gateway.json("/api/v1/gaps?limit=1").await;
    let gap = &page["gaps"][0];
    assert_eq!(
        (&gap["reason"], &gap["rows"], &gap["routes"]),
        (&"retention".into(), &70.into(), &vec!["to-cloud"].into())
    );
    assert_eq!(
        (&gap["first_seq"], &gap["last_seq"], &gap["connection"]),
        (&1.into(), &70.into(), &serde_json::Value::Null)
    );
    assert!(gap["time"].as_str().unwrap().ends_with('Z'));
    let rest = gateway.json(&format!("/api/v1/gaps?after={}", page["next"].as_str().unwrap())).await;
    assert_eq!(rest["gaps"].as_array().unwrap().len(), 1);
    assert_eq!((&rest["gaps"][0]["reason"], &rest["gaps"][0]["connection"]), (&"refused".into(), &"boiler".into()));
    assert!(rest["gaps"][0]["rows"].is_null() && rest["next"].is_null());
    let metrics = gateway.get("/metrics").send().await.unwrap().text().await.unwrap();
    assert!(
        metrics.contains("bulkhead_log_gaps_total 2") && metrics.contains("bulkhead_log_gap_rows_total 70"),
        "{metrics}"
    );
    gateway.stop().await;
}

#[tokio::test]
async fn the_log_says_what_it_takes_what_it_lost_and_what_was_written() {
    let (gateway, points) = Gateway::with_readings().await;
    gateway.drop_everything().await;
    append(&gateway.log, points.odd, 50, 52).await;
    let state = gateway.json("/api/v1/log").await;
    assert_eq!((&state["log"], &state["last_seq"]), (&gateway.log.id().as_str().into(), &13.into()));
    assert_eq!((&state["dropped"]["readings"], &state["committed"]["readings"]), (&11.into(), &13.into()));
    assert_eq!((&state["gaps"]["number"], &state["damaged"]["files"]), (&0.into(), &0.into()));
    assert_eq!((&state["expired_readings"], &state["damaged"]["kept_bytes"]), (&0.into(), &0.into()));
    assert!(state["quota"]["used_bytes"].as_u64() >= state["segments"]["bytes"].as_u64(), "{state}");
    assert!(state["disk"]["written_bytes_per_day"].is_null(), "a few seconds say nothing about a day: {state}");
    // The kernel counts for every process, though files in memory cost no storage.
    assert!(state["disk"]["written_bytes"].is_u64(), "{state}");
    let expired = gateway.json("/api/v1/log/expired").await;
    assert_eq!(expired, serde_json::json!({ "expired": [], "next": null }));
    let metrics = gateway.get("/metrics").send().await.unwrap().text().await.unwrap();
    for name in ["disk_written_bytes_total", "log_rows_expired_total", "log_files_damaged_total", "log_damaged_bytes"] {
        assert!(metrics.contains(&format!("\nbulkhead_{name} ")), "{name}: {metrics}");
    }
    gateway.stop().await;
}
