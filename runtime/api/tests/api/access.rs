//! Who is let in: credentials, roles, and requests a browser was tricked into.

use crate::harness::{Gateway, QUIET, answer, config};
use bulkhead_api::{ApiError, ServerConfig};
use reqwest::{Method, StatusCode};

const WITH_CREDENTIALS: &str = r#"
[api]
listen = "127.0.0.1:0"
[api.credentials.grafana]
token = "only-reads"
[api.credentials.anna]
username = "anna"
password = "s3cret:word"
role = "operator"

[connections.boiler]
adapter = "modbus-registers"
enabled = false
"#;

const WRITE: &str = "/api/v1/connections/boiler/points/flow";

#[tokio::test]
async fn odata_clients_are_refused_in_odatas_words() {
    let gateway = Gateway::start(WITH_CREDENTIALS).await;
    for (token, status, code) in [(None, 401, "unauthorized"), (Some("only-reads"), 403, "role-needed")] {
        let request = gateway.post("/odata/v4/Connections('boiler')/Enable", "{}").header("odata-maxversion", "4.0");
        let request = if let Some(token) = token { request.bearer_auth(token) } else { request };
        let answered = request.send().await.unwrap();
        assert_eq!(answered.status(), status);
        assert_eq!(answered.headers()["odata-version"], "4.0");
        assert!(answered.headers()["content-type"].to_str().unwrap().starts_with("application/json"));
        assert_eq!(answered.headers().contains_key("www-authenticate"), status == 401);
        let error: serde_json::Value = answered.json().await.unwrap();
        assert_eq!(error["error"]["code"], code, "{error}");
        assert!(error["error"]["message"].as_str().is_some_and(|message| message.len() > 10), "{error}");
    }
    // Not so beside the service.
    let answered = gateway.get("/odata/v40").send().await.unwrap();
    assert_eq!(answered.headers()["content-type"], "application/problem+json");
    gateway.stop().await;
}

