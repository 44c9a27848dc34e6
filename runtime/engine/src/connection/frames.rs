//! The listening side of an actor: frames to readings, and what happens to a frame that the adapter fails on.

use super::actor::{Actor, Frames};
use crate::status::add;
use bulkhead_model::Reading;
use bulkhead_sandbox::capability::{Frame, Remedy};
use bulkhead_sandbox::{CallError, Role};
use std::collections::VecDeque;

/// Tries of a frame before it is given up.
const FRAME_TRIES: u32 = 2;
/// Bytes of a given-up frame that the journal shows.
const SHOWN_PAYLOAD_BYTES: usize = 64;

impl Actor {
    pub(super) async fn receive(&mut self, batch: Frames) {
        add(&self.live.counters.frames, batch.frames.len() as u64);
        let Some(readings) = self.understand(&batch.role, &batch.frames).await else {
            _ = batch.done.send(false);
            return;
        };
        if readings.is_empty() {
            _ = batch.done.send(true);
            return;
        }
        self.count_readings(&readings);
        let count = readings.len() as u64;
        match self.log.submit(readings).await {
            Ok(pending) => {
                let (live, connection) = (self.live.clone(), self.connection.clone());
                // The commit is awaited beside the actor, so that the next frames are understood meanwhile. The log's
                // bounded queue and the pump's bound keep the number of these tasks small.
                tokio::spawn(async move {
                    let committed = pending.committed().await;
                    if let Err(error) = &committed {
                        add(&live.counters.readings_lost, count);
                        tracing::error!(
                            connection,
                            "readings of frames were not committed and stay unacknowledged: {error}"
                        );
                    }
                    _ = batch.done.send(committed.is_ok());
                });
            }
            Err(error) => {
                tracing::error!(connection = self.connection, "the log took no readings of frames: {error}");
                _ = batch.done.send(false);
            }
        }
    }

    /// The readings of frames. Where the guest fails on them, halves are tried, down to the frame that it is about,
    /// which is given up after [`FRAME_TRIES`]. None: the engine stops, or the guest cannot run.
    async fn understand(&mut self, role: &str, frames: &[Frame]) -> Option<Vec<Reading>> {
        let mut readings = Vec::new();
        let mut parts = VecDeque::from([(0, frames.len(), 0)]);
        while let Some((start, end, failures)) = parts.pop_front() {
            let error = match self.guest.receive(role, &frames[start..end]).await {
                Ok(more) if readings.is_empty() => {
                    readings = more;
                    continue;
                }
                Ok(more) => {
                    readings.extend(more);
                    continue;
                }
                Err(error) => error,
            };
            if self.stop.is_cancelled() || matches!(error, CallError::NoSuchRole(_)) {
                return None;
            }
            if let CallError::Resting { rebuild_in } = error {
                parts.push_front((start, end, failures));
                self.pause(rebuild_in).await;
                continue;
            }
            self.report(None, &error);
            self.follow_remedy(&error).await;
            let is_rejected = matches!(&error, CallError::Fault(fault) if fault.remedy == Remedy::Reject);
            match (end - start, failures + 1 >= FRAME_TRIES || is_rejected) {
                (1, true) => self.give_up(role, &frames[start], &error),
                (1, false) => parts.push_front((start, end, failures + 1)),
                (_, false) => parts.push_front((start, end, failures + 1)),
                (count, true) => {
                    let middle = start + count / 2;
                    parts.push_front((middle, end, 0));
                    parts.push_front((start, middle, 0));
                }
            }
            if let Some(wait) = error.wait() {
                self.pause(wait).await;
            }
        }
        Some(readings)
    }

    fn give_up(&self, role: &str, frame: &Frame, error: &CallError) {
        add(&self.live.counters.frames_given_up, 1);
        let shown: String = frame.payload.iter().take(SHOWN_PAYLOAD_BYTES).map(|byte| format!("{byte:02x}")).collect();
        tracing::error!(
            connection = self.connection,
            transport = role,
            topic = frame.topic,
            bytes = frame.payload.len(),
            payload_begins = shown,
            "a frame is given up, the adapter failed on it {FRAME_TRIES} times: {error}"
        );
    }

    pub(super) async fn run_timers(&mut self) {
        let frames = self.guest.take_timers();
        if frames.is_empty() || !self.guest.adapter().has(Role::Listener) {
            return;
        }
        match self.guest.receive("timer", &frames).await {
            Ok(readings) => self.append(readings).await,
            Err(error) => self.report(None, &error),
        }
    }
}
