//! Carries frames from a transport to the connection's actor and acknowledges them to their source once their readings
//! are committed. Several batches may be on the way; acknowledgements keep their order.

use super::actor::{Frames, Request};
use bulkhead_sandbox::capability::{FrameSource, Ticket};
use futures_util::stream::{FuturesOrdered, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Most batches whose readings are not committed yet; then the source is no longer read.
const BATCHES_ON_THE_WAY_MAX: usize = 8;

/// Runs until the transport or the engine stops. What is committed by then is still acknowledged.
pub(super) async fn pump(
    role: String,
    mut source: Box<dyn FrameSource>,
    actor: mpsc::Sender<Request>,
    frames_max: usize,
    stop: CancellationToken,
) {
    let mut on_the_way = FuturesOrdered::new();
    loop {
        tokio::select! {
            Some(settled) = on_the_way.next(), if !on_the_way.is_empty() => acknowledge(&mut *source, settled).await,
            batch = source.next(frames_max), if on_the_way.len() < BATCHES_ON_THE_WAY_MAX && !stop.is_cancelled() => {
                let Some(batch) = batch else { break };
                let (done, is_done) = oneshot::channel();
                let ticket = batch.ticket;
                let frames = Frames { role: role.clone(), frames: batch.frames, done };
                if actor.send(Request::Frames(frames)).await.is_err() {
                    break;
                }
                on_the_way.push_back(async move { is_done.await.is_ok_and(|is_safe| is_safe).then_some(ticket) });
            }
            () = stop.cancelled(), if on_the_way.is_empty() => break,
        }
    }
    while let Some(settled) = on_the_way.next().await {
        acknowledge(&mut *source, settled).await;
    }
}

/// Batches that are not safe are not acknowledged: the source sends them again.
async fn acknowledge(source: &mut dyn FrameSource, settled: Option<Ticket>) {
    if let Some(ticket) = settled {
        source.acknowledge(ticket).await;
    }
}
