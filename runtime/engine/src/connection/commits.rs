//! What an actor has given to the log: appends whose commit is awaited, and, when the log takes none for now (it is full, or
//! its disk fails), the readings that wait to be committed again, in their order. Nothing is acknowledged meanwhile.

use super::held::{Held, HeldBatch};
use crate::status::{Live, Phase, add};
use bulkhead_log::{Appender, Committed, GapReason, Log, LogError, Pending, Refused, WhenFull};
use bulkhead_model::Reading;
use bulkhead_sandbox::CallError;
use bulkhead_sandbox::capability::{Fault, Remedy};
use futures_util::FutureExt;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Most appends of an actor whose commit is not known yet; then it waits for the oldest. So many that polls of a few
/// hundred readings fill a commit; their memory is bounded by the log's queue.
const UNCOMMITTED_MAX: usize = 64;
/// Wait before readings that were refused are given to the log again.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// What callers whose readings were refused are told to wait.
const RETRY_AFTER_MS: u32 = 5_000;

/// An append whose commit is not known yet.
struct Uncommitted {
    pending: Pending,
    readings: usize,
    done: Option<oneshot::Sender<bool>>,
}

/// A time in which the log takes no readings.
struct Trouble {
    error: LogError,
    since: Instant,
    again_at: Instant,
    polls_skipped: u64,
    lost: u64,
}

/// What has happened to what was given to the log.
pub(super) enum Event {
    /// The oldest append is settled.
    Settled(Result<Committed, Refused>),
    /// It is time to give held readings to the log again.
    Again,
}

pub(super) struct Commits {
    connection: String,
    log: Log,
    appender: Appender,
    live: Arc<Live>,
    uncommitted: VecDeque<Uncommitted>,
    held: Held,
    trouble: Option<Trouble>,
}

impl Commits {
    pub(super) fn new(connection: &str, log: &Log, when_full: WhenFull, live: Arc<Live>) -> Self {
        Self {
            connection: connection.to_owned(),
            log: log.clone(),
            appender: log.appender(when_full),
            live,
            uncommitted: VecDeque::new(),
            held: Held::default(),
            trouble: None,
        }
    }

    /// Whether the log takes no readings for now.
    pub(super) fn are_held(&self) -> bool {
        self.trouble.is_some()
    }

    /// Hands readings to the log without waiting for their commit, unless many are on the way. `done` hears once they are
    /// safe, or that they will not be.
    pub(super) async fn submit(&mut self, readings: Vec<Reading>, done: Option<oneshot::Sender<bool>>) {
        if self.are_held() {
            return self.hold(HeldBatch { readings, done });
        }
        let count = readings.len();
        match self.appender.submit(readings).await {
            Ok(pending) => self.uncommitted.push_back(Uncommitted { pending, readings: count, done }),
            Err(refused) => self.give_up(count, done, &refused.error),
        }
        self.settle_ready().await;
        while self.uncommitted.len() > UNCOMMITTED_MAX {
            self.settle_oldest().await;
        }
    }

    /// Commits readings and waits for it; what is refused is not held.
    pub(super) async fn commit_now(&mut self, readings: Vec<Reading>) -> Result<(), CallError> {
        let outcome = match self.appender.submit(readings).await {
            Ok(mut pending) => pending.settled().await,
            Err(refused) => Err(refused),
        };
        outcome.map(drop).map_err(|refused| {
            self.appender.go_on();
            fault(&refused.error)
        })
    }

    /// Waits until there is something to do. Nothing is lost when it is dropped meanwhile.
    pub(super) async fn next(&mut self) -> Event {
        match (&self.trouble, self.uncommitted.front_mut()) {
            (Some(trouble), _) => {
                tokio::time::sleep_until(trouble.again_at).await;
                Event::Again
            }
            (None, Some(oldest)) => Event::Settled(oldest.pending.settled().await),
            (None, None) => std::future::pending().await,
        }
    }

    pub(super) async fn handle(&mut self, event: Event) {
        match event {
            Event::Settled(outcome) => self.settled(outcome).await,
            Event::Again => self.try_again().await,
        }
        self.settle_ready().await;
    }

    /// Waits until everything has been committed, or says why not.
    pub(super) async fn settle_all(&mut self) -> Result<(), CallError> {
        while !self.uncommitted.is_empty() {
            self.settle_oldest().await;
        }
        self.trouble.as_ref().map_or(Ok(()), |trouble| Err(fault(&trouble.error)))
    }

