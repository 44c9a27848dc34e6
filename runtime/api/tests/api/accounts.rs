//! Users and keys: made by admins over the API and by the command line in the file, good at once, confined and ended.

use crate::harness::{Gateway, QUIET, answer};
use bulkhead_api::{AccountStore, NewKey};
use bulkhead_config::ApiRole;
use bulkhead_model::Timestamp;
use reqwest::StatusCode;
use serde_json::json;
use std::time::Duration;

const PASSWORD: &str = "correct horse";

/// A gateway with one admin, made as the command line makes the first one.
async fn with_admin() -> Gateway {
    let gateway = Gateway::start(QUIET).await;
    AccountStore::of(&gateway.config).add_user("anna", ApiRole::Admin, PASSWORD).unwrap();
    gateway
}

/// Asks until a path answers with a status: a change of the file is seen a moment later.
async fn until(gateway: &Gateway, token: &str, expected: StatusCode) {
    let asking = async {
        while gateway.get("/api/v1/session").bearer_auth(token).send().await.unwrap().status() != expected {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(crate::harness::PATIENCE, asking).await.expect("the change is seen");
}

#[tokio::test]
async fn the_first_user_closes_the_door_of_a_running_gateway() {
    let gateway = Gateway::start(QUIET).await;
    assert_eq!(answer(gateway.get("/api/v1/session")).await.1["proof"], "local");
    AccountStore::of(&gateway.config).add_user("anna", ApiRole::Admin, PASSWORD).unwrap();
    until(&gateway, "nothing", StatusCode::UNAUTHORIZED).await;
    let (status, who) = answer(gateway.get("/api/v1/session").basic_auth("anna", Some(PASSWORD))).await;
    assert_eq!((status, &who["name"], &who["role"]), (StatusCode::OK, &json!("anna"), &json!("admin")));
    assert_eq!(answer(gateway.get("/api/v1/session").basic_auth("anna", Some("wrong horse"))).await.0, 401);
    assert_eq!(answer(gateway.get("/api/v1/session").basic_auth("otto", Some(PASSWORD))).await.0, 401);
    gateway.stop().await;
}

#[tokio::test]
async fn admins_make_users_and_keys_which_are_good_at_once_and_not_after_they_are_removed() {
    let gateway = with_admin().await;
    let admin = |request: reqwest::RequestBuilder| request.basic_auth("anna", Some(PASSWORD));
    let user = json!({ "name": "otto", "role": "operator", "password": "another horse" }).to_string();
    let made = answer(admin(gateway.post("/api/v1/users", &user))).await;
    assert_eq!(made, (StatusCode::CREATED, json!({ "name": "otto", "role": "operator" })));
    let again = answer(admin(gateway.post("/api/v1/users", &user))).await;
    assert_eq!((again.0, &again.1["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("bad-account")));
    let as_otto = |password| gateway.get("/api/v1/session").basic_auth("otto", Some(password));
    assert_eq!(answer(as_otto("another horse")).await.0, StatusCode::OK);
    let changed = admin(gateway.post("/api/v1/users/otto/password", r#"{"password": "a third horse"}"#));
    assert_eq!(answer(changed).await.0, StatusCode::NO_CONTENT);
    assert_eq!(answer(as_otto("another horse")).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(answer(as_otto("a third horse")).await.0, StatusCode::OK);
    let listed = answer(admin(gateway.get("/api/v1/users"))).await.1;
    assert_eq!(
        listed,
        json!({ "users": [{ "name": "anna", "role": "admin" }, { "name": "otto", "role": "operator" }] })
    );

    let wanted = json!({ "name": "historian", "expires": "2200-01-01T00:00:00Z" }).to_string();
    let (status, key) = answer(admin(gateway.post("/api/v1/keys", &wanted))).await;
    assert_eq!((status, &key["role"]), (StatusCode::CREATED, &json!("viewer")), "{key}");
    let text = key["key"].as_str().unwrap().to_owned();
    assert!(text.starts_with(key["prefix"].as_str().unwrap()), "{key}");
    let who = answer(gateway.get("/api/v1/session").bearer_auth(&text)).await;
    assert_eq!((who.0, &who.1["proof"]), (StatusCode::OK, &json!("key")));
    let keys = answer(admin(gateway.get("/api/v1/keys"))).await.1.to_string();
    assert!(keys.contains("historian") && !keys.contains(&text[12..]), "{keys}");
    for (path, status) in [("historian", 204), ("historian", 404)] {
        let removed = admin(gateway.client.delete(gateway.url(&format!("/api/v1/keys/{path}"))));
        assert_eq!(answer(removed).await.0, status);
    }
    assert_eq!(answer(gateway.get("/api/v1/session").bearer_auth(&text)).await.0, StatusCode::UNAUTHORIZED);
    gateway.stop().await;
}

#[tokio::test]
async fn a_key_for_a_connection_that_is_not_there_is_refused_unless_it_may_come_later() {
    let gateway = with_admin().await;
    let make = |body: serde_json::Value| {
        answer(gateway.post("/api/v1/keys", &body.to_string()).basic_auth("anna", Some(PASSWORD)))
    };
    let (status, problem) = make(json!({ "name": "panel", "connections": ["boilr"] })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    assert_eq!((&problem["code"], &problem["near"]), (&json!("no-such-connection"), &json!("boiler")));
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("did you mean `boiler`?") && detail.contains("allow_unknown"), "{detail}");
    assert!(AccountStore::of(&gateway.config).read().unwrap().keys.is_empty(), "nothing was made");

    let (status, key) = make(json!({ "name": "panel", "connections": ["boilr"], "allow_unknown": true })).await;
    assert_eq!((status, &key["connections"]), (StatusCode::CREATED, &json!(["boilr"])));
    let (status, _) = make(json!({ "name": "known", "connections": ["boiler", "gateway"] })).await;
    assert_eq!(status, StatusCode::CREATED, "one of the config and the built-in one");
    gateway.stop().await;
}

#[tokio::test]
async fn a_key_made_or_revoked_in_the_file_counts_while_the_gateway_runs() {
    let gateway = with_admin().await;
    let store = AccountStore::of(&gateway.config);
    let new = |name: &str, expires| NewKey { name: name.into(), role: ApiRole::Viewer, connections: None, expires };
    let (_, text) = store.create_key(new("bi", None), Timestamp(1)).unwrap();
    until(&gateway, &text, StatusCode::OK).await;
    store.revoke_key("bi").unwrap();
    until(&gateway, &text, StatusCode::UNAUTHORIZED).await;
    let (_, ended) = store.create_key(new("old", Some(Timestamp(2))), Timestamp(1)).unwrap();
    let (status, problem) = answer(gateway.get("/api/v1/session").bearer_auth(&ended)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(problem["detail"].as_str().unwrap().contains("has ended"), "{problem}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_confined_key_reaches_its_connections_and_nothing_else() {
    let gateway = with_admin().await;
    crate::harness::declare(&gateway.log);
    let connections = Some(std::collections::BTreeSet::from(["boiler".to_owned()]));
    let new = NewKey { name: "panel".into(), role: ApiRole::Operator, connections, expires: None };
    let (_, text) = AccountStore::of(&gateway.config).create_key(new, Timestamp(1)).unwrap();
    until(&gateway, &text, StatusCode::OK).await;
    for (path, expected) in [
        ("/api/v1/connections/boiler", 200),
        ("/api/v1/connections/boiler/points/flow", 200),
        ("/api/v1/latest?connection=boiler", 200),
        ("/api/v1/latest", 403),
        ("/api/v1/connections", 403),
        ("/api/v1/connections/pump", 403),
        ("/api/v1/readings", 403),
        ("/odata/v4/Readings", 403),
        ("/metrics", 403),
        ("/api/v1/config", 403),
    ] {
        let (status, problem) = answer(gateway.get(path).bearer_auth(&text)).await;
        assert_eq!(status, expected, "{path}: {problem}");
        let code = if path.starts_with("/odata/") { &problem["error"]["code"] } else { &problem["code"] };
        assert!(status != 403 || code == "outside-scope", "{problem}");
    }
    let write = |connection: &str| {
        let path = format!("/api/v1/connections/{connection}/points/flow");
        gateway.post(&path, r#"{"value": 20}"#).bearer_auth(&text)
    };
    assert_eq!(
        answer(write("boiler")).await.0,
        StatusCode::SERVICE_UNAVAILABLE,
        "it gets as far as the stopped adapter"
    );
    assert_eq!(answer(write("pump")).await.0, StatusCode::FORBIDDEN);
    gateway.stop().await;
}

#[tokio::test]
async fn guessing_a_password_waits_longer_each_time_and_who_was_in_stays_in() {
    let gateway = with_admin().await;
    until(&gateway, "nothing", StatusCode::UNAUTHORIZED).await;
    let ask = |password| gateway.get("/api/v1/session").basic_auth("anna", Some(password));
    assert_eq!(answer(ask(PASSWORD)).await.0, StatusCode::OK);
    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(answer(ask("wrong horse")).await.0.as_u16());
    }
    assert_eq!(statuses[..5], [401; 5]);
    assert!(statuses[6..].contains(&429), "{statuses:?}");
    let locked = ask("wrong horse").send().await.unwrap();
    if locked.status() == 429 {
        assert!(locked.headers().contains_key("retry-after"));
    }
    assert_eq!(
        answer(ask(PASSWORD)).await.0,
        StatusCode::OK,
        "a password that was right a moment ago is not locked out"
    );
    gateway.stop().await;
}

#[tokio::test]
async fn the_command_line_of_this_machine_has_a_key_while_the_gateway_runs() {
    let gateway = with_admin().await;
    let key = bulkhead_api::command_line_key(&gateway.config).expect("the gateway leaves one");
    let who = answer(gateway.get("/api/v1/session").bearer_auth(&key)).await;
    assert_eq!((who.0, &who.1["role"]), (StatusCode::OK, &json!("admin")));
    let (config, dir) = (gateway.config.clone(), gateway.dir.path().to_owned());
    let kept = tempfile::tempdir().unwrap();
    std::fs::copy(dir.join("data/access/accounts.json"), kept.path().join("a")).unwrap();
    let text = std::fs::read_to_string(kept.path().join("a")).unwrap();
    assert!(!text.contains(&key) && !text.contains(PASSWORD));
    gateway.stop().await;
    assert_eq!(bulkhead_api::command_line_key(&config), None, "it goes with the gateway");
}
