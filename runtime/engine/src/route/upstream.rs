//! What a route delivers to: a sink connection, behind a trait so that tests can put a model in its place.

use super::verdict::Reply;
use crate::connection::{ConnectionHandle, Request};
use async_trait::async_trait;
use bulkhead_sandbox::capability::{Fault, Remedy};
use bulkhead_sandbox::{Role, wit};
use tokio::sync::oneshot;

/// Takes batches.
#[async_trait]
pub(crate) trait Upstream: Send + Sync {
    /// The sink connection's name.
    fn name(&self) -> &str;

    /// Why nothing can be delivered yet; none: it can be tried.
    fn not_ready(&self) -> Option<String>;

    /// Delivers a batch. An answer that never comes is a dropped future; what was taken nobody knows then.
    async fn deliver(&self, batch: wit::Batch) -> Reply;
}

#[async_trait]
impl Upstream for ConnectionHandle {
    fn name(&self) -> &str {
        &self.name
    }

    fn not_ready(&self) -> Option<String> {
        match self.assembled() {
            Some(_) => None,
            None => Some(self.running().map_or_else(|error| error.to_string(), |_| String::new())),
        }
    }

    async fn deliver(&self, batch: wit::Batch) -> Reply {
        let Some(sink) = self.assembled() else {
            return Reply::Failed(self.not_running());
        };
        if !sink.has(Role::Sink) {
            let message = format!("connection {} has no role sink; routes can only lead to a sink", self.name);
            return Reply::Failed(Fault::new(Remedy::Reconfigure, "no-such-role", message));
        }
        let (reply, outcome) = oneshot::channel();
        let sent = sink.main.send(Request::Deliver(Box::new(batch), reply)).await;
        match (sent, outcome.await) {
            (Ok(()), Ok(outcome)) => Reply::of(outcome),
            _ => Reply::Failed(self.not_running()),
        }
    }
}

impl ConnectionHandle {
    fn not_running(&self) -> Fault {
        let phase = self.live.phase.lock().clone();
        let reason = phase.reason().unwrap_or(phase.name());
        Fault::new(Remedy::Retry, "sink-not-running", format!("connection {}: {reason}", self.name))
    }
}
