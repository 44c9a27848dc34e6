//! Values of properties and literals: what a service puts into its rows and finds in typed expressions.

use crate::geo::Geo;
use crate::model::{Base, PrimitiveType, Type};
use std::fmt;
use std::sync::Arc;

/// Where an entity is found by its key or name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Home {
    /// In a set, by its place in [`crate::Model::entity_sets`].
    Set(usize),
    /// As a singleton, by its place in [`crate::Model::singletons`].
    Singleton(usize),
    /// Nowhere: a complex value, or an entity that a request has made.
    None,
}

/// An entity or a complex value.
#[derive(Clone, PartialEq, Debug)]
pub struct Record {
    /// Its type, by its place in [`crate::Model::types`], or behind those for types a request has made.
    pub ty: usize,
    /// Where it is found.
    pub home: Home,
    /// A value for each property of its type.
    pub values: Vec<Value>,
}

/// A value. Which case belongs to which type: see [`Value::fits`].
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// No value.
    Null,
    /// `Edm.Boolean`
    Boolean(bool),
    /// Whole numbers of all types but `Edm.Decimal`, and members of enumerations.
    Int(i64),
    /// `Edm.Single` and `Edm.Double`; NaN and the infinities included.
    Double(f64),
    /// `Edm.Decimal`: digits as `-12.50` or `1.5E3`.
    Decimal(String),
    /// `Edm.String`
    String(String),
    /// `Edm.DateTimeOffset`: nanoseconds since the Unix epoch, UTC; years 1677 to 2262. A literal outside of them
    /// becomes the nearest end.
    DateTimeOffset(i64),
    /// `Edm.Duration`: nanoseconds; about 292 years either way.
    Duration(i64),
    /// `Edm.Guid`, as its 16 bytes in the order they are written.
    Guid([u8; 16]),
    /// `Edm.Date`: days since 1970-01-01.
    Date(i32),
    /// `Edm.TimeOfDay`: nanoseconds since midnight.
    TimeOfDay(i64),
    /// `Edm.Binary`
    Binary(Vec<u8>),
    /// A shape.
    Geo(Arc<Geo>),
    /// An entity or a complex value.
    Record(Arc<Record>),
    /// Values in order.
    Collection(Arc<Vec<Value>>),
}

impl Value {
    /// Whether this is a value of the type; null fits every type.
    #[must_use]
    pub fn fits(&self, ty: impl Into<Type>) -> bool {
        let ty = ty.into();
        match self {
            Value::Null => true,
            Value::Collection(items) => ty.collection && items.iter().all(|item| item.fits(ty.item())),
            _ if ty.collection => false,
            Value::Record(_) => matches!(ty.base, Base::Structured(_)),
            _ => match ty.base {
                Base::Primitive(primitive) => self.fits_primitive(primitive),
                Base::Enum(_) => matches!(self, Value::Int(_)),
                Base::Structured(_) => false,
            },
        }
    }

    fn fits_primitive(&self, ty: PrimitiveType) -> bool {
        match self {
            Value::Int(number) => ty.integer_range().is_some_and(|(least, most)| (least..=most).contains(number)),
            Value::Double(_) => matches!(ty, PrimitiveType::Double | PrimitiveType::Single),
            Value::Geo(shape) => match (shape.ty(), ty) {
                (PrimitiveType::Geography(_), PrimitiveType::Geography(crate::model::GeoKind::Any))
                | (PrimitiveType::Geometry(_), PrimitiveType::Geometry(crate::model::GeoKind::Any)) => true,
                (found, asked) => found == asked,
            },
            other => other.ty() == Some(ty),
        }
    }

    /// The items of a collection; nothing for null, itself for a single value.
    #[must_use]
    pub fn items(&self) -> &[Value] {
        match self {
            Value::Null => &[],
            Value::Collection(items) => items,
            single => std::slice::from_ref(single),
        }
    }

    /// The record, if it is one.
    #[must_use]
    pub fn record(&self) -> Option<&Arc<Record>> {
        match self {
            Value::Record(record) => Some(record),
            _ => None,
        }
    }

    /// The primitive type of the value; none for null, records and collections. Integers that fit into 32 bits are `Edm.Int32`.
    #[must_use]
    pub fn ty(&self) -> Option<PrimitiveType> {
        Some(match self {
            Value::Null | Value::Record(_) | Value::Collection(_) => return None,
            Value::Geo(shape) => shape.ty(),
            Value::Boolean(_) => PrimitiveType::Boolean,
            Value::Int(number) if i32::try_from(*number).is_ok() => PrimitiveType::Int32,
            Value::Int(_) => PrimitiveType::Int64,
            Value::Double(_) => PrimitiveType::Double,
            Value::Decimal(_) => PrimitiveType::Decimal,
            Value::String(_) => PrimitiveType::String,
            Value::DateTimeOffset(_) => PrimitiveType::DateTimeOffset,
            Value::Duration(_) => PrimitiveType::Duration,
            Value::Guid(_) => PrimitiveType::Guid,
            Value::Date(_) => PrimitiveType::Date,
            Value::TimeOfDay(_) => PrimitiveType::TimeOfDay,
            Value::Binary(_) => PrimitiveType::Binary,
        })
    }
}

