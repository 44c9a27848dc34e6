//! SQL for functions and arithmetic.

use super::{Truth, Writer, Written};
use crate::typed::{Arithmetic, Function};
use crate::{Error, PrimitiveType, TypedExpr};

impl Writer<'_, '_> {
    pub(super) fn call(&mut self, function: Function, arguments: &[TypedExpr]) -> Written {
        if let Some(refused) = arguments.iter().find_map(|argument| refused(function, argument)) {
            return Err(refused);
        }
        let argument_type = arguments[0].primitive();
        let texts: Vec<String> =
            arguments.iter().map(|argument| self.expression(argument, Truth::Exact)).collect::<Result<_, _>>()?;
        let a = &texts[0];
        let b = texts.get(1).map_or("", String::as_str);
        Ok(match function {
            Function::Contains => format!("(instr({a}, {b}) > 0)"),
            Function::StartsWith => format!("(substr({a}, 1, length({b})) = {b})"),
            Function::EndsWith => {
                format!("(length({a}) >= length({b}) AND substr({a}, length({a}) - length({b}) + 1) = {b})")
            }
            Function::ToLower => format!("lower({a})"),
            Function::ToUpper => format!("upper({a})"),
            Function::Length => format!("length({a})"),
            Function::Trim => format!("trim({a}, char(9, 10, 11, 12, 13, 32))"),
            Function::Concat => format!("({a} || {b})"),
            Function::IndexOf => format!("(instr({a}, {b}) - 1)"),
            Function::Substring => {
                // A negative beginning counts from the end (4.01).
                let start = format!("(CASE WHEN {b} < 0 THEN max(length({a}) + {b}, 0) ELSE {b} END + 1)");
                match texts.get(2) {
                    Some(count) => format!("substr({a}, {start}, max({count}, 0))"),
                    None => format!("substr({a}, {start})"),
                }
            }
            Function::Year => part_of_day("%Y", a, argument_type),
            Function::Month => part_of_day("%m", a, argument_type),
            Function::Day => part_of_day("%d", a, argument_type),
            Function::Hour => format!("({} / 3600000000000)", ns_of_day(a)),
            Function::Minute => format!("({} / 60000000000 % 60)", ns_of_day(a)),
            Function::Second => format!("({} / 1000000000 % 60)", ns_of_day(a)),
            Function::FractionalSeconds => format!("({} % 1000000000 / 1e9)", ns_of_day(a)),
            Function::Date => floor_division(a, NS_PER_DAY),
            Function::Time => ns_of_day(a),
            Function::TotalOffsetMinutes => format!("({a} * 0)"),
            // A remainder has the sign of its dividend here: moments before 1970 need the floor. By a width of 0: NULL.
            Function::Bucket if is_usual_width(&arguments[1]) => format!("({a} - ({a} % {b} + {b}) % {b})"),
            Function::Bucket => {
                format!("(CASE WHEN {b} > 0 THEN {a} - {a} % {b} - ({a} % {b} < 0) * {b} END)")
            }
            Function::TotalSeconds => format!("({a} / 1e9)"),
            Function::Round => format!("round({a})"),
            // A whole number beyond 64 bits is its own floor.
            Function::Floor => whole(a, "<", "-"),
            Function::Ceiling => whole(a, ">", "+"),
            Function::MatchesPattern
            | Function::HasSubset
            | Function::HasSubsequence
            | Function::GeoDistance
            | Function::GeoLength
            | Function::GeoIntersects => {
                return Err(Error::unsupported(function.name(), "this function is not in SQL here"));
            }
        })
    }

