//! `$apply` (OData Extension for Data Aggregation 4.0): its transformations, parsed and typed, and what they do to rows in
//! memory.

mod grouping;
mod identity;
mod nesting;
mod plan;
mod push;
mod run;
mod stage;

pub(crate) use plan::UNION;
pub use plan::plan;
pub(crate) use plan::{aggregated_type, method_of};
pub(crate) use push::{Beginning, Groups, inlined};
pub use run::run;
pub use run::texts;
pub(crate) use run::{as_union, fold, sorted};
pub use stage::Stage;

use crate::OrderBy;
use crate::search::Wanted;
use crate::typed::TypedExpr;

/// One transformation of rows.
#[derive(Clone, PartialEq, Debug)]
pub enum Transformation {
    /// Nothing changes.
    Identity,
    /// One after the other.
    Sequence(Vec<Transformation>),
    /// Rows for which a condition holds.
    Filter(TypedExpr),
    /// Rows whose texts hold what is wanted.
    Search(Wanted),
    /// Rows with one more property.
    Compute(Stage),
    /// Rows in an order.
    OrderBy(Vec<OrderBy>),
    /// The first rows.
    Top(u64),
    /// The rows behind the first.
    Skip(u64),
    /// One row with these values, of a type made for it.
    Aggregate(Vec<Aggregation>, usize),
    /// What other transformations make of each group of rows.
    GroupBy {
        /// What the rows of a group have in common.
        keys: Vec<Key>,
        /// What is done with each group.
        inner: Vec<Transformation>,
        /// The type made for the result; none where rows stay what they are.
        made: Option<usize>,
    },
    /// The rows of several sequences, one after the other, in a type that has the properties of all.
    Concat(Vec<Vec<Transformation>>, usize),
    /// A row for each item of a collection that a row leads to, with the item as one more property.
    Join {
        /// The collection.
        of: TypedExpr,
        /// What is made of it.
        inner: Vec<Transformation>,
        /// Whether a row whose collection is empty stays, with null.
        outer: bool,
        /// The property.
        stage: Stage,
    },
    /// One row with what each sequence makes of all rows, of a type made for it.
    Nest(Vec<Vec<Transformation>>, usize),
    /// Rows with what a sequence makes of a collection, or of one record, that each leads to, as one more property.
    AddNested {
        /// The collection or record.
        of: TypedExpr,
        /// What is made of it.
        inner: Vec<Transformation>,
        /// The property.
        stage: Stage,
    },
    /// The greatest or least rows by a value.
    Best {
        /// Whether the greatest.
        top: bool,
        /// What the amount is of.
        measure: Measure,
        /// How much.
        amount: f64,
        /// The value.
        by: TypedExpr,
    },
}

impl Transformation {
    /// Calls a function for every expression.
    pub fn walk<'e>(&'e self, each: &mut dyn FnMut(&'e TypedExpr)) {
        match self {
            Self::Identity | Self::Search(_) | Self::Top(_) | Self::Skip(_) => {}
            Self::Sequence(inner) => inner.iter().for_each(|step| step.walk(each)),
            Self::Filter(condition) => condition.walk(each),
            Self::Compute(stage) => stage.value().walk(each),
            Self::OrderBy(by) => by.iter().for_each(|item| item.expression.walk(each)),
            Self::Aggregate(items, _) => items.iter().for_each(|item| {
                item.of.iter().for_each(|of| of.walk(each));
                item.from.iter().for_each(|step| step.walk(each));
            }),
            Self::GroupBy { keys, inner, .. } => {
                keys.iter().for_each(|key| key.walk(each));
                inner.iter().for_each(|step| step.walk(each));
            }
            Self::Concat(branches, _) => branches.iter().flatten().for_each(|step| step.walk(each)),
            Self::Best { by, .. } => by.walk(each),
            Self::Nest(sequences, _) => sequences.iter().flatten().for_each(|step| step.walk(each)),
            Self::Join { of, inner, .. } | Self::AddNested { of, inner, .. } => {
                of.walk(each);
                inner.iter().for_each(|step| step.walk(each));
            }
        }
    }
}

/// How much of the rows `topcount` and its like take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Measure {
    /// So many rows.
    Count,
    /// As few rows as have this sum.
    Sum,
    /// As few rows as have this part of the sum, in percent.
    Percent,
}

/// A value computed of many rows.
#[derive(Clone, PartialEq, Debug)]
pub struct Aggregation {
    /// What of each row; none for the row itself.
    pub of: Option<TypedExpr>,
    /// How.
    pub method: Method,
    /// What is done with the rows before, where the value is computed `from` groups: it gives one row with one value.
    pub from: Vec<Transformation>,
}

/// How a value is computed of many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// Their sum.
    Sum,
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// Their sum divided by their number.
    Average,
    /// How many different ones.
    CountDistinct,
    /// How many.
    Count,
}

/// What the rows of a group have in common: a value, or parts of a record.
#[derive(Clone, PartialEq, Debug)]
pub enum Key {
    /// A value.
    Value(TypedExpr),
    /// Parts, of a type made for them.
    Parts(Vec<Key>, usize),
}

impl Key {
    fn walk<'e>(&'e self, each: &mut dyn FnMut(&'e TypedExpr)) {
        match self {
            Self::Value(expression) => expression.walk(each),
            Self::Parts(parts, _) => parts.iter().for_each(|part| part.walk(each)),
        }
    }
}
