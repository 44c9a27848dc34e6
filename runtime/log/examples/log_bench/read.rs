//! Reading from sealed segments: one point's day out of a week of many points, and many rows by seq.

use crate::append::append;
use crate::data::{Plant, START_NS, Values};
use crate::{Outcome, figure, median};
use bulkhead_log::{Log, LogConfig};
use bulkhead_model::Timestamp;
use std::path::Path;
use std::time::Instant;

/// Points of the week.
const POINTS: usize = 10_000;
/// A reading a minute.
const CYCLE_NS: i64 = 60_000_000_000;
/// Readings of a day at that pace.
const DAY: usize = 1440;
/// How often each is measured.
const ROUNDS: usize = 21;

/// Opens the log of so many rows in a folder, made if it is not there.
fn week(folder: &Path, rows: usize) -> Outcome<(Log, Plant, tokio::runtime::Runtime)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let dir = folder.join(format!("week-{rows}"));
    let log = LogConfig::new(&dir).open()?;
    let plant = Plant::declare(&log, POINTS, Values::Registers, CYCLE_NS)?;
    let there = usize::try_from(*log.committed().borrow())?;
    if there == 0 {
        runtime.block_on(append(&log, &plant, 0, rows, 10_000))?;
        runtime.block_on(log.seal())?;
    } else if there < rows {
        return Err(format!("{} has {there} rows: remove it", dir.display()).into());
    }
    Ok((log, plant, runtime))
}

/// One point's day in the middle, the median over points; and the first one after the log was opened.
pub(crate) fn point_day(folder: &Path, rows: usize) -> Outcome {
    let (log, plant, runtime) = week(folder, rows)?;
    let cycles = rows / POINTS;
    let from = START_NS + (cycles / 2).saturating_sub(DAY / 2) as i64 * CYCLE_NS;
    let (from, to) = (Timestamp(from), Timestamp(from + DAY as i64 * CYCLE_NS));
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        let point = plant.points[round * (POINTS / ROUNDS)];
        let started = Instant::now();
        let found = log.history(point, Some(from), Some(to), 0, 2 * DAY)?.len();
        times.push(started.elapsed().as_secs_f64() * 1e3);
        if found < DAY.min(cycles) - 1 || found > DAY {
            return Err(format!("{found} readings in a day of {DAY}").into());
        }
    }
    figure("log-point-day-first", times[0], "ms", None);
    figure("log-point-day", median(times), "ms", None);
    figure("log-point-day-rows", rows as f64, "rows", None);
    Ok(runtime.block_on(log.close())?)
}

/// 100,000 rows by seq from the middle.
pub(crate) fn by_seq(folder: &Path, rows: usize) -> Outcome {
    let (log, _, runtime) = week(folder, rows)?;
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        let after = (rows / 2 + round * 7_919) as u64;
        let started = Instant::now();
        let found = log.read(after, 100_000)?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
        if found.len() != 100_000 || found.first().is_none_or(|row| row.seq != after + 1) {
            return Err(format!("{} rows after {after}", found.len()).into());
        }
    }
    figure("log-by-seq", median(times), "ms", None);
    Ok(runtime.block_on(log.close())?)
}
