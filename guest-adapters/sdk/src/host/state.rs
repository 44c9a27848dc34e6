//! A small durable memory of the connection: at most 256 keys of 1 to 255 bytes, 64 KiB in all.

use crate::Fault;

#[cfg(target_family = "wasm")]
use crate::bindings::bulkhead::adapter::state as import;

/// The value under a key; none where there is none.
///
/// # Errors
/// A fault of the host's storage.
pub fn get(key: &str) -> Result<Option<Vec<u8>>, Fault> {
    #[cfg(target_family = "wasm")]
    return import::get(key);
    #[cfg(not(target_family = "wasm"))]
    Ok(crate::testing::Host::current().state_get(key))
}

/// Stores a value, durable when it returns.
///
/// # Errors
/// `state-full`.
pub fn set(key: &str, value: &[u8]) -> Result<(), Fault> {
    #[cfg(target_family = "wasm")]
    return import::set(key, value);
    #[cfg(not(target_family = "wasm"))]
    crate::testing::Host::current().state_set(key, value)
}

/// Removes a key; nothing happens where there is none.
///
/// # Errors
/// A fault of the host's storage.
pub fn remove(key: &str) -> Result<(), Fault> {
    #[cfg(target_family = "wasm")]
    return import::remove(key);
    #[cfg(not(target_family = "wasm"))]
    {
        crate::testing::Host::current().state_remove(key);
        Ok(())
    }
}
