//! What of rows is written, and how the context says it: `$select` and `$expand` in every form, ids, streams, `$all`.

use crate::server::{get, json, names, product, root, send};
use serde_json::{Value, json as object};

fn context(url: &str) -> String {
    json(url)["@odata.context"].as_str().unwrap().replace(&format!("{}$metadata#", root()), "")
}

fn first(url: &str) -> Value {
    json(url)["value"][0].clone()
}

/// The names of the members that are no control information.
fn members(row: &Value) -> Vec<&str> {
    row.as_object().unwrap().keys().map(String::as_str).filter(|name| !name.contains('@')).collect()
}

#[test]
fn contexts_say_what_was_selected_and_expanded() {
    for (url, expected) in [
        (
            "Products?$select=Shop.SpecialProduct/SpecialFeature,Name",
            "Products(Shop.SpecialProduct/SpecialFeature,Name)",
        ),
        ("Products?$select=Shop.*", "Products(Shop.*)"),
        ("Products?$select=Shop.Reseed,Name", "Products(Name)"),
        (
            "Products?$select=ShippingAddress($select=City,State)",
            "Products(ShippingAddress/City,ShippingAddress/State)",
        ),
        ("Products?$select=ShippingAddress/City,ShippingAddress", "Products(ShippingAddress)"),
        ("Products?$expand=Category/$ref", "Products"),
        ("Products?$select=Name&$expand=Descriptions/$count", "Products(Name)"),
        ("Products?$expand=*,Category($select=Name)", "Products(Category(Name),Descriptions(),RelatedProducts())"),
        ("Products?$select=Name,Category&$expand=Category", "Products(Name,Category,Category())"),
        ("Products?$expand=Category($expand=Products($select=Name))", "Products(Category(Products(Name)))"),
        ("Products/Shop.SpecialProduct?$select=Name", "Products/Shop.SpecialProduct(Name)"),
        ("$all/Shop.Product?$select=Name", "Collection(Shop.Product)(Name)"),
    ] {
        assert_eq!(context(url), expected, "{url}");
    }
    let laptop = product("Laptop");
    let address = format!("Products({laptop})/ShippingAddress");
    assert_eq!(context(&format!("{address}?$select=City")), format!("{address}(City)"));
    let old = send("GET", "Products?$expand=RelatedProducts($levels=2)", &[("OData-MaxVersion", "4.0")], b"").json();
    assert_eq!(old["@odata.context"], format!("{}$metadata#Products", root()));
}

#[test]
fn entities_without_their_key_say_which_they_are() {
    let row = first("Products?$select=Name");
    let id = row["@odata.id"].as_str().unwrap().strip_prefix(&root()).unwrap().to_owned();
    assert_eq!(json(&id)["Name"], "Laptop");
    assert!(first("Products?$select=ID,Name").get("@odata.id").is_none());
    assert!(first("Products?$select=*").get("@odata.id").is_none());
    assert!(first("ProductDescriptions?$select=LanguageKey").get("@odata.id").is_some());
    let nested = first("Products?$select=ID&$expand=Category($select=Name)");
    assert!(nested["Category"]["@odata.id"].is_string() && nested.get("@odata.id").is_none());
    assert!(first("Products?$select=Name&$format=application/json;odata.metadata=none").get("@odata.id").is_none());
}

#[test]
fn selected_items_add_up() {
    for url in ["$select=ShippingAddress,ShippingAddress/City", "$select=ShippingAddress/City,ShippingAddress"] {
        let row = first(&format!("Products?{url}"));
        assert_eq!(row["ShippingAddress"].as_object().unwrap().len(), 5, "{url}");
    }
    let rows = json("Products?$select=Shop.SpecialProduct/SpecialFeature,Name&$top=2");
    assert_eq!(members(&rows["value"][0]), ["Name", "SpecialFeature"]);
    assert_eq!(members(&rows["value"][1]), ["Name"]);
    let both = json("Products?$select=Shop.SpecialProduct/SpecialFeature,SpecialFeature&$top=2");
    assert_eq!(members(&both["value"][1]), ["SpecialFeature"]);
    assert_eq!(members(&first("Products?$select=Shop.*")), [""; 0]);
    let computed = first("Products?$select=ShippingAddress($compute=length(City) as L;$select=L)");
    assert_eq!(computed["ShippingAddress"]["L"], 7);
}

#[test]
fn streams_come_with_the_rows_that_ask_for_them() {
    let photo = first("Products?$select=Name&$expand=Photo");
    assert_eq!((members(&photo), &photo["Photo"]), (vec!["Name", "Photo"], &Value::Null));
    let image = first("MediaItems?$expand=$value&$select=Name");
    let text = image["$value"].as_str().unwrap();
    // 1,024 bytes in groups of three.
    assert!(text.starts_with("iVBORw0KGgo") && text.len() == 1368, "{text}");
    assert_eq!(image["@odata.mediaContentType"], "image/png");
}

#[test]
fn aliases_may_stand_beside_what_uses_them() {
    let found = |url: &str| {
        let rows = first(url);
        rows["Products"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["Name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(found("Categories?$expand=Products($filter=Price gt @p;@p=1000)"), ["Premium Laptop Pro"]);
    assert_eq!(found("Categories?$expand=Products($filter=Price gt @p;@p=1000)&@p=1"), ["Premium Laptop Pro"]);
    assert_eq!(found("Categories?$expand=Products($filter=Price gt @p)&@p=1000"), ["Premium Laptop Pro"]);
    let twice = "Categories?$expand=Products($filter=Price gt @p;@p=1;@p=2)";
    assert_eq!(get(twice).status, 400);
}

#[test]
fn collections_in_rows_have_pages_too() {
    let page = |url: &str| send("GET", url, &[("Prefer", "maxpagesize=2")], b"").json();
    let mut found = Vec::new();
    let expand = "Products($select=Name;$filter=Price gt @p;$orderby=Price;$skip=1;$top=4;@p=1)";
    let whole = page(&format!("Categories?$expand={expand}"));
    let mut next = whole["value"][0]["Products@odata.nextLink"].as_str().map(str::to_owned);
    let mut rows = whole["value"][0]["Products"].clone();
    loop {
        assert!(rows.as_array().unwrap().len() <= 2);
        found.extend(rows.as_array().unwrap().iter().map(|row| row["Name"].as_str().unwrap().to_owned()));
        let Some(link) = next else { break };
        let more = page(link.strip_prefix(&root()).unwrap());
        rows = more["value"].clone();
        next = more["@odata.nextLink"].as_str().map(str::to_owned);
    }
    assert_eq!(found, ["Gaming Mouse Ultra", "Smartphone", "Laptop", "Premium Laptop Pro"]);
    assert!(whole["value"][1].get("Products@odata.nextLink").is_none());
}

#[test]
fn all_is_every_entity_with_its_place() {
    let all = json("$all");
    let rows = all["value"].as_array().unwrap();
    assert_eq!(rows.len(), 23);
    let places: Vec<&str> =
        rows.iter().map(|row| row["@odata.context"].as_str().unwrap().split_once("$metadata#").unwrap().1).collect();
    assert!(places.contains(&"Company") && places.contains(&"Products/$entity"));
    assert_eq!(get("$all/$count").text(), "23");
    assert_eq!(names("$all?$search=techstore"), ["TechStore Inc."]);
    assert_eq!(json("$crossjoin(Categories)")["value"].as_array().unwrap().len(), 3);
    assert_eq!(
        json("$crossjoin(Categories)?$expand=Categories($select=Name)&$top=1")["value"][0]["Categories"]["Name"],
        object!("Electronics")
    );
}
