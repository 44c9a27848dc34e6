//! `$batch`: several requests in one, as multipart (Part 1 §11.7.7) and as JSON (JSON Format §19).
//!
//! Requests run one after the other. After the first of a multipart batch that fails the rest is not run, unless the client
//! prefers to go on.
//! Requests of a change set that fails are answered by that one failure.

mod json;
mod multipart;

use crate::handle::{Request, Response};
use crate::limits::{BATCH_ANSWERS_MAX_BYTES, BATCH_MAX_REQUESTS, BODY_MAX_BYTES};
use crate::negotiate::{self, Negotiated};
use crate::typed::Work;
use crate::{Error, Service};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The header field with the highest version that a client understands.
const MAX_VERSION: &str = "odata-maxversion";

/// A request in a batch.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Part {
    /// What later requests call it by.
    id: Option<String>,
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// Answers a batch.
///
/// # Errors
/// [`Error`] for a body that is no batch at all; errors of its requests are in their answers.
pub(crate) fn answer(
    request: &Request<'_>,
    root: &str,
    service: &dyn Service,
    negotiated: Negotiated,
    work: &Arc<Work>,
) -> Result<Response, Error> {
    if request.body.len() > BODY_MAX_BYTES {
        return Err(Error::Limit { target: "body".into(), limit: "body bytes", max: BODY_MAX_BYTES });
    }
    let content_type = request.header("content-type").unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let mut batch = Batch {
        root,
        service,
        now_ns: request.now_ns,
        go_on: goes_on(request, media_type == "application/json"),
        max_version: request.header(MAX_VERSION),
        addresses: BTreeMap::new(),
        tags: BTreeMap::new(),
        bytes: 0,
        work,
    };
    let (content_type, body) = match media_type.as_str() {
        "multipart/mixed" => multipart::answer(content_type, request.body, &mut batch)?,
        "application/json" => json::answer(request.body, &mut batch)?,
        _ => {
            let message = format!("multipart/mixed or application/json is expected for $batch, not `{content_type}`");
            return Err(Error::MediaType(message));
        }
    };
    let mut headers = vec![("content-type", content_type), ("odata-version", negotiated.version.name().to_owned())];
    if batch.go_on && request.list_header("prefer").is_some_and(|prefer| prefer.contains("continue-on-error")) {
        headers.push(("preference-applied", "continue-on-error".to_owned()));
    }
    Ok(Response { status: 200, headers, body })
}

/// Whether requests behind one that failed are run: as the client prefers; where it says nothing, those of a JSON batch are
/// (JSON Format §19.5) and those of a multipart batch are not (Part 1 §11.7.7.3).
fn goes_on(request: &Request<'_>, otherwise: bool) -> bool {
    let Some(prefer) = request.list_header("prefer") else { return otherwise };
    let mut asked = negotiate::preferences(&prefer).filter(|(name, _)| name == "continue-on-error");
    asked.next().map_or(otherwise, |(_, value)| !value.eq_ignore_ascii_case("false"))
}

/// What the requests of a batch have in common.
struct Batch<'a> {
    root: &'a str,
    service: &'a dyn Service,
    now_ns: i64,
    go_on: bool,
    /// The highest version that the client of the batch understands; it holds for requests that name none of their own.
    max_version: Option<&'a str>,
    /// The paths of requests that have run, by their ids.
    addresses: BTreeMap<String, String>,
    /// The entity tags of what they gave, by their ids.
    tags: BTreeMap<String, String>,
    /// Bytes of the answers so far.
    bytes: usize,
    /// What all its requests together may cost.
    work: &'a Arc<Work>,
}

impl Batch<'_> {
    /// Runs one request, and tells the service.
    fn run(&mut self, part: &Part) -> Response {
        let address = match self.address(&part.url) {
            Ok(address) => address,
            Err(error) => return failure(&error),
        };
        let response = self.answer(part, &address);
        let path = address.split('?').next().unwrap_or_default();
        self.service.carried(&part.method, path, response.status);
        response
    }

    fn answer(&mut self, part: &Part, address: &str) -> Response {
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        if path.trim_start_matches('/').starts_with("$batch") {
            return failure(&Error::invalid("$batch", "a batch is no request of a batch"));
        }
        // `$id` stands for the tag of what an earlier request gave.
        let tag = |value: &str| value.strip_prefix('$').and_then(|id| self.tags.get(id)).cloned();
        let given: Vec<(&str, String)> = part
            .headers
            .iter()
            .map(|(name, value)| match name.to_ascii_lowercase().as_str() {
                "if-match" | "if-none-match" => (name.as_str(), tag(value).unwrap_or_else(|| value.clone())),
                _ => (name.as_str(), value.clone()),
            })
            .collect();
        let mut headers: Vec<(&str, &str)> = given.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let asks = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(MAX_VERSION));
        headers.extend(self.max_version.filter(|_| !asks).map(|version| (MAX_VERSION, version)));
        let request = Request {
            method: &part.method,
            path_below_root: path,
            query,
            headers: &headers,
            body: &part.body,
            root_url: self.root,
            now_ns: self.now_ns,
        };
        if self.bytes > BATCH_ANSWERS_MAX_BYTES {
            let limit = "batch answer bytes";
            return failure(&Error::Limit { target: "$batch".into(), limit, max: BATCH_ANSWERS_MAX_BYTES });
        }
        let mut response = crate::handle::within(&request, self.root, self.service, None, self.work);
        // Of a body that is not there: who takes the parts of an answer apart would look for it.
        response.headers.retain(|(name, _)| *name != "content-length");
        self.bytes += response.body.len();
        if let (Some(id), true) = (&part.id, response.status < 400) {
            self.addresses.insert(id.clone(), path.trim_matches('/').to_owned());
            self.tags.extend(response.header("etag").map(|tag| (id.clone(), tag.to_owned())));
        }
        response
    }

    /// The path and query below the root: of an absolute URL, of one from the host's root, of one from the service's root, of
    /// one that begins with the id of an earlier request.
    fn address(&self, url: &str) -> Result<String, Error> {
        let foreign = || Error::NotFound(format!("`{url}` is not below the service root"));
        if let Some(rest) = url.strip_prefix(self.root) {
            return Ok(rest.to_owned());
        }
        if url.contains("://") && url.split('?').next().is_some_and(|path| path.contains("://")) {
            // Another name of this host: the path decides.
            let path = url.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map(|(_, path)| path);
            return self.below_host(path.unwrap_or_default()).ok_or_else(foreign);
        }
        if let Some(path) = url.strip_prefix('/') {
            return self.below_host(path).or_else(|| Some(path.to_owned())).ok_or_else(foreign);
        }
        let Some(rest) = url.strip_prefix('$') else { return Ok(url.to_owned()) };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        match self.addresses.get(&rest[..end]) {
            Some(address) => Ok(format!("{address}{}", &rest[end..])),
            None => Ok(url.to_owned()),
        }
    }

    /// What is left of a path from the host's root when the service's root is taken off.
    fn below_host(&self, path: &str) -> Option<String> {
        let root = self.root.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
        path.strip_prefix(root).or_else(|| (format!("{path}/") == root).then_some("")).map(str::to_owned)
    }
}

/// An error of a request of a batch.
fn failure(error: &Error) -> Response {
    let headers = vec![("content-type", "application/json;charset=utf-8".to_owned())];
    Response { status: error.status(), headers, body: crate::json::error(error) }
}

fn too_many() -> Error {
    Error::Limit { target: "$batch".into(), limit: "batch requests", max: BATCH_MAX_REQUESTS }
}
