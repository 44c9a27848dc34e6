//! The entity data model a service serves, as plain values: structured types with keys, typed properties and navigation,
//! enumerations, entity sets, singletons, a container, a namespace. Checked once when it is made, so that the rest of the
//! crate may rely on it.

mod structured;
mod types;

pub use structured::{
    Abilities, ActionImport, EntitySet, EntityType, EnumType, Navigation, Operation, Property, Singleton,
    StructuredType,
};
pub use types::{Base, GeoKind, PrimitiveType, Type};

use crate::limits::IDENTIFIER_MAX_CHARS;
use thiserror::Error;

/// What a model is made of, before it is checked. Types name each other by name; properties name enumerations and complex
/// types by their place in these lists.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Parts {
    /// The namespace of all types; may have dots.
    pub namespace: String,
    /// The name of the entity container.
    pub container: String,
    /// Enumerations.
    pub enum_types: Vec<EnumType>,
    /// Complex and entity types; a base type stands before the types derived from it.
    pub types: Vec<StructuredType>,
    /// Entity sets.
    pub entity_sets: Vec<EntitySet>,
    /// Singletons.
    pub singletons: Vec<Singleton>,
    /// Actions at the root.
    pub actions: Vec<ActionImport>,
    /// Functions, and actions of entities.
    pub operations: Vec<Operation>,
    /// Whether operations may be named without the namespace (`Core.DefaultNamespace`).
    pub default_namespace: bool,
}

/// A checked model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Model {
    parts: Parts,
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
    /// A type that is not there.
    #[error("`{user}` is of type `{entity_type}`, which the model does not have, or has only behind it")]
    UnknownType {
        /// The set, the property or the type that names it.
        user: String,
        /// The type it names.
        entity_type: String,
    },
}

impl Model {
    /// Makes and checks a model of entity types with primitive properties. `namespace` may have dots.
    ///
    /// # Errors
    /// As [`Model::of`].
    pub fn new(
        namespace: impl Into<String>,
        container: impl Into<String>,
        entity_types: Vec<EntityType>,
        entity_sets: Vec<EntitySet>,
    ) -> Result<Self, ModelError> {
        Self::of(Parts {
            namespace: namespace.into(),
            container: container.into(),
            types: entity_types,
            entity_sets,
            ..Parts::default()
        })
    }

    /// Makes and checks a model: gives derived types what they inherit, and finds the types that navigation leads to.
    ///
    /// # Errors
    /// [`ModelError`] for a name that is not an identifier, a repeated name, a type without a usable key, an unknown type.
    pub fn of(mut parts: Parts) -> Result<Self, ModelError> {
        parts.namespace.split('.').try_for_each(check_name)?;
        check_name(&parts.container)?;
        let type_names = parts.types.iter().map(|ty| &*ty.name);
        check_distinct("type", type_names.chain(parts.enum_types.iter().map(|ty| &*ty.name)))?;
        let sets = parts.entity_sets.iter().map(|set| &*set.name);
        let singletons = parts.singletons.iter().map(|singleton| &*singleton.name);
        check_distinct("entity set", sets.chain(singletons).chain(parts.actions.iter().map(|action| &*action.name)))?;
        check_operations(&parts)?;
        inherit(&mut parts.types)?;
        lead(&mut parts.types)?;
        for ty in &parts.types {
            check_type(ty, &parts)?;
        }
        let model = Self { parts };
        let sets = model.parts.entity_sets.iter().map(|set| (&set.name, &set.entity_type));
        let singletons = model.parts.singletons.iter().map(|singleton| (&singleton.name, &singleton.entity_type));
        for (user, entity_type) in sets.chain(singletons) {
            if model.type_place(entity_type).is_none_or(|place| model.parts.types[place].complex) {
                return Err(ModelError::UnknownType { user: user.clone(), entity_type: entity_type.clone() });
            }
        }
        Ok(model)
    }

