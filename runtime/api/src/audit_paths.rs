//! `/api/v1/audit`: the audit log, for admins.

use crate::app::Shared;
use crate::audit::AuditRecord;
use crate::moment;
use crate::parameters::Parameters;
use crate::problem::{Problem, task_failed};
use axum::Json;
use axum::http::Uri;
use serde::Serialize;

/// Records, the oldest first.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct AuditPage {
    /// What to give as `after` for the next page; null: this is the last.
    next: Option<String>,
    /// The records.
    records: Vec<ShownRecord>,
}

/// A record with its time as text.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "AuditEntry"))]
struct ShownRecord {
    #[serde(flatten)]
    record: AuditRecord,
    /// When.
    #[cfg_attr(test, schemars(schema_with = "crate::contract::moment"))]
    time: String,
}

/// Records, the oldest first: `?since=&after=&limit=`.
pub(crate) async fn records(state: Shared, uri: Uri) -> Result<Json<AuditPage>, Problem> {
    let parameters = Parameters::parse(uri.query(), &["since", "after", "limit"])?;
    let since_ns = parameters.moment("since")?.map_or(i64::MIN, |since| since.0);
    let (after, limit) = (parameters.number("after")?.unwrap_or(0), parameters.limit()?);
    let log = state.audit_log.clone();
    let read = tokio::task::spawn_blocking(move || log.read(after, since_ns, limit + 1));
    let mut records = read.await.map_err(|error| task_failed(&error))??;
    let has_more = records.len() > limit;
    records.truncate(limit);
    let next = records.last().filter(|_| has_more).map(|last| last.id.to_string());
    let shown = |record: AuditRecord| ShownRecord { time: moment::rfc3339(record.time_ns), record };
    Ok(Json(AuditPage { next, records: records.into_iter().map(shown).collect() }))
}
