//! A TCP byte stream, granted by a transport of kind `tcp`.

use crate::{Fault, Framing};

/// Sends `request` (it may be empty: only listen) and reads one frame. None: the transport's framing and timeout.
///
/// # Errors
/// A fault such as `timeout` or `not-connected`.
pub fn exchange(
    transport: &str,
    request: &[u8],
    framing: Option<&Framing>,
    timeout_ms: Option<u32>,
) -> Result<Vec<u8>, Fault> {
    #[cfg(target_family = "wasm")]
    return crate::bindings::bulkhead::adapter::tcp::exchange(transport, request, framing, timeout_ms);
    #[cfg(not(target_family = "wasm"))]
    {
        let _ = (framing, timeout_ms);
        crate::testing::Host::current().exchange(transport, request)
    }
}

/// Sends without waiting for an answer.
///
/// # Errors
/// A fault such as `not-connected`.
pub fn send(transport: &str, data: &[u8]) -> Result<(), Fault> {
    #[cfg(target_family = "wasm")]
    return crate::bindings::bulkhead::adapter::tcp::send(transport, data);
    #[cfg(not(target_family = "wasm"))]
    crate::testing::Host::current().send(transport, data)
}
