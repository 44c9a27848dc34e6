//! Appending: against bare rusqlite at the same commit size, at many rows, at many points, and what memory it takes.

use crate::data::{Plant, Values};
use crate::{Outcome, figure, median, process};
use bulkhead_log::{Log, LogConfig, LogError};
use bulkhead_model::{Reading, Value};
use rusqlite::Connection;
use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

/// Appends on the way at a time, so that the writer never waits for this thread.
const IN_FLIGHT: usize = 4;
/// How often the two are measured, in turn.
const ROUNDS: usize = 5;
/// Points unless the case says otherwise.
const POINTS: usize = 10_000;
/// A second.
const CYCLE_NS: i64 = 1_000_000_000;

/// Rows a second in commits of so many rows, sealing included, beside one table without an index.
pub(crate) fn beside_bare(folder: &Path, rows: usize, commit_rows: usize) -> Outcome {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    let (mut ours_ns, mut bare_ns) = (Vec::new(), Vec::new());
    let ns_per_row = |since: f64| (process::processor_s() - since) * 1e9 / rows as f64;
    for _ in 0..ROUNDS {
        let (dir, before) = (tempfile::tempdir_in(folder)?, process::processor_s());
        bare.push(append_bare(dir.path(), rows, commit_rows)?);
        bare_ns.push(ns_per_row(before));
        let (dir, before) = (tempfile::tempdir_in(folder)?, process::processor_s());
        let (appended, log) = append_new(dir.path(), rows, commit_rows, POINTS)?;
        drop(log);
        ours_ns.push(ns_per_row(before));
        ours.push(appended);
    }
    let name = format!("log-append-{commit_rows}");
    figure(&name, median(ours), "rows/s", Some(median(bare)));
    figure(&format!("{name}-processor"), median(ours_ns), "ns/row", Some(median(bare_ns)));
    Ok(())
}

/// The rate at one million rows and later, up to so many.
pub(crate) fn flat_over_rows(folder: &Path, rows: usize) -> Outcome {
    let dir = tempfile::tempdir_in(folder)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let log = LogConfig { commit_max_rows: 10_000, ..LogConfig::new(dir.path()) }.open()?;
    let plant = Plant::declare(&log, POINTS, Values::Registers, CYCLE_NS)?;
    let piece = 1_000_000;
    let mut rates = Vec::new();
    for from in (0..rows).step_by(piece) {
        rates.push(runtime.block_on(append(&log, &plant, from, piece, 10_000))?);
    }
    let quarter = (rates.len() / 4).max(1);
    let first = median(rates[..quarter].to_vec());
    let last = median(rates[rates.len() - quarter..].to_vec());
    figure("log-flat-rows", last, "rows/s", Some(first));
    Ok(runtime.block_on(log.close())?)
}

/// The rate with 100, 1,000, 10,000 and 100,000 points: the slowest beside the quickest.
pub(crate) fn flat_over_points(folder: &Path, rows: usize) -> Outcome {
    let counts = [100, 1_000, 10_000, 100_000];
    let mut rates = vec![Vec::new(); counts.len()];
    for _ in 0..ROUNDS {
        for (points, rates) in counts.iter().zip(&mut rates) {
            let dir = tempfile::tempdir_in(folder)?;
            rates.push(append_new(dir.path(), rows, 10_000, *points)?.0);
        }
    }
    let medians: Vec<f64> = rates.into_iter().map(median).collect();
    for (points, rate) in counts.iter().zip(&medians) {
        figure(&format!("log-points-{points}"), *rate, "rows/s", None);
    }
    let slowest = medians.iter().copied().fold(f64::INFINITY, f64::min);
    figure("log-flat-points", slowest, "rows/s", Some(medians.iter().copied().fold(0.0, f64::max)));
    Ok(())
}

