//! Values as SQLite stores them.
//!
//! | kind | stored as |
//! | --- | --- |
//! | boolean, integer, time, duration | INTEGER (0 and 1; nanoseconds) |
//! | real | REAL; NaN, for which SQLite has no REAL, as a BLOB of its eight bytes, little-endian |
//! | decimal, text | TEXT |
//! | bytes | BLOB |
//! | file | BLOB: `BHF1`, the name's length (u16 little-endian), the name, the media type's length and it, the data |
//!
//! The kind is the point's: nothing in a row repeats it.

use crate::query::SqlValue;
use bulkhead_model::{File, Kind, Value};
use rusqlite::types::{ToSqlOutput, ValueRef};

/// The first bytes of a stored file.
const FILE_MAGIC: &[u8; 4] = b"BHF1";

/// A value as a parameter of a statement; borrowed wherever SQLite can copy it itself.
pub(crate) fn to_sql(value: Option<&Value>) -> ToSqlOutput<'_> {
    use rusqlite::types::Value as Owned;
    match value {
        None => ToSqlOutput::Owned(Owned::Null),
        Some(Value::Boolean(value)) => ToSqlOutput::Owned(Owned::Integer(i64::from(*value))),
        Some(Value::Integer(value) | Value::Time(value) | Value::Duration(value)) => {
            ToSqlOutput::Owned(Owned::Integer(*value))
        }
        Some(Value::Real(value)) if value.is_nan() => ToSqlOutput::Owned(Owned::Blob(value.to_le_bytes().to_vec())),
        Some(Value::Real(value)) => ToSqlOutput::Owned(Owned::Real(*value)),
        Some(Value::Decimal(text) | Value::Text(text)) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        Some(Value::Bytes(bytes)) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        Some(Value::File(file)) => ToSqlOutput::Owned(Owned::Blob(file_to_blob(file))),
    }
}

/// A parameter of [`to_sql`] as SQLite will give it back.
pub(crate) fn value_ref<'a>(value: &'a ToSqlOutput<'_>) -> ValueRef<'a> {
    match value {
        ToSqlOutput::Borrowed(value) => *value,
        ToSqlOutput::Owned(value) => value.into(),
        _ => ValueRef::Null,
    }
}

/// The value of a stored one, or none when it is not one that a point of this kind stores: damaged, or from a later
/// version.
pub(crate) fn from_sql(kind: Kind, stored: ValueRef<'_>) -> Option<Option<Value>> {
    let value = match (kind, stored) {
        (_, ValueRef::Null) => return Some(None),
        (Kind::Boolean, ValueRef::Integer(value)) => Value::Boolean(value != 0),
        (Kind::Integer, ValueRef::Integer(value)) => Value::Integer(value),
        (Kind::Time, ValueRef::Integer(value)) => Value::Time(value),
        (Kind::Duration, ValueRef::Integer(value)) => Value::Duration(value),
        (Kind::Real, ValueRef::Real(value)) => Value::Real(value),
        (Kind::Real, ValueRef::Blob(bytes)) => Value::Real(f64::from_le_bytes(bytes.try_into().ok()?)),
        (Kind::Decimal, ValueRef::Text(text)) => Value::Decimal(std::str::from_utf8(text).ok()?.to_owned()),
        (Kind::Text, ValueRef::Text(text)) => Value::Text(std::str::from_utf8(text).ok()?.to_owned()),
        (Kind::Bytes, ValueRef::Blob(bytes)) => Value::Bytes(bytes.to_owned()),
        (Kind::File, ValueRef::Blob(bytes)) => Value::File(Box::new(file_from_blob(bytes)?)),
        _ => return None,
    };
    Some(Some(value))
}

/// The value behind a column of [`crate::Query`]. `None` inside: the reading has no value. `None` outside: a point of
/// this kind stores no such thing.
#[must_use]
pub fn value_of(kind: Kind, stored: &SqlValue) -> Option<Option<Value>> {
    from_sql(kind, stored.as_ref())
}

fn file_to_blob(file: &File) -> Vec<u8> {
    let mut blob = Vec::with_capacity(FILE_MAGIC.len() + 4 + file.name.len() + file.media_type.len() + file.data.len());
    blob.extend_from_slice(FILE_MAGIC);
    for text in [&file.name, &file.media_type] {
        let text = cut_to_u16(text);
        blob.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_le_bytes());
        blob.extend_from_slice(text.as_bytes());
    }
    blob.extend_from_slice(&file.data);
    blob
}

/// Names and media types have at most 255 bytes by contract; what is longer than 65,535 is cut, never misread.
fn cut_to_u16(text: &str) -> &str {
    &text[..text.floor_char_boundary(usize::from(u16::MAX))]
}

fn file_from_blob(blob: &[u8]) -> Option<File> {
    let (name, rest) = take_text(blob.strip_prefix(FILE_MAGIC)?)?;
    let (media_type, data) = take_text(rest)?;
    Some(File { name, media_type, data: data.to_owned() })
}

fn take_text(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (text, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
    Some((std::str::from_utf8(text).ok()?.to_owned(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rusqlite::Connection;

    fn through_sqlite(value: &Value) -> Value {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t(value)").unwrap();
        connection.execute("INSERT INTO t VALUES (?1)", [to_sql(Some(value))]).unwrap();
        connection
            .query_row("SELECT value FROM t", [], |row| Ok(from_sql(value.kind(), row.get_ref(0)?)))
            .unwrap()
            .unwrap()
            .unwrap()
    }

    fn values() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<bool>().prop_map(Value::Boolean),
            any::<i64>().prop_map(Value::Integer),
            any::<f64>().prop_map(Value::Real),
            "-?[0-9]{1,30}\\.[0-9]{1,10}".prop_map(Value::Decimal),
            ".*".prop_map(Value::Text),
            any::<i64>().prop_map(Value::Time),
            any::<i64>().prop_map(Value::Duration),
            any::<Vec<u8>>().prop_map(Value::Bytes),
            (".*", ".*", any::<Vec<u8>>()).prop_map(|(name, media_type, data)| Value::File(Box::new(File {
                name,
                media_type,
                data
            }))),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn every_value_comes_back_as_it_was(value in values()) {
            let back = through_sqlite(&value);
            if let (Value::Real(before), Value::Real(after)) = (&value, &back) {
                prop_assert_eq!(before.is_nan(), after.is_nan());
                prop_assert!(before.is_nan() || before == after);
            } else {
                prop_assert_eq!(value, back);
            }
        }

        #[test]
        fn a_damaged_file_is_refused_and_never_read_past_its_end(blob in any::<Vec<u8>>()) {
            let mut with_magic = FILE_MAGIC.to_vec();
            with_magic.extend(blob);
            if let Some(file) = file_from_blob(&with_magic) {
                prop_assert_eq!(file_to_blob(&file), with_magic);
            }
        }
    }

    #[test]
    fn numbers_without_a_finite_value_stay_what_they_are() {
        assert!(matches!(through_sqlite(&Value::Real(f64::NAN)), Value::Real(value) if value.is_nan()));
        assert_eq!(through_sqlite(&Value::Real(f64::NEG_INFINITY)), Value::Real(f64::NEG_INFINITY));
    }

    #[test]
    fn another_kinds_value_is_not_taken_for_one() {
        assert_eq!(from_sql(Kind::Boolean, ValueRef::Real(1.0)), None);
        assert_eq!(from_sql(Kind::File, ValueRef::Blob(b"BHF1\xff\xffx")), None);
    }
}
