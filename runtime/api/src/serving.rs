//! One client's connection: with TLS or without, HTTP/1.1 or HTTP/2, each within its bounds.

use crate::connection_watch::ConnectionWatch;
use crate::limits::{
    HANDSHAKE_MAX, HEAD_MAX, HEAD_MAX_BYTES, HEADERS_MAX, HTTP_2_IDLE, HTTP_2_MISTAKES_MAX, HTTP_2_PING,
    HTTP_2_STREAM_WINDOW_BYTES, HTTP_2_STREAMS_MAX, HTTP_2_UNSEEN_RESETS_MAX, HTTP_2_WINDOW_BYTES, UNREAD_MAX,
};
use crate::own_words::Worded;
use crate::patience::Patient;
use crate::peer::Peer;
use crate::tls::{HTTP_2, LiveTls};
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The first byte of a TLS connection: the content type of a handshake (RFC 8446 §5.1). No method of HTTP begins with it.
const TLS_HANDSHAKE: u8 = 0x16;

/// What serves all clients.
pub(crate) struct Serving {
    pub(crate) router: Router,
    pub(crate) tls: LiveTls,
    pub(crate) shutdown: CancellationToken,
    /// Ends what did not end by itself.
    pub(crate) cut: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

/// Serves one client until it leaves, or until its requests on the way are answered when it is time to stop.
pub(crate) async fn serve(stream: TcpStream, address: SocketAddr, serving: &Serving) {
    // Events are small and must not wait for each other.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!("a client's socket refuses TCP_NODELAY: {error}");
    }
    let Ok(own) = stream.local_addr() else { return };
    let peer = Peer::plain(address, own);
    let Some(first) = within(serving, HEAD_MAX, first_byte(&stream)).await.flatten() else { return };
    if first != TLS_HANDSHAKE {
        return http_1(stream, peer, serving).await;
    }
    let handshake = TlsAcceptor::from(serving.tls.now()).accept(stream);
    let stream = match within(serving, HANDSHAKE_MAX, handshake).await {
        Some(Ok(stream)) => stream,
        Some(Err(error)) => return tracing::debug!(%address, "a TLS handshake failed: {error}"),
        None => return,
    };
    let session = stream.get_ref().1;
    let is_http_2 = session.alpn_protocol() == Some(HTTP_2);
    let certificate = session.peer_certificates().and_then(|chain| chain.first()).map(|first| first.as_ref());
    let peer = peer.over_tls(certificate);
    if is_http_2 { http_2(stream, peer, serving).await } else { http_1(stream, peer, serving).await }
}

/// What a beginning comes to within a time; none: it took too long, or it is time to stop.
async fn within<T>(serving: &Serving, most: std::time::Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        outcome = tokio::time::timeout(most, work) => outcome.ok(),
        () = serving.shutdown.cancelled() => None,
    }
}

async fn first_byte(stream: &TcpStream) -> Option<u8> {
    let mut first = [0];
    (stream.peek(&mut first).await.ok()? == 1).then_some(first[0])
}

/// Answers the requests of one connection.
#[derive(Clone)]
struct Answering {
    router: TowerToHyperService<Router>,
    peer: Peer,
    watch: ConnectionWatch,
}

impl hyper::service::Service<Request<Incoming>> for Answering {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let underway = self.watch.begin();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.peer.clone());
        let answer = self.router.call(request);
        Box::pin(async move {
            let answer = answer.await;
            underway.answered();
            answer
        })
    }
}

impl Answering {
    fn new(peer: Peer, serving: &Serving) -> Self {
        Self { router: TowerToHyperService::new(serving.router.clone()), peer, watch: ConnectionWatch::default() }
    }
}

async fn http_1(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, peer: Peer, serving: &Serving) {
    let answering = Answering::new(peer, serving);
    let stream = Worded::new(Patient::new(stream, UNREAD_MAX), answering.watch.clone());
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_MAX_BYTES)
        .serve_connection(TokioIo::new(stream), answering);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = serving.shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("a client went away: {error}");
    }
}

async fn http_2(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, peer: Peer, serving: &Serving) {
    let tasks = Tasks { tasks: serving.tasks.clone(), cut: serving.cut.clone() };
    let (address, answering) = (peer.address, Answering::new(peer, serving));
    let watch = answering.watch.clone();
    let connection = hyper::server::conn::http2::Builder::new(tasks)
        .timer(TokioTimer::new())
        .max_concurrent_streams(HTTP_2_STREAMS_MAX)
        .max_pending_accept_reset_streams(HTTP_2_UNSEEN_RESETS_MAX)
        .max_local_error_reset_streams(HTTP_2_MISTAKES_MAX)
        .max_header_list_size(u32::try_from(HEAD_MAX_BYTES).unwrap_or(u32::MAX))
        .initial_stream_window_size(HTTP_2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(HTTP_2_WINDOW_BYTES)
        .keep_alive_interval(HTTP_2_PING)
        .keep_alive_timeout(HTTP_2_PING)
        .serve_connection(TokioIo::new(Patient::new(stream, UNREAD_MAX)), answering);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = watch.enough() => return tracing::warn!(%address, "a client takes back its requests: it is cut off"),
        () = async { tokio::select! { () = idle(&watch) => {}, () = serving.shutdown.cancelled() => {} } } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("a client went away: {error}");
    }
}

/// Ends when a connection had no request for a while.
async fn idle(watch: &ConnectionWatch) {
    let mut before = watch.look();
    loop {
        tokio::time::sleep(HTTP_2_IDLE).await;
        let now = watch.look();
        if now == before && !now.1 {
            return;
        }
        before = now;
    }
}

/// Where the requests of HTTP/2 connections are worked on.
#[derive(Clone)]
struct Tasks {
    tasks: TaskTracker,
    cut: CancellationToken,
}

impl<F: Future<Output: Send> + Send + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, work: F) {
        let cut = self.cut.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                _ = work => {}
                () = cut.cancelled() => {}
            }
        });
    }
}
