//! The type checker: operators and literals. Paths are in `check_path`, functions in `check_call`, arithmetic in
//! `check_operands`. Positions in its errors are those of the syntax tree.

use super::check_operands::promoted;
use super::{Arithmetic, Comparison, Node, SLOT_THIS, SLOT_VARIABLES, TypedExpr, Types, constant as literals};
use crate::Value;
use crate::expr::{BinaryOp, Expr, ExprKind, UnaryOp};
use crate::limits::{EXPRESSION_MAX_NODES, TREE_MAX_DEPTH};
use crate::model::{Base, PrimitiveType, Type};
use std::collections::BTreeMap;

/// What the names in an expression mean.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The types there are.
    pub types: &'a Types<'a>,
    /// The type of the row at hand, `$this`, whose properties may be used; none where there is no row.
    pub this: Option<Type>,
    /// The type of the row that the resource path names, `$it`, where it is another than the row at hand.
    pub it: Option<Type>,
    /// Parameter aliases of the URL, by name with the `@`.
    pub aliases: &'a BTreeMap<String, Expr>,
    /// What `now()` gives: nanoseconds since the epoch.
    pub now_ns: i64,
    /// Whether a path may go on behind a collection, as it may in `$apply`: it then means all values.
    pub through_collections: bool,
}

/// Why a tree does not fit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Mismatch {
    /// It cannot be meant so: 400.
    Wrong {
        /// Where, in bytes.
        at: usize,
        /// What does not fit.
        message: String,
    },
    /// OData has it, this service has not: 501.
    Unsupported {
        /// The construct.
        construct: String,
        /// What exactly.
        message: String,
    },
}

pub(super) type Checked = Result<TypedExpr, Mismatch>;

pub(super) fn wrong<T>(at: usize, message: impl Into<String>) -> Result<T, Mismatch> {
    Err(Mismatch::Wrong { at, message: message.into() })
}

pub(super) fn unsupported<T>(construct: impl Into<String>, message: impl Into<String>) -> Result<T, Mismatch> {
    Err(Mismatch::Unsupported { construct: construct.into(), message: message.into() })
}

/// Checks a `$filter`: an expression whose value is a Boolean.
///
/// # Errors
/// [`Mismatch`]
pub fn check_filter(expression: &Expr, context: Context<'_>) -> Result<TypedExpr, Mismatch> {
    check_boolean(expression, context, "a filter")
}

/// Checks an expression whose value must be a Boolean; `what` names it in the error.
///
/// # Errors
/// [`Mismatch`]
pub fn check_boolean(expression: &Expr, context: Context<'_>, what: &str) -> Result<TypedExpr, Mismatch> {
    let mut checker = Checker::new(context);
    let typed = checker.expression(expression)?;
    checker.expect_boolean(&typed, expression.at, what)?;
    Ok(typed)
}

/// Checks any expression.
///
/// # Errors
/// [`Mismatch`]
pub fn check(expression: &Expr, context: Context<'_>) -> Result<TypedExpr, Mismatch> {
    Checker::new(context).expression(expression)
}

/// The value of a literal, as one of the type, such as a part of a key.
///
/// # Errors
/// [`Mismatch`]
pub fn constant(expression: &Expr, ty: Type, context: Context<'_>) -> Result<Value, Mismatch> {
    let name = context.types.name(ty);
    let typed = check(expression, context)?;
    let Node::Literal(value) = &typed.node else { return wrong(expression.at, "a literal is expected") };
    if *value == Value::Null {
        return wrong(expression.at, format!("a value of type {name} is expected, not null"));
    }
    let same_kind = !matches!(typed.ty, Some(Type { base: Base::Enum(_), .. })) || typed.ty == Some(ty);
    match literals::convert(value, ty, context.types).filter(|_| same_kind) {
        Some(value) => Ok(value),
        None => wrong(expression.at, format!("a value of type {name} is expected, not {expression}")),
    }
}

pub(super) struct Checker<'a> {
    pub(super) context: Context<'a>,
    /// Names of lambda variables with their types; the first is in slot [`SLOT_VARIABLES`]. Those of `$filter` segments have
    /// no name.
    pub(super) variables: Vec<(String, Type)>,
    /// The slot and the type of the row whose properties need no prefix.
    pub(super) current: (usize, Option<Type>),
    /// How deep in parameter aliases.
    pub(super) depth: usize,
    /// How deep in the tree, aliases included.
    level: usize,
    /// Nodes so far; aliases that use aliases could make of a short URL more than memory holds.
    nodes: usize,
}

