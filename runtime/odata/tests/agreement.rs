//! The law of the two evaluators: a filter and an order that run as SQL and in memory choose the same rows in the same
//! order. Both get the same typed tree; rows and queries are made at random.
//!
//! What SQL is known to do otherwise is left out: `tolower` and `toupper` beyond ASCII, decimals that binary fractions
//! cannot hold.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use bulkhead_odata::eval::{Evaluator, NoGraph, Slots, order};
use bulkhead_odata::limits::Limits;
use bulkhead_odata::model::{EnumType, Parts, Type};
use bulkhead_odata::plan::{Circumstances, Plan, plan};
use bulkhead_odata::sql::{SqlTranslator, SqlValue};
use bulkhead_odata::typed::Types;
use bulkhead_odata::{
    EntitySet, EntityType, Home, Model, Operation, PrimitiveType as T, Property, Query, Record, Value,
};
use proptest::prelude::*;
use rusqlite::types::Value as Cell;
use rusqlite::{Connection, params_from_iter};
use std::cmp::Ordering;
use std::sync::Arc;

const DAY_NS: i64 = 86_400_000_000_000;

fn model() -> Model {
    let row = EntityType::new("Row", ["K"])
        .with(Property::required("K", T::Int64))
        .with(Property::optional("I", T::Int32))
        .with(Property::optional("J", T::Int64))
        .with(Property::optional("D", T::Double))
        .with(Property::optional("E", T::Decimal))
        .with(Property::optional("S", T::String))
        .with(Property::optional("U", T::String))
        .with(Property::optional("B", T::Boolean))
        .with(Property::optional("M", T::DateTimeOffset))
        .with(Property::optional("L", T::Duration))
        .with(Property::optional("A", T::Date))
        .with(Property::optional("C", T::TimeOfDay))
        .with(Property::optional("F", Type::of_enum(0)));
    let members = [("None", 0), ("One", 1), ("Two", 2), ("Four", 4)].map(|(name, value)| (name.to_owned(), value));
    let flags = EnumType { name: "Flags".into(), flags: true, underlying: T::Int32, members: members.to_vec() };
    Model::of(Parts {
        namespace: "N".into(),
        container: "C".into(),
        enum_types: vec![flags],
        types: vec![row],
        entity_sets: vec![EntitySet::new("Rows", "Row")],
        operations: vec![Operation::time_bucket("Bucket")],
        ..Parts::default()
    })
    .unwrap()
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("flow".to_owned()),
        Just("Flow Rate".into()),
        Just("".into()),
        Just(" a%b_ ".into()),
        "[a-cA-C'öß ]{0,5}"
    ]
}

fn maybe(values: impl Strategy<Value = Value> + 'static) -> impl Strategy<Value = Value> {
    prop::option::weighted(0.8, values).prop_map(|value| value.unwrap_or(Value::Null))
}

/// The values of a row without its key.
fn row() -> impl Strategy<Value = Vec<Value>> {
    let small = || (-3..4_i64).prop_map(Value::Int);
    let double = prop_oneof![(-8..9_i32).prop_map(|n| f64::from(n) / 4.0), Just(1e300), Just(f64::INFINITY)];
    let decimal = (-8..9_i32).prop_map(|n| Value::Decimal((f64::from(n) / 4.0).to_string()));
    let moment = prop_oneof![-3 * DAY_NS..3 * DAY_NS, Just(0), Just(1_767_323_045_678_000_000)];
    let first = (
        maybe(small()),
        maybe(prop_oneof![small(), Just(Value::Int(1 << 40))]),
        maybe(double.prop_map(Value::Double)),
        maybe(decimal),
        maybe(text().prop_map(Value::String)),
        maybe(text().prop_map(Value::String)),
    );
    let second = (
        maybe(any::<bool>().prop_map(Value::Boolean)),
        maybe(moment.prop_map(Value::DateTimeOffset)),
        maybe((-2 * DAY_NS..2 * DAY_NS).prop_map(Value::Duration)),
        maybe((-400..30_000_i32).prop_map(Value::Date)),
        maybe((0..DAY_NS).prop_map(Value::TimeOfDay)),
        maybe((0..8_i64).prop_map(Value::Int)),
    );
    (first, second).prop_map(|((a, b, c, d, e, f), (g, h, i, j, k, l))| vec![a, b, c, d, e, f, g, h, i, j, k, l])
}