#[tokio::test]
async fn each_credential_may_do_what_its_role_says_and_nobody_else_anything() {
    let gateway = Gateway::start(WITH_CREDENTIALS).await;
    crate::harness::declare(&gateway.log);
    let reads = [
        "/",
        "/api/v1/connections",
        "/api/v1/readings",
        "/api/v1/points",
        "/odata/v4/",
        "/odata/v4/Readings",
        "/metrics",
    ];
    for path in reads {
        let status = |token: Option<&'static str>| {
            let request = gateway.get(path);
            async move {
                let request = if let Some(token) = token { request.bearer_auth(token) } else { request };
                request.send().await.unwrap().status()
            }
        };
        assert_eq!(status(None).await, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(status(Some("only-read")).await, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(status(Some("only-reads")).await, StatusCode::OK, "{path}");
        let basic = gateway.get(path).basic_auth("anna", Some("s3cret:word")).send().await.unwrap();
        assert_eq!(basic.status(), StatusCode::OK, "{path}");
    }
    let body = r#"{"value": 1}"#;
    assert_eq!(answer(gateway.post(WRITE, body)).await.0, StatusCode::UNAUTHORIZED);
    for path in [WRITE, "/hooks/boiler/x"] {
        let (status, problem) = answer(gateway.post(path, body).bearer_auth("only-reads")).await;
        assert_eq!((status, problem["code"].as_str()), (StatusCode::FORBIDDEN, Some("role-needed")), "{path}");
        let written = answer(gateway.post(path, body).basic_auth("anna", Some("s3cret:word"))).await;
        assert_eq!(written.0, StatusCode::SERVICE_UNAVAILABLE, "an operator gets as far as the stopped connection");
    }
    for open in ["/healthz", "/readyz"] {
        assert_eq!(answer(gateway.get(open)).await.0, StatusCode::OK);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn who_is_not_known_is_told_both_schemes_and_no_secret() {
    let gateway = Gateway::start(WITH_CREDENTIALS).await;
    let refused = gateway.get("/api/v1/connections").bearer_auth("wrong").send().await.unwrap();
    let schemes: Vec<String> =
        refused.headers().get_all("www-authenticate").iter().map(|value| value.to_str().unwrap().to_owned()).collect();
    assert!(schemes.iter().any(|scheme| scheme.starts_with("Bearer ")), "{schemes:?}");
    assert!(schemes.iter().any(|scheme| scheme.starts_with("Basic ")), "{schemes:?}");
    let text = refused.text().await.unwrap();
    assert!(!text.contains("only-reads") && !text.contains("s3cret") && !text.contains("wrong"), "{text}");
    gateway.stop().await;
}

#[tokio::test]
async fn without_credentials_only_names_of_this_machine_are_answered() {
    let gateway = Gateway::start(QUIET).await;
    let port = gateway.address.port();
    for (host, status) in [
        (format!("localhost:{port}"), StatusCode::OK),
        (format!("127.0.0.1:{port}"), StatusCode::OK),
        (format!("rebound.example:{port}"), StatusCode::FORBIDDEN),
        ("192.0.2.1".to_owned(), StatusCode::FORBIDDEN),
    ] {
        for path in ["/api/v1/connections", "/odata/v4/", "/", "/healthz"] {
            let found = gateway.get(path).header("host", &host).send().await.unwrap().status();
            assert_eq!(found, status, "{host} {path}");
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn pages_of_other_sites_may_not_change_anything() {
    let gateway = Gateway::start(QUIET).await;
    let own = gateway.url("");
    for (method, path, origin, status) in [
        (Method::POST, WRITE, "https://evil.example", StatusCode::FORBIDDEN),
        (Method::POST, WRITE, "null", StatusCode::FORBIDDEN),
        (Method::GET, "/hooks/boiler/x", "https://evil.example", StatusCode::FORBIDDEN),
        (Method::POST, WRITE, own.as_str(), StatusCode::SERVICE_UNAVAILABLE),
        (Method::GET, "/api/v1/connections", "https://evil.example", StatusCode::OK),
    ] {
        let request = gateway.client.request(method, gateway.url(path)).header("origin", origin);
        let response = request.header("content-type", "application/json").body(r#"{"value": 1}"#).send().await.unwrap();
        assert_eq!(response.status(), status, "{path} from {origin}");
        assert!(!response.headers().contains_key("access-control-allow-origin"));
    }
    gateway.stop().await;
}

#[test]
fn an_address_others_can_reach_is_refused_without_a_credential() {
    let dir = tempfile::tempdir().unwrap();
    let mut open = config(QUIET, dir.path());
    open.api.listen = "0.0.0.0:0".parse().unwrap();
    let refusal = ServerConfig::from_config(&open).err().unwrap();
    assert!(matches!(refusal, ApiError::Unprotected { .. }));
    assert!(refusal.to_string().contains("[api.credentials."), "{refusal}");
    open.api.credentials = config(WITH_CREDENTIALS, dir.path()).api.credentials;
    assert!(ServerConfig::from_config(&open).is_ok());
}

#[test]
fn a_secret_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let text = WITH_CREDENTIALS.replace("\"only-reads\"", "{ file = \"missing.token\" }");
    std::fs::write(dir.path().join("missing.token"), "").unwrap();
    let config = config(&text, dir.path());
    let reason = |config| ServerConfig::from_config(config).err().unwrap().to_string();
    assert!(reason(&config).contains("api.credentials.grafana: the secret is empty"));
    std::fs::remove_file(dir.path().join("missing.token")).unwrap();
    assert!(reason(&config).contains("missing.token"));
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let gateway = Gateway::start(QUIET).await;
    let text = QUIET.replace("127.0.0.1:0", &gateway.address.to_string());
    let dir = tempfile::tempdir().unwrap();
    let refusal = gateway.bind_another(&config(&text, dir.path())).err().unwrap();
    assert!(matches!(refusal, ApiError::Listen { .. }));
    assert!(refusal.to_string().contains(&gateway.address.to_string()), "{refusal}");
    gateway.stop().await;
}