/// The longest time from an append to its commit, at 100,000 readings a second for some seconds, while segments of 250,000
/// are sealed one after another.
pub(crate) fn while_sealing(folder: &Path, seconds: usize) -> Outcome {
    let dir = tempfile::tempdir_in(folder)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let config = LogConfig { commit_max_ms: 0, segment_max_rows: 250_000, ..LogConfig::new(dir.path()) };
    let log = config.open()?;
    let plant = Plant::declare(&log, POINTS, Values::Registers, CYCLE_NS)?;
    let (rows, every) = (1_000, Duration::from_millis(10));
    let started = Instant::now();
    let mut times = Vec::new();
    runtime.block_on(async {
        for number in 0..seconds * 100 {
            let batch = plant.batch(number * rows, rows);
            let due = every * u32::try_from(number)?;
            tokio::time::sleep(due.saturating_sub(started.elapsed())).await;
            let submitted = Instant::now();
            log.append(batch).await?;
            times.push(submitted.elapsed().as_secs_f64() * 1e3);
        }
        Outcome::Ok(())
    })?;
    let sealed = log.stats().segments - 1 - log.stats().segments_unsealed;
    times.sort_by(f64::total_cmp);
    figure("log-longest-commit-sealing", times[times.len() - 1], "ms", None);
    figure("log-median-commit-sealing", times[times.len() / 2], "ms", None);
    figure("log-sealed-meanwhile", sealed as f64, "segments", None);
    Ok(runtime.block_on(log.close())?)
}

/// The most memory of a process that appends and seals, beyond what it had before the log was opened.
pub(crate) fn peak_memory(folder: &Path, rows: usize) -> Outcome {
    let dir = tempfile::tempdir_in(folder)?;
    let before = process::peak_bytes();
    append_new(dir.path(), rows, 10_000, POINTS)?;
    figure("log-memory", process::peak_bytes().saturating_sub(before) as f64 / 1e6, "MB", None);
    Ok(())
}

/// Appends to a new log and waits until all of it is sealed; rows a second.
pub(crate) fn append_new(dir: &Path, rows: usize, commit_rows: usize, points: usize) -> Outcome<(f64, Log)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let rows_max = u32::try_from(commit_rows)?;
    // A single append is committed as soon as the writer has it: by hand nobody waits for others either.
    let log = LogConfig { commit_max_ms: 0, commit_quiet_max_ms: 0, commit_max_rows: rows_max, ..LogConfig::new(dir) }
        .open()?;
    let plant = Plant::declare(&log, points, Values::Registers, CYCLE_NS)?;
    let started = Instant::now();
    runtime.block_on(append(&log, &plant, 0, rows, commit_rows))?;
    runtime.block_on(log.seal())?;
    Ok((rows as f64 / started.elapsed().as_secs_f64(), log))
}

/// Appends readings in commits of so many rows; rows a second.
pub(crate) async fn append(
    log: &Log,
    plant: &Plant,
    from: usize,
    rows: usize,
    commit_rows: usize,
) -> Result<f64, LogError> {
    let started = Instant::now();
    let mut pending = VecDeque::new();
    let in_flight = if commit_rows == 1 { 1 } else { IN_FLIGHT };
    for number in (from..from + rows).step_by(commit_rows) {
        let batch = plant.batch(number, commit_rows.min(from + rows - number));
        pending.push_back(log.submit(batch).await?);
        if pending.len() >= in_flight
            && let Some(oldest) = pending.pop_front()
        {
            oldest.committed().await?;
        }
    }
    for pending in pending {
        pending.committed().await?;
    }
    Ok(rows as f64 / started.elapsed().as_secs_f64())
}

/// The same rows into one table without an index; rows a second. Making the rows does not count: the log's are made by
/// another thread than the one that writes.
fn append_bare(dir: &Path, rows: usize, commit_rows: usize) -> Outcome<f64> {
    let points = (0..POINTS).map(|index| bulkhead_model::PointId(u32::try_from(index).unwrap_or(0))).collect();
    let plant = Plant { points, values: Values::Registers, cycle_ns: CYCLE_NS };
    let mut spent = Duration::ZERO;
    let connection = Connection::open(dir.join("bare.db"))?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE TABLE readings(seq INTEGER PRIMARY KEY, point INTEGER NOT NULL, time INTEGER NOT NULL,
           status INTEGER NOT NULL, value)",
    )?;
    for from in (0..rows).step_by(commit_rows) {
        let batch: Vec<Reading> = plant.batch(from, commit_rows.min(rows - from));
        let started = Instant::now();
        connection.prepare_cached("BEGIN")?.execute([])?;
        let mut insert = connection.prepare_cached("INSERT INTO readings VALUES (?1, ?2, ?3, ?4, ?5)")?;
        for (seq, reading) in (from as i64 + 1..).zip(&batch) {
            let value = reading.value.as_ref().and_then(|value| match value {
                Value::Integer(value) => Some(*value),
                _ => None,
            });
            insert.execute((seq, reading.point.0, reading.time.0, reading.status.0, value))?;
        }
        connection.prepare_cached("COMMIT")?.execute([])?;
        spent += started.elapsed();
    }
    Ok(rows as f64 / spent.as_secs_f64())
}
