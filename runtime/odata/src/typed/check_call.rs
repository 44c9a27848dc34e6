//! The type checker: functions, `cast` and `isof`.

use super::check::{Checked, Checker, boolean, hint, literal_of, unsupported, wrong};
use super::{Function, Mismatch, Node, Parameter, SLOT_THIS, TypedExpr};
use crate::Value;
use crate::expr::{Argument, Expr, ExprKind, FUNCTIONS, Segment};
use crate::limits::EXPRESSION_MAX_DEPTH;
use crate::literal::{self, Literal};
use crate::model::{Base, GeoKind, PrimitiveType, Type, nearest};

impl Checker<'_> {
    pub(super) fn call(&mut self, name: &str, arguments: &[Expr], at: usize) -> Checked {
        let moment = |ns| Ok(literal_of(Value::DateTimeOffset(ns), Some(PrimitiveType::DateTimeOffset.into())));
        match name {
            "now" => return moment(self.context.now_ns),
            "mindatetime" => return moment(i64::MIN),
            "maxdatetime" => return moment(i64::MAX),
            "cast" | "isof" => return self.type_function(name == "cast", arguments, at),
            _ => {}
        }
        let Some(function) = Function::from_name(name) else {
            return unsupported(name, "this function cannot be evaluated here");
        };
        let mut typed = Vec::with_capacity(arguments.len());
        for (index, (argument, parameter)) in arguments.iter().zip(function.parameters()).enumerate() {
            let mut found = self.expression(argument)?;
            if let Parameter::Of(ty) = parameter {
                self.coerce(&mut found, (*ty).into());
            }
            if !accepts(*parameter, &found) {
                let what = self.describe(&found);
                let parameter = expected(*parameter);
                return wrong(argument.at, format!("argument {} of {name} must be {parameter}, not {what}", index + 1));
            }
            typed.push(found);
        }
        debug_assert_eq!(typed.len(), arguments.len(), "the parser counts arguments; at {at}");
        self.check_pattern(function, &typed, arguments)?;
        self.check_kinds(function, &typed, arguments)?;
        if let [Expr { kind, .. }] = arguments
            && let Some(offset) = self.offset_minutes(kind)
            && let Some(found) = in_its_zone(function, &typed[0], offset)
        {
            return Ok(found);
        }
        let ty = match function.result() {
            Some(ty) => Some(ty.into()),
            // Of null it is null, of whatever type of number.
            None if function.parameters()[0] == Parameter::Number => typed[0].ty,
            None => typed[0].ty.or(Some(PrimitiveType::String.into())),
        };
        let partial = matches!(function, Function::GeoDistance | Function::GeoLength | Function::GeoIntersects);
        let nullable = partial || typed.iter().any(|argument| argument.nullable);
        Ok(TypedExpr { node: Node::Call(function, typed), ty, nullable })
    }

    /// A function of the model, with its parameters by name: `Namespace.Bucket(Time=Time,Width=duration'PT5M')`.
    pub(super) fn function_of_model(&mut self, name: &str, arguments: &[Argument], at: usize) -> Checked {
        let model = self.context.types.model();
        let operation = model.operation(name, None).map(|place| &model.operations()[place]);
        let Some((operation, function)) = operation.and_then(|found| Some((found, found.computes?))) else {
            return unsupported(name, "this function cannot stand in an expression");
        };
        if let Some(other) = arguments.iter().find(|argument| {
            !operation.parameters.iter().any(|parameter| Some(&parameter.name) == argument.name.as_ref())
        }) {
            let names: Vec<&str> = operation.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
            return wrong(other.value.at, format!("`{name}` takes its arguments by name: {}", names.join(", ")));
        }
        let mut typed = Vec::with_capacity(operation.parameters.len());
        for parameter in &operation.parameters {
            let mut given = arguments.iter().filter(|argument| argument.name.as_deref() == Some(&*parameter.name));
            let (Some(argument), None) = (given.next(), given.next()) else {
                return wrong(at, format!("`{name}` needs its argument `{}`, once", parameter.name));
            };
            let mut found = self.expression(&argument.value)?;
            self.coerce(&mut found, parameter.ty);
            if found.ty.is_some_and(|ty| ty != parameter.ty) {
                let (what, expected) = (self.describe(&found), self.context.types.name(parameter.ty));
                return wrong(argument.value.at, format!("`{}` must be {expected}, not {what}", parameter.name));
            }
            typed.push(found);
        }
        let ty = operation.result.or_else(|| function.result().map(Into::into));
        Ok(TypedExpr { node: Node::Call(function, typed), ty, nullable: true })
    }

    /// Two texts or two collections go together, shapes are those the function is of, and nothing has a negative length.
    fn check_kinds(&self, function: Function, typed: &[TypedExpr], arguments: &[Expr]) -> Result<(), Mismatch> {
        let many = |argument: &TypedExpr| argument.ty.map(|ty| ty.collection);
        if let [Parameter::TextOrMany, Parameter::TextOrMany] = function.parameters()
            && let [first, second] = typed
            && many(first).zip(many(second)).is_some_and(|(a, b)| a != b)
        {
            let (what, other) = (self.describe(second), self.describe(first));
            let message = format!("argument 2 of {} must be of the kind of {other}, not {what}", function.name());
            return wrong(arguments[1].at, message);
        }
        let kinds = shapes(function);
        for (index, (argument, kind)) in typed.iter().zip(kinds).enumerate() {
            let Some(ty) = argument.primitive() else { continue };
            if !is_kind(ty, *kind)
                || typed.first().and_then(TypedExpr::primitive).is_some_and(|first| !alike(first, ty))
            {
                let what = self.describe(argument);
                let expected = format!("a {kind:?} of the kind of the others");
                let message = format!("argument {} of {} must be {expected}, not {what}", index + 1, function.name());
                return wrong(arguments[index].at, message);
            }
        }
        if let (Function::Substring, Some(Node::Literal(Value::Int(count)))) =
            (function, typed.get(2).map(|argument| &argument.node))
            && *count < 0
        {
            return wrong(arguments[2].at, "a length is never negative");
        }
        Ok(())
    }

    /// The offset of a moment that is written as a literal, or given by an alias; none for anything else.
    fn offset_minutes(&self, kind: &ExprKind) -> Option<i64> {
        let mut kind = kind;
        for _ in 0..EXPRESSION_MAX_DEPTH {
            match kind {
                ExprKind::Literal(Literal::DateTimeOffset(text)) => return literal::offset_minutes(text),
                ExprKind::Path(segments) => {
                    let [Segment::Name(name)] = segments.as_slice() else { return None };
                    kind = &self.context.aliases.get(name)?.kind;
                }
                _ => return None,
            }
        }
        None
    }

    /// A pattern that is none is the client's mistake, not a row's.
    fn check_pattern(&self, function: Function, typed: &[TypedExpr], arguments: &[Expr]) -> Result<(), Mismatch> {
        if let (Function::MatchesPattern, Some(Node::Literal(Value::String(pattern)))) =
            (function, typed.get(1).map(|argument| &argument.node))
            && let Err(error) = crate::eval::pattern(pattern)
        {
            return wrong(arguments[1].at, format!("this is no regular expression: {error}"));
        }
        Ok(())
    }

    /// `cast(value,Type)`, `isof(value,Type)`; without a value that of the row at hand.
    fn type_function(&mut self, cast: bool, arguments: &[Expr], at: usize) -> Checked {
        let (value, ty) = match arguments {
            [ty] => (None, ty),
            [value, ty] => (Some(value), ty),
            _ => return wrong(at, "a type is expected"),
        };
        let name = match &ty.kind {
            ExprKind::TypeName(name) => name.clone(),
            // The type's name in quotes, as some clients have it.
            ExprKind::Literal(crate::literal::Literal::String(name)) => name.clone(),
            _ => return wrong(ty.at, "a type is expected as the last argument"),
        };
        let Some(target) = self.context.types.model().type_of_name(&name) else {
            return wrong(ty.at, format!("the model has no type `{name}`"));
        };
        let operand = match value {
            Some(value) => self.expression(value)?,
            None => TypedExpr { node: Node::Variable(SLOT_THIS), ty: self.context.this, nullable: false },
        };
        if !cast {
            return Ok(boolean(Node::IsOf(Box::new(operand), target), false));
        }
        let structured = |ty: Type| matches!(ty.base, Base::Structured(_));
        if operand.ty.is_some_and(|ty| structured(ty) != structured(target)) {
            return wrong(at, format!("{} cannot be cast to {name}", self.describe(&operand)));
        }
        Ok(TypedExpr { node: Node::Cast(Box::new(operand), target), ty: Some(target), nullable: true })
    }

    /// A function that OData does not have.
    pub(super) fn unknown_function(&self, name: &str, at: usize) -> Checked {
        let near = nearest(name, FUNCTIONS.iter().map(|(function, _, _)| *function));
        wrong(at, format!("there is no function `{name}`{}", hint(near)))
    }
}

