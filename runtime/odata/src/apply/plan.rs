//! The text of `$apply`, parsed and typed.

use super::{Aggregation, Key, Measure, Method, Stage, Transformation};
use crate::expr::{self, Expr, ExprKind, Segment};
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

fn wrong<T>(message: impl Into<String>) -> Result<T, Error> {
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
        "groupby" => return group(planner, inner, row),
        "concat" => return concat(planner, inner, row),
        name @ ("topcount" | "topsum" | "toppercent" | "bottomcount" | "bottomsum" | "bottompercent") => {
            (best(planner, name, inner, row)?, row)
        }
        name @ ("join" | "outerjoin" | "nest" | "addnested" | "ancestors" | "descendants" | "traverse" | "expand") => {
            return Err(Error::unsupported(format!("{name} in $apply"), "this transformation is not evaluated here"));
        }
        name if name.contains('.') => {
            return Err(Error::unsupported(format!("{name} in $apply"), "the model has no such function"));
        }
        name => return wrong(format!("there is no transformation `{name}`")),
    })
}

fn parse(text: &str) -> Result<Expr, Error> {
    expr::parse(text.trim(), Limits::default()).map_err(|error| Error::Syntax {
        target: "$apply".into(),
        at: error.at,
        message: error.message,
    })
}

/// An expression of each row, which may lead through collections.
fn value(planner: &Planner<'_, '_>, text: &str, row: Type) -> Result<TypedExpr, Error> {
    let parsed = parse(text)?;
    typed::check(&parsed, planner.context(row, true)).map_err(|found| mismatch("$apply", text, found))
}

