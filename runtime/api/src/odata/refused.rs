//! What is refused below the service root before the service is asked (no credential, no right, too many requests), as OData
//! clients read it: they show `error.message`, and of problem details nothing.

use super::ROOT;
use crate::problem::Problematic;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use bulkhead_odata::{Error, Request, handle};

/// A client of the service, and the highest version that it understands.
pub(crate) struct Client {
    max_version: Option<String>,
}

impl Client {
    /// The sender of a request; none: it is not for the service.
    pub(crate) fn of(request: &Parts) -> Option<Self> {
        let below = request.uri.path().strip_prefix(ROOT)?;
        let max_version = request.headers.get("odata-maxversion").and_then(|value| value.to_str().ok());
        (below.is_empty() || below.starts_with('/')).then(|| Self { max_version: max_version.map(str::to_owned) })
    }

    /// Puts OData's error into an answer that is a problem; its status and its other header fields stay.
    pub(crate) fn reword(&self, response: &mut Response) {
        let Some(Problematic { code, detail }) = response.extensions().get() else { return };
        let error =
            Error::Refused { status: response.status().as_u16(), code: (*code).to_owned(), message: detail.clone() };
        let version = self.max_version.as_deref().map(|version| ("odata-maxversion", version));
        let refusal = handle::refusal(&Request::get("", "", version.as_slice(), ""), &error);
        for (name, value) in &refusal.headers {
            if let Ok(value) = HeaderValue::from_str(value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        response.headers_mut().remove(header::CONTENT_LENGTH);
        *response.body_mut() = Body::from(refusal.body);
    }
}
