//! Collections: `$select`, `$expand`, paging, counts, `$apply`, `$all`, `$crossjoin`, derived types, delta links.

use crate::server::{Answer, get, json, names, product, root, send};
use serde_json::json as object;

#[test]
fn selected_properties_are_all_there_is() {
    let found = json("Products?$select=Name,ShippingAddress/City&$top=1");
    assert_eq!(found["@odata.context"], format!("{}$metadata#Products(Name,ShippingAddress/City)", root()));
    let row = found["value"][0].as_object().unwrap();
    let plain: Vec<_> = row.keys().filter(|name| !name.contains('@')).collect();
    assert_eq!(plain, ["Name", "ShippingAddress"]);
    assert_eq!(row["ShippingAddress"], object!({ "City": "Seattle" }));
    assert_eq!(
        json("Products?$select=ShippingAddress($select=State)&$top=1")["value"][0]["ShippingAddress"],
        object!({ "State": "WA" })
    );
    assert!(json("Products?$select=*&$top=1")["value"][0].get("Price").is_some());
    assert_eq!(
        json("Products?$select=Shop.SpecialProduct/SpecialProperty&$top=1")["value"][0]["SpecialProperty"],
        "Extended warranty"
    );
    let linked = json("Products?$select=Category&$top=1");
    assert!(linked["value"][0]["Category@odata.navigationLink"].as_str().unwrap().ends_with("/Category"));
}

#[test]
fn expansions_take_every_option() {
    let found = json(
        "Categories?$expand=Products($filter=Price gt 100;$orderby=Price desc;$top=2;$skip=1;$count=true;$select=Name)&$select=Name",
    );
    assert_eq!(found["@odata.context"], format!("{}$metadata#Categories(Name,Products(Name))", root()));
    let electronics = &found["value"][0];
    assert_eq!(electronics["Products@odata.count"], 4);
    let inner: Vec<_> =
        electronics["Products"].as_array().unwrap().iter().map(|row| row["Name"].as_str().unwrap()).collect();
    assert_eq!(inner, ["Laptop", "Smartphone"]);
    assert_eq!(json("Products?$expand=Category&$top=1")["value"][0]["Category"]["Name"], "Electronics");
    let deep = json("Products?$expand=Category($expand=Products($expand=Descriptions))&$filter=Name eq 'Coffee Mug'");
    assert_eq!(deep["value"][0]["Category"]["Products"][0]["Descriptions"][0]["LanguageKey"], "EN");
    let stars = json("Products?$expand=*&$top=1");
    assert!(["Category", "Descriptions", "RelatedProducts"].iter().all(|name| stars["value"][0].get(name).is_some()));
    let counted = json("Products?$expand=Descriptions/$count($filter=LanguageKey eq 'DE')&$top=1");
    assert_eq!(counted["value"][0]["Descriptions@odata.count"], 1);
    assert!(counted["value"][0].get("Descriptions").is_none());
    let references = json("Products?$expand=Category/$ref&$top=1");
    assert!(references["value"][0]["Category"]["@odata.id"].as_str().unwrap().contains("/Categories("));
    let narrowed = json("Categories?$expand=Products/Shop.SpecialProduct&$top=1");
    assert_eq!(narrowed["value"][0]["Products"].as_array().unwrap().len(), 3);
    let outer = json("Categories?$filter=Name eq 'Kitchen'&$expand=Products($filter=$it/Name eq 'Kitchen')");
    assert_eq!(outer["value"][0]["Products"].as_array().unwrap().len(), 1);
    let searched = json("Categories?$expand=Products($search=mug)");
    assert_eq!(searched["value"][0]["Products"], object!([]));
}

#[test]
fn levels_go_on_as_far_as_they_say() {
    let levels =
        |levels: &str| json(&format!("Products?$filter=Name eq 'Laptop'&$expand=RelatedProducts($levels={levels})"));
    assert_eq!(levels("2")["value"][0]["RelatedProducts"], object!([]));
    assert_eq!(levels("max")["value"][0]["RelatedProducts"], object!([]));
    assert!(levels("2")["@odata.context"].as_str().unwrap().ends_with("#Products(RelatedProducts+())"));
    for wrong in ["0", "-1", "x", "99"] {
        assert_eq!(get(&format!("Products?$expand=RelatedProducts($levels={wrong})")).status, 400, "{wrong}");
    }
}

