//! OData JSON: service document, collections, entities, errors (JSON Format 4.01). Collections are written row by row
//! into any writer, so that a host can stream them.

use crate::model::{Base, Type};
use crate::negotiate::{JsonFormat, Metadata, Negotiated};
use crate::url::encode_segment;
use crate::{EntitySet, EntityType, Error, Model, PrimitiveType, Property, Row, Value};
use std::io::{self, Write};

/// How an answer is written.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Style<'a> {
    /// The service root, absolute, ending with a slash.
    pub root: &'a str,
    /// The version and the form of names.
    pub negotiated: Negotiated,
    /// The flavour of JSON.
    pub format: JsonFormat,
}

impl Style<'_> {
    /// The name of a piece of control information: `@odata.count` or `@count`.
    pub(crate) fn control(&self, name: &str) -> String {
        format!("@{}{name}", if self.negotiated.short_names { "" } else { "odata." })
    }
}

/// What the rows are of.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Shape<'a> {
    /// The model.
    pub model: &'a Model,
    /// The set.
    pub set: &'a EntitySet,
    /// Its type.
    pub entity_type: &'a EntityType,
    /// The properties in each row, as [`crate::Query::columns`] has them.
    pub columns: &'a [usize],
    /// The properties to write, as [`crate::Query::select`] has them.
    pub select: Option<&'a [usize]>,
}

/// The service document: the entity sets and where they are.
#[must_use]
pub fn service_document(model: &Model, style: Style<'_>) -> Vec<u8> {
    let mut document = serde_json::Map::new();
    if style.format.metadata != Metadata::None {
        document.insert(style.control("context"), format!("{}$metadata", style.root).into());
    }
    let sets: Vec<_> =
        model
            .entity_sets()
            .iter()
            .map(|set| serde_json::json!({ "name": set.name, "kind": "EntitySet", "url": set.name }))
            .chain(model.singletons().iter().map(
                |singleton| serde_json::json!({ "name": singleton.name, "kind": "Singleton", "url": singleton.name }),
            ))
            .collect();
    document.insert("value".into(), sets.into());
    serde_json::Value::Object(document).to_string().into_bytes()
}

/// An error's body.
#[must_use]
pub fn error(error: &Error) -> Vec<u8> {
    let mut inner = serde_json::json!({ "code": error.code(), "message": error.to_string() });
    if let Some(target) = error.target() {
        inner["target"] = target.into();
    }
    serde_json::json!({ "error": inner }).to_string().into_bytes()
}

/// Writes a collection: [`CollectionWriter::begin`], rows, [`CollectionWriter::finish`].
pub struct CollectionWriter<'a, W: Write> {
    writer: W,
    style: Style<'a>,
    shape: Shape<'a>,
    rows: usize,
}

impl<'a, W: Write> CollectionWriter<'a, W> {
    /// Writes what comes before the rows.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn begin(mut writer: W, style: Style<'a>, shape: Shape<'a>, count: Option<u64>) -> io::Result<Self> {
        writer.write_all(b"{")?;
        if style.format.metadata != Metadata::None {
            write_string(&mut writer, &style.control("context"))?;
            writer.write_all(b":")?;
            write_string(&mut writer, &context(style.root, shape, false))?;
            writer.write_all(b",")?;
        }
        if let Some(count) = count {
            let quote = if style.format.ieee754_compatible { "\"" } else { "" };
            write!(writer, "\"{}\":{quote}{count}{quote},", style.control("count"))?;
        }
        writer.write_all(b"\"value\":[")?;
        Ok(Self { writer, style, shape, rows: 0 })
    }

    /// Writes one row.
    ///
    /// # Errors
    /// Those of the writer, and `InvalidData` for a row that is not of the type.
    pub fn row(&mut self, row: &Row) -> io::Result<()> {
        if self.rows > 0 {
            self.writer.write_all(b",")?;
        }
        self.rows += 1;
        self.writer.write_all(b"{")?;
        write_members(&mut self.writer, self.style, self.shape, row, true)?;
        self.writer.write_all(b"}")
    }

    /// Writes what comes after the rows and gives the writer back. The next link must be absolute.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn finish(mut self, next_link: Option<&str>) -> io::Result<W> {
        self.writer.write_all(b"]")?;
        if let Some(link) = next_link {
            write!(self.writer, ",\"{}\":", self.style.control("nextLink"))?;
            write_string(&mut self.writer, link)?;
        }
        self.writer.write_all(b"}")?;
        Ok(self.writer)
    }
}

