//! History from files: what exports write, what other programs write, mistakes, and files that break off.

use crate::harness::{BEGIN_NS, Gateway, ODD_NAME, PATIENCE, QUIET, answer, declare, reading};
use bulkhead_log::Row;
use bulkhead_model::{Reading, Status, Timestamp, Value};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const CSV: &str = "text/csv";
const NDJSON: &str = "application/x-ndjson";

fn import(gateway: &Gateway, media_type: &str, query: &str, file: impl AsRef<[u8]>) -> RequestBuilder {
    let request = gateway.client.post(gateway.url(&format!("/api/v1/import?{query}")));
    request.header("content-type", media_type).body(file.as_ref().to_vec())
}

/// All readings, as texts that tell everything but their numbers: points by name, reals by their bits.
fn told(gateway: &Gateway) -> Vec<String> {
    let catalogue = gateway.log.catalogue();
    let rows: Vec<Row> = gateway.log.read(0, 100_000).unwrap();
    let tell = |Row { reading: Reading { point, time, status, value }, .. }: &Row| {
        let name = &catalogue.by_id(*point).unwrap().info.name;
        let bits = match value {
            Some(Value::Real(real)) if !real.is_nan() => real.to_bits(),
            _ => 0,
        };
        format!("{name} {} {} {value:?} {bits}", time.0, status.0)
    };
    rows.iter().map(tell).collect()
}

async fn gateway_with_points() -> Gateway {
    let gateway = Gateway::start(QUIET).await;
    declare(&gateway.log);
    gateway
}

