//! What cannot be delivered: a reading that the upstream refuses, a frame that brings its adapter down. Each is kept
//! whole, holds nobody up, and is replayed or discarded by API and command line.

use anyhow::{Context, Result, ensure};
use bulkhead_simulators::upstream::{Misbehaviour, Rejection, Upstream, UpstreamConfig};
use bulkhead_tests::{
    Fragility, Gateway, Mosquitto, MosquittoListener, NUMBERS, Site, commit_numbers, fragile_adapter, within,
};
use reqwest::Method;
use rumqttc_v4::{AsyncClient, Event, Incoming, MqttOptions, PublishOptions};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

fn config(upstream: &Upstream, route: &str) -> String {
    format!(
        r#"{NUMBERS}
[connections.erp]
adapter = "http-json"

[connections.erp.transports.upstream]
kind = "http"
base_url = "{}/api"
allow_methods = ["POST"]

[connections.erp.settings]
path = "/readings"
body = '''[{{% for reading in readings %}}{{"seq": {{{{ reading.seq }}}}, "n": {{{{ reading.value }}}}}}{{% if not loop.last %}},{{% endif %}}{{% endfor %}}]'''

[routes.up]
select = ["source/*"]
to = "erp"
batch_max_age_ms = 1
retry_first_ms = 10
retry_max_ms = 100
{route}
"#,
        upstream.url()
    )
}

fn unlucky(body: &Value) -> Option<Rejection> {
    let is_unlucky = body["n"].as_i64().is_some_and(|number| number % 13 == 0);
    is_unlucky.then(|| Rejection { status: 422, code: "Unlucky".into(), message: "13 is not sold here".into() })
}

/// The letters' numbers, the oldest first.
fn numbers(letters: &[Value]) -> Vec<u64> {
    letters.iter().rev().filter_map(|letter| letter["id"].as_u64()).collect()
}

#[tokio::test]
async fn refused_readings_are_listed_replayed_and_discarded_by_api_and_command_line() -> Result<()> {
    let upstream = Upstream::start(UpstreamConfig::default()).await?;
    upstream.reject(unlucky);
    let gateway = Gateway::start(&config(&upstream, "batch_max_readings = 20")).await?;
    commit_numbers(&gateway, 1..=60).await?;
    within("what is not refused", upstream.wait_for(56)).await?;
    let route = gateway.route("up", "the route to be through", |route| route.cursor == 60).await?;
    assert_eq!((route.rejected, route.dead_letters), (4, 4), "{route:?}");

    let listed = gateway.command(["dead-letters", "list", "--route", "up", "--json"]).await?.expect_code(0)?.json()?;
    let letters = listed.as_array().context("no list")?;
    assert_eq!(*letters, gateway.api.dead_letters().await?, "the same by API and command line");
    let ids = numbers(letters);
    let of_13 = letters.last().context("no letter")?;
    assert_eq!(
        (of_13["value"].as_i64(), of_13["seq"].as_u64(), of_13["tries"].as_u64()),
        (Some(13), Some(13), Some(1))
    );
    let table = gateway.command(["dead-letters", "list"]).await?.expect_code(0)?;
    ensure!(table.stdout.contains("source/n seq 13") && table.stdout.contains("status-422"), "{table}");
    let shown = gateway.command(["dead-letters", "show", &ids[0].to_string()]).await?.expect_code(0)?;
    ensure!(shown.stdout.contains("13 is not sold here") && shown.stdout.contains("value: 13"), "{shown}");

    // Still refused: the letter stays, with one try more.
    let again = gateway.command(["dead-letters", "replay", &ids[0].to_string()]).await?.expect_code(1)?;
    ensure!(again.stdout.contains("13 is not sold here"), "{again}");
    assert_eq!(gateway.api.json(&format!("/api/v1/dead-letters/{}", ids[0])).await?["tries"], 2);
    let (status, answer) = gateway.api.send(Method::POST, &format!("/api/v1/dead-letters/{}/replay", ids[1])).await?;
    assert_eq!((status, answer["code"].as_str()), (502, Some("refused-again")), "{answer}");

    // The upstream is put right: one letter is taken by command line, one by API, each once.
    upstream.behave();
    gateway.command(["dead-letters", "replay", &ids[0].to_string(), "--json"]).await?.expect_code(0)?;
    let (status, answer) = gateway.api.send(Method::POST, &format!("/api/v1/dead-letters/{}/replay", ids[1])).await?;
    assert_eq!((status, answer["taken"].as_bool()), (200, Some(true)), "{answer}");
    let replayed = within("the replayed readings", upstream.wait_for(58)).await?;
    let values: Vec<i64> = replayed[56..].iter().filter_map(|one| one.body["n"].as_i64()).collect();
    assert_eq!(values, [13, 26]);
    let keys: Vec<&str> = replayed[56..].iter().filter_map(|one| one.idempotency_key.as_deref()).collect();
    let expected: Vec<String> = ids[..2].iter().map(|id| format!("-up-letter-{id}")).collect();
    ensure!(keys.len() == 2 && keys.iter().zip(&expected).all(|(key, end)| key.ends_with(end)), "{keys:?}");
    let gone = gateway.command(["dead-letters", "replay", &ids[0].to_string()]).await?.expect_code(1)?;
    ensure!(gone.stdout.contains("there is no dead letter"), "{gone}");

    let discarded = gateway.command(["dead-letters", "discard", &ids[2].to_string()]).await?.expect_code(0)?;
    ensure!(discarded.stdout.contains("discarded"), "{discarded}");
    let (status, _) = gateway.api.send(Method::DELETE, &format!("/api/v1/dead-letters/{}", ids[3])).await?;
    assert_eq!(status, 204);
    let empty = gateway.command(["dead-letters", "list"]).await?.expect_code(0)?;
    ensure!(empty.stdout.contains("no dead letters"), "{empty}");
    let route = gateway.api.route("up").await?;
    assert_eq!((route.dead_letters, route.cursor), (0, 60), "{route:?}");
    assert_eq!(upstream.stats().accepted, 58, "what was discarded never came");
    Ok(())
}

