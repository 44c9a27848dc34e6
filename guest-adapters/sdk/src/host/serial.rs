//! A byte line: a transport of kind `serial`, or of kind `tcp` (a serial device server).

use crate::{Fault, Framing};

pub use crate::bindings::bulkhead::adapter::serial::{LineSettings, Parity};

/// Sends `request` (it may be empty: only listen) and reads one frame. None: the transport's framing, timeout and line settings. Nobody else uses the line meanwhile.
///
/// # Errors
/// A fault such as `timeout` or `not-connected`.
pub fn exchange(
    transport: &str,
    request: &[u8],
    framing: Option<&Framing>,
    timeout_ms: Option<u32>,
    line: Option<LineSettings>,
) -> Result<Vec<u8>, Fault> {
    #[cfg(target_family = "wasm")]
    return crate::bindings::bulkhead::adapter::serial::exchange(transport, request, framing, timeout_ms, line);
    #[cfg(not(target_family = "wasm"))]
    {
        let _ = (framing, timeout_ms, line);
        crate::testing::Host::current().exchange(transport, request)
    }
}

/// Sends without waiting for an answer.
///
/// # Errors
/// A fault such as `not-connected`.
pub fn send(transport: &str, data: &[u8]) -> Result<(), Fault> {
    #[cfg(target_family = "wasm")]
    return crate::bindings::bulkhead::adapter::serial::send(transport, data);
    #[cfg(not(target_family = "wasm"))]
    crate::testing::Host::current().send(transport, data)
}
