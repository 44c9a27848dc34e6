//! Runs in turn: one by hand, one through the gateway, and so on, so that what else the machine does falls on both; and
//! rates between two moments, so that starting and stopping does not count.

use crate::figure::say;
use anyhow::{Result, bail, ensure};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Longest wait for an amount of rows.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// Medians of what both sides came to, by hand first.
pub(crate) fn in_turn(
    rounds: u16,
    unit: &str,
    mut by_hand: impl FnMut() -> Result<f64>,
    mut gateway: impl FnMut() -> Result<f64>,
) -> Result<(f64, f64)> {
    let (mut reference, mut measured) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        reference.push(by_hand()?);
        measured.push(gateway()?);
        let (hand, ours) = (reference.last().unwrap_or(&0.0), measured.last().unwrap_or(&0.0));
        say(&format!("  round {round}: by hand {hand:.0} {unit}, gateway {ours:.0} {unit}, ratio {:.2}", ours / hand));
    }
    Ok((median(reference), median(measured)))
}

/// The middle one; the lower of two.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}

/// Rows a second over a time, after another time to warm up.
pub(crate) async fn rate_over(committed: &watch::Receiver<u64>, warm_up: Duration, time: Duration) -> Result<f64> {
    tokio::time::sleep(warm_up).await;
    let (start, before) = (Instant::now(), *committed.borrow());
    ensure!(before > 0, "nothing was committed within {} ms", warm_up.as_millis());
    tokio::time::sleep(time).await;
    let after = *committed.borrow();
    Ok((after - before) as f64 / start.elapsed().as_secs_f64())
}

/// Rows a second from the fifth part of an amount to all of it.
pub(crate) async fn rate_until(committed: &watch::Receiver<u64>, rows: u64) -> Result<f64> {
    let mut committed = committed.clone();
    let before = reached(&mut committed, rows / 5).await?;
    let start = Instant::now();
    let after = reached(&mut committed, rows).await?;
    Ok((after - before) as f64 / start.elapsed().as_secs_f64())
}

/// Waits until so many rows are committed; how many there are then.
pub(crate) async fn reached(committed: &mut watch::Receiver<u64>, rows: u64) -> Result<u64> {
    let waited = tokio::time::timeout(WAIT_MAX, committed.wait_for(|now| *now >= rows)).await;
    let now = waited.map(|now| now.map(|now| *now));
    match now {
        Ok(now) => Ok(now?),
        Err(_) => bail!("{} of {rows} rows were committed within {} s", *committed.borrow(), WAIT_MAX.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.0);
        assert_eq!(median(vec![]), 0.0);
    }
}
