//! What all transports share: one task that keeps a channel open, the signals that end or renew it, and the state the
//! operator sees.

use crate::Context;
use crate::plain_text::one_line;
use crate::repeats::{Kind, Repeats};
use bulkhead_sandbox::capability::{Clock, LinkState};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
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
    /// Kind and address for people, as [`Link::describe`](bulkhead_sandbox::capability::Link::describe) gives them.
    device: String,
    clock: Arc<dyn Clock>,
    repeats: Mutex<BTreeMap<Kind, Repeats>>,
    state: watch::Sender<LinkState>,
    wish: watch::Sender<Wish>,
}

impl Lifecycle {
    pub(crate) fn new(context: &Context, device: String) -> Self {
        Self {
            connection: context.connection.clone(),
            role: context.role.clone(),
            device,
            clock: context.clock.clone(),
            repeats: Mutex::default(),
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

    /// Sets the state, tells the journal when it is another one. A reason may hold what the far side says.
    pub(crate) fn set(&self, state: LinkState) {
        let state = match state {
            LinkState::Down { reason } => LinkState::Down { reason: one_line(&reason).into_owned() },
            state => state,
        };
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
                LinkState::Up => {
                    tracing::info!(connection = %self.connection, transport = %self.role, device = %self.device, "up");
                }
                LinkState::Connecting => self.debug("connecting"),
                LinkState::Stopped => self.debug("stopped"),
            }
        }
    }

    /// A line about something that the far side can repeat as often as it likes: at most one of a kind in ten seconds,
    /// which says how many were held back.
    pub(crate) fn warn_seldom(&self, kind: Kind, message: &str) {
        let now_ns = self.clock.monotonic_ns();
        let line = self.repeats.lock().entry(kind).or_default().line(now_ns);
        match line {
            None => {}
            Some(0) => self.warn(message),
            Some(held_back) => self.warn(&format!("{message} ({held_back} more like this since the last such line)")),
        }
    }

    fn warn(&self, message: &str) {
        let (connection, transport, device) = (&self.connection, &self.role, &self.device);
        tracing::warn!(%connection, %transport, %device, "{}", one_line(message));
    }

    pub(crate) fn debug(&self, message: &str) {
        let (connection, transport, device) = (&self.connection, &self.role, &self.device);
        tracing::debug!(%connection, %transport, %device, "{}", one_line(message));
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
    use bulkhead_model::Timestamp;
    use bulkhead_sandbox::tap::Tap;
    use std::io::Write;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[derive(Default)]
    struct TestClock(AtomicU64);

    impl Clock for TestClock {
        fn now(&self) -> Timestamp {
            Timestamp(0)
        }
        fn monotonic_ns(&self) -> u64 {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn life_with(clock: Arc<TestClock>) -> Lifecycle {
        let context = Context {
            connection: "press".into(),
            role: "device".into(),
            gateway: "test".into(),
            base_dir: "/".into(),
            clock,
            tap: Tap::default(),
        };
        Lifecycle::new(&context, "tcp 10.0.0.5:4001".into())
    }

    fn life() -> Lifecycle {
        life_with(Arc::default())
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_name_the_device_obey_nobody_and_do_not_repeat() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let clock = Arc::new(TestClock::default());
        let life = life_with(clock.clone());
        tracing::subscriber::with_default(subscriber, || {
            for _ in 0..100 {
                life.warn_seldom(Kind::TooLong, "on `a\nERROR \u{1b}[2J`");
            }
            life.warn_seldom(Kind::Refused, "another kind");
            clock.0.store(10_000_000_000, Ordering::Relaxed);
            life.warn_seldom(Kind::TooLong, "once more");
            life.set(LinkState::Down { reason: "it says: bye\r\n".into() });
            life.set(LinkState::Up);
        });
        let text = String::from_utf8(lines.0.lock().clone()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5, "{text}");
        for line in &lines {
            for field in ["connection=press", "transport=device", "device=tcp 10.0.0.5:4001"] {
                assert!(line.contains(field), "{line}");
            }
        }
        assert!(lines[0].contains("on `a ERROR  [2J`") && lines[1].contains("another kind"), "{text}");
        assert!(lines[2].contains("once more (99 more like this"), "{text}");
        assert!(lines[3].contains("down: it says: bye  "), "{text}");
    }

    #[tokio::test]
    async fn stop_ends_a_task_that_listens_and_one_that_does_not() {
        for listens in [true, false] {
            let (life, task) = (life(), Task::default());
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
        let (life, task) = (life(), Task::default());
        let mut signals = life.signals();
        life.reconnect();
        assert!(signals.pause(Duration::from_secs(3600)).await);
        task.stop(&life).await;
        assert!(!signals.pause(Duration::from_secs(3600)).await);
    }
}