impl<'a> Checker<'a> {
    fn new(context: Context<'a>) -> Self {
        Self { context, variables: Vec::new(), current: (SLOT_THIS, context.this), depth: 0, level: 0, nodes: 0 }
    }

    pub(super) fn expression(&mut self, expression: &Expr) -> Checked {
        let at = expression.at;
        self.count(at)?;
        self.level += 1;
        if self.level > TREE_MAX_DEPTH {
            return wrong(at, format!("with its parameter aliases this is nested more than {TREE_MAX_DEPTH} deep"));
        }
        let typed = self.kind(expression, at);
        self.level -= 1;
        typed
    }

    fn kind(&mut self, expression: &Expr, at: usize) -> Checked {
        match &expression.kind {
            ExprKind::Literal(literal) => match literals::value(literal, self.context.types) {
                Ok((value, ty)) => Ok(literal_of(value, ty)),
                Err(message) => wrong(at, message),
            },
            ExprKind::Path(segments) => self.path(segments, at),
            ExprKind::Call { function, arguments } => self.call(function, arguments, at),
            ExprKind::Unary(op, operand) => self.unary(*op, operand, at),
            ExprKind::Binary(..) => self.binary(expression),
            ExprKind::TypeName(name) => wrong(at, format!("the type `{name}` is no value")),
            ExprKind::Case(branches) => self.case(branches),
            ExprKind::List(items) => self.list(items),
            ExprKind::Record(_) => unsupported("object", "an object can only be compared with a complex value here"),
        }
    }

    /// The first free slot for a variable.
    pub(super) fn next_slot(&self) -> usize {
        SLOT_VARIABLES + self.variables.len()
    }

    fn case(&mut self, branches: &[(Expr, Expr)]) -> Checked {
        let mut typed: Vec<(TypedExpr, TypedExpr)> = Vec::with_capacity(branches.len());
        for (condition, value) in branches {
            let condition_typed = self.expression(condition)?;
            self.expect_boolean(&condition_typed, condition.at, "a condition of `case`")?;
            let mut value_typed = self.expression(value)?;
            if let Some(first) = typed.iter().find_map(|(_, value)| value.ty) {
                self.coerce(&mut value_typed, first);
                let fits = value_typed.ty.is_none_or(|ty| ty == first || ty.is_numeric() && first.is_numeric());
                if !fits {
                    let found = self.describe(&value_typed);
                    let message =
                        format!("the values of `case` must be of one type: {}", self.context.types.name(first));
                    return wrong(value.at, format!("{message}, not {found}"));
                }
            }
            typed.push((condition_typed, value_typed));
        }
        let numeric =
            typed.iter().filter_map(|(_, value)| value.primitive()).reduce(|a, b| promoted(a, b).unwrap_or(a));
        let ty = numeric.map(Type::from).or_else(|| typed.iter().find_map(|(_, value)| value.ty));
        Ok(TypedExpr { node: Node::Case(typed), ty, nullable: true })
    }

    fn list(&mut self, items: &[Expr]) -> Checked {
        let mut typed = Vec::with_capacity(items.len());
        for item in items {
            typed.push(self.expression(item)?);
        }
        let ty = typed.iter().find_map(|item| item.ty).unwrap_or(PrimitiveType::String.into());
        Ok(TypedExpr { node: Node::List(typed), ty: Some(ty.many()), nullable: false })
    }

    fn unary(&mut self, op: UnaryOp, operand: &Expr, at: usize) -> Checked {
        let typed = self.expression(operand)?;
        let (ty, nullable) = (typed.ty, typed.nullable);
        match op {
            UnaryOp::Not => {
                self.expect_boolean(&typed, operand.at, "the operand of `not`")?;
                Ok(TypedExpr { node: Node::Not(Box::new(typed)), ty: Some(PrimitiveType::Boolean.into()), nullable })
            }
            UnaryOp::Negate if ty.is_none_or(|ty| ty.is_numeric() || ty == PrimitiveType::Duration) => {
                let ty = ty.map(|ty| match ty.primitive() {
                    Some(small) if small.is_integer() && small != PrimitiveType::Int64 => PrimitiveType::Int32.into(),
                    _ => ty,
                });
                Ok(TypedExpr { node: Node::Negate(Box::new(typed)), ty, nullable })
            }
            UnaryOp::Negate => {
                wrong(at, format!("only a number or a duration can be negated, not {}", self.describe(&typed)))
            }
        }
    }

