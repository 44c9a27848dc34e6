//! The text of `$apply`, parsed and typed.

use super::{Aggregation, Measure, Method, Stage, Transformation, grouping, nesting};
use crate::expr::{self, Expr};
use crate::limits::{Limits, TRANSFORMATIONS_MAX};
use crate::model::{Property, StructuredType, Type, is_identifier};
use crate::plan::mismatch;
use crate::select::split_top;
use crate::typed::{self, TypedExpr};
use crate::url::RawOption;
use crate::view::Planner;
use crate::{Error, PrimitiveType, search};

/// Types a sequence of transformations over rows of a type; gives it with the type of what it makes.
///
/// # Errors
/// [`Error`] of 400 and 501.
pub fn plan(planner: &mut Planner<'_, '_>, text: &str, row: Type) -> Result<(Vec<Transformation>, Type), Error> {
    let mut found = Vec::new();
    let mut row = row;
    let parts = split_top(text, '/');
    if parts.len() > TRANSFORMATIONS_MAX {
        let limit = "transformations";
        return Err(Error::Limit { target: "$apply".into(), limit, max: TRANSFORMATIONS_MAX });
    }
    for (_, part) in parts {
        let (transformation, next) = one(planner, part.trim(), row)?;
        found.push(transformation);
        row = next;
    }
    Ok((found, row))
}

pub(super) fn wrong<T>(message: impl Into<String>) -> Result<T, Error> {
    Err(Error::invalid("$apply", message))
}

fn one(planner: &mut Planner<'_, '_>, text: &str, row: Type) -> Result<(Transformation, Type), Error> {
    if text == "identity" {
        return Ok((Transformation::Identity, row));
    }
    let Some((name, inner)) = text.split_once('(').and_then(|(name, rest)| Some((name, rest.strip_suffix(')')?)))
    else {
        return wrong(format!("a transformation such as `aggregate(…)` is expected, not `{text}`"));
    };
    let option = || RawOption { name: String::new(), value: inner.to_owned(), form_value: None };
    Ok(match name.to_ascii_lowercase().as_str() {
        "filter" => {
            let parsed = parse(inner)?;
            let condition = typed::check_filter(&parsed, planner.context(row, false));
            (Transformation::Filter(condition.map_err(|found| mismatch("$apply", inner, found))?), row)
        }
        "search" => match search::parse(inner) {
            Ok(wanted) => (Transformation::Search(wanted), row),
            Err(error) => return Err(Error::Syntax { target: "$apply".into(), at: error.at, message: error.message }),
        },
        "orderby" => (Transformation::OrderBy(planner.order(&option(), "$apply", row)?), row),
        "top" => (Transformation::Top(crate::options::whole_number(&option(), "$apply")?), row),
        "skip" => (Transformation::Skip(crate::options::whole_number(&option(), "$apply")?), row),
        "compute" => return compute(planner, inner, row),
        "aggregate" => {
            let (items, made) = aggregate(planner, inner, row)?;
            (Transformation::Aggregate(items, made), Type::structured(made))
        }
        "groupby" => return grouping::group(planner, inner, row),
        name @ ("join" | "outerjoin") => return nesting::join(planner, inner, row, name == "outerjoin"),
        "nest" => return nesting::nest(planner, inner, row),
        "addnested" => return nesting::add_nested(planner, inner, row),
        "concat" => return concat(planner, inner, row),
        name @ ("topcount" | "topsum" | "toppercent" | "bottomcount" | "bottomsum" | "bottompercent") => {
            (best(planner, name, inner, row)?, row)
        }
        name @ ("ancestors" | "descendants" | "traverse" | "expand") => {
            return Err(Error::unsupported(format!("{name} in $apply"), "this transformation is not evaluated here"));
        }
        name if name.contains('.') => {
            return Err(Error::unsupported(format!("{name} in $apply"), "the model has no such function"));
        }
        name => return wrong(format!("there is no transformation `{name}`")),
    })
}

pub(super) fn parse(text: &str) -> Result<Expr, Error> {
    expr::parse(text.trim(), Limits::default()).map_err(|error| Error::Syntax {
        target: "$apply".into(),
        at: error.at,
        message: error.message,
    })
}

/// An expression of each row, which may lead through collections.
pub(super) fn value(planner: &Planner<'_, '_>, text: &str, row: Type) -> Result<TypedExpr, Error> {
    let parsed = parse(text)?;
    typed::check(&parsed, planner.context(row, true)).map_err(|found| mismatch("$apply", text, found))
}

