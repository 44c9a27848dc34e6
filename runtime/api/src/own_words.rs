//! What is no request, or one with too long a head, never reaches a handler: hyper answers it with a bare status line and
//! hangs up. Such an answer gets a body here, problem details as all others have.

use crate::connection_watch::ConnectionWatch;
use crate::limits::{HEAD_MAX_BYTES, HEADERS_MAX};
use crate::problem::{MEDIA_TYPE, Problem};
use axum::http::StatusCode;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How a request begins whose answer has no body.
const HEAD: &[u8] = b"HEAD ";

/// A stream of HTTP/1.1 on which bare refusals get a body. Only before the first request has reached a handler: until then
/// nothing that is written can be part of an answer of ours.
pub(crate) struct Worded<S> {
    stream: S,
    watch: ConnectionWatch,
    /// What came first, as much of it as [`HEAD`] has.
    opening: Vec<u8>,
    /// A refusal that is on its way in our words, and how many bytes of it have left.
    refusal: Option<(Vec<u8>, usize)>,
}

impl<S> Worded<S> {
    pub(crate) fn new(stream: S, watch: ConnectionWatch) -> Self {
        Self { stream, watch, opening: Vec::with_capacity(HEAD.len()), refusal: None }
    }

    fn has_answered_nothing(&self) -> bool {
        self.watch.look().0 == 0
    }
}

/// A refusal of hyper's with a body, or as it would be with one; none: it is none of those that are known.
fn worded(head: &[u8], is_body_wanted: bool) -> Option<Vec<u8>> {
    let head = std::str::from_utf8(head).ok()?.strip_suffix("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let first = lines.next()?;
    let status = StatusCode::from_bytes(first.strip_prefix("HTTP/1.")?.get(2..5)?.as_bytes()).ok()?;
    let (code, detail) = match status {
        StatusCode::BAD_REQUEST => ("malformed-request", "what came is no HTTP request that can be read".to_owned()),
        StatusCode::URI_TOO_LONG => ("uri-too-long", "the URL is longer than can be read".to_owned()),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            let detail =
                format!("a request has at most {HEADERS_MAX} header fields and {HEAD_MAX_BYTES} bytes before its body");
            ("too-many-headers", detail)
        }
        _ => return None,
    };
    let body = Problem::new(status, code, detail).text();
    // Without a word about caches some of these may be kept (RFC 9110 §15.5.15).
    let mut answer = format!(
        "{first}\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {}\r\nx-content-type-options: nosniff\r\n\
         cache-control: no-store\r\n",
        body.len()
    );
    for line in lines.filter(|line| !line.to_ascii_lowercase().starts_with("content-length:")) {
        answer.push_str(line);
        answer.push_str("\r\n");
    }
    Some((answer + "\r\n" + if is_body_wanted { &body } else { "" }).into_bytes())
}

impl<S: AsyncRead + Unpin> AsyncRead for Worded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let missing = HEAD.len() - self.opening.len();
        self.opening.extend(buffer.filled()[before..].iter().take(missing));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Worded<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.refusal.is_none() && this.has_answered_nothing() {
            this.refusal = worded(bytes, this.opening != HEAD).map(|refusal| (refusal, 0));
        }
        let Some((refusal, sent)) = &mut this.refusal else {
            return Pin::new(&mut this.stream).poll_write(context, bytes);
        };
        while *sent < refusal.len() {
            match ready!(Pin::new(&mut this.stream).poll_write(context, &refusal[*sent..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => *sent += written,
            }
        }
        this.refusal = None;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.has_answered_nothing() {
            let whole: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
            return self.poll_write(context, &whole);
        }
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    const BARE: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

    #[tokio::test]
    async fn a_bare_refusal_gets_a_body_and_what_follows_a_request_is_left_alone() {
        let watch = ConnectionWatch::default();
        // So narrow that it takes many writes.
        let (near, mut far) = tokio::io::duplex(7);
        let mut near = Worded::new(near, watch.clone());
        let writing = tokio::spawn(async move {
            near.write_all(BARE).await.unwrap();
            let _underway = watch.begin();
            near.write_all(BARE).await.unwrap();
        });
        let mut text = String::new();
        far.read_to_string(&mut text).await.unwrap();
        writing.await.unwrap();
        let worded = text.strip_suffix(std::str::from_utf8(BARE).unwrap()).unwrap();
        let (head, body) = worded.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n") && head.ends_with("\r\nconnection: close"), "{head}");
        assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())), "{head}");
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!((&problem["code"], &problem["status"]), (&"malformed-request".into(), &400.into()));
        for other in
            [&b"HTTP/1.1 200 OK\r\n\r\n"[..], b"HTTP/1.1 400 Bad Request\r\n", b"\xff\r\n\r\n", b"HTTP/1.\r\n\r\n"]
        {
            assert_eq!(super::worded(other, true), None);
        }
    }

    #[tokio::test]
    async fn a_refusal_of_head_has_no_body() {
        let (near, mut far) = tokio::io::duplex(512);
        let mut near = Worded::new(near, ConnectionWatch::default());
        for piece in [&b"HE"[..], b"AD /"] {
            far.write_all(piece).await.unwrap();
            near.read_exact(&mut vec![0; piece.len()]).await.unwrap();
        }
        near.write_all(BARE).await.unwrap();
        drop(near);
        let mut text = String::new();
        far.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\ncontent-type: "), "{text}");
        assert!(text.ends_with("\r\nconnection: close\r\n\r\n"), "{text}");
    }
}
