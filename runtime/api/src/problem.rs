//! Answers to requests that cannot be served: problem details (RFC 9457) as JSON.

use crate::error::ApiError;
use crate::limits::RETRY_AFTER;
use crate::request_id::RequestId;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bulkhead_engine::EngineError;
use bulkhead_log::LogError;
use bulkhead_sandbox::CallError;
use bulkhead_sandbox::wit::Remedy;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Media type of problem details.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";
/// What a problem's `type` begins with; its code follows.
const TYPE_PREFIX: &str = "urn:bulkhead:problem:";
/// What a problem's `instance` begins with; the id of the request follows.
const INSTANCE_PREFIX: &str = "urn:bulkhead:request:";

/// The code of the transports' faults when a device does not answer in time.
const DEVICE_TIMEOUT: &str = "timeout";

/// Why a request cannot be served.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    more: Map<String, Value>,
    retry_after: Option<Duration>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), more: Map::new(), retry_after: None }
    }

    /// A request that is wrong in itself.
    pub(crate) fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// Something that is not there.
    pub(crate) fn not_found(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// The server's own failure. The detail reaches the client: no internals.
    pub(crate) fn internal(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// Why a webhook was not answered. A fault of the responder says whose mistake it is (`wit/roles.wit`): the request's
    /// (remedy reject) is 400; with any other remedy the same request may be answered later, and it is 503. What is not
    /// the responder's fault is as anywhere else.
    pub(crate) fn of_responder(error: EngineError) -> Self {
        let detail = error.to_string();
        let EngineError::Call { cause: CallError::Fault(fault), .. } = &error else { return error.into() };
        let problem = match fault.remedy {
            Remedy::Reject => Self::bad_request("refused", detail),
            _ => {
                let wait = fault.retry_after_ms.map(|wait_ms| Duration::from_millis(wait_ms.into()));
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "not-answered", detail).retry_after(wait)
            }
        };
        problem.with("fault", fault.code.clone())
    }

    /// The same with one more member.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    /// The same with the near name that was probably meant, if there is one.
    pub(crate) fn near(mut self, near: Option<&str>) -> Self {
        if let Some(near) = near {
            self.detail.push_str(&format!("; did you mean `{near}`?"));
            self = self.with("near", near);
        }
        self
    }

    /// The same with what to do, behind its detail.
    pub(crate) fn and(mut self, advice: &str) -> Self {
        self.detail.push_str(&format!("; {advice}"));
        self
    }

    /// The same with a time after which to try again.
    pub(crate) fn retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = Some(wait.unwrap_or(RETRY_AFTER));
        self
    }

    /// Its code and its detail.
    pub(crate) fn told(&self) -> (String, String) {
        (self.code.to_owned(), self.detail.clone())
    }

    /// Its body.
    pub(crate) fn text(&self) -> String {
        self.body().to_string()
    }

    /// Its status.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    fn body(&self) -> Value {
        let mut body = Map::new();
        body.insert("type".into(), format!("{TYPE_PREFIX}{}", self.code).into());
        body.insert("title".into(), self.status.canonical_reason().unwrap_or("Error").into());
        body.insert("status".into(), self.status.as_u16().into());
        body.insert("code".into(), self.code.into());
        body.insert("detail".into(), self.detail.clone().into());
        if let Some(id) = RequestId::current() {
            body.insert("instance".into(), format!("{INSTANCE_PREFIX}{}", id.text()).into());
        }
        body.extend(self.more.clone());
        Value::Object(body)
    }
}

/// The problem that an answer is, for the audit log and for those who write it in another form.
#[derive(Clone)]
pub(crate) struct Problematic {
    /// Its code.
    pub(crate) code: &'static str,
    /// What it says.
    pub(crate) detail: String,
}

