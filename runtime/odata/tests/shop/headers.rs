//! What header fields ask for: versions, formats, metadata levels, preferences, compression, HEAD.

use crate::server::{get, json, product, root, send};
use std::io::Read;

#[test]
fn the_version_is_the_highest_that_both_know() {
    let version = |headers: &[(&str, &str)]| {
        let answer = send("GET", "Products?$top=1", headers, b"");
        (answer.status, answer.header("odata-version").map(str::to_owned))
    };
    assert_eq!(version(&[]), (200, Some("4.01".into())));
    assert_eq!(version(&[("OData-MaxVersion", "4.0")]), (200, Some("4.0".into())));
    assert_eq!(version(&[("OData-MaxVersion", "4.01")]), (200, Some("4.01".into())));
    assert_eq!(version(&[("OData-MaxVersion", "5.0")]), (200, Some("4.01".into())));
    assert_eq!(version(&[("OData-MaxVersion", "3.0")]).0, 400);
    assert_eq!(version(&[("OData-Version", "3.0")]).0, 400);
    let both = [("MaxDataServiceVersion", "3.0"), ("OData-MaxVersion", "4.0")];
    assert_eq!(version(&both), (200, Some("4.0".into())));
    let short = send("GET", "Products?$top=1&$count=true", &[("OData-MaxVersion", "4.01")], b"").json();
    assert!(short["@context"].is_string() && short["@count"] == 7 && short.get("@odata.context").is_none());
}

#[test]
fn the_model_as_xml_is_of_4_0_unless_the_client_names_4_01() {
    for (headers, version) in
        [(&[][..], "4.0"), (&[("OData-MaxVersion", "4.0")], "4.0"), (&[("OData-MaxVersion", "4.01")], "4.01")]
    {
        let answer = send("GET", "$metadata", headers, b"");
        assert_eq!(answer.header("odata-version"), Some(version));
        assert!(answer.text().contains(&format!("/ns/edmx\" Version=\"{version}\">")), "{version}");
        assert_eq!(send("HEAD", "$metadata", headers, b"").header("odata-version"), Some(version));
    }
    let json = send("GET", "$metadata?$format=json", &[], b"");
    assert_eq!((json.header("odata-version"), &json.json()["$Version"]), (Some("4.01"), &"4.01".into()));
}

#[test]
fn expansions_are_in_the_context_as_the_version_has_it() {
    let context = |version: &str| {
        let answer = send("GET", "Products?$top=1&$expand=Category", &[("OData-MaxVersion", version)], b"").json();
        answer["@odata.context"].as_str().or(answer["@context"].as_str()).unwrap().replace(&root(), "")
    };
    assert_eq!(
        (context("4.0").as_str(), context("4.01").as_str()),
        ("$metadata#Products", "$metadata#Products(Category())")
    );
}

#[test]
fn the_format_is_what_the_client_likes_best_of_what_there_is() {
    let media_type = |accept: &str| {
        let answer = send("GET", "Products?$top=1", &[("Accept", accept)], b"");
        (answer.status, answer.header("content-type").unwrap().to_owned())
    };
    assert_eq!(media_type("application/json").1, "application/json;odata.metadata=minimal;charset=utf-8");
    assert_eq!(media_type("*/*").0, 200);
    assert_eq!(media_type("text/csv").1, "text/csv;charset=utf-8;header=present");
    assert!(media_type("text/csv;q=0.1, application/json").1.starts_with("application/json"));
    assert!(media_type("application/json;odata.metadata=none").1.contains("odata.metadata=none"));
    assert_eq!(media_type("application/atom+xml").0, 406);
    assert_eq!(media_type("application/json;odata.metadata=verbose").0, 406);
    assert_eq!(media_type("application/json;IEEE754Compatible=maybe").0, 406);
    let power_bi = "application/json;odata.metadata=minimal;q=1.0,application/json;odata=minimalmetadata;q=0.9,\
                    application/atomsvc+xml;q=0.8,application/atom+xml;q=0.8,application/xml;q=0.7,text/plain;q=0.7";
    assert_eq!(media_type(power_bi).0, 200);
    assert_eq!(get("Products?$format=json").status, 200);
    assert_eq!(get("Products?$format=application/json;odata.metadata=full").status, 200);
    assert_eq!(get("Products?$format=xml").status, 406);
}

#[test]
fn metadata_levels_say_as_much_as_they_should() {
    let id = product("Laptop");
    let at = |level: &str| json(&format!("Products({id})?$format=application/json;odata.metadata={level}"));
    let none = at("none");
    assert!(none.as_object().unwrap().keys().all(|name| !name.contains('@')), "{none}");
    let minimal = at("minimal");
    assert_eq!(minimal["@odata.type"], "#Shop.SpecialProduct");
    assert!(minimal.get("@odata.id").is_none() && minimal.get("Price@odata.type").is_none());
    let full = at("full");
    assert_eq!(full["@odata.id"], format!("{}Products({id})", root()));
    for (name, ty) in [
        ("ID@odata.type", "#Guid"),
        ("Rating@odata.type", "#Byte"),
        ("Status@odata.type", "#Shop.ProductStatus"),
        ("CreatedAt@odata.type", "#DateTimeOffset"),
        ("Location@odata.type", "#GeographyPoint"),
    ] {
        assert_eq!(full[name], ty, "{name}");
    }
    assert!(full.get("Name@odata.type").is_none() && full.get("Price@odata.type").is_none());
    assert_eq!(full["ShippingAddress"]["@odata.type"], "#Shop.Address");
    assert_eq!(full["Category@odata.navigationLink"], format!("{}Products({id})/Category", root()));
    assert_eq!(full["Category@odata.associationLink"], format!("{}Products({id})/Category/$ref", root()));
    assert_eq!(full["Photo@odata.mediaReadLink"], format!("{}Products({id})/Photo", root()));
    assert_eq!(json("Products?$top=1&$filter=Name eq 'Coffee Mug'")["value"][0].get("@odata.type"), None);
}

