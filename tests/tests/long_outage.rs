//! An upstream that is away for long: the backlog lies on disk and not in memory, and drains in order at a multiple of
//! what comes in meanwhile. `BULKHEAD_SOAK_ROWS=1000000` makes it the long run.

use anyhow::{Context, Result, ensure};
use bulkhead_simulators::upstream::{Upstream, UpstreamConfig};
use bulkhead_tests::{Gateway, NUMBERS, commit_numbers};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Readings of the outage where nobody says otherwise.
const ROWS: i64 = 50_000;
/// Readings before it, so that everything has been in use once.
const WARM_ROWS: i64 = 20_000;
/// Readings committed at once.
const CHUNK_ROWS: i64 = 1_000;
/// Readings a second that come in while the backlog drains.
const LIVE_PER_S: i64 = 1_000;
/// How much faster the backlog must drain.
const DRAIN_FACTOR: i64 = 5;
/// What the backlog may cost in memory.
const GROWTH_MAX_MB: f64 = 32.0;

fn config(upstream: &Upstream) -> String {
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
body = '''[{{% for reading in readings %}}{{"n": {{{{ reading.value }}}}}}{{% if not loop.last %}},{{% endif %}}{{% endfor %}}]'''

[routes.up]
select = ["source/*"]
to = "erp"
batch_max_readings = 1000
batch_max_age_ms = 50
retry_first_ms = 10
retry_max_ms = 200
"#,
        upstream.url()
    )
}

fn rows() -> i64 {
    std::env::var("BULKHEAD_SOAK_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(ROWS)
}

async fn resident_mb(gateway: &Gateway) -> Result<f64> {
    let (_, text) = gateway.api.get("/metrics").await?;
    let bytes = text.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
    Ok(bytes.context("no resident memory")?.trim().parse::<f64>()? / 1e6)
}

/// Commits the numbers from one to another.
async fn commit(gateway: &Gateway, from: i64, to: i64) -> Result<()> {
    let mut next = from;
    while next <= to {
        let last = (next + CHUNK_ROWS - 1).min(to);
        commit_numbers(gateway, next..=last).await?;
        next = last + 1;
    }
    Ok(())
}

/// What the upstream has taken: how many, and the last of them, each exactly one above the one before.
#[derive(Debug, Default)]
struct Taken {
    last: i64,
    out_of_order: Vec<(i64, i64)>,
}

impl Taken {
    fn take(&mut self, number: i64) {
        if number != self.last + 1 && self.out_of_order.len() < 10 {
            self.out_of_order.push((self.last, number));
        }
        self.last = number;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_outage_costs_disk_not_memory_and_the_backlog_drains_in_order_while_readings_come_in() -> Result<()> {
    let rows = rows();
    let mut upstream = Upstream::start(UpstreamConfig::default()).await?;
    let taken = Arc::new(Mutex::new(Taken::default()));
    let watched = taken.clone();
    upstream.reject(move |body| {
        watched.lock().expect("nobody panics here").take(body["n"].as_i64().unwrap_or(-1));
        None
    });
    let gateway = Gateway::start(&config(&upstream)).await?;
    commit(&gateway, 1, WARM_ROWS).await?;
    let caught_up = |cursor| move |route: &bulkhead_tests::Route| i64::try_from(route.cursor).unwrap_or(0) >= cursor;
    gateway.route("up", "the first readings to be through", caught_up(WARM_ROWS)).await?;
    let before_mb = resident_mb(&gateway).await?;

    upstream.stop().await;
    upstream.forget_accepted();
    let outage = Instant::now();
    commit(&gateway, WARM_ROWS + 1, WARM_ROWS + rows).await?;
    let outage = outage.elapsed();
    let route = gateway.route("up", "the route to wait", |route| route.state == "waiting").await?;
    ensure!(i64::try_from(route.backlog)? >= rows - CHUNK_ROWS, "{route:?}");
    let grown_mb = resident_mb(&gateway).await? - before_mb;

    upstream.restart().await?;
    let drain = Instant::now();
    let backlog_end = WARM_ROWS + rows;
    let mut live_end = backlog_end;
    let mut live_while_draining = 0;
    let mut tick = tokio::time::interval(Duration::from_secs(1) * u32::try_from(CHUNK_ROWS / LIVE_PER_S)?);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The live readings come at their own pace, not at that of the backlog.
    while i64::try_from(gateway.api.route("up").await?.cursor)? < backlog_end {
        tick.tick().await;
        commit(&gateway, live_end + 1, live_end + CHUNK_ROWS).await?;
        live_end += CHUNK_ROWS;
        upstream.forget_accepted();
        if i64::try_from(gateway.api.route("up").await?.cursor)? < backlog_end {
            live_while_draining += CHUNK_ROWS;
        }
    }
    let drained = drain.elapsed();
    let after_mb = resident_mb(&gateway).await? - before_mb;
    gateway.route("up", "everything to be through", caught_up(live_end)).await?;
    let rate = rows as f64 / drained.as_secs_f64();
    println!(
        "| readings | outage | committed meanwhile, a second | memory in the outage | after it | drained, a second | live meanwhile |\n\
         |---|---|---|---|---|---|---|\n\
         | {rows} | {:.1} s | {:.0} | {grown_mb:+.1} MB | {after_mb:+.1} MB | {rate:.0} | {live_while_draining} |",
        outage.as_secs_f64(),
        rows as f64 / outage.as_secs_f64(),
    );
    let taken = taken.lock().expect("nobody panics here");
    ensure!(taken.out_of_order.is_empty() && taken.last == live_end, "lost, repeated or out of order: {taken:?}");
    ensure!(grown_mb <= GROWTH_MAX_MB && after_mb <= GROWTH_MAX_MB, "memory grew by {grown_mb} MB, {after_mb} MB");
    ensure!(rate >= (DRAIN_FACTOR * LIVE_PER_S) as f64, "the backlog drained at {rate:.0} readings a second");
    Ok(())
}
