//! A sink that refuses, hangs, cuts, answers slowly or with garbage, as chance will have it.

use super::line::{Line, Setup};
use super::outcome::Outcome;
use crate::dice::Dice;
use crate::wait::PATIENCE;
use anyhow::{Context, Result};
use bulkhead_simulators::upstream::Misbehaviour;
use std::time::Duration;

/// Readings that come for each scripted answer: a whole batch, so that there is a request for each.
const READINGS_AN_ANSWER: u64 = Setup::SMALL.batch_max;
/// Behind one misbehaviour in so many a request is answered as it should be.
const RIGHT_ONE_IN: u64 = 3;
/// Longest time a misbehaviour may take: a Retry-After of a second, or the timeout of a request, and the waits behind it.
const TRIAL_MAX: Duration = Duration::from_secs(3);

/// A timeout that is short against the hangs.
const SETUP: Setup = Setup { transport: "timeout_ms = 300", ..Setup::SMALL };

/// So many misbehaviours.
pub(crate) async fn run(trials: u64) -> Result<Outcome> {
    let mut line = Line::new(SETUP).await?;
    let mut dice = Dice::from_environment();
    let (mut repeats, mut answers) = (0, trials);
    for _ in 0..trials {
        let (misbehaviour, may_repeat) = choose(&mut dice);
        repeats += u64::from(may_repeat);
        line.sink.upstream.next(misbehaviour, 1);
        if dice.below(RIGHT_ONE_IN) == 0 {
            line.sink.upstream.next(Misbehaviour::Delay(Duration::ZERO), 1);
            answers += 1;
        }
    }
    line.producer.allow(answers * READINGS_AN_ANSWER);
    line.subject.start().await?;
    let all = line.sink.upstream.wait_until(|stats| stats.misbehaved >= answers);
    let longest = PATIENCE + TRIAL_MAX * u32::try_from(trials)?;
    tokio::time::timeout(longest, all).await.with_context(|| line.subject.situation())?;
    let since = line.mark();
    line.producer.allow_all();
    line.recover(since).await?;
    let mut outcome = line.finish("sink-mayhem", trials, repeats).await?;
    outcome.notes.push(format!("{repeats} of the requests may have been accepted without the gateway's knowing"));
    outcome.notes.push(dice.seed_note());
    Ok(outcome)
}

/// A misbehaviour, and whether the sink may accept the batch without the gateway's learning it.
fn choose(dice: &mut Dice) -> (Misbehaviour, bool) {
    let garbage = |code| Misbehaviour::Status { code, body: "{\"\u{1}]garbage".into(), retry_after: None };
    match dice.below(14) {
        0 => (Misbehaviour::status(500), false),
        1 => (Misbehaviour::status(502), false),
        2 => (Misbehaviour::status(504), false),
        3 => (garbage(500), false),
        4 => (garbage(503), false),
        5 => (Misbehaviour::retry_later(429, 1), false),
        6 => (Misbehaviour::retry_later(503, 1), false),
        7 => (Misbehaviour::Hang, false),
        8 => (Misbehaviour::Close, false),
        9 => (Misbehaviour::AcceptThenClose, true),
        10 => (Misbehaviour::CloseMidResponse, true),
        11 => (Misbehaviour::SlowBody(Duration::from_millis(100)), true),
        12 => (Misbehaviour::Delay(Duration::from_millis(300)), true),
        _ => (Misbehaviour::HugeBody(64 << 20), true),
    }
}
