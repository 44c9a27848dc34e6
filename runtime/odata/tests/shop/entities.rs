//! Single resources: entities by every form of key, properties, raw values, streams, references, singletons.

use crate::server::{get, json, product, root, send};
use serde_json::json as object;

#[test]
fn entities_are_found_by_every_form_of_key() {
    let id = product("Laptop");
    for url in [
        format!("Products({id})"),
        format!("Products(ID={id})"),
        format!("Products/{id}"),
        format!("Products(@k)?@k={id}"),
        format!("$entity?$id=Products({id})"),
        format!("$entity?$id={}Products({id})", root()),
        format!("$entity?id=Products({id})"),
        format!("Categories?$top=0&x=1#{id}"),
    ] {
        if url.contains('#') {
            continue;
        }
        let found = json(&url);
        assert_eq!(found["Name"], "Laptop", "{url}");
        assert_eq!(found["@odata.context"], format!("{}$metadata#Products/$entity", root()));
    }
    let text = format!("ProductDescriptions(LanguageKey='EN',ProductID={id})");
    assert_eq!(json(&text)["LanguageKey"], "EN");
    assert_eq!(json(&format!("ProductDescriptions/{id}/DE"))["LanguageKey"], "DE");
    assert_eq!(json(&format!("Products({id})/Descriptions(ProductID={id},LanguageKey='DE')"))["LanguageKey"], "DE");
    assert_eq!(json(&format!("Products({id})/Shop.SpecialProduct"))["SpecialFeature"], "Premium support");
    assert_eq!(json(&format!("$entity/Shop.SpecialProduct?$id=Products({id})&$select=Name"))["Name"], "Laptop");
    for (url, status) in [
        ("Products(00000000-0000-0000-0000-000000000000)", 404),
        ("Products/00000000-0000-0000-0000-000000000000", 404),
        ("Products('Laptop')", 400),
        ("Products()", 400),
        ("Products(ID=1)", 400),
        ("Products(Name='Laptop')", 400),
        ("Products(", 400),
        ("Products/nothing", 404),
        ("Company(1)", 404),
        ("$entity", 400),
        ("$entity?$id=Products", 400),
        ("$entity?$id=http://elsewhere.example/Products(1)", 404),
        (&format!("ProductDescriptions({id})"), 400),
        (&format!("ProductDescriptions(ProductID={id})"), 400),
        (&format!("Products({})/Shop.SpecialProduct", product("Coffee Mug")), 404),
    ] {
        assert_eq!(get(url).status, status, "{url}");
    }
}

#[test]
fn keys_leave_out_what_the_way_to_them_says() {
    let (laptop, mug) = (product("Laptop"), product("Coffee Mug"));
    for key in [
        "('DE')".to_owned(),
        "(LanguageKey='DE')".into(),
        format!("(ProductID={laptop},LanguageKey='DE')"),
        "/DE".into(),
    ] {
        let found = json(&format!("Products({laptop})/Descriptions{key}"));
        assert_eq!(found["LanguageKey"], "DE", "{key}");
        assert_eq!(found["ProductID"], laptop.as_str(), "{key}");
    }
    assert_eq!(json(&format!("Products/{laptop}/Descriptions/DE/LanguageKey"))["value"], "DE");
    assert_eq!(json(&format!("Products/{laptop}/Descriptions/DE/Product/Name"))["value"], "Laptop");
    for (rest, status) in [
        (format!("Descriptions(ProductID={mug},LanguageKey='DE')"), 404),
        ("Descriptions('FR')".into(), 404),
        ("Descriptions(ProductID=1)".into(), 400),
        ("Descriptions()".into(), 400),
        ("Category('x')".into(), 404),
    ] {
        assert_eq!(get(&format!("Products({laptop})/{rest}")).status, status, "{rest}");
    }
    assert_eq!(get("ProductDescriptions('DE')").status, 400);
}

