//! What else decides over a request: origins, signatures of webhooks, rates, and what the audit log tells of it.

use crate::harness::{Gateway, PATIENCE, QUIET, answer};
use bulkhead_api::AccountStore;
use bulkhead_config::ApiRole;
use reqwest::{Method, StatusCode};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn with_api(more: &str) -> String {
    QUIET.replace("listen = \"127.0.0.1:0\"\n", &format!("listen = \"127.0.0.1:0\"\n{more}\n"))
}

#[tokio::test]
async fn only_named_origins_may_read_from_a_browser_and_write_with_a_credential_of_their_own() {
    let text = with_api(
        "cors_origins = [\"https://dashboard.example\"]\n[api.credentials.page]\ntoken = \"of the page\"\nrole = \"operator\"",
    );
    let gateway = Gateway::start(&text).await;
    let preflight = |origin: &'static str| {
        let request = gateway.client.request(Method::OPTIONS, gateway.url("/api/v1/points")).header("origin", origin);
        request
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "authorization")
            .send()
    };
    let named = preflight("https://dashboard.example").await.unwrap();
    assert_eq!(named.status(), StatusCode::NO_CONTENT);
    assert_eq!(named.headers()["access-control-allow-origin"], "https://dashboard.example");
    assert!(named.headers()["access-control-allow-headers"].to_str().unwrap().contains("authorization"));
    assert!(!named.headers().contains_key("access-control-allow-credentials"), "cookies are not for other sites");
    let other = preflight("https://evil.example").await.unwrap();
    assert_eq!(other.status(), StatusCode::UNAUTHORIZED);
    assert!(!other.headers().contains_key("access-control-allow-origin"));
    for (origin, status) in [("https://dashboard.example", 200), ("https://evil.example", 403)] {
        let request = gateway.client.delete(gateway.url("/api/v1/dead-letters?connection=boiler"));
        let response = request.bearer_auth("of the page").header("origin", origin).send().await.unwrap();
        assert_eq!(response.status(), status, "{origin}");
        assert_eq!(response.headers().contains_key("access-control-allow-origin"), status == 200);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_signed_webhook_needs_no_other_credential_and_an_unsigned_one_is_refused() {
    let text = format!(
        "{}\n[connections.boiler.webhook]\nbody_max_bytes = 64\nrequests_per_s = 3\n[connections.boiler.webhook.signature]\n\
         secret = \"shared s3cret\"\nheader = \"X-Signature\"\nprefix = \"sha256=\"\n",
        with_api("[api.credentials.op]\ntoken = \"an operator's\"\nrole = \"operator\"")
    );
    let gateway = Gateway::start(&text).await;
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"shared s3cret");
    let signature = |body: &str| {
        let mac = ring::hmac::sign(&key, body.as_bytes());
        format!("sha256={}", mac.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    };
    let post = |body: &str| gateway.client.post(gateway.url("/hooks/boiler/orders")).body(body.to_owned());
    let right = answer(post("a=1").header("x-signature", signature("a=1"))).await;
    assert_eq!(right.0, StatusCode::SERVICE_UNAVAILABLE, "it gets as far as the stopped adapter: {}", right.1);
    let wrong = answer(post("a=2").header("x-signature", signature("a=1"))).await;
    assert_eq!((wrong.0, &wrong.1["code"]), (StatusCode::UNAUTHORIZED, &json!("bad-signature")));
    let unsigned = answer(post("a=1").bearer_auth("an operator's")).await;
    assert_eq!(unsigned.0, StatusCode::UNAUTHORIZED, "another credential does not replace it");
    let long = "x".repeat(65);
    assert_eq!(answer(post(&long).header("x-signature", signature(&long))).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let mut statuses = Vec::new();
    for _ in 0..10 {
        statuses.push(post("a=1").header("x-signature", signature("a=1")).send().await.unwrap().status().as_u16());
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_that_asks_too_often_is_slowed_down() {
    let gateway = Gateway::start(&with_api("limits = { address_requests_per_s = 5 }")).await;
    let mut refused = None;
    for _ in 0..40 {
        let response = gateway.get("/healthz").send().await.unwrap();
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            refused = Some(response);
            break;
        }
    }
    let refused = refused.expect("ten requests at once are the most");
    assert_eq!(refused.headers()["retry-after"], "1");
    gateway.stop().await;
}

/// The audit log, once it has a record that fits.
async fn until(gateway: &Gateway, fits: impl Fn(&Json) -> bool) -> Vec<Json> {
    let asking = async {
        loop {
            let page = answer(gateway.get("/api/v1/audit").basic_auth("anna", Some("correct horse"))).await.1;
            let records = page["records"].as_array().unwrap().clone();
            if records.iter().any(&fits) {
                return records;
            }
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("the record comes")
}

#[tokio::test]
async fn changes_and_refusals_are_in_the_audit_log_and_secrets_are_not() {
    let gateway = Gateway::start(QUIET).await;
    AccountStore::of(&gateway.config).add_user("anna", ApiRole::Admin, "correct horse").unwrap();
    let admin = |request: reqwest::RequestBuilder| request.basic_auth("anna", Some("correct horse"));
    let otto = json!({ "name": "otto", "role": "viewer", "password": "s3cret horse" }).to_string();
    answer(admin(gateway.post("/api/v1/users", &otto))).await;
    let key =
        answer(admin(gateway.post("/api/v1/keys", r#"{"name": "bi"}"#))).await.1["key"].as_str().unwrap().to_owned();
    answer(gateway.get("/api/v1/points").basic_auth("s3cret-typed-here", Some("s3cret-too"))).await;
    answer(gateway.get("/api/v1/users").basic_auth("otto", Some("s3cret horse"))).await;
    let login = r#"{"username": "otto", "password": "s3cret horse"}"#;
    let told = answer(gateway.post("/api/v1/login", login)).await.1;
    answer(gateway.post("/hooks/boiler/x?key=s3cret-query", "s3cret-body").bearer_auth("s3cret-token")).await;
    let records = until(&gateway, |record| record["what"].as_str().unwrap().starts_with("POST /hooks/")).await;
    let of = |what: &str| records.iter().find(|record| record["what"] == what).unwrap_or_else(|| panic!("{records:?}"));
    let made = of("POST /api/v1/users");
    assert_eq!((&made["who"], &made["result"], &made["from"]), (&json!("anna"), &json!("done"), &json!("127.0.0.1")));
    assert_eq!(made["detail"], json!({ "name": "otto", "role": "viewer" }));
    let refused = of("GET /api/v1/users");
    assert_eq!((&refused["who"], &refused["code"]), (&json!("otto"), &json!("role-needed")));
    let stranger = of("GET /api/v1/points");
    assert_eq!((&stranger["who"], &stranger["status"]), (&Json::Null, &json!(401)));
    assert_eq!(of("POST /api/v1/login")["who"], "otto");
    let all = std::fs::read_to_string(gateway.dir.path().join("data/audit/audit.jsonl")).unwrap();
    for secret in ["s3cret", "correct horse", &key[12..], told["csrf_token"].as_str().unwrap()] {
        assert!(!all.contains(secret), "{secret} stands in {all}");
    }
    let ids: Vec<u64> = records.iter().map(|record| record["id"].as_u64().unwrap()).collect();
    assert!(ids.is_sorted() && ids[0] == 1);
    gateway.stop().await;
}

/// What is no request never reaches a handler, and is told why all the same.
#[tokio::test]
async fn what_is_no_request_is_refused_with_a_problem() {
    let gateway = Gateway::start(QUIET).await;
    let long = format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "x".repeat(300_000));
    let many = format!("GET / HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "x: y\r\n".repeat(200));
    let address = format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "x".repeat(66_000));
    let without_body = address.replacen("GET", "HEAD", 1);
    for (request, statuses) in [
        ("this is no request\r\n\r\n", &[(400, "malformed-request")][..]),
        ("GET /a b HTTP/1.1\r\n\r\n", &[(400, "malformed-request")]),
        (&long, &[(431, "too-many-headers")]),
        (&many, &[(431, "too-many-headers")]),
        (&address, &[(414, "uri-too-long"), (431, "too-many-headers")]),
        (&without_body, &[]),
    ] {
        let server = gateway.url("").trim_start_matches("http://").trim_end_matches('/').to_owned();
        let mut socket = tokio::net::TcpStream::connect(server).await.unwrap();
        // The gateway hangs up before it has read all of what is too long.
        let _ = socket.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer).await;
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let fields = head.to_lowercase();
        for field in
            ["content-type: application/problem+json", "x-content-type-options: nosniff", "cache-control: no-store"]
        {
            assert!(fields.split("\r\n").any(|line| line == field), "{head}");
        }
        if request.starts_with("HEAD ") {
            assert!(body.is_empty() && (head.contains(" 414 ") || head.contains(" 431 ")), "{answer}");
            continue;
        }
        let problem: serde_json::Value =
            serde_json::from_str(body).unwrap_or_else(|_| panic!("{:.60} … is answered with {head}", request));
        let found = (problem["status"].as_u64().unwrap(), problem["code"].as_str().unwrap());
        assert!(statuses.contains(&found), "{answer}");
        assert!(head.starts_with(&format!("HTTP/1.1 {} ", found.0)), "{head}");
    }
    gateway.stop().await;
}