#[test]
fn types_of_values_are_as_the_version_has_them() {
    let at = |version: &str| {
        let headers = [("OData-MaxVersion", version), ("Accept", "application/json;odata.metadata=full")];
        send("GET", "Products?$top=1&$select=Rating,Status", &headers, b"").json()["value"][0].clone()
    };
    let (old, new) = (at("4.0"), at("4.01"));
    assert_eq!((&old["Rating@odata.type"], &new["Rating@type"]), (&"#Byte".into(), &"Byte".into()));
    assert_eq!(old["Status@odata.type"], new["Status@type"]);
    assert_eq!(new["Status@type"], "#Shop.ProductStatus");
    assert_eq!(new["@type"], "#Shop.SpecialProduct");
}

#[test]
fn long_numbers_are_texts_where_the_client_asks() {
    let accept = [("Accept", "application/json;IEEE754Compatible=true")];
    let amount = send("GET", "DecimalSamples?$count=true", &accept, b"");
    assert!(amount.header("content-type").unwrap().contains("IEEE754Compatible=true"));
    assert_eq!(amount.json()["value"][0]["Amount"], "123.450000000000000000");
    assert_eq!(amount.json()["@odata.count"], "1");
    assert_eq!(send("GET", "MediaItems?$top=1", &accept, b"").json()["value"][0]["Size"], "1024");
    assert_eq!(json("MediaItems?$top=1")["value"][0]["Size"], 1024);
}

#[test]
fn preferences_are_applied_and_said() {
    let applied = |prefer: &str| {
        let answer = send("GET", "Products", &[("Prefer", prefer)], b"");
        assert_eq!(answer.status, 200);
        answer.header("preference-applied").map(str::to_owned)
    };
    assert_eq!(applied("maxpagesize=3").as_deref(), Some("maxpagesize=3"));
    assert_eq!(applied("odata.maxpagesize=0"), None);
    assert_eq!(applied("odata.maxpagesize=2,maxpagesize=3").as_deref(), Some("maxpagesize=3"));
    assert_eq!(applied("return=minimal, respond-async"), None);
    assert_eq!(applied("omit-values=nulls").as_deref(), Some("omit-values=nulls"));
    let without = send("GET", "Products?$top=1", &[("Prefer", "omit-values=nulls")], b"").json();
    assert!(without["value"][0].get("Description").is_none() && without["value"][0].get("Name").is_some());
}

#[test]
fn a_snapshot_is_not_promised() {
    for name in ["Isolation", "OData-Isolation"] {
        assert_eq!(send("GET", "Products", &[(name, "snapshot")], b"").status, 412, "{name}");
    }
}

#[test]
fn bodies_are_compressed_as_the_client_takes_them() {
    let plain = get("Products?$select=Name,ShippingAddress").bytes;
    let sent =
        |encoding: &str| send("GET", "Products?$select=Name,ShippingAddress", &[("Accept-Encoding", encoding)], b"");
    let gzip = sent("gzip");
    assert_eq!(gzip.header("content-encoding"), Some("gzip"));
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&gzip.bytes[..]).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain);
    let zstd = sent("gzip;q=0.5, zstd");
    assert_eq!(zstd.header("content-encoding"), Some("zstd"));
    unpacked.clear();
    ruzstd::decoding::StreamingDecoder::new(&zstd.bytes[..]).unwrap().read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain);
    assert_eq!(sent("identity").header("content-encoding"), None);
    assert_eq!(sent("gzip;q=0").header("content-encoding"), None);
}

#[test]
fn head_is_get_without_a_body() {
    let id = product("Laptop");
    let urls = ["", "Products", "$metadata", "Company", "Products/$count", "Nope", "Products?$filter=(", "$batch"];
    let (name, nothing) = (format!("Products({id})/Name/$value"), format!("Products({id})/Description"));
    for url in urls.into_iter().chain([name.as_str(), nothing.as_str()]) {
        let (head, got) = (send("HEAD", url, &[], b""), get(url));
        assert_eq!((head.status, head.bytes.len()), (got.status, 0), "{url}");
        for field in ["content-type", "odata-version", "etag", "allow", "content-length"] {
            // The message of a method that is not allowed names it.
            if !(url == "$batch" && field == "content-length") {
                assert_eq!(head.header(field), got.header(field), "{url}: {field}");
            }
        }
    }
    // How long the compressed body is, nobody knows before it is there.
    let compressed = send("HEAD", "Products", &[("Accept-Encoding", "gzip")], b"");
    assert_eq!((compressed.status, compressed.header("content-length")), (200, None));
}

#[test]
fn a_query_may_come_as_a_body() {
    let sent = |content_type: &str, body: &str| {
        send("POST", "Products/$query", &[("Content-Type", content_type)], body.as_bytes())
    };
    let answer = sent("text/plain", "$filter=Price%20gt%201000&$select=Name");
    assert_eq!(answer.json()["value"][0]["Name"], "Premium Laptop Pro");
    assert_eq!(sent("application/json", "{}").status, 415);
    let read = get("Products/$query");
    assert_eq!((read.status, read.header("allow")), (405, Some("POST")));
    assert_eq!(sent("text/plain", "$filter=(").status, 400);
}
