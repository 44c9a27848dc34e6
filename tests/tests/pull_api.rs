//! Pull: pages, event stream, OData, metrics and health of a running gateway, as clients of each see them.

use anyhow::{Context, Result, ensure};
use bulkhead_tests::{Gateway, NUMBERS, Reading, Site, commit_numbers, http_client, parse_openmetrics, until, within};
use serde_json::{Value, json};

#[tokio::test]
async fn pages_of_the_log_and_of_a_point_miss_and_repeat_nothing_while_the_log_grows() -> Result<()> {
    const COUNT: i64 = 600;
    let gateway = Gateway::start(NUMBERS).await?;
    commit_numbers(&gateway, 1..=10).await?;
    let writing = async {
        for first in (11..=COUNT).step_by(10) {
            commit_numbers(&gateway, first..first + 10).await?;
        }
        anyhow::Ok(())
    };
    let (written, all, history) = tokio::join!(writing, pull_all(&gateway, COUNT), history_all(&gateway, COUNT));
    written?;
    let (all, history) = (all?, history?);
    assert_eq!(all, (1..=COUNT).map(|number| (number, number)).collect::<Vec<_>>(), "every seq once, in order");
    assert_eq!(all, history, "a point's history has the same rows");
    Ok(())
}

/// Seq and value of what pages of seven rows from `/readings` bring, until the last number has come.
async fn pull_all(gateway: &Gateway, last: i64) -> Result<Vec<(i64, i64)>> {
    let mut all: Vec<(i64, i64)> = Vec::new();
    let mut cursor = "0".to_owned();
    until("the last number by pages of the log", async || {
        let page = gateway.api.json(&format!("/api/v1/readings?after={cursor}&limit=7")).await?;
        all.extend(pairs(&page)?);
        page["cursor"].as_str().context("no cursor")?.clone_into(&mut cursor);
        Ok(if all.last().is_some_and(|(_, number)| *number == last) { Ok(()) } else { Err(format!("{}", all.len())) })
    })
    .await?;
    Ok(all)
}

/// Likewise by `/connections/source/points/n/readings`.
async fn history_all(gateway: &Gateway, last: i64) -> Result<Vec<(i64, i64)>> {
    let mut all: Vec<(i64, i64)> = Vec::new();
    until("the last number by pages of the point", async || {
        let after = all.last().map_or(0, |(seq, _)| *seq);
        let path = format!("/api/v1/connections/source/points/n/readings?after={after}&limit=7");
        let page = gateway.api.json(&path).await?;
        all.extend(pairs(&page)?);
        Ok(if all.last().is_some_and(|(_, number)| *number == last) { Ok(()) } else { Err(format!("{}", all.len())) })
    })
    .await?;
    Ok(all)
}

fn pairs(page: &Value) -> Result<Vec<(i64, i64)>> {
    let rows = page["readings"].as_array().with_context(|| format!("no readings: {page}"))?;
    let pair = |row: &Value| Some((row["seq"].as_i64()?, row["value"].as_i64()?));
    rows.iter().map(|row| pair(row).with_context(|| format!("{row}"))).collect()
}

/// An event stream read as a browser does: events with their id, data and kind.
struct Stream {
    response: reqwest::Response,
    partial: String,
    last_id: String,
}

impl Stream {
    async fn open(gateway: &Gateway, path: &str, last_id: Option<&str>) -> Result<Self> {
        let mut request = http_client()?.get(gateway.api.url(path));
        if let Some(last_id) = last_id {
            request = request.header("last-event-id", last_id);
        }
        let response = request.send().await?.error_for_status()?;
        ensure!(response.headers()["content-type"] == "text/event-stream");
        Ok(Self { response, partial: String::new(), last_id: last_id.unwrap_or_default().to_owned() })
    }

    /// The next event with data: its kind and data; none when the stream has ended.
    async fn next(&mut self) -> Result<Option<(String, Value)>> {
        loop {
            while let Some(end) = self.partial.find("\n\n") {
                let event: String = self.partial.drain(..end + 2).collect();
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                if let Some(id) = field("id: ") {
                    self.last_id = id;
                }
                if let Some(data) = field("data: ") {
                    return Ok(Some((field("event: ").unwrap_or_default(), serde_json::from_str(&data)?)));
                }
            }
            // A stream that is cut off ends with an error; what is incomplete does not count.
            let chunk = within("the next event", self.response.chunk()).await?;
            let Ok(Some(chunk)) = chunk else { return Ok(None) };
            self.partial.push_str(std::str::from_utf8(&chunk)?);
        }
    }

