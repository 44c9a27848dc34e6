//! The type checker. Positions in its errors are those of the syntax tree.

use super::{Arithmetic, Comparison, Function, Node, TypedExpr, constant as literals};
use crate::expr::{BinaryOp, Expr, ExprKind, FUNCTIONS, Segment, UnaryOp};
use crate::limits::{EXPRESSION_MAX_DEPTH, EXPRESSION_MAX_NODES};
use crate::model::nearest;
use crate::{EntityType, PrimitiveType, Value};
use std::collections::BTreeMap;

/// What the names in an expression mean.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The type whose properties may be used.
    pub entity_type: &'a EntityType,
    /// Parameter aliases of the URL, by name with the `@`.
    pub aliases: &'a BTreeMap<String, Expr>,
    /// What `now()` gives: nanoseconds since the epoch.
    pub now_ns: i64,
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

type Checked = Result<TypedExpr, Mismatch>;

fn wrong<T>(at: usize, message: impl Into<String>) -> Result<T, Mismatch> {
    Err(Mismatch::Wrong { at, message: message.into() })
}

fn unsupported<T>(construct: impl Into<String>, message: impl Into<String>) -> Result<T, Mismatch> {
    Err(Mismatch::Unsupported { construct: construct.into(), message: message.into() })
}

/// Checks a `$filter`: an expression whose value is a Boolean.
///
/// # Errors
/// [`Mismatch`]
pub fn check_filter(expression: &Expr, context: Context<'_>) -> Checked {
    let typed = check(expression, context)?;
    expect_boolean(&typed, expression.at, "a filter")?;
    Ok(typed)
}

/// Checks any expression.
///
/// # Errors
/// [`Mismatch`]
pub fn check(expression: &Expr, context: Context<'_>) -> Checked {
    Checker { context, depth: 0, nodes: 0 }.expression(expression)
}

/// The value of a literal, as one of the type, such as a part of a key.
///
/// # Errors
/// [`Mismatch`]
pub fn constant(expression: &Expr, ty: PrimitiveType, context: Context<'_>) -> Result<Value, Mismatch> {
    let typed = check(expression, context)?;
    let Node::Literal(value) = &typed.node else { return wrong(expression.at, "a literal is expected") };
    if *value == Value::Null {
        return wrong(expression.at, format!("a value of type {ty} is expected, not null"));
    }
    match literals::convert(value, ty) {
        Some(value) => Ok(value),
        None => wrong(expression.at, format!("a value of type {ty} is expected, not {expression}")),
    }
}

struct Checker<'a> {
    context: Context<'a>,
    /// How deep in parameter aliases.
    depth: usize,
    /// Nodes so far; aliases that use aliases could make of a short URL more than memory holds.
    nodes: usize,
}

