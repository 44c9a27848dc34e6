//! Requests to the service: the header fields each has, and the CSRF token where the service wants one.

use crate::entity::Change;
use crate::settings::Settings;
use bulkhead_sdk::http::{self, Incoming, Outgoing};
use bulkhead_sdk::prelude::*;
use bulkhead_upstream::{excerpt, retry_fault};

/// The role of the transport that leads to the service.
pub(crate) const UPSTREAM: &str = "upstream";
const CSRF_HEADER: &str = "x-csrf-token";

type Headers = Vec<(String, String)>;

/// One answer inside the answer to a `$batch`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PartAnswer {
    /// The id of the request it answers.
    pub(crate) id: Option<String>,
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
}

/// What requests have in common.
#[derive(Debug)]
pub(crate) struct Exchange {
    content_type: String,
    idempotency_header: String,
    headers: Headers,
    csrf_path: Option<String>,
    /// The token and the cookies it belongs to, once fetched.
    csrf: Option<Headers>,
}

impl Exchange {
    pub(crate) fn new(settings: &Settings) -> Exchange {
        let ieee754 = if settings.ieee754_compatible { ";IEEE754Compatible=true" } else { "" };
        Exchange {
            content_type: format!("application/json{ieee754}"),
            idempotency_header: settings.idempotency_header.clone(),
            headers: settings.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            csrf_path: settings.csrf.then(|| settings.csrf_path.clone()),
            csrf: None,
        }
    }

    /// The header fields of a change inside a `$batch`.
    pub(crate) fn part_headers(&self, change: &Change, key: &str) -> Headers {
        let mut headers = headers(&[
            ("Content-Type", &self.content_type),
            ("Accept", "application/json"),
            ("Prefer", "return=minimal"),
        ]);
        headers.extend(change.condition.map(|(name, value)| (name.to_owned(), value.to_owned())));
        headers.extend(self.idempotency(key));
        headers
    }

    fn idempotency(&self, key: &str) -> Option<(String, String)> {
        (!self.idempotency_header.is_empty()).then(|| (self.idempotency_header.clone(), key.to_owned()))
    }

    /// Sends a change on its own.
    ///
    /// # Errors
    /// The transport's.
    pub(crate) fn send_change(&mut self, change: &Change, key: &str) -> Result<Incoming, Fault> {
        let mut fields = self.part_headers(change, key);
        fields.extend(headers(&[("OData-Version", "4.0"), ("OData-MaxVersion", "4.01")]));
        self.send(change.method, &format!("/{}", change.url), fields, change.body.clone().into_bytes())
    }

    /// Sends a `$batch`.
    ///
    /// # Errors
    /// The transport's.
    pub(crate) fn send_batch(
        &mut self,
        content_type: &str,
        accept: &str,
        key: &str,
        body: String,
    ) -> Result<Incoming, Fault> {
        let mut fields = headers(&[
            ("Content-Type", content_type),
            ("Accept", accept),
            ("OData-Version", "4.0"),
            ("OData-MaxVersion", "4.01"),
            ("Prefer", "continue-on-error,odata.continue-on-error"),
        ]);
        fields.extend(self.idempotency(key));
        self.send("POST", "/$batch", fields, body.into_bytes())
    }

    /// Reads from the service.
    ///
    /// # Errors
    /// The transport's.
    pub(crate) fn get(&self, path: &str, accept: &str) -> Result<Incoming, Fault> {
        let fields = headers(&[("Accept", accept), ("OData-MaxVersion", "4.01")]);
        self.request("GET", path, fields, Vec::new())
    }

    /// Sends what changes something: with a token where one is wanted, and once more with a new one where it has run out.
    fn send(&mut self, method: &str, path: &str, fields: Headers, body: Vec<u8>) -> Result<Incoming, Fault> {
        let with_token = self.with_token(&fields)?;
        let answer = self.request(method, path, with_token, body.clone())?;
        if self.csrf_path.is_none() || !wants_token(&answer) {
            return Ok(answer);
        }
        self.csrf = None;
        let with_token = self.with_token(&fields)?;
        self.request(method, path, with_token, body)
    }

    fn request(&self, method: &str, path: &str, mut fields: Headers, body: Vec<u8>) -> Result<Incoming, Fault> {
        fields.extend(self.headers.iter().cloned());
        http::request(UPSTREAM, &Outgoing { method: method.to_owned(), path: path.to_owned(), headers: fields, body })
    }

    /// The fields with the token and its cookies, fetched first where there is none yet.
    fn with_token(&mut self, fields: &Headers) -> Result<Headers, Fault> {
        let mut fields = fields.clone();
        if let Some(path) = self.csrf_path.clone() {
            let csrf = match self.csrf.take() {
                Some(csrf) => csrf,
                None => self.fetch_token(&path)?,
            };
            fields.extend(csrf.iter().cloned());
            self.csrf = Some(csrf);
        }
        Ok(fields)
    }

    /// Asks for a token: with HEAD, and with GET where the service does not take HEAD.
    fn fetch_token(&self, path: &str) -> Result<Headers, Fault> {
        let asked = |method| {
            self.request(method, path, headers(&[(CSRF_HEADER, "Fetch"), ("Accept", "application/json")]), Vec::new())
        };
        let mut answer = asked("HEAD")?;
        if answer.header(CSRF_HEADER).is_none() {
            answer = asked("GET")?;
        }
        match answer.header(CSRF_HEADER).filter(|token| !token.eq_ignore_ascii_case("required")) {
            Some(token) => {
                let mut csrf = headers(&[(CSRF_HEADER, token)]);
                csrf.extend(cookies(&answer).map(|cookies| ("cookie".to_owned(), cookies)));
                Ok(csrf)
            }
            None if answer.status >= 400 => {
                Err(retry_fault(&format!("GET {path} for a CSRF token"), &answer, &excerpt(&answer.body)))
            }
            None => {
                let message = format!("GET {path} gave no x-csrf-token; check csrf_path, or leave csrf out");
                Err(Fault::retry("no-csrf-token", message))
            }
        }
    }
}

/// A refusal for want of a valid token.
fn wants_token(answer: &Incoming) -> bool {
    answer.status == 403 && answer.header(CSRF_HEADER).is_some_and(|value| value.eq_ignore_ascii_case("required"))
}

/// The cookies an answer sets, as the next request carries them.
fn cookies(answer: &Incoming) -> Option<String> {
    let set = answer.headers.iter().filter(|(name, _)| name == "set-cookie");
    let pairs: Vec<&str> = set.filter_map(|(_, value)| value.split(';').next()).map(str::trim).collect();
    (!pairs.is_empty()).then(|| pairs.join("; "))
}

fn headers(fields: &[(&str, &str)]) -> Headers {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
