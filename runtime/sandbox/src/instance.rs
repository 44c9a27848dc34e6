//! One live instance of an adapter: a store, its exported functions, and the deadline on its computing.

use crate::adapter::Adapter;
use crate::bindings::exports::bulkhead::adapter as exports;
use crate::capability::Capabilities;
use crate::exports::{AdapterExport, PollerExport};
use crate::host::{HostState, Paces};
use crate::limits::{HANDLES_MAX, Limits};
use crate::meter::Meter;
use crate::points::PointTable;
use parking_lot::Mutex;
use std::sync::Arc;
use wasmtime::{Store, UpdateDeadline};

/// A live instance. After a trap or a dropped call it must not be used again.
pub(crate) struct Instance {
    pub(crate) store: Store<HostState>,
    pub(crate) adapter: AdapterExport,
    pub(crate) poller: Option<PollerExport>,
    pub(crate) listener: Option<exports::listener::Guest>,
    pub(crate) writer: Option<exports::writer::Guest>,
    pub(crate) sink: Option<exports::sink::Guest>,
    pub(crate) responder: Option<exports::responder::Guest>,
}

impl Instance {
    /// Makes an instance; its `start` is not called yet. Functions that run while it is made count as a call of their own.
    ///
    /// # Errors
    /// As wasmtime tells them: a trap, a deadline, or memory beyond the limit.
    pub(crate) async fn new(
        adapter: &Adapter,
        capabilities: Capabilities,
        points: Arc<PointTable>,
        limits: &Limits,
        paces: Arc<Mutex<Paces>>,
    ) -> wasmtime::Result<Self> {
        let state = HostState::new(capabilities, points, limits, paces);
        let meter = state.meter.clone();
        let mut store = Store::new(adapter.pre.engine(), state);
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(limits.transfer_max_bytes);
        store.set_max_component_handles(HANDLES_MAX);
        store.set_epoch_deadline(1);
        // A tick that comes while the guest waits for the host is seen when it goes on: what has been spent decides.
        store.epoch_deadline_callback(|context| {
            let state = context.data();
            match state.meter.spent() >= state.compute_max {
                true => Ok(UpdateDeadline::Interrupt),
                false => Ok(UpdateDeadline::Yield(1)),
            }
        });
        let instance = meter.count(adapter.pre.instantiate_async(&mut store)).await?;
        let indices = &adapter.indices;
        macro_rules! role {
            ($role:ident) => {
                match &indices.$role {
                    Some(indices) => Some(indices.load(&mut store, &instance)?),
                    None => None,
                }
            };
        }
        Ok(Self {
            adapter: indices.adapter.load(&mut store, &instance)?,
            poller: role!(poller),
            listener: role!(listener),
            writer: role!(writer),
            sink: role!(sink),
            responder: role!(responder),
            store,
        })
    }

    /// Makes ready for one call: a full budget of computing, no request sent yet.
    pub(crate) fn begin_call(&mut self) {
        let state = self.store.data_mut();
        state.meter.reset();
        state.first_request = None;
        state.last_words = None;
        self.store.set_epoch_deadline(1);
    }

    /// What tells how long it computes.
    pub(crate) fn meter(&self) -> Arc<Meter> {
        self.store.data().meter.clone()
    }
}