    /// Reads on until a number has come, or the stream ends.
    async fn read_to(&mut self, last: i64, into: &mut Vec<(i64, i64)>) -> Result<()> {
        while into.last().is_none_or(|(_, number)| *number < last) {
            let Some((kind, data)) = self.next().await? else { return Ok(()) };
            ensure!(kind == "readings", "{kind}: {data}");
            into.extend(pairs(&data)?);
        }
        Ok(())
    }
}

#[tokio::test]
async fn an_event_stream_resumes_by_last_event_id_over_stops_and_kills_of_the_gateway() -> Result<()> {
    let mut gateway = Gateway::start(NUMBERS).await?;
    let mut seen = Vec::new();
    let mut stream = Stream::open(&gateway, "/api/v1/events?after=0", None).await?;
    for round in 0..3_i64 {
        let first = round * 100 + 1;
        commit_numbers(&gateway, first..first + 50).await?;
        stream.read_to(first + 49, &mut seen).await?;
        // The client is away while these come; the gateway goes down in between, in order and by force.
        let last_id = stream.last_id.clone();
        drop(stream);
        commit_numbers(&gateway, first + 50..first + 100).await?;
        gateway = match round {
            0 => gateway.terminate().await?.0.run().await?,
            _ => gateway.kill().await?.run().await?,
        };
        stream = Stream::open(&gateway, "/api/v1/events", Some(&last_id)).await?;
        stream.read_to(first + 99, &mut seen).await?;
    }
    let numbers: Vec<i64> = seen.iter().map(|(_, number)| *number).collect();
    assert_eq!(numbers, (1..=300).collect::<Vec<_>>(), "every number exactly once");
    ensure!(seen.windows(2).all(|pair| pair[0].0 < pair[1].0), "seqs go up: {seen:?}");
    // A stream that is open when the gateway stops is ended, not torn.
    let (_, _) = gateway.terminate().await?;
    ensure!(stream.next().await?.is_none(), "nothing comes from a stopped gateway");
    Ok(())
}

#[tokio::test]
async fn a_foreign_event_id_is_answered_with_a_gap_and_a_bad_one_refused() -> Result<()> {
    let gateway = Gateway::start(NUMBERS).await?;
    commit_numbers(&gateway, 1..=3).await?;
    let mut stream = Stream::open(&gateway, "/api/v1/events", Some("00000000000000000000000000000000-7")).await?;
    let (kind, data) = stream.next().await?.context("the stream has ended")?;
    assert_eq!((kind.as_str(), &data["reason"]), ("gap", &json!("other-log")));
    let mut seen = Vec::new();
    stream.read_to(3, &mut seen).await?;
    assert_eq!(seen, [(1, 1), (2, 2), (3, 3)], "it begins anew");
    let bad = http_client()?.get(gateway.api.url("/api/v1/events")).header("last-event-id", "seven").send().await?;
    assert_eq!(bad.status(), 400);
    Ok(())
}

