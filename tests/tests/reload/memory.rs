//! Reloads again and again: the memory stays what it was.

use crate::plants::{device, polled, trials};
use anyhow::{Result, ensure};
use bulkhead_simulators::upstream::{Upstream, UpstreamConfig};
use bulkhead_tests::{Gateway, http_client, http_sink};
use serde_json::Value as Json;

/// Reloads in the suite; `BULKHEAD_SOAK_TRIALS` says otherwise, four for each.
const RELOADS: u64 = 48;
/// Growth that is none: allocators keep some pages now and not then.
const GROWTH_MAX_BYTES: u64 = 6 << 20;

#[tokio::test]
async fn the_memory_stays_flat_over_many_reloads() -> Result<()> {
    let (device, upstream) = (device().await?, Upstream::start(UpstreamConfig::default()).await?);
    let plant = |odd: bool| {
        let interval_ms = if odd { 30 } else { 20 };
        let route = "\n[routes.up]\nselect = [\"plc/*\"]\nto = \"erp\"\nbatch_max_age_ms = 10\n";
        polled("plc", &device, interval_ms)
            + &http_sink("erp", &upstream.url(), &format!("timeout_ms = {interval_ms}000"))
            + route
    };
    let gateway = Gateway::start(&plant(false)).await?;
    let text = gateway.site().config()?;
    let client = http_client()?;
    let reloads = trials(RELOADS / 4) * 4;
    let mut after_warming = 0;
    for number in 1..=reloads {
        gateway.site().write_file("gateway.toml", &text.replace(&plant(false), &plant(number % 2 == 1)))?;
        let request = client.post(gateway.api.url("/api/v1/config/reload"));
        let answer: Json = request.send().await?.error_for_status()?.json().await?;
        ensure!(answer["restarted"].as_array().is_some_and(|parts| parts.len() == 3), "{answer}");
        gateway.connection("plc", "a poll", |plc| plc.counters["polls"] >= 1).await?;
        if number == reloads / 4 {
            after_warming = gateway.resident_bytes()?;
        }
    }
    let at_the_end = gateway.resident_bytes()?;
    let grown = at_the_end.saturating_sub(after_warming);
    println!("| reloads | memory after a quarter | at the end |\n| --- | --- | --- |");
    println!("| {reloads} | {} KiB | {} KiB |", after_warming >> 10, at_the_end >> 10);
    ensure!(grown <= GROWTH_MAX_BYTES, "{reloads} reloads took {grown} bytes more");
    gateway.terminate().await?;
    Ok(())
}
