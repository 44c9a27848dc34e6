//! How long a message takes on the host: `cargo run --release -p mqtt-json --example speed`. In wasm it is about twice that.
//! Prints nanoseconds a message, the best of several rounds, for payloads of about 100 bytes with two values.

use bulkhead_sdk::prelude::*;
use bulkhead_sdk::testing::{self, Host};
use mqtt_json::MqttJson;
use serde_json::json;
use std::hint::black_box;
use std::time::Instant;

const FRAMES: u32 = 1_000;
const TOPICS: u32 = 100;
const ROUNDS: u32 = 200;

#[allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a measurement that a person starts and reads")]
fn main() {
    for (name, time) in [("unix-ms", "1700000000123"), ("rfc3339", "\"2026-05-04T10:00:00.123Z\"")] {
        let payload =
            format!(r#"{{"ts":{time},"device":"press-17","temp":61.537,"pressure":2.0415,"unit":"bar","n":128441}}"#);
        let listed = json!([{ "path": "temp" }, { "path": "pressure" }]);
        for (kind, points) in [("listed points", listed), ("found points", json!([]))] {
            let settings = json!({ "topics": [{ "filter": "plant/+line/+device/telemetry", "points": points,
                                                "time": { "path": "ts", "format": name } }] });
            let ns = best_round(settings, &payload);
            println!("{name}, {kind}, {} bytes: {ns} ns a message", payload.len());
        }
    }
}

fn best_round(settings: serde_json::Value, payload: &str) -> u128 {
    let _host = Host::install();
    let mut adapter = testing::start::<MqttJson>(settings).unwrap_or_else(|fault| panic!("{}", fault.message)).adapter;
    let topic = |index: u32| format!("plant/line1/device{}/telemetry", index % TOPICS);
    let frames: Vec<Frame> = (0..FRAMES).map(|index| Frame::message(&topic(index), payload)).collect();
    let round = |_| {
        let start = Instant::now();
        black_box(adapter.receive("broker", black_box(&frames))).unwrap_or_else(|fault| panic!("{}", fault.message));
        start.elapsed().as_nanos() / u128::from(FRAMES)
    };
    (0..ROUNDS).map(round).min().unwrap_or_default()
}
