//! The HTTP server around the service: it carries requests and responses and compresses what a client takes compressed.

use super::compress;
use bulkhead_odata::limits::BODY_MAX_BYTES;
use bulkhead_odata::{MemoryStore, Request, handle};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Most connections at a time; others wait.
const CONNECTIONS_MAX: usize = 256;

/// Serves until the process ends.
pub(crate) async fn serve(listener: TcpListener, store: Arc<MemoryStore>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else { continue };
        let store = store.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let store = store.clone();
                async move { Ok::<_, Infallible>(answer(request, store).await) }
            });
            // A client that breaks off is its own affair.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            drop(place);
        });
    }
}

async fn answer(request: hyper::Request<Incoming>, store: Arc<MemoryStore>) -> hyper::Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_MAX_BYTES + 1).collect().await.map(|body| body.to_bytes()) else {
        return plain(413);
    };
    let work = move || {
        let headers: Vec<(&str, &str)> =
            parts.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
        let host = parts.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        let root_url = format!("http://{host}/");
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let request = Request {
            method: parts.method.as_str(),
            path_below_root: parts.uri.path(),
            query: parts.uri.query().unwrap_or_default(),
            headers: &headers,
            body: &body,
            root_url: &root_url,
            now_ns: i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX),
        };
        let mut response = handle(&request, &*store);
        let accepted = parts.headers.get("accept-encoding").and_then(|value| value.to_str().ok());
        let encoding = compress::encode(accepted, &mut response.body);
        (response, encoding)
    };
    let Ok((response, encoding)) = tokio::task::spawn_blocking(work).await else { return plain(500) };
    let mut answer = hyper::Response::new(Full::new(Bytes::from(response.body)));
    *answer.status_mut() =
        hyper::StatusCode::from_u16(response.status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in response.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            answer.headers_mut().append(HeaderName::from_static(name), value);
        }
    }
    answer.headers_mut().insert("vary", HeaderValue::from_static("accept, accept-encoding, odata-maxversion, prefer"));
    if let Some(encoding) = encoding {
        answer.headers_mut().insert("content-encoding", HeaderValue::from_static(encoding));
    }
    answer
}

fn plain(status: u16) -> hyper::Response<Full<Bytes>> {
    let mut answer = hyper::Response::new(Full::default());
    *answer.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    answer
}
