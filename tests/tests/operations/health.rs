//! The gateway's own health as readings of the connection `gateway`.

use anyhow::{Context, Result, ensure};
use bulkhead_simulators::upstream::{Upstream, UpstreamConfig};
use bulkhead_tests::{Gateway, NUMBERS, commit_numbers, until, within};

fn config(upstream: &Upstream) -> String {
    format!(
        r#"{NUMBERS}
[health]
interval_s = 1

[connections.erp]
adapter = "http-json"

[connections.erp.transports.upstream]
kind = "http"
base_url = "{}"
allow_methods = ["POST"]

[connections.erp.settings]
path = "/ingest"
body = '''[{{% for reading in readings %}}{{"from": {{{{ reading.connection }}}}, "point": {{{{ reading.point }}}}}}{{% if not loop.last %}},{{% endif %}}{{% endfor %}}]'''

[routes.all]
select = ["*/*"]
to = "erp"
batch_max_age_ms = 5

[routes.own]
select = ["gateway/*"]
to = "erp"
batch_max_age_ms = 5
"#,
        upstream.url()
    )
}

#[tokio::test]
async fn health_is_read_like_any_point_and_goes_upstream_where_a_route_names_it() -> Result<()> {
    let upstream = Upstream::start(UpstreamConfig::default()).await?;
    let gateway = Gateway::start(&config(&upstream)).await?;
    commit_numbers(&gateway, 1..=3).await?;
    let state = |name: &'static str| move |reading: &bulkhead_tests::Reading| reading.is_of(name) && reading.is_good();
    let running = gateway.reading("the source's state", state("gateway/connection.source.state")).await?;
    ensure!(running.value.is_string(), "{running:?}");
    let backlog = gateway.reading("a backlog", state("gateway/route.own.backlog")).await?;
    ensure!(backlog.value.is_u64(), "{backlog:?}");
    let latest = gateway.api.json("/api/v1/latest?connection=gateway").await?;
    let points = latest["readings"].as_array().context("no readings")?;
    ensure!(points.iter().any(|reading| reading["point"] == "process.resident_bytes"), "{latest}");

    let is_health = |stats: &bulkhead_simulators::upstream::UpstreamStats| stats.accepted > 30;
    within("health upstream", upstream.wait_until(is_health)).await.with_context(|| gateway.situation())?;
    let accepted = upstream.accepted();
    let of_route = |route: &str| {
        let from = |body: &serde_json::Value| body["from"] == route;
        accepted.iter().filter(|one| from(&one.body)).count()
    };
    ensure!(of_route("gateway") > 0, "{accepted:?}");
    // Both routes send the numbers' connection or the gateway's: `*/*` has none of the latter.
    let all = until("the numbers to be upstream", async || {
        let accepted = gateway.api.route("all").await?.accepted;
        Ok(if accepted >= 3 { Ok(accepted) } else { Err(format!("{accepted} accepted")) })
    })
    .await?;
    let own = gateway.api.route("own").await?.accepted;
    ensure!(all == 3 && own > 0, "all {all}, own {own}");
    gateway.terminate().await?;
    Ok(())
}
