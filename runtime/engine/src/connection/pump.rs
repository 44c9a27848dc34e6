//! Carries frames from a transport to the connection's actor and acknowledges them to their source once their readings
//! are committed. Several batches may be on the way; acknowledgements keep their order.

use super::actor::{Frames, Request};
use bulkhead_sandbox::capability::{FrameSource, Link};
use futures_util::stream::{FuturesOrdered, StreamExt};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Most batches whose readings are not committed yet; then the source is no longer read.
const BATCHES_ON_THE_WAY_MAX: usize = 8;

/// How long the source is still read when the engine stops, and how long it may be silent then.
const DRAIN_MAX: Duration = Duration::from_millis(500);
const DRAIN_SILENCE_MAX: Duration = Duration::from_millis(20);
/// Wait before a connection with unsafe frames is opened anew.
const UNSAFE_WAIT: Duration = Duration::from_secs(1);

/// Runs until the transport or the engine stops. What has been received by then is still handed over, and acknowledged
/// when it is committed.
pub(super) async fn pump(
    role: String,
    mut source: Box<dyn FrameSource>,
    link: Option<Arc<dyn Link>>,
    actor: mpsc::Sender<Request>,
    frames_max: usize,
    stop: CancellationToken,
) {
    let mut on_the_way = FuturesOrdered::new();
    // Batches of a connection that has been closed since: their tickets mean nothing any more.
    let mut void = 0;
    let mut last_moment = None;
    loop {
        if stop.is_cancelled() && last_moment.is_none() {
            last_moment = Some(Instant::now() + DRAIN_MAX);
        }
        let may_read =
            on_the_way.len() < BATCHES_ON_THE_WAY_MAX && last_moment.is_none_or(|last| Instant::now() < last);
        if !may_read && on_the_way.is_empty() {
            break;
        }
        tokio::select! {
            Some(settled) = on_the_way.next(), if !on_the_way.is_empty() => match settled {
                _ if void > 0 => void -= 1,
                Some(ticket) => source.acknowledge(ticket).await,
                None if stop.is_cancelled() => {}
                None => {
                    void = on_the_way.len();
                    start_over(link.as_deref(), &stop).await;
                }
            },
            batch = source.next(frames_max), if may_read => {
                let Some(batch) = batch else { break };
                let (done, is_done) = oneshot::channel();
                let ticket = batch.ticket;
                let frames = Frames { role: role.clone(), frames: batch.frames, done };
                if actor.send(Request::Frames(frames)).await.is_err() {
                    break;
                }
                on_the_way.push_back(async move { is_done.await.is_ok_and(|is_safe| is_safe).then_some(ticket) });
            }
            () = tokio::time::sleep(DRAIN_SILENCE_MAX), if last_moment.is_some() && may_read => last_moment = Some(Instant::now()),
            () = stop.cancelled(), if last_moment.is_none() => {}
        }
    }
    while let Some(settled) = on_the_way.next().await {
        if let Some(ticket) = settled {
            source.acknowledge(ticket).await;
        }
    }
}

/// Frames whose readings are not safe are not acknowledged, and neither is what came after them: on a new connection the
/// source sends them again.
async fn start_over(link: Option<&dyn Link>, stop: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => return,
        () = tokio::time::sleep(UNSAFE_WAIT) => {}
    }
    if let Some(link) = link {
        link.reconnect().await;
    }
}
