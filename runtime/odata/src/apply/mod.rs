//! `$apply` (OData Extension for Data Aggregation 4.0): its transformations, parsed and typed, and what they do to rows in
//! memory.

mod plan;
mod run;
mod stage;

pub(crate) use plan::UNION;
pub use plan::plan;
pub use run::run;
pub(crate) use run::{sorted, texts};
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