/// `expression as Name`, from the end, where ` as ` stands outside of quotes.
pub(super) fn named(text: &str) -> Result<(&str, &str), Error> {
    match last_word(text, " as ").map(|at| (text[..at].trim(), text[at + 4..].trim())) {
        Some((value, name)) if is_identifier(name) => Ok((value, name)),
        _ => wrong(format!("`… as Name` is expected, not `{text}`")),
    }
}

fn compute(planner: &mut Planner<'_, '_>, text: &str, row: Type) -> Result<(Transformation, Type), Error> {
    let mut stages = Vec::new();
    let mut row = row;
    for (_, item) in split_top(text, ',') {
        let (expression, name) = named(item)?;
        let parsed = parse(expression)?;
        let typed = typed::check(&parsed, planner.context(row, false));
        let typed = typed.map_err(|found| mismatch("$apply", expression, found))?;
        let stage = Stage::make(planner.types, row, name, typed)?;
        row = stage.row(row);
        stages.push(Transformation::Compute(stage));
    }
    Ok((Transformation::Sequence(stages), row))
}

fn aggregate(planner: &mut Planner<'_, '_>, text: &str, row: Type) -> Result<(Vec<Aggregation>, usize), Error> {
    let mut items = Vec::new();
    let mut made = StructuredType::complex("");
    for item in expressions(text) {
        let (expression, name) = named(item.trim())?;
        let (aggregation, ty) = aggregation(planner, expression, row)?;
        if made.position(name).is_some() {
            return wrong(format!("`{name}` is there twice"));
        }
        made.properties.push(Property::optional(name, ty));
        items.push(aggregation);
    }
    Ok((items, planner.types.make(made)))
}

/// The parts between commas; groups behind `from` have commas of their own, and end where a name is given.
fn expressions(text: &str) -> Vec<&str> {
    let mut found: Vec<(usize, &str)> = Vec::new();
    for (at, part) in split_top(text, ',') {
        match found.last_mut() {
            Some((start, before)) if last_word(before, " as ").is_none() => *before = &text[*start..at + part.len()],
            _ => found.push((at, part)),
        }
    }
    found.into_iter().map(|(_, part)| part).collect()
}

/// Where a word stands last in a text, outside of quotes and parentheses.
fn last_word(text: &str, word: &str) -> Option<usize> {
    let lower = text.to_ascii_lowercase();
    let mut at = lower.len();
    while let Some(found) = lower[..at].rfind(word) {
        if crate::select::is_top(text, found) {
            return Some(found);
        }
        at = found;
    }
    None
}

fn aggregation(planner: &mut Planner<'_, '_>, text: &str, row: Type) -> Result<(Aggregation, Type), Error> {
    if let Some(at) = last_word(text, " from ") {
        return from_groups(planner, text[..at].trim(), text[at + 6..].trim(), row);
    }
    let Some(at) = last_word(text, " with ") else {
        let path = match text {
            "$count" => None,
            _ => match text.strip_suffix("/$count") {
                Some(path) => Some(value(planner, path, row)?),
                None => return wrong(format!("`… with sum`, or another method, is expected, not `{text}`")),
            },
        };
        let aggregation = Aggregation { of: path, method: Method::Count, from: Vec::new() };
        return Ok((aggregation, PrimitiveType::Decimal.into()));
    };
    let (expression, method) = (text[..at].trim(), method_of(text[at + 6..].trim())?);
    let of = value(planner, expression, row)?;
    let ty = aggregated_type(method, &of, expression)?;
    Ok((Aggregation { of: Some(of), method, from: Vec::new() }, ty))
}

/// A method by its name.
pub(crate) fn method_of(name: &str) -> Result<Method, Error> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "sum" => Method::Sum,
        "min" => Method::Min,
        "max" => Method::Max,
        "average" => Method::Average,
        "countdistinct" => Method::CountDistinct,
        other if other.contains('.') => {
            return Err(Error::unsupported(format!("{name} in $apply"), "the model has no such method"));
        }
        _ => return wrong(format!("there is no method `{name}`: sum, min, max, average, countdistinct")),
    })
}

