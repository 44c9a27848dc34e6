//! What a model is made of: properties, navigation, structured types, enumerations, sets, singletons, operations.

use super::nearest;
use super::types::{PrimitiveType, Type};

/// A structural property.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Property {
    /// Its name: letters, digits, `_`, not beginning with a digit.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// Whether it may be null.
    pub nullable: bool,
    /// What it means; goes into `$metadata` as `Core.Description`.
    pub description: Option<String>,
    /// Most characters or bytes.
    pub max_length: Option<u32>,
    /// Most digits of a decimal, or digits of the fraction of a second.
    pub precision: Option<u32>,
    /// Digits behind the point of a decimal.
    pub scale: Option<u32>,
    /// Whether `$search` looks into it. If no property of a type says so, `$search` looks into all its texts.
    pub searchable: bool,
    /// Whether the service computes it; goes into `$metadata` as `Core.Computed`.
    pub computed: bool,
    /// Whether it never changes; goes into `$metadata` as `Core.Immutable`.
    pub immutable: bool,
    /// The media type of its bytes; goes into `$metadata` as `Core.MediaType`.
    pub media_type: Option<String>,
}

impl Property {
    /// A property that is never null.
    #[must_use]
    pub fn required(name: impl Into<String>, ty: impl Into<Type>) -> Self {
        Self {
            name: name.into(),
            ty: ty.into(),
            nullable: false,
            description: None,
            max_length: None,
            precision: None,
            scale: None,
            searchable: false,
            computed: false,
            immutable: false,
            media_type: None,
        }
    }

    /// A property that may be null.
    #[must_use]
    pub fn optional(name: impl Into<String>, ty: impl Into<Type>) -> Self {
        Self { nullable: true, ..Self::required(name, ty) }
    }

    /// The same with a description.
    #[must_use]
    pub fn described(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Whether it is a stream, which has no value in a row.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        self.ty == PrimitiveType::Stream
    }
}

/// A way from an entity to others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Navigation {
    /// Its name.
    pub name: String,
    /// The name of the type it leads to, without the namespace.
    pub target: String,
    /// The place of that type in [`super::Model::types`]; set when the model is made.
    pub target_type: usize,
    /// Whether it leads to many.
    pub collection: bool,
    /// Pairs of a property here and the property there that must be equal.
    pub constraints: Vec<(String, String)>,
}

impl Navigation {
    /// A way to at most one entity.
    #[must_use]
    pub fn one(name: impl Into<String>, target: impl Into<String>) -> Self {
        Self { name: name.into(), target: target.into(), target_type: 0, collection: false, constraints: Vec::new() }
    }

    /// A way to many entities.
    #[must_use]
    pub fn many(name: impl Into<String>, target: impl Into<String>) -> Self {
        Self { collection: true, ..Self::one(name, target) }
    }

    /// The same where the values of two properties must be equal.
    #[must_use]
    pub fn by(mut self, here: impl Into<String>, there: impl Into<String>) -> Self {
        self.constraints.push((here.into(), there.into()));
        self
    }

    /// The type of what is found.
    #[must_use]
    pub fn ty(&self) -> Type {
        Type { collection: self.collection, ..Type::structured(self.target_type) }
    }
}

/// A record with properties: an entity type with a key, or a complex type without one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StructuredType {
    /// Its name without the namespace.
    pub name: String,
    /// Names of the key properties, in the order in which a composite key is written; none for a complex type.
    pub key: Vec<String>,
    /// Its properties, in the order in which they are written; in a model those of the base type come first.
    pub properties: Vec<Property>,
    /// Its navigation properties; in a model those of the base type come first.
    pub navigation: Vec<Navigation>,
    /// The name of the type it is derived from.
    pub base: Option<String>,
    /// The place of the base type; set when the model is made.
    pub base_type: Option<usize>,
    /// How many of the properties are the base type's; set when the model is made.
    pub inherited_properties: usize,
    /// How many of the navigation properties are the base type's; set when the model is made.
    pub inherited_navigation: usize,
    /// Whether it is a complex type.
    pub complex: bool,
    /// Whether an entity is a stream of bytes with properties.
    pub has_stream: bool,
    /// The property that changes with every change of an entity.
    pub etag: Option<String>,
}

/// The usual use of a [`StructuredType`].
pub type EntityType = StructuredType;

