//! Routes that come, go and change their names: where they begin, and what is kept of those that are gone.

use crate::plants::{device, polled};
use anyhow::{Result, ensure};
use bulkhead_simulators::upstream::{Misbehaviour, Upstream, UpstreamConfig};
use bulkhead_tests::{Gateway, Site, http_client, http_sink, prompt_route, until};
use reqwest::StatusCode;

fn route(name: &str, more: &str) -> String {
    prompt_route(name, "plc/*", "erp", more)
}

async fn reload(gateway: &Gateway, text: &str) -> Result<()> {
    gateway.site().write_file("gateway.toml", text)?;
    gateway.command(["reload"]).await?.expect_code(0)?;
    Ok(())
}

fn seqs(upstream: &Upstream) -> Vec<u64> {
    upstream.accepted().iter().filter_map(|accepted| accepted.body["seq"].as_u64()).collect()
}

#[tokio::test]
async fn a_renamed_route_goes_on_and_a_new_one_begins_where_it_says() -> Result<()> {
    let (device, upstream) = (device().await?, Upstream::start(UpstreamConfig::default()).await?);
    let plant = polled("plc", &device, 10) + &http_sink("erp", &upstream.url(), "");
    let site = Site::new(&plant)?;
    let text = site.config()?;
    site.write_file("gateway.toml", &(text.clone() + &route("old", "")))?;
    let gateway = site.run().await?;
    upstream.wait_for(20).await;
    upstream.always(Misbehaviour::status(503));
    gateway.route("old", "a backlog", |route| route.backlog >= 20).await?;
    let cursor = gateway.api.route("old").await?.cursor;

    reload(&gateway, &(text.clone() + &route("new", "renamed_from = \"old\""))).await?;
    gateway.journal.wait_for_texts(&["goes on where it was under its former name", "former=\"old\""]).await?;
    ensure!(gateway.api.route("new").await?.cursor == cursor, "the cursor came along");
    upstream.behave();
    let newest = gateway.api.readings().await?.last().map_or(0, |reading| reading.seq);
    gateway.route("new", "the backlog drained", |route| route.cursor >= newest).await?;
    let sent = seqs(&upstream);
    let expected: Vec<u64> = (1..=*sent.last().unwrap_or(&0)).collect();
    ensure!(sent == expected, "each once and in order: {sent:?}");

    // A route that begins at a seq sends again from there; one that begins now sends nothing of before.
    let off = text.clone() + &route("new", "enabled = false");
    reload(&gateway, &off).await?;
    upstream.forget_accepted();
    let middle = newest / 2;
    reload(&gateway, &(off + &route("from-middle", &format!("from = {middle}")))).await?;
    until("the second half again", async || {
        let seqs = seqs(&upstream);
        Ok(if seqs.contains(&newest) { Ok(()) } else { Err(format!("{seqs:?}")) })
    })
    .await?;
    ensure!(seqs(&upstream)[0] == middle, "{:?}", seqs(&upstream));
    gateway.terminate().await?;
    Ok(())
}

#[tokio::test]
async fn a_route_that_begins_now_sends_nothing_of_before_and_a_removed_one_is_kept_until_forgotten() -> Result<()> {
    let (device, upstream) = (device().await?, Upstream::start(UpstreamConfig::default()).await?);
    let plant = polled("plc", &device, 10) + &http_sink("erp", &upstream.url(), "");
    let gateway = Gateway::start(&plant).await?;
    let text = gateway.site().config()?;
    gateway.reading("some readings", |reading| reading.seq >= 20).await?;
    reload(&gateway, &(text.clone() + &route("now", "from = \"now\""))).await?;
    upstream.wait_for(3).await;
    ensure!(seqs(&upstream)[0] > 20, "{:?}", seqs(&upstream));

    reload(&gateway, &text).await?;
    let cursor = gateway.api.json("/api/v1/routes").await?["removed"].clone();
    ensure!(cursor[0]["name"] == "now" && cursor[0]["cursor"].as_u64() > Some(20), "{cursor}");
    let client = http_client()?;
    let forget = async |name: &str| -> Result<StatusCode> {
        Ok(client.delete(gateway.api.url(&format!("/api/v1/routes/{name}"))).send().await?.status())
    };
    ensure!(forget("now").await? == StatusCode::NO_CONTENT);
    ensure!(forget("now").await? == StatusCode::NOT_FOUND, "there is nothing left");
    ensure!(gateway.api.json("/api/v1/routes").await?["removed"] == serde_json::json!([]));
    reload(&gateway, &(text + &route("now", ""))).await?;
    ensure!(forget("now").await? == StatusCode::CONFLICT, "a route of the config is not forgotten");
    gateway.terminate().await?;
    Ok(())
}