#[tokio::test]
async fn odata_filters_orders_counts_and_pages_real_readings() -> Result<()> {
    let gateway = Gateway::start(NUMBERS).await?;
    commit_numbers(&gateway, (1..=250).map(|number| number * 2)).await?;
    let values = async |query: &str| -> Result<Vec<i64>> {
        let answer = gateway.api.json(&format!("/odata/v4/Readings?{query}")).await?;
        let rows = answer["value"].as_array().with_context(|| format!("{answer}"))?;
        Ok(rows.iter().filter_map(|row| row["IntegerValue"].as_i64()).collect())
    };
    for (query, expected) in [
        ("$filter=NumericValue gt 490 and Connection eq 'source'&$orderby=Seq", vec![492, 494, 496, 498, 500]),
        ("$filter=NumericValue le 4 or IntegerValue eq 100&$orderby=Seq desc", vec![100, 4, 2]),
        ("$filter=not (NumericValue lt 499)", vec![500]),
        ("$orderby=NumericValue desc&$skip=2&$top=3", vec![496, 494, 492]),
        ("$filter=Point eq 'n' and Good eq true and Seq le 3&$select=Seq,IntegerValue&$orderby=Seq", vec![2, 4, 6]),
        ("$filter=Time lt 2020-01-01T00:00:00Z", vec![]),
        ("$filter=Connection eq 'nobody'", vec![]),
    ] {
        assert_eq!(values(&query.replace(' ', "%20")).await?, expected, "{query}");
    }
    let counted = gateway.api.json("/odata/v4/Readings?$count=true&$top=0&$filter=NumericValue%20gt%20400").await?;
    assert_eq!((&counted["@odata.count"], &counted["value"]), (&json!(50), &json!([])));

    let pages = follow(&gateway, "/odata/v4/Readings?$orderby=Seq&$select=Seq,IntegerValue", 100).await?;
    let seqs: Vec<i64> = pages.iter().filter_map(|row| row["Seq"].as_i64()).collect();
    assert_eq!(seqs, (1..=250).collect::<Vec<_>>(), "next links bring each row once");

    let latest = gateway.api.json("/odata/v4/LatestReadings").await?;
    assert_eq!((latest["value"].as_array().map(Vec::len), &latest["value"][0]["IntegerValue"]), (Some(1), &json!(500)));
    let points = gateway.api.json("/odata/v4/Points?$filter=Name%20eq%20'n'").await?;
    assert_eq!((&points["value"][0]["Connection"], &points["value"][0]["Kind"]), (&json!("source"), &json!("integer")));
    let connections = gateway.api.json("/odata/v4/Connections").await?;
    assert_eq!(
        (&connections["value"][0]["State"], &connections["value"][0]["ReadingCount"]),
        (&json!("running"), &json!(250))
    );
    for (query, code) in [
        ("$filter=Nmae%20eq%20'n'", 400),
        ("$top=-1", 400),
        ("$filter=(", 400),
        ("$expand=x", 400),
        ("$orderby=Value", 501),
    ] {
        let (status, body) = gateway.api.get(&format!("/odata/v4/Readings?{query}")).await?;
        let error: Value = serde_json::from_str(&body).with_context(|| body.clone())?;
        ensure!(status == code && error["error"]["message"].is_string(), "{query}: {status} {body}");
    }
    Ok(())
}

/// All rows behind a path, in pages of at most `page` rows, by next links.
async fn follow(gateway: &Gateway, path: &str, page: usize) -> Result<Vec<Value>> {
    let client = http_client()?;
    let mut rows = Vec::new();
    let mut next = Some(gateway.api.url(path));
    while let Some(url) = next {
        let request = client.get(&url).header("prefer", format!("odata.maxpagesize={page}"));
        let answer: Value = request.send().await?.error_for_status()?.json().await?;
        let value = answer["value"].as_array().with_context(|| format!("{answer}"))?;
        ensure!(!value.is_empty() && value.len() <= page, "a page of {} rows", value.len());
        rows.extend(value.iter().cloned());
        let link = answer["@odata.nextLink"].as_str();
        next =
            link.map(|link| reqwest::Url::parse(&url).and_then(|base| base.join(link))).transpose()?.map(String::from);
    }
    Ok(rows)
}

#[tokio::test]
async fn metrics_are_openmetrics_and_count_what_happened() -> Result<()> {
    let config = format!("{NUMBERS}\n[connections.boiler]\nadapter = \"modbus-registers\"\n{BOILER}");
    let gateway = Gateway::start(&config).await?;
    commit_numbers(&gateway, 1..=42).await?;
    let response = http_client()?.get(gateway.api.url("/metrics")).send().await?.error_for_status()?;
    let media_type = response.headers()["content-type"].to_str()?.to_owned();
    ensure!(media_type.starts_with("application/openmetrics-text"), "{media_type}");
    let samples = parse_openmetrics(&response.text().await?).await?;
    let sample = |name: &str| samples.get(name).copied().with_context(|| format!("{name} is missing: {samples:#?}"));
    let source = "bulkhead_connection_events_total{connection=\"source\",event=\"readings\"}";
    assert_eq!((sample(source)?, sample("bulkhead_log_last_seq")?), (42.0, sample("bulkhead_log_rows_total")?));
    assert_eq!(sample("bulkhead_transport_up{connection=\"boiler\",transport=\"device\"}")?, 0.0);
    ensure!(sample("process_resident_memory_bytes")? > 1e6);
    Ok(())
}

/// A device that is not there.
const BOILER: &str = r#"
[connections.boiler.transports.device]
kind = "modbus-tcp"
address = "127.0.0.1:1"

[connections.boiler.settings]
points = [{ name = "flow_temp", table = "holding-register", address = 100, type = "f32" }]
"#;

