//! The listening side of an actor: frames to readings, and what happens to a frame that the adapter fails on.

use super::actor::{Actor, Frames, ReplayedFrame};
use crate::blocking::blocking;
use crate::status::add;
use bulkhead_log::{LETTER_PAYLOAD_MAX_BYTES, LetterError, LostFrame};
use bulkhead_model::{Reading, Status, Timestamp};
use bulkhead_sandbox::backoff::random_u32;
use bulkhead_sandbox::capability::{Frame, FrameKind, Remedy};
use bulkhead_sandbox::{CallError, Role};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::oneshot;

/// Tries of a frame before it is given up.
const FRAME_TRIES: u32 = 2;
/// Bytes of frames in one call of the adapter; a single frame may be longer. What it makes of them must fit what may be handed
/// over in one result: a payload of this length holds at most some 70,000 values.
const FRAMES_PER_CALL_MAX_BYTES: usize = 512 << 10;
/// Bytes of a given-up frame that the journal shows.
const SHOWN_PAYLOAD_BYTES: usize = 64;

impl Actor {
    pub(super) async fn receive(&mut self, batch: Frames) {
        add(&self.live.counters.frames, batch.frames.len() as u64);
        let Some(readings) = self.understand(&batch.role, &batch.frames).await else {
            _ = batch.done.send(false);
            return;
        };
        self.commit(readings, batch.done).await;
        self.note_link(&batch.frames).await;
    }

    /// Hands the readings of frames to the log; `done` hears whether they are safe.
    async fn commit(&mut self, readings: Vec<Reading>, done: oneshot::Sender<bool>) {
        if readings.is_empty() {
            _ = done.send(true);
            return;
        }
        self.count_readings(&readings);
        self.commits.submit(readings, Some(done)).await;
    }

    /// A frame that was given up, once more. It counts as no frame received: it is none.
    pub(super) async fn replay(&mut self, lost: &ReplayedFrame) -> Result<(), CallError> {
        let readings = self.guest.receive(&lost.role, std::slice::from_ref(&lost.frame)).await?;
        self.count_readings(&readings);
        if readings.is_empty() {
            return Ok(());
        }
        self.commits.commit_now(readings).await
    }

    /// The readings of frames. Where the guest crashes on them or rejects them, halves are tried, down to the frame that
    /// it is about, which is given up after [`FRAME_TRIES`] and kept as a dead letter. Where it asks for another try later,
    /// it gets one. None: the frames stay unacknowledged, because the engine stops or a dead letter could not be stored.
    async fn understand(&mut self, role: &str, frames: &[Frame]) -> Option<Vec<Reading>> {
        let mut readings = Vec::new();
        let mut lost = Vec::new();
        let mut parts: VecDeque<(usize, usize, u32)> =
            portions(frames).into_iter().map(|(start, end)| (start, end, 0)).collect();
        while let Some((start, end, failures)) = parts.pop_front() {
            if !self.ready_to_listen().await {
                return None;
            }
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
            if matches!(error, CallError::NoSuchRole(_)) {
                return None;
            }
            self.report(None, &error);
            self.follow_remedy(&error).await;
            match (end - start, verdict(&error, failures + 1)) {
                (_, Verdict::Later) => {
                    parts.push_front((start, end, failures));
                    let wait = error.wait().unwrap_or_else(|| self.failures.next(random_u32()));
                    self.pause(wait).await;
                }
                (_, Verdict::Again) => parts.push_front((start, end, failures + 1)),
                (1, Verdict::Divide) => lost.extend(self.give_up(role, &frames[start], failures + 1, &error)),
                (count, Verdict::Divide) => {
                    let middle = start + count / 2;
                    parts.push_front((middle, end, 0));
                    parts.push_front((start, middle, 0));
                }
            }
        }
        self.failures.succeeded();
        self.keep(lost).await.then_some(readings)
    }