#[test]
fn properties_have_an_address_and_a_raw_value() {
    let id = product("Laptop");
    let at = |rest: &str| get(&format!("Products({id})/{rest}"));
    let name = at("Name").json();
    assert_eq!(
        name,
        object!({ "@odata.context": format!("{}$metadata#Products({id})/Name", root()), "value": "Laptop" })
    );
    assert_eq!(at("ShippingAddress").json()["City"], "Seattle");
    assert_eq!(at("ShippingAddress/City").json()["value"], "Seattle");
    assert_eq!(at("Category/Name").json()["value"], "Electronics");
    assert_eq!(at("Location").json()["value"], object!({ "type": "Point", "coordinates": [-122.3321, 47.6062] }));
    for (path, text) in [
        ("Name/$value", "Laptop"),
        ("Price/$value", "999.99"),
        ("Status/$value", "InStock,Featured"),
        ("CreatedAt/$value", "2024-01-15T10:30:00Z"),
        ("ShippingTime/$value", "P1D"),
        ("ShippingAddress/State/$value", "WA"),
        ("Data/$value", "test"),
        ("Descriptions/$count", "2"),
        ("Location/$value", "SRID=4326;Point(-122.3321 47.6062)"),
    ] {
        let answer = at(path);
        assert_eq!((answer.status, answer.text().as_str()), (200, text), "{path}");
    }
    assert!(at("Name/$value").header("content-type").unwrap().starts_with("text/plain"));
    assert_eq!(at("Data/$value").header("content-type"), Some("application/octet-stream"));
    for (path, status) in [
        ("Description", 204),
        ("Description/$value", 204),
        ("Photo", 204),
        ("Nope", 404),
        ("Name/Nope", 404),
        ("Name/$count", 400),
        ("ShippingAddress/$value", 400),
        ("$value", 400),
        ("Name/$ref", 404),
        ("ShippingAddress/$ref", 404),
        ("Descriptions/$ref?$select=LanguageKey", 400),
        ("Descriptions/$ref?$expand=Product", 400),
        ("Descriptions/$ref?$filter=LanguageKey eq 'EN'&$orderby=LanguageKey&$top=1&$count=true", 200),
        ("Category/$count", 400),
        ("Descriptions/$value", 400),
        ("Descriptions/$count/$ref", 404),
    ] {
        assert_eq!(at(path).status, status, "{path}");
    }
    let chair = product("Office Chair");
    assert_eq!(get(&format!("Products({chair})/ShippingAddress")).status, 204);
    assert_eq!(get(&format!("Products({chair})/ShippingAddress/City")).status, 404);
}

#[test]
fn references_and_streams_have_their_own_addresses() {
    let id = product("Laptop");
    let reference = json(&format!("Products({id})/Category/$ref"));
    assert_eq!(reference["@odata.context"], format!("{}$metadata#$ref", root()));
    let category = reference["@odata.id"].as_str().unwrap().strip_prefix(&root()).unwrap().to_owned();
    assert_eq!(json(&category)["Name"], "Electronics");
    assert_eq!(json(&format!("Products({id})/$ref"))["@odata.id"], format!("{}Products({id})", root()));
    let media = json("MediaItems?$format=application/json;odata.metadata=full");
    let image = &media["value"][0];
    assert_eq!(image["@odata.mediaContentType"], "image/png");
    let link = image["@odata.mediaReadLink"].as_str().unwrap().strip_prefix(&root()).unwrap();
    let bytes = get(link);
    assert_eq!((bytes.header("content-type"), bytes.bytes.len()), (Some("image/png"), 1024));
}

#[test]
fn a_singleton_is_an_entity_without_a_key() {
    let company = json("Company");
    assert_eq!(company["@odata.context"], format!("{}$metadata#Company", root()));
    assert_eq!(company["Name"], "TechStore Inc.");
    assert_eq!(json("Company?$select=CEO")["@odata.context"], format!("{}$metadata#Company(CEO)", root()));
    assert_eq!(json("Company/CEO")["value"], "Sarah Johnson");
    assert_eq!(get("Company/Logo/$value").header("content-type"), Some("image/svg+xml"));
    assert_eq!(get("Company?$filter=Name eq 'x'").status, 400);
    assert_eq!(get("Company/$count").status, 400);
}

#[test]
fn an_entity_is_shaped_by_select_expand_and_compute() {
    let id = product("Laptop");
    let found = json(&format!(
        "Products({id})?$select=Name,Twice&$compute=Price mul 2 as Twice&$expand=Category($select=Name)"
    ));
    assert_eq!((&found["Twice"], &found["Category"]["Name"]), (&object!(1999.98), &object!("Electronics")));
    assert_eq!(found["@odata.context"], format!("{}$metadata#Products(Name,Twice,Category(Name))/$entity", root()));
    for option in ["$top=1", "$orderby=Name", "$count=true", "$search=x", "$apply=identity"] {
        assert_eq!(get(&format!("Products({id})?{option}")).status, 400, "{option}");
    }
}

#[test]
fn entity_tags_answer_conditions() {
    let id = product("Laptop");
    let url = format!("Products({id})");
    let tag = get(&url).header("etag").unwrap().to_owned();
    assert_eq!(tag, "W/\"1\"");
    assert_eq!(json(&url)["@odata.etag"], tag.as_str());
    let status = |name: &str, value: &str| send("GET", &url, &[(name, value)], b"").status;
    assert_eq!(status("If-None-Match", &tag), 304);
    assert_eq!(status("If-None-Match", "*"), 304);
    assert_eq!(status("If-None-Match", "W/\"0\", W/\"1\""), 304);
    assert_eq!(status("If-None-Match", "W/\"0\""), 200);
    assert_eq!(status("If-None-Match", "null"), 200);
    assert_eq!(status("If-Match", &tag), 200);
    assert_eq!(status("If-Match", "W/\"0\""), 412);
    // What is of an entity has its tag.
    for part in ["Name", "Name/$value", "ShippingAddress", "ShippingAddress/City"] {
        let part = format!("{url}/{part}");
        assert_eq!(get(&part).header("etag"), Some(tag.as_str()), "{part}");
        assert_eq!(send("GET", &part, &[("If-None-Match", &tag)], b"").status, 304, "{part}");
        assert_eq!(send("GET", &part, &[("If-Match", "W/\"0\"")], b"").status, 412, "{part}");
    }
}