/// `expression as Name`, from the end, where ` as ` stands outside of quotes.
fn named(text: &str) -> Result<(&str, &str), Error> {
    let lower = text.to_ascii_lowercase();
    match lower.rfind(" as ").map(|at| (text[..at].trim(), text[at + 4..].trim())) {
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
    for (_, item) in split_top(text, ',') {
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

fn aggregation(planner: &Planner<'_, '_>, text: &str, row: Type) -> Result<(Aggregation, Type), Error> {
    let lower = text.to_ascii_lowercase();
    if lower.contains(" from ") {
        return Err(Error::unsupported("from in $apply", "aggregate in steps, with groupby inside"));
    }
    let Some(at) = lower.rfind(" with ") else {
        let path = match text {
            "$count" => None,
            _ => match text.strip_suffix("/$count") {
                Some(path) => Some(value(planner, path, row)?),
                None => return wrong(format!("`… with sum`, or another method, is expected, not `{text}`")),
            },
        };
        return Ok((Aggregation { of: path, method: Method::Count }, PrimitiveType::Int64.into()));
    };
    let (expression, method) = (text[..at].trim(), text[at + 6..].trim());
    let method = match method.to_ascii_lowercase().as_str() {
        "sum" => Method::Sum,
        "min" => Method::Min,
        "max" => Method::Max,
        "average" => Method::Average,
        "countdistinct" => Method::CountDistinct,
        name if name.contains('.') => {
            return Err(Error::unsupported(format!("{method} in $apply"), "the model has no such method"));
        }
        _ => return wrong(format!("there is no method `{method}`: sum, min, max, average, countdistinct")),
    };
    let of = value(planner, expression, row)?;
    let item = of.ty.map(Type::item);
    let numeric = item.is_none_or(Type::is_numeric);
    let ty = match method {
        Method::Sum | Method::Average if !numeric => {
            return wrong(format!("`{expression}` is no number: it has no {}", lower[at + 6..].trim()));
        }
        Method::CountDistinct | Method::Count => PrimitiveType::Int64.into(),
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
            Some(ty) if ty.structure().is_some() => return wrong(format!("`{expression}` has no order")),
            Some(ty) => ty,
            None => PrimitiveType::String.into(),
        },
    };
    Ok((Aggregation { of: Some(of), method }, ty))
}

/// `((path,path),transformations)`
fn group(planner: &mut Planner<'_, '_>, text: &str, row: Type) -> Result<(Transformation, Type), Error> {
    let parts = split_top(text, ',');
    let Some(paths) = parts[0].1.trim().strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) else {
        return wrong("paths in parentheses are expected in `groupby`");
    };
    let paths: Vec<&str> = split_top(paths, ',').into_iter().map(|(_, path)| path.trim()).collect();
    if let Some(rollup) = paths.iter().find(|path| path.starts_with("rollup")) {
        return Err(Error::unsupported(
            format!("{} in $apply", rollup.split('(').next().unwrap_or(rollup)),
            "group in steps",
        ));
    }
    let paths: Vec<Vec<String>> = paths.into_iter().map(names).collect::<Result<_, _>>()?;
    let mut made = StructuredType::complex("");
    let keys = keys(planner, &paths, &[], row, &mut made)?;
    let rest = parts.get(1).map(|(start, _)| &text[*start..]);
    let Some(rest) = rest else {
        let made = planner.types.make(made);
        return Ok((Transformation::GroupBy { keys, inner: Vec::new(), made: Some(made) }, Type::structured(made)));
    };
    let (inner, inner_row) = plan(planner, rest.trim(), row)?;
    let aggregated = inner_row.structure().is_some_and(|place| planner.types.of_model(place).is_none());
    if !aggregated || row == inner_row {
        return Ok((Transformation::GroupBy { keys, inner, made: None }, inner_row));
    }
    let place = inner_row.structure().unwrap_or_default();
    for property in planner.types.structured(place).properties.clone() {
        if made.position(&property.name).is_some() {
            return wrong(format!("`{}` is there twice", property.name));
        }
        made.properties.push(property);
    }
    let made = planner.types.make(made);
    Ok((Transformation::GroupBy { keys, inner, made: Some(made) }, Type::structured(made)))
}

/// The names of a path.
fn names(path: &str) -> Result<Vec<String>, Error> {
    let parsed = parse(path)?;
    let ExprKind::Path(segments) = parsed.kind else { return wrong(format!("a path is expected, not `{path}`")) };
    segments
        .into_iter()
        .map(|segment| match segment {
            Segment::Name(name) => Ok(name),
            _ => wrong(format!("a path of names is expected, not `{path}`")),
        })
        .collect()
}

/// The keys of paths that begin with the same names, as properties of a type made for them.
fn keys(
    planner: &mut Planner<'_, '_>,
    paths: &[Vec<String>],
    before: &[String],
    row: Type,
    made: &mut StructuredType,
) -> Result<Vec<Key>, Error> {
    let mut keys = Vec::new();
    let mut done: Vec<&str> = Vec::new();
    for path in paths {
        let Some(head) = path.first() else { return wrong("a path ends too early in `groupby`") };
        if done.contains(&head.as_str()) {
            continue;
        }
        done.push(head);
        let below: Vec<Vec<String>> =
            paths.iter().filter(|other| other.first() == Some(head)).map(|other| other[1..].to_vec()).collect();
        let full: Vec<String> = before.iter().chain([head]).cloned().collect();
        if head.contains('.') {
            // A type cast has no place of its own in the result.
            keys.extend(self::keys(planner, &below, &full, row, made)?);
        } else if below.iter().all(Vec::is_empty) {
            let text = full.join("/");
            let parsed = parse(&text)?;
            let typed = typed::check(&parsed, planner.context(row, false));
            let typed = typed.map_err(|found| mismatch("$apply", &text, found))?;
            made.properties.push(Property::optional(head, typed.ty.unwrap_or_else(|| PrimitiveType::String.into())));
            keys.push(Key::Value(typed));
        } else {
            let mut inner = StructuredType::complex("");
            let parts = self::keys(planner, &below, &full, row, &mut inner)?;
            let place = planner.types.make(inner);
            made.properties.push(Property::optional(head, Type::structured(place)));
            keys.push(Key::Parts(parts, place));
        }
    }
    Ok(keys)
}

fn concat(planner: &mut Planner<'_, '_>, text: &str, row: Type) -> Result<(Transformation, Type), Error> {
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
