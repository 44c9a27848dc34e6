//! Hostile adapters in a gateway with neighbours, a group a test: the short form of `cargo xtask hostile`. The cases and what is
//! measured stand in docs/specs/hostile-adapters.md.

use anyhow::{Result, ensure};
use bulkhead_tests::hostile::{Row, run, run_with, table};

/// Polls of the neighbours that each case is watched for at least.
const POLLS: usize = 120;

/// Runs a group; `BULKHEAD_HOSTILE_ONLY` chooses among its cases by a part of their names.
async fn rows_of(group: u8) -> Result<Vec<Row>> {
    let only = std::env::var("BULKHEAD_HOSTILE_ONLY").unwrap_or_default();
    let rows = run(group, POLLS, &only).await?;
    ensure!(!rows.is_empty() || !only.is_empty(), "group {group} has no case");
    Ok(rows)
}

/// Adapters and hostile guests interpreted by Pulley: a case of each kind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pulley_keeps_the_same_promises() -> Result<()> {
    for (group, only) in [(1, "in poll"), (2, "memory until"), (6, "in poll")] {
        let rows = run_with("[sandbox]\nengine = \"pulley\"\n\n", group, POLLS, only).await?;
        ensure!(rows.len() == 1 && rows.iter().all(Row::is_kept), "a promise is broken:\n{}", table(&rows));
    }
    Ok(())
}

macro_rules! groups {
    ($($name:ident: $group:literal,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() -> Result<()> {
                let rows = rows_of($group).await?;
                println!("{}", table(&rows));
                ensure!(rows.iter().all(Row::is_kept), "a promise is broken:\n{}", table(&rows));
                Ok(())
            }
        )*
    };
}

groups! {
    computing_for_ever: 1,
    memory_tables_stack_and_large_modules: 2,
    huge_and_malformed_results: 3,
    the_journal: 4,
    storms_of_host_calls: 5,
    traps: 6,
    what_is_not_granted: 7,
    points_and_readings: 8,
    files_that_are_no_adapter: 9,
    the_durable_memory: 10,
    signed_bundles: 11,
}
