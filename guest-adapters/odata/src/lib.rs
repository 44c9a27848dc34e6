//! Bulkhead adapter: readings to an OData V4 service.
//!
//! Each reading becomes one entity of an entity set, added or written to the entity of its key, alone or in a `$batch`. An
//! entity that the service refuses is rejected with the service's own words; the others are kept.

mod batch_json;
mod comparison;
mod delivery;
mod edm;
mod entity;
mod error_text;
mod exchange;
mod headers;
mod literal;
mod metadata;
mod multipart;
mod settings;

pub use edm::EdmType;
pub use settings::{
    BATCH_SIZE_MAX, Condition, Constant, PropertySettings, Send, Settings, Source, Upsert, UpsertMethod,
};

use bulkhead_sdk::prelude::*;
use bulkhead_upstream::retry_fault;
use delivery::Delivery;
use metadata::Metadata;

/// The adapter.
#[derive(Debug)]
pub struct OData {
    settings: Settings,
    delivery: Delivery,
}

impl Adapter for OData {
    type Settings = Settings;

    fn start(settings: Settings) -> Result<Self, Fault> {
        let delivery = Delivery::compile(&settings).map_err(|mistakes| {
            let mistakes: Vec<String> = mistakes.iter().map(|mistake| format!("settings.{mistake}")).collect();
            Fault::reconfigure("bad-settings", mistakes.join("; "))
        })?;
        Ok(OData { settings, delivery })
    }

    /// Reads `$metadata` and compares it with the settings.
    fn check(&mut self) -> Result<String, Fault> {
        let answer = self.delivery.exchange.get("/$metadata", "application/xml")?;
        if answer.status != 200 {
            return Err(retry_fault("GET $metadata", &answer, &error_text::error_text(&answer.body)));
        }
        let text = String::from_utf8_lossy(&answer.body);
        let metadata = Metadata::parse(&text).map_err(|what| {
            Fault::retry("bad-metadata", format!("GET $metadata gave no description of a service: {what}"))
        })?;
        self.compared(&metadata)
    }
}

impl OData {
    fn compared(&self, metadata: &Metadata) -> Result<String, Fault> {
        let set = &self.settings.entity_set;
        if !comparison::is_plain_set(set) {
            return Ok(format!("the service is there; `{set}` is a path, which was not compared with its $metadata"));
        }
        let comparison = comparison::compare(metadata, &self.settings);
        let remarks: String = comparison.remarks.iter().map(|remark| format!("; {remark}")).collect();
        if comparison.mistakes.is_empty() {
            let count = self.settings.properties.len();
            return Ok(format!(
                "the service is there; `{set}` and its {count} properties are as the settings say{remarks}"
            ));
        }
        Err(Fault::reconfigure("metadata-mismatch", format!("{}{remarks}", comparison.mistakes.join("; "))))
    }
}

impl Sink for OData {
    fn deliver(&mut self, batch: &Batch) -> Result<Outcome, Fault> {
        self.delivery.deliver(batch)
    }
}

bulkhead_sdk::export!(OData: sink);
