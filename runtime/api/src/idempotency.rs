//! `Idempotency-Key` on writes and webhooks: a request that is sent again with its key is not done again, its answer is repeated. Kept
//! in memory and bounded: after a restart, a day, or a thousand further keys a key is new again.

use crate::app::App;
use crate::gate::Sender;
use crate::problem::Problem;
use axum::body::{Body, Bytes};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bulkhead_sandbox::capability::Clock;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::time::Duration;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer is an old one.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Keys remembered; beyond it the oldest goes.
pub(crate) const KEYS_MAX: usize = 1_000;
/// How long one is remembered.
pub(crate) const KEPT_FOR: Duration = Duration::from_secs(86_400);
/// Longest answer that is repeated; a request with a longer one would be done again.
pub(crate) const ANSWER_MAX_BYTES: usize = 16 * 1024;
/// Longest key.
const KEY_MAX_BYTES: usize = 255;

type Hash = [u8; 32];

/// An answer that can be given again.
#[derive(Clone)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

struct Entry {
    /// Of what was sent with the key.
    sent: Hash,
    begun_ns: u64,
    /// None: it is being worked on.
    answer: Option<Answer>,
}

/// Keys that were used lately.
#[derive(Default)]
pub(crate) struct Remembered(Mutex<HashMap<Hash, Entry>>);

/// What is known of a key.
enum Known {
    /// Nothing: it is to be done now.
    New,
    /// It was done, with this answer.
    Done(Answer),
}

/// A key that is being worked on; dropped before its answer is kept, it is forgotten.
struct Working<'r> {
    all: &'r Remembered,
    key: Hash,
    is_kept: bool,
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        if !self.is_kept {
            self.all.0.lock().remove(&self.key);
        }
    }
}

impl Remembered {
    fn begin(&self, key: Hash, sent: Hash, now_ns: u64) -> Result<Known, Problem> {
        let mut all = self.0.lock();
        let kept_ns = u64::try_from(KEPT_FOR.as_nanos()).unwrap_or(u64::MAX);
        match all.get(&key).filter(|entry| now_ns.saturating_sub(entry.begun_ns) < kept_ns) {
            Some(entry) if entry.sent != sent => {
                let detail = "this Idempotency-Key came with another request before: use a new one";
                return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "key-reused", detail));
            }
            Some(Entry { answer: Some(answer), .. }) => return Ok(Known::Done(answer.clone())),
            Some(_) => {
                let detail = "the request with this Idempotency-Key is still being worked on";
                return Err(Problem::new(StatusCode::CONFLICT, "key-in-use", detail).retry_after(None));
            }
            None => {}
        }
        if all.len() >= KEYS_MAX {
            let done = all.iter().filter(|(_, entry)| entry.answer.is_some());
            if let Some(oldest) = done.min_by_key(|(_, entry)| entry.begun_ns).map(|(key, _)| *key) {
                all.remove(&oldest);
            }
        }
        all.insert(key, Entry { sent, begun_ns: now_ns, answer: None });
        Ok(Known::New)
    }

    fn keep(&self, key: &Hash, answer: Answer) {
        if let Some(entry) = self.0.lock().get_mut(key) {
            entry.answer = Some(answer);
        }
    }
}

/// Does a request, or repeats the answer that it had when it came before with the same key. The body has been read.
pub(crate) async fn once(
    app: &App,
    sender: &Sender,
    request: &Parts,
    body: &[u8],
    work: impl Future<Output = Result<Response, Problem>>,
) -> Result<Response, Problem> {
    let Some(given) = key(&request.headers)? else { return work.await };
    let (path, query) = (request.uri.path(), request.uri.query().unwrap_or_default());
    let who = sender.identity.counted_as();
    let key = digest(&[who.as_bytes(), request.method.as_str().as_bytes(), path.as_bytes(), given.as_bytes()]);
    let sent = digest(&[query.as_bytes(), body]);
    if let Known::Done(answer) = app.remembered.begin(key, sent, app.door.clock.monotonic_ns())? {
        let mut response = Response::new(Body::from(answer.body));
        (*response.status_mut(), *response.headers_mut()) = (answer.status, answer.headers);
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        return Ok(response);
    }
    let mut working = Working { all: &app.remembered, key, is_kept: false };
    let response = work.await.unwrap_or_else(IntoResponse::into_response);
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(|_| Problem::internal("the answer ended early"))?.to_bytes();
    if is_final(parts.status) && body.len() <= ANSWER_MAX_BYTES {
        let answer = Answer { status: parts.status, headers: parts.headers.clone(), body: body.clone() };
        app.remembered.keep(&key, answer);
        working.is_kept = true;
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

/// Whether the same request would have the same answer again: what may work later is tried again.
fn is_final(status: StatusCode) -> bool {
    let passing = [401, 403, 404, 408, 409, 425, 429];
    status.is_success() || (status.is_client_error() && !passing.contains(&status.as_u16()))
}

fn key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut all = headers.get_all(KEY).iter();
    let Some(first) = all.next() else { return Ok(None) };
    let is_key = |text: &&str| (1..=KEY_MAX_BYTES).contains(&text.len());
    match (first.to_str().ok().filter(is_key), all.next()) {
        (Some(key), None) => Ok(Some(key)),
        _ => Err(Problem::bad_request("bad-key", format!("Idempotency-Key is one text of 1 to {KEY_MAX_BYTES} bytes"))),
    }
}

fn digest(parts: &[&[u8]]) -> Hash {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Answer {
        Answer { status: StatusCode::OK, headers: HeaderMap::new(), body: Bytes::from_static(b"a") }
    }

    #[test]
    fn a_key_is_worked_on_once_repeated_for_the_same_and_refused_for_another_request() {
        let all = Remembered::default();
        let begin = |sent: u8, now_ns| all.begin([1; 32], [sent; 32], now_ns);
        assert!(matches!(begin(1, 0), Ok(Known::New)));
        assert_eq!(begin(1, 0).err().unwrap().status(), StatusCode::CONFLICT);
        all.keep(&[1; 32], answer());
        assert!(matches!(begin(1, 1), Ok(Known::Done(_))));
        assert_eq!(begin(2, 1).err().unwrap().status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert!(matches!(begin(2, 86_400_000_000_000), Ok(Known::New)), "a day later it is new");
        drop(Working { all: &all, key: [1; 32], is_kept: false });
        assert!(matches!(begin(3, 1), Ok(Known::New)), "what had no answer is done again");
    }

    #[test]
    fn the_memory_is_bounded_and_the_oldest_answer_goes() {
        let all = Remembered::default();
        for n in 0..2 * KEYS_MAX as u64 {
            let key = digest(&[&n.to_le_bytes()]);
            assert!(all.begin(key, [0; 32], n).is_ok());
            all.keep(&key, answer());
        }
        assert_eq!(all.0.lock().len(), KEYS_MAX);
        assert!(matches!(all.begin(digest(&[&0_u64.to_le_bytes()]), [0; 32], 1), Ok(Known::New)));
    }

    #[test]
    fn only_what_would_be_answered_the_same_again_is_kept() {
        for (status, kept) in
            [(200, true), (202, true), (400, true), (422, true), (404, false), (429, false), (503, false)]
        {
            assert_eq!(is_final(StatusCode::from_u16(status).unwrap()), kept, "{status}");
        }
    }
}
