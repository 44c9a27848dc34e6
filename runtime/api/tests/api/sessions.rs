//! Sessions of browsers: a cookie that scripts cannot read, a second secret against forged requests, an end.

use crate::harness::{Gateway, QUIET, answer};
use bulkhead_api::AccountStore;
use bulkhead_config::ApiRole;
use reqwest::header::{COOKIE, SET_COOKIE};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value as Json, json};

const LOGIN: &str = r#"{"username": "anna", "password": "correct horse"}"#;

async fn with_operator() -> Gateway {
    let gateway = Gateway::start(QUIET).await;
    AccountStore::of(&gateway.config).add_user("anna", ApiRole::Operator, "correct horse").unwrap();
    gateway
}

/// Logs in: the cookie as a browser would send it, its attributes, and what the page is told.
async fn log_in(gateway: &Gateway) -> (String, String, Json) {
    let response = gateway.post("/api/v1/login", LOGIN).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let cookie = response.headers()[SET_COOKIE].to_str().unwrap().to_owned();
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    (pair.to_owned(), attributes.to_owned(), response.json().await.unwrap())
}

fn discard(gateway: &Gateway) -> RequestBuilder {
    gateway.client.delete(gateway.url("/api/v1/dead-letters?connection=boiler"))
}

#[tokio::test]
async fn a_session_reads_with_its_cookie_and_writes_only_with_its_second_secret() {
    let gateway = with_operator().await;
    let (cookie, attributes, told) = log_in(&gateway).await;
    for needed in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(attributes.contains(needed), "{attributes}");
    }
    assert!(!attributes.contains("Secure"), "without TLS a browser would not send it back");
    let who = answer(gateway.get("/api/v1/session").header(COOKIE, &cookie)).await.1;
    assert_eq!((&who["user"], &who["proof"], &who["role"]), (&json!("anna"), &json!("session"), &json!("operator")));
    let csrf = told["csrf_token"].as_str().unwrap();
    assert_eq!(who["csrf_token"], csrf);
    let with = |request: RequestBuilder| request.header(COOKIE, &cookie);
    for forged in [with(discard(&gateway)), with(discard(&gateway)).header("x-csrf-token", "guess")] {
        let (status, problem) = answer(forged).await;
        assert_eq!((status, &problem["code"]), (StatusCode::FORBIDDEN, &json!("csrf")));
    }
    let foreign = with(discard(&gateway)).header("x-csrf-token", csrf).header("origin", "https://evil.example");
    assert_eq!(answer(foreign).await.0, StatusCode::FORBIDDEN);
    assert_eq!(answer(with(discard(&gateway)).header("x-csrf-token", csrf)).await.0, StatusCode::OK);
    let beyond = with(gateway.get("/api/v1/users"));
    assert_eq!(answer(beyond).await.0, StatusCode::FORBIDDEN, "a session has its user's role and no more");
    gateway.stop().await;
}

#[tokio::test]
async fn a_session_ends_with_the_logout_and_with_the_password() {
    let gateway = with_operator().await;
    let ask = |cookie: &str| gateway.get("/api/v1/session").header(COOKIE, cookie.to_owned());
    let (cookie, _, told) = log_in(&gateway).await;
    let out = gateway.client.post(gateway.url("/api/v1/logout")).header(COOKIE, &cookie);
    let out = out.header("x-csrf-token", told["csrf_token"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(out.status(), StatusCode::NO_CONTENT);
    assert!(out.headers()[SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(answer(ask(&cookie)).await.0, StatusCode::UNAUTHORIZED);

    let (cookie, ..) = log_in(&gateway).await;
    assert_eq!(answer(ask(&cookie)).await.0, StatusCode::OK);
    AccountStore::of(&gateway.config).set_password("anna", "another horse").unwrap();
    let ending = async { while answer(ask(&cookie)).await.0 == StatusCode::OK {} };
    tokio::time::timeout(crate::harness::PATIENCE, ending).await.expect("the session ends");
    gateway.stop().await;
}

#[tokio::test]
async fn a_login_that_fails_tells_nothing_and_repeats_no_secret() {
    let gateway = with_operator().await;
    for body in [
        r#"{"username": "anna", "password": "hunter2hunter2"}"#,
        r#"{"username": "otto", "password": "hunter2hunter2"}"#,
    ] {
        let (status, problem) = answer(gateway.post("/api/v1/login", body)).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert_eq!(problem["detail"], "this credential is not known here");
    }
    for body in ["", "{}", r#"{"username": "anna", "password": "hunter2hunter2", "x": 1}"#, r#"{"username": "hunter2"#]
    {
        let (status, problem) = answer(gateway.post("/api/v1/login", body)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(!problem.to_string().contains("hunter2"), "{problem}");
    }
    gateway.stop().await;
}