    /// The namespace of all types.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.parts.namespace
    }

    /// The name of the entity container.
    #[must_use]
    pub fn container(&self) -> &str {
        &self.parts.container
    }

    /// All complex and entity types.
    #[must_use]
    pub fn types(&self) -> &[StructuredType] {
        &self.parts.types
    }

    /// All enumerations.
    #[must_use]
    pub fn enum_types(&self) -> &[EnumType] {
        &self.parts.enum_types
    }

    /// All entity sets.
    #[must_use]
    pub fn entity_sets(&self) -> &[EntitySet] {
        &self.parts.entity_sets
    }

    /// All singletons.
    #[must_use]
    pub fn singletons(&self) -> &[Singleton] {
        &self.parts.singletons
    }

    /// All actions at the root.
    #[must_use]
    pub fn actions(&self) -> &[ActionImport] {
        &self.parts.actions
    }

    /// All functions, and actions of entities.
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.parts.operations
    }

    /// Whether operations may be named without the namespace.
    #[must_use]
    pub fn has_default_namespace(&self) -> bool {
        self.parts.default_namespace
    }

    /// The place of an operation, by its name as it stands in a URL: with the namespace, or without it where it is the
    /// default and the operation is bound. Bound to entities of a type, by its place, or to nothing.
    #[must_use]
    pub fn operation(&self, name: &str, bound_to: Option<usize>) -> Option<usize> {
        let qualified = name.strip_prefix(self.namespace()).and_then(|rest| rest.strip_prefix('.'));
        let name = match qualified {
            Some(name) => name,
            None if self.parts.default_namespace => name,
            None => return None,
        };
        self.parts.operations.iter().position(|operation| {
            let fits = match (&operation.bound_to, bound_to) {
                (None, None) => true,
                (Some(ty), Some(place)) => self.type_place(ty).is_some_and(|ty| self.is_a(place, ty)),
                _ => false,
            };
            fits && operation.name == name
        })
    }

    /// A set and its type, by the set's name.
    #[must_use]
    pub fn set(&self, name: &str) -> Option<(&EntitySet, &EntityType)> {
        let set = self.parts.entity_sets.iter().find(|set| set.name == name)?;
        Some((set, &self.parts.types[self.type_place(&set.entity_type)?]))
    }

    /// The place of a structured type, by its name without the namespace.
    #[must_use]
    pub fn type_place(&self, name: &str) -> Option<usize> {
        self.parts.types.iter().position(|ty| ty.name == name)
    }

    /// The set in which entities of a type are found: one of this very type, or else of a type it is derived from.
    #[must_use]
    pub fn set_of_type(&self, place: usize) -> Option<usize> {
        let mut place = Some(place);
        while let Some(found) = place {
            let name = &self.parts.types.get(found)?.name;
            if let Some(set) = self.parts.entity_sets.iter().position(|set| set.entity_type == *name) {
                return Some(set);
            }
            place = self.parts.types[found].base_type;
        }
        None
    }

    /// A type by its qualified name, as it stands in a URL: `Edm.Int32`, `Shop.Address`, `Collection(Edm.String)`.
    #[must_use]
    pub fn type_of_name(&self, name: &str) -> Option<Type> {
        if let Some(inner) = name.strip_prefix("Collection(").and_then(|rest| rest.strip_suffix(')')) {
            return self.type_of_name(inner).filter(|ty| !ty.collection).map(Type::many);
        }
        if let Some(ty) = PrimitiveType::from_name(name) {
            return Some(ty.into());
        }
        let name = name.strip_prefix(self.namespace())?.strip_prefix('.')?;
        let enumeration = self.parts.enum_types.iter().position(|ty| ty.name == name).map(Type::of_enum);
        enumeration.or_else(|| self.type_place(name).map(Type::structured))
    }

    /// The parts of the key of what a navigation leads to that its partner ties to the entity it comes from, as positions: the
    /// partner is a way back, to one, by the same properties.
    #[must_use]
    pub fn implied_key(&self, place: usize, navigation: usize) -> Vec<usize> {
        let Some(partner) = self.partner(place, navigation) else { return Vec::new() };
        let Some(way) = self.types().get(place).and_then(|ty| ty.navigation.get(navigation)) else { return Vec::new() };
        let there = &self.types()[way.target_type];
        if !way.collection || partner.collection {
            return Vec::new();
        }
        let keys: Vec<usize> = there.key_positions().collect();
        let tied = partner.constraints.iter().filter_map(|(own, _)| there.position(own));
        tied.filter(|position| keys.contains(position)).collect()
    }

    /// The way back along a navigation: one by the same properties.
    #[must_use]
    pub fn partner(&self, place: usize, navigation: usize) -> Option<&Navigation> {
        let here = self.types().get(place)?;
        let way = here.navigation.get(navigation)?;
        let back = |other: &&Navigation| {
            let same = |(own, theirs): &(String, String)| {
                other.constraints.iter().any(|(there, here)| there == theirs && here == own)
            };
            self.is_a(place, other.target_type)
                && !way.constraints.is_empty()
                && way.constraints.len() == other.constraints.len()
                && way.constraints.iter().all(same)
        };
        self.types()[way.target_type].navigation.iter().find(back)
    }

    /// Whether a qualified name is that of an action or a function.
    #[must_use]
    pub fn has_operation(&self, name: &str) -> bool {
        let name = name.strip_prefix(self.namespace()).and_then(|rest| rest.strip_prefix('.'));
        name.is_some_and(|name| {
            self.parts.actions.iter().any(|action| action.name == name)
                || self.parts.operations.iter().any(|operation| operation.name == name)
        })
    }

    /// The qualified name of a type.
    #[must_use]
    pub fn type_name(&self, ty: Type) -> String {
        let name = match ty.base {
            Base::Primitive(primitive) => primitive.name().to_owned(),
            Base::Enum(place) => format!("{}.{}", self.namespace(), self.parts.enum_types[place].name),
            Base::Structured(place) => match self.parts.types.get(place) {
                Some(found) => format!("{}.{}", self.namespace(), found.name),
                None => "Edm.ComplexType".to_owned(),
            },
        };
        if ty.collection { format!("Collection({name})") } else { name }
    }

    /// Whether a type is another or derived from it.
    #[must_use]
    pub fn is_a(&self, place: usize, of: usize) -> bool {
        let mut place = Some(place);
        while let Some(found) = place {
            if found == of {
                return true;
            }
            place = self.parts.types.get(found).and_then(|ty| ty.base_type);
        }
        false
    }
}

