//! The sink `odata` against two services: the simulated one, which misbehaves on demand, and one that others wrote.

use anyhow::{Context, Result, ensure};
use bulkhead_simulators::upstream::{Accepted, Misbehaviour, Rejection, Upstream, UpstreamConfig};
use bulkhead_tests::{Gateway, NUMBERS, ODataService, Route, commit_numbers, http_client, within};
use serde_json::{Value, json};

/// The source, the sink `erp` at a service, and a route that retries at once.
fn config(service: &str, settings: &str) -> String {
    format!(
        r#"{NUMBERS}
[[connections.source.settings.hooks]]
path = "/exact"
time = {{ path = "at" }}
points = [
  {{ path = "weight", type = "decimal", unit = "kg", optional = true }},
  {{ path = "count", type = "integer", optional = true }},
  {{ path = "name", type = "text", optional = true }},
]

[connections.erp]
adapter = "odata"

[connections.erp.transports.upstream]
kind = "http"
base_url = "{service}"
allow_methods = ["GET", "POST", "PATCH", "PUT"]
timeout_ms = 3000

[connections.erp.settings]
{settings}

[routes.up]
select = ["source/*"]
to = "erp"
batch_max_age_ms = 1
retry_first_ms = 10
retry_max_ms = 100
"#
    )
}

const NUMBER_PROPERTIES: &str = r#"
properties = [
  { name = "Seq", from = "seq", type = "Edm.Int64" },
  { name = "Point", from = "point", type = "Edm.String" },
  { name = "Value", from = "value", type = "Edm.Int64" },
]
"#;

async fn upstream(config: UpstreamConfig) -> Result<Upstream> {
    Ok(Upstream::start(config).await?)
}

fn service(upstream: &Upstream) -> String {
    format!("{}/odata", upstream.url())
}

async fn wait_for(upstream: &Upstream, gateway: &Gateway, count: u64) -> Result<Vec<Accepted>> {
    let accepted = within(&format!("{count} entities at the service"), upstream.wait_for(count)).await;
    accepted.with_context(|| gateway.situation())
}

async fn drained(gateway: &Gateway) -> Result<Route> {
    gateway.route("up", "the route to be through", |route| route.backlog == 0 && route.state == "running").await
}

async fn dead_letters(gateway: &Gateway) -> Result<Vec<Value>> {
    let letters = gateway.api.json("/api/v1/routes/up/dead-letters").await?;
    letters["dead_letters"].as_array().cloned().context("no list")
}

async fn post_exact(gateway: &Gateway, body: &Value) -> Result<()> {
    let client = http_client()?;
    let response = client.post(gateway.api.url("/hooks/source/exact")).json(body).send().await?;
    ensure!(response.status() == 200, "{}", response.text().await?);
    Ok(())
}

fn values(accepted: &[Accepted]) -> Vec<i64> {
    accepted.iter().map(|one| one.body["Value"].as_i64().unwrap_or(i64::MIN)).collect()
}

fn thirteen(body: &Value) -> Option<Rejection> {
    let message = "Buchungsperiode 13 ist nicht offen".to_owned();
    (body["Value"] == json!(13)).then(|| Rejection { status: 400, code: "FI/042".into(), message })
}

