//! The short forms of `cargo xtask soak`: the same faults by the same code, a few trials each.

use anyhow::{Context, Result};
use bulkhead_tests::soak;

async fn short(name: &str) -> Result<()> {
    let fault = soak::FAULTS.iter().find(|fault| fault.name == name).context("no such fault")?;
    let outcomes = soak::run(fault.name, fault.short).await?;
    assert!(!outcomes.is_empty() && outcomes.iter().all(soak::Outcome::is_kept), "\n{}", soak::table(&outcomes));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_at_random_instants_lose_nothing() -> Result<()> {
    short("kill").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_at_each_place_of_the_logs_work_lose_nothing() -> Result<()> {
    short("failpoints").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_that_was_down_gets_everything_in_order_and_the_gateway_stays_small() -> Result<()> {
    short("sink-down").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_that_misbehaves_gets_everything_in_order() -> Result<()> {
    short("sink-mayhem").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_restarts_with_and_without_its_sessions_loses_nothing_of_ours() -> Result<()> {
    short("broker").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_commit_is_synced() -> Result<()> {
    short("syncs").await
}
