//! What is missing from the log, and why: the list that the log keeps, by page.

use crate::app::Shared;
use crate::listing::{FORMAT, Form, Page, TEXT};
use crate::moment;
use crate::parameters::Parameters;
use crate::problem::Problem;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use bulkhead_log::Gap;
use serde::Serialize;

/// Gaps, the oldest first.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct GapsPage {
    /// The gaps.
    gaps: Vec<ShownGap>,
    /// What to give as `after` for the next page; null: this is the last.
    next: Option<String>,
}

impl Page for GapsPage {
    type Row = ShownGap;
    const COLUMNS: &'static [&'static str] =
        &["id", "time", "reason", "first_seq", "last_seq", "rows", "connection", "routes"];

    fn rows(&self) -> &[ShownGap] {
        &self.gaps
    }

    fn next(&self) -> Option<&str> {
        self.next.as_deref()
    }
}

/// What is missing from the log, and why.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Gap"))]
pub(crate) struct ShownGap {
    /// The connection whose readings they were, where it is about one.
    connection: Option<String>,
    /// The first seq.
    first_seq: u64,
    /// Its number, which rises.
    id: u64,
    /// The last seq.
    last_seq: u64,
    /// What happened.
    #[cfg_attr(test, schemars(schema_with = "crate::contract::gap_reason"))]
    reason: &'static str,
    /// Routes that had not sent them.
    routes: Vec<String>,
    /// How many readings; null where nobody knows.
    rows: Option<u64>,
    /// When it was found.
    #[cfg_attr(test, schemars(schema_with = "crate::contract::moment"))]
    time: String,
}

/// Gaps behind a number, the oldest first: `?after=&limit=`. `next` is what to give as `after` for the next page.
pub(crate) async fn gaps(state: Shared, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let parameters = Parameters::parse(uri.query(), &["after", "limit", FORMAT, TEXT])?;
    let form = Form::asked(&parameters, &headers)?;
    let (after, limit) = (parameters.number("after")?.unwrap_or(0), parameters.limit()?);
    // One more than asked for shows whether there is another page.
    let mut gaps = state.with_log(move |log| Ok(log.gaps(after, limit + 1)?)).await?;
    let more = gaps.len() > limit;
    gaps.truncate(limit);
    let next = gaps.last().filter(|_| more).map(|gap| gap.id.to_string());
    form.answer(&GapsPage { gaps: gaps.into_iter().map(shown).collect(), next }, &uri)
}

fn shown(gap: Gap) -> ShownGap {
    ShownGap {
        connection: gap.connection,
        first_seq: gap.first,
        id: gap.id,
        last_seq: gap.last,
        reason: gap.reason.code(),
        routes: gap.routes,
        rows: gap.rows,
        time: moment::rfc3339(gap.time.0),
    }
}
