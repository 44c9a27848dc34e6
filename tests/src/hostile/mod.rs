//! Hostile adapters and what the gateway makes of them: the cases of docs/specs/hostile-adapters.md, each with its outcome measured.
//!
//! One gateway with four polled neighbours lives through all cases of a group, one after the other: a reload brings the hostile
//! connection, another takes it away. Measured are the time from an act's beginning to its end (the adapter says when it begins, the
//! gateway's journal when it ended), the gateway's peak of memory, the times between polls as the neighbours' devices see them,
//! and what API and journal say.

mod case;
mod cases;
mod guest;
mod journal;
mod neighbours;
mod plant;
mod row;
mod stage;
mod trial;

pub use neighbours::{INTERVAL as NEIGHBOURS_INTERVAL, Neighbours};
pub use row::{Row, table};

use anyhow::Result;
use plant::Plant;

/// The name of every hostile connection.
const NAME: &str = "hostile";

/// The groups of cases, with what they are about.
pub const GROUPS: [(u8, &str); 11] = [
    (1, "computing for ever"),
    (2, "memory, tables, stack, large modules"),
    (3, "huge and malformed results"),
    (4, "the journal"),
    (5, "storms of host calls, handles, re-entrance"),
    (6, "traps"),
    (7, "what is not granted"),
    (8, "points and readings"),
    (9, "files that are no adapter"),
    (10, "the durable memory"),
    (11, "signed bundles"),
];

/// Runs the cases of a group in a gateway of their own. `polls`: how many polls of the neighbours each case is watched for at
/// least. `only`: the cases whose name contains this.
///
/// # Errors
/// Where the gateway or its neighbours cannot be started. What a case breaks is in its row.
pub async fn run(group: u8, polls: usize, only: &str) -> Result<Vec<Row>> {
    run_with("", group, polls, only).await
}

/// The same in a gateway whose config has these sections besides.
///
/// # Errors
/// As [`run`].
pub async fn run_with(sections: &str, group: u8, polls: usize, only: &str) -> Result<Vec<Row>> {
    let cases: Vec<case::Case> = cases::of(group).into_iter().filter(|case| case.name.contains(only)).collect();
    let mut rows = Vec::with_capacity(cases.len());
    if cases.is_empty() {
        return Ok(rows);
    }
    let security = if group == 11 { cases::bundles::security() } else { String::new() };
    let plant = Plant::start(&format!("{security}{sections}")).await?;
    for case in cases {
        rows.push(trial::run(&plant, case, polls).await);
    }
    plant.gateway.terminate().await?;
    Ok(rows)
}
