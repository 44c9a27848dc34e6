//! SIGKILL at random instants under load: while the gateway works, and while it starts again.

use super::line::{Line, Setup};
use super::outcome::Outcome;
use crate::dice::Dice;
use anyhow::Result;
use std::time::Duration;

/// Longest time under load before a kill.
const LOAD_MAX_MS: u64 = 400;
/// Longest time after the start of the process before it is killed again while it starts.
const STARTING_MAX_MS: u64 = 400;
/// One restart in so many is killed while it starts.
const STARTING_ONE_IN: u64 = 8;
/// Readings that must have been acknowledged, for each kill.
const ACKNOWLEDGED_A_KILL: u64 = 500;

/// Kills so often.
pub(crate) async fn run(kills: u64) -> Result<Outcome> {
    let mut line = Line::new(Setup::SMALL).await?;
    let mut dice = Dice::from_environment();
    line.producer.allow_all();
    line.subject.start().await?;
    line.recover(line.mark()).await?;
    let (mut done, mut while_starting) = (0, 0);
    while done < kills {
        tokio::time::sleep(Duration::from_millis(dice.below(LOAD_MAX_MS))).await;
        line.subject.kill().await?;
        done += 1;
        if dice.below(STARTING_ONE_IN) == 0 && done < kills {
            line.subject.start_only()?;
            tokio::time::sleep(Duration::from_millis(dice.below(STARTING_MAX_MS))).await;
            line.subject.kill().await?;
            done += 1;
            while_starting += 1;
        }
        let since = line.mark();
        line.subject.start().await?;
        line.recover(since).await?;
    }
    line.producer.wait_acknowledged(kills * ACKNOWLEDGED_A_KILL).await;
    let mut outcome = line.finish("kill", kills, kills).await?;
    outcome.notes.push(format!("{while_starting} of the kills while it started"));
    outcome.notes.push(dice.seed_note());
    Ok(outcome)
}