#[tokio::test]
async fn what_was_exported_is_imported_as_the_same_readings() {
    let (gateway, points) = Gateway::with_readings().await;
    let more = (0..3_000).map(|n| {
        let awkward = f64::from_bits(
            0x3fd5_5555_5555_5555_u64.wrapping_add((n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 12),
        );
        reading(points.flow, n + 100, Some(Value::Real(awkward)))
    });
    gateway.log.append(more.collect()).await.unwrap();
    let files = [
        (CSV, "/odata/v4/Readings?$format=csv&$orderby=Seq"),
        (
            NDJSON,
            "/odata/v4/Readings?$format=application/x-ndjson&$select=Connection,Point,Time,Status,Value&$orderby=Seq",
        ),
    ];
    for (media_type, path) in files {
        let file = gateway.get(path).send().await.unwrap().text().await.unwrap();
        let other = gateway_with_points().await;
        let (status, report) = answer(import(&other, media_type, "", &file)).await;
        assert_eq!((status, &report["imported"]), (StatusCode::OK, &json!(3_011)), "{media_type}: {report}");
        assert!(told(&other) == told(&gateway), "{media_type}");
        other.stop().await;
    }
    // As they stand: a parser of numbers could change their last bit.
    #[derive(serde::Deserialize)]
    struct Pulled {
        readings: Vec<Box<serde_json::value::RawValue>>,
    }
    let pulled = gateway.get("/api/v1/readings?limit=5000").send().await.unwrap().text().await.unwrap();
    let pulled: Pulled = serde_json::from_str(&pulled).unwrap();
    let lines: String = pulled.readings.iter().map(|line| format!("{line}\n")).collect();
    let other = gateway_with_points().await;
    assert_eq!(answer(import(&other, NDJSON, "", &lines)).await.0, StatusCode::OK);
    assert!(told(&other) == told(&gateway));
    other.stop().await;
    gateway.stop().await;
}

#[tokio::test]
async fn files_of_other_programs_are_taken_with_a_word_about_their_columns() {
    let gateway = gateway_with_points().await;
    // As Telegraf's CSV serializer writes, with a column a field.
    let telegraf =
        "timestamp,measurement,host,temp,pump\n1767225600,boiler,edge-1,61.5,true\n1767225601,boiler,edge-1,,false\n";
    let query = "connection=boiler&time_format=s&map=measurement=ignore&map=host=ignore&map=temp=point:flow&map=pump=point:a_boolean";
    let (status, report) = answer(import(&gateway, CSV, query, telegraf)).await;
    assert_eq!(
        (status, &report["imported"], &report["from"]),
        (StatusCode::OK, &json!(3), &json!("2026-01-01T00:00:00Z")),
        "{report}"
    );
    // As Node-RED's csv node writes for a German spreadsheet.
    let node_red = "\u{feff}\"Zeit\";\"topic\";\"payload\"\r\n\"01.01.2026 01:00:02\";\"flow\";\"1061,5\"\r\n";
    let query = "connection=boiler&decimal=comma&zone=%2B01:00&time_format=%25d.%25m.%25Y%20%25H:%25M:%25S&map=Zeit=time&map=topic=point&map=payload=value";
    let (status, report) = answer(import(&gateway, CSV, query, node_red)).await;
    assert_eq!(status, StatusCode::OK, "{report}");
    let real = |real: f64| format!("Some(Real({real:?})) {}", real.to_bits());
    let second = 1_000_000_000;
    let expected = [
        format!("flow {BEGIN_NS} 0 {}", real(61.5)),
        format!("a_boolean {BEGIN_NS} 0 Some(Boolean(true)) 0"),
        format!("a_boolean {} 0 Some(Boolean(false)) 0", BEGIN_NS + second),
        format!("flow {} 0 {}", BEGIN_NS + 2 * second, real(1061.5)),
    ];
    assert_eq!(told(&gateway), expected);
    // Points that are not there are made where that is said.
    let new = "time,inlet temp\n1767225600000,5.5\n";
    let (status, report) = answer(import(&gateway, CSV, "connection=boiler", new)).await;
    assert_eq!((status, &report["bad_rows"][0]["line"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!(2)), "{report}");
    assert!(
        report["detail"].as_str().unwrap().contains("`create=<kind>`, on the command line `--create <kind>`"),
        "{report}"
    );
    let (status, report) = answer(import(&gateway, CSV, "connection=boiler&create=real", new)).await;
    assert_eq!((status, &report["imported"]), (StatusCode::OK, &json!(1)), "{report}");
    let (status, report) = answer(import(&gateway, CSV, "connection=boilr&create=real", new)).await;
    assert_eq!((status, &report["near"]), (StatusCode::NOT_FOUND, &json!("boiler")), "{report}");
    let elsewhere = "time,connection,inlet temp\n1767225600000,nowhere,5.5\n";
    let (status, report) = answer(import(&gateway, CSV, "create=real", elsewhere)).await;
    assert_eq!((status, &report["bad_rows"][0]["found"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("nowhere")));
    let (status, report) =
        answer(import(&gateway, CSV, "connection=boiler&create=real", b"time,Au\xdfen\n1,2\n")).await;
    assert_eq!((status, &report["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("bad-header")), "{report}");
    assert!(report["detail"].as_str().unwrap().contains("UTF-8"), "{report}");
    // A wrong point is in the column that names it.
    let misspelt = "time,point,value\n1767225600000,flwo,5.5\n";
    let (_, report) = answer(import(&gateway, CSV, "connection=boiler", misspelt)).await;
    assert_eq!(report["bad_rows"][0]["column"], "point", "{report}");
    gateway.stop().await;
}

#[tokio::test]
async fn mistakes_are_told_with_line_and_column_and_nothing_is_dropped_in_silence() {
    let gateway = gateway_with_points().await;
    let file = "time,flow,a_integer\n1000,1.5,1\nsoon,2.5,2\n3000,x,3\n4000,4.5,4\n5000,5.5\n";
    let ask = |query: &str| {
        let query = format!("connection=boiler&{query}");
        answer(import(&gateway, CSV, &query, file))
    };
    let (status, trial) = ask("dry_run=true").await;
    assert_eq!((status, &trial["state"], &trial["bad"]), (StatusCode::OK, &json!("trial"), &json!(3)), "{trial}");
    let place = |bad: &Json| (bad["line"].as_u64().unwrap(), bad["column"].as_str().unwrap_or_default().to_owned());
    let places: Vec<_> = trial["bad_rows"].as_array().unwrap().iter().map(place).collect();
    assert_eq!(places, [(3, "time".into()), (4, "flow".into()), (6, String::new())]);
    assert!(told(&gateway).is_empty(), "a trial imports nothing");
    let (status, refused) = ask("id=r").await;
    assert_eq!((status, &refused["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("bad-row")), "{refused}");
    assert!(refused["detail"].as_str().unwrap().contains("line 3, column `time`"), "{refused}");
    assert!(told(&gateway).is_empty(), "nor does a part with a bad row");
    let (status, aside) = ask("bad_rows=set-aside&id=a").await;
    assert_eq!((status, &aside["imported"], &aside["set_aside"]), (StatusCode::OK, &json!(4), &json!(3)), "{aside}");
    assert_eq!((aside["bad_rows"].as_array().unwrap().len(), told(&gateway).len()), (3, 4));
    let many: String =
        std::iter::once("time,flow\n".to_owned()).chain((0..1_100).map(|_| "x,1\n".to_owned())).collect();
    let (status, report) = answer(import(&gateway, CSV, "connection=boiler&bad_rows=set-aside", &many)).await;
    assert_eq!((status, &report["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("too-many-bad-rows")));
    for (media_type, query, file, status, code) in [
        (CSV, "connection=boiler", "when,flow\n1,2\n", 422, "bad-header"),
        (CSV, "connection=boiler", "time,flow\n1,2,3\n", 422, "bad-row"),
        (NDJSON, "", "{\"time\":1,\n", 422, "bad-row"),
        (NDJSON, "", "{\"time\":1,\"connection\":\"boiler\",\"point\":\"flow\",\"value\":[1]}", 422, "bad-row"),
        ("text/plain", "", "", 415, "media-type"),
        (CSV, "delimter=tab", "", 400, "unknown-parameter"),
        (CSV, "id=a%2Fb", "", 400, "bad-parameter"),
    ] {
        let (found, report) = answer(import(&gateway, media_type, query, file)).await;
        assert_eq!((found.as_u16(), report["code"].as_str()), (status, Some(code)), "{file:?} {report}");
    }
    gateway.stop().await;
}

/// Numbers as a file, each with a time of its own.
fn numbers(range: std::ops::Range<i64>) -> String {
    range.map(|n| format!("{},{n}\n", BEGIN_NS / 1_000_000 + n)).collect()
}

fn imported(gateway: &Gateway) -> Vec<i64> {
    let rows = gateway.log.read(0, 100_000).unwrap();
    rows.iter().map(|row| if let Some(Value::Integer(n)) = row.reading.value { n } else { -1 }).collect()
}

#[tokio::test]
async fn a_file_that_breaks_off_goes_on_where_it_was_and_no_row_comes_twice() {
    let gateway = gateway_with_points().await;
    let (head, rows) = ("time,a_integer\n".to_owned(), 30_000);
    let file = head.clone() + &numbers(0..rows);
    let query = "connection=boiler&id=numbers";
    // Twice more than half of it, which the client promises to be all, at changing places.
    for part in [file.len() / 2 + 3, file.len() / 4 * 3 + 1] {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        let request = format!(
            "POST /api/v1/import?{query} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {CSV}\r\ncontent-length: {}\r\n\r\n",
            file.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.write_all(&file.as_bytes()[..part]).await.unwrap();
        let begun = async {
            loop {
                let (status, state) = answer(gateway.get("/api/v1/import/numbers")).await;
                if status == StatusCode::OK && state["bytes"].as_u64().unwrap() > part as u64 / 2 {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, begun).await.expect("it comes that far");
        drop(stream);
        let ended = async { while gateway.json("/api/v1/import/numbers").await["state"] == "running" {} };
        tokio::time::timeout(PATIENCE, ended).await.expect("it notices that nobody sends any more");
        assert_eq!(gateway.json("/api/v1/import/numbers").await["state"], "broken-off");
    }
    let (status, report) = answer(import(&gateway, CSV, query, &file)).await;
    assert_eq!((status, &report["readings"]), (StatusCode::OK, &json!(rows)), "{report}");
    assert!(report["known"].as_u64().unwrap() > 1_000, "{report}");
    assert_eq!(imported(&gateway), (0..rows).collect::<Vec<_>>());
    // Once more: nothing. Grown: what is new. Another file: not under this name.
    assert_eq!(answer(import(&gateway, CSV, query, &file)).await.1["imported"], 0);
    let grown = file.clone() + &numbers(rows..rows + 5);
    assert_eq!(answer(import(&gateway, CSV, query, &grown)).await.1["imported"], 5);
    // A last line without an end is the same line when more comes behind it, whatever separates cells.
    let begun = "time;a_integer\n1767225600;1\n1767225601;2".to_owned();
    let query_of_more = "connection=boiler&id=more&time_format=s";
    assert_eq!(answer(import(&gateway, CSV, query_of_more, &begun)).await.1["imported"], 2);
    let more = format!("{begun}\r\n1767225602;3\n");
    let (status, report) = answer(import(&gateway, CSV, query_of_more, &more)).await;
    assert_eq!((status, &report["imported"]), (StatusCode::OK, &json!(1)), "{report}");
    let other = head + &numbers(1..rows + 6);
    let (status, report) = answer(import(&gateway, CSV, query, &other)).await;
    assert_eq!((status, &report["code"]), (StatusCode::CONFLICT, &json!("other-file")), "{report}");
    let (status, report) = answer(import(&gateway, CSV, &format!("{query}&decimal=comma"), &grown)).await;
    assert_eq!((status, &report["code"]), (StatusCode::CONFLICT, &json!("other-file")), "{report}");
    assert_eq!(imported(&gateway), (0..rows + 5).chain([1, 2, 3]).collect::<Vec<_>>());
    assert_eq!(answer(gateway.get("/api/v1/import/nobody")).await.0, StatusCode::NOT_FOUND);
    gateway.stop().await;
}

#[tokio::test]
async fn an_import_displaces_no_newer_reading_and_pulling_clients_see_it() {
    let gateway = Gateway::start(QUIET).await;
    let points = declare(&gateway.log);
    let newest = reading(points.odd, 1_000_000, Some(Value::Integer(7)));
    gateway.log.append(vec![newest]).await.unwrap();
    let cursor = gateway.json("/api/v1/readings").await["cursor"].as_str().unwrap().to_owned();
    let file = format!("time,{}\n{}", ODD_NAME, numbers(0..10));
    let (status, report) = answer(import(&gateway, CSV, "connection=boiler", &file)).await;
    assert_eq!((status, &report["imported"]), (StatusCode::OK, &json!(10)), "{report}");
    let latest = gateway.json("/api/v1/latest").await;
    assert_eq!(latest["readings"][0]["value"], 7, "{latest}");
    let latest = gateway.json("/odata/v4/LatestReadings").await;
    assert_eq!(latest["value"][0]["Value"], "7", "{latest}");
    let pulled = gateway.json(&format!("/api/v1/readings?after={cursor}")).await;
    assert_eq!(pulled["readings"].as_array().unwrap().len(), 10);
    let newer = format!("time,{}\n{},8\n", ODD_NAME, BEGIN_NS / 1_000_000 + 2_000_000_000);
    answer(import(&gateway, CSV, "connection=boiler", &newer)).await;
    let row = gateway.log.latest(points.odd).unwrap();
    assert_eq!((row.reading.value, row.reading.status), (Some(Value::Integer(8)), Status::GOOD));
    assert_eq!(row.reading.time, Timestamp(BEGIN_NS + 2_000_000_000_000_000));
    gateway.stop().await;
}

#[tokio::test]
async fn a_part_that_is_in_the_log_though_nobody_noted_it_does_not_come_twice() {
    let gateway = gateway_with_points().await;
    let file = format!("time,a_integer\n{}", numbers(0..3));
    let before = *gateway.log.committed().borrow();
    assert_eq!(answer(import(&gateway, CSV, "connection=boiler&id=n", &file)).await.0, StatusCode::OK);
    // As a gateway that ended between the commit and the note of it leaves it.
    let done = gateway.log.import_mark("n").unwrap().unwrap();
    let rows = gateway.log.read(before, 3).unwrap();
    let part = rows
        .iter()
        .fold(Sha256::new().chain_update(&done.digest), |hash, row| hash.chain_update(format!("{:?}", row.reading)));
    let digest = part.finalize().to_vec();
    let next = bulkhead_log::ImportPart { bytes: done.bytes, digest, behind: before };
    let begun = bulkhead_log::ImportMark { id: "n".into(), next: Some(next.clone()), ..Default::default() };
    gateway.log.set_import_mark(&begun).unwrap();
    let (status, report) = answer(import(&gateway, CSV, "connection=boiler&id=n", &file)).await;
    assert_eq!((status, &report["imported"], &report["readings"]), (StatusCode::OK, &json!(0), &json!(3)), "{report}");
    assert_eq!(imported(&gateway), [0, 1, 2]);
    // And where it ended before the commit.
    let behind = *gateway.log.committed().borrow();
    let begun = bulkhead_log::ImportMark { next: Some(bulkhead_log::ImportPart { behind, ..next }), ..begun };
    gateway.log.set_import_mark(&begun).unwrap();
    assert_eq!(answer(import(&gateway, CSV, "connection=boiler&id=n", &file)).await.1["imported"], 3);
    assert_eq!(imported(&gateway), [0, 1, 2, 0, 1, 2]);
    // And where the same rows have become others since: whether they are in the log cannot be told.
    let other = bulkhead_log::ImportPart { digest: vec![7; 32], ..begun.next.clone().unwrap() };
    gateway.log.set_import_mark(&bulkhead_log::ImportMark { next: Some(other), ..begun }).unwrap();
    assert_eq!(answer(import(&gateway, CSV, "connection=boiler&id=n", &file)).await.0, StatusCode::CONFLICT);
    assert_eq!(imported(&gateway), [0, 1, 2, 0, 1, 2]);
    gateway.stop().await;
}
