//! Files that lie in the binary as gzip members: sent as they are to who takes gzip, unpacked for others, with a tag by which a
//! browser asks whether its copy is still right.

use crate::problem::Problem;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bulkhead_odata::coding::Coding;
use flate2::read::GzDecoder;
use std::io::Read;

/// A file.
#[derive(Clone, Copy)]
pub(crate) struct Packed {
    pub(crate) media_type: &'static str,
    /// One gzip member.
    pub(crate) gzip: &'static [u8],
}

impl Packed {
    /// The answer to a request for it.
    pub(crate) fn answer(self, request: &HeaderMap) -> Result<Response, Problem> {
        let tag = self.tag();
        let mut answer = if crate::etag::is_known(request, &tag) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            self.whole(request)?
        };
        let headers = answer.headers_mut();
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            headers.insert(header::ETAG, tag);
        }
        Ok(answer)
    }

    fn whole(self, request: &HeaderMap) -> Result<Response, Problem> {
        let accepted = request.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
        let takes_gzip = accepted.is_some_and(|accepted| Coding::Gzip.is_taken(accepted));
        let mut answer = if takes_gzip {
            let mut answer = Response::new(Body::from(self.gzip));
            answer.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(Coding::Gzip.name()));
            answer
        } else {
            Response::new(Body::from(self.unpacked()?))
        };
        answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        Ok(answer)
    }

    /// Its content.
    pub(crate) fn unpacked(self) -> Result<Vec<u8>, Problem> {
        let mut content = Vec::new();
        let read = GzDecoder::new(self.gzip).read_to_end(&mut content);
        read.map_err(|error| Problem::internal(format!("a file of the gateway's own cannot be unpacked: {error}")))?;
        Ok(content)
    }

    /// A member ends with the checksum and the length of its content (RFC 1952 §2.3.1): they tell versions apart. It is
    /// a weak tag, because the same content goes in two codings.
    fn tag(self) -> String {
        let end = self.gzip.len().saturating_sub(8);
        format!("W/\"{}\"", crate::access::random::hex(&self.gzip[end..]))
    }
}
