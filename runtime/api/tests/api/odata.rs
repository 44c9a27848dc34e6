//! OData over the log: the walk by next links, filters that reach the log's indexes, and the small sets.

use crate::golden;
use crate::harness::{BEGIN_NS, Gateway, QUIET, answer, declare, reading};
use bulkhead_model::{Kind, PointInfo, Value};
use reqwest::StatusCode;
use serde_json::Value as Json;

/// A query with the characters percent-encoded that a URL cannot have.
fn encoded(query: &str) -> String {
    query.replace(' ', "%20").replace('°', "%C2%B0").replace('#', "%23").replace('\'', "%27")
}

async fn values(gateway: &Gateway, query: &str) -> Vec<Json> {
    gateway.json(&format!("/odata/v4/{}", encoded(query))).await["value"].as_array().unwrap().clone()
}

async fn seqs(gateway: &Gateway, query: &str) -> Vec<i64> {
    values(gateway, query).await.iter().map(|row| row["Seq"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn the_documents_and_sets_are_as_documented() {
    let (gateway, _) = Gateway::with_readings().await;
    for (name, path) in [
        ("odata_connections", "Connections"),
        ("odata_points", "Points?$top=2"),
        ("odata_readings", "Readings"),
        ("odata_latest", "LatestReadings?$select=Connection,Point,Seq,Value"),
    ] {
        let mut answer = gateway.json(&format!("/odata/v4/{path}")).await;
        let root = gateway.url("/odata/v4/");
        let context = answer["@odata.context"].as_str().or(answer["@context"].as_str()).unwrap().to_owned();
        assert!(context.starts_with(&root), "{context} is not below {root}");
        answer["@odata.context"] = context.strip_prefix(&root).into();
        golden::check(name, &answer);
    }
    let root = gateway.json("/odata/v4").await;
    let sets: Vec<&str> = root["value"].as_array().unwrap().iter().filter_map(|set| set["name"].as_str()).collect();
    assert_eq!(
        sets,
        ["Connections", "Points", "Readings", "LatestReadings", "Routes", "Faults", "Gaps", "DeadLetters"]
    );
    let metadata = gateway.get("/odata/v4/$metadata").send().await.unwrap();
    assert!(metadata.headers()["content-type"].to_str().unwrap().starts_with("application/xml"));
    check_well_formed(&metadata.text().await.unwrap());
    gateway.stop().await;
}

/// Every element is closed in its order, and the types are there.
fn check_well_formed(xml: &str) {
    let mut open: Vec<&str> = Vec::new();
    for tag in xml.split('<').skip(1).map(|rest| rest.split_once('>').expect("a tag ends").0) {
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
        match tag {
            tag if tag.starts_with(['?', '!']) || tag.ends_with('/') => {}
            tag if tag.starts_with('/') => assert_eq!(open.pop(), Some(name), "in {xml}"),
            _ => open.push(name),
        }
    }
    assert!(open.is_empty(), "{open:?} are not closed");
    for part in [r#"EntityType Name="Reading""#, r#"EntityType Name="Point""#, r#"Type="Edm.DateTimeOffset""#] {
        assert!(xml.contains(part), "{part} is not in {xml}");
    }
}

#[tokio::test]
async fn next_links_lead_through_everything_once_while_more_is_appended() {
    let gateway = Gateway::start(QUIET).await;
    let points = declare(&gateway.log);
    let batch = |from: i64, to: i64| {
        (from..to).map(|number| reading(points.odd, number, Some(Value::Integer(number)))).collect::<Vec<_>>()
    };
    gateway.log.append(batch(0, 1_500)).await.unwrap();
    gateway.log.seal().await.unwrap();
    gateway.log.append(batch(1_500, 2_500)).await.unwrap();
    let mut url = gateway.url("/odata/v4/Readings?$select=Seq,IntegerValue&$count=true");
    let (mut found, mut pages) = (Vec::new(), 0);
    loop {
        let (status, page) = answer(gateway.client.get(&url)).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        found.extend(page["value"].as_array().unwrap().iter().map(|row| row["IntegerValue"].as_i64().unwrap()));
        pages += 1;
        if pages == 1 {
            assert_eq!(page["@odata.count"], 2_500);
            gateway.log.append(batch(2_500, 2_600)).await.unwrap();
        }
        let next = page["@odata.nextLink"].as_str().or(page["@nextLink"].as_str()).map(str::to_owned);
        let Some(next) = next else { break };
        assert!(next.starts_with(&gateway.url("/odata/v4/Readings?")), "{next}");
        url = next;
    }
    assert_eq!((found, pages), ((0..2_600).collect::<Vec<i64>>(), 3));
    gateway.stop().await;
}

/// The seqs of all pages of a query, in pages of at most four rows.
async fn walk(gateway: &Gateway, query: &str) -> Vec<i64> {
    let mut url = gateway.url(&format!("/odata/v4/{}", encoded(query)));
    let mut found = Vec::new();
    loop {
        let (status, page) = answer(gateway.client.get(&url).header("prefer", "maxpagesize=4")).await;
        assert_eq!(status, StatusCode::OK, "{query}: {page}");
        let rows = page["value"].as_array().unwrap();
        assert!(rows.len() <= 4, "{query}");
        found.extend(rows.iter().map(|row| row["Seq"].as_i64().unwrap()));
        let Some(next) = page["@odata.nextLink"].as_str() else { return found };
        url = next.to_owned();
    }
}

#[tokio::test]
async fn few_and_many_points_are_read_in_the_same_order() {
    let gateway = Gateway::start(QUIET).await;
    let infos: Vec<PointInfo> = (0..20).map(|n| PointInfo::new(format!("p{n}"), Kind::Integer)).collect();
    let ids = gateway.log.declare("boiler", &infos).unwrap();
    // Falling times: the order by time is another than that by seq.
    let rows = (0..60).map(|n| reading(ids[n % 20], 100 - n as i64, Some(Value::Integer(n as i64)))).collect();
    gateway.log.append(rows).await.unwrap();
    let of = |count: usize| (1..=60).filter(move |seq| (seq - 1) % 20 < count as i64);
    for (filter, count) in [("startswith(Point,'p')", 20), ("PointId lt 5", 5), ("PointId lt 1", 1)] {
        let rising: Vec<i64> = of(count).collect();
        let falling: Vec<i64> = of(count).collect::<Vec<_>>().into_iter().rev().collect();
        assert_eq!(walk(&gateway, &format!("Readings?$filter={filter}")).await, rising);
        assert_eq!(walk(&gateway, &format!("Readings?$filter={filter}&$orderby=Seq desc")).await, falling);
        assert_eq!(walk(&gateway, &format!("Readings?$filter={filter}&$orderby=Time")).await, falling);
        assert_eq!(walk(&gateway, &format!("Readings?$filter={filter}&$orderby=NumericValue")).await, rising);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn pages_are_as_small_as_the_client_wants_and_skip_and_top_hold_over_them() {
    let gateway = Gateway::start(QUIET).await;
    let points = declare(&gateway.log);
    let rows = (0..50).map(|number| reading(points.odd, number, Some(Value::Integer(number)))).collect();
    gateway.log.append(rows).await.unwrap();
    for (query, expected) in [
        ("Readings?$skip=5&$top=12", (6..18).collect::<Vec<i64>>()),
        ("Readings?$orderby=Seq desc&$top=9", (42..=50).rev().collect()),
        ("Readings?$filter=PointId in (0,1)&$skip=3&$top=11", (4..15).collect()),
        ("Readings?$orderby=Status desc,Time desc&$top=9", (42..=50).rev().collect()),
    ] {
        let found = walk(&gateway, query).await;
        assert_eq!(found, expected, "{query}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn filters_find_what_they_say() {
    let (gateway, points) = Gateway::with_readings().await;
    let time = |second: i64| format!("2026-01-01T00:00:{second:02}Z");
    for (filter, expected) in [
        ("Connection eq 'boiler' and Point eq 'flow'".to_owned(), vec![1, 3]),
        ("Connection eq 'boiler' and Point eq 'hall/3 °C?#%25'".to_owned(), vec![2]),
        ("Point eq 'none'".to_owned(), vec![]),
        ("Connection eq 'none' or Seq eq 2".to_owned(), vec![2]),
        ("startswith(Point,'a_') and Seq le 6".to_owned(), vec![4, 5, 6]),
        (format!("PointId eq {}", points.flow.0), vec![1, 3]),
        (format!("Time ge {} and Time lt {}", time(1), time(3)), vec![2, 3]),
        ("NumericValue gt 60".to_owned(), vec![1]),
        ("NumericValue lt 0".to_owned(), vec![5, 7]),
        ("Good eq false".to_owned(), vec![3]),
        ("Status ge 2147483648".to_owned(), vec![3]),
        ("BooleanValue eq true".to_owned(), vec![4]),
        ("IntegerValue eq -7".to_owned(), vec![5]),
        ("DecimalValue lt -12".to_owned(), vec![7]),
        ("contains(TextValue,'s')".to_owned(), vec![8]),
        (format!("TimeValue eq {}", time(0)), vec![9]),
        ("DurationValue eq duration'PT1.5S'".to_owned(), vec![10]),
        ("Kind eq 'bytes'".to_owned(), vec![11]),
        ("Unit eq '°C' and Seq gt 1".to_owned(), vec![3]),
        ("not (Seq gt 1)".to_owned(), vec![1]),
        ("StatusName eq 'BadTimeout'".to_owned(), vec![3]),
        ("startswith(StatusName,'Good') and Point eq 'flow'".to_owned(), vec![1]),
        ("Value eq '61.5'".to_owned(), vec![1]),
        ("Value eq '-12.50' or Value eq 'true'".to_owned(), vec![4, 7]),
        ("matchesPattern(Point,'^a_d') and Seq gt 7".to_owned(), vec![10]),
        ("cast(Seq,Edm.String) eq '11'".to_owned(), vec![11]),
        ("PointInfo/Unit eq '°C'".to_owned(), vec![1, 3]),
        ("PointInfo/Writable and Good".to_owned(), vec![1]),
        ("ConnectionInfo/State eq 'disabled' and Seq lt 3".to_owned(), vec![1, 2]),
        ("ConnectionInfo eq null".to_owned(), vec![]),
    ] {
        assert_eq!(seqs(&gateway, &format!("Readings?$filter={filter}")).await, expected, "{filter}");
        let count = encoded(&format!("/odata/v4/Readings/$count?$filter={filter}"));
        let counted = gateway.get(&count).send().await.unwrap().text().await.unwrap();
        assert_eq!(counted, expected.len().to_string(), "{filter}");
    }
    assert_eq!(BEGIN_NS % 1_000_000_000, 0);
    gateway.stop().await;
}

#[tokio::test]
async fn single_entities_and_small_sets_are_found() {
    let (gateway, _) = Gateway::with_readings().await;
    assert_eq!(gateway.json("/odata/v4/Readings(1)").await["NumericValue"], 61.5);
    assert_eq!(gateway.json("/odata/v4/Connections('boiler')").await["State"], "disabled");
    let point = gateway.json("/odata/v4/Points(0)").await;
    assert_eq!((point["Group"].as_str(), point["WriteMax"].as_f64()), (Some("fast"), Some(90.0)));
    let latest = encoded("/odata/v4/LatestReadings(Connection='boiler',Point='flow')");
    assert_eq!(gateway.json(&latest).await["Seq"], 3);
    let writable = values(&gateway, "Points?$filter=Writable and Group eq 'fast'&$select=Name").await;
    assert_eq!(writable.len(), 1);
    let by_name = values(&gateway, "Points?$orderby=Name desc&$top=1").await;
    assert_eq!(by_name[0]["Name"], crate::harness::ODD_NAME);
    assert_eq!(values(&gateway, "Connections?$filter=Enabled eq false and FaultCount eq 0").await.len(), 1);
    assert_eq!(seqs(&gateway, "LatestReadings?$filter=Good eq false").await, [3]);
    for missing in ["Readings(99)", "Connections('x')", "Points(99)", "Reading"] {
        let (status, error) = answer(gateway.get(&format!("/odata/v4/{missing}"))).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{missing}: {error}");
        assert!(error["error"]["code"].is_string(), "{error}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn what_cannot_be_answered_is_refused_by_name() {
    let (gateway, _) = Gateway::with_readings().await;
    for (query, status, named) in [
        ("Readings?$filter=Tim gt 1", 400, "Time"),
        ("Readings?$orderby=Value", 501, "Value"),
        ("Points?$filter=Readings/any(r:r/Good)", 501, "Readings"),
        ("$all", 501, "$all"),
        ("Readings?$skiptoken=x", 400, "$skiptoken"),
        ("Readings?$top=-1", 400, "$top"),
    ] {
        let (found, error) = answer(gateway.get(&format!("/odata/v4/{}", encoded(query)))).await;
        assert_eq!(found.as_u16(), status, "{query}: {error}");
        assert!(error.to_string().contains(named), "{query}: {error}");
    }
    assert_eq!(answer(gateway.post("/odata/v4/Readings", "{}")).await.0, StatusCode::METHOD_NOT_ALLOWED);
    let plain =
        gateway.get("/odata/v4/").header("x-forwarded-proto", "https").send().await.unwrap().text().await.unwrap();
    assert!(plain.contains(&format!("http://{}/odata/v4/$metadata", gateway.address)), "not a trusted proxy: {plain}");
    gateway.stop().await;
}
