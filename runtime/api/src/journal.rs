//! `/api/v1/journal`: the last lines of the gateway's journal.

use crate::app::Shared;
use crate::parameters::Parameters;
use crate::problem::Problem;
use axum::Json;
use axum::http::Uri;
use serde::Serialize;

/// The journal's last lines.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct JournalLines {
    /// The oldest first; at most 1,000 and 256 KiB.
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    lines: Vec<Box<str>>,
}

/// The lines that are kept in memory, the oldest first.
pub(crate) async fn lines(state: Shared, uri: Uri) -> Result<Json<JournalLines>, Problem> {
    Parameters::parse(uri.query(), &[])?;
    Ok(Json(JournalLines { lines: state.operations.journal.all() }))
}
