//! A request to a service that evaluates everything: the first line is the path, the second the query, the rest the body of a
//! batch in both its forms. Whatever it is, the answer is a proper one.
#![no_main]

use bulkhead_odata::model::{EnumType, Navigation, Parts, StructuredType};
use bulkhead_odata::{
    EntitySet, EntityType, MemoryStore, Model, PrimitiveType, Property, Request, Response, Type, Value, handle,
};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static STORE: LazyLock<MemoryStore> = LazyLock::new(|| {
    let place = StructuredType::complex("Place").with(Property::optional("City", PrimitiveType::String));
    let color = EnumType {
        name: "Color".into(),
        flags: true,
        underlying: PrimitiveType::Int32,
        members: vec![("Red".into(), 1), ("Blue".into(), 2)],
    };
    let thing = EntityType::new("Thing", ["Id"])
        .with(Property::required("Id", PrimitiveType::Int32))
        .with(Property::optional("Name", PrimitiveType::String))
        .with(Property::optional("Size", PrimitiveType::Decimal))
        .with(Property::optional("Made", PrimitiveType::DateTimeOffset))
        .with(Property::optional("Color", Type::of_enum(0)))
        .with(Property::optional("Place", Type::structured(0)))
        .leading(Navigation::one("Parent", "Thing").by("Id", "Id"))
        .leading(Navigation::many("Parts", "Thing").by("Id", "Id"));
    let model = Model::of(Parts {
        namespace: "Fuzz".into(),
        container: "Container".into(),
        enum_types: vec![color],
        types: vec![place, thing],
        entity_sets: vec![EntitySet::new("Things", "Thing")],
        ..Parts::default()
    });
    let row = |id| {
        let text = Value::String(format!("thing {id}"));
        vec![Value::Int(id), text, Value::Decimal("1.5".into()), Value::DateTimeOffset(id), Value::Int(1), Value::Null]
    };
    MemoryStore::new(model.expect("the model is right")).with_set(0, vec![(1, row(1)), (1, row(2))])
});

fn check(response: &Response) {
    assert!((200..=599).contains(&response.status) && response.status != 500);
    if response.status >= 400 {
        serde_json::from_slice::<serde_json::Value>(&response.body).expect("an error is JSON");
    }
}

fuzz_target!(|text: &str| {
    let mut lines = text.splitn(3, '\n');
    let (path, query) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    check(&handle(&Request::get(path, query, &[], "http://localhost/"), &*STORE));
    let body = lines.next().unwrap_or_default().as_bytes();
    for content_type in ["multipart/mixed; boundary=b", "application/json"] {
        let headers = [("content-type", content_type)];
        let batch = Request { method: "POST", body, ..Request::get("$batch", "", &headers, "http://localhost/") };
        check(&handle(&batch, &*STORE));
    }
});