impl StructuredType {
    /// An entity type without properties yet.
    #[must_use]
    pub fn new<K: Into<String>>(name: impl Into<String>, key: impl IntoIterator<Item = K>) -> Self {
        Self { name: name.into(), key: key.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// A complex type without properties yet.
    #[must_use]
    pub fn complex(name: impl Into<String>) -> Self {
        Self { name: name.into(), complex: true, ..Self::default() }
    }

    /// A type derived from another, without properties of its own yet.
    #[must_use]
    pub fn derived(name: impl Into<String>, base: impl Into<String>) -> Self {
        Self { name: name.into(), base: Some(base.into()), ..Self::default() }
    }

    /// The same with one more property.
    #[must_use]
    pub fn with(mut self, property: Property) -> Self {
        self.properties.push(property);
        self
    }

    /// The same with one more navigation property.
    #[must_use]
    pub fn leading(mut self, navigation: Navigation) -> Self {
        self.navigation.push(navigation);
        self
    }

    /// The position of a property in [`StructuredType::properties`].
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.properties.iter().position(|property| property.name == name)
    }

    /// The position of a navigation property in [`StructuredType::navigation`].
    #[must_use]
    pub fn navigation_position(&self, name: &str) -> Option<usize> {
        self.navigation.iter().position(|navigation| navigation.name == name)
    }

    /// The positions of the key properties, in the key's order.
    pub fn key_positions(&self) -> impl Iterator<Item = usize> + '_ {
        self.key.iter().filter_map(|name| self.position(name))
    }

    /// The name among its properties that a mistyped one was most likely meant to be.
    #[must_use]
    pub fn near_name(&self, name: &str) -> Option<&str> {
        let properties = self.properties.iter().map(|property| property.name.as_str());
        nearest(name, properties.chain(self.navigation.iter().map(|navigation| navigation.name.as_str())))
    }
}

/// An enumeration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EnumType {
    /// Its name without the namespace.
    pub name: String,
    /// Whether several members may be set at once.
    pub flags: bool,
    /// The integer type behind it.
    pub underlying: PrimitiveType,
    /// Names and values.
    pub members: Vec<(String, i64)>,
}

impl EnumType {
    /// The value of a text of members by name or number, separated by commas; none for an unknown member, or for several
    /// where only one is allowed.
    #[must_use]
    pub fn parse(&self, text: &str) -> Option<i64> {
        let mut value = 0;
        for (index, part) in text.split(',').map(str::trim).enumerate() {
            if index > 0 && !self.flags {
                return None;
            }
            let named = self.members.iter().find(|(name, _)| name == part).map(|(_, value)| *value);
            let numbered = || part.parse::<i64>().ok().filter(|number| self.knows(*number));
            value |= named.or_else(numbered)?;
        }
        Some(value)
    }

    /// Whether a number is a member, or made of members.
    fn knows(&self, number: i64) -> bool {
        let all = self.members.iter().fold(0, |all, (_, value)| all | value);
        self.members.iter().any(|(_, value)| *value == number) || (self.flags && number & !all == 0)
    }

    /// The members of a value, separated by commas; its number where no members make it.
    #[must_use]
    pub fn print(&self, value: i64) -> String {
        if let Some((name, _)) = self.members.iter().find(|(_, member)| *member == value) {
            return name.clone();
        }
        let set: Vec<_> = self.members.iter().filter(|(_, member)| *member != 0 && value & member == *member).collect();
        let made = set.iter().fold(0, |all, (_, member)| all | member);
        if !self.flags || made != value || set.is_empty() {
            return value.to_string();
        }
        set.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(",")
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
    /// Whether a client can follow its changes by delta links.
    pub tracks_changes: bool,
}

impl EntitySet {
    /// A set of entities of a type.
    #[must_use]
    pub fn new(name: impl Into<String>, entity_type: impl Into<String>) -> Self {
        Self { name: name.into(), entity_type: entity_type.into(), description: None, tracks_changes: false }
    }

    /// The same with a description.
    #[must_use]
    pub fn described(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }
}

/// One entity under a name in the service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Singleton {
    /// Its name, the first segment of its URLs.
    pub name: String,
    /// The name of its entity type, without the namespace.
    pub entity_type: String,
}

/// An action without parameters and result that the service offers at its root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ActionImport {
    /// The name of the action and of its import.
    pub name: String,
}
