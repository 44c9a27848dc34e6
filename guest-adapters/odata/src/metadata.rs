//! What `$metadata` says (OData CSDL XML 4.01) of entity sets, their types and properties. Only that is read.

use quick_xml::events::{BytesStart, Event};
use std::collections::{BTreeMap, HashMap};

/// Longest chain of base types.
const BASES_MAX: usize = 20;

/// The entity sets of a service and the types they are of.
#[derive(Debug, Default)]
pub(crate) struct Metadata {
    /// Name of each entity set and the qualified name of its type.
    pub(crate) sets: BTreeMap<String, String>,
    /// By qualified name.
    types: HashMap<String, EntityType>,
    /// Type definitions and what they are underneath.
    definitions: HashMap<String, String>,
    aliases: HashMap<String, String>,
}

#[derive(Clone, Debug, Default)]
struct EntityType {
    base: Option<String>,
    is_open: bool,
    key: Vec<String>,
    properties: Vec<Declared>,
}

/// A property as it is declared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Declared {
    pub(crate) name: String,
    pub(crate) type_name: String,
    pub(crate) is_nullable: bool,
    pub(crate) has_default: bool,
    pub(crate) precision: Option<u8>,
    pub(crate) scale: Option<u8>,
}

/// An entity set's type, its base types' properties included.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct SetType {
    /// It takes properties that it does not declare (`OpenType`, OData CSDL 4.01 §6.3).
    pub(crate) is_open: bool,
    pub(crate) key: Vec<String>,
    pub(crate) properties: Vec<Declared>,
}

impl Metadata {
    /// Reads the document.
    ///
    /// # Errors
    /// Half a sentence: why it is no CSDL XML.
    pub(crate) fn parse(xml: &str) -> Result<Metadata, String> {
        let mut reader = quick_xml::Reader::from_str(xml);
        let mut metadata = Metadata::default();
        let mut place = Place::default();
        loop {
            match reader.read_event().map_err(|error| format!("it is no XML: {error}"))? {
                Event::Start(element) => metadata.open(&element, &mut place, false),
                Event::Empty(element) => metadata.open(&element, &mut place, true),
                Event::End(element) if element.local_name().into_inner() == "EntityType" => place.entity_type = None,
                Event::Eof => break,
                _ => {}
            }
        }
        if metadata.types.is_empty() { Err("it declares no entity type".to_owned()) } else { Ok(metadata) }
    }

    fn open(&mut self, element: &BytesStart<'_>, place: &mut Place, is_empty: bool) {
        let qualified = |name: String| format!("{}.{name}", place.namespace);
        match element.local_name().into_inner() {
            "Schema" => {
                place.namespace = attribute(element, "Namespace").unwrap_or_default();
                if let Some(alias) = attribute(element, "Alias") {
                    self.aliases.insert(alias, place.namespace.clone());
                }
            }
            "EntityType" => {
                let name = qualified(attribute(element, "Name").unwrap_or_default());
                let entity_type = EntityType {
                    base: attribute(element, "BaseType"),
                    is_open: attribute(element, "OpenType").as_deref() == Some("true"),
                    ..EntityType::default()
                };
                self.types.insert(name.clone(), entity_type);
                place.entity_type = (!is_empty).then_some(name);
            }
            "TypeDefinition" => {
                let name = qualified(attribute(element, "Name").unwrap_or_default());
                self.definitions.insert(name, attribute(element, "UnderlyingType").unwrap_or_default());
            }
            "PropertyRef" => {
                let name = attribute(element, "Name").unwrap_or_default();
                if let Some(entity_type) = place.entity_type.as_ref().and_then(|known| self.types.get_mut(known)) {
                    entity_type.key.push(name);
                }
            }
            "Property" => {
                if let Some(entity_type) = place.entity_type.as_ref().and_then(|known| self.types.get_mut(known)) {
                    entity_type.properties.push(declared(element));
                }
            }
            "EntitySet" => {
                let set = (attribute(element, "Name"), attribute(element, "EntityType"));
                if let (Some(name), Some(entity_type)) = set {
                    self.sets.insert(name, entity_type);
                }
            }
            _ => {}
        }
    }

    /// The type of an entity set; none: there is no such set, or its type is not declared here.
    pub(crate) fn set_type(&self, set: &str) -> Option<SetType> {
        let mut next = Some(self.qualified(self.sets.get(set)?));
        let mut found = SetType::default();
        for _ in 0..BASES_MAX {
            let Some(name) = next else { break };
            let entity_type = self.types.get(&name)?;
            found.is_open |= entity_type.is_open;
            if found.key.is_empty() {
                found.key.clone_from(&entity_type.key);
            }
            for property in &entity_type.properties {
                let type_name = self.underlying(&property.type_name);
                found.properties.push(Declared { type_name, ..property.clone() });
            }
            next = entity_type.base.as_deref().map(|base| self.qualified(base));
        }
        Some(found)
    }

