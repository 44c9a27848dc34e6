//! OData: wide sets, links through proxies, actions, and that `$metadata` says what is true.

use crate::harness::{BEGIN_NS, Gateway, QUIET, answer, declare, reading};
use bulkhead_model::{Kind, PointInfo, Reading, Status, Timestamp, Value};
use reqwest::StatusCode;
use serde_json::{Value as Json, json};

const WIDE: &str = r#"
[api]
listen = "127.0.0.1:0"
trusted_proxies = ["127.0.0.1"]

[connections.boiler-1]
adapter = "modbus-registers"
enabled = false
wide_set = true

[connections.narrow]
adapter = "modbus-registers"
enabled = false
"#;

fn encoded(query: &str) -> String {
    query.replace(' ', "%20").replace('\'', "%27")
}

async fn rows(gateway: &Gateway, query: &str) -> Json {
    gateway.json(&format!("/odata/v4/{}", encoded(query))).await["value"].clone()
}

/// A connection with three points: at the seconds 0 to 9 the first has a value, at the even ones the second, at 4 the third.
async fn wide() -> Gateway {
    let gateway = Gateway::start(WIDE).await;
    let infos = [
        PointInfo { unit: Some("°C".into()), ..PointInfo::new("flow temp", Kind::Real) },
        PointInfo::new("pump", Kind::Boolean),
        PointInfo::new("time", Kind::Integer),
    ];
    let ids = gateway.log.declare("boiler-1", &infos).unwrap();
    let mut readings = Vec::new();
    for n in 0..10_i64 {
        readings.push(reading(ids[0], n, Some(Value::Real(n as f64))));
        if n % 2 == 0 {
            readings.push(reading(ids[1], n, Some(Value::Boolean(n % 4 == 0))));
        }
    }
    readings.push(reading(ids[2], 4, Some(Value::Integer(7))));
    // A Bad reading has no value, and a later commit of the same time counts.
    readings.push(reading(ids[1], 8, None));
    readings.push(reading(ids[0], 9, Some(Value::Real(99.0))));
    // Not of this connection.
    let other = gateway.log.declare("narrow", &[PointInfo::new("x", Kind::Real)]).unwrap();
    readings.push(reading(other[0], 20, Some(Value::Real(1.0))));
    gateway.log.append(readings).await.unwrap();
    gateway
}

const SET: &str = "boiler_x002D_1";

#[tokio::test]
async fn a_wide_set_has_a_row_for_each_time_and_null_where_a_point_has_none() {
    let gateway = wide().await;
    let select = format!("{SET}?$select=time,flow_x0020_temp,pump");
    let found = rows(&gateway, &format!("{select}&$top=3")).await;
    let expected = json!([
        { "time": "2026-01-01T00:00:00Z", "flow_x0020_temp": 0.0, "pump": true },
        { "time": "2026-01-01T00:00:01Z", "flow_x0020_temp": 1.0, "pump": null },
        { "time": "2026-01-01T00:00:02Z", "flow_x0020_temp": 2.0, "pump": false },
    ]);
    assert_eq!(found, expected);
    let all = rows(&gateway, SET).await;
    assert_eq!(all.as_array().unwrap().len(), 10, "{all}");
    assert_eq!((&all[4]["time_1"], &all[5]["time_1"], &all[8]["pump"]), (&json!(7), &Json::Null, &Json::Null));
    assert_eq!(all[9]["flow_x0020_temp"], 99.0);
    let counted = gateway.get(&format!("/odata/v4/{SET}/$count")).send().await.unwrap().text().await.unwrap();
    assert_eq!(counted, "10");
    let one = rows(&gateway, &format!("{SET}?$filter=time eq 2026-01-01T00:00:04Z")).await;
    assert_eq!(one[0]["time_1"], 7);
    let by_key = gateway.json(&format!("/odata/v4/{SET}(2026-01-01T00:00:04Z)")).await;
    assert_eq!(by_key["time_1"], 7);
    assert_eq!(answer(gateway.get(&format!("/odata/v4/{SET}(2026-01-01T00:00:30Z)"))).await.0, StatusCode::NOT_FOUND);
    assert_eq!(answer(gateway.get("/odata/v4/narrow")).await.0, StatusCode::NOT_FOUND);
    gateway.stop().await;
}

