//! Answers every request from data in memory: what the URL names is found step by step, its rows are chosen, ordered and
//! shaped as the options say, and written in the format that was negotiated.

mod context;
mod crossjoin;
mod expansion;
mod flat;
mod inline;
mod operation;
mod page;
mod queried;
mod reach;
mod reply;
mod single;
mod store;
mod stream;
mod table;
mod write;

pub use queried::entity_beyond;
pub use store::{MemoryStore, follow};

use crate::csdl::{self, Capabilities};
use crate::eval::Evaluator;
use crate::expr::Expr;
use crate::handle::{Outlet, READING, Request, Response, success};
use crate::json::{self, Style};
use crate::limits::{BODY_MAX_BYTES, PAGE_TOKEN_MAX_BYTES, URL_MAX_BYTES};
use crate::negotiate::{self, DataFormat, Negotiated};
use crate::options::Options;
use crate::plan::parse_aliases;
use crate::resource::{self, Root, Target};
use crate::typed::{Types, Work};
use crate::url::{self, RawOption, parse_query};
use crate::view::Planner;
use crate::{Error, Model, Service, Store, batch};
use reply::Preferences;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The end of a page token where the changes of what is read are to be followed.
const TRACKED: &str = "-tracked";

/// What a request is answered with.
struct Job<'a> {
    request: &'a Request<'a>,
    root: &'a str,
    /// The path below the root as it came, without the slash before it and `$query` behind it.
    path: &'a str,
    query: &'a str,
    service: &'a dyn Service,
    store: &'a dyn Store,
    /// Where a long answer goes while it is made.
    outlet: Option<&'a dyn Outlet>,
    negotiated: Negotiated,
    preferences: Preferences,
    aliases: BTreeMap<String, Expr>,
    /// The value of `$format`.
    format: Option<String>,
    /// What its evaluation may cost.
    work: &'a Arc<Work>,
}

/// Answers a request.
///
/// # Errors
/// Any [`Error`]; it becomes the answer.
pub(crate) fn answer(
    request: &Request<'_>,
    root: &str,
    service: &dyn Service,
    store: &dyn Store,
    outlet: Option<&dyn Outlet>,
    work: &Arc<Work>,
) -> Result<Response, Error> {
    let negotiated = negotiate::version(request.header("odata-version"), request.header("odata-maxversion"))?;
    check_isolation(request)?;
    let body = body_as_query(request)?;
    let (path, query) = match &body {
        Some((path, query)) => (*path, query.as_str()),
        None => (request.path_below_root, request.query),
    };
    if path.len() + query.len() > URL_MAX_BYTES {
        return Err(Error::Limit { target: "url".into(), limit: "url bytes", max: URL_MAX_BYTES });
    }
    let mut options = Options::sort_all(parse_query(query)?)?;
    let (aliases, _) = parse_aliases(&options, crate::Limits::default())?;
    let types = Types::within(service.model(), work.clone());
    let target = resource::resolve(path, &types, &aliases, request.now_ns)?;
    let reading = body.is_some() || matches!(request.method, "GET" | "HEAD");
    check_method(request.method, reading, &target, service.model())?;
    let goes_on_tracking = options.value("skiptoken").is_some_and(|token| token.ends_with(TRACKED));
    let job = Job {
        request,
        root,
        path: path.trim_start_matches('/'),
        query,
        service,
        store,
        outlet: outlet.filter(|_| request.method != "HEAD"),
        negotiated,
        preferences: Preferences { goes_on_tracking, ..Preferences::of(request) },
        aliases,
        format: options.take("format").map(|option| option.value),
        work,
    };
    if let Some(version) = options.take("schemaversion").filter(|version| version.value != "*") {
        return Err(Error::NotFound(format!("there is no version `{}` of the schema: it has none", version.value)));
    }
    job.run(target, options, types)
}

