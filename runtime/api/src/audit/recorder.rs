//! Takes what the gate has seen to the audit log: off the async threads, in batches, and so that a flood of refusals fills
//! neither memory nor disk: of these only some are recorded, the others are counted.

use super::{AuditLog, AuditRecord, AuditResult};
use crate::access::door::Arrival;
use crate::access::rate::{Rates, address_of};
use crate::problem::chain;
use axum::http::StatusCode;
use serde_json::Value as Json;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Records that wait for the disk; a change waits for room, a refusal is counted instead.
pub(crate) const WAITING_MAX: usize = 512;
/// Records written together.
const BATCH_MAX: usize = 64;
/// Refusals recorded a second of one address, and of all; twice as many at once.
pub(crate) const REFUSALS_PER_S: u32 = 2;
/// The same for all addresses together.
pub(crate) const REFUSALS_OF_ALL_PER_S: u32 = 20;
/// Longest text of a record that came from outside.
const TEXT_MAX_CHARS: usize = 256;

/// More about a change, which a handler puts into the extensions of its answer.
#[derive(Clone, Debug)]
pub(crate) struct Note(pub(crate) Json);

/// A request that was answered.
pub(crate) struct Happened<'h> {
    pub(crate) time_ns: i64,
    pub(crate) monotonic_ns: u64,
    pub(crate) arrival: Option<&'h Arrival>,
    /// The name that a stranger gave, where somebody has it.
    pub(crate) known_name: Option<String>,
    pub(crate) from: IpAddr,
    pub(crate) what: String,
    /// The id of the request.
    pub(crate) request: Option<String>,
    pub(crate) status: StatusCode,
    pub(crate) code: Option<&'static str>,
    pub(crate) detail: Option<Json>,
}

/// Where records go.
pub(crate) struct Recorder {
    queue: mpsc::Sender<AuditRecord>,
    rates: Rates,
    left_out: AtomicU64,
}

/// What a status says about how a deed ended.
pub(crate) fn result_of(status: StatusCode) -> AuditResult {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => AuditResult::Refused,
        status if status.is_success() || status.is_redirection() => AuditResult::Done,
        _ => AuditResult::Failed,
    }
}

impl Recorder {
    /// A recorder to a log, and the task that writes; it ends when the recorder is gone and all is written.
    pub(crate) fn start(log: AuditLog) -> (Self, JoinHandle<()>) {
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        let writing = tokio::spawn(write(log, waiting));
        (Self { queue, rates: Rates::default(), left_out: AtomicU64::new(0) }, writing)
    }

    /// Records what happened.
    pub(crate) async fn record(&self, happened: Happened<'_>) {
        let result = result_of(happened.status);
        let identity = happened.arrival.map(|arrival| &arrival.identity);
        let mut record = AuditRecord {
            id: 0,
            time_ns: happened.time_ns,
            who: identity.map(|identity| identity.name.to_string()).or(happened.known_name),
            proof: identity.map(|identity| identity.proof.name().to_owned()),
            role: identity.map(|identity| identity.role.name().to_owned()),
            from: happened.from.to_canonical().to_string(),
            what: happened.what.chars().take(TEXT_MAX_CHARS).collect(),
            result,
            request: happened.request,
            status: Some(happened.status.as_u16()),
            code: happened.code.map(str::to_owned),
            detail: happened.detail,
            left_out: 0,
        };
        // What nobody has proved to have sent is rationed like a refusal: it must not push the records of others out.
        if result != AuditResult::Refused && happened.arrival.is_some() {
            record.left_out = self.left_out.swap(0, Ordering::Relaxed);
            // The writer's task is there for as long as the server runs.
            _ = self.queue.send(record).await;
            return;
        }
        let now_ns = happened.monotonic_ns;
        let may = self.rates.take(&address_of(happened.from), now_ns, REFUSALS_PER_S).is_ok()
            && self.rates.take("all", now_ns, REFUSALS_OF_ALL_PER_S).is_ok();
        let place = self.queue.try_reserve().ok().filter(|_| may);
        match place {
            Some(place) => {
                record.left_out = self.left_out.swap(0, Ordering::Relaxed);
                place.send(record);
            }
            None => _ = self.left_out.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Records something that the gateway itself did, from where nobody waits.
    pub(crate) fn note(&self, record: AuditRecord) {
        if self.queue.try_send(record).is_err() {
            tracing::warn!("a change of the config could not be recorded in the audit log: it has no room");
        }
    }
}

async fn write(log: AuditLog, mut waiting: mpsc::Receiver<AuditRecord>) {
    loop {
        let mut batch = Vec::new();
        if waiting.recv_many(&mut batch, BATCH_MAX).await == 0 {
            return;
        }
        let (log, count) = (log.clone(), batch.len());
        match tokio::task::spawn_blocking(move || log.append(batch)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(records = count, "records are missing from it: {}", chain(&error)),
            Err(error) => tracing::error!(records = count, "records are missing from the audit log: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::identity::{Identity, Proof};
    use bulkhead_config::ApiRole;

    fn happened(status: u16, arrival: Option<&Arrival>) -> Happened<'_> {
        Happened {
            time_ns: 1,
            monotonic_ns: 1,
            arrival,
            known_name: None,
            from: "192.0.2.1".parse().unwrap(),
            what: "POST /api/v1/users".into(),
            request: Some("5f0c9a1b-42".into()),
            status: StatusCode::from_u16(status).unwrap(),
            code: None,
            detail: None,
        }
    }

    #[tokio::test]
    async fn every_change_is_recorded_and_of_a_flood_of_refusals_some_with_the_count_of_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let log = AuditLog::in_folder(dir.path());
        let (recorder, writing) = Recorder::start(log.clone());
        let anna: Arrival = Identity::new(Proof::Password, "anna", ApiRole::Admin).into();
        for _ in 0..1_000 {
            recorder.record(happened(401, None)).await;
        }
        for _ in 0..2 * WAITING_MAX {
            recorder.record(happened(200, Some(&anna))).await;
        }
        drop(recorder);
        writing.await.unwrap();
        let all = log.read(0, 0, usize::MAX).unwrap();
        let (done, refused): (Vec<_>, Vec<_>) = all.into_iter().partition(|record| record.result == AuditResult::Done);
        assert_eq!((done.len(), done[0].who.as_deref()), (2 * WAITING_MAX, Some("anna")));
        assert!((1..=2 * REFUSALS_PER_S as usize).contains(&refused.len()), "{}", refused.len());
        let counted: u64 = done.iter().chain(&refused).map(|record| record.left_out).sum();
        assert_eq!(counted + refused.len() as u64, 1_000);
    }
}
