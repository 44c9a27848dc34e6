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

    /// The same where `$search` looks into it.
    #[must_use]
    pub fn searched(mut self) -> Self {
        self.searchable = true;
        self
    }

    /// The same where it never changes.
    #[must_use]
    pub fn fixed(mut self) -> Self {
        self.immutable = true;
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
    /// Whether an entity's tag is made of all its values.
    pub etag_of_all: bool,
    /// Whether the tag stands only in the header of the answer to a request for one entity, and rows stay short.
    pub etag_in_header: bool,
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

    /// Its name, for messages: of one that a request has made, what that is.
    pub(crate) fn called(&self) -> &str {
        if self.name.is_empty() { "the result of $apply" } else { &self.name }
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

    /// The same where a property names the state of an entity.
    #[must_use]
    pub fn tagged(mut self, property: impl Into<String>) -> Self {
        self.etag = Some(property.into());
        self
    }

    /// The same where the tag stands only in the header of the answer to a request for one entity.
    #[must_use]
    pub fn tagged_in_header(mut self) -> Self {
        self.etag_in_header = true;
        self
    }

    /// The same where all values together name the state of an entity.
    #[must_use]
    pub fn tagged_by_all(mut self) -> Self {
        self.etag_of_all = true;
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
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EntitySet {
    /// Its name, the first segment of its URLs.
    pub name: String,
    /// The name of its entity type, without the namespace.
    pub entity_type: String,
    /// What it holds; goes into `$metadata` as `Core.Description`.
    pub description: Option<String>,
    /// Whether a client can follow its changes by delta links.
    pub tracks_changes: bool,
    /// Whether entities never change and never go while delta links to them are good: those that a filter once left out stay
    /// out.
    pub append_only: bool,
    /// What a client can do with it, as `$metadata` says it.
    pub abilities: Abilities,
}

/// What a client can do with a set, as `$metadata` says it by `Org.OData.Capabilities.V1`. All unless said otherwise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Abilities {
    /// `$search`
    pub search: bool,
    /// `$expand`
    pub expand: bool,
    /// `$apply`
    pub apply: bool,
    /// `$orderby`; the properties that it does not take.
    pub unsortable: Vec<String>,
}

impl Default for Abilities {
    fn default() -> Self {
        Self { search: true, expand: true, apply: true, unsortable: Vec::new() }
    }
}

impl EntitySet {
    /// A set of entities of a type.
    #[must_use]
    pub fn new(name: impl Into<String>, entity_type: impl Into<String>) -> Self {
        Self { name: name.into(), entity_type: entity_type.into(), ..Self::default() }
    }

    /// The same where clients can follow changes by delta links; `append_only` where entities never change.
    #[must_use]
    pub fn tracked(mut self, append_only: bool) -> Self {
        (self.tracks_changes, self.append_only) = (true, append_only);
        self
    }

    /// The same with other abilities.
    #[must_use]
    pub fn able(mut self, abilities: Abilities) -> Self {
        self.abilities = abilities;
        self
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

/// A function or an action: bound to entities of a type, or at the root of the service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operation {
    /// Its name without the namespace.
    pub name: String,
    /// Whether it is an action, which is asked for with POST and may change something; else a function, asked for with GET.
    pub is_action: bool,
    /// The name of the entity type it is bound to, without the namespace.
    pub bound_to: Option<String>,
    /// Its parameters, without the one it is bound to.
    pub parameters: Vec<Property>,
    /// The type of its value; none for an action without one. Of an entity's type: an entity of its set.
    pub result: Option<Type>,
    /// The function of expressions that it is by another name. Only such functions can stand in expressions.
    pub computes: Option<crate::typed::Function>,
    /// What it does; goes into `$metadata` as `Core.Description`.
    pub description: Option<String>,
}

impl Operation {
    /// An action bound to entities of a type, without parameters and value.
    #[must_use]
    pub fn action(name: impl Into<String>, bound_to: impl Into<String>) -> Self {
        let (name, bound_to) = (name.into(), Some(bound_to.into()));
        Self {
            name,
            is_action: true,
            bound_to,
            parameters: Vec::new(),
            result: None,
            computes: None,
            description: None,
        }
    }

    /// A function bound to entities of a type.
    #[must_use]
    pub fn function(name: impl Into<String>, bound_to: impl Into<String>, result: impl Into<Type>) -> Self {
        Self { is_action: false, result: Some(result.into()), ..Self::action(name, bound_to) }
    }

    /// A function of expressions under a name of the model, which also stands at the root of the service: the beginning of
    /// the span of time that a moment is in, by the parameters `Time` and `Width`.
    #[must_use]
    pub fn time_bucket(name: impl Into<String>) -> Self {
        let parameters = vec![
            Property::required("Time", PrimitiveType::DateTimeOffset),
            Property::required("Width", PrimitiveType::Duration),
        ];
        let function = Self::function(name, "", PrimitiveType::DateTimeOffset);
        Self { bound_to: None, parameters, computes: Some(crate::typed::Function::Bucket), ..function }
    }

    /// The same with one more parameter.
    #[must_use]
    pub fn taking(mut self, parameter: Property) -> Self {
        self.parameters.push(parameter);
        self
    }

    /// The same with a value.
    #[must_use]
    pub fn giving(mut self, result: impl Into<Type>) -> Self {
        self.result = Some(result.into());
        self
    }

    /// The same with a description.
    #[must_use]
    pub fn described(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }
}

/// An action without parameters and result that the service offers at its root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ActionImport {
    /// The name of the action and of its import.
    pub name: String,
}
