//! SQL statements in the making: fragments of the OData crate and their parameters, put together with numbers that do not
//! collide. Only text of this program and of that crate becomes SQL.

use bulkhead_log::SqlValue;
use bulkhead_odata::sql::{SqlValue as Bound, decode_token, encode_token};
use bulkhead_odata::{EntityType, Error, Query, SqlFragment, SqlTranslator, TypedExpr};

/// Gives the SQL expression of a property by its name; none for one that SQL cannot compute.
pub(super) type Columns<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Collects the parameters of one statement.
pub(super) struct Statement<'a> {
    entity_type: &'a EntityType,
    types: &'a [EntityType],
    columns: Columns<'a>,
    pub(super) parameters: Vec<SqlValue>,
}

impl<'a> Statement<'a> {
    pub(super) fn new(entity_type: &'a EntityType, columns: Columns<'a>) -> Self {
        Self { entity_type, types: &[], columns, parameters: Vec::new() }
    }

    /// The same for conditions that go along navigation to one entity.
    pub(super) fn with_types(self, types: &'a [EntityType]) -> Self {
        Self { types, ..self }
    }

    fn add(&mut self, write: impl FnOnce(&SqlTranslator<'_>) -> Result<SqlFragment, Error>) -> Result<String, Error> {
        let translator = SqlTranslator::new(self.entity_type, self.columns)
            .with_types(self.types)
            .first_parameter(self.parameters.len() + 1);
        let fragment = write(&translator)?;
        self.parameters.extend(fragment.parameters.into_iter().map(bound_to_log));
        Ok(fragment.text)
    }

    /// What WHERE demands for a condition.
    pub(super) fn filter(&mut self, filter: &TypedExpr) -> Result<String, Error> {
        self.add(|translator| translator.filter(filter))
    }

    /// The value of an expression.
    pub(super) fn value(&mut self, expression: &TypedExpr) -> Result<String, Error> {
        self.add(|translator| translator.value(expression))
    }

    /// What WHERE demands for a key and for the page behind a token.
    pub(super) fn place(&mut self, query: &Query<'_>) -> Result<Vec<String>, Error> {
        let mut conditions = Vec::new();
        if let Some(key) = &query.key {
            conditions.push(self.add(|translator| translator.key(key))?);
        }
        if let Some(token) = &query.page_token {
            let last = decode_token(token)?;
            conditions.push(self.add(|translator| translator.after(&query.orderby, &last))?);
        }
        Ok(conditions)
    }

    /// What stands after ORDER BY.
    pub(super) fn order(&mut self, query: &Query<'_>) -> Result<String, Error> {
        self.add(|translator| translator.order(&query.orderby))
    }

    /// The columns to sort by, for SELECT.
    pub(super) fn order_values(&mut self, query: &Query<'_>) -> Result<String, Error> {
        self.add(|translator| translator.order_values(&query.orderby))
    }
}

/// Conditions joined for WHERE; one that holds where there is none.
pub(super) fn all_of(conditions: &[String]) -> String {
    if conditions.is_empty() { "1".to_owned() } else { conditions.join(" AND ") }
}

/// How many items a list of SQL expressions has, which are this program's own: commas in parentheses are no separators,
/// and there are none in its texts.
pub(super) fn items(list: &str) -> usize {
    let (mut depth, mut items) = (0_usize, 1);
    for byte in list.bytes() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => items += 1,
            _ => {}
        }
    }
    items
}

/// The token of the page behind a row with these sort values.
pub(super) fn token(order_values: Vec<SqlValue>) -> String {
    let bound: Vec<Bound> = order_values.into_iter().map(log_to_bound).collect();
    encode_token(&bound)
}

fn bound_to_log(value: Bound) -> SqlValue {
    match value {
        Bound::Null => SqlValue::Null,
        Bound::Integer(number) => SqlValue::Integer(number),
        Bound::Real(number) => SqlValue::Real(number),
        Bound::Text(text) => SqlValue::Text(text),
        Bound::Blob(bytes) => SqlValue::Blob(bytes),
    }
}

pub(super) fn log_to_bound(value: SqlValue) -> Bound {
    match value {
        SqlValue::Null => Bound::Null,
        SqlValue::Integer(number) => Bound::Integer(number),
        SqlValue::Real(number) => Bound::Real(number),
        SqlValue::Text(text) => Bound::Text(text),
        SqlValue::Blob(bytes) => Bound::Blob(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_counted_outside_of_parentheses() {
        assert_eq!(items("r.seq"), 1);
        assert_eq!(items("CASE WHEN p.kind IN ('a', 'b') THEN CAST(r.value AS REAL) END, r.seq"), 2);
    }
}
