//! What somebody can do to others whom nobody has let in: hold places, have addresses and names locked out, use what a
//! browser sends by itself.

use crate::harness::{Gateway, PATIENCE, QUIET, answer};
use bulkhead_api::AccountStore;
use bulkhead_config::ApiRole;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

const PASSWORD: &str = "correct horse";

fn with_api(more: &str) -> String {
    QUIET.replace("listen = \"127.0.0.1:0\"\n", &format!("listen = \"127.0.0.1:0\"\n{more}\n"))
}

const SIGNED: &str = "[connections.boiler.webhook.signature]\nsecret = \"shared s3cret\"\nheader = \"X-Signature\"\n";

fn signature(body: &str) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"shared s3cret");
    ring::hmac::sign(&key, body.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The status of an answer's head.
async fn status(stream: &mut TcpStream) -> u16 {
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    std::str::from_utf8(&head[9..]).unwrap().parse().unwrap()
}

#[tokio::test]
async fn slow_bodies_of_an_address_leave_places_for_those_who_prove_who_they_are() {
    for path in ["/api/v1/login", "/hooks/boiler/x"] {
        let text =
            format!("{}\n{SIGNED}", with_api("[api.credentials.op]\ntoken = \"an operator's\"\nrole = \"operator\""));
        let gateway = Gateway::start(&text).await;
        let (answered, mut answers) = mpsc::channel(64);
        let mut slow = Vec::new();
        for _ in 0..40 {
            let (address, answered) = (gateway.address, answered.clone());
            slow.push(tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                let head = format!(
                    "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 60\r\n\r\n{{"
                );
                stream.write_all(head.as_bytes()).await.unwrap();
                answered.send(status(&mut stream).await).await.unwrap();
            }));
        }
        for _ in 0..8 {
            let refused = tokio::time::timeout(PATIENCE, answers.recv()).await.expect("what is too much is refused");
            assert_eq!(refused, Some(429));
        }
        let known = answer(gateway.get("/api/v1/connections").bearer_auth("an operator's")).await;
        assert_eq!(known.0, StatusCode::OK);
        assert_eq!(gateway.get("/healthz").send().await.unwrap().status(), StatusCode::OK);
        slow.iter().for_each(tokio::task::JoinHandle::abort);
        let signed = async {
            let post =
                || gateway.client.post(gateway.url("/hooks/boiler/x")).body("a").header("x-signature", signature("a"));
            while post().send().await.unwrap().status() == StatusCode::TOO_MANY_REQUESTS {}
        };
        tokio::time::timeout(PATIENCE, signed).await.expect("places come back");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_right_signature_is_taken_whatever_its_address_failed_at() {
    let text =
        format!("{}\n{SIGNED}", with_api("[api.credentials.op]\ntoken = \"an operator's\"\nrole = \"operator\""));
    let gateway = Gateway::start(&text).await;
    let post = |body: &'static str, of: &str| {
        gateway.client.post(gateway.url("/hooks/boiler/x")).body(body).header("x-signature", signature(of))
    };
    for _ in 0..40 {
        assert_eq!(answer(post("a", "b")).await.0, StatusCode::UNAUTHORIZED, "wrong signatures lock nobody out");
    }
    assert_eq!(answer(gateway.get("/api/v1/points").bearer_auth("an operator's")).await.0, StatusCode::OK);
    let mut statuses = Vec::new();
    for n in 0..40 {
        statuses.push(answer(gateway.get("/api/v1/points").bearer_auth(format!("guess{n}"))).await.0.as_u16());
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    let right = answer(post("a", "a")).await;
    assert_eq!(right.0, StatusCode::SERVICE_UNAVAILABLE, "it gets as far as the stopped adapter: {}", right.1);
    gateway.stop().await;
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_has_its_own_address() {
    let api = "trusted_proxies = [\"127.0.0.1\"]\n[api.credentials.op]\ntoken = \"an operator's\"\nrole = \"admin\"";
    let gateway = Gateway::start(&with_api(api)).await;
    let from =
        |client: &str, token: &str| gateway.get("/api/v1/audit").bearer_auth(token).header("x-forwarded-for", client);
    let mut statuses = Vec::new();
    for n in 0..40 {
        statuses.push(
            answer(from("10.9.9.9, 203.0.113.9", &format!("guess{n}")).header("x-forwarded-proto", "https")).await.0,
        );
    }
    assert!(statuses.contains(&StatusCode::TOO_MANY_REQUESTS), "{statuses:?}");
    let other = answer(from("203.0.113.10", "an operator's")).await;
    assert_eq!(other.0, StatusCode::OK, "another client of the proxy is not locked out");
    let asking = async {
        loop {
            let records = answer(from("203.0.113.10", "an operator's")).await.1["records"].clone();
            if let Some(refused) = records.as_array().unwrap().iter().find(|record| record["status"] == 401) {
                return refused["from"].clone();
            }
        }
    };
    let recorded = tokio::time::timeout(PATIENCE, asking).await.expect("refusals are recorded");
    assert_eq!(recorded, "203.0.113.9", "what the client wrote into the field itself does not count");
    gateway.stop().await;
}

#[tokio::test]
async fn guesses_from_elsewhere_do_not_keep_a_user_out_where_they_have_been() {
    let gateway = Gateway::start(&with_api("trusted_proxies = [\"127.0.0.1\"]")).await;
    let store = AccountStore::of(&gateway.config);
    store.add_user("anna", ApiRole::Admin, PASSWORD).unwrap();
    let ask = |client: &str, password: &str| {
        let request = gateway.get("/api/v1/session").basic_auth("anna", Some(password));
        request.header("x-forwarded-for", client).header("x-forwarded-proto", "https")
    };
    assert_eq!(answer(ask("192.0.2.7", PASSWORD)).await.0, StatusCode::OK);
    let mut statuses = Vec::new();
    for n in 0..8 {
        statuses.push(answer(ask("203.0.113.9", &format!("wrong horse {n}"))).await.0.as_u16());
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    // Another password, so that it is not one that was right a moment ago.
    let new = gateway.post("/api/v1/users/anna/password", r#"{"password": "another horse"}"#);
    let new = new.basic_auth("anna", Some(PASSWORD)).header("x-forwarded-for", "192.0.2.7");
    assert!(answer(new.header("x-forwarded-proto", "https")).await.0.is_success());
    let changed = async {
        loop {
            match answer(ask("192.0.2.7", "another horse")).await.0 {
                StatusCode::UNAUTHORIZED => {}
                status => return status,
            }
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, changed).await.expect("the change is seen"), StatusCode::OK);
    gateway.stop().await;
}

#[tokio::test]
async fn what_a_browser_sends_by_itself_changes_nothing_for_a_page_of_another_origin() {
    let api = "cors_origins = [\"https://dashboard.example\"]\n[api.credentials.page]\ntoken = \"of the page\"\nrole = \"operator\"\n\
               [api.credentials.desk]\nusername = \"desk\"\npassword = \"wr1tes\"\nrole = \"operator\"";
    let gateway = Gateway::start(&with_api(api)).await;
    let discard = || {
        let request = gateway.client.delete(gateway.url("/api/v1/dead-letters?connection=boiler"));
        request.header("origin", "https://dashboard.example")
    };
    let basic = |request: RequestBuilder| request.basic_auth("desk", Some("wr1tes"));
    let remembered = answer(basic(discard())).await;
    assert_eq!((remembered.0, &remembered.1["code"]), (StatusCode::FORBIDDEN, &json!("csrf")));
    assert_eq!(answer(basic(discard()).header("x-csrf-token", "1")).await.0, StatusCode::OK);
    assert_eq!(answer(discard().bearer_auth("of the page")).await.0, StatusCode::OK);
    let read = basic(gateway.get("/api/v1/connections").header("origin", "https://dashboard.example"));
    assert_eq!(answer(read).await.0, StatusCode::OK, "reading changes nothing");
    for (site, expected) in [("cross-site", "foreign-origin"), ("same-site", "foreign-origin"), ("none", "")] {
        let image = basic(gateway.get("/hooks/boiler/x").header("sec-fetch-site", site));
        let (_, problem) = answer(image).await;
        assert_eq!(problem["code"] == "foreign-origin", expected == "foreign-origin", "{site}: {problem}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn each_change_that_a_batch_carries_is_recorded_and_a_batch_that_reads_is_not() {
    let gateway = Gateway::start(QUIET).await;
    crate::harness::declare(&gateway.log);
    let store = AccountStore::of(&gateway.config);
    store.add_user("anna", ApiRole::Admin, PASSWORD).unwrap();
    store.add_user("otto", ApiRole::Viewer, PASSWORD).unwrap();
    let batch = |user: &'static str, requests: Json| {
        let body = json!({ "requests": requests }).to_string();
        gateway.post("/odata/v4/$batch", &body).basic_auth(user, Some(PASSWORD))
    };
    let read = json!([{ "id": "1", "method": "get", "url": "Points" }]);
    assert_eq!(answer(batch("otto", read)).await.0, StatusCode::OK);
    let write = |id: &str, point: u32| {
        json!({ "id": id, "method": "post", "url": format!("Points({point})/Write"), "body": { "Value": "20.5" },
                "headers": { "content-type": "application/json" } })
    };
    let writes = json!([write("1", 1), write("2", 1)]);
    let sent = batch("anna", writes.clone()).header("prefer", "continue-on-error");
    assert_eq!(answer(sent).await.0, StatusCode::OK);
    assert_eq!(answer(batch("otto", writes).header("prefer", "continue-on-error")).await.0, StatusCode::OK);
    let asking = async {
        loop {
            let page = answer(gateway.get("/api/v1/audit").basic_auth("anna", Some(PASSWORD))).await.1;
            let records = page["records"].as_array().unwrap().clone();
            let refused =
                records.iter().filter(|record| record["who"] == "otto" && record["result"] == "refused").count();
            if refused == 2 {
                return records;
            }
        }
    };
    let records = tokio::time::timeout(PATIENCE, asking).await.expect("the records come");
    let what = "POST /odata/v4/Points(1)/Write in $batch";
    let of = |user: &str| records.iter().filter(|record| record["who"] == user && record["what"] == what).count();
    assert_eq!((of("anna"), of("otto")), (2, 2), "{records:?}");
    let carriers = records.iter().filter(|record| record["what"] == "POST /odata/v4/$batch").count();
    assert_eq!(carriers, 0, "{records:?}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_change_whose_client_goes_away_is_recorded_all_the_same() {
    let gateway = Gateway::start(&with_api("[api.credentials.op]\ntoken = \"an admin's\"\nrole = \"admin\"")).await;
    let body = r#"{"name": "otto", "role": "viewer", "password": "s3cret horse"}"#;
    let request = format!(
        "POST /api/v1/users HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer an admin's\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let ask = |path: &'static str| answer(gateway.get(path).bearer_auth("an admin's"));
    // Who goes away before the gateway has looked has changed nothing: again, until one was let in.
    let made = async {
        while !ask("/api/v1/users").await.1.to_string().contains("otto") {
            let mut stream = TcpStream::connect(gateway.address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, made).await.expect("the user is made");
    let is_record = |record: &Json| record["what"] == "POST /api/v1/users" && record["result"] == "done";
    let recorded =
        async { while !ask("/api/v1/audit").await.1["records"].as_array().unwrap().iter().any(is_record) {} };
    tokio::time::timeout(PATIENCE, recorded).await.expect("and the audit log says so");
    gateway.stop().await;
}