    /// Keeps frames as dead letters. False: they could not be stored and must not be acknowledged.
    async fn keep(&mut self, lost: Vec<(LostFrame, LetterError)>) -> bool {
        if lost.is_empty() {
            return true;
        }
        let (log, connection) = (self.log.clone(), self.connection.clone());
        if let Err(error) = blocking(move || log.keep_frames(&connection, lost)).await {
            tracing::error!(
                connection = self.connection,
                "frames that were given up could not be kept as dead letters and stay unacknowledged: {error}"
            );
            return false;
        }
        self.letters.look_again().await;
        true
    }

    /// Waits until there is a guest to listen. False: the engine stops.
    async fn ready_to_listen(&mut self) -> bool {
        while !self.stop.is_cancelled() || self.guest.is_up() {
            let error = match self.guest.start().await {
                Ok(()) => return true,
                Err(error) => error,
            };
            if !matches!(error, CallError::Resting { .. }) {
                self.report(None, &error);
            }
            let wait = error.wait().unwrap_or_else(|| self.failures.next(random_u32()));
            self.pause(wait).await;
        }
        false
    }

    /// Tells of a frame that is given up. It becomes a dead letter if it is one that a source has sent.
    fn give_up(&self, role: &str, frame: &Frame, tries: u32, error: &CallError) -> Option<(LostFrame, LetterError)> {
        add(&self.live.counters.frames_given_up, 1);
        let shown: String = frame.payload.iter().take(SHOWN_PAYLOAD_BYTES).map(|byte| format!("{byte:02x}")).collect();
        tracing::error!(
            connection = self.connection,
            transport = role,
            topic = frame.topic,
            bytes = frame.payload.len(),
            payload_begins = shown,
            tries,
            "a frame is given up, the adapter fails on it: {error}"
        );
        let message = match error {
            CallError::Fault(fault) => fault.message.clone(),
            other => other.to_string(),
        };
        let error = LetterError { code: error.code().to_owned(), message, tries, time: self.clock.now() };
        (frame.kind == FrameKind::Data).then(|| (lost_frame(role, frame), error))
    }

    pub(super) async fn run_timers(&mut self) {
        let frames = self.guest.take_timers();
        if frames.is_empty() || !self.guest.adapter().has(Role::Listener) {
            return;
        }
        let outcome = self.guest.receive("timer", &frames).await;
        self.after_call(&outcome).await;
        if let Ok(readings) = outcome {
            self.append(readings).await;
        }
    }

    // ---- a transport that is down

    /// Notes whether the transport of these frames is up after them, and records an outage that begins.
    async fn note_link(&mut self, frames: &[Frame]) {
        match frames.iter().rev().find(|frame| frame.kind != FrameKind::Timer) {
            Some(frame) if frame.kind == FrameKind::Disconnected => {
                let since = Timestamp(frame.received);
                self.silence.get_or_insert(Silence { next_ns: self.clock.monotonic_ns() });
                self.record_silence_at(since).await;
            }
            Some(_) => self.silence = None,
            None => {}
        }
    }

    pub(super) fn next_heartbeat(&self) -> Option<Duration> {
        let next_ns = self.silence.as_ref()?.next_ns;
        Some(Duration::from_nanos(next_ns.saturating_sub(self.clock.monotonic_ns())))
    }

    /// The outage goes on: one Bad reading a point for this heartbeat.
    pub(super) async fn record_silence(&mut self) {
        let now = self.clock.now();
        self.record_silence_at(now).await;
    }

    async fn record_silence_at(&mut self, time: Timestamp) {
        let heartbeat_ns = u64::try_from(self.heartbeat.as_nanos()).unwrap_or(u64::MAX);
        let next_ns = self.clock.monotonic_ns().saturating_add(heartbeat_ns);
        self.silence = Some(Silence { next_ns });
        let status = Status::BAD_NOT_CONNECTED;
        // Points of a poll group are told of by their polls.
        let points = self.points.all().into_iter().filter(|point| point.info.group.is_none());
        let bad = points.map(|point| Reading { point: point.id, time, status, value: None }).collect();
        self.append(bad).await;
    }
}

