//! What goes wrong with a request, and the fault a guest gets for it. Texts name the server and the cause, never
//! credentials.

use super::resolve::NotGranted;
use bulkhead_sandbox::capability::{Fault, Remedy};
use reqwest::Response;
use std::error::Error;

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RequestError {
    /// The transport has been stopped.
    Stopped,
    /// The server could not be reached; why.
    Connect(String),
    /// No whole answer in time.
    Timeout,
    /// The server's certificate, or ours, was not accepted; why.
    Tls(String),
    /// Outside of the base URL or a field the host sets; what.
    NotGranted(String),
    /// The request is longer than allowed; what.
    TooLarge(String),
    /// The server sends us where the grant does not reach; where. That is about the server, not about what was sent.
    Redirected(String),
    /// The answer is longer than allowed; what.
    AnswerTooLarge(String),
    /// The connection ended or what came is no HTTP; why.
    Broken(String),
    /// No token was to be had; why.
    Token(String),
    /// The request itself is none; why.
    BadRequest(String),
}

impl RequestError {
    /// Whether the server was not reached at all.
    pub(crate) fn is_down(&self) -> bool {
        matches!(self, RequestError::Connect(_) | RequestError::Tls(_))
    }

    /// The fault for a connection's request.
    pub(crate) fn fault(&self, who: &str, timeout_ms: u32) -> Fault {
        let (remedy, code, why) = match self {
            RequestError::Stopped => (Remedy::Retry, "not-connected", "the transport is not running".to_owned()),
            RequestError::Connect(why) => (Remedy::Retry, "connect", format!("cannot connect: {why}")),
            RequestError::Timeout => (Remedy::Retry, "timeout", format!("no whole answer within {timeout_ms} ms")),
            RequestError::Tls(why) => (
                Remedy::Retry,
                "tls",
                format!("TLS: {why}; check `tls.ca_file`, the server's name and its certificate"),
            ),
            RequestError::NotGranted(why) => (Remedy::Reject, "not-granted", why.clone()),
            RequestError::TooLarge(why) => (Remedy::Reject, "too-large", why.clone()),
            RequestError::Redirected(why) => (Remedy::Retry, "not-granted", why.clone()),
            RequestError::AnswerTooLarge(why) => (Remedy::Retry, "too-large", why.clone()),
            RequestError::Broken(why) => (Remedy::Retry, "connection-lost", why.clone()),
            RequestError::Token(why) => (Remedy::Retry, "unauthorized", why.clone()),
            RequestError::BadRequest(why) => (Remedy::Reject, "bad-request", why.clone()),
        };
        Fault::new(remedy, code, format!("{who}: {why}"))
    }
}

/// Sorts an error of the HTTP client.
pub(crate) fn of_reqwest(error: reqwest::Error) -> RequestError {
    let error = error.without_url();
    let cause = root_cause(&error);
    if let Some(refused) = chain(&error).find_map(|error| error.downcast_ref::<NotGranted>()) {
        // A name may lead elsewhere tomorrow: that is nothing of the request's.
        RequestError::Redirected(refused.to_string())
    } else if is_tls(&error) {
        RequestError::Tls(cause)
    } else if error.is_connect() {
        RequestError::Connect(cause)
    } else if error.is_timeout() {
        RequestError::Timeout
    } else if error.is_builder() {
        RequestError::BadRequest(cause)
    } else {
        RequestError::Broken(format!("the connection ended before the answer: {cause}"))
    }
}

/// An error and its causes. An `io::Error` hides what it wraps from `source`, so that is asked for besides.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = wrapped.map(|wrapped| wrapped as &(dyn Error + 'static)).or_else(|| error.source());
        Some(error)
    })
}

fn root_cause(error: &(dyn Error + 'static)) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

fn is_tls(error: &(dyn Error + 'static)) -> bool {
    chain(error).any(|error| error.is::<rustls::Error>())
}

/// Reads a whole body of at most `max` bytes.
pub(crate) async fn read_body(mut response: Response, max: usize) -> Result<Vec<u8>, RequestError> {
    let too_large = || RequestError::AnswerTooLarge(format!("the answer is longer than {max} bytes"));
    if response.content_length().is_some_and(|length| length > max as u64) {
        return Err(too_large());
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(of_reqwest)? {
        if body.len() + chunk.len() > max {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