    /// Ends: what is held gets a last try. Readings of frames stay unacknowledged; polled ones are lost.
    pub(super) async fn end(&mut self) {
        // What it met has been told; what is held is tried once more below.
        _ = self.settle_all().await;
        if self.are_held() {
            self.try_again().await;
        }
        let Some(trouble) = &self.trouble else { return };
        let error = trouble.error.clone();
        while let Some(batch) = self.held.pop() {
            self.give_up(batch.readings.len(), batch.done, &error);
        }
        self.note_gap().await;
    }

    /// A poll is left out because the log takes no readings. True at the first one of a time of trouble.
    pub(super) fn skip_poll(&mut self) -> bool {
        add(&self.live.counters.polls_paused, 1);
        let Some(trouble) = &mut self.trouble else { return false };
        trouble.polls_skipped += 1;
        trouble.polls_skipped == 1
    }

    async fn settle_ready(&mut self) {
        while self.trouble.is_none() {
            let Some(oldest) = self.uncommitted.front_mut() else { return };
            let Some(outcome) = oldest.pending.settled().now_or_never() else { return };
            self.settled(outcome).await;
        }
    }

    async fn settle_oldest(&mut self) {
        if let Some(oldest) = self.uncommitted.front_mut() {
            let outcome = oldest.pending.settled().await;
            self.settled(outcome).await;
        }
    }

    /// Takes the oldest append off the list.
    async fn settled(&mut self, outcome: Result<Committed, Refused>) {
        let Some(Uncommitted { readings, done, .. }) = self.uncommitted.pop_front() else { return };
        match outcome {
            Ok(_) => answer(done, true),
            Err(refused) if refused.error.is_retryable() => self.begin_to_hold(refused, done).await,
            Err(refused) => {
                self.appender.go_on();
                self.give_up(readings, done, &refused.error);
            }
        }
    }

    /// The log takes no readings: those that were refused, and all that were submitted after them, wait.
    async fn begin_to_hold(&mut self, refused: Refused, done: Option<oneshot::Sender<bool>>) {
        let now = Instant::now();
        tracing::error!(
            connection = self.connection,
            "the log takes no readings for now; they are held, nothing is acknowledged, and polling pauses: {}",
            shown(&refused.error)
        );
        self.live.set_phase(Phase::Waiting(refused.error.to_string()));
        self.trouble =
            Some(Trouble { error: refused.error, since: now, again_at: now + AGAIN_AFTER, polls_skipped: 0, lost: 0 });
        self.hold(HeldBatch { readings: refused.readings, done });
        while let Some(mut next) = self.uncommitted.pop_front() {
            match next.pending.settled().await {
                Ok(_) => answer(next.done, true),
                Err(refused) if refused.error.is_retryable() => {
                    self.hold(HeldBatch { readings: refused.readings, done: next.done });
                }
                Err(refused) => self.give_up(next.readings, next.done, &refused.error),
            }
        }
        self.appender.go_on();
    }

    fn hold(&mut self, batch: HeldBatch) {
        if let Err(batch) = self.held.push(batch) {
            let error = self.trouble.as_ref().map_or(LogError::Closed, |trouble| trouble.error.clone());
            self.give_up(batch.readings.len(), batch.done, &error);
        }
    }

    /// Gives held readings to the log again, one batch after the other.
    async fn try_again(&mut self) {
        while let Some(HeldBatch { readings, done }) = self.held.pop() {
            let count = readings.len();
            let outcome = match self.appender.submit(readings).await {
                Ok(mut pending) => pending.settled().await,
                Err(refused) => Err(refused),
            };
            match outcome {
                Ok(_) => answer(done, true),
                Err(refused) => {
                    self.appender.go_on();
                    if refused.error.is_retryable() {
                        self.held.put_back(HeldBatch { readings: refused.readings, done });
                        return self.wait_on(refused.error);
                    }
                    self.give_up(count, done, &refused.error);
                }
            }
        }
        self.note_gap().await;
        if let Some(trouble) = self.trouble.take() {
            let (for_ms, skipped) = (trouble.since.elapsed().as_millis(), trouble.polls_skipped);
            tracing::info!(connection = self.connection, for_ms, skipped, "the log takes readings again");
            self.live.set_phase_if_waiting();
        }
    }

    fn wait_on(&mut self, error: LogError) {
        if let Some(trouble) = &mut self.trouble {
            trouble.again_at = Instant::now() + AGAIN_AFTER;
            self.live.set_phase(Phase::Waiting(error.to_string()));
            trouble.error = error;
        }
    }

