//! The watchdog: signs of life to the service manager for as long as everything that has to get on does. Three things are
//! watched: the log's writer takes appends, the engine can be asked, the API's loop goes round. What decides is a pure
//! function over the ages of their last steps; a thread of its own asks it, so that a runtime that hangs is noticed too.
//!
//! A single connection that hangs is no reason to restart the others: it is not watched here.

use crate::notify::{Notifier, watchdog_limit};
use bulkhead_api::Turns;
use bulkhead_engine::{Engine, Phase, SystemClock};
use bulkhead_log::{Log, LogError};
use bulkhead_sandbox::capability::Clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Looks at the marks, and steps of what is watched, in the time the service manager waits.
const LOOKS_PER_LIMIT: u32 = 4;
/// How often the status line is brought up to date where nobody watches.
const STATUS_BEAT: Duration = Duration::from_secs(15);
/// Longest wait for connections to get past their start before the gateway calls itself ready: one that tries for ever
/// must not keep the service from being up.
const READY_MAX: Duration = Duration::from_secs(60);
/// Pause between two looks whether they have.
const READY_LOOK: Duration = Duration::from_millis(50);

/// When something last got on, in nanoseconds of the watchdog's clock.
#[derive(Debug, Clone, Default)]
struct Mark(Arc<AtomicU64>);

impl Mark {
    fn set(&self, now_ns: u64) {
        self.0.store(now_ns, Ordering::Relaxed);
    }

    fn age(&self, now_ns: u64) -> Duration {
        Duration::from_nanos(now_ns.saturating_sub(self.0.load(Ordering::Relaxed)))
    }
}

/// Those that did not get on within the limit.
fn stuck<'w>(ages: &[(&'w str, Duration)], limit: Duration) -> Vec<&'w str> {
    ages.iter().filter(|(_, age)| *age > limit).map(|(what, _)| *what).collect()
}

/// Tells the service manager that the gateway is ready once its connections are past their start, then how it is, and that
/// it lives. It ends with `stop`.
pub(crate) fn watch(notifier: Notifier, engine: Engine, turns: Turns, stop: &CancellationToken) {
    let clock = SystemClock::default();
    let limit = watchdog_limit();
    let beat = limit.map_or(STATUS_BEAT, |limit| limit / LOOKS_PER_LIMIT);
    tokio::spawn(tell_when_ready(notifier.clone(), engine.clone(), stop.clone()));
    let (log, runtime) = (Mark::default(), Mark::default());
    if limit.is_some() {
        tokio::spawn(step_log(engine.log().clone(), log.clone(), clock, beat, stop.clone()));
    }
    let status = Arc::new(parking_lot::Mutex::new(String::new()));
    tokio::spawn(step_engine(engine, runtime.clone(), Arc::clone(&status), clock, beat, stop.clone()));
    let looks = Looks { notifier, clock, limit, beat, log, runtime, turns, status, stop: stop.clone() };
    let thread = std::thread::Builder::new().name("watchdog".into()).spawn(move || looks.run());
    if let Err(error) = thread {
        tracing::error!("the watchdog's thread cannot be started; the service manager will end the gateway: {error}");
    }
}

async fn tell_when_ready(notifier: Notifier, engine: Engine, stop: CancellationToken) {
    let ready = async {
        while !engine.is_ready() {
            tokio::time::sleep(READY_LOOK).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => return,
        // What has not got past its start by then is named in the status.
        _ = tokio::time::timeout(READY_MAX, ready) => {}
    }
    notifier.ready();
}

/// Has the log's writer take an empty append, again and again. An append that fails is an answer, too: the log has its own
/// ways to recover, and a restart would lose what waits.
async fn step_log(log: Log, mark: Mark, clock: SystemClock, beat: Duration, stop: CancellationToken) {
    loop {
        let step = log.append(Vec::new());
        tokio::select! {
            () = stop.cancelled() => return,
            outcome = step => if !matches!(outcome, Err(LogError::Closed)) { mark.set(clock.monotonic_ns()) },
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(beat) => {}
        }
    }
}

/// Asks the engine how everything is, again and again.
async fn step_engine(
    engine: Engine,
    mark: Mark,
    status: Arc<parking_lot::Mutex<String>>,
    clock: SystemClock,
    beat: Duration,
    stop: CancellationToken,
) {
    loop {
        let line = status_line(&engine);
        *status.lock() = line;
        mark.set(clock.monotonic_ns());
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(beat) => {}
        }
    }
}

/// The gateway in a line.
fn status_line(engine: &Engine) -> String {
    let (connections, routes) = (engine.connections(), engine.routes());
    let enabled = connections.iter().filter(|connection| connection.enabled);
    let running = enabled.clone().filter(|connection| connection.phase == Phase::Running).count();
    let backlog: u64 = routes.iter().filter(|route| route.enabled).map(|route| route.backlog).sum();
    let mut line =
        format!("{running} of {} connections run; backlog of all routes: {backlog}", enabled.clone().count());
    let troubled: Vec<String> = enabled
        .filter(|connection| connection.phase != Phase::Running)
        .map(|connection| format!("{} is {}", connection.name, connection.phase.name()))
        .collect();
    if !troubled.is_empty() {
        line = format!("{line}; {}", troubled.join(", "));
    }
    line
}

/// The thread that looks at the marks.
struct Looks {
    notifier: Notifier,
    clock: SystemClock,
    limit: Option<Duration>,
    beat: Duration,
    log: Mark,
    runtime: Mark,
    turns: Turns,
    status: Arc<parking_lot::Mutex<String>>,
    stop: CancellationToken,
}

impl Looks {
    fn run(self) {
        let (mut turns, api) = (self.turns.counted(), Mark::default());
        let (mut told, mut was_stuck) = (String::new(), false);
        while !self.stop.is_cancelled() {
            let now = self.clock.monotonic_ns();
            let counted = self.turns.counted();
            if counted != turns {
                turns = counted;
                api.set(now);
            }
            let ages = [
                ("the log's writer", self.log.age(now)),
                ("the engine", self.runtime.age(now)),
                ("the API", api.age(now)),
            ];
            // Half of it, so that the manager's patience ends soon after.
            let stuck = self.limit.map(|limit| stuck(&ages, limit / 2)).unwrap_or_default();
            let line = match stuck.is_empty() {
                true => self.status.lock().clone(),
                false => format!("stuck: {}", stuck.join(", ")),
            };
            if !stuck.is_empty() && !was_stuck {
                tracing::error!("{line}: the watchdog is not told any more that the gateway lives");
            }
            was_stuck = !stuck.is_empty();
            if line != told {
                self.notifier.status(&line);
                told = line;
            }
            if self.limit.is_some() && !was_stuck {
                self.notifier.alive();
            }
            std::thread::sleep(self.beat);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_get_on_within_the_limit_is_stuck() {
        let second = Duration::from_secs(1);
        let ages = [("a", second), ("b", second * 3), ("c", Duration::ZERO)];
        assert_eq!(stuck(&ages, second), ["b"]);
        assert_eq!(stuck(&ages, Duration::ZERO), ["a", "b"]);
        assert!(stuck(&ages, second * 3).is_empty());
    }

    #[test]
    fn a_mark_ages_until_it_is_set_anew() {
        let mark = Mark::default();
        assert_eq!(mark.age(5_000), Duration::from_nanos(5_000));
        mark.set(4_000);
        assert_eq!(mark.age(5_000), Duration::from_nanos(1_000));
        assert_eq!(mark.age(3_000), Duration::ZERO, "a step after the look is no old one");
    }
}