#[test]
fn skip_and_top_and_count_go_together() {
    let found = json("Products?$orderby=Price&$skip=1&$top=2&$count=true");
    assert_eq!(found["@odata.count"], 7);
    assert_eq!(names("Products?$orderby=Price&$skip=1&$top=2"), ["Wireless Mouse", "Gaming Mouse Ultra"]);
    assert_eq!(json("Products?$count=true&$filter=Price gt 1000&$top=0")["@odata.count"], 1);
    assert!(json("Products?$count=false")["@odata.count"].is_null());
    assert_eq!(names("Products?$skip=99"), [""; 0]);
    assert_eq!(get("Products/$count").text(), "7");
    assert_eq!(get("Products/$count?$filter=Price gt 1000&$top=0").text(), "1");
    assert_eq!(get("Products/Shop.SpecialProduct/$count").text(), "3");
    assert_eq!(names("Products?top=1&ORDERBY=Price"), ["Coffee Mug"]);
}

#[test]
fn pages_join_to_the_whole() {
    let mut url = "Products?$select=Name&$orderby=Price&$top=5".to_owned();
    let (mut found, mut pages) = (Vec::new(), 0);
    loop {
        let answer = send("GET", &url, &[("Prefer", "odata.maxpagesize=2")], b"");
        assert_eq!(answer.header("preference-applied"), Some("odata.maxpagesize=2"));
        let page = answer.json();
        found.extend(page["value"].as_array().unwrap().iter().map(|row| row["Name"].as_str().unwrap().to_owned()));
        pages += 1;
        let Some(next) = page["@odata.nextLink"].as_str() else { break };
        url = next.strip_prefix(&root()).expect("next links are absolute").to_owned();
    }
    assert_eq!((found, pages), (names("Products?$orderby=Price&$top=5"), 3));
}

/// The rows of a collection that is read in pages of two, as long as there are next links.
fn in_pages(url: &str) -> Vec<serde_json::Value> {
    let (mut found, mut next) = (Vec::new(), Some(url.to_owned()));
    while let Some(url) = next {
        let page = send("GET", &url, &[("Prefer", "maxpagesize=2")], b"").json();
        found.extend(page["value"].as_array().unwrap().iter().cloned());
        assert!(found.len() < 100, "{url} leads in a circle");
        next = page["@odata.nextLink"].as_str().map(|link| link.strip_prefix(&root()).unwrap().to_owned());
    }
    found
}

#[test]
fn every_collection_is_whole_in_pages() {
    let laptop = product("Laptop");
    for url in [
        "$all",
        "$all?$top=9&$skip=3",
        "$all?$search=laptop",
        "$all/Shop.Product",
        "$crossjoin(Products,Categories)",
        "$crossjoin(Products,Categories)?$filter=Products/CategoryID eq Categories/ID&$top=5",
        "Products?$apply=groupby((Name))",
        "Products?$apply=concat(identity,groupby((ProductType)))",
        "Products?$filter=Price gt @p&@p=20&$orderby=Price desc,Name&$skip=1",
        "Products?$compute=Price mul 2 as Twice&$orderby=Twice&$select=Twice",
        "Products/$filter(Price gt 20)",
        "Products/Shop.SpecialProduct",
        "Categories/$ref",
        &format!("Products({laptop})/Category/Products"),
        &format!("Products({laptop})/Category/Products/$ref?$top=3"),
    ] {
        assert_eq!(in_pages(url), json(url)["value"].as_array().unwrap().clone(), "{url}");
    }
}

#[test]
fn all_and_crossjoin_and_derived_types_are_collections() {
    let all = json("$all?$count=true");
    assert_eq!(all["@odata.context"], format!("{}$metadata#Collection(Edm.EntityType)", root()));
    assert!(all["value"].as_array().unwrap().iter().all(|row| row["@odata.type"].is_string()));
    assert_eq!(names("$all/Shop.SpecialProduct?$orderby=Price&$top=1"), ["Gaming Mouse Ultra"]);
    assert_eq!(names("Products/Shop.SpecialProduct?$filter=Price gt 1000"), ["Premium Laptop Pro"]);
    assert_eq!(get("Products/Shop.Category").status, 404);
    let joined = json(
        "$crossjoin(Products,Categories)?$filter=Products/CategoryID eq Categories/ID and Categories/Name eq 'Kitchen'&$expand=Products($select=Name)",
    );
    assert_eq!(joined["value"][0]["Products"]["Name"], "Coffee Mug");
    assert!(joined["value"][0]["Categories@odata.navigationLink"].is_string());
    assert_eq!(get("$crossjoin(Products,Categories)/$count").text(), "21");
    assert_eq!(get("$crossjoin(Products,Nope)").status, 404);
    assert_eq!(names("Products/$filter(Price gt 1000)"), ["Premium Laptop Pro"]);
    assert_eq!(get("Products/$filter(@f)/$count?@f=Category/Name eq 'Kitchen'").text(), "1");
}

