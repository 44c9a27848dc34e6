//! A pseudo-terminal: a serial line whose far end is a path that a program opens like `/dev/ttyUSB0`.

use crate::SimulatorError;
use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    pty::openpty,
    sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr},
    unistd::ttyname,
};
use std::{
    os::fd::OwnedFd,
    path::PathBuf,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::unix::pipe::{Receiver, Sender},
};

/// A pseudo-terminal in raw mode: `master` is the simulated device's end, `path` the one to open.
///
/// One descriptor of the far end is kept open, so that the line survives a program closing and opening it; what is
/// written while nobody reads waits in the kernel's buffer of about 4 KiB, then the writer waits.
#[derive(Debug)]
pub struct Pty {
    /// The device's end.
    pub master: PtyMaster,
    /// The path of the other end.
    pub path: PathBuf,
}

impl Pty {
    /// Makes a pseudo-terminal. Must be called inside a tokio runtime with I/O enabled.
    ///
    /// # Errors
    /// [`SimulatorError::Pty`] where the system has none left or none at all.
    pub fn open() -> Result<Self, SimulatorError> {
        let failed = |step| move |errno: nix::Error| SimulatorError::Pty { step, source: errno.into() };
        let pair = openpty(None, None).map_err(failed("openpty"))?;
        let path = ttyname(&pair.slave).map_err(failed("ttyname"))?;
        let mut attributes = tcgetattr(&pair.slave).map_err(failed("tcgetattr"))?;
        cfmakeraw(&mut attributes);
        tcsetattr(&pair.slave, SetArg::TCSANOW, &attributes).map_err(failed("tcsetattr"))?;
        fcntl(&pair.master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(failed("fcntl"))?;
        let io_failed = |step| move |source| SimulatorError::Pty { step, source };
        let writing = pair.master.try_clone().map_err(io_failed("duplicating its descriptor"))?;
        // Both types take any descriptor that can be waited on; a terminal is one.
        let reader = Receiver::from_owned_fd_unchecked(pair.master).map_err(io_failed("waiting to read"))?;
        let writer = Sender::from_owned_fd_unchecked(writing).map_err(io_failed("waiting to write"))?;
        Ok(Self { master: PtyMaster { reader, writer, _far_end: pair.slave }, path })
    }
}

/// The simulated device's end of a pseudo-terminal.
#[derive(Debug)]
pub struct PtyMaster {
    reader: Receiver,
    writer: Sender,
    _far_end: OwnedFd,
}

impl AsyncRead for PtyMaster {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.reader).poll_read(cx, buf)
    }
}

impl AsyncWrite for PtyMaster {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.writer).poll_shutdown(cx)
    }
}