/// Writes one entity.
///
/// # Errors
/// As [`CollectionWriter::row`].
pub fn write_entity(mut writer: impl Write, style: Style<'_>, shape: Shape<'_>, row: &Row) -> io::Result<()> {
    writer.write_all(b"{")?;
    let with_context = style.format.metadata != Metadata::None;
    if with_context {
        write_string(&mut writer, &style.control("context"))?;
        writer.write_all(b":")?;
        write_string(&mut writer, &context(style.root, shape, true))?;
    }
    write_members(&mut writer, style, shape, row, !with_context)?;
    writer.write_all(b"}")
}

/// The context URL (Part 1 §10.2, §10.3, §10.7).
fn context(root: &str, shape: Shape<'_>, entity: bool) -> String {
    let selected = shape.select.map_or_else(String::new, |select| {
        let names: Vec<_> =
            select.iter().map(|position| shape.entity_type.properties[*position].name.as_str()).collect();
        format!("({})", names.join(","))
    });
    format!("{root}$metadata#{}{selected}{}", shape.set.name, if entity { "/$entity" } else { "" })
}

/// Writes control information and properties of a row; `first` is false when a member stands before.
fn write_members(
    writer: &mut impl Write,
    style: Style<'_>,
    shape: Shape<'_>,
    row: &Row,
    mut first: bool,
) -> io::Result<()> {
    check_row(shape, row)?;
    let full = style.format.metadata == Metadata::Full;
    if full {
        let ty = format!("#{}.{}", shape.model.namespace(), shape.entity_type.name);
        write_name(writer, &style.control("type"), &mut first)?;
        write_string(writer, &ty)?;
        write_name(writer, &style.control("id"), &mut first)?;
        write_string(writer, &entity_url(style.root, shape, row))?;
    }
    for (position, value) in shape.columns.iter().zip(row) {
        if shape.select.is_some_and(|select| !select.contains(position)) {
            continue;
        }
        let property = &shape.entity_type.properties[*position];
        if full && !is_implied(property.ty) && *value != Value::Null {
            write_name(writer, &format!("{}{}", property.name, style.control("type")), &mut first)?;
            write_string(writer, &type_annotation(shape.model, property.ty, style.negotiated))?;
        }
        write_name(writer, &property.name, &mut first)?;
        let as_string = style.format.ieee754_compatible
            && matches!(property.ty.primitive(), Some(PrimitiveType::Int64 | PrimitiveType::Decimal));
        write_value(writer, value, as_string)?;
    }
    Ok(())
}

/// The value of `@odata.type`: a fragment, without `Edm.` for primitive types; those are no fragment for a client that asked
/// for 4.01 (JSON Format §4.6.3).
pub(crate) fn type_annotation(model: &Model, ty: Type, negotiated: Negotiated) -> String {
    let name = model.type_name(ty);
    match ty.base {
        Base::Primitive(_) if negotiated.short_names => name.replacen("Edm.", "", 1),
        Base::Primitive(_) => format!("#{}", name.replacen("Edm.", "", 1)),
        _ => format!("#{name}"),
    }
}

/// Types that a reader infers from the JSON itself (JSON Format §4.6.3).
pub(crate) fn is_implied(ty: Type) -> bool {
    matches!(ty.primitive(), Some(PrimitiveType::Boolean | PrimitiveType::String | PrimitiveType::Double))
}

fn check_row(shape: Shape<'_>, row: &Row) -> io::Result<()> {
    let refused = |message: String| Err(io::Error::new(io::ErrorKind::InvalidData, message));
    let set = &shape.set.name;
    if row.len() != shape.columns.len() {
        return refused(format!("{set}: a row has {} values for {} columns", row.len(), shape.columns.len()));
    }
    for (position, value) in shape.columns.iter().zip(row) {
        let property: &Property = &shape.entity_type.properties[*position];
        let null = *value == Value::Null;
        if !value.fits(property.ty) || (null && !property.nullable) {
            let found = value.ty().map_or("null", PrimitiveType::name);
            let ty = shape.model.type_name(property.ty);
            return refused(format!("{set}: property {} is {ty}, but the row has {found}", property.name));
        }
    }
    Ok(())
}

