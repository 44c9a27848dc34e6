//! The entry point: a request's values in, a response's values out. A host's HTTP layer only carries them.

use crate::coding::{Coding, WORTH_MIN_BYTES};
use crate::csdl::{self, Capabilities};
use crate::json::{self, CollectionWriter, Shape, Style};
use crate::limits::Limits;
use crate::negotiate::{self, Negotiated, Version};
use crate::plan::{Circumstances, Plan, plan};
use crate::typed::Work;
use crate::url::{encode, encode_segment};
use crate::{Error, Page, Query, Service, memory};
use std::sync::Arc;

/// A request as the host received it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `GET`, `HEAD`, …
    pub method: &'a str,
    /// The path below the service root, still percent-encoded: `Readings(7)`. A slash before it is ignored.
    pub path_below_root: &'a str,
    /// The query without its `?`, still percent-encoded; empty if there is none.
    pub query: &'a str,
    /// The header fields in the order they came, names in any case.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body; empty if there is none. A host reads at most [`crate::limits::BODY_MAX_BYTES`].
    pub body: &'a [u8],
    /// The service root as the client sees it, absolute; a missing slash at its end is added.
    pub root_url: &'a str,
    /// The moment of the request in nanoseconds since the Unix epoch: what `now()` gives.
    pub now_ns: i64,
}

impl<'a> Request<'a> {
    /// A GET at the epoch; set `now_ns` where a client may use `now()`.
    #[must_use]
    pub fn get(path: &'a str, query: &'a str, headers: &'a [(&'a str, &'a str)], root_url: &'a str) -> Self {
        Self { method: "GET", path_below_root: path, query, headers, body: &[], root_url, now_ns: 0 }
    }

    /// The value of a header field; of several the first.
    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// The values of a list header, joined.
    pub(crate) fn list_header(&self, name: &str) -> Option<String> {
        let values: Vec<_> = self
            .headers
            .iter()
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
            .collect();
        (!values.is_empty()).then(|| values.join(","))
    }
}

/// A response for the host to send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Header fields, names in lower case, none twice.
    pub headers: Vec<(&'static str, String)>,
    /// The body; empty for HEAD, whose header fields say with `content-length` how long it would be.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of a header field, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(field, _)| *field == name).map(|(_, value)| value.as_str())
    }
}

/// The methods that read.
pub(crate) const READING: &str = "GET, HEAD";

