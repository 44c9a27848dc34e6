//! Faults brought about on purpose, and an oracle that says what they cost: `cargo xtask soak`. Each fault has a full
//! form, whose figures stand in docs/loss.md, and a short one, which `tests/soak.rs` runs; they are the same code with
//! other numbers of trials.
//!
//! A source with ids of its own sends to the gateway, which delivers to a sink: what the source got acknowledged must be
//! at the sink, whole, in order, and repeated only as far as the fault explains.

mod broker;
mod dice;
mod failpoints;
mod ids;
mod kill;
mod line;
mod memory;
mod oracle;
mod outcome;
mod producer;
mod publisher;
mod sink;
mod sink_down;
mod sink_mayhem;
mod strace;
mod subject;
mod syncs;

pub use outcome::{Outcome, table};

use anyhow::{Result, bail};

/// A fault that can be brought about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Its name on the command line.
    pub name: &'static str,
    /// What is done, in a line.
    pub about: &'static str,
    /// Trials of the full form, in the unit of `about`.
    pub full: u64,
    /// Trials of the short form.
    pub short: u64,
}

/// All faults.
pub const FAULTS: [Fault; 6] = [
    Fault { name: "kill", about: "SIGKILL at random instants under load", full: 200, short: 6 },
    Fault { name: "failpoints", about: "SIGKILL at each of eight places of the log's work", full: 20, short: 1 },
    Fault { name: "sink-down", about: "the sink is away for so many readings", full: 1_000_000, short: 50_000 },
    Fault { name: "sink-mayhem", about: "the sink refuses, hangs, cuts and talks nonsense", full: 300, short: 15 },
    Fault { name: "broker", about: "mosquitto restarts, with its sessions and without", full: 100, short: 2 },
    Fault { name: "syncs", about: "commits, each of which must be synced", full: 5_000, short: 300 },
];

/// Brings a fault about so often, and says what it cost.
///
/// # Errors
/// Where the trials cannot be carried out, or the gateway does not come back.
pub async fn run(name: &str, trials: u64) -> Result<Vec<Outcome>> {
    Ok(match name {
        "kill" => vec![kill::run(trials).await?],
        "failpoints" => failpoints::run(trials).await?,
        "sink-down" => vec![sink_down::run(trials).await?],
        "sink-mayhem" => vec![sink_mayhem::run(trials).await?],
        "broker" => broker::run(trials).await?,
        "syncs" => vec![syncs::run(trials).await?],
        _ => bail!("no fault is named {name}"),
    })
}