/// The URL of an entity by its key.
fn entity_url(root: &str, shape: Shape<'_>, row: &Row) -> String {
    let value_of = |position: usize| {
        let column = shape.columns.iter().position(|column| *column == position);
        column.map_or(&Value::Null, |column| &row[column])
    };
    let names = &shape.entity_type.key;
    let parts: Vec<String> = names
        .iter()
        .zip(shape.entity_type.key_positions())
        .map(|(name, position)| {
            let literal = encode_segment(&key_literal(value_of(position)));
            if names.len() == 1 { literal } else { format!("{name}={literal}") }
        })
        .collect();
    format!("{root}{}({})", shape.set.name, parts.join(","))
}

pub(crate) fn key_literal(value: &Value) -> String {
    match value {
        Value::String(text) => format!("'{}'", text.replace('\'', "''")),
        Value::Duration(_) => format!("duration'{value}'"),
        _ => value.to_string(),
    }
}

pub(crate) fn write_name(writer: &mut impl Write, name: &str, first: &mut bool) -> io::Result<()> {
    if !std::mem::take(first) {
        writer.write_all(b",")?;
    }
    write_string(writer, name)?;
    writer.write_all(b":")
}

pub(crate) fn write_string(writer: &mut impl Write, text: &str) -> io::Result<()> {
    serde_json::to_writer(writer, text).map_err(io::Error::from)
}

/// Writes a value (JSON Format §7.1); `as_string` for numbers that IEEE 754 would round.
pub(crate) fn write_value(writer: &mut impl Write, value: &Value, as_string: bool) -> io::Result<()> {
    match value {
        Value::Null => writer.write_all(b"null"),
        Value::Boolean(value) => write!(writer, "{value}"),
        Value::Int(number) if as_string => write!(writer, "\"{number}\""),
        Value::Int(number) => serde_json::to_writer(writer, number).map_err(io::Error::from),
        Value::Double(number) if number.is_finite() => serde_json::to_writer(writer, number).map_err(io::Error::from),
        Value::Decimal(digits) if !as_string && is_json_number(digits) => write!(writer, "{digits}"),
        Value::String(text) => write_string(writer, text),
        _ => write_string(writer, &value.to_string()),
    }
}

const NS_PER_SECOND: i64 = 1_000_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// Writes a moment as [`Value`] prints it: RFC 3339 in UTC, with as many digits of a second as it has.
pub(crate) fn write_moment(out: &mut Vec<u8>, ns: i64) {
    let (seconds, fraction) = (ns.div_euclid(NS_PER_SECOND), ns.rem_euclid(NS_PER_SECOND));
    let (days, second) = (seconds.div_euclid(SECONDS_PER_DAY), seconds.rem_euclid(SECONDS_PER_DAY));
    let (year, month, day) = civil(days);
    digits(out, year, 4);
    for (before, number) in
        [(b'-', month), (b'-', day), (b'T', second / 3_600), (b':', second / 60 % 60), (b':', second % 60)]
    {
        out.push(before);
        digits(out, number, 2);
    }
    if fraction != 0 {
        out.push(b'.');
        digits(out, fraction, 9);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
    out.push(b'Z');
}

/// Year, month and day of a day since 1970-01-01, in the Gregorian calendar. Years begin with March here, so that the day
/// of a leap year is the last; 400 years have 146,097 days.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// A number from 0 with so many digits.
fn digits(out: &mut Vec<u8>, number: i64, count: usize) {
    let start = out.len();
    out.resize(start + count, b'0');
    let mut rest = number;
    for place in out[start..].iter_mut().rev() {
        *place = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
}

fn is_json_number(text: &str) -> bool {
    serde_json::from_str::<serde_json::Number>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn moment(ns: i64) -> String {
        let mut out = Vec::new();
        write_moment(&mut out, ns);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn moments_at_the_edges_are_written_as_values_print_them() {
        for ns in [0, 1, -1, i64::MIN, i64::MAX, 951_782_400_000_000_000, 951_868_799_999_999_999, 1_500_000_000] {
            assert_eq!(moment(ns), Value::DateTimeOffset(ns).to_string(), "{ns}");
        }
        assert_eq!(moment(1_500_000_000), "1970-01-01T00:00:01.5Z");
    }

    proptest! {
        #[test]
        fn moments_are_written_as_values_print_them(ns in any::<i64>(), seconds in -9_000_000_000_i64..9_000_000_000) {
            prop_assert_eq!(moment(ns), Value::DateTimeOffset(ns).to_string());
            let ns = seconds * NS_PER_SECOND;
            prop_assert_eq!(moment(ns), Value::DateTimeOffset(ns).to_string());
        }
    }
}
