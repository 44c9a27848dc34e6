//! Bytes: kept a reading, open and sealed, and written to the device a day at ten readings a second.

use crate::append::append;
use crate::data::{Plant, Values};
use crate::{Outcome, figure, process};
use bulkhead_log::LogConfig;
use std::path::Path;
use std::time::{Duration, Instant};

/// Points of these cases.
const POINTS: usize = 1_000;
/// A second.
const CYCLE_NS: i64 = 1_000_000_000;
/// Readings a second of the slow case, each appended by itself.
const SLOW_RATE: u32 = 10;

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

/// Bytes a day at ten readings a second, each appended alone under the default settings: measured over some seconds,
/// and the checkpoints and sealing that a day has besides, from as many readings.
pub(crate) fn written_a_day(folder: &Path, seconds: usize) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let dir = tempfile::tempdir_in(folder)?;
    let log = LogConfig::new(dir.path()).open()?;
    let plant = Plant::declare(&log, 10, Values::Registers, CYCLE_NS)?;
    runtime.block_on(append(&log, &plant, 0, 10, 10))?;
    let (before, commits) = (process::written_bytes(), log.stats().commits);
    let readings = seconds * SLOW_RATE as usize;
    let started = Instant::now();
    runtime.block_on(async {
        let mut pending = Vec::new();
        for number in 0..readings {
            let due = Duration::from_secs(1) * u32::try_from(number)? / SLOW_RATE;
            tokio::time::sleep(due.saturating_sub(started.elapsed())).await;
            pending.push(log.submit(plant.batch(10 + number, 1)).await?);
        }
        for pending in pending {
            pending.committed().await?;
        }
        Outcome::Ok(())
    })?;
    let commits = log.stats().commits - commits;
    let written = process::written_bytes() - before;
    figure("log-written-commits", commits as f64 / seconds as f64, "commits/s", None);
    figure("log-written-per-commit", written as f64 / commits as f64, "bytes", None);
    figure("log-written-day", written as f64 / seconds as f64 * 86_400.0 / 1e9, "GB/day", None);
    Ok(runtime.block_on(log.close())?)
}