#[tokio::test]
async fn values_are_carried_forward_when_asked_also_over_pages() {
    let gateway = wide().await;
    for prefer in ["maxpagesize=1000", "maxpagesize=3"] {
        let mut url =
            gateway.url(&format!("/odata/v4/{SET}?$select=pump&carry=true&$filter=time%20ge%202026-01-01T00:00:01Z"));
        let mut found = Vec::new();
        loop {
            let (status, page) = answer(gateway.client.get(&url).header("prefer", prefer)).await;
            assert_eq!(status, StatusCode::OK, "{page}");
            found.extend(page["value"].as_array().unwrap().iter().map(|row| row["pump"].clone()));
            let Some(next) = page["@odata.nextLink"].as_str() else { break };
            url = next.to_owned();
        }
        // From second 1 on: what second 0 had, and after the Bad reading of second 8 nothing.
        let expected = json!([true, false, false, true, true, false, false, null, null]);
        assert_eq!(Json::from(found), expected, "{prefer}");
    }
    let (status, _) = answer(gateway.get(&format!("/odata/v4/{SET}?carry=true&$orderby=time%20desc"))).await;
    assert_eq!(status, StatusCode::NOT_IMPLEMENTED);
    gateway.stop().await;
}

/// Rows without what tells which entities they are.
fn without_ids(mut rows: Json) -> Json {
    rows.as_array_mut().unwrap().iter_mut().for_each(|row| {
        row.as_object_mut().unwrap().remove("@odata.id").expect("a row without its key has an id");
    });
    rows
}

#[tokio::test]
async fn wide_rows_are_filtered_ordered_and_aggregated() {
    let gateway = wide().await;
    let hot =
        rows(&gateway, &format!("{SET}?$filter=flow_x0020_temp gt 3 and pump eq true&$select=flow_x0020_temp")).await;
    assert!(hot[0]["@odata.id"].as_str().unwrap().ends_with("(2026-01-01T00:00:04Z)"), "{hot}");
    assert_eq!(without_ids(hot), json!([{ "flow_x0020_temp": 4.0 }]));
    let last = rows(&gateway, &format!("{SET}?$orderby=time desc&$top=2&$select=flow_x0020_temp")).await;
    assert_eq!(without_ids(last), json!([{ "flow_x0020_temp": 99.0 }, { "flow_x0020_temp": 8.0 }]));
    let skipped = rows(&gateway, &format!("{SET}?$skip=8&$select=flow_x0020_temp")).await;
    assert_eq!(without_ids(skipped), json!([{ "flow_x0020_temp": 8.0 }, { "flow_x0020_temp": 99.0 }]));
    let highest =
        rows(&gateway, &format!("{SET}?$apply=filter(pump eq false)/aggregate(flow_x0020_temp with max as Highest)"))
            .await;
    assert_eq!(highest[0]["Highest"], 6.0);
    let csv = gateway.get(&format!("/odata/v4/{SET}?$format=csv&$top=2")).send().await.unwrap().text().await.unwrap();
    assert_eq!(
        csv,
        "time,flow_x0020_temp,pump,time_1\r\n2026-01-01T00:00:00Z,0.0,true,\r\n2026-01-01T00:00:01Z,1.0,,\r\n"
    );
    let (status, _) = answer(gateway.get(&format!("/odata/v4/{SET}?$orderby=pump"))).await;
    assert_eq!(status, StatusCode::NOT_IMPLEMENTED);
    gateway.stop().await;
}

#[tokio::test]
async fn a_long_wide_set_comes_whole_in_pieces() {
    let gateway = Gateway::start(WIDE).await;
    let infos: Vec<PointInfo> = (0..4).map(|n| PointInfo::new(format!("p{n}"), Kind::Integer)).collect();
    let ids = gateway.log.declare("boiler-1", &infos).unwrap();
    for from in [0, 10_000, 20_000] {
        let row = |n: i64| ids.iter().map(move |id| reading(*id, n, Some(Value::Integer(n)))).collect::<Vec<_>>();
        gateway.log.append((from..from + 10_000).flat_map(row).collect()).await.unwrap();
    }
    let text =
        gateway.get(&format!("/odata/v4/{SET}?$format=application/x-ndjson&$select=p0,p3")).send().await.unwrap();
    let text = text.text().await.unwrap();
    let expected: String = (0..30_000).map(|n| format!("{{\"p0\":{n},\"p3\":{n}}}\n")).collect();
    assert!(text == expected, "{} lines", text.lines().count());
    gateway.stop().await;
}

