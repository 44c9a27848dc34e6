//! A host for guests whose devices and servers answer at once, so that only the guest and its calls take time.

use crate::place::Place;
use anyhow::{Context, Result};
use async_trait::async_trait;
use bulkhead_engine::SystemClock;
use bulkhead_model::{PointId, PointInfo};
use bulkhead_sandbox::capability::{
    Capabilities, Catalogue, Change, Declared, Fault, Http, Incoming, Journal, Level, Modbus, Outgoing, Remedy, Span,
    Words,
};
use bulkhead_sandbox::tap::Tap;
use bulkhead_sandbox::{CodeKind, Guest, Limits, PointTable, SandboxConfig};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// An adapter in a sandbox with such a host.
pub(crate) fn guest(place: &Place, path: &Path, code: CodeKind, settings: &Value) -> Result<Guest> {
    guest_seen(place, path, code, settings, Tap::default())
}

/// The same with somebody who may look on.
pub(crate) fn guest_seen(place: &Place, path: &Path, code: CodeKind, settings: &Value, tap: Tap) -> Result<Guest> {
    let sandbox = SandboxConfig { cache_dir: Some(place.cache()), code, ..SandboxConfig::default() }.build()?;
    let adapter = sandbox.load("measured", path).with_context(|| format!("{} does not load", path.display()))?;
    let instant = Arc::new(Instantly::default());
    let capabilities = Capabilities {
        catalogue: instant.clone(),
        journal: instant.clone(),
        clock: Arc::new(SystemClock::default()),
        state: None,
        modbus: BTreeMap::from([("device".to_owned(), instant.clone() as Arc<dyn Modbus>)]),
        serial: BTreeMap::new(),
        tcp: BTreeMap::new(),
        mqtt: BTreeMap::new(),
        http: BTreeMap::from([("upstream".to_owned(), instant as Arc<dyn Http>)]),
        tap,
    };
    let points = Arc::new(PointTable::default());
    Ok(Guest::new(adapter, capabilities, points, Limits::default(), settings.to_string().into())?)
}

/// A host whose devices and servers answer at once.
#[derive(Default)]
struct Instantly {
    points: AtomicU32,
}

#[async_trait]
impl Catalogue for Instantly {
    async fn declare(&self, points: Vec<PointInfo>) -> Result<Vec<Declared>, Fault> {
        let number = || PointId(self.points.fetch_add(1, Ordering::Relaxed));
        Ok(points.into_iter().map(|info| Declared { id: number(), info: info.into() }).collect())
    }
}

impl Journal for Instantly {
    fn write(&self, _: Level, _: &str) {}
    fn report(&self, _: Option<&str>, _: &Fault) {}
}

#[async_trait]
impl Modbus for Instantly {
    async fn read(&self, spans: Vec<Span>) -> Result<Words, Fault> {
        let words = spans.iter().map(|span| usize::from(span.count)).sum();
        Ok(Words { words: vec![7; words], faults: Vec::new() })
    }

    async fn write(&self, changes: Vec<Change>) -> Vec<Result<(), Fault>> {
        let refused = || Err(Fault::new(Remedy::Reject, "read-only", "this device only reads"));
        changes.iter().map(|_| refused()).collect()
    }
}

#[async_trait]
impl Http for Instantly {
    async fn request(&self, _: Outgoing) -> Result<Incoming, Fault> {
        Ok(Incoming { status: 200, headers: Vec::new(), body: Vec::new() })
    }
}