#[tokio::test]
async fn all_letters_of_a_route_are_replayed_at_once_and_what_stays_makes_the_exit_code() -> Result<()> {
    let upstream = Upstream::start(UpstreamConfig::default()).await?;
    upstream.reject(unlucky);
    let gateway = Gateway::start(&config(&upstream, "")).await?;
    commit_numbers(&gateway, 1..=60).await?;
    gateway.route("up", "the route to be through", |route| route.cursor == 60 && route.dead_letters == 4).await?;
    let which = gateway.command(["dead-letters", "replay"]).await?.expect_code(2)?;
    ensure!(which.stderr.contains("--route"), "{which}");
    gateway.command(["dead-letters", "replay", "--route", "upp"]).await?.expect_code(1)?;
    upstream.reject(|body| unlucky(body).filter(|_| body["n"] != 26));
    let partly = gateway.command(["dead-letters", "replay", "--route", "up", "--json"]).await?.expect_code(1)?;
    let outcome = partly.json()?;
    assert_eq!((outcome["taken"].as_u64(), outcome["kept"].as_u64()), (Some(1), Some(3)), "{partly}");
    upstream.behave();
    let all = gateway.command(["dead-letters", "replay", "--route", "up"]).await?.expect_code(0)?;
    ensure!(all.stdout.contains("3 taken and removed, 0 left"), "{all}");
    let last: Vec<i64> = upstream.accepted()[56..].iter().filter_map(|one| one.body["n"].as_i64()).collect();
    assert_eq!(last, [26, 13, 39, 52], "the oldest first");
    let (site, _) = gateway.terminate().await?;
    let output = site.command(["dead-letters", "list"]).await?.expect_code(1)?;
    ensure!(output.stderr.contains("no gateway runs"), "{output}");
    Ok(())
}

#[tokio::test]
async fn a_reading_is_tried_as_often_as_the_route_says_before_it_becomes_a_dead_letter() -> Result<()> {
    let upstream = Upstream::start(UpstreamConfig::default()).await?;
    upstream.reject(unlucky);
    let gateway = Gateway::start(&config(&upstream, "reject_tries = 3")).await?;
    commit_numbers(&gateway, [13]).await?;
    gateway.route("up", "the letter", |route| route.dead_letters == 1).await?;
    commit_numbers(&gateway, [1]).await?;
    within("what follows", upstream.wait_for(1)).await?;
    let letters = gateway.api.dead_letters().await?;
    assert_eq!(letters[0]["tries"], 3);
    assert_eq!(upstream.stats().requests, 4, "three for the one, one for the other");
    Ok(())
}

