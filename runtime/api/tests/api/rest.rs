//! Connections, routes, points, latest readings and writes.

use crate::golden;
use crate::harness::{Gateway, QUIET, answer};
use reqwest::StatusCode;

/// [`crate::harness::ODD_NAME`] as one segment of a path.
const ODD_PATH: &str = "/api/v1/connections/boiler/points/hall%2F3%20%C2%B0C%3F%23%25";

#[tokio::test]
async fn the_main_answers_are_as_documented() {
    let (gateway, _) = Gateway::with_readings().await;
    for (name, path) in [
        ("connections", "/api/v1/connections"),
        ("connection", "/api/v1/connections/boiler"),
        ("points", "/api/v1/points"),
        ("point", "/api/v1/connections/boiler/points/flow"),
        ("latest", "/api/v1/latest?connection=boiler"),
        ("history", "/api/v1/connections/boiler/points/flow/readings"),
        ("routes", "/api/v1/routes"),
    ] {
        golden::check(name, &gateway.json(path).await);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_routes_state_and_dead_letters_are_shown() {
    let route = r#"
[connections.cloud]
adapter = "http-json"
enabled = false

[routes.up]
select = ["boiler/*"]
to = "cloud"
enabled = false
"#;
    let gateway = Gateway::start(&format!("{QUIET}{route}")).await;
    let points = crate::harness::declare(&gateway.log);
    let refused = bulkhead_log::RefusedReading {
        row: bulkhead_log::Row {
            seq: 7,
            reading: crate::harness::reading(points.odd, 1, Some(bulkhead_model::Value::Integer(3))),
        },
        error: bulkhead_log::LetterError {
            code: "bad-request".into(),
            message: "upstream says no".into(),
            tries: 1,
            time: bulkhead_model::Timestamp(crate::harness::BEGIN_NS),
        },
    };
    gateway.log.finish_batch("up", 7, vec![refused]).unwrap();
    golden::check("route", &gateway.json("/api/v1/routes/up").await);
    golden::check("dead_letters", &gateway.json("/api/v1/routes/up/dead-letters").await);
    let (status, problem) = answer(gateway.get("/api/v1/routes/upp")).await;
    assert_eq!((status, problem["near"].as_str()), (StatusCode::NOT_FOUND, Some("up")));
    gateway.stop().await;
}

#[tokio::test]
async fn points_with_any_name_are_found_encoded_and_with_plain_slashes() {
    let (gateway, points) = Gateway::with_readings().await;
    for path in [ODD_PATH, "/api/v1/connections/boiler/points/hall/3%20%C2%B0C%3F%23%25"] {
        let point = gateway.json(path).await;
        assert_eq!(point["id"], points.odd.0, "{path}");
        assert_eq!(point["latest"]["value"], 3);
        assert_eq!(gateway.json(&format!("{path}/readings")).await["readings"][0]["seq"], 2);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn lists_are_paged_by_point_number() {
    let (gateway, _) = Gateway::with_readings().await;
    for (path, list, key) in [("/api/v1/points", "points", "name"), ("/api/v1/latest", "readings", "point")] {
        let whole = gateway.json(path).await;
        let mut walked = Vec::new();
        let mut next = Some(String::new());
        while let Some(after) = next {
            let page = gateway.json(&format!("{path}?limit=3{after}")).await;
            assert!(page[list].as_array().unwrap().len() <= 3);
            walked.extend(page[list].as_array().unwrap().clone());
            next = page["next"].as_str().map(|id| format!("&after={id}"));
        }
        assert_eq!(walked.len(), 10, "{path}");
        assert_eq!(&walked, whole[list].as_array().unwrap(), "{path}: {key}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_with_the_near_name() {
    let (gateway, _) = Gateway::with_readings().await;
    for (path, status, code, near) in [
        ("/api/v1/connections/boilr", 404, "no-such-connection", Some("boiler")),
        ("/api/v1/connections/boiler/points/flw", 404, "no-such-point", Some("flow")),
        ("/api/v1/connections/boiler/points/flw/readings", 404, "no-such-point", Some("flow")),
        ("/api/v1/points?conection=boiler", 400, "unknown-parameter", Some("connection")),
        ("/api/v1/points?connection=boilr", 404, "no-such-connection", Some("boiler")),
        ("/api/v1/connections?x=1", 400, "unknown-parameter", None),
        ("/api/v1/latest?limit=0", 400, "bad-parameter", None),
        ("/api/v1/connections/boiler/points/flow/readings?from=now", 400, "bad-parameter", None),
        ("/api/v1/connections/boiler/points/%FF", 400, "bad-path", None),
        ("/api/v1/connections/%FF", 400, "bad-path", None),
        ("/api/v1/connections/%FF/points", 400, "bad-path", None),
        ("/api/v2/points", 404, "no-such-path", None),
    ] {
        let (found, problem) = answer(gateway.get(path)).await;
        assert_eq!(found.as_u16(), status, "{path}: {problem}");
        assert_eq!(problem["code"], code, "{path}");
        assert_eq!(problem["near"].as_str(), near, "{path}");
        assert_eq!(problem["type"], format!("urn:bulkhead:problem:{code}"), "{path}");
    }
    let refused = gateway.client.delete(gateway.url("/api/v1/points")).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    assert!(refused.headers().contains_key("allow"));
    gateway.stop().await;
}

#[tokio::test]
async fn writes_that_cannot_be_carried_out_say_why() {
    let (gateway, _) = Gateway::with_readings().await;
    let flow = "/api/v1/connections/boiler/points/flow";
    for (path, body, status, code) in [
        (flow, r#"{"value": 50}"#, 503, "not-running"),
        ("/api/v1/connections/boilr/points/flow", r#"{"value": 50}"#, 404, "no-such-connection"),
        (flow, r#"{"valu": 50}"#, 400, "bad-body"),
        (flow, "50", 400, "bad-body"),
        (flow, "{", 400, "bad-body"),
    ] {
        let (found, problem) = answer(gateway.post(path, body)).await;
        assert_eq!((found.as_u16(), problem["code"].as_str()), (status, Some(code)), "{path} {body}: {problem}");
    }
    let not_running = gateway.post(flow, r#"{"value": 50}"#).send().await.unwrap();
    assert!(not_running.headers().contains_key("retry-after"));
    let form = gateway.client.post(gateway.url(flow)).header("content-type", "text/plain").body(r#"{"value": 50}"#);
    assert_eq!(answer(form).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let large = gateway.post(flow, &format!(r#"{{"text": "{}"}}"#, "x".repeat(70_000)));
    assert_eq!(answer(large).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    gateway.stop().await;
}

#[tokio::test]
async fn webhooks_of_connections_that_cannot_answer_say_why() {
    let gateway = Gateway::start(QUIET).await;
    let (status, problem) = answer(gateway.post("/hooks/boiler/order", "{}")).await;
    assert_eq!((status.as_u16(), problem["code"].as_str()), (503, Some("not-running")), "{problem}");
    let (status, problem) = answer(gateway.get("/hooks/shop/order")).await;
    assert_eq!((status.as_u16(), problem["code"].as_str()), (404, Some("no-such-connection")), "{problem}");
    gateway.stop().await;
}

#[tokio::test]
async fn the_front_page_needs_nothing_from_elsewhere() {
    let gateway = Gateway::start(QUIET).await;
    for (path, media_type) in
        [("/", "text/html"), ("/front-page.js", "text/javascript"), ("/front-page.css", "text/css")]
    {
        let response = gateway.get(path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert!(response.headers()["content-type"].to_str().unwrap().starts_with(media_type), "{path}");
        let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("http"), "{policy}");
        let text = response.text().await.unwrap();
        assert!(!text.contains("://") && !text.contains("innerHTML"), "{path}");
    }
    gateway.stop().await;
}
