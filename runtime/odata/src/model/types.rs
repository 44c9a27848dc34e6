//! The types of properties and expressions: primitive ones by name, enumerations and structured types by their place in the
//! model, and collections of each.

use std::fmt;

/// The shape of a geographic or geometric value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum GeoKind {
    /// Any shape.
    Any,
    /// A point.
    Point,
    /// Points joined by lines.
    LineString,
    /// An area with holes.
    Polygon,
    /// Points.
    MultiPoint,
    /// Lines.
    MultiLineString,
    /// Areas.
    MultiPolygon,
    /// Shapes of any kind.
    Collection,
}

impl GeoKind {
    const ALL: [Self; 8] = [
        Self::Any,
        Self::Point,
        Self::LineString,
        Self::Polygon,
        Self::MultiPoint,
        Self::MultiLineString,
        Self::MultiPolygon,
        Self::Collection,
    ];
}

macro_rules! primitive_types {
    ($($(#[$doc:meta])* $name:ident = $qualified:literal;)*) => {
        /// A primitive type of a property or an expression (CSDL 4.01 §3.3).
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum PrimitiveType {
            $($(#[$doc])* $name,)*
            /// A shape on the earth.
            Geography(GeoKind),
            /// A shape in a plane.
            Geometry(GeoKind),
        }

        impl PrimitiveType {
            /// Every type but the shapes.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its qualified name, such as `Edm.Int32`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $qualified,)*
                    Self::Geography(kind) => GEOGRAPHY[kind as usize],
                    Self::Geometry(kind) => GEOMETRY[kind as usize],
                }
            }
        }
    };
}

primitive_types! {
    /// True or false.
    Boolean = "Edm.Boolean";
    /// 8-bit unsigned integer.
    Byte = "Edm.Byte";
    /// 8-bit signed integer.
    SByte = "Edm.SByte";
    /// 16-bit signed integer.
    Int16 = "Edm.Int16";
    /// 32-bit signed integer.
    Int32 = "Edm.Int32";
    /// 64-bit signed integer.
    Int64 = "Edm.Int64";
    /// 32-bit floating-point number.
    Single = "Edm.Single";
    /// 64-bit floating-point number.
    Double = "Edm.Double";
    /// Decimal number of any length.
    Decimal = "Edm.Decimal";
    /// Text.
    String = "Edm.String";
    /// A moment; nanoseconds are kept.
    DateTimeOffset = "Edm.DateTimeOffset";
    /// A length of time; nanoseconds are kept.
    Duration = "Edm.Duration";
    /// A 16-byte identifier.
    Guid = "Edm.Guid";
    /// A day without a time.
    Date = "Edm.Date";
    /// A time without a day.
    TimeOfDay = "Edm.TimeOfDay";
    /// Bytes.
    Binary = "Edm.Binary";
    /// Bytes with a media type, read at a URL of their own.
    Stream = "Edm.Stream";
}

const GEOGRAPHY: [&str; 8] = [
    "Edm.Geography",
    "Edm.GeographyPoint",
    "Edm.GeographyLineString",
    "Edm.GeographyPolygon",
    "Edm.GeographyMultiPoint",
    "Edm.GeographyMultiLineString",
    "Edm.GeographyMultiPolygon",
    "Edm.GeographyCollection",
];

const GEOMETRY: [&str; 8] = [
    "Edm.Geometry",
    "Edm.GeometryPoint",
    "Edm.GeometryLineString",
    "Edm.GeometryPolygon",
    "Edm.GeometryMultiPoint",
    "Edm.GeometryMultiLineString",
    "Edm.GeometryMultiPolygon",
    "Edm.GeometryCollection",
];

impl PrimitiveType {
    /// The type of a qualified name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let geo = GeoKind::ALL.into_iter().flat_map(|kind| [Self::Geography(kind), Self::Geometry(kind)]);
        Self::ALL.iter().copied().chain(geo).find(|ty| ty.name() == name)
    }

    /// Whether it is a number.
    #[must_use]
    pub fn is_numeric(self) -> bool {
        self.is_integer() || matches!(self, Self::Single | Self::Double | Self::Decimal)
    }

    /// Whether it is a whole number.
    #[must_use]
    pub fn is_integer(self) -> bool {
        self.integer_range().is_some()
    }

    /// The least and the greatest whole number of the type; none for other types.
    #[must_use]
    pub fn integer_range(self) -> Option<(i64, i64)> {
        Some(match self {
            Self::Byte => (0, 255),
            Self::SByte => (-128, 127),
            Self::Int16 => (i64::from(i16::MIN), i64::from(i16::MAX)),
            Self::Int32 => (i64::from(i32::MIN), i64::from(i32::MAX)),
            Self::Int64 => (i64::MIN, i64::MAX),
            _ => return None,
        })
    }

    /// Whether it is a shape.
    #[must_use]
    pub fn is_geo(self) -> bool {
        matches!(self, Self::Geography(_) | Self::Geometry(_))
    }

    /// Whether it may be part of a key (CSDL 4.01 §6.5: no floating-point numbers, no binary, no shapes).
    #[must_use]
    pub fn may_be_key(self) -> bool {
        !matches!(self, Self::Single | Self::Double | Self::Binary | Self::Stream) && !self.is_geo()
    }
}

impl fmt::Display for PrimitiveType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A type without regard to collections.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Base {
    /// A primitive type.
    Primitive(PrimitiveType),
    /// An enumeration, by its place in [`super::Model::enum_types`].
    Enum(usize),
    /// A complex or entity type, by its place in [`super::Model::types`]; places behind those are of types that a request
    /// makes for itself, with `$compute` or `$apply`.
    Structured(usize),
}

/// The type of a property or an expression.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Type {
    /// What it is, or what its items are.
    pub base: Base,
    /// Whether it is a collection.
    pub collection: bool,
}

impl Type {
    /// A single value of an enumeration of the model.
    #[must_use]
    pub const fn of_enum(place: usize) -> Self {
        Self { base: Base::Enum(place), collection: false }
    }

    /// A single value of a structured type of the model.
    #[must_use]
    pub const fn structured(place: usize) -> Self {
        Self { base: Base::Structured(place), collection: false }
    }

    /// A collection of these.
    #[must_use]
    pub const fn many(self) -> Self {
        Self { collection: true, ..self }
    }

    /// One item of the collection.
    #[must_use]
    pub const fn item(self) -> Self {
        Self { collection: false, ..self }
    }

    /// The primitive type, unless it is a collection or no primitive type.
    #[must_use]
    pub const fn primitive(self) -> Option<PrimitiveType> {
        match self {
            Self { base: Base::Primitive(ty), collection: false } => Some(ty),
            _ => None,
        }
    }

    /// The place of the structured type of the value or its items.
    #[must_use]
    pub const fn structure(self) -> Option<usize> {
        match self.base {
            Base::Structured(place) => Some(place),
            _ => None,
        }
    }

    /// Whether it is a single number.
    #[must_use]
    pub fn is_numeric(self) -> bool {
        self.primitive().is_some_and(PrimitiveType::is_numeric)
    }
}

impl From<PrimitiveType> for Type {
    fn from(ty: PrimitiveType) -> Self {
        Self { base: Base::Primitive(ty), collection: false }
    }
}

impl PartialEq<PrimitiveType> for Type {
    fn eq(&self, other: &PrimitiveType) -> bool {
        self.primitive() == Some(*other)
    }
}
