//! Whole requests against a service over SQLite: statuses, headers and bodies as clients see them.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod plant;

use bulkhead_odata::{Request, Response, handle};
use plant::Plant;
use proptest::prelude::*;

const ROOT: &str = "http://gw:8080/odata/v4/";

fn send(url: &str, headers: &[(&str, &str)]) -> Response {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let request = Request { now_ns: 4_000_000_000, ..Request::get(path, query, headers, ROOT) };
    handle(&request, &Plant::new())
}

fn text(response: &Response) -> String {
    String::from_utf8(response.body.clone()).unwrap()
}

fn json(url: &str) -> serde_json::Value {
    let response = send(url, &[]);
    assert_eq!(response.status, 200, "{url}: {}", text(&response));
    serde_json::from_slice(&response.body).unwrap()
}

fn refused(url: &str, headers: &[(&str, &str)]) -> (u16, String, String) {
    let response = send(url, headers);
    let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    let part = |name: &str| body["error"][name].as_str().unwrap_or_default().to_owned();
    assert!(!part("code").is_empty());
    (response.status, part("target"), part("message"))
}

fn seqs(url: &str) -> Vec<i64> {
    json(url)["value"].as_array().unwrap().iter().map(|row| row["Seq"].as_i64().unwrap()).collect()
}

#[test]
fn the_service_document_lists_the_sets() {
    let response = send("", &[("Accept", "application/json")]);
    assert_eq!(
        text(&response),
        r#"{"@odata.context":"http://gw:8080/odata/v4/$metadata","value":[{"kind":"EntitySet","name":"Readings","url":"Readings"},{"kind":"EntitySet","name":"Points","url":"Points"}]}"#
    );
    assert_eq!(response.header("content-type"), Some("application/json;odata.metadata=minimal;charset=utf-8"));
    assert_eq!(response.headers.iter().filter(|(name, _)| *name == "odata-version").count(), 1);
}

#[test]
fn metadata_is_the_golden_csdl() {
    let response =
        send("$metadata", &[("OData-MaxVersion", "4.0"), ("Accept", "application/json;q=1,application/xml;q=0.7")]);
    assert_eq!(response.header("content-type"), Some("application/xml;charset=utf-8"));
    assert_eq!(response.header("odata-version"), Some("4.0"));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/metadata.xml");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &response.body).unwrap();
    }
    assert_eq!(text(&response), std::fs::read_to_string(path).unwrap());
    assert_eq!(send("$metadata", &[("accept", "application/json")]).status, 406);
    assert_eq!(send("$metadata?$format=xml", &[("accept", "application/json")]).status, 200);
}

