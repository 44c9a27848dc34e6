//! The entity data model a service serves, as plain values: entity types with keys and typed properties, entity sets, a
//! container, a namespace. Checked once when it is made, so that the rest of the crate may rely on it.

use crate::limits::IDENTIFIER_MAX_CHARS;
use std::fmt;
use thiserror::Error;

/// A primitive type of a property or an expression (CSDL 4.01 §3.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PrimitiveType {
    /// True or false.
    Boolean,
    /// 32-bit signed integer.
    Int32,
    /// 64-bit signed integer.
    Int64,
    /// 64-bit floating-point number.
    Double,
    /// Decimal number of any length.
    Decimal,
    /// Text.
    String,
    /// A moment; nanoseconds are kept.
    DateTimeOffset,
    /// A length of time; nanoseconds are kept.
    Duration,
    /// A 16-byte identifier.
    Guid,
    /// A day without a time.
    Date,
    /// A time without a day.
    TimeOfDay,
    /// Bytes.
    Binary,
}

impl PrimitiveType {
    /// Every type.
    pub const ALL: [Self; 12] = [
        Self::Boolean,
        Self::Int32,
        Self::Int64,
        Self::Double,
        Self::Decimal,
        Self::String,
        Self::DateTimeOffset,
        Self::Duration,
        Self::Guid,
        Self::Date,
        Self::TimeOfDay,
        Self::Binary,
    ];

    /// Its qualified name, such as `Edm.Int32`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "Edm.Boolean",
            Self::Int32 => "Edm.Int32",
            Self::Int64 => "Edm.Int64",
            Self::Double => "Edm.Double",
            Self::Decimal => "Edm.Decimal",
            Self::String => "Edm.String",
            Self::DateTimeOffset => "Edm.DateTimeOffset",
            Self::Duration => "Edm.Duration",
            Self::Guid => "Edm.Guid",
            Self::Date => "Edm.Date",
            Self::TimeOfDay => "Edm.TimeOfDay",
            Self::Binary => "Edm.Binary",
        }
    }

    /// Whether it is a number.
    #[must_use]
    pub fn is_numeric(self) -> bool {
        matches!(self, Self::Int32 | Self::Int64 | Self::Double | Self::Decimal)
    }

    /// Whether it may be part of a key (CSDL 4.01 §6.5: no floating-point numbers, no binary).
    #[must_use]
    pub fn may_be_key(self) -> bool {
        !matches!(self, Self::Double | Self::Binary)
    }
}

impl fmt::Display for PrimitiveType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A structural property of an entity type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Property {
    /// Its name: letters, digits, `_`, not beginning with a digit.
    pub name: String,
    /// Its type.
    pub ty: PrimitiveType,
    /// Whether it may be null.
    pub nullable: bool,
    /// What it means; goes into `$metadata` as `Core.Description`.
    pub description: Option<String>,
}

impl Property {
    /// A property that is never null.
    #[must_use]
    pub fn required(name: impl Into<String>, ty: PrimitiveType) -> Self {
        Self { name: name.into(), ty, nullable: false, description: None }
    }

    /// A property that may be null.
    #[must_use]
    pub fn optional(name: impl Into<String>, ty: PrimitiveType) -> Self {
        Self { name: name.into(), ty, nullable: true, description: None }
    }

    /// The same with a description.
    #[must_use]
    pub fn described(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }
}

/// An entity type: a record with a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EntityType {
    /// Its name without the namespace.
    pub name: String,
    /// Names of the key properties, in the order in which a composite key is written.
    pub key: Vec<String>,
    /// Its properties, in the order in which they are written.
    pub properties: Vec<Property>,
}

impl EntityType {
    /// A type without properties yet.
    #[must_use]
    pub fn new<K: Into<String>>(name: impl Into<String>, key: impl IntoIterator<Item = K>) -> Self {
        Self { name: name.into(), key: key.into_iter().map(Into::into).collect(), properties: Vec::new() }
    }

