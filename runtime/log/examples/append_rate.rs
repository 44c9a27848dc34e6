//! How fast the log appends, against the same rows inserted by hand with bare rusqlite in the same run: the same schema,
//! pragmas and commits of 10,000 rows, one segment file after another, without sealing, latest readings or anybody told.
//!
//! `cargo run --release -p bulkhead-log --example append_rate -- [rows] [folder]`
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use bulkhead_log::{Log, LogConfig, LogError};
use bulkhead_model::{Kind, PointId, PointInfo, Reading, Status, Timestamp, Value};
use rusqlite::Connection;
use std::collections::VecDeque;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Rows of a commit.
const COMMIT_ROWS: usize = 10_000;
/// Rows of a segment.
const SEGMENT_ROWS: usize = 500_000;
/// Points the rows are spread over.
const POINTS: usize = 10_000;
/// Batches on the way at a time.
const IN_FLIGHT: usize = 4;
/// How often the two are measured, in turn.
const ROUNDS: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let rows: usize = arguments.next().map_or(Ok(3_000_000), |rows| rows.parse())?;
    let folder = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let (mut best_log, mut best_bare) = (0.0_f64, 0.0_f64);
    for round in 1..=ROUNDS {
        let dir = tempfile::tempdir_in(&folder)?;
        let bare = rows as f64 / by_hand(dir.path(), rows)?;
        let dir = tempfile::tempdir_in(&folder)?;
        let (seconds, sealed) = through_log(dir.path(), rows)?;
        let log = rows as f64 / seconds;
        println!("round {round}: log {log:.0} rows/s ({sealed} segments sealed meanwhile), by hand {bare:.0} rows/s");
        (best_log, best_bare) = (best_log.max(log), best_bare.max(bare));
    }
    println!("best: log {best_log:.0} rows/s, by hand {best_bare:.0} rows/s, ratio {:.2}", best_log / best_bare);
    println!("resident memory: {} KiB now, {} KiB at most", status("VmRSS:"), status("VmHWM:"));
    Ok(())
}

/// A line of what Linux says of this process; empty elsewhere.
fn status(name: &str) -> String {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .map(|rest| rest.trim().trim_end_matches(" kB").to_owned())
        .unwrap_or_default()
}

fn batch(points: &[PointId], from: usize) -> Vec<Reading> {
    (from..from + COMMIT_ROWS)
        .map(|index| Reading {
            point: points[index % points.len()],
            time: Timestamp(1_700_000_000_000_000_000 + index as i64 * 1_000),
            status: Status::GOOD,
            value: Some(Value::Real(index as f64 * 0.1)),
        })
        .collect()
}

fn through_log(dir: &Path, rows: usize) -> Result<(f64, usize), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let log = LogConfig::new(dir).open()?;
    let infos: Vec<_> = (0..POINTS).map(|index| PointInfo::new(format!("p{index}"), Kind::Real)).collect();
    let points = log.declare("bench", &infos)?;
    let started = Instant::now();
    runtime.block_on(append_all(&log, &points, rows))?;
    let seconds = started.elapsed().as_secs_f64();
    let stats = log.stats();
    runtime.block_on(log.close())?;
    Ok((seconds, stats.segments - 1 - stats.segments_unsealed))
}

async fn append_all(log: &Log, points: &[PointId], rows: usize) -> Result<(), LogError> {
    let mut pending = VecDeque::new();
    for from in (0..rows).step_by(COMMIT_ROWS) {
        pending.push_back(log.submit(batch(points, from)).await?);
        if pending.len() >= IN_FLIGHT
            && let Some(oldest) = pending.pop_front()
        {
            oldest.committed().await?;
        }
    }
    for pending in pending {
        pending.committed().await?;
    }
    Ok(())
}

fn by_hand(dir: &Path, rows: usize) -> Result<f64, Box<dyn Error>> {
    let points: Vec<PointId> = (0..POINTS).map(|index| PointId(index as u32)).collect();
    let started = Instant::now();
    for (file, start) in (0..rows).step_by(SEGMENT_ROWS).enumerate() {
        let connection = Connection::open(dir.join(format!("{file}.db")))?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -1024;
             PRAGMA wal_autocheckpoint = 1024;
             CREATE TABLE readings(seq INTEGER PRIMARY KEY, point INTEGER NOT NULL, time INTEGER NOT NULL,
               status INTEGER NOT NULL, value)",
        )?;
        for from in (start..rows.min(start + SEGMENT_ROWS)).step_by(COMMIT_ROWS) {
            let readings = batch(&points, from);
            connection.execute_batch("BEGIN")?;
            let mut insert = connection.prepare_cached("INSERT INTO readings VALUES (?1, ?2, ?3, ?4, ?5)")?;
            for (index, reading) in readings.iter().enumerate() {
                let value = reading.value.as_ref().and_then(Value::as_f64);
                let seq = (from + index + 1) as i64;
                insert.execute((seq, reading.point.0, reading.time.0, reading.status.0, value))?;
            }
            connection.execute_batch("COMMIT")?;
        }
    }
    Ok(started.elapsed().as_secs_f64())
}
