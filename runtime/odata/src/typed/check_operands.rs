//! The type checker: operands that get their type from what stands beside them, and arithmetic.

use super::check::{Checked, Checker, hint, wrong};
use super::{Arithmetic, Node, TypedExpr};
use crate::Value;
use crate::expr::{Expr, ExprKind, Segment};
use crate::model::{PrimitiveType, Type};

impl Checker<'_> {
    /// An expression beside one of a type: an object is then a complex value of it.
    pub(super) fn of_type(&mut self, expression: &Expr, ty: Option<Type>) -> Checked {
        let fields = match &expression.kind {
            ExprKind::Record(fields) => fields,
            ExprKind::Path(segments) => match segments.as_slice() {
                [Segment::Name(name)] => match self.context.aliases.get(name).map(|alias| &alias.kind) {
                    Some(ExprKind::Record(fields)) => fields,
                    _ => return self.expression(expression),
                },
                _ => return self.expression(expression),
            },
            _ => return self.expression(expression),
        };
        self.count(expression.at)?;
        let types = self.context.types;
        let place = ty.and_then(Type::structure).filter(|place| types.structured(*place).complex);
        let Some(place) = place else { return wrong(expression.at, "an object is compared with complex values only") };
        let structured = types.structured(place);
        let mut values: Vec<TypedExpr> =
            structured.properties.iter().map(|property| TypedExpr::literal(Value::Null, property.ty)).collect();
        for (name, value) in fields {
            let Some(position) = structured.position(name) else {
                let near = hint(structured.near_name(name));
                return wrong(value.at, format!("`{}` has no property `{name}`{near}", structured.name));
            };
            let ty = structured.properties[position].ty;
            let mut typed = self.of_type(value, Some(ty))?;
            self.coerce(&mut typed, ty);
            if typed.ty.is_some_and(|found| found != ty && !(found.is_numeric() && ty.is_numeric())) {
                let (what, expected) = (self.describe(&typed), types.name(ty));
                return wrong(value.at, format!("`{name}` is {expected}, not {what}"));
            }
            values[position] = typed;
        }
        Ok(TypedExpr { node: Node::Object(place, values), ty: Some(Type::structured(place)), nullable: false })
    }

    pub(super) fn arithmetic(&mut self, op: Arithmetic, mut a: TypedExpr, right: &Expr) -> Checked {
        use PrimitiveType::Double;
        let mut b = self.expression(right)?;
        // `Time sub 'PT1H'`: beside a moment or a duration a text can only be a duration.
        let (left_ty, right_ty) = (a.primitive(), b.primitive());
        for (one, other) in [(&mut a, right_ty), (&mut b, left_ty)] {
            use PrimitiveType::{Date, DateTimeOffset, Duration};
            if matches!(other, Some(DateTimeOffset | Duration | Date)) && one.primitive() == Some(PrimitiveType::String)
            {
                self.coerce(one, Duration.into());
            }
        }
        let simple = |operand: &TypedExpr| operand.ty.is_none_or(|ty| ty.primitive().is_some());
        let ty = (simple(&a) && simple(&b)).then(|| arithmetic_type(op, a.primitive(), b.primitive())).flatten();
        let Some(ty) = ty else {
            let (a, b) = (self.describe(&a), self.describe(&b));
            return wrong(right.at, format!("this arithmetic is not defined for {a} and {b}"));
        };
        let whole = |ty: PrimitiveType| {
            ty.is_integer() || matches!(ty, PrimitiveType::Decimal | PrimitiveType::Duration) || op == Arithmetic::Mod
        };
        let divides = matches!(op, Arithmetic::Div | Arithmetic::Mod) && ty.is_some_and(whole);
        if divides && is_zero(&b) {
            return wrong(right.at, format!("this divides by zero: use `divby`, or divide an {} by it", Double.name()));
        }
        // What a row divides by zero gives null instead of failing the whole request, and so does what is no number, such as
        // the difference of two infinities: databases have no NaN.
        let number = ty.is_none_or(PrimitiveType::is_numeric);
        let nullable = a.nullable || b.nullable || number;
        Ok(TypedExpr { node: Node::Arithmetic(op, Box::new(a), Box::new(b)), ty: ty.map(Type::from), nullable })
    }
}

/// Whether an expression is nothing but zero.
fn is_zero(expression: &TypedExpr) -> bool {
    match &expression.node {
        Node::Literal(Value::Int(0)) => true,
        Node::Literal(Value::Decimal(digits)) => digits.parse::<f64>() == Ok(0.0),
        _ => false,
    }
}

/// The type of a sum, difference, product, quotient (Part 2 §5.1.1.2); none where it is not defined. The inner none is
/// that of two nulls.
fn arithmetic_type(
    op: Arithmetic,
    left: Option<PrimitiveType>,
    right: Option<PrimitiveType>,
) -> Option<Option<PrimitiveType>> {
    use PrimitiveType::{Date, DateTimeOffset, Double, Duration};
    let (Some(a), Some(b)) = (left, right) else { return Some(left.or(right)) };
    let ty = match (op, a, b) {
        (Arithmetic::Add, DateTimeOffset, Duration) | (Arithmetic::Add, Duration, DateTimeOffset) => DateTimeOffset,
        (Arithmetic::Sub, DateTimeOffset, Duration) => DateTimeOffset,
        (Arithmetic::Sub, DateTimeOffset, DateTimeOffset) | (Arithmetic::Sub, Date, Date) => Duration,
        (Arithmetic::Add | Arithmetic::Sub, Date, Duration) => Date,
        (Arithmetic::Add | Arithmetic::Sub, Duration, Duration) => Duration,
        (Arithmetic::Mul, Duration, number) | (Arithmetic::Mul, number, Duration) if number.is_numeric() => Duration,
        (Arithmetic::Div | Arithmetic::DivBy, Duration, number) if number.is_numeric() => Duration,
        (Arithmetic::DivBy, _, _) if a.is_numeric() && b.is_numeric() => Double,
        _ => return promoted(a, b).map(Some),
    };
    Some(Some(ty))
}

/// The type that two numbers have in common; the type itself where both are one.
pub(crate) fn promoted(a: PrimitiveType, b: PrimitiveType) -> Option<PrimitiveType> {
    use PrimitiveType::{Decimal, Double, Int32, Int64, Single};
    Some(match (a, b) {
        _ if !a.is_numeric() || !b.is_numeric() => return None,
        _ if matches!(a, Double | Single) || matches!(b, Double | Single) => Double,
        _ if a == Decimal || b == Decimal => Decimal,
        _ if a == Int64 || b == Int64 => Int64,
        _ => Int32,
    })
}
