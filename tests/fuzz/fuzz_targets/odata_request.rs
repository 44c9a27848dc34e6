//! An OData URL: the first line is the path, the rest the query. Whatever it is, the answer is a proper one.
#![no_main]

use bulkhead_odata::{
    EntitySet, EntityType, Error, Model, Page, PrimitiveType, Property, Query, Request, Service, handle,
};
use libfuzzer_sys::fuzz_target;

struct Empty(Model);

impl Service for Empty {
    fn model(&self) -> &Model {
        &self.0
    }
    fn read(&self, _: &Query) -> Result<Page, Error> {
        Ok(Page { rows: Vec::new(), count: Some(0), next_token: None })
    }
    fn count(&self, _: &Query) -> Result<u64, Error> {
        Ok(0)
    }
}

fuzz_target!(|text: &str| {
    let reading = EntityType::new("Reading", ["Seq"])
        .with(Property::required("Seq", PrimitiveType::Int64))
        .with(Property::optional("Value", PrimitiveType::Double))
        .with(Property::optional("Point", PrimitiveType::String));
    let sets = vec![EntitySet::new("Readings", "Reading")];
    let service = Empty(Model::new("Fuzz", "Container", vec![reading], sets).expect("the model is right"));
    let (path, query) = text.split_once('\n').unwrap_or(("Readings", text));
    let response = handle(&Request::get(path, query, &[], "http://localhost/odata/v4/"), &service);
    assert!((200..=599).contains(&response.status));
    if response.status >= 400 {
        serde_json::from_slice::<serde_json::Value>(&response.body).expect("an error is JSON");
    }
});
