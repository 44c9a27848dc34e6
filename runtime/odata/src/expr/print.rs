//! Syntax trees back to text, with parentheses only where the tree needs them.

use super::{Argument, BinaryOp, Expr, ExprKind, Segment, UNARY_PRECEDENCE, UnaryOp};
use std::fmt;

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Literal(literal) => write!(f, "{literal}"),
            ExprKind::Path(segments) => write_path(f, segments),
            ExprKind::Call { function, arguments } => {
                write!(f, "{function}(")?;
                write_list(f, arguments)?;
                f.write_str(")")
            }
            ExprKind::TypeName(name) => f.write_str(name),
            ExprKind::Case(branches) => {
                f.write_str("case(")?;
                for (index, (condition, value)) in branches.iter().enumerate() {
                    let (condition, value) = (condition.to_string(), value.to_string());
                    // Two numbers with a colon between them would be a time of day.
                    let time_like =
                        condition.ends_with(|c: char| c.is_ascii_digit()) && value.starts_with(char::is_numeric);
                    let (open, close) = if time_like { ("(", ")") } else { ("", "") };
                    write!(f, "{}{open}{condition}{close}:{value}", comma(index))?;
                }
                f.write_str(")")
            }
            ExprKind::Unary(op, operand) => write_unary(f, *op, operand),
            ExprKind::Binary(op, left, right) => write_binary(f, *op, left, right),
            ExprKind::List(items) => {
                f.write_str("[")?;
                write_list(f, items)?;
                f.write_str("]")
            }
            ExprKind::Record(fields) => {
                f.write_str("{")?;
                for (index, (name, value)) in fields.iter().enumerate() {
                    let name = serde_json::to_string(name).map_err(|_| fmt::Error)?;
                    write!(f, "{}{name}:{value}", comma(index))?;
                }
                f.write_str("}")
            }
        }
    }
}

fn comma(index: usize) -> &'static str {
    if index == 0 { "" } else { "," }
}

fn write_list(f: &mut fmt::Formatter<'_>, items: &[Expr]) -> fmt::Result {
    items.iter().enumerate().try_for_each(|(index, item)| write!(f, "{}{item}", comma(index)))
}

/// How strongly the outermost operator of a node binds; operands without one bind most.
fn precedence(expression: &Expr) -> u8 {
    match &expression.kind {
        ExprKind::Binary(op, _, _) => op.precedence(),
        ExprKind::Unary(_, _) => UNARY_PRECEDENCE,
        _ => u8::MAX,
    }
}

fn write_operand(f: &mut fmt::Formatter<'_>, operand: &Expr, above: u8) -> fmt::Result {
    if precedence(operand) > above { write!(f, "{operand}") } else { write!(f, "({operand})") }
}

fn write_unary(f: &mut fmt::Formatter<'_>, op: UnaryOp, operand: &Expr) -> fmt::Result {
    match op {
        UnaryOp::Not => {
            f.write_str("not ")?;
            write_operand(f, operand, UNARY_PRECEDENCE)
        }
        UnaryOp::Negate => {
            let text = operand.to_string();
            // The minus must not become the sign of a literal that the operand begins with.
            let signed = text.starts_with(|c: char| c == '-' || c == 'I' || c.is_ascii_digit());
            if signed || precedence(operand) <= UNARY_PRECEDENCE {
                write!(f, "-({text})")
            } else {
                write!(f, "-{text}")
            }
        }
    }
}

fn write_binary(f: &mut fmt::Formatter<'_>, op: BinaryOp, left: &Expr, right: &Expr) -> fmt::Result {
    // Operators group from the left, so that an equally strong one on the right needs its parentheses.
    write_operand(f, left, op.precedence() - 1)?;
    write!(f, " {} ", op.keyword())?;
    write_operand(f, right, op.precedence())
}

fn write_path(f: &mut fmt::Formatter<'_>, segments: &[Segment]) -> fmt::Result {
    for (index, segment) in segments.iter().enumerate() {
        if index > 0 && !matches!(segment, Segment::Key(_)) {
            f.write_str("/")?;
        }
        match segment {
            Segment::Name(name) => f.write_str(name)?,
            Segment::Call(name, arguments) => {
                f.write_str(name)?;
                write_arguments(f, arguments)?;
            }
            Segment::Key(arguments) => write_arguments(f, arguments)?,
            Segment::Filter(condition) => write!(f, "$filter({condition})")?,
            Segment::Count { filter, search } => {
                f.write_str("$count(")?;
                if let Some(condition) = filter {
                    write!(f, "$filter={condition}")?;
                }
                if let Some(text) = search {
                    write!(f, "{}$search={text}", if filter.is_some() { ";" } else { "" })?;
                }
                f.write_str(")")?;
            }
            Segment::Lambda { all, body } => {
                f.write_str(if *all { "all(" } else { "any(" })?;
                if let Some((variable, condition)) = body {
                    write!(f, "{variable}:{condition}")?;
                }
                f.write_str(")")?;
            }
            Segment::Aggregate(text) => write!(f, "aggregate({text})")?,
        }
    }
    Ok(())
}

fn write_arguments(f: &mut fmt::Formatter<'_>, arguments: &[Argument]) -> fmt::Result {
    f.write_str("(")?;
    for (index, argument) in arguments.iter().enumerate() {
        f.write_str(comma(index))?;
        if let Some(name) = &argument.name {
            write!(f, "{name}=")?;
        }
        write!(f, "{}", argument.value)?;
    }
    f.write_str(")")
}
