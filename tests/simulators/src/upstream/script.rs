//! Misbehaviour on demand: what happens to the next requests instead of, or around, the right answer.

use serde_json::Value;
use std::{collections::VecDeque, fmt, sync::Arc, time::Duration};

/// Misbehaviours lined up; further ones push out the first.
const MAX_SCRIPT: usize = 10_000;

/// When a refused client may come again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RetryAfter {
    /// After this many seconds.
    Seconds(u32),
    /// At an HTTP date this many seconds from now.
    DateInSeconds(u32),
    /// The header as it is, for malformed ones.
    Verbatim(String),
}

impl RetryAfter {
    /// The header's value, given the time now.
    pub(crate) fn header(&self, now: jiff::Timestamp) -> String {
        match self {
            RetryAfter::Seconds(seconds) => seconds.to_string(),
            RetryAfter::DateInSeconds(seconds) => http_date(now, *seconds),
            RetryAfter::Verbatim(text) => text.clone(),
        }
    }
}

fn http_date(now: jiff::Timestamp, in_seconds: u32) -> String {
    let then = now.saturating_add(jiff::SignedDuration::from_secs(i64::from(in_seconds))).unwrap_or(now);
    let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
    // Fails only for years beyond 9999, which the saturated sum cannot reach in this clock's life.
    printer.timestamp_to_rfc9110_string(&then).unwrap_or_default()
}

/// What happens to a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Misbehaviour {
    /// Nothing is accepted; this status with this body, as `application/json` where it looks like it.
    Status {
        /// The status.
        code: u16,
        /// The body.
        body: String,
        /// A Retry-After header.
        retry_after: Option<RetryAfter>,
    },
    /// Nothing is accepted, and there is no answer while the client waits.
    Hang,
    /// The right answer, after this long.
    Delay(Duration),
    /// Nothing is accepted; the connection closes without an answer.
    Close,
    /// What was sent is accepted; the connection closes without an answer, so that the client cannot know.
    AcceptThenClose,
    /// What was sent is accepted; the connection closes in the middle of the answer.
    CloseMidResponse,
    /// Nothing is accepted; redirect with 307 to this location.
    Redirect(String),
    /// What was sent is accepted; 303 to this location, where its result would be.
    SeeOther(String),
    /// The right answer, byte by byte with this pause between.
    SlowBody(Duration),
    /// What was sent is accepted; an answer of this many bytes.
    HugeBody(u64),
}

impl Misbehaviour {
    /// A status with a JSON error in OData's form.
    #[must_use]
    pub fn status(code: u16) -> Self {
        let body =
            super::odata::error_body(&code.to_string(), "refused by the simulated upstream's script").to_string();
        Misbehaviour::Status { code, body, retry_after: None }
    }

    /// A status, 429 or 503 as a rule, with Retry-After in seconds.
    #[must_use]
    pub fn retry_later(code: u16, seconds: u32) -> Self {
        match Self::status(code) {
            Misbehaviour::Status { code, body, .. } => {
                Misbehaviour::Status { code, body, retry_after: Some(RetryAfter::Seconds(seconds)) }
            }
            other => other,
        }
    }
}

/// Why one entity is refused while others are accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejection {
    /// The status, from 400 on.
    pub status: u16,
    /// A code for programs.
    pub code: String,
    /// A text for people.
    pub message: String,
}

/// Decides which entities are refused.
pub(crate) type Reject = Arc<dyn Fn(&Value) -> Option<Rejection> + Send + Sync>;

/// What is lined up.
#[derive(Default)]
pub(crate) struct Script {
    next: VecDeque<Misbehaviour>,
    always: Option<Misbehaviour>,
    pub(crate) reject: Option<Reject>,
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").field("next", &self.next).field("always", &self.always).finish_non_exhaustive()
    }
}

impl Script {
    pub(crate) fn line_up(&mut self, misbehaviour: Misbehaviour, times: usize) {
        for _ in 0..times.min(MAX_SCRIPT) {
            if self.next.len() >= MAX_SCRIPT {
                self.next.pop_front();
            }
            self.next.push_back(misbehaviour.clone());
        }
    }

    pub(crate) fn set_always(&mut self, misbehaviour: Option<Misbehaviour>) {
        self.always = misbehaviour;
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn take(&mut self) -> Option<Misbehaviour> {
        self.next.pop_front().or_else(|| self.always.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lined_up_comes_before_what_is_always() {
        let mut script = Script::default();
        script.set_always(Some(Misbehaviour::Hang));
        script.line_up(Misbehaviour::Close, 1);
        assert_eq!(script.take(), Some(Misbehaviour::Close));
        assert_eq!(script.take(), Some(Misbehaviour::Hang));
        script.clear();
        assert_eq!(script.take(), None);
    }

    #[test]
    fn retry_after_as_an_http_date() {
        let now = "1994-11-15T08:12:21Z".parse().unwrap();
        assert_eq!(RetryAfter::DateInSeconds(10).header(now), "Tue, 15 Nov 1994 08:12:31 GMT");
        assert_eq!(RetryAfter::Seconds(10).header(now), "10");
    }
}
