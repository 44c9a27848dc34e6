//! What transformations do to rows in memory.

use super::identity::Distinct;
use super::{Aggregation, Key, Measure, Method, Stage, Transformation};
use crate::OrderBy;
use crate::Value;
use crate::eval::{Evaluator, Slots, order};
use crate::limits::ENTITIES_MAX;
use crate::typed::{Arithmetic, Node, SLOT_THIS, TypedExpr};
use crate::value::{Home, Record};
use std::cmp::Ordering;
use std::sync::Arc;

/// Runs a sequence over rows.
#[must_use]
pub fn run(sequence: &[Transformation], rows: Vec<Value>, evaluator: &Evaluator<'_>) -> Vec<Value> {
    let mut rows = rows;
    for transformation in sequence {
        rows = step(transformation, rows, evaluator);
        if rows.len() > ENTITIES_MAX || evaluator.types.check_rows().is_err() {
            // Rows can double with each step: nobody waits for what comes of that.
            evaluator.types.give_up();
            return Vec::new();
        }
    }
    rows
}

fn step(transformation: &Transformation, rows: Vec<Value>, evaluator: &Evaluator<'_>) -> Vec<Value> {
    match transformation {
        Transformation::Identity => rows,
        Transformation::Sequence(inner) => run(inner, rows, evaluator),
        Transformation::Filter(condition) => {
            rows.into_iter().filter(|row| evaluator.holds(condition, &mut Slots::of(row.clone()))).collect()
        }
        Transformation::Search(wanted) => rows.into_iter().filter(|row| wanted.is_in(&texts(row, evaluator))).collect(),
        Transformation::Compute(stage) => {
            rows.iter().map(|row| stage.apply(row, evaluator, &mut Slots::of(row.clone()))).collect()
        }
        Transformation::OrderBy(by) => sorted(rows, by, &|row| Slots::of(row.clone()), evaluator),
        Transformation::Top(count) => rows.into_iter().take(limit(*count)).collect(),
        Transformation::Skip(count) => rows.into_iter().skip(limit(*count)).collect(),
        Transformation::Aggregate(items, made) => vec![aggregated(items, *made, &rows, evaluator)],
        Transformation::GroupBy { keys, inner, made } => grouped(keys, inner, *made, rows, evaluator),
        Transformation::Concat(branches, made) => {
            let all = branches.iter().flat_map(|branch| run(branch, rows.clone(), evaluator));
            all.map(|row| as_union(row, *made, evaluator)).collect()
        }
        Transformation::Join { of, inner, outer, stage } => joined(of, inner, *outer, stage, &rows, evaluator),
        Transformation::Nest(sequences, made) => {
            let of = |sequence: &Vec<Transformation>| match evaluator.types.may_take(rows.len()) {
                true => collection(run(sequence, rows.clone(), evaluator)),
                false => Value::Null,
            };
            vec![made_record(*made, sequences.iter().map(of).collect())]
        }
        Transformation::AddNested { of, inner, stage } => {
            rows.iter().map(|row| stage.with(row, nested(of, inner, row, evaluator))).collect()
        }
        Transformation::Best { top, measure, amount, by } => best(*top, *measure, *amount, by, rows, evaluator),
    }
}

fn collection(items: Vec<Value>) -> Value {
    Value::Collection(Arc::new(items))
}

fn joined(
    of: &TypedExpr,
    inner: &[Transformation],
    outer: bool,
    stage: &Stage,
    rows: &[Value],
    evaluator: &Evaluator<'_>,
) -> Vec<Value> {
    let mut found = Vec::new();
    for row in rows {
        let value = evaluator.value(of, &mut Slots::of(row.clone()));
        if !evaluator.types.may_take(value.items().len()) {
            break;
        }
        let mut items = run(inner, value.items().to_vec(), evaluator);
        if outer && items.is_empty() {
            items.push(Value::Null);
        }
        found.extend(items.into_iter().map(|item| stage.with(row, item)));
        if found.len() > ENTITIES_MAX {
            break;
        }
    }
    found
}

/// What a sequence makes of what a row leads to: of a collection another, of a record another.
fn nested(of: &TypedExpr, inner: &[Transformation], row: &Value, evaluator: &Evaluator<'_>) -> Value {
    let value = evaluator.value(of, &mut Slots::of(row.clone()));
    if !evaluator.types.may_take(value.items().len()) {
        return Value::Null;
    }
    let many = matches!(value, Value::Collection(_));
    let found = run(inner, value.items().to_vec(), evaluator);
    if many { collection(found) } else { found.into_iter().next().unwrap_or(Value::Null) }
}

