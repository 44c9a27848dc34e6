//! Typed expressions over values in memory, with the meaning that the standard gives them. [`crate::sql`] writes the same
//! expressions as SQL; both are run on the same queries by a test and agree.

mod arithmetic;
mod compare;
mod convert;
mod decimal;
mod functions;

pub use compare::{compare, order};
pub use decimal::Decimal;
pub(crate) use functions::{call, pattern};

use crate::Value;
use crate::typed::{Node, SLOT_THIS, SLOT_VARIABLES, TypedExpr, Types};
use crate::value::Record;

/// What a navigation finds: entities by the record they are found from.
pub trait Graph: Sync {
    /// What a navigation property of a record leads to: a record, a collection of records, or null. `ty` is the place of the
    /// record's type in the model, also where a request has made another of it; `navigation` is the position in that type.
    fn follow(&self, record: &Record, ty: usize, navigation: usize) -> Value;
    /// All entities of a set, by its place in the model.
    fn set(&self, place: usize) -> Value;
    /// A singleton, by its place in the model.
    fn singleton(&self, place: usize) -> Value;
    /// How many rows are looked at by [`Graph::follow`].
    fn looked_at(&self, _ty: usize, _navigation: usize) -> usize {
        1
    }
}

/// A graph without entities, for expressions over one row.
#[derive(Clone, Copy, Debug)]
pub struct NoGraph;

impl Graph for NoGraph {
    fn follow(&self, _: &Record, _: usize, _: usize) -> Value {
        Value::Null
    }
    fn set(&self, _: usize) -> Value {
        Value::Null
    }
    fn singleton(&self, _: usize) -> Value {
        Value::Null
    }
}

/// Computes typed expressions.
#[derive(Clone, Copy)]
pub struct Evaluator<'a> {
    /// The types of the request.
    pub types: &'a Types<'a>,
    /// Where navigation leads.
    pub graph: &'a dyn Graph,
}

/// The values of the slots: the row at hand, the row of the resource path, the variables of lambdas.
#[derive(Clone, Debug)]
pub struct Slots(Vec<Value>);

impl Slots {
    /// The row at hand, which is also that of the resource path.
    #[must_use]
    pub fn of(this: Value) -> Self {
        Self(vec![this.clone(), this])
    }

    /// The row at hand below another that the resource path names.
    #[must_use]
    pub fn below(it: &Value, this: Value) -> Self {
        Self(vec![this, it.clone()])
    }

    fn get(&self, slot: usize) -> &Value {
        self.0.get(slot).unwrap_or(&Value::Null)
    }

    fn set(&mut self, slot: usize, value: Value) {
        debug_assert!(slot >= SLOT_VARIABLES, "rows stay where they are");
        if self.0.len() <= slot {
            self.0.resize(slot + 1, Value::Null);
        }
        self.0[slot] = value;
    }
}

