//! Requests as Power BI, Excel, SAPUI5 and others send them, written to the gateway's socket byte by byte. The clients themselves
//! run in `cargo xtask test-clients`.

use anyhow::{Result, ensure};
use bulkhead_tests::clients::{World, recorded};

#[tokio::test]
async fn recorded_requests_are_answered_as_their_clients_need_it() -> Result<()> {
    let world = World::start(None).await?;
    let checks = recorded::replay_all(&world).await?;
    let failed: Vec<_> = checks.iter().filter(|check| check.failure.is_some()).collect();
    ensure!(failed.is_empty(), "{failed:#?}");
    ensure!(checks.len() > 20, "there are records of only {} exchanges", checks.len());
    Ok(())
}