    /// The same with one more property.
    #[must_use]
    pub fn with(mut self, property: Property) -> Self {
        self.properties.push(property);
        self
    }

    /// The position of a property in [`EntityType::properties`].
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.properties.iter().position(|property| property.name == name)
    }

    /// The positions of the key properties, in the key's order.
    pub fn key_positions(&self) -> impl Iterator<Item = usize> + '_ {
        self.key.iter().filter_map(|name| self.position(name))
    }

    /// The name among its properties that a mistyped one was most likely meant to be.
    #[must_use]
    pub fn near_name(&self, name: &str) -> Option<&str> {
        nearest(name, self.properties.iter().map(|property| property.name.as_str()))
    }
}

/// A collection of entities under a name in the service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EntitySet {
    /// Its name, the first segment of its URLs.
    pub name: String,
    /// The name of its entity type, without the namespace.
    pub entity_type: String,
    /// What it holds; goes into `$metadata` as `Core.Description`.
    pub description: Option<String>,
}

impl EntitySet {
    /// A set of entities of a type.
    #[must_use]
    pub fn new(name: impl Into<String>, entity_type: impl Into<String>) -> Self {
        Self { name: name.into(), entity_type: entity_type.into(), description: None }
    }

    /// The same with a description.
    #[must_use]
    pub fn described(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }
}

/// A checked model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Model {
    namespace: String,
    container: String,
    entity_types: Vec<EntityType>,
    entity_sets: Vec<EntitySet>,
}

/// Why a model is none.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ModelError {
    /// A name that OData does not allow.
    #[error("`{0}` is not an OData identifier: use 1 to 128 letters, digits and _, not beginning with a digit")]
    Name(String),
    /// Two things of the same name.
    #[error("{what} `{name}` is there twice")]
    Twice {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A key that names no property, or one that cannot be a key.
    #[error("entity type `{entity_type}`: the key needs non-null properties of a key type, which `{property}` is not")]
    Key {
        /// The type.
        entity_type: String,
        /// The key property; empty when there is none.
        property: String,
    },
    /// A set of a type that is not there.
    #[error("entity set `{set}` is of type `{entity_type}`, which the model does not have")]
    UnknownType {
        /// The set.
        set: String,
        /// The type it names.
        entity_type: String,
    },
}

impl Model {
    /// Makes and checks a model. `namespace` may have dots.
    ///
    /// # Errors
    /// [`ModelError`] for a name that is not an identifier, a repeated name, a type without a usable key, a set of an
    /// unknown type.
    pub fn new(
        namespace: impl Into<String>,
        container: impl Into<String>,
        entity_types: Vec<EntityType>,
        entity_sets: Vec<EntitySet>,
    ) -> Result<Self, ModelError> {
        let model = Self { namespace: namespace.into(), container: container.into(), entity_types, entity_sets };
        model.namespace.split('.').try_for_each(check_name)?;
        check_name(&model.container)?;
        check_distinct("entity type", model.entity_types.iter().map(|ty| &*ty.name))?;
        check_distinct("entity set", model.entity_sets.iter().map(|set| &*set.name))?;
        model.entity_types.iter().try_for_each(check_type)?;
        for set in &model.entity_sets {
            if !model.entity_types.iter().any(|ty| ty.name == set.entity_type) {
                return Err(ModelError::UnknownType { set: set.name.clone(), entity_type: set.entity_type.clone() });
            }
        }
        Ok(model)
    }

    /// The namespace of all types.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name of the entity container.
    #[must_use]
    pub fn container(&self) -> &str {
        &self.container
    }

    /// All entity types.
    #[must_use]
    pub fn entity_types(&self) -> &[EntityType] {
        &self.entity_types
    }

    /// All entity sets.
    #[must_use]
    pub fn entity_sets(&self) -> &[EntitySet] {
        &self.entity_sets
    }