fn limit(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// Rows in an order; equal ones stay as they are.
#[must_use]
pub(crate) fn sorted(
    rows: Vec<Value>,
    by: &[OrderBy],
    slots: &dyn Fn(&Value) -> Slots,
    evaluator: &Evaluator<'_>,
) -> Vec<Value> {
    let mut keyed: Vec<(Vec<Value>, Value)> = rows
        .into_iter()
        .map(|row| {
            let mut slots = slots(&row);
            (by.iter().map(|item| evaluator.value(&item.expression, &mut slots)).collect(), row)
        })
        .collect();
    keyed.sort_by(|(a, _), (b, _)| {
        let of = |index: usize| {
            let found = order(&a[index], &b[index]);
            if by[index].descending { found.reverse() } else { found }
        };
        (0..by.len()).map(of).find(|found| *found != Ordering::Equal).unwrap_or(Ordering::Equal)
    });
    keyed.into_iter().map(|(_, row)| row).collect()
}

/// The texts of a row that `$search` looks into, in lower case: those of properties that say so, or all if none does.
#[must_use]
pub fn texts(row: &Value, evaluator: &Evaluator<'_>) -> Vec<String> {
    let mut found = Vec::new();
    collect_texts(row, evaluator, true, &mut found);
    if found.is_empty() {
        collect_texts(row, evaluator, false, &mut found);
    }
    found
}

fn collect_texts(row: &Value, evaluator: &Evaluator<'_>, only_marked: bool, found: &mut Vec<String>) {
    let Some(record) = row.record() else { return };
    for (property, value) in evaluator.types.structured(record.ty).properties.iter().zip(&record.values) {
        for item in value.items() {
            match item {
                Value::String(text) if property.searchable || !only_marked => found.push(text.to_lowercase()),
                Value::Record(_) => collect_texts(item, evaluator, only_marked, found),
                _ => {}
            }
        }
    }
}

fn made_record(ty: usize, values: Vec<Value>) -> Value {
    Value::Record(Arc::new(Record { ty, home: Home::None, values }))
}

pub(crate) fn as_union(row: Value, made: usize, evaluator: &Evaluator<'_>) -> Value {
    let Value::Record(record) = &row else { return row };
    if record.ty == made || evaluator.types.is_a(record.ty, made) {
        return row;
    }
    let from = evaluator.types.structured(record.ty);
    let value = |name: &str| from.position(name).and_then(|at| record.values.get(at)).cloned().unwrap_or(Value::Null);
    let properties = &evaluator.types.structured(made).properties;
    made_record(made, properties.iter().map(|property| value(&property.name)).collect())
}

fn aggregated(items: &[Aggregation], made: usize, rows: &[Value], evaluator: &Evaluator<'_>) -> Value {
    made_record(made, items.iter().map(|item| aggregate(item, rows, evaluator)).collect())
}

fn aggregate(item: &Aggregation, rows: &[Value], evaluator: &Evaluator<'_>) -> Value {
    if !item.from.is_empty() {
        let made = run(&item.from, rows.to_vec(), evaluator);
        return made.first().and_then(Value::record).and_then(|row| row.values.first()).cloned().unwrap_or(Value::Null);
    }
    let Some(of) = &item.of else { return Value::Int(rows.len() as i64) };
    fold(item.method, of, values_of(of, rows, evaluator), evaluator)
}

/// The values that an expression has of rows. Nulls do not count; what is reached through a collection counts one by one, but
/// an entity that is reached on several ways counts once (Data Aggregation §3.2.1.1).
fn values_of(of: &TypedExpr, rows: &[Value], evaluator: &Evaluator<'_>) -> Vec<Value> {
    let all = |expression: &TypedExpr, rows: &[Value]| -> Vec<Value> {
        rows.iter().flat_map(|row| evaluator.value(expression, &mut Slots::of(row.clone())).items().to_vec()).collect()
    };
    let Some((way, rest)) = split_at_way(of) else { return all(of, rows) };
    let mut known = Distinct::default();
    let mut entities = all(&way, rows);
    entities.retain(|entity| known.place(std::slice::from_ref(entity)).1);
    match rest {
        Some(rest) => all(&rest, &entities),
        None => entities,
    }
}

/// A path as what leads along its last navigation, and what comes behind, as a path of its own; none for what is no such path.
fn split_at_way(of: &TypedExpr) -> Option<(TypedExpr, Option<TypedExpr>)> {
    match &of.node {
        Node::Navigate(..) => Some((of.clone(), None)),
        Node::As(inner, place) => {
            let (way, rest) = split_at_way(inner)?;
            match rest {
                None => Some((of.clone(), None)),
                Some(rest) => Some((way, Some(TypedExpr { node: Node::As(Box::new(rest), *place), ..of.clone() }))),
            }
        }
        Node::Member(inner, position) => {
            let (way, rest) = split_at_way(inner)?;
            let this = || TypedExpr { node: Node::Variable(SLOT_THIS), ty: way.ty.map(|ty| ty.item()), nullable: true };
            let rest = rest.unwrap_or_else(this);
            Some((way.clone(), Some(TypedExpr { node: Node::Member(Box::new(rest), *position), ..of.clone() })))
        }
        _ => None,
    }
}

/// One value of many, by a method.
pub(crate) fn fold(method: Method, of: &TypedExpr, values: Vec<Value>, evaluator: &Evaluator<'_>) -> Value {
    match method {
        Method::Count => Value::Int(values.len() as i64),
        Method::CountDistinct => Value::Int(distinct(&values) as i64),
        Method::Min => values.into_iter().min_by(order).unwrap_or(Value::Null),
        Method::Max => values.into_iter().max_by(order).unwrap_or(Value::Null),
        Method::Sum if values.is_empty() => Value::Null,
        Method::Sum => sum(&values, of, evaluator),
        Method::Average if values.is_empty() => Value::Null,
        Method::Average => {
            let count = Value::Int(values.len() as i64);
            let total = match sum(&values, of, evaluator) {
                Value::Int(number) => Value::Double(number as f64),
                other => other,
            };
            compute(Arithmetic::DivBy, &total, &count, evaluator)
        }
    }
}

fn distinct(values: &[Value]) -> usize {
    let mut known = Distinct::default();
    values.iter().for_each(|value| {
        known.place(std::slice::from_ref(value));
    });
    known.count()
}

fn sum(values: &[Value], of: &TypedExpr, evaluator: &Evaluator<'_>) -> Value {
    let zero = match of.ty.and_then(|ty| ty.item().primitive()) {
        Some(ty) if ty.is_integer() => Value::Int(0),
        Some(crate::PrimitiveType::Decimal) => Value::Decimal("0".into()),
        _ => Value::Double(0.0),
    };
    values.iter().fold(zero, |total, value| compute(Arithmetic::Add, &total, value, evaluator))
}

/// Arithmetic of two values, by the one evaluator there is.
fn compute(op: Arithmetic, left: &Value, right: &Value, evaluator: &Evaluator<'_>) -> Value {
    let literal = |value: &Value| TypedExpr {
        node: Node::Literal(value.clone()),
        ty: value.ty().map(Into::into),
        nullable: false,
    };
    let ty = match (left, right) {
        (Value::Double(_), _) | (_, Value::Double(_)) => crate::PrimitiveType::Double,
        (Value::Decimal(_), _) | (_, Value::Decimal(_)) => crate::PrimitiveType::Decimal,
        _ => crate::PrimitiveType::Int64,
    };
    let node = Node::Arithmetic(op, Box::new(literal(left)), Box::new(literal(right)));
    evaluator.value(&TypedExpr { node, ty: Some(ty.into()), nullable: true }, &mut Slots::of(Value::Null))
}

fn grouped(
    keys: &[Key],
    inner: &[Transformation],
    made: Option<usize>,
    rows: Vec<Value>,
    evaluator: &Evaluator<'_>,
) -> Vec<Value> {
    let mut groups: Vec<(Vec<Value>, Vec<Value>)> = Vec::new();
    let mut known = Distinct::default();
    for row in rows {
        let mut slots = Slots::of(row.clone());
        let values: Vec<Value> = keys.iter().map(|key| key_value(key, evaluator, &mut slots)).collect();
        match known.place(&values) {
            (place, false) => groups[place].1.push(row),
            (_, true) => groups.push((values, vec![row])),
        }
    }
    let mut found = Vec::new();
    for (values, members) in groups {
        let Some(made) = made else {
            found.extend(run(inner, members, evaluator));
            continue;
        };
        if inner.is_empty() {
            found.push(made_record(made, values));
            continue;
        }
        for row in run(inner, members, evaluator) {
            let mut all = values.clone();
            all.extend(row.record().map(|record| record.values.clone()).unwrap_or_default());
            found.push(made_record(made, all));
        }
    }
    found
}

fn key_value(key: &Key, evaluator: &Evaluator<'_>, slots: &mut Slots) -> Value {
    match key {
        Key::Value(expression) => evaluator.value(expression, slots),
        Key::Parts(parts, made) => {
            let values: Vec<Value> = parts.iter().map(|part| key_value(part, evaluator, slots)).collect();
            // Nothing there: no record of nulls, but null.
            let nothing = values.iter().all(|value| *value == Value::Null);
            if nothing { Value::Null } else { made_record(*made, values) }
        }
    }
}

fn best(
    top: bool,
    measure: Measure,
    amount: f64,
    by: &TypedExpr,
    rows: Vec<Value>,
    evaluator: &Evaluator<'_>,
) -> Vec<Value> {
    let order = [OrderBy { expression: by.clone(), descending: top }];
    let rows = sorted(rows, &order, &|row| Slots::of(row.clone()), evaluator);
    if measure == Measure::Count {
        return rows.into_iter().take(amount as usize).collect();
    }
    let value = |row: &Value| match evaluator.value(by, &mut Slots::of(row.clone())) {
        Value::Int(number) => number as f64,
        Value::Double(number) => number,
        Value::Decimal(digits) => digits.parse().unwrap_or(0.0),
        _ => 0.0,
    };
    let total: f64 = rows.iter().map(value).sum();
    let wanted = if measure == Measure::Sum { amount } else { total * amount / 100.0 };
    let mut reached = 0.0;
    rows.into_iter()
        .take_while(|row| {
            let more = reached < wanted;
            reached += value(row);
            more
        })
        .collect()
}