#[tokio::test]
async fn links_follow_trusted_proxies_and_nobody_else() {
    let trusting = Gateway::start(WIDE).await;
    let seen = async |gateway: &Gateway, name: &str, value: &str| {
        let answer = gateway.get("/odata/v4/").header(name, value).send().await.unwrap().text().await.unwrap();
        let answer: Json = serde_json::from_str(&answer).unwrap();
        answer["@odata.context"].as_str().unwrap().strip_suffix("/odata/v4/$metadata").unwrap().to_owned()
    };
    let forwarded = "for=127.0.0.1;proto=https;host=plant.example";
    assert_eq!(seen(&trusting, "forwarded", forwarded).await, "https://plant.example");
    assert_eq!(seen(&trusting, "x-forwarded-prefix", "/gw").await, format!("http://{}/gw", trusting.address));
    trusting.stop().await;
    let plain = Gateway::start(QUIET).await;
    for (name, value) in
        [("forwarded", forwarded), ("x-forwarded-proto", "https"), ("x-forwarded-host", "evil.example")]
    {
        assert_eq!(seen(&plain, name, value).await, format!("http://{}", plain.address), "{name}");
    }
    plain.stop().await;
}

#[tokio::test]
async fn actions_answer_as_their_ways_in_the_rest_api_do() {
    let (gateway, points) = Gateway::with_readings().await;
    let ask = async |path: &str, body: &str| answer(gateway.post(&format!("/odata/v4/{}", encoded(path)), body)).await;
    // The connection is switched off: the engine refuses the write, as it does over REST.
    let (status, error) = ask(&format!("Points({})/Write", points.flow.0), r#"{"Value":"55.5"}"#).await;
    let (rest, problem) = answer(gateway.post("/api/v1/connections/boiler/points/flow", r#"{"value":55.5}"#)).await;
    assert_eq!((status, &error["error"]["code"]), (rest, &problem["code"]), "{error} {problem}");
    let (status, error) = ask("Points(0)/Bulkhead.Write", r#"{"Valu":1}"#).await;
    assert!(status == StatusCode::BAD_REQUEST && error.to_string().contains("did you mean `Value`"), "{error}");
    assert_eq!(ask("Points(99)/Write", r#"{"Value":"1"}"#).await.0, StatusCode::NOT_FOUND);
    assert_eq!(ask("Points/Write", r#"{"Value":"1"}"#).await.0, StatusCode::NOT_FOUND);
    assert_eq!(answer(gateway.get("/odata/v4/Points(0)/Write")).await.0, StatusCode::METHOD_NOT_ALLOWED);
    let (status, tested) = ask("Connections('boiler')/Test", "").await;
    assert_eq!((status, &tested["Ok"]), (StatusCode::OK, &json!(false)), "its adapter is not there: {tested}");
    assert!(tested["@odata.context"].as_str().unwrap().ends_with("#Bulkhead.Tested"), "{tested}");
    // Without credentials nobody changes the config.
    assert_eq!(ask("Connections('boiler')/Enable", "").await.0, StatusCode::FORBIDDEN);
    gateway.stop().await;
}

#[tokio::test]
async fn what_the_metadata_says_of_each_set_is_true() {
    let gateway = wide().await;
    declare(&gateway.log);
    let csdl = gateway.json("/odata/v4/$metadata?$format=json").await;
    let schema = &csdl["Bulkhead"];
    let container = schema["Gateway"].as_object().unwrap();
    let said =
        |set: &Json, term: &str, property: &str| set[format!("@Org.OData.Capabilities.V1.{term}")][property].clone();
    let mut sets = 0;
    for (name, set) in container.iter().filter(|(name, set)| !name.contains('@') && set["$Collection"] == true) {
        sets += 1;
        let status = async |query: String, prefer: &str| {
            let request = gateway.get(&encoded(&format!("/odata/v4/{name}?{query}"))).header("prefer", prefer);
            let (status, body) = answer(request).await;
            (status, body)
        };
        let ok = async |query: String| status(query, "").await.0 == StatusCode::OK;
        assert_eq!(said(set, "SearchRestrictions", "Searchable"), json!(ok("$search=x".into()).await), "{name}");
        let ty = &schema[set["$Type"].as_str().unwrap().strip_prefix("Bulkhead.").unwrap()];
        let ways: Vec<&String> = ty
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, part)| part["$Kind"] == "NavigationProperty")
            .map(|(way, _)| way)
            .collect();
        for way in &ways {
            let can = said(set, "ExpandRestrictions", "Expandable");
            assert_eq!(can, json!(ok(format!("$expand={way}&$top=1")).await), "{name}/{way}");
        }
        let unsortable = said(set, "SortRestrictions", "NonSortableProperties");
        for (property, part) in ty.as_object().unwrap() {
            let kind = part["$Type"].as_str().unwrap_or("Edm.String");
            let plain = part.is_object() && part["$Kind"].is_null() && part["$Collection"].is_null();
            if property.starts_with('$') || property.contains('@') || !plain || kind == "Edm.Stream" {
                continue;
            }
            let named = unsortable.as_array().is_some_and(|names| names.contains(&json!(property)));
            assert_eq!(ok(format!("$orderby={property}&$top=1")).await, !named, "{name} by {property}");
            assert!(ok(format!("$filter={property} ne null&$top=1")).await, "{name} where {property}");
        }
        let tracks = said(set, "ChangeTracking", "Supported");
        let (_, page) = status("$top=1000".into(), "").await;
        assert!(page["@odata.deltaLink"].is_null());
        let (_, page) = status("$select=*".into(), "track-changes").await;
        assert_eq!(tracks, json!(page["@odata.deltaLink"].is_string()), "{name}: {page}");
        assert!(ok("$apply=aggregate($count as Rows)".into()).await, "{name}");
        for (term, property, method) in [
            ("InsertRestrictions", "Insertable", reqwest::Method::POST),
            ("UpdateRestrictions", "Updatable", reqwest::Method::PATCH),
            ("DeleteRestrictions", "Deletable", reqwest::Method::DELETE),
        ] {
            assert_eq!(said(set, term, property), false, "{name}");
            let url = gateway.url(&format!("/odata/v4/{name}"));
            let refused = gateway.client.request(method, url).header("content-type", "application/json").body("{}");
            assert_eq!(refused.send().await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED, "{name}");
        }
    }
    assert_eq!(sets, 9, "the eight of every gateway and a wide one");
    let functions = container["@Org.OData.Capabilities.V1.FilterFunctions"].as_array().unwrap();
    for (function, filter) in
        [("contains", "contains(Name,'x')"), ("cast", "cast(Id,Edm.String) eq '1'"), ("year", "year(now()) gt 1")]
    {
        assert!(functions.contains(&json!(function)));
        assert_eq!(
            answer(gateway.get(&encoded(&format!("/odata/v4/Points?$filter={filter}")))).await.0,
            StatusCode::OK
        );
    }
    assert_eq!(container["@Org.OData.Capabilities.V1.BatchSupported"], true);
    gateway.stop().await;
}

#[tokio::test]
async fn an_import_does_not_displace_a_newer_reading() {
    let gateway = Gateway::start(QUIET).await;
    let points = declare(&gateway.log);
    let at = |second: i64, value: i64| Reading {
        point: points.odd,
        time: Timestamp(BEGIN_NS + second * 1_000_000_000),
        status: Status::GOOD,
        value: Some(Value::Integer(value)),
    };
    gateway.log.append(vec![at(100, 1)]).await.unwrap();
    gateway.log.append((0..50).map(|second| at(second, 1_000 + second)).collect()).await.unwrap();
    let latest = async || without_ids(rows(&gateway, "LatestReadings?$select=Seq,IntegerValue").await);
    assert_eq!(latest().await, json!([{ "Seq": 1, "IntegerValue": 1 }]));
    gateway.log.append(vec![at(100, 2)]).await.unwrap();
    assert_eq!(latest().await, json!([{ "Seq": 52, "IntegerValue": 2 }]), "of the same time the one committed last");
    gateway.stop().await;
}