    /// Readings will not be in the log.
    fn give_up(&mut self, count: usize, done: Option<oneshot::Sender<bool>>, error: &LogError) {
        let count = count as u64;
        if done.is_none() {
            // Frames come again; these do not.
            add(&self.live.counters.readings_lost, count);
            if let Some(trouble) = &mut self.trouble {
                trouble.lost += count;
            }
        }
        answer(done, false);
        tracing::error!(connection = self.connection, count, "readings are not in the log: {}", shown(error));
    }

    /// Records what was lost in a time of trouble: readings, and polls that were not done.
    async fn note_gap(&mut self) {
        let Some(trouble) = &mut self.trouble else { return };
        let (lost, skipped) = (std::mem::take(&mut trouble.lost), trouble.polls_skipped);
        if lost == 0 && skipped == 0 {
            return;
        }
        let reason = if trouble.error.is_full() { GapReason::Refused } else { GapReason::CommitFailed };
        // What a poll would have brought nobody knows.
        let rows = (skipped == 0).then_some(lost);
        let (log, connection) = (self.log.clone(), self.connection.clone());
        let noted = tokio::task::spawn_blocking(move || log.note_gap(&connection, rows, reason)).await;
        if let Ok(Err(error)) = noted {
            tracing::error!(connection = self.connection, "the gap could not be recorded: {}", shown(&error));
        }
    }
}

fn answer(done: Option<oneshot::Sender<bool>>, is_safe: bool) {
    if let Some(done) = done {
        // The pump may have ended.
        _ = done.send(is_safe);
    }
}

/// The fault that stands for a refusal of the log.
fn fault(error: &LogError) -> CallError {
    let code = if error.is_full() { "log-full" } else { "log" };
    let mut fault = Fault::new(Remedy::Retry, code, error.to_string());
    fault.retry_after_ms = error.is_retryable().then_some(RETRY_AFTER_MS);
    CallError::Fault(fault)
}

