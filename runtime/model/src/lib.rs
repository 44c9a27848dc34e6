//! The words of Bulkhead as types: values, points, readings, statuses, and the settings of transports.
//!
//! Pure values: no clock, no I/O, no knowledge of who stores or carries them. Everything else in the workspace may
//! import this crate; it imports none of ours.

#![forbid(unsafe_code)]

mod plain_text;
mod point;
mod reading;
mod secret;
mod status;
mod time;
pub mod transport;
mod value;

pub use plain_text::{SCRUBBED, escaped_json, is_deceiving, printable, printable_lines, scrubbed};
pub use point::{Kind, PointId, PointInfo, WriteLimits};
pub use reading::{Reading, Seq};
pub use secret::Secret;
pub use status::Status;
pub use time::Timestamp;
pub use value::{File, Value, ValueError};
