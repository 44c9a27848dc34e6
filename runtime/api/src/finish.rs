//! What is done with the body of an answer at the end: a tag by which a client asks whether what it has is still right, and
//! compression as the client likes it. Only whole bodies: what streams leaves as it is.

use crate::compress::{Encoder, is_worth};
use crate::etag;
use crate::problem::{Problem, task_failed};
use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};

/// Where the answers are that are finished here; those of OData and of webhooks are another's.
const PREFIX: &str = "/api/v1/";
/// What browsers are not to keep: secrets of a session, who there is, what was done, how the gateway is made.
const SECRET: [&str; 5] = ["/api/v1/session", "/api/v1/users", "/api/v1/keys", "/api/v1/audit", "/api/v1/config"];
/// A body of more bytes is worked on off the async threads.
const SHORT_MAX_BYTES: usize = 64 * 1024;
/// Bytes of a tag's hash.
const TAG_BYTES: usize = 12;

/// What the request said that decides how its answer is sent.
pub(crate) struct Asked {
    /// GET, or HEAD, which is told what GET would be.
    is_read: bool,
    /// Whether the answer may not be kept on a disk.
    is_secret: bool,
    headers: HeaderMap,
}

impl Asked {
    /// None: its answer is not finished here.
    pub(crate) fn of(method: &Method, path: &str, headers: &HeaderMap) -> Option<Self> {
        let is_ours = path.starts_with(PREFIX) || path == "/metrics";
        let mut kept = HeaderMap::new();
        for name in [header::ACCEPT_ENCODING, header::IF_NONE_MATCH] {
            for value in headers.get_all(&name) {
                kept.append(&name, value.clone());
            }
        }
        let is_secret = SECRET.iter().any(|secret| path.starts_with(secret));
        is_ours.then(|| Self { is_read: matches!(*method, Method::GET | Method::HEAD), is_secret, headers: kept })
    }

    /// Finishes an answer.
    pub(crate) async fn finish(self, response: Response) -> Result<Response, Problem> {
        let is_done = response.headers().contains_key(header::CONTENT_ENCODING) || !response.status().is_success();
        let Some(length) = response.body().size_hint().exact().filter(|_| !is_done) else { return Ok(response) };
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(|_| Problem::internal("the answer ended early"))?.to_bytes();
        let mut response = Response::from_parts(parts, Body::empty());
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let tag = response.headers().get(header::ETAG).cloned();
        let is_secret = self.is_secret;
        let is_tagged = self.is_read && response.status() == StatusCode::OK;
        let work = move || self.worked(body, tag, is_tagged);
        let worked = if length <= SHORT_MAX_BYTES {
            work()
        } else {
            tokio::task::spawn_blocking(work).await.map_err(|error| task_failed(&error))?
        };
        let Worked { body, tag, coding, is_known } = worked?;
        let headers = response.headers_mut();
        headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
        if let Some(tag) = tag {
            headers.insert(header::ETAG, tag);
            let cached = if is_secret { "no-store" } else { "private, no-cache" };
            headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static(cached));
        }
        if is_known {
            headers.remove(header::CONTENT_TYPE);
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return Ok(response);
        }
        if let Some(coding) = coding {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
        }
        headers.remove(header::CONTENT_LENGTH);
        *response.body_mut() = Body::from(body);
        Ok(response)
    }

    fn worked(self, body: Bytes, tag: Option<HeaderValue>, is_tagged: bool) -> Result<Worked, Problem> {
        let tag = if is_tagged { tag.or_else(|| hashed(&body)) } else { tag };
        let text = tag.as_ref().and_then(|tag| tag.to_str().ok());
        if is_tagged && text.is_some_and(|tag| etag::is_known(&self.headers, tag)) {
            return Ok(Worked { body: Bytes::new(), tag, coding: None, is_known: true });
        }
        let accepted = self.headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
        let Some(encoder) = Encoder::accepted(accepted).filter(|_| is_worth(&body)) else {
            return Ok(Worked { body, tag, coding: None, is_known: false });
        };
        let coding = encoder.name();
        let packed = encoder.last(&body);
        let packed =
            packed.map_err(|error| Problem::internal(format!("an answer could not be compressed: {error}")))?;
        Ok(Worked { body: packed.into(), tag, coding: Some(coding), is_known: false })
    }
}

struct Worked {
    body: Bytes,
    tag: Option<HeaderValue>,
    coding: Option<&'static str>,
    is_known: bool,
}

/// A weak tag of a content: the same content goes in several codings.
fn hashed(body: &[u8]) -> Option<HeaderValue> {
    let hash = Sha256::digest(body);
    HeaderValue::from_str(&format!("W/\"{}\"", crate::access::random::hex(&hash[..TAG_BYTES]))).ok()
}