/// Where to cut frames so that no call brings more than [`FRAMES_PER_CALL_MAX_BYTES`] of them, unless one alone does.
fn portions(frames: &[Frame]) -> Vec<(usize, usize)> {
    let (mut portions, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (index, frame) in frames.iter().enumerate() {
        if index > start && bytes + frame.payload.len() > FRAMES_PER_CALL_MAX_BYTES {
            portions.push((start, index));
            (start, bytes) = (index, 0);
        }
        bytes += frame.payload.len();
    }
    portions.push((start, frames.len()));
    portions
}

/// A frame as its dead letter holds it.
fn lost_frame(role: &str, frame: &Frame) -> LostFrame {
    let kept = frame.payload.len().min(LETTER_PAYLOAD_MAX_BYTES);
    LostFrame {
        transport: role.to_owned(),
        topic: frame.topic.clone(),
        payload: frame.payload[..kept].to_vec(),
        payload_bytes: frame.payload.len() as u64,
        received: Timestamp(frame.received),
        retained: frame.retained,
        properties: frame.properties.clone(),
    }
}

/// A transport that frames come from is down.
pub(super) struct Silence {
    /// When the next Bad readings are due, on the monotonic clock.
    next_ns: u64,
}

/// What to do with frames after a failed call.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Nothing speaks against these frames: try again when the wait is over.
    Later,
    /// Try once more.
    Again,
    /// It is about one of these frames.
    Divide,
}

fn verdict(error: &CallError, failures: u32) -> Verdict {
    match error {
        CallError::Fault(fault) if fault.remedy == Remedy::Reject => Verdict::Divide,
        CallError::Trapped { .. } | CallError::TimedOut { .. } if failures >= FRAME_TRIES => Verdict::Divide,
        CallError::Trapped { .. } | CallError::TimedOut { .. } => Verdict::Again,
        _ => Verdict::Later,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_sandbox::capability::Fault;

    #[test]
    fn a_long_frame_is_cut_and_its_length_kept() {
        let frame = |bytes: usize| Frame {
            kind: FrameKind::Data,
            topic: "t".into(),
            payload: vec![7; bytes],
            received: 5,
            retained: true,
            properties: vec![("a".into(), "b".into())],
        };
        let kept = lost_frame("broker", &frame(LETTER_PAYLOAD_MAX_BYTES));
        assert_eq!(kept.payload.len() as u64, kept.payload_bytes);
        let cut = lost_frame("broker", &frame(LETTER_PAYLOAD_MAX_BYTES + 1));
        assert_eq!((cut.payload.len(), cut.payload_bytes), (LETTER_PAYLOAD_MAX_BYTES, 65_537));
        assert_eq!(
            (cut.transport.as_str(), cut.received, cut.retained, cut.properties.len()),
            ("broker", Timestamp(5), true, 1)
        );
    }

    #[test]
    fn many_bytes_of_frames_come_in_several_calls() {
        let frame = |bytes: usize| Frame {
            kind: FrameKind::Data,
            topic: String::new(),
            payload: vec![0; bytes],
            received: 0,
            retained: false,
            properties: Vec::new(),
        };
        let half = FRAMES_PER_CALL_MAX_BYTES / 2;
        assert_eq!(portions(&[frame(half), frame(half), frame(1)]), [(0, 2), (2, 3)]);
        assert_eq!(portions(&[frame(3 * half), frame(1)]), [(0, 1), (1, 2)]);
        assert_eq!(portions(&vec![frame(100); 1024]), [(0, 1024)]);
    }

    #[test]
    fn only_crashes_and_rejections_are_blamed_on_a_frame() {
        let fault = |remedy| CallError::Fault(Fault::new(remedy, "code", "message"));
        let trap = CallError::Trapped { message: String::new(), rebuild_in: Duration::ZERO };
        assert_eq!(verdict(&fault(Remedy::Reject), 1), Verdict::Divide);
        for remedy in [Remedy::Retry, Remedy::Reconnect, Remedy::Reconfigure] {
            assert_eq!(verdict(&fault(remedy), 9), Verdict::Later);
        }
        assert_eq!((verdict(&trap, 1), verdict(&trap, 2)), (Verdict::Again, Verdict::Divide));
        assert_eq!(verdict(&CallError::CannotStart(String::new()), 9), Verdict::Later);
    }
}
