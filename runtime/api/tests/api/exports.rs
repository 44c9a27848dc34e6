//! Lists as CSV and NDJSON, tags and conditional requests, compression.

use crate::harness::{Gateway, answer};
use bulkhead_model::Value;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::Value as Json;
use std::io::Read;

/// Head and text of an answer.
async fn text(request: reqwest::RequestBuilder) -> (StatusCode, HeaderMap, String) {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    (status, headers, response.text().await.unwrap())
}

#[tokio::test]
async fn lists_come_as_csv_and_ndjson_with_the_next_page_in_a_link() {
    let (gateway, _) = Gateway::with_readings().await;
    let (status, headers, csv) = text(gateway.get("/api/v1/readings?limit=3").header("accept", "text/csv")).await;
    assert_eq!((status, &headers["content-type"]), (StatusCode::OK, &"text/csv; charset=utf-8".parse().unwrap()));
    let lines: Vec<&str> = csv.split_terminator("\r\n").collect();
    assert_eq!(lines[0], "seq,connection,point,time,status,status_name,value");
    assert_eq!(lines[1], "1,boiler,flow,2026-01-01T00:00:00Z,0,Good,61.5");
    assert_eq!(lines[2], "2,boiler,hall/3 °C?#%,2026-01-01T00:00:01Z,0,Good,3");
    assert!(lines[3].ends_with(",BadTimeout,") && lines.len() == 4, "{csv}");

    // Every page of every list, by its links: the same rows as in JSON.
    for (path, member) in [
        ("/api/v1/points", "points"),
        ("/api/v1/connections/boiler/points", "points"),
        ("/api/v1/latest", "readings"),
        ("/api/v1/connections/boiler/points/flow/readings", "readings"),
        ("/api/v1/readings", "readings"),
        ("/api/v1/gaps", "gaps"),
    ] {
        let whole = gateway.json(path).await[member].as_array().unwrap().clone();
        let (mut rows, mut query) = (Vec::<Json>::new(), "limit=2&format=ndjson".to_owned());
        loop {
            let (status, headers, ndjson) = text(gateway.get(&format!("{path}?{query}"))).await;
            assert_eq!((status, &headers["content-type"]), (StatusCode::OK, &"application/x-ndjson".parse().unwrap()));
            let page: Vec<Json> = ndjson.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let link = headers.get("link").map(|link| link.to_str().unwrap().to_owned());
            let is_end = page.is_empty();
            rows.extend(page);
            match link {
                Some(link) if !is_end => query = link[2..link.find('>').unwrap()].to_owned(),
                _ => break,
            }
        }
        assert_eq!(rows, whole, "{path}");
        let (_, _, csv) = text(gateway.get(&format!("{path}?format=csv"))).await;
        let columns = csv.split("\r\n").next().unwrap().split(',').count();
        let members = whole.first().and_then(Json::as_object).map_or(columns, serde_json::Map::len);
        assert_eq!(columns, members, "{path}: every member is a column");
    }
    let (status, problem) = answer(gateway.get("/api/v1/points?format=xml")).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::BAD_REQUEST, Some("bad-parameter")));
    gateway.stop().await;
}

/// HEAD is for whoever wants to know how long an answer is, of which kind, and whether it is still the one that is known.
#[tokio::test]
async fn head_answers_with_the_header_fields_of_get_and_no_body() {
    let (gateway, _) = Gateway::with_readings().await;
    let mut tagged = 0;
    for path in [
        "/api/v1/connections",
        "/api/v1/connections/boiler",
        "/api/v1/connections/boiler/points/flow",
        "/api/v1/connections/boiler/points/flow/readings",
        "/api/v1/points",
        "/api/v1/latest?format=csv",
        "/api/v1/readings?format=ndjson",
        "/api/v1/config",
        "/api/v1/session",
        "/api/v1/gaps",
        "/api/v1/routes",
        "/api/v1/adapters",
        "/api/v1/openapi.json",
        "/docs",
        "/docs/swagger-ui.css",
        "/",
        "/odata/v4/",
        "/odata/v4/Points",
        "/odata/v4/Readings",
        "/odata/v4/$metadata",
        "/api/v1/connections/none",
    ] {
        for coding in ["identity", "gzip"] {
            let ask = |method| gateway.client.request(method, gateway.url(path)).header("accept-encoding", coding);
            let fields = |answer: &reqwest::Response| {
                let mut fields = answer.headers().clone();
                // Of each request; and how the body is framed is the body's.
                for name in ["date", "x-request-id", "transfer-encoding"] {
                    fields.remove(name);
                }
                (answer.status(), fields)
            };
            let get = ask(reqwest::Method::GET).send().await.unwrap();
            let head = ask(reqwest::Method::HEAD).send().await.unwrap();
            let (mut expected, found) = (fields(&get), fields(&head));
            if path.starts_with("/odata/") && (coding == "gzip" || path.ends_with("/Readings")) {
                // The body is not packed, and of rows of the log not made: then its length and coding are not known, and none is
                // told.
                for name in ["content-length", "content-encoding"] {
                    expected.1.remove(name);
                }
            }
            assert_eq!(found, expected, "{path} {coding}");
            assert!(head.bytes().await.unwrap().is_empty(), "{path}");
            let Some(tag) = expected.1.get("etag") else { continue };
            tagged += 1;
            let known = ask(reqwest::Method::HEAD).header("if-none-match", tag).send().await.unwrap();
            assert_eq!(known.status(), StatusCode::NOT_MODIFIED, "{path}");
        }
    }
    assert!(tagged >= 24, "{tagged}");
    gateway.stop().await;
}