fn fragile_config(broker: &Mosquitto) -> String {
    format!(
        r#"
[gateway]
data_dir = "data"
adapters_dir = "adapters"

[api]
listen = "127.0.0.1:0"

[connections.line]
adapter = "fragile"
limits = {{ restart_first_ms = 10, restart_max_ms = 20, call_timeout_ms = 200 }}

[connections.line.transports.broker]
kind = "mqtt"
address = "{}"
subscribe = ["plant/#"]
reconnect = {{ first_ms = 50, max_ms = 200 }}
"#,
        broker.address()
    )
}

fn fragile_site(broker: &Mosquitto) -> Result<Site> {
    let site = Site::verbatim(&fragile_config(broker))?;
    std::fs::create_dir(site.path("adapters"))?;
    std::fs::write(site.path("adapters/fragile.wasm"), fragile_adapter(Fragility::Fragile)?)?;
    Ok(site)
}

/// Publishes payloads at QoS 1 and waits until the broker has them.
async fn publish(broker: &Mosquitto, payloads: &[&[u8]]) -> Result<()> {
    let address = broker.address();
    let (host, port) = address.rsplit_once(':').context("a broker without port")?;
    let options = MqttOptions::new("device", (host.to_owned(), port.parse::<u16>()?));
    let (client, mut events) = AsyncClient::builder(options).capacity(payloads.len()).build();
    for payload in payloads {
        client.publish("plant/press", payload.to_vec(), PublishOptions::at_least_once()).await?;
    }
    within("the broker's acknowledgements", async {
        let mut left = payloads.len();
        while left > 0 {
            left -= usize::from(matches!(events.poll().await?, Event::Incoming(Incoming::PubAck(_))));
        }
        anyhow::Ok(())
    })
    .await?
}

/// The first so many values of the point, as letters.
async fn bytes_read(gateway: &Gateway, count: usize) -> Result<String> {
    let mut events = gateway.events().await?;
    let mut read = String::new();
    while read.len() < count {
        let reading = events.until(&format!("a byte behind {read:?}"), |reading| reading.is_of("line/byte")).await?;
        let byte = reading.value.as_u64().and_then(|byte| u8::try_from(byte).ok());
        read.push(byte.map_or('?', char::from));
    }
    Ok(read)
}

async fn subscribed(gateway: &Gateway) -> Result<()> {
    gateway.connection("line", "the subscription", |line| line.transports[0].state == "up").await.map(drop)
}

#[tokio::test]
async fn a_payload_that_brings_its_adapter_down_is_kept_acknowledged_and_replayed_when_the_adapter_is_mended()
-> Result<()> {
    let broker = Mosquitto::start(MosquittoListener::Plain).await?;
    let gateway = fragile_site(&broker)?.run().await?;
    subscribed(&gateway).await?;
    let poison = b"X \x00\xff poison";
    publish(&broker, &[b"a", b"b", b"c", poison, b"d", b"e", b"L loops", b"f"]).await?;
    assert_eq!(bytes_read(&gateway, 6).await?, "abcdef", "the others, in order, each once");
    let line = gateway.connection("line", "both letters", |line| line.dead_letters == 2).await?;
    assert_eq!(line.counters["frames_given_up"], 2);
    let letters = gateway.api.dead_letters().await?;
    let codes: Vec<&str> = letters.iter().rev().filter_map(|letter| letter["code"].as_str()).collect();
    assert_eq!(codes, ["trap", "deadline"]);
    let trapped = &letters[1];
    assert_eq!((trapped["topic"].as_str(), trapped["tries"].as_u64()), (Some("plant/press"), Some(2)), "{trapped}");
    assert_eq!((trapped["payload_bytes"].as_u64(), trapped["is_cut"].as_bool()), (Some(11), Some(false)));
    let id = trapped["id"].to_string();
    let shown = gateway.command(["dead-letters", "show", &id]).await?.expect_code(0)?;
    ensure!(shown.stdout.contains("58 20 00 ff 20 70") && shown.stdout.contains("X .. poison"), "{shown}");
    gateway.command(["dead-letters", "replay", &id]).await?.expect_code(1)?;
    assert_eq!(gateway.api.json(&format!("/api/v1/dead-letters/{id}")).await?["tries"], 3);

    // Acknowledged: the broker does not send them again to a gateway that was killed.
    let gateway = gateway.kill().await?.run().await?;
    subscribed(&gateway).await?;
    publish(&broker, &[b"g"]).await?;
    assert_eq!(bytes_read(&gateway, 7).await?, "abcdefg");
    assert_eq!(gateway.api.connection("line").await?.counters["frames_given_up"], 0, "no endless redelivery");
    assert_eq!(gateway.api.dead_letters().await?.len(), 2, "they are still there");

    let (site, _) = gateway.terminate().await?;
    std::fs::write(site.path("adapters/fragile.wasm"), fragile_adapter(Fragility::Mended)?)?;
    let gateway = site.run().await?;
    subscribed(&gateway).await?;
    gateway.command(["dead-letters", "replay", &id]).await?.expect_code(0)?;
    assert_eq!(bytes_read(&gateway, 8).await?, "abcdefgX", "a replayed frame is read as a new one");
    gateway.command(["dead-letters", "discard", "--connection", "line"]).await?.expect_code(0)?;
    assert_eq!(gateway.api.connection("line").await?.dead_letters, 0);
    Ok(())
}

