//! What is missing from the log, and why: the list that the log keeps, by page.

use crate::app::Shared;
use crate::moment;
use crate::parameters::Parameters;
use crate::problem::Problem;
use axum::Json;
use axum::http::Uri;
use bulkhead_log::Gap;
use serde_json::{Value, json};

/// Gaps behind a number, the oldest first: `?after=&limit=`. `next` is what to give as `after` for the next page.
pub(crate) async fn gaps(state: Shared, uri: Uri) -> Result<Json<Value>, Problem> {
    let parameters = Parameters::parse(uri.query(), &["after", "limit"])?;
    let (after, limit) = (parameters.number("after")?.unwrap_or(0), parameters.limit()?);
    // One more than asked for shows whether there is another page.
    let mut gaps = state.with_log(move |log| Ok(log.gaps(after, limit + 1)?)).await?;
    let more = gaps.len() > limit;
    gaps.truncate(limit);
    let next = gaps.last().filter(|_| more).map(|gap| gap.id.to_string());
    Ok(Json(json!({ "gaps": gaps.iter().map(shown).collect::<Vec<_>>(), "next": next })))
}

fn shown(gap: &Gap) -> Value {
    json!({
        "id": gap.id,
        "first_seq": gap.first,
        "last_seq": gap.last,
        "rows": gap.rows,
        "reason": gap.reason.code(),
        "connection": gap.connection,
        "routes": gap.routes,
        "time": moment::rfc3339(gap.time.0),
    })
}
