//! The connection's journal.

use crate::{Fault, Point};

pub use crate::bindings::bulkhead::adapter::log::Level;

/// Longest line the host keeps, in bytes; a longer one is cut here, at a character's end.
pub const LINE_MAX_BYTES: usize = 1024;

/// Writes one line.
pub fn write(level: Level, message: &str) {
    let message = &message[..message.floor_char_boundary(LINE_MAX_BYTES)];
    #[cfg(target_family = "wasm")]
    crate::bindings::bulkhead::adapter::log::write(level, message);
    #[cfg(not(target_family = "wasm"))]
    crate::testing::Host::current().log(level, message);
}

/// Writes a line for the author of the adapter.
pub fn debug(message: &str) {
    write(Level::Debug, message);
}

/// Writes a line worth knowing.
pub fn info(message: &str) {
    write(Level::Info, message);
}

/// Writes a line about something that works, but not as it should.
pub fn warn(message: &str) {
    write(Level::Warn, message);
}

/// Writes a line about something that does not work.
pub fn error(message: &str) {
    write(Level::Error, message);
}

/// Reports a fault that a reading's status cannot explain. The host counts it by code and shows it as the connection's last
/// fault.
pub fn report(point: Option<Point>, fault: &Fault) {
    let point = point.map(Point::number);
    #[cfg(target_family = "wasm")]
    crate::bindings::bulkhead::adapter::log::report(point, fault);
    #[cfg(not(target_family = "wasm"))]
    crate::testing::Host::current().report(point, fault);
}
