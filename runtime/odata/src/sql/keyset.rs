//! Order and keyset paging: a page begins behind the last row of the page before, named by the values it was sorted by,
//! so that no row is missed or repeated while others arrive.

use super::{SqlFragment, SqlTranslator, SqlValue, Truth, Writer};
use crate::typed::Node;
use crate::{Error, OrderBy, PrimitiveType};

/// One sort key in SQL.
struct SortKey {
    text: String,
    descending: bool,
    nullable: bool,
}

impl SqlTranslator<'_> {
    /// What to write after ORDER BY: the client's order, then the key in ascending order, so that it is total.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a property without an SQL expression.
    pub fn order(&self, orderby: &[OrderBy]) -> Result<SqlFragment, Error> {
        let mut writer = Writer::new(self);
        let keys = writer.sort_keys(orderby)?;
        let text = keys.iter().map(|key| format!("{} {}", key.text, if key.descending { "DESC" } else { "ASC" }));
        Ok(SqlFragment { text: text.collect::<Vec<_>>().join(", "), parameters: writer.parameters })
    }

    /// The values a row is sorted by, as a list for SELECT; those of a page's last row make the next page's token.
    ///
    /// # Errors
    /// As [`SqlTranslator::order`].
    pub fn order_values(&self, orderby: &[OrderBy]) -> Result<SqlFragment, Error> {
        let mut writer = Writer::new(self);
        let keys = writer.sort_keys(orderby)?;
        let text = keys.into_iter().map(|key| key.text).collect::<Vec<_>>().join(", ");
        Ok(SqlFragment { text, parameters: writer.parameters })
    }

    /// A condition for WHERE: the rows behind the one with these values, as [`decode_token`] gave them.
    ///
    /// # Errors
    /// As [`SqlTranslator::order`], and [`Error::Invalid`] if the values are not of this order.
    pub fn after(&self, orderby: &[OrderBy], last: &[SqlValue]) -> Result<SqlFragment, Error> {
        let mut writer = Writer::new(self);
        let keys = writer.sort_keys(orderby)?;
        if keys.len() != last.len() {
            return Err(Error::invalid("$skiptoken", "this token belongs to another $orderby"));
        }
        let mut alternatives = Vec::new();
        let mut equal_before = Vec::new();
        for (key, value) in keys.iter().zip(last) {
            let parameter = writer.bind(value.clone());
            let mut parts: Vec<String> = equal_before.clone();
            parts.push(behind(key, value, &parameter));
            alternatives.push(format!("({})", parts.join(" AND ")));
            let equals = if key.nullable { "IS" } else { "=" };
            equal_before.push(format!("{} {equals} {parameter}", key.text));
        }
        Ok(SqlFragment { text: format!("({})", alternatives.join(" OR ")), parameters: writer.parameters })
    }
}

/// Whether a sort key's value comes behind another; nulls come first when ascending, last when descending.
fn behind(key: &SortKey, value: &SqlValue, parameter: &str) -> String {
    let text = &key.text;
    match (value, key.descending) {
        (SqlValue::Null, false) => format!("{text} IS NOT NULL"),
        (SqlValue::Null, true) => "0".into(),
        (_, false) => format!("{text} > {parameter}"),
        (_, true) if key.nullable => format!("({text} < {parameter} OR {text} IS NULL)"),
        (_, true) => format!("{text} < {parameter}"),
    }
}

impl Writer<'_, '_> {
    fn sort_keys(&mut self, orderby: &[OrderBy]) -> Result<Vec<SortKey>, Error> {
        let mut keys = Vec::new();
        for item in orderby {
            let mut text = self.expression(&item.expression, Truth::Exact)?;
            let plain = matches!(item.expression.node, Node::Property(_));
            if item.expression.primitive() == Some(PrimitiveType::Boolean) && !plain {
                // SQLite may fold a condition to 0 or 1, and a whole number in ORDER BY is the number of a column.
                text = format!("coalesce({text}, NULL)");
            }
            keys.push(SortKey { text, descending: item.descending, nullable: item.expression.nullable });
        }
        for position in self.translator.entity_type.key_positions() {
            let text = self.property(position)?;
            if !keys.iter().any(|key| key.text == text) {
                keys.push(SortKey { text, descending: false, nullable: false });
            }
        }
        Ok(keys)
    }
}

/// A page token of the values of a row's sort keys.
#[must_use]
pub fn encode_token(values: &[SqlValue]) -> String {
    use base64::Engine as _;
    let items: Vec<serde_json::Value> = values
        .iter()
        .map(|value| match value {
            SqlValue::Null => serde_json::json!(null),
            SqlValue::Integer(number) => serde_json::json!({ "i": number }),
            // By its bits: JSON has no infinities.
            SqlValue::Real(number) => serde_json::json!({ "r": number.to_bits() }),
            SqlValue::Text(text) => serde_json::json!({ "t": text }),
            SqlValue::Blob(bytes) => serde_json::json!({ "b": bytes }),
        })
        .collect();
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(serde_json::Value::Array(items).to_string())
}

/// The values of a page token.
///
/// # Errors
/// [`Error::Invalid`] of `$skiptoken` for anything [`encode_token`] did not make.
pub fn decode_token(token: &str) -> Result<Vec<SqlValue>, Error> {
    use base64::Engine as _;
    let refused =
        || Error::invalid("$skiptoken", "this is no token of this service: follow the next link as it was given");
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token).map_err(|_| refused())?;
    let items: Vec<serde_json::Value> = serde_json::from_slice(&bytes).map_err(|_| refused())?;
    items.iter().map(|item| decode_item(item).ok_or_else(refused)).collect()
}

fn decode_item(item: &serde_json::Value) -> Option<SqlValue> {
    if item.is_null() {
        return Some(SqlValue::Null);
    }
    let (tag, value) = item.as_object()?.iter().next()?;
    match tag.as_str() {
        "i" => value.as_i64().map(SqlValue::Integer),
        "r" => value.as_u64().map(f64::from_bits).filter(|number| !number.is_nan()).map(SqlValue::Real),
        "t" => value.as_str().map(|text| SqlValue::Text(text.to_owned())),
        "b" => serde_json::from_value(value.clone()).ok().map(SqlValue::Blob),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_go_both_ways_and_foreign_ones_are_refused() {
        let values = vec![
            SqlValue::Null,
            SqlValue::Integer(i64::MIN),
            SqlValue::Real(f64::INFINITY),
            SqlValue::Text("a'b".into()),
            SqlValue::Blob(vec![0, 255]),
        ];
        assert_eq!(decode_token(&encode_token(&values)), Ok(values));
        for token in ["", "!", "bnVsbA", "W3sieCI6MX1d"] {
            assert_eq!(decode_token(token).unwrap_err().status(), 400, "{token}");
        }
    }
}
