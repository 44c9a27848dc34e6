//! The law of null: a filter in SQL lets through exactly the rows for which the standard's three-valued logic gives true
//! (Part 2 §5.1.1.1), computed here a second time without SQL.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use bulkhead_odata::limits::Limits;
use bulkhead_odata::plan::{Circumstances, Plan, plan};
use bulkhead_odata::sql::{SqlTranslator, SqlValue};
use bulkhead_odata::typed::Comparison;
use bulkhead_odata::{EntitySet, EntityType, Model, Node, PrimitiveType, Property, TypedExpr, Value};
use proptest::prelude::*;
use rusqlite::{Connection, params_from_iter};
use std::cmp::Ordering;

/// The values a row has: two numbers and two truth values, each perhaps null, and a number that never is.
type Row = (Option<i64>, Option<i64>, Option<bool>, Option<bool>, i64);

const VALUES: [Option<i64>; 3] = [None, Some(0), Some(1)];
const TRUTHS: [Option<bool>; 3] = [None, Some(false), Some(true)];

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (index, a) in VALUES.iter().enumerate() {
        for b in VALUES {
            for p in TRUTHS {
                for q in TRUTHS {
                    rows.push((*a, b, p, q, index as i64));
                }
            }
        }
    }
    rows
}

fn model() -> Model {
    let ty = EntityType::new("Row", ["K"])
        .with(Property::optional("A", PrimitiveType::Int64))
        .with(Property::optional("B", PrimitiveType::Int64))
        .with(Property::optional("P", PrimitiveType::Boolean))
        .with(Property::optional("Q", PrimitiveType::Boolean))
        .with(Property::required("K", PrimitiveType::Int64));
    Model::new("N", "C", vec![ty], vec![EntitySet::new("Rows", "Row")]).unwrap()
}

/// Filters as text, so that the parser and the checker are part of the law.
fn filter() -> impl Strategy<Value = String> {
    let number = || prop::sample::select(vec!["A", "B", "K", "0", "1", "null", "A add 1", "-B"]);
    let comparison = || prop::sample::select(vec!["eq", "ne", "gt", "ge", "lt", "le"]);
    let leaf = prop_oneof![
        (number(), comparison(), number()).prop_map(|(left, op, right)| format!("({left} {op} {right})")),
        prop::sample::select(vec!["P", "Q", "true", "false", "null"]).prop_map(str::to_owned),
        prop::sample::select(vec!["A in (0,1)", "A in (1,null)", "B in [A,1]", "K in [B,null]", "A in []"])
            .prop_map(|text| format!("({text})")),
    ];
    leaf.prop_recursive(4, 24, 2, move |inner| {
        let connective = prop::sample::select(vec!["and", "or", "eq", "ne", "ge", "lt"]);
        prop_oneof![
            inner.clone().prop_map(|operand| format!("(not {operand})")),
            (inner.clone(), connective, inner).prop_map(|(left, op, right)| format!("({left} {op} {right})")),
        ]
    })
}

/// A value as a number, truth values as 0 and 1; none for null.
fn evaluate(expression: &TypedExpr, row: &Row) -> Option<i64> {
    let truth = |expression: &TypedExpr| evaluate(expression, row).map(|number| number != 0);
    let as_number = |truth: Option<bool>| truth.map(i64::from);
    match &expression.node {
        Node::Literal(Value::Int(number)) => Some(*number),
        Node::Literal(Value::Boolean(value)) => Some(i64::from(*value)),
        Node::Literal(_) => None,
        Node::Property(0) => row.0,
        Node::Property(1) => row.1,
        Node::Property(2) => row.2.map(i64::from),
        Node::Property(3) => row.3.map(i64::from),
        Node::Property(_) => Some(row.4),
        Node::Negate(operand) => evaluate(operand, row).map(|number| -number),
        Node::Arithmetic(_, left, right) => Some(evaluate(left, row)? + evaluate(right, row)?),
        Node::Not(operand) => as_number(truth(operand).map(|truth| !truth)),
        Node::And(left, right) => as_number(match (truth(left), truth(right)) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        }),
        Node::Or(left, right) => as_number(match (truth(left), truth(right)) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        }),
        Node::Compare(op, left, right) => Some(compare(*op, evaluate(left, row), evaluate(right, row)).into()),
        Node::In(operand, items) => {
            let value = evaluate(operand, row);
            Some(items.iter().any(|item| evaluate(item, row) == value).into())
        }
        other => panic!("no filter here has {other:?}"),
    }
}

fn compare(op: Comparison, left: Option<i64>, right: Option<i64>) -> bool {
    let order = match (left, right) {
        (None, None) => Some(Ordering::Equal),
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => None,
    };
    match op {
        Comparison::Eq => order == Some(Ordering::Equal),
        Comparison::Ne => order != Some(Ordering::Equal),
        Comparison::Gt => order == Some(Ordering::Greater),
        Comparison::Lt => order == Some(Ordering::Less),
        Comparison::Ge => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        Comparison::Le => matches!(order, Some(Ordering::Less | Ordering::Equal)),
    }
}

fn database(rows: &[Row]) -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection
        .execute_batch("CREATE TABLE t (n INTEGER, A INTEGER, B INTEGER, P INTEGER, Q INTEGER, K INTEGER NOT NULL)")
        .unwrap();
    for (n, row) in rows.iter().enumerate() {
        let cells = (n as i64, row.0, row.1, row.2, row.3, row.4);
        connection.execute("INSERT INTO t VALUES (?1, ?2, ?3, ?4, ?5, ?6)", cells).unwrap();
    }
    connection
}

fn by_sql(connection: &Connection, entity_type: &EntityType, filter: &TypedExpr) -> Vec<i64> {
    let column = |name: &str| Some(name.to_owned());
    let fragment = SqlTranslator::new(entity_type, &column).filter(filter).unwrap();
    let sql = format!("SELECT n FROM t WHERE {} ORDER BY n", fragment.text);
    let parameters = fragment.parameters.iter().map(|value| match value {
        SqlValue::Integer(number) => Some(*number),
        SqlValue::Null => None,
        other => panic!("{other:?}"),
    });
    let mut statement = connection.prepare(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let found = statement.query_map(params_from_iter(parameters), |row| row.get(0)).unwrap();
    found.map(Result::unwrap).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sql_lets_through_what_the_logic_finds_true(filter in filter()) {
        let (model, rows) = (model(), rows());
        let circumstances = Circumstances { page_max_rows: 1, now_ns: 0, limits: Limits::default() };
        let query = format!("$filter={}", bulkhead_odata::url::encode(&filter));
        let (Plan::Read { query, .. }, _) = plan(&model, "Rows", &query, circumstances).unwrap() else { panic!() };
        let typed = query.filter.unwrap();
        let expected: Vec<i64> = rows
            .iter()
            .enumerate()
            .filter(|(_, row)| evaluate(&typed, row) == Some(1))
            .map(|(n, _)| n as i64)
            .collect();
        prop_assert_eq!(by_sql(&database(&rows), query.entity_type, &typed), expected, "{}", filter);
    }
}
