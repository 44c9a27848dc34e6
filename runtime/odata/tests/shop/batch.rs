//! `$batch` in both forms.

use crate::server::{Answer, root, send};
use serde_json::json as object;

fn multipart(parts: &[&str], headers: &[(&str, &str)]) -> Answer {
    let mut body = String::new();
    for part in parts {
        body.push_str("--b\r\n");
        body.push_str(part);
        body.push_str("\r\n");
    }
    body.push_str("--b--\r\n");
    let mut all = vec![("Content-Type", "multipart/mixed; boundary=b")];
    all.extend(headers);
    send("POST", "$batch", &all, body.as_bytes())
}

fn part(request: &str) -> String {
    format!("Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n{request}\r\n\r\n")
}

fn statuses(answer: &Answer) -> Vec<String> {
    answer.text().lines().filter_map(|line| line.strip_prefix("HTTP/1.1 ")).map(|line| line[..3].to_owned()).collect()
}

#[test]
fn requests_of_a_multipart_batch_are_answered_in_order() {
    let absolute = part(&format!("GET {}Products/$count HTTP/1.1", root()));
    let of_host = part("GET /Company/CEO/$value HTTP/1.1\r\nHost: localhost");
    let relative = part("GET Categories?$select=Name&$top=1 HTTP/1.1\r\nAccept: application/json;odata.metadata=none");
    let answer = multipart(&[&absolute, &of_host, &relative], &[]);
    assert_eq!(answer.status, 200);
    let boundary = answer.header("content-type").unwrap().strip_prefix("multipart/mixed; boundary=").unwrap();
    let text = answer.text();
    assert_eq!(text.matches(&format!("--{boundary}\r\n")).count(), 3);
    assert!(text.ends_with(&format!("--{boundary}--\r\n")));
    assert_eq!(statuses(&answer), ["200", "200", "200"]);
    let places: Vec<_> = ["\r\n\r\n7\r\n", "Sarah Johnson", r#"{"value":[{"Name":"Electronics"}]}"#]
        .iter()
        .map(|part| text.find(part).unwrap_or_else(|| panic!("{part}: {text}")))
        .collect();
    assert!(places.is_sorted());
}

#[test]
fn a_batch_stops_at_the_first_error_unless_told_otherwise() {
    let (wrong, right) = (part("GET Nope HTTP/1.1"), part("GET Company HTTP/1.1"));
    assert_eq!(statuses(&multipart(&[&wrong, &right], &[])), ["404"]);
    let on = multipart(&[&wrong, &right], &[("Prefer", "odata.continue-on-error")]);
    assert_eq!(statuses(&on), ["404", "200"]);
    assert_eq!(on.header("preference-applied"), Some("continue-on-error"));
    assert_eq!(statuses(&multipart(&[&wrong, &right], &[("Prefer", "continue-on-error=false")])), ["404"]);
}

#[test]
fn the_version_of_a_batch_is_that_of_its_requests_unless_they_say_otherwise() {
    let (silent, own) = (part("GET Company HTTP/1.1"), part("GET Company HTTP/1.1\r\nOData-MaxVersion: 4.01"));
    let versions = |answer: &Answer| {
        let lines = answer.text();
        lines.lines().filter_map(|line| line.strip_prefix("odata-version: ")).map(str::to_owned).collect::<Vec<_>>()
    };
    let answer = multipart(&[&silent, &own], &[("OData-MaxVersion", "4.0")]);
    assert_eq!((answer.header("odata-version"), versions(&answer)), (Some("4.0"), vec!["4.0".into(), "4.01".into()]));
    assert_eq!(versions(&multipart(&[&silent], &[])), ["4.01"]);
    let body = object!({ "requests": [{ "id": "1", "method": "GET", "url": "Company" }] }).to_string();
    let headers = [("Content-Type", "application/json"), ("OData-MaxVersion", "4.0")];
    let answer = send("POST", "$batch", &headers, body.as_bytes()).json();
    assert_eq!(answer["responses"][0]["headers"]["odata-version"], "4.0", "{answer}");
}

#[test]
fn a_change_set_is_answered_as_one() {
    let set = |requests: &[&str]| {
        let inner: String = requests
            .iter()
            .map(|request| {
                format!("--c\r\nContent-Type: application/http\r\nContent-ID: 1\r\n\r\n{request}\r\n\r\n\r\n")
            })
            .collect();
        format!("Content-Type: multipart/mixed; boundary=c\r\n\r\n{inner}--c--\r\n")
    };
    let fine = multipart(&[&set(&["POST Reseed HTTP/1.1", "POST Reseed HTTP/1.1"])], &[]);
    assert_eq!(statuses(&fine), ["204", "204"]);
    assert!(fine.text().contains("Content-ID: 1"));
    let refused = multipart(&[&set(&["POST Reseed HTTP/1.1", "DELETE Company HTTP/1.1"])], &[]);
    assert_eq!(statuses(&refused), ["405"]);
    assert_eq!(statuses(&multipart(&[&set(&["GET Company HTTP/1.1"])], &[])), ["400"]);
}

#[test]
fn requests_of_a_json_batch_refer_to_each_other() {
    let send_json = |requests: serde_json::Value, prefer: &str| {
        let body = object!({ "requests": requests }).to_string();
        send("POST", "$batch", &[("Content-Type", "application/json"), ("Prefer", prefer)], body.as_bytes())
    };
    let answer = send_json(
        object!([
            { "id": "a", "method": "get", "url": "Company" },
            { "id": "b", "method": "GET", "url": "$a/Name", "dependsOn": ["a"] },
            { "id": "c", "method": "GET", "url": "/Products/$count", "headers": { "accept": "text/plain" } },
            { "id": "d", "method": "GET", "url": format!("{}Categories?$top=0", root()) },
        ]),
        "",
    );
    let found = answer.json();
    let responses = found["responses"].as_array().unwrap();
    assert!(responses.iter().all(|response| response["status"] == 200), "{found}");
    assert_eq!(responses[0]["id"], "a");
    assert_eq!(responses[1]["body"]["value"], "TechStore Inc.");
    assert_eq!(responses[2]["body"], "7");
    let failing = object!([
        { "id": "a", "method": "GET", "url": "Nope" },
        { "id": "b", "method": "GET", "url": "Company", "dependsOn": ["a"] },
        { "id": "c", "method": "GET", "url": "Company" },
    ]);
    let status = |prefer: &str| {
        let found = send_json(failing.clone(), prefer).json();
        found["responses"].as_array().unwrap().iter().map(|one| one["status"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(status("continue-on-error"), [404, 424, 200]);
    assert_eq!(status(""), [404, 424, 200]);
    assert_eq!(status("odata.continue-on-error=false"), [404, 424, 424]);
    for wrong in [
        object!([{ "id": "a", "method": "GET" }]),
        object!([{ "id": "a", "method": "GET", "url": "x" }, { "id": "a", "method": "GET", "url": "x" }]),
        object!([{ "id": "a", "method": "GET", "url": "x", "dependsOn": ["later"] }]),
        object!([
            { "id": "a", "atomicityGroup": "g", "method": "POST", "url": "Reseed" },
            { "id": "b", "method": "GET", "url": "Company" },
            { "id": "c", "atomicityGroup": "g", "method": "POST", "url": "Reseed" },
        ]),
        object!("none"),
    ] {
        assert_eq!(send_json(wrong.clone(), "").status, 400, "{wrong}");
    }
}

fn json_batch(requests: &serde_json::Value, headers: &[(&str, &str)]) -> Answer {
    let body = object!({ "requests": requests }).to_string();
    let mut all = vec![("Content-Type", "application/json")];
    all.extend(headers);
    send("POST", "$batch", &all, body.as_bytes())
}

#[test]
fn a_group_is_done_as_a_whole_or_not_at_all() {
    let answer = json_batch(
        &object!([
            { "id": "a", "atomicityGroup": "g", "method": "POST", "url": "Reseed" },
            { "id": "b", "atomicityGroup": "g", "method": "DELETE", "url": "Company" },
            { "id": "c", "method": "GET", "url": "Company/Name", "dependsOn": ["g"] },
            { "id": "d", "method": "GET", "url": "Company/Name" },
        ]),
        &[],
    );
    let found = answer.json();
    let responses = found["responses"].as_array().unwrap();
    let status = |id: &str| responses.iter().find(|one| one["id"] == id).unwrap()["status"].as_u64().unwrap();
    assert_eq!(["a", "b", "c", "d"].map(status), [424, 405, 424, 200]);
    assert!(responses[..2].iter().all(|response| response["atomicityGroup"] == "g"));
}

#[test]
fn requests_of_a_batch_take_tags_versions_and_the_order_of_members_over() {
    let answer = json_batch(
        &object!([
            { "id": "a", "method": "GET", "url": "Company" },
            { "id": "b", "method": "GET", "url": "Company", "dependsOn": ["a"], "headers": { "if-none-match": "$a" } },
            { "id": "c", "method": "GET", "url": "Products?$top=1&$format=application/json;odata.metadata=full" },
        ]),
        &[("OData-MaxVersion", "4.0")],
    );
    let found = answer.json();
    let responses = found["responses"].as_array().unwrap();
    assert_eq!(responses.iter().map(|one| one["status"].as_u64().unwrap()).collect::<Vec<_>>(), [200, 304, 200]);
    assert!(responses.iter().all(|one| one["headers"]["odata-version"] == "4.0"), "{found}");
    // What is said of a property stands right before it.
    let text = answer.text();
    assert!(text.contains(r##""Rating@odata.type":"#Byte","Rating":200"##), "{text}");
    let conditional = json_batch(
        &object!([
            { "id": "a", "method": "GET", "url": "Company" },
            { "id": "b", "method": "GET", "url": "Company", "dependsOn": ["a"], "if": "$a/$succeeded" },
        ]),
        &[],
    );
    assert_eq!(conditional.json()["responses"][1]["status"], 424);
}

#[test]
fn what_is_no_batch_is_refused() {
    let status = |content_type: &str, body: &str| {
        send("POST", "$batch", &[("Content-Type", content_type)], body.as_bytes()).status
    };
    assert_eq!(status("text/plain", "x"), 415);
    assert_eq!(status("multipart/mixed", "x"), 400);
    assert_eq!(status("multipart/mixed; boundary=b", "x"), 400);
    assert_eq!(status("multipart/mixed; boundary=b", "--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--"), 400);
    assert_eq!(status("application/json", "{"), 400);
    let many: Vec<_> =
        (0..101).map(|id| object!({ "id": id.to_string(), "method": "GET", "url": "Company" })).collect();
    assert_eq!(status("application/json", &object!({ "requests": many }).to_string()), 400);
    let nested = multipart(&[&part("POST $batch HTTP/1.1")], &[]);
    assert_eq!(statuses(&nested), ["400"]);
}

#[test]
fn bodies_in_a_json_batch_are_json_or_text_or_base64url() {
    let laptop = crate::server::product("Laptop");
    let request = |id: &str, url: &str| object!({ "id": id, "method": "GET", "url": url });
    let requests = [
        request("bytes", &format!("Products({laptop})/Data/$value")),
        request("text", &format!("Products({laptop})/Name/$value")),
        request("table", "Categories?$select=Name&$top=1&$format=csv"),
        request("json", "Company/CEO"),
        object!({ "id": "head", "method": "HEAD", "url": "Company" }),
    ];
    let body = object!({ "requests": requests }).to_string();
    let answer = send("POST", "$batch", &[("Content-Type", "application/json")], body.as_bytes()).json();
    let body = |index: usize| answer["responses"][index]["body"].clone();
    assert_eq!((body(0), body(1)), ("dGVzdA==".into(), "Laptop".into()));
    assert_eq!((body(2), &body(3)["value"]), ("Name\r\nElectronics\r\n".into(), &"Sarah Johnson".into()));
    let head = &answer["responses"][4];
    assert!(head["status"] == 200 && head.get("body").is_none() && head["headers"].get("content-length").is_none());
}