/// An expression of a kind, as text.
fn expression(kind: &'static str) -> BoxedStrategy<String> {
    let leaf = |options: &[&'static str]| prop::sample::select(options.to_vec()).prop_map(str::to_owned).boxed();
    let pair = |kind: &'static str, form: &'static str| {
        (atom(kind), atom(kind)).prop_map(move |(a, b)| form.replace("$a", &a).replace("$b", &b)).boxed()
    };
    match kind {
        "number" => prop_oneof![
            3 => atom("number"),
            1 => pair("number", "($a add $b)"),
            1 => pair("number", "($a sub $b)"),
            1 => pair("number", "($a mul $b)"),
            1 => pair("number", "($a divby $b)"),
            // By the literal 0 they are refused.
            1 => (atom("whole"), atom("divisor")).prop_map(|(a, b)| format!("({a} div {b})")),
            1 => (atom("whole"), atom("divisor")).prop_map(|(a, b)| format!("({a} mod {b})")),
            1 => (atom("number"), leaf(&["D", "J", "0.5", "-2"])).prop_map(|(a, b)| format!("({a} div {b})")),
            1 => atom("number").prop_map(|a| format!("(-({a}))")),
            1 => (prop::sample::select(vec!["round", "floor", "ceiling"]), atom("number")).prop_map(|(f, a)| format!("{f}({a})")),
            1 => pair("text", "indexof($a,$b)"),
            1 => atom("text").prop_map(|a| format!("length({a})")),
            1 => (prop::sample::select(vec!["year", "month", "day"]), leaf(&["M", "A"])).prop_map(|(f, a)| format!("{f}({a})")),
            1 => (prop::sample::select(vec!["hour", "minute", "second"]), leaf(&["M", "C"])).prop_map(|(f, a)| format!("{f}({a})")),
            1 => leaf(&["totaloffsetminutes(M)"]),
        ]
        .boxed(),
        "text" => prop_oneof![
            3 => atom("text"),
            1 => pair("text", "concat($a,$b)"),
            1 => atom("text").prop_map(|a| format!("trim({a})")),
            1 => (prop::sample::select(vec!["tolower", "toupper"]), leaf(&["'Flow'", "concat('A',null)"])).prop_map(|(f, a)| format!("{f}({a})")),
            1 => (atom("text"), -4..4_i32).prop_map(|(a, n)| format!("substring({a},{n})")),
            1 => (atom("text"), -7..4_i32, 0..3_i32).prop_map(|(a, n, m)| format!("substring({a},{n},{m})")),
        ]
        .boxed(),
        "moment" => prop_oneof![
            2 => atom("moment"),
            1 => pair("length", "(M add $a)"),
            1 => pair("length", "(M sub $b)"),
            1 => leaf(&[
                "N.Bucket(Time=M,Width=duration'PT1H')",
                "N.Bucket(Time=M,Width=L)",
                "N.Bucket(Time=M,Width=duration'PT0S')",
            ]),
        ]
        .boxed(),
        "length" => prop_oneof![2 => atom("length"), 1 => pair("length", "($a add $b)"), 1 => leaf(&["(M sub 1970-01-02T00:00:00Z)", "(-L)"])].boxed(),
        "day" => prop_oneof![2 => atom("day"), 1 => leaf(&["date(M)"])].boxed(),
        "clock" => prop_oneof![2 => atom("clock"), 1 => leaf(&["time(M)"])].boxed(),
        other => panic!("{other}"),
    }
}

/// A property or a literal of a kind.
fn atom(kind: &'static str) -> BoxedStrategy<String> {
    let options: &[&'static str] = match kind {
        "number" => &["I", "J", "D", "E", "K", "0", "1", "-2", "0.25", "1.5", "INF", "null"],
        "whole" => &["I", "J", "K", "0", "2", "-3", "null"],
        "divisor" => &["I", "J", "K", "2", "-3", "null"],
        "text" => &["S", "U", "'flow'", "''", "'a'", "null", "'ö'"],
        "moment" => &["M", "1970-01-01T00:00:00Z", "2026-01-02T03:04:05.678Z", "1970-01-02", "null"],
        "length" => &["L", "duration'PT1H'", "duration'-P1DT1S'", "null"],
        "day" => &["A", "1970-01-02", "2026-01-02", "null"],
        "clock" => &["C", "12:00:00", "00:00:00.5", "null"],
        other => panic!("{other}"),
    };
    prop::sample::select(options.to_vec()).prop_map(str::to_owned).boxed()
}

fn condition() -> impl Strategy<Value = String> {
    let comparison = prop::sample::select(vec!["eq", "ne", "gt", "ge", "lt", "le"]);
    let kinds = prop::sample::select(vec!["number", "number", "text", "moment", "length", "day", "clock"]);
    let compared = (kinds, comparison).prop_flat_map(|(kind, op)| {
        (expression(kind), expression(kind)).prop_map(move |(a, b)| format!("({a} {op} {b})"))
    });
    let called =
        (prop::sample::select(vec!["contains", "startswith", "endswith"]), expression("text"), expression("text"))
            .prop_map(|(f, a, b)| format!("{f}({a},{b})"));
    let fixed = prop::sample::select(vec![
        "B",
        "B eq null",
        "F has N.Flags'One'",
        "F has 'One,Four'",
        "F eq N.Flags'Two'",
        "F ne 'One'",
        "not (F has N.Flags'Two')",
        "I in (0,1,null)",
        "not (S in ['flow',U])",
        "case(I gt 0:D,B:1,true:E) gt 0.25",
        "case(I gt 0:D) eq null",
        "true",
        "null",
    ])
    .prop_map(str::to_owned);
    let leaf = prop_oneof![4 => compared, 1 => called, 2 => fixed.prop_map(|text| format!("({text})"))];
    leaf.prop_recursive(3, 12, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|operand| format!("(not {operand})")),
            (inner.clone(), prop::sample::select(vec!["and", "or", "eq", "ne"]), inner)
                .prop_map(|(left, op, right)| format!("({left} {op} {right})")),
        ]
    })
}

