//! Bulkhead adapter: lines of text from serial devices as readings. What it can do, with a complete config, is in README.md.
//!
//! Regular expressions are those of regex-lite: it adds 77 KB to a component where regex adds 1.2 MB, it is linear in the
//! length of a line too, and lines are short, so that regex's faster search would not be noticed.

mod adapter;
mod field;
mod lines;
mod nmea;
mod pattern;
mod request;
pub mod settings;

pub use adapter::SerialText;
