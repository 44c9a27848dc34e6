//! Health, readiness and metrics, and how the server stops.

use crate::harness::{Gateway, PATIENCE, QUIET, answer};
use reqwest::StatusCode;

#[tokio::test]
async fn health_follows_the_log() {
    let gateway = Gateway::start(QUIET).await;
    assert_eq!(gateway.json("/healthz").await["status"], "ok");
    assert_eq!(gateway.json("/readyz").await["status"], "ready");
    gateway.log.clone().close().await.unwrap();
    let (status, problem) = answer(gateway.get("/healthz")).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::SERVICE_UNAVAILABLE, Some("stopping")));
    gateway.stop().await;
}

#[tokio::test]
async fn a_failed_connection_does_not_keep_the_gateway_from_being_ready() {
    let text = "[api]\nlisten = \"127.0.0.1:0\"\n[connections.boiler]\nadapter = \"nowhere\"\n";
    let gateway = Gateway::start(text).await;
    let ready = async {
        while answer(gateway.get("/readyz")).await.0 != StatusCode::OK {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, ready).await.expect("ready in time");
    let connection = gateway.json("/api/v1/connections/boiler").await;
    assert!(connection["reason"].as_str().unwrap().contains("nowhere"), "{connection}");
    gateway.stop().await;
}

#[tokio::test]
async fn metrics_say_what_is_counted() {
    let (gateway, _) = Gateway::with_readings().await;
    let response = gateway.get("/metrics").send().await.unwrap();
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    let text = response.text().await.unwrap();
    for line in [
        "bulkhead_log_rows_total 11",
        "bulkhead_log_last_seq 11.0",
        r#"bulkhead_connection_state{connection="boiler",state="disabled"} 1.0"#,
        r#"bulkhead_connection_events_total{connection="boiler",event="polls"} 0"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    let memory = text.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
    assert!(memory.unwrap().parse::<f64>().unwrap() > 1e6);
    assert!(text.contains("bulkhead_build_info{") && text.ends_with("# EOF\n"));
    gateway.stop().await;
}
