//! `/api/v1/journal`: the last lines of the gateway's journal.

use crate::app::Shared;
use crate::parameters::Parameters;
use crate::problem::Problem;
use axum::Json;
use axum::http::Uri;
use serde_json::{Value, json};

/// The lines that are kept in memory, the oldest first.
pub(crate) async fn lines(state: Shared, uri: Uri) -> Result<Json<Value>, Problem> {
    Parameters::parse(uri.query(), &[])?;
    Ok(Json(json!({ "lines": state.operations.journal.all() })))
}
