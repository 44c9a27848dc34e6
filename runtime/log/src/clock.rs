//! The one place where the log looks at a clock: the wall clock for commit times (ages of segments), the monotonic one
//! for waiting times.

use bulkhead_model::Timestamp;
use std::time::{Instant, SystemTime};

/// The wall clock; it can jump, and only ages of whole segments hang on it.
#[allow(clippy::disallowed_methods, reason = "this is the clock")]
pub(crate) fn now() -> Timestamp {
    Timestamp::from_system_time(SystemTime::now())
}

/// A clock that never goes back.
#[allow(clippy::disallowed_methods, reason = "this is the clock")]
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}