impl Evaluator<'_> {
    /// Whether a condition is true; null counts as false.
    #[must_use]
    pub fn holds(&self, condition: &TypedExpr, slots: &mut Slots) -> bool {
        self.value(condition, slots) == Value::Boolean(true)
    }

    /// The value of an expression.
    #[must_use]
    pub fn value(&self, expression: &TypedExpr, slots: &mut Slots) -> Value {
        if !self.types.may_work(1) {
            return Value::Null;
        }
        let found = self.computed(expression, slots);
        // Texts can double with each function: they cost what they are long.
        match &found {
            Value::String(text) if !self.types.may_work(text.len()) => Value::Null,
            _ => found,
        }
    }

    fn computed(&self, expression: &TypedExpr, slots: &mut Slots) -> Value {
        match &expression.node {
            Node::Literal(value) => value.clone(),
            Node::Property(position) => member(slots.get(SLOT_THIS), *position),
            Node::Variable(slot) => slots.get(*slot).clone(),
            Node::Member(operand, position) => each(&self.value(operand, slots), |item| member(item, *position)),
            Node::Navigate(operand, position) => each(&self.value(operand, slots), |item| self.follow(item, *position)),
            Node::As(operand, place) => self.narrowed(self.value(operand, slots), *place),
            Node::Set(place) => self.graph.set(*place),
            Node::Singleton(place) => self.graph.singleton(*place),
            Node::Find(operand, key) => {
                let items = self.value(operand, slots);
                if self.types.may_work(items.items().len()) { find(&items, key) } else { Value::Null }
            }
            Node::Count(operand) => Value::Int(self.value(operand, slots).items().len() as i64),
            Node::Filter(operand, slot, condition) => {
                let items = self.value(operand, slots);
                collection(items.items().iter().filter(|item| self.holds_for(condition, *slot, item, slots)).cloned())
            }
            Node::Lambda { all, collection, slot, condition } => {
                let items = self.value(collection, slots);
                let items = items.items();
                Value::Boolean(match condition {
                    None => !items.is_empty(),
                    Some(condition) if *all => items.iter().all(|item| self.holds_for(condition, *slot, item, slots)),
                    Some(condition) => items.iter().any(|item| self.holds_for(condition, *slot, item, slots)),
                })
            }
            Node::Compare(op, left, right) => {
                Value::Boolean(compare(*op, &self.value(left, slots), &self.value(right, slots)))
            }
            Node::And(..) | Node::Or(..) | Node::Arithmetic(..) => self.chain(expression, slots),
            Node::Not(operand) => match self.value(operand, slots) {
                Value::Boolean(value) => Value::Boolean(!value),
                _ => Value::Null,
            },
            Node::In(operand, items) => {
                let value = self.value(operand, slots);
                Value::Boolean(items.iter().any(|item| equal(&value, &self.value(item, slots))))
            }
            Node::InCollection(operand, items) => {
                let (value, items) = (self.value(operand, slots), self.value(items, slots));
                let known = self.types.may_work(items.items().len());
                Value::Boolean(known && items.items().iter().any(|item| equal(&value, item)))
            }
            Node::Has(operand, flags) => match (self.value(operand, slots), self.value(flags, slots)) {
                (Value::Int(value), Value::Int(flags)) => Value::Boolean(value & flags == flags),
                _ => Value::Null,
            },
            Node::Call(function, arguments) => {
                let values: Vec<Value> = arguments.iter().map(|argument| self.value(argument, slots)).collect();
                if !self.types.may_work(functions::steps(*function, &values)) {
                    return Value::Null;
                }
                functions::call(*function, &values)
            }
            Node::Cast(operand, ty) => match ty.structure() {
                Some(place) => self.narrowed(self.value(operand, slots), place),
                None => convert::cast(&self.value(operand, slots), operand.ty, *ty, self.types),
            },
            Node::IsOf(operand, ty) => {
                let value = self.value(operand, slots);
                Value::Boolean(match (&value, ty.structure()) {
                    (Value::Record(record), Some(place)) => self.types.is_a(record.ty, place),
                    (Value::Null, _) => false,
                    _ => operand.ty == Some(*ty),
                })
            }
            Node::Case(branches) => {
                let found = branches.iter().find(|(condition, _)| self.holds(condition, slots));
                found.map_or(Value::Null, |(_, value)| self.value(value, slots))
            }
            Node::Aggregate(operand, slot, method, of) => {
                let items = self.value(operand, slots);
                let mut values = Vec::new();
                for item in items.items() {
                    slots.set(*slot, item.clone());
                    values.extend(self.value(of, slots).items().iter().cloned());
                }
                crate::apply::fold(*method, of, values, self)
            }
            Node::Search(operand, wanted) => {
                let items = self.value(operand, slots);
                if !self.types.may_work(items.items().len()) {
                    return Value::Null;
                }
                let found = |item: &&Value| wanted.is_in(&crate::apply::texts(item, self));
                collection(items.items().iter().filter(found).cloned())
            }
            Node::Object(place, values) => {
                let values = values.iter().map(|value| self.value(value, slots)).collect();
                Value::Record(std::sync::Arc::new(Record { ty: *place, home: crate::Home::None, values }))
            }
            Node::List(items) => collection(items.iter().map(|item| self.value(item, slots))),
            Node::Negate(operand) => arithmetic::negate(&self.value(operand, slots)),
        }
    }

    fn holds_for(&self, condition: &TypedExpr, slot: usize, item: &Value, slots: &mut Slots) -> bool {
        slots.set(slot, item.clone());
        self.holds(condition, slots)
    }

    /// What a navigation property of a record, by its position, leads to; null for what is no record.
    #[must_use]
    pub fn follow(&self, value: &Value, position: usize) -> Value {
        let Value::Record(record) = value else { return Value::Null };
        let Some(ty) = self.types.of_model(record.ty) else { return Value::Null };
        if !self.types.may_work(self.graph.looked_at(ty, position)) {
            return Value::Null;
        }
        self.graph.follow(record, ty, position)
    }

    /// What is of a type: of a collection those that are, else the value or null.
    fn narrowed(&self, value: Value, place: usize) -> Value {
        let is = |value: &Value| value.record().is_some_and(|record| self.types.is_a(record.ty, place));
        match &value {
            Value::Collection(items) => collection(items.iter().filter(|item| is(item)).cloned()),
            single if is(single) => value,
            _ => Value::Null,
        }
    }

    /// Operators group from the left, in chains that may be long: they are gone through without going deeper.
    fn chain(&self, expression: &TypedExpr, slots: &mut Slots) -> Value {
        let mut links = Vec::new();
        let mut innermost = expression;
        while let Node::And(left, _) | Node::Or(left, _) | Node::Arithmetic(_, left, _) = &innermost.node {
            links.push(innermost);
            innermost = left;
        }
        let mut value = self.value(innermost, slots);
        for link in links.into_iter().rev() {
            value = self.link(value, link, slots);
        }
        value
    }

    fn link(&self, left: Value, link: &TypedExpr, slots: &mut Slots) -> Value {
        match &link.node {
            Node::And(_, right) => match left {
                Value::Boolean(false) => left,
                Value::Boolean(true) => self.value(right, slots),
                _ => match self.value(right, slots) {
                    Value::Boolean(false) => Value::Boolean(false),
                    _ => Value::Null,
                },
            },
            Node::Or(_, right) => match left {
                Value::Boolean(true) => left,
                Value::Boolean(false) => self.value(right, slots),
                _ => match self.value(right, slots) {
                    Value::Boolean(true) => Value::Boolean(true),
                    _ => Value::Null,
                },
            },
            Node::Arithmetic(op, _, right) => {
                arithmetic::compute(*op, &left, &self.value(right, slots), link.primitive())
            }
            _ => left,
        }
    }
}

fn equal(left: &Value, right: &Value) -> bool {
    compare(crate::typed::Comparison::Eq, left, right)
}

fn collection(items: impl Iterator<Item = Value>) -> Value {
    Value::Collection(std::sync::Arc::new(items.collect()))
}

fn member(value: &Value, position: usize) -> Value {
    value.record().and_then(|record| record.values.get(position)).cloned().unwrap_or(Value::Null)
}

/// The function's value of one, or of each item of a collection, flattened and without nulls.
fn each(value: &Value, of: impl Fn(&Value) -> Value) -> Value {
    let Value::Collection(items) = value else { return of(value) };
    collection(items.iter().flat_map(|item| of(item).items().to_vec()))
}

/// The item of a collection with a key.
#[must_use]
pub fn find(items: &Value, key: &[(usize, Value)]) -> Value {
    let has_key = |item: &&Value| key.iter().all(|(position, value)| equal(&member(item, *position), value));
    items.items().iter().find(has_key).cloned().unwrap_or(Value::Null)
}
