//! Time.

#[cfg(target_family = "wasm")]
use crate::bindings::bulkhead::adapter::clock as import;

/// The host's wall clock, nanoseconds since the Unix epoch; it can jump.
#[must_use]
pub fn now() -> i64 {
    #[cfg(target_family = "wasm")]
    return import::now();
    #[cfg(not(target_family = "wasm"))]
    crate::testing::Host::current().now()
}

/// Nanoseconds of a clock that never goes back; its zero means nothing.
#[must_use]
pub fn monotonic() -> u64 {
    #[cfg(target_family = "wasm")]
    return import::monotonic();
    #[cfg(not(target_family = "wasm"))]
    crate::testing::Host::current().monotonic()
}

/// Has the listener called with a frame of kind `Timer` whose topic is `name` after this many milliseconds (10 to
/// 86,400,000). At most 16 timers run at a time; a further one is refused with false.
pub fn set_timer(name: &str, after_ms: u32) -> bool {
    #[cfg(target_family = "wasm")]
    return import::set_timer(name, after_ms);
    #[cfg(not(target_family = "wasm"))]
    crate::testing::Host::current().set_timer(name, after_ms)
}