/// An error with its cause.
fn shown(error: &LogError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_log::{FileEntry, FileOps, LogConfig, SystemFiles};
    use bulkhead_model::{Kind, PointId, PointInfo, Status, Timestamp, Value};
    use std::io;
    use std::path::Path;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// The system's files on a disk whose free space is what the test says.
    #[derive(Debug)]
    struct Disk {
        free: AtomicU64,
    }

    impl FileOps for Disk {
        fn create_dir(&self, dir: &Path) -> io::Result<()> {
            SystemFiles.create_dir(dir)
        }
        fn list(&self, dir: &Path) -> io::Result<Vec<FileEntry>> {
            SystemFiles.list(dir)
        }
        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            SystemFiles.rename(from, to)
        }
        fn remove(&self, file: &Path) -> io::Result<()> {
            SystemFiles.remove(file)
        }
        fn sync_file(&self, file: &Path) -> io::Result<()> {
            SystemFiles.sync_file(file)
        }
        fn sync_dir(&self, dir: &Path) -> io::Result<()> {
            SystemFiles.sync_dir(dir)
        }
        fn free_bytes(&self, _: &Path) -> io::Result<u64> {
            Ok(self.free.load(Ordering::SeqCst))
        }
    }

    struct Bench {
        disk: Arc<Disk>,
        log: Log,
        point: PointId,
        commits: Commits,
        live: Arc<Live>,
        _dir: tempfile::TempDir,
    }

    fn bench() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let disk = Arc::new(Disk { free: AtomicU64::new(u64::MAX) });
        let config = LogConfig { commit_max_ms: 0, reserve_bytes: 4096, ..LogConfig::new(dir.path().join("log")) };
        let log = config.open_with(disk.clone()).unwrap();
        let point = log.declare("c", &[PointInfo::new("p", Kind::Integer)]).unwrap()[0];
        let live = Arc::new(Live::new(Phase::Running));
        let commits = Commits::new("c", &log, WhenFull::Refuse, live.clone());
        Bench { disk, log, point, commits, live, _dir: dir }
    }

    impl Bench {
        fn batch(&self, values: std::ops::Range<i64>) -> Vec<Reading> {
            let reading = |value| Reading {
                point: self.point,
                time: Timestamp(value),
                status: Status::GOOD,
                value: Some(Value::Integer(value)),
            };
            values.map(reading).collect()
        }

        async fn step(&mut self) {
            let event = tokio::time::timeout(Duration::from_secs(30), self.commits.next()).await.unwrap();
            self.commits.handle(event).await;
        }

        fn values(&self) -> Vec<i64> {
            self.log.read(0, 1000).unwrap().into_iter().map(|row| row.reading.time.0).collect()
        }
    }

    #[tokio::test]
    async fn what_a_full_log_refuses_is_held_and_committed_in_order_and_acknowledged_only_then() {
        let mut bench = bench();
        bench.commits.submit(bench.batch(0..5), None).await;
        bench.commits.settle_all().await.unwrap();
        bench.disk.free.store(0, Ordering::SeqCst);
        // What the log thinks of its disk may be a second old.
        let mut next = 5;
        while !bench.commits.are_held() {
            bench.commits.submit(bench.batch(next..next + 1), None).await;
            bench.step().await;
            next += 1;
        }
        let (done, is_done) = oneshot::channel();
        bench.commits.submit(bench.batch(next..next + 3), Some(done)).await;
        bench.commits.submit(bench.batch(next + 3..next + 4), None).await;
        assert!(matches!(&*bench.live.phase.lock(), Phase::Waiting(reason) if reason.contains("full")));
        assert!(bench.commits.settle_all().await.is_err(), "a caller who waits is told");
        assert!(bench.commits.skip_poll() && !bench.commits.skip_poll(), "only the first is told of");
        bench.step().await;
        assert!(bench.commits.are_held(), "a try on the full disk changes nothing");
        assert!(!is_done.is_terminated() && bench.values().len() < next as usize);

        bench.disk.free.store(u64::MAX, Ordering::SeqCst);
        while bench.commits.are_held() {
            bench.step().await;
        }
        assert_eq!(is_done.await, Ok(true));
        assert_eq!(bench.values(), (0..next + 4).collect::<Vec<_>>(), "nothing lost, nothing twice, nothing overtaken");
        assert_eq!(*bench.live.phase.lock(), Phase::Running);
        let counters = bench.live.counters.snapshot();
        assert_eq!((counters.readings_lost, counters.polls_paused), (0, 2));
        let gaps = bench.log.gaps(0, 10).unwrap();
        assert_eq!(gaps.len(), 1);
        assert_eq!(
            (gaps[0].reason, gaps[0].rows, gaps[0].connection.as_deref()),
            (GapReason::Refused, None, Some("c"))
        );
    }

    #[tokio::test]
    async fn at_the_end_held_frames_stay_unacknowledged_and_held_polls_are_a_gap() {
        let mut bench = bench();
        bench.disk.free.store(0, Ordering::SeqCst);
        bench.commits.submit(bench.batch(0..5), None).await;
        let (done, is_done) = oneshot::channel();
        bench.commits.submit(bench.batch(5..7), Some(done)).await;
        bench.commits.end().await;
        assert_eq!(is_done.await, Ok(false));
        assert_eq!(bench.live.counters.snapshot().readings_lost, 5, "frames come again");
        let gaps = bench.log.gaps(0, 10).unwrap();
        assert_eq!(gaps.iter().map(|gap| gap.rows).collect::<Vec<_>>(), [Some(5)]);
        assert!(bench.values().is_empty());
    }

    #[tokio::test]
    async fn a_reading_the_log_will_never_take_holds_nothing_up() {
        let mut bench = bench();
        let wrong = vec![Reading { value: Some(Value::Boolean(true)), ..bench.batch(0..1).remove(0) }];
        let (done, is_done) = oneshot::channel();
        bench.commits.submit(wrong, Some(done)).await;
        assert_eq!(is_done.await, Ok(false));
        bench.commits.submit(bench.batch(0..3), None).await;
        bench.commits.settle_all().await.unwrap();
        assert_eq!(bench.values(), [0, 1, 2]);
    }

    #[tokio::test]
    async fn a_webhook_is_refused_with_a_wait_and_the_next_one_is_taken() {
        let mut bench = bench();
        bench.disk.free.store(0, Ordering::SeqCst);
        let error = bench.commits.commit_now(bench.batch(0..1)).await.unwrap_err();
        let CallError::Fault(fault) = error else { panic!("{error}") };
        assert_eq!((fault.code.as_str(), fault.retry_after_ms), ("log-full", Some(RETRY_AFTER_MS)));
        bench.disk.free.store(u64::MAX, Ordering::SeqCst);
        let deadline = Instant::now() + Duration::from_secs(5);
        while bench.commits.commit_now(bench.batch(1..2)).await.is_err() {
            assert!(Instant::now() < deadline);
        }
        assert_eq!(bench.values(), [1]);
    }
}