impl Checker<'_> {
    fn expression(&mut self, expression: &Expr) -> Checked {
        let at = expression.at;
        self.nodes += 1;
        if self.nodes > EXPRESSION_MAX_NODES {
            return wrong(at, format!("with its parameter aliases this is more than {EXPRESSION_MAX_NODES} nodes"));
        }
        match &expression.kind {
            ExprKind::Literal(literal) => match literals::value(literal) {
                Ok(value) => Ok(literal_of(value)),
                Err(message) => wrong(at, message),
            },
            ExprKind::Path(segments) => self.path(segments, at),
            ExprKind::Call { function, arguments } => self.call(function, arguments, at),
            ExprKind::Unary(op, operand) => self.unary(*op, operand, at),
            ExprKind::Binary(op, left, right) => self.binary(*op, left, right, at),
            ExprKind::TypeName(name) => wrong(at, format!("the type `{name}` is no value")),
            ExprKind::Case(_) => unsupported("case", "conditional expressions cannot be evaluated here"),
            ExprKind::List(_) => unsupported("list", "a list may only stand after `in`"),
            ExprKind::Record(_) => unsupported("object", "objects cannot be evaluated here"),
        }
    }

    fn path(&mut self, segments: &[Segment], at: usize) -> Checked {
        let ty = self.context.entity_type;
        match segments {
            [Segment::Name(name)] if name.starts_with('@') => self.alias(name, at),
            [Segment::Name(name)] if name.starts_with('$') => unsupported(name.clone(), "it cannot be evaluated here"),
            [Segment::Name(it), Segment::Name(name)] if it == "$it" => self.property(name, at),
            [Segment::Name(name)] => self.property(name, at),
            [Segment::Call(name, _)] if !name.contains('.') => {
                let near = nearest(name, FUNCTIONS.iter().map(|(function, _, _)| *function));
                wrong(at, format!("there is no function `{name}`{}", hint(near)))
            }
            _ => {
                if let Some(Segment::Name(name)) = segments.first()
                    && !name.starts_with(['$', '@'])
                    && !name.contains('.')
                    && ty.position(name).is_none()
                {
                    return self.property(name, at);
                }
                match segments.iter().find(|segment| !matches!(segment, Segment::Name(_))) {
                    Some(Segment::Lambda { all, .. }) => {
                        unsupported(if *all { "all" } else { "any" }, "the model has no collections to look into")
                    }
                    Some(Segment::Call(name, _)) => unsupported(name.clone(), "the model has no such function"),
                    Some(Segment::Aggregate(_)) => unsupported("aggregate", "set aggregation cannot be evaluated here"),
                    Some(Segment::Filter(_)) => unsupported("$filter", "path filters cannot be evaluated here"),
                    _ => unsupported("path", "properties have no parts here: name one property"),
                }
            }
        }
    }

    fn alias(&mut self, name: &str, at: usize) -> Checked {
        if name.contains('.') {
            return unsupported(name, "annotations cannot be evaluated here");
        }
        let Some(expression) = self.context.aliases.get(name) else {
            return wrong(at, format!("the parameter alias {name} has no value: add `{name}=…` to the URL"));
        };
        self.depth += 1;
        if self.depth > EXPRESSION_MAX_DEPTH {
            return wrong(at, format!("the parameter alias {name} refers to itself"));
        }
        let typed = self.expression(expression).map_err(|mismatch| match mismatch {
            Mismatch::Wrong { message, .. } => Mismatch::Wrong { at, message: format!("in {name}: {message}") },
            other => other,
        });
        self.depth -= 1;
        typed
    }

    fn property(&self, name: &str, at: usize) -> Checked {
        let ty = self.context.entity_type;
        let Some(position) = ty.position(name) else {
            let near = hint(ty.near_name(name));
            return wrong(at, format!("`{}` has no property `{name}`{near}", ty.name));
        };
        let property = &ty.properties[position];
        Ok(TypedExpr { node: Node::Property(position), ty: Some(property.ty), nullable: property.nullable })
    }

    fn call(&mut self, name: &str, arguments: &[Expr], at: usize) -> Checked {
        match name {
            "now" => return Ok(literal_of(Value::DateTimeOffset(self.context.now_ns))),
            "mindatetime" => return Ok(literal_of(Value::DateTimeOffset(i64::MIN))),
            "maxdatetime" => return Ok(literal_of(Value::DateTimeOffset(i64::MAX))),
            _ => {}
        }
        let Some(function) = Function::from_name(name) else {
            return unsupported(name, "this function cannot be evaluated here");
        };
        let mut typed = Vec::with_capacity(arguments.len());
        for (index, (argument, parameter)) in arguments.iter().zip(function.parameters()).enumerate() {
            let mut found = self.expression(argument)?;
            coerce(&mut found, *parameter);
            if !assignable(&found, *parameter) {
                let what = describe(&found);
                return wrong(argument.at, format!("argument {} of {name} must be {parameter}, not {what}", index + 1));
            }
            typed.push(found);
        }
        debug_assert_eq!(typed.len(), arguments.len(), "the parser counts arguments; at {at}");
        let nullable = typed.iter().any(|argument| argument.nullable);
        Ok(TypedExpr { node: Node::Call(function, typed), ty: Some(function.result()), nullable })
    }

    fn unary(&mut self, op: UnaryOp, operand: &Expr, at: usize) -> Checked {
        let typed = self.expression(operand)?;
        let (ty, nullable) = (typed.ty, typed.nullable);
        match op {
            UnaryOp::Not => {
                expect_boolean(&typed, operand.at, "the operand of `not`")?;
                Ok(TypedExpr { node: Node::Not(Box::new(typed)), ty: Some(PrimitiveType::Boolean), nullable })
            }
            UnaryOp::Negate if ty.is_none_or(|ty| ty.is_numeric() || ty == PrimitiveType::Duration) => {
                Ok(TypedExpr { node: Node::Negate(Box::new(typed)), ty, nullable })
            }
            UnaryOp::Negate => {
                wrong(at, format!("only a number or a duration can be negated, not {}", describe(&typed)))
            }
        }
    }

    fn binary(&mut self, op: BinaryOp, left: &Expr, right: &Expr, at: usize) -> Checked {
        let comparison = match op {
            BinaryOp::Eq => Comparison::Eq,
            BinaryOp::Ne => Comparison::Ne,
            BinaryOp::Gt => Comparison::Gt,
            BinaryOp::Ge => Comparison::Ge,
            BinaryOp::Lt => Comparison::Lt,
            BinaryOp::Le => Comparison::Le,
            BinaryOp::And | BinaryOp::Or => return self.logical(op, left, right),
            BinaryOp::In => return self.membership(left, right),
            BinaryOp::Has => return unsupported("has", "the model has no enumerations"),
            BinaryOp::Add => return self.arithmetic(Arithmetic::Add, left, right),
            BinaryOp::Sub => return self.arithmetic(Arithmetic::Sub, left, right),
            BinaryOp::Mul => return self.arithmetic(Arithmetic::Mul, left, right),
            BinaryOp::Div => return self.arithmetic(Arithmetic::Div, left, right),
            BinaryOp::DivBy => return self.arithmetic(Arithmetic::DivBy, left, right),
            BinaryOp::Mod => return self.arithmetic(Arithmetic::Mod, left, right),
        };
        let (left_typed, right_typed) = alike(self.expression(left)?, self.expression(right)?, right.at)?;
        let ordered = !matches!(comparison, Comparison::Eq | Comparison::Ne);
        if ordered && matches!(left_typed.ty.or(right_typed.ty), Some(PrimitiveType::Binary | PrimitiveType::Guid)) {
            return wrong(at, format!("{} has no order: use eq or ne", describe(&left_typed)));
        }
        let node = Node::Compare(comparison, Box::new(left_typed), Box::new(right_typed));
        Ok(TypedExpr { node, ty: Some(PrimitiveType::Boolean), nullable: false })
    }

    fn logical(&mut self, op: BinaryOp, left: &Expr, right: &Expr) -> Checked {
        let what = format!("an operand of `{}`", op.keyword());
        let left_typed = self.expression(left)?;
        expect_boolean(&left_typed, left.at, &what)?;
        let right_typed = self.expression(right)?;
        expect_boolean(&right_typed, right.at, &what)?;
        let nullable = left_typed.nullable || right_typed.nullable;
        let (left, right) = (Box::new(left_typed), Box::new(right_typed));
        let node = if op == BinaryOp::And { Node::And(left, right) } else { Node::Or(left, right) };
        Ok(TypedExpr { node, ty: Some(PrimitiveType::Boolean), nullable })
    }

    fn membership(&mut self, left: &Expr, right: &Expr) -> Checked {
        let ExprKind::List(items) = &right.kind else {
            return unsupported("in", "a list of values is expected after `in`; the model has no collections");
        };
        let mut operand = self.expression(left)?;
        let mut typed_items = Vec::with_capacity(items.len());
        for item in items {
            let typed = self.expression(item)?;
            let (left, right) = alike(operand, typed, item.at)?;
            operand = left;
            typed_items.push(right);
        }
        let node = Node::In(Box::new(operand), typed_items);
        Ok(TypedExpr { node, ty: Some(PrimitiveType::Boolean), nullable: false })
    }

    fn arithmetic(&mut self, op: Arithmetic, left: &Expr, right: &Expr) -> Checked {
        let (mut a, mut b) = (self.expression(left)?, self.expression(right)?);
        // `Time sub 'PT1H'`: beside a moment or a duration a text can only be a duration.
        let (left_ty, right_ty) = (a.ty, b.ty);
        for (one, other) in [(&mut a, right_ty), (&mut b, left_ty)] {
            if matches!(other, Some(PrimitiveType::DateTimeOffset | PrimitiveType::Duration)) {
                coerce(one, PrimitiveType::Duration);
            }
        }
        let Some(ty) = arithmetic_type(op, a.ty, b.ty) else {
            let message = format!("this arithmetic is not defined for {} and {}", describe(&a), describe(&b));
            return wrong(right.at, message);
        };
        // A division by zero gives null instead of failing the whole request, and so does what is no number, such as
        // the difference of two infinities: databases have no NaN.
        let number = ty.is_none_or(PrimitiveType::is_numeric);
        let nullable = a.nullable || b.nullable || number;
        Ok(TypedExpr { node: Node::Arithmetic(op, Box::new(a), Box::new(b)), ty, nullable })
    }
}

