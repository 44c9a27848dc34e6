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
