//! Bulkhead adapter: JSON messages of an MQTT broker as readings.
//!
//! The transport with the role `broker` subscribes; this adapter says which topics mean which points.

mod settings;

pub use settings::{Settings, TopicSettings};

use bulkhead_json_points::{Arrival, Origins, Rule, RuleSettings};
use bulkhead_sdk::prelude::*;
use settings::TOPICS_MAX;

/// The adapter.
#[derive(Debug)]
pub struct MqttJson {
    topics: Origins,
}

impl Adapter for MqttJson {
    type Settings = Settings;

    fn start(settings: Settings) -> Result<Self, Fault> {
        Ok(MqttJson { topics: Origins::new(compile(&settings)?)? })
    }

    fn check(&mut self) -> Result<String, Fault> {
        let (filters, known) = self.topics.counts();
        Ok(format!("{filters} topic filters are ready and {known} topics known; the broker's state is the transport's"))
    }
}

impl Listener for MqttJson {
    /// Messages become readings. The transport's coming and going is the host's to note.
    fn receive(&mut self, _transport: &str, frames: &[Frame]) -> Result<Vec<Reading>, Fault> {
        let mut readings = Vec::with_capacity(frames.len() * 2);
        for frame in frames.iter().filter(|frame| frame.kind == FrameKind::Data) {
            self.read(frame, &mut readings);
        }
        Ok(readings)
    }
}

impl MqttJson {
    /// Reads one message; what is wrong with it is reported, and the next one is read all the same.
    fn read(&mut self, frame: &Frame, readings: &mut Vec<Reading>) {
        let status_without_time = if frame.retained { Status::UNCERTAIN_LAST_USABLE_VALUE } else { Status::GOOD };
        let origin = format_args!("topic {}", frame.topic);
        let arrival = Arrival { origin, received: frame.received, status_without_time };
        let report = &mut |point, fault: Fault| log::report(point, &fault);
        match self.topics.read(&frame.topic, &frame.payload, arrival, readings, report) {
            Ok(true) => {}
            Ok(false) => {
                let message = format!("topic {}: no filter of the settings matches it", frame.topic);
                log::report(None, &Fault::reject("unmapped-topic", message));
            }
            Err(fault) => log::report(None, &Fault { message: format!("topic {}", fault.message), ..fault }),
        }
    }
}

/// Every entry compiled, or every mistake in one fault.
fn compile(settings: &Settings) -> Result<Vec<Rule>, Fault> {
    let mut mistakes = Vec::new();
    if settings.topics.is_empty() || settings.topics.len() > TOPICS_MAX {
        mistakes.push(format!("topics: {} entries, expected 1 to {TOPICS_MAX}", settings.topics.len()));
    }
    let mut rules = Vec::new();
    for (index, topic) in settings.topics.iter().enumerate() {
        let rule = RuleSettings {
            key: "filter",
            filter: &topic.filter,
            name: topic.name.as_deref(),
            mapping: topic.mapping(),
            takes_arrays: false,
        };
        match Rule::compile(&rule) {
            Ok(rule) => rules.push(rule),
            Err(found) => mistakes.extend(found.iter().map(|mistake| format!("topics[{index}].{mistake}"))),
        }
    }
    if mistakes.is_empty() { Ok(rules) } else { Err(Fault::reconfigure("bad-settings", mistakes.join("; "))) }
}

#[cfg(feature = "component")]
bulkhead_sdk::export!(MqttJson: listener);