/// The shapes that a function is of (Part 2 §5.1.1.12).
fn shapes(function: Function) -> &'static [GeoKind] {
    match function {
        Function::GeoDistance => &[GeoKind::Point, GeoKind::Point],
        Function::GeoLength => &[GeoKind::LineString],
        Function::GeoIntersects => &[GeoKind::Point, GeoKind::Polygon],
        _ => &[],
    }
}

fn is_kind(ty: PrimitiveType, wanted: GeoKind) -> bool {
    match ty {
        PrimitiveType::Geography(kind) | PrimitiveType::Geometry(kind) => kind == wanted || kind == GeoKind::Any,
        _ => false,
    }
}

/// Whether both are on the round earth, or both on a plane.
fn alike(one: PrimitiveType, other: PrimitiveType) -> bool {
    matches!(one, PrimitiveType::Geography(_)) == matches!(other, PrimitiveType::Geography(_))
}

/// A part of a literal moment, which is told in the zone that the literal has.
fn in_its_zone(function: Function, moment: &TypedExpr, offset_minutes: i64) -> Option<TypedExpr> {
    const NS_PER_MINUTE: i64 = 60_000_000_000;
    let Node::Literal(Value::DateTimeOffset(ns)) = moment.node else { return None };
    if function == Function::TotalOffsetMinutes {
        return Some(literal_of(Value::Int(offset_minutes), Some(PrimitiveType::Int32.into())));
    }
    let local = Value::DateTimeOffset(ns.saturating_add(offset_minutes * NS_PER_MINUTE));
    let moment = literal_of(local, moment.ty);
    let ty = function.result().map(Into::into);
    Some(TypedExpr { node: Node::Call(function, vec![moment]), ty, nullable: false })
}

