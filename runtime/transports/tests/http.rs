//! HTTP against the simulated upstream: credentials, redirects, bounds, and what goes wrong.

#![allow(clippy::unwrap_used, reason = "a helper of a test may fail the test")]

mod support;

use bulkhead_sandbox::capability::{Http, LinkState, Outgoing, Remedy};
use bulkhead_simulators::upstream::{Auth, Misbehaviour, Upstream, UpstreamConfig};
use bulkhead_transports::{Buses, Opened};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use support::*;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

fn transport(upstream: &Upstream, extra: serde_json::Value) -> serde_json::Value {
    let mut settings = json!({ "kind": "http", "base_url": format!("{}/odata", upstream.url()), "allow_methods": ["GET", "POST"], "timeout_ms": 5000 });
    settings.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    settings
}

async fn upstream(auth: Auth) -> Upstream {
    Upstream::start(UpstreamConfig { auth, ..UpstreamConfig::default() }).await.unwrap()
}

fn post(path: &str) -> Outgoing {
    Outgoing {
        method: "POST".into(),
        path: path.into(),
        headers: vec![("Content-Type".into(), "application/json".into())],
        body: br#"{"Value":1}"#.to_vec(),
    }
}

fn start(settings: serde_json::Value) -> (Opened, Arc<dyn Http>) {
    let opened = opened(settings, &Buses::new());
    opened.link.start();
    let http = http(&opened);
    (opened, http)
}

#[tokio::test]
async fn every_kind_of_credentials_is_accepted_and_wrong_ones_are_the_guests_to_see() {
    let oauth2 = Auth::OAuth2 {
        client_id: "gateway".into(),
        client_secret: "hunter2".into(),
        lifetime: Duration::from_secs(3600),
    };
    for (auth, settings) in [
        (Auth::Open, json!({})),
        (
            Auth::Basic { user: "gw".into(), password: "hunter2".into() },
            json!({ "auth": { "kind": "basic", "username": "gw", "password": "hunter2" } }),
        ),
        (Auth::Bearer("hunter2".into()), json!({ "auth": { "kind": "bearer", "token": "hunter2" } })),
        (
            Auth::Header { name: "X-API-Key".into(), value: "hunter2".into() },
            json!({ "auth": { "kind": "header", "name": "X-API-Key", "value": "hunter2" } }),
        ),
        (oauth2, json!({ "auth": { "kind": "oauth2", "client_id": "gateway", "client_secret": "hunter2" } })),
    ] {
        let is_open = auth == Auth::Open;
        let upstream = upstream(auth).await;
        let mut settings = settings;
        if settings["auth"]["kind"] == "oauth2" {
            settings["auth"]["token_url"] = json!(format!("{}/token", upstream.url()));
        }
        let (opened, http) = start(transport(&upstream, settings));
        let answers = futures_util::future::join_all((0..10).map(|_| http.request(post("/Readings")))).await;
        assert!(answers.iter().all(|answer| answer.as_ref().unwrap().status == 201), "{answers:?}");
        assert!(upstream.stats().tokens <= 1, "concurrent requests share one token");
        assert_eq!(*opened.link.state().borrow(), LinkState::Up);
        if !is_open {
            let (_, nobody) = start(transport(&upstream, json!({})));
            assert_eq!(nobody.request(post("/Readings")).await.unwrap().status, 401);
        }
    }
}

#[tokio::test]
async fn a_token_that_is_refused_is_fetched_anew_once() {
    let auth = Auth::OAuth2 {
        client_id: "gateway".into(),
        client_secret: "hunter2".into(),
        lifetime: Duration::from_secs(3600),
    };
    let upstream = upstream(auth).await;
    let oauth2 = |secret: &str| {
        let token_url = format!("{}/token", upstream.url());
        let auth = json!({ "kind": "oauth2", "token_url": token_url, "client_id": "gateway", "client_secret": secret });
        transport(&upstream, json!({ "auth": auth }))
    };
    let (_opened, http) = start(oauth2("hunter2"));
    assert_eq!(http.request(post("/Readings")).await.unwrap().status, 201);
    upstream.expire_tokens();
    let answers = futures_util::future::join_all((0..10).map(|_| http.request(post("/Readings")))).await;
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap().status == 201));
    assert_eq!(upstream.stats().tokens, 2, "one for all that were refused");
    let (_wrong, http) = start(oauth2("not-the-secret"));
    let (code, message) = code(http.request(post("/Readings")).await);
    assert_eq!(code, "unauthorized");
    assert!(!message.contains("not-the-secret"), "{message}");
}

