//! Faults brought about on purpose, and an oracle that says what they cost: `cargo xtask soak`. Each fault has a full
//! form, whose figures stand in docs/loss.md, and a short one, which `tests/soak.rs` runs; they are the same code with
//! other numbers of trials.
//!
//! A source with ids of its own sends to the gateway, which delivers to a sink: what the source got acknowledged must be
//! at the sink, whole, in order, and repeated only as far as the fault explains.

mod dice;
mod ids;
mod kill;
mod line;
mod oracle;
mod outcome;
mod producer;
mod sink;
mod subject;

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
pub const FAULTS: [Fault; 1] =
    [Fault { name: "kill", about: "SIGKILL at random instants under load", full: 200, short: 6 }];

/// Brings a fault about so often, and says what it cost.
///
/// # Errors
/// Where the trials cannot be carried out, or the gateway does not come back.
pub async fn run(name: &str, trials: u64) -> Result<Vec<Outcome>> {
    Ok(match name {
        "kill" => vec![kill::run(trials).await?],
        _ => bail!("no fault is named {name}"),
    })
}
