//! The socket to a broker, plain or TLS, read and written at the same time, so that neither waits for the other.

use crate::address::Address;
use bytes::{Buf, BytesMut};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Room asked for in the read buffer before each read.
const READ_BYTES: usize = 64 * 1024;

/// How to protect a connection.
#[derive(Clone)]
pub(crate) struct Tls {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) server_name: ServerName<'static>,
}

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// An open socket with what is to be written and what has been read.
pub(crate) struct Stream {
    socket: Box<dyn Socket>,
    /// Encoded packets to send.
    pub(crate) out: BytesMut,
    /// Bytes read and not decoded.
    pub(crate) input: BytesMut,
    needs_flush: bool,
}

/// What a turn of the socket brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Bytes are in `input`.
    Read,
    /// Everything in `out` has been sent.
    Written,
}

impl Stream {
    /// Connects; the error is a sentence.
    pub(crate) async fn connect(address: &Address, tls: Option<&Tls>) -> Result<Self, String> {
        let failed = |error: io::Error| format!("cannot connect to {address}: {error}");
        let plain = TcpStream::connect((address.host.as_str(), address.port)).await.map_err(failed)?;
        plain.set_nodelay(true).map_err(failed)?;
        let socket: Box<dyn Socket> = match tls {
            None => Box::new(plain),
            Some(tls) => {
                let connector = TlsConnector::from(tls.config.clone());
                let connected = connector.connect(tls.server_name.clone(), plain).await;
                Box::new(connected.map_err(|error| format!("{address}: TLS: {error}"))?)
            }
        };
        Ok(Self { socket, out: BytesMut::new(), input: BytesMut::with_capacity(READ_BYTES), needs_flush: false })
    }

    /// Writes what is to be written and, when `reads` is set, waits for bytes. Safe to drop and call again. The error,
    /// also for an end, is a sentence.
    pub(crate) async fn turn(&mut self, reads: bool) -> Result<Turn, String> {
        poll_fn(|context| self.poll_turn(context, reads)).await.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => "the broker closed the connection".to_owned(),
            _ => format!("the connection was lost: {error}"),
        })
    }

    fn poll_turn(&mut self, context: &mut Context<'_>, reads: bool) -> Poll<io::Result<Turn>> {
        let written = self.poll_write(context)?;
        if reads && self.poll_read(context)?.is_ready() {
            return Poll::Ready(Ok(Turn::Read));
        }
        if written { Poll::Ready(Ok(Turn::Written)) } else { Poll::Pending }
    }

    /// Writes as much as the socket takes. True: something was written and nothing is left.
    fn poll_write(&mut self, context: &mut Context<'_>) -> io::Result<bool> {
        if self.out.is_empty() && !self.needs_flush {
            return Ok(false);
        }
        while !self.out.is_empty() {
            match Pin::new(&mut self.socket).poll_write(context, &self.out)? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(count) => {
                    self.out.advance(count);
                    self.needs_flush = true;
                }
                Poll::Pending => return Ok(false),
            }
        }
        match Pin::new(&mut self.socket).poll_flush(context)? {
            Poll::Ready(()) => {
                self.needs_flush = false;
                Ok(true)
            }
            Poll::Pending => Ok(false),
        }
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input.reserve(READ_BYTES);
        match ready!(pin!(self.socket.read_buf(&mut self.input)).poll(context))? {
            0 => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            _ => Poll::Ready(Ok(())),
        }
    }
}
