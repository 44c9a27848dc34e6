//! What a kill costs: nothing that was acknowledged to its source, and nothing that was on its way.

use anyhow::{Context, Result, ensure};
use bulkhead_simulators::upstream::{Upstream, UpstreamConfig};
use bulkhead_tests::{
    Gateway, Mosquitto, MosquittoListener, NumberStream, Reading, compare, http_sink, prompt_route, within,
};
use std::collections::BTreeSet;

const COUNT: u64 = 6000;
/// The gateway is killed whenever its log has grown by this much.
const KILL_EVERY: usize = 1200;

fn config(broker: &Mosquitto, upstream: &Upstream) -> String {
    let log = "[log]\ncommit_max_rows = 100\nsegment_max_rows = 1000\n";
    let line = NumberStream::connection(&broker.address(), "");
    let route = prompt_route("up", "line/*", "erp", "batch_max_readings = 100");
    format!("{log}{line}{}{route}", http_sink("erp", &upstream.url(), ""))
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

    let readings = gateway.api.readings().await?;
    ensure!(readings.windows(2).all(|pair| pair[0].seq < pair[1].seq), "seqs go up");
    readings.iter().try_for_each(|reading| number(reading).map(drop))?;
    let logged = NumberStream::logged(&readings, COUNT)?;
    assert_eq!(logged.len(), readings.len(), "none invented");

    gateway.route("up", "the route to be through", |route| route.backlog == 0).await?;
    let repeats = compare(&upstream.accepted(), &logged)?;
    assert_eq!(repeats.under_two_keys, 0, "a batch that came again did so under the key of its first time");
    Ok(())
}
