//! `Connections` and `Points`: lists the gateway has in memory, given to SQL as one JSON parameter, so that they are
//! filtered, sorted and paged by the same means as the log.

use super::service::explain;
use super::statement::{Statement, all_of, token};
use crate::limits::PAGE_MAX_BYTES;
use bulkhead_engine::ConnectionStatus;
use bulkhead_log::{Catalogue, Point, Query as Sql, SqlValue};
use bulkhead_odata::{EntityType, Error, Page, PrimitiveType, Query, Row, Value};
use serde_json::{Value as Json, json};

/// Rows of a list: each an array with a value for every property of the type, in its order.
pub(super) type Rows = Vec<Json>;

/// The connections as they are now.
pub(super) fn connections(connections: &[ConnectionStatus]) -> Rows {
    connections.iter().map(connection_row).collect()
}

fn connection_row(connection: &ConnectionStatus) -> Json {
    let fault = connection.last_fault.as_ref();
    json!([
        connection.name,
        connection.adapter,
        connection.enabled,
        connection.phase.name(),
        connection.phase.reason(),
        connection.points,
        connection.counters.readings,
        connection.counters.readings_bad,
        connection.faults.values().sum::<u64>(),
        fault.map(|fault| fault.time),
        fault.map(|fault| fault.code.as_str()),
        fault.map(|fault| fault.message.as_str()),
    ])
}

/// The points that were ever declared; with a key only that one.
pub(super) fn points(catalogue: &Catalogue, query: &Query<'_>) -> Rows {
    let wanted = query.key.as_ref().and_then(|key| match key.first() {
        Some((_, Value::Int(id))) => Some(*id),
        _ => None,
    });
    let is_wanted = |point: &&std::sync::Arc<Point>| wanted.is_none_or(|id| i64::from(point.id.0) == id);
    catalogue.iter().filter(is_wanted).map(|point| point_row(point, catalogue.is_current(point.id))).collect()
}

fn point_row(point: &Point, is_current: bool) -> Json {
    let info = &point.info;
    let limits = info.write.as_ref();
    json!([
        point.id,
        &*point.connection,
        info.name,
        info.kind.name(),
        info.unit,
        info.group,
        limits.is_some(),
        limits.and_then(|limits| limits.min),
        limits.and_then(|limits| limits.max),
        info.description,
        is_current,
    ])
}

/// The list as a table `l` whose columns are named as the properties; its JSON is the parameter of this number.
fn table(entity_type: &EntityType, parameter: usize) -> String {
    let names: Vec<String> = entity_type.properties.iter().map(|property| quoted(&property.name)).collect();
    let values: Vec<String> = (0..names.len()).map(|index| format!("value ->> {index}")).collect();
    format!("WITH l({}) AS MATERIALIZED (SELECT {} FROM json_each(?{parameter}))", names.join(", "), values.join(", "))
}

fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

/// Where SQL finds a property: in the column of its name. Names come from the model alone.
fn column(name: &str) -> Option<String> {
    Some(format!("l.{}", quoted(name)))
}

/// Counts what a filter lets through of a list.
pub(super) fn count(sql: &Sql, rows: &Rows, query: &Query<'_>) -> Result<u64, Error> {
    let mut statement = Statement::new(query.entity_type, &column);
    let list = statement.bind(SqlValue::Text(Json::from(rows.as_slice()).to_string()));
    let conditions = filter(&mut statement, query)?;
    let text = format!("{} SELECT count(*) FROM l WHERE {}", table(query.entity_type, list), all_of(&conditions));
    let counted = sql.collect(&text, &statement.parameters, 1).map_err(explain)?;
    match counted.first().and_then(|row| row.first()) {
        Some(SqlValue::Integer(number)) => Ok(u64::try_from(*number).unwrap_or(0)),
        _ => Err(Error::Internal("the rows could not be counted".into())),
    }
}

fn filter(statement: &mut Statement<'_>, query: &Query<'_>) -> Result<Vec<String>, Error> {
    query.filter.iter().map(|filter| statement.filter(filter)).collect()
}

/// Reads a page of a list.
pub(super) fn read(sql: &Sql, rows: &Rows, query: &Query<'_>) -> Result<Page, Error> {
    let count = if query.count { Some(count(sql, rows, query)?) } else { None };
    let mut page = Page { count, ..Page::default() };
    if query.page_max_rows == 0 {
        return Ok(page);
    }
    let (text, parameters) = page_statement(rows, query)?;
    let fixed = query.columns.len();
    let mut bytes = 0;
    let mut last_order = Vec::new();
    for mut values in sql.collect(&text, &parameters, query.page_max_rows + 1).map_err(explain)? {
        if page.rows.len() == query.page_max_rows || bytes >= PAGE_MAX_BYTES {
            page.next_token = Some(token(last_order));
            break;
        }
        last_order = values.split_off(fixed);
        bytes +=
            values.iter().map(|value| if let SqlValue::Text(text) = value { text.len() } else { 8 }).sum::<usize>();
        page.rows.push(typed(query, values));
    }
    Ok(page)
}

fn page_statement(rows: &Rows, query: &Query<'_>) -> Result<(String, Vec<SqlValue>), Error> {
    let mut statement = Statement::new(query.entity_type, &column);
    let list = statement.bind(SqlValue::Text(Json::from(rows.as_slice()).to_string()));
    let mut conditions = filter(&mut statement, query)?;
    conditions.extend(statement.place(query)?);
    let order_values = statement.order_values(query)?;
    let order = statement.order(query)?;
    let columns: Vec<String> = query.column_names().filter_map(column).collect();
    let text = format!(
        "{} SELECT {}, {order_values} FROM l WHERE {} ORDER BY {order} LIMIT {} OFFSET {}",
        table(query.entity_type, list),
        columns.join(", "),
        all_of(&conditions),
        query.page_max_rows as u64 + 1,
        query.skip.unwrap_or(0)
    );
    Ok((text, statement.parameters))
}

/// Values of columns as those of their properties.
fn typed(query: &Query<'_>, values: Vec<SqlValue>) -> Row {
    let types = query.columns.iter().map(|column| query.entity_type.properties[*column].ty.primitive());
    types.zip(values).map(|(ty, value)| typed_value(ty, value)).collect()
}

fn typed_value(ty: Option<PrimitiveType>, value: SqlValue) -> Value {
    match (ty, value) {
        (Some(PrimitiveType::Boolean), SqlValue::Integer(number)) => Value::Boolean(number != 0),
        (Some(PrimitiveType::DateTimeOffset), SqlValue::Integer(ns)) => Value::DateTimeOffset(ns),
        #[expect(clippy::cast_precision_loss, reason = "limits are floating-point numbers")]
        (Some(PrimitiveType::Double), SqlValue::Integer(number)) => Value::Double(number as f64),
        (_, SqlValue::Integer(number)) => Value::Int(number),
        (_, SqlValue::Real(number)) => Value::Double(number),
        (_, SqlValue::Text(text)) => Value::String(text),
        (_, SqlValue::Null | SqlValue::Blob(_)) => Value::Null,
    }
}