/// Numbers that look random and are the same in every run (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

#[tokio::test]
async fn through_any_mix_of_failures_each_reading_arrives_in_order_or_is_a_dead_letter_once() -> Result<()> {
    const COUNT: i64 = 600;
    for seed in [3, 1_000_003, 77_777_777] {
        let upstream = Upstream::start(UpstreamConfig::default()).await?;
        upstream.reject(unlucky);
        let impatient = config(&upstream, "batch_max_readings = 10")
            .replace("kind = \"http\"", "kind = \"http\"\ntimeout_ms = 100\nmax_response_bytes = 1000");
        let mut gateway = Gateway::start(&impatient).await?;
        let mut dice = Dice(seed);
        let misbehaviour = |dice: &mut Dice| match dice.roll(8) {
            0 => Misbehaviour::status(500),
            1 => Misbehaviour::retry_later(503, 0),
            2 => Misbehaviour::Hang,
            3 => Misbehaviour::Close,
            4 => Misbehaviour::AcceptThenClose,
            5 => Misbehaviour::CloseMidResponse,
            6 => Misbehaviour::HugeBody(10_000),
            _ => Misbehaviour::Delay(std::time::Duration::from_millis(5)),
        };
        for first in (1..=COUNT).step_by(100) {
            upstream.script((0..8).map(|_| misbehaviour(&mut dice)));
            commit_numbers(&gateway, first..first + 100).await?;
            if dice.roll(3) == 0 {
                gateway = gateway.kill().await?.run().await?;
            }
        }
        // Numbers of the log are skipped at a kill: the end is where nothing is left.
        let through = |route: &bulkhead_tests::Route| route.backlog == 0 && route.dead_letters == COUNT as u64 / 13;
        gateway.route("up", "the route to be through", through).await?;
        let mut seen = BTreeSet::new();
        let accepted = upstream.accepted();
        let arrived = accepted.iter().filter_map(|one| one.body["n"].as_i64());
        let first_arrivals: Vec<i64> = arrived.filter(|number| seen.insert(*number)).collect();
        let expected: Vec<i64> = (1..=COUNT).filter(|number| number % 13 != 0).collect();
        assert_eq!(first_arrivals, expected, "seed {seed}: none missing, in order");
        let mut keys: BTreeMap<i64, BTreeSet<&str>> = BTreeMap::new();
        for one in &accepted {
            let key = one.idempotency_key.as_deref().context("a request without key")?;
            keys.entry(one.body["n"].as_i64().unwrap_or_default()).or_default().insert(key);
        }
        let twice: Vec<_> = keys.iter().filter(|(_, keys)| keys.len() > 1).collect();
        ensure!(twice.is_empty(), "seed {seed}: what comes again comes under the same key: {twice:?}");
        let letters = gateway.api.dead_letters().await?;
        let dead: Vec<i64> = letters.iter().rev().filter_map(|letter| letter["value"].as_i64()).collect();
        assert_eq!(dead, (1..=COUNT / 13).map(|number| number * 13).collect::<Vec<_>>(), "seed {seed}");
    }
    Ok(())
}
