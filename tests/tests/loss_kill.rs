//! What a kill costs: nothing that was acknowledged to its source, and nothing that was on its way.

use anyhow::{Context, Result, ensure};
use bulkhead_simulators::upstream::{Upstream, UpstreamConfig};
use bulkhead_tests::{Gateway, Mosquitto, MosquittoListener, NumberStream, Reading, within};
use std::collections::BTreeSet;

const COUNT: u64 = 6000;
/// The gateway is killed whenever its log has grown by this much.
const KILL_EVERY: usize = 1200;

fn config(broker: &Mosquitto, upstream: &Upstream) -> String {
    format!(
        r#"
[log]
commit_max_rows = 100
segment_max_rows = 1000

[connections.line]
adapter = "mqtt-json"

[connections.line.transports.broker]
kind = "mqtt"
address = "{}"
subscribe = ["plant/#"]
reconnect = {{ first_ms = 50, max_ms = 200 }}

[[connections.line.settings.topics]]
filter = "plant/+line/number"
points = [{{ path = "number", type = "integer" }}]

[connections.erp]
adapter = "http-json"

[connections.erp.transports.upstream]
kind = "http"
base_url = "{}"
allow_methods = ["POST"]

[connections.erp.settings]
path = "/ingest"
body = '''[{{% for reading in readings %}}{{"seq": {{{{ reading.seq }}}}, "n": {{{{ reading.value }}}}}}{{% if not loop.last %}},{{% endif %}}{{% endfor %}}]'''

[routes.up]
select = ["line/*"]
to = "erp"
batch_max_readings = 100
batch_max_age_ms = 5
retry_first_ms = 10
"#,
        broker.address(),
        upstream.url()
    )
}

fn number(reading: &Reading) -> Result<u64> {
    ensure!(reading.is_good() && reading.is_of("line/hall7.number"), "nobody sent {reading:?}");
    reading.value.as_u64().with_context(|| format!("no number: {reading:?}"))
}

/// Reads on until the log has so many readings, or all numbers.
async fn read_until(gateway: &Gateway, readings: usize) -> Result<BTreeSet<u64>> {
    let mut events = gateway.events().await?;
    let (mut count, mut seen) = (0, BTreeSet::new());
    while count < readings && seen.len() < usize::try_from(COUNT)? {
        let what = format!("reading {} of the log, with {} numbers", count + 1, seen.len());
        seen.insert(number(&within(&what, events.next()).await??)?);
        count += 1;
    }
    Ok(seen)
}

#[tokio::test]
async fn kills_amid_a_stream_lose_and_invent_nothing_from_the_device_to_the_upstream() -> Result<()> {
    let broker = Mosquitto::start(MosquittoListener::Plain).await?;
    let upstream = Upstream::start(UpstreamConfig::default()).await?;
    let mut gateway = Gateway::start(&config(&broker, &upstream)).await?;
    gateway.connection("line", "the broker to be subscribed", |line| line.transports[0].state == "up").await?;
    let stream = NumberStream::start(&broker.address(), "plant/hall7/number")?;
    stream.publish_to(COUNT);
    let mut kills = 0;
    let mut grown = KILL_EVERY;
    while read_until(&gateway, grown).await?.len() < usize::try_from(COUNT)? {
        gateway = gateway.kill().await?.run().await?;
        kills += 1;
        grown += KILL_EVERY;
    }
    ensure!(kills >= 3, "only {kills} kills");
    stream.finish().await?;
    let all: BTreeSet<u64> = (1..=COUNT).collect();

    let logged = gateway.api.readings().await?;
    ensure!(logged.windows(2).all(|pair| pair[0].seq < pair[1].seq), "seqs go up");
    let mut seen = BTreeSet::new();
    let mut first_arrivals = Vec::new();
    for reading in &logged {
        let number = number(reading)?;
        if seen.insert(number) {
            first_arrivals.push(number);
        }
    }
    assert_eq!(first_arrivals, all.iter().copied().collect::<Vec<_>>(), "none missing, none invented, in order");

    gateway.route("up", "the route to be through", |route| route.backlog == 0).await?;
    let mut at_upstream = BTreeSet::new();
    let mut sent: Vec<(u64, u64)> = Vec::new();
    for accepted in upstream.accepted() {
        let field = |name: &str| accepted.body[name].as_u64().with_context(|| format!("{accepted:?}"));
        if at_upstream.insert(field("seq")?) {
            sent.push((field("seq")?, field("n")?));
        }
    }
    let expected: Vec<(u64, u64)> =
        logged.iter().map(|reading| Ok((reading.seq, number(reading)?))).collect::<Result<_>>()?;
    assert_eq!(sent, expected, "the upstream has each reading of the log, in the log's order");
    // A batch that came again did so under the key of its first time.
    let mut seqs_by_key: std::collections::BTreeMap<String, BTreeSet<u64>> = std::collections::BTreeMap::new();
    for accepted in upstream.accepted() {
        let key = accepted.idempotency_key.clone().context("no key")?;
        seqs_by_key.entry(key).or_default().insert(accepted.body["seq"].as_u64().unwrap_or_default());
    }
    let under_keys: usize = seqs_by_key.values().map(BTreeSet::len).sum();
    assert_eq!(under_keys, expected.len(), "a reading never comes under two keys");
    Ok(())
}
