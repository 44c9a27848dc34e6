//! Messages as a broker sends them, read by `mqtt-json`.

use bulkhead_sdk::prelude::*;
use mqtt_json::MqttJson;

/// Messages of one call: about what a burst brings.
const MESSAGES: usize = 64;
/// Values of a message.
const VALUES: usize = 5;
/// Topics they come from.
const TOPICS: usize = 8;

/// Messages and the adapter that reads them.
#[derive(Debug)]
pub(crate) struct Messages {
    adapter: MqttJson,
    frames: Vec<Frame>,
}

impl Messages {
    /// # Errors
    /// The adapter's.
    pub(crate) fn new() -> Result<Self, Fault> {
        let settings = serde_json::json!({ "topics": [{
            "filter": "plant/+line/telemetry",
            "time": { "path": "ts" },
            "points": [
                { "path": "temp", "unit": "°C" },
                { "path": "motor.current", "unit": "A", "scale": 0.001 },
                { "path": "motor.running", "type": "boolean" },
                { "path": "count", "type": "integer" },
                { "path": "levels[2]" },
            ],
        }] });
        let settings =
            serde_json::from_value(settings).map_err(|error| Fault::reconfigure("bad-settings", error.to_string()))?;
        let mut messages = Self { adapter: MqttJson::start(settings)?, frames: (0..MESSAGES).map(frame).collect() };
        // What is wrong with a message is reported, and that would be measured too.
        let readings = messages.decode()?;
        if readings.len() == MESSAGES * VALUES && readings.iter().all(|reading| reading.value.is_some()) {
            Ok(messages)
        } else {
            Err(Fault::reject("bad-messages", format!("{} readings of the messages", readings.len())))
        }
    }

    /// Reads them all.
    ///
    /// # Errors
    /// The adapter's.
    pub(crate) fn decode(&mut self) -> Result<Vec<Reading>, Fault> {
        self.adapter.receive("broker", &self.frames)
    }
}

fn frame(index: usize) -> Frame {
    let (second, tenth) = (index % 60, index % 10);
    let payload = format!(
        "{{\"ts\":\"2026-05-04T10:00:{second:02}.250Z\",\"device\":\"pump {index}\",\"temp\":{second}.{tenth},\
         \"motor\":{{\"current\":{index}.5e3,\"running\":true}},\"count\":{index},\"levels\":[1.5,2.25,{tenth}.125]}}"
    );
    Frame {
        kind: FrameKind::Data,
        topic: format!("plant/line{}/telemetry", index % TOPICS),
        payload: payload.into_bytes(),
        received: 1_777_000_000_000_000_000,
        retained: false,
        properties: Vec::new(),
    }
}
