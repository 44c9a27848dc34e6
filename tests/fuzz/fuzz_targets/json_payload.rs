//! An MQTT message: whatever it holds, the adapter returns readings or a fault.
#![no_main]

use bulkhead_sdk::prelude::*;
use bulkhead_sdk::testing::{self, Host};
use libfuzzer_sys::fuzz_target;
use mqtt_json::MqttJson;

fuzz_target!(|payload: &[u8]| {
    let _host = Host::install();
    let settings = serde_json::json!({ "topics": [
        { "filter": "listed", "time": { "path": "t", "format": "rfc3339", "optional": true },
          "points": [{ "path": "a.b[0]", "type": "integer" }, { "path": "c", "unit": "bar" }] },
        { "filter": "found" },
        { "filter": "array", "each": "$.m[*]", "name_path": "n", "value_path": "v" },
    ] });
    let mut adapter = testing::start::<MqttJson>(settings).unwrap_or_else(|fault| panic!("{}", fault.message));
    for topic in ["listed", "found", "array", "elsewhere"] {
        // A fault is as good an answer as readings.
        _ = adapter.receive("broker", &[Frame { received: 1, ..Frame::message(topic, payload) }]);
    }
});
