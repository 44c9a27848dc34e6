//! `groupby`: its keys, and `rollup`.

use super::plan::{concat, parse, plan, wrong};
use super::{Key, Transformation};
use crate::Error;
use crate::PrimitiveType;
use crate::expr::{ExprKind, Segment};
use crate::limits::TRANSFORMATIONS_MAX;
use crate::model::{Property, StructuredType, Type};
use crate::plan::mismatch;
use crate::select::split_top;
use crate::typed;
use crate::view::Planner;

/// `((path,path),transformations)`
pub(super) fn group(planner: &mut Planner<'_, '_>, text: &str, row: Type) -> Result<(Transformation, Type), Error> {
    let parts = split_top(text, ',');
    let Some(paths) = parts[0].1.trim().strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) else {
        return wrong("paths in parentheses are expected in `groupby`");
    };
    let paths: Vec<&str> = split_top(paths, ',').into_iter().map(|(_, path)| path.trim()).collect();
    let rest = parts.get(1).map(|(start, _)| &text[*start..]);
    if paths.iter().any(|path| path.starts_with("rollup")) {
        return rolled_up(planner, &paths, rest, row);
    }
    let paths: Vec<Vec<String>> = paths.into_iter().map(names).collect::<Result<_, _>>()?;
    let mut made = StructuredType::complex("");
    let keys = keys(planner, &paths, &[], row, &mut made)?;
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

/// `rollup(a,b,c)` groups by all three, then by `a` and `b`, then by `a`; with `$all` as its first also by none of them. Several
/// go together in every way (Data Aggregation §3.2.3.2).
fn rolled_up(
    planner: &mut Planner<'_, '_>,
    paths: &[&str],
    rest: Option<&str>,
    row: Type,
) -> Result<(Transformation, Type), Error> {
    if rest.is_some_and(|rest| rest.contains("rollup")) {
        // Each would be planned for each level of the other.
        return Err(Error::unsupported("rollup within rollup in $apply", "give the levels in one groupby"));
    }
    let mut groupings: Vec<Vec<&str>> = vec![Vec::new()];
    for path in paths {
        let levels = levels(path)?;
        groupings = groupings
            .iter()
            .flat_map(|before| levels.iter().map(move |level| before.iter().chain(level).copied().collect()))
            .collect();
        if groupings.len() > TRANSFORMATIONS_MAX {
            let limit = "transformations";
            return Err(Error::Limit { target: "$apply".into(), limit, max: TRANSFORMATIONS_MAX });
        }
    }
    let rest = rest.map(str::trim);
    let branch = |keys: Vec<&str>| match (keys.is_empty(), rest) {
        (true, rest) => rest.map(str::to_owned),
        (false, None) => Some(format!("groupby(({}))", keys.join(","))),
        (false, Some(rest)) => Some(format!("groupby(({}),{rest})", keys.join(","))),
    };
    let branches: Vec<String> = groupings.into_iter().filter_map(branch).collect();
    concat(planner, &branches.join(","), row)
}

/// The keys of each level of a hierarchy, from the finest; a path that is none has one level.
fn levels<'p>(path: &'p str) -> Result<Vec<Vec<&'p str>>, Error> {
    let Some(inner) = path.strip_prefix("rollup") else { return Ok(vec![vec![path]]) };
    let Some(inner) = inner.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) else {
        let name = path.split('(').next().unwrap_or(path);
        return Err(Error::unsupported(format!("{name} in $apply"), "the model has no hierarchies"));
    };
    let mut names: Vec<&'p str> = split_top(inner, ',').into_iter().map(|(_, name)| name.trim()).collect();
    let all = names.first() == Some(&"$all");
    if all {
        names.remove(0);
    }
    if names.len() > TRANSFORMATIONS_MAX {
        let limit = "transformations";
        return Err(Error::Limit { target: "$apply".into(), limit, max: TRANSFORMATIONS_MAX });
    }
    match names.len() {
        _ if names.iter().any(|name| name.is_empty()) => wrong("paths are expected in `rollup`"),
        0 => wrong("paths are expected in `rollup`"),
        1 if !all => Err(Error::unsupported("rollup of a hierarchy in $apply", "the model names none: give its paths")),
        count => Ok((usize::from(!all)..=count).rev().map(|length| names[..length].to_vec()).collect()),
    }
}
