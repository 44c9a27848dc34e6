//! A line of a scale or a GPS receiver: whatever it holds, the adapter returns readings or a fault.
#![no_main]

use bulkhead_sdk::prelude::*;
use bulkhead_sdk::testing::{self, Host};
use libfuzzer_sys::fuzz_target;
use serial_text::SerialText;

fuzz_target!(|line: &[u8]| {
    let _host = Host::install();
    for nmea in [false, true] {
        let settings = serde_json::json!({ "nmea": nmea, "patterns": [
            { "regex": "^(?<flag>ST|US),GS,(?<weight>[-+ 0-9.]+)kg$", "points": [{ "name": "weight", "unit": "kg" }] },
            { "regex": "^GPGGA,(?<latitude>[^,]*,[NS]?)", "points": [{ "name": "latitude", "type": "nmea-angle" }] },
        ] });
        let mut adapter = testing::start::<SerialText>(settings).unwrap_or_else(|fault| panic!("{}", fault.message));
        // A fault is as good an answer as readings.
        _ = adapter.receive("device", &[Frame { received: 1, ..Frame::message("", line) }]);
    }
});
