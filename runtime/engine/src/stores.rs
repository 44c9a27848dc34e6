//! The log's catalogue and its small durable memory as capabilities of one connection, and stand-ins in memory for
//! probes, which store nothing.

use crate::blocking::off_thread;
use async_trait::async_trait;
use bulkhead_log::{ADAPTER_STATE_MAX_BYTES, ADAPTER_STATE_MAX_KEYS, Log, LogError};
use bulkhead_model::{PointId, PointInfo};
use bulkhead_sandbox::capability::{Catalogue, Declared, Fault, Remedy, State};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Declares points in the log.
pub(crate) struct LogCatalogue {
    pub(crate) log: Log,
    pub(crate) connection: String,
}

/// Runs a call of the log where it may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, LogError> + Send + 'static) -> Result<T, Fault> {
    match off_thread(work).await {
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) => Err(log_fault(&error)),
        None => Err(Fault::new(Remedy::Retry, "log", "the log's thread has ended")),
    }
}

fn log_fault(error: &LogError) -> Fault {
    let (remedy, code) = match error {
        LogError::StateFull { .. } => (Remedy::Reject, "state-full"),
        // The log counts those of earlier adapters of the connection, too.
        LogError::TooManyPoints { .. } => (Remedy::Reject, "too-many-points"),
        _ => (Remedy::Retry, "log"),
    };
    Fault::new(remedy, code, error.to_string())
}

#[async_trait]
impl Catalogue for LogCatalogue {
    async fn declare(&self, points: Vec<PointInfo>) -> Result<Vec<Declared>, Fault> {
        let (log, connection) = (self.log.clone(), self.connection.clone());
        blocking(move || {
            let ids = log.declare(&connection, &points)?;
            let known = log.catalogue();
            let point = |id| known.by_id(id).ok_or(LogError::UnknownPoint { point: id });
            ids.into_iter().map(|id| Ok(Declared { id, info: Arc::clone(&point(id)?.info) })).collect()
        })
        .await
    }
}

/// A connection's part of the log's small durable memory.
pub(crate) struct LogState {
    pub(crate) log: Log,
    pub(crate) connection: String,
    /// Most bytes of its keys and values.
    pub(crate) max_bytes: usize,
}

#[async_trait]
impl State for LogState {
    async fn get(&self, key: String) -> Result<Option<Vec<u8>>, Fault> {
        let (log, connection) = (self.log.clone(), self.connection.clone());
        blocking(move || log.state_get(&connection, &key)).await
    }

    async fn set(&self, key: String, value: Vec<u8>) -> Result<(), Fault> {
        let (log, connection) = (self.log.clone(), self.connection.clone());
        let max_bytes = self.max_bytes;
        blocking(move || log.state_set_within(&connection, &key, &value, max_bytes)).await
    }

    async fn remove(&self, key: String) -> Result<(), Fault> {
        let (log, connection) = (self.log.clone(), self.connection.clone());
        blocking(move || log.state_remove(&connection, &key)).await
    }
}

/// Numbers points from 0 and forgets them with the process.
#[derive(Default)]
pub(crate) struct MemoryCatalogue {
    points: Mutex<Vec<Arc<PointInfo>>>,
}

#[async_trait]
impl Catalogue for MemoryCatalogue {
    async fn declare(&self, declared: Vec<PointInfo>) -> Result<Vec<Declared>, Fault> {
        let mut points = self.points.lock();
        let number = |info: PointInfo| {
            let info = Arc::new(info);
            let known = points.iter().position(|point| point.name == info.name && point.kind == info.kind);
            let index = known.unwrap_or_else(|| {
                points.push(Arc::clone(&info));
                points.len() - 1
            });
            Declared { id: PointId(u32::try_from(index).expect("bounded by the sandbox")), info }
        };
        Ok(declared.into_iter().map(number).collect())
    }
}

/// Remembers until the process ends.
#[derive(Default)]
pub(crate) struct MemoryState {
    values: Mutex<BTreeMap<String, Vec<u8>>>,
}

#[async_trait]
impl State for MemoryState {
    async fn get(&self, key: String) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.values.lock().get(&key).cloned())
    }

    async fn set(&self, key: String, value: Vec<u8>) -> Result<(), Fault> {
        let mut values = self.values.lock();
        let others = values.iter().filter(|(other, _)| **other != key);
        let bytes = key.len() + value.len() + others.map(|(key, value)| key.len() + value.len()).sum::<usize>();
        if bytes > ADAPTER_STATE_MAX_BYTES || values.len() >= ADAPTER_STATE_MAX_KEYS && !values.contains_key(&key) {
            let what = format!("more than {ADAPTER_STATE_MAX_KEYS} keys or {ADAPTER_STATE_MAX_BYTES} bytes");
            return Err(Fault::new(Remedy::Reject, "state-full", what));
        }
        values.insert(key, value);
        Ok(())
    }

    async fn remove(&self, key: String) -> Result<(), Fault> {
        self.values.lock().remove(&key);
        Ok(())
    }
}