/// Gives derived types what they inherit.
fn inherit(types: &mut [StructuredType]) -> Result<(), ModelError> {
    for place in 0..types.len() {
        let (before, rest) = types.split_at_mut(place);
        let ty = &mut rest[0];
        let Some(name) = &ty.base else { continue };
        let Some(base_type) = before.iter().position(|base| base.name == *name && base.complex == ty.complex) else {
            return Err(ModelError::UnknownType { user: ty.name.clone(), entity_type: name.clone() });
        };
        let base = &before[base_type];
        ty.base_type = Some(base_type);
        ty.key.clone_from(&base.key);
        ty.etag = ty.etag.take().or_else(|| base.etag.clone());
        ty.has_stream |= base.has_stream;
        (ty.inherited_properties, ty.inherited_navigation) = (base.properties.len(), base.navigation.len());
        ty.properties.splice(0..0, base.properties.iter().cloned());
        ty.navigation.splice(0..0, base.navigation.iter().cloned());
    }
    Ok(())
}

/// Finds the types that navigation leads to.
fn lead(types: &mut [StructuredType]) -> Result<(), ModelError> {
    let names: Vec<String> = types.iter().map(|ty| ty.name.clone()).collect();
    for navigation in types.iter_mut().flat_map(|ty| &mut ty.navigation) {
        let target = &navigation.target;
        navigation.target_type = names
            .iter()
            .position(|name| name == target)
            .ok_or_else(|| ModelError::UnknownType { user: navigation.name.clone(), entity_type: target.clone() })?;
    }
    Ok(())
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

/// Bound operations may share a name; what stands at the root may not. Each is bound to a type that is there.
fn check_operations(parts: &Parts) -> Result<(), ModelError> {
    let unbound = parts.operations.iter().filter(|operation| operation.bound_to.is_none());
    let types = parts.types.iter().map(|ty| &*ty.name).chain(parts.enum_types.iter().map(|ty| &*ty.name));
    check_distinct("type or function", types.chain(unbound.map(|operation| &*operation.name)))?;
    for operation in &parts.operations {
        check_name(&operation.name)?;
        check_distinct("parameter", operation.parameters.iter().map(|parameter| &*parameter.name))?;
        if let Some(ty) = &operation.bound_to
            && !parts.types.iter().any(|known| known.name == *ty && !known.complex)
        {
            return Err(ModelError::UnknownType { user: operation.name.clone(), entity_type: ty.clone() });
        }
    }
    Ok(())
}

fn check_type(ty: &StructuredType, parts: &Parts) -> Result<(), ModelError> {
    let properties = ty.properties.iter().map(|property| &*property.name);
    check_distinct("property", properties.chain(ty.navigation.iter().map(|navigation| &*navigation.name)))?;
    for property in &ty.properties {
        let known = match property.ty.base {
            Base::Primitive(_) => true,
            Base::Enum(place) => place < parts.enum_types.len(),
            Base::Structured(place) => parts.types.get(place).is_some_and(|ty| ty.complex),
        };
        if !known {
            let entity_type = "a place in the model".to_owned();
            return Err(ModelError::UnknownType { user: property.name.clone(), entity_type });
        }
    }
    let refused = |property: &str| ModelError::Key { entity_type: ty.name.clone(), property: property.to_owned() };
    if ty.key.is_empty() && !ty.complex {
        return Err(refused(""));
    }
    for name in &ty.key {
        let found = ty.properties.iter().find(|property| property.name == *name);
        let may_be_key = |property: &Property| match property.ty.base {
            Base::Primitive(primitive) => primitive.may_be_key() && !property.ty.collection,
            Base::Enum(_) => !property.ty.collection,
            Base::Structured(_) => false,
        };
        if !found.is_some_and(|property| !property.nullable && may_be_key(property)) {
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
        assert_eq!(dangling, Err(ModelError::UnknownType { user: "Pumps".into(), entity_type: "Pump".into() }));
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
