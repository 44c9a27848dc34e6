//! The way of an answer out of the thread that makes it: whole, or piece by piece into a bounded channel, compressed on the
//! way.

use crate::audit::Note;
use crate::compress::{Encoder, is_worth};
use crate::limits::{ODATA_PIECES_AHEAD, ODATA_STALL_MAX, RETRY_AFTER};
use crate::problem::{Problem, retry_after_seconds};
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use bulkhead_odata::Outlet;
use bytes::Bytes;
use futures_util::stream::{empty, poll_fn};
use std::cell::RefCell;
use std::io;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

type Answered = Result<Response, Problem>;
type Headers = [(&'static str, String)];

/// The thread's end.
pub(super) struct Exit {
    accepted: Option<String>,
    is_head: bool,
    state: RefCell<State>,
}

enum State {
    /// Nothing has left yet.
    Waiting(oneshot::Sender<Answered>),
    /// The head has left.
    Pouring { status: u16, pieces: mpsc::Sender<io::Result<Bytes>>, encoder: Option<Encoder> },
    /// Nothing is to come.
    Done,
}

impl Exit {
    /// With what the client takes, and whether it asks for the head alone; and where the answer comes out.
    pub(super) fn new(accepted: Option<String>, is_head: bool) -> (Self, oneshot::Receiver<Answered>) {
        let (sender, receiver) = oneshot::channel();
        (Self { accepted, is_head, state: RefCell::new(State::Waiting(sender)) }, receiver)
    }

    /// The end of the answer: all of it, or its last piece.
    /// `note`: what the audit log is to say about it.
    pub(super) fn end(self, response: bulkhead_odata::Response, note: Option<Note>) {
        match self.state.into_inner() {
            State::Waiting(sender) => {
                let mut answered = match self.is_head {
                    true => head(response),
                    false => whole(response, self.accepted.as_deref()),
                };
                if let (Ok(answered), Some(note)) = (&mut answered, note) {
                    answered.extensions_mut().insert(note);
                }
                // A client that has gone needs no answer.
                let _ = sender.send(answered);
            }
            State::Pouring { status, pieces, encoder } => {
                let last = match encoder {
                    _ if response.status != status => Err(io::Error::other("the answer broke off")),
                    Some(encoder) => encoder.last(&response.body),
                    None => Ok(response.body.clone()),
                };
                if response.status != status {
                    tracing::warn!("an OData answer broke off: {}", String::from_utf8_lossy(&response.body));
                }
                send(&pieces, last.map(Bytes::from));
            }
            State::Done => {}
        }
    }
}

/// Waits for room; whether the client still listens.
fn send(pieces: &mpsc::Sender<io::Result<Bytes>>, piece: io::Result<Bytes>) -> bool {
    let sending = async { tokio::time::timeout(ODATA_STALL_MAX, pieces.send(piece)).await };
    matches!(Handle::current().block_on(sending), Ok(Ok(())))
}

impl Outlet for Exit {
    fn head(&self, status: u16, headers: &Headers) {
        let State::Waiting(sender) = self.state.replace(State::Done) else { return };
        let (pieces, mut receiver) = mpsc::channel(ODATA_PIECES_AHEAD);
        let encoder = Encoder::accepted(self.accepted.as_deref());
        let body = Body::from_stream(poll_fn(move |context| receiver.poll_recv(context)));
        let answered = response(status, headers, body, encoder.as_ref().map(Encoder::name));
        if sender.send(answered).is_ok() {
            self.state.replace(State::Pouring { status, pieces, encoder });
        }
    }

    fn body(&self, bytes: Vec<u8>) -> bool {
        let State::Pouring { pieces, encoder, .. } = &mut *self.state.borrow_mut() else { return false };
        let piece = match encoder {
            Some(encoder) => encoder.piece(&bytes),
            None => Ok(bytes),
        };
        send(pieces, piece.map(Bytes::from))
    }
}

/// A head, of whose body the length is what it says: where it says none, nobody is to take it for 0.
fn head(answered: bulkhead_odata::Response) -> Answered {
    response(answered.status, &answered.headers, Body::from_stream(empty::<io::Result<Bytes>>()), None)
}

fn whole(answered: bulkhead_odata::Response, accepted: Option<&str>) -> Answered {
    let encoder = Encoder::accepted(accepted).filter(|_| is_worth(&answered.body));
    let Some(encoder) = encoder else {
        return response(answered.status, &answered.headers, Body::from(answered.body), None);
    };
    let name = encoder.name();
    let body = encoder.last(&answered.body);
    let body = body.map_err(|error| Problem::internal(format!("an answer could not be compressed: {error}")))?;
    response(answered.status, &answered.headers, Body::from(body), Some(name))
}

fn response(status: u16, headers: &Headers, body: Body, encoding: Option<&'static str>) -> Answered {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let fields = response.headers_mut();
    for (name, value) in headers {
        let value =
            HeaderValue::from_str(value).map_err(|_| Problem::internal(format!("the header {name} is none")))?;
        fields.insert(HeaderName::from_static(name), value);
    }
    if let Some(encoding) = encoding {
        fields.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    fields.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding, Prefer, OData-MaxVersion"));
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after_seconds(RETRY_AFTER)));
    }
    Ok(response)
}
