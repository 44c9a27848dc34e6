//! What OData clients can do with the sets of a gateway beside filtering them: follow navigation, expand, aggregate, search,
//! compute, batch, follow changes, take other formats and encodings.

use crate::harness::{BEGIN_NS, Gateway, QUIET, answer, declare, reading};
use bulkhead_model::{Kind, PointInfo, Value};
use reqwest::StatusCode;
use serde_json::{Value as Json, json};

fn encoded(query: &str) -> String {
    query.replace(' ', "%20").replace('°', "%C2%B0").replace('#', "%23").replace('\'', "%27")
}

async fn get(gateway: &Gateway, query: &str) -> Json {
    gateway.json(&format!("/odata/v4/{}", encoded(query))).await
}

async fn text(gateway: &Gateway, query: &str) -> String {
    let response = gateway.get(&format!("/odata/v4/{}", encoded(query))).send().await.unwrap();
    assert!(response.status().is_success(), "{query}: {response:?}");
    response.text().await.unwrap()
}

fn column(answer: &Json, name: &str) -> Vec<Json> {
    answer["value"].as_array().unwrap().iter().map(|row| row[name].clone()).collect()
}

#[tokio::test]
async fn sets_lead_to_each_other() {
    let (gateway, points) = Gateway::with_readings().await;
    let of_point = get(&gateway, &format!("Points({})/Readings?$select=Seq", points.flow.0)).await;
    assert_eq!(column(&of_point, "Seq"), [1, 3]);
    assert_eq!(column(&get(&gateway, "Connections('boiler')/Readings?$top=2").await, "Seq"), [1, 2]);
    assert_eq!(text(&gateway, "Connections('boiler')/Readings/$count").await, "11");
    assert_eq!(text(&gateway, "Points/0/Name/$value").await, "flow");
    assert_eq!(text(&gateway, "Readings(1)/NumericValue/$value").await, "61.5");
    assert_eq!(get(&gateway, "Readings(1)/PointInfo").await["Unit"], "°C");
    assert_eq!(get(&gateway, "Readings(1)/PointInfo/ConnectionInfo").await["Name"], "boiler");
    assert_eq!(get(&gateway, "Points(0)/Latest").await["Seq"], 3);
    let filtered = get(&gateway, "Readings/$filter(Seq gt 9)?$select=Seq").await;
    assert_eq!(column(&filtered, "Seq"), [10, 11]);
    let expanded = get(
        &gateway,
        "Points?$filter=Id eq 0&$select=Name&$expand=Readings($select=Seq;$orderby=Seq desc;$count=true),Latest,ConnectionInfo($select=State)",
    )
    .await;
    let point = &expanded["value"][0];
    assert_eq!(point["Readings"], json!([{ "Seq": 3 }, { "Seq": 1 }]), "{point}");
    assert_eq!((&point["Readings@odata.count"], &point["Latest"]["Seq"]), (&json!(2), &json!(3)));
    assert_eq!(point["ConnectionInfo"]["State"], "disabled");
    let beside = get(&gateway, "Readings?$top=1&$select=Seq&$expand=PointInfo($select=Name)").await;
    // A row without its key says which it is.
    let id = beside["value"][0]["PointInfo"]["@odata.id"].as_str().unwrap();
    assert!(id.ends_with("/odata/v4/Points(0)"), "{id}");
    assert_eq!(beside["value"], json!([{ "Seq": 1, "PointInfo": { "@odata.id": id, "Name": "flow" } }]));
    for missing in ["Points(0)/Readings(99)", "Points(99)/Readings", "Readings(99)/PointInfo", "Readings(1)/Nothing"] {
        assert_eq!(answer(gateway.get(&format!("/odata/v4/{missing}"))).await.0, StatusCode::NOT_FOUND, "{missing}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn an_expansion_goes_on_where_its_page_ends() {
    let gateway = Gateway::start(QUIET).await;
    let points = declare(&gateway.log);
    let rows = (0..1_500).map(|number| reading(points.odd, number, Some(Value::Integer(number)))).collect();
    gateway.log.append(rows).await.unwrap();
    let page =
        get(&gateway, &format!("Points?$filter=Id eq {}&$expand=Readings($select=IntegerValue)", points.odd.0)).await;
    let point = &page["value"][0];
    let mut found: Vec<Json> =
        point["Readings"].as_array().unwrap().iter().map(|row| row["IntegerValue"].clone()).collect();
    assert_eq!(found.len(), 1_000);
    let next = point["Readings@odata.nextLink"].as_str().unwrap();
    let (status, rest) = answer(gateway.client.get(next)).await;
    assert_eq!(status, StatusCode::OK, "{rest}");
    found.extend(column(&rest, "IntegerValue"));
    assert_eq!(found, (0..1_500).map(Json::from).collect::<Vec<_>>());
    gateway.stop().await;
}

/// A gateway with two points of numbers, a reading of each every second for ten minutes, half of them in a sealed segment.
async fn with_series() -> Gateway {
    let gateway = Gateway::start(QUIET).await;
    let infos = [PointInfo::new("level", Kind::Real), PointInfo::new("count", Kind::Integer)];
    let ids = gateway.log.declare("boiler", &infos).unwrap();
    let rows = |from: i64, to: i64| {
        let both = |n: i64| {
            [reading(ids[0], n, Some(Value::Real(n as f64 / 2.0))), reading(ids[1], n, Some(Value::Integer(n)))]
        };
        (from..to).flat_map(both).collect::<Vec<_>>()
    };
    gateway.log.append(rows(0, 300)).await.unwrap();
    gateway.log.seal().await.unwrap();
    gateway.log.append(rows(300, 600)).await.unwrap();
    gateway
}

#[tokio::test]
async fn readings_are_aggregated_in_the_log() {
    let gateway = with_series().await;
    let bucket = "compute(Bulkhead.Bucket(Time=Time,Width=duration'PT5M') as Start)";
    let apply = format!(
        "filter(Connection eq 'boiler')/{bucket}/groupby((Point,Start),aggregate(NumericValue with average as Mean,\
         NumericValue with max as Highest,$count as Rows))"
    );
    let answer = get(&gateway, &format!("Readings?$apply={apply}&$orderby=Point,Start")).await;
    let expected = json!([
        { "Point": "count", "Start": "2026-01-01T00:00:00Z", "Mean": 149.5, "Highest": 299.0, "Rows": 300 },
        { "Point": "count", "Start": "2026-01-01T00:05:00Z", "Mean": 449.5, "Highest": 599.0, "Rows": 300 },
        { "Point": "level", "Start": "2026-01-01T00:00:00Z", "Mean": 74.75, "Highest": 149.5, "Rows": 300 },
        { "Point": "level", "Start": "2026-01-01T00:05:00Z", "Mean": 224.75, "Highest": 299.5, "Rows": 300 },
    ]);
    let mut rows = answer["value"].clone();
    for row in rows.as_array_mut().unwrap() {
        row.as_object_mut().unwrap().retain(|name, _| !name.contains('@'));
    }
    assert_eq!(rows, expected);
    let total =
        get(&gateway, "Readings?$apply=aggregate(NumericValue with sum as Sum,PointId with countdistinct as Points)")
            .await;
    assert_eq!((&total["value"][0]["Sum"], &total["value"][0]["Points"]), (&json!(269_550.0), &json!(2)));
    let by_unit =
        get(&gateway, "Readings?$apply=groupby((PointInfo/Kind),aggregate($count as Rows))&$orderby=PointInfo/Kind")
            .await;
    assert_eq!(by_unit["value"][0]["PointInfo"]["Kind"], "integer");
    assert_eq!(column(&by_unit, "Rows"), [600, 600]);
    // What SQL does not have is done here, with the same result.
    let by_name = get(
        &gateway,
        "Readings?$apply=filter(Point eq 'level')/groupby((StatusName),aggregate(NumericValue with max as Highest))",
    )
    .await;
    assert_eq!(column(&by_name, "Highest"), [299.5]);
    let both =
        get(&gateway, "Readings?$apply=concat(groupby((Point),aggregate($count as Rows)),aggregate($count as Rows))")
            .await;
    assert_eq!(column(&both, "Rows"), [600, 600, 1_200]);
    let filtered =
        get(&gateway, "Readings?$apply=filter(Seq le 4)/compute(Seq mul 2 as Twice)&$filter=Twice gt 4&$select=Twice")
            .await;
    assert_eq!(column(&filtered, "Twice"), [6, 8]);
    assert_eq!(text(&gateway, "Readings/$count?$apply=groupby((Point))").await, "2");
    assert_eq!(
        text(
            &gateway,
            "Bucket(Time=2026-01-01T00:07:00Z,Width=duration'PT5M')?$format=application/json;odata.metadata=none"
        )
        .await,
        r#"{"value":"2026-01-01T00:05:00Z"}"#
    );
    gateway.stop().await;
}

#[tokio::test]
async fn properties_are_computed_and_texts_searched() {
    let (gateway, _) = Gateway::with_readings().await;
    let computed =
        get(&gateway, "Readings?$compute=NumericValue mul 2 as Double&$filter=Double gt 100&$select=Seq,Double").await;
    assert_eq!(computed["value"], json!([{ "Seq": 1, "Double": 123.0 }]));
    let sorted = get(&gateway, "Readings?$compute=Seq mod 3 as Rest&$orderby=Rest desc,Seq&$select=Seq&$top=3").await;
    assert_eq!(column(&sorted, "Seq"), [2, 5, 8]);
    assert_eq!(column(&get(&gateway, "Readings?$search=BadTimeout OR \"hall/3\"&$select=Seq").await, "Seq"), [2, 3]);
    assert_eq!(column(&get(&gateway, "Readings?$search=flow NOT BadTimeout&$select=Seq").await, "Seq"), [1]);
    assert_eq!(text(&gateway, "Readings/$count?$search=boiler").await, "11");
    assert_eq!(column(&get(&gateway, "Points?$search=temperature").await, "Name"), ["flow"]);
    gateway.stop().await;
}

#[tokio::test]
async fn formats_and_encodings_are_as_the_client_asks() {
    let gateway = with_series().await;
    let csv = text(&gateway, "Readings?$format=csv&$select=Seq,Point&$top=2").await;
    assert_eq!(csv, "Seq,Point\r\n1,level\r\n2,count\r\n");
    // Without pages it is the whole, with them a page and a link.
    let whole = text(&gateway, "Readings?$format=application/x-ndjson&$select=Seq").await;
    assert_eq!(whole.lines().count(), 1_200);
    assert_eq!(whole.lines().last(), Some(r#"{"Seq":1200}"#));
    let paged = gateway.get("/odata/v4/Readings?$format=csv&$select=Seq").header("prefer", "maxpagesize=100");
    let paged = paged.send().await.unwrap();
    let link = paged.headers()["link"].to_str().unwrap().to_owned();
    assert!(link.starts_with('<') && link.ends_with(">; rel=\"next\""), "{link}");
    assert_eq!(paged.text().await.unwrap().lines().count(), 101);
    let metadata = gateway.get("/odata/v4/$metadata?$format=json").send().await.unwrap();
    assert!(metadata.headers()["content-type"].to_str().unwrap().starts_with("application/json"));
    let csdl: Json = serde_json::from_str(&metadata.text().await.unwrap()).unwrap();
    assert_eq!(csdl["Bulkhead"]["Reading"]["$Kind"], "EntityType");
    assert_eq!(csdl["Bulkhead"]["Write"][0]["$IsBound"], true);
    let plain = text(&gateway, "Readings").await;
    for encoding in ["gzip", "zstd"] {
        let packed = gateway.get("/odata/v4/Readings").header("accept-encoding", encoding).send().await.unwrap();
        assert_eq!(packed.headers()["content-encoding"], encoding);
        assert!(packed.headers()["vary"].to_str().unwrap().contains("Accept-Encoding"));
        let packed = packed.bytes().await.unwrap();
        assert!(packed.len() * 3 < plain.len(), "{encoding}: {} of {}", packed.len(), plain.len());
        assert!(unpacked(encoding, &packed) == plain.as_bytes(), "{encoding}");
    }
    let full = get(&gateway, "Readings(1)?$format=application/json;odata.metadata=full").await;
    assert_eq!(full["@odata.type"], "#Bulkhead.Reading");
    assert_eq!(full["PointInfo@odata.navigationLink"], gateway.url("/odata/v4/Readings(1)/PointInfo"));
    gateway.stop().await;
}

fn unpacked(encoding: &str, packed: &[u8]) -> Vec<u8> {
    use std::io::Read;
    let mut plain = Vec::new();
    if encoding == "gzip" {
        flate2::read::GzDecoder::new(packed).read_to_end(&mut plain).unwrap();
        return plain;
    }
    let mut rest = packed;
    while !rest.is_empty() {
        ruzstd::decoding::StreamingDecoder::new(&mut rest).unwrap().read_to_end(&mut plain).unwrap();
    }
    plain
}

#[tokio::test]
async fn a_large_page_streams_and_leads_on() {
    let gateway = Gateway::start(QUIET).await;
    let points = declare(&gateway.log);
    for from in [0, 20_000, 40_000] {
        let rows = (from..from + 20_000).map(|n| reading(points.odd, n, Some(Value::Integer(n)))).collect();
        gateway.log.append(rows).await.unwrap();
    }
    let asked =
        gateway.get("/odata/v4/Readings?$select=IntegerValue&$count=true").header("prefer", "maxpagesize=50000");
    let response = asked.send().await.unwrap();
    assert_eq!(response.headers()["preference-applied"], "maxpagesize=50000");
    assert!(response.headers().get("content-length").is_none(), "it leaves before it is whole");
    let page: Json = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(page["@odata.count"], 60_000);
    let mut found = column(&page, "IntegerValue");
    assert_eq!(found.len(), 50_000);
    let (_, rest) =
        answer(gateway.client.get(page["@odata.nextLink"].as_str().unwrap()).header("prefer", "maxpagesize=50000"))
            .await;
    found.extend(column(&rest, "IntegerValue"));
    assert_eq!(found, (0..60_000).map(Json::from).collect::<Vec<_>>());
    assert!(rest["@odata.nextLink"].is_null());
    // Whole rows are longer, so that they leave in many pieces.
    let lines = text(&gateway, "Readings?$format=application/x-ndjson").await;
    let seqs = lines.lines().map(|line| serde_json::from_str::<Json>(line).unwrap()["Seq"].as_i64().unwrap());
    assert!(seqs.eq(1..=60_000), "each once, in order");
    gateway.stop().await;
}

/// SQL does not have it, so that it is tried on each row: what is too much for one is refused, and not a row that does not match.
#[tokio::test]
async fn a_row_that_is_too_much_to_look_at_is_refused_and_not_left_out() {
    let gateway = Gateway::start(QUIET).await;
    let point = gateway.log.declare("texts", &[PointInfo::new("text", Kind::Text)]).unwrap()[0];
    let text_of = |length: usize| Some(Value::Text("a".repeat(length)));
    gateway.log.append(vec![reading(point, 0, text_of(100)), reading(point, 1, text_of(30_000))]).await.unwrap();
    assert_eq!(text(&gateway, "Readings/$count?$filter=matchesPattern(TextValue,'aaa')").await, "2");
    for path in ["Readings", "Readings/$count"] {
        for filter in ["matchesPattern(TextValue,'a{3}')", "not matchesPattern(TextValue,'a{3}')"] {
            let url = format!("/odata/v4/{path}?$filter={}", encoded(filter));
            let (status, problem) = answer(gateway.get(&url)).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{url}: {problem}");
            assert!(problem.to_string().contains("steps of evaluation"), "{problem}");
        }
    }
    gateway.stop().await;
}

/// What a request may have evaluated is bounded; what a long answer needs for each of its rows does not add up to it.
#[tokio::test]
async fn a_long_stream_may_compute_of_each_row() {
    const ROWS: usize = 3_500;
    const TEXT_BYTES: usize = 4_096;
    let steps = ROWS * 4 * TEXT_BYTES;
    assert!(steps as u64 > bulkhead_odata::limits::WORK_MAX_STEPS, "{steps}");
    let gateway = Gateway::start(QUIET).await;
    let point = gateway.log.declare("texts", &[PointInfo::new("text", Kind::Text)]).unwrap()[0];
    let value = || Some(Value::Text("x".repeat(TEXT_BYTES)));
    gateway.log.append((0..ROWS).map(|row| reading(point, row as i64, value())).collect()).await.unwrap();
    let computed = "$compute=length(concat(TextValue,TextValue)) as Length&$select=Length";
    let answer = text(&gateway, &format!("Readings?{computed}&$format=application/x-ndjson")).await;
    let lengths = answer.lines().map(|line| serde_json::from_str::<Json>(line).unwrap()["Length"].clone());
    assert!(lengths.clone().all(|length| length == json!(2 * TEXT_BYTES)), "{:?}", answer.lines().last());
    assert_eq!(lengths.count(), ROWS);
    gateway.stop().await;
}

#[tokio::test]
async fn changes_are_followed_without_a_loss_and_without_a_double() {
    let gateway = Gateway::start(QUIET).await;
    let points = declare(&gateway.log);
    let add = async |from: i64, to: i64| {
        let rows = (from..to).map(|n| reading(points.odd, n, Some(Value::Integer(n)))).collect();
        gateway.log.append(rows).await.unwrap();
    };
    add(0, 250).await;
    let first = "/odata/v4/Readings?$select=IntegerValue&$orderby=Time%20desc";
    let mut url = gateway.url(first);
    let (mut found, mut deltas, mut added) = (Vec::new(), 0, 250);
    while deltas < 3 {
        let asked = gateway.client.get(&url).header("prefer", "track-changes,maxpagesize=100");
        let (status, page) = answer(asked).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        found.extend(column(&page, "IntegerValue").iter().map(|value| value.as_i64().unwrap()));
        // Rows arrive between any two pages.
        add(added, added + 10).await;
        added += 10;
        url = match (page["@odata.nextLink"].as_str(), page["@odata.deltaLink"].as_str()) {
            (Some(next), None) => next.to_owned(),
            (None, Some(delta)) => {
                deltas += 1;
                delta.to_owned()
            }
            both => panic!("{both:?}"),
        };
    }
    found.extend(
        column(&answer(gateway.client.get(&url)).await.1, "IntegerValue").iter().map(|value| value.as_i64().unwrap()),
    );
    found.sort_unstable();
    assert_eq!(found, (0..added).collect::<Vec<_>>());
    gateway.drop_everything().await;
    add(added, added + 1).await;
    let old = gateway.url("/odata/v4/Readings?$deltatoken=") + &url_token(&gateway, 5);
    let (status, gone) = answer(gateway.client.get(old)).await;
    assert_eq!((status, &gone["error"]["code"]), (StatusCode::GONE, &json!("gone")), "{gone}");
    assert!(gone["error"]["message"].as_str().unwrap().contains("Readings?$filter=Seq ge"), "{gone}");
    let foreign = gateway.url("/odata/v4/Readings?$deltatoken=00-5-1");
    assert_eq!(answer(gateway.client.get(foreign)).await.0, StatusCode::GONE);
    gateway.stop().await;
}

fn url_token(gateway: &Gateway, seq: u64) -> String {
    format!("{}-{seq}-1", gateway.log.id())
}

#[tokio::test]
async fn what_leaves_a_filter_is_told_as_removed() {
    let gateway = Gateway::start(QUIET).await;
    let points = declare(&gateway.log);
    let set = async |n: i64, value: i64| {
        gateway.log.append(vec![reading(points.odd, n, Some(Value::Integer(value)))]).await.unwrap();
    };
    set(0, 10).await;
    let asked = gateway.get(&encoded("/odata/v4/LatestReadings?$filter=IntegerValue gt 5&$select=IntegerValue"));
    let (_, page) = answer(asked.header("prefer", "track-changes")).await;
    assert_eq!(column(&page, "IntegerValue"), [10]);
    set(1, 11).await;
    let (_, page) = answer(gateway.client.get(page["@odata.deltaLink"].as_str().unwrap())).await;
    assert_eq!(column(&page, "IntegerValue"), [11]);
    set(2, 1).await;
    let (_, page) = answer(gateway.client.get(page["@odata.deltaLink"].as_str().unwrap())).await;
    assert_eq!(page["value"][0]["@odata.removed"]["reason"], "changed", "{page}");
    assert!(page["value"][0]["@odata.id"].as_str().unwrap().contains("LatestReadings("), "{page}");
    let (_, page) = answer(gateway.client.get(page["@odata.deltaLink"].as_str().unwrap())).await;
    assert_eq!(page["value"], json!([]));
    gateway.stop().await;
}

#[tokio::test]
async fn tags_spare_the_client_what_it_has() {
    let (gateway, points) = Gateway::with_readings().await;
    for path in
        ["/odata/v4/Readings", "/odata/v4/Readings(1)", "/odata/v4/Points(0)", "/odata/v4/Connections('boiler')"]
    {
        let first = gateway.get(path).send().await.unwrap();
        let tag = first.headers()["etag"].to_str().unwrap().to_owned();
        assert!(tag.starts_with("W/\""), "{tag}");
        let second = gateway.get(path).header("if-none-match", &tag).send().await.unwrap();
        assert_eq!(second.status(), StatusCode::NOT_MODIFIED, "{path}");
        let other = gateway.get(path).header("if-none-match", "null").send().await.unwrap();
        assert_eq!(other.status(), StatusCode::OK, "{path}");
        if path == "/odata/v4/Readings" {
            gateway.log.append(vec![reading(points.odd, 50, Some(Value::Integer(1)))]).await.unwrap();
            let changed = gateway.get(path).header("if-none-match", &tag).send().await.unwrap();
            assert_eq!(changed.status(), StatusCode::OK);
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn head_says_what_get_would() {
    let (gateway, _) = Gateway::with_readings().await;
    for path in [
        "",
        "$metadata",
        "Readings",
        "Readings?$format=csv",
        "Readings?$format=application/x-ndjson",
        "Readings?$filter=(",
        "Readings/$count",
        "Readings(1)",
        "Points(0)/Address",
        "Points/$count",
        "Nothing",
    ] {
        let path = format!("/odata/v4/{path}");
        let got = gateway.get(&path).header("prefer", "maxpagesize=7").send().await.unwrap();
        let head = gateway.client.head(gateway.url(&path)).header("prefer", "maxpagesize=7").send().await.unwrap();
        assert_eq!(head.status(), got.status(), "{path}");
        // Where the next page begins is not known before this one is read.
        assert_eq!(head.headers().get("link"), None, "{path}");
        for field in ["content-type", "odata-version", "etag", "preference-applied"] {
            assert_eq!(head.headers().get(field), got.headers().get(field), "{path}: {field}");
        }
        // All rows of the log are not read for their length.
        let are_rows = ["/Readings", "=csv", "ndjson"].iter().any(|end| path.ends_with(end));
        let length = got.headers().get("content-length").filter(|_| !are_rows);
        assert_eq!(head.headers().get("content-length"), length, "{path}");
        assert!(head.bytes().await.unwrap().is_empty(), "{path}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn several_requests_go_in_one() {
    let (gateway, _) = Gateway::with_readings().await;
    let batch = json!({ "requests": [
        { "id": "1", "method": "GET", "url": "Readings(1)?$select=Seq" },
        { "id": "2", "method": "GET", "url": "Points/$count" },
        { "id": "3", "method": "GET", "url": "Nothing" },
    ] });
    let asked = gateway.post("/odata/v4/$batch", &batch.to_string()).header("prefer", "continue-on-error");
    let (status, answers) = answer(asked).await;
    assert_eq!(status, StatusCode::OK, "{answers}");
    let of = |id: usize| &answers["responses"][id];
    assert_eq!((&of(0)["status"], &of(0)["body"]["Seq"]), (&json!(200), &json!(1)), "{answers}");
    assert_eq!((&of(1)["status"], &of(2)["status"]), (&json!(200), &json!(404)));
    let multipart = "--b\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n\
                     GET Points(0)/Name HTTP/1.1\r\nAccept: application/json\r\n\r\n\r\n--b--\r\n";
    let asked = gateway.client.post(gateway.url("/odata/v4/$batch"));
    let asked = asked.header("content-type", "multipart/mixed;boundary=b").body(multipart);
    let text = asked.send().await.unwrap().text().await.unwrap();
    assert!(text.contains("HTTP/1.1 200") && text.contains("\"value\":\"flow\""), "{text}");
    gateway.stop().await;
}

#[tokio::test]
async fn links_of_a_tracked_page_keep_to_the_moment_of_the_first() {
    let gateway = Gateway::start(QUIET).await;
    let points = declare(&gateway.log);
    gateway.log.append((0..5).map(|n| reading(points.odd, n, None)).collect()).await.unwrap();
    let asked =
        gateway.get("/odata/v4/Readings?$select=Seq").header("prefer", "odata.track-changes,odata.maxpagesize=3");
    let response = asked.send().await.unwrap();
    let applied = response.headers()["preference-applied"].to_str().unwrap().to_owned();
    assert!(applied.contains("odata.track-changes") && applied.contains("odata.maxpagesize=3"), "{applied}");
    let page: Json = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    gateway.log.append(vec![reading(points.odd, 9, None)]).await.unwrap();
    let (_, second) = answer(gateway.client.get(page["@odata.nextLink"].as_str().unwrap())).await;
    assert_eq!(column(&second, "Seq"), [4, 5], "the sixth came later and is in the delta");
    let (_, delta) = answer(gateway.client.get(second["@odata.deltaLink"].as_str().unwrap())).await;
    assert_eq!(column(&delta, "Seq"), [6]);
    assert!(delta["@odata.context"].as_str().unwrap().ends_with("#Readings(Seq)/$delta"), "{delta}");
    assert_eq!(BEGIN_NS % 1_000_000_000, 0);
    gateway.stop().await;
}
