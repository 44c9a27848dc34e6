//! From sockets to the store: each request is checked for credentials, meets what the script has for it, and is carried
//! out.

use super::{
    Misbehaviour, batch,
    handle::{Shared, State},
    listener::{Cut, CuttableListener},
    odata::{Content, Context, ROOT, Request, Response},
    page,
};
use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, DefaultBodyLimit, State as Extracted},
    http::{HeaderMap, Method, StatusCode, Uri, header},
};
use bytes::Bytes;
use futures_util::stream;
use std::{convert::Infallible, future::pending, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// Longest request body in bytes.
const MAX_BODY_BYTES: usize = 64 << 20;
/// Bytes of a huge body that are made at once.
const HUGE_CHUNK_BYTES: u64 = 64 << 10;

type HttpResponse = axum::http::Response<Body>;

/// Serves until cancelled.
pub(crate) async fn run(listener: CuttableListener, shared: Arc<Shared>) -> std::io::Result<()> {
    let router = Router::new().fallback(handle).layer(DefaultBodyLimit::max(MAX_BODY_BYTES)).with_state(shared);
    axum::serve(listener, router.into_make_service_with_connect_info::<Cut>()).await
}

async fn handle(
    Extracted(shared): Extracted<Arc<Shared>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> HttpResponse {
    let request = Request {
        method: method.as_str().to_owned(),
        path: uri.path().to_owned(),
        query: uri.query().unwrap_or("").to_owned(),
        headers,
        body,
    };
    match (&method, uri.path()) {
        (&Method::GET, "/") => into_http(front_page(&shared.state.lock())),
        (&Method::POST, "/token") => into_http(give_token(&request, &shared)),
        _ => answer(request, &shared, cut).await,
    }
}

fn front_page(state: &State) -> Response {
    let stats = super::UpstreamStats { accepted: state.store.accepted_total(), ..state.stats };
    Response::text("text/html; charset=utf-8", page::render(&stats, state.store.accepted().rev()))
}

fn give_token(request: &Request, shared: &Shared) -> Response {
    let mut state = shared.state.lock();
    let (status, body) =
        shared.config.auth.give_token(&request.headers, &request.body, &mut state.tokens, Instant::now());
    drop(state);
    shared.changed.notify_waiters();
    Response::json(status, body)
}

/// Takes what the script has for this request, unless it lacks credentials.
fn admit(request: &Request, shared: &Shared) -> Result<Option<Misbehaviour>, Response> {
    let mut state = shared.state.lock();
    state.stats.requests += 1;
    if let Err(challenge) = shared.config.auth.check(&request.headers, &state.tokens, Instant::now()) {
        state.stats.unauthorized += 1;
        let refusal = Response::error(401, "Unauthorized", "credentials are missing or wrong");
        return Err(refusal.with("www-authenticate", challenge.to_owned()));
    }
    let misbehaviour = state.script.take();
    state.stats.misbehaved += u64::from(misbehaviour.is_some());
    Ok(misbehaviour)
}

async fn answer(request: Request, shared: &Shared, cut: Cut) -> HttpResponse {
    let admitted = admit(&request, shared);
    shared.changed.notify_waiters();
    match admitted {
        Err(refusal) => into_http(refusal),
        Ok(None) => into_http(execute(request, shared)),
        Ok(Some(misbehaviour)) => misbehave(misbehaviour, request, shared, cut).await,
    }
}

/// Carries a request out, and counts its idempotency key if anything was accepted.
fn execute(mut request: Request, shared: &Shared) -> Response {
    let mut state = shared.state.lock();
    let State { store, script, .. } = &mut *state;
    let before = store.accepted_total();
    let idempotency_key = request.header(&shared.config.idempotency_header).map(str::to_owned);
    let mut context = Context {
        store,
        reject: script.reject.clone(),
        key_property: shared.config.key_property.as_deref(),
        requires_if_match: shared.config.requires_if_match,
        idempotency_key: idempotency_key.clone(),
    };
    let below_root = format!("{}/", request.path).strip_prefix(ROOT).map(|path| path.trim_end_matches('/').to_owned());
    let response = match below_root {
        Some(path) => {
            request.path = path;
            match (request.method.as_str(), request.path.as_str()) {
                ("POST", "$batch") => batch::answer(&request, &mut context),
                _ => context.execute(&request),
            }
            .with("odata-version", "4.0".to_owned())
        }
        None if ["POST", "PUT", "PATCH"].contains(&request.method.as_str()) => context.ingest(&request),
        None => Response::error(404, "NotFound", "POST to /ingest or see /odata/"),
    };
    if let Some(key) = idempotency_key.filter(|_| store.accepted_total() > before) {
        store.count_key(&key);
    }
    drop(state);
    shared.changed.notify_waiters();
    response
}

async fn misbehave(misbehaviour: Misbehaviour, request: Request, shared: &Shared, cut: Cut) -> HttpResponse {
    match misbehaviour {
        Misbehaviour::Status { code, body, retry_after } => {
            let now = jiff::Timestamp::now();
            let media_type = if body.starts_with(['{', '[']) { "application/json" } else { "text/plain" };
            let response = Response { status: code, ..Response::text(media_type, body) };
            into_http(match retry_after {
                Some(retry_after) => response.with("retry-after", retry_after.header(now)),
                None => response,
            })
        }
        Misbehaviour::Hang => pending().await,
        Misbehaviour::Delay(duration) => {
            sleep(duration).await;
            into_http(execute(request, shared))
        }
        Misbehaviour::Close => close(cut).await,
        Misbehaviour::AcceptThenClose => {
            execute(request, shared);
            close(cut).await
        }
        Misbehaviour::CloseMidResponse => with_body(into_http(execute(request, shared)), |body| torn(body, cut)).await,
        Misbehaviour::Redirect(location) => into_http(Response::empty(307).with("location", location)),
        Misbehaviour::SeeOther(location) => {
            _ = execute(request, shared);
            into_http(Response::empty(303).with("location", location))
        }
        Misbehaviour::SlowBody(pause) => with_body(into_http(execute(request, shared)), |body| slow(body, pause)).await,
        Misbehaviour::HugeBody(bytes) => with_body(into_http(execute(request, shared)), |_| huge(bytes)).await,
    }
}

async fn close(cut: Cut) -> HttpResponse {
    cut.0.cancel();
    pending().await
}

/// Replaces the body by one that is made of it; the new one's length is the old one's or none.
async fn with_body(response: HttpResponse, change: impl FnOnce(Bytes) -> (Option<u64>, Body)) -> HttpResponse {
    let (mut parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let (length, body) = change(body);
    parts.headers.remove(header::CONTENT_LENGTH);
    if let Some(length) = length {
        parts.headers.insert(header::CONTENT_LENGTH, length.into());
    }
    if parts.status == StatusCode::NO_CONTENT {
        // A 204 has no body that could be torn, slow or huge.
        parts.status = StatusCode::OK;
    }
    HttpResponse::from_parts(parts, body)
}

/// The first half of a body, then a cut connection.
fn torn(body: Bytes, cut: Cut) -> (Option<u64>, Body) {
    let length = body.len().max(2) as u64;
    let half = if body.len() < 2 { Bytes::from_static(b"{") } else { body.slice(..body.len() / 2) };
    let pieces = stream::unfold((Some(half), cut), |(half, cut)| async move {
        match half {
            Some(half) => Some((Ok::<_, Infallible>(half), (None, cut))),
            None => {
                // Once around the executor, so that the first half is on its way.
                tokio::task::yield_now().await;
                cut.0.cancel();
                pending().await
            }
        }
    });
    (Some(length), Body::from_stream(pieces))
}

fn slow(body: Bytes, pause: Duration) -> (Option<u64>, Body) {
    let length = body.len() as u64;
    let pieces = stream::unfold(body, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        sleep(pause).await;
        let byte = rest.split_to(1);
        Some((Ok::<_, Infallible>(byte), rest))
    });
    (Some(length), Body::from_stream(pieces))
}

fn huge(bytes: u64) -> (Option<u64>, Body) {
    let chunk = Bytes::from(vec![b' '; HUGE_CHUNK_BYTES as usize]);
    let pieces = stream::unfold(bytes, move |left| {
        let chunk = chunk.slice(..left.min(HUGE_CHUNK_BYTES) as usize);
        async move { (left > 0).then(|| (Ok::<_, Infallible>(chunk.clone()), left - chunk.len() as u64)) }
    });
    (Some(bytes), Body::from_stream(pieces))
}

fn into_http(response: Response) -> HttpResponse {
    let (media_type, body) = match response.content {
        Content::Nothing => (None, Body::empty()),
        Content::Json(value) => (Some("application/json".to_owned()), Body::from(value.to_string())),
        Content::Text { media_type, text } => (Some(media_type), Body::from(text)),
    };
    let mut http = axum::http::Response::builder().status(response.status);
    for (name, value) in response.headers {
        http = http.header(name, value);
    }
    if let Some(media_type) = media_type {
        http = http.header(header::CONTENT_TYPE, media_type);
    }
    http.body(body).unwrap_or_else(|error| {
        let mut failed = HttpResponse::new(Body::from(format!("the script asked for an impossible answer: {error}")));
        *failed.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        failed
    })
}
