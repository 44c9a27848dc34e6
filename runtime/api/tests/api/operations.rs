//! What operators ask for: backups and the journal's last lines.

use crate::harness::{Gateway, QUIET, answer};
use bulkhead_api::{Operations, Server};
use reqwest::StatusCode;
use serde_json::json;

#[tokio::test]
async fn a_process_without_a_config_file_makes_no_backups_and_its_journal_is_empty() {
    let gateway = Gateway::start(QUIET).await;
    let (status, body) = answer(gateway.get("/api/v1/backup")).await;
    assert_eq!((status, body["code"].as_str()), (StatusCode::NOT_FOUND, Some("no-backup")));
    let (status, body) = answer(gateway.post("/api/v1/backup", r#"{"name": "a"}"#)).await;
    assert_eq!((status, body["code"].as_str()), (StatusCode::NOT_FOUND, Some("no-backup")));
    let (status, body) = answer(gateway.post("/api/v1/backup", r#"{"path": "/etc"}"#)).await;
    assert_eq!((status, body["code"].as_str()), (StatusCode::BAD_REQUEST, Some("bad-body")));
    let unasked = gateway.client.post(gateway.url("/api/v1/backup")).body(r#"{"name": "a"}"#);
    assert_eq!(answer(unasked).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(gateway.json("/api/v1/journal").await, json!({ "lines": [] }));
    gateway.stop().await;
}

#[tokio::test]
async fn a_server_shows_the_lines_it_was_given_and_its_loop_turns_while_nobody_comes() {
    let gateway = Gateway::start(QUIET).await;
    let operations = Operations::default();
    operations.journal.push("first\n");
    operations.journal.push("second");
    let dir = tempfile::tempdir().unwrap();
    let server = gateway.bind_another(&crate::harness::config(QUIET, dir.path())).unwrap();
    let (server, turns) = (Server::with_operations(server, operations.clone()), operations.turns);
    let (address, shutdown) = (server.local_addr(), tokio_util::sync::CancellationToken::new());
    let serving = tokio::spawn(server.run(shutdown.clone()));
    let lines = answer(gateway.client.get(format!("http://{address}/api/v1/journal"))).await.1;
    assert_eq!(lines, json!({ "lines": ["first", "second"] }));
    let before = turns.counted();
    let turning = async {
        while turns.counted() == before {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(crate::harness::PATIENCE, turning).await.expect("another turn");
    shutdown.cancel();
    serving.await.unwrap().unwrap();
    gateway.stop().await;
}