/// `POST …/$query`: the path without it, and the body as the query.
fn body_as_query<'a>(request: &Request<'a>) -> Result<Option<(&'a str, String)>, Error> {
    let path = request.path_below_root.trim_end_matches('/');
    let Some(path) = path.strip_suffix("/$query").filter(|_| request.method == "POST") else { return Ok(None) };
    if request.body.len() > BODY_MAX_BYTES {
        return Err(Error::Limit { target: "body".into(), limit: "body bytes", max: BODY_MAX_BYTES });
    }
    let media_type = request.header("content-type").unwrap_or("text/plain");
    if !media_type.trim_start().to_ascii_lowercase().starts_with("text/plain") {
        return Err(Error::MediaType(format!("text/plain is expected for $query, not {media_type}")));
    }
    let body = std::str::from_utf8(request.body).map_err(|_| Error::invalid("body", "the query is no UTF-8 text"))?;
    let body = body.trim();
    let both = if request.query.is_empty() { body.to_owned() } else { format!("{}&{body}", request.query) };
    Ok(Some((path, both)))
}

/// A client that wants one snapshot for all pages is told that it does not get one (Part 1 §8.2.7).
fn check_isolation(request: &Request<'_>) -> Result<(), Error> {
    let asked = request.header("isolation").or(request.header("odata-isolation"));
    match asked.filter(|asked| asked.trim().eq_ignore_ascii_case("snapshot")) {
        Some(_) => Err(Error::Precondition("pages are not read from one snapshot here".into())),
        None => Ok(()),
    }
}

fn check_method(method: &str, reading: bool, target: &Target, model: &Model) -> Result<(), Error> {
    let is_action = target.operation.is_some_and(|place| model.operations()[place].is_action);
    let allowed = match target.root {
        Root::Action(_) | Root::Batch => "POST",
        _ if is_action => "POST",
        _ => READING,
    };
    let right = if allowed == "POST" { method == "POST" } else { reading };
    if right { Ok(()) } else { Err(Error::Method { method: method.to_owned(), allowed }) }
}

impl<'a> Job<'a> {
    fn run(&self, target: Target, mut options: Options, mut types: Types<'a>) -> Result<Response, Error> {
        if let Some(place) = target.operation {
            return self.operation(place, &target, &options, &types);
        }
        match &target.root {
            Root::Operation => Err(Error::Internal("a path to an operation without one".into())),
            Root::ServiceDocument => {
                options.nothing_left("the service document")?;
                let style = self.json_style()?;
                Ok(reply::json(style, json::service_document(self.service.model(), style)))
            }
            Root::Metadata => {
                options.nothing_left("$metadata")?;
                self.metadata()
            }
            Root::Batch => {
                options.nothing_left("$batch")?;
                batch::answer(self.request, self.root, self.service, self.negotiated, self.work)
            }
            Root::Action(place) => {
                options.nothing_left("an action")?;
                self.body_members(&self.service.model().actions()[*place].name, &[])?;
                self.store.act(*place)?;
                let headers = vec![("odata-version", self.negotiated.version.name().to_owned())];
                Ok(Response { status: 204, headers, body: Vec::new() })
            }
            Root::EntityById(cast) => {
                let target = self.by_id(&mut options, *cast, &types)?;
                self.checked(target, options, &mut types)
            }
            Root::CrossJoin(sets) => crossjoin::answer(self, sets, &target, options, types),
            Root::All | Root::Set(_) | Root::Singleton(_) => self.checked(target, options, &mut types),
        }
    }

    /// Answers for rows, unless they were too much work: what was not computed then is null.
    fn checked(&self, target: Target, options: Options, types: &mut Types<'a>) -> Result<Response, Error> {
        let response = self.rows(target, options, types)?;
        types.check_rows()?;
        Ok(response)
    }

