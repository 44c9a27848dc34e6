//! Faults brought about on purpose, and an oracle that says what they cost: `cargo xtask soak`. Each fault has a full
//! form, whose figures stand in docs/loss.md, and a short one, which `tests/soak.rs` runs; they are the same code with
//! other numbers of trials.
//!
//! A source with ids of its own sends to the gateway, which delivers to a sink: what the source got acknowledged must be
//! at the sink, whole, in order, and repeated only as far as the fault explains.

mod broker;
mod dice;
mod failpoints;
mod faults;
mod ids;
mod kill;
mod line;
pub(crate) mod memory;
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

pub use faults::{By, FAULTS, Fault};
pub use outcome::{Outcome, table};

use anyhow::{Result, bail};

/// Brings a fault about so often, and says what it cost.
///
/// # Errors
/// Where the trials cannot be carried out, the gateway does not come back, or another test is to do it ([`By::Test`]).
pub async fn run(name: &str, trials: u64) -> Result<Vec<Outcome>> {
    Ok(match name {
        "kill" => vec![kill::run(trials).await?],
        "failpoints" => failpoints::run(trials).await?,
        "sink-down" => vec![sink_down::run(trials).await?],
        "sink-mayhem" => vec![sink_mayhem::run(trials).await?],
        "broker" => broker::run(trials).await?,
        "syncs" => vec![syncs::run(trials).await?],
        _ => bail!("this does not bring about {name}"),
    })
}