/// The type of what a method computes of values. Counts are decimals, as the standard has them.
pub(crate) fn aggregated_type(method: Method, of: &TypedExpr, text: &str) -> Result<Type, Error> {
    let item = of.ty.map(Type::item);
    let numeric = item.is_none_or(Type::is_numeric);
    Ok(match method {
        Method::Sum | Method::Average if !numeric => {
            return wrong(format!("`{text}` is no number: it has neither sum nor average"));
        }
        Method::CountDistinct | Method::Count => PrimitiveType::Decimal.into(),
        Method::Sum => match item.and_then(Type::primitive) {
            Some(ty) if ty.is_integer() => PrimitiveType::Int64.into(),
            Some(PrimitiveType::Decimal) => PrimitiveType::Decimal.into(),
            _ => PrimitiveType::Double.into(),
        },
        Method::Average => match item.and_then(Type::primitive) {
            Some(PrimitiveType::Decimal) => PrimitiveType::Decimal.into(),
            _ => PrimitiveType::Double.into(),
        },
        Method::Min | Method::Max => match item {
            Some(ty) if !has_order(ty) => return wrong(format!("`{text}` has no order")),
            Some(ty) => ty,
            None => PrimitiveType::String.into(),
        },
    })
}

/// Whether there is a least and a greatest value of a type.
fn has_order(ty: Type) -> bool {
    let shape = |ty: PrimitiveType| ty.is_geo() || ty == PrimitiveType::Stream;
    ty.structure().is_none() && !ty.primitive().is_some_and(shape)
}

/// `A from p,q with m` is short for `groupby((p,q),aggregate(A as D))/aggregate(D with m as D)`.
fn from_groups(
    planner: &mut Planner<'_, '_>,
    inner: &str,
    groups: &str,
    row: Type,
) -> Result<(Aggregation, Type), Error> {
    let Some(at) = last_word(groups, " with ") else {
        return wrong("`from … with sum`, or another method, is expected");
    };
    let (paths, method) = (groups[..at].trim(), groups[at + 6..].trim());
    let text = format!("groupby(({paths}),aggregate({inner} as {FROM}))/aggregate({FROM} with {method} as {FROM})");
    let (from, made) = plan(planner, &text, row)?;
    let ty = made.structure().and_then(|place| planner.types.structured(place).properties.first()).map(|one| one.ty);
    let ty = ty.unwrap_or_else(|| PrimitiveType::Double.into());
    Ok((Aggregation { of: None, method: method_of(method)?, from }, ty))
}

/// The name of a value on the way, which no client sees.
const FROM: &str = "FromGroups";

pub(super) fn concat(planner: &mut Planner<'_, '_>, text: &str, row: Type) -> Result<(Transformation, Type), Error> {
    let mut branches = Vec::new();
    let mut rows = Vec::new();
    for (_, part) in split_top(text, ',') {
        let (branch, row) = plan(planner, part.trim(), row)?;
        branches.push(branch);
        rows.push(row);
    }
    let same = rows.windows(2).all(|pair| pair[0] == pair[1]);
    if let (true, Some(place)) = (same, rows.first().and_then(|row| row.structure())) {
        return Ok((Transformation::Concat(branches, place), rows[0]));
    }
    let mut union = StructuredType::complex(UNION);
    for place in rows.iter().filter_map(|row| row.structure()) {
        for property in planner.types.structured(place).properties.clone() {
            if union.position(&property.name).is_none() {
                union.properties.push(Property { nullable: true, ..property });
            }
        }
    }
    let made = planner.types.make(union);
    Ok((Transformation::Concat(branches, made), Type::structured(made)))
}

/// The name of types whose rows leave out what they have not.
pub(crate) const UNION: &str = "union of types";

fn best(planner: &Planner<'_, '_>, name: &str, inner: &str, row: Type) -> Result<Transformation, Error> {
    let parts = split_top(inner, ',');
    let [(_, amount), (_, by)] = parts.as_slice() else {
        return wrong(format!("`{name}(amount,expression)` is expected"));
    };
    let measure = match name {
        "topcount" | "bottomcount" => Measure::Count,
        "topsum" | "bottomsum" => Measure::Sum,
        _ => Measure::Percent,
    };
    let amount: Option<f64> = amount.trim().parse().ok().filter(|amount: &f64| amount.is_finite() && *amount >= 0.0);
    let whole = |amount: &f64| measure != Measure::Count || amount.fract() == 0.0;
    let Some(amount) = amount.filter(whole) else { return wrong(format!("`{name}` takes a number from 0")) };
    let by = value(planner, by.trim(), row)?;
    if !by.ty.is_none_or(Type::is_numeric) && measure != Measure::Count {
        return wrong(format!("`{name}` needs a number to add up"));
    }
    Ok(Transformation::Best { top: name.starts_with("top"), measure, amount, by })
}
