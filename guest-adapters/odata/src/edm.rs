//! The primitive types of OData (OData CSDL 4.01 §3.3) that a property can be written as.

use serde::Deserialize;

macro_rules! edm_types {
    ($($(#[$doc:meta])* $case:ident = $name:literal,)*) => {
        /// A primitive type.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
        #[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
        pub enum EdmType {
            $($(#[$doc])* #[serde(rename = $name)] $case,)*
        }

        impl EdmType {
            /// Its name: `Edm.Decimal`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(EdmType::$case => $name,)* }
            }
        }
    };
}

edm_types! {
    /// True or false.
    Boolean = "Edm.Boolean",
    /// 0 to 255.
    Byte = "Edm.Byte",
    /// -128 to 127.
    SByte = "Edm.SByte",
    /// A whole number of 16 bits.
    Int16 = "Edm.Int16",
    /// A whole number of 32 bits.
    Int32 = "Edm.Int32",
    /// A whole number of 64 bits.
    Int64 = "Edm.Int64",
    /// A 32-bit float.
    Single = "Edm.Single",
    /// A 64-bit float.
    Double = "Edm.Double",
    /// A decimal number with all its digits.
    Decimal = "Edm.Decimal",
    /// A text.
    String = "Edm.String",
    /// A moment.
    DateTimeOffset = "Edm.DateTimeOffset",
    /// A date in UTC.
    Date = "Edm.Date",
    /// A time of day in UTC.
    TimeOfDay = "Edm.TimeOfDay",
    /// A length of time.
    Duration = "Edm.Duration",
    /// A GUID.
    Guid = "Edm.Guid",
    /// Bytes.
    Binary = "Edm.Binary",
}

impl EdmType {
    /// The lowest and highest whole number of a type that holds only those.
    #[must_use]
    pub fn whole_range(self) -> Option<(i64, i64)> {
        match self {
            EdmType::Byte => Some((0, 255)),
            EdmType::SByte => Some((-128, 127)),
            EdmType::Int16 => Some((i16::MIN.into(), i16::MAX.into())),
            EdmType::Int32 => Some((i32::MIN.into(), i32::MAX.into())),
            EdmType::Int64 => Some((i64::MIN, i64::MAX)),
            _ => None,
        }
    }
}
