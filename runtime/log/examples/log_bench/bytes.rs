//! Bytes: kept a reading, open and sealed, and written to the device a day at ten readings a second.

use crate::append::append;
use crate::data::{Plant, Values};
use crate::{Outcome, figure, process};
use bulkhead_log::{Log, LogConfig};
use std::path::Path;
use std::time::{Duration, Instant};

/// Points of these cases.
const POINTS: usize = 1_000;
/// A second.
const CYCLE_NS: i64 = 1_000_000_000;
/// Readings a second of the slow case, each appended by itself.
const SLOW_RATE: u32 = 10;
/// Seconds of it that are not measured: the log commits sooner after a quiet time.
const WARM_UP_S: usize = 5;

/// Bytes a reading in the open segment and in sealed ones.
pub(crate) fn per_reading(folder: &Path, rows: usize, values: Values) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let dir = tempfile::tempdir_in(folder)?;
    let log = LogConfig::new(dir.path()).open()?;
    let plant = Plant::declare(&log, POINTS, values, CYCLE_NS)?;
    let open_rows = 400_000;
    runtime.block_on(append(&log, &plant, 0, open_rows, 10_000))?;
    let name = if values == Values::Random { "random" } else { "registers" };
    runtime.block_on(log.close())?;
    let log = LogConfig::new(dir.path()).open()?;
    figure(&format!("log-bytes-open-{name}"), log.stats().bytes_on_disk as f64 / open_rows as f64, "bytes", None);
    runtime.block_on(append(&log, &plant, open_rows, rows - open_rows, 10_000))?;
    runtime.block_on(log.seal())?;
    let bytes: u64 = std::fs::read_dir(dir.path())?
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("seg-"))
        .filter(|entry| !entry.file_name().to_string_lossy().contains(".open."))
        .filter_map(|entry| entry.metadata().ok().map(|metadata| metadata.len()))
        .sum();
    figure(&format!("log-bytes-sealed-{name}"), bytes as f64 / rows as f64, "bytes", None);
    Ok(runtime.block_on(log.close())?)
}

/// Bytes a day at ten readings a second, each appended alone under the default settings: measured over some seconds, the
/// checkpoint and the sealing of these readings included. A start and its quick commits are over before.
pub(crate) fn written_a_day(folder: &Path, seconds: usize) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let dir = tempfile::tempdir_in(folder)?;
    let log = LogConfig::new(dir.path()).open()?;
    let plant = Plant::declare(&log, 10, Values::Registers, CYCLE_NS)?;
    runtime.block_on(trickle(&log, &plant, 0, WARM_UP_S * SLOW_RATE as usize))?;
    let (before, commits) = (process::written_bytes(), log.stats().commits);
    runtime.block_on(trickle(&log, &plant, 1_000, seconds * SLOW_RATE as usize))?;
    let commits = log.stats().commits - commits;
    let in_commits = process::written_bytes() - before;
    runtime.block_on(log.seal())?;
    runtime.block_on(log.close())?;
    let written = process::written_bytes() - before;
    figure("log-written-commits", commits as f64 / seconds as f64, "commits/s", None);
    figure("log-written-per-commit", in_commits as f64 / commits as f64, "bytes", None);
    figure("log-written-day", written as f64 / seconds as f64 * 86_400.0 / 1e9, "GB/day", None);
    Ok(())
}

/// Appends so many readings one by one at the slow rate.
async fn trickle(log: &Log, plant: &Plant, from: usize, readings: usize) -> Outcome {
    let started = Instant::now();
    let mut pending = Vec::new();
    for number in 0..readings {
        let due = Duration::from_secs(1) * u32::try_from(number)? / SLOW_RATE;
        tokio::time::sleep(due.saturating_sub(started.elapsed())).await;
        pending.push(log.submit(plant.batch(from + number, 1)).await?);
    }
    for pending in pending {
        pending.committed().await?;
    }
    Ok(())
}
