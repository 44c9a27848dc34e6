//! Transformations that put collections into rows, or rows beside the items of their collections: `join`, `outerjoin`, `nest`,
//! `addnested` (Data Aggregation §3.4, §3.5).

use super::plan::{named, plan, value, wrong};
use super::{Stage, Transformation};
use crate::model::{Property, StructuredType, Type};
use crate::select::split_top;
use crate::typed::{Node, TypedExpr};
use crate::view::Planner;
use crate::{Error, Value};

type Planned = Result<(Transformation, Type), Error>;

/// `join(Path as Name,sequence)`
pub(super) fn join(planner: &mut Planner<'_, '_>, text: &str, row: Type, outer: bool) -> Planned {
    let parts = split_top(text, ',');
    let (path, name) = named(parts[0].1.trim())?;
    let of = value(planner, path, row)?;
    let Some(ty) = of.ty.filter(|ty| ty.collection && ty.structure().is_some()) else {
        return wrong(format!("`{path}` is no collection of entities or complex values"));
    };
    let (inner, item) = match parts.get(1) {
        Some((at, _)) => plan(planner, text[*at..].trim(), ty.item())?,
        None => (Vec::new(), ty.item()),
    };
    let stage = property(planner, row, name, item)?;
    let next = stage.row(row);
    Ok((Transformation::Join { of, inner, outer, stage }, next))
}

/// `nest(sequence as Name,…)`
pub(super) fn nest(planner: &mut Planner<'_, '_>, text: &str, row: Type) -> Planned {
    let mut made = StructuredType::complex("");
    let mut sequences = Vec::new();
    for (_, part) in split_top(text, ',') {
        let (sequence, name) = named(part.trim())?;
        let (inner, item) = plan(planner, sequence, row)?;
        if made.position(name).is_some() {
            return wrong(format!("`{name}` is there twice"));
        }
        made.properties.push(Property::optional(name, item.item().many()));
        sequences.push(inner);
    }
    let place = planner.types.make(made);
    Ok((Transformation::Nest(sequences, place), Type::structured(place)))
}

/// `addnested(Path,sequence as Name,…)`
pub(super) fn add_nested(planner: &mut Planner<'_, '_>, text: &str, row: Type) -> Planned {
    let parts = split_top(text, ',');
    let Some(((_, path), sequences)) = parts.split_first().filter(|(_, rest)| !rest.is_empty()) else {
        return wrong("`addnested(Path,… as Name)` is expected");
    };
    let path = path.trim();
    let mut row = row;
    let mut steps = Vec::new();
    for (_, part) in sequences {
        let (sequence, name) = named(part.trim())?;
        let of = value(planner, path, row)?;
        let nested = of.ty.filter(|ty| ty.structure().is_some());
        let Some(ty) = nested else { return wrong(format!("`{path}` leads to neither entities nor complex values")) };
        if path.split('/').filter(|part| !part.contains('.')).count() > 1 {
            return Err(Error::unsupported("addnested along a path in $apply", "give the navigation property alone"));
        }
        let (inner, item) = plan(planner, sequence, ty.item())?;
        let stage = property(planner, row, name, Type { collection: ty.collection, ..item })?;
        row = stage.row(row);
        steps.push(Transformation::AddNested { of, inner, stage });
    }
    Ok((Transformation::Sequence(steps), row))
}

/// One more property, whose values come from elsewhere.
fn property(planner: &mut Planner<'_, '_>, row: Type, name: &str, ty: Type) -> Result<Stage, Error> {
    let nothing = TypedExpr { node: Node::Literal(Value::Null), ty: Some(ty), nullable: true };
    Stage::make(planner.types, row, name, nothing)
}