    /// A name whose alias is replaced by its namespace.
    fn qualified(&self, name: &str) -> String {
        match name.rsplit_once('.') {
            Some((prefix, last)) => format!("{}.{last}", self.aliases.get(prefix).map_or(prefix, String::as_str)),
            None => name.to_owned(),
        }
    }

    fn underlying(&self, type_name: &str) -> String {
        self.definitions.get(&self.qualified(type_name)).cloned().unwrap_or_else(|| type_name.to_owned())
    }
}

/// Where in the document the reader is.
#[derive(Debug, Default)]
struct Place {
    namespace: String,
    entity_type: Option<String>,
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = element.attributes().flatten().find(|attribute| attribute.key.into_inner() == name)?;
    found.normalized_value(quick_xml::XmlVersion::Implicit1_0).ok().map(|value| value.into_owned())
}

fn declared(element: &BytesStart<'_>) -> Declared {
    let number = |name| attribute(element, name).and_then(|text| text.parse().ok());
    Declared {
        name: attribute(element, "Name").unwrap_or_default(),
        type_name: attribute(element, "Type").unwrap_or_default(),
        is_nullable: attribute(element, "Nullable").is_none_or(|text| text != "false"),
        has_default: attribute(element, "DefaultValue").is_some(),
        precision: number("Precision"),
        scale: number("Scale"),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) const PLANT: &str = r#"<?xml version="1.0"?>
<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx"><edmx:DataServices>
 <Schema Namespace="Plant.Model" Alias="Self" xmlns="http://docs.oasis-open.org/odata/ns/edm">
  <TypeDefinition Name="Device" UnderlyingType="Edm.String"/>
  <EntityType Name="Thing" Abstract="true"><Key><PropertyRef Name="Device"/><PropertyRef Name="Time"/></Key>
   <Property Name="Device" Type="Self.Device" Nullable="false"/>
   <Property Name="Time" Type="Edm.DateTimeOffset" Nullable="false" Precision="3"/></EntityType>
  <EntityType Name="Measurement" BaseType="Self.Thing">
   <Property Name="Value" Type="Edm.Decimal" Precision="12" Scale="4"/>
   <Property Name="Quality" Type="Self.Quality" Nullable="false" DefaultValue="Good"/>
   <Property Name="Shift" Type="Edm.Int32" Nullable="false"/></EntityType>
  <EntityType Name="Note" OpenType="true"><Key><PropertyRef Name="Id"/></Key><Property Name="Id" Type="Edm.Int64"/></EntityType>
  <ComplexType Name="Other"><Property Name="Inner" Type="Edm.String"/></ComplexType>
  <EntityContainer Name="C"><EntitySet Name="Measurements" EntityType="Plant.Model.Measurement"/>
   <EntitySet Name="Machines" EntityType="Self.Thing"></EntitySet>
   <EntitySet Name="Notes" EntityType="Self.Note"/></EntityContainer>
 </Schema></edmx:DataServices></edmx:Edmx>"#;

    #[test]
    fn a_sets_type_has_its_bases_key_and_properties() {
        let set = Metadata::parse(PLANT).expect("CSDL").set_type("Measurements").expect("a set");
        assert_eq!(set.key, ["Device", "Time"]);
        let names: Vec<(&str, &str)> =
            set.properties.iter().map(|one| (one.name.as_str(), one.type_name.as_str())).collect();
        assert_eq!(
            names,
            [
                ("Value", "Edm.Decimal"),
                ("Quality", "Self.Quality"),
                ("Shift", "Edm.Int32"),
                ("Device", "Edm.String"),
                ("Time", "Edm.DateTimeOffset")
            ]
        );
        assert_eq!((set.properties[0].precision, set.properties[0].scale), (Some(12), Some(4)));
        assert!(set.properties[1].has_default && !set.properties[1].is_nullable);
    }

    #[test]
    fn what_is_no_metadata_is_an_error() {
        assert!(Metadata::parse("<html></html>").expect_err("HTML").contains("no entity type"));
        assert!(Metadata::parse("<a><b></a>").expect_err("torn").contains("no XML"));
    }

    proptest! {
        #[test]
        fn no_document_panics(at in 0usize..1_200, junk in "\\PC{0,10}") {
            let mut text = PLANT.to_owned();
            text.insert_str(at.min(text.len()), &junk);
            if let Ok(metadata) = Metadata::parse(&text) {
                for set in metadata.sets.keys() {
                    let _ = metadata.set_type(set);
                }
            }
        }
    }
}
