//! The document of the API against a gateway that serves it, its page, and problems whatever is wrong with a request.

use crate::harness::{Gateway, QUIET, answer};
use reqwest::{Method, StatusCode};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

const KNOWN: &str = r#"
[api]
listen = "127.0.0.1:0"
[api.credentials.a]
token = "an admin's token"
role = "admin"

[connections.boiler]
adapter = "modbus-registers"
enabled = false
"#;
const TOKEN: &str = "an admin's token";

fn document() -> Json {
    serde_json::from_str(include_str!("../../../../docs/openapi.json")).unwrap()
}

/// A path of the document with its names filled in.
fn filled(path: &str) -> String {
    path.replace("{connection}", "boiler")
        .replace("{point}", "flow")
        .replace("{asset}", "page.js")
        .replace(['{', '}'], "")
}

#[tokio::test]
async fn the_query_parameters_that_are_known_are_those_of_the_document() {
    let gateway = Gateway::start(KNOWN).await;
    crate::harness::declare(&gateway.log);
    let mut looked_at = 0;
    for (path, operations) in document()["paths"].as_object().unwrap() {
        // What is asked of an adapter is its own; OData says itself what it knows; a few files take whatever is asked.
        if path.starts_with("/hooks/") || path.starts_with("/odata/") || !path.starts_with("/api/") {
            continue;
        }
        for (method, operation) in operations.as_object().unwrap() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let url = gateway.url(&format!("{}?no-such-parameter=1", filled(path)));
            let (status, problem) = answer(gateway.client.request(method.clone(), url).bearer_auth(TOKEN)).await;
            assert_eq!(
                (status.as_u16(), &problem["code"]),
                (400, &json!("unknown-parameter")),
                "{method} {path}: {problem}"
            );
            let named =
                |parameter: &Json| Some(parameter["name"].as_str()?.to_owned()).filter(|_| parameter["in"] == "query");
            let described: BTreeSet<String> =
                operation["parameters"].as_array().into_iter().flatten().filter_map(named).collect();
            let known: BTreeSet<String> = serde_json::from_value(problem["known"].clone()).unwrap();
            assert_eq!(described, known, "{method} {path}");
            looked_at += 1;
        }
    }
    assert!(looked_at > 40, "{looked_at}");
    gateway.stop().await;
}

#[tokio::test]
async fn the_document_and_its_page_come_from_the_gateway_alone() {
    let gateway = Gateway::start(QUIET).await;
    assert_eq!(gateway.json("/api/v1/openapi.json").await, document());
    for (path, media_type) in [
        ("/docs", "text/html"),
        ("/docs/page.js", "text/javascript"),
        ("/docs/swagger-ui-bundle.js", "text/javascript"),
        ("/docs/swagger-ui.css", "text/css"),
        ("/docs/LICENSE", "text/plain"),
        ("/api/v1/openapi.json", "application/json"),
    ] {
        let plain = gateway.get(path).send().await.unwrap();
        assert_eq!(plain.status(), StatusCode::OK, "{path}");
        assert!(plain.headers()["content-type"].to_str().unwrap().starts_with(media_type), "{path}");
        let policy = plain.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe-eval"), "{policy}");
        let Some(tag) = plain.headers().get("etag").cloned() else {
            let page = plain.text().await.unwrap();
            assert!(!page.contains("://"), "{path} names another site");
            continue;
        };
        assert!(!plain.headers().contains_key("content-encoding"), "{path}");
        let whole = plain.bytes().await.unwrap();
        let packed = gateway.get(path).header("accept-encoding", "gzip").send().await.unwrap();
        assert_eq!(
            (&packed.headers()["content-encoding"], &packed.headers()["etag"]),
            (&"gzip".parse().unwrap(), &tag)
        );
        assert!(packed.bytes().await.unwrap().len() < whole.len(), "{path}");
        let again = gateway.get(path).header("if-none-match", tag).send().await.unwrap();
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{path}");
        assert!(again.bytes().await.unwrap().is_empty());
    }
    assert_eq!(gateway.get("/docs/index.html").send().await.unwrap().status(), StatusCode::NOT_FOUND);
    gateway.stop().await;
}

#[tokio::test]
async fn whatever_is_wrong_with_a_request_the_answer_is_a_problem_that_names_it() {
    let gateway = Gateway::start(KNOWN).await;
    crate::harness::declare(&gateway.log);
    let long = "x".repeat(70_000);
    let json = "application/json";
    let flow = "/api/v1/connections/boiler/points/flow";
    for (method, path, media_type, body, status, code) in [
        ("GET", "/api/v1/nothing", "", "", 404, "no-such-path"),
        ("GET", "/nothing", "", "", 404, "no-such-path"),
        ("GET", "/docs/nothing", "", "", 404, "no-such-path"),
        ("PURGE", "/api/v1/points", "", "", 405, "method-not-allowed"),
        ("DELETE", "/healthz", "", "", 405, "method-not-allowed"),
        ("POST", "/api/v1/connections/boiler/points/flow/readings?from=1", json, "{}", 405, "method-not-allowed"),
        ("GET", "/api/v1/dead-letters?route=", "", "", 400, "bad-parameter"),
        ("GET", "/api/v1/points?limit=many", "", "", 400, "bad-parameter"),
        ("GET", "/api/v1/points?limit=1&limit=2", "", "", 400, "bad-parameter"),
        ("GET", "/api/v1/points?x=1", "", "", 400, "unknown-parameter"),
        ("GET", "/api/v1/connections/%FF", "", "", 400, "bad-path"),
        ("GET", "/api/v1/dead-letters/one", "", "", 404, "no-such-dead-letter"),
        ("POST", flow, json, &long, 413, "body-too-large"),
        ("POST", "/api/v1/users", json, &long, 413, "body-too-large"),
        ("POST", flow, "text/plain", "{}", 415, "media-type"),
        ("POST", flow, "", "{}", 415, "media-type"),
        ("POST", "/api/v1/config", json, "{}", 404, "no-config-file"),
        ("POST", flow, json, "{", 400, "bad-body"),
        ("POST", "/api/v1/keys", json, r#"{"name": 1}"#, 400, "bad-body"),
        ("POST", "/api/v1/login", json, "[]", 400, "bad-body"),
        ("POST", "/api/v1/keys", json, r#"{"name": "k", "connections": ["a", "a"]}"#, 400, "bad-body"),
        ("GET", "/hooks/none", "", "", 404, "no-such-connection"),
    ] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request =
            gateway.client.request(method.clone(), gateway.url(path)).bearer_auth(TOKEN).body(body.to_owned());
        let request = if media_type.is_empty() { request } else { request.header("content-type", media_type) };
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{method} {path}");
        let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        let problem: Json = response.json().await.unwrap();
        assert_eq!(
            (&problem["status"], &problem["code"]),
            (&json!(status), &json!(code)),
            "{method} {path}: {problem}"
        );
        assert_eq!(problem["instance"], format!("urn:bulkhead:request:{id}"), "{method} {path}");
        assert_eq!(problem["type"], format!("urn:bulkhead:problem:{code}"));
    }
    let stranger = gateway.get("/api/v1/points").send().await.unwrap();
    assert_eq!(stranger.headers()["content-type"], "application/problem+json");
    let served = gateway.get("/api/v1/points").bearer_auth(TOKEN).send().await.unwrap();
    assert!(served.headers().contains_key("x-request-id"), "every answer has one");
    let odata = gateway.get("/odata/v4/Nothing").bearer_auth(TOKEN).send().await.unwrap();
    assert!(odata.headers().contains_key("x-request-id"), "OData's errors, too");
    gateway.stop().await;
}
