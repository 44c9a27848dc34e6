//! Typed expressions: the syntax tree checked against an entity type. After this stage every property exists, every
//! comparison compares like with like, and what the service cannot evaluate has been refused by name.

mod check;
mod constant;

pub use check::{Context, Mismatch, check, check_filter, constant};

use crate::{PrimitiveType, Value};

/// An expression with its type.
#[derive(Clone, PartialEq, Debug)]
pub struct TypedExpr {
    /// What it computes.
    pub node: Node,
    /// The type of its value; none only for the literal `null`.
    pub ty: Option<PrimitiveType>,
    /// Whether its value can be null. NaN, and arithmetic that may give NaN, count as such: databases have no NaN.
    pub nullable: bool,
}

/// What an expression computes. Operands are typed so that an evaluator needs no checks of its own: both sides of a
/// comparison are numbers, or of one type, or `null`.
#[derive(Clone, PartialEq, Debug)]
pub enum Node {
    /// A value; times in nanoseconds, `now()` already resolved.
    Literal(Value),
    /// A property, by its position in the entity type.
    Property(usize),
    /// A comparison. Never null (Part 2 §5.1.1.1).
    Compare(Comparison, Box<TypedExpr>, Box<TypedExpr>),
    /// Both; three-valued.
    And(Box<TypedExpr>, Box<TypedExpr>),
    /// Either; three-valued.
    Or(Box<TypedExpr>, Box<TypedExpr>),
    /// The opposite; null stays null.
    Not(Box<TypedExpr>),
    /// Whether the first is equal to one of the list. Never null.
    In(Box<TypedExpr>, Vec<TypedExpr>),
    /// A function of its arguments; null if one of them is.
    Call(Function, Vec<TypedExpr>),
    /// Arithmetic on numbers, and sum and difference of moments and durations; null if an operand is.
    Arithmetic(Arithmetic, Box<TypedExpr>, Box<TypedExpr>),
    /// The number or duration with its sign changed.
    Negate(Box<TypedExpr>),
}

/// Comparison operators.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Comparison {
    /// Equal; null only to null.
    Eq,
    /// Not equal.
    Ne,
    /// Greater; false with a null.
    Gt,
    /// Greater or equal; true for two nulls, false for one.
    Ge,
    /// Less; false with a null.
    Lt,
    /// Less or equal; true for two nulls, false for one.
    Le,
}

/// Arithmetic operators.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arithmetic {
    /// Sum.
    Add,
    /// Difference.
    Sub,
    /// Product.
    Mul,
    /// Quotient; of two integers rounded towards zero.
    Div,
    /// Quotient with a fraction.
    DivBy,
    /// Remainder, with the sign of the dividend.
    Mod,
}

/// Functions that can be evaluated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Function {
    /// Whether the second text is in the first.
    Contains,
    /// Whether the first text begins with the second.
    StartsWith,
    /// Whether the first text ends with the second.
    EndsWith,
    /// The text in lower case.
    ToLower,
    /// The text in upper case.
    ToUpper,
    /// The number of characters.
    Length,
    /// The text without whitespace at its ends.
    Trim,
    /// The two texts joined.
    Concat,
    /// Where the second text begins in the first, from 0; -1 if it does not.
    IndexOf,
    /// The text from a position, from 0; with a third argument at most that many characters.
    Substring,
    /// The year of a moment, in UTC.
    Year,
    /// The month of a moment, 1 to 12, in UTC.
    Month,
    /// The day of a moment, 1 to 31, in UTC.
    Day,
    /// The hour of a moment, 0 to 23, in UTC.
    Hour,
    /// The minute of a moment, 0 to 59.
    Minute,
    /// The second of a moment, 0 to 59.
    Second,
}

impl Function {
    /// The function of a name in lower case, if it can be evaluated.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "contains" => Self::Contains,
            "startswith" => Self::StartsWith,
            "endswith" => Self::EndsWith,
            "tolower" => Self::ToLower,
            "toupper" => Self::ToUpper,
            "length" => Self::Length,
            "trim" => Self::Trim,
            "concat" => Self::Concat,
            "indexof" => Self::IndexOf,
            "substring" => Self::Substring,
            "year" => Self::Year,
            "month" => Self::Month,
            "day" => Self::Day,
            "hour" => Self::Hour,
            "minute" => Self::Minute,
            "second" => Self::Second,
            _ => return None,
        })
    }

    /// The types its arguments must have; for fewer arguments the first ones.
    pub(crate) fn parameters(self) -> &'static [PrimitiveType] {
        use PrimitiveType::{DateTimeOffset, Int64, String};
        match self {
            Self::ToLower | Self::ToUpper | Self::Length | Self::Trim => &[String],
            Self::Contains | Self::StartsWith | Self::EndsWith | Self::Concat | Self::IndexOf => &[String, String],
            Self::Substring => &[String, Int64, Int64],
            Self::Year | Self::Month | Self::Day | Self::Hour | Self::Minute | Self::Second => &[DateTimeOffset],
        }
    }

    /// The type of its value.
    pub(crate) fn result(self) -> PrimitiveType {
        match self {
            Self::Contains | Self::StartsWith | Self::EndsWith => PrimitiveType::Boolean,
            Self::ToLower | Self::ToUpper | Self::Trim | Self::Concat | Self::Substring => PrimitiveType::String,
            _ => PrimitiveType::Int32,
        }
    }
}
