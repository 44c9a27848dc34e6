//! The polling side of an actor: which groups are due, what a poll brings, what of an outage is recorded.

use super::actor::Actor;
use crate::outage::Outage;
use crate::schedule::Schedule;
use crate::status::{Phase, add};
use bulkhead_config::{Connection, DEFAULT_POLL_GROUP};
use bulkhead_log::Catalogue;
use bulkhead_model::{Reading, Status};
use bulkhead_sandbox::backoff::random_u32;
use bulkhead_sandbox::capability::Remedy;
use bulkhead_sandbox::{CallError, Role};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// What a polled connection remembers.
pub(super) struct Polling {
    pub(super) config: Connection,
    pub(super) schedule: Schedule,
    pub(super) outage: Outage,
    /// The catalogue when the groups were last worked out: a declaration that changes any point makes another.
    pub(super) catalogue_seen: Option<Arc<Catalogue>>,
}

impl Polling {
    pub(super) fn new(config: &Connection) -> Self {
        Self {
            config: config.clone(),
            schedule: Schedule::default(),
            outage: Outage::new(u64::from(config.heartbeat_s) * 1_000_000_000),
            catalogue_seen: None,
        }
    }
}

impl Actor {
    /// Keeps the schedule in step with the points: groups come from their declarations.
    pub(super) fn plan_groups(&mut self) {
        let is_listener = self.guest.adapter().has(Role::Listener);
        let Some(polling) = self.polling.as_mut() else { return };
        let catalogue = self.log.catalogue();
        if polling.catalogue_seen.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, &catalogue)) {
            return;
        }
        polling.catalogue_seen = Some(catalogue);
        let declared: BTreeSet<String> = self
            .points
            .all()
            .into_iter()
            .filter_map(|point| match (&point.info.group, is_listener) {
                (Some(group), _) => Some(group.clone()),
                (None, false) => Some(DEFAULT_POLL_GROUP.to_owned()),
                (None, true) => None,
            })
            .collect();
        let groups = if declared.is_empty() && !is_listener {
            // An adapter that declares its points as it reads them is asked for the default group until it has some.
            BTreeSet::from([DEFAULT_POLL_GROUP.to_owned()])
        } else {
            declared
        };
        let config = &polling.config;
        let beats = groups.into_iter().map(|group| {
            let interval_ns = u64::from(config.interval_ms(&group)) * 1_000_000;
            (group, interval_ns)
        });
        polling.schedule.set_groups(beats, self.clock.monotonic_ns());
    }

    pub(super) fn next_poll(&self) -> Option<Duration> {
        let due = self.polling.as_ref()?.schedule.next_due_ns()?;
        Some(Duration::from_nanos(due.saturating_sub(self.clock.monotonic_ns())))
    }

    pub(super) async fn poll_due(&mut self) {
        let now = self.clock.monotonic_ns();
        let Some(polling) = self.polling.as_mut() else { return };
        let missed_before = polling.schedule.missed();
        let due = polling.schedule.take_due(now);
        add(&self.live.counters.polls_missed, polling.schedule.missed() - missed_before);
        let Some(group) = due else { return };
        if self.commits.are_held() {
            return self.skip_poll().await;
        }
        if let Err(error) = self.poll(&group).await {
            self.after_failed_poll(&group, &error).await;
        }
    }

    /// Leaves a poll out: the log could not take what it brings. Once, each polled point gets a Bad reading that says from
    /// when on nothing is known; it waits in its place behind what was polled before.
    async fn skip_poll(&mut self) {
        if !self.commits.skip_poll() {
            return;
        }
        let groups = self.polling.as_ref().map(|polling| polling.schedule.groups()).unwrap_or_default();
        let bad = groups.iter().flat_map(|group| self.bad_readings(group, Status::BAD_NO_DATA)).collect();
        self.append(bad).await;
    }

    pub(super) async fn poll_now(&mut self, group: &str) -> Result<(), CallError> {
        // While readings wait for the log, more would only wait behind them.
        self.commits.settle_all().await?;
        let outcome = self.poll(group).await;
        self.commits.settle_all().await?;
        outcome
    }

    /// One poll: its readings, or the outage it met, go to the log.
    async fn poll(&mut self, group: &str) -> Result<(), CallError> {
        add(&self.live.counters.polls, 1);
        let outcome = self.guest.poll(group).await;
        let (mut readings, outcome) = match outcome {
            Ok(readings) => (readings, Ok(())),
            Err(error) => {
                let bad = self.bad_readings(group, status_of(&error));
                self.report(None, &error);
                (bad, Err(error))
            }
        };
        let now = self.clock.monotonic_ns();
        if let Some(polling) = self.polling.as_mut() {
            let before = polling.outage.left_out();
            polling.outage.filter(&mut readings, now);
            add(&self.live.counters.readings_left_out, polling.outage.left_out() - before);
        }
        if outcome.is_ok() {
            self.failures.succeeded();
        }
        self.append(readings).await;
        if outcome.is_ok() && !self.commits.are_held() {
            self.live.set_phase_if_waiting();
        }
        outcome
    }

    /// One Bad reading for each point of a group, stamped now: the moment the outage was seen.
    fn bad_readings(&self, group: &str, status: Status) -> Vec<Reading> {
        let time = self.clock.now();
        self.points
            .all()
            .into_iter()
            .filter(|point| point.info.group.as_deref().unwrap_or(DEFAULT_POLL_GROUP) == group)
            .map(|point| Reading { point: point.id, time, status, value: None })
            .collect()
    }

    async fn after_failed_poll(&mut self, group: &str, error: &CallError) {
        self.live.set_phase(Phase::Waiting(error.to_string()));
        self.follow_remedy(error).await;
        match (error, error.wait()) {
            // The group rests as the adapter asks, and the others go on.
            (CallError::Fault(fault), wait) => {
                let is_hopeless = fault.remedy == Remedy::Reconfigure;
                let wait = wait.or_else(|| is_hopeless.then(|| self.failures.next(random_u32())));
                let now = self.clock.monotonic_ns();
                if let (Some(wait), Some(polling)) = (wait, self.polling.as_mut()) {
                    polling.schedule.postpone(group, now + u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX));
                }
            }
            // A guest that is being rebuilt is not asked before it can be; polls in between would all fail alike.
            (_, Some(wait)) => self.pause(wait).await,
            (_, None) => {
                let wait = self.failures.next(random_u32());
                self.pause(wait).await;
            }
        }
    }
}

/// The status that tells an outage by its fault.
fn status_of(error: &CallError) -> Status {
    match error {
        CallError::Fault(fault) => match fault.code.as_str() {
            "timeout" => Status::BAD_TIMEOUT,
            "not-connected" | "connect" => Status::BAD_NOT_CONNECTED,
            "device-failure" | "memory-parity-error" => Status::BAD_DEVICE_FAILURE,
            _ if fault.remedy == Remedy::Reconfigure => Status::BAD_CONFIGURATION_ERROR,
            _ => Status::BAD_COMMUNICATION_ERROR,
        },
        _ => Status::BAD_INTERNAL_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_sandbox::capability::Fault;

    #[test]
    fn an_outage_is_told_by_its_fault() {
        let fault = |code: &str| CallError::Fault(Fault::new(Remedy::Retry, code, ""));
        assert_eq!(status_of(&fault("timeout")), Status::BAD_TIMEOUT);
        assert_eq!(status_of(&fault("not-connected")), Status::BAD_NOT_CONNECTED);
        assert_eq!(status_of(&CallError::CannotStart(String::new())), Status::BAD_INTERNAL_ERROR);
    }
}
