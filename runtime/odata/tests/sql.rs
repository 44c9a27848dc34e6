//! The SQL that filters and orders become, run on a real database.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use bulkhead_odata::limits::Limits;
use bulkhead_odata::plan::{Circumstances, Plan, plan};
use bulkhead_odata::sql::{SqlFragment, SqlTranslator, SqlValue, decode_token, encode_token};
use bulkhead_odata::{EntitySet, EntityType, Error, Model, PrimitiveType as T, Property, Query};
use rusqlite::types::{Value as Cell, ValueRef};
use rusqlite::{Connection, params_from_iter};

fn model() -> Model {
    let ty = EntityType::new("Reading", ["Id"])
        .with(Property::required("Id", T::Int64))
        .with(Property::required("Name", T::String))
        .with(Property::optional("Note", T::String))
        .with(Property::optional("Number", T::Double))
        .with(Property::optional("Limit", T::Double))
        .with(Property::optional("Price", T::Decimal))
        .with(Property::optional("On", T::Boolean))
        .with(Property::required("Time", T::DateTimeOffset))
        .with(Property::optional("Tag", T::Guid))
        .with(Property::optional("Hidden", T::String));
    Model::new("N", "C", vec![ty], vec![EntitySet::new("Readings", "Reading")]).unwrap()
}

fn columns(name: &str) -> Option<String> {
    (name != "Hidden").then(|| format!("r.\"{}\"", name.to_lowercase()))
}

fn database() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection
        .execute_batch(
            "CREATE TABLE r (id INTEGER PRIMARY KEY, name TEXT NOT NULL, note TEXT, number REAL, \"limit\" REAL,
                             price TEXT, \"on\" INTEGER, time INTEGER NOT NULL, tag TEXT);
             INSERT INTO r VALUES
             (1, 'flow', NULL,      1.5,   2.0,  '9.50',  1,    0,                   NULL),
             (2, 'Flow', 'x''y',    NULL,  1.0,  '10.50', 0,    1000000000,          'a1234567-89ab-cdef-0123-456789abcdef'),
             (3, 'temp', '',        -3.0,  NULL, NULL,    NULL, 1767323045678000000, NULL),
             (4, 'Größe','100%',    9e999, 5.0,  '-1',    1,    -1,                  NULL),
             (5, 'a_b',  NULL,      NULL,  NULL, '10.5',  NULL, 86400000000000,      NULL);",
        )
        .unwrap();
    connection
}