fn database(rows: &[Vec<Value>]) -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch("CREATE TABLE t (K INTEGER, I, J, D REAL, E, S, U, B, M, L, A, C, F)").unwrap();
    for row in rows {
        let cells = row.iter().map(|value| cell(&SqlValue::from(value)));
        connection.execute("INSERT INTO t VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)", params_from_iter(cells)).unwrap();
    }
    connection
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

fn by_sql(rows: &[Vec<Value>], query: &Query<'_>) -> Vec<i64> {
    let column = |name: &str| Some(name.to_owned());
    let translator = SqlTranslator::new(query.entity_type, &column);
    let filter = translator.filter(query.filter.as_ref().unwrap()).unwrap();
    let order = translator.first_parameter(filter.parameters.len() + 1).order(&query.orderby).unwrap();
    let sql = format!("SELECT K FROM t WHERE {} ORDER BY {}", filter.text, order.text);
    let connection = database(rows);
    let mut statement = connection.prepare(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let parameters = filter.parameters.iter().chain(&order.parameters).map(cell);
    let found = statement.query_map(params_from_iter(parameters), |row| row.get(0)).unwrap();
    found.map(|row| row.unwrap_or_else(|error| panic!("{sql}: {error}"))).collect()
}

fn in_memory(rows: &[Vec<Value>], query: &Query<'_>, model: &Model) -> Vec<i64> {
    let types = Types::new(model);
    let evaluator = Evaluator { types: &types, graph: &NoGraph };
    let slots = |values: &Vec<Value>| {
        Slots::of(Value::Record(Arc::new(Record { ty: 0, home: Home::Set(0), values: values.clone() })))
    };
    let filter = query.filter.as_ref().unwrap();
    let mut kept: Vec<&Vec<Value>> = rows.iter().filter(|row| evaluator.holds(filter, &mut slots(row))).collect();
    kept.sort_by(|a, b| {
        for item in &query.orderby {
            let value = |row| evaluator.value(&item.expression, &mut slots(row));
            let found = order(&value(a), &value(b));
            let found = if item.descending { found.reverse() } else { found };
            if found != Ordering::Equal {
                return found;
            }
        }
        order(&a[0], &b[0])
    });
    kept.iter()
        .map(|row| match row[0] {
            Value::Int(key) => key,
            _ => panic!("a key is a number"),
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn sql_and_memory_choose_the_same_rows_in_the_same_order(
        rows in prop::collection::vec(row(), 1..12),
        condition in condition(),
        by in prop_oneof![expression("number"), expression("text"), expression("moment")],
        descending: bool,
    ) {
        let model = model();
        let rows: Vec<Vec<Value>> = rows
            .into_iter()
            .enumerate()
            .map(|(key, values)| std::iter::once(Value::Int(key as i64)).chain(values).collect())
            .collect();
        let direction = if descending { "desc" } else { "asc" };
        let encode = bulkhead_odata::url::encode;
        let text = format!("$filter={}&$orderby={}", encode(&condition), encode(&format!("{by} {direction}")));
        let circumstances = Circumstances { page_max_rows: 1, now_ns: 0, limits: Limits::default() };
        let planned = plan(&model, "Rows", &text, circumstances);
        let (Plan::Read { query, .. }, _) = planned.map_err(|error| TestCaseError::fail(format!("{condition}: {error}")))?
        else {
            panic!("a set is read")
        };
        prop_assert_eq!(by_sql(&rows, &query), in_memory(&rows, &query, &model), "{} / {} {}", condition, by, direction);
    }
}
