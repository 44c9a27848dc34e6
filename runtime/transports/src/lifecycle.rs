//! What all transports share: one task that keeps a channel open, the signals that end or renew it, and the state the
//! operator sees.

use bulkhead_sandbox::capability::LinkState;
use parking_lot::Mutex;
use std::future::Future;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long a transport's task may take to close its socket or port before it is aborted, which closes it too.
const STOP_TIMEOUT_MS: u64 = 900;

/// What the operator or the engine asks of a running transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Close it for good.
    Stop,
    /// Close it and open it anew.
    Reconnect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Wish {
    stop: bool,
    reconnects: u64,
}

/// The life of one transport, from `start` to `stop`.
pub(crate) struct Lifecycle {
    connection: String,
    /// The transport's role in the connection.
    role: String,
    state: watch::Sender<LinkState>,
    wish: watch::Sender<Wish>,
}

impl Lifecycle {
    pub(crate) fn new(connection: &str, role: &str) -> Self {
        Self {
            connection: connection.to_owned(),
            role: role.to_owned(),
            state: watch::Sender::new(LinkState::Stopped),
            wish: watch::Sender::new(Wish::default()),
        }
    }

    pub(crate) fn signals(&self) -> Signals {
        Signals(self.wish.subscribe())
    }

    pub(crate) fn watch(&self) -> watch::Receiver<LinkState> {
        self.state.subscribe()
    }

    pub(crate) fn state(&self) -> LinkState {
        self.state.borrow().clone()
    }

    /// Sets the state, tells the journal when it is another one.
    pub(crate) fn set(&self, state: LinkState) {
        let changed = self.state.send_if_modified(|current| {
            let changed = *current != state;
            if changed {
                current.clone_from(&state);
            }
            changed
        });
        if changed {
            match &state {
                LinkState::Down { reason } => self.warn(&format!("down: {reason}")),
                LinkState::Up => tracing::info!(connection = %self.connection, transport = %self.role, "up"),
                LinkState::Connecting | LinkState::Stopped => {
                    tracing::debug!(connection = %self.connection, transport = %self.role, ?state, "state");
                }
            }
        }
    }

    /// A line for the journal that names connection and transport.
    pub(crate) fn warn(&self, message: &str) {
        tracing::warn!(connection = %self.connection, transport = %self.role, "{message}");
    }

    pub(crate) fn reconnect(&self) {
        self.wish.send_modify(|wish| wish.reconnects += 1);
    }
}

/// The task of one transport. It shares the transport's state but not this handle, so that dropping the transport's last
/// handle ends the task: nothing stays behind after a reload.
#[derive(Default)]
pub(crate) struct Task(Mutex<Option<JoinHandle<()>>>);

impl Task {
    /// Runs the task. A second call does nothing, nor does one after `stop`.
    pub(crate) fn spawn(&self, life: &Lifecycle, task: impl Future<Output = ()> + Send + 'static) {
        let mut slot = self.0.lock();
        if slot.is_none() && !life.wish.borrow().stop {
            life.set(LinkState::Connecting);
            *slot = Some(tokio::spawn(task));
        }
    }

    /// Tells the task to end and waits until it has.
    pub(crate) async fn stop(&self, life: &Lifecycle) {
        life.wish.send_modify(|wish| wish.stop = true);
        let task = self.0.lock().take();
        if let Some(mut task) = task
            && tokio::time::timeout(Duration::from_millis(STOP_TIMEOUT_MS), &mut task).await.is_err()
        {
            task.abort();
            let _ = task.await;
        }
        life.set(LinkState::Stopped);
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(task) = self.0.get_mut().take() {
            task.abort();
        }
    }
}

/// The signals of one transport, seen from its task.
pub(crate) struct Signals(watch::Receiver<Wish>);

impl Signals {
    /// Waits for the next signal. Safe to drop and call again; after `Stop` it returns `Stop` for ever.
    pub(crate) async fn next(&mut self) -> Signal {
        if self.0.borrow().stop || self.0.changed().await.is_err() || self.0.borrow().stop {
            return Signal::Stop;
        }
        Signal::Reconnect
    }

    /// Waits for `wait`; false when the transport is to stop. A wish to reconnect ends the wait early.
    pub(crate) async fn pause(&mut self, wait: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(wait) => true,
            signal = self.next() => signal == Signal::Reconnect,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stop_ends_a_task_that_listens_and_one_that_does_not() {
        for listens in [true, false] {
            let (life, task) = (Lifecycle::new("press", "device"), Task::default());
            let mut signals = life.signals();
            task.spawn(&life, async move {
                if listens {
                    while signals.next().await != Signal::Stop {}
                } else {
                    std::future::pending::<()>().await;
                }
            });
            assert_eq!(life.state(), LinkState::Connecting);
            tokio::time::timeout(Duration::from_secs(5), task.stop(&life)).await.unwrap();
            assert_eq!(life.state(), LinkState::Stopped);
        }
    }

    #[tokio::test]
    async fn a_reconnect_ends_a_pause_and_a_stop_forbids_further_ones() {
        let (life, task) = (Lifecycle::new("press", "device"), Task::default());
        let mut signals = life.signals();
        life.reconnect();
        assert!(signals.pause(Duration::from_secs(3600)).await);
        task.stop(&life).await;
        assert!(!signals.pause(Duration::from_secs(3600)).await);
    }
}
