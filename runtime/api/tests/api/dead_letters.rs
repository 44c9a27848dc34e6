//! Dead letters over HTTP: listed in pages, shown whole, discarded, and refused for a replay that cannot be.

use crate::harness::{BEGIN_NS, Gateway, Points, QUIET, answer, declare, reading};
use bulkhead_log::{LetterError, LostFrame, RefusedReading, Row};
use bulkhead_model::{Timestamp, Value};
use reqwest::StatusCode;

const ROUTE: &str = r#"
[connections.cloud]
adapter = "http-json"
enabled = false

[routes.up]
select = ["boiler/*"]
to = "cloud"
enabled = false
"#;

fn error(tries: u32) -> LetterError {
    LetterError { code: "trap".into(), message: "unreachable".into(), tries, time: Timestamp(BEGIN_NS) }
}

fn refused(points: &Points, seq: u64) -> RefusedReading {
    RefusedReading { row: Row { seq, reading: reading(points.odd, 1, Some(Value::Integer(3))) }, error: error(1) }
}

/// A gateway with letters 1 to 5 of the route and letter 6 of the connection.
async fn with_letters() -> Gateway {
    let gateway = Gateway::start(&format!("{QUIET}{ROUTE}")).await;
    let points = declare(&gateway.log);
    gateway.log.finish_batch("up", 7, (1..=5).map(|seq| refused(&points, seq)).collect()).unwrap();
    let frame = LostFrame {
        transport: "broker".into(),
        topic: "plant/é".into(),
        payload: vec![0, 255],
        payload_bytes: 70_000,
        received: Timestamp(BEGIN_NS),
        retained: true,
        properties: vec![("a".into(), "b".into())],
    };
    gateway.log.keep_frames("boiler", vec![(frame, error(2))]).unwrap();
    gateway
}

fn numbers(page: &serde_json::Value) -> Vec<u64> {
    page["dead_letters"].as_array().unwrap().iter().map(|letter| letter["id"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn letters_are_listed_newest_first_in_pages_and_by_origin() {
    let gateway = with_letters().await;
    let page = gateway.json("/api/v1/dead-letters?limit=4").await;
    assert_eq!((numbers(&page), page["next"].as_str()), (vec![6, 5, 4, 3], Some("3")));
    let page = gateway.json("/api/v1/dead-letters?limit=4&before=3").await;
    assert_eq!((numbers(&page), page["next"].as_str()), (vec![2, 1], None));
    let page = gateway.json("/api/v1/dead-letters?route=up&limit=5").await;
    assert_eq!((numbers(&page), page["next"].as_str()), (vec![5, 4, 3, 2, 1], None), "no page behind the last");
    assert_eq!((page["kept"].as_u64(), page["dropped"].as_u64()), (Some(5), Some(0)));
    let page = gateway.json("/api/v1/dead-letters?connection=boiler").await;
    crate::golden::check("dead_letter_frame", &page["dead_letters"][0]);
    assert_eq!(gateway.json("/api/v1/dead-letters/6").await, page["dead_letters"][0]);
    for wrong in ["route=up&connection=boiler", "rout=up", "before=x"] {
        assert_eq!(answer(gateway.get(&format!("/api/v1/dead-letters?{wrong}"))).await.0, StatusCode::BAD_REQUEST);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn letters_are_discarded_one_by_one_and_all_of_an_origin() {
    let gateway = with_letters().await;
    let delete = |path: &str| gateway.client.delete(gateway.url(&format!("/api/v1/dead-letters{path}")));
    assert_eq!(answer(delete("/4")).await.0, StatusCode::NO_CONTENT);
    let (status, problem) = answer(delete("/4")).await;
    assert_eq!((status.as_u16(), problem["code"].as_str()), (404, Some("no-such-dead-letter")));
    assert_eq!(answer(delete("/x")).await.0, StatusCode::NOT_FOUND);
    assert_eq!(answer(delete("")).await.0, StatusCode::BAD_REQUEST, "all of everybody's are not discarded by mistake");
    assert_eq!(answer(delete("?route=up&up_to=2")).await.1["discarded"], 2);
    assert_eq!(numbers(&gateway.json("/api/v1/dead-letters").await), [6, 5, 3]);
    assert_eq!(answer(delete("?route=up")).await.1["discarded"], 2);
    assert_eq!(answer(delete("?connection=boiler")).await.1["discarded"], 1);
    let page = gateway.json("/api/v1/dead-letters").await;
    assert_eq!(numbers(&page), [0; 0]);
    gateway.stop().await;
}

#[tokio::test]
async fn a_replay_that_cannot_be_says_why_and_keeps_the_letter() {
    let gateway = with_letters().await;
    for (letter, status, code) in [
        ("1", 502, "not-delivered"),
        ("6", 409, "not-replayable"),
        ("99", 404, "no-such-dead-letter"),
        ("one", 404, "no-such-dead-letter"),
    ] {
        let (found, problem) = answer(gateway.post(&format!("/api/v1/dead-letters/{letter}/replay"), "")).await;
        assert_eq!((found.as_u16(), problem["code"].as_str()), (status, Some(code)), "{letter}: {problem}");
    }
    let (_, problem) = answer(gateway.post("/api/v1/dead-letters/6/replay", "")).await;
    assert!(problem["detail"].as_str().unwrap().contains("only the first 2 of its 70000 bytes"), "{problem}");
    let letter = gateway.json("/api/v1/dead-letters/1").await;
    assert_eq!((letter["tries"].as_u64(), letter["code"].as_str()), (Some(2), Some("sink-not-running")));
    let (status, all) = answer(gateway.post("/api/v1/dead-letters/replay?route=up", "")).await;
    assert_eq!((status, all["taken"].as_u64(), all["kept"].as_u64()), (StatusCode::OK, Some(0), Some(5)));
    assert!(all["stopped"].as_str().unwrap().contains("cloud"), "the first failure ends it: {all}");
    let (status, problem) = answer(gateway.post("/api/v1/dead-letters/replay?route=upp", "")).await;
    assert_eq!((status.as_u16(), problem["near"].as_str()), (404, Some("up")));
    assert_eq!(answer(gateway.post("/api/v1/dead-letters/replay", "")).await.0, StatusCode::BAD_REQUEST);
    gateway.stop().await;
}
