//! The work of [`crate::steady`] inside this process, where every commit is seen as it happens: how old is a value when it
//! is committed?

use crate::figure::Figure;
use crate::hand_modbus::now_ns;
use crate::in_process::InProcess;
use crate::modbus::{Devices, config};
use crate::place::{Place, field, subject};
use crate::steady::{DEVICES, INTERVAL_MS};
use anyhow::{Context, Result, ensure};
use bulkhead_log::Log;
use std::time::Duration;
use tokio::time::Instant;

/// Time before it is measured.
const WARM_UP: Duration = Duration::from_secs(3);
/// Time over which it is measured.
const TIME: Duration = Duration::from_secs(15);
/// Age at commit that 99 of 100 values stay below, in milliseconds.
const P99_MAX_MS: f64 = 60.0;
/// Most rows looked at after one commit.
const ROWS_MAX: usize = 100_000;

/// The figures.
pub(crate) fn measure(place: &Place) -> Result<Vec<Figure>> {
    let field = field()?;
    let devices = Devices::start(&field, DEVICES)?;
    let dir = place.folder()?;
    let text = config(&devices.addresses(), INTERVAL_MS);
    let mut ages = subject()?.block_on(async {
        let running = InProcess::start(place, dir.path(), &text, |_| {})?;
        let log = running.log.clone();
        // On a worker, as whoever waits for commits in the gateway would be.
        let ages = tokio::spawn(async move { collect(&log).await }).await?;
        let ages = ages.with_context(|| running.trouble());
        running.stop().await?;
        ages
    })?;
    ages.sort_unstable();
    let at = |part: f64| ages[((ages.len() - 1) as f64 * part) as usize] as f64 / 1e6;
    Ok(vec![
        Figure::of("age-100k-p50", at(0.5), "ms"),
        Figure::of("age-100k-p99", at(0.99), "ms").at_most(P99_MAX_MS),
        Figure::of("age-100k-max", at(1.0), "ms"),
    ])
}

/// The ages of all values, in nanoseconds, at the moment their commit was seen.
async fn collect(log: &Log) -> Result<Vec<i64>> {
    let mut committed = log.committed();
    tokio::time::sleep(WARM_UP).await;
    let mut last = *committed.borrow_and_update();
    ensure!(last > 0, "nothing was committed within {} s", WARM_UP.as_secs());
    let until = Instant::now() + TIME;
    let mut ages = Vec::new();
    while let Ok(changed) = tokio::time::timeout_at(until, committed.changed()).await {
        changed?;
        let now = now_ns();
        committed.borrow_and_update();
        // The newest rows are in memory: this does not wait for the disk.
        let rows = log.read(last, ROWS_MAX)?;
        last = rows.last().map_or(last, |row| row.seq);
        ages.extend(rows.iter().map(|row| now - row.reading.time.0));
    }
    ensure!(!ages.is_empty(), "nothing was committed");
    Ok(ages)
}