#[tokio::test]
async fn a_guest_does_not_leave_the_base_url_nor_do_redirects() {
    let upstream = upstream(Auth::Open).await;
    let other = self::upstream(Auth::Open).await;
    let (opened, http) = start(transport(&upstream, json!({ "max_redirects": 2 })));
    for path in ["/../ingest", "/%2e%2e/ingest", "//127.0.0.1:1/x", "http://127.0.0.1/x", "/..%2fingest", "ingest"] {
        let (code, message) = code(http.request(post(path)).await);
        assert_eq!(code, "not-granted", "{path}");
        assert!(message.contains("press"), "{message}");
    }
    for name in ["Authorization", "Host", "Proxy-Authorization", "Connection"] {
        let mut request = post("/Readings");
        request.headers.push((name.into(), "x".into()));
        assert_eq!(code(http.request(request).await).0, "not-granted", "{name}");
    }
    assert_eq!(upstream.stats().requests, 0, "none of these was sent");
    for location in [format!("{}/odata/Readings", other.url()), format!("{}/ingest", upstream.url()), "/".into()] {
        upstream.next(Misbehaviour::Redirect(location), 1);
        assert_eq!(code(http.request(post("/Readings")).await).0, "not-granted");
    }
    assert_eq!(other.stats().requests, 0);
    upstream.next(Misbehaviour::Redirect("/odata/Elsewhere".into()), 1);
    assert_eq!(http.request(post("/Readings")).await.unwrap().status, 201);
    assert_eq!(upstream.accepted()[0].collection, "Elsewhere");
    upstream.always(Misbehaviour::Redirect("/odata/Round".into()));
    assert_eq!(code(http.request(post("/Readings")).await).0, "connection-lost");
    assert_eq!(counter(&opened.link, "redirects_total"), 4);
}

#[tokio::test]
async fn what_see_other_answers_was_done_and_is_fetched_only_where_the_grant_reaches() {
    let upstream = upstream(Auth::Open).await;
    let (opened, http) = start(transport(&upstream, json!({ "allow_methods": ["POST"] })));
    upstream.next(Misbehaviour::SeeOther("/odata/Readings".into()), 1);
    let answer = http.request(post("/Readings")).await.unwrap();
    let location = answer.headers.iter().find(|(name, _)| name == "location").map(|(_, value)| value.as_str());
    assert_eq!((answer.status, location), (303, Some("/odata/Readings")), "GET is not granted");
    let (_may_get, http) = start(transport(&upstream, json!({})));
    upstream.next(Misbehaviour::SeeOther("/ingest".into()), 1);
    assert_eq!(http.request(post("/Readings")).await.unwrap().status, 303, "outside of the base URL");
    upstream.next(Misbehaviour::SeeOther("/odata/Readings".into()), 1);
    assert_eq!(http.request(post("/Readings")).await.unwrap().status, 200, "fetched");
    let stats = upstream.stats();
    assert_eq!((stats.accepted, stats.requests), (3, 4));
    assert_eq!(counter(&opened.link, "redirects_total"), 0);
}

#[tokio::test]
async fn bounds_and_misbehaviour_are_faults_with_what_to_do() {
    let upstream = upstream(Auth::Open).await;
    let (opened, http) = start(transport(&upstream, json!({ "timeout_ms": 200, "max_response_bytes": 1000 })));
    for (misbehaviour, expected) in [
        (Misbehaviour::HugeBody(5000), "too-large"),
        (Misbehaviour::Hang, "timeout"),
        (Misbehaviour::SlowBody(Duration::from_millis(100)), "timeout"),
        (Misbehaviour::Close, "connection-lost"),
        (Misbehaviour::CloseMidResponse, "connection-lost"),
    ] {
        let name = format!("{misbehaviour:?}");
        upstream.next(misbehaviour, 1);
        let request = Outgoing { method: "POST".into(), ..post("/Readings") };
        assert_eq!(code(http.request(request).await).0, expected, "{name}");
    }
    upstream.behave();
    let mut large = post("/Readings");
    large.body = vec![b' '; 4 * 1024 * 1024 + 1];
    assert_eq!(code(http.request(large).await).0, "too-large");
    upstream.next(Misbehaviour::retry_later(503, 2), 1);
    let answer = http.request(post("/Readings")).await.unwrap();
    assert_eq!(answer.status, 503);
    assert!(answer.headers.contains(&("retry-after".into(), "2".into())), "{:?}", answer.headers);
    assert_eq!(*opened.link.state().borrow(), LinkState::Up, "an answer is an answer");
}

