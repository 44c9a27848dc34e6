//! The matrix: every endpoint of the router, with every method, asked by everybody.

use crate::harness::Gateway;
use bulkhead_config::ApiRole;
use reqwest::{Method, StatusCode};
use std::collections::BTreeSet;

const ROLES: &str = r#"
[api]
listen = "127.0.0.1:0"
[api.credentials.v]
token = "a viewer's token"
[api.credentials.o]
token = "an operator's token"
role = "operator"
[api.credentials.a]
token = "an admin's token"
role = "admin"

[connections.boiler]
adapter = "modbus-registers"
enabled = false
"#;

/// Everybody, with the token they show.
const EVERYBODY: [(Option<ApiRole>, &str); 4] = [
    (None, "nobody's token"),
    (Some(ApiRole::Viewer), "a viewer's token"),
    (Some(ApiRole::Operator), "an operator's token"),
    (Some(ApiRole::Admin), "an admin's token"),
];

const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"];

/// A path with its names filled in.
fn filled(path: &str) -> String {
    [
        ("{connection}", "boiler"),
        ("{*point}", "flow"),
        ("{*path}", "Readings"),
        ("{route}", "r"),
        ("{letter}", "1"),
        ("{user}", "u"),
        ("{key}", "k"),
        ("{id}", "i"),
        ("{asset}", "page.js"),
    ]
    .iter()
    .fold(path.to_owned(), |path, (name, value)| path.replace(name, value))
}

#[test]
fn every_path_of_the_router_says_what_it_needs_and_no_other_does() {
    let served: BTreeSet<&str> = bulkhead_api::served_paths().into_iter().collect();
    let known: BTreeSet<&str> = bulkhead_api::endpoints().iter().map(|endpoint| endpoint.path).collect();
    assert_eq!(served, known, "runtime/api/src/access/table.rs has a row for each path of runtime/api/src/paths.rs");
    assert!(served.iter().all(|path| !filled(path).contains('{')), "this test fills every name in");
}

#[tokio::test]
async fn everybody_may_do_what_their_role_says_at_every_endpoint() {
    let gateway = Gateway::start(ROLES).await;
    crate::harness::declare(&gateway.log);
    let (mut granted, mut refused) = (0, 0);
    for endpoint in bulkhead_api::endpoints() {
        let path = filled(endpoint.path);
        for method in METHODS {
            let asked = if method == "HEAD" { "GET" } else { method };
            let need = endpoint.methods.iter().find(|(name, _)| *name == asked).map(|(_, role)| *role);
            for (role, token) in EVERYBODY {
                let request =
                    gateway.client.request(Method::from_bytes(method.as_bytes()).unwrap(), gateway.url(&path));
                let request = if role.is_some() { request.bearer_auth(token) } else { request };
                let response = request.send().await.unwrap();
                let status = response.status();
                let what = format!("{method} {path} as {role:?}: {status}");
                match (need, role) {
                    (Some(None), _) => assert_ne!(status, StatusCode::UNAUTHORIZED, "{what}"),
                    (_, None) => assert_eq!(status, StatusCode::UNAUTHORIZED, "{what}"),
                    (None, Some(_)) => {
                        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{what}");
                        assert!(response.headers().contains_key("allow"), "{what}");
                    }
                    (Some(Some(need)), Some(role)) if role < need => {
                        assert_eq!(status, StatusCode::FORBIDDEN, "{what}");
                        refused += 1;
                    }
                    (Some(Some(_)), Some(_)) => {
                        assert!(![StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status), "{what}");
                        // OData says itself what its sets take.
                        let is_taken = status != StatusCode::METHOD_NOT_ALLOWED || path.starts_with("/odata/");
                        assert!(is_taken, "{what}");
                        granted += 1;
                    }
                }
            }
        }
    }
    assert!(granted > 100 && refused > 50, "{granted} granted, {refused} refused");
    gateway.stop().await;
}

#[tokio::test]
async fn a_path_that_is_not_there_is_not_even_told_to_strangers() {
    let gateway = Gateway::start(ROLES).await;
    for path in ["/api/v1/nothing", "/api/v2/points", "/admin", "/hooks"] {
        assert_eq!(gateway.get(path).send().await.unwrap().status(), StatusCode::UNAUTHORIZED, "{path}");
        let known = gateway.get(path).bearer_auth("a viewer's token").send().await.unwrap().status();
        assert_eq!(known, StatusCode::NOT_FOUND, "{path}");
    }
    gateway.stop().await;
}