fn accepts(parameter: Parameter, argument: &TypedExpr) -> bool {
    let Some(ty) = argument.ty else { return true };
    let primitive = ty.primitive();
    let is = |wanted: PrimitiveType| primitive == Some(wanted);
    match parameter {
        Parameter::Of(PrimitiveType::Int64) => primitive.is_some_and(PrimitiveType::is_integer),
        Parameter::Of(wanted) => is(wanted),
        Parameter::Number => ty.is_numeric(),
        Parameter::Day => is(PrimitiveType::DateTimeOffset) || is(PrimitiveType::Date),
        Parameter::Clock => is(PrimitiveType::DateTimeOffset) || is(PrimitiveType::TimeOfDay),
        Parameter::Shape => primitive.is_some_and(PrimitiveType::is_geo),
        Parameter::Many => ty.collection,
        Parameter::TextOrMany => ty.collection || is(PrimitiveType::String),
    }
}

fn expected(parameter: Parameter) -> &'static str {
    match parameter {
        Parameter::Of(ty) => ty.name(),
        Parameter::Number => "a number",
        Parameter::Day => "Edm.DateTimeOffset or Edm.Date",
        Parameter::Clock => "Edm.DateTimeOffset or Edm.TimeOfDay",
        Parameter::Shape => "a geography or geometry",
        Parameter::Many => "a collection",
        Parameter::TextOrMany => "Edm.String or a collection",
    }
}
