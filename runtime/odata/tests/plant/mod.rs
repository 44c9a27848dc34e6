//! A service over SQLite for the tests: what a host does with a query, from the SQL to the page token.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use bulkhead_odata::sql::{SqlFragment, SqlTranslator, SqlValue, decode_token, encode_token};
use bulkhead_odata::{EntitySet, EntityType, Error, Model, Page, PrimitiveType as T, Property, Query, Service, Value};
use rusqlite::types::Value as Cell;
use rusqlite::{Connection, Row, params_from_iter};
use std::sync::Mutex;

/// A plant with points and readings.
pub(crate) struct Plant {
    model: Model,
    connection: Mutex<Connection>,
}

fn column(name: &str) -> Option<String> {
    Some(format!("\"{name}\""))
}

impl Plant {
    /// Five readings and two points.
    pub(crate) fn new() -> Self {
        let reading = EntityType::new("Reading", ["Seq"])
            .with(Property::required("Seq", T::Int64).described("Number in the log; \"rising\""))
            .with(Property::required("Point", T::String))
            .with(Property::required("Time", T::DateTimeOffset))
            .with(Property::optional("Number", T::Double))
            .with(Property::optional("Exact", T::Decimal));
        let point = EntityType::new("Point", ["Connection", "Name"])
            .with(Property::required("Connection", T::String))
            .with(Property::required("Name", T::String))
            .with(Property::optional("Every", T::Duration))
            .with(Property::required("Writable", T::Boolean));
        let sets = vec![
            EntitySet::new("Readings", "Reading").described("Everything that was read"),
            EntitySet::new("Points", "Point"),
        ];
        let model = Model::new("Plant.V1", "Container", vec![reading, point], sets).unwrap();
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(
                "CREATE TABLE Readings (Seq INTEGER PRIMARY KEY, Point TEXT, Time INTEGER, Number REAL, Exact TEXT);
                 INSERT INTO Readings VALUES (1, 'flow', 1000000000, 1.5, '12.50'), (2, 'temp', 1500000000, NULL, NULL),
                   (3, 'flow', 2000000000, 9e999, '-1'), (4, 'temp', 3000000000, 61.0, NULL),
                   (9007199254740993, 'O''Neil & Sons', 4000000000, -0.25, '3');
                 CREATE TABLE Points (Connection TEXT, Name TEXT, Every INTEGER, Writable INTEGER);
                 INSERT INTO Points VALUES ('boiler', 'flow', 1500000000, 1), ('boiler', 'a/b', NULL, 0);",
            )
            .unwrap();
        Self { model, connection: Mutex::new(connection) }
    }

    /// Runs `SELECT … FROM set …` with the pieces' parameters.
    fn select<R>(&self, sql: &str, pieces: &[SqlFragment], read: impl Fn(&Row<'_>) -> R) -> Vec<R> {
        let connection = self.connection.lock().unwrap();
        let mut statement = connection.prepare(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        let parameters = pieces.iter().flat_map(|piece| &piece.parameters).map(cell);
        let mut rows = statement.query(params_from_iter(parameters)).unwrap();
        let mut found = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            found.push(read(row));
        }
        found
    }
}

fn always() -> SqlFragment {
    SqlFragment { text: "1".into(), parameters: vec![] }
}

impl Service for Plant {
    fn model(&self) -> &Model {
        &self.model
    }

    fn page_max_rows(&self) -> usize {
        3
    }

    fn read(&self, query: &Query<'_>) -> Result<Page, Error> {
        let translator = SqlTranslator::new(query.entity_type, &column);
        let mut pieces = vec![translator.order_values(&query.orderby)?];
        let next = |pieces: &[SqlFragment]| {
            translator.first_parameter(1 + pieces.iter().map(|piece| piece.parameters.len()).sum::<usize>())
        };
        pieces.push(query.filter.as_ref().map_or(Ok(always()), |filter| next(&pieces).filter(filter))?);
        pieces.push(match &query.page_token {
            Some(token) => next(&pieces).after(&query.orderby, &decode_token(token)?)?,
            None => query.key.as_ref().map_or(Ok(always()), |key| next(&pieces).key(key))?,
        });
        pieces.push(next(&pieces).order(&query.orderby)?);
        let columns: Vec<_> = query.column_names().map(|name| format!("\"{name}\"")).collect();
        let sql = format!(
            "SELECT {}, {} FROM {} WHERE {} AND {} ORDER BY {} LIMIT {} OFFSET {}",
            columns.join(", "),
            pieces[0].text,
            query.set.name,
            pieces[1].text,
            pieces[2].text,
            pieces[3].text,
            query.page_max_rows + 1,
            query.skip.unwrap_or(0),
        );
        let width = columns.len();
        let mut found = self.select(&sql, &pieces, |row| {
            let values = query.columns.iter().enumerate().map(|(index, position)| {
                value(row.get(index).unwrap(), query.entity_type.properties[*position].ty.primitive().unwrap())
            });
            let keys = (width..row.as_ref().column_count()).map(|index| sql_value(row.get(index).unwrap()));
            (values.collect::<Vec<_>>(), encode_token(&keys.collect::<Vec<_>>()))
        });
        let more = found.len() > query.page_max_rows;
        found.truncate(query.page_max_rows);
        let next_token = found.last().filter(|_| more).map(|(_, token)| token.clone());
        let count = if query.count { Some(self.count(query)?) } else { None };
        Ok(Page { rows: found.into_iter().map(|(row, _)| row).collect(), count, next_token })
    }

    fn count(&self, query: &Query<'_>) -> Result<u64, Error> {
        let translator = SqlTranslator::new(query.entity_type, &column);
        let filter = query.filter.as_ref().map_or(Ok(always()), |filter| translator.filter(filter))?;
        let sql = format!("SELECT count(*) FROM {} WHERE {}", query.set.name, filter.text);
        Ok(self.select(&sql, &[filter], |row| row.get::<_, u32>(0).unwrap())[0].into())
    }
}

fn cell(value: &SqlValue) -> Cell {
    match value.clone() {
        SqlValue::Null => Cell::Null,
        SqlValue::Integer(number) => Cell::Integer(number),
        SqlValue::Real(number) => Cell::Real(number),
        SqlValue::Text(text) => Cell::Text(text),
        SqlValue::Blob(bytes) => Cell::Blob(bytes),
    }
}

fn sql_value(cell: Cell) -> SqlValue {
    match cell {
        Cell::Null => SqlValue::Null,
        Cell::Integer(number) => SqlValue::Integer(number),
        Cell::Real(number) => SqlValue::Real(number),
        Cell::Text(text) => SqlValue::Text(text),
        Cell::Blob(bytes) => SqlValue::Blob(bytes),
    }
}

fn value(cell: Cell, ty: T) -> Value {
    match (cell, ty) {
        (Cell::Null, _) => Value::Null,
        (Cell::Integer(number), T::DateTimeOffset) => Value::DateTimeOffset(number),
        (Cell::Integer(number), T::Duration) => Value::Duration(number),
        (Cell::Integer(number), T::Boolean) => Value::Boolean(number != 0),
        (Cell::Integer(number), _) => Value::Int(number),
        (Cell::Real(number), _) => Value::Double(number),
        (Cell::Text(text), T::Decimal) => Value::Decimal(text),
        (Cell::Text(text), _) => Value::String(text),
        (Cell::Blob(bytes), _) => Value::Binary(bytes),
    }
}