#[test]
fn values_are_written_by_their_types() {
    let body = text(&send("Readings?$filter=Seq le 3&$select=Time,Number,Exact", &[]));
    assert_eq!(
        body,
        concat!(
            r#"{"@odata.context":"http://gw:8080/odata/v4/$metadata#Readings(Time,Number,Exact)","value":["#,
            r#"{"Time":"1970-01-01T00:00:01Z","Number":1.5,"Exact":12.50},"#,
            r#"{"Time":"1970-01-01T00:00:01.5Z","Number":null,"Exact":null},"#,
            r#"{"Time":"1970-01-01T00:00:02Z","Number":"INF","Exact":-1}]}"#
        )
    );
    let strings = [("accept", "application/json;IEEE754Compatible=true")];
    let response = send("Readings?$count=true&$filter=Seq gt 4&$select=Seq,Exact", &strings);
    assert!(text(&response).contains(r#""@odata.count":"1","value":[{"Seq":"9007199254740993","Exact":"3"}]"#));
    assert!(response.header("content-type").unwrap().contains("IEEE754Compatible=true"));
}

#[test]
fn metadata_levels_and_versions_change_the_control_information() {
    let full = text(&send("Points?$top=1&$format=application/json;odata.metadata=full", &[]));
    assert!(full.contains(r##""@odata.type":"#Plant.V1.Point","@odata.id":"http://gw:8080/odata/v4/Points(Connection='boiler',Name='a%2Fb')""##), "{full}");
    let every = text(&send("Points?$filter=Every ne null&$format=application/json;metadata=full", &[]));
    assert!(every.contains(r##""Every@odata.type":"#Duration","Every":"PT1.5S""##), "{every}");
    let none = text(&send("Points?$count=true&$select=Name", &[("accept", "application/json;odata.metadata=none")]));
    assert_eq!(none, r#"{"@odata.count":2,"value":[{"Name":"a/b"},{"Name":"flow"}]}"#);
    let short = send("Points?$count=true&$select=Name&$top=1", &[("OData-MaxVersion", "4.01")]);
    assert!(text(&short).starts_with(r#"{"@context":"http://gw:8080/odata/v4/$metadata#Points(Name)","@count":2,"#));
    assert_eq!(short.header("odata-version"), Some("4.01"));
}

#[test]
fn entities_are_found_by_every_form_of_key() {
    let one = r#"{"@odata.context":"http://gw:8080/odata/v4/$metadata#Points/$entity","Connection":"boiler","Name":"a/b","Every":null,"Writable":false}"#;
    for url in [
        "Points(Connection='boiler',Name='a%2Fb')",
        "Points(Name=%27a%2Fb%27,Connection='boiler')",
        "Points(Connection=@c,Name=@n)?@c='boiler'&@n='a/b'",
        "/Points(Connection='boiler',Name='a%2Fb')/",
    ] {
        assert_eq!(text(&send(url, &[])), one, "{url}");
    }
    assert_eq!(json("Readings(2)?$select=Point")["Point"], "temp");
    assert_eq!(json("Readings/2")["Point"], "temp");
    assert_eq!(refused("Readings(77)", &[]).0, 404);
    assert_eq!(refused("Readings('2')", &[]).0, 400);
    assert_eq!(refused("Readings()", &[]).0, 400);
    assert_eq!(refused("Points('boiler')", &[]).0, 400);
    assert_eq!(refused("Points(Connection='a',Connection='b')", &[]).0, 400);
    assert_eq!(refused("Readings(2)?$filter=Seq eq 1", &[]).1, "$filter");
}

#[test]
fn filters_run_whatever_the_spelling_of_options_and_operators() {
    assert_eq!(seqs("Readings?$filter=Point eq 'flow'"), [1, 3]);
    assert_eq!(seqs("Readings?FILTER=Point EQ 'O''Neil %26 Sons'"), [9_007_199_254_740_993]);
    assert_eq!(seqs("Readings?$filter=Point%20eq%20%27temp%27"), [2, 4]);
    assert_eq!(seqs("Readings?%24filter=Point+eq+%27O%27%27Neil+%26+Sons%27"), [9_007_199_254_740_993]);
    assert_eq!(
        seqs("Readings?$filter=Time ge now() sub duration'PT2S'&$orderby=Seq desc"),
        [9_007_199_254_740_993, 4, 3]
    );
    assert_eq!(seqs("Readings?$filter=Point eq @p&@p='temp'"), [2, 4]);
    assert_eq!(text(&send("Readings/$count", &[("accept", "application/json")])), "5");
    assert_eq!(text(&send("Readings/$count?$filter=Number eq null&$top=1", &[])), "1");
}

/// Follows next links to the end.
fn walk(first: &str, headers: &[(&str, &str)]) -> (Vec<i64>, Vec<usize>) {
    let (mut url, mut all, mut sizes) = (first.to_owned(), Vec::new(), Vec::new());
    loop {
        let response = send(&url, headers);
        assert_eq!(response.status, 200, "{url}: {}", text(&response));
        let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        let rows = body["value"].as_array().unwrap();
        all.extend(rows.iter().map(|row| row["Seq"].as_i64().unwrap()));
        sizes.push(rows.len());
        match body["@odata.nextLink"].as_str() {
            Some(link) => url = link.strip_prefix(ROOT).expect("next links are absolute").to_owned(),
            None => return (all, sizes),
        }
    }
}

#[test]
fn next_links_carry_every_option_to_the_last_row() {
    let big = 9_007_199_254_740_993;
    assert_eq!(walk("Readings", &[]), (vec![1, 2, 3, 4, big], vec![3, 2]));
    assert_eq!(walk("Readings?$top=4", &[]), (vec![1, 2, 3, 4], vec![3, 1]));
    assert_eq!(walk("Readings?$top=3", &[]), (vec![1, 2, 3], vec![3]));
    assert_eq!(walk("Readings?$top=0&$count=true", &[]), (vec![], vec![0]));
    assert_eq!(walk("Readings?$skip=1&$top=4", &[]), (vec![2, 3, 4, big], vec![3, 1]));
    assert_eq!(walk("Readings?$orderby=Number desc,Point&$skip=1", &[]), (vec![4, 1, big, 2], vec![3, 1]));
    assert_eq!(walk("Readings?$filter=Point ne 'x+y %26 z'", &[("prefer", "maxpagesize=1")]).1, [1, 1, 1, 1, 1]);
}

#[test]
fn a_preferred_page_size_is_applied_and_said() {
    let applied = |prefer: &str| {
        let response = send("Readings", &[("Prefer", prefer)]);
        response.header("preference-applied").map(str::to_owned)
    };
    assert_eq!(applied("odata.maxpagesize=2").as_deref(), Some("odata.maxpagesize=2"));
    assert_eq!(applied("maxpagesize=1000").as_deref(), Some("maxpagesize=3"));
    assert_eq!(applied("return=minimal"), None);
}

#[test]
fn what_is_wrong_is_refused_with_place_and_hint() {
    let cases = [
        ("Readings?$filter=Seq eq", 400, "$filter", "character 6"),
        ("Readings?$filter=Seq eq 'a", 400, "$filter", "closing quote"),
        ("Readings?$filter=Sequ eq 1", 400, "$filter", "did you mean `Seq`?"),
        ("Readings?$filter=Seq eq 'a'", 400, "$filter", "Edm.Int64 cannot be compared with Edm.String"),
        ("Readings?$filter=Seq", 400, "$filter", "must be Edm.Boolean"),
        ("Readings?$filter=not Seq eq 1", 400, "$filter", "operand of `not`"),
        ("Readings?$filter=contain(Point,'a')", 400, "$filter", "did you mean `contains`?"),
        ("Readings?$filter=contains(Seq,'a')", 400, "$filter", "argument 1 of contains"),
        ("Readings?$filter=Point eq @x&@x=@x", 400, "$filter", "refers to itself"),
        ("Readings?$filter=Time gt 2026-02-30T00:00:00Z", 400, "$filter", "does not exist"),
        ("Readings?$orderby=Nmber", 400, "$orderby", "did you mean `Number`?"),
        ("Readings?$select=Pint", 400, "$select", "did you mean `Point`?"),
        ("Readings?$select=", 400, "$select", "expected"),
        ("Readings?$top=-1", 400, "$top", "whole number"),
        ("Readings?$count=yes", 400, "$count", "true or false"),
        ("Readings?$skiptoken=abc", 400, "$skiptoken", "next link"),
        ("Readings?$top=1&top=2", 400, "$top", "twice"),
        ("Readings?$fliter=1", 400, "$fliter", "did you mean `$filter`?"),
        ("Readings?$filter=%zz", 400, "$filter", "hexadecimal"),
        ("$metadata?$top=1", 400, "$top", "$metadata"),
        ("Reading", 404, "", "did you mean `Readings`?"),
        ("Readings?$expand=Point", 501, "$expand", "not supported"),
        ("Readings?$apply=x", 501, "$apply", "not supported"),
        ("Readings?$search=x", 501, "$search", "not supported"),
        ("Readings?$compute=x", 501, "$compute", "not supported"),
        ("Readings?$filter=Point/any(x:x eq 1)", 400, "$filter", "needs a collection"),
        ("Readings?$filter=geo.length(Point) gt 1", 400, "$filter", "must be a geography"),
        ("Readings(1)/Point", 501, "path segment Point", "not supported"),
        ("$batch", 501, "$batch", "not supported"),
    ];
    for (url, status, target, message) in cases {
        let found = refused(url, &[]);
        assert_eq!((found.0, found.1.as_str()), (status, target), "{url}: {}", found.2);
        assert!(found.2.contains(message), "{url}: {}", found.2);
    }
}

#[test]
fn limits_are_named_when_they_are_passed() {
    let long = format!("Readings?$filter={}", "a".repeat(20_000));
    let (status, _, message) = refused(&long, &[]);
    assert!(status == 414 && message.contains("url bytes"), "{message}");
    let deep = format!("Readings?$filter={}true{}", "(".repeat(100), ")".repeat(100));
    assert!(refused(&deep, &[]).2.contains("64 deep"));
    let wide = format!("Readings?$filter={}", vec!["true"; 700].join(" or "));
    assert!(refused(&wide, &[]).2.contains("1000 nodes"));
    assert_eq!(send(&format!("Readings?$filter={}", vec!["true"; 500].join(" or ")), &[]).status, 200);
    let bomb: String = (0..40).map(|n| format!("&@a{n}=@a{0} or @a{0}", n + 1)).collect();
    assert!(refused(&format!("Readings?$filter=@a0&@a40=true{bomb}"), &[]).2.contains("parameter aliases"));
    let doubling = format!("Readings?$filter=Number{} eq 0", " mod 2".repeat(200));
    assert!(refused(&doubling, &[]).2.contains("sql bytes"));
    let many = format!("Readings?{}", vec!["x=1"; 70].join("&"));
    assert!(refused(&many, &[]).2.contains("query options"));
}

#[test]
fn headers_are_honoured_or_refused() {
    let status = |name: &str, value: &str| send("Points", &[(name, value)]).status;
    assert_eq!(status("odata-maxversion", "3.0"), 400);
    assert_eq!(status("odata-version", "3.0"), 400);
    assert_eq!(status("maxdataserviceversion", "3.0"), 200);
    assert_eq!(status("accept", "application/atom+xml"), 406);
    assert_eq!(status("accept", "text/html,*/*;q=0.1"), 200);
    let wrong = send("Points?$filter=(", &[("odata-maxversion", "4.0")]);
    assert_eq!((wrong.status, wrong.header("odata-version")), (400, Some("4.0")));
}

#[test]
fn head_is_get_without_a_body_and_others_are_not_allowed() {
    let send = |method| handle(&Request { method, ..Request::get("", "", &[], "http://gw/odata") }, &Plant::new());
    let head = send("HEAD");
    assert!(head.status == 200 && head.body.is_empty() && head.header("content-type").is_some());
    let post = send("POST");
    assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD")));
}

/// Operands of one type each, in every form that the checker lets through.
fn operand(ty: &'static str) -> impl Strategy<Value = String> {
    let forms: Vec<&str> = match ty {
        "number" => vec!["Seq", "Number", "Exact", "-1", "2.5", "INF", "NaN", "null", "length(Point)", "year(Time)"],
        "text" => vec!["Point", "'flow'", "''", "null", "tolower(Point)", "substring(Point,1,2)", "concat(Point,'%')"],
        _ => vec!["Time", "now()", "maxdatetime()", "2026-01-02", "1970-01-01T00:00:02Z", "Time sub 'PT1S'"],
    };
    let arithmetic = prop::sample::select(vec!["add", "sub", "mul", "div", "divby", "mod"]);
    (prop::sample::select(forms.clone()), arithmetic, prop::sample::select(forms), any::<bool>()).prop_map(
        move |(left, op, right, plain)| match (ty, plain) {
            ("number", false) => format!("({left} {op} {right})"),
            _ => format!("({left})"),
        },
    )
}

fn comparison() -> impl Strategy<Value = String> {
    let op = || prop::sample::select(vec!["eq", "ne", "gt", "ge", "lt", "le"]);
    let of = move |ty| (operand(ty), op(), operand(ty)).prop_map(|(left, op, right)| format!("{left} {op} {right}"));
    let function = prop::sample::select(vec!["contains", "startswith", "endswith"]);
    let call = (function, operand("text"), operand("text")).prop_map(|(name, a, b)| format!("{name}({a},{b})"));
    prop_oneof![of("number"), of("text"), of("moment"), call]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_typed_filter_and_order_is_sql_that_runs(
        filter in (comparison(), any::<bool>(), comparison()),
        order in prop_oneof![operand("number"), operand("text"), comparison()],
        descending: bool,
    ) {
        let not = if filter.1 { "not " } else { "" };
        let filter = format!("{not}({}) or {}", filter.0, filter.2);
        let direction = if descending { "desc" } else { "asc" };
        let encode = bulkhead_odata::url::encode;
        let options = format!("$filter={}&$count=true", encode(&filter));
        let counted = json(&format!("Readings?{options}"))["@odata.count"].as_u64().unwrap();
        let (rows, _) = walk(&format!("Readings?{options}&$orderby={} {direction}", encode(&order)), &[("prefer", "maxpagesize=2")]);
        let distinct: std::collections::BTreeSet<_> = rows.iter().collect();
        prop_assert_eq!((rows.len() as u64, distinct.len()), (counted, rows.len()), "{} by {} {}", filter, order, direction);
    }

    #[test]
    fn no_request_makes_it_panic(
        path in "[A-Za-z$/()'=,%0-9 ]{0,20}|Readings|Points\\(\\PC{0,9}\\)",
        query in "([$]?(filter|select|orderby|top|skiptoken|format|count|@p)=\\PC{0,20}&?){0,4}",
        header in prop::sample::select(vec!["accept", "prefer", "odata-version", "odata-maxversion"]),
        value in "\\PC{0,20}",
    ) {
        let headers = [(header, value.as_str())];
        let response = handle(&Request::get(&path, &query, &headers, ROOT), &Plant::new());
        prop_assert!((200..=501).contains(&response.status));
    }
}