/// Whole seconds, rounded up, at least one.
pub(crate) fn retry_after_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.text()).into_response();
        response.extensions_mut().insert(Problematic { code: self.code, detail: self.detail });
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after_seconds(wait)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            for scheme in [r#"Bearer realm="bulkhead""#, r#"Basic realm="bulkhead", charset="UTF-8""#] {
                headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
            }
        }
        response
    }
}

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        let detail = error.to_string();
        match error {
            ApiError::Account { .. } => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-account", detail),
            // The hint is in the text already.
            ApiError::NoConnection { near, .. } => {
                let problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "no-such-connection", detail);
                near.map_or(problem.clone(), |near| problem.with("near", near))
            }
            ApiError::NoAccount { what, .. } => Self::not_found("no-such-account", detail).with("what", what),
            error => {
                tracing::error!("a request failed: {}", chain(&error));
                Self::internal("it did not work; the journal says why")
            }
        }
    }
}

impl From<LogError> for Problem {
    fn from(error: LogError) -> Self {
        let detail = error.to_string();
        match error {
            LogError::Gone { first_available, .. } => {
                Self::new(StatusCode::GONE, "gone", detail).with("first_available_seq", first_available)
            }
            LogError::QueryTimeout { .. } => Self::new(StatusCode::GATEWAY_TIMEOUT, "query-timeout", detail),
            LogError::QueriesBusy { .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after(None)
            }
            LogError::Closed => Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", detail).retry_after(None),
            LogError::OutOfRange { .. } => Self::bad_request("out-of-range", detail),
            LogError::UnknownPoint { .. } => Self::not_found("no-such-point", detail),
            error => {
                tracing::error!("the log could not answer: {}", chain(&error));
                Self::internal("the log could not answer; the journal says why")
            }
        }
    }
}

/// An error with its causes, for the journal.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        let detail = error.to_string();
        let unavailable =
            |code, wait| Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail.clone()).retry_after(wait);
        match error {
            EngineError::NoSuchConnection { name, known } => no_such_connection(&name, &known),
            // The hint is in the text already.
            EngineError::NoSuchPoint { near, .. } => {
                let problem = Self::not_found("no-such-point", detail);
                near.map_or(problem.clone(), |near| problem.with("near", near))
            }
            EngineError::NoSuchRoute { .. } => Self::not_found("no-such-route", detail),
            EngineError::RouteInUse { .. } => Self::new(StatusCode::CONFLICT, "route-in-use", detail),
            EngineError::Stopping => unavailable("stopping", None),
            EngineError::NotWritable { .. } => Self::new(StatusCode::CONFLICT, "not-writable", detail),
            EngineError::MissingRole { role, .. } => {
                Self::new(StatusCode::CONFLICT, "missing-role", detail).with("role", role)
            }
            EngineError::BadValue { expected, .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-value", detail).with("expected", expected)
            }
            EngineError::NotRunning { .. } => unavailable("not-running", None),
            EngineError::Busy { .. } => unavailable("busy", None),
            EngineError::Adapter { .. } | EngineError::Transport(_) => unavailable("not-running", None),
            EngineError::Timeout { .. } => Self::new(StatusCode::GATEWAY_TIMEOUT, "timeout", detail),
            EngineError::Call { cause, .. } => call_failed(&cause, detail),
            EngineError::NoSuchLetter { .. } => Self::not_found("no-such-dead-letter", detail),
            EngineError::LetterBusy { .. } => Self::new(StatusCode::CONFLICT, "being-replayed", detail),
            EngineError::LetterStuck { .. } => Self::new(StatusCode::CONFLICT, "not-replayable", detail),
            EngineError::LetterFailed { fault, is_refused, .. } => {
                let code = if is_refused { "refused-again" } else { "not-delivered" };
                Self::new(StatusCode::BAD_GATEWAY, code, detail).with("fault", fault.code)
            }
            EngineError::Log(error) => error.into(),
        }
    }
}

/// What a call of an adapter came to.
fn call_failed(cause: &CallError, detail: String) -> Problem {
    match cause {
        CallError::Fault(fault) if fault.code == DEVICE_TIMEOUT => {
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "timeout", detail).with("fault", fault.code.clone())
        }
        CallError::Fault(fault) => {
            let problem =
                Problem::new(StatusCode::BAD_GATEWAY, "device-refused", detail).with("fault", fault.code.clone());
            if cause.wait().is_some() { problem.retry_after(cause.wait()) } else { problem }
        }
        CallError::Trapped { .. } => {
            Problem::new(StatusCode::BAD_GATEWAY, "adapter-crashed", detail).with("fault", cause.code().to_owned())
        }
        CallError::TimedOut { .. } => {
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "timeout", detail).with("fault", cause.code().to_owned())
        }
        CallError::Resting { .. } | CallError::CannotStart(_) => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-running", detail).retry_after(cause.wait())
        }
        CallError::NoSuchRole(role) => Problem::new(StatusCode::CONFLICT, "missing-role", detail).with("role", *role),
    }
}