#[tokio::test]
async fn an_upstream_that_goes_away_is_down_with_its_address_and_up_when_it_is_back() {
    let mut upstream = upstream(Auth::Open).await;
    let (opened, http) = start(transport(&upstream, json!({})));
    up(&opened.link).await;
    upstream.stop().await;
    let fault = http.request(post("/Readings")).await.unwrap_err();
    assert_eq!((fault.code.as_str(), fault.remedy), ("connect", Remedy::Retry));
    let reason = down(&opened.link).await;
    assert!(reason.contains(&upstream.url()) || reason.contains(&upstream.address().to_string()), "{reason}");
    upstream.restart().await.unwrap();
    up(&opened.link).await;
    assert_eq!(http.request(post("/Readings")).await.unwrap().status, 201);
    opened.link.stop().await;
    assert_eq!(code(http.request(post("/Readings")).await).0, "not-connected");
    assert_eq!(*opened.link.state().borrow(), LinkState::Stopped);
}

#[tokio::test]
async fn settings_that_cannot_work_are_named_without_secrets() {
    for (settings, part) in [
        (json!({ "kind": "http", "base_url": "https://gw:hunter2@erp/" }), "base_url"),
        (json!({ "kind": "http", "base_url": "erp/odata" }), "base_url"),
        (json!({ "kind": "http", "base_url": "http://erp/", "proxy": "::" }), "proxy"),
        (json!({ "kind": "http", "base_url": "http://erp/", "tls": { "ca_file": "/nowhere.pem" } }), "ca_file"),
        (
            json!({ "kind": "http", "base_url": "http://erp/",
                    "auth": { "kind": "bearer", "token": { "file": "/nowhere" } } }),
            "auth.token",
        ),
        (
            json!({ "kind": "http", "base_url": "http://erp/", "auth": { "kind": "bearer", "token": "hunter2\n" } }),
            "auth.token",
        ),
    ] {
        let Err(error) = try_open(settings, &Buses::new()) else { panic!("{part}") };
        let text = format!("{error} {error:?}");
        assert!(text.contains(part) && text.contains("press") && !text.contains("hunter2"), "{text}");
    }
}

/// Answers one request with 200 and returns its first line.
async fn answer_once(stream: impl AsyncRead + AsyncWrite + Unpin) -> String {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(stream.read_line(&mut head).await.unwrap() > 0, "{head}");
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok").await.unwrap();
    stream.shutdown().await.unwrap();
    head.lines().next().unwrap().to_owned()
}

fn get(path: &str) -> Outgoing {
    Outgoing { method: "GET".into(), path: path.into(), headers: Vec::new(), body: Vec::new() }
}

#[tokio::test]
async fn https_with_certificates_on_both_sides_and_a_tls_fault_where_they_are_not_trusted() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let file = |name: &str| folder.path().join(name);
    let chain = CertificateDer::pem_file_iter(file("server.pem")).unwrap().map(Result::unwrap).collect();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file("ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(file("server.key")).unwrap())
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("https://localhost:{}/odata", listener.local_addr().unwrap().port());
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // Looks whether the port is open and clients that do not trust us end here.
            if let Ok(stream) = acceptor.accept(stream).await {
                break answer_once(stream).await;
            }
        }
    });
    let tls = |ca: &str| json!({ "ca_file": file(ca), "certificate_file": file("client.pem"), "key_file": file("client.key") });
    let settings = |tls: serde_json::Value| json!({ "kind": "http", "base_url": base_url, "allow_networks": ["loopback"], "tls": tls, "timeout_ms": 5000 });
    let (distrustful, http) = start(settings(tls("other.pem")));
    let (code, message) = code(http.request(get("/x")).await);
    assert_eq!(code, "tls", "{message}");
    assert!(down(&distrustful.link).await.contains("TLS"));
    distrustful.link.stop().await;
    let (_opened, http) = start(settings(tls("ca.pem")));
    assert_eq!(http.request(get("/x?y=1")).await.unwrap().body, b"ok");
    assert_eq!(patiently("the server", server).await.unwrap(), "GET /odata/x?y=1 HTTP/1.1");
}

#[tokio::test]
async fn a_proxy_is_used_where_one_is_set() {
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = json!({
        "kind": "http", "base_url": "http://upstream.invalid/odata",
        "proxy": format!("http://{}", proxy.local_addr().unwrap()),
    });
    let opened = opened(settings, &Buses::new());
    // Not started: so that the look whether the proxy is there does not come in between.
    let (http, serving) = (http(&opened), async { answer_once(proxy.accept().await.unwrap().0).await });
    let (answer, line) = patiently("the proxy", async { tokio::join!(http.request(get("/x")), serving) }).await;
    assert_eq!(answer.unwrap().status, 200);
    assert_eq!(line, "GET http://upstream.invalid/odata/x HTTP/1.1");
}