#[tokio::test]
async fn health_and_readiness_tell_the_process_from_its_devices() -> Result<()> {
    let config = format!("{NUMBERS}\n[connections.boiler]\nadapter = \"modbus-registers\"\n{BOILER}");
    let gateway = Gateway::start(&config).await?;
    for path in ["/healthz", "/readyz"] {
        let (status, body) = gateway.api.get(path).await?;
        assert_eq!(status, 200, "a dead device does not make the gateway ill: {path}: {body}");
    }
    Ok(())
}

#[tokio::test]
async fn only_loopback_is_listened_at_without_a_credential_and_credentials_decide_who_does_what() -> Result<()> {
    let site = Site::new(NUMBERS)?;
    let config = site.config()?;
    let open = config.replace("listen = \"127.0.0.1:0\"", "listen = \"0.0.0.0:0\"");
    site.write_file("gateway.toml", &open)?;
    let refused = site.command(["check"]).await?;
    ensure!(refused.code == Some(2) && refused.to_string().contains("credential"), "{refused}");
    let refused = site.command(["run"]).await?;
    ensure!(refused.code == Some(2) && refused.to_string().contains("credential"), "{refused}");
    site.write_file("gateway.toml", &config)?;
    let by_argument = site.command(["run", "--listen", "0.0.0.0:0"]).await?;
    ensure!(by_argument.code != Some(0) && by_argument.to_string().contains("credential"), "{by_argument}");

    let credentials = r#"
[api.credentials.bi]
token = "reads-only"

[api.credentials.desk]
username = "desk"
password = "wr1tes"
role = "operator"
"#;
    let gateway = Gateway::start(&format!("{credentials}{NUMBERS}")).await;
    // The harness asks /readyz without a credential: health is open to everybody.
    let gateway = gateway?;
    let client = http_client()?;
    let get = |path: &str| client.get(gateway.api.url(path));
    let post = |path: &str| client.post(gateway.api.url(path)).json(&json!({ "value": 1, "n": 1 }));
    let write = "/api/v1/connections/source/points/n";
    for (request, expected, what) in [
        (get("/api/v1/connections"), 401, "nobody reads"),
        (get("/odata/v4/Readings"), 401, "nobody reads OData"),
        (get("/metrics"), 401, "nobody reads metrics"),
        (get("/api/v1/events"), 401, "nobody listens"),
        (post("/hooks/source/numbers"), 401, "nobody posts"),
        (get("/api/v1/connections").bearer_auth("reads-0nly"), 401, "a wrong token"),
        (get("/api/v1/connections").basic_auth("desk", Some("writes")), 401, "a wrong password"),
        (get("/api/v1/connections").bearer_auth("reads-only"), 200, "a reader reads"),
        (get("/odata/v4/Readings").basic_auth("desk", Some("wr1tes")), 200, "an operator reads"),
        (post(write).bearer_auth("reads-only"), 403, "a reader does not write"),
        (get("/healthz"), 200, "health is for all"),
    ] {
        let response = request.send().await?;
        assert_eq!(response.status().as_u16(), expected, "{what}: {}", response.text().await?);
    }
    // What an operator may ask for, this point still refuses: it takes no writes.
    let refused = post(write).basic_auth("desk", Some("wr1tes")).send().await?;
    ensure!(refused.status().is_client_error() && ![401, 403].contains(&refused.status().as_u16()), "{refused:?}");
    let journal = gateway.terminate().await?.1.all().join("\n");
    ensure!(!journal.contains("reads-only") && !journal.contains("wr1tes"), "a secret is told: {journal}");
    Ok(())
}

#[tokio::test]
async fn what_the_api_shows_of_a_reading_is_what_was_committed() -> Result<()> {
    let gateway = Gateway::start(NUMBERS).await?;
    commit_numbers(&gateway, [i64::MAX, i64::MIN, 0]).await?;
    let readings: Vec<Reading> = gateway.api.readings().await?;
    let values: Vec<Value> = readings.iter().map(|reading| reading.value.clone()).collect();
    assert_eq!(values, [json!(i64::MAX), json!(i64::MIN), json!(0)]);
    let latest = gateway.api.latest().await?;
    assert_eq!((latest.len(), &latest[0].value, latest[0].seq), (1, &json!(0), 3));
    let path = "/api/v1/connections/source/points/n/readings?from=2000-01-01T00:00:00Z&to=2001-01-01T00:00:00Z";
    assert_eq!(gateway.api.json(path).await?["readings"], json!([]));
    let (status, body) = gateway.api.get("/api/v1/connections/sourc").await?;
    ensure!(status == 404 && body.contains("source"), "the near name is told: {body}");
    Ok(())
}
