//! The adapter on the SDK's front page does what it says.

#![allow(clippy::unwrap_used, reason = "a test that fails is what it is for")]

use bulkhead_sdk::testing::{self, Host};
use bulkhead_sdk::{Status, Value};

#[path = "../examples/thermometer.rs"]
mod thermometer;

#[test]
fn the_thermometer_sends_its_request_and_reads_the_answer() {
    let host = Host::install();
    host.on_exchange(|transport, request| {
        assert_eq!((transport, request), ("device", &b"T?"[..]));
        Ok(b" 61.5\r".to_vec())
    });
    let mut adapter = testing::start::<thermometer::Thermometer>(serde_json::json!({"request": "T?"})).unwrap();
    let readings = adapter.poll("default").unwrap();
    assert_eq!((readings[0].name.as_str(), readings[0].value.clone()), ("flow_temp", Some(Value::Real(61.5))));
    assert_eq!((readings[0].unit.as_deref(), readings[0].status), (Some("°C"), Status::GOOD));

    host.on_exchange(|_, _| Ok(b"ERR 7".to_vec()));
    assert_eq!(adapter.poll("default").unwrap_err().message, "\"ERR 7\" is no number");
}
