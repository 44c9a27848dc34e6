//! One live instance of an adapter: a store, its exported functions, and the deadline on its computing.

use crate::adapter::Adapter;
use crate::bindings::exports::bulkhead::adapter as exports;
use crate::capability::Capabilities;
use crate::error::CallError;
use crate::host::HostState;
use crate::limits::{EPOCH_TICK, Limits, MESSAGE_MAX_BYTES, cut};
use crate::points::PointTable;
use std::sync::Arc;
use wasmtime::{Store, Trap, UpdateDeadline};

/// A live instance. After a trap or a dropped call it must not be used again.
pub(crate) struct Instance {
    pub(crate) store: Store<HostState>,
    pub(crate) adapter: exports::adapter::Guest,
    pub(crate) poller: Option<exports::poller::Guest>,
    pub(crate) listener: Option<exports::listener::Guest>,
    pub(crate) writer: Option<exports::writer::Guest>,
    pub(crate) sink: Option<exports::sink::Guest>,
    pub(crate) responder: Option<exports::responder::Guest>,
}

impl Instance {
    /// Makes an instance; its `start` is not called yet.
    pub(crate) async fn new(
        adapter: &Adapter,
        capabilities: Capabilities,
        points: Arc<PointTable>,
        limits: &Limits,
    ) -> Result<Self, CallError> {
        let state = HostState::new(capabilities, points, limits);
        let mut store = Store::new(adapter.pre.engine(), state);
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(limits.transfer_max_bytes);
        store.set_epoch_deadline(1);
        // Each callback means one tick of computing: while the guest waits for the host, none comes.
        store.epoch_deadline_callback(|mut context| {
            let state = context.data_mut();
            match state.ticks_left {
                0 => Ok(UpdateDeadline::Interrupt),
                _ => {
                    state.ticks_left -= 1;
                    Ok(UpdateDeadline::Yield(1))
                }
            }
        });
        store.data_mut().ticks_left = ticks(limits);
        let cannot_start = |error: wasmtime::Error| CallError::CannotStart(describe(&error));
        let instance = adapter.pre.instantiate_async(&mut store).await.map_err(cannot_start)?;
        let indices = &adapter.indices;
        macro_rules! role {
            ($role:ident) => {
                match &indices.$role {
                    Some(indices) => Some(indices.load(&mut store, &instance).map_err(|error| {
                        CallError::CannotStart(format!("its role {} has another type: {error:#}", stringify!($role)))
                    })?),
                    None => None,
                }
            };
        }
        Ok(Self {
            adapter: indices.adapter.load(&mut store, &instance).map_err(cannot_start)?,
            poller: role!(poller),
            listener: role!(listener),
            writer: role!(writer),
            sink: role!(sink),
            responder: role!(responder),
            store,
        })
    }

    /// Makes ready for one call: a full budget of computing, no request sent yet.
    pub(crate) fn begin_call(&mut self, limits: &Limits) {
        let state = self.store.data_mut();
        state.ticks_left = ticks(limits);
        state.first_request = None;
        self.store.set_epoch_deadline(1);
    }
}

fn ticks(limits: &Limits) -> u64 {
    u64::try_from(limits.call_timeout.as_millis() / EPOCH_TICK.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// Whether a call ended because it computed too long.
pub(crate) fn is_deadline(error: &wasmtime::Error) -> bool {
    matches!(error.downcast_ref::<Trap>(), Some(Trap::Interrupt))
}

/// A trap in one line: the reason, then the guest's frames.
pub(crate) fn describe(error: &wasmtime::Error) -> String {
    let mut text = format!("{}", error.root_cause());
    if let Some(backtrace) = error.downcast_ref::<wasmtime::WasmBacktrace>() {
        let names: Vec<&str> = backtrace.frames().iter().filter_map(|frame| frame.func_name()).take(8).collect();
        if !names.is_empty() {
            text = format!("{text} in {}", names.join(" < "));
        }
    }
    cut(&mut text, MESSAGE_MAX_BYTES);
    text
}
