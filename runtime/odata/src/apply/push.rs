//! `$apply` over rows that a service has: what of a sequence the service can do where the rows are.

use super::{Aggregation, Key, Method, Stage, Transformation};
use crate::search::Wanted;
use crate::typed::{Node, TypedExpr};
use crate::value::{Home, Record};
use crate::{Row, Value};
use std::sync::Arc;

/// The beginning of a sequence, as conditions on rows and computed properties, and what comes then.
#[derive(Debug, Default)]
pub(crate) struct Beginning<'s> {
    /// Conditions, without computed properties.
    pub(crate) filters: Vec<TypedExpr>,
    /// What must be in the texts of a row.
    pub(crate) searches: Vec<Wanted>,
    /// Computed properties.
    pub(crate) stages: Vec<Stage>,
    /// The rest of the sequence.
    pub(crate) rest: Vec<&'s Transformation>,
}

impl<'s> Beginning<'s> {
    /// Takes a sequence apart.
    pub(crate) fn of(sequence: &'s [Transformation]) -> Self {
        let mut all = Vec::new();
        flatten(sequence, &mut all);
        let mut found = Self::default();
        let mut rest = all.into_iter();
        while let Some(next) = rest.as_slice().first() {
            match next {
                Transformation::Filter(condition) => found.filters.push(inlined(condition, &found.stages)),
                // Behind a computed property its texts would count, too.
                Transformation::Search(wanted) if found.stages.is_empty() => found.searches.push(wanted.clone()),
                Transformation::Compute(stage) => found.stages.push(stage.clone()),
                _ => break,
            }
            rest.next();
        }
        found.rest = rest.collect();
        found
    }
}

fn flatten<'s>(sequence: &'s [Transformation], all: &mut Vec<&'s Transformation>) {
    for transformation in sequence {
        match transformation {
            Transformation::Identity => {}
            Transformation::Sequence(inner) => flatten(inner, all),
            other => all.push(other),
        }
    }
}

/// An expression in which computed properties are replaced by what they are computed from.
pub(crate) fn inlined(expression: &TypedExpr, stages: &[Stage]) -> TypedExpr {
    let mut found = expression.clone();
    inline(&mut found, stages);
    found
}

fn inline(expression: &mut TypedExpr, stages: &[Stage]) {
    if let Node::Property(position) = expression.node
        && let Some(index) = stages.iter().position(|stage| stage.position() == position)
    {
        *expression = inlined(stages[index].value(), &stages[..index]);
        return;
    }
    expression.node.for_each_operand_mut(|operand| inline(operand, stages));
}

/// Groups that a service may make itself.
#[derive(Debug)]
pub(crate) struct Groups<'s> {
    keys: &'s [Key],
    /// The type of the rows that are made.
    made: usize,
    /// What the rows of a group have in common, value by value.
    pub(crate) leaves: Vec<TypedExpr>,
    /// What is computed of each group.
    pub(crate) values: Vec<(Method, Option<TypedExpr>)>,
}

impl<'s> Groups<'s> {
    /// The groups that a transformation makes; none for one that makes something else.
    pub(crate) fn of(transformation: &'s Transformation, stages: &[Stage]) -> Option<Self> {
        let (keys, items, made): (&[Key], &[Aggregation], usize) = match transformation {
            Transformation::Aggregate(items, made) => (&[], items, *made),
            Transformation::GroupBy { keys, inner, made: Some(made) } => match inner.as_slice() {
                [] => (keys, &[], *made),
                [Transformation::Aggregate(items, _)] => (keys, items, *made),
                _ => return None,
            },
            _ => return None,
        };
        if items.iter().any(|item| !item.from.is_empty()) {
            return None;
        }
        let mut leaves = Vec::new();
        keys.iter().for_each(|key| collect(key, stages, &mut leaves));
        let value = |item: &Aggregation| (item.method, item.of.as_ref().map(|of| inlined(of, stages)));
        Some(Self { keys, made, leaves, values: items.iter().map(value).collect() })
    }

    /// A row of the service, which has the keys' values and then those computed, as one of the type that is made.
    pub(crate) fn record(&self, row: Row) -> Value {
        let mut given = row.into_iter();
        let mut values: Vec<Value> = self.keys.iter().map(|key| built(key, &mut given)).collect();
        values.extend(given);
        Value::Record(Arc::new(Record { ty: self.made, home: Home::None, values }))
    }
}

fn collect(key: &Key, stages: &[Stage], leaves: &mut Vec<TypedExpr>) {
    match key {
        Key::Value(expression) => leaves.push(inlined(expression, stages)),
        Key::Parts(parts, _) => parts.iter().for_each(|part| collect(part, stages, leaves)),
    }
}

fn built(key: &Key, given: &mut impl Iterator<Item = Value>) -> Value {
    match key {
        Key::Value(_) => given.next().unwrap_or(Value::Null),
        Key::Parts(parts, made) => {
            let values: Vec<Value> = parts.iter().map(|part| built(part, given)).collect();
            let nothing = values.iter().all(|value| *value == Value::Null);
            if nothing { Value::Null } else { Value::Record(Arc::new(Record { ty: *made, home: Home::None, values })) }
        }
    }
}
