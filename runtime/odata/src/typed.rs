//! Typed expressions: the syntax tree checked against an entity type. After this stage every property exists, every
//! comparison compares like with like, and what the service cannot evaluate has been refused by name.

mod check;
mod check_call;
mod check_operands;
mod check_path;
mod constant;
mod types;
mod work;

pub use check::{Context, Mismatch, check, check_boolean, check_filter, constant};
pub use types::Types;
pub(crate) use work::Work;

use crate::Value;
use crate::model::{PrimitiveType, Type};
use crate::search::Wanted;

/// A text, as it stands in JSON, as a value of a type; none for one that cannot be.
pub(crate) fn convert_text(text: &str, ty: Type, types: &Types<'_>) -> Option<Value> {
    let as_text = Value::String(text.to_owned());
    constant::convert(&as_text, ty, types).or_else(|| {
        let parsed = crate::expr::parse(text, crate::Limits::default()).ok()?;
        let crate::expr::ExprKind::Literal(literal) = &parsed.kind else { return None };
        let (value, _) = constant::value(literal, types).ok()?;
        constant::convert(&value, ty, types)
    })
}

/// An expression with its type.
#[derive(Clone, PartialEq, Debug)]
pub struct TypedExpr {
    /// What it computes.
    pub node: Node,
    /// The type of its value; none only for the literal `null`.
    pub ty: Option<Type>,
    /// Whether its value can be null. NaN, and arithmetic that may give NaN, count as such: databases have no NaN.
    pub nullable: bool,
}

impl TypedExpr {
    /// A value of a type.
    #[must_use]
    pub fn literal(value: Value, ty: Type) -> Self {
        Self { nullable: value == Value::Null, node: Node::Literal(value), ty: Some(ty) }
    }

    /// A property of the row at hand, by its position in the type.
    #[must_use]
    pub fn property(entity_type: &crate::EntityType, position: usize) -> Self {
        let property = &entity_type.properties[position];
        Self { node: Node::Property(position), ty: Some(property.ty), nullable: property.nullable }
    }

    /// The condition that a property of the row at hand has a value.
    #[must_use]
    pub fn equals(entity_type: &crate::EntityType, position: usize, value: Value) -> Self {
        let property = Self::property(entity_type, position);
        let literal = Self::literal(value, entity_type.properties[position].ty);
        let node = Node::Compare(Comparison::Eq, Box::new(property), Box::new(literal));
        Self { node, ty: Some(PrimitiveType::Boolean.into()), nullable: false }
    }

    /// The condition that two others hold.
    #[must_use]
    pub fn both(left: Self, right: Self) -> Self {
        let nullable = left.nullable || right.nullable;
        let node = Node::And(Box::new(left), Box::new(right));
        Self { node, ty: Some(PrimitiveType::Boolean.into()), nullable }
    }

    /// Calls a function for this expression and all below it.
    pub fn walk<'e>(&'e self, each: &mut dyn FnMut(&'e TypedExpr)) {
        each(self);
        self.node.for_each_operand(|operand| operand.walk(each));
    }

    /// The primitive type of its value, if it is a single primitive value.
    #[must_use]
    pub fn primitive(&self) -> Option<PrimitiveType> {
        self.ty.and_then(Type::primitive)
    }
}

/// The slot of the row at hand, `$this`.
pub const SLOT_THIS: usize = 0;
/// The slot of the row that the resource path names, `$it`, where it is another than the row at hand.
pub const SLOT_IT: usize = 1;
/// The first slot of the variables of lambdas.
pub const SLOT_VARIABLES: usize = 2;

