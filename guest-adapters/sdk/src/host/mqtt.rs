//! A broker, granted by a transport of kind `mqtt`. Messages from it come through the role `listener`.

use crate::Fault;

pub use crate::bindings::bulkhead::adapter::mqtt::{Message, Qos};

/// Publishes and, above QoS 0, waits until the broker has acknowledged.
///
/// # Errors
/// `not-granted`, `not-connected`, `timeout`.
pub fn publish(transport: &str, message: &Message) -> Result<(), Fault> {
    #[cfg(target_family = "wasm")]
    return crate::bindings::bulkhead::adapter::mqtt::publish(transport, message);
    #[cfg(not(target_family = "wasm"))]
    crate::testing::Host::current().publish(transport, message)
}

/// The last will, in force from the next connect on; set in `start` it holds from the first.
///
/// # Errors
/// `not-granted`.
pub fn set_will(transport: &str, message: &Message) -> Result<(), Fault> {
    #[cfg(target_family = "wasm")]
    return crate::bindings::bulkhead::adapter::mqtt::set_will(transport, message);
    #[cfg(not(target_family = "wasm"))]
    crate::testing::Host::current().set_will(transport, message)
}