    /// A set and its type, by the set's name.
    #[must_use]
    pub fn set(&self, name: &str) -> Option<(&EntitySet, &EntityType)> {
        let set = self.entity_sets.iter().find(|set| set.name == name)?;
        let ty = self.entity_types.iter().find(|ty| ty.name == set.entity_type)?;
        Some((set, ty))
    }
}

/// Whether a text is an `odataIdentifier` (ABNF): 1 to 128 letters, digits and `_`, not beginning with a digit.
#[must_use]
pub fn is_identifier(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|first| first == '_' || first.is_alphabetic())
        && chars.all(|c| c == '_' || c.is_alphanumeric())
        && text.chars().count() <= IDENTIFIER_MAX_CHARS
}

/// The candidate most like `name`, if any is like it at all.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const LEAST_LIKENESS: f64 = 0.75;
    let wanted = name.to_lowercase();
    candidates
        .map(|candidate| (strsim::jaro_winkler(&wanted, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness >= LEAST_LIKENESS)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

fn check_name(name: &str) -> Result<(), ModelError> {
    if is_identifier(name) { Ok(()) } else { Err(ModelError::Name(name.to_owned())) }
}

fn check_distinct<'a>(what: &'static str, names: impl Iterator<Item = &'a str>) -> Result<(), ModelError> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        check_name(name)?;
        if !seen.insert(name) {
            return Err(ModelError::Twice { what, name: name.to_owned() });
        }
    }
    Ok(())
}

fn check_type(ty: &EntityType) -> Result<(), ModelError> {
    check_distinct("property", ty.properties.iter().map(|property| &*property.name))?;
    let refused = |property: &str| ModelError::Key { entity_type: ty.name.clone(), property: property.to_owned() };
    if ty.key.is_empty() {
        return Err(refused(""));
    }
    for name in &ty.key {
        let found = ty.properties.iter().find(|property| property.name == *name);
        if !found.is_some_and(|property| !property.nullable && property.ty.may_be_key()) {
            return Err(refused(name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boiler() -> EntityType {
        EntityType::new("Boiler", ["Id"])
            .with(Property::required("Id", PrimitiveType::Int32))
            .with(Property::optional("FlowTemperature", PrimitiveType::Double))
    }

    #[test]
    fn a_model_with_a_dangling_set_or_a_bad_key_is_refused() {
        let dangling = Model::new("N", "C", vec![boiler()], vec![EntitySet::new("Pumps", "Pump")]);
        assert_eq!(dangling, Err(ModelError::UnknownType { set: "Pumps".into(), entity_type: "Pump".into() }));
        let nullable = EntityType::new("T", ["Id"]).with(Property::optional("Id", PrimitiveType::Int32));
        assert!(matches!(Model::new("N", "C", vec![nullable], vec![]), Err(ModelError::Key { .. })));
        let float = EntityType::new("T", ["Id"]).with(Property::required("Id", PrimitiveType::Double));
        assert!(matches!(Model::new("N", "C", vec![float], vec![]), Err(ModelError::Key { .. })));
        let no_key = EntityType::new("T", [""; 0]).with(Property::required("Id", PrimitiveType::Int32));
        assert!(matches!(Model::new("N", "C", vec![no_key], vec![]), Err(ModelError::Key { .. })));
    }

    #[test]
    fn names_must_be_identifiers_and_distinct() {
        assert!(matches!(Model::new("N.9x", "C", vec![], vec![]), Err(ModelError::Name(_))));
        let twice = vec![boiler(), boiler()];
        assert!(matches!(Model::new("N", "C", twice, vec![]), Err(ModelError::Twice { .. })));
        assert!(is_identifier("_Größe9") && !is_identifier("") && !is_identifier("a.b") && !is_identifier("9a"));
        assert!(!is_identifier(&"a".repeat(129)));
    }

    #[test]
    fn a_mistyped_name_finds_its_neighbour() {
        assert_eq!(boiler().near_name("flowtemprature"), Some("FlowTemperature"));
        assert_eq!(boiler().near_name("Quantity"), None);
    }
}