    /// Operators group from the left, in chains that may be long: they are gone through without going deeper.
    fn binary(&mut self, chain: &Expr) -> Checked {
        let mut links = Vec::new();
        let mut innermost = chain;
        while let ExprKind::Binary(op, left, right) = &innermost.kind {
            links.push((*op, left.at, right.as_ref(), innermost.at));
            innermost = left;
            if matches!(innermost.kind, ExprKind::Binary(..)) {
                self.count(innermost.at)?;
            }
        }
        let mut typed = match (&innermost.kind, links.last()) {
            // An object is of the type of what it is compared with.
            (ExprKind::Record(_), Some((_, _, right, _))) => {
                let ty = self.expression(right)?.ty;
                self.of_type(innermost, ty)?
            }
            _ => self.expression(innermost)?,
        };
        for (op, left_at, right, at) in links.into_iter().rev() {
            typed = self.link(op, (typed, left_at), right, at)?;
        }
        Ok(typed)
    }

    pub(super) fn count(&mut self, at: usize) -> Result<(), Mismatch> {
        self.nodes += 1;
        if self.nodes > EXPRESSION_MAX_NODES {
            return wrong(at, format!("with its parameter aliases this is more than {EXPRESSION_MAX_NODES} nodes"));
        }
        Ok(())
    }

    /// One operator of a chain; the left operand with its place.
    fn link(&mut self, op: BinaryOp, left: (TypedExpr, usize), right: &Expr, at: usize) -> Checked {
        let comparison = match op {
            BinaryOp::And | BinaryOp::Or => return self.logical(op, left, right),
            BinaryOp::In => return self.membership(left, right),
            BinaryOp::Has => return self.has(left, right),
            BinaryOp::Eq => Comparison::Eq,
            BinaryOp::Ne => Comparison::Ne,
            BinaryOp::Gt => Comparison::Gt,
            BinaryOp::Ge => Comparison::Ge,
            BinaryOp::Lt => Comparison::Lt,
            BinaryOp::Le => Comparison::Le,
            BinaryOp::Add => return self.arithmetic(Arithmetic::Add, left.0, right),
            BinaryOp::Sub => return self.arithmetic(Arithmetic::Sub, left.0, right),
            BinaryOp::Mul => return self.arithmetic(Arithmetic::Mul, left.0, right),
            BinaryOp::Div => return self.arithmetic(Arithmetic::Div, left.0, right),
            BinaryOp::DivBy => return self.arithmetic(Arithmetic::DivBy, left.0, right),
            BinaryOp::Mod => return self.arithmetic(Arithmetic::Mod, left.0, right),
        };
        let b = self.of_type(right, left.0.ty)?;
        self.comparison(comparison, left.0, b, right.at, at)
    }

    fn comparison(
        &mut self,
        comparison: Comparison,
        a: TypedExpr,
        b: TypedExpr,
        right_at: usize,
        at: usize,
    ) -> Checked {
        let (left_typed, right_typed) = self.alike(a, b, right_at)?;
        let ordered = !matches!(comparison, Comparison::Eq | Comparison::Ne);
        let orderless = |ty: Type| match ty.base {
            Base::Primitive(primitive) => ty.collection || primitive == PrimitiveType::Binary,
            Base::Enum(_) => ty.collection,
            Base::Structured(_) => true,
        };
        if ordered && left_typed.ty.or(right_typed.ty).is_some_and(orderless) {
            return wrong(at, format!("{} has no order: use eq or ne", self.describe(&left_typed)));
        }
        let shape =
            |operand: &TypedExpr| operand.primitive().is_some_and(|ty| ty.is_geo() || ty == PrimitiveType::Stream);
        if (shape(&left_typed) && right_typed.ty.is_some()) || (shape(&right_typed) && left_typed.ty.is_some()) {
            return wrong(at, format!("{} cannot be compared", self.describe(&left_typed)));
        }
        let node = Node::Compare(comparison, Box::new(left_typed), Box::new(right_typed));
        Ok(boolean(node, false))
    }

    fn logical(&mut self, op: BinaryOp, (left_typed, left_at): (TypedExpr, usize), right: &Expr) -> Checked {
        let what = format!("an operand of `{}`", op.keyword());
        self.expect_boolean(&left_typed, left_at, &what)?;
        let right_typed = self.expression(right)?;
        self.expect_boolean(&right_typed, right.at, &what)?;
        let nullable = left_typed.nullable || right_typed.nullable;
        let (left, right) = (Box::new(left_typed), Box::new(right_typed));
        Ok(boolean(if op == BinaryOp::And { Node::And(left, right) } else { Node::Or(left, right) }, nullable))
    }