/// Takes a long answer while it is made, so that it is never in memory as a whole.
pub trait Outlet {
    /// Takes the head. It is called at most once, before the first [`Outlet::body`].
    fn head(&self, status: u16, headers: &[(&'static str, String)]);

    /// Takes a piece of the body; blocks until there is room for it. Gives whether the client still listens.
    fn body(&self, bytes: Vec<u8>) -> bool;
}

/// As [`handle()`], for a host that can send a body piece by piece. Where [`Outlet::head`] was called, the body of the
/// response is the last piece, and a status that is not the head's says that the answer broke off: the host must not end the
/// body as if it were whole.
#[must_use]
pub fn handle_streaming(request: &Request<'_>, service: &dyn Service, outlet: &dyn Outlet) -> Response {
    respond(request, service, Some(outlet))
}

/// Answers a request. Never panics, whatever the request; an [`Error`] becomes an answer with its JSON body.
#[must_use]
pub fn handle(request: &Request<'_>, service: &dyn Service) -> Response {
    respond(request, service, None)
}

fn respond(request: &Request<'_>, service: &dyn Service, outlet: Option<&dyn Outlet>) -> Response {
    let root =
        if request.root_url.ends_with('/') { request.root_url.to_owned() } else { format!("{}/", request.root_url) };
    within(request, &root, service, outlet, &Arc::default())
}

/// Answers a request by work that is counted with that of others.
pub(crate) fn within(
    request: &Request<'_>,
    root: &str,
    service: &dyn Service,
    outlet: Option<&dyn Outlet>,
    work: &Arc<Work>,
) -> Response {
    let mut response = answer(request, root, service, outlet, work).unwrap_or_else(|error| refuse(request, &error));
    if request.method == "HEAD" {
        without_body(&mut response, request, work.is_whole());
    }
    response
}

/// Header fields are those of a GET (RFC 9110 §9.3.2), the body's length among them, unless it
/// is not known: where the host would compress the body, or not all of it was made.
fn without_body(response: &mut Response, request: &Request<'_>, whole: bool) {
    let taken = request.list_header("accept-encoding").and_then(|accepted| Coding::preferred(&accepted));
    let compressed = taken.is_some() && response.body.len() >= WORTH_MIN_BYTES;
    if whole && !compressed && !matches!(response.status, 204 | 304) {
        response.headers.push(("content-length", response.body.len().to_string()));
    }
    response.body.clear();
}

/// The answer to a request that a host refuses before it has a service for it.
#[must_use]
pub fn refusal(request: &Request<'_>, error: &Error) -> Response {
    refuse(request, error)
}

/// The answer to a request that is refused.
fn refuse(request: &Request<'_>, error: &Error) -> Response {
    let negotiated = negotiate::version(None, request.header("odata-maxversion"));
    let version = negotiated.map_or(Version::V4_01, |negotiated| negotiated.version);
    let mut headers = vec![
        ("content-type", "application/json;charset=utf-8".to_owned()),
        ("odata-version", version.name().to_owned()),
    ];
    if let Error::Method { allowed, .. } = error {
        headers.push(("allow", (*allowed).to_owned()));
    }
    Response { status: error.status(), headers, body: json::error(error) }
}

fn answer(
    request: &Request<'_>,
    root: &str,
    service: &dyn Service,
    outlet: Option<&dyn Outlet>,
    work: &Arc<Work>,
) -> Result<Response, Error> {
    if let Some(store) = service.store() {
        return memory::answer(request, root, service, store, outlet, work);
    }
    if !matches!(request.method, "GET" | "HEAD") {
        return Err(Error::Method { method: request.method.to_owned(), allowed: READING });
    }
    let negotiated = negotiate::version(request.header("odata-version"), request.header("odata-maxversion"))?;
    let preferred = request.list_header("prefer").as_deref().and_then(negotiate::max_page_size);
    let circumstances = Circumstances {
        page_max_rows: service.page_max_rows().max(1).min(preferred.map_or(usize::MAX, |(_, rows)| rows)),
        now_ns: request.now_ns,
        limits: Limits::default(),
    };
    let model = service.model();
    let (plan, format) = plan(model, request.path_below_root, request.query, circumstances)?;
    let accept = request.list_header("accept");
    let json_style = || {
        let format = negotiate::json_format(format.as_deref(), accept.as_deref())?;
        Ok::<_, Error>(Style { root, negotiated, format })
    };
    match plan {
        Plan::Metadata => {
            check_xml(format.as_deref(), accept.as_deref())?;
            let negotiated = negotiated.for_xml_model();
            let body = csdl::xml(model, negotiated.version, Capabilities { everything: false }).into_bytes();
            Ok(success(negotiated, "application/xml;charset=utf-8".into(), body))
        }
        Plan::ServiceDocument => {
            let style = json_style()?;
            Ok(json_response(style, json::service_document(model, style)))
        }
        Plan::Count(query) => {
            let count = service.count(&query)?;
            Ok(success(negotiated, "text/plain;charset=utf-8".into(), count.to_string().into_bytes()))
        }
        Plan::Read { query, repeated } => {
            let style = json_style()?;
            let mut response = read(service, &query, &repeated, style)?;
            if let Some((name, rows)) = preferred.filter(|_| query.key.is_none()) {
                response.headers.push(("preference-applied", format!("{name}={}", rows.min(service.page_max_rows()))));
            }
            Ok(response)
        }
    }
}

/// `$metadata` of a service that only reads is offered as XML only.
fn check_xml(format: Option<&str>, accept: Option<&str>) -> Result<(), Error> {
    let acceptable = match format {
        Some(format) => format.eq_ignore_ascii_case("xml") || negotiate::accepts(Some(format), "application/xml"),
        None => negotiate::accepts(accept, "application/xml"),
    };
    let asked = format.or(accept).unwrap_or_default();
    if acceptable { Ok(()) } else { Err(Error::NotAcceptable(format!("`{asked}` where application/xml is offered"))) }
}

pub(crate) fn success(negotiated: Negotiated, content_type: String, body: Vec<u8>) -> Response {
    let version = negotiated.version.name().to_owned();
    Response { status: 200, headers: vec![("content-type", content_type), ("odata-version", version)], body }
}

fn json_response(style: Style<'_>, body: Vec<u8>) -> Response {
    success(style.negotiated, style.format.content_type(style.negotiated.short_names), body)
}

fn read(
    service: &dyn Service,
    query: &Query<'_>,
    repeated: &[(String, String)],
    style: Style<'_>,
) -> Result<Response, Error> {
    let shape = Shape {
        model: service.model(),
        set: query.set,
        entity_type: query.entity_type,
        columns: &query.columns,
        select: query.select.as_deref(),
    };
    let page = service.read(query)?;
    let body = if query.key.is_some() {
        let row = page.rows.first().ok_or_else(|| Error::NotFound(format!("{}: no such entity", query.set.name)))?;
        let mut body = Vec::new();
        json::write_entity(&mut body, style, shape, row).map(|()| body)
    } else {
        collection(style, shape, &page, next_link(style.root, query, &page, repeated).as_deref())
    };
    Ok(json_response(style, body.map_err(|error| Error::Internal(error.to_string()))?))
}

fn collection(style: Style<'_>, shape: Shape<'_>, page: &Page, next_link: Option<&str>) -> std::io::Result<Vec<u8>> {
    let mut writer = CollectionWriter::begin(Vec::new(), style, shape, page.count)?;
    for row in &page.rows {
        writer.row(row)?;
    }
    writer.finish(next_link)
}

/// The link to the page after this one: the same options, without `$skip`, with what `$top` leaves. None where the
/// service has no more, or `$top` is reached.
#[must_use]
pub fn next_link(root: &str, query: &Query<'_>, page: &Page, repeated: &[(String, String)]) -> Option<String> {
    let token = page.next_token.as_ref()?;
    let mut options: Vec<(&str, String)> =
        repeated.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    if let Some(top) = query.top {
        let left = top.saturating_sub(page.rows.len() as u64);
        if left == 0 {
            return None;
        }
        options.push(("$top", left.to_string()));
    }
    options.push(("$skiptoken", token.clone()));
    let text: Vec<_> = options.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    Some(format!("{root}{}?{}", encode_segment(&query.set.name), text.join("&")))
}
