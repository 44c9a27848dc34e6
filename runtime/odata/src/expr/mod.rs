//! Expressions as the grammar has them, before any model: the syntax tree, its parser and its printer.
//!
//! [`parse`] knows the whole of `commonExpr` (OData ABNF 4.01); what the service cannot evaluate is refused later, by
//! name, when the tree is typed.

mod lexer;
mod operand;
mod parse;
mod print;

pub use parse::{OrderItem, ParseError, parse, parse_compute, parse_key, parse_order};

use crate::literal::Literal;

/// A node of the syntax tree. Two nodes are equal when they mean the same, wherever they stand in their texts.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it begins: offset in bytes into the decoded text.
    pub at: usize,
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

/// The kinds of nodes.
#[derive(Clone, PartialEq, Debug)]
pub enum ExprKind {
    /// A primitive literal.
    Literal(Literal),
    /// A path: properties, navigation, bound functions, lambdas. Never empty.
    Path(Vec<Segment>),
    /// A function of OData's own, by its name in lower case: `contains(Name,'x')`.
    Call {
        /// Its name in lower case.
        function: String,
        /// Its arguments.
        arguments: Vec<Expr>,
    },
    /// The type argument of `cast` and `isof`.
    TypeName(String),
    /// `case(condition:value,…)`
    Case(Vec<(Expr, Expr)>),
    /// `-x` and `not x`
    Unary(UnaryOp, Box<Expr>),
    /// An operator between two operands.
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// `[a,b]`, and `(a,b)` after `in`.
    List(Vec<Expr>),
    /// `{"name":value,…}`
    Record(Vec<(String, Expr)>),
}

/// A segment of a path.
#[derive(Clone, PartialEq, Debug)]
pub enum Segment {
    /// A property, a type cast, `$it`, `$count`, `@alias`, `@Vocabulary.Term`.
    Name(String),
    /// A function with its parameters, or a collection with a key: `Available()`, `Products(1)`, `Near(point=@p)`.
    Call(String, Vec<Argument>),
    /// A key after something that already has parentheses.
    Key(Vec<Argument>),
    /// `$filter(condition)`
    Filter(Box<Expr>),
    /// `$count($filter=condition;$search=words)`: how many there are of those.
    Count {
        /// What `$filter` demands.
        filter: Option<Box<Expr>>,
        /// The text of `$search`.
        search: Option<String>,
    },
    /// `any(x:condition)`, `all(x:condition)`; `any()` has neither.
    Lambda {
        /// Whether it is `all`.
        all: bool,
        /// The variable and the condition.
        body: Option<(String, Box<Expr>)>,
    },
    /// `aggregate(…)`: its text, unparsed.
    Aggregate(String),
}

/// A parameter or a part of a key; the name is missing for a single unnamed key.
#[derive(Clone, PartialEq, Debug)]
pub struct Argument {
    /// Its name.
    pub name: Option<String>,
    /// Its value.
    pub value: Expr,
}

/// Operators with one operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnaryOp {
    /// `-x`
    Negate,
    /// `not x`
    Not,
}

macro_rules! binary_operators {
    ($($(#[$doc:meta])* $name:ident = $keyword:literal, $precedence:literal;)*) => {
        /// Operators with two operands.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum BinaryOp {
            $($(#[$doc])* $name,)*
        }

        impl BinaryOp {
            /// Every operator.
            pub const ALL: &'static [BinaryOp] = &[$(BinaryOp::$name,)*];

            /// How it is written.
            #[must_use]
            pub fn keyword(self) -> &'static str {
                match self { $(BinaryOp::$name => $keyword,)* }
            }

            /// How strongly it binds, from 1 (Part 2 §5.1.1.17).
            #[must_use]
            pub fn precedence(self) -> u8 {
                match self { $(BinaryOp::$name => $precedence,)* }
            }
        }
    };
}

binary_operators! {
    /// Logical or.
    Or = "or", 1;
    /// Logical and.
    And = "and", 2;
    /// Equal.
    Eq = "eq", 3;
    /// Not equal.
    Ne = "ne", 3;
    /// Greater.
    Gt = "gt", 4;
    /// Greater or equal.
    Ge = "ge", 4;
    /// Less.
    Lt = "lt", 4;
    /// Less or equal.
    Le = "le", 4;
    /// Sum.
    Add = "add", 5;
    /// Difference.
    Sub = "sub", 5;
    /// Product.
    Mul = "mul", 6;
    /// Quotient; of integers a whole number.
    Div = "div", 6;
    /// Quotient with a fraction.
    DivBy = "divby", 6;
    /// Remainder.
    Mod = "mod", 6;
    /// Flags of an enumeration.
    Has = "has", 8;
    /// Member of a list.
    In = "in", 8;
}

/// How strongly `not` and `-` bind.
pub(crate) const UNARY_PRECEDENCE: u8 = 7;

impl BinaryOp {
    /// The operator of a keyword, whatever its case (4.01).
    #[must_use]
    pub fn from_keyword(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|op| op.keyword().eq_ignore_ascii_case(text))
    }
}

/// The functions of OData 4.01 (Part 2 §5.1.1.5 to 5.1.1.14) with the least and the greatest number of arguments.
pub(crate) const FUNCTIONS: &[(&str, usize, usize)] = &[
    ("cast", 1, 2),
    ("ceiling", 1, 1),
    ("concat", 2, 2),
    ("contains", 2, 2),
    ("date", 1, 1),
    ("day", 1, 1),
    ("endswith", 2, 2),
    ("floor", 1, 1),
    ("fractionalseconds", 1, 1),
    ("geo.distance", 2, 2),
    ("geo.intersects", 2, 2),
    ("geo.length", 1, 1),
    ("hassubsequence", 2, 2),
    ("hassubset", 2, 2),
    ("hour", 1, 1),
    ("indexof", 2, 2),
    ("isdefined", 1, 1),
    ("isof", 1, 2),
    ("length", 1, 1),
    ("matchespattern", 2, 2),
    ("maxdatetime", 0, 0),
    ("mindatetime", 0, 0),
    ("minute", 1, 1),
    ("month", 1, 1),
    ("now", 0, 0),
    ("round", 1, 1),
    ("second", 1, 1),
    ("startswith", 2, 2),
    ("substring", 2, 3),
    ("time", 1, 1),
    ("tolower", 1, 1),
    ("totaloffsetminutes", 1, 1),
    ("totalseconds", 1, 1),
    ("toupper", 1, 1),
    ("trim", 1, 1),
    ("year", 1, 1),
];
