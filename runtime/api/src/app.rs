//! What all requests share.

use crate::access::door::Door;
use crate::audit::{AuditLog, Recorder};
use crate::idempotency::Remembered;
use crate::import::Underway;
use crate::limits::{REQUESTS_MAX, STREAMS_MAX, TAPS_MAX};
use crate::odata::Face;
use crate::operations::Operations;
use crate::problem::{Problem, task_failed};
use crate::request_id::Requests;
use crate::unproved::UnprovedPlaces;
use bulkhead_engine::Engine;
use bulkhead_log::Log;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// What all requests share.
pub(crate) struct App {
    pub(crate) engine: Engine,
    pub(crate) door: Door,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) audit_log: AuditLog,
    /// Keys of writes and webhooks, with their answers.
    pub(crate) remembered: Remembered,
    /// Names requests.
    pub(crate) ids: Requests,
    /// One permit a request that is worked on.
    pub(crate) requests: Arc<Semaphore>,
    /// Places for requests that nobody has proved to have sent.
    pub(crate) unproved: UnprovedPlaces,
    /// Imports under way.
    pub(crate) imports: Underway,
    /// One permit an event stream.
    pub(crate) streams: Arc<Semaphore>,
    /// One permit a tap.
    pub(crate) taps: Arc<Semaphore>,
    /// One permit: whoever has the files of the adapters looked at.
    pub(crate) adapters: Arc<Semaphore>,
    /// Event streams and taps end with it.
    pub(crate) shutdown: CancellationToken,
    pub(crate) odata: Face,
    pub(crate) operations: Operations,
}

/// The shared state as handlers take it.
pub(crate) type Shared = axum::extract::State<Arc<App>>;

impl App {
    pub(crate) fn new(
        engine: Engine,
        (door, ids): (Door, Requests),
        (recorder, audit_log): (Arc<Recorder>, AuditLog),
        shutdown: CancellationToken,
        operations: Operations,
    ) -> Self {
        let (requests, streams) = (Arc::new(Semaphore::new(REQUESTS_MAX)), Arc::new(Semaphore::new(STREAMS_MAX)));
        let (taps, remembered) = (Arc::new(Semaphore::new(TAPS_MAX)), Remembered::default());
        let adapters = Arc::new(Semaphore::new(1));
        Self {
            engine,
            door,
            recorder,
            audit_log,
            remembered,
            ids,
            requests,
            unproved: UnprovedPlaces::default(),
            imports: Underway::default(),
            streams,
            taps,
            adapters,
            shutdown,
            odata: Face::default(),
            operations,
        }
    }

    /// Does what may wait for the disk, off the async threads.
    pub(crate) async fn with_log<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Log) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let log = self.engine.log().clone();
        tokio::task::spawn_blocking(move || work(&log)).await.map_err(|error| task_failed(&error))?
    }
}