fn query<'m>(model: &'m Model, options: &str) -> Result<Query<'m>, Error> {
    let circumstances = Circumstances { page_max_rows: 100, now_ns: 2_000_000_000, limits: Limits::default() };
    match plan(model, "Readings", options, circumstances)?.0 {
        Plan::Read { query, .. } => Ok(query),
        other => panic!("{other:?}"),
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

fn sql_value(value: ValueRef<'_>) -> SqlValue {
    match value {
        ValueRef::Null => SqlValue::Null,
        ValueRef::Integer(number) => SqlValue::Integer(number),
        ValueRef::Real(number) => SqlValue::Real(number),
        ValueRef::Text(text) => SqlValue::Text(String::from_utf8(text.to_vec()).unwrap()),
        ValueRef::Blob(bytes) => SqlValue::Blob(bytes.to_vec()),
    }
}

fn ids(connection: &Connection, condition: &SqlFragment) -> Vec<i64> {
    let sql = format!("SELECT id FROM r WHERE {} ORDER BY id", condition.text);
    let mut statement = connection.prepare(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let rows = statement.query_map(params_from_iter(condition.parameters.iter().map(cell)), |row| row.get(0));
    rows.unwrap().map(Result::unwrap).collect()
}

/// The rows a filter lets through.
fn filtered(filter: &str) -> Vec<i64> {
    let model = model();
    let query = query(&model, &format!("$filter={}", bulkhead_odata::url::encode(filter))).unwrap();
    let translator = SqlTranslator::new(query.entity_type, &columns);
    ids(&database(), &translator.filter(&query.filter.unwrap()).unwrap())
}

#[test]
fn filters_let_through_what_the_standard_says() {
    let cases: &[(&str, &[i64])] = &[
        ("Id eq 3", &[3]),
        ("Number eq null", &[2, 5]),
        ("Number ne null", &[1, 3, 4]),
        ("null eq Number", &[2, 5]),
        ("null eq null", &[1, 2, 3, 4, 5]),
        ("null gt null", &[]),
        ("null ge null", &[1, 2, 3, 4, 5]),
        ("Number gt 0", &[1, 4]),
        ("not (Number gt 0)", &[2, 3, 5]),
        ("Number ne 1.5", &[2, 3, 4, 5]),
        ("not (Number eq 1.5)", &[2, 3, 4, 5]),
        ("Number eq Limit", &[5]),
        ("Number ge Limit", &[4, 5]),
        ("Number gt Limit", &[4]),
        ("not (Number ge Limit)", &[1, 2, 3]),
        ("Number gt null", &[]),
        ("not (Number lt null)", &[1, 2, 3, 4, 5]),
        ("Number eq INF", &[4]),
        ("Number eq NaN", &[]),
        ("Number ne NaN", &[1, 2, 3, 4, 5]),
        ("Price eq 10.5", &[2, 5]),
        ("Price gt 9", &[1, 2, 5]),
        ("Price lt 0 or Id eq 1", &[1, 4]),
        ("On", &[1, 4]),
        ("not On", &[2]),
        ("On eq false", &[2]),
        ("On ne true", &[2, 3, 5]),
        ("(Number gt 0) eq false", &[2, 3, 5]),
        ("Id in (1,3,99)", &[1, 3]),
        ("not (Number in (1.5,-3))", &[2, 4, 5]),
        ("Note in ('x''y',null)", &[1, 2, 5]),
        ("Id in []", &[]),
        ("Name eq 'flow'", &[1]),
        ("tolower(Name) eq 'flow'", &[1, 2]),
        ("contains(Name,'l')", &[1, 2]),
        ("contains(Note,'%')", &[4]),
        ("not contains(Note,'x')", &[3, 4]),
        ("startswith(Name,'Fl')", &[2]),
        ("endswith(Name,'_b')", &[5]),
        ("endswith(Name,'far longer than the name')", &[]),
        ("endswith(Name,'')", &[1, 2, 3, 4, 5]),
        ("length(Name) eq 5", &[4]),
        ("length(Note) eq 0", &[3]),
        ("indexof(Name,'ö') eq 2", &[4]),
        ("substring(Name,1,2) eq 'lo'", &[1, 2]),
        ("concat(Name,'!') eq 'temp!'", &[3]),
        ("trim('  flow ') eq Name", &[1]),
        ("Note eq '''; DROP TABLE r; --'", &[]),
        ("Time gt 2025-12-31T23:59:59Z", &[3]),
        ("Time ge 2026-01-02T04:04:05.678+01:00", &[3]),
        ("Time lt 9999-12-31T00:00:00Z", &[1, 2, 3, 4, 5]),
        ("Time eq 1970-01-02", &[5]),
        ("Time ge now() sub duration'PT1S'", &[2, 3, 5]),
        ("Time ge now() sub 'PT1S'", &[2, 3, 5]),
        ("year(Time) eq 1969 and second(Time) eq 59", &[4]),
        ("month(Time) eq 1 and day(Time) eq 2 and hour(Time) eq 3", &[3]),
        ("Tag eq A1234567-89ab-cdef-0123-456789ABCDEF", &[2]),
        ("Id div 2 eq 1", &[2, 3]),
        ("Id divby 2 eq 1.5", &[3]),
        ("Id mod 2 eq 0", &[2, 4]),
        ("Number mod 2 eq 1.5", &[1]),
        ("Id div (Id sub Id) eq null", &[1, 2, 3, 4, 5]),
        ("-Id eq -(4)", &[4]),
        ("Id add 1 mul 2 eq 5", &[3]),
        ("Number eq null or not (Limit eq null)", &[1, 2, 4, 5]),
    ];
    for (filter, expected) in cases {
        assert_eq!(&filtered(filter), expected, "{filter}");
    }
}

#[test]
fn parameters_can_begin_at_any_number_and_no_text_becomes_sql() {
    let model = model();
    let query = query(&model, "$filter=Name eq 'x'' OR 1=1' and Id in (1,2)").unwrap();
    let translator = SqlTranslator::new(query.entity_type, &columns).first_parameter(4);
    let fragment = translator.filter(&query.filter.unwrap()).unwrap();
    assert_eq!(fragment.text, r#"((r."name" = ?4) AND (r."id" IN (?5, ?6)))"#);
    assert_eq!(fragment.parameters, [SqlValue::Text("x' OR 1=1".into()), SqlValue::Integer(1), SqlValue::Integer(2)]);
}

#[test]
fn a_property_without_sql_is_refused_by_name() {
    let model = model();
    let query = query(&model, "$filter=Hidden eq 'x'").unwrap();
    let refused = SqlTranslator::new(query.entity_type, &columns).filter(&query.filter.unwrap()).unwrap_err();
    assert_eq!((refused.status(), refused.target()), (501, Some("Hidden")));
}

/// Reads a page the way a host does: condition, order, and a token of the last row.
fn page(connection: &Connection, query: &Query<'_>, token: Option<&str>, rows: usize) -> (Vec<i64>, Option<String>) {
    let base = SqlTranslator::new(query.entity_type, &columns);
    let values = base.order_values(&query.orderby).unwrap();
    let behind = match token {
        Some(token) => {
            let next = base.first_parameter(values.parameters.len() + 1);
            next.after(&query.orderby, &decode_token(token).unwrap()).unwrap()
        }
        None => SqlFragment { text: "1".into(), parameters: vec![] },
    };
    let bound = values.parameters.len() + behind.parameters.len();
    let order = base.first_parameter(bound + 1).order(&query.orderby).unwrap();
    let sql = format!("SELECT id, {} FROM r WHERE {} ORDER BY {} LIMIT {rows}", values.text, behind.text, order.text);
    let mut statement = connection.prepare(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let parameters = values.parameters.iter().chain(&behind.parameters).chain(&order.parameters).map(cell);
    let count = statement.column_count();
    let read = |row: &rusqlite::Row<'_>| {
        let keys: Vec<_> = (1..count).map(|column| sql_value(row.get_ref(column).unwrap())).collect();
        Ok((row.get::<_, i64>(0)?, encode_token(&keys)))
    };
    let found: Vec<(i64, String)> =
        statement.query_map(params_from_iter(parameters), read).unwrap().map(Result::unwrap).collect();
    let token = (found.len() == rows).then(|| found[rows - 1].1.clone());
    (found.into_iter().map(|(id, _)| id).collect(), token)
}

#[test]
fn keyset_pages_of_any_size_join_to_the_whole_in_order() {
    let (model, connection) = (model(), database());
    let orders: &[(&str, &[i64])] = &[
        ("", &[1, 2, 3, 4, 5]),
        ("$orderby=Id desc", &[5, 4, 3, 2, 1]),
        ("$orderby=Number", &[2, 5, 3, 1, 4]),
        ("$orderby=Number desc", &[4, 1, 3, 2, 5]),
        ("$orderby=On desc,Number desc", &[4, 1, 2, 3, 5]),
        ("$orderby=Note,Id desc", &[5, 1, 3, 4, 2]),
        ("$orderby=Price desc,length(Name)", &[5, 2, 1, 4, 3]),
        ("$orderby=contains(Name,'l') desc,Time", &[1, 2, 4, 5, 3]),
    ];
    for (options, expected) in orders {
        let query = query(&model, options).unwrap();
        for rows in 1..=6 {
            let (mut all, mut token) = page(&connection, &query, None, rows);
            while let Some(last) = token {
                let (more, next) = page(&connection, &query, Some(&last), rows);
                all.extend(more);
                token = next;
            }
            assert_eq!(&all, expected, "{options}, {rows} a page");
        }
    }
}

#[test]
fn a_row_that_arrives_between_two_pages_moves_no_other() {
    let (model, connection) = (model(), database());
    let query = query(&model, "$orderby=Name").unwrap();
    let (first, token) = page(&connection, &query, None, 2);
    connection.execute_batch("INSERT INTO r (id, name, time) VALUES (6, 'AAA', 0), (7, 'zzz', 0)").unwrap();
    let (rest, _) = page(&connection, &query, token.as_deref(), 10);
    assert_eq!((first, rest), (vec![2, 4], vec![5, 1, 3, 7]));
}

#[test]
fn keys_are_found_by_bound_values() {
    let model = model();
    let circumstances = Circumstances { page_max_rows: 1, now_ns: 0, limits: Limits::default() };
    let (Plan::Read { query, .. }, _) = plan(&model, "Readings(Id=4)", "", circumstances).unwrap() else { panic!() };
    let condition = SqlTranslator::new(query.entity_type, &columns).key(&query.key.unwrap()).unwrap();
    assert_eq!(ids(&database(), &condition), [4]);
}