#[tokio::test]
async fn one_refused_entity_costs_itself_only_however_entities_are_sent() -> Result<()> {
    for send in [
        "send = \"entity\"",
        "send = \"batch-json\"",
        "send = \"batch-json\"\nchange_set = false",
        "send = \"batch-multipart\"",
        "send = \"batch-multipart\"\nchange_set = false",
    ] {
        let upstream = upstream(UpstreamConfig::default()).await?;
        upstream.reject(thirteen);
        let settings = format!("entity_set = \"Readings\"\nbatch_size = 10\n{send}\n{NUMBER_PROPERTIES}");
        let gateway = Gateway::start(&config(&service(&upstream), &settings)).await?;
        commit_numbers(&gateway, 1..=30).await?;
        let accepted = wait_for(&upstream, &gateway, 29).await?;
        let route = drained(&gateway).await?;
        assert_eq!((route.cursor, route.accepted, route.rejected), (30, 29, 1), "{send}: {route:?}");
        let expected: Vec<i64> = (1..=30).filter(|number| *number != 13).collect();
        assert_eq!(values(&accepted), expected, "{send}: each once, in order");
        let letters = dead_letters(&gateway).await?;
        assert_eq!(letters.len(), 1, "{send}");
        assert_eq!((&letters[0]["seq"], &letters[0]["point"]), (&json!(13), &json!("n")), "{send}");
        let message = letters[0]["message"].as_str().unwrap_or_default();
        for text in ["FI/042", "Buchungsperiode 13 ist nicht offen", "source/n", "400"] {
            ensure!(message.contains(text), "{send}: {text} is missing: {message}");
        }
        if send.contains("batch") {
            ensure!(upstream.stats().requests < 25, "{send}: {:?}", upstream.stats());
        }
    }
    Ok(())
}

#[tokio::test]
async fn values_keep_every_digit_on_their_way_into_edm_types() -> Result<()> {
    for (send, ieee754) in [("entity", true), ("batch-json", true), ("batch-multipart", true), ("entity", false)] {
        let upstream = upstream(UpstreamConfig::default()).await?;
        let settings = format!(
            r#"
entity_set = "Readings"
send = "{send}"
ieee754_compatible = {ieee754}
properties = [
  {{ name = "Seq", from = "seq", type = "Edm.Int64" }},
  {{ name = "Time", from = "time", type = "Edm.DateTimeOffset", precision = 7 }},
  {{ name = "Value", from = "value", type = "Edm.Decimal", precision = 20, scale = 4 }},
  {{ name = "Good", from = "good", type = "Edm.Boolean" }},
  {{ name = "Status", from = "status", type = "Edm.Int64" }},
  {{ name = "Unit", from = "unit", type = "Edm.String" }},
  {{ name = "Plant", const = "1000", type = "Edm.String" }},
]
"#
        );
        let gateway = Gateway::start(&config(&service(&upstream), &settings)).await?;
        let at = "2026-05-04T12:00:00.123456789+02:00";
        post_exact(&gateway, &json!({ "at": at, "count": 9_007_199_254_740_993_i64, "weight": "1234567890123.45675" }))
            .await?;
        let accepted = wait_for(&upstream, &gateway, 2).await?;
        let number = |text: &str| if ieee754 { json!(text) } else { text.parse::<Value>().unwrap_or_default() };
        let entity = |seq: &str, value: &str, unit: Value| {
            json!({
                "Seq": number(seq), "Time": "2026-05-04T10:00:00.1234567Z", "Value": number(value), "Good": true,
                "Status": number("0"), "Unit": unit, "Plant": "1000",
            })
        };
        assert_eq!(accepted[0].body, entity("1", "9007199254740993", json!(null)), "{send} {ieee754}");
        assert_eq!(accepted[1].body, entity("2", "1234567890123.4568", json!("kg")), "{send} {ieee754}");

        // A value that fits no number is refused here, and told with its point.
        post_exact(&gateway, &json!({ "at": at, "name": "a lot" })).await?;
        let route = gateway.route("up", "the text to be refused", |route| route.rejected == 1).await?;
        assert_eq!(route.cursor, 3);
        let letter = dead_letters(&gateway).await?.remove(0);
        ensure!(letter["code"] == "value-does-not-fit" && letter["point"] == "name", "{letter}");
        ensure!(letter["message"].as_str().is_some_and(|text| text.contains("Edm.Decimal")), "{letter}");
    }
    Ok(())
}

