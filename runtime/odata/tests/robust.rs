//! Laws of the whole: whatever a URL or the body of a batch is, the answer is a proper one. The fuzz targets look for what
//! breaks these laws for longer.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use bulkhead_odata::{Request, Response, handle};
use proptest::prelude::*;
use std::sync::OnceLock;

#[path = "../examples/odata-memory/shop.rs"]
#[allow(unreachable_pub, reason = "shared with the example")]
mod shop;

fn send(request: &Request<'_>) -> Response {
    static STORE: OnceLock<bulkhead_odata::MemoryStore> = OnceLock::new();
    handle(request, STORE.get_or_init(|| shop::load(shop::SHOP).unwrap()))
}

fn check(response: &Response) -> Result<(), TestCaseError> {
    prop_assert!((200..=599).contains(&response.status) && response.status != 500, "{response:?}");
    let json = response.header("content-type").is_some_and(|media_type| media_type.starts_with("application/json"));
    if response.status >= 400 || json {
        prop_assert!(serde_json::from_slice::<serde_json::Value>(&response.body).is_ok(), "{response:?}");
    }
    if response.status >= 400 {
        let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        prop_assert!(body["error"]["code"].is_string() && body["error"]["message"].is_string());
    }
    prop_assert_eq!(response.headers.iter().filter(|(name, _)| *name == "odata-version").count(), 1);
    Ok(())
}

/// Pieces that make URLs that mean something now and then.
fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "Products",
        "Categories",
        "Company",
        "$all",
        "$crossjoin(Products,Categories)",
        "$entity",
        "$metadata",
        "$batch",
        "/",
        "?",
        "&",
        "(",
        ")",
        ",",
        ";",
        "=",
        "'",
        "\"",
        ":",
        " ",
        "%20",
        "%",
        "+",
        "-",
        "*",
        "@a",
        "1",
        "null",
        "true",
        "$filter",
        "$select",
        "$expand",
        "$orderby",
        "$apply",
        "$compute",
        "$search",
        "$levels",
        "$top",
        "$skip",
        "$count",
        "$value",
        "$ref",
        "$it",
        "$this",
        "$root",
        "$id",
        "$format",
        "$skiptoken",
        "$deltatoken",
        "Name",
        "Price",
        "Status",
        "ShippingAddress",
        "City",
        "Category",
        "Descriptions",
        "RelatedProducts",
        "Shop.SpecialProduct",
        "Photo",
        "Location",
        "eq",
        "in",
        "has",
        "and",
        "not",
        "add",
        "any",
        "all",
        "d:",
        "d/",
        "isof",
        "cast",
        "case",
        "groupby",
        "aggregate",
        "with sum as",
        "rollup",
        "$all",
        "join",
        "nest",
        "addnested",
        " from ",
        "aggregate($count)",
        "concat",
        "filter",
        "topcount",
        "max",
        "desc",
        "é",
        "Shop.ProductStatus'OnSale'",
        "duration'P1D'",
        "00000000-0000-0000-0000-000000000000",
        "2024-01-15T10:30:00Z",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn every_url_has_a_proper_answer(path in prop::collection::vec(piece(), 0..6), query in prop::collection::vec(piece(), 0..16)) {
        let (path, query) = (path.concat(), query.concat());
        check(&send(&Request::get(&path, &query, &[], "http://shop/")))?;
        check(&send(&Request::get("Products", &format!("$filter={query}"), &[], "http://shop/")))?;
        check(&send(&Request::get("Categories", &format!("$expand=Products({query})"), &[], "http://shop/")))?;
        check(&send(&Request::get("Products", &format!("$apply={query}"), &[], "http://shop/")))?;
    }

    #[test]
    fn every_batch_has_a_proper_answer(pieces in prop::collection::vec(prop::sample::select(vec![
        "--b\r\n", "--b--\r\n", "--b\n", "Content-Type: application/http\r\n", "Content-Type: multipart/mixed; boundary=c\r\n",
        "Content-ID: 1\r\n", "\r\n", "\n", "GET Company HTTP/1.1\r\n", "GET $1/Name HTTP/1.1\r\n", "POST Reseed HTTP/1.1\r\n",
        "POST $batch HTTP/1.1\r\n", "--c\r\n", "--c--\r\n", ":", "\0", "é", "{\"requests\":[", "{\"id\":\"1\",\"method\":\"GET\",\"url\":\"Company\"}",
        ",", "]}", "{}",
    ]), 0..24)) {
        let body = pieces.concat();
        for content_type in ["multipart/mixed; boundary=b", "application/json"] {
            let headers = [("content-type", content_type)];
            let batch = Request::get("$batch", "", &headers, "http://shop/");
            check(&send(&Request { method: "POST", body: body.as_bytes(), ..batch }))?;
        }
    }
}
