//! SQL for functions and arithmetic.

use super::{Truth, Writer, Written};
use crate::typed::{Arithmetic, Function};
use crate::{PrimitiveType, TypedExpr};

impl Writer<'_, '_> {
    pub(super) fn call(&mut self, function: Function, arguments: &[TypedExpr]) -> Written {
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
            Function::Substring => match texts.get(2) {
                Some(count) => format!("substr({a}, max({b}, 0) + 1, max({count}, 0))"),
                None => format!("substr({a}, max({b}, 0) + 1)"),
            },
            Function::Year => part_of_moment("%Y", a),
            Function::Month => part_of_moment("%m", a),
            Function::Day => part_of_moment("%d", a),
            Function::Hour => part_of_moment("%H", a),
            Function::Minute => part_of_moment("%M", a),
            Function::Second => part_of_moment("%S", a),
        })
    }

    pub(super) fn arithmetic(
        &mut self,
        op: Arithmetic,
        left: &TypedExpr,
        right: &TypedExpr,
        ty: Option<PrimitiveType>,
    ) -> Written {
        let (a, b) = (self.expression(left, Truth::Exact)?, self.expression(right, Truth::Exact)?);
        let whole = matches!(ty, Some(PrimitiveType::Int32 | PrimitiveType::Int64));
        Ok(match op {
            Arithmetic::Add => format!("({a} + {b})"),
            Arithmetic::Sub => format!("({a} - {b})"),
            Arithmetic::Mul => format!("({a} * {b})"),
            Arithmetic::Div if whole => format!("({a} / {b})"),
            Arithmetic::Div | Arithmetic::DivBy => format!("(CAST({a} AS REAL) / {b})"),
            Arithmetic::Mod if whole => format!("({a} % {b})"),
            // SQLite's own remainder makes integers of its operands.
            Arithmetic::Mod => format!("({a} - {b} * CAST(CAST({a} AS REAL) / {b} AS INTEGER))"),
        })
    }
}

/// A part of a moment that is stored as nanoseconds. SQLite divides towards zero; moments before 1970 need the floor.
fn part_of_moment(format: &str, ns: &str) -> String {
    let seconds = format!("({ns} / 1000000000 - ({ns} % 1000000000 < 0))");
    format!("CAST(strftime('{format}', {seconds}, 'unixepoch') AS INTEGER)")
}
