//! The service document and `$metadata`, as XML and as JSON.

use crate::server::{get, json, root, send};
use serde_json::json as object;

#[test]
fn the_service_document_lists_sets_and_singletons() {
    let document = json("");
    assert_eq!(document["@odata.context"], format!("{}$metadata", root()));
    let found = document["value"].as_array().unwrap();
    let kind = |name: &str| found.iter().find(|item| item["name"] == name).unwrap()["kind"].clone();
    assert_eq!((kind("Products"), kind("Company")), (object!("EntitySet"), object!("Singleton")));
    assert_eq!(found.len(), 7);
}

#[test]
fn metadata_is_xml_or_json_as_the_client_asks() {
    for (url, accept, media_type) in [
        ("$metadata", "*/*", "application/xml"),
        ("$metadata", "application/xml", "application/xml"),
        ("$metadata", "application/json", "application/json"),
        ("$metadata", "application/json;q=0.2,application/xml;q=0.9", "application/xml"),
        ("$metadata?$format=json", "application/xml", "application/json"),
        ("$metadata?$format=xml", "application/json", "application/xml"),
        ("$metadata?$format=application/json", "*/*", "application/json"),
    ] {
        let answer = send("GET", url, &[("Accept", accept)], b"");
        assert!(answer.header("content-type").unwrap().starts_with(media_type), "{url} {accept}: {answer:?}");
    }
    assert_eq!(send("GET", "$metadata", &[("Accept", "text/plain")], b"").status, 406);
    assert_eq!(get("$metadata?$format=atom").status, 406);
}

/// The rules of the CSDL XML schema that a small reader can check: nesting, required attributes, names that are there.
#[test]
fn the_xml_follows_the_schemas_rules() {
    let xml = get("$metadata").text();
    let mut open: Vec<String> = Vec::new();
    let parents = [
        ("edmx:DataServices", "edmx:Edmx"),
        ("edmx:Reference", "edmx:Edmx"),
        ("edmx:Include", "edmx:Reference"),
        ("Schema", "edmx:DataServices"),
        ("EnumType", "Schema"),
        ("Member", "EnumType"),
        ("ComplexType", "Schema"),
        ("EntityType", "Schema"),
        ("Action", "Schema"),
        ("EntityContainer", "Schema"),
        ("Key", "EntityType"),
        ("PropertyRef", "Key"),
        ("NavigationProperty", "EntityType"),
        ("ReferentialConstraint", "NavigationProperty"),
        ("EntitySet", "EntityContainer"),
        ("Singleton", "EntityContainer"),
        ("ActionImport", "EntityContainer"),
        ("PropertyValue", "Record"),
    ];
    for tag in xml.split('<').skip(1).map(|rest| rest.split_once('>').unwrap().0) {
        if tag.starts_with('?') {
            continue;
        }
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name));
            continue;
        }
        let name = tag.trim_end_matches('/').split(' ').next().unwrap();
        if let Some((_, parent)) = parents.iter().find(|(child, _)| *child == name) {
            assert_eq!(open.last().map(String::as_str), Some(*parent), "{tag}");
        }
        let needs: &[&str] = match name {
            "Property" | "NavigationProperty" | "Singleton" => &["Name", "Type"],
            "EntitySet" => &["Name", "EntityType"],
            "NavigationPropertyBinding" => &["Path", "Target"],
            "ReferentialConstraint" => &["Property", "ReferencedProperty"],
            "Annotation" => &["Term"],
            "EntityType" | "ComplexType" | "EnumType" | "PropertyRef" | "Member" => &["Name"],
            _ => &[],
        };
        assert!(needs.iter().all(|attribute| tag.contains(&format!(" {attribute}=\""))), "{tag}");
        if !tag.ends_with('/') {
            open.push(name.to_owned());
        }
    }
    assert!(open.is_empty());
    for part in [
        r#"<EntityType Name="SpecialProduct" BaseType="Shop.Product"/>"#,
        r#"<EntityType Name="MediaItem" HasStream="true">"#,
        r#"<EnumType Name="ProductStatus" IsFlags="true">"#,
        r#"Type="Edm.Decimal" Nullable="false" Precision="38" Scale="18""#,
        r#"<NavigationProperty Name="Descriptions" Type="Collection(Shop.ProductDescription)" Partner="Product">"#,
        r#"<NavigationProperty Name="Category" Type="Shop.Category" Partner="Products">"#,
        r#"<NavigationProperty Name="RelatedProducts" Type="Collection(Shop.Product)">"#,
        r#"Type="Edm.GeographyPoint" SRID="4326""#,
        r#"<ActionImport Name="Reseed" Action="Shop.Reseed"/>"#,
    ] {
        assert!(xml.contains(part) || xml.contains(&part.replace("\">", "\"/>")), "{part}");
    }
}

#[test]
fn the_json_follows_the_schemas_rules_and_says_the_same() {
    let json = json("$metadata?$format=json");
    assert_eq!((json["$Version"].as_str(), json["$EntityContainer"].as_str()), (Some("4.01"), Some("Shop.Container")));
    let schema = json["Shop"].as_object().unwrap();
    let xml = get("$metadata").text();
    for (name, element) in schema {
        let kind = element["$Kind"].as_str().or_else(|| element[0]["$Kind"].as_str()).unwrap();
        assert!(xml.contains(&format!("<{kind} Name=\"{name}\"")), "{kind} {name}");
        let members = element.as_object().into_iter().flatten().filter(|(name, _)| !name.starts_with(['$', '@']));
        for (member, value) in members {
            if kind == "EnumType" {
                assert!(value.is_i64());
                continue;
            }
            assert!(xml.contains(&format!(" Name=\"{member}\"")), "{name}/{member}");
            assert!(value.get("$Type").is_none_or(serde_json::Value::is_string));
        }
    }
    assert_eq!(schema["Product"]["$Key"], object!(["ID"]));
    assert_eq!(schema["Product"]["Category"]["$ReferentialConstraint"], object!({ "CategoryID": "ID" }));
    assert_eq!(schema["DecimalSample"]["Amount"]["$Scale"], 18);
    let set = &schema["Container"]["Products"];
    assert_eq!(set["$NavigationPropertyBinding"]["Category"], "Categories");
    assert_eq!(set["@Org.OData.Capabilities.V1.InsertRestrictions"], object!({ "Insertable": false }));
}

#[test]
fn versions_of_the_schema_other_than_any_are_not_there() {
    assert_eq!(get("$metadata?$schemaversion=*").status, 200);
    assert_eq!(get("Products?$schemaversion=1.0").status, 404);
}