/// The type of a sum, difference, product, quotient (Part 2 §5.1.1.2); none where it is not defined. The inner none is
/// that of two nulls.
fn arithmetic_type(
    op: Arithmetic,
    left: Option<PrimitiveType>,
    right: Option<PrimitiveType>,
) -> Option<Option<PrimitiveType>> {
    use PrimitiveType::{DateTimeOffset, Decimal, Double, Duration, Int32, Int64};
    let (Some(a), Some(b)) = (left, right) else { return Some(left.or(right)) };
    let ty = match (op, a, b) {
        (Arithmetic::Add, DateTimeOffset, Duration) | (Arithmetic::Add, Duration, DateTimeOffset) => DateTimeOffset,
        (Arithmetic::Sub, DateTimeOffset, Duration) => DateTimeOffset,
        (Arithmetic::Sub, DateTimeOffset, DateTimeOffset) => Duration,
        (Arithmetic::Add | Arithmetic::Sub, Duration, Duration) => Duration,
        _ if !a.is_numeric() || !b.is_numeric() => return None,
        (Arithmetic::DivBy, _, _) => Double,
        _ if a == Double || b == Double => Double,
        _ if a == Decimal || b == Decimal => Decimal,
        (_, Int32, Int32) => Int32,
        _ => Int64,
    };
    Some(Some(ty))
}

