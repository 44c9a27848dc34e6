//! MQTT messages: whatever they hold, the adapter returns readings or a fault, and the readings of a message are those of an adapter
//! that has seen no other. A line end parts one message from the next.
#![no_main]

use bulkhead_sdk::prelude::*;
use bulkhead_sdk::testing::{self, Host};
use libfuzzer_sys::fuzz_target;
use mqtt_json::MqttJson;

fn adapter() -> MqttJson {
    let settings = serde_json::json!({ "topics": [
        { "filter": "listed", "time": { "path": "t", "format": "rfc3339", "optional": true },
          "points": [{ "path": "a.b[0]", "type": "integer" }, { "path": "c", "unit": "bar" },
                     { "path": "d", "type": "text", "optional": true }] },
        { "filter": "found" },
        { "filter": "array", "each": "$.m[*]", "name_path": "n", "value_path": "v" },
    ] });
    testing::start::<MqttJson>(settings).unwrap_or_else(|fault| panic!("{}", fault.message)).adapter
}

fn receive(adapter: &mut MqttJson, topic: &str, payload: &[u8]) -> Vec<Reading> {
    // A fault is as good an answer as readings.
    adapter.receive("broker", &[Frame { received: 1, ..Frame::message(topic, payload) }]).unwrap_or_default()
}

fuzz_target!(|data: &[u8]| {
    let _host = Host::install();
    let mut experienced = adapter();
    for payload in data.split(|byte| *byte == b'\n').take(8) {
        for topic in ["found", "array", "elsewhere"] {
            receive(&mut experienced, topic, payload);
        }
        let seen = receive(&mut experienced, "listed", payload);
        let alone = receive(&mut adapter(), "listed", payload);
        assert_eq!(format!("{seen:?}"), format!("{alone:?}"));
    }
});
