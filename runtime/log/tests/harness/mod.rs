//! What the tests of the log share: a log in a folder of its own, points, readings, and waiting with a bound.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use bulkhead_log::{Committed, Log, LogConfig, Row};
use bulkhead_model::{Kind, PointId, PointInfo, Reading, Seq, Status, Timestamp, Value};
use std::future::Future;
use std::path::Path;
use std::time::Duration;

/// Longest wait for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A small reserve, so that hundreds of logs are quick to make.
pub(crate) const RESERVE_BYTES: u64 = 64 * 1024;
/// What a log keeps free for `state.db`.
pub(crate) const STATE_GROWTH_BYTES: u64 = 1024 * 1024;

/// A config for small segments and quick commits.
pub(crate) fn config(dir: &Path) -> LogConfig {
    LogConfig { commit_max_ms: 1, reserve_bytes: RESERVE_BYTES, ..LogConfig::new(dir) }
}

/// Real points `p0`, `p1`, … of the connection `c`.
pub(crate) fn declare(log: &Log, count: usize) -> Vec<PointId> {
    let infos: Vec<PointInfo> = (0..count).map(|index| PointInfo::new(format!("p{index}"), Kind::Real)).collect();
    log.declare("c", &infos).unwrap()
}

/// A reading of a real point.
pub(crate) fn reading(point: PointId, time: i64, value: f64) -> Reading {
    Reading { point, time: Timestamp(time), status: Status::GOOD, value: Some(Value::Real(value)) }
}

/// `count` readings, round robin over points, at times `from`, `from + 1`, …
pub(crate) fn readings(points: &[PointId], from: i64, count: usize) -> Vec<Reading> {
    points.iter().cycle().zip(from..).take(count).map(|(point, time)| reading(*point, time, time as f64)).collect()
}

/// Waits for something, but not for ever.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it should have happened long ago")
}

/// Appends and waits for the commit.
pub(crate) async fn append(log: &Log, readings: Vec<Reading>) -> Committed {
    within(log.append(readings)).await.unwrap()
}

/// Every row of a log, read page by page.
pub(crate) fn all_rows(log: &Log) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    loop {
        let after = rows.last().map_or(0, |row| row.seq);
        let page = log.read(after, 37).unwrap();
        if page.is_empty() {
            return rows;
        }
        rows.extend(page);
    }
}

/// The seqs of rows.
pub(crate) fn seqs(rows: &[Row]) -> Vec<Seq> {
    rows.iter().map(|row| row.seq).collect()
}

/// The names of the segment files in a folder, sorted.
pub(crate) fn segment_files(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.filter(|name| name.starts_with("seg-")).collect();
    names.sort();
    names
}