    pub(super) fn arithmetic(
        &mut self,
        op: Arithmetic,
        a: &str,
        (left, right): (&TypedExpr, &TypedExpr),
        ty: Option<PrimitiveType>,
    ) -> Written {
        let b = self.expression(right, Truth::Exact)?;
        if ty == Some(PrimitiveType::Date)
            || [left, right].iter().any(|side| side.primitive() == Some(PrimitiveType::Date))
        {
            return Err(Error::unsupported("arithmetic with days", "cast the day to Edm.DateTimeOffset"));
        }
        if ty == Some(PrimitiveType::Duration) && matches!(op, Arithmetic::Mul | Arithmetic::Div | Arithmetic::DivBy) {
            return Err(Error::unsupported("products of durations", "compute with totalseconds()"));
        }
        let whole = matches!(ty, Some(PrimitiveType::Int32 | PrimitiveType::Int64));
        Ok(match op {
            Arithmetic::Add => format!("({a} + {b})"),
            Arithmetic::Sub => format!("({a} - {b})"),
            Arithmetic::Mul => format!("({a} * {b})"),
            Arithmetic::Div if whole => format!("({a} / {b})"),
            // By zero it is infinite, but for decimals; SQLite says NULL.
            Arithmetic::Div | Arithmetic::DivBy if ty != Some(PrimitiveType::Decimal) && !is_not_zero(right) => {
                format!("IFNULL(CAST({a} AS REAL) / {b}, CASE WHEN {b} = 0 THEN {a} * 9e999 END)")
            }
            Arithmetic::Div | Arithmetic::DivBy => format!("(CAST({a} AS REAL) / {b})"),
            Arithmetic::Mod if whole => format!("({a} % {b})"),
            // SQLite's own remainder makes integers of its operands.
            Arithmetic::Mod => format!("({a} - {b} * CAST(CAST({a} AS REAL) / {b} AS INTEGER))"),
        })
    }
}

/// A number that is known and not zero.
fn is_not_zero(number: &TypedExpr) -> bool {
    use crate::Value::{Decimal, Double, Int};
    match &number.node {
        crate::Node::Literal(Int(number)) => *number != 0,
        crate::Node::Literal(Double(number)) => *number != 0.0,
        crate::Node::Literal(Decimal(digits)) => digits.parse::<f64>().is_ok_and(|number| number != 0.0),
        _ => false,
    }
}

/// A width that is known, positive and so short that two of them are a whole number of 64 bits.
fn is_usual_width(width: &TypedExpr) -> bool {
    matches!(width.node, crate::Node::Literal(crate::Value::Duration(ns)) if ns > 0 && ns <= i64::MAX / 2)
}

const NS_PER_DAY: i64 = 86_400_000_000_000;

/// Collections and shapes are not in SQL.
fn refused(function: Function, argument: &TypedExpr) -> Option<Error> {
    let collection = argument.ty.is_some_and(|ty| ty.collection);
    collection.then(|| Error::unsupported(function.name(), "collections are not in SQL here"))
}

/// A quotient rounded down. SQLite divides towards zero; moments before 1970 need the floor.
fn floor_division(number: &str, divisor: i64) -> String {
    format!("({number} / {divisor} - ({number} % {divisor} < 0))")
}

/// Nanoseconds since midnight, of a moment or of a time of day.
fn ns_of_day(ns: &str) -> String {
    format!("(({ns} % {NS_PER_DAY} + {NS_PER_DAY}) % {NS_PER_DAY})")
}

/// A part of the day of a moment that is stored as nanoseconds, or of a day.
fn part_of_day(format: &str, value: &str, ty: Option<PrimitiveType>) -> String {
    let seconds = match ty {
        Some(PrimitiveType::Date) => format!("({value} * 86400)"),
        _ => floor_division(value, 1_000_000_000),
    };
    format!("CAST(strftime('{format}', {seconds}, 'unixepoch') AS INTEGER)")
}

/// The whole number below or above.
fn whole(number: &str, beyond: &str, step: &str) -> String {
    let cut = format!("CAST({number} AS INTEGER)");
    format!(
        "(CASE WHEN abs({number}) >= 9e18 THEN {number} WHEN {number} {beyond} {cut} THEN {cut} {step} 1 ELSE {cut} END)"
    )
}
