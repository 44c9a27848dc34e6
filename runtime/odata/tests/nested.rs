//! Collections in rows: options of `$select` on collections of complex and primitive values, which the shop does not have.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use bulkhead_odata::model::{Parts, StructuredType, Type};
use bulkhead_odata::{
    EntitySet, EntityType, Home, MemoryStore, Model, PrimitiveType as T, Property, Record, Request, Value, handle,
};
use serde_json::{Value as Json, json as object};
use std::sync::Arc;

fn service() -> MemoryStore {
    let place = StructuredType::complex("Place")
        .with(Property::required("City", T::String))
        .with(Property::required("People", T::Int32));
    let person = EntityType::new("Person", ["Id"])
        .with(Property::required("Id", T::Int32))
        .with(Property::required("Home", T::String))
        .with(Property::required("Mails", Type::from(T::String).many()))
        .with(Property::required("Places", Type::structured(0).many()));
    let model = Model::of(Parts {
        namespace: "N".into(),
        container: "C".into(),
        types: vec![place, person],
        entity_sets: vec![EntitySet::new("People", "Person")],
        ..Parts::default()
    })
    .unwrap();
    let text = |text: &str| Value::String(text.into());
    let many = |items: Vec<Value>| Value::Collection(Arc::new(items));
    let place = |city: &str, people: i64| {
        let values = vec![text(city), Value::Int(people)];
        Value::Record(Arc::new(Record { ty: 0, home: Home::None, values }))
    };
    let values = vec![
        Value::Int(1),
        text("Ulm"),
        many(["a@x.com", "b@y.org", "c@z.com"].map(text).to_vec()),
        many(vec![place("Ulm", 126), place("Bonn", 331), place("Jena", 111)]),
    ];
    MemoryStore::new(model).with_set(0, vec![(1, values)])
}

fn ask(path: &str, query: &str) -> (u16, Json) {
    let query = query.replace(' ', "%20");
    let response = handle(&Request::get(path, &query, &[], "http://host/"), &service());
    (response.status, serde_json::from_slice(&response.body).unwrap())
}

fn row(query: &str) -> Json {
    let (status, found) = ask("People", query);
    assert_eq!(status, 200, "{query}: {found}");
    found["value"][0].clone()
}

#[test]
fn items_of_collections_are_chosen_ordered_and_shaped() {
    for (select, expected) in [
        ("Places($filter=People gt 120)", object!([{"City": "Ulm", "People": 126}, {"City": "Bonn", "People": 331}])),
        ("Places($orderby=City;$top=1)", object!([{"City": "Bonn", "People": 331}])),
        ("Places($skip=1;$select=City)", object!([{"City": "Bonn"}, {"City": "Jena"}])),
        ("Places($search=jena)", object!([{"City": "Jena", "People": 111}])),
        ("Places($filter=City eq $it/Home;$select=City)", object!([{"City": "Ulm"}])),
        ("Places($filter=$this/City eq @c;@c='Bonn';$select=People)", object!([{"People": 331}])),
        (
            "Places($select=City),Places/People",
            object!([
                {"City": "Ulm", "People": 126},
                {"City": "Bonn", "People": 331},
                {"City": "Jena", "People": 111},
            ]),
        ),
    ] {
        assert_eq!(row(&format!("$select={select}"))["Places"], expected, "{select}");
    }
    let computed = row("$select=Places($compute=People mul 1000 as All;$filter=All gt 200000;$select=All)");
    assert_eq!(computed["Places"][0]["All"], 331_000);
    assert_eq!(row("$select=Mails($filter=endswith($this,'.com'))")["Mails"], object!(["a@x.com", "c@z.com"]));
    assert_eq!(row("$select=Mails($orderby=$this desc;$top=1)")["Mails"], object!(["c@z.com"]));
    let counted = row("$select=Mails($count=true;$top=1),Places($count=true;$filter=City eq 'Ulm')");
    assert_eq!((&counted["Mails@odata.count"], &counted["Places@odata.count"]), (&3.into(), &1.into()));
}

#[test]
fn items_of_collections_have_options_in_paths_too() {
    let found = ask("People(1)/Places", "$filter=People gt 120&$orderby=People desc&$count=true&$top=1").1;
    assert_eq!((&found["@odata.count"], &found["value"][0]["City"]), (&2.into(), &"Bonn".into()));
    assert_eq!(found["@odata.context"], "http://host/$metadata#People(1)/Places");
    assert_eq!(ask("People(1)/Mails", "$filter=endswith($it,'.org')").1["value"], object!(["b@y.org"]));
    assert_eq!(ask("People(1)/Mails/1", "").1["value"], "b@y.org");
    assert_eq!(ask("People(1)/Places/-1/City", "").1["value"], "Jena");
}

#[test]
fn what_collections_cannot_be_asked_is_refused() {
    for query in [
        "$select=Mails($select=x)",
        "$select=Places($expand=City)",
        "$select=Places($filter=Nope eq 1)",
        "$select=Home($top=1)",
        "$select=Places($apply=aggregate($count as N))",
    ] {
        assert_eq!(ask("People", query).0, 400, "{query}");
    }
}
