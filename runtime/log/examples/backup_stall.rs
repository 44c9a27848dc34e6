//! How long commits take while a backup is made, against the same load without one: a log of some million rows, a steady
//! 10,000 readings a second in commits of 200, and every append's time to its commit.
//!
//! `cargo run --release -p bulkhead-log --example backup_stall -- [rows] [folder]`
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use bulkhead_log::{Log, LogConfig};
use bulkhead_model::{Kind, PointId, PointInfo, Reading, Status, Timestamp, Value};
use std::error::Error;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Readings of an append.
const APPEND_ROWS: usize = 200;
/// Time from one append to the next.
const BEAT: Duration = Duration::from_millis(20);
/// Points the rows are spread over.
const POINTS: usize = 1_000;
/// Rows of a commit while the log is filled.
const FILL_ROWS: usize = 10_000;
/// How long the load runs without a backup.
const ALONE: Duration = Duration::from_secs(15);

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let rows: usize = arguments.next().map_or(Ok(3_000_000), |rows| rows.parse())?;
    let folder = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = tempfile::tempdir_in(folder)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let log = LogConfig { commit_max_ms: 1, ..LogConfig::new(dir.path().join("log")) }.open()?;
        let infos: Vec<_> = (0..POINTS).map(|index| PointInfo::new(format!("p{index}"), Kind::Real)).collect();
        let points = log.declare("bench", &infos)?;
        for from in (0..rows).step_by(FILL_ROWS) {
            log.append(batch(&points, from, FILL_ROWS)).await?;
        }
        // Not sealed by hand: the open segment is part of what is copied.
        let stop = Arc::new(AtomicBool::new(false));
        let load = tokio::spawn(load(log.clone(), points.clone(), Arc::clone(&stop)));
        tokio::time::sleep(ALONE).await;
        stop.store(true, Ordering::Release);
        print("without a backup", load.await??);

        let stop = Arc::new(AtomicBool::new(false));
        let load = tokio::spawn(self::load(log.clone(), points, Arc::clone(&stop)));
        let (source, to) = (log.clone(), dir.path().join("backup"));
        let started = Instant::now();
        let backup = move || source.backup_to(&to, &[], &mut |_| ControlFlow::Continue(()));
        let report = tokio::task::spawn_blocking(backup).await??;
        let took = started.elapsed();
        stop.store(true, Ordering::Release);
        print("during a backup", load.await??);
        println!(
            "the backup: {} readings, {} segments, {:.1} MB in {:.1} s, checking included",
            report.rows,
            report.segments,
            report.bytes as f64 / 1e6,
            took.as_secs_f64()
        );
        log.close().await?;
        Ok(())
    })
}

fn batch(points: &[PointId], from: usize, count: usize) -> Vec<Reading> {
    (from..from + count)
        .map(|index| Reading {
            point: points[index % points.len()],
            time: Timestamp(1_700_000_000_000_000_000 + index as i64 * 1_000),
            status: Status::GOOD,
            value: Some(Value::Real(index as f64 * 0.1)),
        })
        .collect()
}

/// Appends at a steady beat until it is told to stop. Returns how long each append took to be committed.
async fn load(log: Log, points: Vec<PointId>, stop: Arc<AtomicBool>) -> Result<Vec<Duration>, bulkhead_log::LogError> {
    let mut beat = tokio::time::interval(BEAT);
    let mut took = Vec::new();
    while !stop.load(Ordering::Acquire) {
        beat.tick().await;
        let started = Instant::now();
        log.append(batch(&points, took.len() * APPEND_ROWS, APPEND_ROWS)).await?;
        took.push(started.elapsed());
    }
    Ok(took)
}

fn print(what: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let at = |share: f64| took.get((took.len() as f64 * share) as usize).copied().unwrap_or_default();
    println!(
        "{what}: {} commits, median {:?}, p99 {:?}, longest {:?}",
        took.len(),
        at(0.5),
        at(0.99),
        took.last().copied().unwrap_or_default()
    );
}