#[tokio::test]
async fn updates_of_what_must_exist_carry_if_match_and_tell_what_does_not() -> Result<()> {
    let upstream = upstream(UpstreamConfig { requires_if_match: true, ..UpstreamConfig::default() }).await?;
    let settings = r#"
entity_set = "Gauges"
upsert = { key = ["Name"], method = "PATCH", condition = "exists" }
properties = [
  { name = "Name", from = "point", type = "Edm.String" },
  { name = "Value", from = "value", type = "Edm.Int64" },
]
"#;
    let gateway = Gateway::start(&config(&service(&upstream), settings)).await?;
    commit_numbers(&gateway, [1]).await?;
    let route = gateway.route("up", "the update to be refused", |route| route.rejected == 1).await?;
    assert_eq!((route.cursor, route.accepted), (1, 0));
    let letter = dead_letters(&gateway).await?.remove(0);
    ensure!(letter["code"] == "status-412", "{letter}");
    ensure!(letter["message"].as_str().is_some_and(|text| text.contains("the entity does not exist")), "{letter}");

    let client = http_client()?;
    let gauge = format!("{}/Gauges('n')", service(&upstream));
    client.put(gauge).json(&json!({ "Name": "n", "Place": "hall 7" })).send().await?.error_for_status()?;
    commit_numbers(&gateway, [2, 3]).await?;
    let accepted = wait_for(&upstream, &gateway, 3).await?;
    assert_eq!((accepted[2].method.as_str(), accepted[2].key.as_deref()), ("PATCH", Some("n")));
    assert_eq!(upstream.entity("Gauges", "n"), Some(json!({ "Name": "n", "Place": "hall 7", "Value": 3 })));
    Ok(())
}

#[tokio::test]
async fn an_upsert_by_key_makes_repetitions_harmless() -> Result<()> {
    for send in ["entity", "batch-json", "batch-multipart"] {
        let upstream = upstream(UpstreamConfig::default()).await?;
        let settings = format!(
            "entity_set = \"Readings\"\nsend = \"{send}\"\nupsert = {{ key = [\"Point\", \"Seq\"], method = \"PUT\" }}\n{NUMBER_PROPERTIES}"
        );
        let gateway = Gateway::start(&config(&service(&upstream), &settings)).await?;
        upstream.script([Misbehaviour::status(503), Misbehaviour::AcceptThenClose, Misbehaviour::CloseMidResponse]);
        commit_numbers(&gateway, 1..=5).await?;
        let route = gateway.route("up", "the route to be through", |route| route.cursor == 5).await?;
        assert_eq!((route.accepted, route.rejected), (5, 0), "{send}");
        for number in 1..=5 {
            let entity = upstream.entity("Readings", &format!("Point='n',Seq={number}"));
            let expected = json!({ "Seq": number, "Point": "n", "Value": number });
            assert_eq!(entity, Some(expected), "{send}: {number}");
        }
        ensure!(upstream.stats().accepted > 5, "{send}: what was accepted and closed came again");
    }
    Ok(())
}

#[tokio::test]
async fn a_service_that_knows_a_key_already_answers_409_which_can_count_as_taken() -> Result<()> {
    for send in ["entity", "batch-json", "batch-multipart"] {
        let upstream =
            upstream(UpstreamConfig { key_property: Some("Seq".into()), ..UpstreamConfig::default() }).await?;
        let settings = format!(
            "entity_set = \"Readings\"\nsend = \"{send}\"\nsuccess = [\"200-299\", \"409\"]\n{NUMBER_PROPERTIES}"
        );
        let gateway = Gateway::start(&config(&service(&upstream), &settings)).await?;
        upstream.script([Misbehaviour::AcceptThenClose, Misbehaviour::retry_later(429, 0)]);
        commit_numbers(&gateway, 1..=5).await?;
        let route = gateway.route("up", "the route to be through", |route| route.cursor == 5).await?;
        assert_eq!((route.accepted, route.rejected), (5, 0), "{send}");
        assert_eq!(values(&upstream.accepted()), [1, 2, 3, 4, 5], "{send}: each exactly once");
    }
    Ok(())
}

