//! Responses with their headers, and what a client prefers.

use crate::handle::{Request, Response, success};
use crate::json::Style;
use crate::negotiate;

/// What a client prefers, of what can be done here.
#[derive(Clone, Debug, Default)]
pub(super) struct Preferences {
    /// Most rows of a page, with the name that the client gave it.
    pub(super) page: Option<(&'static str, usize)>,
    /// Whether nulls are left out.
    pub(super) omit_nulls: bool,
    /// Whether a delta link is wanted, and the name that the client gave it.
    pub(super) track_changes: Option<&'static str>,
    /// Whether that was wanted of the page before this one: the last page has the link, whatever its request prefers.
    pub(super) goes_on_tracking: bool,
}

impl Preferences {
    pub(super) fn of(request: &Request<'_>) -> Self {
        let Some(prefer) = request.list_header("prefer") else { return Self::default() };
        let has = |name: &str, wanted: &str| {
            negotiate::preferences(&prefer).any(|(found, value)| found == name && value.eq_ignore_ascii_case(wanted))
        };
        let tracks = has("track-changes", "");
        let prefixed = prefer.to_ascii_lowercase().contains("odata.track-changes");
        Self {
            page: negotiate::max_page_size(&prefer),
            omit_nulls: has("omit-values", "nulls"),
            track_changes: tracks.then_some(if prefixed { "odata.track-changes" } else { "track-changes" }),
            goes_on_tracking: false,
        }
    }
}

/// JSON, with its media type.
pub(super) fn json(style: Style<'_>, body: Vec<u8>) -> Response {
    success(style.negotiated, style.format.content_type(style.negotiated.short_names), body)
}

impl Response {
    /// The same with one more header field.
    pub(super) fn with(mut self, name: &'static str, value: Option<String>) -> Self {
        self.headers.extend(value.map(|value| (name, value)));
        self
    }

    /// The same with the preferences that were applied.
    pub(super) fn applied(self, preferences: &[String]) -> Self {
        let applied = (!preferences.is_empty()).then(|| preferences.join(", "));
        self.with("preference-applied", applied)
    }
}