    fn planner<'p>(&'p self, types: &'p mut Types<'a>) -> Planner<'p, 'a> {
        Planner { types, aliases: &self.aliases, now_ns: self.request.now_ns, it: None, depth: 0 }
    }

    fn evaluator<'e>(&'e self, types: &'e Types<'a>) -> Evaluator<'e> {
        Evaluator { types, graph: self.store }
    }

    fn json_style(&self) -> Result<Style<'_>, Error> {
        let accept = self.request.list_header("accept");
        let format = negotiate::json_format(self.format.as_deref(), accept.as_deref())?;
        Ok(Style { root: self.root, negotiated: self.negotiated, format })
    }

    fn data_format(&self) -> Result<DataFormat, Error> {
        let accept = self.request.list_header("accept");
        negotiate::data_format(self.format.as_deref(), accept.as_deref())
    }

    /// `$metadata` as XML, or as JSON where a client asks for it.
    fn metadata(&self) -> Result<Response, Error> {
        let accept = self.request.list_header("accept");
        let (format, accept) = (self.format.as_deref(), accept.as_deref());
        let can = Capabilities { everything: true };
        let model = self.service.model();
        let asked = |media_type: &str, short: &str| match format {
            Some(format) => format.eq_ignore_ascii_case(short) || negotiate::accepts(Some(format), media_type),
            None => negotiate::accepts(accept, media_type),
        };
        let better = format.is_none() && negotiate::prefers(accept, "application/json", "application/xml");
        if asked("application/xml", "xml") && !better {
            let negotiated = self.negotiated.for_xml_model();
            let body = csdl::xml(model, negotiated.version, can).into_bytes();
            return Ok(success(negotiated, "application/xml;charset=utf-8".into(), body));
        }
        if asked("application/json", "json") {
            let body = csdl::json(model, can);
            return Ok(success(self.negotiated, "application/json;charset=utf-8".into(), body));
        }
        let asked = format.or(accept).unwrap_or_default();
        Err(Error::NotAcceptable(format!("`{asked}` where application/xml and application/json are offered")))
    }

    /// The entity that `$id` names, as the path that its address has.
    fn by_id(&self, options: &mut Options, cast: Option<usize>, types: &Types<'_>) -> Result<Target, Error> {
        // Without its `$` (4.01) the name could be one of the host's own anywhere else.
        let bare =
            options.host.iter().find(|(name, _)| name.eq_ignore_ascii_case("id")).map(|(_, value)| value.clone());
        let id = options.take("id").map(|option| option.value).or(bare);
        let id = id.ok_or_else(|| Error::invalid("$id", "the address of an entity is expected"))?;
        let address = id.strip_prefix(self.root).unwrap_or(&id);
        if address.contains("://") {
            return Err(Error::NotFound(format!("`{id}` is not an entity of this service")));
        }
        let found = resource::resolve(&url::encode_path(address), types, &self.aliases, self.request.now_ns)?;
        let entity = found.ty.filter(|ty| !ty.collection).and_then(crate::Type::structure);
        let Some(place) = entity.filter(|_| found.tail == resource::Tail::None) else {
            return Err(Error::invalid("$id", "the address of one entity is expected"));
        };
        let mut found = found;
        if let Some(cast) = cast {
            if !types.is_a(cast, place) {
                return Err(Error::NotFound("the entity is not of the type it is cast to".into()));
            }
            found.steps.push(resource::Step::Cast(cast));
            found.ty = Some(crate::Type::structured(cast));
        }
        Ok(found)
    }

    /// How many rows are behind a client that has followed a next link.
    fn start(&self, token: Option<RawOption>) -> Result<usize, Error> {
        let Some(option) = token else { return Ok(0) };
        if option.value.len() > PAGE_TOKEN_MAX_BYTES {
            let limit = "page token bytes";
            return Err(Error::Limit { target: "$skiptoken".into(), limit, max: PAGE_TOKEN_MAX_BYTES });
        }
        let number = option.value.strip_prefix("after-").map(|number| number.strip_suffix(TRACKED).unwrap_or(number));
        let number = number.and_then(|number| number.parse().ok());
        number.ok_or_else(|| {
            Error::invalid("$skiptoken", "this is no token of this service: follow the next link as it was given")
        })
    }
}
