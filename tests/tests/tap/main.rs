//! Looking on at connections of a running gateway: what `bulkhead tap` shows, covers and bounds, and the fixtures it records.

mod live;
mod plants;
mod record;
mod shown;