/// A connection that is not there.
pub(crate) fn no_such_connection(name: &str, known: &[String]) -> Problem {
    let candidates: Vec<&str> = known.iter().map(String::as_str).collect();
    Problem::not_found("no-such-connection", format!("there is no connection `{name}`"))
        .near(bulkhead_config::nearest(name, &candidates))
}

/// A failure of a task that was to run beside the async ones: it panicked or the runtime ends.
pub(crate) fn task_failed(error: &tokio::task::JoinError) -> Problem {
    tracing::error!("a request's work ended early: {error}");
    Problem::internal("the request's work ended early; the journal says why")
}

/// Answers a path that is not there.
pub(crate) fn no_such_path(path: &str) -> Problem {
    Problem::not_found("no-such-path", format!("there is nothing at {path}")).with("see", json!("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(code: &str) -> EngineError {
        fault_with(Remedy::Reject, code, Some(1_500))
    }

    fn fault_with(remedy: Remedy, code: &str, retry_after_ms: Option<u32>) -> EngineError {
        let message = "register 7".into();
        let fault = bulkhead_sandbox::wit::Fault { remedy, code: code.into(), message, retry_after_ms };
        EngineError::Call { connection: "boiler".into(), cause: CallError::Fault(fault) }
    }

    #[test]
    fn a_responders_fault_is_the_requests_mistake_or_says_when_to_come_again() {
        let refused = Problem::of_responder(fault_with(Remedy::Reject, "bad-json", None));
        assert_eq!((refused.status, refused.more["fault"].as_str()), (StatusCode::BAD_REQUEST, Some("bad-json")));
        assert!(!refused.into_response().headers().contains_key(header::RETRY_AFTER));
        for remedy in [Remedy::Retry, Remedy::Reconnect, Remedy::Reconfigure] {
            for (given_ms, seconds) in [(Some(2_500), "3"), (None, "1")] {
                // Also where the code is that of a device which does not answer: that is a gateway timeout for writes only.
                let response = Problem::of_responder(fault_with(remedy, DEVICE_TIMEOUT, given_ms)).into_response();
                assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{remedy:?}");
                assert_eq!(response.headers()[header::RETRY_AFTER], seconds);
            }
        }
        let trap = CallError::Trapped { message: "unreachable".into(), rebuild_in: Duration::from_secs(1) };
        let crashed = Problem::of_responder(EngineError::Call { connection: "boiler".into(), cause: trap });
        assert_eq!(crashed.status, StatusCode::BAD_GATEWAY, "no fault of the responder's own");
    }

    #[test]
    fn a_fault_of_the_device_is_a_bad_gateway_and_names_its_code() {
        let problem = Problem::from(fault("illegal-address"));
        assert_eq!(
            (problem.status, problem.more["fault"].as_str()),
            (StatusCode::BAD_GATEWAY, Some("illegal-address"))
        );
        assert!(problem.detail.contains("boiler") && problem.detail.contains("register 7"));
        assert_eq!(problem.into_response().headers()[header::RETRY_AFTER], "2");
        assert_eq!(Problem::from(fault("timeout")).status, StatusCode::GATEWAY_TIMEOUT);
    }

    #[test]
    fn busy_and_stopped_connections_say_when_to_try_again() {
        let busy = Problem::from(EngineError::Busy { connection: "boiler".into(), limit: 8 });
        assert_eq!((busy.status, busy.code), (StatusCode::SERVICE_UNAVAILABLE, "busy"));
        assert_eq!(busy.into_response().headers()[header::RETRY_AFTER], "1");
        let late = EngineError::Timeout { connection: "boiler".into(), limit: Duration::from_secs(30) };
        assert_eq!(Problem::from(late).status, StatusCode::GATEWAY_TIMEOUT);
    }
}