#[tokio::test]
async fn a_service_that_others_wrote_takes_readings_and_can_be_asked_for_them() -> Result<()> {
    for send in [
        "send = \"entity\"",
        "send = \"batch-json\"",
        "send = \"batch-json\"\nchange_set = false\nieee754_compatible = true",
        "send = \"batch-multipart\"",
        "send = \"batch-multipart\"\nchange_set = false\nieee754_compatible = true",
    ] {
        let service = ODataService::start().await?;
        let settings = format!("entity_set = \"Measurements\"\n{send}\n{MEASUREMENT_PROPERTIES}");
        let gateway = Gateway::start(&config(service.url(), &settings)).await?;
        let output = gateway.command(["test", "erp"]).await?;
        ensure!(output.code == Some(0), "{send}: {output}");
        let weights = ["61.5", "-0.0001", "1000.0001", "999.9999"];
        let at = "2026-05-04T12:00:00.123Z";
        let posted: Vec<Value> = weights.iter().map(|weight| json!({ "at": at, "weight": weight })).collect();
        post_exact(&gateway, &json!(posted)).await?;
        let route = drained(&gateway).await.with_context(|| service.situation())?;
        // The service takes decimals of seven digits.
        assert_eq!((route.accepted, route.rejected), (3, 1), "{send}: {}", service.situation());
        let letter = dead_letters(&gateway).await?.remove(0);
        ensure!(letter["seq"] == 3 && letter["code"] == "status-400", "{send}: {letter}");
        ensure!(letter["message"].as_str().is_some_and(|text| text.contains("recision")), "{send}: {letter}");

        let all = service.measurements("$orderby=Seq&$count=true").await?;
        assert_eq!(all.len(), 3, "{send}: {all:?}");
        for (entity, (seq, value)) in all.iter().zip([(1, 61.5), (2, -0.0001), (4, 999.9999)]) {
            let expected =
                json!({ "Seq": seq, "Device": "scale 7", "Time": at, "Value": value, "Good": true, "Unit": "kg" });
            assert_eq!(*entity, expected, "{send}");
        }
        let found =
            service.measurements("$filter=Value%20gt%2020%20and%20Good%20eq%20true&$orderby=Seq%20desc").await?;
        assert_eq!(found.iter().map(|entity| entity["Seq"].as_i64()).collect::<Vec<_>>(), [Some(4), Some(1)], "{send}");
    }
    Ok(())
}

const MEASUREMENT_PROPERTIES: &str = r#"
properties = [
  { name = "Seq", from = "seq", type = "Edm.Int64" },
  { name = "Device", const = "scale 7", type = "Edm.String" },
  { name = "Time", from = "time", type = "Edm.DateTimeOffset" },
  { name = "Value", from = "value", type = "Edm.Decimal", scale = 4 },
  { name = "Good", from = "good", type = "Edm.Boolean" },
  { name = "Unit", from = "unit", type = "Edm.String" },
]
"#;

#[tokio::test]
async fn a_service_that_others_wrote_takes_updates_of_what_exists_and_refuses_the_others() -> Result<()> {
    for send in ["entity", "batch-json", "batch-multipart"] {
        let service = ODataService::start().await?;
        let client = http_client()?;
        let gauge = json!({ "Seq": 1, "Device": "hall 7", "Value": 0 });
        let created = client.post(format!("{}/Measurements", service.url())).json(&gauge).send().await?;
        ensure!(created.status() == 201, "{}", created.text().await?);
        let settings = format!(
            r#"
entity_set = "Measurements"
send = "{send}"
upsert = {{ key = ["Seq"], condition = "exists" }}
properties = [
  {{ name = "Seq", from = "value", type = "Edm.Int64" }},
  {{ name = "Good", from = "good", type = "Edm.Boolean" }},
]
"#
        );
        let gateway = Gateway::start(&config(service.url(), &settings)).await?;
        commit_numbers(&gateway, [1, 2]).await?;
        let route = drained(&gateway).await.with_context(|| service.situation())?;
        assert_eq!((route.accepted, route.rejected), (1, 1), "{send}: {}", service.situation());
        let stored = service.measurements("$select=Seq,Device,Good").await?;
        assert_eq!(stored, [json!({ "Seq": 1, "Device": "hall 7", "Good": true })], "{send}: merged, nothing made");
    }
    Ok(())
}
