//! The upstream over real sockets, in bytes: what it accepts, what it refuses, and how it misbehaves.

#![allow(clippy::unwrap_used, reason = "the helpers of tests may panic like the tests")]

use bulkhead_simulators::upstream::{Auth, Misbehaviour, Rejection, RetryAfter, Upstream, UpstreamConfig};
use serde_json::{Value, json};
use std::{future::Future, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(20);

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} took longer than {PATIENCE:?}"))
}

async fn upstream() -> Upstream {
    Upstream::start(UpstreamConfig::default()).await.unwrap()
}

async fn send(upstream: &Upstream, request_line: &str, headers: &[&str], body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(upstream.address()).await.unwrap();
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let length = body.len();
    let request = format!(
        "{request_line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// All bytes of the answer; a connection that breaks ends it.
async fn ask(upstream: &Upstream, request_line: &str, headers: &[&str], body: &str) -> String {
    let mut stream = send(upstream, request_line, headers, body).await;
    let mut answer = Vec::new();
    let _ = soon(request_line, stream.read_to_end(&mut answer)).await;
    String::from_utf8(answer).unwrap()
}

async fn post(upstream: &Upstream, headers: &[&str], body: &str) -> String {
    ask(upstream, "POST /odata/Readings", headers, body).await
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split("\r\n\r\n").next()?;
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|pair| pair.1)
}

fn body(answer: &str) -> Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test]
async fn entities_and_plain_json_are_kept_in_order_and_duplicates_show() {
    let upstream = upstream().await;
    let created = post(&upstream, &["Idempotency-Key: k1"], r#"{"Point":"a","Value":1}"#).await;
    assert_eq!((status(&created), header(&created, "odata-version")), (201, Some("4.0")));
    assert_eq!(body(&created)["Value"], 1);
    let location = header(&created, "location").unwrap();
    let read = ask(&upstream, &format!("GET {location}"), &[], "").await;
    assert_eq!((status(&read), &body(&read)["Point"]), (200, &json!("a")));
    assert_eq!(status(&post(&upstream, &["Idempotency-Key: k1", "Prefer: return=minimal"], "{}").await), 204);
    let ingested = ask(&upstream, "POST /ingest", &["Idempotency-Key: k2"], "[1,2]").await;
    assert_eq!((status(&ingested), body(&ingested)), (200, json!({ "accepted": 2 })));
    let accepted = soon("accepting", upstream.wait_for(4)).await;
    let seen: Vec<_> = accepted.iter().map(|one| (one.number, one.collection.as_str())).collect();
    assert_eq!(seen, [(1, "Readings"), (2, "Readings"), (3, "ingest"), (4, "ingest")]);
    assert_eq!(upstream.accepted_by_key(), [("k1".into(), 2), ("k2".into(), 1)].into());
    let list = body(&ask(&upstream, "GET /odata/Readings?$top=1", &[], "").await);
    assert_eq!((&list["@odata.count"], list["value"].as_array().unwrap().len()), (&json!(2), 1));
    let page = ask(&upstream, "GET /", &[], "").await;
    assert!(page.contains("4 accepted") && header(&page, "content-type").unwrap().starts_with("text/html"));
    assert_eq!(status(&ask(&upstream, "GET /odata/", &[], "").await), 200);
    assert!(ask(&upstream, "GET /odata/$metadata", &[], "").await.contains("EntityContainer"));
    assert_eq!(status(&ask(&upstream, "GET /nowhere", &[], "").await), 404);
}

#[tokio::test]
async fn upserts_by_key_keep_to_if_match() {
    let upstream = upstream().await;
    let put = "PUT /odata/Readings('a%20b')";
    let created = ask(&upstream, put, &[], r#"{"Value":1}"#).await;
    let etag = format!("If-Match: {}", header(&created, "etag").unwrap());
    assert_eq!(status(&created), 201);
    assert_eq!(status(&ask(&upstream, put, &[&etag], r#"{"Value":2}"#).await), 204);
    assert_eq!(status(&ask(&upstream, put, &[&etag], r#"{"Value":3}"#).await), 412);
    assert_eq!(upstream.entity("Readings", "a b"), Some(json!({ "Value": 2 })));
}

#[tokio::test]
async fn one_bad_entity_of_a_batch_is_refused_and_the_rest_kept() {
    let upstream = upstream().await;
    upstream.reject(|entity| {
        let (status, code, message) = (400, "OutOfRange".into(), "too hot".into());
        entity["Value"].as_f64().is_some_and(|value| value > 100.0).then_some(Rejection { status, code, message })
    });
    let item =
        |id: &str, value: u32| json!({ "id": id, "method": "POST", "url": "Readings", "body": { "Value": value } });
    let batch = json!({ "requests": [item("1", 5), item("2", 500), item("3", 6)] }).to_string();
    let headers = ["Content-Type: application/json", "Prefer: continue-on-error"];
    let answer = body(&ask(&upstream, "POST /odata/$batch", &headers, &batch).await);
    let responses = answer["responses"].as_array().unwrap();
    assert_eq!(responses.iter().map(|one| one["status"].as_u64().unwrap()).collect::<Vec<_>>(), [201, 400, 201]);
    assert_eq!(responses[1]["body"]["error"]["message"], "too hot");
    assert_eq!(upstream.stats().accepted, 2);
}

#[tokio::test]
async fn a_change_set_in_multipart_is_accepted_whole_or_refused_with_one_answer() {
    let upstream = upstream().await;
    let part = |id: u32, body: &str| {
        format!(
            "--c\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: {id}\r\n\r\nPOST Readings HTTP/1.1\r\nContent-Type: application/json\r\n\r\n{body}\r\n"
        )
    };
    let batch = |bodies: [&str; 2]| {
        let (first, second) = (part(1, bodies[0]), part(2, bodies[1]));
        format!("--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n{first}{second}--c--\r\n--b--\r\n")
    };
    let headers = ["Content-Type: multipart/mixed; boundary=b"];
    let good = ask(&upstream, "POST /odata/$batch", &headers, &batch([r#"{"a":1}"#, r#"{"a":2}"#])).await;
    assert_eq!((good.matches("HTTP/1.1 201 Created").count(), good.matches("Content-ID: ").count()), (2, 2));
    let bad = ask(&upstream, "POST /odata/$batch", &headers, &batch([r#"{"a":3}"#, "[]"])).await;
    assert_eq!((status(&bad), bad.matches("HTTP/1.1 ").count()), (200, 2), "{bad}");
    assert!(bad.contains("HTTP/1.1 400 Bad Request") && bad.contains("Content-ID: 2"));
    let bodies: Vec<_> = upstream.accepted().into_iter().map(|accepted| accepted.body).collect();
    assert_eq!(bodies, [json!({ "a": 1 }), json!({ "a": 2 })]);
}

#[tokio::test]
async fn statuses_come_as_scripted_and_nothing_is_accepted() {
    let upstream = upstream().await;
    let dated =
        Misbehaviour::Status { code: 429, body: "slow down".into(), retry_after: Some(RetryAfter::DateInSeconds(5)) };
    let redirect = Misbehaviour::Redirect("http://127.0.0.1:1/elsewhere".into());
    upstream.script([Misbehaviour::retry_later(503, 2), dated, Misbehaviour::status(409), redirect]);
    let answer = post(&upstream, &[], "{}").await;
    assert_eq!((status(&answer), header(&answer, "retry-after")), (503, Some("2")));
    assert_eq!(body(&answer)["error"]["code"], "503");
    let answer = post(&upstream, &[], "{}").await;
    assert_eq!((status(&answer), header(&answer, "content-type")), (429, Some("text/plain")));
    assert!(header(&answer, "retry-after").unwrap().ends_with(" GMT"));
    assert_eq!(status(&post(&upstream, &[], "{}").await), 409);
    let answer = post(&upstream, &[], "{}").await;
    assert_eq!((status(&answer), header(&answer, "location")), (307, Some("http://127.0.0.1:1/elsewhere")));
    upstream.always(Misbehaviour::status(500));
    assert_eq!(status(&post(&upstream, &[], "{}").await), 500);
    assert_eq!(status(&post(&upstream, &[], "{}").await), 500);
    upstream.behave();
    assert_eq!(upstream.stats().accepted, 0);
    assert_eq!(status(&post(&upstream, &[], "{}").await), 201);
    assert_eq!((upstream.stats().requests, upstream.stats().misbehaved), (7, 6));
}

#[tokio::test]
async fn answers_are_torn_slow_huge_or_missing() {
    let upstream = upstream().await;
    upstream.next(Misbehaviour::Close, 1);
    assert_eq!(post(&upstream, &[], "{}").await, "");
    assert_eq!(upstream.stats().accepted, 0);
    upstream.next(Misbehaviour::AcceptThenClose, 1);
    assert_eq!(post(&upstream, &["Idempotency-Key: k"], "{}").await, "");
    assert_eq!(post(&upstream, &["Idempotency-Key: k"], "{}").await.get(9..12), Some("201"));
    assert_eq!(upstream.accepted_by_key()["k"], 2);
    upstream.next(Misbehaviour::CloseMidResponse, 1);
    let torn = post(&upstream, &[], "{}").await;
    let length: usize = header(&torn, "content-length").unwrap().parse().unwrap();
    assert_eq!((status(&torn), torn.split_once("\r\n\r\n").unwrap().1.len()), (201, length / 2));
    upstream.next(Misbehaviour::SlowBody(Duration::from_millis(1)), 1);
    let answer = post(&upstream, &[], r#"{"a":1}"#).await;
    assert_eq!(body(&answer)["a"], 1);
    upstream.next(Misbehaviour::HugeBody(3_000_001), 1);
    let huge = post(&upstream, &[], "{}").await;
    assert_eq!(huge.split_once("\r\n\r\n").unwrap().1.len(), 3_000_001);
    upstream.next(Misbehaviour::Delay(Duration::from_millis(1)), 1);
    assert_eq!(status(&post(&upstream, &[], "{}").await), 201);
}

#[tokio::test]
async fn a_hanging_request_ends_when_it_is_cut_or_the_upstream_stops() {
    let mut upstream = upstream().await;
    upstream.always(Misbehaviour::Hang);
    for round in 1..=2 {
        let mut stream = send(&upstream, "POST /ingest", &[], "{}").await;
        soon("arriving", upstream.wait_until(|stats| stats.requests == round)).await;
        match round {
            1 => upstream.disconnect_all(),
            _ => soon("stopping", upstream.stop()).await,
        }
        assert_eq!(soon("the cut", stream.read(&mut [0; 1])).await.unwrap_or(0), 0);
    }
    assert!(TcpStream::connect(upstream.address()).await.is_err());
    upstream.behave();
    upstream.restart().await.unwrap();
    assert_eq!(status(&post(&upstream, &[], "{}").await), 201);
    assert_eq!(soon("accepting", upstream.wait_for(1)).await.len(), 1);
}

#[tokio::test]
async fn clients_must_show_what_was_asked() {
    let (client_id, client_secret, lifetime) = ("gw".to_owned(), "s".to_owned(), Duration::from_secs(60));
    let auth = Auth::OAuth2 { client_id, client_secret, lifetime };
    let upstream = Upstream::start(UpstreamConfig { auth, ..UpstreamConfig::default() }).await.unwrap();
    let refused = post(&upstream, &[], "{}").await;
    assert_eq!((status(&refused), upstream.stats().unauthorized), (401, 1));
    assert!(header(&refused, "www-authenticate").unwrap().starts_with("Bearer"));
    let form = "grant_type=client_credentials&client_id=gw&client_secret=s";
    let answer = ask(&upstream, "POST /token", &["Content-Type: application/x-www-form-urlencoded"], form).await;
    let bearer = format!("Authorization: Bearer {}", body(&answer)["access_token"].as_str().unwrap());
    assert_eq!(status(&post(&upstream, &[&bearer], "{}").await), 201);
    upstream.expire_tokens();
    assert_eq!(status(&post(&upstream, &[&bearer], "{}").await), 401);
    let basic = "Authorization: Basic Z3c6cw==";
    let again = ask(&upstream, "POST /token", &[basic], "grant_type=client_credentials").await;
    assert_eq!((status(&again), upstream.stats().tokens), (200, 2));
}
