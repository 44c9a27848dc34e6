//! What names one request: a short id in its answer's header `X-Request-Id`, in the body of a problem (`instance`), in the audit
//! log and in the line that the journal has of each request that was not served. Whoever is told of an error finds the line.

use crate::access::random;
use crate::access::rate::Rates;
use crate::error::ApiError;
use axum::http::{HeaderName, Method, StatusCode};
use bulkhead_model::printable;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The header of an answer.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// Lines a second about requests that were not served, twice as many at once; what is beyond has a line at the level debug.
pub(crate) const LINES_PER_S: u32 = 5;
/// Longest path in such a line.
pub(crate) const PATH_SHOWN_MAX_BYTES: usize = 256;

tokio::task_local! {
    static CURRENT: RequestId;
}

/// The id of a request: letters and digits of this start of the gateway, and a number that rises.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct RequestId(Arc<str>);

impl RequestId {
    /// That of the request that is being answered; none outside of one.
    pub(crate) fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// Does something as a part of this request.
    pub(crate) async fn cover<T>(self, work: impl Future<Output = T>) -> T {
        CURRENT.scope(self, work).await
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

/// Gives ids, and puts what was not served into the journal.
pub(crate) struct Requests {
    start: String,
    next: AtomicU64,
    lines: Rates,
}

/// What there is to say of a request that was not served. Nothing of it is a secret: a webhook's query and what a sender put
/// into header or body is not in it.
pub(crate) struct NotServed<'r> {
    pub(crate) method: &'r Method,
    pub(crate) path: &'r str,
    pub(crate) status: StatusCode,
    pub(crate) code: Option<&'static str>,
}

impl Requests {
    /// # Errors
    /// [`ApiError::Random`].
    pub(crate) fn new() -> Result<Self, ApiError> {
        let start = random::hex(&random::bytes::<4>()?);
        Ok(Self { start, next: AtomicU64::new(1), lines: Rates::default() })
    }

    pub(crate) fn next(&self) -> RequestId {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        RequestId(format!("{}-{number}", self.start).into())
    }

    /// A line for the journal, at a level by whose fault it is and by how many there are of late.
    pub(crate) fn tell(&self, id: &RequestId, now_ns: u64, what: &NotServed<'_>) {
        let NotServed { method, path, status, code } = what;
        let (id, status, code) = (id.text(), status.as_u16(), code.unwrap_or("-"));
        // Who asks whether the gateway is ready asks again and again.
        let is_probe = *path == crate::health::HEALTH_PATH || *path == crate::health::READY_PATH;
        // By whose fault: strangers who are refused must not hide what fails.
        let kind = if status >= 500 { "failed" } else { "refused" };
        let has_room = !is_probe && self.lines.take(kind, now_ns, LINES_PER_S).is_ok();
        let path = printable(&path[..path.floor_char_boundary(PATH_SHOWN_MAX_BYTES)]);
        match status {
            500 if has_room => tracing::error!(request = id, status, code, "{method} {path} failed"),
            501.. if has_room => tracing::warn!(request = id, status, code, "{method} {path} was not served"),
            _ if has_room => tracing::info!(request = id, status, code, "{method} {path} was refused"),
            _ => tracing::debug!(request = id, status, code, "{method} {path} was not served"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ids_differ_and_are_known_while_their_request_is_answered() {
        let requests = Requests::new().unwrap();
        let (first, second) = (requests.next(), requests.next());
        assert_ne!(first, second);
        assert_eq!(RequestId::current(), None);
        assert_eq!(first.clone().cover(async { RequestId::current() }).await, Some(first));
        assert!(second.text().ends_with("-2") && second.text().len() == 10, "{second:?}");
    }
}
