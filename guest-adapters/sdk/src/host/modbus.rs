//! A Modbus device, granted by a transport of kind `modbus-tcp` or `modbus-rtu`.

use crate::Fault;

pub use crate::bindings::bulkhead::adapter::modbus::{Change, Span, SpanFault, Table, Words};

/// Reads spans: neighbouring registers or bits that belong together. The host merges neighbours into few requests and
/// never splits a span. Faults of single spans are in the answer.
///
/// # Errors
/// A fault for the whole call: no transport of that role, or the device is not connected.
pub fn read(transport: &str, spans: &[Span]) -> Result<Words, Fault> {
    #[cfg(target_family = "wasm")]
    return crate::bindings::bulkhead::adapter::modbus::read(transport, spans);
    #[cfg(not(target_family = "wasm"))]
    crate::testing::Host::current().modbus_read(transport, spans)
}

/// Writes, in order, one request each; one result each. Outside the granted ranges: `not-granted`.
#[must_use]
pub fn write(transport: &str, changes: &[Change]) -> Vec<Result<(), Fault>> {
    #[cfg(target_family = "wasm")]
    return crate::bindings::bulkhead::adapter::modbus::write(transport, changes);
    #[cfg(not(target_family = "wasm"))]
    crate::testing::Host::current().modbus_write(transport, changes)
}