fn literal_of(value: Value) -> TypedExpr {
    // NaN counts as possibly null, because a database stores it so.
    let nullable = match &value {
        Value::Null => true,
        Value::Double(number) => number.is_nan(),
        _ => false,
    };
    let ty = value.ty();
    TypedExpr { node: Node::Literal(value), ty, nullable }
}

/// Gives a literal the type it is needed in, if it can have it.
fn coerce(expression: &mut TypedExpr, ty: PrimitiveType) {
    if let Node::Literal(value) = &expression.node
        && !expression.ty.is_some_and(PrimitiveType::is_numeric)
        && let Some(converted) = literals::convert(value, ty)
        && converted != Value::Null
    {
        *expression = TypedExpr { node: Node::Literal(converted), ty: Some(ty), nullable: false };
    }
}

/// Makes two operands of one type, or two numbers.
fn alike(mut a: TypedExpr, mut b: TypedExpr, at: usize) -> Result<(TypedExpr, TypedExpr), Mismatch> {
    if let Some(ty) = a.ty {
        coerce(&mut b, ty);
    }
    if let Some(ty) = b.ty {
        coerce(&mut a, ty);
    }
    match (a.ty, b.ty) {
        (Some(x), Some(y)) if x != y && !(x.is_numeric() && y.is_numeric()) => {
            wrong(at, format!("{} cannot be compared with {}", describe(&a), describe(&b)))
        }
        _ => Ok((a, b)),
    }
}

fn assignable(expression: &TypedExpr, to: PrimitiveType) -> bool {
    expression.ty.is_none_or(|ty| ty == to || (ty == PrimitiveType::Int32 && to == PrimitiveType::Int64))
}

fn expect_boolean(expression: &TypedExpr, at: usize, what: &str) -> Result<(), Mismatch> {
    match expression.ty {
        None | Some(PrimitiveType::Boolean) => Ok(()),
        Some(_) => wrong(at, format!("{what} must be Edm.Boolean, not {}", describe(expression))),
    }
}

fn describe(expression: &TypedExpr) -> String {
    expression.ty.map_or_else(|| "null".to_owned(), |ty| ty.to_string())
}

fn hint(near: Option<&str>) -> String {
    near.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}