/// A device may send any text, and a spreadsheet computes those that begin like formulas.
#[tokio::test]
async fn texts_are_exact_in_csv_and_guarded_where_a_spreadsheet_is_to_read_them() {
    const FORMULA: &str = "=HYPERLINK(\"http://a.example\";\"ok\")";
    let (gateway, points) = Gateway::with_readings().await;
    let (note, _) = points.of_kinds.iter().find(|(_, value)| matches!(value, Value::Text(_))).unwrap();
    gateway.log.append(vec![crate::harness::reading(*note, 60, Some(Value::Text(FORMULA.into())))]).await.unwrap();
    let cell = |guard: &str| format!("\"{guard}{}\"", FORMULA.replace('"', "\"\""));
    for (path, guarded) in [
        ("/api/v1/latest?format=csv", "&text=guarded"),
        ("/api/v1/readings?format=csv", "&text=guarded"),
        ("/api/v1/connections/boiler/points/a_text/readings?format=csv", "&text=guarded"),
        ("/odata/v4/Readings?$format=csv", ";text=guarded"),
        ("/odata/v4/LatestReadings?$select=Value&$format=text/csv", ";text=guarded"),
    ] {
        let (_, _, exact) = text(gateway.get(path)).await;
        assert!(exact.contains(&cell("")) && !exact.contains(&cell("'")), "{path}: {exact}");
        let (status, headers, csv) = text(gateway.get(&format!("{path}{guarded}"))).await;
        let media_type = headers["content-type"].to_str().unwrap();
        assert!(status == StatusCode::OK && media_type.starts_with("text/csv"), "{path} {media_type}");
        assert!(csv.contains(&cell("'")) && !csv.contains(&cell("")), "{path}: {csv}");
        assert!(!csv.contains("'-"), "{path}: numbers are none: {csv}");
    }
    let (status, _, problem) = text(gateway.get("/api/v1/latest?format=csv&text=save")).await;
    assert!(status == StatusCode::BAD_REQUEST && problem.contains("exact or guarded"), "{problem}");
    assert_eq!(text(gateway.get("/odata/v4/Readings?$format=csv;text=save")).await.0, StatusCode::NOT_ACCEPTABLE);
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_that_has_an_answer_already_is_told_so_until_it_changes() {
    let (gateway, points) = Gateway::with_readings().await;
    for path in ["/api/v1/latest", "/api/v1/latest?format=csv", "/api/v1/readings", "/api/v1/connections"] {
        let first = gateway.get(path).send().await.unwrap();
        let tag = first.headers()["etag"].to_str().unwrap().to_owned();
        let again = gateway.get(path).header("if-none-match", format!("\"other\", {tag}")).send().await.unwrap();
        assert_eq!(
            (again.status(), again.headers()["etag"].to_str().unwrap()),
            (StatusCode::NOT_MODIFIED, &*tag),
            "{path}"
        );
        assert!(again.bytes().await.unwrap().is_empty());
        let other = gateway.get(path).header("if-none-match", "\"other\"").send().await.unwrap();
        assert_eq!(other.status(), StatusCode::OK, "{path}");
        if path.contains("connections") {
            continue;
        }
        let reading = crate::harness::reading(points.odd, 60, Some(bulkhead_model::Value::Integer(4)));
        gateway.log.append(vec![reading]).await.unwrap();
        let changed = gateway.get(path).header("if-none-match", &tag).send().await.unwrap();
        assert_eq!(changed.status(), StatusCode::OK, "{path}: a reading has come");
        assert_ne!(changed.headers()["etag"].to_str().unwrap(), tag);
    }
    let problem = gateway.get("/api/v1/connections/none").send().await.unwrap();
    assert!(!problem.headers().contains_key("etag"), "errors have no tag");
    gateway.stop().await;
}

#[tokio::test]
async fn answers_are_compressed_as_the_client_likes_it() {
    let (gateway, points) = Gateway::with_readings().await;
    let many = (0..2_000).map(|n| crate::harness::reading(points.odd, n, Some(bulkhead_model::Value::Integer(n))));
    gateway.log.append(many.collect()).await.unwrap();
    for path in ["/api/v1/readings?limit=2000", "/api/v1/readings?limit=2000&format=csv", "/metrics"] {
        let plain = gateway.get(path).header("accept-encoding", "identity").send().await.unwrap();
        assert!(!plain.headers().contains_key("content-encoding"), "{path}");
        let plain = plain.bytes().await.unwrap();
        for (accepted, coding) in [("gzip, br", "gzip"), ("gzip;q=0.5, zstd", "zstd"), ("gzip, zstd;q=0.9", "gzip")] {
            let packed = gateway.get(path).header("accept-encoding", accepted).send().await.unwrap();
            assert_eq!(packed.headers()["content-encoding"], coding, "{path} {accepted}");
            assert!(packed.headers().get_all("vary").iter().any(|vary| vary == "accept-encoding"));
            let packed = packed.bytes().await.unwrap();
            assert!(packed.len() * 2 < plain.len(), "{path} {accepted}: {} of {}", packed.len(), plain.len());
            let mut read = Vec::new();
            match coding {
                "gzip" => flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut read).unwrap(),
                _ => ruzstd::decoding::StreamingDecoder::new(&packed[..]).unwrap().read_to_end(&mut read).unwrap(),
            };
            // Metrics count on between two requests.
            assert!(path == "/metrics" || read == plain, "{path} {accepted}");
        }
    }
    let short = gateway.get("/api/v1/session").header("accept-encoding", "gzip").send().await.unwrap();
    assert!(!short.headers().contains_key("content-encoding"), "it is not worth it");
    gateway.stop().await;
}