/// What an expression computes. Operands are typed so that an evaluator needs no checks of its own: both sides of a
/// comparison are numbers, or of one type, or `null`.
#[derive(Clone, PartialEq, Debug)]
pub enum Node {
    /// A value; times in nanoseconds, `now()` already resolved.
    Literal(Value),
    /// A property of the row at hand, by its position in its type.
    Property(usize),
    /// The value of a slot: a row, or the variable of a lambda.
    Variable(usize),
    /// A property of a record, by its position; of each, where there are many.
    Member(Box<TypedExpr>, usize),
    /// What a navigation property of a record leads to, by its position; of each, where there are many.
    Navigate(Box<TypedExpr>, usize),
    /// A record as one of a derived type, null if it is none; of many, those that are.
    As(Box<TypedExpr>, usize),
    /// All entities of a set, by its place in the model.
    Set(usize),
    /// A singleton, by its place in the model.
    Singleton(usize),
    /// The one of a collection with this key: positions and values.
    Find(Box<TypedExpr>, Vec<(usize, Value)>),
    /// How many items a collection has.
    Count(Box<TypedExpr>),
    /// A value computed of a collection: how, and of what of each item, which is in the slot meanwhile.
    Aggregate(Box<TypedExpr>, usize, crate::apply::Method, Box<TypedExpr>),
    /// The items of a collection for which a condition holds; they are in the slot meanwhile.
    Filter(Box<TypedExpr>, usize, Box<TypedExpr>),
    /// The items of a collection in whose texts something is found.
    Search(Box<TypedExpr>, Wanted),
    /// Whether a condition holds for any item, or for all; items are in the slot meanwhile. Never null.
    Lambda {
        /// Whether it is `all`.
        all: bool,
        /// The collection.
        collection: Box<TypedExpr>,
        /// Where the item is.
        slot: usize,
        /// The condition; none for `any()`.
        condition: Option<Box<TypedExpr>>,
    },
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
    /// Whether the first is equal to an item of the collection. Never null.
    InCollection(Box<TypedExpr>, Box<TypedExpr>),
    /// Whether all flags of the second are set in the first; null if one is.
    Has(Box<TypedExpr>, Box<TypedExpr>),
    /// A function of its arguments; null if one of them is.
    Call(Function, Vec<TypedExpr>),
    /// The value as one of another type, null if it cannot be one.
    Cast(Box<TypedExpr>, Type),
    /// Whether the value is of a type. Never null.
    IsOf(Box<TypedExpr>, Type),
    /// The value beside the first condition that holds; null if none does.
    Case(Vec<(TypedExpr, TypedExpr)>),
    /// A collection of these.
    List(Vec<TypedExpr>),
    /// A complex value with these properties, of the type at this place.
    Object(usize, Vec<TypedExpr>),
    /// Arithmetic on numbers, and sum and difference of moments and durations; null if an operand is.
    Arithmetic(Arithmetic, Box<TypedExpr>, Box<TypedExpr>),
    /// The number or duration with its sign changed.
    Negate(Box<TypedExpr>),
}

impl Node {
    /// Calls a function for every operand.
    pub fn for_each_operand<'e>(&'e self, mut each: impl FnMut(&'e TypedExpr)) {
        match self {
            Node::Literal(_) | Node::Property(_) | Node::Variable(_) | Node::Set(_) | Node::Singleton(_) => {}
            Node::Member(operand, _)
            | Node::Navigate(operand, _)
            | Node::As(operand, _)
            | Node::Find(operand, _)
            | Node::Count(operand)
            | Node::Search(operand, _)
            | Node::Not(operand)
            | Node::Negate(operand)
            | Node::Cast(operand, _)
            | Node::IsOf(operand, _) => each(operand),
            Node::Filter(left, _, right)
            | Node::Aggregate(left, _, _, right)
            | Node::Compare(_, left, right)
            | Node::And(left, right)
            | Node::Or(left, right)
            | Node::InCollection(left, right)
            | Node::Has(left, right)
            | Node::Arithmetic(_, left, right) => {
                each(left);
                each(right);
            }
            Node::Lambda { collection, condition, .. } => {
                each(collection);
                condition.iter().for_each(|condition| each(condition));
            }
            Node::In(operand, items) => {
                each(operand);
                items.iter().for_each(each);
            }
            Node::Call(_, items) | Node::List(items) | Node::Object(_, items) => items.iter().for_each(each),
            Node::Case(branches) => branches.iter().for_each(|(condition, value)| {
                each(condition);
                each(value);
            }),
        }
    }
}

impl Node {
    /// Calls a function for every operand, to change it.
    pub fn for_each_operand_mut(&mut self, mut each: impl FnMut(&mut TypedExpr)) {
        match self {
            Node::Literal(_) | Node::Property(_) | Node::Variable(_) | Node::Set(_) | Node::Singleton(_) => {}
            Node::Member(operand, _)
            | Node::Navigate(operand, _)
            | Node::As(operand, _)
            | Node::Find(operand, _)
            | Node::Count(operand)
            | Node::Search(operand, _)
            | Node::Not(operand)
            | Node::Negate(operand)
            | Node::Cast(operand, _)
            | Node::IsOf(operand, _) => each(operand),
            Node::Filter(left, _, right)
            | Node::Aggregate(left, _, _, right)
            | Node::Compare(_, left, right)
            | Node::And(left, right)
            | Node::Or(left, right)
            | Node::InCollection(left, right)
            | Node::Has(left, right)
            | Node::Arithmetic(_, left, right) => {
                each(left);
                each(right);
            }
            Node::Lambda { collection, condition, .. } => {
                each(collection);
                condition.iter_mut().for_each(|condition| each(condition));
            }
            Node::In(operand, items) => {
                each(operand);
                items.iter_mut().for_each(each);
            }
            Node::Call(_, items) | Node::List(items) | Node::Object(_, items) => items.iter_mut().for_each(each),
            Node::Case(branches) => branches.iter_mut().for_each(|(condition, value)| {
                each(condition);
                each(value);
            }),
        }
    }
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

/// What an argument of a function may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Parameter {
    /// Exactly this type, or whole numbers where it is `Edm.Int64`.
    Of(PrimitiveType),
    /// A number.
    Number,
    /// A moment or a day.
    Day,
    /// A moment or a time of day.
    Clock,
    /// A shape.
    Shape,
    /// A collection.
    Many,
    /// A text or a collection.
    TextOrMany,
}

