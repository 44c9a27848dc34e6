//! Standard output and error of WASI guests: their lines go to the connection's journal.

use crate::capability::{Journal, Level};
use crate::limits::MESSAGE_MAX_BYTES;
use parking_lot::Mutex;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

/// Collects bytes into lines and writes each to the journal.
#[derive(Clone)]
pub(crate) struct JournalStream {
    journal: Arc<dyn Journal>,
    level: Level,
    line: Arc<Mutex<Vec<u8>>>,
}

impl JournalStream {
    pub(crate) fn new(journal: Arc<dyn Journal>, level: Level) -> Self {
        Self { journal, level, line: Arc::default() }
    }

    fn take(&self, bytes: &[u8]) {
        let mut line = self.line.lock();
        for &byte in bytes {
            if byte == b'\n' || line.len() >= MESSAGE_MAX_BYTES {
                self.journal.write(self.level, &String::from_utf8_lossy(&line));
                line.clear();
            }
            if byte != b'\n' {
                line.push(byte);
            }
        }
    }
}

impl IsTerminal for JournalStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for JournalStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for JournalStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::Fault;

    #[derive(Default)]
    struct Lines(Mutex<Vec<String>>);
    impl Journal for Lines {
        fn write(&self, _: Level, message: &str) {
            self.0.lock().push(message.to_owned());
        }
        fn report(&self, _: Option<&str>, _: &Fault) {}
    }

    #[test]
    fn lines_are_whole_and_endless_ones_are_cut() {
        let journal = Arc::new(Lines::default());
        let stream = JournalStream::new(journal.clone(), Level::Info);
        stream.take(b"one\ntw");
        stream.take(b"o\n");
        stream.take(&vec![b'x'; MESSAGE_MAX_BYTES + 1]);
        let lines = journal.0.lock();
        assert_eq!(lines[..2], ["one", "two"]);
        assert_eq!(lines[2].len(), MESSAGE_MAX_BYTES);
    }
}