    fn membership(&mut self, (mut operand, left_at): (TypedExpr, usize), right: &Expr) -> Checked {
        let ExprKind::List(items) = &right.kind else {
            // `in` looks into all values that a path leads to.
            let through = std::mem::replace(&mut self.context.through_collections, true);
            let collection = self.expression(right);
            self.context.through_collections = through;
            let collection = collection?;
            let Some(ty) = collection.ty.filter(|ty| ty.collection) else {
                return wrong(right.at, "a list or a collection is expected after `in`");
            };
            self.coerce(&mut operand, ty.item());
            let fits = |operand: Type| operand == ty.item() || operand.is_numeric() && ty.item().is_numeric();
            if !operand.ty.is_none_or(fits) {
                let message = format!("{} cannot be in {}", self.describe(&operand), self.context.types.name(ty));
                return wrong(left_at, message);
            }
            return Ok(boolean(Node::InCollection(Box::new(operand), Box::new(collection)), false));
        };
        let mut typed_items = Vec::with_capacity(items.len());
        for item in items {
            let typed = self.of_type(item, operand.ty)?;
            let (left, right) = self.alike(operand, typed, item.at)?;
            operand = left;
            typed_items.push(right);
        }
        Ok(boolean(Node::In(Box::new(operand), typed_items), false))
    }

    fn has(&mut self, (operand, left_at): (TypedExpr, usize), right: &Expr) -> Checked {
        let mut flags = self.expression(right)?;
        let Some(ty) = operand.ty.filter(|ty| matches!(ty.base, Base::Enum(_)) && !ty.collection) else {
            return wrong(left_at, format!("`has` looks into an enumeration, not {}", self.describe(&operand)));
        };
        self.coerce(&mut flags, ty);
        if flags.ty.is_some_and(|found| found != ty) {
            let name = self.context.types.name(ty);
            return wrong(
                right.at,
                format!("members of {name} are expected after `has`, not {}", self.describe(&flags)),
            );
        }
        let nullable = operand.nullable || flags.nullable;
        Ok(boolean(Node::Has(Box::new(operand), Box::new(flags)), nullable))
    }

    /// Gives a literal the type it is needed in, if it can have it.
    pub(super) fn coerce(&self, expression: &mut TypedExpr, ty: Type) {
        if let Node::Literal(value) = &expression.node
            && !expression.ty.is_some_and(Type::is_numeric)
            && !matches!(expression.ty, Some(Type { base: Base::Enum(_), .. }))
            && let Some(converted) = literals::convert(value, ty, self.context.types)
            && converted != Value::Null
        {
            *expression = TypedExpr { node: Node::Literal(converted), ty: Some(ty), nullable: false };
        }
    }

    /// Makes two operands of one type, or two numbers.
    fn alike(&self, mut a: TypedExpr, mut b: TypedExpr, at: usize) -> Result<(TypedExpr, TypedExpr), Mismatch> {
        if let Some(ty) = a.ty {
            self.coerce(&mut b, ty);
        }
        if let Some(ty) = b.ty {
            self.coerce(&mut a, ty);
        }
        let structure = |ty: Type| matches!(ty.base, Base::Structured(_)) && !ty.collection;
        match (a.ty, b.ty) {
            (Some(x), Some(y)) if structure(x) && structure(y) => Ok((a, b)),
            (Some(x), Some(y)) if x != y && !(x.is_numeric() && y.is_numeric()) => {
                wrong(at, format!("{} cannot be compared with {}", self.describe(&a), self.describe(&b)))
            }
            _ => Ok((a, b)),
        }
    }

    pub(super) fn expect_boolean(&self, expression: &TypedExpr, at: usize, what: &str) -> Result<(), Mismatch> {
        match expression.ty {
            None => Ok(()),
            Some(ty) if ty == PrimitiveType::Boolean => Ok(()),
            Some(_) => wrong(at, format!("{what} must be Edm.Boolean, not {}", self.describe(expression))),
        }
    }

    pub(super) fn describe(&self, expression: &TypedExpr) -> String {
        expression.ty.map_or_else(|| "null".to_owned(), |ty| self.context.types.name(ty))
    }
}

pub(super) fn boolean(node: Node, nullable: bool) -> TypedExpr {
    TypedExpr { node, ty: Some(PrimitiveType::Boolean.into()), nullable }
}

pub(super) fn literal_of(value: Value, ty: Option<Type>) -> TypedExpr {
    // NaN counts as possibly null, because a database stores it so.
    let nullable = match &value {
        Value::Null => true,
        Value::Double(number) => number.is_nan(),
        _ => false,
    };
    TypedExpr { node: Node::Literal(value), ty, nullable }
}

pub(super) fn hint(near: Option<&str>) -> String {
    near.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}