macro_rules! functions {
    ($($(#[$doc:meta])* $name:ident = $word:literal ($($parameter:expr),*) -> $result:expr;)*) => {
        /// Functions that can be evaluated.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Function {
            $($(#[$doc])* $name,)*
        }

        impl Function {
            /// Every function.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// What its arguments must be; for fewer arguments the first ones.
            pub(crate) fn parameters(self) -> &'static [Parameter] {
                use Parameter::{Clock, Day, Many, Number, Of, Shape, TextOrMany};
                use PrimitiveType::{DateTimeOffset, Duration, Int64, String};
                match self { $(Self::$name => &[$($parameter),*],)* }
            }

            /// The type of its value; none where it is that of the first argument.
            pub(crate) fn result(self) -> Option<PrimitiveType> {
                use PrimitiveType::{Boolean, Date, Decimal, Double, Int32, String, TimeOfDay};
                match self { $(Self::$name => $result,)* }
            }
        }
    };
}

functions! {
    /// Whether the second text is in the first, or the items of the second collection beside each other in the first.
    Contains = "contains" (TextOrMany, TextOrMany) -> Some(Boolean);
    /// Whether the first text or collection begins with the second.
    StartsWith = "startswith" (TextOrMany, TextOrMany) -> Some(Boolean);
    /// Whether the first text or collection ends with the second.
    EndsWith = "endswith" (TextOrMany, TextOrMany) -> Some(Boolean);
    /// Whether the text matches the regular expression.
    MatchesPattern = "matchespattern" (Of(String), Of(String)) -> Some(Boolean);
    /// The text in lower case.
    ToLower = "tolower" (Of(String)) -> Some(String);
    /// The text in upper case.
    ToUpper = "toupper" (Of(String)) -> Some(String);
    /// The number of characters, or of items.
    Length = "length" (TextOrMany) -> Some(Int32);
    /// The text without whitespace at its ends.
    Trim = "trim" (Of(String)) -> Some(String);
    /// The two texts or collections joined.
    Concat = "concat" (TextOrMany, TextOrMany) -> None;
    /// Where the second text or collection begins in the first, from 0; -1 if it does not.
    IndexOf = "indexof" (TextOrMany, TextOrMany) -> Some(Int32);
    /// The text or the items from a position, from 0, or from the end if negative; with a third argument at most that many.
    Substring = "substring" (TextOrMany, Of(Int64), Of(Int64)) -> None;
    /// Whether all items of the second are in the first.
    HasSubset = "hassubset" (Many, Many) -> Some(Boolean);
    /// Whether the items of the second are in the first in their order, others perhaps between them.
    HasSubsequence = "hassubsequence" (Many, Many) -> Some(Boolean);
    /// The year of a moment, in UTC, or of a day.
    Year = "year" (Day) -> Some(Int32);
    /// The month of a moment, in UTC, or of a day: 1 to 12.
    Month = "month" (Day) -> Some(Int32);
    /// The day of a moment, in UTC, or of a day in its month: 1 to 31.
    Day = "day" (Day) -> Some(Int32);
    /// The hour of a moment, in UTC, or of a time: 0 to 23.
    Hour = "hour" (Clock) -> Some(Int32);
    /// The minute of a moment or a time: 0 to 59.
    Minute = "minute" (Clock) -> Some(Int32);
    /// The second of a moment or a time: 0 to 59.
    Second = "second" (Clock) -> Some(Int32);
    /// The fraction of a second of a moment or a time: 0 to less than 1.
    FractionalSeconds = "fractionalseconds" (Clock) -> Some(Decimal);
    /// The day of a moment, in UTC.
    Date = "date" (Of(DateTimeOffset)) -> Some(Date);
    /// The time of a moment, in UTC.
    Time = "time" (Of(DateTimeOffset)) -> Some(TimeOfDay);
    /// The offset of a moment, which is kept in UTC: 0.
    TotalOffsetMinutes = "totaloffsetminutes" (Of(DateTimeOffset)) -> Some(Int32);
    /// The seconds of a duration, with their fraction.
    TotalSeconds = "totalseconds" (Of(Duration)) -> Some(Decimal);
    /// The nearest whole number, the one farther from zero of two.
    Round = "round" (Number) -> None;
    /// The next lower whole number.
    Floor = "floor" (Number) -> None;
    /// The next higher whole number.
    Ceiling = "ceiling" (Number) -> None;
    /// The way between two points.
    GeoDistance = "geo.distance" (Shape, Shape) -> Some(Double);
    /// The beginning of the span of a width that a moment is in; spans are counted from 1970-01-01T00:00:00Z. Null for a
    /// width that is not positive. Only through a function of the model ([`crate::model::Operation::computes`]).
    Bucket = "$bucket" (Of(DateTimeOffset), Of(Duration)) -> Some(PrimitiveType::DateTimeOffset);
    /// The length of a line.
    GeoLength = "geo.length" (Shape) -> Some(Double);
    /// Whether a point is in an area.
    GeoIntersects = "geo.intersects" (Shape, Shape) -> Some(Boolean);
}

impl Function {
    /// The function of a name in lower case, if it can be evaluated.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|function| function.name() == name && *function != Self::Bucket)
    }
}
