//! The log as it is: what it takes of its quota and of the disk, what it has lost and why, and the readings that are
//! missing because their connections keep them for a shorter time.

use crate::app::Shared;
use crate::parameters::Parameters;
use crate::problem::Problem;
use axum::Json;
use axum::http::Uri;
use bulkhead_engine::DiskWrites;
use bulkhead_log::{Expired, LogStats};
use serde::Serialize;

/// The log as it is. What is counted is counted since the start of the gateway.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct LogState {
    committed: Committed,
    damaged: Damaged,
    disk: Disk,
    dropped: Dropped,
    /// Readings that went because their connection keeps them for a shorter time.
    expired_readings: u64,
    /// The lowest seq that it still has.
    first_available_seq: u64,
    gaps: GapCounts,
    /// The highest seq.
    last_seq: u64,
    /// Its id.
    log: String,
    /// The longest that a commit had to wait for another's, in milliseconds.
    longest_pause_ms: u64,
    quota: Quota,
    /// Appends that were refused because it was full.
    refused_when_full: u64,
    segments: Segments,
    /// Segments that were given up after an error of the disk.
    segments_abandoned: u64,
}

/// What was committed.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Committed {
    commits: u64,
    /// Commits that failed.
    failed: u64,
    readings: u64,
}

/// Damaged files.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Damaged {
    /// Files set aside.
    files: u64,
    /// Bytes of those that are kept.
    kept_bytes: u64,
    /// Files that went for room.
    removed_for_room: u64,
}

/// The disk that the log is on.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Disk {
    /// Bytes free.
    free_bytes: u64,
    /// Bytes that the process has had the disk write; null where the kernel does not count.
    written_bytes: Option<u64>,
    /// The same a day, from the tenth minute on.
    written_bytes_per_day: Option<u64>,
}

/// What went for age or for room.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Dropped {
    readings: u64,
    segments: u64,
}

/// What is missing.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct GapCounts {
    /// Gaps.
    number: u64,
    /// Those of them whose size nobody knows.
    of_unknown_size: u64,
    /// Readings in the others.
    readings: u64,
}

/// Its share of the disk.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Quota {
    /// The most it may take; null: no bound.
    max_bytes: Option<u64>,
    /// Whether the file is there that lets it commit on a full disk.
    reserve: bool,
    /// What it takes.
    used_bytes: u64,
}

/// Its files of readings.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Segments {
    bytes: u64,
    number: usize,
    /// Those that are still written to.
    unsealed: usize,
}

/// Readings that went before others, by connection.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ExpiredPage {
    /// The spans.
    expired: Vec<ExpiredSpan>,
    /// What to give as `after` for the next page; null: this is the last.
    next: Option<String>,
}

/// Readings of a connection that are gone; rows of others lie between.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ExpiredSpan {
    connection: String,
    first_seq: u64,
    last_seq: u64,
    /// How many there were.
    readings: u64,
}

/// Counts since the start of the gateway, and what the log takes now.
pub(crate) async fn state(state: Shared, uri: Uri) -> Result<Json<LogState>, Problem> {
    Parameters::parse(uri.query(), &[])?;
    let writes = state.engine.disk_writes();
    let shown = state.with_log(move |log| Ok(shown(log.id().as_str(), &log.stats(), writes)));
    shown.await.map(Json)
}

fn shown(id: &str, stats: &LogStats, writes: DiskWrites) -> LogState {
    LogState {
        committed: Committed { commits: stats.commits, failed: stats.commits_failed, readings: stats.rows_committed },
        damaged: Damaged {
            files: stats.files_damaged,
            kept_bytes: stats.bytes_set_aside,
            removed_for_room: stats.damaged_given_up,
        },
        disk: Disk {
            free_bytes: stats.disk_free_bytes,
            written_bytes: writes.bytes,
            written_bytes_per_day: writes.bytes_per_day,
        },
        dropped: Dropped { readings: stats.rows_dropped, segments: stats.segments_dropped },
        expired_readings: stats.rows_expired,
        first_available_seq: stats.first_available,
        gaps: GapCounts { number: stats.gaps, of_unknown_size: stats.gaps_of_unknown_rows, readings: stats.gap_rows },
        last_seq: stats.last,
        log: id.to_owned(),
        longest_pause_ms: u64::try_from(stats.longest_pause.as_millis()).unwrap_or(u64::MAX),
        quota: Quota { max_bytes: stats.max_bytes, reserve: stats.has_reserve, used_bytes: stats.bytes_of_files },
        refused_when_full: stats.refused_when_full,
        segments: Segments { bytes: stats.bytes_on_disk, number: stats.segments, unsealed: stats.segments_unsealed },
        segments_abandoned: stats.segments_abandoned,
    }
}

/// Readings that are gone before the log's own retention, by connection and span: `?after=&limit=`. `next` is what to give
/// as `after` for the next page.
pub(crate) async fn expired(state: Shared, uri: Uri) -> Result<Json<ExpiredPage>, Problem> {
    let parameters = Parameters::parse(uri.query(), &["after", "limit"])?;
    let (after, limit) = (parameters.number("after")?.unwrap_or(0), parameters.limit()?);
    let (expired, next) = state.with_log(move |log| Ok(log.expired_page(after, limit)?)).await?;
    let expired = expired.into_iter().map(span).collect();
    Ok(Json(ExpiredPage { expired, next: next.map(|next| next.to_string()) }))
}

fn span(expired: Expired) -> ExpiredSpan {
    let Expired { connection, first, last, rows } = expired;
    ExpiredSpan { connection, first_seq: first, last_seq: last, readings: rows }
}