/// The value as JSON and URLs write it, without quotes: `2026-01-02T03:04:05.6Z`, `PT1.5S`, `INF`. Binary: base64url.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Boolean(value) => write!(f, "{value}"),
            Value::Int(value) => write!(f, "{value}"),
            Value::Double(value) => write_double(f, *value),
            Value::Decimal(value) | Value::String(value) => f.write_str(value),
            Value::DateTimeOffset(ns) => {
                write!(f, "{}", jiff::Timestamp::from_nanosecond(i128::from(*ns)).map_err(|_| fmt::Error)?)
            }
            Value::Duration(ns) => write_duration(f, *ns),
            Value::Guid(bytes) => write_guid(f, bytes),
            Value::Date(days) => write_date(f, *days),
            Value::TimeOfDay(ns) => write_time_of_day(f, *ns),
            Value::Binary(bytes) => {
                use base64::Engine as _;
                f.write_str(&base64::engine::general_purpose::URL_SAFE.encode(bytes))
            }
            Value::Geo(shape) => write!(f, "{shape}"),
            // They have no form of their own as text: JSON writes them member by member.
            Value::Record(_) => f.write_str("{…}"),
            Value::Collection(_) => f.write_str("[…]"),
        }
    }
}

fn write_double(f: &mut fmt::Formatter<'_>, value: f64) -> fmt::Result {
    if value.is_nan() {
        f.write_str("NaN")
    } else if value.is_infinite() {
        f.write_str(if value > 0.0 { "INF" } else { "-INF" })
    } else {
        // The shortest digits that give the same number back, with an exponent where those would be many.
        write!(f, "{value:?}")
    }
}

const NS_PER_SECOND: u64 = 1_000_000_000;

/// Days, hours, minutes and seconds, as `dayTimeDuration` of XML Schema has them (ABNF `durationValue`).
fn write_duration(f: &mut fmt::Formatter<'_>, ns: i64) -> fmt::Result {
    if ns < 0 {
        f.write_str("-")?;
    }
    let total = ns.unsigned_abs();
    let (days, rest) = (total / (86_400 * NS_PER_SECOND), total % (86_400 * NS_PER_SECOND));
    f.write_str("P")?;
    if days > 0 {
        write!(f, "{days}D")?;
    }
    if rest == 0 && days > 0 {
        return Ok(());
    }
    f.write_str("T")?;
    let (hours, minutes) = (rest / (3_600 * NS_PER_SECOND), rest / (60 * NS_PER_SECOND) % 60);
    let seconds = rest % (60 * NS_PER_SECOND);
    if hours > 0 {
        write!(f, "{hours}H")?;
    }
    if minutes > 0 {
        write!(f, "{minutes}M")?;
    }
    if seconds > 0 || rest == 0 {
        write!(f, "{}", seconds / NS_PER_SECOND)?;
        write_fraction(f, seconds % NS_PER_SECOND)?;
        f.write_str("S")?;
    }
    Ok(())
}

fn write_fraction(f: &mut fmt::Formatter<'_>, ns: u64) -> fmt::Result {
    if ns == 0 {
        return Ok(());
    }
    write!(f, ".{}", format!("{ns:09}").trim_end_matches('0'))
}

fn write_guid(f: &mut fmt::Formatter<'_>, bytes: &[u8; 16]) -> fmt::Result {
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            f.write_str("-")?;
        }
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}

/// Days that the calendar at hand does not reach become its nearest end.
fn write_date(f: &mut fmt::Formatter<'_>, days: i32) -> fmt::Result {
    use jiff::civil::{Date, date};
    let span = jiff::Span::new().try_days(days);
    let reached = span.and_then(|span| date(1970, 1, 1).checked_add(span));
    let date = reached.unwrap_or(if days < 0 { Date::MIN } else { Date::MAX });
    let (sign, year) = if date.year() < 0 { ("-", -date.year()) } else { ("", date.year()) };
    write!(f, "{sign}{year:04}-{:02}-{:02}", date.month(), date.day())
}

fn write_time_of_day(f: &mut fmt::Formatter<'_>, ns: i64) -> fmt::Result {
    let ns = ns.unsigned_abs();
    let seconds = ns / NS_PER_SECOND;
    write!(f, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)?;
    write_fraction(f, ns % NS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_odata_writes_them() {
        let cases: [(Value, &str); 16] = [
            (Value::Double(f64::NEG_INFINITY), "-INF"),
            (Value::Double(f64::NAN), "NaN"),
            (Value::Double(0.1), "0.1"),
            (Value::Double(1e300), "1e300"),
            (Value::DateTimeOffset(0), "1970-01-01T00:00:00Z"),
            (Value::DateTimeOffset(1_500_000_001), "1970-01-01T00:00:01.500000001Z"),
            (Value::DateTimeOffset(-1), "1969-12-31T23:59:59.999999999Z"),
            (Value::Duration(0), "PT0S"),
            (Value::Duration(-86_400_000_000_000), "-P1D"),
            (Value::Duration(90_061_500_000_000), "P1DT1H1M1.5S"),
            (Value::Duration(i64::MIN), "-P106751DT23H47M16.854775808S"),
            (Value::Guid([0xAB; 16]), "abababab-abab-abab-abab-abababababab"),
            (Value::Date(-1), "1969-12-31"),
            (Value::Date(i32::MAX), "9999-12-31"),
            (Value::TimeOfDay(3_723_040_000_000), "01:02:03.04"),
            (Value::Binary(vec![0xFF, 0xEF]), "_-8="),
        ];
        for (value, text) in cases {
            assert_eq!(value.to_string(), text);
        }
    }

    #[test]
    fn an_integer_fits_int32_only_within_its_range() {
        assert!(Value::Int(2_147_483_647).fits(PrimitiveType::Int32));
        assert!(!Value::Int(2_147_483_648).fits(PrimitiveType::Int32));
        assert!(Value::Int(2_147_483_648).fits(PrimitiveType::Int64) && Value::Null.fits(PrimitiveType::Guid));
    }
}
