//! The log as it is: what it takes of its quota and of the disk, what it has lost and why, and the readings that are
//! missing because their connections keep them for a shorter time.

use crate::app::Shared;
use crate::parameters::Parameters;
use crate::problem::Problem;
use axum::Json;
use axum::http::Uri;
use bulkhead_engine::DiskWrites;
use bulkhead_log::{Expired, LogStats};
use serde_json::{Value, json};

/// Counts since the start of the gateway, and what the log takes now.
pub(crate) async fn state(state: Shared, uri: Uri) -> Result<Json<Value>, Problem> {
    Parameters::parse(uri.query(), &[])?;
    let writes = state.engine.disk_writes();
    let shown = state.with_log(move |log| Ok(shown(log.id().as_str(), &log.stats(), writes)));
    shown.await.map(Json)
}

fn shown(id: &str, stats: &LogStats, writes: DiskWrites) -> Value {
    json!({
        "log": id,
        "first_available_seq": stats.first_available,
        "last_seq": stats.last,
        "segments": { "number": stats.segments, "unsealed": stats.segments_unsealed, "bytes": stats.bytes_on_disk },
        "quota": { "used_bytes": stats.bytes_of_files, "max_bytes": stats.max_bytes, "reserve": stats.has_reserve },
        "disk": {
            "free_bytes": stats.disk_free_bytes,
            "written_bytes": writes.bytes,
            "written_bytes_per_day": writes.bytes_per_day,
        },
        "committed": { "readings": stats.rows_committed, "commits": stats.commits, "failed": stats.commits_failed },
        "refused_when_full": stats.refused_when_full,
        "dropped": { "segments": stats.segments_dropped, "readings": stats.rows_dropped },
        "expired_readings": stats.rows_expired,
        "gaps": { "number": stats.gaps, "readings": stats.gap_rows, "of_unknown_size": stats.gaps_of_unknown_rows },
        "damaged": {
            "files": stats.files_damaged,
            "kept_bytes": stats.bytes_set_aside,
            "removed_for_room": stats.damaged_given_up,
        },
        "segments_abandoned": stats.segments_abandoned,
        "longest_pause_ms": u64::try_from(stats.longest_pause.as_millis()).unwrap_or(u64::MAX),
    })
}

/// Readings that are gone before the log's own retention, by connection and span: `?after=&limit=`. `next` is what to give
/// as `after` for the next page.
pub(crate) async fn expired(state: Shared, uri: Uri) -> Result<Json<Value>, Problem> {
    let parameters = Parameters::parse(uri.query(), &["after", "limit"])?;
    let (after, limit) = (parameters.number("after")?.unwrap_or(0), parameters.limit()?);
    let (expired, next) = state.with_log(move |log| Ok(log.expired_page(after, limit)?)).await?;
    let spans: Vec<Value> = expired.iter().map(span).collect();
    Ok(Json(json!({ "expired": spans, "next": next.map(|next| next.to_string()) })))
}

fn span(expired: &Expired) -> Value {
    json!({
        "connection": expired.connection,
        "first_seq": expired.first,
        "last_seq": expired.last,
        "readings": expired.rows,
    })
}
