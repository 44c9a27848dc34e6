//! What a simulated device has done, as seen from the device.

use super::pdu::Done;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};
use tokio::sync::Notify;

/// What a device has done since it was first started.
#[derive(Debug, Default)]
pub struct Counters {
    requests: AtomicU64,
    registers_read: AtomicU64,
    registers_written: AtomicU64,
    exceptions: AtomicU64,
    connections: AtomicU64,
    open: AtomicU64,
    bad_frames: AtomicU64,
    changed: Notify,
}

impl Counters {
    /// Requests received, those that met a fault included.
    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// Registers and bits read.
    pub fn registers_read(&self) -> u64 {
        self.registers_read.load(Relaxed)
    }

    /// Registers and coils written.
    pub fn registers_written(&self) -> u64 {
        self.registers_written.load(Relaxed)
    }

    /// Requests refused with an exception.
    pub fn exceptions(&self) -> u64 {
        self.exceptions.load(Relaxed)
    }

    /// Connections accepted.
    pub fn connections(&self) -> u64 {
        self.connections.load(Relaxed)
    }

    /// Connections open now.
    pub fn open_connections(&self) -> u64 {
        self.open.load(Relaxed)
    }

    /// Frames that were no Modbus, or failed their checksum.
    pub fn bad_frames(&self) -> u64 {
        self.bad_frames.load(Relaxed)
    }

    /// Waits until the counters satisfy a predicate, such as `|c| c.requests() >= 10`.
    pub async fn wait_until(&self, satisfied: impl Fn(&Counters) -> bool) {
        loop {
            let changed = self.changed.notified();
            if satisfied(self) {
                return;
            }
            changed.await;
        }
    }

    pub(crate) fn record(&self, done: Done) {
        match done {
            Done::Read(count) => self.registers_read.fetch_add(u64::from(count), Relaxed),
            Done::Wrote(count) => self.registers_written.fetch_add(u64::from(count), Relaxed),
            Done::Refused(_) => self.exceptions.fetch_add(1, Relaxed),
        };
    }

    pub(crate) fn count_request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_bad_frame(&self) {
        self.bad_frames.fetch_add(1, Relaxed);
        self.notify();
    }

    pub(crate) fn notify(&self) {
        self.changed.notify_waiters();
    }
}

/// Counts a connection as open for as long as it lives.
#[derive(Debug)]
pub(crate) struct OpenConnection(Arc<Counters>);

impl OpenConnection {
    pub(crate) fn new(counters: Arc<Counters>) -> Self {
        counters.connections.fetch_add(1, Relaxed);
        counters.open.fetch_add(1, Relaxed);
        counters.notify();
        Self(counters)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
        self.0.notify();
    }
}