#[test]
fn related_collections_take_options_like_sets() {
    let laptop = product("Laptop");
    let languages = json(&format!("Products({laptop})/Descriptions?$orderby=LanguageKey&$select=LanguageKey"));
    assert_eq!(languages["@odata.context"], format!("{}$metadata#ProductDescriptions(LanguageKey)", root()));
    assert_eq!(languages["value"][0]["LanguageKey"], "DE");
    assert_eq!(get(&format!("Products({laptop})/Descriptions/$count")).text(), "2");
    let references = json(&format!("Products({laptop})/Descriptions/$ref?$top=1"));
    assert_eq!(references["@odata.context"], format!("{}$metadata#Collection($ref)", root()));
    assert!(references["value"][0]["@odata.id"].as_str().unwrap().contains("LanguageKey='EN'"));
    assert_eq!(json(&format!("Products({laptop})/RelatedProducts"))["value"], object!([]));
}

#[test]
fn changes_are_followed_by_delta_links() {
    let tracked = |url: &str| send("GET", url, &[("Prefer", "odata.track-changes")], b"");
    let first = tracked("Products?$select=Name");
    assert_eq!(first.header("preference-applied"), Some("odata.track-changes"));
    let link = first.json()["@odata.deltaLink"].as_str().unwrap().strip_prefix(&root()).unwrap().to_owned();
    let delta = json(&link);
    assert_eq!(delta["@odata.context"], format!("{}$metadata#Products(Name)/$delta", root()));
    assert_eq!(delta["value"], object!([]));
    assert!(delta["@odata.deltaLink"].is_string());
    let again = delta["@odata.deltaLink"].as_str().unwrap().strip_prefix(&root()).unwrap();
    assert_eq!(json(again)["value"], object!([]));
    assert_eq!(get("Products?$deltatoken=unknown").status, 410);
    assert_eq!(get(&link.replacen("Products?", "Products/$count?", 1)).text(), "0");
    // The last page has the link, whatever its request prefers.
    let pages = [("Prefer", "track-changes,maxpagesize=5")];
    let first = send("GET", "Products?$select=Name", &pages, b"").json();
    assert!(first.get("@odata.deltaLink").is_none());
    let next = json(first["@odata.nextLink"].as_str().unwrap().strip_prefix(&root()).unwrap());
    assert_eq!(next["value"].as_array().unwrap().len(), 2);
    let followed = json(next["@odata.deltaLink"].as_str().unwrap().strip_prefix(&root()).unwrap());
    assert_eq!((&followed["value"], &followed["@odata.context"]), (&object!([]), &delta["@odata.context"]));
    let untracked: Answer = tracked("Categories");
    assert_eq!((untracked.header("preference-applied"), &untracked.json()["@odata.deltaLink"]), (None, &object!(null)));
}

#[test]
fn csv_and_ndjson_have_a_line_a_row() {
    let csv = get("Products?$select=Name,ShippingAddress/City&$top=1&$format=csv");
    assert!(csv.header("content-type").unwrap().starts_with("text/csv"));
    assert_eq!(csv.text(), "Name,ShippingAddress/City\r\nLaptop,Seattle\r\n");
    let accepted = send("GET", "Company?$select=HeadQuarter", &[("Accept", "text/csv")], b"");
    assert_eq!(accepted.text(), "HeadQuarter\r\n\"Seattle, WA, USA\"\r\n");
    let lines = get("Products?$select=Name&$top=2&$format=ndjson");
    assert_eq!(lines.text(), "{\"Name\":\"Laptop\"}\n{\"Name\":\"Wireless Mouse\"}\n");
}
