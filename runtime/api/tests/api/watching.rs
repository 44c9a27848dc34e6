//! Health, readiness and metrics, and how the server stops.

use crate::harness::{Gateway, PATIENCE, QUIET, answer};
use reqwest::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

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

#[tokio::test]
async fn stopping_waits_for_nobody_who_does_not_finish() {
    let gateway = Gateway::start(QUIET).await;
    let mut unfinished = TcpStream::connect(gateway.address).await.unwrap();
    let head = "POST /api/v1/connections/boiler/points/flow HTTP/1.1\r\nhost: localhost\r\n\
                content-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    unfinished.write_all(head.as_bytes()).await.unwrap();
    let mut silent = TcpStream::connect(gateway.address).await.unwrap();
    // A connection that is kept alive and idle.
    gateway.json("/healthz").await;
    gateway.stop().await;
    let mut rest = Vec::new();
    for stream in [&mut unfinished, &mut silent] {
        // Closed or reset: either way it is over.
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("the connection ends");
    }
    assert!(!rest.windows(3).any(|part| part == b"200"), "the unfinished request was not carried out");
}

#[tokio::test]
async fn a_request_head_has_bounds() {
    let gateway = Gateway::start(QUIET).await;
    let mut many = gateway.get("/api/v1/connections");
    for number in 0..150 {
        many = many.header(format!("x-{number}"), "1");
    }
    assert_eq!(many.send().await.unwrap().status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let large = gateway.get("/api/v1/connections").header("x-large", "x".repeat(500_000));
    assert_eq!(large.send().await.unwrap().status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let parameters = "&connection=boiler".repeat(70);
    let (status, problem) = answer(gateway.get(&format!("/api/v1/points?{}", &parameters[1..]))).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::BAD_REQUEST, Some("bad-parameter")));
    gateway.stop().await;
}
