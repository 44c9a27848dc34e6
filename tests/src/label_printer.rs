//! A label printer on TCP: it answers questions about its status, and keeps the labels it is sent.

use anyhow::{Context, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// What begins a question about the status, and what ends a label.
const ASK: &[u8] = b"~HS";
const END: &[u8] = b"^XZ\n";
/// Labels that wait to be looked at.
const LABELS_MAX: usize = 100;

/// A printer. Dropping it turns it off.
#[derive(Debug)]
pub struct LabelPrinter {
    /// Where it listens.
    pub address: SocketAddr,
    has_paper: Arc<AtomicBool>,
    labels: mpsc::Receiver<Vec<u8>>,
    task: JoinHandle<()>,
}

impl LabelPrinter {
    /// A printer with paper.
    ///
    /// # Errors
    /// Where it cannot listen.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let has_paper = Arc::new(AtomicBool::new(true));
        let (sender, labels) = mpsc::channel(LABELS_MAX);
        let paper = has_paper.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // One at a time, as printers do; a connection that breaks makes room for the next.
                _ = serve(stream, &paper, &sender).await;
            }
        });
        Ok(Self { address, has_paper, labels, task })
    }

    /// Takes its paper away, or puts some in.
    pub fn set_paper(&self, has_paper: bool) {
        self.has_paper.store(has_paper, Ordering::Relaxed);
    }

    /// The next label it was sent, as it came.
    ///
    /// # Errors
    /// It was turned off.
    pub async fn label(&mut self) -> Result<Vec<u8>> {
        self.labels.recv().await.context("the printer is off")
    }

    /// Whether a label waits to be looked at.
    #[must_use]
    pub fn has_printed(&self) -> bool {
        !self.labels.is_empty()
    }
}

impl Drop for LabelPrinter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, has_paper: &AtomicBool, labels: &mpsc::Sender<Vec<u8>>) -> Result<()> {
    let mut waiting = Vec::new();
    while stream.read_buf(&mut waiting).await? > 0 {
        loop {
            if waiting.starts_with(ASK) {
                waiting.drain(..ASK.len());
                let out = u8::from(!has_paper.load(Ordering::Relaxed));
                let first = format!("\x02030,{out},0,0320,000,0,0,0,000,0,0,0\x03\r\n");
                let rest = "\x02000,0,0,0,0,2,4,0,00000000,1,000\x03\r\n\x020000,0\x03\r\n";
                stream.write_all((first + rest).as_bytes()).await?;
            } else if let Some(end) = waiting.windows(END.len()).position(|part| part == END) {
                labels.send(waiting.drain(..end + END.len()).collect()).await?;
            } else {
                break;
            }
        }
    }
    Ok(())
}
